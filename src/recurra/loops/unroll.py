"""One cell over a sequence: TensorFlow's dynamic_rnn and static_rnn in one."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra import _nest
from recurra._typing import Cell, Masks, State
from recurra.cells.base import BaseCell
from recurra.cells.checks import check_features, check_lengths, check_masks, check_state
from recurra.errors import InputError, StructureError
from recurra.loops.lengths import states_to_back, to_back, to_front
from recurra.loops.packed import packed_like, padded, unroll_in_place


class Sequence(NamedTuple):
    """A checked, time-major call."""

    inputs: Any
    state: State
    lengths: Tensor | None
    batch_size: int
    steps: int


def prepare(
    cell: Cell,
    inputs: Any,
    initial_state: State,
    lengths: Tensor | None,
    *,
    time_major: bool,
    state_name: str = "initial_state",
) -> Sequence:
    """Check a loop's arguments and bring them to time-major form, as views."""
    if not isinstance(cell, BaseCell) and not isinstance(cell, Cell):  # asking the protocol takes long
        raise StructureError(
            f"`cell` must be a recurra cell (state_size, output_size, initial_state, unroll), got {type(cell).__name__}"
        )
    leading = ("T", "B") if time_major else ("B", "T")
    check_features("inputs", inputs, getattr(cell, "input_size", None), leading=leading)
    leaves = [inputs] if isinstance(inputs, Tensor) else _nest.flatten(inputs)
    shortest = min([leaf.dim() for leaf in leaves])
    if shortest < 2:
        raise InputError(f"`inputs` must have at least the axes [{', '.join(leading)}], got rank {shortest}")
    if any([leaf.shape[:2] != leaves[0].shape[:2] for leaf in leaves[1:]]):  # sizes may be symbolic: no set of them
        raise InputError(f"`inputs` disagree in their first two axes: {_nest.describe(inputs)}")
    steps, batch_size = leaves[0].shape[:2]
    if not time_major:
        steps, batch_size = batch_size, steps
        inputs = _nest.map_leaves(lambda leaf: leaf.transpose(0, 1), inputs)
    if initial_state is None:
        initial_state = cell.initial_state(batch_size)
    check_state(state_name, initial_state, cell.state_size, batch_size)
    initial_state = _nest.as_nested_in(initial_state, cell.state_size)
    if lengths is not None:
        check_lengths(lengths, batch_size, steps, leaves[0].device)
    return Sequence(inputs, initial_state, lengths, batch_size, steps)


def batch_major(values: Any, time_major: bool) -> Any:
    """Time-major results in the caller's layout, as views."""
    return (
        values
        if time_major
        else _nest.map_leaves(lambda leaf: leaf.transpose(0, 1) if leaf.dim() > 1 else leaf, values)
    )


