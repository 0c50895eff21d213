"""Clipping by the global norm against TensorFlow 1.15, and what becomes of infinities."""

from __future__ import annotations

import pytest
import torch

from recurra.losses import clip_by_global_norm, clip_gradients, global_norm
from tests.goldens_io import Arrays


@pytest.mark.parametrize("limit", [1, 100])
def test_golden(limit: int) -> None:
    g = Arrays("losses/clip_ops")
    clipped, norm = clip_by_global_norm([g["in/0"], None, g["in/1"], g["in/2"]], limit)
    g.check(f"global_{limit}/norm", norm)
    assert clipped[1] is None
    for index, tensor in enumerate(tensor for tensor in clipped if tensor is not None):
        g.check(f"global_{limit}/{index}", tensor)


@pytest.mark.parametrize("broken", [torch.inf, torch.nan])
def test_a_norm_that_is_not_finite_spoils_everything(broken: float) -> None:
    clipped, norm = clip_by_global_norm([torch.ones(2), torch.tensor([broken, 1.0])], 1.0)
    assert not norm.isfinite()
    assert all(tensor is not None and tensor.isnan().all() for tensor in clipped)


def test_zeros_stay_zeros() -> None:
    clipped, norm = clip_by_global_norm([torch.zeros(3)], 1.0)
    assert norm == 0 and torch.equal(clipped[0], torch.zeros(3))  # type: ignore[arg-type]
    assert global_norm([None]) == 0


def test_in_place_on_gradients() -> None:
    layer = torch.nn.Linear(3, 2)
    layer(torch.randn(4, 3)).square().sum().backward()
    before = clip_gradients(layer.parameters(), 0.1)
    assert before > 0.1
    torch.testing.assert_close(global_norm(p.grad for p in layer.parameters()), torch.tensor(0.1))
    with pytest.raises(ValueError, match="`clip_norm` must be"):
        clip_gradients(layer.parameters(), -1.0)
