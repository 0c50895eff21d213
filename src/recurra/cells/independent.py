"""Cells whose units see only their own past: IndRNN (Li et al., 2018, https://arxiv.org/abs/1803.04831) and the two
cells that TensorFlow built in its image, IndyGRU and IndyLSTM (Gonnet and Deselaers, https://arxiv.org/abs/1903.08023).
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell, lstm_sizes, uniform
from recurra.cells.gru import GRUOptions
from recurra.cells.lstm import LSTMOptions
from recurra.cells.rnn import RNNOptions
from recurra.kernels import Recurrence


class IndyParams(NamedTuple):
    kernel_w: Tensor
    """`[I, G * H]`: the input's weights."""
    kernel_u: Tensor
    """`[1, G * H]`: each unit's weight for its own past."""
    bias: Tensor
    """`[G * H]`."""


class IndyGRUParams(NamedTuple):
    gates: IndyParams
    """Columns r, then u."""
    candidate: IndyParams


def indy_project(params: IndyParams, inputs: Tensor, options: object) -> Tensor:
    """`x @ W + b`, for `[..., I]`."""
    return inputs @ params.kernel_w + params.bias


def ind_rnn_recur(
    params: IndyParams, projected: Tensor, state: Tensor, options: RNNOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """`h' = activation(x @ W + b + h * u)`."""
    h = resolve(options.activation)(projected + state * params.kernel_u)
    return h, h


def indy_lstm_recur(
    params: IndyParams, projected: Tensor, state: LSTMState, options: LSTMOptions, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """The LSTM with `h * u` in place of `h @ K`."""
    c, h = state
    activation = resolve(options.activation)
    gates = projected.unflatten(-1, (4, -1)) + h.unsqueeze(-2) * params.kernel_u.unflatten(-1, (4, -1))
    i, j, f, o = gates.unbind(-2)
    c = torch.sigmoid(f + options.forget_bias) * c + torch.sigmoid(i) * activation(j)
    h = torch.sigmoid(o) * activation(c)
    return h, LSTMState(c, h)


def indy_gru_project(params: IndyGRUParams, inputs: Tensor, options: GRUOptions) -> tuple[Tensor, Tensor]:
    """The input's share of the gates and of the candidate."""
    return indy_project(params.gates, inputs, options), indy_project(params.candidate, inputs, options)


def indy_gru_recur(
    params: IndyGRUParams, projected: tuple[Tensor, Tensor], state: Tensor, options: GRUOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """The GRU with `h * u` in place of `h @ K`; the reset gate acts before."""
    gates, candidate = projected
    gates = gates.unflatten(-1, (2, -1)) + state.unsqueeze(-2) * params.gates.kernel_u.unflatten(-1, (2, -1))
    r, u = torch.sigmoid(gates).unbind(-2)
    candidate = resolve(options.activation)(candidate + (r * state) * params.candidate.kernel_u)
    h = torch.lerp(candidate, state, u)
    return h, h


IND_RNN = Recurrence("ind_rnn", indy_project, ind_rnn_recur)
INDY_LSTM = Recurrence("indy_lstm", indy_project, indy_lstm_recur)
INDY_GRU = Recurrence("indy_gru", indy_gru_project, indy_gru_recur)


class IndRNNCell(FamilyCell):
    """`h' = activation(x @ kernel_w + h * kernel_u + bias)`; output and state are `h'`.

    Parameters: `kernel_w [I, H]`, `kernel_u [1, H]` (uniform in ±1), `bias [H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: a name or a callable.
        common: `init`, `device`, `dtype`.
    """

    recurrence = IND_RNN
    tf_scope = "ind_rnn_cell"

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "tanh", **common: Unpack[Common]
    ) -> None:
        resolve(activation)
        super().__init__(positive("input_size", input_size), hidden_size, RNNOptions(activation), **common)
        self.variable("kernel_w", input_size, hidden_size)
        self.variable("kernel_u", 1, hidden_size, fill=uniform(-1, 1))
        self.variable("bias", hidden_size, fill=0.0)

    def params(self) -> IndyParams:
        return IndyParams(self.kernel_w, self.kernel_u, self.bias)


class IndyLSTMCell(FamilyCell):
    """LSTM with independent units.

        i, j, f, o = split(x @ kernel_w + [h; h; h; h] * kernel_u + bias)
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * activation(j)
        h' = sigmoid(o) * activation(c')

    Parameters: `kernel_w [I, 4H]`, `kernel_u [1, 4H]` (uniform in ±1), `bias [4H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        forget_bias: added to the forget gate when it runs.
        activation: of the candidate and the memory.
        common: `init`, `device`, `dtype`.
    """

    recurrence = INDY_LSTM
    tf_scope = "indy_lstm_cell"

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
        options = LSTMOptions(forget_bias, activation=activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.state_size = lstm_sizes(hidden_size)
        self.variable("kernel_w", input_size, 4 * hidden_size)
        self.variable("kernel_u", 1, 4 * hidden_size, fill=uniform(-1, 1))
        self.variable("bias", 4 * hidden_size, fill=0.0)

    def params(self) -> IndyParams:
        return IndyParams(self.kernel_w, self.kernel_u, self.bias)


class IndyGRUCell(FamilyCell):
    """GRU with independent units.

        r, u = split(sigmoid(x @ gates.kernel_w + [h; h] * gates.kernel_u + gates.bias))
        n = activation(x @ candidate.kernel + (r * h) * candidate.kernel_u + candidate.bias)
        h' = u * h + (1 - u) * n

    Parameters: `gates.kernel_w [I, 2H]`, `gates.kernel_u [1, 2H]`, `gates.bias [2H]` (ones), `candidate.kernel [I, H]`
    (TensorFlow's name has no `_w` here), `candidate.kernel_u [1, H]`, `candidate.bias [H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: of the candidate.
        common: `init`, `device`, `dtype`.
    """

    recurrence = INDY_GRU
    tf_scope = "indy_gru_cell"

    def __init__(
        self, input_size: int, hidden_size: int, *, activation: Activation = "tanh", **common: Unpack[Common]
    ) -> None:
        resolve(activation)
        super().__init__(positive("input_size", input_size), hidden_size, GRUOptions(activation), **common)
        self.variable("gates.kernel_w", input_size, 2 * hidden_size)
        self.variable("gates.kernel_u", 1, 2 * hidden_size, fill=uniform(-1, 1))
        self.variable("gates.bias", 2 * hidden_size, fill=1.0)
        self.variable("candidate.kernel", input_size, hidden_size)
        self.variable("candidate.kernel_u", 1, hidden_size, fill=uniform(-1, 1))
        self.variable("candidate.bias", hidden_size, fill=0.0)

    def params(self) -> IndyGRUParams:
        gates, candidate = self.gates, self.candidate
        return IndyGRUParams(
            IndyParams(gates.kernel_w, gates.kernel_u, gates.bias),
            IndyParams(candidate.kernel, candidate.kernel_u, candidate.bias),
        )
