"""Under autocast, what a kernel runs stays float32: states, streams and sequences alike."""

import pytest
import torch

import recurra as rc
from recurra import _nest

CELLS = {
    "rnn": lambda: rc.RNNCell(4, 8),
    "lstm": lambda: rc.LSTMCell(4, 8, peepholes=True),
    "gru": lambda: rc.GRUCell(4, 8),
    "layer norm": lambda: rc.LayerNormBasicLSTMCell(4, 8),
    "stack": lambda: rc.StackedCells([rc.GRUCell(4, 8), rc.RNNCell(8, 8)]),
    "zoneout": lambda: rc.ZoneoutWrapper(rc.LSTMCell(4, 8), 0.3),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("batch", [1, 3, 5])
@pytest.mark.parametrize("grad", [False, True])
def test_sequences_and_steps_are_those_without_autocast(name, batch, grad):
    cell, x = CELLS[name](), torch.randn(batch, 6, 4)
    masks = cell.draw_masks(6, batch, like=x, input_size=4)
    with torch.set_grad_enabled(grad):
        expected, final = rc.unroll(cell, x, masks=masks)
        with torch.autocast("cpu", torch.bfloat16):
            found, last = rc.unroll(cell, x, masks=masks)
            state, outputs = cell.initial_state(batch), []
            for t in range(6):
                at = () if masks is None else (rc.masks_at(masks, t),)
                output, state = cell(x[:, t], state, *at)
                outputs.append(output)
    assert torch.equal(found, expected)
    torch.testing.assert_close(last, final, rtol=0, atol=0)
    torch.testing.assert_close(torch.stack(outputs, 1), expected)
    torch.testing.assert_close(state, final)
    assert all(leaf.dtype is torch.float32 for leaf in _nest.flatten((last, state)))


@pytest.mark.parametrize("name", [name for name in CELLS if name != "zoneout"])  # which draws in the input's dtype
@pytest.mark.parametrize("batch", [1, 5])
def test_inputs_that_autocast_made_are_widened(name, batch):
    cell, x = CELLS[name](), torch.randn(batch, 6, 4).bfloat16()
    torch.manual_seed(0)
    expected = rc.unroll(cell, x.float())[0]
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(0)
        found, state = rc.unroll(cell, leaf)
        output, _ = cell(x[:, 0], state)
    assert torch.equal(found, expected) and output.dtype is torch.float32
    found.sum().backward()
    assert leaf.grad.dtype is torch.bfloat16 and leaf.grad.isfinite().all()
    assert "kernel" in _explained(cell, x)


def _explained(cell, x):
    with torch.autocast("cpu", torch.bfloat16):
        return str(rc.explain(cell, x))
