"""Carrying state from call to call, and learning where it starts."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from recurra import _nest
from recurra._typing import State


def detach(state: State) -> State:
    """The same values cut off from the graph: carried state under truncated backpropagation through time."""
    return _nest.map_leaves(lambda leaf: leaf.detach(), state)


class LearnedInitialState(nn.Module):
    """An initial state that is a parameter like any other.

        start = LearnedInitialState(cell)
        outputs, state = recurra.unroll(cell, inputs, start(batch_size))

    Args:
        cell: whose state it is; starts at zeros, one vector per leaf, the same for every row.
    """

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        row: Any = cell.initial_state(1)  # type: ignore[operator]
        self._structure = _nest.map_leaves(lambda leaf: 0, row)
        self.leaves = nn.ParameterList(leaf.squeeze(0) if leaf.dim() else leaf for leaf in _nest.flatten(row))

    def forward(self, batch_size: int) -> State:
        """The state for `batch_size` rows."""

        def expand(leaf: Tensor) -> Tensor:
            return leaf.unsqueeze(0).expand(batch_size, *leaf.shape)

        return _nest.pack_as(self._structure, [expand(leaf) for leaf in self.leaves])
