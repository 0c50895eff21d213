"""recurra: recurrent networks with cells, states and lengths in plain sight, on today's PyTorch.

import torch
import recurra as rc

cell = rc.LSTMCell(16, 32, peepholes=True)
outputs, state = rc.unroll(cell, torch.randn(8, 20, 16), lengths=torch.randint(0, 21, (8,)))
"""

from recurra._typing import Cell, LSTMState
from recurra.cells import (
    BaseCell,
    DropoutMasks,
    DropoutWrapper,
    EmbeddingWrapper,
    GRUCell,
    InputProjectionWrapper,
    LSTMCell,
    OutputProjectionWrapper,
    ResidualWrapper,
    RNNCell,
    StackedCells,
    ZoneoutWrapper,
)
from recurra.loops import (
    LearnedInitialState,
    bidirectional,
    detach,
    last_output,
    masks_at,
    stack_bidirectional,
    unroll,
)

__version__ = "0.1.0"

__all__ = [
    "BaseCell",
    "Cell",
    "DropoutMasks",
    "DropoutWrapper",
    "EmbeddingWrapper",
    "GRUCell",
    "InputProjectionWrapper",
    "LSTMCell",
    "LSTMState",
    "LearnedInitialState",
    "OutputProjectionWrapper",
    "RNNCell",
    "ResidualWrapper",
    "StackedCells",
    "ZoneoutWrapper",
    "bidirectional",
    "detach",
    "last_output",
    "masks_at",
    "stack_bidirectional",
    "unroll",
]
