"""Beam search: one step is a pure function of logits and what is known of each beam.

B batch   W beams   V tokens
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import State
from recurra.decoding.basic import Step
from recurra.decoding.helpers import Embedding, embed
from recurra.decoding.trees import gather_tree
from recurra.errors import InputError


class Beams(NamedTuple):
    """What is known of each beam, `[B, W]`."""

    log_probs: Tensor
    finished: Tensor
    """bool."""
    lengths: Tensor
    """int64, the end token counted."""
    accumulated_attention: Tensor | None = None
    """`[B, W, L]`: what each beam has read so far; for the coverage penalty."""


class BeamSearchDecoderState(NamedTuple):
    """The cell's state and what is known of each beam, as TensorFlow lays them out."""

    cell_state: State
    """Leaves `[B, W, ...]`."""
    log_probs: Tensor
    finished: Tensor
    lengths: Tensor
    accumulated_attention_probs: Any
    """`[B, W, L]`, or empty."""


class BeamSearchDecoderOutput(NamedTuple):
    """What a step of a beam search chose."""

    scores: Tensor
    """`[B, W]`: log-probabilities with their penalties."""
    predicted_ids: Tensor
    parent_ids: Tensor


class FinalBeamSearchDecoderOutput(NamedTuple):
    """What a beam search found, and how."""

    predicted_ids: Tensor
    """`[B, T, W]`: whole sequences, best beam first."""
    beam_search_decoder_output: BeamSearchDecoderOutput


def start_beams(batch_size: int, width: int, *, dtype: torch.dtype, device: Any = None, memory: int = 0) -> Beams:
    """Only beam 0 lives: the others start finished, with a log-probability of -inf."""
    log_probs = torch.full((batch_size, width), float("-inf"), dtype=dtype, device=device)
    log_probs[:, 0] = 0
    finished = torch.ones(batch_size, width, dtype=torch.bool, device=device)
    finished[:, 0] = False
    lengths = torch.zeros(batch_size, width, dtype=torch.int64, device=device)
    read = torch.zeros(batch_size, width, memory, dtype=dtype, device=device) if memory else None
    return Beams(log_probs, finished, lengths, read)


def length_penalty(lengths: Tensor, weight: float, dtype: torch.dtype) -> Tensor | float:
    """`((5 + length) / 6) ** weight` (Wu et al., 2016, https://arxiv.org/abs/1609.08144); exactly 1 for weight 0."""
    return 1.0 if weight == 0 else ((5.0 + lengths.to(dtype)) / 6.0) ** weight


def coverage_penalty(read: Tensor, weight: float, finished: Tensor) -> Tensor:
    """`weight * Σ log(min(read, 1))` of finished beams, `[..., W]`; a step that was never read counts nothing."""
    bounded = torch.where(read == 0, torch.ones_like(read), read).clamp(max=1.0)
    return weight * finished.to(read.dtype) * torch.log(bounded).sum(-1)


