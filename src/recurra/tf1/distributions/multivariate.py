"""Normal distributions of vectors, by what their covariance is made of."""

from __future__ import annotations

import math
from typing import Any

from recurra.tf1.distributions.base import FULLY_REPARAMETERIZED, Distribution, served
from recurra.tf1.distributions.divergence import RegisterKL
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


class _OfMatrix(Distribution):
    """loc + scale · noise; `_scale` is a lower triangle [..., k, k] or, where `_is_diag`, a diagonal [..., k]."""

    _is_diag = False

    def _begin(self, loc: Any, scale: Any, validate: bool, nan: bool, scope: str) -> None:
        self._scale = scale
        wanted = scale.dtype.base_dtype
        self._loc = None if loc is None else tf.convert_to_tensor(loc, dtype=wanted, name="loc")
        size = scale.shape[-1].value if scale.shape.ndims is not None else None
        if self._loc is not None and self._loc.shape.ndims and size is not None:
            own = self._loc.shape[-1].value
            if own is not None and own not in (1, size):
                raise ValueError(f"Dimensions of loc ({own}) and of scale ({size}) do not fit.")
        parents = [scale] if self._loc is None else [scale, self._loc]
        super().__init__(wanted, FULLY_REPARAMETERIZED, validate, nan, graph_parents=parents, name=scope)

    @property
    def loc(self) -> Any:
        """The mean (None where it was not given)."""
        return self._loc

    mu = loc

    @property
    def scale(self) -> Any:
        """The factor of the covariance as a linear operator."""
        if self._is_diag:
            return tf.linalg.LinearOperatorDiag(self._scale)
        return tf.linalg.LinearOperatorLowerTriangular(self._scale)

    def _parts(self) -> list[tuple[Any, int]]:
        parts = [(self._scale, 1 if self._is_diag else 2)]
        return parts if self._loc is None or self._loc.shape.ndims == 0 else [*parts, (self._loc, 1)]

    def _event_shape(self) -> TensorShape:
        return self._scale.shape[-1:]

    def _event_shape_tensor(self) -> Any:
        return tf.shape(self._scale)[-1:]

    # what the matrix does
    def _times(self, x: Any) -> Any:
        return self._scale * x if self._is_diag else tf.linalg.matvec(self._scale + _like(x, self._scale), x)

    def _solved(self, x: Any) -> Any:
        if self._is_diag:
            return x / self._scale
        return tf.linalg.triangular_solve(self._scale + _like(x, self._scale), x[..., None])[..., 0]

    def _log_det(self) -> Any:
        diagonal = self._scale if self._is_diag else tf.matrix_diag_part(self._scale)
        return tf.reduce_sum(tf.log(tf.abs(diagonal)), axis=-1)

    def _size(self) -> Any:
        return tf.cast(tf.shape(self._scale)[-1], self.dtype)

    # what the noise is
    def _noise(self, shape: Any, seed: int | None) -> Any:
        return tf.random_normal(shape, dtype=self.dtype, seed=seed)

    def _log_noise(self, z: Any) -> Any:
        return -0.5 * math.log(2.0 * math.pi) - 0.5 * tf.square(z)

    _noise_entropy = 0.5 * math.log(2.0 * math.pi * math.e)
    _noise_variance = 1.0

    # the distribution
    def _whole(self) -> Any:
        return tf.concat([self.batch_shape_tensor(), self.event_shape_tensor()], 0)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        made = self._times(self._noise(tf.concat([tf.reshape(n, [1]), self._whole()], 0), seed))
        return made if self._loc is None else made + self._loc

    def _log_prob(self, x: Any) -> Any:
        z = self._solved(x if self._loc is None else x - self._loc)
        return tf.reduce_sum(self._log_noise(z), axis=-1) - self._log_det()

    def _entropy(self) -> Any:
        return self._log_det() + self._noise_entropy * self._size() + tf.zeros(self.batch_shape_tensor(), self.dtype)

    def _mean(self) -> Any:
        zeros = tf.zeros(self._whole(), self.dtype)
        return zeros if self._loc is None else zeros + self._loc

    def _mode(self) -> Any:
        return self._mean()

    def _covariance(self) -> Any:
        if self._is_diag:
            return tf.matrix_diag(self._noise_variance * tf.square(self._scale))
        return self._noise_variance * tf.matmul(self._scale, self._scale, adjoint_b=True)

    def _variance(self) -> Any:
        if self._is_diag:
            return self._noise_variance * tf.square(self._scale)
        return self._noise_variance * tf.reduce_sum(tf.square(self._scale), axis=-1)

    def _stddev(self) -> Any:
        return math.sqrt(self._noise_variance) * tf.abs(self._scale) if self._is_diag else tf.sqrt(self._variance())


