"""A class at every step, with the state coming in and going out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from recurra.loops import unroll
from recurra.models.encoder import make_stack


class StepClassifier(nn.Module):
    """Logits at every step of `[B, T, F]`, from a stack of cells.

    Args:
        features: size of an input step.
        classes: number of logits.
        cell, hidden, layers: the stack (see `make_stack`).
    """

    def __init__(self, features: int, classes: int, *, cell: str = "lstm", hidden: int = 5, layers: int = 2):
        super().__init__()
        self.stack = make_stack(cell, features, hidden, layers)
        self.output = nn.Linear(self.stack.output_size, classes)
        nn.init.trunc_normal_(self.output.weight)
        nn.init.trunc_normal_(self.output.bias)

    def initial_state(self, rows: int) -> Any:
        """Zeros for `rows` rows."""
        return self.stack.initial_state(rows)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits `[B, T, classes]` and the state after the last step."""
        outputs, state = unroll(self.stack, inputs, state)
        return self.output(outputs), state
