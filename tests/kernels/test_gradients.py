"""The kernels' own gradients in float64, and gradients of gradients."""

import pytest
import torch

import recurra as rc
from recurra import _nest
from recurra.kernels import dispatch
from recurra.kernels.layouts import flatten, rebuild
from tests.kernels.cases import CELLS, SMOOTH, drop_candidates, give_states, make, restart, wrap


def as_function(case, road):
    parameters = [leaf.detach().requires_grad_() for leaf in flatten(case.cell.params()) if leaf is not None]
    states = [leaf.detach().requires_grad_() for leaf in _nest.flatten(case.state)]
    inputs = torch.nan_to_num(case.inputs.detach()).requires_grad_()

    def run(inputs, *leaves):
        state = _nest.pack_as(case.state, list(leaves[: len(states)]))
        given = iter(leaves[len(states) :])
        kept = [None if leaf is None else next(given) for leaf in flatten(case.cell.params())]
        params = rebuild(case.cell.params(), iter(kept))
        recurrence, options = case.cell.recurrence, case.cell.options
        call = {"options": options, "reverse": case.reverse, **case.call}
        outputs, *rest = road(recurrence, params, inputs, state, case.lengths, **call)
        return outputs, *(leaf for part in rest for leaf in _nest.flatten(part))

    return run, (inputs, *states, *parameters)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck_in_float64(name, reverse):
    case = make(name, 3, 3, 2, 3, dtype=torch.float64, lengths=torch.tensor([2, 3, 0]), reverse=reverse)
    run, leaves = as_function(case, dispatch.run_kernel)
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("kinds", [["zoneout step row"], ["zoneout step row", "dropout row"]], ids=" + ".join)
@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm_all", "lstm_projection_all", "gru", "gru_after", "layer_norm"])
def test_gradcheck_under_zoneout_and_dropout(name, kinds):
    case = make(name, 3, 3, 2, 3, dtype=torch.float64, lengths=torch.tensor([2, 3, 0]))
    run, leaves = as_function(wrap(case, kinds), dispatch.run_kernel)
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("name", ["rnn", "lstm_projection", "coupled", "gru", "layer_norm"])
def test_gradcheck_with_resets_and_all_states(name):
    case = make(name, 4, 3, 2, 3, dtype=torch.float64, lengths=torch.tensor([2, 4, 0]), reverse=name == "gru")
    run, leaves = as_function(give_states(restart(case)), dispatch.run_kernel)
    assert torch.autograd.gradcheck(run, leaves)


def test_gradcheck_under_recurrent_dropout():
    case = drop_candidates(make("layer_norm_basic", 3, 3, 2, 3, dtype=torch.float64), "step row")
    run, leaves = as_function(case, dispatch.run_kernel)
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives(name):
    case = make(name, 2, 2, 2, 2, dtype=torch.float64, lengths=torch.tensor([2, 1]))
    run, leaves = as_function(case, dispatch.run_kernel)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_double_kernel_equals_plain_loop_to_the_last_digits():
    for name in CELLS:
        case = make(name, 5, 4, 3, 7, dtype=torch.float64)
        found, expected = (as_function(case, road) for road in (dispatch.run_kernel, dispatch._plain))
        for a, b in zip(found[0](*found[1]), expected[0](*expected[1]), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_backward_twice_over_a_kept_graph():
    case = make("lstm", 4, 3, 2, 5)
    inputs = case.inputs.requires_grad_()
    outputs, _ = case.cell.unroll(inputs, case.state)
    first = torch.autograd.grad(outputs.sum(), inputs, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(outputs.sum(), inputs)[0])


def test_two_forwards_before_a_backward_do_not_share_memory():
    case = make("gru", 6, 4, 3, 9)
    inputs = case.inputs.requires_grad_()
    alone = torch.autograd.grad(case.cell.unroll(inputs, case.state)[0].sum(), inputs)[0]
    first = case.cell.unroll(inputs, case.state)[0]
    second = case.cell.unroll(inputs * 2, case.state)[0]
    torch.autograd.grad(second.sum(), inputs)
    assert torch.equal(torch.autograd.grad(first.sum(), inputs)[0], alone)


def test_a_parameter_changed_in_place_before_backward_is_an_error():
    case = make("lstm", 3, 2, 2, 2)
    outputs, _ = case.cell.unroll(case.inputs, case.state)
    with torch.no_grad():
        case.cell.kernel.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_saved_tensor_hooks_may_replace_what_was_saved():
    case = make("lstm", 3, 2, 2, 5)
    expected = torch.autograd.grad(case.cell.unroll(case.inputs, case.state)[0].sum(), case.cell.kernel)[0]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t.clone()):
        outputs, _ = case.cell.unroll(case.inputs, case.state)
    assert torch.equal(torch.autograd.grad(outputs.sum(), case.cell.kernel)[0], expected)


def test_gradients_to_be_differentiated_of_a_cell_above_itself():
    """What flows through the layer below is counted once."""
    cell, inputs = rc.LSTMCell(4, 4), torch.randn(2, 3, 4)

    def gradients(**again):
        outputs, _ = rc.unroll(cell, rc.unroll(cell, inputs)[0])
        return torch.autograd.grad(outputs.square().sum(), tuple(cell.parameters()), **again)

    torch.testing.assert_close(gradients(create_graph=True), gradients(), rtol=1e-4, atol=1e-5)
