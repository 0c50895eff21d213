"""One class per sequence: (embedding) → encoder → one vector → logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells.checks import positive
from recurra.errors import ConfigError
from recurra.models.encoder import Encoder, Merge, Read
from recurra.models.ngrams import NgramScores

Step = Callable[[Tensor], Tensor]
"""One step in, the logits `[1, classes]` of what came so far out."""


class SequenceClassifier(nn.Module):
    """Classifies sequences.

    Args:
        classes: number of logits.
        encoder: what reads the sequence.
        read: which of its results the output layer sees.
        merge: how two directions are joined.
        vocabulary: number of tokens, for `[B, T]` token inputs; None for `[B, T, F]` values.
        embedding: size of the embedding of a token.
        ngrams: add the scores of a linear model of the n-grams up to this order (0: the recurrent model alone).
        dropout: share of the n-grams that is left out in training.
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
        ngrams: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if vocabulary is not None:
            positive("embedding", embedding)
        self.embedding = None if vocabulary is None else nn.Embedding(vocabulary, embedding)
        self.ngrams = NgramScores(vocabulary, classes, ngrams, dropout) if vocabulary is not None and ngrams else None
        self.encoder = encoder
        self.how: Read = read
        self.merge: Merge = merge
        self.output = nn.Linear(encoder.read_size(read, merge), classes)
        nn.init.xavier_uniform_(self.output.weight)  # tf.layers.dense's default
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits `[B, classes]` of `inputs [B, T, F]` or tokens `[B, T]`."""
        values = inputs if self.embedding is None else self.embedding(inputs)
        logits = self.output(self.encoder.read(self.encoder(values, lengths), lengths, self.how, self.merge))
        return logits if self.ngrams is None else logits + self.ngrams(inputs, lengths)

    def stepper(self) -> Step:
        """Reads a sequence that comes step by step: values `[1, F]` or a token `[1]` -> logits of the steps so far.

        Raises:
            ConfigError: this classifier has to see the whole sequence.
        """
        if self.ngrams is not None:
            raise ConfigError(
                "this model counts n-grams of the whole sequence; one that was trained with --ngrams 0 can be streamed"
            )
        read = self.encoder.stepper(self.how)
        return lambda x: self.output(read(x if self.embedding is None else self.embedding(x)))


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
        return logits if self.training else self._vote(logits)

    def _vote(self, logits: Tensor) -> Tensor:
        return logits.log_softmax(-1).logsumexp(1) - math.log(len(self.members))

    def stepper(self) -> Step:
        """As `SequenceClassifier.stepper`."""
        steps = [member.stepper() for member in self.members]  # type: ignore[operator]
        return lambda x: self._vote(torch.stack([step(x) for step in steps], dim=1))


class Balanced(nn.Module):
    """A classifier whose frequent classes are held back a little, so that rare ones are found more often.

    Trained as it is; in evaluation `strength * log(share of the class in training)` is taken from its logits, which
    moves the answer from the likeliest class (strength 0) towards the one that the sequence speaks for whatever the
    shares are (strength 1): Menon et al. 2021, "Long-tail learning via logit adjustment".

    Args:
        classifier: gives logits `[B, classes]` in evaluation.
        counts: `[classes]` examples of each class in training; None where the weights are to be loaded.
        strength: 0 … 1.
    """

    shift: Tensor

    def __init__(self, classifier: nn.Module, classes: int, counts: Tensor | None, strength: float):
        super().__init__()
        self.classifier = classifier
        counts = torch.ones(classes) if counts is None else counts.clamp(min=1)
        self.register_buffer("shift", strength * (counts / counts.sum()).log())

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits of `inputs [B, T, F]` or tokens `[B, T]`."""
        logits: Tensor = self.classifier(inputs, lengths)
        return logits if self.training else logits - self.shift

    def stepper(self) -> Step:
        """As `SequenceClassifier.stepper`."""
        step = self.classifier.stepper()  # type: ignore[operator]
        return lambda x: step(x) - self.shift


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
        ngrams=getattr(config, "ngrams", 0),
        dropout=config.dropout,
    )
