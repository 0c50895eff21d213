"""Dropout and zoneout: what is drawn, where it acts, what evaluation does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import recurra as rc
from recurra.cells import ZoneoutMasks


class Sum(rc.BaseCell):
    """Adds its inputs up: `h' = h + x`; everything that happens to it can be read off."""

    input_size = state_size = output_size = 2

    def forward(self, x: Any, state: Any) -> Any:  # type: ignore[override]
        return state + x, state + x


ONES = torch.ones(3, 4, 2)


@pytest.mark.parametrize(("variational", "shape"), [(None, (5, 3)), ("row", (1, 3)), ("batch", (1, 1))])
def test_mask_shapes(variational: Any, shape: tuple[int, int]) -> None:
    cell = rc.DropoutWrapper(
        rc.LSTMCell(2, 4), input_keep_prob=0.5, output_keep_prob=0.5, state_keep_prob=0.5, variational=variational
    )
    masks = cell.draw_masks(5, 3, like=ONES)
    assert masks.input.shape == (*shape, 2) and masks.output.shape == (*shape, 4)
    assert masks.state.c is None and masks.state.h.shape == (*shape, 4)  # an LSTM's memory is never dropped
    assert set(masks.input.unique().tolist()) <= {0.0, 2.0}


def test_kept_fraction_and_scale() -> None:
    masks = rc.DropoutWrapper(Sum(), input_keep_prob=0.8).draw_masks(100, 100, like=ONES)
    assert abs((masks.input > 0).float().mean().item() - 0.8) < 0.01
    assert masks.input.max().item() == pytest.approx(1.25)


def test_where_each_mask_acts() -> None:
    wrapper = rc.DropoutWrapper(Sum(), input_keep_prob=0.5, output_keep_prob=0.5, state_keep_prob=0.5)
    mask = torch.zeros(4, 3, 2)
    one = torch.ones(4, 3, 2)
    kept = rc.DropoutMasks(one, one, one, None)
    outputs, state = rc.unroll(wrapper, ONES, masks=kept)
    assert torch.equal(outputs[0, :, 0], torch.tensor([1.0, 2.0, 3.0, 4.0]))
    outputs, state = rc.unroll(wrapper, ONES, masks=kept._replace(input=mask))
    assert not outputs.any()
    outputs, state = rc.unroll(wrapper, ONES, masks=kept._replace(output=mask))
    assert not outputs.any() and torch.equal(state, torch.full((3, 2), 4.0))
    outputs, state = rc.unroll(wrapper, ONES, masks=kept._replace(state=mask))
    assert torch.equal(outputs, ONES) and not state.any()  # the output is that of before the state's mask


def test_evaluation_drops_nothing() -> None:
    wrapper = rc.DropoutWrapper(Sum(), input_keep_prob=0.5, state_keep_prob=0.5).eval()
    assert wrapper.draw_masks(4, 3, like=ONES) is None
    assert torch.equal(rc.unroll(wrapper, ONES)[0], rc.unroll(Sum(), ONES)[0])


def test_state_filter() -> None:
    stack = rc.StackedCells([rc.LSTMCell(2, 3), rc.GRUCell(3, 4)])
    default = rc.DropoutWrapper(stack, state_keep_prob=0.5).draw_masks(1, 1, like=ONES).state
    assert default[0].c is None and default[0].h is not None and default[1] is not None

    def memory_only(part: Any) -> Any:
        return rc.LSTMState(True, False) if isinstance(part, rc.LSTMState) else isinstance(part, tuple)  # type: ignore[arg-type]

    chosen = rc.DropoutWrapper(stack, state_keep_prob=0.5, state_filter=memory_only).draw_masks(1, 1, like=ONES).state
    assert chosen[0].c is not None and chosen[0].h is None and chosen[1] is None


def test_zoneout_keeps_the_old_state() -> None:
    wrapper = rc.ZoneoutWrapper(Sum(), 0.5)
    keep = torch.tensor([0.0, 1.0, 1.0, 0.0]).view(4, 1, 1).expand(4, 3, 2)
    outputs, state = rc.unroll(wrapper, ONES, masks=ZoneoutMasks(keep, None))
    assert torch.equal(state, torch.full((3, 2), 2.0))
    assert torch.equal(outputs[0, :, 0], torch.tensor([1.0, 2.0, 2.0, 2.0]))  # Sum's output is not declared its state
    gru = rc.ZoneoutWrapper(rc.GRUCell(2, 2), 0.5)
    everything = ZoneoutMasks(torch.ones(4, 3, 2), None)
    outputs, state = rc.unroll(gru, ONES, torch.full((3, 2), 7.0), masks=everything)
    assert torch.equal(outputs, torch.full((3, 4, 2), 7.0)) and torch.equal(state, torch.full((3, 2), 7.0))


def test_zoneout_in_evaluation_is_the_expectation() -> None:
    wrapper = rc.ZoneoutWrapper(Sum(), 0.25).eval()
    _, state = rc.unroll(wrapper, torch.ones(1, 2, 2))
    assert torch.equal(state, torch.full((1, 2), 1.5))  # each step adds 0.75 of the input