def beam_step(
    logits: Tensor,
    beams: Beams,
    *,
    end_token: int,
    length_penalty_weight: float = 0.0,
    coverage_penalty_weight: float = 0.0,
    alignments: Tensor | None = None,
) -> tuple[BeamSearchDecoderOutput, Beams]:
    """The best W of all W * V continuations.

    Args:
        logits: `[B, W, V]`.
        beams: before the step.
        end_token: the id that finishes a beam.
        length_penalty_weight, coverage_penalty_weight: of the scores.
        alignments: `[B, W, L]` of this step, needed for a coverage penalty.

    Returns:
        (scores, tokens and parents `[B, W]`, the beams after the step).
    """
    width, tokens = logits.shape[1:]
    step = torch.log_softmax(logits, -1)
    only_end = step.new_full((tokens,), torch.finfo(step.dtype).min)
    only_end[end_token] = 0
    step = torch.where(beams.finished.unsqueeze(-1), only_end, step)
    totals = beams.log_probs.unsqueeze(-1) + step
    is_end = torch.arange(tokens, device=logits.device) == end_token
    longer = ~beams.finished.unsqueeze(-1) & ~is_end
    lengths = beams.lengths.unsqueeze(-1) + longer.long()
    scores = totals / length_penalty(lengths, length_penalty_weight, totals.dtype)
    read = beams.accumulated_attention
    if coverage_penalty_weight != 0:
        if alignments is None or read is None:
            raise InputError("`coverage_penalty_weight` must be 0 where no cell attends to a memory")
        read = read + torch.where(beams.finished.unsqueeze(-1), torch.zeros_like(alignments), alignments)
        scores = scores + coverage_penalty(read, coverage_penalty_weight, beams.finished).unsqueeze(-1)
    chosen, index = best(scores.flatten(1), width)
    parents, words = index // tokens, index % tokens
    was_finished = beams.finished.gather(1, parents)
    after = Beams(
        totals.flatten(1).gather(1, index),
        was_finished | (words == end_token),
        beams.lengths.gather(1, parents) + (~was_finished).long(),
        None if read is None else gather_beams(read, parents),
    )
    return BeamSearchDecoderOutput(chosen, words.int(), parents.int()), after


