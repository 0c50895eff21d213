"""Cross entropy over padded sequences, with TensorFlow's ways of averaging (contrib.seq2seq, legacy_seq2seq)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from recurra.cells.checks import check_classes, check_lengths
from recurra.errors import InputError, StructureError
from recurra.kernels.scan import valid_steps

PerStep: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(logits `[N, C]`, targets `[N]`) -> loss `[N]`."""


def sequence_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    *,
    lengths: Tensor | None = None,
    over: Literal["both", "time", "batch", "none"] = "both",
    divide_by: Literal["weights", "count"] = "weights",
    loss: PerStep | None = None,
) -> Tensor:
    """Weighted cross entropy of each step, summed over some axes and divided.

    Args:
        logits: `[B, T, C]`.
        targets: `[B, T]` integers in `0..C-1` (anything where the weight is 0); with a `loss`, whatever that takes.
        weights: `[B, T]`; default 1, and 0 past a row's length.
        lengths: `[B]`: steps past them count for nothing, whatever logits and targets hold there.
        over: the axes to sum over. "both": a scalar (the sum over everything divided once, not a mean of means);
            "time": `[B]`; "batch": `[T]`; "none": `[B, T]`, divided by nothing.
        divide_by: the sum of the weights (TensorFlow's average_across_…) or the number of those that are not zero
            (its sum_over_…). Where that is 0, so is the result.
        loss: in place of the cross entropy, see `PerStep`.

    Raises:
        InputError (ValueError): shapes or lengths that do not fit, a target that is no class.
        StructureError (TypeError): targets that are no integers.
    """
    values, weights = _weighted(logits, targets, weights, lengths, loss)
    axes = {"both": (0, 1), "time": (1,), "batch": (0,), "none": ()}
    if over not in axes:
        raise InputError(f"`over` must be one of {', '.join(axes)}, got {over!r}")
    if divide_by not in ("weights", "count"):
        raise InputError(f"`divide_by` must be 'weights' or 'count', got {divide_by!r}")
    if over == "none":
        return values
    share = weights if divide_by == "weights" else (weights != 0).to(values.dtype)
    total, divisor = values.sum(axes[over]), share.sum(axes[over])
    empty = divisor == 0
    return torch.where(empty, torch.zeros_like(total), total / torch.where(empty, torch.ones_like(divisor), divisor))


def sequence_loss_by_example(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    *,
    lengths: Tensor | None = None,
    average: bool = True,
    loss: PerStep | None = None,
) -> Tensor:
    """The loss `[B]` of each row, as legacy_seq2seq has it: the sum over time, divided by (sum of weights + 1e-12).

    Its `sequence_loss` is the sum of these, or (its default) their mean over all rows. Arguments as in
    `sequence_loss`; `average=False` leaves the division away.
    """
    values, weights = _weighted(logits, targets, weights, lengths, loss)
    total = values.sum(1)
    return total / (weights.sum(1) + 1e-12) if average else total


def perplexity(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, *, lengths: Tensor | None = None
) -> Tensor:
    """The exponential of the mean cross entropy of a step, a scalar; arguments as in `sequence_loss`."""
    return sequence_loss(logits, targets, weights, lengths=lengths).exp()


def _weighted(
    logits: Tensor, targets: Tensor, weights: Tensor | None, lengths: Tensor | None, loss: PerStep | None
) -> tuple[Tensor, Tensor]:
    """(weighted losses, weights), both `[B, T]`."""
    for name, given in (("logits", logits), ("targets", targets)):
        if not isinstance(given, Tensor):
            raise StructureError(f"`{name}` must be a tensor, got {type(given).__name__}")
    if logits.dim() != 3:
        raise InputError(f"`logits` must have shape [B, T, C], got {list(logits.shape)}")
    batch, steps = logits.shape[:2]
    for name, value in (("targets", targets), ("weights", weights)):
        if value is not None and list(value.shape) != [batch, steps]:
            raise InputError(f"`{name}` has shape {list(value.shape)}, expected {[batch, steps]} as `logits` say")
    if weights is None:
        weights = torch.ones(batch, steps, dtype=logits.dtype, device=logits.device)
    if lengths is not None:
        check_lengths(lengths, batch, steps, logits.device)
        valid = valid_steps(lengths, steps).t()
        logits = torch.where(valid.unsqueeze(2), logits, logits.new_zeros(()))
        targets = torch.where(valid, targets, targets.new_zeros(()))
        weights = torch.where(valid, weights, weights.new_zeros(()))
    if loss is None:
        targets = _checked(targets, weights, logits.shape[2])
    compute = _cross_entropy if loss is None else loss
    return compute(logits.flatten(0, 1), targets.flatten()).view(batch, steps) * weights, weights


def _checked(targets: Tensor, weights: Tensor, classes: int) -> Tensor:
    """`targets` with 0 where the weight is 0, so that a mark as -100 for "no target" is no class; the rest must be
    classes: torch would count a -100 as a loss of 0 and still divide by its weight."""
    targets = torch.where(weights == 0, targets.new_zeros(()), targets)
    check_classes("targets", targets, classes, "; steps without a target take weight 0")
    return targets


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets.long(), reduction="none")
