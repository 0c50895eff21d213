"""What a second pair of eyes found in the loops: small integers as lengths, states of left-padded rows."""

import pytest
import torch

import recurra as rc


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_lengths_of_small_integers_do_not_wrap_around(dtype):
    cell, x = rc.GRUCell(2, 3), torch.randn(2, 150, 2)
    lengths = torch.tensor([0, 120])
    for padding in ("left", "right"):
        expected, final = rc.unroll(cell, x, lengths=lengths, padding=padding)
        outputs, state = rc.unroll(cell, x, lengths=lengths.to(dtype), padding=padding)
        torch.testing.assert_close(outputs, expected)
        torch.testing.assert_close(state, final)
    torch.testing.assert_close(rc.last_output(outputs, lengths.to(dtype)), rc.last_output(outputs, lengths))


@pytest.mark.parametrize("reverse", [False, True])
def test_states_of_left_padded_rows(reverse):
    cell, x, start = rc.GRUCell(2, 3), torch.randn(1, 4, 2), torch.randn(1, 3)
    _, final, states = rc.unroll(
        cell, x, start, lengths=torch.tensor([2]), padding="left", reverse=reverse, return_states=True
    )
    _, _, alone = rc.unroll(cell, x[:, 2:], start, reverse=reverse, return_states=True)
    torch.testing.assert_close(states[:, 2:], alone)
    torch.testing.assert_close(states[0, 0], (final if reverse else start)[0])


def test_a_wrapper_names_the_input_that_does_not_fit():
    cell = rc.InputProjectionWrapper(rc.GRUCell(3, 4), 7)
    with pytest.raises(ValueError, match=r"`x` has shape \[2, 5\], expected \[B, 7\]"):
        cell(torch.randn(2, 5), cell.initial_state(2))


def test_a_projection_clip_needs_a_projection():
    with pytest.raises(ValueError, match="`projection_clip`"):
        rc.LSTMCell(4, 3, projection_clip=1.0)