def best(scores: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` greatest of each row with their places; of equal ones the first (torch.topk does not say which)."""
    values, order = torch.sort(scores, dim=-1, descending=True, stable=True)
    return values[:, :width], order[:, :width]


def gather_beams(values: Any, parents: Tensor) -> Any:
    """The parents' rows: leaves `[B, W, ...]` by `parents [B, W]`; leaves of less rank stay."""

    def leaf(value: Tensor) -> Tensor:
        if value.dim() < 2:
            return value
        index = (
            parents.long().reshape(*parents.shape, *[1] * (value.dim() - 2)).expand(*parents.shape, *value.shape[2:])
        )
        return value.gather(1, index)

    return _nest.map_leaves(leaf, values)


def split_beams(values: Any, width: int) -> Any:
    """Leaves `[B * W, ...]` -> `[B, W, ...]`; leaves of rank 0 stay."""
    return _nest.map_leaves(lambda leaf: leaf if leaf.dim() == 0 else leaf.unflatten(0, (-1, width)), values)


def merge_beams(values: Any) -> Any:
    """Leaves `[B, W, ...]` -> `[B * W, ...]`; leaves of rank 0 stay."""
    return _nest.map_leaves(lambda leaf: leaf if leaf.dim() < 2 else leaf.flatten(0, 1), values)


def alignments_in(state: State) -> Tensor | None:
    """The alignments of an attentive cell's state, also inside a tuple of states; None where nothing attends."""
    if hasattr(state, "alignments"):
        alignments = state.alignments
        return alignments if isinstance(alignments, Tensor) else None
    for part in state if isinstance(state, tuple) else ():
        found = alignments_in(part)
        if found is not None:
            return found
    return None


class BeamSearchDecoder:
    """Keeps the `beam_width` best sequences of every row.

        state = cell.initial_state(batch_size * width)                      # tiled, as the memory is: `tile_batch`
        decoder = BeamSearchDecoder(cell, embedding, start_tokens, end_token, state, width, output_layer)
        result = dynamic_decode(decoder, maximum_iterations=50)
        result.outputs.predicted_ids                                        # [B, T, W], best first

    Do not combine it with `impute_finished`. The lengths of the hypotheses are `result.state.lengths`.

    Args:
        cell: (inputs, state) -> (output, state) on `[B * W, ...]`.
        embedding: table `[V, E]` or function, of ids.
        start_tokens: `[B]`.
        end_token: an id.
        initial_state: leaves `[B * W, ...]`.
        beam_width: W.
        output_layer: from the cell's output to the logits.
        length_penalty_weight: 0 takes plain log-probabilities.
        coverage_penalty_weight: needs an attentive cell.
    """

    tracks_own_finished = True

    def __init__(
        self,
        cell: Step,
        embedding: Embedding,
        start_tokens: Tensor,
        end_token: int,
        initial_state: State,
        beam_width: int,
        output_layer: Callable[[Tensor], Tensor] | None = None,
        *,
        length_penalty_weight: float = 0.0,
        coverage_penalty_weight: float = 0.0,
    ) -> None:
        if start_tokens.dim() != 1:
            raise InputError(f"`start_tokens` must be a vector, got shape {list(start_tokens.shape)}")
        if beam_width < 1:
            raise InputError(f"`beam_width` must be a positive integer, got {beam_width!r}")
        if isinstance(embedding, Tensor) and not 0 <= int(end_token) < len(embedding):
            raise InputError(f"`end_token` must be an id of `embedding`, in 0..{len(embedding) - 1}, got {end_token}")
        self.cell, self.output_layer, self.embedding = cell, output_layer, embedding
        self.end_token, self.width = int(end_token), beam_width
        self.penalties = {
            "length_penalty_weight": length_penalty_weight,
            "coverage_penalty_weight": coverage_penalty_weight,
        }
        self.start_tokens = start_tokens
        self.start_inputs = embed(embedding, start_tokens.unsqueeze(1).expand(-1, beam_width))
        rows = [leaf.shape[0] for leaf in _nest.flatten(initial_state) if leaf.dim()]
        if any(row != len(start_tokens) * beam_width for row in rows):
            raise InputError(
                f"`initial_state` has batch size {rows[0]}, expected {len(start_tokens)} rows times {beam_width} beams "
                "(`tile_batch`)"
            )
        self.initial_state = split_beams(initial_state, beam_width)

    def initialize(self) -> tuple[Tensor, Any, BeamSearchDecoderState]:
        alignments = alignments_in(self.initial_state)
        if self.penalties["coverage_penalty_weight"] != 0 and alignments is None:
            raise InputError("`coverage_penalty_weight` must be 0 where no cell attends to a memory")
        memory = 0 if alignments is None else alignments.shape[-1]
        like = next(leaf for leaf in _nest.flatten(self.initial_state) if leaf.is_floating_point())
        beams = start_beams(len(self.start_tokens), self.width, dtype=like.dtype, device=like.device, memory=memory)
        return beams.finished, self.start_inputs, _pack(self.initial_state, beams)

    def step(
        self, time: int, inputs: Tensor, state: BeamSearchDecoderState
    ) -> tuple[BeamSearchDecoderOutput, BeamSearchDecoderState, Tensor, Tensor]:
        output, cell_state = self.cell(merge_beams(inputs), merge_beams(state.cell_state))
        logits = output if self.output_layer is None else self.output_layer(output)
        cell_state = split_beams(cell_state, self.width)
        read = state.accumulated_attention_probs
        beams = Beams(state.log_probs, state.finished, state.lengths, read if isinstance(read, Tensor) else None)
        chosen, beams = beam_step(
            logits.unflatten(0, (-1, self.width)),
            beams,
            end_token=self.end_token,
            alignments=alignments_in(cell_state),
            **self.penalties,
        )
        cell_state = gather_beams(cell_state, chosen.parent_ids)
        done = bool(beams.finished.all())
        following = self.start_inputs if done else embed(self.embedding, chosen.predicted_ids)
        return chosen, _pack(cell_state, beams), following, beams.finished

    def finalize(
        self, outputs: BeamSearchDecoderOutput, state: BeamSearchDecoderState, lengths: Tensor
    ) -> tuple[FinalBeamSearchDecoderOutput, BeamSearchDecoderState]:
        longest = state.lengths.max(1).values
        ids = gather_tree(outputs.predicted_ids, outputs.parent_ids, longest, self.end_token)
        return FinalBeamSearchDecoderOutput(ids, outputs), state


def _pack(cell_state: State, beams: Beams) -> BeamSearchDecoderState:
    read = () if beams.accumulated_attention is None else beams.accumulated_attention
    return BeamSearchDecoderState(cell_state, beams.log_probs, beams.finished, beams.lengths, read)
