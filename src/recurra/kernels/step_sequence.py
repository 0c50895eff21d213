"""The loops over a compiled step's programs: a sequence forward, and its gradient.

All that the steps write is laid out before the loop; a step is one call with rows of it. What sums over rows and steps
(a weight's gradient) is one product at the end, over what the steps have written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Masks
from recurra.kernels.step_memory import Stored, Taken, Value
from recurra.kernels.step_program import Deferred, StepProgram


class Column(NamedTuple):
    """A value at every step."""

    at: Sequence[Tensor]
    rows: Tensor | None = None
    """`[steps, ...]`, where they lie together."""
    same: bool = False
    """Whether it is one tensor."""

    @classmethod
    def of(cls, rows: Tensor) -> Column:
        """Of values that lie together."""
        return cls(rows.unbind(0), rows)

    @classmethod
    def repeated(cls, tensor: Tensor, steps: int) -> Column:
        """Of one tensor for all steps."""
        return cls([tensor] * steps, None, True)

    @classmethod
    def cycled(cls, pieces: Sequence[Tensor], first: int, steps: int, rows: Tensor | None = None) -> Column:
        """Of memory that is used again: step t has piece `first + t`, counted around."""
        return cls([pieces[(first + t) % len(pieces)] for t in range(steps)], rows)

    def viewed(self, taken: Taken) -> Column:
        """A view of it at every step."""
        if not taken.views:
            return self
        if self.same:
            return Column.repeated(taken.of(self.at[0]), len(self.at))
        return Column([taken.of(tensor) for tensor in self.at])

    def together(self) -> Tensor:
        """`[steps, ...]`."""
        return torch.stack(tuple(self.at)) if self.rows is None else self.rows


class Step(NamedTuple):
    """A cell's step, compiled."""

    program: StepProgram
    plain: Callable[..., list[Tensor]]
    """The same over flat tensors, in torch."""
    output: Any
    """How its output nests."""

    def outputs(self) -> int:
        """Leaves of the output."""
        return len(_nest.flatten(self.output))


class Call(NamedTuple):
    """A sequence call, besides its differentiable tensors; a step's arguments follow each other in this order."""

    projected: Any
    """`[steps, B, ...]`"""
    state: Any
    masks: Masks
    valid: Tensor | None
    names: tuple[str, ...]
    """Of the parameters and buffers."""
    steps: int
    total: int
    """Steps of the outputs; those that nobody ran are zeros."""
    reverse: bool

    def counts(self) -> tuple[int, int, int]:
        """Leaves of the projected inputs, the state and the masks."""
        return len(_nest.flatten(self.projected)), len(_nest.flatten(self.state)), len(_nest.flatten(self.masks))

    def constants(self) -> list[Column]:
        """Arguments of a step behind the state that are neither trained nor shared: the masks, and which rows run."""
        masks = [
            Column.repeated(mask[0], self.steps) if mask.shape[0] == 1 else Column.of(mask[: self.steps])
            for mask in _nest.flatten(self.masks)
        ]
        return masks if self.valid is None else [*masks, Column.of(self.valid[: self.steps])]

    def order(self) -> list[int]:
        """The steps as they run."""
        return list(range(self.steps))[:: -1 if self.reverse else 1]


def _column(value: Value, given: Sequence[Column], written: Sequence[Column]) -> Column:
    return written[value.buffer] if isinstance(value, Stored) else given[value.argument].viewed(value)


def forward(step: Step, call: Call, tensors: Sequence[Tensor], *, training: bool) -> tuple[list[Tensor], list[Column]]:
    """Outputs and final state of the whole sequence, and what each step's gradient needs."""
    program, steps = step.program.forward, call.steps
    inputs, states, _ = call.counts()
    ends = step.outputs() + states
    first_state = step.outputs()
    outputs: list[Tensor] = []
    before: list[Column] = []
    finals: list[Tensor] = []
    written: list[Column] = []  # results come first, each in its own memory
    for index, buffer in enumerate(program.buffers):
        if not first_state <= index < ends:
            rows = buffer.rows(call.total if index < first_state else steps)
            written.append(Column.of(rows[:steps]))
            if index < first_state:
                rows[steps:] = 0
                outputs.append(rows)
            continue
        slots = buffer.rows(steps + 1 if training else 2)  # before each step and after it
        pieces, first = slots.unbind(0), int(call.reverse)
        whole = slots if training else None
        before.append(Column.cycled(pieces, first, steps, None if whole is None else whole[first : first + steps]))
        written.append(Column.cycled(pieces, 1 - first, steps, None if whole is None else whole[1 - first :][:steps]))
        before[-1].at[-1 if call.reverse else 0].copy_(tensors[inputs + len(finals)])
        finals.append(written[-1].at[0 if call.reverse else -1])
    shared = tensors[inputs + states :]
    given = [*map(Column.of, tensors[:inputs]), *before, *call.constants()]
    run, read, write = program.run, [column.at for column in given], [column.at for column in written]
    for t in call.order():
        run([*[at[t] for at in read], *shared, *[at[t] for at in write]])
    given += [Column.repeated(tensor, steps) for tensor in shared]
    kept = [_column(value, given, written) for value in program.values[ends:]]
    return [*outputs, *(final.clone() for final in finals)], kept


