"""CTC against TensorFlow 1.15: losses, gradients, decoders."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from recurra.losses import ctc_beam_search, ctc_greedy, ctc_loss
from tests.goldens_io import Arrays


def dense_labels(g: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    """The sparse labels of the file as (padded rows, lengths)."""
    labels = torch.full(g["label_shape"].tolist(), -1)
    lengths = torch.zeros(labels.shape[0], dtype=torch.int64)
    for (row, column), value in zip(g["label_indices"].tolist(), g["label_values"].tolist(), strict=True):
        labels[row, column] = value
        lengths[row] += 1
    return labels, lengths


@pytest.mark.parametrize(("collapse", "merge"), list(itertools.product([0, 1], repeat=2)))
def test_golden_loss(collapse: int, merge: int) -> None:
    g = Arrays("losses/ctc_loss")
    logits = g["inputs"].requires_grad_()
    loss = ctc_loss(
        logits,
        *dense_labels(g),
        g["seq_len"],
        merge_repeated=bool(merge),
        collapse_labels=bool(collapse),
        time_major=True,
    )
    key = f"loss_pc{collapse}_mr{merge}"
    g.check(key, loss)
    loss.sum().backward()
    g.check(f"{key}/grad", logits.grad)


def test_golden_batch_major_and_too_few_frames() -> None:
    g = Arrays("losses/ctc_loss")
    labels = dense_labels(g)
    g.check("loss_batch_major", ctc_loss(g["inputs"].transpose(0, 1), *labels, g["seq_len"]))
    logits = g["inputs"].requires_grad_()
    with pytest.raises(ValueError, match=r"not enough time for the labels of row 2 \(required: 3, available: 2\)"):
        ctc_loss(logits, *labels, g["seq_len_short"], time_major=True)
    loss = ctc_loss(logits, *labels, g["seq_len_short"], time_major=True, ignore_impossible=True)
    g.check("loss_ignore_longer", loss)
    loss.sum().backward()
    g.check("loss_ignore_longer/grad", logits.grad)


def test_golden_blank_first() -> None:
    g = Arrays("losses/ctc_loss_v2_dense")
    logits = g["inputs"].requires_grad_()
    loss = ctc_loss(logits, g["labels"], g["label_length"].long(), g["logit_length"], blank=0, time_major=True)
    g.check("loss", loss)
    loss.sum().backward()
    assert logits.grad is not None
    # TensorFlow's dense ctc_loss_v2 lets a gradient (the softmax) through past a row's frames; here it is 0.
    inside = (torch.arange(7).unsqueeze(1) < g["logit_length"]).unsqueeze(2)
    torch.testing.assert_close(logits.grad, torch.where(inside, g["grad"], 0.0), rtol=1e-5, atol=1e-5)


def decoded(g: Arrays, key: str) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(int(g[f"{key}/shape"][0]))]
    for (row, _), value in zip(g[f"{key}/indices"].tolist(), g[f"{key}/values"].tolist(), strict=True):
        rows[row].append(value)
    return rows


@pytest.mark.parametrize("merge", [0, 1])
def test_golden_greedy(merge: int) -> None:
    g = Arrays("losses/ctc_decoders")
    labels, score = ctc_greedy(g["inputs"], g["seq_len"], merge_repeated=bool(merge), time_major=True)
    assert labels == decoded(g, f"greedy_mr{merge}")
    g.check(f"greedy_mr{merge}/neg_sum_logits", -score.unsqueeze(1))


@pytest.mark.parametrize("merge", [0, 1])
def test_golden_beam(merge: int) -> None:
    g = Arrays("losses/ctc_decoders")
    paths = ctc_beam_search(
        g["inputs"], g["seq_len"], beam_width=5, top_paths=3, merge_repeated=bool(merge), time_major=True
    )
    for k, (labels, _) in enumerate(paths):
        assert labels == decoded(g, f"beam_mr{merge}/{k}")
    g.check(f"beam_mr{merge}/log_prob", torch.stack([score for _, score in paths], 1))


def test_golden_beam_defaults() -> None:
    g = Arrays("losses/ctc_decoders")
    (best,) = ctc_beam_search(g["inputs"], g["seq_len"], merge_repeated=True, time_major=True)
    assert best.labels == decoded(g, "beam_default")
    g.check("beam_default/log_prob", best.score.unsqueeze(1))


def test_wide_beam_is_the_sum_over_all_alignments() -> None:
    frames = torch.randn(1, 4, 3)
    log_probs = frames.double().log_softmax(2)[0]
    weights: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(3), repeat=4):
        label = tuple(c for t, c in enumerate(path) if c != 2 and not (t and path[t - 1] == c))
        weight = math.exp(sum(float(log_probs[t, c]) for t, c in enumerate(path)))
        weights[label] = weights.get(label, 0.0) + weight
    ranked = sorted(weights, key=lambda label: -weights[label])[:3]
    paths = ctc_beam_search(frames, beam_width=1000, top_paths=3)
    assert [tuple(path.labels[0]) for path in paths] == ranked
    for path, label in zip(paths, ranked, strict=True):
        assert float(path.score[0]) == pytest.approx(math.log(weights[label]), rel=1e-5)
        padded = torch.zeros(1, 4, dtype=torch.int64)
        padded[0, : len(label)] = torch.tensor(label)
        loss = ctc_loss(frames, padded, torch.tensor([len(label)]))
        assert float(loss[0]) == pytest.approx(-math.log(weights[label]), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ctc_greedy(torch.zeros(2, 3)), r"`logits` must be \[B, T, C\], got shape \[2, 3\]"),
        (
            lambda: ctc_beam_search(torch.zeros(1, 2, 3), beam_width=2, top_paths=3),
            r"`top_paths` \(3\) must not exceed",
        ),
        (lambda: ctc_greedy(torch.zeros(1, 2, 3), blank=3), "`blank` must be one of 3 classes, got 3"),
        (lambda: ctc_greedy(torch.zeros(1, 2, 3), torch.tensor([5])), "`lengths` holds 5"),
        (
            lambda: ctc_loss(torch.zeros(2, 3, 4), torch.zeros(1, 2).long(), torch.tensor([1, 1])),
            "`labels` has 1 rows, expected 2",
        ),
    ],
)
def test_bad_input(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("merge_repeated", [True, False])
def test_nothing_to_read(merge_repeated: bool) -> None:
    """Without rows an empty loss; without frames a certainty for rows without labels, and no way for the others."""
    logits, labels = torch.randn(2, 4, 5, requires_grad=True), torch.tensor([[1, 2], [3, 3]])
    none = torch.zeros(2, dtype=torch.int64)
    assert ctc_loss(logits[:0], labels[:0], none[:0], merge_repeated=merge_repeated).shape == (0,)
    loss = ctc_loss(logits[:, :0], labels, none, merge_repeated=merge_repeated)
    assert loss.tolist() == [0, 0]
    loss.sum().backward()
    assert not logits.grad.any()
    with pytest.raises(ValueError, match=r"not enough time for the labels of row 0 \(required: 1, available: 0\)"):
        ctc_loss(logits[:, :0], labels, torch.ones_like(none), merge_repeated=merge_repeated)


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        (torch.tensor([[1, 5]]), ValueError, r"`labels` must lie in 0..4, got 5"),
        (torch.tensor([[-2, 1]]), ValueError, r"`labels` must lie in 0..4, got -2"),
        (torch.tensor([[1, 4]]), ValueError, "`labels` must not hold the blank, class 4"),
        (torch.tensor([[1.0, 2.0]]), TypeError, "`labels` must hold integers, got dtype torch.float32"),
        ([[1, 2]], TypeError, "`labels` must be a tensor, got list"),
    ],
)
def test_labels_that_are_no_classes(labels: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        ctc_loss(torch.randn(1, 4, 5), labels, torch.tensor([2]))


def test_anything_may_lie_past_the_labels() -> None:
    logits = torch.randn(1, 4, 5)
    loss = ctc_loss(logits, torch.tensor([[1, -9, 4, 77]]), torch.tensor([1]))
    torch.testing.assert_close(loss, ctc_loss(logits, torch.tensor([[1]]), torch.tensor([1])))
