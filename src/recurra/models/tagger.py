"""A tag per token: word and character features → encoder → scores, alone or under a linear-chain CRF."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ConfigError
from recurra.loops import last_output
from recurra.models.encoder import Encoder


class Tokens(NamedTuple):
    """A padded batch of sentences.

    Attributes:
        words: `[B, T]` word numbers.
        characters: `[B, T, C]` character numbers, C the longest word's length.
        word_lengths: `[B, T]` characters per word, 0 past the sentence's end.
        lengths: `[B]` words per sentence.
    """

    words: Tensor
    characters: Tensor
    word_lengths: Tensor
    lengths: Tensor


class Tagger(nn.Module):
    """Scores `[B, T, K]` for K tags.

    Args:
        words: size of the word vocabulary.
        characters: size of the character vocabulary.
        tags: number of tags.
        embedding: size of a word's vector.
        char_embedding: size of a character's vector; 0 leaves character features out.
        char_hidden: units of the character reader, per direction.
        cell, hidden, layers, bidirectional, dropout: the encoder.
        crf: keep a matrix of transition scores.
    """

    def __init__(
        self,
        words: int,
        characters: int,
        tags: int,
        *,
        embedding: int,
        char_embedding: int,
        char_hidden: int,
        cell: str,
        hidden: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        crf: bool,
    ):
        super().__init__()
        self.words = nn.Embedding(words, embedding, padding_idx=0)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)
        self.characters: nn.Embedding | None = None
        features = embedding
        if char_embedding:
            self.characters = nn.Embedding(characters, char_embedding, padding_idx=0)
            self.speller = Encoder(cell, char_embedding, char_hidden, bidirectional=True)
            features += self.speller.output_size
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(cell, features, hidden, layers, bidirectional=bidirectional)
        self.output = nn.Linear(self.encoder.output_size, tags)
        self.transitions = nn.Parameter(torch.zeros(tags, tags)) if crf else None

    def forward(self, batch: Tokens) -> Tensor:
        """Scores `[B, T, K]`; what lies past a sentence's end means nothing."""
        encoded = self.encoder(self.dropout(self._features(batch)), batch.lengths)
        return self.output(self.dropout(encoded.joined()))

    def _features(self, batch: Tokens) -> Tensor:
        features: Tensor = self.words(batch.words)
        return features if self.characters is None else torch.cat([features, self._spell(batch)], dim=-1)

    def stepper(self) -> Callable[[Tokens], Tensor]:
        """Reads a sentence that comes token by token: a batch of one token -> its scores `[1, K]`.

        Raises:
            ConfigError: this tagger has to see the whole sentence.
        """
        if self.transitions is not None:
            raise ConfigError(
                "this model's CRF weighs whole sentences; one that was trained with --no-crf --no-bidirectional "
                "can be streamed"
            )
        read = self.encoder.stepper("output-at-length")
        return lambda token: self.output(read(self._features(token)[:, 0]))

    def _spell(self, batch: Tokens) -> Tensor:
        """The character reader's last outputs, `[B, T, 2 * char_hidden]`."""
        assert self.characters is not None
        rows, steps, longest = batch.characters.shape
        lengths = batch.word_lengths.reshape(-1)
        letters = self.characters(batch.characters.reshape(rows * steps, longest))
        forward, backward = self.speller(letters, lengths).outputs
        read = [last_output(forward, lengths), last_output(backward, lengths, reverse=True)]
        return torch.cat(read, dim=-1).reshape(rows, steps, -1)
