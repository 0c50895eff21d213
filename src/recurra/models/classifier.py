"""One class per sequence: (embedding) → encoder → one vector → logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.models.encoder import Encoder, Merge, Read
from recurra.models.ngrams import NgramEmbedding


class SequenceClassifier(nn.Module):
    """Classifies sequences.

    Args:
        classes: number of logits.
        encoder: what reads the sequence.
        read: which of its results the output layer sees.
        merge: how two directions are joined.
        vocabulary: number of tokens, for `[B, T]` token inputs; None for `[B, T, F]` values.
        embedding: size of the embedding of a token.
        ngrams: embed n-grams of tokens up to this order (1: tokens alone).
        bag: the output layer also sees the embedded n-grams without their order (a bag beside the sequence).
        dropout: share of what the output layer sees of the bag that is dropped.
    """

    def __init__(
        self,
        classes: int,
        encoder: Encoder,
        *,
        read: Read = "output-at-length",
        merge: Merge = "concat",
        vocabulary: int | None = None,
        embedding: int = 0,
        ngrams: int = 1,
        bag: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embedding = None if vocabulary is None else NgramEmbedding(vocabulary, embedding, ngrams)
        self.encoder = encoder
        self.how: Read = read
        self.merge: Merge = merge
        self.bag = embedding if bag and vocabulary is not None else 0
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(encoder.read_size(read, merge) + self.bag, classes)
        nn.init.xavier_uniform_(self.output.weight)  # tf.layers.dense's default
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits `[B, classes]` of `inputs [B, T, F]` or tokens `[B, T]`."""
        if self.embedding is not None:
            inputs = self.embedding(inputs)
        vector = self.encoder.read(self.encoder(inputs, lengths), lengths, self.how, self.merge)
        if self.bag:
            vector = torch.cat([vector, self.dropout(_bag(inputs, lengths))], dim=-1)
        return self.output(vector)


def _bag(values: Tensor, lengths: Tensor | None) -> Tensor:
    """The sum of each row's real steps over the root of their number, `[B, F]`; zeros for an empty row."""
    if lengths is None:
        return values.sum(1) / values.shape[1] ** 0.5
    real = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
    return torch.where(real[..., None], values, 0.0).sum(1) / lengths.clamp(min=1)[:, None].sqrt()


class Committee(nn.Module):
    """Several classifiers that read the same batches and vote: they start and drop out differently, and so err
    differently.

    In training it gives every member's logits, `[B, members, classes]`, so that each learns by its own loss; in
    evaluation the logarithm of the mean of their probabilities, `[B, classes]`.
    """

    def __init__(self, members: Sequence[SequenceClassifier]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits of `inputs [B, T, F]` or tokens `[B, T]`."""
        logits = torch.stack([member(inputs, lengths) for member in self.members], dim=1)
        if self.training:
            return logits
        return logits.log_softmax(-1).logsumexp(1) - math.log(len(self.members))


def uniform_(module: nn.Module, scale: float) -> None:
    """All parameters of `module` uniform in ± `scale`."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-scale, scale)


def make_classifier(config: Any, classes: int, features: int, vocabulary: int | None = None) -> nn.Module:
    """The classifier that a `ReadConfig` describes, or a committee of such; `features` counts for value inputs only."""
    members = [_make_one(config, classes, features, vocabulary) for _ in range(config.members)]
    return members[0] if len(members) == 1 else Committee(members)


def _make_one(config: Any, classes: int, features: int, vocabulary: int | None) -> SequenceClassifier:
    options = {"activation": config.activation} if config.activation and config.cell == "rnn" else {}
    encoder = Encoder(
        config.cell,
        features if vocabulary is None else config.embedding,
        config.hidden,
        config.layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        options=options,
    )
    return SequenceClassifier(
        classes,
        encoder,
        read=config.read,
        merge=config.merge,
        vocabulary=vocabulary,
        embedding=getattr(config, "embedding", 0),
        ngrams=getattr(config, "ngrams", 1),
        bag=getattr(config, "bag", False),
        dropout=config.dropout,
    )
