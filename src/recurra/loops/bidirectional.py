"""Two directions, and stacks of them (Schuster and Paliwal, 1997)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra._typing import Cell, Masks, State
from recurra.cells.base import LeafCell
from recurra.cells.checks import check_masks
from recurra.errors import InputError, StructureError
from recurra.kernels import run_both
from recurra.loops.unroll import batch_major, prepare, unroll


def bidirectional(
    cell_fw: Cell,
    cell_bw: Cell,
    inputs: Any,
    initial_state_fw: State = None,
    initial_state_bw: State = None,
    *,
    lengths: Tensor | None = None,
    time_major: bool = False,
    masks_fw: Masks = None,
    masks_bw: Masks = None,
) -> tuple[tuple[Any, Any], tuple[State, State]]:
    """Run one cell forward and another backward over the same rows.

    The backward cell starts at each row's own last step; its output `t` belongs to input `t`, and its final state is
    the one after reading step 0.

    Args:
        cell_fw, cell_bw: the cells (the same object shares weights).
        inputs, lengths, time_major: as in `recurra.unroll`.
        initial_state_fw, initial_state_bw: default zeros.
        masks_fw, masks_bw: random masks in place of fresh ones.

    Returns:
        `((outputs_fw, outputs_bw), (state_fw, state_bw))`; outputs are not concatenated.
    """
    if isinstance(inputs, PackedSequence):
        call: dict[str, Any] = {"lengths": lengths, "time_major": time_major}
        out_fw, state_fw = unroll(cell_fw, inputs, initial_state_fw, masks=masks_fw, **call)
        out_bw, state_bw = unroll(cell_bw, inputs, initial_state_bw, masks=masks_bw, reverse=True, **call)
        return (out_fw, out_bw), (state_fw, state_bw)
    forward = prepare(cell_fw, inputs, initial_state_fw, lengths, time_major=time_major, state_name="initial_state_fw")
    backward = prepare(cell_bw, inputs, initial_state_bw, lengths, time_major=time_major, state_name="initial_state_bw")
    for masks in (masks_fw, masks_bw):
        if masks is not None:
            check_masks(masks, forward.steps, forward.batch_size)
    if masks_fw is None and masks_bw is None and _run_themselves(cell_fw, cell_bw):
        starts = forward.state, backward.state
        done = run_both((cell_fw, cell_bw), forward.inputs, starts, lengths, joined=False)
        if done is not None:
            return (batch_major(done[0][0], time_major), batch_major(done[0][1], time_major)), done[1]
    out_fw, state_fw = cell_fw.unroll(forward.inputs, forward.state, lengths, masks=masks_fw)
    out_bw, state_bw = cell_bw.unroll(backward.inputs, backward.state, lengths, reverse=True, masks=masks_bw)
    outputs = batch_major(out_fw, time_major), batch_major(out_bw, time_major)
    return outputs, (state_fw, state_bw)


def stack_bidirectional(
    cells_fw: Sequence[Cell],
    cells_bw: Sequence[Cell],
    inputs: Tensor,
    initial_states_fw: Sequence[State] | None = None,
    initial_states_bw: Sequence[State] | None = None,
    *,
    lengths: Tensor | None = None,
    time_major: bool = False,
) -> tuple[Tensor, tuple[State, ...], tuple[State, ...]]:
    """Bidirectional layers on top of each other: layer k reads both directions of layer k-1, concatenated.

    Args:
        cells_fw, cells_bw: one cell a layer, equally many.
        inputs, lengths, time_major: as in `recurra.unroll`.
        initial_states_fw, initial_states_bw: one state a layer; default zeros.

    Returns:
        `(outputs, states_fw, states_bw)`: outputs `[B, T, n_fw + n_bw]` of the last layer, one state a layer.
    """
    _check_layers(cells_fw, cells_bw)
    starts_fw = _layer_states("initial_states_fw", initial_states_fw, len(cells_fw))
    starts_bw = _layer_states("initial_states_bw", initial_states_bw, len(cells_bw))
    states_fw, states_bw = [], []
    for cell_fw, cell_bw, start_fw, start_bw in zip(cells_fw, cells_bw, starts_fw, starts_bw, strict=True):
        outputs, (state_fw, state_bw) = bidirectional(
            cell_fw, cell_bw, inputs, start_fw, start_bw, lengths=lengths, time_major=time_major
        )
        inputs = _joined(*outputs)
        states_fw.append(state_fw)
        states_bw.append(state_bw)
    return inputs, tuple(states_fw), tuple(states_bw)


def _run_themselves(*cells: Cell) -> bool:
    return all([isinstance(cell, LeafCell) and cell.runs_own_sequence() for cell in cells])


def _joined(forward: Any, backward: Any) -> Any:
    if isinstance(forward, PackedSequence):
        return forward._replace(data=torch.cat([forward.data, backward.data], -1))
    return torch.cat([forward, backward], -1)


def _check_layers(cells_fw: Sequence[Cell], cells_bw: Sequence[Cell]) -> None:
    for name, cells in (("cells_fw", cells_fw), ("cells_bw", cells_bw)):
        if not isinstance(cells, (list, tuple)):
            raise StructureError(f"`{name}` must be a list of cells, one per layer, got {type(cells).__name__}")
        if not cells:
            raise InputError(f"`{name}` must hold at least one cell")
    if len(cells_fw) != len(cells_bw):
        raise InputError(f"`cells_fw` has {len(cells_fw)} layers and `cells_bw` {len(cells_bw)}; they must agree")


def _layer_states(name: str, states: Sequence[State] | None, layers: int) -> Sequence[State]:
    if states is None:
        return [None] * layers
    if not isinstance(states, (list, tuple)) or len(states) != layers:
        raise StructureError(f"`{name}` must be a list of {layers} states, one per layer")
    return states
