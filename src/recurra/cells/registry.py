"""The table of cells by the name that the command line and configurations use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra._slips import nearest
from recurra.cells.base import BaseCell
from recurra.cells.coupled import CoupledInputForgetGateLSTMCell
from recurra.cells.glstm import GLSTMCell
from recurra.cells.grid_lstm import BidirectionalGridLSTMCell, GridLSTMCell
from recurra.cells.grid_rnn import Grid2GRUCell, Grid2LSTMCell
from recurra.cells.gru import GRUCell
from recurra.cells.independent import IndRNNCell, IndyGRUCell, IndyLSTMCell
from recurra.cells.intersection import IntersectionRNNCell
from recurra.cells.layer_norm_lstm import LayerNormBasicLSTMCell, LayerNormLSTMCell
from recurra.cells.lru import LRUCell
from recurra.cells.lstm import LSTMCell
from recurra.cells.minimal import CFNCell, MinimalRNNCell
from recurra.cells.minimal_gates import MinGRUCell, MinLSTMCell
from recurra.cells.mlstm import MLSTMCell
from recurra.cells.nas import NASCell
from recurra.cells.rglru import RGLRUCell
from recurra.cells.rnn import RNNCell
from recurra.cells.slstm import SLSTMCell
from recurra.cells.sru import SRUCell
from recurra.cells.time_freq import TimeFreqLSTMCell
from recurra.cells.ugrnn import UGRNNCell
from recurra.cells.weight_norm import WeightNormLSTMCell
from recurra.errors import ConfigError

CELLS: dict[str, Callable[..., BaseCell]] = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "layer_norm_basic_lstm": LayerNormBasicLSTMCell,
    "layer_norm_lstm": LayerNormLSTMCell,
    "coupled_lstm": CoupledInputForgetGateLSTMCell,
    "ugrnn": UGRNNCell,
    "intersection": IntersectionRNNCell,
    "nas": NASCell,
    "glstm": GLSTMCell,
    "sru": SRUCell,
    "ind_rnn": IndRNNCell,
    "indy_gru": IndyGRUCell,
    "indy_lstm": IndyLSTMCell,
    "minimal_rnn": MinimalRNNCell,
    "cfn": CFNCell,
    "weight_norm_lstm": WeightNormLSTMCell,
    "time_freq_lstm": TimeFreqLSTMCell,
    "grid_lstm": GridLSTMCell,
    "bidirectional_grid_lstm": BidirectionalGridLSTMCell,
    "grid2_lstm": Grid2LSTMCell,
    "grid2_gru": Grid2GRUCell,
    "min_gru": MinGRUCell,
    "min_lstm": MinLSTMCell,
    "lru": LRUCell,
    "rglru": RGLRUCell,
    "slstm": SLSTMCell,
    "mlstm": MLSTMCell,
}
"""name -> class; each is called as `(input_size, hidden_size, **options)`."""


def make_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> BaseCell:
    """The cell that `name` stands for, case ignored.

    Raises:
        ConfigError: an unknown name; the known ones are listed.
    """
    key = name.lower().replace("-", "_")
    if key not in CELLS:
        close = nearest(key, CELLS)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"`cell` is unknown: {name!r}; known cells: {', '.join(sorted(CELLS))}{hint}")
    return CELLS[key](input_size, hidden_size, **options)
