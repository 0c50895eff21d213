"""Random masks for the recurrences, drawn at the kernels' speed."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.kernels.native import library


def draw_mask(shape: tuple[int, ...], probability: float, value: float, like: Tensor) -> Tensor:
    """`value` with `probability`, else 0, each element on its own, in `like`'s dtype and device.

    torch's generator gives the seed, so `torch.manual_seed` makes masks repeatable.
    """
    if _drawable(like):
        return library.draw(shape, probability, value, int(torch.randint(1 << 62, (), device="cpu")))
    noise = torch.rand(shape, dtype=torch.float32 if like.dtype.itemsize < 4 else like.dtype, device=like.device)
    return torch.where(noise < probability, value, 0.0).to(like.dtype)


def _drawable(like: Tensor) -> bool:
    if torch.compiler.is_compiling() or library.core is None:
        return False
    return like.dtype is torch.float32 and like.is_cpu and torch._C._functorch.peek_interpreter_stack() is None
