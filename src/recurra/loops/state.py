"""Carrying state from call to call, and learning where it starts."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Cell, State
from recurra.loops.unroll import unroll


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


class StateSaver(Protocol):
    """Where states live between calls, by name: TensorFlow's batching queues had such objects."""

    def state(self, name: str) -> Tensor:
        """The stored `[B, ...]`."""
        ...

    def save_state(self, name: str, value: Tensor) -> Any:
        """Store it."""
        ...


def state_saving_unroll(
    cell: Cell,
    inputs: Any,
    saver: StateSaver,
    state_name: Any,
    *,
    lengths: Tensor | None = None,
    time_major: bool = False,
) -> tuple[Any, State]:
    """`unroll` from the state that `saver` holds, with the final state saved there (TensorFlow's state_saving_rnn).

    Args:
        cell, inputs, lengths, time_major: as in `recurra.unroll`.
        saver: where the state is, see `StateSaver`.
        state_name: the names of its parts, in the structure of `cell.state_size`: `LSTMState("c", "h")`.

    Returns:
        `(outputs, final_state)`; what is saved is the final state, with its graph (detach it to truncate).
    """
    _nest.check_structure("state_name", state_name, cell.state_size)
    start = _nest.map_leaves(lambda size, name: saver.state(name), cell.state_size, state_name)
    outputs, final = unroll(cell, inputs, start, lengths=lengths, time_major=time_major)
    for name, leaf in zip(_nest.flatten(state_name), _nest.flatten(final), strict=True):
        saver.save_state(name, leaf)
    return outputs, final
