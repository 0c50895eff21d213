"""Python values as the arrays of constants: dtypes, shapes and errors as tf.constant's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.dtypes import DType
from recurra.tf1.shapes import Dimension, TensorShape, as_shape
from recurra.tf1.tensor import TensorLike


def constant_array(
    value: Any, dtype: DType | None, shape: Any = None, verify: bool = False
) -> tuple[np.ndarray, DType]:
    """What tf.constant makes of a Python value: (array, dtype). TypeError and ValueError as TensorFlow's."""
    if value is None:
        raise ValueError("None values not supported.")
    if dtype is not None:
        dtype = dtype.base_dtype
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if dtype is not None and array.dtype.kind not in "SUO" and dtype.torch is not None:
            array = array.astype(dtype.as_numpy_dtype)
    else:
        array = _python_array(value, dtype)
    kind = dtype or dtypes.from_numpy_dtype(array.dtype)
    if kind is None:
        raise TypeError(f"Unrecognized data type: {array.dtype}")
    if kind is dtypes.string:
        if not array.size:
            array = array.astype(object)
        if array.dtype.kind not in "SUO":
            raise TypeError(f"Expected string, got {value!r} of type '{type(value).__name__}' instead.")
        array = _text_array(array)
    if shape is not None:
        array = _fill(array, as_shape(shape), verify)
    return array, kind


def _text_array(array: np.ndarray) -> np.ndarray:
    from recurra.tf1.values import as_bytes_array

    bad = next((i for i in array.reshape(-1) if not isinstance(i, str | bytes)), None)
    if bad is not None:
        if isinstance(bad, TensorLike):
            raise TypeError(f"List of Tensors when single Tensor expected: {bad!r}")
        raise TypeError(
            f"Failed to convert object of type {type(bad)} to Tensor. Contents: {bad}. Consider casting "
            "elements to a supported type."
        )
    return as_bytes_array(array)


def _python_array(value: Any, dtype: DType | None) -> np.ndarray:
    flat = list(leaves(value))
    for leaf in flat:
        if leaf is None:
            raise (
                ValueError("None values not supported.")
                if value is None
                else TypeError(
                    f"Failed to convert object of type {type(value)} to Tensor. Contents: {value}. Consider casting "
                    "elements to a supported type."
                )
            )
        if dtype is not None:
            _check_leaf(leaf, dtype)
    flat = [leaf.value if isinstance(leaf, Dimension) else leaf for leaf in flat]
    value = _plain(value)
    target = None if dtype is None or dtype.torch is None else dtype.as_numpy_dtype
    try:
        if any(isinstance(leaf, str | bytes) for leaf in flat):
            return np.array(value, dtype=object)
        array = np.array(value, dtype=target)
    except (ValueError, TypeError) as error:
        if "inhomogeneous" in str(error):
            raise _ragged(value) from error
        raise TypeError(
            f"Failed to convert object of type {type(value)} to Tensor. Contents: {value}. Consider "
            "casting elements to a supported type."
        ) from error
    if array.dtype == object and dtype is None and any(isinstance(leaf, int | float) for leaf in flat):
        raise _ragged(value)  # where NumPy makes an array of lists of it
    if dtype is None and not flat:
        return array.astype(np.float32)
    if dtype is None and array.dtype == np.float64:
        return array.astype(np.float32)
    if dtype is None and array.dtype == np.int64:
        small = array.astype(np.int32)
        return small if (small == array).all() else array
    return array


def _ragged(value: Any) -> ValueError:
    return ValueError(
        f"Argument must be a dense tensor: {value!r} - got shape {_even(value)}, but wanted {_dims(value)}."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.value if isinstance(value, Dimension) else value


def leaves(value: Any) -> Iterator[Any]:
    """The values inside of lists and tuples; of an array its first."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, np.ndarray):
        yield from value.reshape(-1)[:1]
    else:
        yield value


def _dims(value: Any) -> list[int]:
    return [len(value), *_dims(value[0])] if isinstance(value, list | tuple) and len(value) else []


def _even(value: Any) -> list[int]:
    """The dimensions down to where rows are of different lengths."""
    level, dims = [value], []
    while level and all(isinstance(v, list | tuple) for v in level) and len({len(v) for v in level}) == 1:
        dims.append(len(level[0]))
        level = [item for v in level for item in v]
    return dims


def _check_leaf(leaf: Any, dtype: DType) -> None:
    good = True
    if dtype.is_bool:
        good = isinstance(leaf, bool | np.bool_)
    elif dtype is dtypes.string:
        good = isinstance(leaf, str | bytes)
    elif dtype.is_integer or dtype.is_quantized:
        good = isinstance(leaf, int | np.integer | Dimension | np.ndarray | tuple)
    elif dtype.is_floating:
        good = isinstance(leaf, int | float | np.integer | np.floating | np.bool_ | Dimension)
    elif dtype.is_complex:
        good = isinstance(leaf, int | float | complex | np.number)
    if not good and not hasattr(leaf, "__array__"):
        shown = repr(leaf) if isinstance(leaf, str | bytes) else leaf
        raise TypeError(f"Expected {dtype.name}, got {shown} of type '{type(leaf).__name__}' instead.")


def _fill(array: np.ndarray, shape: TensorShape, verify: bool) -> np.ndarray:
    wanted = shape.as_list()
    if verify and list(array.shape) != wanted:
        raise TypeError(f"Expected Tensor's shape: {tuple(wanted)}, got {array.shape}.")
    if list(array.shape) == wanted:
        return array
    size = int(np.prod(wanted))  # type: ignore[arg-type]
    if array.size > size:
        raise ValueError(f"Too many elements provided. Needed at most {size}, but received {array.size}")
    if array.size == 0 and size:
        raise ValueError(f"Cannot create a tensor of shape {shape} from no values")
    flat = np.resize(array.reshape(-1)[-1:] if array.size else array.reshape(-1), size)
    flat[: array.size] = array.reshape(-1)
    return flat.reshape(wanted)  # type: ignore[arg-type]
