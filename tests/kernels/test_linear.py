"""The compiled scan against the same equation in torch."""

import pytest
import torch

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
