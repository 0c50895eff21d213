"""The table of cells by the name that the command line and configurations use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.cells.base import BaseCell
from recurra.cells.gru import GRUCell
from recurra.cells.lstm import LSTMCell
from recurra.cells.rnn import RNNCell
from recurra.errors import ConfigError

CELLS: dict[str, Callable[..., BaseCell]] = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
}
"""name -> class; each is called as `(input_size, hidden_size, **options)`."""


def make_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> BaseCell:
    """The cell that `name` stands for, case ignored.

    Raises:
        ConfigError: an unknown name; the known ones are listed.
    """
    key = name.lower().replace("-", "_")
    if key not in CELLS:
        raise ConfigError(f"`cell` is unknown: {name!r}; known cells: {', '.join(sorted(CELLS))}")
    return CELLS[key](input_size, hidden_size, **options)
