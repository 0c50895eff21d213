"""Carrying state from call to call, and learning where it starts."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Cell, State
from recurra.errors import StructureError
from recurra.loops.unroll import unroll


def detach(state: State) -> State:
    """The same values cut off from the graph: carried state under truncated backpropagation through time."""
    return _nest.map_leaves(lambda leaf: leaf.detach(), state)


class LearnedInitialState(nn.Module):
    """An initial state that is a parameter like any other.

        start = LearnedInitialState(cell)
        outputs, state = recurra.unroll(cell, inputs, start(batch_size))

    Args:
        cell: whose state it is. Each leaf starts as `cell.initial_state` has it (mostly zeros), the same for every row;
            leaves that count something (integers, and those of rank 0) are not learned and stay so.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        if not callable(getattr(cell, "initial_state", None)):
            raise StructureError(f"`cell` must be a recurra cell, got {type(cell).__name__}")
        row = cell.initial_state(1)
        self._structure = _nest.map_leaves(lambda leaf: 0, row)
        self.leaves = nn.ParameterList()
        self._counters: dict[int, str] = {}
        for place, leaf in enumerate(_nest.flatten(row)):
            if leaf.dim() and leaf.is_floating_point():
                self.leaves.append(leaf.squeeze(0))
            else:
                self._counters[place] = f"counter_{place}"
                self.register_buffer(f"counter_{place}", leaf, persistent=False)

    def forward(self, batch_size: int) -> State:
        """The state for `batch_size` rows, leaves `[B, ...]` (counters of rank 0 as they are)."""
        learned = iter(self.leaves)

        def leaf(place: int) -> Tensor:
            counter = self._counters.get(place)
            row = next(learned).unsqueeze(0) if counter is None else self.get_buffer(counter)
            return row.expand(batch_size, *row.shape[1:]) if row.dim() else row

        places = range(len(_nest.flatten(self._structure)))
        return _nest.pack_as(self._structure, [leaf(place) for place in places])


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
