"""A sequence from a sequence: encoder → attention → decoder (Bahdanau, Cho and Bengio, 2015)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import LSTMState, State
from recurra.attention import AttentionWrapper, BahdanauAttention, LuongAttention, Memory
from recurra.attention.mechanisms import AttentionMechanism
from recurra.cells.registry import make_cell
from recurra.decoding import (
    BasicDecoder,
    BeamSearchDecoder,
    GreedyEmbeddingHelper,
    dynamic_decode,
    gather_tree_from_array,
    tile_batch,
)
from recurra.loops import last_output, unroll
from recurra.models.encoder import Encoder

Attention = Literal["bahdanau", "luong"]


class Source(NamedTuple):
    """What the decoder needs of a batch of sources."""

    memory: Memory
    start: State
    """The inner cell's state before the first step."""


class Hypotheses(NamedTuple):
    """The best sequences of each row, best first."""

    tokens: Tensor
    """`[B, T, W]`; from the end token on only end tokens."""
    scores: Tensor
    """`[B, W]`: log-probabilities, with the length penalty if there is one."""
    alignments: Tensor
    """`[B, T, W, L]`: where each step of each hypothesis read."""


class Seq2Seq(nn.Module):
    """Reads tokens `[B, T]` and writes others.

    Args:
        source_tokens, target_tokens: sizes of the vocabularies.
        start, end: numbers of the target's start and end token.
        embedding: size of both embeddings.
        cell, hidden, layers, bidirectional, dropout: the encoder; the decoder has one layer of the same cell.
        attention: "bahdanau" or "luong".
    """

    def __init__(
        self,
        source_tokens: int,
        target_tokens: int,
        *,
        start: int,
        end: int,
        embedding: int,
        cell: str,
        hidden: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        attention: Attention,
    ) -> None:
        super().__init__()
        self.start, self.end = start, end
        self.source = nn.Embedding(source_tokens, embedding, padding_idx=0)
        self.target = nn.Embedding(target_tokens, embedding)
        self.encoder = Encoder(cell, embedding, hidden, layers, bidirectional=bidirectional, dropout=dropout)
        inner = make_cell(cell, embedding + hidden, hidden)
        size = self.encoder.output_size
        mechanism: AttentionMechanism = (
            LuongAttention(size, inner.output_size, scale=True)
            if attention == "luong"
            else BahdanauAttention(inner.output_size, size, hidden)
        )
        self.decoder = AttentionWrapper(inner, mechanism, attention_layer_size=hidden)
        self.bridged = isinstance(inner.state_size, (int, LSTMState))
        if self.bridged:
            self.bridge = nn.Linear(size, sum(_nest.flatten(inner.state_size)))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, target_tokens)

    def encode(self, tokens: Tensor, lengths: Tensor) -> Source:
        """Read sources `[B, T]`; the memory is projected here, once."""
        encoded = self.encoder(self.dropout(self.source(tokens)), lengths)
        joined = encoded.joined()
        memory = self.decoder.mechanisms[0].memorize(joined, lengths)  # type: ignore[operator]
        if not self.bridged:
            return Source(memory, self.decoder.cell.initial_state(tokens.shape[0]))
        ends = [last_output(part, lengths, reverse=index == 1) for index, part in enumerate(encoded.outputs)]
        sizes = self.decoder.cell.state_size
        parts = torch.tanh(self.bridge(torch.cat(ends, -1))).split(_nest.flatten(sizes), -1)
        return Source(memory, _nest.pack_as(sizes, list(parts)))

    def forward(self, tokens: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """Teacher forcing: scores `[B, T, V]` of the targets `[B, T]`, each step knowing the ones before."""
        source = self.encode(tokens, lengths)
        decoder = self.decoder.bind([source.memory])
        begun = torch.cat([torch.full_like(targets[:, :1], self.start), targets[:, :-1]], 1)
        state = decoder.initial_state(tokens.shape[0])._replace(cell_state=source.start)
        outputs, _ = unroll(decoder, self.dropout(self.target(begun)), state, lengths=target_lengths)
        return self.output(self.dropout(outputs))

    def greedy(self, tokens: Tensor, lengths: Tensor, limit: int) -> Hypotheses:
        """The likeliest token at every step, until all rows have ended."""
        source = self.encode(tokens, lengths)
        decoder = self.decoder.bind([source.memory])
        helper = GreedyEmbeddingHelper(self.target.weight, self._starts(tokens), self.end)
        state = decoder.initial_state(tokens.shape[0])._replace(cell_state=source.start)
        decoded = dynamic_decode(
            BasicDecoder(decoder, helper, state, self.output),
            maximum_iterations=limit,
            record=lambda state: state.alignments,
        )
        ids = decoded.outputs.sample_id.long()
        ended = (ids == self.end).cumsum(1) - (ids == self.end).long()
        ids = torch.where(ended > 0, self.end, ids)
        steps = torch.log_softmax(decoded.outputs.rnn_output, -1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        scores = torch.where(ended > 0, torch.zeros_like(steps), steps).sum(1)
        return Hypotheses(ids.unsqueeze(-1), scores.unsqueeze(-1), decoded.recorded.transpose(0, 1).unsqueeze(2))

    def beam(self, tokens: Tensor, lengths: Tensor, limit: int, width: int, length_penalty: float = 0.0) -> Hypotheses:
        """The `width` best sequences that a beam search finds."""
        source = self.encode(tokens, lengths)
        decoder = self.decoder.bind([Memory(*(_tile(part, width) for part in source.memory))])
        state = decoder.initial_state(tokens.shape[0] * width)._replace(cell_state=tile_batch(source.start, width))
        search = BeamSearchDecoder(
            decoder,
            self.target.weight,
            self._starts(tokens),
            self.end,
            state,
            width,
            self.output,
            length_penalty_weight=length_penalty,
        )
        decoded = dynamic_decode(search, maximum_iterations=limit, record=lambda state: state.cell_state.alignments)
        steps = decoded.outputs.beam_search_decoder_output
        # what is recorded at a step is already in the order of that step's survivors, as the tokens are
        parents = steps.parent_ids.transpose(0, 1)
        alignments = gather_tree_from_array(decoded.recorded, parents, decoded.state.lengths)
        return Hypotheses(decoded.outputs.predicted_ids.long(), steps.scores[:, -1], alignments.transpose(0, 1))

    def _starts(self, tokens: Tensor) -> Tensor:
        return torch.full_like(tokens[:, 0], self.start)


def _tile(part: Any, width: int) -> Any:
    return None if part is None else tile_batch(part, width)
