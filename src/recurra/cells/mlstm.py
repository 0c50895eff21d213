"""The mLSTM of xLSTM (Beck et al., 2024, https://arxiv.org/abs/2405.04517): a matrix memory written by outer products.

Its gates see the input only, so that a sequence runs in chunks: within a chunk all steps at once, between chunks the
memory. Both forms carry the same stabiliser m and give the same numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from recurra import _nest
from recurra._typing import Masks, State
from recurra.cells.checks import positive
from recurra.cells.family import Common, affine
from recurra.cells.xlstm import ForgetGate, XLSTMCell, check_forget_gate, check_heads
from recurra.kernels import Recurrence
from recurra.kernels.decisions import PLAIN, note
from recurra.kernels.scan import mask_inputs, valid_steps

CHUNK = 32
"""Steps that are computed at once: the work within a chunk grows with its square, the work between with 1 over it."""


class MLSTMState(NamedTuple):
    """The state of an `MLSTMCell`; c and n are stored divided by `exp(m)`. N heads of D features each."""

    c: Tensor
    """`[B, N, D, D]`: rows of keys, columns of values."""
    n: Tensor
    """`[B, N, D]`: the keys that have entered."""
    m: Tensor
    """`[B, N]`: the stabiliser."""


class MLSTMParams(NamedTuple):
    kernel: Tensor
    """`[I, 4H + 2N]`: columns of query, key, value, output gate, input gates, forget gates."""
    bias: Tensor


class MLSTMOptions(NamedTuple):
    heads: int = 1
    forget_gate: ForgetGate = "sigmoid"


class MLSTMInput(NamedTuple):
    """What a step needs of its input."""

    q: Tensor
    """`[..., N, D]`, with its two sisters."""
    k: Tensor
    """Not yet divided by √D: what it is multiplied with is smaller."""
    v: Tensor
    o: Tensor
    """`[..., H]`: the output gate, open."""
    i: Tensor
    """`[..., N]`: the input gate's logarithm."""
    log_f: Tensor
    """`[..., N]`."""


def mlstm_project(params: MLSTMParams, inputs: Tensor, options: MLSTMOptions) -> MLSTMInput:
    """Everything but the memory, for one step or all. A product for each part: the heads' products then take them as
    they lie."""
    heads = options.heads
    width = (params.kernel.shape[1] - 2 * heads) // 4
    sizes = [width] * 4 + [2 * heads]
    parts = zip(params.kernel.split(sizes, -1), params.bias.split(sizes), strict=True)
    q, k, v, o, gates = (affine(inputs, kernel, bias) for kernel, bias in parts)
    i, f = gates.chunk(2, -1)
    q, k, v = (part.unflatten(-1, (heads, -1)) for part in (q, k, v))
    log_f = f if options.forget_gate == "exp" else functional.logsigmoid(f)
    return MLSTMInput(q, k, v, torch.sigmoid(o), i, log_f)


def one_of(m: Tensor) -> Tensor:
    """The paper's lower bound 1 in units of `exp(m)`; where that would overflow, h is zero either way."""
    return torch.exp((-m).clamp(max=80.0))


def mlstm_recur(
    params: MLSTMParams, projected: MLSTMInput, state: MLSTMState, options: MLSTMOptions, masks: Masks = None
) -> tuple[Tensor, MLSTMState]:
    """Equations 19 to 27 of the paper, stabilised."""
    q, k, v, o, i, log_f = projected
    m = torch.maximum(log_f + state.m, i)
    keep, enter = torch.exp(log_f + state.m - m), torch.exp(i - m) / math.sqrt(k.shape[-1])
    c = keep[..., None, None] * state.c + enter[..., None, None] * (k.unsqueeze(-1) * v.unsqueeze(-2))
    n = keep[..., None] * state.n + enter[..., None] * k
    found = (q.unsqueeze(-2) @ c).squeeze(-2)
    weight = torch.maximum((q * n).sum(-1).abs(), one_of(m))
    h = o * (found / weight.unsqueeze(-1)).flatten(-2)
    return h, MLSTMState(c, n, m)


MLSTM = Recurrence("mlstm", mlstm_project, mlstm_recur)


def mlstm_chunk(part: MLSTMInput, state: MLSTMState) -> tuple[Tensor, MLSTMState]:
    """L steps at once: leaves of `part` `[L, B, …]` -> (h `[L, B, H]`, the state after them).

    With F the running sum of log f: step t takes of step s <= t the weight `exp(F_t - F_s + i_s)`, and of the state
    before the chunk `exp(F_t)`. Below, a batch row and a head are one row: M = B * N.
    """
    (B, N), (steps, D) = state.m.shape, part.q.shape[:: part.q.dim() - 1]
    q, k, v = (leaf.flatten(1, 2).transpose(0, 1) for leaf in part[:3])  # [M, L, D], not copied
    i, log_f = (leaf.flatten(1).t() for leaf in (part.i, part.log_f))  # [M, L]
    m_before, scale = state.m.flatten().unsqueeze(-1), math.log(D) / 2
    total = log_f.cumsum(-1)
    before, enter = total + m_before, i - total
    m = torch.maximum(before, total + enter.cummax(-1).values)  # [M, L]
    future = torch.ones(steps, steps, dtype=torch.bool, device=q.device).triu(1)
    within = ((total - m).unsqueeze(-1) + (enter - scale).unsqueeze(-2)).masked_fill_(future, float("-inf"))
    scores = torch.bmm(q, k.transpose(1, 2)) * within.exp_()  # [M, L, L]
    carried = torch.exp(before - m).unsqueeze(-1)
    asked = carried * q
    found = torch.baddbmm(torch.bmm(asked, state.c.flatten(0, 1)), scores, v)
    seen = scores.sum(-1, keepdim=True) + torch.bmm(asked, state.n.flatten(0, 1).unsqueeze(-1))
    h = found / torch.maximum(seen.abs(), one_of(m).unsqueeze(-1))
    h = h.transpose(0, 1).reshape(steps, B, N * D)
    last, keep = m[:, -1:], carried[:, -1:]
    entering = torch.exp(total[:, -1:] - last + (enter - scale)).unsqueeze(-1) * k  # [M, L, D]
    c = torch.baddbmm(keep * state.c.flatten(0, 1), entering.transpose(1, 2), v)
    n = keep.squeeze(-1) * state.n.flatten(0, 1) + entering.sum(1)
    return part.o * h, MLSTMState(c.unflatten(0, (B, N)), n.unflatten(0, (B, N)), last.reshape(B, N))


