"""The activations that the kernels compute, by the names and the functions that cells know them by."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

ACTIVATIONS = (
    "tanh",
    "relu",
    "sigmoid",
    "linear",
    "hard_sigmoid",
    "elu",
    "selu",
    "relu6",
    "leaky_relu",
    "softplus",
    "softsign",
    "exponential",
)
"""csrc/core/call.h: recurra_activation."""

_FUNCTIONS = (
    (torch.tanh, "tanh"),
    (functional.tanh, "tanh"),
    (torch.relu, "relu"),
    (functional.relu, "relu"),
    (torch.sigmoid, "sigmoid"),
    (functional.sigmoid, "sigmoid"),
    (functional.elu, "elu"),
    (functional.selu, "selu"),
    (functional.relu6, "relu6"),
    (functional.leaky_relu, "leaky_relu"),
    (functional.softplus, "softplus"),
    (functional.softsign, "softsign"),
    (torch.exp, "exponential"),
)


def kernel_activation(options: Any) -> int | None:
    """The kernels' number of a cell's activation; None where they do not compute it."""
    activation = getattr(options, "activation", "tanh")
    if not isinstance(activation, str):
        activation = next((name for function, name in _FUNCTIONS if function is activation), None)
    return ACTIVATIONS.index(activation) if activation in ACTIVATIONS else None
