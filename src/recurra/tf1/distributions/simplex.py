"""Distributions of vectors that belong to K classes: counts, shares, one-hot vectors and their relaxations."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.distributions.base import (
    FULLY_REPARAMETERIZED,
    NOT_REPARAMETERIZED,
    Distribution,
    checked,
    new_seed,
    served,
)
from recurra.tf1.distributions.discrete import _kl_categorical, logits_and_probs
from recurra.tf1.distributions.divergence import RegisterKL
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


class _OfClasses(Distribution):
    """Events are vectors as long as the last axis of `_last`."""

    _last: Any

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self._last, 1)]

    def _event_shape(self) -> TensorShape:
        return self._last.shape.with_rank_at_least(1)[-1:]

    def _event_shape_tensor(self) -> Any:
        return tf.shape(self._last)[-1:]

    def _draws(self, n: Any, seed: int | None) -> Any:
        """Classes drawn by the logits, [n, rows of the batch]."""
        size = tf.shape(self.logits)[-1]
        return tf.transpose(tf.multinomial(tf.reshape(self.logits, [-1, size]), n, seed=seed))


class OneHotCategorical(_OfClasses):
    """One of K classes as a vector with a single one."""

    _old_names = {"p": "probs"}

    def __init__(self, logits: Any = None, probs: Any = None, dtype: Any = dtypes.int32, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "OneHotCategorical") -> None:  # fmt: skip
        with tf.name_scope(name, values=[logits, probs]) as scope:
            self.logits, self.probs = logits_and_probs(logits, probs, validate_args, many=True)
            self._last = self.logits
        super().__init__(
            dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, graph_parents=[self.logits], name=scope
        )

    @property
    def event_size(self) -> Any:
        return tf.shape(self.logits)[-1]

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        classes = self._draws(n, seed)
        rows = tf.one_hot(classes, self.event_size, dtype=self.dtype)
        return tf.reshape(rows, tf.concat([[n], tf.shape(self.logits)], 0))

    def _log_prob(self, x: Any) -> Any:
        x = tf.cast(x, self.logits.dtype)
        logits = self.logits + tf.zeros_like(x)
        return -tf.nn.softmax_cross_entropy_with_logits_v2(labels=x + tf.zeros_like(logits), logits=logits)

    def _entropy(self) -> Any:
        return -tf.reduce_sum(tf.nn.log_softmax(self.logits) * self.probs, axis=-1)

    def _mode(self) -> Any:
        return tf.one_hot(tf.argmax(self.logits, axis=-1), self.event_size, dtype=self.dtype)

    def _covariance(self) -> Any:
        probs = self.probs
        return tf.matrix_set_diag(-probs[..., None] * probs[..., None, :], probs * (1.0 - probs))

    def _variance(self) -> Any:
        return self.probs * (1.0 - self.probs)


served(OneHotCategorical, "OneHotCategorical")
RegisterKL(OneHotCategorical, OneHotCategorical)(_kl_categorical)


class Multinomial(_OfClasses):
    """How often each of K classes comes in `total_count` draws."""

    _old_names = {"n": "total_count", "p": "probs"}

    def __init__(self, total_count: Any, logits: Any = None, probs: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "Multinomial") -> None:  # fmt: skip
        with tf.name_scope(name, values=[total_count, logits, probs]) as scope:
            self.total_count = checked(
                tf.convert_to_tensor(total_count, name="total_count"), validate_args, tf.assert_non_negative
            )
            self.logits, self.probs = logits_and_probs(logits, probs, validate_args, many=True)
            self._last = self._mean_val = self.total_count[..., None] * self.probs
        super().__init__(
            self.probs.dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, graph_parents=[self.total_count],
            name=scope,
        )  # fmt: skip

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        size = tf.shape(self.logits)[-1]
        logits = tf.reshape(self.logits + tf.zeros_like(self._mean_val), [-1, size])
        counts = tf.reshape(
            tf.cast(self.total_count, dtypes.int32) + tf.zeros(self.batch_shape_tensor(), dtypes.int32), [-1]
        )

        def row(entry: Any) -> Any:
            drawn = tf.multinomial(entry[0][None], tf.reshape(n * entry[1], []), seed=seed)
            hot = tf.one_hot(tf.reshape(drawn, [n, entry[1]]), size, dtype=self.dtype)
            return tf.reduce_sum(hot, axis=1)

        drawn = tf.map_fn(row, [logits, counts], dtype=self.dtype)
        return tf.reshape(tf.transpose(drawn, [1, 0, 2]), tf.concat([[n], self.batch_shape_tensor(), [size]], 0))

    def _log_prob(self, counts: Any) -> Any:
        return tf.reduce_sum(counts * tf.nn.log_softmax(self.logits), -1) + _log_ways(self.total_count, counts)

    def _mean(self) -> Any:
        return tf.identity(self._mean_val)

    def _covariance(self) -> Any:
        p = self.probs * tf.ones_like(self.total_count)[..., None]
        return tf.matrix_set_diag(-tf.matmul(self._mean_val[..., None], p[..., None, :]), self._variance())

    def _variance(self) -> Any:
        p = self.probs * tf.ones_like(self.total_count)[..., None]
        return self._mean_val - self._mean_val * p


served(Multinomial, "Multinomial", core=True)


def _log_ways(n: Any, counts: Any) -> Any:
    """log n! / Π counts!"""
    return tf.lgamma(n + 1.0) - tf.reduce_sum(tf.lgamma(counts + 1.0), axis=-1)


class Dirichlet(_OfClasses):
    """Shares of K classes, Π share^(concentration − 1), normalised."""

    _old_names = {"alpha": "concentration"}

    def __init__(self, concentration: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "Dirichlet") -> None:  # fmt: skip
        with tf.name_scope(name, values=[concentration]) as scope:
            self.concentration = self._last = checked(
                tf.convert_to_tensor(concentration, name="concentration"), validate_args, tf.assert_positive
            )
            self.total_concentration = tf.reduce_sum(self.concentration, -1)
        super().__init__(
            self.concentration.dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats,
            graph_parents=[self.concentration], name=scope,
        )  # fmt: skip

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        drawn = tf.random_gamma(tf.reshape(n, [1]), self.concentration, dtype=self.dtype, seed=seed)
        return drawn / tf.reduce_sum(drawn, -1, keepdims=True)

    def _log_normalization(self) -> Any:
        return tf.lbeta(self.concentration)

    def _log_prob(self, x: Any) -> Any:
        return tf.reduce_sum(tf.math.xlogy(self.concentration - 1.0, x), -1) - self._log_normalization()

    def _entropy(self) -> Any:
        k = tf.cast(self.event_shape_tensor()[0], self.dtype)
        return (
            self._log_normalization() + (self.total_concentration - k) * tf.digamma(self.total_concentration)
            - tf.reduce_sum((self.concentration - 1.0) * tf.digamma(self.concentration), axis=-1)
        )  # fmt: skip

    def _mean(self) -> Any:
        return self.concentration / self.total_concentration[..., None]

    def _scale(self) -> Any:
        total = self.total_concentration[..., None]
        return self._mean() * tf.rsqrt(1.0 + total)

    def _covariance(self) -> Any:
        x, variance = self._scale(), self._variance()
        share = tf.rsqrt(1.0 + self.total_concentration[..., None]) * self._mean()
        return tf.matrix_set_diag(-tf.matmul(x[..., None], share[..., None, :]), variance)

    def _variance(self) -> Any:
        total = self.total_concentration[..., None]
        mean = self._mean()
        return mean * (1.0 - mean) / (1.0 + total)

    def _mode(self) -> Any:
        k = tf.cast(self.event_shape_tensor()[0], self.dtype)
        mode = (self.concentration - 1.0) / (self.total_concentration[..., None] - k)
        sound = tf.reduce_all(self.concentration > 1.0, axis=-1, keepdims=True)
        if self.allow_nan_stats:
            where = tf.logical_and(sound, self.concentration > 1.0)
            return tf.where(where, mode, tf.fill(tf.shape(mode), np.nan))
        with tf.control_dependencies([tf.Assert(tf.reduce_all(sound), ["Mode undefined when any concentration <= 1"])]):
            return tf.identity(mode)


served(Dirichlet, "Dirichlet", core=True)


@RegisterKL(Dirichlet, Dirichlet)
def _kl_dirichlet(a: Dirichlet, b: Dirichlet, name: Any = None) -> Any:
    with tf.name_scope(name, "kl_dirichlet_dirichlet"):
        digamma = tf.digamma(a.concentration) - tf.digamma(tf.reduce_sum(a.concentration, axis=-1, keepdims=True))
        apart = tf.reduce_sum((a.concentration - b.concentration) * digamma, axis=-1)
        return apart - tf.lbeta(a.concentration) + tf.lbeta(b.concentration)


class DirichletMultinomial(_OfClasses):
    """Counts of classes whose shares come from a Dirichlet."""

    _old_names = {"n": "total_count", "alpha": "concentration"}

    def __init__(self, total_count: Any, concentration: Any, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "DirichletMultinomial") -> None:  # fmt: skip
        with tf.name_scope(name, values=[total_count, concentration]) as scope:
            self.total_count = tf.convert_to_tensor(total_count, name="total_count")
            self.concentration = self._last = checked(
                tf.convert_to_tensor(concentration, name="concentration"), validate_args, tf.assert_positive
            )
            self.total_concentration = tf.reduce_sum(self.concentration, -1)
        super().__init__(
            self.concentration.dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats,
            graph_parents=[self.total_count, self.concentration], name=scope,
        )  # fmt: skip

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        shares = tf.random_gamma(
            tf.reshape(n, [1]), self.concentration, dtype=self.dtype, seed=new_seed(seed, "dirichlet_multinomial")
        )
        size = tf.shape(self.concentration)[-1]
        count = tf.cast(self.total_count, dtypes.int32)
        drawn = tf.multinomial(tf.log(tf.reshape(shares, [-1, size])), count, seed=seed)
        return tf.reshape(tf.reduce_sum(tf.one_hot(drawn, size, dtype=self.dtype), -2), tf.shape(shares))

    def _log_prob(self, counts: Any) -> Any:
        apart = tf.lbeta(self.concentration + counts) - tf.lbeta(self.concentration)
        return apart + _log_ways(self.total_count, counts)

    def _mean(self) -> Any:
        return self.total_count * (self.concentration / self.total_concentration[..., None])

    def _variance(self) -> Any:
        total, mean = self.total_concentration[..., None], self._mean()
        scale = tf.sqrt((1.0 + total / self.total_count[..., None]) / (1.0 + total))
        x = scale * mean
        return x * (self.total_count[..., None] * scale - x)

    def _covariance(self) -> Any:
        total = self.total_concentration[..., None]
        x = tf.sqrt((1.0 + total / self.total_count[..., None]) / (1.0 + total)) * self._mean()
        return tf.matrix_set_diag(-tf.matmul(x[..., None], x[..., None, :]), self._variance())


served(DirichletMultinomial, "DirichletMultinomial", core=True)


# -- relaxations -------------------------------------------------------------------------------------------------------
class ExpRelaxedOneHotCategorical(_OfClasses):
    """The logarithm of a relaxed one-hot vector (Maddison et al., 2017)."""

    def __init__(self, temperature: Any, logits: Any = None, probs: Any = None, dtype: Any = None,
                 validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "ExpRelaxedOneHotCategorical") -> None:  # fmt: skip
        with tf.name_scope(name, values=[logits, probs, temperature]) as scope:
            self.logits, self.probs = logits_and_probs(logits, probs, validate_args, many=True)
            self._last = self.logits
            self.temperature = checked(
                tf.convert_to_tensor(temperature, dtype=self.logits.dtype, name="temperature"), validate_args,
                tf.assert_positive,
            )  # fmt: skip
        super().__init__(
            dtype or self.logits.dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats,
            graph_parents=[self.logits, self.temperature], name=scope,
        )  # fmt: skip

    @property
    def event_size(self) -> Any:
        return tf.shape(self.logits)[-1]

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        shape = tf.concat([[n], tf.shape(self.logits)], 0)
        logits = self.logits * tf.ones(shape, dtype=self.dtype)
        tiny = np.finfo(self.dtype.as_numpy_dtype).tiny
        drawn = tf.random_uniform(tf.shape(logits), minval=tiny, maxval=1, dtype=self.dtype, seed=seed)
        return tf.nn.log_softmax((-tf.log(-tf.log(drawn)) + logits) / self.temperature)

    def _log_prob(self, x: Any) -> Any:
        logits = self.logits + tf.zeros_like(x)
        k = tf.cast(self.event_size, x.dtype)
        normal = tf.lgamma(k) + (k - 1.0) * tf.log(self.temperature)
        inner = tf.reduce_sum(tf.nn.log_softmax(logits - x * self.temperature), axis=-1)
        return inner + normal


served(ExpRelaxedOneHotCategorical, "ExpRelaxedOneHotCategorical")


class RelaxedOneHotCategorical(ExpRelaxedOneHotCategorical):
    """A one-hot vector made soft: a softmax of noisy logits (Jang et al., Maddison et al., 2017)."""

    def __init__(self, temperature: Any, logits: Any = None, probs: Any = None, dtype: Any = None,
                 validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "RelaxedOneHotCategorical") -> None:  # fmt: skip
        super().__init__(temperature, logits, probs, dtype, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return tf.exp(super()._sample_n(n, seed))

    def _log_prob(self, x: Any) -> Any:
        logged = tf.log(x)
        return super()._log_prob(logged) - tf.reduce_sum(logged, axis=-1)


served(RelaxedOneHotCategorical, "RelaxedOneHotCategorical")


class RelaxedBernoulli(Distribution):
    """A bit made soft: a sigmoid of noisy logits."""

    def __init__(self, temperature: Any, logits: Any = None, probs: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "RelaxedBernoulli") -> None:  # fmt: skip
        with tf.name_scope(name, values=[logits, probs, temperature]) as scope:
            self.logits, self.probs = logits_and_probs(logits, probs, validate_args)
            self.temperature = checked(
                tf.convert_to_tensor(temperature, dtype=self.logits.dtype, name="temperature"), validate_args,
                tf.assert_positive,
            )  # fmt: skip
        super().__init__(
            self.logits.dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, graph_parents=[self.logits],
            name=scope,
        )  # fmt: skip

    def _parts(self) -> list[tuple[Any, int]]:
        return [(self.logits, 0), (self.temperature, 0)]

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        shape = tf.concat([tf.reshape(n, [1]), self.batch_shape_tensor()], 0)
        tiny = np.finfo(self.dtype.as_numpy_dtype).tiny
        drawn = tf.random_uniform(shape, minval=tiny, maxval=1.0, dtype=self.dtype, seed=seed)
        logistic = tf.log(drawn) - tf.log1p(-drawn)
        return tf.sigmoid(self.logits / self.temperature + logistic / self.temperature)

    def _log_prob(self, x: Any) -> Any:
        logit = tf.log(x) - tf.log1p(-x)
        z = (logit - self.logits / self.temperature) * self.temperature
        return -z - 2.0 * tf.nn.softplus(-z) + tf.log(self.temperature) - tf.log(x) - tf.log1p(-x)


served(RelaxedBernoulli, "RelaxedBernoulli")
