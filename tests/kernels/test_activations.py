"""The kernels' activations, each against torch's, by name and by function."""

import pytest
import torch

import recurra as rc
from recurra import explain
from recurra.cells.activations import ACTIVATIONS as KNOWN
from recurra.kernels import dispatch
from recurra.kernels.activations import _FUNCTIONS, ACTIVATIONS
from tests.kernels.cases import Case, assert_same, kernel, plain
from tests.kernels.test_gradients import as_function


def case_of(activation, dtype=torch.float32):
    """Sums from deep in one tail to deep in the other, as far as numbers reach."""
    torch.manual_seed(0)
    reach = 2 if activation == "exponential" else 12
    cell = rc.RNNCell(1, 40, activation=activation, dtype=dtype)
    with torch.no_grad():
        cell.kernel.mul_(0.1)
        cell.kernel[0] = torch.linspace(-reach, reach, 40)
    inputs = torch.tensor([1.0, -1.0, 0.01, 0.3], dtype=dtype).reshape(2, 2, 1)
    return Case(cell, inputs, torch.rand(2, 40, dtype=dtype), None, False)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_and_gradients(isa, activation):
    case = case_of(activation)
    assert_same(kernel(case), plain(case))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradcheck_in_float64(activation):
    run, leaves = as_function(case_of(activation, torch.float64), dispatch.run_kernel)
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 0.0, 100.0, -100.0])
def test_tails(isa, activation, value):
    case = case_of(activation)
    inputs = torch.full_like(case.inputs, value)
    with torch.no_grad():
        case.cell.kernel.fill_(1.0)
        state = torch.zeros_like(case.state)
        found, _ = case.cell.unroll(inputs[:1], state)
    expected = KNOWN[activation](torch.full_like(found, value))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize(("function", "name"), _FUNCTIONS)
def test_a_function_is_known_by_its_name(function, name):
    inputs = torch.randn(2, 3, 4)
    cell = rc.LSTMCell(4, 5, activation=function)
    assert explain(cell, inputs).decisions[0].road == "kernel"
    named = rc.LSTMCell(4, 5, activation=name)
    named.load_state_dict(cell.state_dict())
    assert torch.equal(rc.unroll(cell, inputs)[0], rc.unroll(named, inputs)[0])
