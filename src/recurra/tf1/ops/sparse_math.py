"""Arithmetic over sparse tensors."""

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
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.slices import IndexedSlices, SparseTensor
from recurra.tf1.ops.sparse import _TRIPLE, _linear, _parts, _unlinear, convert, sparse_reorder, sparse_tensor_to_dense
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape


# -- arithmetic -------------------------------------------------------------------------------------------------------------  # noqa: E501
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


# -- making ---------------------------------------------------------------------------------------------------------------  # noqa: E501
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
