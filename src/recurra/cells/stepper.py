"""Streaming: one step at a time, with the state kept between the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recurra._typing import State

if TYPE_CHECKING:
    from recurra.cells.base import BaseCell


class Stepper:
    """A running stream of `batch_size` rows through a cell, in inference mode.

        stepper = cell.stepper(batch_size=1)
        for x in stream:              # x [B, I]
            output = stepper(x)       # [B, H]

    `state` may be read and assigned at any time (to carry a stream on elsewhere); `reset()` starts anew.
    """

    def __init__(self, cell: BaseCell, batch_size: int) -> None:
        self.cell = cell
        self.batch_size = batch_size
        self.state: State = cell.initial_state(batch_size)

    def reset(self) -> None:
        """Back to the cell's initial state."""
        self.state = self.cell.initial_state(self.batch_size)

    @torch.inference_mode()
    def __call__(self, x: Any) -> Any:
        """One step: `x [B, I]` -> output; the state moves on."""
        output, self.state = self.cell(x, self.state)
        return output
