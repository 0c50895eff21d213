"""Plan-time rewriting: the sum of L2Loss operations that `tf.global_norm` makes becomes one operation over all tensors.

One pass over the gradients instead of three over each, and one call instead of three times their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from recurra.tf1.registry import OpDef
from recurra.tf1.tensor import Operation, Tensor


def join_norms(ops: list[Operation], kept: Callable[[Tensor], bool], region: set[Operation]) -> list[Operation]:
    """`ops` with every Sum(Pack(L2Loss, L2Loss, …)) that nothing differentiates as one operation.

    `kept` tensors are needed for themselves: fetched, fed, or differentiated by.
    """
    users: dict[Tensor, int] = {}
    for op in ops:
        for tensor in op._inputs:
            users[tensor] = users.get(tensor, 0) + 1
    for op in ops:
        for before in op._control_inputs:
            users.update((t, 2) for t in before.outputs)
    gone: set[Operation] = set()
    made: dict[Operation, Operation] = {}
    for op in ops:
        parts = _parts(op)
        if not parts or op in region or region.intersection(parts):
            continue
        if any(users[p.outputs[0]] != 1 or kept(p.outputs[0]) or p._control_inputs for p in parts):
            continue
        gone.update(parts)
        made[op] = _joined(op, [p._inputs[0] for p in parts[1:]])
    return [made.get(op, op) for op in ops if op not in gone] if made else ops


def _parts(op: Operation) -> list[Operation]:
    """The Pack and the L2Loss operations that a Sum is of; none when it is of something else."""
    if op.type != "Sum" or op.attrs.get("keep_dims"):
        return []
    pack = op._inputs[0].op
    if pack.type != "Pack" or len(pack._inputs) < 2 or op.outputs[0].shape.rank != 0:
        return []
    losses = [t.op for t in pack._inputs]
    alike = all(o.type == "L2Loss" and o.outputs[0].dtype == op.outputs[0].dtype for o in losses)
    return [pack, *losses] if alike and len(set(losses)) == len(losses) else []


def _joined(op: Operation, tensors: Sequence[Tensor]) -> Operation:
    definition = OpDef(
        "HalfSquares", "t:N*T -> T", half_squares, shape=None, bind=None, diff=False, writes=False, stateful=False,
        defaults={},
    )  # fmt: skip
    attrs = {"_lengths": {"t": len(tensors)}}
    joined = Operation(op.graph, "HalfSquares", op.name, tensors, attrs, definition, op._control_inputs)
    joined._outputs = list(op.outputs)
    return joined


def half_squares(t: list[Any]) -> Any:
    """Half the sum of the squares of all elements."""
    norms = torch.stack(torch._foreach_norm(t))  # type: ignore[call-overload]
    return torch.dot(norms, norms) * 0.5
