"""Calls prepared once per cell: gradients as on the other roads, whatever is done to a cell between two calls."""

import contextlib

import pytest
import torch
from torch.nn.utils import parametrize

import recurra as rc
from recurra.cells.lstm import LSTMParams, lstm_sequence
from recurra.kernels import argument, plain, prepared
from recurra.kernels.native import library
from tests.kernels.cases import make


def gradients(cell, inputs, lengths=None, **options):
    """Outputs, and gradients of the inputs and of all parameters that want one."""
    inputs = inputs.detach().requires_grad_()
    outputs, _ = rc.unroll(cell, inputs, lengths=lengths, time_major=True, **options)
    wanted = [inputs, *(parameter for parameter in cell.parameters() if parameter.requires_grad)]
    return outputs, *torch.autograd.grad(outputs.square().sum(), wanted)


def assert_as_plain(cell, inputs, lengths=None, **options):
    found = gradients(cell, inputs, lengths, **options)
    with plain():
        expected = gradients(cell, inputs, lengths, **options)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["rnn", "lstm_projection", "gru", "gru_after", "layer_norm", "coupled"])
def test_calls_of_other_forms_after_each_other(name):
    """One preparation serves both directions, any T, ragged or not, either layout."""
    case = make(name, 6, 3, 4, 5)
    for _ in range(2):
        assert_as_plain(case.cell, case.inputs)
        assert_as_plain(case.cell, case.inputs[:2], torch.tensor([2, 0, 1]), reverse=True)
        assert_as_plain(case.cell, case.inputs.transpose(0, 1).contiguous().transpose(0, 1))
        assert_as_plain(case.cell, case.inputs[:, :2].repeat(1, 1, 2)[..., ::2])


def test_changes_between_two_calls():
    case = make("lstm_peepholes", 4, 3, 5, 6)
    cell, inputs = case.cell, case.inputs
    assert_as_plain(cell, inputs)
    cell.kernel.data = cell.kernel.data * 0.5
    assert_as_plain(cell, inputs)
    cell.bias.data.add_(1)
    assert_as_plain(cell, inputs)
    cell.kernel = torch.nn.Parameter(cell.kernel.detach().t().contiguous().t())
    assert_as_plain(cell, inputs)
    cell.bias.requires_grad_(False)
    assert_as_plain(cell, inputs)
    cell.load_state_dict({key: value + 0.1 for key, value in cell.state_dict().items()})
    assert_as_plain(cell, inputs)


@pytest.mark.parametrize("freeze", [False, True])
def test_the_same_memory_read_another_way(freeze):
    """`.data` set to a transposition: same parameter, same address, same version, other numbers."""
    cell, inputs = rc.LSTMCell(3, 4, projection_size=4), torch.randn(5, 2, 3)
    if freeze:
        cell.freeze()
    with torch.no_grad():
        rc.unroll(cell, inputs)
        cell.projection.kernel.data = cell.projection.kernel.data.t()
        found, _ = rc.unroll(cell, inputs)
        with plain():
            expected, _ = rc.unroll(cell, inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class Doubled(torch.nn.Module):
    def forward(self, kernel):
        return 2 * kernel


def test_a_parametrization_after_the_first_call():
    case = make("gru_after", 4, 3, 5, 6)
    assert_as_plain(case.cell, case.inputs)
    parametrize.register_parametrization(case.cell.gates, "kernel", Doubled())
    assert_as_plain(case.cell, case.inputs)


def test_functional_call_uses_what_it_is_given():
    case = make("lstm", 4, 3, 5, 6)
    cell, inputs = case.cell, case.inputs
    before = rc.unroll(cell, inputs, time_major=True)[0]

    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, inputs):
            return rc.unroll(self.cell, inputs, time_major=True)[0]

    kernel = (cell.kernel * 2).detach().requires_grad_()
    outputs = torch.func.functional_call(Loop(), {"cell.kernel": kernel}, (inputs,))
    assert not torch.allclose(outputs, before)
    outputs.sum().backward()
    assert kernel.grad is not None and cell.kernel.grad is None
    assert torch.equal(rc.unroll(cell, inputs, time_major=True)[0], before)


@pytest.mark.parametrize("strided", [False, True])
def test_the_same_gradients_again_and_through_hooks_on_saved_tensors(strided):
    case = make("lstm", 5, 3, 4, 6)
    inputs = torch.randn(5, 3, 8)[..., ::2] if strided else case.inputs
    outputs, _ = rc.unroll(case.cell, inputs, time_major=True)
    parameters = list(case.cell.parameters())
    first = torch.autograd.grad(outputs.sum(), parameters, retain_graph=True)
    again = torch.autograd.grad(outputs.sum(), parameters)
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda tensor: tensor):
        outputs, _ = rc.unroll(case.cell, inputs, time_major=True)
    hooked = torch.autograd.grad(outputs.sum(), parameters)
    for one, two, three in zip(first, again, hooked, strict=True):
        assert torch.equal(one, two) and torch.equal(one, three)


