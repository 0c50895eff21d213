"""Learning rates that depend on the step: tf.train.exponential_decay and its like."""

from __future__ import annotations

import math
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _need_step(global_step: Any, name: str) -> None:
    if global_step is None:
        raise ValueError(f"global_step is required for {name}.")


def _start(learning_rate: Any, *values: Any) -> tuple[Any, ...]:
    """The rate as a tensor and the other values in its dtype."""
    rate = tf.convert_to_tensor(learning_rate, name="learning_rate")
    return (rate, *(tf.cast(v, rate.dtype) for v in values))


@tf_export("train.exponential_decay")
def exponential_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Any:
    """lr · rate^(step/steps)."""
    _need_step(global_step, "exponential_decay")
    with tf.name_scope(name, "ExponentialDecay", [learning_rate, global_step, decay_steps, decay_rate]) as scope:
        rate, step, steps, base = _start(learning_rate, global_step, decay_steps, decay_rate)
        p = step / steps
        return tf.multiply(rate, tf.pow(base, tf.floor(p) if staircase else p), name=scope)


@tf_export("train.piecewise_constant", "train.piecewise_constant_decay")
def piecewise_constant(x: Any, boundaries: Any, values: Any, name: str | None = None) -> Any:
    """values[i] where boundaries[i-1] < x <= boundaries[i]."""
    if len(boundaries) != len(values) - 1:
        raise ValueError("The length of boundaries should be 1 less than the length of values")
    with tf.name_scope(name, "PiecewiseConstant", [x, boundaries, values]):
        x = tf.convert_to_tensor(x)
        limits = [tf.convert_to_tensor(b) for b in boundaries]
        for i, limit in enumerate(limits):
            if limit.dtype.base_dtype != x.dtype.base_dtype:
                if not (limit.dtype.base_dtype == tf.int32 and x.dtype.base_dtype == tf.int64):
                    raise ValueError(f"Boundaries ({limit.dtype}) must have the same dtype as x ({x.dtype}).")
                limits[i] = tf.cast(limit, x.dtype.base_dtype)
        rates = [tf.convert_to_tensor(v) for v in values]
        for rate in rates[1:]:
            if rate.dtype.base_dtype != rates[0].dtype.base_dtype:
                raise ValueError(
                    f"Values must have elements all with the same dtype ({rates[0].dtype} vs {rate.dtype})."
                )
        above = tf.reduce_sum(tf.cast(x > tf.stack(limits), tf.int32)) if limits else tf.constant(0)
        return tf.gather(tf.stack(rates), above)


@tf_export("train.polynomial_decay")
def polynomial_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    end_learning_rate: Any = 0.0001,
    power: Any = 1.0,
    cycle: bool = False,
    name: str | None = None,
) -> Any:
    """(lr − end)(1 − step/steps)^power + end."""
    _need_step(global_step, "polynomial_decay")
    with tf.name_scope(name, "PolynomialDecay", [learning_rate, global_step, decay_steps]) as scope:
        rate, step, steps, end, exponent = _start(learning_rate, global_step, decay_steps, end_learning_rate, power)
        if cycle:
            steps = steps * tf.where(tf.equal(step, 0), tf.ones_like(step), tf.ceil(step / steps))
        else:
            step = tf.minimum(step, steps)
        p = step / steps
        return tf.add((rate - end) * tf.pow(1 - p, exponent), end, name=scope)


@tf_export("train.natural_exp_decay")
def natural_exp_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Any:
    """lr · exp(−rate · step/steps)."""
    _need_step(global_step, "natural_exp_decay")
    with tf.name_scope(name, "NaturalExpDecay", [learning_rate, global_step, decay_rate]) as scope:
        rate, step, steps, base = _start(learning_rate, global_step, decay_steps, decay_rate)
        p = step / steps
        return tf.multiply(rate, tf.exp(-base * (tf.floor(p) if staircase else p)), name=scope)


