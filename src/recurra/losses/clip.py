"""Clipping by the global norm, with TensorFlow's meaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from recurra.cells.checks import number
from recurra.errors import InputError


def global_norm(tensors: Iterable[Tensor | None]) -> Tensor:
    """`sqrt(sum of all squares)`, a scalar; None counts for nothing."""
    squares = [tensor.square().sum() for tensor in tensors if tensor is not None]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())


def clip_by_global_norm(
    tensors: Sequence[Tensor | None], clip_norm: float, *, use_norm: Tensor | float | None = None
) -> tuple[list[Tensor | None], Tensor]:
    """All tensors times `clip_norm / max(norm, clip_norm)`, and the norm before.

    A norm that is not finite turns every tensor into NaN, as in TensorFlow, so that a broken step is seen (torch's
    clip_grad_norm_ scales by 0 or NaN, element by element).

    Args:
        tensors: gradients, None where there is none.
        clip_norm: the largest norm to let through.
        use_norm: a scalar in place of `global_norm(tensors)`.

    Returns:
        `(clipped, norm)`: new tensors, None where there was none, and the norm before.

    Raises:
        InputError (ValueError): `clip_norm` is not positive. StructureError (TypeError): it is no number.
    """
    if not number("clip_norm", clip_norm) > 0:
        raise InputError(f"`clip_norm` must be a positive number, got {clip_norm!r}")
    norm = global_norm(tensors) if use_norm is None else torch.as_tensor(use_norm)
    scale = clip_norm * torch.minimum(1 / norm, torch.ones_like(norm) / clip_norm)
    scale = torch.where(norm.isfinite(), scale, torch.full_like(scale, torch.nan))
    return [None if tensor is None else tensor * scale.to(tensor.dtype) for tensor in tensors], norm


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], clip_norm: float) -> Tensor:
    """`clip_by_global_norm` in place on the parameters' gradients; the norm before."""
    owners = [parameter for parameter in parameters if parameter.grad is not None]
    clipped, norm = clip_by_global_norm([parameter.grad for parameter in owners], clip_norm)
    for parameter, grad in zip(owners, clipped, strict=True):
        parameter.grad = grad
    return norm
