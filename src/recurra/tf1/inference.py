"""Static shapes of new operations: by the rule of their type, else by running them on meta tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from recurra.tf1.constants import constant_value, group_inputs
from recurra.tf1.shapes import TensorShape, as_shape, unknown_shape
from recurra.tf1.tensor import Operation
from recurra.tf1.values import to_torch


# -- static shapes ---------------------------------------------------------------------------------------------------
def infer_shapes(op: Operation) -> list[TensorShape]:
    """The static shapes of an operation's outputs by its rule, else by running it on meta tensors."""
    if op.definition.shape is not None:
        shapes = op.definition.shape(op)
        if isinstance(shapes, TensorShape):
            return [shapes] * len(op.outputs)
        return [as_shape(s) for s in shapes]
    return _probe(op) if op.outputs else []


def _probe(op: Operation) -> list[TensorShape]:
    """Run the lowering twice on meta tensors with different sizes for what is unknown: sizes that agree are known."""
    unknown = [unknown_shape()] * len(op.outputs)
    definition = op.definition
    if definition.fn is None or definition.stateful:
        return unknown
    if any((t.shape.rank is None and constant_value(t) is None) or t.dtype.torch is None for t in op.inputs):
        return unknown
    first = _meta_run(op, 7)
    if first is None:
        return unknown
    if all(t.shape.is_fully_defined() for t in op.inputs):
        return [TensorShape(s) for s in first]
    second = _meta_run(op, 11)
    if second is None or any(len(a) != len(b) for a, b in zip(first, second, strict=True)):
        return unknown
    return [
        TensorShape([x if x == y else None for x, y in zip(a, b, strict=True)])
        for a, b in zip(first, second, strict=True)
    ]


def _meta_run(op: Operation, size: int) -> list[tuple[int, ...]] | None:
    values: list[Any] = []
    for tensor in op.inputs:
        known = constant_value(tensor)
        if known is not None and known.size <= 64 and known.dtype.kind in "iub":
            values.append(to_torch(np.asarray(known)))
        else:
            dims = [size if d is None else d for d in tensor.shape.as_list()]
            values.append(torch.empty(dims, dtype=tensor.dtype.base_dtype.torch, device="meta"))
    try:
        result = op.definition.fn(*group_inputs(op, values), **op.definition.kwargs(op.attrs))
    except Exception:  # a lowering may need values: then nothing is known
        return None
    if not isinstance(result, tuple | list):
        result = [result]
    if len(result) != len(op.outputs):
        return None
    return [tuple(r.shape) for r in result]
