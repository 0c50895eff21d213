"""Cells and wrappers. May import `kernels`; offers one module per family. Read `lstm.py` first, then `base.py`.

A family's file holds its parameters as a named tuple, its equation as pure functions, and a thin module over both.
"""

from recurra.cells.attention_cell import AttentionCellState, AttentionCellWrapper
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.compile import compile_cell
from recurra.cells.conv_lstm import Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell, ConvLSTMCell
from recurra.cells.coupled import CoupledInputForgetGateLSTMCell
from recurra.cells.dropout import DropoutMasks, DropoutWrapper
from recurra.cells.glstm import GLSTMCell
from recurra.cells.grid_lstm import BidirectionalGridLSTMCell, GridLSTMCell
from recurra.cells.grid_rnn import (
    Grid1BasicLSTMCell,
    Grid1BasicRNNCell,
    Grid1LSTMCell,
    Grid2BasicLSTMCell,
    Grid2BasicRNNCell,
    Grid2GRUCell,
    Grid2LSTMCell,
    Grid3LSTMCell,
    GridRNNCell,
)
from recurra.cells.gru import GRUAfterParams, GRUCell, GRUOptions, GRUParams, gru_sequence, gru_step
from recurra.cells.highway import HighwayWrapper
from recurra.cells.independent import IndRNNCell, IndyGRUCell, IndyLSTMCell
from recurra.cells.intersection import IntersectionRNNCell
from recurra.cells.layer_norm_lstm import LayerNormBasicLSTMCell, LayerNormLSTMCell
from recurra.cells.lru import LRUCell
from recurra.cells.lstm import LSTMCell, LSTMOptions, LSTMParams, lstm_sequence, lstm_step
from recurra.cells.minimal import CFNCell, MinimalRNNCell
from recurra.cells.minimal_gates import MinGRUCell, MinLSTMCell
from recurra.cells.mlstm import MLSTMCell, MLSTMState
from recurra.cells.names import bidirectional_variable_names, variable_names
from recurra.cells.nas import NASCell
from recurra.cells.ntm import NTMCell, NTMState
from recurra.cells.phased import PhasedLSTMCell
from recurra.cells.projection import EmbeddingWrapper, InputProjectionWrapper, OutputProjectionWrapper
from recurra.cells.residual import ResidualWrapper
from recurra.cells.rglru import RGLRUCell
from recurra.cells.rnn import RNNCell, RNNOptions, RNNParams, rnn_sequence, rnn_step
from recurra.cells.slstm import SLSTMCell, SLSTMState
from recurra.cells.sru import SRUCell
from recurra.cells.stack import StackedCells
from recurra.cells.time_freq import TimeFreqLSTMCell
from recurra.cells.ugrnn import UGRNNCell
from recurra.cells.views import kernel_views
from recurra.cells.weight_norm import WeightNormLSTMCell
from recurra.cells.zoneout import ZoneoutMasks, ZoneoutWrapper

__all__ = [
    "AttentionCellState",
    "AttentionCellWrapper",
    "BaseCell",
    "BidirectionalGridLSTMCell",
    "CFNCell",
    "Conv1DLSTMCell",
    "Conv2DLSTMCell",
    "Conv3DLSTMCell",
    "ConvLSTMCell",
    "CoupledInputForgetGateLSTMCell",
    "DropoutMasks",
    "DropoutWrapper",
    "EmbeddingWrapper",
    "GLSTMCell",
    "GRUAfterParams",
    "GRUCell",
    "GRUOptions",
    "GRUParams",
    "Grid1BasicLSTMCell",
    "Grid1BasicRNNCell",
    "Grid1LSTMCell",
    "Grid2BasicLSTMCell",
    "Grid2BasicRNNCell",
    "Grid2GRUCell",
    "Grid2LSTMCell",
    "Grid3LSTMCell",
    "GridLSTMCell",
    "GridRNNCell",
    "HighwayWrapper",
    "IndRNNCell",
    "IndyGRUCell",
    "IndyLSTMCell",
    "InputProjectionWrapper",
    "IntersectionRNNCell",
    "LRUCell",
    "LSTMCell",
    "LSTMOptions",
    "LSTMParams",
    "LayerNormBasicLSTMCell",
    "LayerNormLSTMCell",
    "LeafCell",
    "MLSTMCell",
    "MLSTMState",
    "MinGRUCell",
    "MinLSTMCell",
    "MinimalRNNCell",
    "NASCell",
    "NTMCell",
    "NTMState",
    "OutputProjectionWrapper",
    "PhasedLSTMCell",
    "RGLRUCell",
    "RNNCell",
    "RNNOptions",
    "RNNParams",
    "ResidualWrapper",
    "SLSTMCell",
    "SLSTMState",
    "SRUCell",
    "StackedCells",
    "TimeFreqLSTMCell",
    "UGRNNCell",
    "WeightNormLSTMCell",
    "ZoneoutMasks",
    "ZoneoutWrapper",
    "bidirectional_variable_names",
    "compile_cell",
    "gru_sequence",
    "gru_step",
    "kernel_views",
    "lstm_sequence",
    "lstm_step",
    "rnn_sequence",
    "rnn_step",
    "variable_names",
]
