"""TensorFlow's data types: number in files, name, NumPy type."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np

__all__ = ["STRING", "code_of", "dtype_name", "from_little_endian", "little_endian_bytes", "numpy_dtype"]

STRING = 7
# Quantised types are kept as the integers that they are stored as; resource (20) and variant (21) hold no array.
_TABLE: dict[int, tuple[str, np.dtype]] = {
    1: ("float32", np.dtype(np.float32)),
    2: ("float64", np.dtype(np.float64)),
    3: ("int32", np.dtype(np.int32)),
    4: ("uint8", np.dtype(np.uint8)),
    5: ("int16", np.dtype(np.int16)),
    6: ("int8", np.dtype(np.int8)),
    7: ("string", np.dtype(object)),
    8: ("complex64", np.dtype(np.complex64)),
    9: ("int64", np.dtype(np.int64)),
    10: ("bool", np.dtype(np.bool_)),
    11: ("qint8", np.dtype(np.int8)),
    12: ("quint8", np.dtype(np.uint8)),
    13: ("qint32", np.dtype(np.int32)),
    14: ("bfloat16", np.dtype(ml_dtypes.bfloat16)),
    15: ("qint16", np.dtype(np.int16)),
    16: ("quint16", np.dtype(np.uint16)),
    17: ("uint16", np.dtype(np.uint16)),
    18: ("complex128", np.dtype(np.complex128)),
    19: ("float16", np.dtype(np.float16)),
    22: ("uint32", np.dtype(np.uint32)),
    23: ("uint64", np.dtype(np.uint64)),
}
_CODES = {dtype: code for code, (name, dtype) in _TABLE.items() if not name.startswith("q")}


def numpy_dtype(code: int) -> np.dtype | None:
    """NumPy's type for a number found in a file; None for one that holds no array (resource, variant, unknown)."""
    return _TABLE[code][1] if code in _TABLE else None


def dtype_name(code: int) -> str:
    """TensorFlow's name of the type."""
    return _TABLE[code][0] if code in _TABLE else f"type {code}"


def code_of(dtype: np.dtype) -> int | None:
    """TensorFlow's number for a NumPy type; bytes and text are strings. None where TensorFlow has no such type."""
    if dtype.kind in "SUO":
        return STRING
    return _CODES.get(dtype.newbyteorder("="))


def from_little_endian(buffer: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Bytes of a file (uint8 [n]) as an array of `dtype`, in place where this machine allows it."""
    if dtype == np.bool_:
        return buffer != 0  # a byte other than 0 and 1 would make an array that is neither true nor false
    values = buffer.view(dtype)
    return values if sys.byteorder == "little" else values.byteswap()


def little_endian_bytes(values: np.ndarray) -> memoryview:
    """The bytes of an array as the files hold them; no copy where it is contiguous and in this order already."""
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("=") if values.dtype.isbuiltin == 1 else None)
    if sys.byteorder == "big":
        native = native.byteswap()
    return memoryview(native.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
