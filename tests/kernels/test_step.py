"""Single steps and streams through the kernels give the bits of the sequence kernels."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import recurra as rc
from recurra import _nest
from recurra.errors import InputError
from recurra.kernels import plain
from recurra.kernels.step import KernelStepper, run_step
from tests.kernels.cases import CELLS, make

SIZES = [(1, 3), (16, 17), (128, 128)]


def steps(step, case):
    outputs, state = [], case.state
    for x in case.inputs:
        output, state = step(x, state)
        outputs.append(output)
    return torch.stack(outputs), state


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("B", [1, 3, 5])
@pytest.mark.parametrize(("I", "H"), SIZES)
def test_steps_equal_the_sequence(isa, name, B, I, H):
    case = make(name, 4, B, I, H)
    with torch.no_grad():
        expected, final = case.cell.unroll(case.inputs, case.state)
        found, state = steps(case.cell, case)
    tolerance = 0 if B <= 3 else 1e-4
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for a, b in zip(_nest.flatten(state), _nest.flatten(final), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    assert type(state) is type(case.state)


@pytest.mark.parametrize("name", CELLS)
def test_a_stream_equals_the_steps(isa, name):
    case = make(name, 5, 1, 9, 20)
    stepper = case.cell.stepper(1)
    assert isinstance(stepper, KernelStepper)
    with torch.no_grad():
        expected, _ = case.cell.unroll(case.inputs, case.cell.initial_state(1))
    found = torch.stack([stepper(x) for x in case.inputs])
    assert torch.equal(found, expected)
    middle = stepper.state
    once_more = stepper(case.inputs[0])
    stepper.state = middle
    assert torch.equal(stepper(case.inputs[0]), once_more)
    stepper.reset()
    assert torch.equal(stepper(case.inputs[0]), expected[0])


def test_a_returned_state_does_not_change_later():
    case = make("lstm", 2, 1, 3, 4)
    stepper = case.cell.stepper(1)
    stepper(case.inputs[0])
    before = stepper.state
    kept = before.c.clone()
    stepper(case.inputs[1])
    assert torch.equal(before.c, kept)


def test_writes_to_the_parameters_are_seen_by_the_next_step():
    case = make("lstm", 1, 1, 3, 4)
    x = case.inputs[0]
    with torch.no_grad():
        case.cell(x, case.state)
        for change in (lambda p: p.mul_(2), lambda p: setattr(p, "data", torch.randn_like(p))):
            change(case.cell.kernel)
            with plain():
                expected, _ = case.cell.unroll(case.inputs, case.state)
            torch.testing.assert_close(case.cell(x, case.state)[0], expected[0])
        case.cell.kernel = torch.nn.Parameter(torch.randn_like(case.cell.kernel))
        with plain():
            expected, _ = case.cell.unroll(case.inputs, case.state)
        torch.testing.assert_close(case.cell(x, case.state)[0], expected[0])


def test_a_stepped_cell_can_be_copied_and_pickled():
    case = make("gru", 1, 1, 3, 4)
    with torch.no_grad():
        expected, _ = case.cell(case.inputs[0], case.state)
        for twin in (copy.deepcopy(case.cell), pickle.loads(pickle.dumps(case.cell))):
            assert torch.equal(twin(case.inputs[0], case.state)[0], expected)


def test_steps_from_several_threads():
    case = make("lstm", 1, 1, 30, 40)

    def run(_):
        with torch.no_grad():
            return case.cell(case.inputs[0], case.state)[0]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, range(200)))
    assert all(torch.equal(one, found[0]) for one in found)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: (c.inputs[0].double(), c.state),
        lambda c: (c.inputs[0][:, :2], c.state),
        lambda c: (c.inputs[0], rc.LSTMState(c.state.c, c.state.h[:, :2])),
    ],
)
def test_other_calls_are_left_to_torch(call):
    case = make("lstm", 1, 1, 3, 4)
    with torch.no_grad():
        assert run_step(case.cell, *call(case)) is None


def test_a_stream_names_a_wrong_input():
    stepper = rc.LSTMCell(3, 4).stepper(2)
    with pytest.raises(InputError, match=r"`x` is Tensor\[2, 4\], expected a float32 tensor of shape \[2, 3\]"):
        stepper(torch.zeros(2, 4))


class Learned(rc.LSTMCell):
    """Starts from states it learns, one row for all, and tells them as views."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.start = torch.nn.Parameter(torch.randn(2, hidden_size))

    def initial_state(self, batch_size, **factory):
        c, h = self.start
        return rc.LSTMState(c.expand(batch_size, -1), h.unsqueeze(1).expand(-1, batch_size).t())


def test_a_stream_from_a_learned_state_keeps_its_rows_apart():
    cell, inputs = Learned(4, 5), torch.randn(3, 6, 4)
    expected, final = rc.unroll(cell, inputs, cell.initial_state(3))
    stepper = cell.stepper(3)
    torch.testing.assert_close(torch.stack([stepper(x) for x in inputs.unbind(1)], 1), expected.detach())
    assert not stepper.state.h.requires_grad
    with torch.no_grad():  # steps prepared by this very cell
        state = cell.initial_state(3)
        for x in inputs.unbind(1):
            _, state = cell(x, state)
    torch.testing.assert_close(state, rc.detach(final))
