"""Activation functions by name, as TensorFlow and Keras name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import InputError, StructureError

Activation: TypeAlias = str | Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """The identity."""
    return x


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras' piecewise-linear sigmoid, `clip(0.2 x + 0.5, 0, 1)` (torch's has slope 1/6)."""
    return torch.clamp(0.2 * x + 0.5, 0, 1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "linear": linear,
    "hard_sigmoid": hard_sigmoid,
    "elu": functional.elu,
    "selu": functional.selu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "gelu": functional.gelu,
    "swish": functional.silu,
    "exponential": torch.exp,
}


def resolve(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The function that `activation` names; a callable is itself.

    Raises:
        InputError: an unknown name; the known ones are listed.
        StructureError: neither a name nor a callable.
    """
    if callable(activation):
        return activation
    if not isinstance(activation, str):
        raise StructureError(f"`activation` must be a name or a callable, got {type(activation).__name__}")
    if activation not in ACTIVATIONS:
        raise InputError(f"`activation` is unknown: {activation!r}; known names: {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[activation]
