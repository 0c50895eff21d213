"""Helpers: where a decoder's next input comes from. Each is three functions of tensors.

initialize() -> (finished [B], first inputs)
sample(time, outputs, state) -> sample_ids
next_inputs(time, outputs, state, sample_ids) -> (finished [B], next inputs, state)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import State
from recurra.cells.checks import check_lengths
from recurra.errors import InputError

Embedding = Tensor | Callable[[Tensor], Tensor]
"""A table `[V, E]`, or a function of ids `[B]`."""


class Helper(Protocol):
    """What a decoder asks for its inputs."""

    def initialize(self) -> tuple[Tensor, Any]: ...

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor: ...

    def next_inputs(
        self, time: int, outputs: Tensor, state: State, sample_ids: Tensor
    ) -> tuple[Tensor, Any, State]: ...


def embed(embedding: Embedding, ids: Tensor) -> Tensor:
    """The rows of a table, or what a function gives for ids."""
    return embedding(ids) if callable(embedding) else torch.nn.functional.embedding(ids.long(), embedding)


def categorical(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One draw a row from unnormalised log-probabilities `[B, V]`."""
    return torch.multinomial(torch.softmax(logits, -1), 1, generator=generator).squeeze(-1)


def step_of(inputs: Any, lengths: Tensor, time: int) -> tuple[Tensor, Any]:
    """Teacher forcing: (finished, inputs of step `time`) of time-major inputs; zeros when all rows are finished."""
    finished = time >= lengths
    steps = _nest.flatten(inputs)[0].shape[0]

    def row(leaf: Tensor) -> Tensor:
        return leaf[time] if time < steps else leaf.new_zeros(leaf.shape[1:])

    chosen = _nest.map_leaves(row, inputs)
    over = finished.all()
    return finished, _nest.map_leaves(lambda leaf: torch.where(over, leaf.new_zeros(()), leaf), chosen)


class TrainingHelper:
    """Feeds the given inputs; samples are the argmax.

    Args:
        inputs: `[B, T, ...]` (or `[T, B, ...]`), or a nest of such.
        lengths: `[B]`.
        time_major: the layout of `inputs`.
    """

    def __init__(self, inputs: Any, lengths: Tensor, *, time_major: bool = False) -> None:
        self.inputs = inputs if time_major else _nest.map_leaves(lambda leaf: leaf.transpose(0, 1), inputs)
        leaf = _nest.flatten(self.inputs)[0]
        check_lengths(lengths, leaf.shape[1], leaf.shape[0], leaf.device)
        self.lengths = lengths

    def initialize(self) -> tuple[Tensor, Any]:
        return step_of(self.inputs, self.lengths, 0)

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        return outputs.argmax(-1).int()

    def next_inputs(self, time: int, outputs: Tensor, state: State, sample_ids: Tensor) -> tuple[Tensor, Any, State]:
        finished, inputs = step_of(self.inputs, self.lengths, time + 1)
        return finished, inputs, state


def _check_probability(probability: float | Tensor) -> float | Tensor:
    if isinstance(probability, Tensor) and probability.dim() > 1:
        raise InputError(f"`sampling_probability` must be a scalar or a vector, got shape {list(probability.shape)}")
    return probability


