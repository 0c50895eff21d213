"""Both directions in one compiled call: the bits of two calls."""

import contextlib

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import recurra as rc
import recurra.nn
from recurra import _nest
from recurra.kernels import plain
from recurra.kernels.native import library
from tests.kernels.cases import CELLS

LENGTHS = torch.tensor([7, 3, 0, 7, 1])
KINDS = ["rnn", "lstm", "lstm_projection", "gru", "gru_after", "layer_norm"]


def results(run, cells, inputs, *, grad=True):
    """Outputs, final states, and gradients of inputs, states and parameters."""
    x = inputs.clone().requires_grad_(grad)
    states = [_nest.map_leaves(lambda leaf: leaf.requires_grad_(grad), cell.initial_state(5)) for cell in cells]
    torch.manual_seed(2)
    states = [_nest.map_leaves(lambda leaf: torch.randn(leaf.shape, requires_grad=grad), state) for state in states]
    outputs, finals = run(x, *states)
    found = [*outputs, *(leaf for state in finals for leaf in _nest.flatten(state))]
    if not grad:
        return found
    loss = sum((value * torch.randn(value.shape)).sum() for value in found)
    leaves = [x, *(leaf for state in states for leaf in _nest.flatten(state))]
    parameters = {id(p): p for cell in cells for p in cell.parameters()}
    return [*found, *torch.autograd.grad(loss, [*leaves, *parameters.values()])]


def both(cells, lengths):
    return lambda x, *states: rc.bidirectional(*cells, x, *states, lengths=lengths, time_major=True)


def one_by_one(cells, lengths):
    def run(x, *states):
        calls = zip(cells, states, (False, True), strict=True)
        found = [rc.unroll(cell, x, s, lengths=lengths, time_major=True, reverse=way) for cell, s, way in calls]
        return tuple(zip(*found, strict=True))

    return run


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("grad", [True, False])
def test_the_bits_of_two_calls(isa, monkeypatch, name, lengths, grad):
    cells, inputs = (CELLS[name](4, 20), CELLS[name](4, 20)), torch.randn(7, 5, 4)
    expected = results(one_by_one(cells, lengths), cells, inputs, grad=grad)
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        found = results(both(cells, lengths), cells, inputs, grad=grad)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_cells_of_two_families_and_sizes_and_a_shared_one():
    inputs = torch.randn(7, 5, 4)
    for cells in ((rc.GRUCell(4, 6), rc.LSTMCell(4, 9)), (rc.LSTMCell(4, 6, projection_size=3),) * 2):
        found = results(both(cells, LENGTHS), cells, inputs)
        expected = results(one_by_one(cells, LENGTHS), cells, inputs)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("used", [0, 1])
def test_gradients_where_only_one_direction_is_used(used):
    cells, inputs = (rc.GRUCell(4, 6), rc.GRUCell(4, 6)), torch.randn(7, 5, 4, requires_grad=True)
    outputs = rc.bidirectional(*cells, inputs, time_major=True)[0][used]
    alone = rc.unroll(cells[used], inputs, time_major=True, reverse=bool(used))[0]
    found, expected = (
        torch.autograd.grad(value.sum(), [inputs, *cells[used].parameters()]) for value in (outputs, alone)
    )
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_second_derivatives(kind):
    layer, seconds = getattr(recurra.nn, kind)(3, 4, bidirectional=True), []
    for road in (contextlib.nullcontext(), plain()):
        x = torch.ones(4, 2, 3, requires_grad=True)
        with road:
            first = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)[0]
            seconds.append(torch.autograd.grad(first.square().sum(), [x, *layer.parameters()]))
    torch.testing.assert_close(*seconds, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_layers_join_both_outputs_in_place(monkeypatch, packed, grad):
    def refuse(*arguments, **options):
        raise AssertionError("copied")

    layer, x = recurra.nn.GRU(4, 6, num_layers=2, bidirectional=True), torch.randn(7, 3, 4)
    rows = pack_padded_sequence(x, [7, 4, 1]) if packed else x
    theirs = torch.nn.GRU(4, 6, num_layers=2, bidirectional=True)
    theirs.load_state_dict(layer.state_dict())
    expected = theirs(rows)[0]
    monkeypatch.setattr(torch, "cat", refuse)
    with torch.set_grad_enabled(grad):
        found = layer(rows)[0]
    torch.testing.assert_close(found.data, expected.data)


def test_hooks_on_saved_tensors_may_copy_them():
    cells, inputs = (rc.GRUCell(4, 6), rc.LSTMCell(4, 6)), torch.randn(7, 5, 4)
    expected = results(both(cells, LENGTHS), cells, inputs)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t.clone()):
        found = results(both(cells, LENGTHS), cells, inputs)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_cells_with_steps_of_their_own_are_heard():
    class Loud(rc.GRUCell):
        def forward(self, x, state, masks=None):
            output, state = super().forward(x, state)
            return 2 * output, state

    cells, inputs = (rc.GRUCell(4, 6), Loud(4, 6)), torch.randn(7, 5, 4)
    found = rc.bidirectional(*cells, inputs, time_major=True)[0][1]
    torch.testing.assert_close(found, rc.unroll(cells[1], inputs, time_major=True, reverse=True)[0])
