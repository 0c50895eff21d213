"""The operations behind variables: storage, assignment, reading, scattering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from recurra.tf1 import errors, shape_rules
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, as_shape
from recurra.tf1.tensor import Operation
from recurra.tf1.values import Cell


# -- operations ------------------------------------------------------------------------------------------------------
def _bind_cell(operation: Operation, session: Any) -> Callable[[], Cell]:
    cell = session.cell(operation)
    return lambda: cell


def _assign(ref: Cell, value: Any, validate_shape: bool = True) -> Cell:
    declared = ref.op.attrs.get("shape")
    if validate_shape and declared is not None and not as_shape(declared).is_compatible_with(tuple(value.shape)):
        raise errors.invalid_argument(
            f"Assign requires shapes of both tensors to match. lhs shape= {_show(declared)} rhs shape= {_show(value.shape)}",  # noqa: E501
        )
    ref.write(value)
    return ref


def _show(shape: Any) -> str:
    return (
        "["
        + ",".join(
            "?" if d is None else str(d)
            for d in as_shape(tuple(shape) if not isinstance(shape, TensorShape) else shape).values or ()
        )
        + "]"
    )


def _assign_add(ref: Cell, value: Any) -> Cell:
    ref.data.add_(value.detach())
    return ref


def _assign_sub(ref: Cell, value: Any) -> Cell:
    ref.data.sub_(value.detach())
    return ref


def _no_result(function: Callable[..., Any]) -> Callable[..., None]:
    def run(resource: Cell, value: Any) -> None:
        function(resource, value)

    return run


def _rows(indices: Any, updates: Any, data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat row numbers, checked, and the updates as one row each."""
    flat = indices.reshape(-1).long()
    if flat.numel() and (int(flat.min()) < 0 or int(flat.max()) >= data.shape[0]):
        bad = int(((flat < 0) | (flat >= data.shape[0])).nonzero()[0, 0])
        raise errors.invalid_argument(f"indices[{bad}] = {int(flat[bad])} is not in [0, {data.shape[0]})")
    shape = (flat.numel(), *data.shape[1:])
    updates = updates.detach().expand(shape) if updates.dim() == 0 else updates.detach().reshape(shape)
    return flat, updates


def _scatter(how: str) -> Callable[..., Cell]:
    def run(ref: Cell, indices: Any, updates: Any) -> Cell:
        data = ref.data
        rows, values = _rows(indices, updates, data)
        if how == "update":
            data[rows] = values
        elif how == "add":
            data.index_add_(0, rows, values)
        elif how == "sub":
            data.index_add_(0, rows, values, alpha=-1)
        elif how == "mul":
            data.index_reduce_(0, rows, values, "prod")
        elif how == "div":
            data.index_reduce_(0, rows, 1 / values, "prod")
        else:
            data.index_reduce_(0, rows, values, "amax" if how == "max" else "amin")
        return ref

    return run


def _is_initialized(ref: Cell) -> torch.Tensor:
    return torch.tensor(ref.value is not None)


def _count_up_to(ref: Cell, limit: int) -> torch.Tensor:
    if int(ref.read()) >= limit:
        raise errors.OutOfRangeError(None, None, f"Reached limit of {limit}")
    before = ref.read().clone()
    ref.data.add_(1)
    return before


_ref = shape_rules.from_attr("shape")
op("VariableV2", "-> &dtype", bind=_bind_cell, shape=_ref)
op("Variable", "-> &dtype", bind=_bind_cell, shape=_ref)
op("TemporaryVariable", "-> &dtype", bind=_bind_cell, shape=_ref)
op("VarHandleOp", "-> resource", bind=_bind_cell, shape=shape_rules.scalar, diff=True)
op(
    "Assign",
    "ref:&T, value:T -> &T",
    _assign,
    writes=True,
    shape=lambda o: (
        o.inputs[0].shape.merge_with(o.inputs[1].shape) if o.attrs.get("validate_shape", True) else o.inputs[1].shape
    ),
)
op("AssignAdd", "ref:&T, value:T -> &T", _assign_add, writes=True, shape=shape_rules.merged)
op("AssignSub", "ref:&T, value:T -> &T", _assign_sub, writes=True, shape=shape_rules.merged)
op("IsVariableInitialized", "ref:&dtype -> bool", _is_initialized, stateful=True, shape=shape_rules.scalar, diff=False)
op("CountUpTo", "ref:&T -> T", _count_up_to, writes=True, shape=shape_rules.scalar, diff=False)


def _read_shape(o: Operation) -> TensorShape:
    return as_shape(o.inputs[0].op.attrs.get("shape"))


op("ReadVariableOp", "resource:resource -> dtype", lambda resource: resource.read(), shape=_read_shape, stateful=True)
op("AssignVariableOp", "resource:resource, value:dtype ->", _no_result(lambda r, v: _assign(r, v, False)), writes=True)
op("AssignAddVariableOp", "resource:resource, value:dtype ->", _no_result(_assign_add), writes=True)
op("AssignSubVariableOp", "resource:resource, value:dtype ->", _no_result(_assign_sub), writes=True)
op(
    "VarIsInitializedOp",
    "resource:resource -> bool",
    _is_initialized,
    stateful=True,
    shape=shape_rules.scalar,
    diff=False,
)
op(
    "ResourceCountUpTo",
    "resource:resource -> T",
    lambda resource, limit: _count_up_to(resource, limit),
    writes=True,
    shape=shape_rules.scalar,
    diff=False,
)
for _how in ("update", "add", "sub", "mul", "div", "max", "min"):
    op(
        f"Scatter{_how.title()}",
        "ref:&T, indices:Tindices, updates:T -> &T",
        _scatter(_how),
        writes=True,
        shape=shape_rules.same,
    )
    op(
        f"ResourceScatter{_how.title()}",
        "resource:resource, indices:Tindices, updates:dtype ->",
        (lambda run: lambda resource, indices, updates: run(resource, indices, updates) and None)(_scatter(_how)),
        writes=True,
    )
