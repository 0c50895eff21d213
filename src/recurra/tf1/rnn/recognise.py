"""Cells that a program wrote out in products and sigmoids, found in a plan and made steps of the library's equations.

A step is a hidden state that is computed from an input and the state of another such step by the equation of a plain RNN, an LSTM or a
GRU, whatever way its weights are kept (one matrix, one per gate, one for inputs and one for states). Two steps in a row with the same
weights make a chain; single ones stay as they are. Nothing inside a step may be fed or differentiated by.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch

from recurra.tf1.constants import constant_value
from recurra.tf1.registry import OPS, OpDef
from recurra.tf1.rnn.affine import Affine, Block, Reader
from recurra.tf1.rnn.steps import FAMILIES
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Operation, Tensor

_ACTIVATIONS = {"Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid"}
_GATES = {"lstm": "ijfo", "gru": "ruc", "rnn": "h"}  # in the order of the library's kernels


class Match(NamedTuple):
    """One step: the new state, the memory before and after (LSTM only), and what its gates are of."""

    family: str
    activation: str
    hidden: Tensor
    memory: tuple[Tensor, Tensor] | None
    gates: dict[str, Affine]
    state: Tensor | None = None
    """The hidden state before, where the equation tells it."""

    def blocks(self, source: Tensor) -> tuple[Block, ...]:
        """The weights of one source, gate by gate."""
        return tuple(gate.products[source] for gate in self.gates.values())

    @property
    def sources(self) -> list[Tensor]:
        """What the gates are products of."""
        return list(self.gates[_GATES[self.family][0]].products)

    def like(self, other: Match) -> bool:
        """Whether the other is a step of the same cell."""
        return (
            (self.family, self.activation) == (other.family, other.activation)
            and {self.blocks(s) for s in self.sources} == {other.blocks(s) for s in other.sources}
            and all(g[1:] == h[1:] for g, h in zip(self.gates.values(), other.gates.values(), strict=True))
        )


def written_out(ops: Iterable[Operation], closed: Callable[[Tensor], bool]) -> dict[Operation, Operation]:
    """Operations of `ops` and, for each, the cell step that makes its tensors instead."""
    reader = Reader(closed)
    found: dict[Tensor, Match] = {}
    for op in ops:
        if op.type in _FORMS and op.outputs[0].shape.rank == 2:
            match = next(filter(_whole, _FORMS[op.type](reader, op.outputs[0])), None)
            if match is not None:
                found[match.hidden] = match
    instead: dict[Operation, Operation] = {}
    packed: dict[Any, list[Tensor]] = {}
    for match in found.values():
        before = _before(match, found)
        if before is None:
            continue
        for each, state in _pair(match, before):
            if each.hidden.op not in instead:
                step = _step(each, state, packed)
                instead[each.hidden.op] = step
                if each.memory is not None:
                    instead[each.memory[1].op] = step
    return instead


def _whole(match: Match) -> bool:
    """Whether every gate is of the same two sources and as wide as the state."""
    gates = list(match.gates.values())
    sources = gates[0].products.keys()
    width = match.hidden.shape.values[1]  # type: ignore[index]
    return (
        len(sources) == 2
        and width is not None
        and all(g.products.keys() == sources and len(g.biases) <= 1 for g in gates)
        and all(block.columns == width for g in gates for block in g.products.values())
    )


def _before(match: Match, found: dict[Tensor, Match]) -> Match | None:
    """The step whose state this one continues."""
    for source in match.sources:
        before = found.get(source)
        if before is None or not match.like(before) or match.state not in (None, source):
            continue
        if match.memory is None or before.memory is None or before.memory[1] is match.memory[0]:
            return before
    return None


def _pair(match: Match, before: Match) -> Iterator[tuple[Match, Tensor]]:
    """Both steps with their states: what has the same weights in both."""
    weights = match.blocks(before.hidden)
    first = next(s for s in before.sources if before.blocks(s) == weights)
    if _fits(before, first) and before.state in (None, first):
        yield before, first
    if _fits(match, before.hidden):
        yield match, before.hidden


def _fits(match: Match, state: Tensor) -> bool:
    """Whether states are as wide as the new one, and nothing is one row (or one number) for all."""
    states = (state, match.hidden, *(match.memory or ()))
    if any(t.shape.rank != 2 or t.shape.values[1] != match.hidden.shape.values[1] for t in states):  # type: ignore[index]
        return False
    rows = {t.shape.values[0] for t in (*states, *match.sources)}  # type: ignore[index]
    return 1 not in rows or rows == {1}


def _step(match: Match, state: Tensor, packed: dict[Any, list[Tensor]]) -> Operation:
    (x,) = [s for s in match.sources if s is not state]
    params = _packed(match, x, state, packed)
    states = [state] if match.memory is None else [match.memory[0], state]
    outputs = [match.hidden] if match.memory is None else [match.memory[1], match.hidden]
    options: dict[str, Any] = {"activation": match.activation}
    if match.family == "lstm":
        options["forget_bias"] = match.gates["f"].offset
    attrs = {
        "family": match.family,
        "fields": FAMILIES[match.family].params._fields[: len(params)],  # type: ignore[attr-defined]
        "options": tuple(sorted(options.items())),
        "_lengths": {"state": len(states), "params": len(params)},
    }
    like = match.hidden.op
    made = Operation(like.graph, "CellStep", like.name, [x, *states, *params], attrs, OPS["CellStep"])
    made._outputs = outputs
    return made


def _packed(match: Match, x: Tensor, state: Tensor, packed: dict[Any, list[Tensor]]) -> list[Tensor]:
    """The weights as the library's equation has them; all steps of a cell share them."""
    gates = match.gates
    key = (match.family, match.blocks(x), match.blocks(state), tuple(g[1:] for g in gates.values()))
    if key not in packed and (given := _as_kept(match, x, state)) is not None:
        packed[key] = given
    if key not in packed:
        groups = ["ru", "c"] if match.family == "gru" else [_GATES[match.family]]
        tensors = list(
            dict.fromkeys(
                t
                for g in gates.values()
                for t in [*[b.weight for b in g.products.values()], *[b.weight for b in g.biases]]
            )
        )
        plan = [[_recipe(gates[name], x, state, tensors, name != "f") for name in group] for group in groups]
        op = _operation(match.hidden.op, tensors, plan)
        packed[key] = op._outputs
    return packed[key]