def mlstm_sequence(
    params: MLSTMParams,
    inputs: Tensor,
    state: MLSTMState,
    lengths: Tensor | None = None,
    *,
    options: MLSTMOptions,
    reverse: bool = False,
    chunk: int = CHUNK,
) -> tuple[Tensor, MLSTMState]:
    """A whole sequence `[T, B, I]` in chunks; arguments and result as in `recurra.kernels.scan`.

    Past a row's end nothing enters (i = -inf) and nothing is forgotten (log f = 0), so that the state stays.
    """
    total = inputs.shape[0]
    valid = None if lengths is None else valid_steps(lengths, total)
    parts = [slice(start, start + chunk) for start in range(0, total, chunk)]
    outputs = []
    for part in reversed(parts) if reverse else parts:
        running = None if valid is None else valid[part]
        projected = mlstm_project(params, mask_inputs(inputs[part], running), options)
        if running is not None:
            i, log_f = _hold(projected.i, projected.log_f, running)
            projected = projected._replace(i=i, log_f=log_f)
        if reverse:
            projected = MLSTMInput(*(leaf.flip(0) for leaf in projected))
        h, state = mlstm_chunk(projected, state)
        outputs.append(mask_inputs(h.flip(0) if reverse else h, running))
    return torch.cat(outputs[::-1] if reverse else outputs), state


def _hold(i: Tensor, log_f: Tensor, running: Tensor) -> tuple[Tensor, Tensor]:
    """Past a row's end: nothing enters, nothing is forgotten."""
    running = running.unsqueeze(-1)
    return torch.where(running, i, float("-inf")), torch.where(running, log_f, log_f.new_zeros(()))


class MLSTMCell(XLSTMCell):
    """LSTM with a matrix memory.

        q, k, v = x @ W + b, in heads;  k = k / √D;  o = sigmoid(x @ W_o + b_o);  i, f = x @ W_g + b_g, one a head
        m' = max(log f + m, i)                                      # log f: log sigmoid(f), or f itself
        C' = exp(log f + m - m') * C + exp(i - m') * k v^T
        n' = exp(log f + m - m') * n + exp(i - m') * k
        h = o * (q C') / max(|q · n'|, exp(-m'))

    Output `h [B, H]`, state `MLSTMState(C', n', m')`, all starting at zero. A sequence runs in chunks.

    Parameters: `kernel [I, 4H + 2N]` (columns q, k, v, o, i, f), `bias` (zeros; of the forget gates 3 to 6).

    Args:
        input_size: features of the input.
        hidden_size: H = N * D, divisible by `heads`.
        heads: N.
        forget_gate: "sigmoid" or "exp".
        common: `init`, `device`, `dtype`.
    """

    recurrence = MLSTM
    output_is_state = False
    tf_scope = "mlstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 1,
        forget_gate: ForgetGate = "sigmoid",
        **common: Unpack[Common],
    ) -> None:
        options = MLSTMOptions(heads, check_forget_gate(forget_gate))
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.heads = check_heads(heads, hidden_size)
        width = hidden_size // heads
        sizes: Any = (torch.Size((heads, width, width)), torch.Size((heads, width)), heads)
        self.state_size = MLSTMState(*sizes)
        self.variable("kernel", input_size, 4 * hidden_size + 2 * heads)
        self.variable("bias", 4 * hidden_size + 2 * heads, fill=self._start_bias)

    def _start_bias(self, bias: Tensor) -> Tensor:
        heads = self.options.heads
        bias.zero_()[-heads:] = torch.linspace(3.0, 6.0, heads, device=bias.device)
        return bias

    def params(self) -> MLSTMParams:
        return MLSTMParams(self.kernel, self.bias)

    def _unroll_in_torch(
        self, inputs: Any, state: State, lengths: Tensor | None, reason: str, *, masks: Masks, **call: Any
    ) -> Any:
        """In chunks; step by step where something acts inside the recurrence or every state is wanted."""
        stepwise = masks is not None or call.get("after") or call.get("return_states") or call.get("resets") is not None
        if stepwise or _nest.is_nested(inputs) or inputs.shape[0] == 0:
            return super()._unroll_in_torch(inputs, state, lengths, reason, masks=masks, **call)
        note("mlstm", PLAIN, reason)
        reverse = call.get("reverse", False)
        return mlstm_sequence(self.params(), inputs, state, lengths, options=self.options, reverse=reverse)
