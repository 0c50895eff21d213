"""tf.sparse: operations over (indices, values, dense_shape), and tf.sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value, constant_value_as_shape
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.fetches import SparseTensorValue
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.array_gather import boolean_mask
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.slices import IndexedSlices, SparseTensor
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape

__all__ = ["sparse_tensor_dense_matmul", "sparse_tensor_to_dense"]


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
    "SparseToDense", "sparse_indices:Tindices, output_shape:Tindices, sparse_values:T, default_value:T -> T", _to_dense,
    shape=lambda o: constant_value_as_shape(o.inputs[1]),
)  # fmt: skip


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


# -- re-arranging -----------------------------------------------------------------------------------------------------------
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
    "SparseSplit", "split_dim:int64, indices:int64, values:T, shape:int64 -> num_split*int64, num_split*T, num_split*int64", _sparse_split,
    shape=_sparse_split_shapes,
)  # fmt: skip


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
    "SparseFillEmptyRows", "indices:int64, values:T, dense_shape:int64, default_value:T -> int64, T, bool, int64", _fill_rows,
    shape=lambda o: [TensorShape([None, _rank(o)]), TensorShape([None]), constant_value_as_shape(o.inputs[2])[:1], TensorShape([None])],
)  # fmt: skip


@tf_export("sparse_fill_empty_rows", "sparse.fill_empty_rows")
def sparse_fill_empty_rows(sp_input: Any, default_value: Any, name: str | None = None) -> tuple[SparseTensor, Any]:
    """(the tensor with an entry in every row, which rows were empty)."""
    sp_input = convert(sp_input)
    with name_scope(name, "SparseFillEmptyRows", [sp_input.values]):
        default = convert_to_tensor(default_value, dtype=sp_input.values.dtype.base_dtype)
        indices, values, empty, _ = apply_op("SparseFillEmptyRows", *_parts(sp_input), default)
        return SparseTensor(indices, values, sp_input.dense_shape), empty


# -- arithmetic -------------------------------------------------------------------------------------------------------------
def _merged(
    a: tuple[Any, ...], b: tuple[Any, ...], shape: list[int], combine: Callable[[TorchTensor, TorchTensor], TorchTensor]
) -> tuple[TorchTensor, TorchTensor]:
    """The union of two index sets and the combined values, zeros standing in for what one lacks."""
    first, second = _linear(a[0], shape), _linear(b[0], shape)
    every = torch.unique(torch.cat([first, second]))

    def spread(flat, values):
        return torch.zeros(len(every), dtype=values.dtype).index_put((torch.searchsorted(every, flat),), values)

    return _unlinear(every, shape), combine(spread(first, a[1]), spread(second, b[1]))


def _sparse_add(
    a_indices: TorchTensor,
    a_values: TorchTensor,
    a_shape: TorchTensor,
    b_indices: TorchTensor,
    b_values: TorchTensor,
    b_shape: TorchTensor,
    thresh: TorchTensor,
) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
    indices, values = _merged((a_indices, a_values), (b_indices, b_values), a_shape.tolist(), torch.add)
    keep = (values.abs() >= thresh).nonzero()[:, 0]
    return indices[keep], values[keep], a_shape


_PAIR = "a_indices:int64, a_values:T, a_shape:int64, b_indices:int64, b_values:T, b_shape:int64"
op("SparseAdd", f"{_PAIR}, thresh:Treal -> int64, T, int64", _sparse_add, shape=_TRIPLE)


def _sparse_extreme(
    pick: Callable[[TorchTensor, TorchTensor], TorchTensor],
) -> Callable[..., tuple[TorchTensor, TorchTensor]]:
    def lower(
        a_indices: TorchTensor,
        a_values: TorchTensor,
        a_shape: TorchTensor,
        b_indices: TorchTensor,
        b_values: TorchTensor,
        b_shape: TorchTensor,
    ) -> tuple[TorchTensor, TorchTensor]:
        return _merged((a_indices, a_values), (b_indices, b_values), a_shape.tolist(), pick)

    return lower


for _kind, _pick_fn, _name in (
    ("SparseSparseMaximum", torch.maximum, "maximum"),
    ("SparseSparseMinimum", torch.minimum, "minimum"),
):
    op(_kind, f"{_PAIR} -> int64, T", _sparse_extreme(_pick_fn), diff=False, shape=lambda o: _TRIPLE(o)[:2])

    def _extreme_function(sp_a: Any, sp_b: Any, name: str | None = None, _kind: str = _kind) -> SparseTensor:
        a, b = convert(sp_a), convert(sp_b)
        indices, values = apply_op(_kind, *_parts(a), *_parts(b), name=name)
        return SparseTensor(indices, values, a.dense_shape)

    export(_extreme_function, f"sparse_{_name}", f"sparse.{_name}")


def _tensor_dense_add(
    a_indices: TorchTensor, a_values: TorchTensor, a_shape: TorchTensor, b: TorchTensor
) -> TorchTensor:
    return b.index_put(tuple(a_indices.unbind(1)), a_values, accumulate=True)


op(
    "SparseTensorDenseAdd",
    "a_indices:int64, a_values:T, a_shape:int64, b:T -> T",
    _tensor_dense_add,
    shape=lambda o: o.inputs[3].shape,
)


@tf_export("sparse_add", "sparse.add")
def sparse_add(a: Any, b: Any, threshold: Any = None, thresh: Any = None) -> Any:
    threshold = thresh if threshold is None else threshold
    if not any(isinstance(t, (SparseTensor, SparseTensorValue)) for t in (a, b)):
        raise TypeError("At least one input should be SparseTensor; do you mean to use tf.add()?")
    if all(isinstance(t, (SparseTensor, SparseTensorValue)) for t in (a, b)):
        a, b = convert(a), convert(b)
        limit = convert_to_tensor(
            0 if threshold is None else threshold, dtype=a.values.dtype.real_dtype.base_dtype, name="thresh"
        )
        return SparseTensor(*apply_op("SparseAdd", *_parts(a), *_parts(b), limit))
    if isinstance(b, (SparseTensor, SparseTensorValue)):
        a, b = b, a
    return apply_op("SparseTensorDenseAdd", *_parts(convert(a)), b)


def _with_dense(combine: Callable[[TorchTensor, TorchTensor], TorchTensor]) -> Callable[..., TorchTensor]:
    def lower(
        sp_indices: TorchTensor, sp_values: TorchTensor, sp_shape: TorchTensor, dense: TorchTensor
    ) -> TorchTensor:
        return combine(sp_values, dense.expand(sp_shape.tolist())[tuple(sp_indices.unbind(1))])

    return lower


for _kind, _combine in (
    ("SparseDenseCwiseMul", torch.mul),
    ("SparseDenseCwiseDiv", torch.div),
    ("SparseDenseCwiseAdd", torch.add),
):
    op(
        _kind,
        "sp_indices:int64, sp_values:T, sp_shape:int64, dense:T -> T",
        _with_dense(_combine),
        shape=lambda o: o.inputs[1].shape,
    )


def _sparse_matmul(
    a_indices: TorchTensor,
    a_values: TorchTensor,
    a_shape: TorchTensor,
    b: TorchTensor,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
) -> TorchTensor:
    rows, columns = a_indices.unbind(1)
    size, inner = a_shape.tolist()
    if adjoint_a:
        rows, columns, size, inner = columns, rows, inner, size
    right = b.mH if adjoint_b else b
    if right.shape[0] != inner:
        raise InvalidArgumentError(
            None,
            None,
            f"Cannot multiply A and B because inner dimension does not match: {inner} vs. {right.shape[0]}.  Did you"
            f" forget a transpose?  Dimensions of A: [{size}, {inner}).  Dimensions of B: {list(b.shape)}",
        )
    weights = a_values.conj() if adjoint_a and a_values.is_complex() else a_values
    return torch.zeros(size, right.shape[1], dtype=b.dtype).index_add(0, rows, weights.unsqueeze(1) * right[columns])


def _sparse_matmul_shape(operation: Any) -> TensorShape:
    a, b = constant_value_as_shape(operation.inputs[2]), operation.inputs[3].shape.with_rank(2)
    left = (a.values or (None, None))[1 if operation.attrs.get("adjoint_a") else 0]
    return TensorShape([left, (b.values or (None, None))[0 if operation.attrs.get("adjoint_b") else 1]])


op(
    "SparseTensorDenseMatMul",
    "a_indices:int64, a_values:T, a_shape:int64, b:T -> T",
    _sparse_matmul,
    shape=_sparse_matmul_shape,
)


@tf_export("sparse_tensor_dense_matmul", "sparse.sparse_dense_matmul", "sparse.matmul")
def sparse_tensor_dense_matmul(
    sp_a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None
) -> Any:
    sp_a = convert(sp_a)
    with name_scope(name, "SparseTensorDenseMatMul", [sp_a.indices, sp_a.values, b]) as scope:
        return apply_op(
            "SparseTensorDenseMatMul",
            *_parts(sp_a),
            convert_to_tensor(b, name="b"),
            adjoint_a=adjoint_a,
            adjoint_b=adjoint_b,
            name=scope,
        )


def _sparse_reduce(kind: str) -> Callable[..., TorchTensor]:
    def lower(
        input_indices: TorchTensor,
        input_values: TorchTensor,
        input_shape: TorchTensor,
        reduction_axes: TorchTensor,
        keep_dims: bool = False,
    ) -> TorchTensor:
        shape = input_shape.tolist()
        rank = len(shape)
        axes = {int(a) % rank for a in reduction_axes.reshape(-1)} or (
            set(range(rank)) if reduction_axes.numel() == 0 and reduction_axes.dim() else set()
        )
        rest = [a for a in range(rank) if a not in axes]
        groups = (
            _linear(input_indices[:, rest], [shape[a] for a in rest])
            if rest
            else torch.zeros(len(input_indices), dtype=torch.int64)
        )
        count = int(np.prod([shape[a] for a in rest]))
        if kind == "sum":
            flat = torch.zeros(count, dtype=input_values.dtype).index_add(0, groups, input_values)
        else:
            flat = torch.zeros(count, dtype=input_values.dtype).scatter_reduce(
                0, groups, input_values, "amax", include_self=False
            )
        return flat.reshape(
            [1 if a in axes else s for a, s in enumerate(shape)] if keep_dims else [shape[a] for a in rest]
        )

    return lower


def _sparse_reduce_shape(operation: Any) -> TensorShape:
    shape, axes = constant_value_as_shape(operation.inputs[2]), constant_value(operation.inputs[3])
    if shape.ndims is None or axes is None:
        return unknown_shape()
    dropped = {int(a) % shape.ndims for a in np.ravel(axes)} if np.size(axes) else set(range(shape.ndims))
    keep = operation.attrs.get("keep_dims", False)
    return TensorShape([1 if a in dropped else d for a, d in enumerate(shape.values or ()) if keep or a not in dropped])


def _sparse_reduction(kind: str, how: str, name: str) -> None:
    op(
        kind,
        "input_indices:int64, input_values:T, input_shape:int64, reduction_axes:int32 -> T",
        _sparse_reduce(how),
        shape=_sparse_reduce_shape,
    )

    def function(
        sp_input: Any, axis: Any = None, keepdims: Any = None, reduction_axes: Any = None, keep_dims: Any = None
    ) -> Any:
        axis = reduction_axes if axis is None else axis
        sp = convert(sp_input)
        axes = axis if axis is not None else np.arange(sp.indices.get_shape().values[1], dtype=np.int32)
        return apply_op(kind, *_parts(sp), axes, keep_dims=bool(keep_dims if keepdims is None else keepdims))

    export(function, f"sparse_{name}", f"sparse.{name}")

    def as_sparse(*args: Any, **kwargs: Any) -> SparseTensor:
        return from_dense(function(*args, **kwargs))

    export(as_sparse, f"sparse_{name}_sparse", f"sparse.{name}_sparse")


_sparse_reduction("SparseReduceSum", "sum", "reduce_sum")
_sparse_reduction("SparseReduceMax", "max", "reduce_max")


def _sparse_softmax(sp_indices: TorchTensor, sp_values: TorchTensor, sp_shape: TorchTensor) -> TorchTensor:
    shape = sp_shape.tolist()
    groups = _linear(sp_indices[:, :-1], shape[:-1])
    count = int(np.prod(shape[:-1]))
    peak = torch.full((count,), float("-inf"), dtype=sp_values.dtype).scatter_reduce(
        0, groups, sp_values.detach(), "amax"
    )
    powers = torch.exp(sp_values - peak[groups])
    return powers / torch.zeros(count, dtype=sp_values.dtype).index_add(0, groups, powers)[groups]


op(
    "SparseSoftmax",
    "sp_indices:int64, sp_values:T, sp_shape:int64 -> T",
    _sparse_softmax,
    shape=lambda o: o.inputs[1].shape,
)


@tf_export("sparse_softmax", "sparse.softmax")
def sparse_softmax(sp_input: Any, name: str | None = None) -> SparseTensor:
    with name_scope(name, "SparseSoftmax", [sp_input.indices, sp_input.values]):
        return SparseTensor(sp_input.indices, apply_op("SparseSoftmax", *_parts(sp_input)), sp_input.dense_shape)


# -- making ---------------------------------------------------------------------------------------------------------------
@tf_export("sparse.from_dense", "contrib.layers.dense_to_sparse_")
def from_dense(tensor: Any, name: str | None = None) -> SparseTensor:
    with name_scope(name, "dense_to_sparse"):
        tensor = convert_to_tensor(tensor)
        zero = convert_to_tensor(
            "" if tensor.dtype == dtypes.string else False if tensor.dtype.is_bool else 0, dtype=tensor.dtype.base_dtype
        )
        places = apply_op("Where", apply_op("NotEqual", tensor, zero))
        return SparseTensor(
            places, apply_op("GatherNd", tensor, places), apply_op("Shape", tensor, out_type=dtypes.int64)
        )


@tf_export("sparse.eye")
def sparse_eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = dtypes.float32, name: str | None = None
) -> SparseTensor:
    columns = num_rows if num_columns is None else num_columns
    count = min(num_rows, columns)
    with name_scope(name, "eye", [num_rows, num_columns]):
        index = np.stack([np.arange(count)] * 2, 1).astype(np.int64)
        kind = dtypes.as_dtype(dtype)
        return SparseTensor(
            index, convert_to_tensor(np.ones(count, kind.as_numpy_dtype)), np.array([num_rows, columns], np.int64)
        )


@tf_export("sparse_to_indicator", "sparse.to_indicator")
def sparse_to_indicator(sp_input: Any, vocab_size: int, name: str | None = None) -> Any:
    sp_input = convert(sp_input)
    with name_scope(name, "SparseToIndicator", [sp_input.values]) as scope:
        ones = cast(apply_op("OnesLike", sp_input.values), dtypes.bool_)
        merged = sparse_merge(sp_input, SparseTensor(sp_input.indices, ones, sp_input.dense_shape), vocab_size)
        return sparse_tensor_to_dense(merged, default_value=False, validate_indices=False, name=scope)


@tf_export("sparse_merge", "sparse.merge")
def sparse_merge(
    sp_ids: Any, sp_values: Any, vocab_size: Any, name: str | None = None, already_sorted: bool = False
) -> SparseTensor:
    """A sparse tensor whose last index is the id."""
    ids = list(sp_ids) if isinstance(sp_ids, (list, tuple)) else [sp_ids]
    sizes = list(vocab_size) if isinstance(vocab_size, (list, tuple)) else [vocab_size]
    with name_scope(name, "SparseMerge", [sp_values.values]):
        columns = [apply_op("ExpandDims", cast(s.values, dtypes.int64), 1) for s in ids]
        indices = apply_op("ConcatV2", [ids[0].indices[:, :-1], *columns], 1)
        tail = [apply_op("Reshape", cast(convert_to_tensor(v), dtypes.int64), [1]) for v in sizes]
        shape = apply_op("ConcatV2", [ids[0].dense_shape[:-1], *tail], 0)
        result = SparseTensor(indices, sp_values.values, shape)
        return result if already_sorted else sparse_reorder(result)


@tf_export("sparse_mask", "sparse.mask")
def sparse_mask(a: Any, mask_indices: Any, name: str | None = None) -> IndexedSlices:
    """The slices whose indices are not among `mask_indices`."""
    with name_scope(name, "sparse_mask", [a.values, mask_indices]) as scope:
        indices = convert_to_tensor(a.indices)
        kept, places = apply_op("ListDiff", indices, convert_to_tensor(mask_indices), out_idx=dtypes.int32)
        return IndexedSlices(apply_op("GatherV2", a.values, places, 0, name=scope), kept, a.dense_shape)


# -- sets -----------------------------------------------------------------------------------------------------------------
def _set_operation(set1: TorchTensor, set2: TorchTensor, set_operation: str) -> tuple[Any, ...]:
    rows = []
    for place in np.ndindex(*set1.shape[:-1]):
        a, b = set(set1[place].tolist()), set(set2[place].tolist())
        result = {"intersection": a & b, "union": a | b, "a-b": a - b, "b-a": b - a}[set_operation]
        rows.append((place, sorted(result)))
    index = [[*place, n] for place, items in rows for n in range(len(items))]
    values = torch.tensor([v for _, items in rows for v in items], dtype=set1.dtype)
    widest = max((len(items) for _, items in rows), default=0)
    return (
        torch.tensor(index, dtype=torch.int64).reshape(-1, set1.dim()),
        values,
        torch.tensor([*set1.shape[:-1], widest]),
    )


op(
    "DenseToDenseSetOperation", "set1:T, set2:T -> int64, T, int64", _set_operation, diff=False,
    shape=lambda o: [TensorShape([None, o.inputs[0].shape.ndims]), TensorShape([None]), TensorShape([o.inputs[0].shape.ndims])],
)  # fmt: skip


def _set_function(kind: str, *dotted: str) -> None:
    def function(a: Any, b: Any, *options: Any, **named: Any) -> SparseTensor:
        how = kind
        if kind == "a-b" and not (options[0] if options else named.get("aminusb", True)):
            how = "b-a"
        return SparseTensor(*apply_op("DenseToDenseSetOperation", a, b, set_operation=how))

    export(function, *dotted)


for _kind, _name in (("intersection", "intersection"), ("union", "union"), ("a-b", "difference")):
    _set_function(_kind, f"sets.{_name}", f"sets.set_{_name}")


def _set_size(set_indices: TorchTensor, set_values: Any, set_shape: TorchTensor) -> TorchTensor:
    shape = set_shape.tolist()[:-1]
    groups = _linear(set_indices[:, :-1], shape).tolist()
    distinct: dict[int, set[Any]] = {}
    for group, value in zip(groups, set_values.tolist(), strict=True):
        distinct.setdefault(group, set()).add(value)
    flat = torch.zeros(int(np.prod(shape)), dtype=torch.int32)
    for group, values in distinct.items():
        flat[group] = len(values)
    return flat.reshape(shape)


op(
    "SetSize",
    "set_indices:int64, set_values:T, set_shape:int64 -> int32",
    _set_size,
    diff=False,
    shape=lambda o: (
        constant_value_as_shape(o.inputs[2])[:-1] if constant_value_as_shape(o.inputs[2]).ndims else unknown_shape()
    ),
)


@tf_export("sets.size", "sets.set_size")
def set_size(a: Any, validate_indices: bool = True) -> Any:
    return apply_op("SetSize", *_parts(convert(a)))
