"""Continuous distributions of single numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from recurra.tf1.build import apply_op
from recurra.tf1.distributions.base import (
    FULLY_REPARAMETERIZED,
    Distribution,
    checked,
    served,
    tensor,
)
from recurra.tf1.distributions.divergence import RegisterKL
from recurra.tf1.namespace import space
from recurra.tf1.ops.helpers import FLOATS, unary

tf = space("")
unary("Ndtri", torch.special.ndtri, "python.ops.distributions.special_math.ndtri", allow=FLOATS)


def _positive(value: Any) -> Any:
    return tf.assert_positive(value)


class Scalar(Distribution):
    """Parameters that broadcast against each other; `_names` are those of the constructor."""

    _names: tuple[str, ...] = ()
    _above_zero: tuple[str, ...] = ()
    _type = FULLY_REPARAMETERIZED

    def _start(self, given: tuple[Any, ...], validate: bool, nan: bool, name: str) -> None:
        with tf.name_scope(name, values=list(given)) as scope:
            made = []
            for label, value in zip(self._names, given, strict=True):
                checks = [_positive] if label in self._above_zero else []
                made.append(checked(tensor(value, label), validate, *checks))
            self._all = made
            dtype = made[0].dtype.base_dtype
            for part in made[1:]:
                if part.dtype.base_dtype != dtype:
                    raise ValueError(f"Tensor {part.name} must have dtype {dtype.name}: {part.dtype.name}")
        super().__init__(dtype, self._type, validate, nan, graph_parents=made, name=scope)

    def __getattr__(self, name: str) -> Any:
        if name in type(self)._names:
            return self._all[type(self)._names.index(name)]
        raise AttributeError(name)

    def _parts(self) -> list[tuple[Any, int]]:
        return [(part, 0) for part in self._all]

    def _wide(self, value: Any) -> Any:
        """`value` over the whole batch."""
        return value * tf.ones(self.batch_shape_tensor(), self.dtype)

    def _shape_of(self, n: Any) -> Any:
        return tf.concat([tf.reshape(n, [1]), self.batch_shape_tensor()], 0)

    def _defined(self, value: Any, where: Any, message: str) -> Any:
        """`value` where it is defined; elsewhere NaN, or an error where NaN is not allowed."""
        if self.allow_nan_stats:
            whole = self._wide(value)
            return tf.where(tf.logical_and(where, self._wide(1.0) > 0), whole, tf.fill(tf.shape(whole), np.nan))
        with tf.control_dependencies([tf.Assert(tf.reduce_all(where), [message])]):
            return self._wide(value)


def named(name: str, names: tuple[str, ...], above: tuple[str, ...] = (), old: Any = None, core: bool = False) -> Any:
    """The class decorator: names of the parameters, which are above zero, how 0.x called them."""

    def finish(cls: Any) -> Any:
        cls._names, cls._of_scalars, cls._above_zero, cls._old_names = names, names, above, old or {}
        return served(cls, name, core)

    return finish


LOC_SCALE = {"mu": "loc", "sigma": "scale"}


@named("Normal", ("loc", "scale"), ("scale",), LOC_SCALE, core=True)
class Normal(Scalar):
    """The normal distribution with mean `loc` and standard deviation `scale`."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Normal") -> None:  # fmt: skip
        self._start((loc, scale), validate_args, allow_nan_stats, name)

    @property
    def mu(self) -> Any:
        return self.loc

    @property
    def sigma(self) -> Any:
        return self.scale

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        drawn = tf.random_normal(self._shape_of(n), mean=0.0, stddev=1.0, dtype=self.dtype, seed=seed)
        return drawn * self.scale + self.loc

    def _z(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def _log_prob(self, x: Any) -> Any:
        return -0.5 * tf.square(self._z(x)) - (0.5 * math.log(2.0 * math.pi) + tf.log(self.scale))

    def _cdf(self, x: Any) -> Any:
        return _ndtr(self._z(x))

    def _log_cdf(self, x: Any) -> Any:
        return _log_ndtr(self._z(x))

    def _survival_function(self, x: Any) -> Any:
        return _ndtr(-self._z(x))

    def _log_survival_function(self, x: Any) -> Any:
        return _log_ndtr(-self._z(x))

    def _quantile(self, p: Any) -> Any:
        return apply_op("Ndtri", p) * self.scale + self.loc

    def _entropy(self) -> Any:
        return self._wide(0.5 * math.log(2.0 * math.pi * math.e) + tf.log(self.scale))

    def _mean(self) -> Any:
        return self._wide(self.loc)

    _mode = _mean

    def _stddev(self) -> Any:
        return self._wide(self.scale)


def _ndtr(x: Any) -> Any:
    """The normal distribution function, precise on both sides."""
    half = 0.5 * math.sqrt(2.0)
    w = x * half
    z = tf.abs(w)
    y = tf.where(z < half, 1.0 + tf.erf(w), tf.where(w > 0.0, 2.0 - tf.erfc(z), tf.erfc(z)))
    return 0.5 * y


def _log_ndtr(x: Any) -> Any:
    """log Φ(x): the function itself, its tail's series left of −10, −Φ(−x) right of 5."""
    lower, upper = -10.0, 5.0
    middle = tf.log(_ndtr(tf.maximum(x, lower)))
    far = tf.minimum(x, lower)
    squared = tf.square(far)
    series = 1.0 - 1.0 / squared + 3.0 / tf.square(squared) - 15.0 / (squared * tf.square(squared))
    tail = -0.5 * squared - tf.log(-far) - 0.5 * math.log(2.0 * math.pi) + tf.log(series)
    return tf.where(x > upper, -_ndtr(-x), tf.where(x > lower, middle, tail))


@RegisterKL(Normal, Normal)
def _kl_normal(a: Normal, b: Normal, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_normal_normal"):
        a2, b2 = tf.square(a.scale), tf.square(b.scale)
        ratio = a2 / b2
        return tf.square(a.loc - b.loc) / (2.0 * b2) + 0.5 * (ratio - 1.0 - tf.log(ratio))


@named("Uniform", ("low", "high"), (), {"a": "low", "b": "high"}, core=True)
class Uniform(Scalar):
    """Every number of [low, high) alike."""

    def __init__(self, low: Any = 0.0, high: Any = 1.0, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Uniform") -> None:  # fmt: skip
        self._start((low, high), validate_args, allow_nan_stats, name)
        if validate_args:
            below = tf.assert_less(self.low, self.high, message="uniform not defined when low >= high.")
            with tf.control_dependencies([below]):
                self._all = [tf.identity(part) for part in self._all]

    def range(self, name: str = "range") -> Any:
        """high − low."""
        with self._scope(name):
            return self.high - self.low

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        drawn = tf.random_uniform(self._shape_of(n), dtype=self.dtype, seed=seed)
        return self.low + self.range() * drawn

    def _prob(self, x: Any) -> Any:
        within = tf.logical_and(x >= self.low, x < self.high)
        density = tf.cast(within, self.dtype) / self.range()
        return tf.where(tf.is_nan(x + 0 * density), x + 0 * density, density)

    def _cdf(self, x: Any) -> Any:
        between = (x - self.low) / self.range()
        return tf.clip_by_value(between, 0.0, 1.0)

    def _quantile(self, p: Any) -> Any:
        return self.low + self.range() * p

    def _entropy(self) -> Any:
        return tf.log(self.range())

    def _mean(self) -> Any:
        return (self.low + self.high) / 2.0

    def _variance(self) -> Any:
        return tf.square(self.range()) / 12.0

    def _stddev(self) -> Any:
        return self.range() / math.sqrt(12.0)


@named("Laplace", ("loc", "scale"), ("scale",), core=True)
class Laplace(Scalar):
    """exp(−|x − loc| / scale) / (2 scale)."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Laplace") -> None:  # fmt: skip
        self._start((loc, scale), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        least = np.nextafter(self.dtype.as_numpy_dtype(-1.0), self.dtype.as_numpy_dtype(0.0))
        drawn = tf.random_uniform(self._shape_of(n), minval=least, maxval=1.0, dtype=self.dtype, seed=seed)
        return self.loc - self.scale * tf.sign(drawn) * tf.log1p(-tf.abs(drawn))

    def _z(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def _log_prob(self, x: Any) -> Any:
        return -tf.abs(self._z(x)) - math.log(2.0) - tf.log(self.scale)

    def _cdf(self, x: Any) -> Any:
        z = self._z(x)
        return 0.5 + 0.5 * tf.sign(z) * (1.0 - tf.exp(-tf.abs(z)))

    def _entropy(self) -> Any:
        return self._wide(math.log(2.0) + 1.0 + tf.log(self.scale))

    def _mean(self) -> Any:
        return self._wide(self.loc)

    _mode = _mean

    def _stddev(self) -> Any:
        return math.sqrt(2.0) * self._wide(self.scale)


@named("Exponential", ("rate",), ("rate",), {"lam": "rate"}, core=True)
class Exponential(Scalar):
    """rate · exp(−rate · x)."""

    def __init__(self, rate: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Exponential") -> None:  # fmt: skip
        self._start((rate,), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        tiny = np.finfo(self.dtype.as_numpy_dtype).tiny
        drawn = tf.random_uniform(self._shape_of(n), minval=tiny, maxval=1.0, seed=seed, dtype=self.dtype)
        return -tf.log(drawn) / self.rate

    def _log_prob(self, x: Any) -> Any:
        return tf.log(self.rate) - self.rate * x

    def _cdf(self, x: Any) -> Any:
        return -tf.expm1(-self.rate * x)

    def _entropy(self) -> Any:
        return 1.0 - tf.log(self.rate)

    def _mean(self) -> Any:
        return 1.0 / self.rate

    def _stddev(self) -> Any:
        return 1.0 / self.rate

    def _mode(self) -> Any:
        return self._defined(self.rate, self.rate < 0.0, "mode not defined: a Gamma of concentration 1")


@RegisterKL(Exponential, Exponential)
def _kl_exponential(a: Exponential, b: Exponential, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_exponential_exponential"):
        return tf.log(a.rate) - tf.log(b.rate) + b.rate / a.rate - 1.0


@named("Cauchy", ("loc", "scale"), ("scale",))
class Cauchy(Scalar):
    """1 / (π scale (1 + z²))."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Cauchy") -> None:  # fmt: skip
        self._start((loc, scale), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        drawn = tf.random_uniform(self._shape_of(n), minval=0.0, maxval=1.0, dtype=self.dtype, seed=seed)
        return self._quantile(drawn)

    def _log_prob(self, x: Any) -> Any:
        return -tf.log1p(tf.square((x - self.loc) / self.scale)) - (math.log(math.pi) + tf.log(self.scale))

    def _cdf(self, x: Any) -> Any:
        return tf.atan((x - self.loc) / self.scale) / math.pi + 0.5

    def _quantile(self, p: Any) -> Any:
        return self.loc + self.scale * tf.tan(math.pi * (p - 0.5))

    def _entropy(self) -> Any:
        return self._wide(math.log(4 * math.pi) + tf.log(self.scale))

    def _mode(self) -> Any:
        return self._wide(self.loc)

    def _mean(self) -> Any:
        return self._defined(self.loc, self._wide(0.0) > 0, "`mean` is undefined for Cauchy distribution.")

    _stddev = _mean


@named("Logistic", ("loc", "scale"), ("scale",))
class Logistic(Scalar):
    """The distribution whose cdf is a sigmoid."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Logistic") -> None:  # fmt: skip
        self._start((loc, scale), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        tiny = np.finfo(self.dtype.as_numpy_dtype).tiny
        drawn = tf.random_uniform(self._shape_of(n), minval=tiny, maxval=1.0, dtype=self.dtype, seed=seed)
        return self.loc + self.scale * (tf.log(drawn) - tf.log1p(-drawn))

    def _z(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def _log_prob(self, x: Any) -> Any:
        z = self._z(x)
        return -z - 2.0 * tf.nn.softplus(-z) - tf.log(self.scale)

    def _cdf(self, x: Any) -> Any:
        return tf.sigmoid(self._z(x))

    def _log_cdf(self, x: Any) -> Any:
        return -tf.nn.softplus(-self._z(x))

    def _entropy(self) -> Any:
        return self._wide(2.0 + tf.log(self.scale))

    def _mean(self) -> Any:
        return self._wide(self.loc)

    _mode = _mean

    def _stddev(self) -> Any:
        return self._wide(self.scale * math.pi / math.sqrt(3))


@named("HalfNormal", ("scale",), ("scale",))
class HalfNormal(Scalar):
    """|x| of a normal distribution around zero."""

    def __init__(self, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "HalfNormal") -> None:  # fmt: skip
        self._start((scale,), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return tf.abs(tf.random_normal(self._shape_of(n), dtype=self.dtype, seed=seed) * self.scale)

    def _prob(self, x: Any) -> Any:
        density = math.sqrt(2 / math.pi) / self.scale * tf.exp(-0.5 * tf.square(x / self.scale))
        return density * tf.cast(x >= 0, self.dtype)

    def _cdf(self, x: Any) -> Any:
        return tf.erf(tf.nn.relu(x) / self.scale / math.sqrt(2.0))

    def _entropy(self) -> Any:
        return 0.5 * tf.log(math.pi * self.scale**2.0 / 2.0) + 0.5

    def _mean(self) -> Any:
        return self.scale * math.sqrt(2.0) / math.sqrt(math.pi)

    def _mode(self) -> Any:
        return tf.zeros_like(self.scale)

    def _quantile(self, p: Any) -> Any:
        return self.scale * apply_op("Ndtri", 0.5 * (1.0 + p))

    def _variance(self) -> Any:
        return self.scale**2.0 * (1.0 - 2.0 / math.pi)
