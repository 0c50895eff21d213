"""Default initial values: TensorFlow's, computed over a variable's whole (fused) shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Initializer: TypeAlias = Callable[[Tensor], object]
"""Fills a tensor in place, as the functions of `torch.nn.init` do."""


def fans(shape: torch.Size | tuple[int, ...]) -> tuple[int, int]:
    """TensorFlow's fan-in and fan-out: (n, n) for a vector, (rows, columns), receptive field times the last two."""
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def glorot_uniform(tensor: Tensor) -> Tensor:
    """Uniform in ±sqrt(6 / (fan_in + fan_out)) with TensorFlow's fans (Glorot and Bengio, 2010)."""
    fan_in, fan_out = fans(tensor.shape)
    limit = math.sqrt(6 / max(1, fan_in + fan_out))
    return torch.nn.init.uniform_(tensor, -limit, limit)
