"""Linear-chain conditional random fields (Lafferty, McCallum and Pereira, 2001), with TensorFlow's contrib.crf numbers.

A chain has a score per step and tag, `scores [B, T, K]`, and one per pair of neighbours, `transitions [K, K]` (from,
to); there are no start and stop transitions. Steps past a row's length count for nothing, whatever they hold; a row of
length 0 has score, log-norm and log-likelihood 0.

    nll = -log_likelihood(scores, tags, transitions, lengths).mean()
    best, best_score = viterbi(scores, transitions, lengths)
"""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.cells.checks import check_classes, check_lengths
from recurra.errors import InputError, StructureError
from recurra.kernels import chain, chain_scan
from recurra.kernels.scan import mask_inputs, valid_steps

__all__ = ["log_likelihood", "log_norm", "marginals", "multitag_score", "sequence_score", "viterbi"]


def sequence_score(scores: Tensor, tags: Tensor, transitions: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The score `[B]` of the path `tags [B, T]`: `sum_t scores[t, tag_t] + sum_t transitions[tag_t, tag_t+1]`.

    Args:
        scores: `[B, T, K]`, floating.
        tags: `[B, T]` integers in `0..K-1` (anything past a row's length).
        transitions: `[K, K]`, from a tag (row) to the next (column).
        lengths: `[B]` integers in `0..T`; None means T.
    """
    _check(scores, transitions, lengths)
    scores, valid = _time_major(scores, lengths)
    tags = _prepare_tags(tags, scores, valid)
    unary = scores.gather(2, tags.unsqueeze(2)).squeeze(2)
    binary = transitions[tags[:-1], tags[1:]]
    zero = scores.new_zeros(())
    return torch.where(valid, unary, zero).sum(0) + torch.where(valid[1:], binary, zero).sum(0)


def log_norm(scores: Tensor, transitions: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The logarithm `[B]` of the sum of exp(score) over all paths; arguments as in `sequence_score`."""
    _check(scores, transitions, lengths)

    def plain(scores: Tensor, transitions: Tensor) -> Tensor:
        rows, valid = _time_major(scores, lengths)
        return chain_scan.log_norm(rows, transitions, valid) if len(rows) else rows.new_zeros(rows.shape[1])

    if chain.takes(scores, transitions):
        return chain.log_norm(scores, transitions, lengths, plain)
    return plain(scores, transitions)


def log_likelihood(scores: Tensor, tags: Tensor, transitions: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The log-probability `[B]` of the path `tags`; arguments as in `sequence_score`."""
    return sequence_score(scores, tags, transitions, lengths) - log_norm(scores, transitions, lengths)


def multitag_score(scores: Tensor, allowed: Tensor, transitions: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The logarithm `[B]` of the sum of exp(score) over the paths through `allowed [B, T, K]` (bool) tags."""
    if not isinstance(allowed, Tensor) or allowed.dtype != torch.bool or allowed.shape != scores.shape:
        raise InputError(f"`allowed` must be a bool tensor of the shape of `scores` {list(scores.shape)}")
    return log_norm(torch.where(allowed, scores, -torch.inf), transitions, lengths)


def marginals(scores: Tensor, transitions: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The probability `[B, T, K]` of each tag at each step under the chain; zeros past a row's length."""
    _check(scores, transitions, lengths)
    if chain.takes(scores, transitions, differentiable=False):
        return chain.marginals(scores, transitions, lengths)
    rows, valid = _time_major(scores, lengths)
    if not len(rows):
        return rows.transpose(0, 1)
    return mask_inputs(chain_scan.marginals(rows, transitions, valid), valid).transpose(0, 1)


def viterbi(scores: Tensor, transitions: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The best path and its score; arguments as in `sequence_score`.

    Returns:
        `(tags [B, T] int64, score [B])`. Ties go to the lower tag; tags past a row's length are 0. (TensorFlow decodes
        a row of length 0 as if it had one step: `lengths.clamp(min=1)` gives that.)
    """
    _check(scores, transitions, lengths)
    if chain.takes(scores, transitions, differentiable=False):
        return chain.viterbi(scores, transitions, lengths)
    rows, valid = _time_major(scores, lengths)
    if not len(rows):
        return torch.zeros(rows.shape[1], 0, dtype=torch.int64, device=rows.device), rows.new_zeros(rows.shape[1])
    tags, score = chain_scan.viterbi(rows, transitions, valid)
    return mask_inputs(tags, valid).t(), score


def _check(scores: Tensor, transitions: Tensor, lengths: Tensor | None) -> None:
    if not isinstance(scores, Tensor) or scores.dim() != 3 or not scores.is_floating_point():
        raise InputError(f"`scores` must be a floating tensor [B, T, K], got {_shown(scores)}")
    K = scores.shape[2]
    if not isinstance(transitions, Tensor) or list(transitions.shape) != [K, K]:
        raise InputError(
            f"`transitions` must have shape [{K}, {K}] for scores {list(scores.shape)}: {_shown(transitions)}"
        )
    if lengths is not None:
        check_lengths(lengths, scores.shape[0], scores.shape[1], scores.device)


def _time_major(scores: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """`[T, B, K]` with the padding zeroed, and the running steps `[T, B]`."""
    batch, steps = scores.shape[:2]
    if lengths is None:
        valid = torch.ones(steps, batch, dtype=torch.bool, device=scores.device)
    else:
        valid = valid_steps(lengths, steps)
    return mask_inputs(scores.transpose(0, 1), valid), valid


def _prepare_tags(tags: Tensor, scores: Tensor, valid: Tensor) -> Tensor:
    if not isinstance(tags, Tensor):
        raise StructureError(f"`tags` must be an integer tensor [B, T], got {_shown(tags)}")
    T, B, K = scores.shape
    if list(tags.shape) != [B, T]:
        raise InputError(f"`tags` has shape {list(tags.shape)}, expected {[B, T]} as `scores` say")
    tags = mask_inputs(tags.t(), valid)
    check_classes("tags", tags, K)
    return tags.long()


def _shown(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
