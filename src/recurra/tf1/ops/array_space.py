"""Moving space into depth and batch, image patches, edit distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import tf_export
from recurra.tf1.ops.compute import windows
from recurra.tf1.ops.nn_conv import window_shape
from recurra.tf1.ops.slices import SparseTensor
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape

__all__ = ["space_to_batch_nd"]


def _space_to_depth(input: TorchTensor, block_size: int, data_format: str = "NHWC") -> TorchTensor:
    x = input if data_format == "NHWC" else input.movedim(1, -1)
    n, h, w, c = x.shape
    out = x.reshape(n, h // block_size, block_size, w // block_size, block_size, c).permute(0, 1, 3, 2, 4, 5)
    out = out.reshape(n, h // block_size, w // block_size, block_size * block_size * c)
    return out if data_format == "NHWC" else out.movedim(-1, 1)


def _depth_to_space(input: TorchTensor, block_size: int, data_format: str = "NHWC") -> TorchTensor:
    x = input if data_format == "NHWC" else input.movedim(1, -1)
    n, h, w, c = x.shape
    depth = c // (block_size * block_size)
    out = (
        x.reshape(n, h, w, block_size, block_size, depth)
        .permute(0, 1, 3, 2, 4, 5)
        .reshape(n, h * block_size, w * block_size, depth)
    )
    return out if data_format == "NHWC" else out.movedim(-1, 1)


def _depth_shape(to_depth: bool) -> Callable[[Any], TensorShape]:
    def rule(operation: Any) -> TensorShape:
        block, first = operation.attrs["block_size"], operation.attrs.get("data_format") == "NCHW"
        dims = operation.inputs[0].shape.with_rank(4).values or (None,) * 4
        n, h, w, c = (dims[0], dims[2], dims[3], dims[1]) if first else dims

        def grow(v, up):
            return None if v is None else v * block if up else _whole(v, block)

        h, w = grow(h, not to_depth), grow(w, not to_depth)
        c = None if c is None else c * block * block if to_depth else _whole(c, block * block)
        return TensorShape([n, c, h, w] if first else [n, h, w, c])

    return rule


def _whole(value: int, part: int) -> int:
    if value % part:
        raise ValueError(f"Dimension size must be evenly divisible by {part} but is {value}")
    return value // part


op("SpaceToDepth", "input:T -> T", _space_to_depth, shape=_depth_shape(True))
op("DepthToSpace", "input:T -> T", _depth_to_space, shape=_depth_shape(False))


@tf_export("space_to_depth", "nn.space_to_depth")
def space_to_depth(input: Any, block_size: int, name: str | None = None, data_format: str = "NHWC") -> Any:
    return apply_op("SpaceToDepth", input, block_size=block_size, data_format=data_format, name=name)


@tf_export("depth_to_space", "nn.depth_to_space")
def depth_to_space(input: Any, block_size: int, name: str | None = None, data_format: str = "NHWC") -> Any:
    return apply_op("DepthToSpace", input, block_size=block_size, data_format=data_format, name=name)


def _space_to_batch(input: TorchTensor, block_shape: TorchTensor, paddings: TorchTensor) -> TorchTensor:
    blocks, pads = block_shape.tolist(), paddings.tolist()
    rank = len(blocks)
    rest = input.dim() - 1 - rank
    x = F.pad(input, [0, 0] * rest + [p for pair in reversed(pads) for p in pair])
    shape: list[int] = [x.shape[0]]
    for axis, block in enumerate(blocks, start=1):
        if x.shape[axis] % block:
            raise InvalidArgumentError(
                None,
                None,
                f"padded_shape[{axis - 1}]={x.shape[axis]} is not divisible by block_shape[{axis - 1}]={block}",
            )
        shape += [x.shape[axis] // block, block]
    tail = list(x.shape[1 + rank :])
    x = x.reshape(shape + tail)
    order = (
        [2 * n + 2 for n in range(rank)]
        + [0]
        + [2 * n + 1 for n in range(rank)]
        + list(range(2 * rank + 1, 2 * rank + 1 + len(tail)))
    )
    return x.permute(order).reshape([-1, *shape[1::2], *tail])


def _batch_to_space(input: TorchTensor, block_shape: TorchTensor, crops: TorchTensor) -> TorchTensor:
    blocks, cuts = block_shape.tolist(), crops.tolist()
    rank = len(blocks)
    batch = input.shape[0] // int(np.prod(blocks))
    spatial, tail = list(input.shape[1 : 1 + rank]), list(input.shape[1 + rank :])
    x = input.reshape([*blocks, batch, *spatial, *tail])
    order = (
        [rank]
        + [a for n in range(rank) for a in (rank + 1 + n, n)]
        + list(range(2 * rank + 1, 2 * rank + 1 + len(tail)))
    )
    x = x.permute(order).reshape([batch, *(s * b for s, b in zip(spatial, blocks, strict=True)), *tail])
    index = tuple(slice(start, x.shape[axis] - end) for axis, (start, end) in enumerate(cuts, start=1))
    return x[(slice(None), *index)]


def _batch_shape(to_batch: bool) -> Callable[[Any], TensorShape]:
    def rule(operation: Any) -> TensorShape:
        x, blocks, pads = (
            operation.inputs[0].shape,
            constant_value(operation.inputs[1]),
            constant_value(operation.inputs[2]),
        )
        if x.ndims is None or blocks is None:
            return unknown_shape(x.ndims) if x.ndims is not None else unknown_shape()
        dims = list(x.values or ())
        total = int(np.prod(blocks))
        dims[0] = None if dims[0] is None else dims[0] * total if to_batch else _whole(dims[0], total)
        for n, block in enumerate(blocks.tolist(), start=1):
            size, change = dims[n], None if pads is None else int(pads[n - 1].sum())
            if size is None or change is None:
                dims[n] = None
            else:
                dims[n] = _whole(size + change, block) if to_batch else size * block - change
        return TensorShape(dims)

    return rule


op("SpaceToBatchND", "input:T, block_shape:Tb, paddings:Tp -> T", _space_to_batch, shape=_batch_shape(True))
op("BatchToSpaceND", "input:T, block_shape:Tb, crops:Tc -> T", _batch_to_space, shape=_batch_shape(False))


@tf_export("space_to_batch_nd", "manip.space_to_batch_nd")
def space_to_batch_nd(input: Any, block_shape: Any, paddings: Any, name: str | None = None) -> Any:
    return apply_op("SpaceToBatchND", input, block_shape, paddings, name=name)


@tf_export("batch_to_space_nd", "manip.batch_to_space_nd")
def batch_to_space_nd(input: Any, block_shape: Any, crops: Any, name: str | None = None) -> Any:
    return apply_op("BatchToSpaceND", input, block_shape, crops, name=name)


@tf_export("space_to_batch", "nn.space_to_batch")
def space_to_batch(
    input: Any, paddings: Any, block_size: int | None = None, name: str | None = None, block_shape: Any = None
) -> Any:
    blocks = block_shape if block_size is None else [block_size, block_size]
    return space_to_batch_nd(input, np.array(blocks, np.int32), paddings, name)


@tf_export("batch_to_space")
def batch_to_space(
    input: Any, crops: Any, block_size: int | None = None, name: str | None = None, block_shape: Any = None
) -> Any:
    blocks = block_shape if block_size is None else [block_size, block_size]
    return batch_to_space_nd(input, np.array(blocks, np.int32), crops, name)


@tf_export("required_space_to_batch_paddings")
def required_space_to_batch_paddings(
    input_shape: Any, block_shape: Any, base_paddings: Any = None, name: str | None = None
) -> Any:
    """(paddings, crops) that make every size divisible by its block."""
    with name_scope(name, "required_space_to_batch_paddings", [input_shape, block_shape]):
        sizes = convert_to_tensor(input_shape, dtype=dtypes.int32, name="input_shape")
        blocks = convert_to_tensor(block_shape, dtype=dtypes.int32, name="block_shape")
        count = blocks.get_shape().with_rank(1).values[0]  # type: ignore[index]
        base = np.zeros([count, 2], np.int32) if base_paddings is None else base_paddings
        base = convert_to_tensor(base, dtype=dtypes.int32, name="base_paddings")
        known = [constant_value(t) for t in (sizes, blocks, base)]
        if all(k is not None for k in known):
            size, block, pad = (np.asarray(k) for k in known)
            extra = (block - (size + pad.sum(1)) % block) % block
            return (
                convert_to_tensor(np.stack([pad[:, 0], pad[:, 1] + extra], 1).astype(np.int32), name="paddings"),
                convert_to_tensor(np.stack([0 * extra, extra], 1).astype(np.int32), name="crops"),
            )
        full = sizes + base[:, 0] + base[:, 1]
        extra = (blocks - full % blocks) % blocks

        def column(a, b):
            return apply_op("Pack", [a, b], axis=1)

        return column(base[:, 0], base[:, 1] + extra), column(apply_op("ZerosLike", extra), extra)


def _patches(
    images: TorchTensor, ksizes: Sequence[int], strides: Sequence[int], rates: Sequence[int], padding: str
) -> TorchTensor:
    return windows.patches(images, ksizes[1:-1], strides[1:-1], padding, rates[1:-1])


def _patches_shape(operation: Any) -> TensorShape:
    attrs, x = operation.attrs, operation.inputs[0].shape.with_rank(4)
    channels = x.values[3] if x.values else None
    area = attrs["ksizes"][1] * attrs["ksizes"][2]
    rule = {**attrs, "dilations": attrs["rates"], "data_format": "NHWC"}
    return window_shape(x, attrs["ksizes"][1:-1], None if channels is None else channels * area, rule)


op("ExtractImagePatches", "images:T -> T", _patches, shape=_patches_shape)


@tf_export("extract_image_patches", "image.extract_image_patches", "image.extract_patches")
def extract_image_patches(
    images: Any,
    ksizes: Any = None,
    strides: Any = None,
    rates: Any = None,
    padding: str | None = None,
    name: str | None = None,
    sizes: Any = None,
) -> Any:
    return apply_op(
        "ExtractImagePatches",
        images,
        ksizes=list(sizes or ksizes),
        strides=list(strides),
        rates=list(rates),
        padding=padding,
        name=name,
    )


def _distance(a: list[Any], b: list[Any]) -> int:
    previous = list(range(len(b) + 1))
    for n, x in enumerate(a, start=1):
        current = [n]
        for m, y in enumerate(b, start=1):
            current.append(min(previous[m] + 1, current[m - 1] + 1, previous[m - 1] + (x != y)))
        previous = current
    return previous[-1]


def _grouped(indices: TorchTensor, values: Any) -> dict[tuple[int, ...], list[Any]]:
    groups: dict[tuple[int, ...], list[Any]] = {}
    for index, value in zip(indices.tolist(), values.tolist(), strict=True):
        groups.setdefault(tuple(index[:-1]), []).append(value)
    return groups


def _edit_distance(
    hypothesis_indices: TorchTensor,
    hypothesis_values: Any,
    hypothesis_shape: TorchTensor,
    truth_indices: TorchTensor,
    truth_values: Any,
    truth_shape: TorchTensor,
    normalize: bool = True,
) -> TorchTensor:
    """Levenshtein distance per group, over the length of the truth if normalised (infinite for an empty truth)."""
    sizes = [max(a, b) for a, b in zip(hypothesis_shape.tolist()[:-1], truth_shape.tolist()[:-1], strict=True)]
    guesses, truths = _grouped(hypothesis_indices, hypothesis_values), _grouped(truth_indices, truth_values)
    out = np.zeros(sizes, np.float32)
    for place in np.ndindex(*sizes):
        guess, truth = guesses.get(place, []), truths.get(place, [])
        distance = float(_distance(guess, truth))
        if normalize:
            distance = distance / len(truth) if truth else (np.inf if guess else 0.0)
        out[place] = distance
    return torch.from_numpy(out)


def _edit_shape(operation: Any) -> TensorShape:
    a, b = constant_value(operation.inputs[2]), constant_value(operation.inputs[5])
    if a is None or b is None:
        return unknown_shape()
    return TensorShape([int(max(x, y)) for x, y in zip(a[:-1], b[:-1], strict=True)])


op(
    "EditDistance",
    "hypothesis_indices:int64, hypothesis_values:T, hypothesis_shape:int64, truth_indices:int64, truth_values:T, truth_shape:int64 -> float32",  # noqa: E501
    _edit_distance,
    diff=False,
    shape=_edit_shape,
)


@tf_export("edit_distance")
def edit_distance(hypothesis: Any, truth: Any, normalize: bool = True, name: str = "edit_distance") -> Any:
    from recurra.tf1.fetches import SparseTensorValue

    pair = []
    for label, value in (("Hypothesis", hypothesis), ("Truth", truth)):
        if isinstance(value, SparseTensorValue):
            value = SparseTensor.from_value(value)
        if not isinstance(value, SparseTensor):
            raise TypeError(f"{label} must be a SparseTensor.")
        pair.append(value)
    parts = [p for s in pair for p in (s.indices, s.values, s.dense_shape)]
    return apply_op("EditDistance", *parts, normalize=normalize, name=name)
