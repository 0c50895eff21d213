"""Frozen cells: the same numbers from weights packed once, and no stale ones."""

import copy
import pickle

import pytest
import torch
from torch.nn.utils import prune

import recurra as rc
from recurra.errors import InputError
from recurra.kernels.prepared import frozen_of
from tests.kernels.cases import CELLS, assert_same, make


def unrolled(case):
    outputs, state = rc.unroll(
        case.cell, case.inputs, case.state, lengths=case.lengths, reverse=case.reverse, time_major=True
    )
    return {
        "outputs": outputs,
        **{f"final{i}": leaf for i, leaf in enumerate(state if isinstance(state, tuple) else [state])},
    }


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("T", "B", "H"), [(1, 1, 40), (6, 1, 17), (5, 2, 100), (7, 30, 3), (4, 9, 37)])
def test_frozen_weights_give_the_same_numbers(isa, name, T, B, H):
    case = make(name, T, B, 5, H, lengths=torch.randint(0, T + 1, (B,)), reverse=B == 9)
    expected = {key: value.detach() for key, value in unrolled(case).items()}
    with torch.no_grad():
        assert_same(unrolled(case), expected, 1e-6)
        case.cell.freeze()
        assert frozen_of(case.cell) is not None
        assert_same(unrolled(case), expected, 1e-6)
    assert_same(unrolled(case), expected, 1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_frozen_weights_that_are_not_finite_meet_zeros(isa, name):
    case = make(name, 3, 9, 4, 21)
    case = case._replace(state=None)
    with torch.no_grad():
        for weights in (parameter for parameter in case.cell.parameters() if parameter.ndim == 2):
            weights[-1, 1] = float("inf")
        expected = unrolled(case)["outputs"]
        case.cell.freeze()
        assert torch.equal(unrolled(case)["outputs"].isnan(), expected.isnan())


@pytest.mark.parametrize("name", CELLS)
def test_a_frozen_cell_steps_and_streams(isa, name):
    case = make(name, 9, 2, 5, 33)
    outputs = unrolled(case)["outputs"].detach()
    case.cell.freeze()
    state, stepper = case.state, case.cell.stepper(2)
    stepper.state = state
    for t in range(9):
        output, state = case.cell(case.inputs[t], state)
        torch.testing.assert_close(output, outputs[t], rtol=0, atol=1e-5)
        torch.testing.assert_close(stepper(case.inputs[t]), outputs[t], rtol=0, atol=1e-5)


def changes():
    def optimizer(cell):
        cell.requires_grad_(True)
        for parameter in cell.parameters():
            parameter.grad = torch.ones_like(parameter)
        torch.optim.SGD(cell.parameters(), 0.1).step()

    def copied(cell):
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.add_(0.1)

    def replaced(cell):
        for parameter in cell.parameters():
            parameter.data = parameter.data + 0.1

    def loaded(cell):
        cell.load_state_dict({key: value + 0.1 for key, value in cell.state_dict().items()})

    return [optimizer, copied, replaced, loaded]


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_no_change_of_a_parameter_is_missed(name, change):
    case = make(name, 4, 3, 5, 20)
    case.cell.freeze()
    before, stepper = unrolled(case)["outputs"], case.cell.stepper(1)
    streamed = stepper(case.inputs[0, :1])
    change(case.cell)
    fresh = copy.deepcopy(case.cell)
    with torch.no_grad():
        after = unrolled(case)
        assert_same(after, unrolled(case._replace(cell=fresh)), 1e-6)
        assert not torch.allclose(before, after["outputs"])
        stepper.reset()
        again = stepper(case.inputs[0, :1])
        torch.testing.assert_close(again, fresh.stepper(1)(case.inputs[0, :1]))
        assert not torch.allclose(again, streamed)
    assert frozen_of(case.cell) is None


def test_training_thaws_and_copies_are_not_frozen():
    cell = rc.LSTMCell(4, 20).freeze()
    assert frozen_of(copy.deepcopy(cell)) is None
    assert frozen_of(pickle.loads(pickle.dumps(cell))) is None
    assert frozen_of(cell) is not None
    cell.train()
    assert frozen_of(cell) is None


def test_all_cells_inside_are_frozen():
    stack = rc.StackedCells([rc.ResidualWrapper(rc.GRUCell(8, 8)), rc.DropoutWrapper(rc.LSTMCell(8, 8))]).freeze()
    inner = [module for module in stack.modules() if isinstance(module, (rc.GRUCell, rc.LSTMCell))]
    assert len(inner) == 2 and all(frozen_of(cell) is not None for cell in inner)


def test_gradients_of_the_inputs_of_a_frozen_cell():
    case = make("lstm", 4, 3, 5, 20)
    case.cell.freeze()
    inputs = case.inputs.requires_grad_()
    rc.unroll(case.cell, inputs, case.state, time_major=True)[0].sum().backward()
    assert inputs.grad.abs().sum() > 0


@pytest.mark.parametrize("frozen", [True, False])
def test_a_parameter_that_was_taken_over_is_looked_up_anew(frozen):
    """Parametrizations and pruning put a computed tensor in a parameter's place."""
    case = make("lstm", 4, 3, 5, 20)
    if frozen:
        case.cell.freeze()
    with torch.no_grad():
        before = unrolled(case)["outputs"]
        prune.random_unstructured(case.cell, "kernel", amount=0.5)
        after = unrolled(case)["outputs"]
    assert not torch.allclose(before, after)


def test_a_prepared_call_refuses_bad_lengths():
    cell = rc.LSTMCell(4, 5)
    for lengths in ([4, 1], [-1, 2], [1]):
        with torch.no_grad(), pytest.raises(InputError, match="`lengths`"):
            cell.unroll(torch.zeros(3, 2, 4), cell.initial_state(2), torch.tensor(lengths))


def test_another_value_at_the_old_ones_address_is_seen():
    inputs = torch.randn(2, 3, 64)
    for _ in range(5):  # the system gives freed memory out again, mostly
        cell = rc.LSTMCell(64, 64).freeze()
        cell.kernel.data = torch.zeros(1)
        cell.kernel.data = torch.randn(128, 256)
        fresh = rc.LSTMCell(64, 64)
        fresh.load_state_dict(cell.state_dict())
        torch.testing.assert_close(rc.unroll(cell, inputs)[0], rc.unroll(fresh, inputs)[0].detach())
