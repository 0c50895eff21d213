"""One class per sequence: (embedding) → encoder → one vector → logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra.models.encoder import Encoder, Merge, Read


class SequenceClassifier(nn.Module):
    """Classifies sequences.

    Args:
        classes: number of logits.
        encoder: what reads the sequence.
        read: which of its results the output layer sees.
        merge: how two directions are joined.
        vocabulary: number of tokens, for `[B, T]` token inputs; None for `[B, T, F]` values.
        embedding: size of the embedding of a token.
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
    ):
        super().__init__()
        self.embedding = None if vocabulary is None else nn.Embedding(vocabulary, embedding)
        self.encoder = encoder
        self.how: Read = read
        self.merge: Merge = merge
        self.output = nn.Linear(encoder.read_size(read, merge), classes)
        nn.init.xavier_uniform_(self.output.weight)  # tf.layers.dense's default
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits `[B, classes]` of `inputs [B, T, F]` or tokens `[B, T]`."""
        if self.embedding is not None:
            inputs = self.embedding(inputs)
        encoded = self.encoder(inputs, lengths)
        return self.output(self.encoder.read(encoded, lengths, self.how, self.merge))


def uniform_(module: nn.Module, scale: float) -> None:
    """All parameters of `module` uniform in ± `scale`."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-scale, scale)


def make_classifier(config: Any, classes: int, features: int, vocabulary: int | None = None) -> SequenceClassifier:
    """The classifier that a `ReadConfig` describes; `features` counts for value inputs only."""
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
    )
