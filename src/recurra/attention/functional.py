"""Attention as pure functions of tensors: scores, masks, probabilities, reading.

B batch   L memory steps   D memory features   n units of keys and query
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from recurra.errors import InputError

Mode = Literal["recursive", "parallel", "hard"]


def memory_mask(lengths: Tensor, steps: int) -> Tensor:
    """`[B, L]` bool, true where the memory is real."""
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(-1)


def mask_memory(memory: Tensor, valid: Tensor | None) -> Tensor:
    """`memory [B, L, ...]` with zeros past each row's length (by selection: NaN in the padding goes)."""
    if valid is None:
        return memory
    return torch.where(valid.reshape(*valid.shape, *[1] * (memory.dim() - 2)), memory, memory.new_zeros(()))


def mask_score(score: Tensor, valid: Tensor | None, value: float = float("-inf")) -> Tensor:
    """`score [B, L]` with `value` past each row's length."""
    return score if valid is None else torch.where(valid, score, score.new_full((), value))


def bahdanau_score(
    query: Tensor, keys: Tensor, v: Tensor, g: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Additive score (Bahdanau, Cho and Bengio, 2015): `Σ v * tanh(keys + query (+ bias))`.

    Args:
        query: `[B, n]`, projected.
        keys: `[B, L, n]`.
        v: `[n]`.
        g: scalar length of `v`, with the bias: the normalised form (Salimans and Kingma, 2016).
        bias: `[n]`.

    Returns:
        `[B, L]`.
    """
    inner = keys + query.unsqueeze(1)
    if g is None or bias is None:
        return torch.tanh(inner) @ v
    return torch.tanh(inner + bias) @ (g * v * torch.rsqrt(v.square().sum()))


def luong_score(query: Tensor, keys: Tensor, g: Tensor | None = None) -> Tensor:
    """Multiplicative score (Luong, Pham and Manning, 2015): `keys · query (* g)` -> `[B, L]`."""
    if query.shape[-1] != keys.shape[-1]:
        raise InputError(
            f"`query` has {query.shape[-1]} features and the keys {keys.shape[-1]}; Luong's score needs as many"
        )
    score = (keys @ query.unsqueeze(-1)).squeeze(-1)
    return score if g is None else g * score


def softmax(score: Tensor) -> Tensor:
    """The default probability function, over the last axis."""
    return torch.softmax(score, -1)


def hardmax(score: Tensor) -> Tensor:
    """One at the (first) greatest score, zero elsewhere."""
    return torch.nn.functional.one_hot(score.argmax(-1), score.shape[-1]).to(score.dtype)


def safe_cumprod(x: Tensor, *, exclusive: bool = False) -> Tensor:
    """The running product over the last axis of values in [0, 1], as exp(cumsum(log)) bounded away from log 0."""
    tiny = torch.finfo(x.dtype).tiny
    logs = torch.log(x.clamp(tiny, 1.0))
    total = torch.cumsum(logs, -1)
    return torch.exp(_shift(total) if exclusive else total)


def _shift(x: Tensor) -> Tensor:
    """One step to the right, a zero coming in: the exclusive form of a running sum."""
    return torch.nn.functional.pad(x[..., :-1], (1, 0))


def monotonic_attention(p_choose: Tensor, previous: Tensor, mode: Mode) -> Tensor:
    """Where a reader that only moves forward stops (Raffel et al., 2017, https://arxiv.org/abs/1704.00784).

    Args:
        p_choose: `[B, L]`: probability of stopping at each step (0 or 1 for "hard").
        previous: `[B, L]`: where it stopped before.
        mode: "recursive" (exact), "parallel" (running products, faster), "hard" (decisions).

    Returns:
        `[B, L]`.
    """
    if mode == "recursive":
        reach = torch.zeros_like(previous[..., 0])
        stops = []
        passed = torch.cat([torch.zeros_like(p_choose[..., :1]), 1 - p_choose[..., :-1]], -1)
        for j in range(p_choose.shape[-1]):
            reach = passed[..., j] * reach + previous[..., j]
            stops.append(p_choose[..., j] * reach)
        return torch.stack(stops, -1)
    if mode == "parallel":
        passed = safe_cumprod(1 - p_choose, exclusive=True)
        return p_choose * passed * torch.cumsum(previous / passed.clamp(1e-10, 1.0), -1)
    if mode == "hard":
        candidates = p_choose * torch.cumsum(previous, -1)
        before = torch.cumprod(1 - candidates, -1)
        return candidates * torch.cat([torch.ones_like(before[..., :1]), before[..., :-1]], -1)
    raise InputError(f"`mode` must be 'recursive', 'parallel' or 'hard', got {mode!r}")


def monotonic_probability(score: Tensor, previous: Tensor, mode: Mode, noise: Tensor | None = None) -> Tensor:
    """From scores to where the reader stops: sigmoid (plus noise before it), or in "hard" mode the sign."""
    if noise is not None:
        score = score + noise
    p_choose = (score > 0).to(score.dtype) if mode == "hard" else torch.sigmoid(score)
    return monotonic_attention(p_choose, previous, mode)


def read(alignments: Tensor, values: Tensor) -> Tensor:
    """The context: `[B, L]` over `[B, L, D]` -> `[B, D]`."""
    return (alignments.unsqueeze(1) @ values).squeeze(1)
