"""The compiled sequences of sLSTM and mLSTM against the same equations step by step in torch."""

from __future__ import annotations

import pytest
import torch

import recurra as rc
from recurra.errors import InputError
from recurra.kernels import plain, xlstm
from recurra.kernels.native import library

CELLS = {"slstm": rc.SLSTMCell, "mlstm": rc.MLSTMCell}


def problem(name, hidden, heads, forget_gate, T, dtype):
    """A cell, ragged inputs with NaN in the padding, lengths, and a state that something has entered."""
    torch.manual_seed(hidden + heads + T)
    cell = CELLS[name](6, hidden, heads=heads, forget_gate=forget_gate, dtype=dtype)
    lengths = torch.tensor([T, 0, T // 2, 1])
    inputs = 0.5 * torch.randn(T, 4, 6, dtype=dtype)
    with torch.no_grad(), plain():
        if forget_gate == "exp":
            cell.bias.clamp_(max=0.5)  # else the state grows until digits are lost, whoever computes
        state = cell.unroll(inputs, cell.initial_state(4))[1]
    for row, length in enumerate(lengths):
        inputs[length:, row] = torch.nan
    return cell, inputs.requires_grad_(), lengths, type(state)(*(leaf.detach().requires_grad_() for leaf in state))


def results_and_gradients(cell, unroll, inputs, state):
    outputs, final = unroll()[:2]
    torch.manual_seed(0)
    total = sum((leaf * torch.randn_like(leaf)).sum() for leaf in (outputs, *final))
    return [outputs, *final, *torch.autograd.grad(total, [inputs, *state, *cell.parameters()])]


SHAPES = [("sigmoid", 5, 1, 70), ("sigmoid", 48, 3, 70), ("sigmoid", 32, 2, 3), ("exp", 10, 2, 9), ("exp", 130, 1, 9)]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("forget_gate", "hidden", "heads", "T"), SHAPES)
def test_values_and_gradients(monkeypatch, name, reverse, forget_gate, hidden, heads, T):
    """In float64, all of them, spans of steps too; the last result is the gradient of a row of length 0."""
    monkeypatch.setattr(xlstm, "ROWS", 64)
    cell, inputs, lengths, state = problem(name, hidden, heads, forget_gate, T, torch.float64)
    with plain():
        expected = results_and_gradients(
            cell, lambda: cell.unroll(inputs, state, lengths, reverse=reverse, return_states=True), inputs, state
        )
    found = results_and_gradients(
        cell, lambda: cell.unroll_in_kernel(inputs, state, lengths, reverse=reverse), inputs, state
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("hidden", "heads"), [(5, 1), (48, 3), (80, 2), (33, 1)])
def test_single_precision_of_every_instruction_set(isa, name, reverse, hidden, heads):
    """Batch-major inputs, and no step that the plain loop would see."""
    cell, inputs, lengths, state = problem(name, hidden, heads, "sigmoid", 40, torch.float32)
    inputs = inputs.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    decisions = rc.explain(cell, inputs, state, lengths=lengths, time_major=True).decisions
    assert [(decision.family, decision.road) for decision in decisions] == [(name, "kernel")]
    found = results_and_gradients(cell, lambda: cell.unroll(inputs, state, lengths, reverse=reverse), inputs, state)
    with plain():
        expected = results_and_gradients(
            cell, lambda: cell.unroll(inputs, state, lengths, reverse=reverse, return_states=True), inputs, state
        )
    for ours, theirs in zip(found, expected, strict=True):
        scale = theirs.abs().max().clamp(min=1)
        torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CELLS)
def test_inference_leaves_the_state_alone(isa, name):
    cell, inputs, lengths, state = problem(name, 48, 3, "sigmoid", 40, torch.float32)
    before = [leaf.clone() for leaf in state]
    expected = cell.unroll(inputs, state, lengths)
    with torch.no_grad():
        outputs, final = cell.unroll(inputs, state, lengths)
        same, nothing = cell.unroll(inputs[:0], state)
    assert same.shape == (0, 4, 48)
    assert not outputs[lengths[2] :, 2].any()
    torch.testing.assert_close((outputs, *final), (expected[0], *expected[1]))
    for leaf, kept, empty in zip(state, before, nothing, strict=True):
        assert torch.equal(leaf, kept)
        assert torch.equal(empty, kept)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0), (0, 0)])
def test_nothing_at_all(name, T, B):
    cell, inputs = CELLS[name](4, 6, heads=2), torch.randn(T, B, 4, requires_grad=True)
    outputs, _ = cell.unroll(inputs, cell.initial_state(B))
    gradients = torch.autograd.grad(outputs.sum(), [inputs, *cell.parameters()])
    assert outputs.shape == (T, B, 6)
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", CELLS)
def test_any_number_of_threads(isa, monkeypatch, name):
    cell, inputs = CELLS[name](8, 64, heads=2), torch.randn(70, 3, 8)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        outputs, _ = cell.unroll(inputs, cell.initial_state(3))
        results.append([outputs, *torch.autograd.grad(outputs.sum(), list(cell.parameters()))])
    for other in results[1:]:
        assert all(torch.equal(first, again) for first, again in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_gradients(name):
    cell = CELLS[name](2, 4, heads=2, dtype=torch.float64)
    inputs = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    state = cell.initial_state(2)
    assert torch.autograd.gradgradcheck(lambda x: cell.unroll_in_kernel(x, state, reverse=False)[0], inputs)


@pytest.mark.parametrize("name", CELLS)
def test_no_graph_outlives_its_results(name):
    """A result that its own graph holds would keep the whole sequence until Python looks for cycles."""
    import gc
    import weakref

    cell = CELLS[name](4, 8)
    gc.disable()
    try:
        outputs, _ = cell.unroll(torch.randn(5, 2, 4), cell.initial_state(2))
        node = weakref.ref(outputs.grad_fn)
        del outputs, _
        assert node() is None
    finally:
        gc.enable()


def test_writing_into_a_final_state_is_refused():
    """An mLSTM's gradient reads it."""
    cell = CELLS["mlstm"](4, 8)
    _, final = cell.unroll(torch.randn(5, 2, 4), cell.initial_state(2))
    total = sum((leaf * torch.ones_like(leaf)).sum() for leaf in final)
    with torch.no_grad():
        final[0].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@pytest.mark.parametrize("name", CELLS)
def test_what_the_plain_loop_runs(name):
    cell, inputs = CELLS[name](4, 8), torch.randn(5, 2, 4)
    state, params = cell.initial_state(2), cell.params()

    def reason(**call):
        return xlstm.refusal(name, inputs, state, params, call, 1)

    assert reason(reverse=True, resets=None, after=(), return_states=False) is None
    assert reason(return_states=True) == "no kernel with return_states"
    assert "float64" in xlstm.refusal(name, inputs.double(), state, params, {}, 1)
    with pytest.raises(InputError, match="`state` has a part of shape"):
        cell.unroll(inputs, cell.initial_state(3))
    with pytest.raises(InputError, match="`lengths`"):
        cell.unroll(inputs, state, torch.tensor([6, 1]))
