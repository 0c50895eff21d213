"""A subclass, or whoever sets it, may give a cell of the library another step: sequences hear of it."""

import pytest
import torch

import recurra as rc

CELLS = [rc.RNNCell, rc.LSTMCell, rc.GRUCell, rc.MinGRUCell, rc.SLSTMCell, rc.LayerNormBasicLSTMCell]


def loud(cell, x, state, step):
    output, state = step(x, state)
    return 2 * output, state


def subclass(kind):
    class Loud(kind):
        def forward(self, x, state, masks=None):
            return loud(self, x, state, super().forward)

    class Quiet(Loud):
        pass

    return Quiet


def assert_sequences_take_the_step(cell):
    x = torch.randn(3, 5, 4)
    expected, state = [], cell.initial_state(3)
    for t in range(5):
        output, state = cell(x[:, t], state)
        expected.append(output)
    expected = torch.stack(expected, 1)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(rc.unroll(cell, x)[0], expected)
            torch.testing.assert_close(rc.unroll(rc.StackedCells([cell]), x)[0], expected)
            stepper = cell.stepper(3)
            torch.testing.assert_close(torch.stack([stepper(x[:, t]) for t in range(5)], 1), expected)
    assert "plain loop (its equation is its own)" in str(rc.explain(cell, x))


@pytest.mark.parametrize("kind", CELLS)
def test_a_subclass_that_has_only_a_forward_of_its_own(kind):
    cell = subclass(kind)(4, 8)
    assert_sequences_take_the_step(cell)
    assert_sequences_take_the_step(cell.freeze())


def test_a_forward_that_was_set_on_one_cell():
    cell = rc.GRUCell(4, 8)
    step = cell.forward
    cell.forward = lambda x, state, masks=None: loud(cell, x, state, step)
    assert_sequences_take_the_step(cell)


def test_a_subclass_that_overrides_the_recurrence_of_a_cell_with_its_own_sequences():
    class Loud(rc.MinGRUCell):
        def recur(self, projected, state, masks=None):
            return loud(self, projected, state, super().recur)

    assert_sequences_take_the_step(Loud(4, 8))


def test_a_subclass_that_brings_its_own_sequence_keeps_it():
    class Both(rc.GRUCell):
        def forward(self, x, state, masks=None):
            return loud(self, x, state, super().forward)

        def unroll(self, inputs, state, *rest, **call):
            return inputs, state

    x = torch.randn(3, 5, 4)
    assert torch.equal(rc.unroll(Both(4, 8), x)[0], x)
