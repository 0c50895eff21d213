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
from recurra.tf1.shapes import TensorShape
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
    replaced = _Rewrite(compiler, accepted, ops, region).operations()
    result = []
    for op in ops:
        chain = member.get(op)
        if chain is None or op is chain[-1]:
            made = replaced.get(op, op)
            result.append(made)
            if made is not op:
                compiler.producers.update(dict.fromkeys(made.outputs, made))
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
        before = compiler.producer(op.inputs[1])
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
    stack = [compiler.producer(t) for op in chain for t in [op.inputs[0]] if compiler._computed(t)]
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
            stack.extend(compiler.producer(t) for t in each._inputs if compiler._computed(t))
            stack.extend(c for c in each._control_inputs if c not in seen)
    return False


class _Rewrite:
    """The accepted chains as operations, and the operations that join all outputs of one, on its sequence."""

    def __init__(
        self, compiler: _Compiler, chains: list[list[Operation]], ops: list[Operation], region: set[Operation]
    ):
        self.compiler, self.chains, self.ops, self.region = compiler, chains, ops, region
        self.rows = {_rows(chain): chain for chain in chains}  # all outputs of a chain, in order
        inside = {op for chain in chains for op in chain}
        self.joins = [op for op in ops if op.type in ("Pack", "ConcatV2") and _parts(op) in self.rows and _turn(op)]
        self.wanted = set(compiler.results)
        for op in ops:
            if op not in inside and op not in self.joins:
                self.wanted.update(op._inputs)
        for chain in chains:
            xs = tuple(op.inputs[0] for op in chain)
            self.wanted.update(chain[0].inputs[1:])
            self.wanted.update(() if xs in self.rows else xs)

    def operations(self) -> dict[Operation, Operation]:
        """The last step of each chain, and each join, with what takes its place."""
        made: dict[Operation, Operation] = {}
        self.sequences: dict[int, Tensor] = {}
        for chain in self._in_order():
            sequence = made[chain[-1]] = self._sequence(chain)
            self._record(sequence, chain)
        for op in self.joins:
            source = self.sequences[id(self.rows[_parts(op)])]
            made[op] = _operation(op, "JoinSequence", "sequence:T -> T", [source], list(op.outputs), _turn(op), {})
            self._record(made[op], [op])
        return made

    def _in_order(self) -> list[list[Operation]]:
        """Chains after those whose outputs they read."""
        place = {op: i for i, op in enumerate(self.ops)}
        return sorted(self.chains, key=lambda chain: place[chain[0]])

    def _record(self, made: Operation, steps: list[Operation]) -> None:
        if any(step in self.region for step in steps):
            self.region.add(made)

    def _sequence(self, chain: list[Operation]) -> Operation:
        first, last = chain[0], chain[-1]
        count = first.attrs["_lengths"]["state"]
        source, take = self._source([op.inputs[0] for op in chain])
        lengths = {"xs": len(source), "state": count, "params": len(first.inputs) - count - 1}
        rows = [op.outputs[-1] for op in chain[:-1]]
        apart = any(t in self.wanted for t in rows)
        row = last.outputs[-1]
        shape = TensorShape(None if row.shape.values is None else [len(chain), *row.shape.values])
        whole = Tensor(last, 0, row.dtype, shape)
        self.sequences[id(chain)] = whole
        outputs = [whole, *(rows if apart else []), *last.outputs]
        inputs = [*source, *first.inputs[1:]]
        signature = "xs:K*T, state:S*T, params:P*T -> M*T"
        lowering = _sequence_lowering(first, take, apart)
        return _operation(first, "CellSequence", signature, inputs, outputs, lowering, {"_lengths": lengths})

    def _source(self, xs: list[Tensor]) -> tuple[list[Tensor], Callable[[list[Any]], Any]]:
        """The tensors to start from, and how they become [T, B, I]."""
        below = self.rows.get(tuple(xs))
        if below is not None and id(below) in self.sequences:
            return [self.sequences[id(below)]], _first
        whole = _whole(xs, self.compiler)
        if whole is None:
            return xs, torch.stack
        tensor, axis = whole
        return [tensor], _first if axis == 0 else lambda parts: parts[0].transpose(0, axis)


def _operation(
    like: Operation,
    kind: str,
    signature: str,
    inputs: list[Tensor],
    outputs: list[Tensor],
    lowering: Callable[..., Any],
    attrs: dict[str, Any],
) -> Operation:
    """An operation of a plan only, in the place of `like`."""
    definition = OpDef(
        kind, signature, lowering, shape=None, bind=None, diff=True, writes=False, stateful=False, defaults={}
    )
    made = Operation(like.graph, kind, like.name, inputs, attrs, definition)
    made._outputs = outputs
    return made


def _first(parts: list[Any]) -> Any:
    return parts[0]


def _sequence_lowering(step: Operation, take: Callable[[list[Any]], Any], apart: bool) -> Callable[..., Any]:
    from recurra.tf1.rnn.sequence import call_of

    call = call_of(step)

    def run(xs: list[Any], state: list[Any], params: list[Any]) -> tuple[Any, ...]:
        outputs, final = call(take(xs), state, params)
        return (outputs, *outputs.unbind(0)[:-1], *final) if apart else (outputs, *final)

    return run


def _rows(chain: list[Operation]) -> tuple[Tensor, ...]:
    return tuple(op.outputs[-1] for op in chain)


def _parts(op: Operation) -> tuple[Tensor, ...]:
    """The tensors that a Pack or ConcatV2 joins."""
    return tuple(op._inputs if op.type == "Pack" else op._inputs[:-1])


def _turn(op: Operation) -> Callable[[Any], Any] | None:
    """What a Pack or ConcatV2 of all outputs makes of the sequence [T, B, H]; None when that is not known."""
    if op._control_inputs:
        return None
    axis = op.attrs.get("axis", 0) if op.type == "Pack" else constant_value(op._inputs[-1])
    known = {("Pack", 0): _same, ("Pack", 1): _batch_first, ("ConcatV2", 0): _long, ("ConcatV2", 1): _wide}
    return known.get((op.type, int(axis))) if axis is not None else None


def _same(sequence: Any) -> Any:
    return sequence


def _batch_first(sequence: Any) -> Any:
    return sequence.transpose(0, 1)


def _long(sequence: Any) -> Any:
    return sequence.flatten(0, 1)


def _wide(sequence: Any) -> Any:
    return sequence.transpose(0, 1).flatten(1)


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
