"""The decoding loop: as many steps as the longest sequence needs, and not one more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import State
from recurra.cells.checks import natural
from recurra.errors import StructureError
from recurra.kernels.scan import select


class Decoder(Protocol):
    """What `dynamic_decode` runs; all leaves are tensors."""

    tracks_own_finished: bool
    """Whether a finished row may be unfinished again (a beam that was pushed out of its slot)."""

    def initialize(self) -> tuple[Tensor, Any, State]:
        """(finished `[B]`, the first inputs, the state)."""
        ...

    def step(self, time: int, inputs: Any, state: State) -> tuple[Any, State, Any, Tensor]:
        """(outputs, new state, next inputs, finished `[B]`)."""
        ...

    def finalize(self, outputs: Any, state: State, lengths: Tensor) -> tuple[Any, State]:
        """What to make of all outputs (time-major)."""
        ...


class Decoded(NamedTuple):
    """What `dynamic_decode` gives."""

    outputs: Any
    """`[B, T, ...]`, T the steps that were run."""
    state: State
    lengths: Tensor
    """`[B]`: steps of each row, the one with the end token counted."""
    recorded: Any = None
    """What `record` saw after each step, `[T, ...]`."""


def dynamic_decode(
    decoder: Decoder,
    *,
    output_time_major: bool = False,
    impute_finished: bool = False,
    maximum_iterations: int | None = None,
    record: Callable[[State], Any] | None = None,
) -> Decoded:
    """Step until all rows are finished.

    Args:
        decoder: see `Decoder`.
        output_time_major: `[T, B, ...]` instead of `[B, T, ...]`.
        impute_finished: rows that are finished give zeros and keep their state (else they run on until the last ends).
        maximum_iterations: at most so many steps.
        record: a function of the state whose result is kept for every step (alignments, for one).

    Returns:
        `Decoded(outputs, state, lengths, recorded)`.

    Raises:
        StructureError (TypeError): no decoder. InputError (ValueError): a negative `maximum_iterations`.
    """
    for name in ("initialize", "step", "finalize"):
        if not callable(getattr(decoder, name, None)):
            raise StructureError(f"`decoder` must be a decoder with {name}(), got {type(decoder).__name__}")
    if maximum_iterations is not None:
        natural("maximum_iterations", int(maximum_iterations))
    finished, inputs, state = decoder.initialize()
    lengths = torch.zeros(finished.shape, dtype=torch.int32, device=finished.device)
    outputs: list[Any] = []
    recorded: list[Any] = []
    first = inputs, state
    time = 0
    while not bool(finished.all()) and (maximum_iterations is None or time < maximum_iterations):
        output, new, inputs, now = decoder.step(time, inputs, state)
        if impute_finished:
            output = _nest.map_leaves(lambda leaf, stop=finished: _zero(leaf, stop), output)
            new = select(~finished, new, state)
        outputs.append(output)
        if record is not None:
            recorded.append(record(new))
        lengths = torch.where(finished, lengths, time + 1)
        finished = now if decoder.tracks_own_finished else now | finished
        state = new
        time += 1
    stacked = _stack(outputs) if outputs else _nothing(decoder, *first)
    final, state = decoder.finalize(stacked, state, lengths)
    if not output_time_major:
        final = _nest.map_leaves(lambda leaf: leaf.transpose(0, 1), final)
    return Decoded(final, state, lengths, _stack(recorded) if recorded else None)


def _zero(leaf: Tensor, rows: Tensor) -> Tensor:
    return torch.where(rows.reshape(-1, *[1] * (leaf.dim() - 1)), leaf.new_zeros(()), leaf)


def _stack(steps: list[Any]) -> Any:
    return _nest.map_leaves(lambda *leaves: torch.stack(leaves), *steps)


@torch.no_grad()
def _nothing(decoder: Decoder, inputs: Any, state: State) -> Any:
    """No step was run: outputs of zero steps in the shape that one would have."""
    like, *_ = decoder.step(0, inputs, state)
    return _nest.map_leaves(lambda leaf: leaf.new_zeros(0, *leaf.shape), like)
