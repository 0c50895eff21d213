"""The update gate RNN (Collins, Sohl-Dickstein and Sussillo, 2017, https://arxiv.org/abs/1611.09913)."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell, input_rows, state_rows
from recurra.kernels import Recurrence


class UGRNNParams(NamedTuple):
    kernel: Tensor
    """`[I + H, 2H]`: columns of the gate, then of the candidate."""
    bias: Tensor
    """`[2H]`."""


class UGRNNOptions(NamedTuple):
    forget_bias: float = 1.0
    activation: Activation = "tanh"


def ugrnn_project(params: UGRNNParams, inputs: Tensor, options: UGRNNOptions) -> Tensor:
    """The input's share, for `[..., I]`."""
    return inputs @ input_rows(params.kernel, inputs) + params.bias


def ugrnn_recur(
    params: UGRNNParams, projected: Tensor, state: Tensor, options: UGRNNOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """One gate mixes the old state with the candidate."""
    gate, candidate = (projected + state @ state_rows(params.kernel, state)).chunk(2, -1)
    h = torch.lerp(resolve(options.activation)(candidate), state, torch.sigmoid(gate + options.forget_bias))
    return h, h


UGRNN = Recurrence("ugrnn", ugrnn_project, ugrnn_recur)


class UGRNNCell(FamilyCell):
    """Update gate RNN.

        g, c = split([x; h] @ kernel + bias)
        h' = sigmoid(g + forget_bias) * h + (1 - sigmoid(g + forget_bias)) * activation(c)

    Parameters: `kernel [I + H, 2H]`, `bias [2H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        forget_bias: added to the gate when it runs.
        activation: of the candidate, a name or a callable.
        common: `init`, `device`, `dtype`.
    """

    recurrence = UGRNN
    tf_scope = "ugrnn_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        **common: Unpack[Common],
    ) -> None:
        resolve(activation)
        options = UGRNNOptions(forget_bias, activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.variable("kernel", input_size + hidden_size, 2 * hidden_size)
        self.variable("bias", 2 * hidden_size, fill=0.0)

    def params(self) -> UGRNNParams:
        return UGRNNParams(self.kernel, self.bias)
