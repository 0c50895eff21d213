"""Compiling the recurrence of a cell that no kernel knows."""

from __future__ import annotations

from typing import TypeVar

from recurra.cells.base import BaseCell
from recurra.errors import StructureError
from recurra.kernels import Compiled

CellType = TypeVar("CellType", bound=BaseCell)


def compile_cell(cell: CellType) -> CellType:
    """Let sequences run `cell`'s step compiled, forward and backward; the same cell, parameters and numbers.

        cell = rc.compile_cell(MyCell(64, 128))
        outputs, state = rc.unroll(cell, inputs, lengths=lengths)     # compiles here, at the first call
        print(rc.explain(cell, inputs))                               # MyCell: compiled step (by torch's compiler)

    The step (`recur`, or `forward`) must be a function of its arguments, parameters and buffers alone: what else it
    reads is frozen when it is compiled, but for `training`. It is compiled by torch (AOTAutograd and Inductor, which
    need a C++ compiler) for each batch size, dtype and set of wanted gradients by itself, some seconds each, at most
    16; sequences of any length share one. The compiled numbers, gradients included, are compared with the plain step's
    once. Where a call cannot be compiled, the plain loop runs, and `recurra.explain` and the log say why.

    Args:
        cell: any cell; of wrappers and stacks, the cells inside. Those that a kernel runs still run it.

    Returns:
        `cell` itself.
    """
    if not isinstance(cell, BaseCell):
        raise StructureError(f"`cell` must be a recurra.BaseCell, got {type(cell).__name__}")
    for module in cell.modules():
        if isinstance(module, BaseCell):
            module.__dict__["_compiled"] = Compiled()
    return cell
