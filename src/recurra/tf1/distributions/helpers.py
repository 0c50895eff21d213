"""tf.contrib.distributions' functions: triangles from vectors, percentiles, moving statistics."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from recurra.tf1.distributions.base import served
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_HOME = "contrib.distributions"


@tf_export(f"{_HOME}.softplus_inverse")
def softplus_inverse(x: Any, name: str | None = None) -> Any:
    """y with softplus(y) = x."""
    with tf.name_scope(name, "softplus_inverse", values=[x]):
        x = tf.convert_to_tensor(x, name="x")
        threshold = np.log(np.finfo(x.dtype.as_numpy_dtype).eps) + 2.0
        small, large = x < np.exp(threshold), x > -threshold
        safe = tf.where(tf.logical_or(small, large), tf.ones_like(x), x)
        return tf.where(small, tf.log(x), tf.where(large, x, safe + tf.log(-tf.expm1(-safe))))


@tf_export(f"{_HOME}.fill_triangular")
def fill_triangular(x: Any, upper: bool = False, name: str | None = None) -> Any:
    """A triangle [..., n, n] from n(n + 1)/2 numbers, wound clockwise as TensorFlow does it."""
    with tf.name_scope(name, "fill_triangular", values=[x]):
        x = tf.convert_to_tensor(x, name="x")
        count = x.shape[-1].value
        size = (math.isqrt(8 * count + 1) - 1) // 2
        if size * (size + 1) // 2 != count:
            raise ValueError(f"Input right-most shape ({count}) does not correspond to a triangular matrix.")
        turned = tf.reverse(x, [-1])
        parts = [x, turned[..., : count - size]] if upper else [x[..., size:], turned]
        square = tf.reshape(tf.concat(parts, -1), tf.concat([tf.shape(x)[:-1], [size, size]], 0))
        made = tf.matrix_band_part(square, 0, -1) if upper else tf.matrix_band_part(square, -1, 0)
        made.set_shape(x.shape[:-1].concatenate([size, size]))
        return made


@tf_export(f"{_HOME}.fill_triangular_inverse")
def fill_triangular_inverse(x: Any, upper: bool = False, name: str | None = None) -> Any:
    """The numbers that `fill_triangular` made the triangle of."""
    with tf.name_scope(name, "fill_triangular_inverse", values=[x]):
        x = tf.convert_to_tensor(x, name="x")
        n = x.shape[-1].value
        flat = tf.reshape(x, tf.concat([tf.shape(x)[:-2], [n * n]], 0))
        return tf.gather(flat, _places(n, upper), axis=-1)


def _places(n: int, upper: bool) -> np.ndarray:
    """Where in a matrix each of the triangle's numbers lies."""
    numbers = np.arange(1, n * (n + 1) // 2 + 1)
    parts = [numbers, numbers[n:][::-1]] if upper else [numbers[n:], numbers[::-1]]
    square = np.concatenate(parts).reshape(n, n)
    kept = np.triu(square) if upper else np.tril(square)
    return np.argsort(kept, axis=None, kind="stable")[-len(numbers) :]


@tf_export(f"{_HOME}.matrix_diag_transform")
def matrix_diag_transform(matrix: Any, transform: Any = None, name: str | None = None) -> Any:
    """The matrix with its diagonal sent through a function."""
    with tf.name_scope(name, "matrix_diag_transform", [matrix]):
        matrix = tf.convert_to_tensor(matrix, name="matrix")
        return matrix if transform is None else tf.matrix_set_diag(matrix, transform(tf.matrix_diag_part(matrix)))


@tf_export(f"{_HOME}.tridiag")
def tridiag(below: Any = None, diag: Any = None, above: Any = None, name: str | None = None) -> Any:
    """A matrix from its three diagonals."""

    def placed(values: Any, before: list[int], after: list[int]) -> Any:
        made = tf.matrix_diag(tf.convert_to_tensor(values))
        outer = [[0, 0]] * (made.shape.ndims - 2)
        return tf.pad(made, [*outer, before, after])

    with tf.name_scope(name, "tridiag", [below, diag, above]):
        parts = []
        if below is not None:
            parts.append(placed(below, [1, 0], [0, 1]))
        if diag is not None:
            parts.append(tf.matrix_diag(tf.convert_to_tensor(diag)))
        if above is not None:
            parts.append(placed(above, [0, 1], [1, 0]))
        if not parts:
            raise ValueError("Must specify at least one of {below, diag, above}.")
        return tf.add_n(parts)


@tf_export(f"{_HOME}.reduce_weighted_logsumexp")
def reduce_weighted_logsumexp(
    logx: Any, w: Any = None, axis: Any = None, keep_dims: bool = False, return_sign: bool = False, name: Any = None
) -> Any:
    """log |Σ w exp(logx)|, and its sign where asked."""
    with tf.name_scope(name, "reduce_weighted_logsumexp", [logx, w]):
        logx = tf.convert_to_tensor(logx, name="logx")
        if w is None:
            value = tf.reduce_logsumexp(logx, axis=axis, keepdims=keep_dims)
            return (value, tf.ones_like(value)) if return_sign else value
        w = tf.convert_to_tensor(w, dtype=logx.dtype, name="w")
        inner = logx + tf.log(tf.abs(w))
        most = tf.reduce_max(inner, axis=axis, keepdims=True)
        most = tf.stop_gradient(tf.where(tf.is_inf(most), tf.zeros_like(most), most))
        total = tf.reduce_sum(tf.sign(w) * tf.exp(inner - most), axis=axis, keepdims=keep_dims)
        value = (most if keep_dims else tf.reshape(most, tf.shape(total))) + tf.log(tf.abs(total))
        return (value, tf.sign(total)) if return_sign else value


@tf_export(f"{_HOME}.percentile")
def percentile(
    x: Any, q: Any, axis: Any = None, interpolation: Any = None, keep_dims: bool = False, validate_args: bool = False,
    name: Any = None,
) -> Any:  # fmt: skip
    """The q-th percentile along axes; `interpolation` is "nearest", "lower" or "higher"."""
    how = interpolation or "nearest"
    if how not in ("nearest", "lower", "higher"):
        raise ValueError(
            f"Argument 'interpolation' must be in {{'lower', 'higher', 'nearest'}}. Found: {interpolation}"
        )
    with tf.name_scope(name, "percentile", [x, q]):
        x = tf.convert_to_tensor(x, name="x")
        share = tf.cast(q, tf.float64) / 100.0
        rank = x.shape.ndims
        axes = list(range(rank)) if axis is None else [a % rank for a in ([axis] if isinstance(axis, int) else axis)]
        kept = [a for a in range(rank) if a not in axes]
        moved = tf.transpose(x, [*kept, *axes])
        flat = tf.reshape(moved, tf.concat([tf.shape(moved)[: len(kept)], [-1]], 0))
        size = tf.shape(flat)[-1]
        place = (1.0 - share) * tf.cast(size - 1, tf.float64)
        index = {"lower": tf.ceil, "higher": tf.floor, "nearest": tf.round}[how](place)
        index = tf.clip_by_value(tf.cast(index, tf.int32), 0, size - 1)
        found = tf.nn.top_k(flat, k=size).values[..., index]
        if keep_dims:
            shape = [1 if a in axes else tf.shape(x)[a] for a in range(rank)]
            found = tf.reshape(found, shape)
        return found


@tf_export(f"{_HOME}.auto_correlation")
def auto_correlation(
    x: Any, axis: int = -1, max_lags: Any = None, center: bool = True, normalize: bool = True,
    name: str = "auto_correlation",
) -> Any:  # fmt: skip
    """Correlations of a series with itself at lags 0 … max_lags."""
    with tf.name_scope(name, values=[x]):
        x = tf.convert_to_tensor(x, name="x")
        rank = x.shape.ndims
        order = [a for a in range(rank) if a != axis % rank] + [axis % rank]
        moved = tf.transpose(x, order)
        size = moved.shape[-1].value
        lags = size - 1 if max_lags is None else min(int(max_lags), size - 1)
        if center:
            moved = moved - tf.reduce_mean(moved, axis=-1, keepdims=True)
        sums = [tf.reduce_sum(moved[..., : size - k] * moved[..., k:], -1) / float(size - k) for k in range(lags + 1)]
        made = tf.stack(sums, axis=-1)
        if normalize:
            made = made / made[..., :1]
        back = sorted(range(rank), key=lambda i: order[i])
        return tf.transpose(made, back)


@tf_export(f"{_HOME}.assign_moving_mean_variance")
def assign_moving_mean_variance(mean_var: Any, variance_var: Any, value: Any, decay: Any, name: Any = None) -> Any:
    """Exponentially weighted mean and variance, updated together (Finch, 2009): (mean, variance)."""
    with tf.name_scope(name, "assign_moving_mean_variance", [variance_var, mean_var, value, decay]):
        kind = variance_var.dtype.base_dtype
        value, decay = tf.convert_to_tensor(value, dtype=kind), tf.convert_to_tensor(decay, dtype=kind)
        old = tf.identity(mean_var)
        with tf.control_dependencies([old]):
            mean = tf.assign_add(mean_var, (1.0 - decay) * (value - old))
            with tf.control_dependencies([mean]):
                change = decay * tf.square(value - old) - variance_var
                return mean, tf.assign_add(variance_var, (1.0 - decay) * change)


@tf_export(f"{_HOME}.assign_log_moving_mean_exp")
def assign_log_moving_mean_exp(log_mean_exp_var: Any, log_value: Any, decay: Any, name: Any = None) -> Any:
    """log of the exponentially weighted mean of exp(values)."""
    with tf.name_scope(name, "assign_log_moving_mean_exp", [log_mean_exp_var, log_value, decay]):
        kind = log_mean_exp_var.dtype.base_dtype
        log_value, decay = tf.convert_to_tensor(log_value, dtype=kind), tf.convert_to_tensor(decay, dtype=kind)
        both = tf.stack([tf.log(decay) + log_mean_exp_var, tf.log1p(-decay) + log_value])
        return tf.assign(log_mean_exp_var, tf.reduce_logsumexp(both, axis=0))


@tf_export(f"{_HOME}.moving_mean_variance")
def moving_mean_variance(value: Any, decay: Any, collections: Any = None, name: Any = None) -> Any:
    """Variables of the moving mean and variance, and their update."""
    with tf.variable_scope(name, "moving_mean_variance", [value, decay]):
        value = tf.convert_to_tensor(value)
        made = [
            tf.get_variable(
                f"moving_{label}", shape=value.shape.as_list(), initializer=tf.zeros_initializer(),
                dtype=value.dtype.base_dtype, trainable=False, collections=collections,
            )
            for label in ("mean", "variance")
        ]  # fmt: skip
        return assign_moving_mean_variance(*made, value, decay)


def _posterior(prior: Any, scale: Any, s: Any, n: Any, extra: Any) -> Any:
    """A normal prior's mean after n observations that sum to s."""
    n = tf.cast(n, prior.dtype)
    known = tf.square(tf.convert_to_tensor(prior.scale))
    seen = tf.square(scale)
    variance = 1.0 / (1.0 / known + n / seen)
    normal = tf.distributions.Normal
    return normal(loc=(prior.loc / known + s / seen) * variance, scale=tf.sqrt(variance + extra))


@tf_export(f"{_HOME}.normal_conjugates_known_scale_posterior")
def normal_conjugates_known_scale_posterior(prior: Any, scale: Any, s: Any, n: Any) -> Any:
    return _posterior(prior, scale, s, n, 0.0)


@tf_export(f"{_HOME}.normal_conjugates_known_scale_predictive")
def normal_conjugates_known_scale_predictive(prior: Any, scale: Any, s: Any, n: Any) -> Any:
    return _posterior(prior, scale, s, n, tf.square(tf.convert_to_tensor(scale)))


class SeedStream:
    """Seeds, one after another, from a seed and a text."""

    def __init__(self, seed: Any, salt: str) -> None:
        self._seed = seed.original_seed if isinstance(seed, SeedStream) else seed
        self._salt, self._counter = salt, 0

    @property
    def original_seed(self) -> Any:
        return self._seed

    def __call__(self) -> Any:
        self._counter += 1
        if self._seed is None:
            return None
        text = f"{self._seed}{self._counter}{self._salt}"
        return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


served(SeedStream, "SeedStream")
