"""Packed sequences through the loops: the same rows padded, in place where a kernel reads them."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import recurra as rc
from recurra import _nest
from recurra.errors import InputError

LENGTHS = torch.tensor([2, 5, 1, 5, 3])


class Own(rc.BaseCell):
    input_size, state_size, output_size = 4, 4, 4

    def forward(self, x, state):
        return x - state, x + state


CELLS = {
    "rnn": lambda: rc.RNNCell(4, 6),
    "lstm": lambda: rc.LSTMCell(4, 6, peepholes=True),
    "frozen": lambda: rc.LSTMCell(4, 6).freeze(),
    "gru": lambda: rc.GRUCell(4, 6),
    "float64": lambda: rc.GRUCell(4, 6).double(),
    "activation": lambda: rc.RNNCell(4, 6, activation=torch.sin),
    "scan": lambda: rc.MinGRUCell(4, 6),
    "stack": lambda: rc.StackedCells([rc.GRUCell(4, 6), rc.LSTMCell(6, 3)]),
    "zoneout": lambda: rc.ZoneoutWrapper(rc.LSTMCell(4, 6), 0.2).eval(),
    "own": Own,
}


def rows(cell):
    dtype = next(cell.parameters(), torch.empty(())).dtype
    x = torch.randn(5, 5, 4, dtype=dtype)
    return x, pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)


def same(packed, padded):
    found, lengths = pad_packed_sequence(packed, batch_first=True)
    assert torch.equal(lengths, LENGTHS)
    torch.testing.assert_close(found, padded[:, : found.shape[1]])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_as_the_padded_rows(name, reverse, with_state):
    cell = CELLS[name]()
    x, packed = rows(cell)
    state = _nest.map_leaves(torch.randn_like, cell.initial_state(5)) if with_state else None
    expected, final = rc.unroll(cell, x, state, lengths=LENGTHS, reverse=reverse)
    found, last = rc.unroll(cell, packed, state, reverse=reverse)
    same(found, expected)
    torch.testing.assert_close(last, final)
    assert torch.equal(found.sorted_indices, packed.sorted_indices)


def test_rows_that_were_sorted():
    cell, lengths = rc.GRUCell(4, 6), torch.tensor([5, 3, 3])
    x = torch.randn(5, 3, 4)
    found, final = rc.unroll(cell, pack_padded_sequence(x, lengths))
    expected, last = rc.unroll(cell, x, lengths=lengths, time_major=True)
    assert torch.equal(pad_packed_sequence(found)[0], expected)
    assert torch.equal(final, last)


def test_kernels_read_them_in_place(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("padded")

    monkeypatch.setattr("recurra.loops.packed.pad_packed_sequence", refuse)
    monkeypatch.setattr("recurra.kernels.packed.pad_packed_sequence", refuse)
    cell = rc.GRUCell(4, 6)
    _, packed = rows(cell)
    assert "gru: kernel" in str(rc.explain(cell, packed))
    rc.unroll(cell, packed)[0].data.sum().backward()


@pytest.mark.parametrize("time_major", [False, True])
def test_masks_resets_and_all_states_are_those_of_the_rows_as_they_were_packed(time_major):
    cell = rc.ZoneoutWrapper(rc.LSTMCell(4, 6), 0.3)
    x, packed = rows(cell)
    masks = cell.draw_masks(5, 5, like=x, input_size=4)
    resets = torch.rand(5, 5) < 0.3
    call = {"masks": masks, "return_states": True}
    expected = rc.unroll(cell, x, lengths=LENGTHS, resets=resets, **call)
    turned = resets.t() if time_major else resets
    found = rc.unroll(cell, packed, resets=turned, time_major=time_major, **call)
    same(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])
    for part, padded in zip(found[2], expected[2], strict=True):
        valid = torch.arange(5) < LENGTHS.unsqueeze(1)
        same(part, padded * valid.unsqueeze(2))


@pytest.mark.parametrize("kind", [rc.GRUCell, rc.MinGRUCell])
def test_both_directions_and_stacks_of_them(kind):
    def layer(inputs):
        return [kind(inputs, 6)]

    fw, bw = layer(4) + layer(12), layer(4) + layer(12)
    x, packed = rows(fw[0])
    outputs, *states = rc.stack_bidirectional(fw, bw, x, lengths=LENGTHS)
    found, *finals = rc.stack_bidirectional(fw, bw, packed)
    same(found, outputs)
    torch.testing.assert_close(finals, states)


def test_lengths_beside_packed_rows_are_refused():
    cell = rc.GRUCell(4, 6)
    _, packed = rows(cell)
    with pytest.raises(InputError, match="packed `inputs` have their own lengths"):
        rc.unroll(cell, packed, lengths=LENGTHS)
    with pytest.raises(InputError, match="packed `inputs` have their own lengths"):
        rc.unroll(cell, packed, padding="left")
    with pytest.raises(InputError, match=r"`inputs` has shape \[16, 4\], expected \[N, 3\]"):
        rc.unroll(rc.GRUCell(3, 6), packed)
    with pytest.raises(InputError, match="`initial_state` holds a tensor of shape"):
        rc.unroll(cell, packed, torch.zeros(4, 6))
