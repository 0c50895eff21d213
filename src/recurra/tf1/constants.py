"""Values that are known while the graph is built: constant folding for shapes, axes and predicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from recurra.tf1.shapes import TensorShape, unknown_shape
from recurra.tf1.tensor import Tensor
from recurra.tf1.values import to_numpy, to_torch

_LIMIT = 4096  # elements: beyond, nothing is folded
_MISSING = object()


def constant_value(tensor: Any, partial: bool = False) -> np.ndarray | None:
    """The numpy value of a tensor that does not depend on feeds, state or randomness; None when unknown (or large)."""
    if not isinstance(tensor, Tensor):
        return None
    if type(tensor) is not Tensor and tensor.graph.eager:
        return _held_value(tensor)
    op = tensor.op
    if op.type == "Const":
        return op.attrs["value"]
    memo = tensor.graph.extra.setdefault("constant_values", {})
    found = memo.get(tensor, _MISSING)
    if found is _MISSING:
        memo[tensor] = None  # a cycle through a loop is not constant
        found = memo[tensor] = _evaluate(tensor)
        if found is None:
            del memo[tensor]
    return found


def _held_value(tensor: Any) -> np.ndarray | None:
    held = tensor._held
    return np.asarray(to_numpy(held)) if isinstance(held, torch.Tensor | np.ndarray) else None


def _evaluate(tensor: Tensor) -> np.ndarray | None:
    op = tensor.op
    if op.type in ("Shape", "Size", "Rank", "ShapeN"):
        return _static_size(tensor)
    if op.type in ("Merge", "Switch"):  # of a loop: what enters it is not what comes after
        return None
    definition = op.definition
    if definition is None or definition.fn is None or definition.stateful or (not op.inputs and op.type != "Const"):
        return None
    size = tensor.shape.num_elements()
    if size is not None and size > _LIMIT:
        return None
    values = []
    for item in op.inputs:
        if item.dtype._is_ref_dtype or item.dtype.torch is None:
            return None
        value = constant_value(item)
        if value is None or value.size > _LIMIT:
            return None
        values.append(to_torch(np.asarray(value)))
    try:
        with torch.no_grad():
            result = definition.fn(*group_inputs(op, values), **definition.kwargs(op.attrs))
    except (RuntimeError, ValueError, IndexError, TypeError, OverflowError, NotImplementedError):
        return None
    if isinstance(result, tuple | list):
        result = result[tensor.value_index]
    if isinstance(result, np.ndarray):
        return result  # text stays an array of objects: a bytes scalar would lose its trailing zeros
    return np.asarray(to_numpy(result))


def _static_size(tensor: Tensor) -> np.ndarray | None:
    op = tensor.op
    shape = op.inputs[tensor.value_index if op.type == "ShapeN" else 0].shape
    kind = tensor.dtype.as_numpy_dtype
    if op.type == "Rank":
        return None if shape.rank is None else np.array(shape.rank, kind)
    if not shape.is_fully_defined():
        return None
    return np.array(shape.num_elements() if op.type == "Size" else shape.as_list(), kind)


def group_inputs(op: Any, values: list[Any]) -> list[Any]:
    """Flat input values gathered into lists where the signature has list arguments."""
    definition = op.definition
    if all(arg.kind == "one" for arg in definition.inputs):
        return values
    lengths, grouped, index = op.attrs.get("_lengths", {}), [], 0
    for arg in definition.inputs:
        if arg.kind == "one":
            grouped.append(values[index])
            index += 1
        else:
            size = lengths.get(arg.name, 0)
            grouped.append(values[index : index + size])
            index += size
    return grouped


def constant_value_as_shape(tensor: Any) -> TensorShape:
    """The shape that a 1-d integer tensor describes, as far as it is known (-1 = unknown)."""
    if not isinstance(tensor, Tensor):
        return TensorShape([None if d == -1 else d for d in np.ravel(tensor).tolist()])
    value = constant_value(tensor)
    if value is not None:
        if value.ndim == 0:
            if value == -1:
                return unknown_shape()
            raise ValueError(
                "Received a scalar with unknown value as shape; require a statically known scalar with value '-1' to describe an unknown shape."  # noqa: E501
            )
        return TensorShape([None if d < 0 else int(d) for d in value.tolist()])
    rule = _AS_SHAPE.get(tensor.op.type)
    if rule is not None:
        found = rule(tensor.op)
        if found is not None:
            return found
    if tensor.shape.rank == 0:
        raise ValueError(
            "Received a scalar with unknown value as shape; require a statically known scalar with value '-1' to describe an unknown shape."  # noqa: E501
        )
    length = tensor.shape.values[0] if tensor.shape.rank == 1 else None  # type: ignore[index]
    return unknown_shape(length)


def _packed(op: Any) -> TensorShape | None:
    dims: list[int | None] = []
    for item in op.inputs:
        value = constant_value(item)
        if value is None:
            dims.append(_partial_scalar(item))
        else:
            dims.append(None if value < 0 else int(value))
    return TensorShape(dims)


def _partial_scalar(tensor: Tensor) -> int | None:
    return None


def _concatenated(op: Any) -> TensorShape | None:
    parts = op.inputs[1:] if op.type == "Concat" else op.inputs[:-1]
    shape = TensorShape([])
    for part in parts:
        shape = shape.concatenate(constant_value_as_shape(part))
    return shape


def _sliced(op: Any) -> TensorShape | None:
    bounds = [constant_value(i) for i in op.inputs[1:4]]
    masks = op.attrs
    if any(b is None or b.shape != (1,) for b in bounds) or masks.get("ellipsis_mask") or masks.get("new_axis_mask"):
        return None
    if masks.get("shrink_axis_mask"):
        return None
    begin, end, step = (int(b[0]) for b in bounds)  # type: ignore[index]
    begin_, end_ = (None if masks.get("begin_mask") else begin), (None if masks.get("end_mask") else end)
    whole = constant_value_as_shape(op.inputs[0])
    if whole.values is None:
        return None
    return TensorShape(whole.values[slice(begin_, end_, step)])


_AS_SHAPE = {
    "Shape": lambda op: op.inputs[0].shape,
    "Pack": _packed,
    "ConcatV2": _concatenated,
    "Concat": _concatenated,
    "StridedSlice": _sliced,
    "Cast": lambda op: constant_value_as_shape(op.inputs[0]),
    "Identity": lambda op: constant_value_as_shape(op.inputs[0]),
}
