"""Cells and wrappers. May import `kernels`; offers one module per family. Read `lstm.py` first, then `base.py`.

A family's file holds its parameters as a named tuple, its equation as pure functions, and a thin module over both.
"""

from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.dropout import DropoutMasks, DropoutWrapper
from recurra.cells.gru import GRUAfterParams, GRUCell, GRUOptions, GRUParams, gru_sequence, gru_step
from recurra.cells.lstm import LSTMCell, LSTMOptions, LSTMParams, lstm_sequence, lstm_step
from recurra.cells.projection import EmbeddingWrapper, InputProjectionWrapper, OutputProjectionWrapper
from recurra.cells.residual import ResidualWrapper
from recurra.cells.rnn import RNNCell, RNNOptions, RNNParams, rnn_sequence, rnn_step
from recurra.cells.stack import StackedCells
from recurra.cells.zoneout import ZoneoutMasks, ZoneoutWrapper

__all__ = [
    "BaseCell",
    "DropoutMasks",
    "DropoutWrapper",
    "EmbeddingWrapper",
    "GRUAfterParams",
    "GRUCell",
    "GRUOptions",
    "GRUParams",
    "InputProjectionWrapper",
    "LSTMCell",
    "LSTMOptions",
    "LSTMParams",
    "LeafCell",
    "OutputProjectionWrapper",
    "RNNCell",
    "RNNOptions",
    "RNNParams",
    "ResidualWrapper",
    "StackedCells",
    "ZoneoutMasks",
    "ZoneoutWrapper",
    "gru_sequence",
    "gru_step",
    "lstm_sequence",
    "lstm_step",
    "rnn_sequence",
    "rnn_step",
]