def _like(x: Any, matrix: Any) -> Any:
    """Zeros that spread a matrix over the rows of `x`, where `x` has more axes."""
    return 0.0 * x[..., None] if x.shape.ndims != 1 or matrix.shape.ndims != 2 else tf.zeros([], matrix.dtype)


def _diagonal(loc: Any, diag: Any, identity: Any) -> Any:
    """The diagonal that the arguments say."""
    if diag is not None:
        diag = tf.convert_to_tensor(diag, name="scale_diag")
        if identity is not None:
            diag = diag + tf.convert_to_tensor(identity, dtype=diag.dtype)[..., None]
        return diag
    if loc is None:
        raise ValueError("Cannot create a scale without `loc`, `scale_diag` or a size.")
    loc = tf.convert_to_tensor(loc, name="loc")
    ones = tf.ones_like(loc)
    return ones if identity is None else ones * tf.convert_to_tensor(identity, dtype=loc.dtype)[..., None]


class MultivariateNormalDiag(_OfMatrix):
    """Independent normal numbers: a diagonal scale."""

    _is_diag, _label = True, "MultivariateNormalDiag"
    _old_names = {"mu": "loc", "diag_stdev": "scale_diag"}

    def __init__(self, loc: Any = None, scale_diag: Any = None, scale_identity_multiplier: Any = None,
                 validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str | None = None) -> None:  # fmt: skip
        with tf.name_scope(name or self._label) as scope:
            self._begin(
                loc, _diagonal(loc, scale_diag, scale_identity_multiplier), validate_args, allow_nan_stats, scope
            )


served(MultivariateNormalDiag, "MultivariateNormalDiag")


class MultivariateNormalDiagWithSoftplusScale(MultivariateNormalDiag):
    """A diagonal scale through softplus."""

    def __init__(self, loc: Any, scale_diag: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 name: str = "MultivariateNormalDiagWithSoftplusScale") -> None:  # fmt: skip
        super().__init__(loc, tf.nn.softplus(scale_diag), None, validate_args, allow_nan_stats, name)


served(MultivariateNormalDiagWithSoftplusScale, "MultivariateNormalDiagWithSoftplusScale")


class MultivariateNormalTriL(_OfMatrix):
    """A lower triangle as scale."""

    _old_names = {"mu": "loc", "chol": "scale_tril"}

    def __init__(self, loc: Any = None, scale_tril: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "MultivariateNormalTriL") -> None:  # fmt: skip
        with tf.name_scope(name) as scope:
            if loc is None and scale_tril is None:
                raise ValueError("Must specify one or both of `loc`, `scale_tril`.")
            if scale_tril is None:
                loc = tf.convert_to_tensor(loc, name="loc")
                scale_tril = tf.matrix_diag(tf.ones_like(loc))
            lower = tf.matrix_band_part(tf.convert_to_tensor(scale_tril, name="scale_tril"), -1, 0)
            self._begin(loc, lower, validate_args, allow_nan_stats, scope)


served(MultivariateNormalTriL, "MultivariateNormalTriL")
served(MultivariateNormalTriL, "MultivariateNormalCholesky")  # 0.x's name


