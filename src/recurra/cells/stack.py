"""Cells on top of each other: TensorFlow's MultiRNNCell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Masks, State
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.checks import check_step
from recurra.errors import InputError, StructureError
from recurra.kernels import run_layers
from recurra.kernels.scan import After, StateDropout, Zoneout


class StackedCells(BaseCell):
    """The output of cell k is the input of cell k+1; the state is the tuple of the cells' states.

        cell = StackedCells([LSTMCell(64, 128), LSTMCell(128, 128)])

    A sequence runs layer by layer, each through its own fast `unroll`. The same object listed twice shares weights.
    """

    def __init__(self, cells: Sequence[BaseCell]) -> None:
        super().__init__()
        if not isinstance(cells, (list, tuple)):
            raise StructureError(f"`cells` must be a list or tuple of cells, got {type(cells).__name__}")
        if not cells:
            raise InputError("`cells` must hold at least one cell")
        for index, cell in enumerate(cells):
            if not isinstance(cell, BaseCell):
                raise StructureError(f"`cells` must hold recurra cells, cell {index} is a {type(cell).__name__}")
        for index, (lower, upper) in enumerate(itertools.pairwise(cells)):
            if upper.input_size is not None and upper.input_size != lower.output_size:
                raise InputError(
                    f"`cells` do not chain: cell {index} gives {lower.output_size} features, "
                    f"cell {index + 1} expects {upper.input_size}"
                )
        self.cells: Any = nn.ModuleList(cells)  # for torch, what a list holds may be a tensor

    @property
    def _layers(self) -> list[BaseCell]:
        return list(self.cells._modules.values())  # a ModuleList takes microseconds to iterate

    @property
    def input_size(self) -> Any:
        return self._layers[0].input_size

    @property
    def state_size(self) -> Any:
        return tuple([cell.state_size for cell in self._layers])

    @property
    def output_size(self) -> Any:
        return self.cells[-1].output_size

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cells[-1].output_is_state

    def initial_state(self, batch_size: int, **factory: Any) -> State:
        return tuple([cell.initial_state(batch_size, **factory) for cell in self._layers])

    def _draw_for(self, inputs: Any, draw: Callable[..., Masks] | None = None) -> Masks:
        if all([type(cell).draw_masks is BaseCell.draw_masks for cell in self._layers]):
            return None
        return super()._draw_for(inputs, draw)

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        sizes = [input_size, *(cell.output_size for cell in self.cells)]
        masks = tuple(
            cell.draw_masks(steps, batch_size, like=like, input_size=size)
            for cell, size in zip(self.cells, sizes, strict=False)
        )
        return None if all(mask is None for mask in masks) else masks

    def _check_masks(self, masks: Masks) -> None:
        if masks is not None and not (isinstance(masks, (tuple, list)) and len(masks) == len(self._layers)):
            raise StructureError(
                f"`masks` must be a tuple with those of each of {len(self._layers)} cells, got {_nest.describe(masks)}"
            )

    def forward(self, x: Any, state: State, masks: Masks = None) -> tuple[Any, State]:
        check_step(self, x, state)
        self._check_masks(masks)
        new = []
        for k, cell in enumerate(self._layers):
            x, layer = cell(x, state[k]) if masks is None else cell(x, state[k], masks[k])
            new.append(layer)
        return x, tuple(new)

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        masks: Masks = None,
        after: After = (),
        reset_state: State = None,
        return_states: bool = False,
        **call: Any,
    ) -> Any:
        self._check_masks(masks)
        masks = masks if masks is not None else self._draw_for(inputs)
        results = []
        for k, cell in enumerate(self._layers):
            inputs, *rest = cell.unroll(
                inputs,
                state[k],
                lengths,
                masks=None if masks is None else masks[k],
                after=tuple([self._share(transform, k) for transform in after]),
                reset_state=None if reset_state is None else reset_state[k],
                return_states=return_states,
                **call,
            )
            results.append(rest)
        return inputs, *map(tuple, zip(*results, strict=True))

    def unroll_from_zeros(self, inputs: Any, *, time_major: bool, reverse: bool) -> Any:
        layers = self._layers
        for cell in layers:
            if not isinstance(cell, LeafCell) or not cell._runs_from_zeros():
                return None
        zeros = getattr(self.initial_state, "__func__", None) is StackedCells.initial_state
        if not zeros or type(self).unroll is not StackedCells.unroll:
            return None
        done = run_layers(self, layers, inputs, time_major=time_major, reverse=reverse)
        return done and (done[0], tuple(done[1]))

    def _share(self, transform: StateDropout | Zoneout, k: int) -> StateDropout | Zoneout:
        """Layer k's part of a wrapper's transform: only the last layer's output is the stack's."""
        masks = None if transform.masks is None else transform.masks[k]
        if isinstance(transform, Zoneout):
            return Zoneout(masks, transform.emit and k == len(self.cells) - 1)
        return StateDropout(masks)
