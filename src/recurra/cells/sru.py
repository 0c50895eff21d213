"""The simple recurrent unit (Lei et al., 2018, https://arxiv.org/abs/1709.02755): nothing but the gate's mixture is
left in the recurrence.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common
from recurra.cells.linear import Coefficients, LinearCell, LinearRecurrence
from recurra.cells.rnn import RNNOptions


class SRUParams(NamedTuple):
    kernel: Tensor
    """`[I, 4H]`: columns of the candidate, the forget gate, the output's gate, the input passed on."""
    bias: Tensor
    """`[2H]`, of the two gates."""


def sru_coefficients(params: SRUParams, inputs: Tensor, options: RNNOptions) -> Coefficients:
    """`c' = f * c + (1 - f) * candidate`; the output needs its gate and the input passed on."""
    units = params.bias.shape[0] // 2
    candidate, gates, passed = (inputs @ params.kernel).split([units, 2 * units, units], -1)
    f, r = torch.sigmoid(gates + params.bias).chunk(2, -1)
    return Coefficients(f, torch.addcmul(candidate, f, candidate, value=-1), (r, passed))


def sru_emit(params: SRUParams, rest: tuple[Tensor, Tensor], c: Tensor, options: RNNOptions) -> Tensor:
    """`h = r * activation(c) + (1 - r) * passed`."""
    r, passed = rest
    return torch.addcmul(passed, r, resolve(options.activation)(c) - passed)


class SRUCell(LinearCell):
    """Simple recurrent unit.

        x~, f, r, p = split(x @ kernel);  f, r = sigmoid([f; r] + bias)
        c' = f * c + (1 - f) * x~
        h = r * activation(c') + (1 - r) * p

    Output `h`, state `c'`. A sequence is one scan (`recurra.kernels.linear`).

    Parameters: `kernel [I, 4H]`, `bias [2H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: of the memory.
        common: `init`, `device`, `dtype`.
    """

    linear = LinearRecurrence("sru", sru_coefficients, sru_emit)
    tf_scope = "sru_cell"

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "tanh", **common: Unpack[Common]
    ) -> None:
        resolve(activation)
        super().__init__(positive("input_size", input_size), hidden_size, RNNOptions(activation), **common)
        self.variable("kernel", input_size, 4 * hidden_size)
        self.variable("bias", 2 * hidden_size, fill=0.0)

    def params(self) -> SRUParams:
        return SRUParams(self.kernel, self.bias)
