"""Tensors made from nothing: zeros, ones, fill, range, eye, diagonals, meshgrid, repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, constant, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.names import tf_export
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import from_const, same
from recurra.tf1.shapes import TensorShape, as_shape, unknown_shape
from recurra.tf1.tensor import TensorLike

__all__ = ["fill", "ones", "ones_like", "range_", "zeros", "zeros_like"]


def _fill(dims: TorchTensor, value: Any) -> Any:
    sizes = dims.tolist()
    return np.full(sizes, value.item(), dtype=object) if isinstance(value, np.ndarray) else value.expand(sizes)


def _fill_shape(operation: Any) -> TensorShape:
    dims = constant_value(operation.inputs[0])
    if dims is not None and (np.asarray(dims) < 0).any():
        raise ValueError("Fill dimensions must be >= 0")
    return from_const(0)(operation)


def _like(value: int, text: bytes) -> Any:
    def run(x: Any) -> Any:
        return np.full(x.shape, text, dtype=object) if isinstance(x, np.ndarray) else torch.full_like(x, value)

    return run


op("Fill", "dims:index_type, value:T -> T", _fill, shape=_fill_shape, index_type=dtypes.int32)
op("ZerosLike", "x:T -> T", _like(0, b""), diff=False, shape=same)
op("OnesLike", "x:T -> T", _like(1, b""), diff=False, shape=same)


@tf_export("fill")
def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    return apply_op("Fill", dims, value, name=name)


def _filled(label: str, value: int) -> Any:
    def function(shape: Any, dtype: Any = dtypes.float32, name: str | None = None) -> Any:
        kind = dtypes.as_dtype(dtype).base_dtype
        with name_scope(name, label, [shape]) as scope:
            entry: Any = bool(value) if kind.is_bool else "" if kind == dtypes.string else value
            if not isinstance(shape, TensorLike):
                try:
                    sizes = as_shape(shape) if not isinstance(shape, np.ndarray) else TensorShape(shape.tolist())
                    if sizes.is_fully_defined() and (sizes.num_elements() or 0) < 1000:
                        return constant(entry, kind, shape=sizes, name=scope)
                    shape = convert_to_tensor(sizes, dtype=dtypes.int32)
                except (TypeError, ValueError):
                    shape = convert_to_tensor(shape, dtype=dtypes.int32)
            if shape.get_shape().ndims != 1:
                shape = apply_op("Reshape", shape, [-1])
            return apply_op("Fill", shape, constant(entry, kind), name=scope)

    return function


zeros = tf_export("zeros")(_filled("zeros", 0))
ones = tf_export("ones")(_filled("ones", 1))


def _filled_like(kind: str, label: str, make: Any) -> Any:
    def function(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Any:
        with name_scope(name, label, [tensor]) as scope:
            tensor = convert_to_tensor(tensor, name="tensor")
            target = dtypes.as_dtype(dtype or tensor.dtype).base_dtype
            static = tensor.get_shape()
            if optimize and static.is_fully_defined() and tensor.dtype != dtypes.variant:
                return make(static, dtype=target, name=scope)
            if target == tensor.dtype.base_dtype:
                return apply_op(kind, tensor, name=scope)
            sizes = apply_op("Shape", tensor, out_type=dtypes.int32, name=None)
            result = make(sizes, dtype=target, name=scope)
            result.set_shape(static)
            return result

    return function


zeros_like = tf_export("zeros_like")(_filled_like("ZerosLike", "zeros_like", zeros))
ones_like = tf_export("ones_like")(_filled_like("OnesLike", "ones_like", ones))


def _range(start: TorchTensor, limit: TorchTensor, delta: TorchTensor) -> TorchTensor:
    step = delta.item()
    if step == 0:
        from recurra.tf1.errors import InvalidArgumentError

        raise InvalidArgumentError(None, None, "Requires delta != 0: 0")
    first, last = start.item(), limit.item()
    if not start.dtype.is_floating_point:
        return torch.arange(first, max(first, last) if step > 0 else min(first, last), step, dtype=start.dtype)
    count = max(0, int(np.ceil(abs((last - first) / step))) if (last - first) * step > 0 else 0)
    return start + torch.arange(count, dtype=start.dtype) * delta


def _range_shape(operation: Any) -> TensorShape:
    values = [constant_value(t) for t in operation.inputs]
    if any(v is None for v in values):
        return TensorShape([None])
    first, last, step = (v.item() for v in values)  # type: ignore[union-attr]
    if step == 0:
        raise ValueError("Requires delta != 0")
    if step > 0 and first > last:
        raise ValueError(f"Requires start <= limit when delta > 0: {first}/{last}")
    if step < 0 and first < last:
        raise ValueError(f"Requires start >= limit when delta < 0: {first}/{last}")
    return TensorShape([max(0, int(np.ceil((last - first) / step)))])


op("Range", "start:Tidx, limit:Tidx, delta:Tidx -> Tidx", _range, diff=False, shape=_range_shape)
_ORDER = (dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64)


@tf_export("range")
def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str = "range") -> Any:
    if limit is None:
        start, limit = 0, start
    with name_scope(name, "Range", [start, limit, delta]) as scope:
        parts = [
            convert_to_tensor(v, dtype=None if isinstance(v, TensorLike) else dtype, name=n)
            for v, n in ((start, "start"), (limit, "limit"), (delta, "delta"))
        ]
        if dtype is None:
            kinds = [p.dtype.base_dtype for p in parts]
            common = max(kinds, key=lambda k: _ORDER.index(k) if k in _ORDER else -1)
            parts = [cast(p, common) for p in parts]
        else:
            parts = [cast(p, dtype) for p in parts]
        return apply_op("Range", *parts, name=scope)


def _linspace(start: TorchTensor, stop: TorchTensor, num: TorchTensor) -> TorchTensor:
    count = int(num)
    if count == 1:
        return start.reshape(1)
    return start + torch.arange(count, dtype=start.dtype) * ((stop - start) / (count - 1))


def _linspace_shape(operation: Any) -> TensorShape:
    count = constant_value(operation.inputs[2])
    if count is not None and int(count) <= 0:
        raise ValueError(f"Requires num > 0: {count}")
    return TensorShape([None if count is None else int(count)])


op("LinSpace", "start:T, stop:T, num:Tidx -> T", _linspace, diff=False, shape=_linspace_shape)


@tf_export("linspace", "lin_space")
def linspace(start: Any, stop: Any, num: Any, name: str | None = None) -> Any:
    return apply_op("LinSpace", start, stop, num, name=name)


# -- diagonals ------------------------------------------------------------------------------------------------------------  # noqa: E501
def _diag(diagonal: TorchTensor) -> TorchTensor:
    return torch.diag(diagonal.reshape(-1)).reshape(diagonal.shape * 2)


def _diag_part(input: TorchTensor) -> TorchTensor:
    half = input.shape[: input.dim() // 2]
    count = int(np.prod(half))
    return input.reshape(count, count).diagonal().reshape(half)


def _half(operation: Any) -> TensorShape:
    shape = operation.inputs[0].shape
    return shape if shape.ndims is None else shape[: shape.ndims // 2].merge_with(shape[shape.ndims // 2 :])


op("Diag", "diagonal:T -> T", _diag, shape=lambda o: o.inputs[0].shape.concatenate(o.inputs[0].shape))
op("DiagPart", "input:T -> T", _diag_part, shape=_half)


def _matrix_diag_shape(operation: Any) -> TensorShape:
    shape = operation.inputs[0].shape.with_rank_at_least(1)
    return shape if shape.ndims is None else shape.concatenate(shape[-1:])


def _matrix_diag_part_shape(operation: Any) -> TensorShape:
    shape = operation.inputs[0].shape.with_rank_at_least(2)
    if shape.ndims is None:
        return shape
    rows, columns = (shape.values or ())[-2:]
    return shape[:-2].concatenate([None if None in (rows, columns) else min(rows, columns)])  # type: ignore[type-var]


def _set_diag(input: TorchTensor, diagonal: TorchTensor) -> TorchTensor:
    rows, columns = input.shape[-2:]
    count = min(rows, columns)
    mask = torch.eye(rows, columns, dtype=torch.bool)
    spread = torch.zeros_like(input).diagonal_scatter(diagonal[..., :count], dim1=-2, dim2=-1)
    return torch.where(mask, spread, input)


def _band_part(input: TorchTensor, num_lower: TorchTensor, num_upper: TorchTensor) -> TorchTensor:
    low, high = int(num_lower), int(num_upper)
    rows, columns = input.shape[-2:]
    offset = torch.arange(columns) - torch.arange(rows).unsqueeze(1)
    keep = (offset >= -(low if low >= 0 else rows)) & (offset <= (high if high >= 0 else columns))
    return torch.where(keep, input, torch.zeros((), dtype=input.dtype))


op("MatrixDiag", "diagonal:T -> T", torch.diag_embed, shape=_matrix_diag_shape)
op("MatrixDiagPart", "input:T -> T", lambda input: input.diagonal(dim1=-2, dim2=-1), shape=_matrix_diag_part_shape)
op("MatrixSetDiag", "input:T, diagonal:T -> T", _set_diag, shape=same)
op("MatrixBandPart", "input:T, num_lower:Tindex, num_upper:Tindex -> T", _band_part, shape=same, Tindex=dtypes.int64)


def _offset_unsupported(k: Any) -> None:
    if not isinstance(k, int) or k != 0:
        raise NotImplementedError(f"diagonals other than the main one (k={k!r})")


@tf_export("diag", "linalg.tensor_diag")
def diag(diagonal: Any, name: str | None = None) -> Any:
    return apply_op("Diag", diagonal, name=name)


@tf_export("diag_part", "linalg.tensor_diag_part")
def diag_part(input: Any, name: str | None = None) -> Any:
    return apply_op("DiagPart", input, name=name)


@tf_export("matrix_diag", "linalg.diag")
def matrix_diag(
    diagonal: Any, name: str = "diag", k: Any = 0, num_rows: int = -1, num_cols: int = -1, padding_value: Any = 0
) -> Any:
    _offset_unsupported(k)
    return apply_op("MatrixDiag", diagonal, name=name)


@tf_export("matrix_diag_part", "linalg.diag_part")
def matrix_diag_part(input: Any, name: str = "diag_part", k: Any = 0, padding_value: Any = 0) -> Any:
    _offset_unsupported(k)
    return apply_op("MatrixDiagPart", input, name=name)


@tf_export("matrix_set_diag", "linalg.set_diag")
def matrix_set_diag(input: Any, diagonal: Any, name: str = "set_diag", k: Any = 0) -> Any:
    _offset_unsupported(k)
    return apply_op("MatrixSetDiag", input, diagonal, name=name)


@tf_export("matrix_band_part", "linalg.band_part")
def matrix_band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Any:
    return apply_op("MatrixBandPart", input, num_lower, num_upper, name=name)


@tf_export("eye", "linalg.eye")
def eye(
    num_rows: Any,
    num_columns: Any = None,
    batch_shape: Any = None,
    dtype: Any = dtypes.float32,
    name: str | None = None,
) -> Any:
    with name_scope(name, "eye", [num_rows, num_columns, batch_shape]):
        square = num_columns is None
        num_columns = num_rows if square else num_columns
        batch = [] if batch_shape is None else batch_shape
        if isinstance(num_rows, TensorLike) or isinstance(num_columns, TensorLike) or isinstance(batch, TensorLike):
            rows, columns = (
                convert_to_tensor(num_rows, name="num_rows"),
                convert_to_tensor(num_columns, name="num_columns"),
            )
            short = apply_op("Minimum", rows, columns)
            batch = convert_to_tensor(batch, dtype=dtypes.int32)
            diagonal = ones(apply_op("ConcatV2", [batch, apply_op("Pack", [short], axis=0)], 0), dtype=dtype)
            if square:
                return matrix_diag(diagonal)
            return matrix_set_diag(
                zeros(apply_op("ConcatV2", [batch, apply_op("Pack", [rows, columns], axis=0)], 0), dtype=dtype),
                diagonal,
            )
        batch = [int(b) for b in batch]
        diagonal = ones([*batch, min(int(num_rows), int(num_columns))], dtype=dtype)
        return (
            matrix_diag(diagonal)
            if square
            else matrix_set_diag(zeros([*batch, int(num_rows), int(num_columns)], dtype=dtype), diagonal)
        )


@tf_export("meshgrid")
def meshgrid(*args: Any, **kwargs: Any) -> Any:
    """Coordinate grids; `indexing` "xy" (the default) swaps the first two axes."""
    indexing, name = kwargs.pop("indexing", "xy"), kwargs.pop("name", "meshgrid")
    if kwargs:
        raise TypeError(f"'{next(iter(kwargs))}' is an invalid keyword argument for this function")
    if indexing not in ("xy", "ij"):
        raise ValueError("indexing parameter must be either 'xy' or 'ij'")
    with name_scope(name, "meshgrid", args):
        count = len(args)
        parts = [
            apply_op(
                "Reshape", apply_op("Pack", [convert_to_tensor(a)], axis=0), [1] * n + [-1] + [1] * (count - n - 1)
            )
            for n, a in enumerate(args)
        ]
        sizes = [apply_op("Size", convert_to_tensor(a), out_type=dtypes.int32) for a in args]
        if indexing == "xy" and count > 1:
            parts[0] = apply_op("Reshape", parts[0], [1, -1] + [1] * (count - 2))
            parts[1] = apply_op("Reshape", parts[1], [-1, 1] + [1] * (count - 2))
            sizes[0], sizes[1] = sizes[1], sizes[0]
        if not count:
            return []
        factor = ones(apply_op("Pack", sizes, axis=0), parts[0].dtype.base_dtype)
        return [p * factor for p in parts]


def _repeat(input: TorchTensor, repeats: TorchTensor, axis: int) -> TorchTensor:
    return torch.repeat_interleave(input, repeats.long() if repeats.dim() else int(repeats), axis)


def _repeat_shape(operation: Any) -> TensorShape:
    shape, times, axis = operation.inputs[0].shape, constant_value(operation.inputs[1]), operation.attrs["axis"]
    if shape.ndims is None:
        return unknown_shape()
    dims = list(shape.values or ())
    have = dims[axis]
    dims[axis] = None if times is None or np.ndim(times) or have is None else have * int(times)
    return TensorShape(dims)


op("Repeat", "input:T, repeats:Tr -> T", _repeat, shape=_repeat_shape)


@tf_export("repeat")
def repeat(input: Any, repeats: Any, axis: int | None = None, name: str | None = None) -> Any:
    with name_scope(name, "Repeat", [input, repeats]):
        input = convert_to_tensor(input, name="input")
        if axis is None:
            input, axis = apply_op("Reshape", input, [-1]), 0
        return apply_op("Repeat", input, convert_to_tensor(repeats, name="repeats"), axis=axis)
