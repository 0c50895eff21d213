"""The loops on a cell so plain that the expected numbers can be read: it counts, in integers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import recurra as rc
from recurra import _nest
from recurra._typing import SCALAR


class Count(rc.BaseCell):
    """`h' = 10 h + x`: the digits read so far."""

    input_size = state_size = output_size = 1

    def forward(self, x: Any, state: Any) -> Any:  # type: ignore[override]
        new = 10 * state + x
        return new, new


DIGITS = torch.tensor([[1, 2, 3], [4, 5, 6]]).unsqueeze(2)  # [B, T, 1]
ZERO = torch.zeros(2, 1, dtype=torch.int64)


def read(outputs: Tensor) -> list[list[int]]:
    return outputs.squeeze(2).tolist()


def test_forward_and_ragged() -> None:
    outputs, state = rc.unroll(Count(), DIGITS, ZERO)
    assert read(outputs) == [[1, 12, 123], [4, 45, 456]] and state.flatten().tolist() == [123, 456]
    outputs, state = rc.unroll(Count(), DIGITS, ZERO, lengths=torch.tensor([3, 1]))
    assert read(outputs) == [[1, 12, 123], [4, 0, 0]] and state.flatten().tolist() == [123, 4]


def test_reverse_starts_at_each_rows_own_end() -> None:
    outputs, state = rc.unroll(Count(), DIGITS, ZERO, lengths=torch.tensor([3, 2]), reverse=True)
    assert read(outputs) == [[321, 32, 3], [54, 5, 0]] and state.flatten().tolist() == [321, 54]


def test_left_padding() -> None:
    outputs, state = rc.unroll(Count(), DIGITS, ZERO, lengths=torch.tensor([2, 3]), padding="left")
    assert read(outputs) == [[0, 2, 23], [4, 45, 456]] and state.flatten().tolist() == [23, 456]
    outputs, state = rc.unroll(Count(), DIGITS, ZERO, lengths=torch.tensor([2, 0]), padding="left", reverse=True)
    assert read(outputs) == [[0, 32, 3], [0, 0, 0]] and state.flatten().tolist() == [32, 0]


def test_time_major() -> None:
    outputs, _ = rc.unroll(Count(), DIGITS.transpose(0, 1), ZERO, time_major=True)
    assert read(outputs.transpose(0, 1)) == [[1, 12, 123], [4, 45, 456]]


def test_states_and_resets() -> None:
    resets = torch.tensor([[False, False, True], [True, False, False]])
    start = torch.tensor([[7], [8]])
    outputs, _, states = rc.unroll(
        Count(), DIGITS, start, resets=resets, reset_state=ZERO, return_states=True, lengths=torch.tensor([3, 2])
    )
    assert read(outputs) == [[71, 712, 3], [4, 45, 0]]
    assert read(states) == [[71, 712, 3], [4, 45, 45]]


def test_states_in_reverse_hold_the_start_in_the_padding() -> None:
    start = torch.tensor([[7], [8]])
    _, _, states = rc.unroll(Count(), DIGITS, start, lengths=torch.tensor([2, 1]), reverse=True, return_states=True)
    assert read(states) == [[721, 72, 7], [84, 8, 8]]


def test_both_directions_and_last_outputs() -> None:
    lengths = torch.tensor([3, 2])
    (forward, backward), (state_fw, state_bw) = rc.bidirectional(Count(), Count(), DIGITS, ZERO, ZERO, lengths=lengths)
    assert read(forward) == [[1, 12, 123], [4, 45, 0]] and read(backward) == [[321, 32, 3], [54, 5, 0]]
    assert torch.equal(rc.last_output(forward, lengths), state_fw)
    assert torch.equal(rc.last_output(backward, lengths, reverse=True), state_bw)
    assert rc.last_output(forward, torch.tensor([1, 0])).flatten().tolist() == [1, 0]
    assert rc.last_output(forward[:, :0]).flatten().tolist() == [0, 0]


def test_a_counter_in_the_state_is_never_masked() -> None:
    class Clock(rc.BaseCell):
        input_size, state_size, output_size = 1, (1, SCALAR), 1

        def forward(self, x: Any, state: Any) -> Any:  # type: ignore[override]
            h, time = state
            return h + x * time, (h + x * time, time + 1)

    outputs, (h, time) = rc.unroll(Clock(), torch.ones(2, 3, 1), lengths=torch.tensor([3, 1]))
    assert time.item() == 3 and h.flatten().tolist() == [3.0, 0.0]
    assert read(outputs) == [[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]]


def test_learned_initial_state() -> None:
    cell = rc.StackedCells([rc.LSTMCell(4, 3), rc.GRUCell(3, 5)])
    start = rc.LearnedInitialState(cell)
    assert [tuple(leaf.shape) for leaf in start.leaves] == [(3,), (3,), (5,)]
    with torch.no_grad():
        start.leaves[1].fill_(0.5)
    state = start(2)
    assert torch.equal(state[0].h, torch.full((2, 3), 0.5)) and isinstance(state[0], rc.LSTMState)
    outputs, _ = rc.unroll(cell, torch.randn(2, 3, 4), state)
    outputs.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in start.leaves)


def test_detach_cuts_the_graph() -> None:
    cell = rc.LSTMCell(4, 3)
    _, state = rc.unroll(cell, torch.randn(2, 3, 4))
    cut = rc.detach(state)
    assert isinstance(cut, rc.LSTMState) and not cut.c.requires_grad and torch.equal(cut.c, state.c)


@pytest.mark.parametrize("steps", [0, 3])
def test_stack_of_directions_is_directions_of_concatenations(steps: int) -> None:
    fw, bw = [rc.GRUCell(4, 3), rc.GRUCell(5, 3)], [rc.GRUCell(4, 2), rc.GRUCell(5, 2)]
    inputs, lengths = torch.randn(2, steps, 4), torch.tensor([steps, steps // 2])
    outputs, states_fw, states_bw = rc.stack_bidirectional(fw, bw, inputs, lengths=lengths)
    layer = inputs
    for k in range(2):
        halves, states = rc.bidirectional(fw[k], bw[k], layer, lengths=lengths)
        layer = torch.cat(halves, -1)
        assert torch.equal(states[0], states_fw[k]) and torch.equal(states[1], states_bw[k])
    assert torch.equal(outputs, layer)


def test_equations_are_functions_of_tensors() -> None:
    """The pure functions give the modules' numbers, without a module."""
    from recurra.cells import gru_sequence, gru_step, lstm_sequence, lstm_step, rnn_sequence, rnn_step

    inputs, lengths = torch.randn(5, 3, 4), torch.tensor([5, 2, 0])
    for cell, step, sequence in (
        (rc.LSTMCell(4, 6, peepholes=True, projection_size=3), lstm_step, lstm_sequence),
        (rc.GRUCell(4, 6), gru_step, gru_sequence),
        (rc.GRUCell(4, 6, reset="after"), gru_step, gru_sequence),
        (rc.RNNCell(4, 6), rnn_step, rnn_sequence),
    ):
        state = cell.initial_state(3)
        expected, final = rc.unroll(cell, inputs, state, lengths=lengths, time_major=True)
        outputs, last = sequence(cell.params(), inputs, state, lengths)
        torch.testing.assert_close(outputs, expected)
        torch.testing.assert_close(tuple(_nest.flatten(last)), tuple(_nest.flatten(final)))
        output, _ = step(cell.params(), inputs[0], state)
        torch.testing.assert_close(output[:2], expected[0, :2])


