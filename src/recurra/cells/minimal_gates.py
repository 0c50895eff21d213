"""minGRU and minLSTM (Feng et al., 2024, https://arxiv.org/abs/2410.01201): gates that see the input only."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common, affine
from recurra.cells.linear import Coefficients, LinearCell, LinearRecurrence
from recurra.cells.rnn import RNNOptions


class MinGateParams(NamedTuple):
    kernel: Tensor
    """`[I, 2H]`, columns of the gate z and the candidate; minLSTM `[I, 3H]`, of f, i and the candidate."""
    bias: Tensor


def min_gru_coefficients(params: MinGateParams, inputs: Tensor, options: RNNOptions) -> Coefficients:
    """`h' = (1 - z) * h + z * candidate`."""
    gate, candidate = affine(inputs, params.kernel, params.bias).chunk(2, -1)
    z = torch.sigmoid(gate)
    return Coefficients(1 - z, z * resolve(options.activation)(candidate))


def min_lstm_coefficients(params: MinGateParams, inputs: Tensor, options: RNNOptions) -> Coefficients:
    """`h' = f / (f + i) * h + i / (f + i) * candidate`, the quotients taken of logarithms."""
    forget, enter, candidate = affine(inputs, params.kernel, params.bias).chunk(3, -1)
    share = torch.sigmoid(functional.logsigmoid(forget) - functional.logsigmoid(enter))
    return Coefficients(share, (1 - share) * resolve(options.activation)(candidate))


def emit_state(params: MinGateParams, rest: None, h: Tensor, options: RNNOptions) -> Tensor:
    """The output is the state."""
    return h


class _MinGateCell(LinearCell):
    output_is_state = True
    blocks = 2

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "linear", **common: Unpack[Common]
    ) -> None:
        resolve(activation)
        super().__init__(positive("input_size", input_size), hidden_size, RNNOptions(activation), **common)
        self.variable("kernel", input_size, self.blocks * hidden_size)
        self.variable("bias", self.blocks * hidden_size, fill=0.0)

    def params(self) -> MinGateParams:
        return MinGateParams(self.kernel, self.bias)


class MinGRUCell(_MinGateCell):
    """`z = sigmoid(x @ W_z + b_z)`, `h' = (1 - z) * h + z * (x @ W_h + b_h)`; output and state are `h'`.

    A sequence is one scan. Parameters: `kernel [I, 2H]` (columns z, candidate), `bias [2H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: of the candidate; the paper's recurrence has none.
        common: `init`, `device`, `dtype`.
    """

    linear = LinearRecurrence("min_gru", min_gru_coefficients, emit_state)
    tf_scope = "min_gru_cell"


class MinLSTMCell(_MinGateCell):
    """`f, i = sigmoid(…)` of the input, `h' = f / (f + i) * h + i / (f + i) * (x @ W_h + b_h)`.

    A sequence is one scan. Parameters: `kernel [I, 3H]` (columns f, i, candidate), `bias [3H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: of the candidate; the paper's recurrence has none.
        common: `init`, `device`, `dtype`.
    """

    linear = LinearRecurrence("min_lstm", min_lstm_coefficients, emit_state)
    blocks = 3
    tf_scope = "min_lstm_cell"
