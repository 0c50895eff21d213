"""Beams as trees: tiling a batch, and walking back from the leaves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra.errors import InputError


def tile_batch(values: Any, width: int) -> Any:
    """Each row `width` times in a row: leaves `[B, ...]` -> `[B * width, ...]`; leaves of rank 0 stay."""
    if width < 1:
        raise InputError(f"`width` must be a positive integer, got {width!r}")
    return _nest.map_leaves(lambda leaf: leaf if leaf.dim() == 0 else leaf.repeat_interleave(width, 0), values)


def gather_tree(step_ids: Tensor, parent_ids: Tensor, max_sequence_lengths: Tensor, end_token: int) -> Tensor:
    """The sequences that end in each beam.

    Args:
        step_ids: `[T, B, W]` tokens chosen at each step.
        parent_ids: `[T, B, W]` the beam that each came from.
        max_sequence_lengths: `[B]`; a row is walked back from its last step on.
        end_token: fills what is past a row's length or behind the first end token.

    Returns:
        `[T, B, W]`.
    """
    steps = step_ids.shape[0]
    beams = torch.full_like(step_ids, end_token)
    last = max_sequence_lengths.clamp(max=steps).unsqueeze(-1) - 1
    parents = torch.arange(step_ids.shape[2], device=step_ids.device).expand_as(step_ids[0]).long()
    for t in reversed(range(steps)):
        inside = t <= last
        beams[t] = torch.where(inside, step_ids[t].gather(1, parents), beams[t])
        parents = torch.where(inside, parent_ids[t].long().gather(1, parents), parents)
    ended = (beams == end_token).int().cumsum(0) - (beams == end_token).int()
    return torch.where(ended > 0, torch.full_like(beams, end_token), beams)


def gather_tree_from_array(values: Tensor, parent_ids: Tensor, lengths: Tensor) -> Tensor:
    """What belongs to the sequences that end in each beam: `values [T, B, W, ...]` by the parents `[T, B, W]`.

    Past a sequence's length `[B, W]` the values stay in place.
    """
    steps, batch, width = parent_ids.shape
    beams = torch.arange(width, device=values.device).expand(steps, batch, width)
    longest = lengths.max(1).values
    order = gather_tree(beams, parent_ids, longest, width + 1)
    inside = torch.arange(steps, device=values.device).reshape(-1, 1, 1) < lengths
    index = torch.where(inside, order, beams).clamp(max=width - 1)
    return values.gather(2, index.reshape(*index.shape, *[1] * (values.dim() - 3)).expand_as(values))
