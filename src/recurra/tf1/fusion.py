"""Plan-time rewriting: chains of known cell steps become one call of the library's sequence kernels.

A chain is a run of CellStep operations with the same equation and parameters, each continuing the state of the one before: what
static_rnn and hand-written loops leave in a graph. It becomes one operation when nothing looks at a state inside it that only the steps
have: no fetch, feed or gradient target there (the outputs are available either way), and no input that depends on an output.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from recurra.tf1.constants import constant_value
from recurra.tf1.registry import OpDef
from recurra.tf1.tensor import Operation, Tensor

if TYPE_CHECKING:
    from recurra.tf1.plan import _Compiler


def fuse(compiler: _Compiler, ops: list[Operation], region: set[Operation], leaves: set[Tensor]) -> list[Operation]:
    """`ops` with every chain replaced by one operation (added to `region` where its steps were in it)."""
    chains = _chains(compiler, ops, leaves)
    if not chains:
        return ops
    accepted: list[list[Operation]] = []
    member: dict[Operation, list[Operation]] = {}
    for chain in chains:
        if not _feeds_itself(chain, member, compiler):
            accepted.append(chain)
            member.update(dict.fromkeys(chain, chain))
    if not accepted:
        return ops
    fused = {id(chain): _Fused(compiler, chain, ops).operation() for chain in accepted}
    result = []
    for op in ops:
        chain = member.get(op)
        if chain is None:
            result.append(op)
        elif op is chain[-1]:
            made = fused[id(chain)]
            if any(step in region for step in chain):
                region.add(made)
            for tensor in made.outputs:
                compiler.producers[tensor] = made
            result.append(made)
    compiler.reordered = True
    return result


def _key(tensor: Tensor) -> Any:
    """Two reads of one resource variable are one parameter."""
    op = tensor.op
    return op.inputs[0] if op.type == "ReadVariableOp" and not op._control_inputs else tensor


def _signature(op: Operation) -> Any:
    attrs = op.attrs
    count = attrs["_lengths"]["state"]
    return attrs["family"], attrs["fields"], attrs["options"], tuple(_key(t) for t in op.inputs[count + 1 :])


def _chains(compiler: _Compiler, ops: list[Operation], leaves: set[Tensor]) -> list[list[Operation]]:
    steps = [op for op in ops if op.type == "CellStep" and not op._control_inputs]
    if len(steps) < 2:
        return []
    following: dict[Operation, Operation] = {}
    known = set(steps)
    users = _users(ops)
    results = set(compiler.results)
    for op in steps:
        count = op.attrs["_lengths"]["state"]
        before = op.inputs[1].op
        if before not in known or before in following or op.inputs[1 : count + 1] != before.outputs:
            continue
        if _signature(before) != _signature(op):
            continue
        inner = before.outputs[:-1]  # only the steps have these; the output is there in the sequence too
        if any(t in results or t in leaves or users.get(t, []) != [op] for t in inner):
            continue
        if any(t in leaves or t in compiler.given for t in before.outputs):
            continue
        following[before] = op
    starts = [op for op in steps if op in following and op not in set(following.values())]
    chains = []
    for start in starts:
        chain = [start]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        chains.append(chain)
    return chains


def _users(ops: Iterable[Operation]) -> dict[Tensor, list[Operation]]:
    users: dict[Tensor, list[Operation]] = {}
    for op in ops:
        for tensor in op._inputs:
            users.setdefault(tensor, []).append(op)
    return users


def _feeds_itself(chain: list[Operation], member: dict[Operation, list[Operation]], compiler: _Compiler) -> bool:
    """Whether an input of a step depends on an output of the chain other than through the state."""
    own = set(chain)
    stack = [t.op for op in chain for t in [op.inputs[0]] if compiler._computed(t)]
    seen: set[Operation] = set()
    while stack:
        op = stack.pop()
        if op in own:
            return True
        if op in seen:
            continue
        seen.add(op)
        for each in member.get(op, [op]):
            seen.add(each)
            stack.extend(t.op for t in each._inputs if compiler._computed(t) and t.op not in seen)
            stack.extend(c for c in each._control_inputs if c not in seen)
    return False


class _Fused:
    """One chain as one operation: inputs, lowering, outputs."""

    def __init__(self, compiler: _Compiler, chain: list[Operation], ops: list[Operation]):
        self.compiler, self.chain = compiler, chain
        first = chain[0]
        self.count = first.attrs["_lengths"]["state"]
        self.state = first.inputs[1 : self.count + 1]
        self.params = first.inputs[self.count + 1 :]
        self.xs = [op.inputs[0] for op in chain]
        inside = set(chain)
        wanted = {t for op in ops if op not in inside for t in op._inputs} | set(compiler.results)
        self.rows = [op.outputs[-1] for op in chain[:-1]]
        self.rows_wanted = any(t in wanted for t in self.rows)

    def operation(self) -> Operation:
        """The fused operation; its outputs are the tensors of the steps that something else uses."""
        source, take = self._source()
        outputs = [*(self.rows if self.rows_wanted else []), *self.chain[-1].outputs]
        inputs = [*source, *self.state, *self.params]
        definition = OpDef(
            "CellSequence",
            "xs:K*T, state:S*T, params:P*T -> M*T",
            self._lowering(take),
            shape=None,
            bind=None,
            diff=True,
            writes=False,
            stateful=False,
            defaults={},
        )
        lengths = {"xs": len(source), "state": len(self.state), "params": len(self.params)}
        made = Operation(
            self.chain[0].graph, "CellSequence", self.chain[0].name, inputs, {"_lengths": lengths}, definition
        )
        made._outputs = outputs
        return made

    def _source(self) -> tuple[list[Tensor], Callable[[list[Any]], Any]]:
        """The tensors to start from, and how they become [T, B, I]."""
        whole = _whole(self.xs, self.compiler)
        if whole is None:
            return self.xs, torch.stack
        tensor, axis = whole
        if axis == 0:
            return [tensor], lambda parts: parts[0]
        return [tensor], lambda parts: parts[0].transpose(0, axis)

    def _lowering(self, take: Callable[[list[Any]], Any]) -> Callable[..., Any]:
        from recurra.tf1.rnn.sequence import call_of

        call, rows = call_of(self.chain[0]), self.rows_wanted

        def run(xs: list[Any], state: list[Any], params: list[Any]) -> tuple[Any, ...]:
            outputs, final = call(take(xs), state, params)
            return (*outputs.unbind(0)[:-1], *final) if rows else final

        return run


def _whole(xs: list[Tensor], compiler: _Compiler) -> tuple[Tensor, int] | None:
    """The tensor that `xs` are the slices of, in order and without a gap, and the axis; None when they are not."""
    if any(x in compiler.given or x in compiler.leaves_early for x in xs):
        return None
    parts = [_slice(x) for x in xs]
    if any(p is None for p in parts):
        return None
    tensor, axis, _, total = parts[0]  # type: ignore[misc]
    same = all(p is not None and p[0] is tensor and p[1] == axis and p[2] == i for i, p in enumerate(parts))
    return (tensor, axis) if same and total == len(xs) else None


def _slice(x: Tensor) -> tuple[Tensor, int, int, int | None] | None:
    """(whole tensor, axis, index, size of the axis) when x is one slice of it."""
    op = x.op
    if op.type == "Unpack":
        rank = op.inputs[0].shape.rank
        axis = op.attrs.get("axis", 0)
        if axis < 0 and rank is None:
            return None
        return op.inputs[0], axis % rank if rank else axis, x.value_index, len(op.outputs)
    if op.type == "Squeeze" and op.inputs[0].op.type == "Split":
        split = op.inputs[0].op
        axis_value = constant_value(split.inputs[0])
        whole = split.inputs[1]
        if axis_value is None or whole.shape.rank is None:
            return None
        axis = int(axis_value) % whole.shape.rank
        squeezed = [a % whole.shape.rank for a in op.attrs.get("squeeze_dims") or []]
        if squeezed != [axis] or whole.shape.values[axis] != len(split.outputs):  # type: ignore[index]
            return None
        return whole, axis, op.inputs[0].value_index, len(split.outputs)
    if op.type == "StridedSlice":
        return _strided(op)
    return None


def _strided(op: Operation) -> tuple[Tensor, int, int, int | None] | None:
    """x[:, t] and x[:, t, :] and x[t]."""
    attrs, whole = op.attrs, op.inputs[0]
    begin = constant_value(op.inputs[1])
    shrink = attrs.get("shrink_axis_mask", 0)
    if begin is None or whole.shape.rank is None or attrs.get("ellipsis_mask") or attrs.get("new_axis_mask"):
        return None
    if shrink == 0 or shrink & (shrink - 1):
        return None
    axis = shrink.bit_length() - 1
    others = [i for i in range(len(begin)) if i != axis]
    full = all(attrs.get("begin_mask", 0) >> i & 1 and attrs.get("end_mask", 0) >> i & 1 for i in others)
    steps = constant_value(op.inputs[3])
    if not full or steps is None or any(int(steps[i]) != 1 for i in others) or int(begin[axis]) < 0:
        return None
    return whole, axis, int(begin[axis]), whole.shape.values[axis]  # type: ignore[index]
