"""An embedding that sees a token together with those just before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MIX = 1_000_003  # a prime, so that the products of small numbers fall into different buckets


class NgramEmbedding(nn.Module):
    """The sum of embeddings of the 1-, 2-, … n-grams that end at each token; n-grams of two and more share hashed
    buckets.

    Args:
        vocabulary: number of tokens.
        size: of a vector.
        n: longest n-gram; 1 is a plain embedding.
        buckets: rows per order above 1; different n-grams may share one.
    """

    def __init__(self, vocabulary: int, size: int, n: int = 1, buckets: int = 1 << 14):
        super().__init__()
        self.n, self.buckets = n, buckets
        self.tokens = nn.Embedding(vocabulary, size)
        self.grams = nn.ModuleList(nn.Embedding(buckets, size) for _ in range(n - 1))
        for table in self.grams:
            nn.init.normal_(table.weight, std=0.3)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, T]` → `[B, T, size]`; before a row's first token stands token 0."""
        vectors = self.tokens(tokens)
        key = tokens
        for order, table in enumerate(self.grams, 1):
            before = nn.functional.pad(tokens, (order, 0))[:, : tokens.shape[1]]
            key = key * _MIX + before + 1
            vectors = vectors + table(torch.remainder(key, self.buckets))
        return vectors
