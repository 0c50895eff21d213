"""The time-frequency LSTM (Li et al., 2015, https://arxiv.org/abs/1507.01526): a window slides over the features."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import Masks
from recurra.cells.checks import positive, positive_or_none
from recurra.cells.family import Common, FamilyCell, affine
from recurra.cells.lstm import clip
from recurra.errors import InputError
from recurra.kernels import Recurrence


class TimeFreqParams(NamedTuple):
    kernel: Tensor
    """`[F + 2H, 4H]`: rows of the window, the output one time step ago, the output one window below."""
    bias: Tensor
    """`[4H]`; columns i, j, f, o."""
    w_f_diag: Tensor | None = None
    """`[H]`, with its two sisters: peepholes; all three or none."""
    w_i_diag: Tensor | None = None
    w_o_diag: Tensor | None = None


class TimeFreqOptions(NamedTuple):
    feature_size: int
    frequency_skip: int = 1
    forget_bias: float = 1.0
    cell_clip: float | None = None


def windows(inputs: Tensor, size: int, skip: int) -> Tensor:
    """`[..., I]` -> `[..., K, size]`: K windows, `skip` apart."""
    return inputs.unfold(-1, size, skip)


def window_count(features: int, size: int, skip: int) -> int:
    """How many windows of `size`, `skip` apart, fit into `features`."""
    return (features - size) // skip + 1


def time_freq_project(params: TimeFreqParams, inputs: Tensor, options: TimeFreqOptions) -> Tensor:
    """Each window's share of its gates, `[..., K, 4H]`."""
    seen = windows(inputs, options.feature_size, options.frequency_skip)
    return affine(seen, params.kernel[: options.feature_size], params.bias)


def time_freq_recur(
    params: TimeFreqParams, projected: Tensor, state: Tensor, options: TimeFreqOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """Window by window: an LSTM in time that also sees the output of the window below."""
    units = params.kernel.shape[1] // 4
    c_before, m_before = state.unflatten(-1, (-1, 2, units)).unbind(-2)
    in_time, in_frequency = params.kernel[options.feature_size :].split(units)
    gates = torch.addmm(projected.flatten(0, 1), m_before.flatten(0, 1), in_time).unflatten(0, projected.shape[:2])
    m = torch.zeros_like(m_before[:, 0])
    new = []
    for k in range(gates.shape[-2]):
        i, j, f, o = torch.addmm(gates[:, k], m, in_frequency).chunk(4, -1)
        c = c_before[:, k]
        if params.w_f_diag is not None:
            i, f = i + params.w_i_diag * c, f + params.w_f_diag * c
        c = torch.addcmul(torch.sigmoid(f + options.forget_bias) * c, torch.sigmoid(i), torch.tanh(j))
        c = clip(c, options.cell_clip)
        if params.w_o_diag is not None:
            o = o + params.w_o_diag * c
        m = torch.sigmoid(o) * torch.tanh(c)
        new += [c, m]
    return torch.cat(new[1::2], -1), torch.cat(new, -1)


TIME_FREQ_LSTM = Recurrence("time_freq_lstm", time_freq_project, time_freq_recur)


class TimeFreqLSTMCell(FamilyCell):
    """LSTM over time and frequency: one step runs over windows of the features, low to high.

        for k in windows:                                      # x_k = x[:, k * skip : k * skip + feature_size]
            i, j, f, o = split([x_k; m_k; m'_{k-1}] @ kernel + bias)
            c'_k, m'_k = the update of `LSTMCell`, m'_{-1} = 0

    Output `[m'_0; m'_1; …] [B, K * H]`, state `[c'_0; m'_0; c'_1; …] [B, 2 * K * H]` for K windows. (TensorFlow reports
    the sizes of one window only, so that its loops cannot run this cell; here they can.)

    Parameters: `kernel [F + 2H, 4H]` (TensorFlow's `W_0`), `bias [4H]` (`B`, zeros), with peepholes `w_f_diag`,
    `w_i_diag`, `w_o_diag` `[H]`.

    Args:
        input_size: features of the input.
        hidden_size: units H of each window.
        feature_size: width F of a window; None is one window over all features.
        frequency_skip: distance of windows.
        peepholes, cell_clip, forget_bias: as in `LSTMCell`.
        common: `init`, `device`, `dtype`.
    """

    recurrence = TIME_FREQ_LSTM
    output_is_state = False
    tf_scope = "time_freq_lstm_cell"
    tf_names = {"kernel": "W_0", "bias": "B", "w_f_diag": "W_F_diag", "w_i_diag": "W_I_diag", "w_o_diag": "W_O_diag"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        feature_size: int | None = None,
        frequency_skip: int = 1,
        peepholes: bool = False,
        cell_clip: float | None = None,
        forget_bias: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        size = positive("input_size", input_size) if feature_size is None else positive("feature_size", feature_size)
        positive("frequency_skip", frequency_skip)
        if size > input_size:
            raise InputError(f"`feature_size` must be at most input_size={input_size}, got {size}")
        options = TimeFreqOptions(size, frequency_skip, forget_bias, positive_or_none("cell_clip", cell_clip))
        super().__init__(input_size, hidden_size, options, **common)
        count = window_count(input_size, size, frequency_skip)
        self.output_size = count * hidden_size
        self.state_size = 2 * count * hidden_size
        self.peepholes = peepholes
        self.variable("kernel", size + 2 * hidden_size, 4 * hidden_size)
        self.variable("bias", 4 * hidden_size, fill=0.0)
        for name in ("w_f_diag", "w_i_diag", "w_o_diag") if peepholes else ():
            self.variable(name, hidden_size)

    def params(self) -> TimeFreqParams:
        if not self.peepholes:
            return TimeFreqParams(self.kernel, self.bias)
        return TimeFreqParams(self.kernel, self.bias, self.w_f_diag, self.w_i_diag, self.w_o_diag)
