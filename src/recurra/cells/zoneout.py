"""Zoneout (Krueger et al., 2016): units keep their old state at random."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import SCALAR, Masks
from recurra.cells.base import BaseCell
from recurra.cells.checks import number
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError, StructureError
from recurra.kernels import draw_later, draw_mask
from recurra.kernels.scan import After, Zoneout


class ZoneoutMasks(NamedTuple):
    """1 where the old state stays, 0 where the new one comes (in evaluation: the rate), `[T or 1, B or 1, n]`."""

    keep: Masks
    inner: Masks


class ZoneoutWrapper(Wrapper):
    """Each unit of the state keeps its old value with probability `rates`; in evaluation the expectation is taken.

    Where the cell's output is its state (RNN, GRU, LSTM), the output is the zoned-out state, as in the paper. Integers
    and leaves of rank 0 in the state count something and are always new.

    Args:
        cell: the cell to wrap.
        rates: one probability in [0, 1) for all parts of the state, or a structure like the state's
            (`LSTMState(0.5, 0.05)` are the paper's for language models).
    """

    masks_type = ZoneoutMasks

    def __init__(self, cell: BaseCell, rates: Any) -> None:
        super().__init__(cell)
        if isinstance(rates, (int, float)):
            rates = _nest.map_leaves(lambda _: rates, cell.state_size)
        if not _nest.same_structure(rates, cell.state_size):
            raise StructureError(
                f"`rates` must be a number or nest like the state: got {_nest.describe(rates)}, "
                f"expected {_nest.describe(cell.state_size)}"
            )
        for rate in _nest.flatten(rates):
            if not 0 <= number("rates", rate) < 1:
                raise InputError(f"`rates` must lie in [0, 1), got {rate!r}")
        self.rates = rates

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cell.output_is_state

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self._drawn(draw_mask, steps, batch_size, like=like, input_size=input_size)

    def _draw_within(self, inputs: Any) -> Masks:
        own = type(self).draw_masks is ZoneoutWrapper.draw_masks and type(self).within is ZoneoutWrapper.within
        return self._draw_for(inputs, partial(self._drawn, draw_later) if own else None)

    def _drawn(
        self, draw: Callable[..., Any], steps: int, batch_size: int, *, like: Tensor, input_size: Any = None
    ) -> Masks:
        inner = self.cell.draw_masks(steps, batch_size, like=like, input_size=input_size)

        def mask(size: Any, rate: float) -> Any:
            if size is SCALAR:
                return None
            features = [size] if isinstance(size, int) else list(size)
            if not self.training:
                return torch.full((1, 1, *features), rate, dtype=like.dtype, device=like.device)
            return draw((steps, batch_size, *features), rate, 1.0, like)

        return ZoneoutMasks(_nest.map_leaves(mask, self.state_size, self.rates), inner)

    def within(self, masks: Masks) -> After:
        return (Zoneout(masks.keep, emit=self.cell.output_is_state),)

    def inner_masks(self, masks: Masks) -> Masks:
        return masks.inner

    def extra_repr(self) -> str:
        return f"rates={self.rates}"
