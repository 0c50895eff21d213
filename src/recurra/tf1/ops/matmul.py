"""Matrix products: matmul, tensordot, einsum."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import batch_matmul
from recurra.tf1.shape_rules import matmul as matmul_shape
from recurra.tf1.shapes import TensorShape, unknown_shape
from recurra.tf1.tensor import Tensor

__all__ = ["matmul", "tensordot"]


def _matmul(a: TorchTensor, b: TorchTensor, transpose_a: bool = False, transpose_b: bool = False) -> TorchTensor:
    return torch.mm(a.t() if transpose_a else a, b.t() if transpose_b else b)


def _sparse_matmul(a: TorchTensor, b: TorchTensor, transpose_a: bool = False, transpose_b: bool = False) -> TorchTensor:
    return _matmul(a.float(), b.float(), transpose_a, transpose_b)


def _batch_matmul(x: TorchTensor, y: TorchTensor, adj_x: bool = False, adj_y: bool = False) -> TorchTensor:
    return torch.matmul(x.mH if adj_x else x, y.mH if adj_y else y)


op("MatMul", "a:T, b:T -> T", _matmul, shape=matmul_shape)
op("SparseMatMul", "a:Ta, b:Tb -> float32", _sparse_matmul, shape=matmul_shape)
op("BatchMatMul", "x:T, y:T -> T", _batch_matmul, shape=batch_matmul)
op("BatchMatMulV2", "x:T, y:T -> T", _batch_matmul, shape=batch_matmul)


@tf_export("matmul", "linalg.matmul")
def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Any:
    """Product of the last two dimensions."""
    with name_scope(name, "MatMul", [a, b]) as scope:
        if transpose_a and adjoint_a:
            raise ValueError("Only one of transpose_a and adjoint_a can be True.")
        if transpose_b and adjoint_b:
            raise ValueError("Only one of transpose_b and adjoint_b can be True.")
        a, b = convert_to_tensor(a, name="a"), convert_to_tensor(b, name="b")
        ranks = a.get_shape().ndims, b.get_shape().ndims
        if (
            (not (a_is_sparse or b_is_sparse) and all(r is None or r > 2 for r in ranks))
            or (ranks[0] or 0) > 2
            or (ranks[1] or 0) > 2
        ):
            a, adjoint_a = (_conjugated(a), True) if transpose_a else (a, adjoint_a)
            b, adjoint_b = (_conjugated(b), True) if transpose_b else (b, adjoint_b)
            return apply_op("BatchMatMulV2", a, b, adj_x=adjoint_a, adj_y=adjoint_b, name=scope)
        a, transpose_a = (_conjugated(a), True) if adjoint_a else (a, transpose_a)
        b, transpose_b = (_conjugated(b), True) if adjoint_b else (b, transpose_b)
        sparse_kinds = (dtypes.bfloat16, dtypes.float32)
        sparse = (
            (a_is_sparse or b_is_sparse) and a.dtype.base_dtype in sparse_kinds and b.dtype.base_dtype in sparse_kinds
        )
        if sparse and dtypes.bfloat16 in (a.dtype.base_dtype, b.dtype.base_dtype):
            return apply_op("SparseMatMul", a, b, transpose_a=transpose_a, transpose_b=transpose_b, name=scope)
        return apply_op("MatMul", a, b, transpose_a=transpose_a, transpose_b=transpose_b, name=scope)


def _conjugated(x: Any) -> Any:
    return apply_op("Conj", x) if x.dtype.is_complex else x


@tf_export("sparse_matmul")
def sparse_matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Any:
    return apply_op("SparseMatMul", a, b, transpose_a=transpose_a, transpose_b=transpose_b, name=name)


@tf_export("batch_matmul", era=((0, 0), (1, 0)))
def batch_matmul_old(x: Any, y: Any, adj_x: bool = False, adj_y: bool = False, name: str | None = None) -> Any:
    return apply_op("BatchMatMul", x, y, adj_x=adj_x, adj_y=adj_y, name=name)


export(batch_matmul_old, "batch_matmul")


@tf_export("tensordot", "linalg.tensordot")
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """Contraction over the axes given as a number or as a pair of lists."""
    with name_scope(name, "Tensordot", [a, b, axes]) as scope:
        a, b = convert_to_tensor(a, name="a"), convert_to_tensor(b, name="b")
        axes_a, axes_b = _tensordot_axes(a, axes)
        flat_a, free_a, static_a = _flattened(a, axes_a, False)
        flat_b, free_b, static_b = _flattened(b, axes_b, True)
        product = matmul(flat_a, flat_b)
        if isinstance(free_a, list) and isinstance(free_b, list):
            return apply_op("Reshape", product, [int(d) for d in free_a + free_b] or np.zeros(0, np.int32), name=scope)
        free_a, free_b = convert_to_tensor(free_a, dtype=dtypes.int32), convert_to_tensor(free_b, dtype=dtypes.int32)
        result = apply_op("Reshape", product, apply_op("ConcatV2", [free_a, free_b], 0, name="concat"), name=scope)
        if static_a is not None and static_b is not None:
            result.set_shape(static_a + static_b)
        return result


def _tensordot_axes(a: Any, axes: Any) -> tuple[Any, Any]:
    """The contracted axes of both: lists where they are known, else tensors."""
    if isinstance(axes, Tensor):
        known = constant_value(axes)
        if known is None:
            return tuple(apply_op("Unpack", axes, num=2, axis=0))  # type: ignore[return-value]
        axes = known.tolist()
    rank = a.get_shape().ndims
    if isinstance(axes, (int, np.integer)):
        if axes < 0:
            raise ValueError("'axes' must be at least 0.")
        if rank is not None:
            if axes > rank:
                raise ValueError(f"'axes' must not be larger than the number of dimensions of tensor {a}.")
            return list(range(rank - axes, rank)), list(range(axes))
        size = apply_op("Rank", a)
        return apply_op("Range", size - axes, size, 1), list(range(axes))
    if len(axes) != 2:
        raise ValueError("'axes' must be an integer or have length 2.")
    first, second = ([x] if isinstance(x, (int, np.integer)) else [int(i) for i in np.asarray(x)] for x in axes)
    if len(first) != len(second):
        raise ValueError(f"Different number of contraction axes 'a' and 'b', {len(first)} != {len(second)}.")
    return first, second


def _flattened(tensor: Any, axes: list[int], first: bool) -> tuple[Any, Any, list[int | None] | None]:
    """`tensor` as a matrix with the contracted axes first or last, and its free sizes (a list when known)."""
    shape = tensor.get_shape()
    rank = shape.ndims
    if rank is None or isinstance(axes, Tensor):
        return _flattened_at_run_time(tensor, axes, first)
    if any(not -rank <= a < rank for a in axes):
        raise IndexError(f"Axis of tensordot out of range for a tensor of rank {rank}: {axes}")
    axes = [a % rank for a in axes]
    free = [a for a in range(rank) if a not in axes]
    order = axes + free if first else free + axes
    static = [shape.values[a] for a in free]
    contracted = [shape.values[a] for a in axes]
    if None not in static and None not in contracted:
        inner, outer = int(np.prod(contracted)), int(np.prod(static))  # type: ignore[arg-type]
        moved = apply_op("Transpose", tensor, np.array(order, np.int32), name="transpose")
        return apply_op("Reshape", moved, [inner, outer] if first else [outer, inner]), static, static
    # As many operations as TensorFlow makes here: a later initializer's seed is the number of those before it.
    summed = convert_to_tensor(np.array(axes, np.int32), name="axes")
    kept = convert_to_tensor(np.array(free, np.int32), name="free")
    sizes = apply_op("Shape", tensor, out_type=dtypes.int32)
    free_sizes, axes_sizes = (apply_op("GatherV2", sizes, which, 0) for which in (kept, summed))
    free_size, axes_size = (apply_op("Prod", t, [0], keep_dims=False) for t in (free_sizes, axes_sizes))
    places, pair = ([summed, kept], [axes_size, free_size]) if first else ([kept, summed], [free_size, axes_size])
    order = apply_op("ConcatV2", places, 0, name="concat")
    flat_shape = apply_op("Pack", pair, axis=0, name="stack")
    return apply_op("Reshape", apply_op("Transpose", tensor, order, name="transpose"), flat_shape), free_sizes, static


def _flattened_at_run_time(tensor: Any, axes: Any, first: bool) -> tuple[Any, Any, None]:
    """As `_flattened`, where the rank or the axes are known only then."""
    sizes, rank = apply_op("Shape", tensor, out_type=dtypes.int32), apply_op("Rank", tensor)
    axes = convert_to_tensor(axes, dtype=dtypes.int32)
    axes = apply_op("FloorMod", axes, rank)
    free = apply_op("ListDiff", apply_op("Range", 0, rank, 1), axes, out_idx=dtypes.int32)[0]
    free_sizes = apply_op("GatherV2", sizes, free, 0)
    inner = apply_op("Prod", apply_op("GatherV2", sizes, axes, 0), [0], keep_dims=False)
    outer = apply_op("Prod", free_sizes, [0], keep_dims=False)
    moved = apply_op("Transpose", tensor, apply_op("ConcatV2", [axes, free] if first else [free, axes], 0))
    return (
        apply_op("Reshape", moved, apply_op("Pack", [inner, outer] if first else [outer, inner], axis=0)),
        free_sizes,
        None,
    )


def _einsum(inputs: list[TorchTensor], equation: str) -> TorchTensor:
    return torch.einsum(equation, *inputs)


def _einsum_shape(operation: Any) -> TensorShape:
    left, right = operation.attrs["equation"].split("->")
    sizes: dict[str, int | None] = {}
    for labels, tensor in zip(left.split(","), operation.inputs, strict=True):
        if "." in labels or tensor.shape.ndims is None:
            return unknown_shape()
        for label, size in zip(labels, tensor.shape.values or (), strict=True):
            if sizes.get(label) not in (None, size) and size is not None:
                raise ValueError(f"Dimensions must be equal, but are {sizes[label]} and {size}")
            sizes[label] = size if size is not None else sizes.get(label)
    return TensorShape([sizes[label] for label in right])


op("Einsum", "inputs:N*T -> T", _einsum, shape=_einsum_shape)


@tf_export("einsum", "linalg.einsum")
def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Any:
    """Contraction in Einstein's notation; without `->` the labels that occur once, in alphabetical order."""
    name = kwargs.pop("name", None)
    if kwargs:
        raise TypeError("invalid keyword arguments for this function: " + ", ".join(sorted(kwargs)))
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    labels = left.split(",")
    if len(labels) != len(inputs):
        raise ValueError(f"Incorrect number of arguments: expected {len(labels)}, got {len(inputs)}")
    if not arrow:
        flat = left.replace(",", "").replace(".", "")
        right = "".join(sorted(c for c in set(flat) if flat.count(c) == 1))
    with name_scope(name, "einsum", [equation, inputs]) as scope:
        tensors = [convert_to_tensor(t) for t in inputs]
        return apply_op("Einsum", tensors, equation=f"{left}->{right}", name=scope)


@tf_export("trace", "linalg.trace")
def trace(x: Any, name: str | None = None) -> Any:
    from recurra.tf1.ops.math_reduce import reduce_sum

    with name_scope(name, "Trace", [x]) as scope:
        return reduce_sum(apply_op("MatrixDiagPart", convert_to_tensor(x, name="x")), [-1], name=scope)
