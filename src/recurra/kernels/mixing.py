"""What wrappers do to the state inside a recurrence, as the kernels take it: `fresh * new + old * before`.

Zoneout and state dropout, in any order and number, come down to two coefficients for each part of the state, and two
for the output.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recurra._typing import Masks, State
from recurra.kernels.scan import After, Zoneout


class Mixture(NamedTuple):
    """Coefficients, `[T or 1, B or 1, n]`."""

    fresh: Tensor
    old: Tensor


Mixtures = tuple[Mixture | None, Mixture | None, Mixture | None]
"""Of h, of c, and of the output; None for the new value itself."""


def _parts(masks: Masks, state: State) -> list[Tensor | None]:
    return [masks] if isinstance(state, Tensor) else list(masks)


def refused(after: After, inputs: Tensor, state: State) -> str | None:
    """Why the kernels do not take these transforms."""
    leaves = [state] if isinstance(state, Tensor) else list(state)
    for transform in after:
        if transform.masks is None:
            continue
        for mask, leaf in zip(_parts(transform.masks, state), leaves, strict=True):
            if mask is None:
                continue
            name = type(transform).__name__
            if type(mask) is not Tensor or mask.dtype is not inputs.dtype or mask.requires_grad:
                return f"{name} with masks that are no plain tensors of the input's type"
            T, B = inputs.shape[:2]
            fits = mask.dim() == 3 and mask.shape[0] in (1, T) and mask.shape[1] in (1, B)
            if not fits or mask.shape[2] != leaf.shape[-1]:
                return f"{name} with masks of shape {list(mask.shape)}"
    return None


def mixtures(after: After, state: State) -> Mixtures:
    """The coefficients that `after` amounts to."""
    parts: list[Mixture | None] = [None] * (1 if isinstance(state, Tensor) else len(state))
    output: Mixture | None = None
    for transform in after:
        if transform.masks is None:
            continue
        zoneout = isinstance(transform, Zoneout)
        masks = _parts(transform.masks, state)
        parts = [part if mask is None else _then(part, mask, zoneout) for part, mask in zip(parts, masks, strict=True)]
        if isinstance(transform, Zoneout) and transform.emit:
            output = parts[-1]
    h, c = parts[-1], parts[0] if len(parts) > 1 else None
    if output is None and (h is not None or c is not None):
        size = (state if isinstance(state, Tensor) else state[-1]).shape[-1]
        like = next(part for part in (h, c) if part is not None).fresh
        output = Mixture(like.new_ones(1, 1, size), like.new_zeros(1, 1, size))
    return h, c, output


def _then(part: Mixture | None, mask: Tensor, zoneout: bool) -> Mixture:
    if part is None:
        part = Mixture(torch.ones_like(mask[:1, :1]), torch.zeros_like(mask[:1, :1]))
    if zoneout:
        return Mixture((1 - mask) * part.fresh, mask + (1 - mask) * part.old)
    return Mixture(part.fresh * mask, part.old * mask)