def _as_kept(match: Match, x: Tensor, state: Tensor) -> list[Tensor] | None:
    """The program's own matrix and bias, where they already are as the library has them."""
    gates = list(match.gates.values())
    weight, width = gates[0].products[x].weight, match.hidden.shape.values[1]  # type: ignore[index]
    bias = gates[0].biases[0].weight if gates[0].biases else None
    rows = gates[0].products[x].rows
    if match.family == "gru" or bias is None or weight.shape.values != (rows + width, len(gates) * width):
        return None
    if bias.shape.values != (len(gates) * width,):
        return None
    for n, (name, gate) in enumerate(match.gates.items()):
        wanted = Block(weight, 0, rows, n * width, width), Block(weight, rows, width, n * width, width)
        if (gate.products[x], gate.products[state]) != wanted or (gate.offset and name != "f"):
            return None
        if gate.biases != (Block(bias, 0, 0, n * width, width),):
            return None
    return [weight, bias]


class _Gate(NamedTuple):
    """Where one gate's columns are: (tensor, first row, rows, first column, columns) of input, state and bias."""

    x: tuple[int, ...]
    state: tuple[int, ...]
    bias: tuple[int, ...] | None
    offset: float
    sign: int


def _recipe(gate: Affine, x: Tensor, state: Tensor, tensors: list[Tensor], with_offset: bool) -> _Gate:
    def place(block: Block) -> tuple[int, ...]:
        return (tensors.index(block.weight), *block[1:])

    bias = place(gate.biases[0]) if gate.biases else None
    return _Gate(
        place(gate.products[x]), place(gate.products[state]), bias, gate.offset if with_offset else 0.0, gate.sign
    )


def _operation(like: Operation, tensors: list[Tensor], groups: list[list[_Gate]]) -> Operation:
    def pack(values: list[Any]) -> tuple[Any, ...]:
        found = []
        for gates in groups:
            rows = [torch.cat([_block(values, gate[side], gate.sign) for gate in gates], 1) for side in (0, 1)]
            found += [torch.cat(rows, 0), torch.cat([_bias(values, gate) for gate in gates])]
        return tuple(found)

    definition = OpDef(
        "PackCell",
        "parts:K*T -> M*T",
        pack,
        shape=None,
        bind=None,
        diff=True,
        writes=False,
        stateful=False,
        defaults={},
    )
    made = Operation(like.graph, "PackCell", like.name, tensors, {"_lengths": {"parts": len(tensors)}}, definition)
    for gates in groups:
        width = sum(gate.x[4] for gate in gates)
        for shape in ([gates[0].x[2] + gates[0].state[2], width], [width]):
            made._outputs.append(Tensor(made, len(made._outputs), like.outputs[0].dtype, TensorShape(shape)))
    return made


def _block(values: list[Any], part: Any, sign: int) -> Any:
    which, row, rows, column, columns = part
    block = values[which][row : row + rows, column : column + columns]
    return block if sign > 0 else -block


