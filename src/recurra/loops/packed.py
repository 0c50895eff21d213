"""torch's packed sequences as inputs and outputs of the loops."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra import _nest
from recurra._typing import Cell, State
from recurra.cells.base import BaseCell
from recurra.cells.checks import check_features, check_state


def padded(packed: PackedSequence, *, time_major: bool) -> tuple[Tensor, Tensor]:
    """The rows in the order they were packed from, `[B, T, ...]` (or `[T, B, ...]`), and their lengths."""
    rows, lengths = pad_packed_sequence(packed, batch_first=not time_major)
    return rows, lengths.to(rows.device)


def packed_like(packed: PackedSequence, values: Any, lengths: Tensor, *, time_major: bool) -> Any:
    """Values of the same steps as `packed`, from `padded` rows; a nest of them becomes one of packed sequences."""
    _, batch_sizes, order, back = packed

    def pack(leaf: Tensor) -> PackedSequence:
        if order is not None:
            leaf = leaf.index_select(1 if time_major else 0, order)
        longest_first = lengths if order is None else lengths[order]
        data = pack_padded_sequence(leaf, longest_first.cpu(), batch_first=not time_major).data
        return PackedSequence(data, batch_sizes, order, back)

    return _nest.map_leaves(pack, values)


def unroll_in_place(cell: Cell, packed: PackedSequence, initial_state: State, *, reverse: bool) -> Any:
    """`(outputs, final state)` through a kernel that reads packed rows; None where the rows must be padded."""
    if not isinstance(cell, BaseCell):
        return None
    data, batch_sizes, order, back = packed
    check_features("inputs", data, getattr(cell, "input_size", None), leading=("N",))
    batch_size = int(batch_sizes[0])
    state = cell.initial_state(batch_size) if initial_state is None else initial_state
    check_state("initial_state", state, cell.state_size, batch_size)
    state = _nest.as_nested_in(state, cell.state_size)
    found = cell.unroll_packed(data, batch_sizes, _select(state, order), reverse=reverse)
    if found is None:
        return None
    return PackedSequence(found[0], batch_sizes, order, back), _select(found[1], back)


def _select(state: State, rows: Tensor | None) -> State:
    if rows is None:
        return state
    return _nest.map_leaves(lambda leaf: leaf.index_select(0, rows) if leaf.dim() else leaf, state)
