"""The sLSTM of xLSTM (Beck et al., 2024, https://arxiv.org/abs/2405.04517): exponential gates, kept finite by a third
state, and memory mixing within heads.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from recurra._typing import Masks
from recurra.cells.checks import positive
from recurra.cells.family import Common, affine
from recurra.cells.xlstm import ForgetGate, XLSTMCell, check_forget_gate, check_heads
from recurra.kernels import Recurrence


class SLSTMState(NamedTuple):
    """The state of an `SLSTMCell`, each part `[B, H]`; c and n are stored divided by `exp(m)`."""

    c: Tensor
    n: Tensor
    """The normaliser: how much has entered c."""
    m: Tensor
    """The stabiliser: the logarithm that keeps the other two finite."""
    h: Tensor


class SLSTMParams(NamedTuple):
    kernel: Tensor
    """`[I, 4H]`: columns z, i, f, o."""
    recurrent_kernel: Tensor
    """`[heads, H / heads, 4H / heads]`, the same columns within each head."""
    bias: Tensor
    """`[4H]`."""


class SLSTMOptions(NamedTuple):
    forget_gate: ForgetGate = "sigmoid"


def by_head(kernel: Tensor, h: Tensor) -> Tensor:
    """`h [B, H]` times each head's `[heads, H / heads, 4H / heads]` -> `[B, 4, H]`: heads side by side in a gate."""
    heads, width, columns = kernel.shape
    mixed = torch.bmm(h.unflatten(-1, (heads, width)).transpose(0, 1), kernel)
    return mixed.unflatten(-1, (4, columns // 4)).permute(1, 2, 0, 3).flatten(2)


def slstm_project(params: SLSTMParams, inputs: Tensor, options: SLSTMOptions) -> Tensor:
    """The input's share, `[..., 4, H]`."""
    return affine(inputs, params.kernel, params.bias).unflatten(-1, (4, -1))


def slstm_recur(
    params: SLSTMParams, projected: Tensor, state: SLSTMState, options: SLSTMOptions, masks: Masks = None
) -> tuple[Tensor, SLSTMState]:
    """Equations 8 to 17 of the paper."""
    c, n, m, h = state
    z, i, f, o = (projected + by_head(params.recurrent_kernel, h)).unbind(-2)
    log_f = f if options.forget_gate == "exp" else functional.logsigmoid(f)
    m_new = torch.where(n == 0, i, torch.maximum(log_f + m, i))  # nothing entered yet: m says nothing
    keep, enter = torch.exp((log_f + m - m_new).clamp(max=0)), torch.exp(i - m_new)
    c = keep * c + enter * torch.tanh(z)
    n = keep * n + enter
    h = torch.sigmoid(o) * c / n
    return h, SLSTMState(c, n, m_new, h)


SLSTM = Recurrence("slstm", slstm_project, slstm_recur)


def spread_forget_bias(bias: Tensor, block: int, blocks: int, low: float = 3.0, high: float = 6.0) -> Tensor:
    """Zeros, but for one block of columns: from `low` to `high`, so that units forget at different speeds."""
    size = bias.shape[0] // blocks
    bias.zero_()[block * size : (block + 1) * size] = torch.linspace(low, high, size, device=bias.device)
    return bias


class SLSTMCell(XLSTMCell):
    """LSTM with exponential input (and, if asked, forget) gate.

        z, i, f, o = split(x @ kernel + h @ R + bias)              # R block-diagonal, one block a head
        m' = max(log f + m, i), at first i                          # log f: log sigmoid(f), or f itself
        c' = exp(log f + m - m') * c + exp(i - m') * tanh(z)
        n' = exp(log f + m - m') * n + exp(i - m')
        h' = sigmoid(o) * c' / n'

    Output `h'`, state `SLSTMState(c', n', m', h')`, all starting at zero. A sequence runs as one compiled loop.

    Parameters: `kernel [I, 4H]`, `recurrent_kernel [heads, H / heads, 4H / heads]`, `bias [4H]` (zeros; of the forget
    gate 3 to 6).

    Args:
        input_size: features of the input.
        hidden_size: units, divisible by `heads`.
        heads: groups of units that see each other's past.
        forget_gate: "sigmoid" or "exp".
        common: `init`, `device`, `dtype`.
    """

    recurrence = SLSTM
    tf_scope = "slstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 1,
        forget_gate: ForgetGate = "sigmoid",
        **common: Unpack[Common],
    ) -> None:
        options = SLSTMOptions(check_forget_gate(forget_gate))
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.heads = check_heads(heads, hidden_size)
        width = hidden_size // heads
        size: Any = hidden_size
        self.state_size = SLSTMState(size, size, size, size)
        self.variable("kernel", input_size, 4 * hidden_size)
        self.variable("recurrent_kernel", heads, width, 4 * width)
        self.variable("bias", 4 * hidden_size, fill=partial(spread_forget_bias, block=2, blocks=4))

    def params(self) -> SLSTMParams:
        return SLSTMParams(self.kernel, self.recurrent_kernel, self.bias)
