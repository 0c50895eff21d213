"""States that count besides what they remember: leaves of rank 0 and integers go through the wrappers as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import recurra as rc
from recurra._typing import SCALAR


class Adding(rc.BaseCell):
    """Sums its input, and counts the steps of the call and those of each row."""

    input_size, output_size = 2, 2
    state_size = (2, SCALAR, torch.Size([]))

    def initial_state(self, batch_size: int, **factory: Any) -> Any:
        return torch.zeros(batch_size, 2), torch.tensor(0), torch.zeros(batch_size, dtype=torch.int64)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        total, steps, rows = state
        total = total + x
        return total, (total, steps + 1, rows + 1)


ONES, LENGTHS = torch.ones(2, 5, 2), torch.tensor([5, 3])


@pytest.mark.parametrize("training", [True, False])
def test_zoneout_mixes_what_is_remembered_and_leaves_the_counters(training: bool) -> None:
    cell = rc.ZoneoutWrapper(Adding(), 0.5).train(training)
    _, (total, steps, rows) = rc.unroll(cell, ONES, lengths=LENGTHS)
    assert steps == 5 and rows.tolist() == [5, 3] and rows.dtype == torch.int64
    assert total.min() >= 0 and total.max() < 5
    if not training:  # half of every step's one arrives
        torch.testing.assert_close(total, torch.tensor([[2.5, 2.5], [1.5, 1.5]]))


def test_state_dropout_leaves_the_counters() -> None:
    cell = rc.DropoutWrapper(Adding(), state_keep_prob=0.5)
    _, (_, steps, rows) = rc.unroll(cell, ONES, lengths=LENGTHS)
    assert steps == 5 and rows.tolist() == [5, 3]
    _, (total, steps, rows) = cell(ONES[:, 0], cell.initial_state(2))
    assert steps == 1 and rows.tolist() == [1, 1]
    assert set(total.flatten().tolist()) <= {0.0, 2.0}


def test_a_learned_start_learns_what_is_remembered() -> None:
    start = rc.LearnedInitialState(Adding())
    assert [tuple(leaf.shape) for leaf in start.parameters()] == [(2,)]
    with torch.no_grad():
        start.leaves[0].copy_(torch.tensor([10.0, 20.0]))
    _, (total, steps, rows) = rc.unroll(Adding(), ONES, start(2), lengths=LENGTHS)
    assert total.tolist() == [[15, 25], [13, 23]] and steps == 5 and rows.tolist() == [5, 3]
    total.sum().backward()
    assert start.leaves[0].grad.tolist() == [2, 2]
