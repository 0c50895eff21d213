"""What the two cells of xLSTM (Beck et al., 2024, https://arxiv.org/abs/2405.04517) share: heads, forget gates, and the
compiled sequence.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from torch import Tensor

from recurra._typing import Masks, State
from recurra.cells.checks import positive
from recurra.cells.family import FamilyCell
from recurra.errors import InputError
from recurra.kernels import Recurrence, run_sequence, xlstm

ForgetGate = Literal["sigmoid", "exp"]


def check_heads(heads: int, hidden_size: int) -> int:
    """`heads` if they divide the units."""
    if hidden_size % positive("heads", heads):
        raise InputError(f"`hidden_size` must be divisible by heads={heads}, got {hidden_size}")
    return heads


def check_forget_gate(name: str) -> Any:
    """`name` if it is one of the two forget gates."""
    if name not in ("sigmoid", "exp"):
        raise InputError(f"`forget_gate` must be 'sigmoid' or 'exp', got {name!r}")
    return name


class XLSTMCell(FamilyCell):
    """A cell in heads whose whole sequences run in compiled code, forward and backward, where a call fits."""

    heads: int

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        masks: Masks = None,
        **call: Any,
    ) -> Any:
        params = self.params()
        reason = xlstm.refusal(self.recurrence.family, inputs, state, params, {**call, "masks": masks}, self.heads)
        if reason is not None:
            return self._unroll_in_torch(inputs, state, lengths, reason, masks=masks, **call)
        return self.unroll_in_kernel(inputs, state, lengths, reverse=call.get("reverse", False))

    def unroll_in_kernel(self, inputs: Tensor, state: Any, lengths: Tensor | None = None, *, reverse: bool) -> Any:
        """The compiled road, for a call that `refusal` lets through (and for float64, which it does not)."""
        params = self.params()
        kind = xlstm.Kind(
            self.recurrence.family,
            self.heads,
            self.options.forget_gate == "exp",
            reverse,
            partial(_in_torch, self.recurrence, params, self.options, type(state), reverse),
        )
        recurrent = getattr(params, "recurrent_kernel", None)
        outputs, *final = xlstm.sequence(kind, inputs, lengths, params.kernel, params.bias, recurrent, state)
        return outputs, type(state)(*final)

    def _unroll_in_torch(
        self, inputs: Any, state: State, lengths: Tensor | None, reason: str, *, masks: Masks, **call: Any
    ) -> Any:
        """A call that the compiled sequence does not take."""
        return super().unroll(inputs, state, lengths, masks=masks, **call)


def _in_torch(
    recurrence: Recurrence,
    params: Any,
    options: Any,
    like: Any,
    reverse: bool,
    inputs: Tensor,
    lengths: Tensor | None,
    kernel: Tensor,
    bias: Tensor,
    recurrent: Tensor | None,
    *state: Tensor,
) -> tuple[Tensor, ...]:
    """The definition, step by step, as `recurra.kernels.xlstm` asks for it."""
    given = {"kernel": kernel, "bias": bias} | ({} if recurrent is None else {"recurrent_kernel": recurrent})
    outputs, final = run_sequence(
        recurrence, params._replace(**given), inputs, like._make(state), lengths, options=options, reverse=reverse
    )
    return outputs, *final
