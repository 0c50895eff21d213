"""Operations that only TensorFlow's inner modules serve: buckets of numbers, offsets of a concat, axes of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.init import Identity, compute_fans
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import as_shape

__all__ = ["bucketize"]

export(Identity, "python.ops.init_ops.identity_initializer")


@tf_export("python.ops.init_ops._compute_fans")
def fans(shape: Any) -> tuple[float, float]:
    """(fan in, fan out) of a kernel of this shape."""
    return compute_fans(as_shape(shape).as_list())  # type: ignore[arg-type]


def _bucketize(input: TorchTensor, boundaries: Any = ()) -> TorchTensor:
    if sorted(boundaries) != list(boundaries):
        raise InvalidArgumentError(None, None, "Expected sorted boundaries")
    edges = torch.tensor(boundaries, dtype=torch.float64)
    return torch.bucketize(input.double(), edges, right=True).to(torch.int32)


op("Bucketize", "input:T -> int32", _bucketize, shape=same, diff=False)


@tf_export("python.ops.math_ops._bucketize")
def bucketize(input: Any, boundaries: Any, name: str | None = None) -> Any:
    """How many of the sorted boundaries are at or below each element, int32."""
    if not isinstance(boundaries, list | tuple):
        raise TypeError(f"Expected list for 'boundaries' argument to 'bucketize' Op, not {boundaries!r}.")
    return apply_op("Bucketize", input, boundaries=tuple(float(b) for b in boundaries), name=name)


def _concat_offset(concat_dim: TorchTensor, shape: list[TorchTensor]) -> list[TorchTensor]:
    axis, first = int(concat_dim), shape[0]
    if first.dim() != 1:
        raise InvalidArgumentError(None, None, f"input 0 should be a vector, but got shape {list(first.shape)}")
    if not -len(first) <= axis < len(first):
        raise InvalidArgumentError(None, None, f"Concat dim is out of range: {axis} vs. {len(first)}")
    axis %= len(first)
    offsets, total = [], 0
    for i, sizes in enumerate(shape):
        if len(sizes) != len(first):
            raise InvalidArgumentError(None, None, f"input {i} should contain {len(first)} elem(s), got {len(sizes)}")
        others = torch.arange(len(first)) != axis
        if not torch.equal(sizes[others], first[others]):
            mine, theirs = (" ".join(map(str, s.tolist())) for s in (sizes, first))
            raise InvalidArgumentError(
                None,
                None,
                f"All dimensions except {axis} must match. Input {i} has shape [{mine}] and doesn't match input 0 "
                f"with shape [{theirs}].",
            )
        offset = torch.zeros_like(first)
        offset[axis] = total
        total += int(sizes[axis])
        offsets.append(offset)
    return offsets


op(
    "ConcatOffset",
    "concat_dim:int32, shape:N*int32 -> N*int32",
    _concat_offset,
    shape=lambda o: [t.shape for t in o.inputs[1:]],
    diff=False,
)


def _dim_map(x: TorchTensor, src_format: str = "NHWC", dst_format: str = "NCHW") -> TorchTensor:
    size = len(src_format)
    if bool(((x < -size) | (x >= size)).any()):
        raise InvalidArgumentError(None, None, f"Dimensions must be in [-{size}, {size})")
    return torch.tensor([dst_format.index(c) for c in src_format], dtype=x.dtype)[x.long() % size]


def _vec_permute(x: TorchTensor, src_format: str = "NHWC", dst_format: str = "NCHW") -> TorchTensor:
    return x[torch.tensor([src_format.index(c) for c in dst_format])]


op("DataFormatDimMap", "x:T -> T", _dim_map, shape=same, diff=False)
op("DataFormatVecPermute", "x:T -> T", _vec_permute, shape=same, diff=False)


@tf_export("python.ops.nn_ops.data_format_dim_map")
def data_format_dim_map(x: Any, src_format: str = "NHWC", dst_format: str = "NCHW", name: str | None = None) -> Any:
    """Where the axes `x` of one layout stand in the other."""
    return apply_op("DataFormatDimMap", x, src_format=src_format, dst_format=dst_format, name=name)


@tf_export("python.ops.nn_ops.data_format_vec_permute")
def data_format_vec_permute(x: Any, src_format: str = "NHWC", dst_format: str = "NCHW", name: str | None = None) -> Any:
    """Sizes (or pairs of paddings) of one layout in the order of the other."""
    return apply_op("DataFormatVecPermute", x, src_format=src_format, dst_format=dst_format, name=name)


@tf_export("python.ops.array_ops.scatter_nd_non_aliasing_add")
def scatter_nd_non_aliasing_add(input: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """`input` with updates added at indices."""
    input = convert_to_tensor(input)
    updates = convert_to_tensor(updates, dtype=input.dtype.base_dtype)
    return apply_op(
        "TensorScatterAdd", input, convert_to_tensor(indices, preferred_dtype=dtypes.int32), updates, name=name
    )
