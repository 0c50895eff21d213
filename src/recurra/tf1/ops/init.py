"""Initializers: tf.*_initializer, tf.initializers, tf.keras.initializers, tf.contrib.layers' own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, constant
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import random
from recurra.tf1.shapes import TensorShape

__all__ = ["Initializer", "get", "glorot_uniform_initializer"]

_TRUNCATED_STDDEV = 0.87962566103423978  # of a standard normal cut at two standard deviations


def _as_floating(dtype: Any) -> Any:
    dtype = dtypes.as_dtype(dtype)
    if not dtype.is_floating:
        raise ValueError(f"Expected floating point type, got {dtype}.")
    return dtype


def _known(shape: Any) -> list[int]:
    return [int(d) for d in (shape.as_list() if isinstance(shape, TensorShape) else shape)]


class Initializer:
    """`initializer(shape, dtype=None, partition_info=None)` gives the initial value of a variable."""

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


class Zeros(Initializer):
    def __init__(self, dtype: Any = dtypes.float32) -> None:
        self.dtype = dtypes.as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        return _filled(shape, 0, dtypes.as_dtype(dtype or self.dtype), "zeros")

    def get_config(self) -> dict[str, Any]:
        return {"dtype": self.dtype.name}


class Ones(Zeros):
    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        return _filled(shape, 1, dtypes.as_dtype(dtype or self.dtype), "ones")


def _filled(shape: Any, value: int, dtype: Any, name: str) -> Any:
    from recurra.tf1 import names

    return names.lookup(name)(shape, dtype)


class Constant(Initializer):
    def __init__(self, value: Any = 0, dtype: Any = dtypes.float32, verify_shape: bool = False) -> None:
        if not (np.isscalar(value) or isinstance(value, (list, tuple, np.ndarray))):
            raise TypeError(
                f"Invalid type for initial value: {type(value)} (expected Python scalar, list or tuple of values, or"
                " numpy.ndarray)."
            )
        self.value, self.dtype, self._verify_shape = value, dtypes.as_dtype(dtype), verify_shape

    def __call__(
        self, shape: Any, dtype: Any = None, partition_info: Any = None, verify_shape: bool | None = None
    ) -> Any:
        verify = self._verify_shape if verify_shape is None else verify_shape
        return constant(self.value, dtype=dtypes.as_dtype(dtype or self.dtype), shape=shape, verify_shape=verify)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value, "dtype": self.dtype.name}


class RandomUniform(Initializer):
    def __init__(
        self, minval: Any = 0, maxval: Any = None, seed: int | None = None, dtype: Any = dtypes.float32
    ) -> None:
        self.minval, self.maxval, self.seed, self.dtype = minval, maxval, seed, dtypes.as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        return random.random_uniform(
            shape, self.minval, self.maxval, dtypes.as_dtype(dtype or self.dtype), seed=self.seed
        )

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed, "dtype": self.dtype.name}


class RandomNormal(Initializer):
    _draw = staticmethod(random.random_normal)

    def __init__(
        self, mean: Any = 0.0, stddev: Any = 1.0, seed: int | None = None, dtype: Any = dtypes.float32
    ) -> None:
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, _as_floating(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        return self._draw(shape, self.mean, self.stddev, dtypes.as_dtype(dtype or self.dtype), seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed, "dtype": self.dtype.name}


class TruncatedNormal(RandomNormal):
    _draw = staticmethod(random.truncated_normal)


class UniformUnitScaling(Initializer):
    """Uniform with limit sqrt(3 / product of all dimensions but the last) * factor; `full_shape` (0.x) is the shape of
    the whole of which the variable is a part."""

    def __init__(
        self, factor: float = 1.0, seed: int | None = None, dtype: Any = dtypes.float32, full_shape: Any = None
    ) -> None:
        self.factor, self.seed, self.dtype = factor, seed, _as_floating(dtype)
        self._full_shape = full_shape

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        whole = shape if partition_info is None else partition_info.full_shape
        full = _known(self._full_shape or whole)
        inputs = max(float(np.prod(full[:-1])), 1.0)
        limit = math.sqrt(3 / inputs) * self.factor
        return random.random_uniform(shape, -limit, limit, dtypes.as_dtype(dtype or self.dtype), seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "seed": self.seed, "dtype": self.dtype.name}


def compute_fans(shape: Sequence[int]) -> tuple[float, float]:
    """(fan in, fan out): a rank-1 shape counts for both, leading axes of a kernel are its receptive field."""
    if len(shape) == 0:
        return 1.0, 1.0
    if len(shape) == 1:
        return shape[0], shape[0]
    field = float(np.prod(shape[:-2])) if len(shape) > 2 else 1.0
    return shape[-2] * field, shape[-1] * field


class VarianceScaling(Initializer):
    _MODES = ("fan_in", "fan_out", "fan_avg")
    _DISTRIBUTIONS = ("normal", "uniform", "truncated_normal", "untruncated_normal")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        if scale <= 0.0:
            raise ValueError("`scale` must be positive float.")
        if mode not in self._MODES:
            raise ValueError("Invalid `mode` argument:", mode)
        if distribution.lower() not in self._DISTRIBUTIONS:
            raise ValueError("Invalid `distribution` argument:", distribution)
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution.lower(), seed
        self.dtype = _as_floating(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        dtype = dtypes.as_dtype(dtype or self.dtype)
        fan_in, fan_out = compute_fans(_known(shape if partition_info is None else partition_info.full_shape))
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        scale = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * scale)
            return random.random_uniform(shape, -limit, limit, dtype, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return random.random_normal(shape, 0.0, math.sqrt(scale), dtype, seed=self.seed)
        return random.truncated_normal(shape, 0.0, math.sqrt(scale) / _TRUNCATED_STDDEV, dtype, seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        kept = {"scale": self.scale, "mode": self.mode, "distribution": self.distribution}
        return {**kept, "seed": self.seed, "dtype": self.dtype.name}


class _Glorot(VarianceScaling):
    _kind = (1.0, "fan_avg", "uniform")

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        super().__init__(*self._kind, seed=seed, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "dtype": self.dtype.name}


class GlorotUniform(_Glorot):
    _kind = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Glorot):
    _kind = (1.0, "fan_avg", "truncated_normal")


class Orthogonal(Initializer):
    """Rows or columns of a random orthogonal matrix; leading axes are flattened together."""

    def __init__(self, gain: float = 1.0, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        self.gain, self.seed, self.dtype = gain, seed, _as_floating(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        dtype, sizes = dtypes.as_dtype(dtype or self.dtype), _known(shape)
        if len(sizes) < 2:
            raise ValueError("The tensor to initialize must be at least two-dimensional")
        rows, columns = int(np.prod(sizes[:-1])), sizes[-1]
        draws = random.random_normal((max(rows, columns), min(rows, columns)), dtype=dtype, seed=self.seed)
        q, r = apply_op("Qr", draws, full_matrices=False)
        q = q * apply_op("Sign", apply_op("MatrixDiagPart", r))
        if rows < columns:
            q = apply_op("Transpose", q, [1, 0])
        return apply_op("Mul", convert(self.gain, dtype), apply_op("Reshape", q, sizes))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, "seed": self.seed, "dtype": self.dtype.name}


def convert(value: float, dtype: Any) -> Any:
    return constant(value, dtype=dtype)


class Identity(Initializer):
    def __init__(self, gain: float = 1.0, dtype: Any = dtypes.float32) -> None:
        self.gain, self.dtype = gain, _as_floating(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        full = _known(shape if partition_info is None else partition_info.full_shape)
        if len(full) != 2:
            raise ValueError("Identity matrix initializer can only be used for 2D matrices.")
        eye = constant(np.eye(*full) * self.gain, dtype=dtypes.as_dtype(dtype or self.dtype))
        return eye if partition_info is None else apply_op("Slice", eye, partition_info.var_offset, _known(shape))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, "dtype": self.dtype.name}


def _scaling(scale: float, mode: str, distribution: str) -> Any:
    """One of the named variance scalings (he_normal, lecun_uniform)."""

    def make(seed: int | None = None) -> VarianceScaling:
        return VarianceScaling(scale, mode, distribution, seed)

    return make


he_normal = _scaling(2.0, "fan_in", "truncated_normal")
he_uniform = _scaling(2.0, "fan_in", "uniform")
lecun_normal = _scaling(1.0, "fan_in", "truncated_normal")
lecun_uniform = _scaling(1.0, "fan_in", "uniform")
glorot_uniform_initializer = GlorotUniform

for _name, _class in {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_uniform": RandomUniform,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "orthogonal": Orthogonal,
    "uniform_unit_scaling": UniformUnitScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
}.items():
    export(_class, f"{_name}_initializer", f"initializers.{_name}", f"keras.initializers.{_name}")
    export(_class, f"python.ops.init_ops.{_class.__name__}")
export(Identity, "python.ops.init_ops.Identity")
export(Initializer, "python.ops.init_ops.Initializer")
for _name, _class in {
    "Zeros": Zeros,
    "Ones": Ones,
    "Constant": Constant,
    "RandomUniform": RandomUniform,
    "RandomNormal": RandomNormal,
    "Identity": Identity,
    "TruncatedNormal": TruncatedNormal,
    "VarianceScaling": VarianceScaling,
    "Orthogonal": Orthogonal,
    "Initializer": Initializer,
}.items():
    export(_class, f"keras.initializers.{_name}")
export(Identity, "initializers.identity", "keras.initializers.identity")
for _name, _make in {
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
}.items():
    export(_make, f"initializers.{_name}", f"keras.initializers.{_name}")


def _keras_range(low: float, high: float) -> Any:
    """Keras' own defaults differ: normal and uniform have 0.05."""
    return lambda minval=low, maxval=high, seed=None, dtype=dtypes.float32: RandomUniform(minval, maxval, seed, dtype)