@tf_export("train.inverse_time_decay")
def inverse_time_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Any:
    """lr / (1 + rate · step/steps)."""
    _need_step(global_step, "inverse_time_decay")
    with tf.name_scope(name, "InverseTimeDecay", [learning_rate, global_step, decay_rate]) as scope:
        rate, step, steps, base = _start(learning_rate, global_step, decay_steps, decay_rate)
        p = step / steps
        return tf.div(rate, 1 + base * (tf.floor(p) if staircase else p), name=scope)


@tf_export("train.cosine_decay")
def cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, alpha: Any = 0.0, name: str | None = None
) -> Any:
    """lr · ((1−α)·½(1 + cos π·step/steps) + α)."""
    _need_step(global_step, "cosine decay")
    with tf.name_scope(name, "CosineDecay", [learning_rate, global_step]):
        rate, step, steps = _start(learning_rate, global_step, decay_steps)
        done = tf.minimum(step, steps) / steps
        return rate * ((1 - alpha) * (0.5 * (1.0 + tf.cos(math.pi * done))) + alpha)


@tf_export("train.cosine_decay_restarts")
def cosine_decay_restarts(
    learning_rate: Any,
    global_step: Any,
    first_decay_steps: Any,
    t_mul: Any = 2.0,
    m_mul: Any = 1.0,
    alpha: Any = 0.0,
    name: str | None = None,
) -> Any:
    """Cosine decay that starts anew, each time t_mul as long and m_mul as high (Loshchilov and Hutter, 2016)."""
    _need_step(global_step, "cosine decay restarts")
    with tf.name_scope(name, "SGDRDecay", [learning_rate, global_step]):
        rate, step, steps, longer, lower, floor = _start(
            learning_rate, global_step, first_decay_steps, t_mul, m_mul, alpha
        )
        done = step / steps
        if isinstance(t_mul, int | float) and t_mul == 1.0:
            restart = tf.floor(done)
            done = done - restart
        else:
            restart = tf.floor(tf.log(1.0 - done * (1.0 - longer)) / tf.log(longer))
            before = (1.0 - longer**restart) / (1.0 - longer)
            done = (done - before) / longer**restart
        height = lower**restart
        return rate * ((1 - floor) * (0.5 * height * (1.0 + tf.cos(math.pi * done))) + floor)


def _linear_left(learning_rate: Any, global_step: Any, decay_steps: Any, num_periods: Any) -> tuple[Any, Any, Any, Any]:
    rate, step, steps, periods = _start(learning_rate, global_step, decay_steps, num_periods)
    step = tf.minimum(step, steps)
    return rate, step, (steps - step) / steps, 0.5 * (1.0 + tf.cos(math.pi * (2.0 * periods * (step / steps))))


@tf_export("train.linear_cosine_decay")
def linear_cosine_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    num_periods: Any = 0.5,
    alpha: Any = 0.0,
    beta: Any = 0.001,
    name: str | None = None,
) -> Any:
    """lr · ((α + (1 − step/steps))·½(1 + cos 2π·periods·step/steps) + β) (Bello et al., 2017)."""
    _need_step(global_step, "linear cosine decay")
    with tf.name_scope(name, "LinearCosineDecay", [learning_rate, global_step]) as scope:
        rate, _, left, cosine = _linear_left(learning_rate, global_step, decay_steps, num_periods)
        return tf.multiply(rate, (alpha + left) * cosine + beta, name=scope)


@tf_export("train.noisy_linear_cosine_decay")
def noisy_linear_cosine_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    initial_variance: Any = 1.0,
    variance_decay: Any = 0.55,
    num_periods: Any = 0.5,
    alpha: Any = 0.0,
    beta: Any = 0.001,
    name: str | None = None,
) -> Any:
    """linear_cosine_decay with Gaussian noise of variance initial/(1+step)^decay on its linear part."""
    _need_step(global_step, "noisy linear cosine decay")
    with tf.name_scope(name, "NoisyLinearCosineDecay", [learning_rate, global_step]) as scope:
        rate, step, left, cosine = _linear_left(learning_rate, global_step, decay_steps, num_periods)
        spread = tf.sqrt(initial_variance / tf.pow(1.0 + step, variance_decay))
        noisy = left + tf.random_normal(tf.shape(left), stddev=1.0) * spread
        return tf.multiply(rate, (alpha + noisy) * cosine + beta, name=scope)