class MultivariateNormalFullCovariance(MultivariateNormalTriL):
    """The covariance itself."""

    _old_names = {"mu": "loc", "sigma": "covariance_matrix"}

    def __init__(self, loc: Any = None, covariance_matrix: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "MultivariateNormalFullCovariance") -> None:  # fmt: skip
        factor = None if covariance_matrix is None else tf.cholesky(tf.convert_to_tensor(covariance_matrix))
        super().__init__(loc, factor, validate_args, allow_nan_stats, name)


served(MultivariateNormalFullCovariance, "MultivariateNormalFullCovariance")
served(MultivariateNormalFullCovariance, "MultivariateNormalFull")  # 0.x's name


class MultivariateNormalDiagPlusLowRank(MultivariateNormalTriL):
    """scale = diag + u · diag(m) · uᵀ; the distribution of its covariance is kept, not the operator."""

    def __init__(self, loc: Any = None, scale_diag: Any = None, scale_identity_multiplier: Any = None,
                 scale_perturb_factor: Any = None, scale_perturb_diag: Any = None, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "MultivariateNormalDiagPlusLowRank") -> None:  # fmt: skip
        scale = tf.matrix_diag(_diagonal(loc, scale_diag, scale_identity_multiplier))
        if scale_perturb_factor is not None:
            factor = tf.convert_to_tensor(scale_perturb_factor)
            inner = factor if scale_perturb_diag is None else factor * tf.expand_dims(scale_perturb_diag, -2)
            scale = scale + tf.matmul(inner, factor, adjoint_b=True)
        covariance = tf.matmul(scale, scale, adjoint_b=True)
        super().__init__(loc, tf.cholesky(covariance), validate_args, allow_nan_stats, name)


served(MultivariateNormalDiagPlusLowRank, "MultivariateNormalDiagPlusLowRank")


class VectorLaplaceDiag(MultivariateNormalDiag):
    """Independent Laplace noise on a diagonal scale."""

    _label = "VectorLaplaceDiag"

    _noise_entropy = 1.0 + math.log(2.0)
    _noise_variance = 2.0

    def _noise(self, shape: Any, seed: int | None) -> Any:
        return tf.distributions.Laplace(tf.zeros([], self.dtype), tf.ones([], self.dtype)).sample(shape, seed)

    def _log_noise(self, z: Any) -> Any:
        return -tf.abs(z) - math.log(2.0)


served(VectorLaplaceDiag, "VectorLaplaceDiag")


class VectorExponentialDiag(MultivariateNormalDiag):
    """Independent exponential noise on a diagonal scale."""

    _label = "VectorExponentialDiag"

    _noise_entropy = 1.0

    def _noise(self, shape: Any, seed: int | None) -> Any:
        return tf.distributions.Exponential(tf.ones([], self.dtype)).sample(shape, seed)

    def _log_noise(self, z: Any) -> Any:
        return -z

    def _mean(self) -> Any:
        return super()._mean() + self._scale

    def _mode(self) -> Any:
        return super()._mean() + self._times(tf.zeros_like(self._scale))


served(VectorExponentialDiag, "VectorExponentialDiag")


@RegisterKL(_OfMatrix, _OfMatrix)
def _kl_normal(a: _OfMatrix, b: _OfMatrix, name: Any = None) -> Any:
    if type(a)._log_noise is not _OfMatrix._log_noise or type(b)._log_noise is not _OfMatrix._log_noise:
        raise NotImplementedError(f"No KL registered for {type(a).__name__} and {type(b).__name__}")
    with tf.name_scope(name, "kl_mvn"):
        both = [tf.matrix_diag(d._scale) if d._is_diag else d._scale for d in (a, b)]
        ratio = tf.linalg.triangular_solve(both[1] + tf.zeros_like(both[0]), both[0] + tf.zeros_like(both[1]))
        apart = b._solved(b.mean() - a.mean())
        squares = tf.reduce_sum(tf.square(ratio), axis=[-2, -1]) + tf.reduce_sum(tf.square(apart), axis=-1)
        return b._log_det() - a._log_det() + 0.5 * (-a._size() + squares)