def _chosen(probability: float | Tensor, rows: Tensor, generator: torch.Generator | None) -> Tensor:
    """Which rows take a sample, `[B]` bool."""
    return torch.rand(rows.shape[0], device=rows.device, generator=generator) < probability


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """Teacher forcing that sometimes feeds a sampled token (Bengio et al., 2015); an id of -1 was not sampled.

    Args:
        inputs, lengths, time_major: as in `TrainingHelper`.
        embedding: table `[V, E]` or function, of sampled ids.
        sampling_probability: scalar or `[B]`.
        generator: source of the draws.
    """

    def __init__(
        self,
        inputs: Any,
        lengths: Tensor,
        embedding: Embedding,
        sampling_probability: float | Tensor,
        *,
        time_major: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(inputs, lengths, time_major=time_major)
        self.embedding, self.generator = embedding, generator
        self.probability = _check_probability(sampling_probability)

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        chosen = _chosen(self.probability, outputs, self.generator)
        return torch.where(chosen, categorical(outputs, self.generator), -1).int()

    def next_inputs(self, time: int, outputs: Tensor, state: State, sample_ids: Tensor) -> tuple[Tensor, Any, State]:
        finished, inputs, state = super().next_inputs(time, outputs, state, sample_ids)
        return finished, mix_embedded(self.embedding, sample_ids, inputs), state


def mix_embedded(embedding: Embedding, sample_ids: Tensor, inputs: Tensor) -> Tensor:
    """The embedded samples where there are any (id >= 0), else the given inputs."""
    sampled = sample_ids >= 0
    rows = embed(embedding, sample_ids.clamp(min=0))
    return torch.where(sampled.reshape(-1, *[1] * (rows.dim() - 1)), rows, inputs)


class ScheduledOutputTrainingHelper(TrainingHelper):
    """Teacher forcing that sometimes feeds the decoder's own output; samples are 0 or 1.

    Args:
        inputs, lengths, time_major: as in `TrainingHelper`.
        sampling_probability: scalar or `[B]`.
        next_inputs_fn: from output to input; default the output itself.
        auxiliary_inputs: `[B, T, n]`, beside every input.
        generator: source of the draws.
    """

    def __init__(
        self,
        inputs: Tensor,
        lengths: Tensor,
        sampling_probability: float | Tensor,
        *,
        time_major: bool = False,
        next_inputs_fn: Callable[[Tensor], Tensor] | None = None,
        auxiliary_inputs: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        joined = inputs if auxiliary_inputs is None else torch.cat([inputs, auxiliary_inputs], -1)
        super().__init__(joined, lengths, time_major=time_major)
        self.auxiliary = None if auxiliary_inputs is None else self.inputs[..., inputs.shape[-1] :]
        self.next_inputs_fn, self.generator = next_inputs_fn, generator
        self.probability = _check_probability(sampling_probability)

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        return _chosen(self.probability, outputs, self.generator).int()

    def next_inputs(self, time: int, outputs: Tensor, state: State, sample_ids: Tensor) -> tuple[Tensor, Any, State]:
        finished, inputs, state = super().next_inputs(time, outputs, state, sample_ids)
        if bool(finished.all()):
            return finished, inputs, state
        own = outputs if self.next_inputs_fn is None else self.next_inputs_fn(outputs)
        if self.auxiliary is not None:
            own = torch.cat([own, step_of(self.auxiliary, self.lengths, time + 1)[1]], -1)
        return finished, torch.where(sample_ids.bool().unsqueeze(-1), own, inputs), state


class GreedyEmbeddingHelper:
    """Feeds the embedded argmax until the end token.

    Args:
        embedding: table `[V, E]` or function, of ids.
        start_tokens: `[B]`.
        end_token: an id.
    """

    def __init__(self, embedding: Embedding, start_tokens: Tensor, end_token: int) -> None:
        if start_tokens.dim() != 1:
            raise InputError(f"`start_tokens` must be a vector, got shape {list(start_tokens.shape)}")
        if isinstance(end_token, Tensor) and end_token.dim():
            raise InputError(f"`end_token` must be a scalar, got shape {list(end_token.shape)}")
        self.embedding, self.end_token = embedding, end_token
        self.start_tokens = start_tokens
        self.start_inputs = embed(embedding, start_tokens)

    def initialize(self) -> tuple[Tensor, Any]:
        return torch.zeros_like(self.start_tokens, dtype=torch.bool), self.start_inputs

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        return outputs.argmax(-1).int()

    def next_inputs(self, time: int, outputs: Tensor, state: State, sample_ids: Tensor) -> tuple[Tensor, Any, State]:
        finished = sample_ids == self.end_token
        rows = self.start_inputs if bool(finished.all()) else embed(self.embedding, sample_ids)
        return finished, rows, state


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """Feeds an embedded draw instead of the argmax.

    Args:
        embedding, start_tokens, end_token: as in `GreedyEmbeddingHelper`.
        softmax_temperature: divides the logits.
        generator: source of the draws.
    """

    def __init__(
        self,
        embedding: Embedding,
        start_tokens: Tensor,
        end_token: int,
        *,
        softmax_temperature: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(embedding, start_tokens, end_token)
        if softmax_temperature is not None and not softmax_temperature > 0:
            raise InputError(f"`softmax_temperature` must be None or positive, got {softmax_temperature!r}")
        self.temperature, self.generator = softmax_temperature, generator

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        logits = outputs if self.temperature is None else outputs / self.temperature
        return categorical(logits, self.generator).int()


class InferenceHelper:
    """Any values instead of tokens.

    Args:
        sample_fn: outputs -> samples `[B, ...]`.
        start_inputs: `[B, n]`.
        end_fn: samples -> finished `[B]`.
        next_inputs_fn: samples -> inputs; default the samples themselves.
    """

    def __init__(
        self,
        sample_fn: Callable[[Tensor], Tensor],
        start_inputs: Tensor,
        end_fn: Callable[[Tensor], Tensor],
        next_inputs_fn: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.sample_fn, self.start_inputs, self.end_fn = sample_fn, start_inputs, end_fn
        self.next_inputs_fn = next_inputs_fn

    def initialize(self) -> tuple[Tensor, Any]:
        return torch.zeros(len(self.start_inputs), dtype=torch.bool, device=self.start_inputs.device), self.start_inputs

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        return self.sample_fn(outputs)

    def next_inputs(self, time: int, outputs: Tensor, state: State, sample_ids: Tensor) -> tuple[Tensor, Any, State]:
        inputs = sample_ids if self.next_inputs_fn is None else self.next_inputs_fn(sample_ids)
        return self.end_fn(sample_ids), inputs, state


class CustomHelper(NamedTuple):
    """The three functions as given; `initialize_fn` -> (finished `[B]`, first inputs)."""

    initialize_fn: Callable[[], tuple[Tensor, Any]]
    sample_fn: Callable[..., Tensor]
    next_inputs_fn: Callable[..., tuple[Tensor, Any, State]]

    def initialize(self) -> tuple[Tensor, Any]:
        return self.initialize_fn()

    def sample(self, time: int, outputs: Tensor, state: State) -> Tensor:
        return self.sample_fn(time=time, outputs=outputs, state=state)

    def next_inputs(self, time: int, outputs: Tensor, state: State, sample_ids: Tensor) -> tuple[Tensor, Any, State]:
        return self.next_inputs_fn(time=time, outputs=outputs, state=state, sample_ids=sample_ids)
