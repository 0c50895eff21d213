"""Sequence losses against TensorFlow 1.15."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recurra.losses import perplexity, sequence_loss, sequence_loss_by_example
from tests.goldens_io import Arrays

FLAGS = {"at1_ab1": "both", "at1_ab0": "time", "at0_ab1": "batch", "at0_ab0": "none"}


@pytest.mark.parametrize("flags", FLAGS)
def test_averages(flags: str) -> None:
    g = Arrays("losses/loss_sequence_loss")
    logits = g["logits"].requires_grad_()
    found = sequence_loss(logits, g["targets"], g["weights"], over=FLAGS[flags])  # type: ignore[arg-type]
    g.check(flags, found)
    found.sum().backward()
    g.check(f"{flags}/grad_logits", logits.grad)


@pytest.mark.parametrize(("flags", "over"), [("st1_sb1", "both"), ("st1_sb0", "time"), ("st0_sb1", "batch")])
def test_divided_by_the_count(flags: str, over: str) -> None:
    g = Arrays("losses/loss_sequence_loss")
    call = (g["logits"], g["targets"], g["weights"])
    g.check(flags, sequence_loss(*call, over=over, divide_by="count"))  # type: ignore[arg-type]


def test_another_loss() -> None:
    g = Arrays("losses/loss_sequence_loss")

    def custom(logits: Tensor, targets: Tensor) -> Tensor:
        return 2 * torch.nn.functional.cross_entropy(logits, targets.long(), reduction="none") + 0.25

    found = sequence_loss(g["logits"], g["targets"], g["weights"], over="time", loss=custom)
    g.check("custom_at1_ab0", found)


@pytest.mark.parametrize("average", [0, 1])
def test_by_example(average: int) -> None:
    g = Arrays("losses/loss_legacy")
    pieces = {part: torch.stack([g[f"{part}/{t}"] for t in range(4)], 1) for part in ("logits", "targets", "weights")}
    logits = pieces["logits"].requires_grad_()
    rows = sequence_loss_by_example(logits, pieces["targets"], pieces["weights"], average=bool(average))
    g.check(f"by_example_at{average}", rows)
    for batch, total in ((0, rows.sum()), (1, rows.mean())):
        g.check(f"loss_at{average}_ab{batch}", total)
        (grad,) = torch.autograd.grad(total, logits, retain_graph=True)
        for t in range(4):
            g.check(f"loss_at{average}_ab{batch}/grad_logits/{t}", grad[:, t])


def test_lengths_equal_weights_and_the_padding_counts_for_nothing() -> None:
    logits, targets = torch.randn(3, 4, 5), torch.randint(0, 5, (3, 4))
    lengths = torch.tensor([4, 2, 0])
    weights = (torch.arange(4) < lengths.unsqueeze(1)).float()
    spoiled = torch.where(weights.bool().unsqueeze(2), logits, torch.nan).requires_grad_()
    found = sequence_loss(spoiled, torch.where(weights.bool(), targets, -7), lengths=lengths)
    torch.testing.assert_close(found, sequence_loss(logits, targets, weights))
    torch.testing.assert_close(perplexity(spoiled, targets, lengths=lengths), found.exp())
    (grad,) = torch.autograd.grad(found, spoiled)
    assert grad.isfinite().all() and not grad[1, 2:].any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"logits": torch.zeros(2, 3)}, r"`logits` must have shape \[B, T, C\], got \[2, 3\]"),
        ({"targets": torch.zeros(3, 2)}, r"`targets` has shape \[3, 2\], expected \[2, 3\]"),
        ({"weights": torch.zeros(2)}, r"`weights` has shape \[2\], expected \[2, 3\]"),
        ({"over": "rows"}, "`over` must be one of both, time, batch, none, got 'rows'"),
        ({"divide_by": "T"}, "`divide_by` must be"),
        ({"lengths": torch.tensor([4, 1])}, "`lengths` holds 4"),
    ],
)
def test_bad_input(change: dict[str, object], says: str) -> None:
    call = {"logits": torch.zeros(2, 3, 4), "targets": torch.zeros(2, 3, dtype=torch.int64)}
    with pytest.raises(ValueError, match=says):
        sequence_loss(**{**call, **change})  # type: ignore[arg-type]


def test_a_mark_for_no_target_counts_only_with_a_weight() -> None:
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[1, 2, -100], [4, -100, -100]])
    weights = (targets >= 0).float()
    want = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())  # torch's mean leaves -100 out
    assert sequence_loss(logits, targets, weights).item() == pytest.approx(want.item())
    with pytest.raises(ValueError, match=r"`targets` must lie in 0..4, got -100; steps without a target take weight 0"):
        sequence_loss(logits, targets)
    with pytest.raises(ValueError, match=r"`targets` must lie in 0..4, got 5"):
        sequence_loss_by_example(logits, torch.full((2, 3), 5))


def test_targets_that_are_no_classes() -> None:
    logits, targets = torch.randn(2, 3, 4), torch.tensor([[0, 1, -100], [3, -100, -100]])
    with pytest.raises(ValueError, match=r"`targets` must lie in 0..3, got -100; steps without a target take weight 0"):
        sequence_loss(logits, targets)
    with pytest.raises(TypeError, match=r"`targets` must hold integers, got dtype torch.float32"):
        sequence_loss(logits, targets.float())
    mean = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    torch.testing.assert_close(sequence_loss(logits, targets, (targets != -100).float()), mean)


def test_a_loss_per_sample_under_vmap() -> None:
    logits, targets = torch.randn(5, 2, 3, 4), torch.randint(0, 4, (5, 2, 3))
    found = torch.vmap(sequence_loss)(logits, targets)
    torch.testing.assert_close(found, torch.stack([sequence_loss(*pair) for pair in zip(logits, targets, strict=True)]))
