"""recurra: recurrent networks with cells, states and lengths in plain sight, on today's PyTorch.

import torch
import recurra as rc

cell = rc.LSTMCell(16, 32, peepholes=True)
outputs, state = rc.unroll(cell, torch.randn(8, 20, 16), lengths=torch.randint(0, 21, (8,)))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra import attention, crf, data, decoding, losses, models, nn, recipes, tf1
    from recurra._typing import (
        Cell,
        LSTMState,
    )
    from recurra.cells import (
        AttentionCellState,
        AttentionCellWrapper,
        BaseCell,
        BidirectionalGridLSTMCell,
        CFNCell,
        Conv1DLSTMCell,
        Conv2DLSTMCell,
        Conv3DLSTMCell,
        ConvLSTMCell,
        CoupledInputForgetGateLSTMCell,
        DropoutMasks,
        DropoutWrapper,
        EmbeddingWrapper,
        GLSTMCell,
        Grid1BasicLSTMCell,
        Grid1BasicRNNCell,
        Grid1LSTMCell,
        Grid2BasicLSTMCell,
        Grid2BasicRNNCell,
        Grid2GRUCell,
        Grid2LSTMCell,
        Grid3LSTMCell,
        GridLSTMCell,
        GridRNNCell,
        GRUCell,
        HighwayWrapper,
        IndRNNCell,
        IndyGRUCell,
        IndyLSTMCell,
        InputProjectionWrapper,
        IntersectionRNNCell,
        LayerNormBasicLSTMCell,
        LayerNormLSTMCell,
        LRUCell,
        LSTMCell,
        MinGRUCell,
        MinimalRNNCell,
        MinLSTMCell,
        MLSTMCell,
        MLSTMState,
        NASCell,
        NTMCell,
        NTMState,
        OutputProjectionWrapper,
        PhasedLSTMCell,
        ResidualWrapper,
        RGLRUCell,
        RNNCell,
        SLSTMCell,
        SLSTMState,
        SRUCell,
        StackedCells,
        TimeFreqLSTMCell,
        UGRNNCell,
        WeightNormLSTMCell,
        ZoneoutMasks,
        ZoneoutWrapper,
        bidirectional_variable_names,
        compile_cell,
        kernel_views,
        variable_names,
    )
    from recurra.export.safetensors import (
        load,
    )
    from recurra.kernels.scan import masks_at
    from recurra.loops.bidirectional import bidirectional, stack_bidirectional
    from recurra.loops.explain import explain
    from recurra.loops.fused import FusedRNNCellAdaptor, TimeReversedFusedRNN
    from recurra.loops.lengths import last_output
    from recurra.loops.raw import Next, raw_loop
    from recurra.loops.state import LearnedInitialState, detach, state_saving_unroll
    from recurra.loops.unroll import unroll

__version__ = "0.1.0"

__all__ = [
    "AttentionCellState",
    "AttentionCellWrapper",
    "BaseCell",
    "BidirectionalGridLSTMCell",
    "CFNCell",
    "Cell",
    "Conv1DLSTMCell",
    "Conv2DLSTMCell",
    "Conv3DLSTMCell",
    "ConvLSTMCell",
    "CoupledInputForgetGateLSTMCell",
    "DropoutMasks",
    "DropoutWrapper",
    "EmbeddingWrapper",
    "FusedRNNCellAdaptor",
    "GLSTMCell",
    "GRUCell",
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
    "LSTMState",
    "LayerNormBasicLSTMCell",
    "LayerNormLSTMCell",
    "LearnedInitialState",
    "MLSTMCell",
    "MLSTMState",
    "MinGRUCell",
    "MinLSTMCell",
    "MinimalRNNCell",
    "NASCell",
    "NTMCell",
    "NTMState",
    "Next",
    "OutputProjectionWrapper",
    "PhasedLSTMCell",
    "RGLRUCell",
    "RNNCell",
    "ResidualWrapper",
    "SLSTMCell",
    "SLSTMState",
    "SRUCell",
    "StackedCells",
    "TimeFreqLSTMCell",
    "TimeReversedFusedRNN",
    "UGRNNCell",
    "WeightNormLSTMCell",
    "ZoneoutMasks",
    "ZoneoutWrapper",
    "attention",
    "bidirectional",
    "bidirectional_variable_names",
    "compile_cell",
    "crf",
    "data",
    "decoding",
    "detach",
    "explain",
    "kernel_views",
    "last_output",
    "load",
    "losses",
    "masks_at",
    "models",
    "nn",
    "raw_loop",
    "recipes",
    "stack_bidirectional",
    "state_saving_unroll",
    "tf1",
    "unroll",
    "variable_names",
]

# Names are looked up at first use (PEP 562): `recurra --help` must not pay for importing torch.
_SUBMODULES = ("attention", "crf", "data", "decoding", "losses", "models", "nn", "recipes", "tf1")
_HOMES = {
    "_typing": (
        "Cell",
        "LSTMState",
    ),
    "export.safetensors": ("load",),
    "loops": (
        "FusedRNNCellAdaptor",
        "LearnedInitialState",
        "Next",
        "TimeReversedFusedRNN",
        "bidirectional",
        "detach",
        "explain",
        "last_output",
        "masks_at",
        "raw_loop",
        "stack_bidirectional",
        "state_saving_unroll",
        "unroll",
    ),
}
"""Where the names are; most are cells."""
_HOME_OF = dict.fromkeys(__all__, "cells") | {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"recurra.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'recurra' has no attribute {name!r}{_nearest(name)}")
    value = getattr(import_module(f"recurra.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def _nearest(name: str) -> str:
    """The public name that was probably meant; nothing for names that Python and its tools look for."""
    if name.startswith("_"):
        return ""
    from recurra._slips import nearest

    found = [_ELSEWHERE[name]] if name in _ELSEWHERE else nearest(name, __all__)
    return f"; did you mean {found[0]!r}?" if found else ""


# what others call it
_ELSEWHERE = {
    "BasicLSTMCell": "LSTMCell",
    "BasicRNNCell": "RNNCell",
    "MultiRNNCell": "StackedCells",
    "StackedRNNCells": "StackedCells",
    "SimpleRNNCell": "RNNCell",
    "LSTMStateTuple": "LSTMState",
    "dynamic_rnn": "unroll",
    "static_rnn": "unroll",
    "bidirectional_dynamic_rnn": "bidirectional",
    "raw_rnn": "raw_loop",
    "LSTM": "nn.LSTM",
    "GRU": "nn.GRU",
    "RNN": "nn.RNN",
}


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
