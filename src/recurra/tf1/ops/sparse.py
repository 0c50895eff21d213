"""tf.sparse: operations over (indices, values, dense_shape), and tf.sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value, constant_value_as_shape
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.fetches import SparseTensorValue
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_gather import boolean_mask
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.slices import SparseTensor
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape


def _TRIPLE(operation):
    return [
        TensorShape([None, _rank(operation)]),
        TensorShape([None]),
        TensorShape([_rank(operation)]),
    ]


def _rank(operation: Any) -> int | None:
    """The rank of the first sparse argument."""
    shape = operation.inputs[0].shape
    return shape.values[1] if shape.ndims == 2 else None  # type: ignore[index]


def convert(value: Any) -> SparseTensor:
    if isinstance(value, SparseTensorValue):
        return SparseTensor.from_value(value)
    if not isinstance(value, SparseTensor):
        raise TypeError("Input must be a SparseTensor.")
    return value


def _parts(s: SparseTensor) -> tuple[Any, Any, Any]:
    return s.indices, s.values, s.dense_shape


def _linear(indices: TorchTensor, shape: list[int]) -> TorchTensor:
    """Row-major positions of the indices."""
    flat = torch.zeros(len(indices), dtype=torch.int64)
    for axis, size in enumerate(shape):
        flat = flat * size + indices[:, axis]
    return flat


def _unlinear(flat: TorchTensor, shape: list[int]) -> TorchTensor:
    columns = []
    for size in reversed(shape):
        columns.append(flat % max(size, 1))
        flat = flat // max(size, 1)
    return torch.stack(columns[::-1], 1) if columns else torch.zeros(len(flat), 0, dtype=torch.int64)


def _pick(values: Any, order: TorchTensor) -> Any:
    return values[order.numpy()] if isinstance(values, np.ndarray) else values[order]


def _to_dense(
    sparse_indices: TorchTensor,
    output_shape: TorchTensor,
    sparse_values: Any,
    default_value: Any,
    validate_indices: bool = True,
) -> Any:
    shape = output_shape.tolist()
    indices = sparse_indices.reshape(-1, 1) if sparse_indices.dim() == 1 else sparse_indices.reshape(-1, len(shape))
    if validate_indices:
        _validate(indices, shape)
    if isinstance(sparse_values, np.ndarray):
        out = np.full(shape, default_value.item(), dtype=object)
        out[tuple(indices.numpy().T)] = sparse_values
        return out
    base = default_value.expand(shape).clone()
    values = sparse_values.expand(len(indices)) if sparse_values.dim() == 0 else sparse_values
    return base.index_put(tuple(indices.long().unbind(1)), values)


def _validate(indices: TorchTensor, shape: list[int]) -> None:
    for axis, size in enumerate(shape):
        column = indices[:, axis]
        if column.numel() and not (int(column.min()) >= 0 and int(column.max()) < size):
            row = int(((column < 0) | (column >= size)).nonzero()[0])
            place = ",".join(str(v) for v in indices[row].tolist())
            raise InvalidArgumentError(
                None,
                None,
                f"indices[{row}] = [{place}] is out of bounds: need 0 <= index < [{','.join(map(str, shape))}]",
            )
    flat = _linear(indices, shape)
    if len(flat) > 1 and bool((flat[1:] <= flat[:-1]).any()):
        row = int((flat[1:] <= flat[:-1]).nonzero()[0]) + 1
        word = "repeated" if int(flat[row]) == int(flat[row - 1]) else "out of order"
        place = ",".join(str(v) for v in indices[row].tolist())
        raise InvalidArgumentError(None, None, f"indices[{row}] = [{place}] is {word}")


op(
    "SparseToDense",
    "sparse_indices:Tindices, output_shape:Tindices, sparse_values:T, default_value:T -> T",
    _to_dense,
    shape=lambda o: constant_value_as_shape(o.inputs[1]),
)


@tf_export("sparse_to_dense")
def sparse_to_dense(
    sparse_indices: Any,
    output_shape: Any,
    sparse_values: Any,
    default_value: Any = 0,
    validate_indices: bool = True,
    name: str | None = None,
) -> Any:
    values = convert_to_tensor(sparse_values)
    if values.dtype == dtypes.string and isinstance(default_value, int):
        default_value = ""
    default = convert_to_tensor(default_value, dtype=None if hasattr(default_value, "op") else values.dtype.base_dtype)
    return apply_op(
        "SparseToDense", sparse_indices, output_shape, values, default, validate_indices=validate_indices, name=name
    )


@tf_export("sparse_tensor_to_dense", "sparse.to_dense")
def sparse_tensor_to_dense(
    sp_input: Any, default_value: Any = None, validate_indices: bool = True, name: str | None = None
) -> Any:
    sp_input = convert(sp_input)
    if default_value is None:
        default_value = "" if sp_input.dtype == dtypes.string else False if sp_input.dtype.is_bool else 0
    return sparse_to_dense(
        sp_input.indices, sp_input.dense_shape, sp_input.values, default_value, validate_indices, name
    )


# -- re-arranging -----------------------------------------------------------------------------------------------------------  # noqa: E501
def _reorder(input_indices: TorchTensor, input_values: Any, input_shape: TorchTensor) -> tuple[TorchTensor, Any]:
    order = torch.argsort(_linear(input_indices, input_shape.tolist()), stable=True)
    return input_indices[order], _pick(input_values, order)


op(
    "SparseReorder",
    "input_indices:int64, input_values:T, input_shape:int64 -> int64, T",
    _reorder,
    shape=lambda o: [o.inputs[0].shape, o.inputs[1].shape],
)


@tf_export("sparse_reorder", "sparse.reorder")
def sparse_reorder(sp_input: Any, name: str | None = None) -> SparseTensor:
    sp_input = convert(sp_input)
    indices, values = apply_op("SparseReorder", *_parts(sp_input), name=name)
    return SparseTensor(indices, values, apply_op("Identity", sp_input.dense_shape))


def _sparse_reshape(
    input_indices: TorchTensor, input_shape: TorchTensor, new_shape: TorchTensor
) -> tuple[TorchTensor, TorchTensor]:
    old, new = input_shape.tolist(), new_shape.tolist()
    total = int(np.prod(old))
    if -1 in new:
        known = int(np.prod([d for d in new if d != -1]))
        new[new.index(-1)] = total // known if known else 0
    if int(np.prod(new)) != total:
        raise InvalidArgumentError(
            None,
            None,
            f"Input to reshape is a tensor with {total} dense values, but the requested shape has {int(np.prod(new))}",
        )
    return _unlinear(_linear(input_indices, old), new), torch.tensor(new)


def _sparse_reshape_shapes(operation: Any) -> list[TensorShape]:
    size = operation.inputs[2].shape.values
    rank = size[0] if size else None
    rows = operation.inputs[0].shape.values
    return [TensorShape([rows[0] if rows else None, rank]), TensorShape([rank])]


op(
    "SparseReshape",
    "input_indices:int64, input_shape:int64, new_shape:int64 -> int64, int64",
    _sparse_reshape,
    diff=False,
    shape=_sparse_reshape_shapes,
)


@tf_export("sparse_reshape", "sparse.reshape")
def sparse_reshape(sp_input: Any, shape: Any, name: str | None = None) -> SparseTensor:
    sp_input = convert(sp_input)
    shape = cast(convert_to_tensor(shape), dtypes.int64)
    with name_scope(name, "SparseReshape", [sp_input.values]) as scope:
        indices, new_shape = apply_op("SparseReshape", sp_input.indices, sp_input.dense_shape, shape, name=scope)
        return SparseTensor(indices, apply_op("Identity", sp_input.values), new_shape)


@tf_export("sparse_transpose", "sparse.transpose")
def sparse_transpose(sp_input: Any, perm: Any = None, name: str | None = None) -> SparseTensor:
    sp_input = convert(sp_input)
    with name_scope(name, "SparseTranspose", [sp_input.values]):
        if perm is None:
            rank = sp_input.indices.get_shape().values[1]
            perm = list(range(rank))[::-1]
        indices = apply_op("GatherV2", sp_input.indices, perm, 1)
        dense = apply_op("GatherV2", sp_input.dense_shape, perm, 0)
        return sparse_reorder(SparseTensor(indices, sp_input.values, dense))


@tf_export("sparse.expand_dims")
def sparse_expand_dims(sp_input: Any, axis: int | None = None, name: str | None = None) -> SparseTensor:
    sp_input = convert(sp_input)
    rank = sp_input.indices.get_shape().values[1]
    axis = -1 if axis is None else axis
    axis = axis + rank + 1 if axis < 0 else axis
    with name_scope(name, "expand_dims", [sp_input.values]):
        zeros = apply_op("Mul", sp_input.indices[:, :1], 0)
        indices = apply_op("ConcatV2", [sp_input.indices[:, :axis], zeros, sp_input.indices[:, axis:]], 1)
        one = convert_to_tensor([1], dtype=dtypes.int64)
        dense = apply_op("ConcatV2", [sp_input.dense_shape[:axis], one, sp_input.dense_shape[axis:]], 0)
        return SparseTensor(indices, sp_input.values, dense)


def _sparse_concat(
    indices: list[TorchTensor], values: list[Any], shapes: list[TorchTensor], concat_dim: int
) -> tuple[TorchTensor, Any, TorchTensor]:
    sizes = [s.tolist() for s in shapes]
    axis = concat_dim % len(sizes[0])
    offset, moved = 0, []
    for index, size in zip(indices, sizes, strict=True):
        shift = torch.zeros(len(size), dtype=torch.int64)
        shift[axis] = offset
        moved.append(index + shift)
        offset += size[axis]
    whole = [max(s[n] for s in sizes) for n in range(len(sizes[0]))]
    whole[axis] = offset
    joined = np.concatenate(values) if isinstance(values[0], np.ndarray) else torch.cat(values)
    every = torch.cat(moved)
    order = torch.argsort(_linear(every, whole), stable=True)
    return every[order], _pick(joined, order), torch.tensor(whole)


op("SparseConcat", "indices:N*int64, values:N*T, shapes:N*int64 -> int64, T, int64", _sparse_concat, shape=_TRIPLE)


@tf_export("sparse_concat", "sparse.concat")
def sparse_concat(
    axis: int,
    sp_inputs: Any,
    name: str | None = None,
    expand_nonconcat_dim: bool = False,
    concat_dim: int | None = None,
    expand_nonconcat_dims: bool | None = None,
) -> SparseTensor:
    parts = [convert(s) for s in sp_inputs]
    axis = concat_dim if axis is None else axis
    return SparseTensor(
        *apply_op(
            "SparseConcat",
            [p.indices for p in parts],
            [p.values for p in parts],
            [p.dense_shape for p in parts],
            concat_dim=axis,
            name=name,
        )
    )


def _sparse_slice(
    indices: TorchTensor, values: Any, shape: TorchTensor, start: TorchTensor, size: TorchTensor
) -> tuple[TorchTensor, Any, TorchTensor]:
    stop = torch.minimum(start + size, shape)
    inside = ((indices >= start) & (indices < stop)).all(1)
    keep = inside.nonzero()[:, 0]
    return indices[keep] - start, _pick(values, keep), (stop - start).clamp(min=0)


op(
    "SparseSlice",
    "indices:int64, values:T, shape:int64, start:int64, size:int64 -> int64, T, int64",
    _sparse_slice,
    shape=_TRIPLE,
)


@tf_export("sparse_slice", "sparse.slice")
def sparse_slice(sp_input: Any, start: Any, size: Any, name: str | None = None) -> SparseTensor:
    sp_input = convert(sp_input)
    start, size = convert_to_tensor(start, dtypes.int64), convert_to_tensor(size, dtypes.int64)
    with name_scope(name, "SparseSlice", [sp_input.values]) as scope:
        return SparseTensor(*apply_op("SparseSlice", *_parts(sp_input), start, size, name=scope))


def _sparse_split(
    split_dim: TorchTensor, indices: TorchTensor, values: Any, shape: TorchTensor, num_split: int
) -> tuple[Any, ...]:
    axis, size = int(split_dim), int(shape[int(split_dim)])
    base, extra = divmod(size, num_split)
    found, at = [], 0
    for n in range(num_split):
        width = base + (1 if n < extra else 0)
        start, count = torch.zeros_like(shape), shape.clone()
        start[axis], count[axis] = at, width
        found.append(_sparse_slice(indices, values, shape, start, count))
        at += width
    return (*(f[0] for f in found), *(f[1] for f in found), *(f[2] for f in found))


def _sparse_split_shapes(operation: Any) -> list[TensorShape]:
    n, rank = operation.attrs["num_split"], (operation.inputs[1].shape.values or (None, None))[1]
    return [TensorShape([None, rank])] * n + [TensorShape([None])] * n + [TensorShape([rank])] * n


op(
    "SparseSplit",
    "split_dim:int64, indices:int64, values:T, shape:int64 -> num_split*int64, num_split*T, num_split*int64",
    _sparse_split,
    shape=_sparse_split_shapes,
)


@tf_export("sparse_split", "sparse.split")
def sparse_split(
    keyword_required: Any = None,
    sp_input: Any = None,
    num_split: int | None = None,
    axis: Any = None,
    name: str | None = None,
    split_dim: Any = None,
) -> list[SparseTensor]:
    if sp_input is None:
        raise ValueError("sp_input is required")
    if num_split is None:
        raise ValueError("num_split is required")
    axis = split_dim if axis is None else axis
    if axis is None:
        raise ValueError("axis is required")
    parts = apply_op("SparseSplit", axis, *_parts(convert(sp_input)), num_split=num_split, name=name)
    return [SparseTensor(parts[n], parts[n + num_split], parts[n + 2 * num_split]) for n in range(num_split)]


@tf_export("sparse_retain", "sparse.retain")
def sparse_retain(sp_input: Any, to_retain: Any) -> SparseTensor:
    sp_input = convert(sp_input)
    keep = convert_to_tensor(to_retain)
    sp_input.values.get_shape()[:1].merge_with(keep.get_shape()[:1])
    return SparseTensor(
        boolean_mask(sp_input.indices, keep),
        boolean_mask(sp_input.values, keep),
        apply_op("Identity", sp_input.dense_shape),
    )


@tf_export("sparse_reset_shape", "sparse.reset_shape")
def sparse_reset_shape(sp_input: Any, new_shape: Any = None) -> SparseTensor:
    sp_input = convert(sp_input)
    if new_shape is None:
        top = apply_op("Max", sp_input.indices, [0], keep_dims=False)
        shape = apply_op("Maximum", convert_to_tensor(0, dtype=dtypes.int64), top + 1)
    else:
        shape = cast(convert_to_tensor(new_shape), dtypes.int64)
        old, new = constant_value(sp_input.dense_shape), constant_value(shape)
        if old is not None and new is not None and (len(old) != len(new) or (np.asarray(old) > np.asarray(new)).any()):
            raise ValueError(f"Requested shape should be >= original shape: {new} < {old}")
    return SparseTensor(sp_input.indices, sp_input.values, shape)


def _fill_rows(indices: TorchTensor, values: Any, dense_shape: TorchTensor, default_value: Any) -> tuple[Any, ...]:
    rows = int(dense_shape[0])
    present = torch.bincount(indices[:, 0], minlength=rows)[:rows] > 0
    missing = (~present).nonzero()[:, 0]
    extra = torch.zeros(len(missing), indices.shape[1], dtype=torch.int64)
    extra[:, 0] = missing
    every = torch.cat([indices, extra])
    if isinstance(values, np.ndarray):
        filled: Any = np.concatenate([values, np.full(len(missing), default_value.item(), dtype=object)])
    else:
        filled = torch.cat([values, default_value.expand(len(missing))])
    order = torch.argsort(every[:, 0], stable=True)
    place = torch.argsort(order)[: len(indices)]
    return every[order], _pick(filled, order), ~present, place


op(
    "SparseFillEmptyRows",
    "indices:int64, values:T, dense_shape:int64, default_value:T -> int64, T, bool, int64",
    _fill_rows,
    shape=lambda o: [
        TensorShape([None, _rank(o)]),
        TensorShape([None]),
        constant_value_as_shape(o.inputs[2])[:1],
        TensorShape([None]),
    ],
)


@tf_export("sparse_fill_empty_rows", "sparse.fill_empty_rows")
def sparse_fill_empty_rows(sp_input: Any, default_value: Any, name: str | None = None) -> tuple[SparseTensor, Any]:
    """(the tensor with an entry in every row, which rows were empty)."""
    sp_input = convert(sp_input)
    with name_scope(name, "SparseFillEmptyRows", [sp_input.values]):
        default = convert_to_tensor(default_value, dtype=sp_input.values.dtype.base_dtype)
        indices, values, empty, _ = apply_op("SparseFillEmptyRows", *_parts(sp_input), default)
        return SparseTensor(indices, values, sp_input.dense_shape), empty