def unroll(
    cell: Cell,
    inputs: Any,
    initial_state: State = None,
    *,
    lengths: Tensor | None = None,
    time_major: bool = False,
    reverse: bool = False,
    padding: Literal["right", "left"] = "right",
    masks: Masks = None,
    resets: Tensor | None = None,
    reset_state: State = None,
    return_states: bool = False,
) -> Any:
    """Run `cell` over `inputs`.

        state = initial_state
        for t in range(T):
            outputs[t], state = cell(inputs[t], state)

    Past a row's length the outputs are zeros and the state is copied through, whatever the padding holds.

    Args:
        cell: a `recurra.Cell`.
        inputs: `[B, T, I]` (or `[T, B, I]` with `time_major`), or a nest of such where the cell takes one; or torch's
            `PackedSequence`, which has its own lengths. Outputs and states are then packed alike, and whatever else
            has rows has them in the order they were packed from, as the final state has.
        initial_state: in the structure of `cell.state_size`, leaves `[B, n]`; default `cell.initial_state(B)`.
        lengths: `[B]` integers in `0..T`; None means T everywhere.
        time_major: the layout of inputs, outputs, resets and states.
        reverse: run from each row's end to its beginning; `outputs[t]` still belongs to `inputs[t]`.
        padding: at which end the rows are padded.
        masks: random masks to use in place of fresh ones, from `cell.draw_masks`; time-major, first axis T or 1. Of
            left-padded rows the first step's are those of each row's first real step.
        resets: `[B, T]` bool, true where a row starts anew before that step.
        reset_state: what it starts from; default `cell.initial_state(B)`.
        return_states: also return the states after every step.

    Returns:
        `(outputs, final_state)`, or `(outputs, final_state, states)`: outputs `[B, T, n]` in the structure of
        `cell.output_size`, states leaves `[B, T, n]`.

    Raises:
        InputError (ValueError): a wrong shape, size or length. StructureError (TypeError): a wrong type or nesting.
    """
    if padding not in ("right", "left"):
        raise InputError(f"`padding` must be 'right' or 'left', got {padding!r}")
    if isinstance(inputs, PackedSequence):
        if lengths is not None or padding == "left":
            raise InputError("`lengths` and `padding` are given, but packed `inputs` have their own lengths")
        extra: dict[str, Any] = {
            "masks": masks,
            "resets": resets,
            "reset_state": reset_state,
            "return_states": return_states,
        }
        return _unroll_packed(cell, inputs, initial_state, time_major=time_major, reverse=reverse, **extra)
    extras = (initial_state, lengths, masks, resets, reset_state)
    if isinstance(cell, BaseCell) and not return_states and all([extra is None for extra in extras]):
        done = cell.unroll_from_zeros(inputs, time_major=time_major, reverse=reverse)
        if done is not None:
            return done
    call = prepare(cell, inputs, initial_state, lengths, time_major=time_major)
    rows = call.inputs
    if masks is not None:
        check_masks(masks, call.steps, call.batch_size)
    if resets is None and reset_state is not None:
        raise InputError("`reset_state` is given without `resets`, which say where rows start from it")
    if resets is not None:
        resets, reset_state = _prepare_resets(cell, call, resets, reset_state, time_major)
    shifted = call.lengths if padding == "left" else None
    if shifted is not None:
        rows, resets = to_front(rows, shifted), to_front(resets, shifted) if resets is not None else None
    outputs, final, *states = cell.unroll(
        rows,
        call.state,
        call.lengths,
        reverse=reverse,
        masks=masks,
        resets=resets,
        reset_state=reset_state,
        return_states=return_states,
    )
    if shifted is not None:
        outputs = to_back(outputs, shifted)
        states = [states_to_back(values, shifted, final if reverse else call.state) for values in states]
    per_step = (outputs, *states)
    outputs, *states = (batch_major(values, time_major) for values in per_step)
    return outputs, final, *states


def _unroll_packed(
    cell: Cell, packed: PackedSequence, initial_state: State, *, time_major: bool, reverse: bool, **call: Any
) -> Any:
    if not any([value is not None and value is not False for value in call.values()]):
        done = unroll_in_place(cell, packed, initial_state, reverse=reverse)
        if done is not None:
            return done
    rows, lengths = padded(packed, time_major=time_major)
    outputs, final, *states = unroll(
        cell, rows, initial_state, lengths=lengths, time_major=time_major, reverse=reverse, **call
    )
    outputs, *states = (packed_like(packed, values, lengths, time_major=time_major) for values in (outputs, *states))
    return outputs, final, *states


def _prepare_resets(
    cell: Cell, call: Sequence, resets: Tensor, reset_state: State, time_major: bool
) -> tuple[Tensor, State]:
    expected = [call.steps, call.batch_size] if time_major else [call.batch_size, call.steps]
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool:
        raise StructureError(f"`resets` must be a bool tensor, got {getattr(resets, 'dtype', type(resets).__name__)}")
    if list(resets.shape) != expected:
        raise InputError(f"`resets` has shape {list(resets.shape)}, expected {expected}")
    if reset_state is None:
        reset_state = cell.initial_state(call.batch_size)
    check_state("reset_state", reset_state, cell.state_size, call.batch_size)
    return (resets if time_major else resets.t()), reset_state
