"""Static shape rules by family. A rule gets the operation (inputs known, outputs not yet) and returns its output shapes."""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.constants import constant_value, constant_value_as_shape
from recurra.tf1.shapes import TensorShape, broadcast_shapes, unknown_shape

Rule = Callable[[Any], Any]


def const(op: Any, index: int) -> np.ndarray | None:
    """The constant value of input `index`, or None."""
    return constant_value(op.inputs[index])


def same(op: Any) -> TensorShape:
    return op.inputs[0].shape


def scalar(op: Any) -> TensorShape:
    return TensorShape([])


def vector(op: Any) -> TensorShape:
    return TensorShape([None])


def unknown(op: Any) -> TensorShape:
    return unknown_shape()


def fixed(*dims: int | None) -> Rule:
    """Always this shape."""
    shape = TensorShape(dims)
    return lambda op: shape


def of_input(index: int) -> Rule:
    """As input `index`."""
    return lambda op: op.inputs[index].shape


def from_const(index: int) -> Rule:
    """Input `index` is the shape."""
    return lambda op: constant_value_as_shape(op.inputs[index])


def from_attr(name: str) -> Rule:
    """Attribute `name` is the shape."""
    return lambda op: TensorShape(op.attrs.get(name))


def merged(op: Any) -> TensorShape:
    """All inputs have one shape."""
    shape = unknown_shape()
    for tensor in op.inputs:
        shape = shape.merge_with(tensor.shape)
    return shape


def broadcast(op: Any) -> TensorShape:
    """Two operands of an element-wise operation."""
    a, b = op.inputs[0].shape, op.inputs[1].shape
    try:
        return broadcast_shapes(a, b)
    except ValueError:
        x, y = a.values or (), b.values or ()
        n = max(len(x), len(y))
        pairs = zip((1,) * (n - len(x)) + x, (1,) * (n - len(y)) + y, strict=True)
        i, j = next((i, j) for i, j in pairs if i != j and i is not None and j is not None and 1 not in (i, j))
        raise ValueError(f"Dimensions must be equal, but are {i} and {j}") from None


def reduce(op: Any) -> TensorShape:
    """Input 0 reduced over the axes in input 1, with attribute keep_dims."""
    shape, axes, keep = op.inputs[0].shape, const(op, 1), op.attrs.get("keep_dims", False)
    if shape.rank is None:
        return unknown_shape()
    if axes is None:
        if keep:
            return unknown_shape(shape.rank)
        return unknown_shape()
    rank = shape.rank
    picked = set()
    for axis in np.ravel(axes).tolist():
        if not -rank <= axis < max(rank, 0):
            raise ValueError(f"Invalid reduction dimension {axis} for input with {rank} dimensions.")
        picked.add(axis % rank)
    dims = [(1 if keep else "drop") if i in picked else d for i, d in enumerate(shape.values or ())]
    return TensorShape([d for d in dims if d != "drop"])


def matmul(op: Any) -> TensorShape:
    """Two matrices, possibly transposed."""
    a, b = op.inputs[0].shape.with_rank(2), op.inputs[1].shape.with_rank(2)
    m, k = reversed(a.values) if op.attrs.get("transpose_a") else a.values  # type: ignore[arg-type, misc]
    k2, n = reversed(b.values) if op.attrs.get("transpose_b") else b.values  # type: ignore[arg-type, misc]
    if k is not None and k2 is not None and k != k2:
        raise ValueError(f"Dimensions must be equal, but are {k} and {k2}")
    return TensorShape([m, n])


def batch_matmul(op: Any) -> TensorShape:
    """Two stacks of matrices with broadcasting batch dimensions."""
    a, b = op.inputs[0].shape, op.inputs[1].shape
    if a.rank is None or b.rank is None:
        return unknown_shape()
    a.with_rank_at_least(2), b.with_rank_at_least(2)
    m, k = a.values[-2:] if not op.attrs.get("adj_x") else a.values[:-3:-1]  # type: ignore[index]
    k2, n = b.values[-2:] if not op.attrs.get("adj_y") else b.values[:-3:-1]  # type: ignore[index]
    if k is not None and k2 is not None and k != k2:
        raise ValueError(f"Dimensions must be equal, but are {k} and {k2}")
    return broadcast_shapes(a[:-2], b[:-2]).concatenate([m, n])
