"""Random masks for the recurrences, drawn at the kernels' speed: now, or by a kernel where it needs them."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra.kernels.native import draw_limit, library


def draw_mask(shape: tuple[int, ...], probability: float, value: float, like: Tensor) -> Tensor:
    """`value` with `probability`, else 0, each element on its own, in `like`'s dtype and device.

    torch's generator gives the seed, so `torch.manual_seed` makes masks repeatable.
    """
    if _drawable(like):
        return library.draw(shape, probability, value, _seed())
    noise = torch.rand(shape, dtype=torch.float32 if like.dtype.itemsize < 4 else like.dtype, device=like.device)
    return torch.where(noise < probability, value, 0.0).to(like.dtype)


class Drawn(ctypes.Structure):
    """A mask `[T, B, n]` that is not there yet: `recurra_drawn` of csrc/core/call.h, and what `draw_mask` would give.

    A kernel that gets it draws each row where it needs it: nothing is written to memory and read again.
    """

    _fields_ = [("seed", ctypes.c_uint64), ("limit", ctypes.c_uint64), ("value", ctypes.c_double)]

    def __init__(self, shape: tuple[int, ...], probability: float, value: float) -> None:
        seed = _seed()
        super().__init__(seed, draw_limit(probability), value)
        self.shape = shape
        self._now = shape, probability, value, seed

    def tensor(self) -> Tensor:
        """The mask."""
        return library.draw(*self._now)


def draw_later(shape: tuple[int, ...], probability: float, value: float, like: Tensor) -> Tensor | Drawn:
    """As `draw_mask`, for a call that a kernel may run: what it is not given there comes with `drawn_now`."""
    if len(shape) == 3 and _drawable(like):
        return Drawn(shape, probability, value)
    return draw_mask(shape, probability, value, like)


def drawn_now(masks: Any) -> Any:
    """Masks, or a nest of them, as tensors."""
    return _nest.map_leaves(lambda mask: mask.tensor() if isinstance(mask, Drawn) else mask, masks)


def _seed() -> int:
    return int(torch.randint(1 << 62, (), device="cpu"))


def _drawable(like: Tensor) -> bool:
    if torch.compiler.is_compiling() or library.core is None:
        return False
    return like.dtype is torch.float32 and like.is_cpu and torch._C._functorch.peek_interpreter_stack() is None
