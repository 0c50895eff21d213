"""Drawn masks: how often, how independent, and that a seed's numbers depend on nothing else."""

import math

import pytest
import torch

from recurra.kernels import draw_mask
from recurra.kernels.native import library

LIKE = torch.empty(())


def deviations(sums, count, probability):
    """Sums of `count` decisions in standard deviations from what is expected."""
    return (sums - count * probability) / math.sqrt(count * probability * (1 - probability))


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
def test_how_often(probability):
    torch.manual_seed(0)
    mask = draw_mask((200, 50, 100), probability, 1.0, LIKE)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    for axes in ((0, 1, 2), (0, 1), (1, 2), (0, 2), (0,), (2,)):
        found = deviations(mask.sum(axes).flatten(), math.prod(mask.shape[axis] for axis in axes), probability)
        bound = 5 + (1 / math.sqrt(50 * probability * (1 - probability)))  # a few decisions are not yet normal
        assert found.abs().max() < bound
        if found.numel() > 1:
            assert abs(found.var().item() - 1) < 6 * math.sqrt(2 / found.numel())


@pytest.mark.parametrize("lag", [1, 2, 15, 16, 17, 50])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_are_independent(axis, lag):
    torch.manual_seed(1)
    mask = draw_mask((80, 80, 80), 0.5, 1.0, LIKE) - 0.5
    count = mask.shape[axis] - lag
    product = mask.narrow(axis, lag, count) * mask.narrow(axis, 0, count)
    assert abs(product.sum().item()) < 5 * 0.25 * math.sqrt(product.numel())


def test_neighbouring_seeds_are_independent():
    one, other = (library.draw((50, 40, 100), 0.5, 1.0, seed) - 0.5 for seed in (7, 8))
    assert abs((one * other).sum().item()) < 5 * 0.25 * math.sqrt(one.numel())
    assert abs((one[1:] * other[:-1]).sum().item()) < 5 * 0.25 * math.sqrt(one[1:].numel())


@pytest.mark.parametrize("shape", [(1, 1, 7), (1, 9, 100), (30, 1, 33), (50, 40, 100), (20, 3, 5, 4, 2), (4, 3)])
def test_a_seed_gives_the_same_for_any_number_of_threads(isa, monkeypatch, shape):
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        torch.manual_seed(5)
        found.append(draw_mask(shape, 0.3, 2.5, LIKE))
    assert found[0].shape == shape and set(found[0].unique().tolist()) <= {0.0, 2.5}
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    library.use_isa("portable")
    torch.manual_seed(5)
    assert torch.equal(draw_mask(shape, 0.3, 2.5, LIKE), found[0])


def test_a_row_is_the_same_whatever_is_drawn_beside_it():
    """Units that more of are drawn keep their decisions, and so do the first rows of a longer sequence."""
    small, large = (library.draw((steps, 40, width), 0.3, 1.0, 9) for steps, width in ((20, 100), (50, 130)))
    assert torch.equal(small, large[:20, :, :100])
