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
    from recurra._typing import Cell, LSTMState
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
        ZoneoutWrapper,
    )
    from recurra.export.safetensors import load
    from recurra.kernels import explain
    from recurra.loops import (
        FusedRNNCellAdaptor,
        LearnedInitialState,
        TimeReversedFusedRNN,
        bidirectional,
        detach,
        last_output,
        masks_at,
        stack_bidirectional,
        unroll,
    )

__version__ = "0.1.0"

# Names are looked up at first use (PEP 562): `recurra --help` must not pay for importing torch.
_HOMES = {
    "_typing": ("Cell", "LSTMState"),
    "cells": (
        "LRUCell",
        "MinGRUCell",
        "MinLSTMCell",
        "MLSTMCell",
        "MLSTMState",
        "RGLRUCell",
        "SLSTMCell",
        "SLSTMState",
        "AttentionCellState",
        "AttentionCellWrapper",
        "Conv1DLSTMCell",
        "Conv2DLSTMCell",
        "Conv3DLSTMCell",
        "ConvLSTMCell",
        "GLSTMCell",
        "BidirectionalGridLSTMCell",
        "GridLSTMCell",
        "Grid1BasicLSTMCell",
        "Grid1BasicRNNCell",
        "Grid1LSTMCell",
        "Grid2BasicLSTMCell",
        "Grid2BasicRNNCell",
        "Grid2GRUCell",
        "Grid2LSTMCell",
        "Grid3LSTMCell",
        "GridRNNCell",
        "HighwayWrapper",
        "IndRNNCell",
        "IndyGRUCell",
        "IndyLSTMCell",
        "IntersectionRNNCell",
        "CFNCell",
        "MinimalRNNCell",
        "NASCell",
        "NTMCell",
        "NTMState",
        "PhasedLSTMCell",
        "SRUCell",
        "TimeFreqLSTMCell",
        "UGRNNCell",
        "WeightNormLSTMCell",
        "BaseCell",
        "CoupledInputForgetGateLSTMCell",
        "DropoutMasks",
        "DropoutWrapper",
        "EmbeddingWrapper",
        "GRUCell",
        "InputProjectionWrapper",
        "LSTMCell",
        "LayerNormBasicLSTMCell",
        "LayerNormLSTMCell",
        "OutputProjectionWrapper",
        "RNNCell",
        "ResidualWrapper",
        "StackedCells",
        "ZoneoutWrapper",
    ),
    "kernels": ("explain",),
    "loops": (
        "FusedRNNCellAdaptor",
        "TimeReversedFusedRNN",
        "LearnedInitialState",
        "bidirectional",
        "detach",
        "last_output",
        "masks_at",
        "stack_bidirectional",
        "unroll",
    ),
    "export.safetensors": ("load",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_SUBMODULES = ("attention", "crf", "data", "decoding", "losses", "models", "nn", "recipes", "tf1")

__all__ = sorted([*_HOME_OF, *_SUBMODULES])


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"recurra.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'recurra' has no attribute {name!r}")
    value = getattr(import_module(f"recurra.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
