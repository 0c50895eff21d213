"""What all wrappers share: they transform whole sequences around the inner cell's own `unroll`, never step by step.

A wrapper says what it does to the input (`before`), to the output (`behind`), and to the new state inside the
recurrence (`within`); the base class applies the same three to one step and to a sequence.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from recurra import _nest
from recurra._typing import Masks, State
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.checks import check_step
from recurra.errors import StructureError
from recurra.kernels.scan import After, apply_after, mask_inputs, masks_at, valid_steps


class Wrapper(BaseCell):
    """A cell around `cell`, with its state."""

    fills_padding = False
    """Whether `behind` turns a zero output past a row's end into something else, so that it must be masked again."""
    reads_padding = False
    """Whether `before` has parameters, to whose gradients the padding must not come."""
    masks_type: ClassVar[type | None] = None
    """What its `draw_masks` gives; None where these are the inner cell's."""

    def __init__(self, cell: BaseCell) -> None:
        super().__init__()
        if not (callable(cell) and hasattr(cell, "state_size") and hasattr(cell, "unroll")):
            raise StructureError(f"`cell` must be a recurra cell, got {type(cell).__name__}")
        self.cell = cell

    @property
    def input_size(self) -> Any:
        return self.cell.input_size

    @property
    def state_size(self) -> Any:
        return self.cell.state_size

    @property
    def output_size(self) -> Any:
        return self.cell.output_size

    def initial_state(self, batch_size: int, **factory: Any) -> State:
        return self.cell.initial_state(batch_size, **factory)

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=input_size)

    def before(self, inputs: Any, masks: Masks) -> Any:
        """The inner cell's input from this one's, for one step or a whole sequence."""
        return inputs

    def behind(self, inputs: Any, outputs: Any, masks: Masks) -> Any:
        """This cell's output from its input and the inner cell's output."""
        return outputs

    def within(self, masks: Masks) -> After:
        """What happens to the inner cell's new state after each step."""
        return ()

    def inner_masks(self, masks: Masks) -> Masks:
        """The inner cell's share of the masks."""
        return masks

    def _draw_within(self, inputs: Any) -> Masks:
        """As `_draw_for`, for an inner cell with a kernel, which may draw what acts inside its recurrence."""
        return self._draw_for(inputs)

    def _check_masks(self, masks: Masks) -> None:
        if masks is not None and self.masks_type is not None and not isinstance(masks, self.masks_type):
            raise StructureError(
                f"`masks` must be {self.masks_type.__name__}, as {type(self).__name__}.draw_masks gives them, "
                f"got {type(masks).__name__}"
            )

    def forward(self, x: Any, state: State, masks: Masks = None) -> tuple[Any, State]:
        check_step(self, x, state)
        self._check_masks(masks)
        if masks is None:
            sequence = _nest.map_leaves(lambda leaf: leaf.unsqueeze(0), x)
            drawn = self._draw_for(sequence)
            masks = masks_at(drawn, 0)
            after = self.within(drawn)
        else:
            after = self.within(_nest.map_leaves(lambda mask: mask.unsqueeze(0), masks))
        inputs, inner = self.before(x, masks), self.inner_masks(masks)
        # an own cell's step may know of no masks
        output, new = self.cell(inputs, state) if inner is None else self.cell(inputs, state, inner)
        output, new = apply_after(after, 0, output, new, state)
        return self.behind(x, output, masks), new

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        masks: Masks = None,
        after: After = (),
        **call: Any,
    ) -> Any:
        self._check_masks(masks)
        if masks is None:
            kernel = isinstance(self.cell, LeafCell) and self.cell.runs_own_sequence() and not after
            special = call.get("return_states") or call.get("resets") is not None
            masks = self._draw_within(inputs) if kernel and not special else self._draw_for(inputs)
        valid = None
        if lengths is not None and (self.fills_padding or self.reads_padding):
            valid = valid_steps(lengths, _nest.flatten(inputs)[0].shape[0])
        if self.reads_padding:
            inputs = mask_inputs(inputs, valid)
        outputs, *rest = self.cell.unroll(
            self.before(inputs, masks),
            state,
            lengths,
            masks=self.inner_masks(masks),
            after=(*self.within(masks), *after),
            **call,
        )
        outputs = self.behind(inputs, outputs, masks)
        return mask_inputs(outputs, valid) if self.fills_padding else outputs, *rest
