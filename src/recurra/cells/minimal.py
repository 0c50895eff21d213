"""MinimalRNN (Chen, 2017, https://arxiv.org/abs/1711.06788) and the chaos-free network (Laurent and von Brecht, 2016,
https://arxiv.org/abs/1612.06212).
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell
from recurra.cells.rnn import RNNOptions
from recurra.kernels import Recurrence


class MinimalRNNParams(NamedTuple):
    kernel: Tensor
    """`[I + 2H, H]`: rows of the input's embedding, then of the gate from that embedding, then from the state."""
    bias: Tensor
    """`[H]`."""


class CFNParams(NamedTuple):
    kernel: Tensor
    """`[I, 3H]`: columns of θ, η and the candidate."""
    recurrent_kernel: Tensor
    """`[H, 2H]`: columns of θ and η."""
    bias: Tensor
    """`[2H]`."""


def minimal_project(params: MinimalRNNParams, inputs: Tensor, options: RNNOptions) -> tuple[Tensor, Tensor]:
    """The embedding `z`, and its share of the gate."""
    size = inputs.shape[-1]
    units = params.kernel.shape[-1]
    z = resolve(options.activation)(inputs @ params.kernel[:size])
    return z, z @ params.kernel[size : size + units] + params.bias


def minimal_recur(
    params: MinimalRNNParams, projected: tuple[Tensor, Tensor], state: Tensor, options: RNNOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """One gate between the state and the embedding."""
    z, gate = projected
    u = torch.sigmoid(gate + state @ params.kernel[params.kernel.shape[0] - state.shape[-1] :])
    h = u * state + (1 - u) * z
    return h, h


def cfn_project(params: CFNParams, inputs: Tensor, options: RNNOptions) -> tuple[Tensor, Tensor]:
    """The input's share of the gates, and the candidate."""
    gates, candidate = (inputs @ params.kernel).tensor_split([params.bias.shape[0]], -1)
    return gates + params.bias, resolve(options.activation)(candidate)


def cfn_recur(
    params: CFNParams, projected: tuple[Tensor, Tensor], state: Tensor, options: RNNOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """`h' = θ * φ(h) + (1 - η) * candidate`: TensorFlow's form (the paper has η in place of 1 - η)."""
    gates, candidate = projected
    theta, eta = torch.sigmoid(gates + state @ params.recurrent_kernel).chunk(2, -1)
    h = theta * resolve(options.activation)(state) + (1 - eta) * candidate
    return h, h


MINIMAL_RNN = Recurrence("minimal_rnn", minimal_project, minimal_recur)
CFN = Recurrence("cfn", cfn_project, cfn_recur)


class MinimalRNNCell(FamilyCell):
    """MinimalRNN: an embedding of the input, and one gate.

        z = activation(x @ V);  u = sigmoid([z; h] @ G + bias)             # kernel = [V; G]
        h' = u * h + (1 - u) * z

    Parameters: `kernel [I + 2H, H]`, `bias [H]` (ones).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: of the embedding.
        common: `init`, `device`, `dtype`.
    """

    recurrence = MINIMAL_RNN
    tf_scope = "minimal_rnn_cell"

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "tanh", **common: Unpack[Common]
    ) -> None:
        resolve(activation)
        super().__init__(positive("input_size", input_size), hidden_size, RNNOptions(activation), **common)
        self.variable("kernel", input_size + 2 * hidden_size, hidden_size)
        self.variable("bias", hidden_size, fill=1.0)

    def params(self) -> MinimalRNNParams:
        return MinimalRNNParams(self.kernel, self.bias)


class CFNCell(FamilyCell):
    """Chaos-free network: without input the state goes to zero.

        θ, η = split(sigmoid(h @ recurrent_kernel + x @ kernel[:, :2H] + bias))
        h' = θ * activation(h) + (1 - η) * activation(x @ kernel[:, 2H:])

    Parameters: `kernel [I, 3H]`, `recurrent_kernel [H, 2H]`, `bias [2H]` (ones).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: of the state and the candidate.
        common: `init`, `device`, `dtype`.
    """

    recurrence = CFN
    tf_scope = "cfn_cell"

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "tanh", **common: Unpack[Common]
    ) -> None:
        resolve(activation)
        super().__init__(positive("input_size", input_size), hidden_size, RNNOptions(activation), **common)
        self.variable("kernel", input_size, 3 * hidden_size)
        self.variable("recurrent_kernel", hidden_size, 2 * hidden_size)
        self.variable("bias", 2 * hidden_size, fill=1.0)

    def params(self) -> CFNParams:
        return CFNParams(self.kernel, self.recurrent_kernel, self.bias)
