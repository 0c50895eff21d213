"""Distributions of whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.distributions.base import (
    NOT_REPARAMETERIZED,
    Distribution,
    checked,
    new_seed,
    served,
)
from recurra.tf1.distributions.divergence import RegisterKL
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


def logits_and_probs(logits: Any, probs: Any, validate: bool, many: bool = False) -> tuple[Any, Any]:
    """Both from one of them; ValueError when both or none are given."""
    if (logits is None) == (probs is None):
        raise ValueError("Must pass probs or logits, but not both.")
    if probs is None:
        logits = tf.convert_to_tensor(logits, name="logits")
        if not logits.dtype.is_floating:
            raise TypeError("logits must having floating type.")
        return logits, (tf.nn.softmax if many else tf.sigmoid)(logits, name="probs")
    probs = tf.convert_to_tensor(probs, name="probs")
    if not probs.dtype.is_floating:
        raise TypeError("probs must having floating type.")
    if validate:
        checks = [tf.assert_non_negative(probs, message="Condition x >= 0 did not hold")]
        if many:
            total = tf.reduce_sum(probs, -1)
            checks.append(tf.Assert(tf.reduce_all(tf.abs(total - 1.0) < 1e-4), ["probs does not sum to 1."]))
        else:
            checks.append(
                tf.assert_less_equal(probs, tf.cast(1.0, probs.dtype), message="probs has components greater than 1.")
            )
        with tf.control_dependencies(checks):
            probs = tf.identity(probs)
    return (tf.log(probs) if many else tf.log(probs) - tf.log1p(-probs)), probs


class _OfLogits(Distribution):
    """What has logits and probs of one number each."""

    def _begin(self, logits: Any, probs: Any, dtype: Any, validate: bool, nan: bool, name: str) -> None:
        with tf.name_scope(name) as scope:
            self.logits, self.probs = logits_and_probs(logits, probs, validate)
        super().__init__(
            dtype or self.probs.dtype, NOT_REPARAMETERIZED, validate, nan, graph_parents=[self.logits, self.probs],
            name=scope,
        )  # fmt: skip

    @property
    def p(self) -> Any:
        return self.probs

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.logits, 0)]

    def _real(self, event: Any) -> Any:
        return tf.cast(event, self.logits.dtype)


class Bernoulli(_OfLogits):
    """1 with probability `probs`, else 0."""

    _old_names = {"p": "probs"}
    _of_scalars = ("logits",)

    def __init__(self, logits: Any = None, probs: Any = None, dtype: Any = dtypes.int32, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Bernoulli") -> None:  # fmt: skip
        self._begin(logits, probs, dtype, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        shape = tf.concat([tf.reshape(n, [1]), self.batch_shape_tensor()], 0)
        drawn = tf.random_uniform(shape, seed=seed, dtype=self.probs.dtype)
        return tf.cast(tf.less(drawn, self.probs), self.dtype)

    def _log_prob(self, event: Any) -> Any:
        event = self._real(event)
        logits = self.logits + tf.zeros_like(event)
        return -tf.nn.sigmoid_cross_entropy_with_logits(labels=event + tf.zeros_like(logits), logits=logits)

    def _entropy(self) -> Any:
        return -self.logits * (tf.sigmoid(self.logits) - 1.0) + tf.nn.softplus(-self.logits)

    def _mean(self) -> Any:
        return tf.identity(self.probs)

    def _variance(self) -> Any:
        return self._mean() * (1.0 - self.probs)

    def _mode(self) -> Any:
        return tf.cast(self.probs > 0.5, self.dtype)


served(Bernoulli, "Bernoulli", core=True)


class BernoulliWithSigmoidProbs(Bernoulli):
    """Bernoulli of logits called `logits` (0.x)."""


served(BernoulliWithSigmoidProbs, "BernoulliWithSigmoidProbs")


@RegisterKL(Bernoulli, Bernoulli)
def _kl_bernoulli(a: Bernoulli, b: Bernoulli, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_bernoulli_bernoulli"):
        none = tf.nn.softplus(-b.logits) - tf.nn.softplus(-a.logits)
        some = tf.nn.softplus(b.logits) - tf.nn.softplus(a.logits)
        return tf.sigmoid(a.logits) * none + tf.sigmoid(-a.logits) * some


class Categorical(Distribution):
    """One of K classes, by the last axis of `logits` or `probs`."""

    _old_names = {"p": "probs"}

    def __init__(self, logits: Any = None, probs: Any = None, dtype: Any = dtypes.int32, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Categorical") -> None:  # fmt: skip
        with tf.name_scope(name, values=[logits, probs]) as scope:
            self.logits, self.probs = logits_and_probs(logits, probs, validate_args, many=True)
            shape = self.logits.shape.with_rank_at_least(1)
            size = shape[-1].value if shape.ndims is not None else None
            self._event_size = tf.constant(size, name="event_size") if size is not None else tf.shape(self.logits)[-1]
        super().__init__(
            dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, graph_parents=[self.logits, self.probs],
            name=scope,
        )  # fmt: skip

    @property
    def event_size(self) -> Any:
        return self._event_size

    num_classes = event_size

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.logits, 1)]

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        rows = self.logits if self.logits.shape.ndims == 2 else tf.reshape(self.logits, [-1, self.event_size])
        kind = dtypes.int64 if self.dtype.size > 4 else dtypes.int32
        drawn = tf.transpose(tf.multinomial(rows, n, seed=seed, output_dtype=kind))
        return tf.cast(tf.reshape(drawn, tf.concat([[n], self.batch_shape_tensor()], 0)), self.dtype)

    def _joined(self, k: Any, params: Any) -> tuple[Any, Any]:
        """Classes and parameters over the same batch."""
        if k.dtype.is_floating:
            k = tf.cast(k, dtypes.int32)
        elif not k.dtype.is_integer:
            raise TypeError(f"`value` should have integer `dtype` or `self.dtype` ({self.dtype.base_dtype})")
        if not (params.shape.ndims is not None and params.shape[:-1].is_fully_defined()
                and k.shape.is_fully_defined() and params.shape[:-1] == k.shape):  # fmt: skip
            params = params * tf.ones_like(k[..., None], dtype=params.dtype)
            k = k * tf.ones(tf.shape(params)[:-1], k.dtype)
            if params.shape.ndims is not None:
                k.set_shape(params.shape[:-1])
        return k, params

    def _log_prob(self, k: Any) -> Any:
        k, logits = self._joined(k, self.logits)
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=k, logits=logits)

    def _cdf(self, k: Any) -> Any:
        k, probs = self._joined(k, self.probs)
        below = tf.sequence_mask(k, self.event_size, dtype=probs.dtype)
        return tf.reduce_sum(below * probs, axis=-1)

    def _entropy(self) -> Any:
        return -tf.reduce_sum(tf.nn.log_softmax(self.logits) * self.probs, axis=-1)

    def _mode(self) -> Any:
        made = tf.cast(tf.argmax(self.logits, axis=-1), self.dtype)
        made.set_shape(self.batch_shape)
        return made


served(Categorical, "Categorical", core=True)


@RegisterKL(Categorical, Categorical)
def _kl_categorical(a: Any, b: Any, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_categorical_categorical"):
        apart = tf.nn.log_softmax(a.logits) - tf.nn.log_softmax(b.logits)
        return tf.reduce_sum(tf.nn.softmax(a.logits) * apart, axis=-1)


class Binomial(Distribution):
    """How often `probs` comes true in `total_count` trials."""

    _old_names = {"n": "total_count", "p": "probs"}

    def __init__(self, total_count: Any, logits: Any = None, probs: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Binomial") -> None:  # fmt: skip
        with tf.name_scope(name, values=[total_count, logits, probs]) as scope:
            self.total_count = checked(
                tf.convert_to_tensor(total_count, name="total_count"), validate_args, tf.assert_non_negative
            )
            self.logits, self.probs = logits_and_probs(logits, probs, validate_args)
        super().__init__(
            self.probs.dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats,
            graph_parents=[self.total_count, self.logits, self.probs], name=scope,
        )  # fmt: skip

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.total_count, 0), (self.probs, 0)]

    def _log_prob(self, k: Any) -> Any:
        n = self.total_count
        value = k * tf.log(self.probs) + (n - k) * tf.log1p(-self.probs)
        return value - (tf.lgamma(1.0 + n - k) + tf.lgamma(1.0 + k) - tf.lgamma(1.0 + n))

    def _cdf(self, k: Any) -> Any:
        n = self.total_count + 0.0 * (k + self.probs)
        within = tf.minimum(tf.floor(k + 0.0 * n), n - 1.0)
        below = tf.betainc(n - within, within + 1.0, 1.0 - self.probs + 0.0 * n)
        return tf.where(k + 0.0 * n >= n, tf.ones_like(n), below)

    def _mean(self) -> Any:
        return self.total_count * self.probs

    def _variance(self) -> Any:
        return self._mean() * (1.0 - self.probs)

    def _mode(self) -> Any:
        return tf.floor((1.0 + self.total_count) * self.probs)


served(Binomial, "Binomial")


class Geometric(_OfLogits):
    """Failures before the first success."""

    def __init__(self, logits: Any = None, probs: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Geometric") -> None:  # fmt: skip
        self._begin(logits, probs, None, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        shape = tf.concat([tf.reshape(n, [1]), self.batch_shape_tensor()], 0)
        tiny = np.finfo(self.dtype.as_numpy_dtype).tiny
        drawn = tf.random_uniform(shape, minval=tiny, maxval=1.0, seed=seed, dtype=self.dtype)
        return tf.floor(tf.log(drawn) / tf.log1p(-self.probs))

    def _log_prob(self, k: Any) -> Any:
        k = self._real(k)
        return tf.math.xlogy(k, 1.0 - self.probs) + tf.log(self.probs)

    def _cdf(self, k: Any) -> Any:
        k = self._real(k)
        return tf.where(k + 0 * self.probs < 0.0, tf.zeros_like(k + self.probs),
                        -tf.expm1((1.0 + k) * tf.log1p(-self.probs)))  # fmt: skip

    def _entropy(self) -> Any:
        probs = self.probs
        return -1.0 * (probs * tf.log(probs) + (1.0 - probs) * tf.log1p(-probs)) / probs

    def _mean(self) -> Any:
        return tf.exp(-self.logits)

    def _variance(self) -> Any:
        return self._mean() / self.probs

    def _mode(self) -> Any:
        return tf.zeros(self.batch_shape_tensor(), dtype=self.dtype)


served(Geometric, "Geometric")


class NegativeBinomial(_OfLogits):
    """Successes before `total_count` failures."""

    def __init__(self, total_count: Any, logits: Any = None, probs: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "NegativeBinomial") -> None:  # fmt: skip
        self._begin(logits, probs, None, validate_args, allow_nan_stats, name)
        self.total_count = tf.convert_to_tensor(total_count, dtype=self.dtype, name="total_count")

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.total_count, 0), (self.logits, 0)]

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        rate = tf.random_gamma(
            tf.reshape(n, [1]), self.total_count + tf.zeros_like(self.logits), beta=tf.exp(-self.logits),
            dtype=self.dtype, seed=seed,
        )  # fmt: skip
        return tf.random_poisson(rate, [], dtype=self.dtype, seed=new_seed(seed, "negative_binom"))

    def _log_prob(self, x: Any) -> Any:
        n = self.total_count
        value = n * tf.log_sigmoid(-self.logits) + x * tf.log_sigmoid(self.logits)
        return value + tf.lgamma(n + x) - tf.lgamma(1.0 + x) - tf.lgamma(n)

    def _cdf(self, x: Any) -> Any:
        wide = 0.0 * (self.total_count + x + self.logits)
        return tf.betainc(self.total_count + wide, 1.0 + x + wide, tf.sigmoid(-self.logits) + wide)

    def _mean(self) -> Any:
        return self.total_count * tf.exp(self.logits)

    def _variance(self) -> Any:
        return self._mean() / tf.sigmoid(-self.logits)

    def _mode(self) -> Any:
        value = tf.floor((self.total_count - 1.0) * tf.exp(self.logits))
        return tf.where(self.total_count + 0.0 * value > 1.0, value, tf.zeros_like(value))


served(NegativeBinomial, "NegativeBinomial")


class Poisson(Distribution):
    """Counts of what happens `rate` times on average."""

    _old_names = {"lam": "rate"}
    _of_scalars = ("rate",)

    def __init__(self, rate: Any = None, log_rate: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Poisson") -> None:  # fmt: skip
        with tf.name_scope(name, values=[rate]) as scope:
            if (rate is None) == (log_rate is None):
                raise ValueError("Must specify exactly one of `rate` and `log_rate`.")
            if log_rate is None:
                self.rate = checked(tf.convert_to_tensor(rate, name="rate"), validate_args, tf.assert_positive)
                self.log_rate = tf.log(self.rate, name="log_rate")
            else:
                self.log_rate = tf.convert_to_tensor(log_rate, name="log_rate")
                self.rate = tf.exp(self.log_rate, name="rate")
        super().__init__(
            self.rate.dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, graph_parents=[self.rate], name=scope
        )

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.rate, 0)]

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return tf.random_poisson(self.rate, tf.reshape(n, [1]), dtype=self.dtype, seed=seed)

    def _log_prob(self, x: Any) -> Any:
        x = tf.cast(x, self.dtype)
        return x * self.log_rate - tf.lgamma(1.0 + x) - self.rate

    def _cdf(self, x: Any) -> Any:
        return tf.igammac(1.0 + tf.floor(x), self.rate + 0.0 * x)

    def _mean(self) -> Any:
        return tf.identity(self.rate)

    _variance = _mean

    def _mode(self) -> Any:
        return tf.floor(self.rate)


served(Poisson, "Poisson")


class Deterministic(Distribution):
    """Always `loc`; values within atol + rtol · |loc| count as equal."""

    def __init__(self, loc: Any, atol: Any = None, rtol: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Deterministic") -> None:  # fmt: skip
        with tf.name_scope(name, values=[loc, atol, rtol]) as scope:
            self.loc = tf.convert_to_tensor(loc, name="loc")
            self.atol, self.rtol = (
                tf.convert_to_tensor(0 if tol is None else tol, dtype=self.loc.dtype) for tol in (atol, rtol)
            )
        super().__init__(
            self.loc.dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, graph_parents=[self.loc], name=scope
        )

    _event_axes = 0

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.loc, self._event_axes)]

    @property
    def _slack(self) -> Any:
        return self.atol + self.rtol * tf.abs(self.loc)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return tf.ones(tf.concat([tf.reshape(n, [1]), tf.shape(self.loc)], 0), self.dtype) * self.loc

    def _prob(self, x: Any) -> Any:
        return tf.cast(tf.abs(x - self.loc) <= self._slack, self.dtype)

    def _cdf(self, x: Any) -> Any:
        return tf.cast(x >= self.loc - self._slack, self.dtype)

    def _entropy(self) -> Any:
        return tf.zeros(self.batch_shape_tensor(), self.dtype)

    _variance = _stddev = lambda self: tf.zeros_like(self.loc)

    def _mean(self) -> Any:
        return tf.identity(self.loc)

    _mode = _mean


served(Deterministic, "Deterministic")


class VectorDeterministic(Deterministic):
    """Always the vector `loc`."""

    _event_axes = 1

    def __init__(self, loc: Any, atol: Any = None, rtol: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "VectorDeterministic") -> None:  # fmt: skip
        super().__init__(loc, atol, rtol, validate_args, allow_nan_stats, name)

    def _event_shape(self) -> TensorShape:
        return self.loc.shape[-1:]

    def _event_shape_tensor(self) -> Any:
        return tf.shape(self.loc)[-1:]

    def _prob(self, x: Any) -> Any:
        return tf.cast(tf.reduce_all(tf.abs(x - self.loc) <= self._slack, axis=-1), self.dtype)

    def _cdf(self, x: Any) -> Any:
        raise NotImplementedError("cdf is not implemented: VectorDeterministic")


served(VectorDeterministic, "VectorDeterministic")
