"""An LSTM with weight normalisation (Salimans and Kingma, 2016, https://arxiv.org/abs/1602.07868)."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import check_projection_clip, positive, positive_or_none
from recurra.cells.family import Common, FamilyCell, lstm_sizes
from recurra.cells.lstm import LSTM, LSTMOptions, LSTMParams

EPSILON = 1e-12
"""Lower bound of a column's squared norm, as TensorFlow's l2_normalize has it."""


class WeightNormGains(NamedTuple):
    input: Tensor
    """`[4H]`: lengths of the kernel's columns over the input's rows."""
    recurrent: Tensor
    """`[4H]`: lengths over the recurrent rows."""
    projection: Tensor | None = None
    """`[P]`."""


def normalize_columns(weight: Tensor, gain: Tensor) -> Tensor:
    """`weight` with each column brought to the length `gain`."""
    return weight * torch.rsqrt(weight.square().sum(0).clamp(min=EPSILON)) * gain


def weight_norm_lstm(params: LSTMParams, gains: WeightNormGains) -> LSTMParams:
    """The plain LSTM's parameters: after this the cell is an LSTM like any other, and takes its kernel."""
    units = params.kernel.shape[1] // 4
    recurrent = units if params.projection is None else params.projection.shape[1]
    upper, lower = params.kernel.tensor_split([params.kernel.shape[0] - recurrent])
    kernel = torch.cat([normalize_columns(upper, gains.input), normalize_columns(lower, gains.recurrent)])
    projection = params.projection
    if projection is not None and gains.projection is not None:
        projection = normalize_columns(projection, gains.projection)
    return params._replace(kernel=kernel, projection=projection)


class WeightNormLSTMCell(FamilyCell):
    """LSTM whose kernel's columns have trained lengths, over the input's rows and the recurrent rows apart.

        kernel = [K_x / |K_x| * norm_0; K_h / |K_h| * norm_1], then the equations of `LSTMCell`

    Parameters: those of `LSTMCell`, with `norm` also `norm_0`, `norm_1` `[4H]` and, with a projection,
    `projection.norm_0 [P]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        norm: False makes it a plain LSTM.
        peepholes, cell_clip, projection_size, projection_clip, forget_bias, activation: as in `LSTMCell`.
        common: `init`, `device`, `dtype`.
    """

    recurrence = LSTM
    tf_scope = "wn_lstm_cell/wn_lstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        norm: bool = True,
        peepholes: bool = False,
        cell_clip: float | None = None,
        projection_size: int | None = None,
        projection_clip: float | None = None,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        **common: Unpack[Common],
    ) -> None:
        resolve(activation)
        check_projection_clip(projection_size, projection_clip)
        clips = positive_or_none("cell_clip", cell_clip), positive_or_none("projection_clip", projection_clip)
        options = LSTMOptions(forget_bias, *clips, activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.output_size = hidden_size if projection_size is None else positive("projection_size", projection_size)
        self.state_size = lstm_sizes(hidden_size, self.output_size)
        self.norm, self.peepholes = norm, peepholes
        self.variable("kernel", input_size + self.output_size, 4 * hidden_size)
        for name in ("norm_0", "norm_1") if norm else ():
            self.variable(name, 4 * hidden_size)
        self.variable("bias", 4 * hidden_size, fill=0.0)
        for name in ("w_f_diag", "w_i_diag", "w_o_diag") if peepholes else ():
            self.variable(name, hidden_size)
        if projection_size is not None:
            self.variable("projection.kernel", hidden_size, projection_size)
            if norm:
                self.variable("projection.norm_0", projection_size)

    def params(self) -> LSTMParams:
        projection = getattr(self, "projection", None)
        params = LSTMParams(self.kernel, self.bias, projection=None if projection is None else projection.kernel)
        if self.peepholes:
            params = params._replace(w_i_diag=self.w_i_diag, w_f_diag=self.w_f_diag, w_o_diag=self.w_o_diag)
        if not self.norm:
            return params
        gain = None if projection is None else projection.norm_0
        return weight_norm_lstm(params, WeightNormGains(self.norm_0, self.norm_1, gain))