def test_writing_into_what_backward_needs_is_refused():
    case = make("lstm", 5, 3, 4, 6)
    outputs, _ = rc.unroll(case.cell, case.inputs, time_major=True)
    with torch.no_grad():
        case.cell.kernel.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_two_forwards_before_their_backwards():
    case = make("gru", 5, 3, 4, 6)
    parameters = list(case.cell.parameters())
    one, two = (rc.unroll(case.cell, scale * case.inputs, time_major=True)[0] for scale in (1, 2))
    found = [torch.autograd.grad(outputs.sum(), parameters) for outputs in (one, two)]
    for scale, grads in zip((1, 2), found, strict=True):
        outputs = rc.unroll(case.cell, scale * case.inputs, time_major=True)[0]
        assert all(map(torch.equal, grads, torch.autograd.grad(outputs.sum(), parameters)))


def test_backward_takes_the_threads_there_are_when_it_runs(monkeypatch):
    """After a fork there is one, whatever forward had."""
    case, seen = make("lstm", 5, 3, 4, 6), []
    monkeypatch.setattr(prepared, "extension", None)
    with monkeypatch.context() as then:
        then.setattr(library, "threads", lambda: 2)
        outputs, _ = rc.unroll(case.cell, case.inputs, time_major=True)
    backward = library.backward
    monkeypatch.setattr(library, "threads", lambda: 1)
    monkeypatch.setattr(library, "backward", lambda words: seen.append(words[argument.THREADS]) or backward(words))
    outputs.sum().backward()
    assert seen == [1]


def test_vectors_that_are_not_dense_are_read_right():
    kernel, bias = torch.randn(9, 20), torch.randn(40)[::2].requires_grad_()
    inputs, state = torch.randn(3, 2, 4), rc.LSTMState(torch.zeros(2, 5), torch.zeros(2, 5))
    outputs, _ = lstm_sequence(LSTMParams(kernel, bias), inputs, state)
    (found,) = torch.autograd.grad(outputs.sum(), [bias])
    with plain():
        expected, _ = lstm_sequence(LSTMParams(kernel, bias), inputs, state)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), [bias])[0])


WITH_MASKS = {
    "zoneout": lambda: rc.ZoneoutWrapper(rc.LSTMCell(4, 5), rc.LSTMState(0.5, 0.2)),
    "zoneout of a GRU": lambda: rc.ZoneoutWrapper(rc.GRUCell(4, 5), 0.3),
    "zoneout, evaluation": lambda: rc.ZoneoutWrapper(rc.LSTMCell(4, 5, projection_size=3), 0.3).eval(),
    "state dropout": lambda: rc.DropoutWrapper(rc.LSTMCell(4, 5), state_keep_prob=0.6),
    "both": lambda: rc.ZoneoutWrapper(rc.DropoutWrapper(rc.GRUCell(4, 5), state_keep_prob=0.6), 0.3),
    "recurrent dropout": lambda: rc.LayerNormBasicLSTMCell(4, 9, recurrent_keep_prob=0.7),
}


@pytest.mark.parametrize("kind", WITH_MASKS)
def test_masks_on_prepared_calls(kind, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("put together anew")

    wrapper, inputs = WITH_MASKS[kind](), torch.randn(6, 3, 4)
    lengths = torch.tensor([6, 2, 4])
    for _ in range(2):
        masks = wrapper.draw_masks(6, 3, like=inputs, input_size=4)
        assert_as_plain(wrapper, inputs, lengths, masks=masks)
        assert_as_plain(wrapper, inputs, masks=masks, reverse=True)
    monkeypatch.setattr("recurra.cells.base.run_sequence", refuse)
    found = gradients(wrapper, inputs, lengths, masks=masks)
    with torch.no_grad():
        torch.testing.assert_close(
            rc.unroll(wrapper, inputs, lengths=lengths, time_major=True, masks=masks)[0], found[0]
        )
    if wrapper.training:
        torch.manual_seed(3)
        first = rc.unroll(wrapper, inputs, time_major=True)[0]
        assert not torch.equal(rc.unroll(wrapper, inputs, time_major=True)[0], first)
        torch.manual_seed(3)
        assert torch.equal(rc.unroll(wrapper, inputs, time_major=True)[0], first)


def test_second_derivatives_under_masks():
    wrapper, inputs = WITH_MASKS["both"](), torch.randn(4, 2, 4)
    masks = wrapper.draw_masks(4, 2, like=inputs, input_size=4)
    found = []
    for road in (contextlib.nullcontext(), plain()):
        x = inputs.clone().requires_grad_()
        with road:
            first = torch.autograd.grad(
                rc.unroll(wrapper, x, masks=masks, time_major=True)[0].sum(), x, create_graph=True
            )
            found.append(torch.autograd.grad(first[0].square().sum(), [x, *wrapper.parameters()], allow_unused=True))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
