"""tf.sets: the last dimension of dense or sparse tensors read as sets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.constants import constant_value_as_shape
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.slices import SparseTensor
from recurra.tf1.ops.sparse import _parts, convert
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape

__all__ = ["set_size"]

_DTYPES = (
    dtypes.int8,
    dtypes.int16,
    dtypes.int32,
    dtypes.int64,
    dtypes.uint8,
    dtypes.uint16,
    dtypes.string,
)
_Sets = tuple[dict[tuple[int, ...], set[Any]], tuple[int, ...]]
_COMBINE: dict[str, Callable[[set[Any], set[Any]], set[Any]]] = {
    "intersection": set.intersection,
    "union": set.union,
    "a-b": set.difference,
    "b-a": lambda a, b: b - a,
}


def _dense(values: Any) -> _Sets:
    """The sets of a dense tensor by their place, and the shape of places."""
    array = np.asarray(values)
    return {place: set(array[place].tolist()) for place in np.ndindex(*array.shape[:-1])}, array.shape[:-1]


def _sparse(indices: TorchTensor, values: Any, shape: TorchTensor, validate: bool) -> _Sets:
    places = indices.tolist()
    if validate:
        for before, after in itertools.pairwise(places):
            if before >= after:
                raise InvalidArgumentError(None, None, f"indices[{places.index(after)}] = {after} is out of order")
    found: dict[tuple[int, ...], set[Any]] = {}
    for place, value in zip(places, np.asarray(values).tolist(), strict=True):
        found.setdefault(tuple(place[:-1]), set()).add(value)
    return found, tuple(shape.tolist()[:-1])


def _combined(first: _Sets, second: _Sets, how: str, like: Any) -> tuple[Any, ...]:
    (a, shape), (b, other) = first, second
    if shape != other:
        raise InvalidArgumentError(None, None, f"Mismatched group shapes {list(shape)} vs {list(other)}")
    indices: list[list[int]] = []
    values: list[Any] = []
    widest = 0
    for place in sorted(a.keys() | b.keys()):
        items = sorted(_COMBINE[how](a.get(place, set()), b.get(place, set())))
        indices += [[*place, n] for n in range(len(items))]
        values += items
        widest = max(widest, len(items))
    if isinstance(like, np.ndarray):
        found: Any = np.array(values, dtype=object)
    else:
        found = torch.tensor(values, dtype=like.dtype)
    index = torch.tensor(indices, dtype=torch.int64).reshape(-1, len(shape) + 1)
    return index, found, torch.tensor([*shape, widest])


def _dense_dense(set1: Any, set2: Any, set_operation: str, validate_indices: bool = True) -> Any:
    return _combined(_dense(set1), _dense(set2), set_operation, set1)


def _dense_sparse(
    set1: Any,
    set2_indices: TorchTensor,
    set2_values: Any,
    set2_shape: TorchTensor,
    set_operation: str,
    validate_indices: bool = True,
) -> Any:
    second = _sparse(set2_indices, set2_values, set2_shape, validate_indices)
    return _combined(_dense(set1), second, set_operation, set1)


def _sparse_sparse(
    set1_indices: TorchTensor,
    set1_values: Any,
    set1_shape: TorchTensor,
    set2_indices: TorchTensor,
    set2_values: Any,
    set2_shape: TorchTensor,
    set_operation: str,
    validate_indices: bool = True,
) -> Any:
    first = _sparse(set1_indices, set1_values, set1_shape, validate_indices)
    second = _sparse(set2_indices, set2_values, set2_shape, validate_indices)
    return _combined(first, second, set_operation, set1_values)


def _rank(operation: Any) -> list[TensorShape]:
    first = operation.inputs[0]
    sparse = operation.type.startswith("Sparse")
    rank = operation.inputs[2].shape.as_list()[0] if sparse and operation.inputs[2].shape.rank else first.shape.rank
    return [TensorShape([None, rank]), TensorShape([None]), TensorShape([rank])]


_SECOND = "set2_indices:int64, set2_values:T, set2_shape:int64"
_RESULT = "int64, T, int64"
op("DenseToDenseSetOperation", f"set1:T, set2:T -> {_RESULT}", _dense_dense, diff=False, shape=_rank)
op("DenseToSparseSetOperation", f"set1:T, {_SECOND} -> {_RESULT}", _dense_sparse, diff=False, shape=_rank)
op(
    "SparseToSparseSetOperation",
    f"set1_indices:int64, set1_values:T, set1_shape:int64, {_SECOND} -> {_RESULT}",
    _sparse_sparse,
    diff=False,
    shape=_rank,
)


def _either(value: Any) -> Any:
    return convert(value) if hasattr(value, "dense_shape") else convert_to_tensor(value)


def _operation(a: Any, b: Any, how: str, validate_indices: bool) -> SparseTensor:
    a, b = _either(a), _either(b)
    if a.dtype.base_dtype not in _DTYPES:
        raise TypeError(f"'a' invalid dtype {a.dtype}.")
    if a.dtype.base_dtype != b.dtype.base_dtype:
        raise TypeError(f"Types don't match, {a.dtype} vs {b.dtype}.")
    if isinstance(a, SparseTensor) and not isinstance(b, SparseTensor):
        a, b = b, a
        how = {"a-b": "b-a", "b-a": "a-b"}.get(how, how)
    parts = [_parts(x) if isinstance(x, SparseTensor) else (x,) for x in (a, b)]
    kinds = ["Sparse" if isinstance(x, SparseTensor) else "Dense" for x in (a, b)]
    options = {"set_operation": how, "validate_indices": validate_indices}
    return SparseTensor(*apply_op(f"{kinds[0]}To{kinds[1]}SetOperation", *parts[0], *parts[1], **options))


@tf_export("sets.difference", "sets.set_difference")
def set_difference(a: Any, b: Any, aminusb: bool = True, validate_indices: bool = True) -> SparseTensor:
    """Per place the elements of `a` that `b` lacks (of `b` that `a` lacks without `aminusb`)."""
    return _operation(a, b, "a-b" if aminusb else "b-a", validate_indices)


def _symmetric(how: str) -> Callable[..., SparseTensor]:
    def function(a: Any, b: Any, validate_indices: bool = True) -> SparseTensor:
        return _operation(a, b, how, validate_indices)

    function.__name__ = f"set_{how}"
    return export(function, f"sets.{how}", f"sets.set_{how}")


_symmetric("intersection")
_symmetric("union")


def _set_size(
    set_indices: TorchTensor, set_values: Any, set_shape: TorchTensor, validate_indices: bool = True
) -> TorchTensor:
    found, shape = _sparse(set_indices, set_values, set_shape, validate_indices)
    sizes = torch.zeros(shape, dtype=torch.int32)
    for place, values in found.items():
        sizes[place] = len(values)
    return sizes


def _outer(operation: Any) -> TensorShape:
    shape = constant_value_as_shape(operation.inputs[2])
    return shape[:-1] if shape.ndims else unknown_shape()


op("SetSize", "set_indices:int64, set_values:T, set_shape:int64 -> int32", _set_size, diff=False, shape=_outer)


@tf_export("sets.size", "sets.set_size")
def set_size(a: Any, validate_indices: bool = True) -> Any:
    """How many distinct values each place of a sparse tensor holds, int32 [the shape without the last dimension]."""
    a = _either(a)
    if not isinstance(a, SparseTensor):
        raise TypeError(f"Expected `SparseTensor`, got {a}.")
    if a.values.dtype.base_dtype not in _DTYPES:
        raise TypeError(f"Invalid dtype {a.values.dtype}.")
    return apply_op("SetSize", *_parts(a), validate_indices=validate_indices)