class Wrong(rc.BaseCell):
    """Gives back what it was told to."""

    state_size, output_size = (2, 2), 2

    def __init__(self, returned: Any) -> None:
        super().__init__()
        self.returned = returned

    def forward(self, x: Any, state: Any) -> Any:
        return self.returned


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (torch.zeros(3, 2), r"`Wrong` returned Tensor\[3, 2\], expected \(output, new state\)"),
        (
            (torch.zeros(3, 2), torch.zeros(3, 2)),
            r"`Wrong` returned the new state Tensor\[3, 2\], expected the structure",
        ),
        ((1.0, (torch.zeros(3, 2), torch.zeros(3, 2))), r"`Wrong` returned the output 1.0, expected tensors"),
    ],
)
def test_what_an_own_cell_gives_back_is_checked_by_name(returned: Any, expected: str) -> None:
    with pytest.raises(TypeError, match=expected):
        rc.unroll(Wrong(returned), torch.zeros(3, 4, 2))


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("kind", [tuple, list])
def test_a_plain_pair_is_a_state(kind: type, gradients: bool) -> None:
    cell = rc.StackedCells([rc.LSTMCell(3, 4), rc.GRUCell(4, 4)])
    inputs, state = torch.randn(2, 5, 3), rc.LSTMState(torch.randn(2, 4), torch.randn(2, 4))
    lengths = torch.tensor([5, 2])
    with torch.set_grad_enabled(gradients):
        for one, own in ((cell.cells[0], state), (cell, (state, state.h))):
            plain = kind(state) if one is cell.cells[0] else kind([kind(state), state.h])
            expected, final = rc.unroll(one, inputs, own, lengths=lengths)
            outputs, ours = rc.unroll(one, inputs, plain, lengths=lengths)
            torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
            assert [type(leaf) for leaf in (ours if one is cell else (ours,))] == [rc.LSTMState, Tensor][
                : 1 + (one is cell)
            ]
            assert _nest.same_structure(ours, final) and all(
                map(torch.equal, _nest.flatten(ours), _nest.flatten(final))
            )
