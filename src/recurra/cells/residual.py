"""Residual connections around a cell (Wu et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra import _nest
from recurra._typing import Masks
from recurra.cells.base import BaseCell
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError


class ResidualWrapper(Wrapper):
    """`output = x + cell(x)`, or `residual_fn(x, output)`; the state is the cell's.

    Args:
        cell: a cell whose output has the size of its input (unless `residual_fn` copes with another).
        residual_fn: of (inputs, outputs), for one step `[B, n]` or a whole sequence `[T, B, n]`.
    """

    fills_padding = True

    def __init__(self, cell: BaseCell, residual_fn: Callable[[Any, Any], Any] | None = None) -> None:
        super().__init__(cell)
        if residual_fn is None and cell.input_size is not None and cell.input_size != cell.output_size:
            raise InputError(
                f"`cell` must give as many features as it takes: input {cell.input_size}, output {cell.output_size}"
            )
        self.residual_fn = residual_fn
        self.reads_padding = residual_fn is not None  # it may have parameters

    def behind(self, inputs: Any, outputs: Any, masks: Masks) -> Any:
        if self.residual_fn is not None:
            return self.residual_fn(inputs, outputs)
        return _nest.map_leaves(lambda x, y: x + y, inputs, outputs)
