"""Dropout on a cell's input, output and state (Zaremba et al., 2014; variational: Gal and Ghahramani, 2016)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import Tensor

from recurra import _nest
from recurra._typing import SCALAR, LSTMState, Masks
from recurra.cells.base import BaseCell
from recurra.cells.checks import probability
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError, StructureError
from recurra.kernels import draw_later, draw_mask
from recurra.kernels.scan import After, StateDropout


class DropoutMasks(NamedTuple):
    """What a DropoutWrapper draws: each leaf is 0 or 1/keep, `[T or 1, B or 1, n]`; None where nothing is dropped."""

    input: Masks
    output: Masks
    state: Masks
    inner: Masks


StateFilter = Callable[[Any], Any]
"""Of a sub-structure of the state: True to drop it all, False for none of it, or a structure of such answers."""


def keep_memory(part: Any) -> Any:
    """The default filter, TensorFlow's: everything is dropped but the memory `c` of an LSTM."""
    return LSTMState(False, True) if isinstance(part, LSTMState) else True  # type: ignore[arg-type]


class DropoutWrapper(Wrapper):
    """Drop parts of the input, of the new state and of the output of `cell`, in training mode.

    In one step: drop the input, run the cell, drop the new state (which goes to the next step), drop the output. The
    masks of state and output are drawn apart, as in TensorFlow. What is kept is scaled by 1/keep. Integers and leaves
    of rank 0 in the state count something and are never dropped.

    A call of the cell for one step draws for that step. To step with a variational mask, draw for the sequence and give
    `masks_at(masks, t)` to each step.

    Args:
        cell: the cell to wrap.
        input_keep_prob, output_keep_prob, state_keep_prob: probability to keep a unit, in (0, 1].
        variational: None draws at every step; "row" draws once per sequence and row; "batch" once for all rows
            (TensorFlow's variational_recurrent).
        state_filter: which parts of the state are dropped, see `StateFilter`; default: all but an LSTM's memory.
    """

    masks_type = DropoutMasks

    def __init__(
        self,
        cell: BaseCell,
        *,
        input_keep_prob: float = 1.0,
        output_keep_prob: float = 1.0,
        state_keep_prob: float = 1.0,
        variational: Literal["row", "batch"] | None = None,
        state_filter: StateFilter = keep_memory,
    ) -> None:
        super().__init__(cell)
        if variational not in (None, "row", "batch"):
            raise InputError(f"`variational` must be None, 'row' or 'batch', got {variational!r}")
        if not callable(state_filter):
            raise StructureError(f"`state_filter` must be callable, got {type(state_filter).__name__}")
        self.input_keep_prob = probability("input_keep_prob", input_keep_prob)
        self.output_keep_prob = probability("output_keep_prob", output_keep_prob)
        self.state_keep_prob = probability("state_keep_prob", state_keep_prob)
        self.variational = variational
        self.state_filter = state_filter

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cell.output_is_state and self.output_keep_prob == 1 and self.state_keep_prob == 1

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self._drawn(draw_mask, steps, batch_size, like=like, input_size=input_size)

    def _draw_within(self, inputs: Any) -> Masks:
        own = type(self).draw_masks is DropoutWrapper.draw_masks and type(self).within is DropoutWrapper.within
        return self._draw_for(inputs, partial(self._drawn, draw_later) if own and not self.variational else None)

    def _drawn(
        self, draw_state: Callable[..., Any], steps: int, batch_size: int, *, like: Tensor, input_size: Any = None
    ) -> Masks:
        input_size = self.cell.input_size if input_size is None else input_size
        inner = self.cell.draw_masks(steps, batch_size, like=like, input_size=input_size)
        if not self.training:
            return None if inner is None else DropoutMasks(None, None, None, inner)
        time = 1 if self.variational else steps
        rows = 1 if self.variational == "batch" else batch_size

        def draw(keep: float, sizes: Any, how: Callable[..., Any] = draw_mask) -> Masks:
            if keep == 1:
                return None

            def mask(size: Any) -> Any:
                if size is SCALAR:
                    return None
                shape = (time, rows, *([size] if isinstance(size, int) else size))
                return how(shape, keep, 1 / keep, like)

            return _nest.map_leaves(mask, sizes)

        state = draw(self.state_keep_prob, _filtered(self.state_filter, self.state_size), draw_state)
        masks = DropoutMasks(
            draw(self.input_keep_prob, input_size), draw(self.output_keep_prob, self.output_size), state, inner
        )
        return None if masks == (None, None, None, None) else masks

    def before(self, inputs: Any, masks: Masks) -> Any:
        return inputs if masks is None or masks.input is None else _multiply(inputs, masks.input)

    def behind(self, inputs: Any, outputs: Any, masks: Masks) -> Any:
        return outputs if masks is None or masks.output is None else _multiply(outputs, masks.output)

    def within(self, masks: Masks) -> After:
        return () if masks is None or masks.state is None else (StateDropout(masks.state),)

    def inner_masks(self, masks: Masks) -> Masks:
        return None if masks is None else masks.inner

    def extra_repr(self) -> str:
        return (
            f"input_keep_prob={self.input_keep_prob}, output_keep_prob={self.output_keep_prob}, "
            f"state_keep_prob={self.state_keep_prob}, variational={self.variational!r}"
        )


def keep_mask(shape: tuple[int, ...], keep: float, like: Tensor) -> Tensor:
    """Draw a mask in `like`'s dtype and device: 1/keep with probability `keep`, else 0."""
    return draw_mask(shape, keep, 1 / keep, like)


def _multiply(values: Any, masks: Masks) -> Any:
    return _nest.map_leaves(lambda value, mask: value if mask is None else value * mask, values, masks)


def _filtered(state_filter: StateFilter, state_size: Any) -> Any:
    """`state_size` with None in place of the leaves that the filter spares."""
    answer = state_filter(state_size)
    alike = _nest.is_nested(answer) and _nest.is_nested(state_size) and len(answer) == len(state_size)
    if not isinstance(answer, bool) and not alike:
        raise StructureError(
            f"`state_filter` must answer True, False or a structure of such like {_nest.describe(state_size)}, "
            f"got {answer!r}"
        )
    if isinstance(answer, bool):
        if not answer:
            return _nest.map_leaves(lambda _: None, state_size)
        if not _nest.is_nested(state_size):
            return state_size
        return _nest.map_children(lambda child: _filtered(state_filter, child), state_size)
    return _nest.map_children(lambda child, kept: child if kept else _spared(child), state_size, answer)


def _spared(part: Any) -> Any:
    return _nest.map_leaves(lambda _: None, part)
