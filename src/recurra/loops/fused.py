"""Fused cells: callables over whole time-major sequences, in TensorFlow's contrib sense, and their time reversal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Cell, State
from recurra.cells.checks import check_lengths
from recurra.errors import StructureError
from recurra.loops.unroll import unroll


def reverse_rows(values: Any, lengths: Tensor | None = None) -> Any:
    """`[T, B, ...]` with the first `lengths` steps of each row reversed (all without lengths), the rest in place."""
    if lengths is None:
        return _nest.map_leaves(lambda leaf: leaf.flip(0), values)
    steps = torch.arange(_nest.flatten(values)[0].shape[0], device=lengths.device).unsqueeze(1)
    index = torch.where(steps < lengths, lengths - 1 - steps, steps)
    rows = torch.arange(lengths.shape[0], device=lengths.device)
    return _nest.map_leaves(lambda leaf: leaf[index, rows], values)


class FusedRNNCellAdaptor(nn.Module):
    """A cell as a fused cell: `outputs, state = fused(inputs, initial_state, lengths)`, time-major.

    Args:
        cell: any cell.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Any, initial_state: State = None, lengths: Tensor | None = None) -> Any:
        """`inputs [T, B, I]` -> (outputs `[T, B, n]`, final state)."""
        return unroll(self.cell, inputs, initial_state, lengths=lengths, time_major=True)


class TimeReversedFusedRNN(nn.Module):
    """A fused cell run from each row's end to its beginning; output t belongs to input t.

    The final state is that of the reversed run: after reading step 0.

    Args:
        fused: called as `fused(inputs, initial_state, lengths)`.
    """

    def __init__(self, fused: nn.Module) -> None:
        super().__init__()
        self.fused = fused

    def forward(self, inputs: Any, initial_state: State = None, lengths: Tensor | None = None) -> Any:
        """`inputs [T, B, I]` -> (outputs `[T, B, n]`, final state)."""
        first = next(iter(_nest.flatten(inputs)), None)
        if not isinstance(first, Tensor) or first.dim() < 2:
            raise StructureError(f"`inputs` must be a tensor [T, B, ...], got {_nest.describe(inputs)}")
        if lengths is not None:
            check_lengths(lengths, first.shape[1], first.shape[0], first.device)
        outputs, state = self.fused(reverse_rows(inputs, lengths), initial_state, lengths)
        return reverse_rows(outputs, lengths), state
