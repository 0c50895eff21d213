"""Chains against TensorFlow 1.15's contrib.crf, and against the sum over all paths."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra import crf
from tests.goldens_io import Arrays


def test_golden_scores_and_gradients() -> None:
    g = Arrays("losses/crf")
    scores, transitions = g["inputs"].requires_grad_(), g["transitions"].requires_grad_()
    lengths, tags = g["seq_len"], g["tags"]
    g.check("sequence_score", crf.sequence_score(scores, tags, transitions, lengths))
    g.check("log_norm", crf.log_norm(scores, transitions, lengths))
    likelihood = crf.log_likelihood(scores, tags, transitions, lengths)
    g.check("log_likelihood", likelihood)
    g.check("multitag_score", crf.multitag_score(scores, g["tag_bitmap"].bool(), transitions, lengths))
    (-likelihood * g["nll_w"]).sum().backward()
    g.check("grad/inputs", scores.grad)
    g.check("grad/transitions", transitions.grad)


@pytest.mark.parametrize("name", ["crf", "crf_single"])
def test_golden_decoding(name: str) -> None:
    g = Arrays(f"losses/{name}")
    lengths = g["seq_len"].clamp(min=1)  # TensorFlow decodes a row of length 0 as if it had one step
    tags, score = crf.viterbi(g["inputs"], g["transitions"], lengths)
    assert torch.equal(tags, g["decode_tags"].long())
    g.check("decode_score", score)


def test_golden_single_step() -> None:
    g = Arrays("losses/crf_single")
    call = (g["transitions"], g["seq_len"])
    g.check("sequence_score", crf.sequence_score(g["inputs"], g["tags"], *call))
    g.check("log_norm", crf.log_norm(g["inputs"], *call))
    g.check("log_likelihood", crf.log_likelihood(g["inputs"], g["tags"], *call))


def enumerated(scores: torch.Tensor, transitions: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Every path of one row and its score."""
    steps, K = scores.shape
    paths = {}
    for path in itertools.product(range(K), repeat=steps):
        unary = sum(scores[t, tag] for t, tag in enumerate(path))
        paths[path] = float(unary + sum(transitions[a, b] for a, b in itertools.pairwise(path)))
    return paths


@given(st.integers(0, 2**31 - 1), st.integers(0, 4), st.integers(1, 3))
def test_equals_the_sum_over_all_paths(seed: int, length: int, K: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, 4, K, generator=draw, dtype=torch.float64)
    transitions = torch.randn(K, K, generator=draw, dtype=torch.float64)
    lengths = torch.tensor([length])
    padded = scores.clone()
    padded[:, length:] = torch.nan
    best, score = crf.viterbi(padded, transitions, lengths)
    norm = crf.log_norm(padded, transitions, lengths)
    found = crf.marginals(padded, transitions, lengths)
    if length == 0:
        assert norm == 0 and score == 0 and not best.any() and not found.any()
        return
    paths = enumerated(scores[0, :length], transitions)
    weights = torch.tensor(list(paths.values()), dtype=torch.float64)
    torch.testing.assert_close(norm[0], weights.logsumexp(0))
    torch.testing.assert_close(score[0], weights.max())
    torch.testing.assert_close(torch.tensor(paths[tuple(best[0, :length].tolist())], dtype=torch.float64), score[0])
    for t, k in itertools.product(range(length), range(K)):
        through = torch.tensor([path[t] == k for path in paths])
        expected = torch.where(through, weights.softmax(0), 0).sum()
        torch.testing.assert_close(found[0, t, k], expected)
    assert not found[0, length:].any()


def test_padding_reaches_no_gradient() -> None:
    scores = torch.randn(2, 3, 4, requires_grad=True)
    transitions = torch.randn(4, 4, requires_grad=True)
    spoiled = torch.where(torch.tensor([[True] * 3, [True, False, False]]).unsqueeze(2), scores, torch.nan)
    tags = torch.tensor([[0, 1, 2], [3, 99, -1]])
    crf.log_likelihood(spoiled, tags, transitions, torch.tensor([3, 1])).sum().backward()
    assert scores.grad is not None and transitions.grad is not None
    assert scores.grad.isfinite().all() and transitions.grad.isfinite().all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": torch.zeros(2, 3)}, "`scores`"),
        ({"transitions": torch.zeros(3, 4)}, r"`transitions` must have shape \[4, 4\]"),
        ({"tags": torch.zeros(2, 2, dtype=torch.int64)}, r"`tags` has shape \[2, 2\], expected \[2, 3\]"),
        ({"tags": torch.full((2, 3), 4)}, r"`tags` must lie in 0..3, got 4"),
        ({"tags": torch.zeros(2, 3)}, "`tags` must hold integers, got dtype"),
        ({"lengths": torch.tensor([1, 4])}, "`lengths` holds 4"),
    ],
)
def test_bad_input(change: dict[str, torch.Tensor], says: str) -> None:
    call = {"scores": torch.zeros(2, 3, 4), "tags": torch.zeros(2, 3, dtype=torch.int64), "transitions": torch.eye(4)}
    with pytest.raises((ValueError, TypeError), match=says):
        crf.log_likelihood(**{**call, **change})


def test_a_likelihood_per_sample_under_vmap() -> None:
    scores, tags = torch.randn(4, 2, 3, 5, dtype=torch.float64), torch.randint(0, 5, (4, 2, 3))
    transitions = torch.randn(5, 5, dtype=torch.float64)
    found = torch.vmap(lambda s, t: crf.log_likelihood(s, t, transitions))(scores, tags)
    alone = [crf.log_likelihood(s, t, transitions) for s, t in zip(scores, tags, strict=True)]
    torch.testing.assert_close(found, torch.stack(alone))
