"""What the models share: a stack of cells in one direction or two, and the ways to read it into one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import LSTMState
from recurra.cells import DropoutWrapper, StackedCells
from recurra.cells.base import BaseCell
from recurra.cells.registry import make_cell
from recurra.errors import ConfigError
from recurra.loops import bidirectional, last_output, unroll

Read = Literal["output-at-end", "output-at-length", "state-c", "state-h", "states"]
Merge = Literal["concat", "sum"]


class Encoded(NamedTuple):
    """What an encoder gives: per direction the outputs `[B, T, H]` and the final state (a tuple, one entry per
    layer)."""

    outputs: tuple[Tensor, ...]
    states: tuple[Any, ...]

    def joined(self) -> Tensor:
        """Outputs of all directions side by side, `[B, T, directions * H]`."""
        return self.outputs[0] if len(self.outputs) == 1 else torch.cat(self.outputs, dim=-1)


def make_stack(
    cell: str,
    input_size: int,
    hidden: int,
    layers: int,
    dropout: float = 0.0,
    *,
    options: dict[str, Any] | None = None,
    leave_input: bool = False,
) -> StackedCells:
    """`layers` cells on top of each other; dropout acts on the input and on every layer's output, L + 1 times in all.

    Args:
        cell: a name in `recurra.cells.registry`.
        input_size: features of the input.
        hidden: units per layer.
        layers: how many.
        dropout: share dropped in training; never on the way through time.
        options: further arguments of the cell (activation, forget_bias, …).
        leave_input: no dropout on the input (the caller does it).
    """
    cells: list[BaseCell] = []
    size = input_size
    for layer in range(layers):
        made = _make(cell, size, hidden, options or {})
        size = made.output_size
        if dropout:
            first = layer == 0 and not leave_input
            made = DropoutWrapper(made, input_keep_prob=1 - dropout if first else 1.0, output_keep_prob=1 - dropout)
        cells.append(made)
    return StackedCells(cells)


def _make(cell: str, input_size: int, hidden: int, options: dict[str, Any]) -> BaseCell:
    try:
        return make_cell(cell, input_size, hidden, **options)
    except TypeError as error:
        raise ConfigError(f"cell {cell!r} does not take these options: {options} ({error})") from error


class Encoder(nn.Module):
    """One stack of cells, or two independent ones of which the second reads backwards.

    Args:
        cell, input_size, hidden, layers, dropout, options: as in `make_stack`.
        bidirectional: whether there is a backward stack.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden: int,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        options: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.forward_stack = make_stack(cell, input_size, hidden, layers, dropout, options=options)
        self.backward_stack = (
            make_stack(cell, input_size, hidden, layers, dropout, options=options) if bidirectional else None
        )
        self.cell_name = cell
        self.output_size = self.forward_stack.output_size * (2 if bidirectional else 1)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Encoded:
        """Run over `inputs [B, T, F]`, each row `lengths` steps long."""
        if self.backward_stack is None:
            outputs, state = unroll(self.forward_stack, inputs, lengths=lengths)
            return Encoded((outputs,), (state,))
        outputs, states = bidirectional(self.forward_stack, self.backward_stack, inputs, lengths=lengths)
        return Encoded(outputs, states)

    def read(self, encoded: Encoded, lengths: Tensor | None, how: Read, merge: Merge) -> Tensor:
        """One vector per row, `[B, read_size]`."""
        parts = [
            _read_direction(outputs, state, lengths, how, self.cell_name, backward=direction == 1)
            for direction, (outputs, state) in enumerate(zip(encoded.outputs, encoded.states, strict=True))
        ]
        if len(parts) == 1:
            return parts[0]
        return parts[0] + parts[1] if merge == "sum" else torch.cat(parts, dim=-1)

    def stepper(self, how: Read) -> Callable[[Tensor], Tensor]:
        """Reads a sequence that comes step by step: `x [1, F]` -> what `read` gives of the steps so far.

        Raises:
            ConfigError: a backward stack has to see the end first.
        """
        if self.backward_stack is not None:
            raise ConfigError(
                "this model reads each sequence backwards, too, and has to see its end first; "
                "one that was trained with --no-bidirectional can be streamed"
            )
        steps = self.forward_stack.stepper(1)

        def read(x: Tensor) -> Tensor:
            output: Tensor = steps(x)
            return output if how.startswith("output") else _read_state(steps.state, how, self.cell_name)

        return read

    def read_size(self, how: Read, merge: Merge) -> int:
        """Size of what `read` gives."""
        sizes = self.forward_stack.state_size
        if how == "states":
            size = sum(_nest.flatten(sizes))
        elif how in ("state-c", "state-h"):
            size = _leaf(sizes[-1], how, self.cell_name)
        else:
            size = self.forward_stack.output_size
        return int(size * (1 if self.backward_stack is None or merge == "sum" else 2))


def _read_direction(
    outputs: Tensor, state: Sequence[Any], lengths: Tensor | None, how: Read, cell: str, *, backward: bool
) -> Tensor:
    if how == "output-at-end":
        return outputs[:, -1]
    if how == "output-at-length":
        return last_output(outputs, lengths, reverse=backward)
    return _read_state(state, how, cell)


def _read_state(state: Sequence[Any], how: Read, cell: str) -> Any:
    if how == "states":
        return torch.cat(_nest.flatten(state), dim=-1)
    return _leaf(state[-1], how, cell)


def _leaf(state: Any, how: Read, cell: str) -> Any:
    """The c or h of a layer's state (or state size): named fields if it has them, else the state itself is h."""
    field = how.removeprefix("state-")
    if isinstance(state, LSTMState) or hasattr(state, field):
        return getattr(state, field)
    if how == "state-c":
        raise ConfigError(f"read 'state-c': cell {cell!r} has no memory c; use state-h or output-at-length")
    return _nest.flatten(state)[-1]