def gradient(program: StepProgram, call: Call, kept: list[Column], grads: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients of the projected inputs, the initial state, and the parameters and buffers."""
    assert program.gradient is not None
    inputs, states, _ = call.counts()
    outputs, order = len(grads) - states, call.order()[::-1]
    places, values = program.places, program.gradient.values
    d_state = places[inputs : inputs + states]
    written, sums = _gradient_memory(program, call)
    left = [None if place is None else _column(values[place], (), written) for place in d_state]  # type: ignore[index]
    flows = [Flow.back(grad.contiguous(), own, order) for grad, own in zip(grads[outputs:], left, strict=True)]
    tangents = [*(Column.of(grad[: call.steps].contiguous()) for grad in grads[:outputs]), *(f.into for f in flows)]
    given = [*kept, *(column for column, has in zip(tangents, program.differentiable, strict=True) if has)]
    run, read, write = program.gradient.run, [column.at for column in given], [column.at for column in written]
    for t in order:
        run([*[at[t] for at in read], *[at[t] for at in write]])
        for buffer, total in sums.items():
            total.add_(write[buffer][t])

    def rows(place: int) -> Tensor:
        return _column(values[place], given, written).together()

    def shared(place: int | Deferred | None) -> Tensor | None:
        if place is None:
            return None
        if isinstance(place, Deferred):
            return place.finish([rows(operand).flatten(0, 1) for operand in place.operands])
        value = values[place]
        return sums[value.buffer] if isinstance(value, Stored) and value.buffer in sums else rows(place).sum(0)

    return [
        *(None if place is None else rows(place) for place in places[:inputs]),  # type: ignore[arg-type]
        *(flow.last for flow in flows),
        *map(shared, places[len(places) - len(call.names) :]),
    ]


class Flow(NamedTuple):
    """The gradient of one part of the state on its way back."""

    into: Column
    """What each step is given."""
    last: Tensor
    """What leaves the first step."""

    @classmethod
    def back(cls, grad: Tensor, written: Column | None, order: list[int]) -> Flow:
        """From the final state's; `written`: each step's own, None where none flows through a step."""
        nothing = torch.zeros_like(grad) if written is None else grad
        left = [nothing if written is None else written.at[t] for t in order]
        into = dict(zip(order, [grad, *left], strict=False))
        return cls(Column([into[t] for t in range(len(order))]), left[-1])


def _gradient_memory(program: StepProgram, call: Call) -> tuple[list[Column], dict[int, Tensor]]:
    """What the steps write to, and the sums over all steps by what they are added up from.

    A state's gradient is needed until the next step; what is multiplied or given out at the end, as rows of all steps.
    """
    assert program.gradient is not None
    values, places = program.gradient.values, program.places
    inputs, states, _ = call.counts()

    def buffers(indices: Any) -> set[int]:
        found = [values[index] for index in indices]
        return {value.buffer for value in found if isinstance(value, Stored)}

    operands = {operand for place in places if isinstance(place, Deferred) for operand in place.operands}
    lasting = buffers(operands.union(place for place in places[:inputs] if isinstance(place, int)))
    flowing = buffers(place for place in places[inputs : inputs + states] if isinstance(place, int))
    columns, sums = [], {}
    for index, buffer in enumerate(program.gradient.buffers):
        if index in lasting:
            columns.append(Column.of(buffer.rows(call.steps)))
        elif index in flowing:
            columns.append(Column.cycled(buffer.rows(2).unbind(0), 0, call.steps))
        else:
            columns.append(Column.repeated(buffer.rows(1)[0], call.steps))
            sums[index] = torch.zeros_like(columns[-1].at[0])
    return columns, sums
