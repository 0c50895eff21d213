"""Shapes and layout: shape, reshape, transpose, concat, stack, split, tile, pad, reverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, constant, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value, constant_value_as_shape
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import from_const, same
from recurra.tf1.shapes import Dimension, TensorShape, broadcast_shapes, unknown_shape

__all__ = ["concat", "expand_dims", "reshape", "shape", "split", "squeeze", "stack", "tile", "transpose", "unstack"]

_SHAPE_TYPES = (dtypes.int32, dtypes.int64)


def _is_text(x: Any) -> bool:
    return isinstance(x, np.ndarray)


# -- what a tensor's shape is -------------------------------------------------------------------------------------------
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


# -- reshape and friends --------------------------------------------------------------------------------------------------
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


# -- joining and splitting ------------------------------------------------------------------------------------------------
def _concat(values: list[Any], axis: TorchTensor) -> Any:
    if len(values) == 1:
        return values[0]
    return np.concatenate(values, int(axis)) if _is_text(values[0]) else torch.cat(values, int(axis))


def _concat_shape(operation: Any) -> TensorShape:
    axis = constant_value(operation.inputs[-1])
    shapes = [t.shape for t in operation.inputs[:-1]]
    have = next((s.ndims for s in shapes if s.ndims is not None), None)
    if have is None:
        return unknown_shape()
    if have == 0:
        raise ValueError("Can't concatenate scalars (use tf.stack instead)")
    if axis is None:
        return unknown_shape(have)
    position = int(axis)
    if not -have <= position < have:
        raise ValueError(f"Shape must be at least rank {position + 1} but is rank {have}")
    return _joined(
        [s.with_rank(have) if s.ndims in (None, have) else _rank_clash(have, s.ndims) for s in shapes], position % have
    )


def _rank_clash(a: int, b: int | None) -> TensorShape:
    raise ValueError(f"Shapes must be equal rank, but are {a} and {b}")


def _joined(shapes: list[TensorShape], axis: int) -> TensorShape:
    total: int | None = 0
    rest = unknown_shape(shapes[0].ndims)
    for s in shapes:
        dims = list(s.values or ())
        total = None if total is None or dims[axis] is None else total + dims[axis]  # type: ignore[operator]
        dims[axis] = None
        other = TensorShape(dims)
        if not rest.is_compatible_with(other):
            n = next(
                i
                for i, (p, q) in enumerate(zip(rest.values or (), other.values or (), strict=True))
                if p is not None and q is not None and p != q
            )
            raise ValueError(
                f"Dimension {n} in both shapes must be equal, but are {(rest.values or ())[n]} and {dims[n]}. Shapes"
                f" are {_brackets([d for i, d in enumerate(rest.values or ()) if i != axis])} and"
                f" {_brackets([d for i, d in enumerate(dims) if i != axis])}."
            )
        rest = rest.merge_with(other)
    final = list(rest.values or ())
    final[axis] = total
    return TensorShape(final)


op("ConcatV2", "values:N*T, axis:Tidx -> T", _concat, shape=_concat_shape, Tidx=dtypes.int32)


@tf_export("concat", "concat_v2")
def concat(values: Any, axis: Any, name: str = "concat") -> Any:
    if not isinstance(values, (list, tuple)):
        values = [values]
    if len(values) == 1:
        with name_scope(name) as scope:
            constant_value(convert_to_tensor(axis, name="concat_dim", dtype=dtypes.int32))
            return apply_op("Identity", values[0], name=scope)
    return apply_op("ConcatV2", values, axis, name=name)


@tf_export("concat", era=((0, 0), (1, 0)))
def concat_old(concat_dim: Any, values: Any = None, name: str = "concat", axis: Any = None) -> Any:
    """Before 1.0 the axis came first; a call in the new order is understood too."""
    if isinstance(concat_dim, (list, tuple)) and not isinstance(values, (list, tuple)):
        return concat(concat_dim, axis if values is None else values, name)
    return concat(values, concat_dim if axis is None else axis, name)


def _pack(values: list[Any], axis: int = 0) -> Any:
    return np.stack(values, axis) if _is_text(values[0]) else torch.stack(values, axis)


def _pack_shape(operation: Any) -> TensorShape:
    merged, axis = unknown_shape(), operation.attrs.get("axis", 0)
    for tensor in operation.inputs:
        if None not in (merged.ndims, tensor.shape.ndims) and merged.ndims != tensor.shape.ndims:
            raise ValueError(
                f"Shapes must be equal rank, but are {merged.ndims} and {tensor.shape.ndims}\n\tFrom merging shape 0"
                " with other shapes."
            )
        try:
            merged = merged.merge_with(tensor.shape)
        except ValueError:
            n, p, q = next(
                (i, p, q)
                for i, (p, q) in enumerate(zip(merged.values or (), tensor.shape.values or (), strict=True))
                if None not in (p, q) and p != q
            )
            raise ValueError(
                f"Dimension {n} in both shapes must be equal, but are {p} and {q}. Shapes are"
                f" {_brackets(merged.values or ())} and {_brackets(tensor.shape.values or ())}.\n\tFrom merging shape 0"
                " with other shapes."
            ) from None
    if merged.ndims is None:
        return unknown_shape()
    if not -merged.ndims - 1 <= axis <= merged.ndims:
        raise ValueError(f"axis = {axis} not in [{-merged.ndims - 1}, {merged.ndims + 1})")
    dims = list(merged.values or ())
    dims.insert(axis if axis >= 0 else axis + merged.ndims + 1, len(operation.inputs))
    return TensorShape(dims)


op("Pack", "values:N*T -> T", _pack, shape=_pack_shape, axis=0)


@tf_export("stack", "parallel_stack", "pack")
def stack(values: Any, axis: int = 0, name: str = "stack") -> Any:
    if axis == 0:
        try:
            return convert_to_tensor(values, name=name)
        except (TypeError, ValueError):
            pass  # lists of unlike things are packed below, or refused there
    first = convert_to_tensor(values[0]).get_shape()
    if first.ndims is not None and not -first.ndims - 1 <= axis <= first.ndims:
        raise ValueError(f"axis = {axis} not in [{-first.ndims - 1}, {first.ndims + 1})")
    return apply_op(
        "Pack", list(values) if isinstance(values, (list, tuple)) else unstack(values), axis=axis, name=name
    )


def _unpack(value: Any, num: int, axis: int = 0) -> tuple[Any, ...]:
    if value.shape[axis] != num:
        raise InvalidArgumentError(
            None, None, f"Input shape axis {axis} must equal {num}, got shape {list(value.shape)}"
        )
    return tuple(np.moveaxis(value, axis, 0)) if _is_text(value) else value.unbind(axis)


def _unpack_shape(operation: Any) -> list[TensorShape]:
    x, axis, num = operation.inputs[0].shape, operation.attrs["axis"], operation.attrs["num"]
    if x.ndims is None:
        return [unknown_shape()] * num
    if not -x.ndims <= axis < x.ndims:
        raise ValueError(f"axis = {axis} not in [{-x.ndims}, {x.ndims})")
    dims = list(x.values or ())
    found = dims.pop(axis)
    if found is not None and found != num:
        raise ValueError(f"Dimension must be {num} but is {found}")
    return [TensorShape(dims)] * num


op("Unpack", "value:T -> num*T", _unpack, shape=_unpack_shape)


@tf_export("unstack", "unpack")
def unstack(value: Any, num: int | None = None, axis: int = 0, name: str = "unstack") -> Any:
    if num is None:
        value = convert_to_tensor(value)
        dims = value.get_shape()
        if dims.ndims is not None:
            if not -dims.ndims <= axis < dims.ndims:
                raise ValueError(f"axis = {axis} not in [{-dims.ndims}, {dims.ndims})")
            num = (dims.values or ())[axis]
    if num is None:
        raise ValueError(f"Cannot infer num from shape {value.get_shape()}")
    return apply_op("Unpack", value, num=int(num), axis=axis, name=name)


def _split(split_dim: TorchTensor, value: Any, num_split: int) -> tuple[Any, ...]:
    axis = int(split_dim)
    if value.shape[axis] % num_split:
        raise InvalidArgumentError(
            None,
            None,
            f"Number of ways to split should evenly divide the split dimension, but got split_dim {axis} (size ="
            f" {value.shape[axis]}) and num_split {num_split}",
        )
    return (
        tuple(np.split(value, num_split, axis))
        if _is_text(value)
        else value.split(value.shape[axis] // num_split, axis)
        if value.shape[axis]
        else (value,) * num_split
    )


def _split_shape(operation: Any) -> list[TensorShape]:
    axis, x, num = constant_value(operation.inputs[0]), operation.inputs[1].shape, operation.attrs["num_split"]
    if x.ndims is None or axis is None:
        return [unknown_shape(x.ndims) if x.ndims is not None else unknown_shape()] * num
    dims, position = list(x.values or ()), int(axis)
    if not -x.ndims <= position < x.ndims:
        raise ValueError(f"Dimension index, {position} out of range [{-x.ndims}, {x.ndims})")
    if dims[position] is not None:
        if dims[position] % num:  # type: ignore[operator]
            raise ValueError(
                f"Dimension size must be evenly divisible by {num} but is {dims[position]} Number of ways to split"
                " should evenly divide the split dimension"
            )
        dims[position] = dims[position] // num  # type: ignore[operator]
    return [TensorShape(dims)] * num


def _split_v(value: Any, size_splits: TorchTensor, split_dim: TorchTensor, num_split: int) -> tuple[Any, ...]:
    sizes, axis = size_splits.tolist(), int(split_dim)
    if -1 in sizes:
        sizes[sizes.index(-1)] = value.shape[axis] - sum(s for s in sizes if s != -1)
    if sum(sizes) != value.shape[axis]:
        raise InvalidArgumentError(
            None,
            None,
            "Determined shape must either match input shape along split_dim exactly if fully specified, or be less"
            f" than the size of the input along split_dim if not fully specified.  Got: {sum(sizes)}",
        )
    return tuple(np.split(value, np.cumsum(sizes)[:-1], axis)) if _is_text(value) else value.split(sizes, axis)


def _split_v_shape(operation: Any) -> list[TensorShape]:
    x, sizes, axis, num = (
        operation.inputs[0].shape,
        constant_value(operation.inputs[1]),
        constant_value(operation.inputs[2]),
        operation.attrs["num_split"],
    )
    if x.ndims is None or axis is None:
        return [unknown_shape(x.ndims) if x.ndims is not None else unknown_shape()] * num
    dims, position = list(x.values or ()), int(axis)
    whole = dims[position]
    if sizes is None:
        dims[position] = None
        return [TensorShape(dims)] * num
    parts: list[int | None] = [int(s) for s in sizes]
    if -1 in parts:
        parts[parts.index(-1)] = None if whole is None else whole - sum(s for s in parts if s != -1)  # type: ignore[misc]
    elif whole is not None and sum(parts) != whole:  # type: ignore[arg-type]
        raise ValueError(f"can't split axis of size {whole} into pieces of size [{','.join(map(str, parts))}]")
    return [
        TensorShape(
            [*dims[:position], p, *dims[position + 1 :]]
            if position >= 0
            else [*dims[: x.ndims + position], p, *dims[x.ndims + position + 1 :]]
        )
        for p in parts
    ]


op("Split", "split_dim:int32, value:T -> num_split*T", _split, shape=_split_shape)
op(
    "SplitV",
    "value:T, size_splits:Tlen, split_dim:int32 -> num_split*T",
    _split_v,
    shape=_split_v_shape,
    Tlen=dtypes.int32,
)


@tf_export("split")
def split(value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str = "split") -> Any:
    """Into equal parts (a number) or parts of the given sizes (a list or vector)."""
    if isinstance(num_or_size_splits, (int, np.integer, Dimension)):
        return apply_op("Split", axis, value, num_split=int(num_or_size_splits), name=name)
    sizes = convert_to_tensor(num_or_size_splits)
    if sizes._rank() == 0:
        raise ValueError(
            f"Rank-0 tensors are not supported as the num_or_size_splits argument to split. Argument provided: {num_or_size_splits}"
        )
    if num is None:
        num = (sizes.get_shape().values or (None,))[0]
    if num is None:
        raise ValueError(f"Cannot infer num from shape {num_or_size_splits}")
    return apply_op("SplitV", value, sizes, axis, num_split=num, name=name)


@tf_export("split", era=((0, 0), (1, 0)))
def split_old(split_dim: Any = None, num_split: Any = None, value: Any = None, name: str = "split", **new: Any) -> Any:
    """split(axis, number, value); a call in the new order (a tensor first) is understood too."""
    if (
        new
        or isinstance(split_dim, (TorchTensor,))
        or hasattr(split_dim, "op")
        or isinstance(split_dim, (list, np.ndarray))
    ):
        if split_dim is None:  # by keyword
            return split(value, new.pop("num_or_size_splits", num_split), name=name, **new)
        named = {"axis": value, **new} if value is not None else new
        first = named.pop("value", split_dim)
        return split(first, named.pop("num_or_size_splits", num_split), name=name, **named)
    return split(value, num_split, split_dim, name=name)


# -- repeating and padding ------------------------------------------------------------------------------------------------
def _tile(input: Any, multiples: TorchTensor) -> Any:
    return np.tile(input, multiples.tolist()) if _is_text(input) else input.repeat(multiples.tolist())


def _tile_shape(operation: Any) -> TensorShape:
    x, times = operation.inputs[0].shape, constant_value(operation.inputs[1])
    if times is None:
        return unknown_shape(x.ndims) if x.ndims is not None else unknown_shape()
    if x.ndims is None:
        return unknown_shape(len(times))
    if x.ndims != len(times):
        raise ValueError(f"Shape must be rank {len(times)} but is rank {x.ndims}")
    return TensorShape([None if d is None else d * int(t) for d, t in zip(x.values or (), times, strict=True)])


op("Tile", "input:T, multiples:Tmultiples -> T", _tile, shape=_tile_shape, Tmultiples=dtypes.int32)


@tf_export("tile", "manip.tile")
def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    return apply_op("Tile", input, multiples, name=name)


def _pad(input: Any, paddings: TorchTensor, value: Any = 0) -> Any:
    pairs = paddings.tolist()
    if _is_text(input):
        return np.pad(input, pairs, constant_values=b"")
    flat = [p for pair in reversed(pairs) for p in pair]
    return F.pad(input, flat, value=value if isinstance(value, (int, float)) else value.item())


def _mirror_pad(input: Any, paddings: TorchTensor, mode: str) -> Any:
    """Index each axis by its mirrored positions: SYMMETRIC repeats the edge, REFLECT does not."""
    for axis, (before, after) in enumerate(paddings.tolist()):
        if before or after:
            size = input.shape[axis]
            index = np.pad(np.arange(size), (before, after), mode="symmetric" if mode == "SYMMETRIC" else "reflect")
            input = input.index_select(axis, torch.from_numpy(index))
    return input


def _pad_shape(operation: Any) -> TensorShape:
    x, pairs = operation.inputs[0].shape, constant_value(operation.inputs[1])
    have = x.ndims
    rows = operation.inputs[1].shape.with_rank(2).values
    if pairs is None:
        have = rows[0] if have is None and rows else have
        return unknown_shape(have) if have is not None else unknown_shape()
    if have is None:
        return unknown_shape(len(pairs))
    if len(pairs) != have:
        raise ValueError(f"Shape must be rank {len(pairs)} but is rank {have}")
    return TensorShape([None if d is None else d + int(p.sum()) for d, p in zip(x.values or (), pairs, strict=True)])


op("Pad", "input:T, paddings:Tpaddings -> T", _pad, shape=_pad_shape, Tpaddings=dtypes.int32)
op(
    "PadV2",
    "input:T, paddings:Tpaddings, constant_values:T -> T",
    lambda input, paddings, constant_values: _pad(input, paddings, constant_values),
    shape=_pad_shape,
    Tpaddings=dtypes.int32,
)
op("MirrorPad", "input:T, paddings:Tpaddings -> T", _mirror_pad, shape=_pad_shape, Tpaddings=dtypes.int32)


@tf_export("pad")
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: Any = 0) -> Any:
    mode = mode.upper()
    if mode == "CONSTANT":
        if not hasattr(constant_values, "op") and constant_values == 0:
            return apply_op("Pad", tensor, paddings, name=name)
        return apply_op("PadV2", tensor, paddings, constant_values, name=name)
    if mode not in ("REFLECT", "SYMMETRIC"):
        raise ValueError(f"Unknown padding mode: {mode}")
    return apply_op("MirrorPad", tensor, paddings, mode=mode, name=name)


# -- reversing and moving ---------------------------------------------------------------------------------------------------
def _reverse(tensor: Any, axis: TorchTensor) -> Any:
    axes = axis.tolist()
    return np.flip(tensor, axes) if _is_text(tensor) else tensor.flip(axes)


op("ReverseV2", "tensor:T, axis:Tidx -> T", _reverse, shape=same, Tidx=dtypes.int32)


@tf_export("reverse", "reverse_v2", "manip.reverse")
def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    return apply_op("ReverseV2", tensor, axis, name=name)


@tf_export("reverse", era=((0, 0), (1, 0)))
def reverse_old(tensor: Any, dims: Any, name: str | None = None) -> Any:
    """Before 1.0: one boolean per axis."""
    flags = dims if isinstance(dims, (list, tuple, np.ndarray)) else constant_value(dims)
    if flags is not None and all(isinstance(f, (bool, np.bool_)) for f in flags):
        return reverse(tensor, np.nonzero(np.asarray(flags))[0].astype(np.int32), name)
    return reverse(tensor, dims, name)


def _reverse_sequence(input: Any, seq_lengths: TorchTensor, seq_dim: int, batch_dim: int = 0) -> Any:
    """The first `length` entries of every row backwards, the rest in place."""
    steps = input.shape[seq_dim]
    lengths = seq_lengths.long().unsqueeze(1)
    if lengths.numel() and int(lengths.max()) > steps:
        raise InvalidArgumentError(None, None, f"seq_lens({int(lengths.argmax())}) > input.dims({seq_dim})")
    at = torch.arange(steps).unsqueeze(0)
    index = torch.where(at < lengths, lengths - 1 - at, at)
    view = [1] * input.dim()
    view[batch_dim], view[seq_dim] = index.shape[0], steps
    if batch_dim > seq_dim:
        index = index.t()
    return input.gather(seq_dim, index.reshape(view).expand(input.shape))


def _reverse_sequence_shape(operation: Any) -> TensorShape:
    x, lengths = operation.inputs[0].shape, operation.inputs[1].shape.with_rank(1)
    if x.ndims is None:
        return x
    seq, batch = operation.attrs["seq_dim"], operation.attrs.get("batch_dim", 0)
    if batch >= x.ndims:
        raise ValueError(f"batch_dim must be < input rank: {batch} vs. {x.ndims}")
    if seq >= x.ndims:
        raise ValueError(f"seq_dim must be < input rank: {seq} vs. {x.ndims}")
    dims = list(x.values or ())
    merged = TensorShape([dims[batch]]).merge_with(lengths)
    dims[batch] = (merged.values or (None,))[0]
    return TensorShape(dims)


op(
    "ReverseSequence",
    "input:T, seq_lengths:Tlen -> T",
    _reverse_sequence,
    shape=_reverse_sequence_shape,
    batch_dim=0,
    Tlen=dtypes.int64,
)


@tf_export("reverse_sequence")
def reverse_sequence(
    input: Any,
    seq_lengths: Any,
    seq_axis: int | None = None,
    batch_axis: int | None = None,
    name: str | None = None,
    seq_dim: int | None = None,
    batch_dim: int | None = None,
) -> Any:
    along = seq_dim if seq_axis is None else seq_axis
    rows = batch_dim if batch_axis is None else batch_axis
    return apply_op("ReverseSequence", input, seq_lengths, seq_dim=along, batch_dim=rows or 0, name=name)


def _roll(input: TorchTensor, shift: TorchTensor, axis: TorchTensor) -> TorchTensor:
    shifts, axes = shift.reshape(-1).tolist(), axis.reshape(-1).tolist()
    return torch.roll(input, shifts, axes)


op("Roll", "input:T, shift:Tshift, axis:Taxis -> T", _roll, shape=same, Tshift=dtypes.int32, Taxis=dtypes.int32)


@tf_export("roll", "manip.roll")
def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Any:
    return apply_op("Roll", input, shift, axis, name=name)


def _broadcast_to(input: Any, shape: TorchTensor) -> Any:
    return np.broadcast_to(input, shape.tolist()) if _is_text(input) else input.expand(shape.tolist())


op("BroadcastTo", "input:T, shape:Tidx -> T", _broadcast_to, shape=from_const(1), Tidx=dtypes.int32)
op(
    "BroadcastArgs",
    "s0:T, s1:T -> T",
    lambda s0, s1: torch.tensor(tuple(torch.broadcast_shapes(s0.tolist(), s1.tolist())), dtype=s0.dtype),
    diff=False,
    shape=lambda o: TensorShape([_longest(o)]),
)


def _longest(operation: Any) -> int | None:
    lengths = [(t.shape.values or (None,))[0] for t in operation.inputs]
    return None if None in lengths else max(lengths)  # type: ignore[type-var]


@tf_export("broadcast_to")
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    return apply_op("BroadcastTo", input, shape, name=name)


@tf_export("broadcast_dynamic_shape")
def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Any:
    return apply_op("BroadcastArgs", shape_x, shape_y)


@tf_export("broadcast_static_shape")
def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    return broadcast_shapes(TensorShape(shape_x), TensorShape(shape_y))


@tf_export("ensure_shape")
def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Any:
    return apply_op("EnsureShape", x, shape=TensorShape(shape), name=name)


def _ensure_shape(input: Any, shape: TensorShape) -> Any:
    if not shape.is_compatible_with(tuple(input.shape)):
        raise InvalidArgumentError(
            None,
            None,
            f"Shape of tensor {_brackets(tuple(input.shape))} is not compatible with expected shape"
            f" {_brackets(shape.values or ())}.",
        )
    return input


op("EnsureShape", "input:T -> T", _ensure_shape, shape=lambda o: o.inputs[0].shape.merge_with(o.attrs["shape"]))
export(lambda input, name=None: apply_op("Identity", input, name=name), "guarantee_const")
