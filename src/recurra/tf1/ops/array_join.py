"""Joining and splitting: concat, stack, unstack, split."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_shape import _brackets, _is_text
from recurra.tf1.registry import op
from recurra.tf1.shapes import Dimension, TensorShape, unknown_shape


# -- joining and splitting ------------------------------------------------------------------------------------------------  # noqa: E501
def _concat(values: list[Any], axis: TorchTensor) -> Any:
    if len(values) == 1:
        return values[0]
    return np.concatenate(values, int(axis)) if _is_text(values[0]) else torch.cat(values, int(axis))


def _concat_shape(operation: Any) -> TensorShape:
    first = operation.type == "Concat"  # the operation of releases before 1.0 has the axis in front
    axis = constant_value(operation.inputs[0 if first else -1])
    shapes = [t.shape for t in (operation.inputs[1:] if first else operation.inputs[:-1])]
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
    raise ValueError(f"Shape must be rank {a} but is rank {b}")


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
op(
    "Concat",
    "concat_dim:int32, values:N*T -> T",
    lambda concat_dim, values: _concat(values, concat_dim),
    shape=_concat_shape,
)


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
            None, None, f"Input shape axis {axis} must equal {num}, got shape {_brackets(value.shape)}"
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
                f"Dimension size must be evenly divisible by {num} but is {dims[position]}\n\tNumber of ways to"
                " split should evenly divide the split dimension"
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
            f"Rank-0 tensors are not supported as the num_or_size_splits argument to split. Argument provided: {num_or_size_splits}"  # noqa: E501
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
