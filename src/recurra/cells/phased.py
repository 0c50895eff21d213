"""The phased LSTM (Neil, Pfeiffer and Liu, 2016, https://arxiv.org/abs/1610.09513): a clock opens each unit."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell, lstm_sizes, uniform
from recurra.errors import InputError
from recurra.kernels import Recurrence


class PhasedLSTMParams(NamedTuple):
    mask_kernel: Tensor
    """`[I + H (+ H), 2H]`: rows of the input, the output and, with peepholes, the memory; columns of i, then f."""
    mask_bias: Tensor
    new_kernel: Tensor
    """`[I + H, H]`: the candidate."""
    new_bias: Tensor
    output_kernel: Tensor
    """`[I + H (+ H), H]`: the output gate; with peepholes it sees the new memory."""
    output_bias: Tensor
    period: Tensor
    """`[H]`, with its two sisters: the clock of each unit."""
    phase: Tensor
    ratio_on: Tensor


class PhasedLSTMOptions(NamedTuple):
    leak: float = 0.001
    peepholes: bool = False


class PhasedInput(NamedTuple):
    """What a step needs of its input."""

    openness: Tensor
    """`[..., H]`: how far the clock opens each unit."""
    mask: Tensor
    new: Tensor
    output: Tensor


def log_uniform(tensor: Tensor, low: float, high: float) -> Tensor:
    """Fill with numbers whose logarithm is uniform between those of `low` and `high`."""
    return torch.nn.init.uniform_(tensor, math.log(low), math.log(high)).exp_()


def openness(params: PhasedLSTMParams, time: Tensor, leak: float) -> Tensor:
    """`k [..., H]` of the times `[..., 1]`: up, down, then a leak; the gradient takes the modulo for the identity."""
    shifted = time - params.phase
    wrapped = shifted + (torch.remainder(shifted, params.period) - shifted).detach()
    cycle = wrapped / params.period
    up = 2 * cycle / params.ratio_on
    closed = leak * cycle
    rising = torch.where(cycle < params.ratio_on, 2 - up, closed)
    return torch.where(cycle < 0.5 * params.ratio_on, up, rising)


def phased_project(params: PhasedLSTMParams, inputs: tuple[Tensor, Tensor], options: PhasedLSTMOptions) -> PhasedInput:
    """The clock, and the input's share of the gates and the candidate; `(time [..., 1], x [..., I])`."""
    time, x = inputs
    kernels = ((params.mask_kernel, params.mask_bias), (params.new_kernel, params.new_bias))
    mask, new, output = (
        x @ kernel[: x.shape[-1]] + bias for kernel, bias in (*kernels, (params.output_kernel, params.output_bias))
    )
    return PhasedInput(openness(params, time, options.leak), mask, new, output)


def phased_recur(
    params: PhasedLSTMParams,
    projected: PhasedInput,
    state: LSTMState,
    options: PhasedLSTMOptions,
    masks: Masks = None,
) -> tuple[Tensor, LSTMState]:
    """An LSTM step, let through as far as the clock is open."""
    c, h = state
    first = params.new_kernel.shape[0] - h.shape[-1]
    seen = torch.cat([h, c], -1) if options.peepholes else h
    i, f = torch.sigmoid(projected.mask + seen @ params.mask_kernel[first:]).chunk(2, -1)
    candidate = torch.tanh(projected.new + h @ params.new_kernel[first:])
    new_c = c * f + i * candidate
    seen = torch.cat([h, new_c], -1) if options.peepholes else h
    new_h = torch.tanh(new_c) * torch.sigmoid(projected.output + seen @ params.output_kernel[first:])
    k = projected.openness
    c, h = k * new_c + (1 - k) * c, k * new_h + (1 - k) * h
    return h, LSTMState(c, h)


PHASED_LSTM = Recurrence("phased_lstm", phased_project, phased_recur)


class PhasedLSTMCell(FamilyCell):
    """LSTM for events at irregular times; its input is the pair `(time [B, 1], x [B, I])`.

        i, f = split(sigmoid([x; h (; c)] @ mask_gates.kernel + mask_gates.bias))      # no forget bias
        c~ = f * c + i * tanh([x; h] @ new_input.kernel + new_input.bias)
        h~ = tanh(c~) * sigmoid([x; h (; c~)] @ output_gate.kernel + output_gate.bias)
        r = ((time - phase) mod period) / period
        k = 2 r / ratio_on                       while r < ratio_on / 2
            2 - 2 r / ratio_on                   while r < ratio_on
            leak * r                             else
        c' = k * c~ + (1 - k) * c;  h' = k * h~ + (1 - k) * h

        outputs, state = recurra.unroll(cell, (times, inputs))                         # [B, T, 1], [B, T, I]

    Parameters: the three kernels and biases above, `period`, `phase`, `ratio_on` `[H]`.

    Args:
        input_size: features of `x`.
        hidden_size: units.
        peepholes: let the gates see the memory.
        leak: slope of the closed phase.
        ratio_on: the open part of a period, at the start of training.
        trainable_ratio_on: whether it is trained.
        period_init_min, period_init_max: periods start log-uniformly between these.
        common: `init`, `device`, `dtype`.
    """

    recurrence = PHASED_LSTM
    tf_scope = "phased_lstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peepholes: bool = False,
        leak: float = 0.001,
        ratio_on: float = 0.1,
        trainable_ratio_on: bool = True,
        period_init_min: float = 1.0,
        period_init_max: float = 1000.0,
        **common: Unpack[Common],
    ) -> None:
        if not 0 < period_init_min <= period_init_max:
            raise InputError(
                f"`period_init_min` must be positive and at most `period_init_max`, got {period_init_min!r} and "
                f"{period_init_max!r}"
            )
        if not 0 < ratio_on <= 1:
            raise InputError(f"`ratio_on` must lie in (0, 1], got {ratio_on!r}")
        sizes = (1, positive("input_size", input_size))
        super().__init__(sizes, hidden_size, PhasedLSTMOptions(leak, peepholes), **common)
        self.state_size = lstm_sizes(hidden_size)
        rows = input_size + hidden_size
        seen = rows + hidden_size if peepholes else rows
        for name, height, width in (("mask_gates", seen, 2), ("new_input", rows, 1), ("output_gate", seen, 1)):
            self.variable(f"{name}.kernel", height, width * hidden_size)
            self.variable(f"{name}.bias", width * hidden_size, fill=0.0)
        self.variable("period", hidden_size, fill=partial(log_uniform, low=period_init_min, high=period_init_max))
        self.variable("phase", hidden_size, fill=uniform(0, 1))
        self.variable("ratio_on", hidden_size, fill=ratio_on)
        self.ratio_on.requires_grad_(trainable_ratio_on)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.phase.mul_(self.period)  # uniform within each unit's period

    def params(self) -> PhasedLSTMParams:
        mask, new, out = self.mask_gates, self.new_input, self.output_gate
        weights = (mask.kernel, mask.bias, new.kernel, new.bias, out.kernel, out.bias)
        return PhasedLSTMParams(*weights, self.period, self.phase, self.ratio_on)
