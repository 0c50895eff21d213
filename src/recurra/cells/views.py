"""Views of a fused kernel by what they are: the rows of the input or of the recurrent state, times a gate's columns.

For initialisers, weight drop and weight norm on the recurrent part alone:

    for (rows, gate), view in kernel_views(cell).items():
        if rows == "hidden":
            torch.nn.init.orthogonal_(view)
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn

from recurra import _nest
from recurra.cells.base import BaseCell
from recurra.errors import StructureError

Rows: TypeAlias = Literal["input", "hidden"]


def kernel_views(cell: BaseCell) -> dict[tuple[Rows, str], Tensor]:
    """`(rows, gate)` -> a view into the cell's kernels.

    Views are `[I, H]` or `[P, H]`; writing to one (without grad) fills the kernel.

    Gates: LSTMCell i, j (candidate), f, o; CoupledInputForgetGateLSTMCell j, f, o; GRUCell r, u, n (candidate);
    RNNCell h.

    Raises:
        StructureError: a cell that names no gates (`kernel_gates`).
    """
    gates: dict[str, str] = getattr(cell, "kernel_gates", {})
    if not gates:
        raise StructureError(f"`cell` must have fused kernels with named gates, got {type(cell).__name__}")
    views: dict[tuple[Rows, str], Tensor] = {}
    for name, letters in gates.items():
        kernel = cell.get_parameter(name).detach()
        rows = _rows_of(cell, name, kernel)
        for gate, columns in zip(letters, kernel.chunk(len(letters), 1), strict=True):
            views.update({(part, gate): columns[where] for part, where in rows.items()})
    return views


def _rows_of(cell: nn.Module, name: str, kernel: Tensor) -> dict[Rows, slice]:
    """Which rows of a kernel the input multiplies, and which the state."""
    if "input_projection" in name:
        return {"input": slice(None)}
    if "hidden_projection" in name:
        return {"hidden": slice(None)}
    recurrent = _nest.flatten(cell.state_size)[-1]
    assert isinstance(recurrent, int)
    return {"input": slice(0, kernel.shape[0] - recurrent), "hidden": slice(kernel.shape[0] - recurrent, None)}
