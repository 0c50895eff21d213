"""The real-gated linear recurrent unit of Griffin (De et al., 2024, https://arxiv.org/abs/2402.19427)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from recurra.cells.checks import positive
from recurra.cells.family import Common, affine
from recurra.cells.linear import Coefficients, LinearCell, LinearRecurrence


class RGLRUParams(NamedTuple):
    gates_kernel: Tensor
    """`[H, 2H]`: columns of the recurrence gate r, then of the input gate i."""
    gates_bias: Tensor
    """`[2H]`."""
    decay: Tensor
    """`[H]`: Λ, with `a = sigmoid(Λ)`."""
    in_kernel: Tensor | None = None
    """`[I, H]`, with its bias: brings the input to H features; both or none."""
    in_bias: Tensor | None = None


class RGLRUOptions(NamedTuple):
    sharpness: float = 8.0
    """The paper's c."""


def rglru_coefficients(params: RGLRUParams, inputs: Tensor, options: RGLRUOptions) -> Coefficients:
    """`h' = a_t * h + sqrt(1 - a_t²) * (i_t * x_t)` with `a_t = a ** (c * r_t)`, in logarithms."""
    if params.in_kernel is not None and params.in_bias is not None:
        inputs = affine(inputs, params.in_kernel, params.in_bias)
    r, i = torch.sigmoid(affine(inputs, params.gates_kernel, params.gates_bias)).chunk(2, -1)
    log_a = options.sharpness * r * functional.logsigmoid(params.decay)
    return Coefficients(torch.exp(log_a), torch.sqrt(-torch.expm1(2 * log_a)) * (i * inputs))


def rglru_emit(params: RGLRUParams, rest: None, h: Tensor, options: RGLRUOptions) -> Tensor:
    """The output is the state."""
    return h


class RGLRUCell(LinearCell):
    """Real-gated linear recurrent unit.

        x = x @ in_projection.kernel + in_projection.bias               # only where I differs from H
        r, i = split(sigmoid(x @ gates.kernel + gates.bias))
        a_t = sigmoid(decay) ** (8 r)
        h' = a_t * h + sqrt(1 - a_t²) * (i * x)

    Output and state are `h'`. A sequence is one scan.

    Parameters: `gates.kernel [H, 2H]`, `gates.bias [2H]` (zeros), `decay [H]` (so that `sigmoid(decay) ** 8` is uniform
    in [0.9, 0.999]), with a projection `in_projection.kernel [I, H]` and `.bias`. (Griffin's gates are block-diagonal
    for speed on accelerators; the equations are the same.)

    Args:
        input_size: features of the input.
        hidden_size: units.
        sharpness: the exponent 8.
        common: `init`, `device`, `dtype`.
    """

    linear = LinearRecurrence("rglru", rglru_coefficients, rglru_emit)
    output_is_state = True
    tf_scope = "rglru_cell"

    def __init__(self, input_size: int, hidden_size: int, *, sharpness: float = 8.0, **common: Unpack[Common]) -> None:
        super().__init__(positive("input_size", input_size), hidden_size, RGLRUOptions(sharpness), **common)
        if input_size != hidden_size:
            self.variable("in_projection.kernel", input_size, hidden_size)
            self.variable("in_projection.bias", hidden_size, fill=0.0)
        self.variable("gates.kernel", hidden_size, 2 * hidden_size)
        self.variable("gates.bias", 2 * hidden_size, fill=0.0)
        self.variable("decay", hidden_size, fill=partial(slow_decay, sharpness=sharpness))

    def params(self) -> RGLRUParams:
        gates = self.gates
        if not hasattr(self, "in_projection"):
            return RGLRUParams(gates.kernel, gates.bias, self.decay)
        return RGLRUParams(gates.kernel, gates.bias, self.decay, self.in_projection.kernel, self.in_projection.bias)


def slow_decay(tensor: Tensor, sharpness: float) -> Tensor:
    """Λ such that `sigmoid(Λ) ** sharpness` is uniform in [0.9, 0.999]."""
    a = (0.9 + 0.099 * torch.rand_like(tensor)) ** (1 / sharpness)
    return tensor.copy_(torch.logit(a))