def _bias(values: list[Any], gate: _Gate) -> Any:
    if gate.bias is None:
        return values[gate.x[0]].new_full((gate.x[4],), gate.sign * gate.offset)
    which, _, _, column, columns = gate.bias
    bias = values[which].reshape(-1)[column : column + columns]
    if gate.offset:
        bias = bias + gate.offset
    return bias if gate.sign > 0 else -bias


# -- the equations ---------------------------------------------------------------------------------------------------
def _rnn(reader: Reader, hidden: Tensor) -> Iterator[Match]:
    """act(x @ W + h @ U + b)."""
    gate = _under(reader, hidden, hidden.op.type)
    if gate is not None:
        yield Match("rnn", _ACTIVATIONS[hidden.op.type], hidden, None, {"h": gate})


def _lstm(reader: Reader, hidden: Tensor) -> Iterator[Match]:
    """c' = c·σ(f) + σ(i)·tanh(j), h' = tanh(c')·σ(o)."""
    for gate, squashed in _either(reader, hidden, "Mul"):
        o, kind = _under(reader, gate, "Sigmoid"), squashed.op.type
        if o is None or kind not in ("Tanh", "Relu") or reader.through(squashed) is None:
            continue
        memory = reader.same(squashed.op.inputs[0])
        for old, new in _either(reader, memory, "Add", "AddV2"):
            for keep, before in _either(reader, old, "Mul"):
                f = _under(reader, keep, "Sigmoid")
                for write, fresh in _either(reader, new, "Mul") if f is not None else ():
                    i, j = _under(reader, write, "Sigmoid"), _under(reader, fresh, kind)
                    if i is not None and j is not None:
                        gates: dict[str, Any] = {"i": i, "j": j, "f": f, "o": o}
                        yield Match("lstm", _ACTIVATIONS[kind], hidden, (before, memory), gates)


def _gru(reader: Reader, hidden: Tensor) -> Iterator[Match]:
    """h' = u·h + (1 − u)·tanh(x @ W + (r·h) @ U + b), or with 1 − u in u's place."""
    for old, new in _either(reader, hidden, "Add", "AddV2"):
        for keep, state in _either(reader, old, "Mul"):
            for rest, candidate in _either(reader, new, "Mul"):
                gate, sign = (keep, 1) if _rest_of(reader, rest, keep) else (rest, -1)
                if sign < 0 and not _rest_of(reader, keep, rest):
                    continue
                u, c = _under(reader, gate, "Sigmoid"), _under(reader, candidate, "Tanh")
                found = None if c is None else _with_reset(reader, c, state)
                if u is not None and found is not None:
                    gates = {"r": found[0], "u": u._replace(sign=sign), "c": found[1]}
                    yield Match("gru", "tanh", hidden, None, gates, state)


def _with_reset(reader: Reader, candidate: Affine, state: Tensor) -> tuple[Affine, Affine] | None:
    """The reset gate, and the candidate's sum of x and the state in place of x and r·h (and h nowhere else)."""
    for source in candidate.products if state not in candidate.products else ():
        for reset, other in _either(reader, source, "Mul"):
            r = _under(reader, reset, "Sigmoid") if other is state else None
            if r is not None:
                products = {state if s is source else s: block for s, block in candidate.products.items()}
                return r, candidate._replace(products=products)
    return None


def _rest_of(reader: Reader, rest: Tensor, gate: Tensor) -> bool:
    """Whether `rest` is 1 − gate."""
    op = reader.through(rest)
    return op is not None and op.type == "Sub" and _is_one(op.inputs[0]) and reader.same(op.inputs[1]) is gate


def _under(reader: Reader, tensor: Tensor, kind: str) -> Affine | None:
    """The sum that `kind` is taken of, where a tensor is (a part of) that."""
    part = reader.columns(tensor)
    if part is None:
        return None
    op = reader.through(part.tensor)
    return reader.affine(part._replace(tensor=op.inputs[0])) if op is not None and op.type == kind else None


def _either(reader: Reader, tensor: Tensor, *kinds: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The two inputs of a tensor's operation, both ways round; nothing when it is of another kind."""
    op = reader.through(reader.same(tensor))
    if op is not None and op.type in kinds:
        a, b = map(reader.same, op.inputs)
        yield a, b
        yield b, a


def _is_one(tensor: Tensor) -> bool:
    value = constant_value(tensor)
    return value is not None and value.size == 1 and float(value.reshape(())) == 1.0


_FORMS: dict[str, Callable[[Reader, Tensor], Iterator[Match]]] = {
    "Mul": _lstm,
    "Add": _gru,
    "AddV2": _gru,
    "Tanh": _rnn,
    "Relu": _rnn,
    "Sigmoid": _rnn,
}
