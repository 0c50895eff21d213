"""Layer normalisation inside a cell (Ba, Kiros and Hinton, 2016), as contrib.rnn's cells have it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.cells.family import FamilyCell

NORMED = ("input", "transform", "forget", "output", "state")
"""What contrib's cells normalise, in the order of their variables: the gates i, j, f, o and the new memory."""


class Norm(NamedTuple):
    gamma: Tensor
    """`[H]`."""
    beta: Tensor
    """`[H]`."""


class Norms(NamedTuple):
    """One each; `input` is missing where forget and input gate are coupled."""

    input: Norm | None
    transform: Norm
    forget: Norm
    output: Norm
    state: Norm


def normalise(value: Tensor, norm: Norm) -> Tensor:
    """`(value - mean) / sqrt(var + epsilon) * gamma + beta` over the last axis; epsilon 1e-12, in float16 1e-3."""
    epsilon = 1e-3 if value.dtype == torch.float16 else 1e-12
    return functional.layer_norm(value, value.shape[-1:], norm.gamma, norm.beta, epsilon)


def add_norms(cell: FamilyCell, names: tuple[str, ...], gain: float, shift: float) -> None:
    """Register `<name>.gamma` (filled with `gain`) and `<name>.beta` (`shift`), each `[H]`."""
    for name in names:
        cell.variable(f"{name}.gamma", cell.hidden_size, fill=gain)
        cell.variable(f"{name}.beta", cell.hidden_size, fill=shift)


def read_norms(cell: nn.Module, names: tuple[str, ...]) -> Norms:
    """What `add_norms` registered."""
    read = {name: Norm(getattr(cell, name).gamma, getattr(cell, name).beta) for name in names}
    return Norms(read.get("input"), *(read[name] for name in NORMED[1:]))
