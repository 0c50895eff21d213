"""A linear model of n-grams, to stand beside a recurrent one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MIX = 1_000_003  # a prime, so that the products of small numbers fall into different buckets
_GAIN = 10.0  # Adam moves every weight alike, but a rare n-gram must count after the few times it is seen


class NgramScores(nn.Module):
    """A score per class for the 1-, 2-, … n-grams that occur in a sequence, whatever their order.

    It is what logistic regression on n-grams computes (the "wide" part of Cheng et al., 2016, "Wide & Deep Learning
    for Recommender Systems"); n-grams of two and more share hashed buckets.

    Args:
        vocabulary: number of tokens.
        classes: scores per sequence.
        n: longest n-gram.
        dropout: share of the occurrences that is left out in training.
        buckets: rows per order above 1; different n-grams may share one.
    """

    def __init__(self, vocabulary: int, classes: int, n: int, dropout: float = 0.0, buckets: int = 1 << 15):
        super().__init__()
        self.dropout, self.buckets = dropout, buckets
        self.tables = nn.ModuleList(nn.Embedding(buckets if i else vocabulary, classes) for i in range(n))
        for table in self.tables:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`[B, T]` → `[B, classes]`; before a row's first token stands token 0."""
        steps = tokens.shape[1]
        counts = torch.full((tokens.shape[0],), steps, device=tokens.device) if lengths is None else lengths
        real = (torch.arange(steps, device=tokens.device) < counts[:, None]).to(torch.float32)
        total, key = real.new_zeros(()), tokens
        for order, table in enumerate(self.tables):
            if order:
                before = nn.functional.pad(tokens, (order, 0))[:, :steps]
                key = key * _MIX + before + 1
            rows = torch.remainder(key, self.buckets) if order else tokens
            kept = nn.functional.dropout(real, self.dropout, self.training)
            total = total + (table(rows) * kept[..., None]).sum(1)
        return _GAIN * total / (len(self.tables) * counts.clamp(min=1)).sqrt()[:, None]
