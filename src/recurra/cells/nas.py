"""The cell found by neural architecture search (Zoph and Le, 2017, https://arxiv.org/abs/1611.01578)."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell, lstm_sizes
from recurra.kernels import Recurrence


class NASParams(NamedTuple):
    kernel: Tensor
    """`[I, 8H]`."""
    recurrent_kernel: Tensor
    """`[P, 8H]`."""
    bias: Tensor | None = None
    """`[8H]`, added to the recurrent part."""
    projection: Tensor | None = None
    """`[H, P]`."""


def nas_project(params: NASParams, inputs: Tensor, options: None) -> Tensor:
    """The input's share, for `[..., I]`."""
    return inputs @ params.kernel


def nas_recur(
    params: NASParams, projected: Tensor, state: LSTMState, options: None, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """Eight blocks, joined pairwise as the search left them."""
    c, m = state
    recurrent = m @ params.recurrent_kernel
    if params.bias is not None:
        recurrent = recurrent + params.bias
    x, r = projected.chunk(8, -1), recurrent.chunk(8, -1)
    total = (projected + recurrent).chunk(8, -1)
    left = torch.tanh(torch.tanh(torch.sigmoid(total[0]) * torch.relu(total[1])) + c)
    right = torch.tanh(torch.sigmoid(total[2]) + torch.relu(x[3] * r[3]))  # the one block that multiplies
    inner = torch.tanh(torch.tanh(total[4]) * torch.sigmoid(total[5]))
    outer = torch.sigmoid(torch.tanh(total[6]) + torch.sigmoid(total[7]))
    c = left * right
    m = torch.tanh(c * torch.tanh(inner + outer))
    if params.projection is not None:
        m = m @ params.projection
    return m, LSTMState(c, m)


NAS = Recurrence("nas", nas_project, nas_recur)


class NASCell(FamilyCell):
    """The recurrent cell of neural architecture search.

        I = x @ kernel;  M = m @ recurrent_kernel + bias;  k-th of eight blocks each, S = I + M
        c' = tanh(tanh(σ(S0) * relu(S1)) + c) * tanh(σ(S2) + relu(I3 * M3))
        m' = tanh(c' * tanh(tanh(tanh(S4) * σ(S5)) + σ(tanh(S6) + σ(S7)))) (@ projection_weights)

    Output `m'`, state `LSTMState(c', m')`.

    Parameters: `kernel [I, 8H]`, `recurrent_kernel [P, 8H]`, with `use_bias` `bias [8H]` (zeros), with a projection
    `projection_weights [H, P]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        projection_size: units P of a projected output.
        use_bias: whether the recurrent part has a bias.
        common: `init`, `device`, `dtype`.
    """

    recurrence = NAS
    tf_scope = "nas_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        projection_size: int | None = None,
        use_bias: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(positive("input_size", input_size), hidden_size, None, **common)
        self.output_size = hidden_size if projection_size is None else positive("projection_size", projection_size)
        self.state_size = lstm_sizes(hidden_size, self.output_size)
        self.variable("recurrent_kernel", self.output_size, 8 * hidden_size)
        self.variable("kernel", input_size, 8 * hidden_size)
        if use_bias:
            self.variable("bias", 8 * hidden_size, fill=0.0)
        if projection_size is not None:
            self.variable("projection_weights", hidden_size, projection_size)

    def params(self) -> NASParams:
        bias, projection = getattr(self, "bias", None), getattr(self, "projection_weights", None)
        return NASParams(self.kernel, self.recurrent_kernel, bias, projection)
