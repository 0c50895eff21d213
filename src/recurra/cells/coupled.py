"""The LSTM whose input gate is one minus its forget gate (Greff et al., 2017, https://arxiv.org/abs/1503.04069)."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import check_projection_clip, positive, positive_or_none
from recurra.cells.family import Common, FamilyCell, input_rows, lstm_sizes, state_rows
from recurra.cells.lstm import LSTMOptions, clip
from recurra.cells.norm import NORMED, Norms, add_norms, normalise, read_norms
from recurra.kernels import Recurrence


class CoupledLSTMParams(NamedTuple):
    kernel: Tensor
    """`[I + P, 3H]`: columns of the candidate j, the forget gate f, the output gate o."""
    bias: Tensor | None
    """`[3H]`; only without norms."""
    norms: Norms | None = None
    """Without `input`."""
    w_f_diag: Tensor | None = None
    """`[H]`, with its sister: peepholes."""
    w_o_diag: Tensor | None = None
    projection: Tensor | None = None
    """`[H, P]`."""


def coupled_lstm_project(params: CoupledLSTMParams, inputs: Tensor, options: LSTMOptions) -> Tensor:
    """`x @ K_x` (`+ b` without norms), for `[..., I]`."""
    projected = inputs @ input_rows(params.kernel, inputs)
    return projected if params.bias is None else projected + params.bias


def coupled_lstm_recur(
    params: CoupledLSTMParams, projected: Tensor, state: LSTMState, options: LSTMOptions, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """What the forget gate lets go, the candidate fills."""
    c, h = state
    activation = resolve(options.activation)
    j, f, o = (projected + h @ state_rows(params.kernel, h)).chunk(3, -1)
    if params.norms is not None:
        j, f = normalise(j, params.norms.transform), normalise(f, params.norms.forget)
        o = normalise(o, params.norms.output)
    if params.w_f_diag is not None:
        f = f + params.w_f_diag * c
    forget = torch.sigmoid(f + options.forget_bias)
    c = forget * c + (1 - forget) * activation(j)
    if params.norms is not None:
        c = normalise(c, params.norms.state)
    if params.w_o_diag is not None:
        o = o + params.w_o_diag * c
    h = torch.sigmoid(o) * activation(c)
    if params.projection is not None:
        h = clip(h @ params.projection, options.projection_clip)
    return h, LSTMState(c, h)


COUPLED_LSTM = Recurrence("coupled_lstm", coupled_lstm_project, coupled_lstm_recur)


class CoupledInputForgetGateLSTMCell(FamilyCell):
    """LSTM with coupled input and forget gates.

        j, f, o = split([x; h] @ kernel + bias)
        F = sigmoid(f + forget_bias + w_f_diag * c)
        c' = F * c + (1 - F) * activation(j)
        h' = sigmoid(o + w_o_diag * c') * activation(c')
        h' = clip(h' @ projection.kernel, ±projection_clip)       # with projection_size

    Output `h'`, state `LSTMState(c', h')`. With layer_norm each of j, f, o and c' is normalised.

    Parameters: `kernel [I + P, 3H]`, `bias [3H]` (zeros; none with layer_norm, where TensorFlow makes one and never
    adds it), with peepholes `w_f_diag`, `w_o_diag` `[H]`, with a projection `projection.kernel [H, P]`, with
    layer_norm `gamma` and `beta` of `transform`, `forget`, `output`, `state`. TensorFlow's names are `W_0`, `B`, ….

    Args:
        input_size, hidden_size: features of the input, units H.
        peepholes: let the gates see the memory.
        forget_bias: added to the forget gate.
        projection_size, projection_clip: of the projected output.
        activation: of the candidate and the memory, a name or a callable.
        layer_norm, norm_gain, norm_shift: whether to normalise, and the initial gamma and beta.
        common: `init`, `device`, `dtype`.
    """

    recurrence = COUPLED_LSTM
    kernel_gates = {"kernel": "jfo"}
    tf_scope = "coupled_input_forget_gate_lstm_cell"
    tf_names = {
        "kernel": "W_0",
        "bias": "B",
        "w_f_diag": "W_F_diag",
        "w_o_diag": "W_O_diag",
        "projection.kernel": "W_P_0",
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peepholes: bool = False,
        forget_bias: float = 1.0,
        projection_size: int | None = None,
        projection_clip: float | None = None,
        activation: Activation = "tanh",
        layer_norm: bool = False,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        resolve(activation)
        check_projection_clip(projection_size, projection_clip)
        options = LSTMOptions(forget_bias, None, positive_or_none("projection_clip", projection_clip), activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        width = hidden_size if projection_size is None else positive("projection_size", projection_size)
        self.layer_norm, self.peepholes, self.projected = layer_norm, peepholes, projection_size is not None
        self.state_size, self.output_size = lstm_sizes(hidden_size, width), width
        self.variable("kernel", input_size + width, 3 * hidden_size)
        if layer_norm:
            add_norms(self, NORMED[1:], norm_gain, norm_shift)
        else:
            self.variable("bias", 3 * hidden_size, fill=0.0)
        for gate in "fo" if peepholes else "":
            self.variable(f"w_{gate}_diag", hidden_size)
        if projection_size is not None:
            self.variable("projection.kernel", hidden_size, projection_size)

    def params(self) -> CoupledLSTMParams:
        bias, norms = (None, read_norms(self, NORMED[1:])) if self.layer_norm else (self.bias, None)
        params = CoupledLSTMParams(self.kernel, bias, norms)
        if self.peepholes:
            params = params._replace(w_f_diag=self.w_f_diag, w_o_diag=self.w_o_diag)
        return params._replace(projection=self.projection.kernel) if self.projected else params
