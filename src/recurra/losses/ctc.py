"""Connectionist temporal classification (Graves et al., 2006): torch's loss, called with logits, batch first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from recurra.cells.checks import check_classes, check_lengths
from recurra.errors import InputError, StructureError
from recurra.kernels.scan import mask_inputs, traced, valid_steps


def ctc_loss(
    logits: Tensor,
    labels: Tensor,
    label_lengths: Tensor,
    lengths: Tensor | None = None,
    *,
    blank: int = -1,
    merge_repeated: bool = True,
    collapse_labels: bool = False,
    ignore_impossible: bool = False,
    time_major: bool = False,
) -> Tensor:
    """The negative log-probability `[B]` of the labels, over all alignments.

    Args:
        logits: `[B, T, C]` (or `[T, B, C]` with `time_major`), not normalised.
        labels: `[B, S]` classes other than the blank (anything past a row's label length).
        label_lengths: `[B]` integers in `0..S`.
        lengths: `[B]` frames, `0..T`; None means T. Frames past them have no influence and no gradient.
        blank: its class; negative counts from the end (TensorFlow's ctc_loss has the last class).
        merge_repeated: whether a label may last several frames; False is TensorFlow's non-standard
            ctc_merge_repeated=False, in which each frame of a label is a label of its own.
        collapse_labels: merge equal neighbours in `labels` first (TensorFlow's preprocess_collapse_repeated).
        ignore_impossible: loss and gradient 0 for a row with fewer frames than its labels need.

    Raises:
        InputError (ValueError): a wrong shape or class, or a row with too few frames. StructureError (TypeError): no
            tensor, or labels that are no integers.
    """
    for name, value in (("logits", logits), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise StructureError(f"`{name}` must be a tensor, got {type(value).__name__}")
    if logits.dim() != 3 or labels.dim() != 2:
        raise InputError(
            f"`logits` must be [B, T, C] and `labels` [B, S], got {list(logits.shape)} and {list(labels.shape)}"
        )
    frames = logits if time_major else logits.transpose(0, 1)
    T, B, C = frames.shape
    blank = blank_class(blank, C)
    if labels.shape[0] != B:
        raise InputError(f"`labels` has {labels.shape[0]} rows, expected {B} as `logits` say")
    check_lengths(label_lengths, B, labels.shape[1], logits.device)
    lengths = torch.full((B,), T, device=logits.device) if lengths is None else lengths
    check_lengths(lengths, B, T, logits.device)
    labels = _checked(labels, label_lengths, blank, C)
    if collapse_labels:
        labels, label_lengths = _collapsed(labels, label_lengths)
    if not ignore_impossible and not traced(logits, labels):
        _check_time(labels, label_lengths, lengths, merge_repeated)
    log_probs = torch.log_softmax(mask_inputs(frames, valid_steps(lengths, T)), -1)
    if merge_repeated and T and B:  # torch's refuses frames that hold nothing
        return functional.ctc_loss(
            log_probs, labels, lengths, label_lengths, blank, "none", zero_infinity=ignore_impossible
        )
    loss = _unmerged(log_probs, labels, lengths, label_lengths, blank)
    return torch.where(loss.isinf(), torch.zeros_like(loss), loss) if ignore_impossible else loss


def blank_class(blank: int, classes: int) -> int:
    """`blank` as an index from the front."""
    if not -classes <= blank < classes:
        raise InputError(f"`blank` must be one of {classes} classes, got {blank}")
    return blank % classes


def _checked(labels: Tensor, label_lengths: Tensor, blank: int, classes: int) -> Tensor:
    """`labels` as int64 with some class past a row's length; what counts must be a class other than the blank: torch
    would read scores from beyond the tensor."""
    inside, other = valid_steps(label_lengths, labels.shape[1]).t(), (blank + 1) % classes
    check_classes("labels", torch.where(inside, labels, other), classes)
    if not traced(labels) and bool((inside & (labels == blank)).any()):
        raise InputError(f"`labels` must not hold the blank, class {blank}")
    return torch.where(inside, labels.long(), other)


def _repeats(labels: Tensor, label_lengths: Tensor) -> Tensor:
    """`[B, S-1]`, true where a label equals its left neighbour (within the row)."""
    inside = valid_steps(label_lengths, labels.shape[1]).t()
    return (labels[:, 1:] == labels[:, :-1]) & inside[:, 1:]


def _check_time(labels: Tensor, label_lengths: Tensor, lengths: Tensor, merge_repeated: bool) -> None:
    needed = label_lengths + (_repeats(labels, label_lengths).sum(1) if merge_repeated else 0)
    for row in (needed > lengths).nonzero().flatten().tolist():
        raise InputError(
            f"`lengths`: not enough time for the labels of row {row} (required: {int(needed[row])}, "
            f"available: {int(lengths[row])}); `ignore_impossible=True` skips such rows"
        )


def _collapsed(labels: Tensor, label_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Labels with equal neighbours merged, moved to the front."""
    keep = valid_steps(label_lengths, labels.shape[1]).t().clone()
    keep[:, 1:] &= ~_repeats(labels, label_lengths)
    order = torch.argsort((~keep).int(), dim=1, stable=True)
    return labels.gather(1, order), keep.sum(1)


def _unmerged(log_probs: Tensor, labels: Tensor, lengths: Tensor, label_lengths: Tensor, blank: int) -> Tensor:
    """The loss where a label lasts one frame: the forward algorithm over labels with blanks between them."""
    T, B, _ = log_probs.shape
    S = labels.shape[1]
    states = labels.new_full((B, 2 * S + 1), blank)
    states[:, 1::2] = labels
    is_blank = torch.arange(2 * S + 1, device=labels.device) % 2 == 0
    nothing = torch.finfo(log_probs.dtype).min / 4
    alpha = log_probs.new_full((B, 2 * S + 1), nothing)
    start = log_probs[:0].sum()  # 0, with a gradient even where no frame follows
    alpha = torch.where(torch.arange(2 * S + 1, device=labels.device) == 0, start, alpha)
    for t in range(T):
        stay = torch.where(is_blank, alpha, nothing)
        # Before the first frame only the leading blank holds weight, and it must not skip to the second label.
        forward = functional.pad(alpha, (1, 0), value=nothing)[:, :-1]
        skip = functional.pad(alpha, (2, 0), value=nothing)[:, :-2]
        skip = torch.where(is_blank, nothing, skip)
        step = torch.logsumexp(torch.stack([stay, forward, skip]), 0) + log_probs[t].gather(1, states)
        alpha = torch.where((t < lengths).unsqueeze(1), step, alpha)
    ends = torch.stack([2 * label_lengths, (2 * label_lengths - 1).clamp(min=0)], 1)
    last = alpha.gather(1, ends)
    total = torch.where(label_lengths > 0, torch.logsumexp(last, 1), last[:, 0])
    return torch.where(total < nothing / 2, torch.inf, -total)
