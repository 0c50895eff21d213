"""The compiled scan and the mLSTM's compiled memory against the same equations in torch."""

import pytest
import torch

import recurra as rc
from recurra.kernels import matrix_memory
from recurra.kernels.linear import linear_scan
from recurra.kernels.native import library

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


def stepwise(a, b, initial, reverse):
    """The definition."""
    h, found = initial, [None] * len(b)
    a = a.expand(b.shape)
    for t in reversed(range(len(b))) if reverse else range(len(b)):
        found[t] = h = a[t] * h + b[t]
    return torch.stack(found)


SHAPES = {
    "whole": ((7, 5, 19), (7, 5, 19)),
    "steady": ((19,), (7, 5, 19)),
    "steady a row": ((1, 5, 1), (7, 5, 19)),
    "same for all rows": ((7, 1, 19), (7, 5, 19)),
    "two dimensions": ((7, 4), (7, 4)),
    "four dimensions": ((7, 2, 3, 4), (7, 2, 3, 4)),
    "one step": ((1, 2, 3), (1, 2, 3)),
    "few rows": ((30, 1, 70), (30, 1, 70)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
def test_scan(isa, shape, dtype, reverse):
    sizes = SHAPES[shape]
    tensors = [torch.randn(size, dtype=dtype).requires_grad_() for size in (*sizes, sizes[1][1:])]
    weight = torch.randn(sizes[1], dtype=dtype)
    results = []
    for scan in (stepwise, lambda *call: linear_scan(*call[:3], reverse=call[3])):
        h = scan(*tensors, reverse)
        results.append((h.detach(), *torch.autograd.grad((h * weight).abs().sum(), tensors)))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_scan_of_views_and_for_any_number_of_threads(isa, monkeypatch):
    a, b = torch.rand(300, 24, 80).chunk(2, -1)
    start = torch.randn(40).expand(24, 40)
    expected = stepwise(a, b, start, False)
    for threads in (1, 2, 3):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        found = linear_scan(a, b, start)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(linear_scan(a[:, :2], b[:, :2], start[:2]), expected[:, :2])
        transposed = [leaf.transpose(1, 2).contiguous().transpose(1, 2) for leaf in (a, b)]
        assert torch.equal(linear_scan(*transposed, start), found)


@pytest.mark.parametrize(("hidden", "heads"), [(5, 1), (32, 2), (48, 3), (80, 2), (64, 1)])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("forget_gate", "T"), [("sigmoid", 70), ("exp", 9)])
def test_memory(isa, monkeypatch, hidden, heads, reverse, forget_gate, T):
    """Steps in compiled code, chunks in torch: outputs and states, over ragged rows, from a state."""
    cell = rc.MLSTMCell(6, hidden, heads=heads, forget_gate=forget_gate)
    inputs, lengths = 0.5 * torch.randn(T, 4, 6), torch.tensor([T, 0, T // 2, 1])
    with torch.no_grad():
        _, state = cell.unroll(inputs, cell.initial_state(4))
        inputs[lengths[2] :, 2] = torch.nan
        before = [leaf.clone() for leaf in state]
        calls = []
        monkeypatch.setattr(library, "mlstm", lambda call, run=library.mlstm: (calls.append(1), run(call)))
        outputs, final = cell.unroll(inputs, state, lengths, reverse=reverse)
        assert calls
        monkeypatch.setattr(matrix_memory, "LARGEST", 0)
        expected, after = cell.unroll(inputs, state, lengths, reverse=reverse)
    assert all(torch.equal(leaf, kept) for leaf, kept in zip(state, before, strict=True))
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(final, after, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_memory_with_any_number_of_threads(isa, monkeypatch):
    cell, inputs = rc.MLSTMCell(8, 64, heads=2), torch.randn(40, 3, 8)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        with torch.no_grad():
            results.append(cell.unroll(inputs, cell.initial_state(3))[0])
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
