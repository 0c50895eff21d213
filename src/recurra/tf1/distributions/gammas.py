"""Distributions made of gammas: Gamma, InverseGamma, Beta, StudentT, Chi2; and classes that turn their parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recurra.tf1.distributions.base import NOT_REPARAMETERIZED, new_seed, served
from recurra.tf1.distributions.continuous import LOC_SCALE, Exponential, Laplace, Normal, Scalar, named
from recurra.tf1.distributions.divergence import RegisterKL
from recurra.tf1.namespace import space

tf = space("")


@named("Gamma", ("concentration", "rate"), ("concentration", "rate"), {"alpha": "concentration", "beta": "rate"},
        core=True)  # fmt: skip
class Gamma(Scalar):
    """x^(concentration − 1) exp(−rate · x), normalised."""

    def __init__(self, concentration: Any, rate: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Gamma") -> None:  # fmt: skip
        self._start((concentration, rate), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return tf.random_gamma(tf.reshape(n, [1]), self.concentration, beta=self.rate, dtype=self.dtype, seed=seed)

    def _log_normalization(self) -> Any:
        return tf.lgamma(self.concentration) - self.concentration * tf.log(self.rate)

    def _log_prob(self, x: Any) -> Any:
        return tf.math.xlogy(self.concentration - 1.0, x) - self.rate * x - self._log_normalization()

    def _cdf(self, x: Any) -> Any:
        return tf.igamma(self.concentration, self.rate * x)

    def _entropy(self) -> Any:
        a = self.concentration
        return a - tf.log(self.rate) + tf.lgamma(a) + (1.0 - a) * tf.digamma(a)

    def _mean(self) -> Any:
        return self.concentration / self.rate

    def _variance(self) -> Any:
        return self.concentration / tf.square(self.rate)

    def _mode(self) -> Any:
        return self._defined((self.concentration - 1.0) / self.rate, self.concentration > 1.0,
                             "mode not defined when any concentration <= 1")  # fmt: skip


@RegisterKL(Gamma, Gamma)
def _kl_gamma(a: Gamma, b: Gamma, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_gamma_gamma"):
        return (
            (a.concentration - b.concentration) * tf.digamma(a.concentration)
            + tf.lgamma(b.concentration) - tf.lgamma(a.concentration)
            + b.concentration * tf.log(a.rate) - b.concentration * tf.log(b.rate)
            + a.concentration * (b.rate / a.rate - 1.0)
        )  # fmt: skip


@named("InverseGamma", ("concentration", "rate"), ("concentration", "rate"))
class InverseGamma(Scalar):
    """1 / x of a Gamma."""

    _type = NOT_REPARAMETERIZED  # TensorFlow's

    def __init__(self, concentration: Any, rate: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "InverseGamma") -> None:  # fmt: skip
        self._start((concentration, rate), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        drawn = tf.random_gamma(tf.reshape(n, [1]), self.concentration, beta=self.rate, dtype=self.dtype, seed=seed)
        return 1.0 / drawn

    def _log_prob(self, x: Any) -> Any:
        normal = tf.lgamma(self.concentration) - self.concentration * tf.log(self.rate)
        return -(1.0 + self.concentration) * tf.log(x) - self.rate / x - normal

    def _cdf(self, x: Any) -> Any:
        return tf.igammac(self.concentration, self.rate / x)

    def _entropy(self) -> Any:
        a = self.concentration
        return a + tf.log(self.rate) + tf.lgamma(a) - (1.0 + a) * tf.digamma(a)

    def _mean(self) -> Any:
        return self._defined(self.rate / (self.concentration - 1.0), self.concentration > 1.0,
                             "mean undefined when any concentration <= 1")  # fmt: skip

    def _variance(self) -> Any:
        value = tf.square(self.rate) / (tf.square(self.concentration - 1.0) * (self.concentration - 2.0))
        return self._defined(value, self.concentration > 2.0, "variance undefined when any concentration <= 2")

    def _mode(self) -> Any:
        return self.rate / (1.0 + self.concentration)


@named("Beta", ("concentration1", "concentration0"), ("concentration1", "concentration0"),
        {"a": "concentration1", "b": "concentration0"}, core=True)  # fmt: skip
class Beta(Scalar):
    """x^(concentration1 − 1) (1 − x)^(concentration0 − 1), normalised."""

    def __init__(self, concentration1: Any = None, concentration0: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Beta") -> None:  # fmt: skip
        self._start((concentration1, concentration0), validate_args, allow_nan_stats, name)

    @property
    def total_concentration(self) -> Any:
        return self.concentration1 + self.concentration0

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        count = tf.reshape(n, [1])
        wide = [self._wide(c) for c in self._all]
        first = tf.random_gamma(count, wide[0], dtype=self.dtype, seed=seed)
        second = tf.random_gamma(count, wide[1], dtype=self.dtype, seed=new_seed(seed, "beta"))
        return first / (first + second)

    def _log_normalization(self) -> Any:
        return tf.lgamma(self.concentration1) + tf.lgamma(self.concentration0) - tf.lgamma(self.total_concentration)

    def _log_prob(self, x: Any) -> Any:
        shape = tf.math.xlogy(self.concentration1 - 1.0, x) + (self.concentration0 - 1.0) * tf.log1p(-x)
        return shape - self._log_normalization()

    def _cdf(self, x: Any) -> Any:
        return tf.betainc(self._wide(self.concentration1) + 0 * x, self._wide(self.concentration0) + 0 * x,
                          x + 0 * self._wide(1.0))  # fmt: skip

    def _entropy(self) -> Any:
        a, b, total = self.concentration1, self.concentration0, self.total_concentration
        return (
            self._log_normalization() - (a - 1.0) * tf.digamma(a) - (b - 1.0) * tf.digamma(b)
            + (total - 2.0) * tf.digamma(total)
        )  # fmt: skip

    def _mean(self) -> Any:
        return self.concentration1 / self.total_concentration

    def _variance(self) -> Any:
        return self._mean() * (1.0 - self._mean()) / (1.0 + self.total_concentration)

    def _mode(self) -> Any:
        where = tf.logical_and(self._wide(self.concentration1) > 1.0, self._wide(self.concentration0) > 1.0)
        return self._defined(
            (self.concentration1 - 1.0) / (self.total_concentration - 2.0),
            where,
            "Mode undefined for concentration <= 1.",
        )


@RegisterKL(Beta, Beta)
def _kl_beta(a: Beta, b: Beta, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_beta_beta"):
        return (
            b._log_normalization() - a._log_normalization()
            - tf.digamma(a.concentration1) * (b.concentration1 - a.concentration1)
            - tf.digamma(a.concentration0) * (b.concentration0 - a.concentration0)
            + tf.digamma(a.total_concentration) * (b.total_concentration - a.total_concentration)
        )  # fmt: skip


@named("StudentT", ("df", "loc", "scale"), ("df",), LOC_SCALE, core=True)
class StudentT(Scalar):
    """Student's t with `df` degrees of freedom, moved by `loc` and stretched by `scale`."""

    def __init__(self, df: Any, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "StudentT") -> None:  # fmt: skip
        self._start((df, loc, scale), validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        normal = tf.random_normal(self._shape_of(n), dtype=self.dtype, seed=seed)
        gamma = tf.random_gamma(
            tf.reshape(n, [1]), 0.5 * self._wide(self.df), beta=0.5, dtype=self.dtype, seed=new_seed(seed, "student_t")
        )
        return normal * tf.rsqrt(gamma / self._wide(self.df)) * self.scale + self.loc

    def _log_normalization(self) -> Any:
        return (
            tf.log(tf.abs(self.scale)) + 0.5 * tf.log(self.df) + 0.5 * math.log(math.pi)
            + tf.lgamma(0.5 * self.df) - tf.lgamma(0.5 * (self.df + 1.0))
        )  # fmt: skip

    def _log_prob(self, x: Any) -> Any:
        y = (x - self.loc) / self.scale
        return -0.5 * (self.df + 1.0) * tf.log1p(y**2.0 / self.df) - self._log_normalization()

    def _cdf(self, x: Any) -> Any:
        y = (x - self.loc) / tf.abs(self.scale)
        ratio = self.df / (y**2.0 + self.df)
        tail = 0.5 * tf.betainc(0.5 * self.df + 0 * ratio, 0.5 + 0 * ratio, ratio)
        return tf.where(y < 0.0, tail, 1.0 - tail)

    def _entropy(self) -> Any:
        half, more = 0.5 * self.df, 0.5 * (self.df + 1.0)
        log_beta = tf.lgamma(half) + math.lgamma(0.5) - tf.lgamma(half + 0.5)
        return self._wide(
            tf.log(tf.abs(self.scale)) + 0.5 * tf.log(self.df) + log_beta + more * (tf.digamma(more) - tf.digamma(half))
        )

    def _mean(self) -> Any:
        return self._defined(self.loc, self._wide(self.df) > 1.0, "mean not defined for components of df <= 1")

    def _variance(self) -> Any:
        df = self._wide(self.df)
        below = tf.where(df > 2.0, df - 2.0, tf.ones_like(df))
        value = tf.where(df > 2.0, tf.square(self._wide(self.scale)) * df / below, tf.fill(tf.shape(df), np.inf))
        return self._defined(value, df > 1.0, "variance not defined for components of df <= 1")

    def _mode(self) -> Any:
        return self._wide(self.loc)


# -- parameters through softplus ---------------------------------------------------------------------------------------
def _through(name: str, base: Any, **turns: str) -> None:
    """A class whose parameters go through a function first."""

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        given = {**dict(zip((*base._names, "validate_args", "allow_nan_stats", "name"), args, strict=False)), **kwargs}
        functions = {"softplus": lambda v: tf.nn.softplus(v), "abs": lambda v: tf.floor(tf.abs(v))}
        given.update({k: functions[how](tf.convert_to_tensor(given[k])) for k, how in turns.items()})
        base.__init__(self, **{"name": name, **given})

    served(type(name, (base,), {"__init__": start, "__doc__": f"{base.__name__} of turned parameters."}), name)


_through("NormalWithSoftplusScale", Normal, scale="softplus")
_through("LaplaceWithSoftplusScale", Laplace, scale="softplus")
_through("ExponentialWithSoftplusRate", Exponential, rate="softplus")
_through("GammaWithSoftplusConcentrationRate", Gamma, concentration="softplus", rate="softplus")
_through("InverseGammaWithSoftplusConcentrationRate", InverseGamma, concentration="softplus", rate="softplus")
_through("BetaWithSoftplusConcentration", Beta, concentration1="softplus", concentration0="softplus")
_through("StudentTWithAbsDfSoftplusScale", StudentT, df="abs", scale="softplus")


class Chi2(Gamma):
    """Gamma(df / 2, 1 / 2)."""

    def __init__(self, df: Any, validate_args: bool = False, allow_nan_stats: bool = True, name: str = "Chi2") -> None:
        self.df = tf.convert_to_tensor(df)
        super().__init__(0.5 * self.df, tf.constant(0.5, self.df.dtype), validate_args, allow_nan_stats, name)


served(Chi2, "Chi2")


class Chi2WithAbsDf(Chi2):
    """Chi2 of floor |df|."""

    def __init__(self, df: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Chi2WithAbsDf") -> None:  # fmt: skip
        super().__init__(tf.floor(tf.abs(tf.convert_to_tensor(df))), validate_args, allow_nan_stats, name)


served(Chi2WithAbsDf, "Chi2WithAbsDf")