def _keras_normal(kind: type) -> Any:
    return lambda mean=0.0, stddev=0.05, seed=None, dtype=dtypes.float32: kind(mean, stddev, seed, dtype)


export(
    _keras_range(-0.05, 0.05),
    "keras.initializers.uniform",
    "keras.initializers.random_uniform",
    "keras.initializers.RandomUniform",
)
export(
    _keras_normal(RandomNormal),
    "keras.initializers.normal",
    "keras.initializers.random_normal",
    "keras.initializers.RandomNormal",
)
export(_keras_normal(TruncatedNormal), "keras.initializers.truncated_normal", "keras.initializers.TruncatedNormal")


@tf_export("initializers.global_variables")
def _global_variables() -> Any:
    from recurra.tf1 import names

    return names.lookup("global_variables_initializer")()


@tf_export("keras.initializers.get", "initializers.get")
def get(identifier: Any) -> Any:
    """An initializer from its name, its {"class_name", "config"} dict, or itself."""
    from recurra.tf1 import names

    if identifier is None or callable(identifier):
        return identifier
    name, config = (
        (identifier, {}) if isinstance(identifier, str) else (identifier["class_name"], identifier.get("config", {}))
    )
    snake = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()  # files say GlorotUniform
    for known in (name, snake):
        if names.served(f"keras.initializers.{known}"):
            return names.lookup(f"keras.initializers.{known}")(**config)
    raise ValueError(f"Unknown initializer: {name}")


