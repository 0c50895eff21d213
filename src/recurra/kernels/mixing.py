"""What wrappers do to the state inside a recurrence, as the kernels take it: `fresh * new + old * before`.

Zoneout and state dropout, in any order and number, come down to two coefficients for each part of the state, and two
for the output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra._typing import Masks, State
from recurra.kernels.random import Drawn, drawn_now
from recurra.kernels.scan import After, Zoneout


class Mixture(NamedTuple):
    """Coefficients, `[T or 1, B or 1, n]`: no `fresh` means `1 - old` (zoneout), no `old` means 0 (dropout).

    Tensors, or what a kernel is to draw (`recurra.kernels.random.Drawn`).
    """

    fresh: Any
    old: Any


def dense_rows(tensor: Tensor) -> Tensor:
    """The tensor itself where the features of a row lie side by side, with no negation put off; else a copy."""
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] <= 1 else tensor.contiguous()


Mixtures = tuple[Mixture | None, Mixture | None, Mixture | None]
"""Of h, of c, and of the output; None for the new value itself."""


def _parts(masks: Masks, state: State) -> list[Any]:
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
            reason = refused_mask(type(transform).__name__, mask, inputs, leaf.shape[-1])
            if reason is not None:
                return reason
    return None


def refused_mask(name: str, mask: Tensor | Drawn, inputs: Tensor, features: int) -> str | None:
    """Why the kernels do not take a mask."""
    if isinstance(mask, Drawn):
        return None if mask.shape == (*inputs.shape[:2], features) else f"{name} with masks of shape {list(mask.shape)}"
    if type(mask) is not Tensor or mask.dtype is not inputs.dtype or mask.requires_grad:
        return f"{name} with masks that are no plain tensors of the input's type"
    T, B = inputs.shape[:2]
    fits = mask.dim() == 3 and mask.shape[0] in (1, T) and mask.shape[1] in (1, B)
    return None if fits and mask.shape[2] == features else f"{name} with masks of shape {list(mask.shape)}"


def mixtures(after: After, state: State) -> Mixtures:
    """The coefficients that `after` amounts to."""
    parts: list[Mixture | None] = [None] * (1 if isinstance(state, Tensor) else len(state))
    output: Mixture | None = None
    for transform in after:
        if transform.masks is None:
            continue
        zoneout = isinstance(transform, Zoneout)
        masks = [dense_rows(mask) if isinstance(mask, Tensor) else mask for mask in _parts(transform.masks, state)]
        parts = [part if mask is None else _then(part, mask, zoneout) for part, mask in zip(parts, masks, strict=True)]
        if isinstance(transform, Zoneout) and transform.emit:
            output = parts[-1]
    return parts[-1], parts[0] if len(parts) > 1 else None, output


def _then(part: Mixture | None, mask: Any, zoneout: bool) -> Mixture:
    if part is None:
        return Mixture(None, mask) if zoneout else Mixture(mask, None)
    mask, part = drawn_now(mask), Mixture(*map(drawn_now, part))
    old = torch.zeros_like(mask[:1, :1]) if part.old is None else part.old
    fresh = 1 - old if part.fresh is None else part.fresh
    if zoneout:
        return Mixture((1 - mask) * fresh, mask + (1 - mask) * old)
    return Mixture(fresh * mask, old * mask)
