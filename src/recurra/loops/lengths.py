"""Reading and moving rows of different lengths."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import State
from recurra.cells.checks import check_lengths
from recurra.errors import InputError, StructureError


def to_front(values: Any, lengths: Tensor) -> Any:
    """Left-padded rows `[T, B, ...]` moved so that they begin at step 0 (the padding comes behind)."""
    return _roll(values, lengths, forward=True)


def to_back(values: Any, lengths: Tensor) -> Any:
    """The opposite of `to_front`."""
    return _roll(values, lengths, forward=False)


def _roll(values: Any, lengths: Tensor, *, forward: bool) -> Any:
    steps = _nest.flatten(values)[0].shape[0]
    if steps == 0:
        return values
    lengths = lengths.long()  # arithmetic on small integers would wrap around
    shift = (steps - lengths) if forward else lengths
    index = (torch.arange(steps, device=lengths.device).unsqueeze(1) + shift.unsqueeze(0)) % steps
    rows = torch.arange(lengths.shape[0], device=lengths.device)
    return _nest.map_leaves(lambda leaf: leaf[index, rows] if leaf.dim() > 1 else leaf, values)


def states_to_back(states: State, lengths: Tensor, before: State) -> State:
    """Left-padded rows' states after every step, from those of `to_front`'s rows; in the padding stands `before`.

    A state leaf of rank 0 counts steps, padding included, and stays where it is.
    """
    moved = to_back(states, lengths)
    steps = _nest.flatten(states)[0].shape[0]
    running = torch.arange(steps, device=lengths.device).unsqueeze(1) >= (steps - lengths.long()).unsqueeze(0)

    def leaf(after: Tensor, start: Tensor) -> Tensor:
        if after.dim() < 2:
            return after
        return torch.where(running.reshape(*running.shape, *[1] * (after.dim() - 2)), after, start)

    return _nest.map_leaves(leaf, moved, before)


def last_output(outputs: Any, lengths: Tensor | None = None, *, time_major: bool = False, reverse: bool = False) -> Any:
    """The output at each row's last step: `[B, T, n]` -> `[B, n]`; zeros for a row of length 0.

    This is what a padded batch needs in place of `outputs[:, -1]`, which is zero for every shorter row.

    Args:
        outputs: `[B, T, ...]` (or `[T, B, ...]` with `time_major`), or a nest of such.
        lengths: `[B]` integers in `0..T`; None means T.
        time_major: whether time comes first.
        reverse: read a backward half, whose last step is index 0.

    Raises:
        InputError (ValueError): `outputs` has fewer than two axes; `lengths` does not fit. StructureError (TypeError):
            no tensor.
    """

    def leaf(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise StructureError(f"`outputs` must be a tensor, got {type(tensor).__name__}")
        if tensor.dim() < 2:
            raise InputError(f"`outputs` must have a batch and a time axis, got shape {list(tensor.shape)}")
        rows = tensor.transpose(0, 1) if not time_major else tensor
        steps, batch = rows.shape[:2]
        if lengths is not None:
            check_lengths(lengths, batch, steps, tensor.device)
        if steps == 0:
            return rows.new_zeros(batch, *rows.shape[2:])
        if lengths is None:
            return rows[0 if reverse else -1]
        index = torch.zeros_like(lengths) if reverse else (lengths.long() - 1).clamp(min=0)
        picked = rows[index.long(), torch.arange(batch, device=tensor.device)]
        running = (lengths > 0).reshape(-1, *[1] * (picked.dim() - 1))
        return torch.where(running, picked, picked.new_zeros(()))

    return _nest.map_leaves(leaf, outputs)