@tf_export("contrib.layers.xavier_initializer", "contrib.layers.xavier_initializer_conv2d")
def xavier_initializer(uniform: bool = True, seed: int | None = None, dtype: Any = dtypes.float32) -> Any:
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed, dtype)


@tf_export("contrib.layers.variance_scaling_initializer")
def variance_scaling_initializer(
    factor: float = 2.0,
    mode: str = "FAN_IN",
    uniform: bool = False,
    seed: int | None = None,
    dtype: Any = dtypes.float32,
) -> Any:
    """Uniform with limit sqrt(3 factor / n), or truncated normal with stddev sqrt(1.3 factor / n)."""
    if not dtypes.as_dtype(dtype).is_floating:
        raise TypeError("Cannot create initializer for non-floating point type.")
    if mode not in ("FAN_IN", "FAN_OUT", "FAN_AVG"):
        raise TypeError("Unknown mode %s [FAN_IN, FAN_OUT, FAN_AVG]", mode)

    def initializer(shape: Any, dtype: Any = dtype, partition_info: Any = None) -> Any:
        if not dtypes.as_dtype(dtype).is_floating:
            raise TypeError("Cannot create initializer for non-floating point type.")
        sizes = _known(shape)
        fan_in, fan_out = (
            (float(sizes[-2]), float(sizes[-1])) if len(sizes) > 1 else (float(sizes[-1]),) * 2 if sizes else (1.0, 1.0)
        )
        field = float(np.prod(sizes[:-2]))
        n = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "FAN_AVG": (fan_in + fan_out) / 2.0}[mode] * field
        if uniform:
            limit = math.sqrt(3.0 * factor / n)
            return random.random_uniform(shape, -limit, limit, dtype, seed=seed)
        return random.truncated_normal(shape, 0.0, math.sqrt(1.3 * factor / n), dtype, seed=seed)

    return initializer


# What layers start from unless told otherwise.
ZEROS, ONES, XAVIER = Zeros(), Ones(), xavier_initializer()
