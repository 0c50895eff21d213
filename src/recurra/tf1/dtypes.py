"""tf.DType: TensorFlow's element types, with their numpy and torch counterparts."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from recurra.tf1.names import export, tf_export


@tf_export("DType", "dtypes.DType")
class DType:
    """An element type. Reference types (variables' own outputs) are distinct objects with the same base."""

    __slots__ = ("_enum", "_name", "_np", "_ref", "base_dtype", "torch")

    def __init__(
        self, type_enum: Any, name: str = "", np_type: Any = None, torch_type: Any = None, base: DType | None = None
    ):
        if not name:
            other = as_dtype(type_enum)
            type_enum, name, np_type, torch_type = other._enum, other._name, other._np, other.torch
            base = None if other.base_dtype is other else other.base_dtype
        self._enum, self._name, self._np, self.torch = type_enum, name, np_type, torch_type
        self.base_dtype: DType = base or self
        self._ref = base is not None

    @property
    def name(self) -> str:
        return self._name

    @property
    def as_numpy_dtype(self) -> Any:
        return self._np

    @property
    def as_datatype_enum(self) -> int:
        return self._enum

    @property
    def _is_ref_dtype(self) -> bool:
        return self._ref

    @property
    def _as_ref(self) -> DType:
        return self if self._ref else _REFS[self._name]

    @property
    def real_dtype(self) -> DType:
        return {"complex64": float32, "complex128": float64}.get(self.base_dtype._name, self)

    @property
    def is_numpy_compatible(self) -> bool:
        return self.base_dtype._name not in ("resource", "variant")

    @property
    def is_bool(self) -> bool:
        return self.base_dtype._name == "bool"

    @property
    def is_integer(self) -> bool:
        name = self.base_dtype._name
        return name.startswith(("int", "uint")) and not self.is_quantized

    @property
    def is_floating(self) -> bool:
        return self.base_dtype._name in ("float16", "float32", "float64", "bfloat16")

    @property
    def is_complex(self) -> bool:
        return self.base_dtype._name in ("complex64", "complex128")

    @property
    def is_quantized(self) -> bool:
        return self.base_dtype._name.startswith(("qint", "quint"))

    @property
    def is_unsigned(self) -> bool:
        return self.base_dtype._name.startswith("uint")

    @property
    def size(self) -> int:
        return 1 if self._np is object else np.dtype(self._np).itemsize

    @property
    def min(self) -> Any:
        return self._limit("min", False)

    @property
    def max(self) -> Any:
        return self._limit("max", True)

    @property
    def limits(self) -> tuple[Any, Any]:
        """The smallest non-negative and the largest value used for scaling images."""
        return {"bool": (False, True), "float32": (0, 1), "float64": (0, 1), "float16": (0, 1)}.get(
            self.base_dtype._name, (0, self.max)
        )

    def _limit(self, which: str, boolean: bool) -> Any:
        if self.is_bool:
            return boolean
        if self.is_integer:
            return getattr(np.iinfo(self._np), which)
        if self.is_floating:
            info = ml_dtypes.finfo(self._np) if self.base_dtype._name == "bfloat16" else np.finfo(self._np)
            return getattr(info, which)
        raise TypeError(f"Cannot find {which}imum value of {self}.")

    def is_compatible_with(self, other: Any) -> bool:
        other = as_dtype(other)
        return self._enum in (other._enum, other.base_dtype._enum)

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        if other is None:
            return False
        try:
            return self._enum == as_dtype(other)._enum
        except TypeError:
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return self._enum

    def __int__(self) -> int:
        return self._enum

    def __str__(self) -> str:
        return f"<dtype: {self._name!r}>"

    def __repr__(self) -> str:
        return f"tf.{self._name}"

    def __reduce__(self) -> Any:
        return as_dtype, (self._name,)


_BY_NAME: dict[str, DType] = {}
_REFS: dict[str, DType] = {}
_BY_ENUM: dict[int, DType] = {}
_BY_NUMPY: dict[np.dtype, DType] = {}
_BY_TORCH: dict[torch.dtype, DType] = {}


def _define(name: str, enum: int, np_type: Any, torch_type: torch.dtype | None) -> DType:
    dtype = DType(enum, name, np_type, torch_type)
    ref = DType(enum + 100, f"{name}_ref", np_type, torch_type, base=dtype)
    _BY_NAME[name], _BY_NAME[ref.name], _REFS[name] = dtype, ref, ref
    _BY_ENUM[enum], _BY_ENUM[enum + 100] = dtype, ref
    if np_type is not None:
        _BY_NUMPY.setdefault(np.dtype(np_type), dtype)
    if torch_type is not None:
        _BY_TORCH.setdefault(torch_type, dtype)
    return export(dtype, name, f"dtypes.{name}")


float32 = _define("float32", 1, np.float32, torch.float32)
float64 = _define("float64", 2, np.float64, torch.float64)
int32 = _define("int32", 3, np.int32, torch.int32)
uint8 = _define("uint8", 4, np.uint8, torch.uint8)
int16 = _define("int16", 5, np.int16, torch.int16)
int8 = _define("int8", 6, np.int8, torch.int8)
string = _define("string", 7, np.object_, None)
complex64 = _define("complex64", 8, np.complex64, torch.complex64)
int64 = _define("int64", 9, np.int64, torch.int64)
bool_ = _define("bool", 10, np.bool_, torch.bool)
qint8 = _define("qint8", 11, ml_dtypes.int4, torch.int8)
quint8 = _define("quint8", 12, None, torch.uint8)
qint32 = _define("qint32", 13, None, torch.int32)
bfloat16 = _define("bfloat16", 14, ml_dtypes.bfloat16, torch.bfloat16)
qint16 = _define("qint16", 15, None, torch.int16)
quint16 = _define("quint16", 16, None, torch.int32)
uint16 = _define("uint16", 17, np.uint16, torch.uint16)
complex128 = _define("complex128", 18, np.complex128, torch.complex128)
float16 = _define("float16", 19, np.float16, torch.float16)
resource = _define("resource", 20, None, None)
variant = _define("variant", 21, None, None)
uint32 = _define("uint32", 22, np.uint32, torch.uint32)
uint64 = _define("uint64", 23, np.uint64, torch.uint64)

export(float16, "half", "dtypes.half")
export(float64, "double", "dtypes.double")
_ALIASES = {"half": float16, "float": float32, "double": float64, "half_ref": float16._as_ref}
_ALIASES |= {"float_ref": float32._as_ref, "double_ref": float64._as_ref}
_PYTHON = {float: float32, bool: bool_, object: string, str: string, bytes: string, int: int64, complex: complex128}
QUANTIZED_DTYPES = frozenset(d for n, d in _BY_NAME.items() if n.startswith(("qint", "quint")))
export(QUANTIZED_DTYPES, "QUANTIZED_DTYPES", "dtypes.QUANTIZED_DTYPES")


@tf_export("as_dtype", "dtypes.as_dtype")
def as_dtype(type_value: Any) -> DType:
    """The DType of a DType, an enum number, a name, a numpy, Python or torch type; TypeError otherwise."""
    if isinstance(type_value, DType):
        return type_value
    if isinstance(type_value, str):
        found = _BY_NAME.get(type_value) or _ALIASES.get(type_value)
        if found is not None:
            return found
    elif isinstance(type_value, int) and not isinstance(type_value, bool) and type_value in _BY_ENUM:
        return _BY_ENUM[type_value]
    elif isinstance(type_value, type) and type_value in _PYTHON:
        return _PYTHON[type_value]
    elif isinstance(type_value, torch.dtype):
        return _BY_TORCH[type_value]
    try:
        found = from_numpy_dtype(np.dtype(type_value))
    except TypeError:
        found = None
    if found is None or type_value is None:
        raise TypeError(f"Cannot convert value {type_value!r} to a TensorFlow DType.")
    return found


def from_numpy_dtype(dtype: np.dtype) -> DType | None:
    """The DType of a numpy dtype (every kind of text is string), or None."""
    if dtype.kind in "SUO":
        return string
    return _BY_NUMPY.get(dtype)
