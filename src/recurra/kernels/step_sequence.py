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
from recurra.kernels.replay import Where
from recurra.kernels.step_memory import Program, Stored, Taken, Value
from recurra.kernels.step_program import Deferred, StepProgram


class Column(NamedTuple):
    """A value at every step: pieces of memory, used in turn."""

    pieces: Tensor
    """`[n, ...]`; step t has piece `shift + t`, counted around."""
    steps: int
    shift: int = 0
    views: tuple[tuple[Any, tuple[Any, ...]], ...] = ()
    """Of a piece, innermost first."""
    first: tuple[int, Tensor] | None = None
    """The step that runs first, and its own value."""

    @classmethod
    def of(cls, rows: Tensor) -> Column:
        """Of values that lie together."""
        return cls(rows, rows.shape[0])

    @classmethod
    def repeated(cls, tensor: Tensor, steps: int) -> Column:
        """Of one tensor for all steps."""
        return cls(tensor.unsqueeze(0), steps)

    def viewed(self, taken: Taken) -> Column:
        """A view of it at every step."""
        views = list(self.views)
        for view in taken.views:
            if views and _turns(views[-1]) and _turns(view):
                views.pop()
            else:
                views.append(view)
        return self._replace(views=tuple(views))

    def piece(self, index: int) -> Tensor:
        """One of them, as it is seen."""
        piece = self.pieces[index % self.pieces.shape[0]]
        return Taken(0, self.views).of(piece) if self.views else piece

    def at(self) -> list[Tensor]:
        """The values by step."""
        pieces = [Taken(0, self.views).of(piece) for piece in self.pieces.unbind(0)]
        values = [pieces[(self.shift + t) % len(pieces)] for t in range(self.steps)]
        if self.first is not None:
            values[self.first[0]] = self.first[1]
        return values

    def where(self) -> Where:
        """The same as addresses."""
        period = self.pieces.shape[0]
        stride = self.pieces.stride(0) * self.pieces.element_size() if period > 1 else 0
        start = self.pieces if not self.views else self.piece(0)
        first = 0 if self.first is None else self.first[1].data_ptr()
        return Where(start.data_ptr(), stride, period, self.shift % period, first)

    def together(self) -> Tensor:
        """`[steps, ...]`."""
        if self.views or self.first is not None or self.shift + self.steps > self.pieces.shape[0]:
            return torch.stack(self.at())
        return self.pieces[self.shift : self.shift + self.steps]


def _turns(view: tuple[Any, tuple[Any, ...]]) -> bool:
    """Whether it swaps a matrix's axes."""
    aten = torch.ops.aten
    return view[0] is aten.t.default or (view[0] is aten.permute.default and list(view[1][0]) == [1, 0])


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
    counts: tuple[int, int, int]
    """Leaves of the projected inputs, the state and the masks."""

    def constants(self) -> list[Column]:
        """Arguments of a step behind the state that are neither trained nor shared: the masks, and which rows run."""
        if self.masks is None and self.valid is None:
            return []
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
    inputs, states, _ = call.counts
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
        first = int(call.reverse)
        before.append(Column(slots, steps, first))
        written.append(Column(slots, steps, 1 - first))
        before[-1].piece(steps if call.reverse else 0).copy_(tensors[inputs + len(finals)])
        finals.append(written[-1].piece(0 if call.reverse else steps))
    shared = [Column.repeated(tensor, steps) for tensor in tensors[inputs + states :]]
    given = [*map(Column.of, tensors[:inputs]), *before, *call.constants(), *shared]
    _run(program, [*given, *written], steps, reverse=call.reverse)
    kept = [_column(value, given, written) for value in step.program.forward.values[ends:]]
    return [*outputs, *(final.clone() for final in finals)], kept


def _run(
    program: Program, arguments: list[Column], steps: int, *, reverse: bool, sums: Sequence[tuple[int, Tensor]] = ()
) -> None:
    """All steps of a program; to each tensor of `sums`, what an argument holds after a step is added."""
    if program.replay is not None and all(total.dtype is torch.float32 for _, total in sums):
        program.replay.run([column.where() for column in arguments], steps, reverse=reverse, sums=sums)
        return
    columns = [column.at() for column in arguments]
    for t in range(steps)[:: -1 if reverse else 1]:
        program.run([values[t] for values in columns])
        for argument, total in sums:
            total.add_(columns[argument][t])


def gradient(program: StepProgram, call: Call, kept: list[Column], grads: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients of the projected inputs, the initial state, and the parameters and buffers."""
    assert program.gradient is not None
    inputs, states, _ = call.counts
    outputs, steps, back = len(grads) - states, call.steps, not call.reverse
    places, values = program.places, program.gradient.values
    d_state = places[inputs : inputs + states]
    written, sums = _gradient_memory(program, call)
    left = [None if place is None else _column(values[place], (), written) for place in d_state]  # type: ignore[index]
    flows = [Flow.back(grad.contiguous(), own, steps, back) for grad, own in zip(grads[outputs:], left, strict=True)]
    tangents = [*(Column.of(grad[:steps].contiguous()) for grad in grads[:outputs]), *(f.into for f in flows)]
    given = [*kept, *(column for column, has in zip(tangents, program.differentiable, strict=True) if has)]
    _run(
        program.gradient,
        [*given, *written],
        steps,
        reverse=back,
        sums=[(len(given) + at, total) for at, total in sums.items()],
    )

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
    def back(cls, grad: Tensor, written: Column | None, steps: int, reverse: bool) -> Flow:
        """From the final state's; `written`: each step's own, None where none flows through a step; `reverse`: the last
        step runs first."""
        first = (steps - 1 if reverse else 0), grad
        if written is None:
            nothing = torch.zeros_like(grad)
            return cls(Column.repeated(nothing, steps)._replace(first=first), nothing)
        into = written._replace(shift=written.shift + (1 if reverse else -1), first=first)
        return cls(into, written.piece(written.shift + (0 if reverse else steps - 1)))


def _gradient_memory(program: StepProgram, call: Call) -> tuple[list[Column], dict[int, Tensor]]:
    """What the steps write to, and the sums over all steps by what they are added up from.

    A state's gradient is needed until the next step; what is multiplied or given out at the end, as rows of all steps.
    """
    assert program.gradient is not None
    values, places = program.gradient.values, program.places
    inputs, states, _ = call.counts

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
            columns.append(Column(buffer.rows(2), call.steps))
        else:
            columns.append(Column(buffer.rows(1), call.steps))
            sums[index] = torch.zeros(buffer.shape, dtype=buffer.dtype, device="cpu")
    return columns, sums
