"""The loop in which the caller decides, after each step, what comes next: TensorFlow's raw_rnn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Cell, State
from recurra.cells.checks import check_state, natural
from recurra.errors import InputError, StructureError
from recurra.kernels.scan import select


class Next(NamedTuple):
    """What a `LoopFunction` decides."""

    finished: Tensor
    """`[B]` bool: rows that end here. Once finished, a row stays so: it emits zeros and keeps its state."""
    inputs: Any
    """The cell's next input `[B, ...]` (of any value in finished rows)."""
    state: State
    """The state that goes into the next step: the one just given, or another."""
    emit: Any = None
    """What to emit for the step just done; None emits the cell's output. Nothing is emitted before the first step."""
    loop_state: Any = None
    """Anything to be given back at the next call; None keeps the old one."""


LoopFunction: TypeAlias = Callable[[int, Any, State, Any], Next]
"""(steps done, the last step's output, its new state, loop state) -> `Next`; at first (0, None, None, None)."""


def raw_loop(cell: Cell, loop_fn: LoopFunction, *, max_steps: int | None = None) -> tuple[Any, State, Any]:
    """Run `cell` on inputs that `loop_fn` chooses, until all rows are finished.

        def greedy(steps, output, state, _):                     # feed each word back
            if output is None:
                return Next(torch.zeros(B, dtype=torch.bool), embed(start), cell.initial_state(B))
            word = readout(output).argmax(-1)
            return Next(word == end, embed(word), state, emit=word)

        words, state, _ = raw_loop(cell, greedy, max_steps=50)

    Args:
        cell: the cell to step.
        loop_fn: see `LoopFunction`.
        max_steps: stop after so many steps at the latest.

    Returns:
        `(emitted, final_state, loop_state)`: emitted leaves `[T, B, ...]`, zeros where a row had finished before that
        step, for the T steps that ran; None when no step ran and the first call gave no `emit` to tell the shape.

    Raises:
        StructureError (TypeError): `loop_fn` returns no `Next`, or one whose `finished` or `state` is of another kind.
        InputError (ValueError): a wrong shape among them; a negative `max_steps`.
    """
    if max_steps is not None:
        natural("max_steps", max_steps)
    start = _decided(loop_fn(0, None, None, None))
    batch_size = start.finished.shape[0]
    check_state("state", start.state, cell.state_size, batch_size)
    finished, inputs, state, loop_state = start.finished, start.inputs, start.state, start.loop_state
    emitted: list[Any] = []
    while not bool(finished.all()) and (max_steps is None or len(emitted) < max_steps):
        output, new = cell(inputs, state)
        chosen = _decided(loop_fn(len(emitted) + 1, output, new, loop_state), batch_size)
        check_state("state", chosen.state, cell.state_size, batch_size)
        emit = output if chosen.emit is None else chosen.emit
        emitted.append(select(~finished, emit, _nest.map_leaves(torch.zeros_like, emit)))
        state = select(~finished, chosen.state, state)
        loop_state = loop_state if chosen.loop_state is None else chosen.loop_state
        inputs, finished = chosen.inputs, finished | chosen.finished
    if not emitted:
        nothing = _nest.map_leaves(lambda leaf: leaf.new_zeros(0, *leaf.shape), start.emit)
        return nothing, state, loop_state
    return _nest.map_leaves(lambda *leaves: torch.stack(leaves), *emitted), state, loop_state


def _decided(chosen: Any, batch_size: int | None = None) -> Next:
    if not isinstance(chosen, Next):
        raise StructureError(f"`loop_fn` must return a recurra.loops.Next, got {type(chosen).__name__}")
    finished = chosen.finished
    if not isinstance(finished, Tensor) or finished.dtype != torch.bool or finished.dim() != 1:
        raise StructureError(f"`finished` must be a bool tensor [B], got {_nest.describe(finished)}")
    if batch_size is not None and finished.shape[0] != batch_size:
        raise InputError(f"`finished` has {finished.shape[0]} rows, expected {batch_size}")
    return chosen
