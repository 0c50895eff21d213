"""Shapes and layout: shape, reshape, transpose, concat, stack, split, tile, pad, reverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, constant, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value, constant_value_as_shape
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape

_SHAPE_TYPES = (dtypes.int32, dtypes.int64)


def _is_text(x: Any) -> bool:
    return isinstance(x, np.ndarray)


# -- what a tensor's shape is -------------------------------------------------------------------------------------------  # noqa: E501
def _shape_vector(operation: Any) -> TensorShape:
    return TensorShape([operation.inputs[0].shape.ndims])


op(
    "Shape",
    "input:T -> out_type",
    lambda input, out_type=dtypes.int32: torch.tensor(tuple(input.shape), dtype=out_type.torch),
    diff=False,
    shape=_shape_vector,
    out_type=dtypes.int32,
)
op(
    "ShapeN",
    "input:N*T -> N*out_type",
    lambda input, out_type=dtypes.int32: tuple(torch.tensor(tuple(i.shape), dtype=out_type.torch) for i in input),
    diff=False,
    shape=lambda o: [TensorShape([t.shape.ndims]) for t in o.inputs],
    out_type=dtypes.int32,
)
op(
    "Size",
    "input:T -> out_type",
    lambda input, out_type=dtypes.int32: torch.tensor(int(np.prod(input.shape, dtype=np.int64)), dtype=out_type.torch),
    diff=False,
    shape=lambda o: TensorShape([]),
    out_type=dtypes.int32,
)
op(
    "Rank",
    "input:T -> int32",
    lambda input: torch.tensor(len(input.shape), dtype=torch.int32),
    diff=False,
    shape=lambda o: TensorShape([]),
)


def _static(kind: str, label: str, known: Any) -> Any:
    """shape and size: a constant when the static shape says it."""

    def function(input: Any, name: str | None = None, out_type: Any = dtypes.int32) -> Any:
        with name_scope(name, label, [input]) as scope:
            if hasattr(input, "dense_shape") and hasattr(input, "values"):
                sizes = apply_op("Cast", input.dense_shape, DstT=dtypes.as_dtype(out_type))
                return sizes if kind == "Shape" else apply_op("Prod", sizes, [0], keep_dims=False, name=scope)
            input = convert_to_tensor(input)
            static = input.get_shape()
            if static.is_fully_defined():
                return constant(known(static), dtypes.as_dtype(out_type), name=scope)
            return apply_op(kind, input, out_type=dtypes.as_dtype(out_type), name=scope)

    return function


shape = tf_export("shape")(_static("Shape", "Shape", lambda s: np.array(s.as_list(), np.int64)))
size = tf_export("size")(_static("Size", "Size", lambda s: np.int64(s.num_elements())))


@tf_export("rank")
def rank(input: Any, name: str | None = None) -> Any:
    with name_scope(name, "Rank", [input]) as scope:
        if hasattr(input, "dense_shape") and hasattr(input, "values"):
            return apply_op("Size", input.dense_shape, out_type=dtypes.int32, name=scope)
        input = convert_to_tensor(input)
        if input.get_shape().ndims is not None:
            return constant(input.get_shape().ndims, dtypes.int32, name=scope)
        return apply_op("Rank", input, name=scope)


@tf_export("shape_n")
def shape_n(input: Any, out_type: Any = dtypes.int32, name: str | None = None) -> Any:
    return apply_op("ShapeN", input, out_type=dtypes.as_dtype(out_type), name=name)


# -- reshape and friends --------------------------------------------------------------------------------------------------  # noqa: E501
def _reshape(tensor: Any, shape: TorchTensor) -> Any:
    sizes = shape.tolist()
    try:
        return tensor.reshape(sizes)
    except (RuntimeError, ValueError):
        raise _reshape_error(tensor, sizes) from None


def _reshape_error(tensor: Any, sizes: list[int]) -> InvalidArgumentError:
    count = int(np.prod(tensor.shape))
    if -1 in sizes:
        known = int(np.prod([s for s in sizes if s != -1]))
        return InvalidArgumentError(
            None,
            None,
            f"Input to reshape is a tensor with {count} values, but the requested shape requires a multiple of {known}",
        )
    return InvalidArgumentError(
        None,
        None,
        f"Input to reshape is a tensor with {count} values, but the requested shape has {int(np.prod(sizes))}",
    )


def _reshape_shape(operation: Any) -> TensorShape:
    tensor = operation.inputs[0].shape
    value = constant_value(operation.inputs[1])
    wanted = constant_value_as_shape(operation.inputs[1])
    if wanted.ndims is None:
        return unknown_shape()
    count = tensor.num_elements()
    dims = list(wanted.values or ())
    holes = [n for n, d in enumerate(dims) if d is None]
    if value is not None and (np.asarray(value) == -1).sum() > 1:
        raise ValueError("Only one input size may be -1, not both")
    if count is None:
        return TensorShape(dims)
    known = int(np.prod([d for d in dims if d is not None])) if len(dims) - len(holes) else 1
    if not holes and known != count:
        raise ValueError(f"Cannot reshape a tensor with {count} elements to shape {_brackets(dims)} ({known} elements)")
    if len(holes) == 1 and known:
        if count % known:
            raise ValueError(f"Dimension size must be evenly divisible by {known} but is {count}")
        dims[holes[0]] = count // known
    return TensorShape(dims)


def _brackets(dims: Sequence[int | None]) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in dims) + "]"


op("Reshape", "tensor:T, shape:Tshape -> T", _reshape, shape=_reshape_shape, Tshape=dtypes.int32)


@tf_export("reshape", "manip.reshape")
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    return apply_op("Reshape", tensor, shape, name=name)


def _expand_shape(operation: Any) -> TensorShape:
    x, axis = operation.inputs[0].shape, constant_value(operation.inputs[1])
    if x.ndims is None:
        return unknown_shape()
    if axis is None:
        return unknown_shape(x.ndims + 1)
    position = int(np.asarray(axis).reshape(-1)[0])
    if not -x.ndims - 1 <= position <= x.ndims:
        raise ValueError(f"dim {position} not in the interval [{-x.ndims - 1}, {x.ndims}].")
    dims = list(x.values or ())
    dims.insert(position if position >= 0 else position + x.ndims + 1, 1)
    return TensorShape(dims)


op(
    "ExpandDims",
    "input:T, dim:Tdim -> T",
    lambda input, dim: np.expand_dims(input, int(dim)) if _is_text(input) else input.unsqueeze(int(dim)),
    shape=_expand_shape,
    Tdim=dtypes.int32,
)


@tf_export("expand_dims")
def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Any:
    if axis is not None and dim is not None:
        raise ValueError("Cannot specify both 'axis' and 'dim'")
    axis = dim if axis is None else axis
    if axis is None:
        raise ValueError("Must specify an axis argument to tf.expand_dims()")
    return apply_op("ExpandDims", input, axis, name=name)


def _squeeze(input: Any, squeeze_dims: Sequence[int] = ()) -> Any:
    have = len(input.shape)
    axes = {a % have for a in squeeze_dims} if squeeze_dims else {a for a in range(have) if input.shape[a] == 1}
    for a in axes:
        if input.shape[a] != 1:
            raise InvalidArgumentError(
                None, None, f"Can not squeeze dim[{a}], expected a dimension of 1, got {input.shape[a]}"
            )
    return input.reshape([s for a, s in enumerate(input.shape) if a not in axes])


def _squeeze_shape(operation: Any) -> TensorShape:
    x, axes = operation.inputs[0].shape, operation.attrs.get("squeeze_dims") or []
    if x.ndims is None:
        return unknown_shape()
    dims = list(x.values or ())
    if not axes:
        return unknown_shape() if None in dims else TensorShape([d for d in dims if d != 1])
    for a in axes:
        if not -x.ndims <= a < x.ndims:
            raise ValueError(f"squeeze_dims[{axes.index(a)}] not in [{-x.ndims},{x.ndims}).")
        if dims[a] not in (None, 1):
            raise ValueError(f"Can not squeeze dim[{a % x.ndims}], expected a dimension of 1, got {dims[a]}")
    drop = {a % x.ndims for a in axes}
    return TensorShape([d for n, d in enumerate(dims) if n not in drop])


op("Squeeze", "input:T -> T", _squeeze, shape=_squeeze_shape)


@tf_export("squeeze")
def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Any:
    if axis is not None and squeeze_dims is not None:
        raise ValueError("Cannot specify both 'squeeze_dims' and 'axis'")
    axis = squeeze_dims if axis is None else axis
    if np.isscalar(axis):
        axis = [axis]
    return apply_op("Squeeze", input, squeeze_dims=[int(a) for a in axis or []], name=name)


def _transpose(x: Any, perm: TorchTensor) -> Any:
    order = perm.tolist()
    return x.transpose(order) if _is_text(x) else x.permute(order)


def _transpose_shape(operation: Any) -> TensorShape:
    x, perm = operation.inputs[0].shape, constant_value(operation.inputs[1])
    if perm is None:
        length = operation.inputs[1].shape.with_rank(1).values
        known = x.ndims if x.ndims is not None else (length[0] if length else None)
        return unknown_shape(known) if known is not None else unknown_shape()
    if x.ndims is None:
        return unknown_shape(len(perm))
    if len(perm) != x.ndims:
        raise ValueError(f"Dimension must be {x.ndims} but is {len(perm)}")
    for p in perm:
        if not -x.ndims <= p < x.ndims:
            raise ValueError(f"perm dim {p} is out of range of input rank {x.ndims}")
    return TensorShape([(x.values or ())[int(p)] for p in perm])


op("Transpose", "x:T, perm:Tperm -> T", _transpose, shape=_transpose_shape, Tperm=dtypes.int32)
op(
    "ConjugateTranspose",
    "x:T, perm:Tperm -> T",
    lambda x, perm: _transpose(x, perm).conj().resolve_conj(),
    shape=_transpose_shape,
    Tperm=dtypes.int32,
)


@tf_export("transpose")
def transpose(a: Any, perm: Any = None, name: str = "transpose", conjugate: bool = False) -> Any:
    """Permute the axes; without `perm` reverse them."""
    with name_scope(name, "transpose", [a]) as scope:
        a = convert_to_tensor(a, name="a")
        kind = "ConjugateTranspose" if conjugate and a.dtype.is_complex else "Transpose"
        if perm is not None:
            return apply_op(kind, a, perm, name=scope)
        top = apply_op("Rank", a)
        order = apply_op(
            "Sub", apply_op("Sub", top, 1, name="sub"), apply_op("Range", 0, top, 1, name="Range"), name="sub"
        )
        result = apply_op(kind, a, order, name=scope)
        if a.get_shape().ndims is not None:
            result.set_shape(TensorShape((a.get_shape().values or ())[::-1]))
        return result


@tf_export("matrix_transpose", "linalg.matrix_transpose", "linalg.transpose")
def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Any:
    with name_scope(name, "matrix_transpose", [a]):
        a = convert_to_tensor(a, name="a")
        have = a.get_shape().ndims
        if have is None:
            top = apply_op("Rank", a)
            order: Any = apply_op("ConcatV2", [apply_op("Range", 0, top - 2, 1), [top - 1, top - 2]], 0)
        elif have < 2:
            raise ValueError(f"Argument 'a' should be a (batch) matrix, with rank >= 2.  Found: {a.get_shape()}")
        else:
            order = [*range(have - 2), have - 1, have - 2]
        return transpose(a, order, conjugate=conjugate)
