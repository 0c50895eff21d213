"""A cell, a helper, and an output layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from recurra._typing import State
from recurra.decoding.helpers import Helper

Step = Callable[[Any, State], tuple[Any, State]]
"""(inputs, state) -> (output, new state): a cell, or a function like one."""


class BasicDecoderOutput(NamedTuple):
    """What a `BasicDecoder` gives at a step (stacked over time by `dynamic_decode`)."""

    rnn_output: Tensor
    """`[B, n]`: after the output layer."""
    sample_id: Tensor
    """`[B]`."""


class BasicDecoder:
    """Runs a cell on what a helper feeds it.

    Args:
        cell: (inputs, state) -> (output, state).
        helper: see `recurra.decoding.helpers`.
        initial_state: the state before the first step.
        output_layer: from the cell's output to the logits.
    """

    tracks_own_finished = False

    def __init__(
        self,
        cell: Step,
        helper: Helper,
        initial_state: State,
        output_layer: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.cell, self.helper = cell, helper
        self.initial_state, self.output_layer = initial_state, output_layer

    def initialize(self) -> tuple[Tensor, Any, State]:
        return *self.helper.initialize(), self.initial_state

    def step(self, time: int, inputs: Any, state: State) -> tuple[BasicDecoderOutput, State, Any, Tensor]:
        output, state = self.cell(inputs, state)
        if self.output_layer is not None:
            output = self.output_layer(output)
        sample_ids = self.helper.sample(time, output, state)
        finished, inputs, state = self.helper.next_inputs(time, output, state, sample_ids)
        return BasicDecoderOutput(output, sample_ids), state, inputs, finished

    def finalize(self, outputs: Any, state: State, lengths: Tensor) -> tuple[Any, State]:
        return outputs, state
