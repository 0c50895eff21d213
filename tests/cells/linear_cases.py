"""The linear-recurrence cells as rows for the laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.cells.lru import LRUCell
from recurra.cells.minimal_gates import MinGRUCell, MinLSTMCell
from recurra.cells.mlstm import MLSTMCell
from recurra.cells.rglru import RGLRUCell
from recurra.cells.slstm import SLSTMCell

LINEAR: dict[str, Callable[[], Any]] = {
    "min_gru": lambda: MinGRUCell(4, 5),
    "min_lstm": lambda: MinLSTMCell(4, 5),
    "lru": lambda: LRUCell(4, 5, state_width=3),
    "rglru": lambda: RGLRUCell(4, 5),
    "rglru_square": lambda: RGLRUCell(4, 4),
    "slstm": lambda: SLSTMCell(4, 6, heads=2),
    "slstm_exp": lambda: SLSTMCell(4, 6, forget_gate="exp"),
    "mlstm": lambda: MLSTMCell(4, 6, heads=2),
    "mlstm_exp": lambda: MLSTMCell(4, 6, forget_gate="exp"),
}
