"""Autocast and the cells that kernels run: these compute in float32 under it, as the kernels do.

So their states stay float32, a stream's steps are the numbers of the whole sequence, and both those without autocast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra.kernels.layouts import FAMILIES


def keeps_float32(cell: Any, inputs: Any) -> bool:
    """Whether autocast is on for a call that a kernel would run in float32."""
    if not torch.is_autocast_enabled("cpu") or cell.recurrence.family not in FAMILIES:
        return False
    tensors = [*_nest.flatten(inputs), *cell.parameters()]
    return all([tensor.is_cpu for tensor in tensors]) and all([p.dtype is torch.float32 for p in cell.parameters()])


def in_float32(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The call with autocast off, on arguments whose numbers of 16 bits are float32."""
    with torch.autocast("cpu", enabled=False):
        widened = {name: _nest.map_leaves(_widen, value) for name, value in options.items()}
        return call(*[_nest.map_leaves(_widen, argument) for argument in arguments], **widened)


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
