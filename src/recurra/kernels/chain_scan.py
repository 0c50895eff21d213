"""Linear chains step by step in torch: what the compiled chain (`chain.py`) computes, and the road without it.

Everything here is time-major, with the padding zeroed: `scores [T, B, K]`, `transitions [K, K]` (from, to), and
`valid [T, B]`, true where a row is still running; T is at least 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_norm(scores: Tensor, transitions: Tensor, valid: Tensor) -> Tensor:
    """The logarithm `[B]` of the sum of exp(score) over all paths."""
    total = torch.logsumexp(_forward(scores, transitions, valid)[-1], -1)
    return torch.where(valid[0], total, total.new_zeros(()))


def marginals(scores: Tensor, transitions: Tensor, valid: Tensor) -> Tensor:
    """The probability `[T, B, K]` of each tag at each step; in the padding whatever comes."""
    alphas = torch.stack(_forward(scores, transitions, valid))
    betas = [torch.zeros_like(scores[0])]
    for t in range(scores.shape[0] - 2, -1, -1):
        step = torch.logsumexp(transitions + (scores[t + 1] + betas[-1]).unsqueeze(1), 2)
        betas.append(torch.where(valid[t + 1].unsqueeze(1), step, betas[-1]))
    return torch.softmax(alphas + torch.stack(betas[::-1]), -1)


def viterbi(scores: Tensor, transitions: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """The best path `[T, B]` (in the padding whatever comes) and its score `[B]`."""
    best, pointers = scores[0], []
    for t in range(1, scores.shape[0]):
        reached, pointer = (best.unsqueeze(2) + transitions).max(1)
        best = torch.where(valid[t].unsqueeze(1), reached + scores[t], best)
        pointers.append(pointer)
    score, tag = best.max(1)
    path = [tag]
    for t in range(scores.shape[0] - 1, 0, -1):
        previous = pointers[t - 1].gather(1, tag.unsqueeze(1)).squeeze(1)
        tag = torch.where(valid[t], previous, tag)
        path.append(tag)
    return torch.stack(path[::-1]), torch.where(valid[0], score, score.new_zeros(()))


def _forward(scores: Tensor, transitions: Tensor, valid: Tensor) -> list[Tensor]:
    """The log-weights of all paths into each tag, one `[B, K]` a step; past a row's end the last ones stay."""
    alphas = [scores[0]]
    for t in range(1, scores.shape[0]):
        step = scores[t] + torch.logsumexp(alphas[-1].unsqueeze(2) + transitions, 1)
        alphas.append(torch.where(valid[t].unsqueeze(1), step, alphas[-1]))
    return alphas
