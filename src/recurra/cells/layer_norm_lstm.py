"""The two LSTMs with layer normalisation of TensorFlow's contrib.rnn (Ba, Kiros and Hinton, 2016).

Both normalise the four gates and the new memory; the state keeps the normalised memory. The basic one has recurrent
dropout (Semeniuta, Severyn and Barth, 2016), the other the options of LSTMCell.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import check_projection_clip, positive, positive_or_none, probability
from recurra.cells.dropout import keep_mask
from recurra.cells.family import Common, FamilyCell, input_rows, lstm_sizes, state_rows
from recurra.cells.lstm import GATES, LSTMOptions, clip
from recurra.cells.norm import NORMED, Norms, add_norms, normalise, read_norms
from recurra.kernels import Recurrence


class LayerNormLSTMParams(NamedTuple):
    kernel: Tensor
    """`[I + P, 4H]`: columns i, j, f, o."""
    bias: Tensor | None
    """`[4H]`; only without norms."""
    norms: Norms | None
    w_i_diag: Tensor | None = None
    """`[H]`, with its two sisters: peepholes."""
    w_f_diag: Tensor | None = None
    w_o_diag: Tensor | None = None
    projection: Tensor | None = None
    """`[H, P]`."""


def layer_norm_lstm_project(params: LayerNormLSTMParams, inputs: Tensor, options: LSTMOptions) -> Tensor:
    """`x @ K_x` (`+ b` without norms), for `[..., I]`."""
    projected = inputs @ input_rows(params.kernel, inputs)
    return projected if params.bias is None else projected + params.bias


def _gates(params: LayerNormLSTMParams, projected: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    gates = (projected + h @ state_rows(params.kernel, h)).chunk(4, -1)
    if params.norms is None:
        return gates
    norms = params.norms[:4]
    return tuple(normalise(gate, norm) for gate, norm in zip(gates, norms, strict=True) if norm is not None)


def layer_norm_basic_lstm_recur(
    params: LayerNormLSTMParams, projected: Tensor, state: LSTMState, options: LSTMOptions, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """`masks [B, H]` drop parts of the candidate (recurrent dropout)."""
    c, h = state
    activation = resolve(options.activation)
    i, j, f, o = _gates(params, projected, h)
    candidate = activation(j) if masks is None else activation(j) * masks
    c = c * torch.sigmoid(f + options.forget_bias) + torch.sigmoid(i) * candidate
    if params.norms is not None:
        c = normalise(c, params.norms.state)
    h = activation(c) * torch.sigmoid(o)
    return h, LSTMState(c, h)


def layer_norm_lstm_recur(
    params: LayerNormLSTMParams, projected: Tensor, state: LSTMState, options: LSTMOptions, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """As LSTMCell with norms: the memory is normalised, then clipped."""
    c, h = state
    activation = resolve(options.activation)
    i, j, f, o = _gates(params, projected, h)
    if params.w_i_diag is not None and params.w_f_diag is not None:
        i, f = i + params.w_i_diag * c, f + params.w_f_diag * c
    c = torch.sigmoid(f + options.forget_bias) * c + torch.sigmoid(i) * activation(j)
    if params.norms is not None:
        c = normalise(c, params.norms.state)
    c = clip(c, options.cell_clip)
    if params.w_o_diag is not None:
        o = o + params.w_o_diag * c
    h = torch.sigmoid(o) * activation(c)
    if params.projection is not None:
        h = clip(h @ params.projection, options.projection_clip)
    return h, LSTMState(c, h)


LAYER_NORM_BASIC_LSTM = Recurrence("layer_norm_basic_lstm", layer_norm_lstm_project, layer_norm_basic_lstm_recur)
LAYER_NORM_LSTM = Recurrence("layer_norm_lstm", layer_norm_lstm_project, layer_norm_lstm_recur)


class LayerNormBasicLSTMCell(FamilyCell):
    """LSTM with layer normalisation and recurrent dropout.

        i, j, f, o = split([x; h] @ kernel), each normalised
        c' = norm(c * sigmoid(f + forget_bias) + sigmoid(i) * dropout(activation(j)))
        h' = activation(c') * sigmoid(o)

    Output `h'`, state `LSTMState(c', h')`: the memory is kept normalised, as in TensorFlow.

    Parameters: `kernel [I + H, 4H]`; `gamma` and `beta` `[H]` of `input`, `transform`, `forget`, `output`, `state`.
    Without layer_norm there is a `bias [4H]` instead, drawn like the kernel (so TensorFlow has it).

    Args:
        input_size, hidden_size: features of the input, units H.
        forget_bias: added to the (normalised) forget gate.
        activation: of the candidate and the memory, a name or a callable.
        layer_norm: whether to normalise at all.
        norm_gain, norm_shift: initial gamma and beta.
        recurrent_keep_prob: probability to keep a unit of the candidate at a step, in training.
        common: `init`, `device`, `dtype`.
    """

    recurrence = LAYER_NORM_BASIC_LSTM
    kernel_gates = {"kernel": GATES}
    tf_scope = "layer_norm_basic_lstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        layer_norm: bool = True,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        recurrent_keep_prob: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        resolve(activation)
        options = LSTMOptions(forget_bias, activation=activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.state_size = lstm_sizes(hidden_size)
        self.layer_norm = layer_norm
        self.recurrent_keep_prob = probability("recurrent_keep_prob", recurrent_keep_prob)
        self.variable("kernel", input_size + hidden_size, 4 * hidden_size)
        if layer_norm:
            add_norms(self, NORMED, norm_gain, norm_shift)
        else:
            self.variable("bias", 4 * hidden_size)

    def params(self) -> LayerNormLSTMParams:
        if self.layer_norm:
            return LayerNormLSTMParams(self.kernel, None, read_norms(self, NORMED))
        return LayerNormLSTMParams(self.kernel, self.bias, None)

    def _draws(self) -> bool:
        return self.training and self.recurrent_keep_prob < 1

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: object = None) -> Masks:
        if not self._draws():
            return None
        return keep_mask((steps, batch_size, self.hidden_size), self.recurrent_keep_prob, like)


class LayerNormLSTMCell(FamilyCell):
    """LSTMCell with layer normalisation of the gates (before the peepholes) and of the memory (before its clip).

        i, j, f, o = split([x; h] @ kernel), each normalised
        c' = sigmoid(f + forget_bias + w_f_diag * c) * c + sigmoid(i + w_i_diag * c) * activation(j)
        c' = clip(norm(c'), ±cell_clip)
        h' = sigmoid(o + w_o_diag * c') * activation(c')
        h' = clip(h' @ projection.kernel, ±projection_clip)       # with projection_size

    Output `h'`, state `LSTMState(c', h')`. Parameters and arguments as LSTMCell, with `gamma` and `beta` as
    LayerNormBasicLSTMCell. (TensorFlow makes a `bias` too, and never adds it.) Without layer_norm it is LSTMCell.
    """

    recurrence = LAYER_NORM_LSTM
    kernel_gates = {"kernel": GATES}
    tf_scope = "layer_norm_lstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = True,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        peepholes: bool = False,
        forget_bias: float = 1.0,
        cell_clip: float | None = None,
        projection_size: int | None = None,
        projection_clip: float | None = None,
        activation: Activation = "tanh",
        **common: Unpack[Common],
    ) -> None:
        resolve(activation)
        check_projection_clip(projection_size, projection_clip)
        options = LSTMOptions(
            forget_bias,
            positive_or_none("cell_clip", cell_clip),
            positive_or_none("projection_clip", projection_clip),
            activation,
        )
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        width = hidden_size if projection_size is None else positive("projection_size", projection_size)
        self.layer_norm, self.peepholes, self.projected = layer_norm, peepholes, projection_size is not None
        self.state_size, self.output_size = lstm_sizes(hidden_size, width), width
        self.variable("kernel", input_size + width, 4 * hidden_size)
        if layer_norm:
            add_norms(self, NORMED, norm_gain, norm_shift)
        else:
            self.variable("bias", 4 * hidden_size, fill=0.0)
        for gate in "ifo" if peepholes else "":
            self.variable(f"w_{gate}_diag", hidden_size)
        if projection_size is not None:
            self.variable("projection.kernel", hidden_size, projection_size)

    def params(self) -> LayerNormLSTMParams:
        bias, norms = (None, read_norms(self, NORMED)) if self.layer_norm else (self.bias, None)
        params = LayerNormLSTMParams(self.kernel, bias, norms)
        if self.peepholes:
            params = params._replace(w_i_diag=self.w_i_diag, w_f_diag=self.w_f_diag, w_o_diag=self.w_o_diag)
        return params._replace(projection=self.projection.kernel) if self.projected else params
