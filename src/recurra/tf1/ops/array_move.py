"""Repeating, padding, reversing and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.array_shape import _brackets, _is_text
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import from_const, same
from recurra.tf1.shapes import TensorShape, broadcast_shapes, unknown_shape


# -- repeating and padding ------------------------------------------------------------------------------------------------  # noqa: E501
def _tile(input: Any, multiples: TorchTensor) -> Any:
    return np.tile(input, multiples.tolist()) if _is_text(input) else input.repeat(multiples.tolist())


def _tile_shape(operation: Any) -> TensorShape:
    x, times = operation.inputs[0].shape, constant_value(operation.inputs[1])
    if times is None:
        return unknown_shape(x.ndims) if x.ndims is not None else unknown_shape()
    if x.ndims is None:
        return unknown_shape(len(times))
    if x.ndims != len(times):
        raise ValueError(f"Shape must be rank {x.ndims} but is rank {len(times)}")
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


# -- reversing and moving ---------------------------------------------------------------------------------------------------  # noqa: E501
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
