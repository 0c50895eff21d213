"""Reductions, arg-reductions and cumulative sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, constant, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.helpers import FLOATS, INTEGERS, NUMBERS, deprecated_axis
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import reduce, same
from recurra.tf1.shapes import TensorShape, unknown_shape

__all__ = ["reduce_max", "reduce_mean", "reduce_sum"]


def _axes(input: TorchTensor, reduction_indices: TorchTensor) -> tuple[int, ...]:
    rank = input.dim()
    axes = reduction_indices.reshape(-1).tolist()
    for axis in axes:
        if not -rank <= axis < rank:
            raise InvalidArgumentError(
                None, None, f"Invalid reduction dimension ({axis} for input with {rank} dimension(s)"
            )
    return tuple(sorted({a % rank for a in axes})) if rank else ()


def _reduction(total: Callable[..., TorchTensor]) -> Callable[..., TorchTensor]:
    def run(input: TorchTensor, reduction_indices: TorchTensor, keep_dims: bool = False) -> TorchTensor:
        axes = _axes(input, reduction_indices)
        return total(input, axes, keep_dims) if axes else input

    return run


def _sum(x: TorchTensor, axes: tuple[int, ...], keep: bool) -> TorchTensor:
    return torch.sum(x, axes, keepdim=keep, dtype=x.dtype)


def _mean(x: TorchTensor, axes: tuple[int, ...], keep: bool) -> TorchTensor:
    if x.dtype.is_floating_point or x.is_complex():
        return torch.mean(x, axes, keepdim=keep)
    count = int(np.prod([x.shape[a] for a in axes]))
    return torch.div(_sum(x, axes, keep), count, rounding_mode="trunc")


def _prod(x: TorchTensor, axes: tuple[int, ...], keep: bool) -> TorchTensor:
    for axis in reversed(axes):
        x = torch.prod(x, axis, keepdim=keep, dtype=x.dtype)
    return x


def _extreme(reduce_: Callable[..., TorchTensor], largest: bool) -> Callable[..., TorchTensor]:
    def run(x: TorchTensor, axes: tuple[int, ...], keep: bool) -> TorchTensor:
        if all(x.shape[a] for a in axes):
            return reduce_(x, axes, keepdim=keep)
        shape = (
            [1 if a in axes else s for a, s in enumerate(x.shape)]
            if keep
            else [s for a, s in enumerate(x.shape) if a not in axes]
        )
        info: Any = torch.finfo(x.dtype) if x.dtype.is_floating_point else torch.iinfo(x.dtype)
        worst = (
            (-float("inf") if x.dtype.is_floating_point else info.min)
            if largest
            else (float("inf") if x.dtype.is_floating_point else info.max)
        )
        return torch.full(shape, worst, dtype=x.dtype)

    return run


def _logical(reduce_: Callable[..., TorchTensor]) -> Callable[..., TorchTensor]:
    return lambda x, axes, keep: reduce_(x, axes, keepdim=keep)


_EMPTY_INT = np.zeros(0, np.int32)


def reduction_dims(x: Any, axis: Any) -> Any:
    """The axis argument of a primitive: what was given, or all axes of `x`."""
    if axis is not None:
        return axis
    rank = getattr(x, "get_shape", lambda: TensorShape(None))().ndims
    if rank is None and not hasattr(x, "get_shape"):
        rank = np.ndim(x)
    if rank is not None:
        return constant(np.arange(rank, dtype=np.int32) if rank else _EMPTY_INT)
    return apply_op("Range", 0, apply_op("Rank", x), 1, name="range")


def _primitive(
    kind: str, total: Callable[..., TorchTensor], name: str, allow: Any, diff: bool = True
) -> Callable[..., Any]:
    value = "T" if allow else "bool"
    op(
        kind,
        f"input:{value}, reduction_indices:Tidx -> {value}",
        _reduction(total),
        shape=reduce,
        diff=diff,
        allow={"T": allow} if allow else None,
        Tidx=dtypes.int32,
    )

    def function(input_tensor: Any, axis: Any, keepdims: bool, name: str | None) -> Any:
        if not hasattr(input_tensor, "get_shape"):
            input_tensor = convert_to_tensor(input_tensor, name="input") if axis is None else input_tensor
        result = apply_op(kind, input_tensor, reduction_dims(input_tensor, axis), keep_dims=keepdims, name=name)
        if axis is None and not keepdims:
            result.set_shape(())
        return result

    function.__name__ = f"reduce_{name}"
    return export(deprecated_axis(function), f"reduce_{name}", f"math.reduce_{name}")


_REAL = (*FLOATS, *INTEGERS)
reduce_sum = _primitive("Sum", _sum, "sum", NUMBERS)
reduce_mean = _primitive("Mean", _mean, "mean", NUMBERS)
reduce_prod = _primitive("Prod", _prod, "prod", NUMBERS)
reduce_max = _primitive("Max", _extreme(torch.amax, True), "max", _REAL)
reduce_min = _primitive("Min", _extreme(torch.amin, False), "min", _REAL)
reduce_all = _primitive("All", _logical(torch.all), "all", None, diff=False)
reduce_any = _primitive("Any", _logical(torch.any), "any", None, diff=False)


@tf_export("reduce_logsumexp", "math.reduce_logsumexp")
@deprecated_axis
def reduce_logsumexp(input_tensor: Any, axis: Any, keepdims: bool, name: str | None) -> Any:
    with name_scope(name, "ReduceLogSumExp", [input_tensor]):
        input_tensor = convert_to_tensor(input_tensor)
        raw = reduce_max(input_tensor, axis, keepdims=True)
        peak = apply_op("StopGradient", apply_op("Select", apply_op("IsFinite", raw), raw, apply_op("ZerosLike", raw)))
        result = apply_op(
            "Log", reduce_sum(apply_op("Exp", apply_op("Sub", input_tensor, peak)), axis, keepdims=keepdims)
        )
        if not keepdims:
            peak = apply_op("Reshape", peak, apply_op("Shape", result, out_type=dtypes.int32))
        return apply_op("Add", result, peak)


@tf_export("math.reduce_variance")
@deprecated_axis
def reduce_variance(input_tensor: Any, axis: Any, keepdims: bool, name: str | None) -> Any:
    with name_scope(name or "reduce_variance"):
        input_tensor = convert_to_tensor(input_tensor)
        means = reduce_mean(input_tensor, axis, keepdims=True)
        return reduce_mean(apply_op("Square", input_tensor - means), axis, keepdims=keepdims)


@tf_export("math.reduce_std")
@deprecated_axis
def reduce_std(input_tensor: Any, axis: Any, keepdims: bool, name: str | None) -> Any:
    with name_scope(name or "reduce_std"):
        return apply_op("Sqrt", reduce_variance(input_tensor, axis, keepdims=keepdims))


def _euclidean(x: TorchTensor, axes: tuple[int, ...], keep: bool) -> TorchTensor:
    return torch.linalg.vector_norm(x, 2, axes, keepdim=keep)


op("EuclideanNorm", "input:T, reduction_indices:Tidx -> T", _reduction(_euclidean), shape=reduce, Tidx=dtypes.int32)


@tf_export("math.reduce_euclidean_norm")
@deprecated_axis
def reduce_euclidean_norm(input_tensor: Any, axis: Any, keepdims: bool, name: str | None) -> Any:
    return apply_op("EuclideanNorm", input_tensor, reduction_dims(input_tensor, axis), keep_dims=keepdims, name=name)


@tf_export("count_nonzero", "math.count_nonzero")
def count_nonzero(
    input_tensor: Any = None,
    axis: Any = None,
    keepdims: bool | None = None,
    dtype: Any = dtypes.int64,
    name: str | None = None,
    reduction_indices: Any = None,
    keep_dims: bool | None = None,
    input: Any = None,
) -> Any:
    value = input_tensor if input is None else input
    keep = bool(keep_dims if keepdims is None else keepdims)
    with name_scope(name, "count_nonzero", [value]):
        value = convert_to_tensor(value, name="input")
        zero = convert_to_tensor(
            "" if value.dtype == dtypes.string else False if value.dtype.is_bool else 0, dtype=value.dtype.base_dtype
        )
        counted = apply_op("Cast", apply_op("NotEqual", value, zero), DstT=dtypes.int64)
        return cast(reduce_sum(counted, reduction_indices if axis is None else axis, keepdims=keep), dtype)


def _arg(find: Callable[..., TorchTensor]) -> Callable[..., TorchTensor]:
    """The first index among equals, as TensorFlow promises on CPU."""
    return lambda input, dimension, output_type=dtypes.int64: find(input, int(dimension)).to(output_type.torch)


def _arg_shape(operation: Any) -> TensorShape:
    shape, axis = operation.inputs[0].shape, constant_value(operation.inputs[1])
    if shape.ndims is None:
        return unknown_shape()
    if axis is None:
        return unknown_shape(shape.ndims - 1)
    position = int(axis)
    if not -shape.ndims <= position < shape.ndims:
        raise ValueError(
            f"Dimension ({position}) must be in the range [{-shape.ndims}, {shape.ndims}), where {shape.ndims} is the"
            " number of dimensions in the input."
        )
    position %= shape.ndims
    return TensorShape([d for a, d in enumerate(shape.values or ()) if a != position])


def _arg_extreme(largest: bool) -> Callable[[TorchTensor, int], TorchTensor]:
    def find(x: TorchTensor, axis: int) -> TorchTensor:
        if x.dtype == torch.bool:
            x = x.to(torch.uint8)
        return torch.argmax(x, axis) if largest else torch.argmin(x, axis)

    return find


op(
    "ArgMax",
    "input:T, dimension:Tidx -> output_type",
    _arg(_arg_extreme(True)),
    diff=False,
    shape=_arg_shape,
    output_type=dtypes.int64,
    Tidx=dtypes.int32,
)
op(
    "ArgMin",
    "input:T, dimension:Tidx -> output_type",
    _arg(_arg_extreme(False)),
    diff=False,
    shape=_arg_shape,
    output_type=dtypes.int64,
    Tidx=dtypes.int32,
)


def _arg_function(kind: str, *names: str) -> Any:
    def function(
        input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = dtypes.int64
    ) -> Any:
        if dimension is not None:
            if axis is not None:
                raise ValueError("Cannot specify both 'axis' and 'dimension'")
            axis = dimension
        return apply_op(kind, input, 0 if axis is None else axis, name=name, output_type=dtypes.as_dtype(output_type))

    return export(function, *names)


argmax = _arg_function("ArgMax", "argmax", "math.argmax")
argmin = _arg_function("ArgMin", "argmin", "math.argmin")
export(
    lambda input, dimension, output_type=dtypes.int64, name=None: argmax(
        input, dimension, name, output_type=output_type
    ),
    "arg_max",
)
export(
    lambda input, dimension, output_type=dtypes.int64, name=None: argmin(
        input, dimension, name, output_type=output_type
    ),
    "arg_min",
)


def _cumulative(scan: Callable[[TorchTensor, int], TorchTensor], neutral: float) -> Callable[..., TorchTensor]:
    def run(x: TorchTensor, axis: TorchTensor, exclusive: bool = False, reverse: bool = False) -> TorchTensor:
        along = int(axis) % max(x.dim(), 1)
        if reverse:
            x = x.flip(along)
        out = scan(x, along).to(x.dtype)
        if exclusive and x.shape[along]:
            start = torch.full_like(out.narrow(along, 0, 1), neutral)
            out = torch.cat([start, out.narrow(along, 0, x.shape[along] - 1)], along)
        return out.flip(along) if reverse else out

    return run


for _kind, _scan, _neutral in (
    ("Cumsum", torch.cumsum, 0),
    ("Cumprod", torch.cumprod, 1),
    ("CumulativeLogsumexp", torch.logcumsumexp, float("-inf")),
):
    op(_kind, "x:T, axis:Tidx -> T", _cumulative(_scan, _neutral), shape=same, Tidx=dtypes.int32)


def _cumulative_function(kind: str, label: str, *names: str) -> None:
    def function(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
        with name_scope(name, label, [x]) as scope:
            return apply_op(
                kind, convert_to_tensor(x, name="x"), axis, exclusive=exclusive, reverse=reverse, name=scope
            )

    export(function, *names)


_cumulative_function("Cumsum", "Cumsum", "cumsum", "math.cumsum")
_cumulative_function("Cumprod", "Cumprod", "cumprod", "math.cumprod")
_cumulative_function("CumulativeLogsumexp", "CumulativeLogsumexp", "math.cumulative_logsumexp")


@tf_export("norm", "linalg.norm")
def norm(
    tensor: Any,
    ord: Any = "euclidean",
    axis: Any = None,
    keepdims: bool | None = None,
    name: str | None = None,
    keep_dims: bool | None = None,
) -> Any:
    """Vector norm over one axis (or all), matrix norm over two."""
    keep = bool(keep_dims if keepdims is None else keepdims)
    matrix = isinstance(axis, (list, tuple, np.ndarray)) and len(axis) == 2
    if isinstance(axis, (list, tuple, np.ndarray)):
        axis = tuple(axis)
        if any(not isinstance(a, (int, np.integer)) for a in axis) or len(axis) != 2 or axis[0] == axis[1]:
            raise ValueError("'axis' must be None, an integer, or a tuple of 2 unique integers")
        if ord not in ("euclidean", "fro", 1, 2, np.inf):
            raise ValueError(f"'ord' must be a supported matrix norm in ['euclidean', 'fro', 1, 2, inf], got {ord}")
    elif not (axis is None or isinstance(axis, (int, np.integer))):
        raise ValueError("'axis' must be None, an integer, or a tuple of 2 unique integers")
    elif (isinstance(ord, str) and ord != "euclidean") or (
        not isinstance(ord, str) and ord not in (1, 2, np.inf) and not (isinstance(ord, (int, float)) and ord > 0)
    ):
        raise ValueError(f"'ord' must be a supported vector norm, got {ord}")
    with name_scope(name, "norm", [tensor]):
        tensor = convert_to_tensor(tensor)
        if ord in ("fro", "euclidean", 2, 2.0):
            result = _spectral(tensor, axis) if matrix and ord in (2, 2.0) else _frobenius(tensor, axis)
        else:
            result = apply_op(
                "Abs" if not tensor.dtype.is_complex else "ComplexAbs",
                tensor,
                **({"Tout": tensor.dtype.real_dtype} if tensor.dtype.is_complex else {}),
            )
            if ord in (1, 1.0):
                total = reduce_sum(result, None if axis is None else (axis[0] if matrix else axis), keepdims=True)
                result = reduce_max(total, axis[-1], keepdims=True) if matrix else total
            elif ord == np.inf:
                first = reduce_sum(result, axis[1], keepdims=True) if matrix else result
                result = reduce_max(first, axis[0] if matrix else axis, keepdims=True)
            else:
                power = apply_op("Pow", result, convert_to_tensor(ord, dtype=result.dtype))
                result = apply_op(
                    "Pow", reduce_sum(power, axis, keepdims=True), convert_to_tensor(1.0 / ord, dtype=result.dtype)
                )
        return result if keep else apply_op("Squeeze", result, squeeze_dims=_squeezed(tensor, axis))


def _frobenius(tensor: Any, axis: Any) -> Any:
    from recurra.tf1.ops.math_unary import conj

    return apply_op("Sqrt", reduce_sum(tensor * conj(tensor), axis, keepdims=True))


def _spectral(tensor: Any, axis: Any) -> Any:
    """The largest singular value over two axes, kept as 1s."""
    order = convert_to_tensor(_matrices_last(tensor, axis))
    values = apply_op("Svd", apply_op("Transpose", tensor, order), compute_uv=False, full_matrices=False)[0]
    if values.dtype.is_complex:
        values = apply_op("Real", values, Tout=values.dtype.real_dtype)
    largest = apply_op("ExpandDims", reduce_max(values, -1, keepdims=True), -1)
    return apply_op("Transpose", largest, apply_op("InvertPermutation", order))


def _matrices_last(tensor: Any, axis: Any) -> Any:
    """The permutation that moves two axes to the end, computed in the run when the rank is unknown."""
    rank = tensor.get_shape().ndims
    if rank is not None:
        last = [a % rank for a in axis]
        return [a for a in range(rank) if a not in last] + last
    count = apply_op("Rank", tensor)
    last = apply_op("Pack", [convert_to_tensor(a) if a >= 0 else apply_op("Add", count, a) for a in axis], axis=0)
    others = apply_op("ListDiff", apply_op("Range", 0, count, 1), last, out_idx=dtypes.int32)[0]
    return apply_op("ConcatV2", [others, last], 0)


def _squeezed(tensor: Any, axis: Any) -> list[int]:
    if axis is None:
        return []
    return list(axis) if isinstance(axis, tuple) else [int(axis)]
