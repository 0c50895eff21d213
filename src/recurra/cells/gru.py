"""The gated recurrent unit (Cho et al., 2014), with the reset gate before or after the candidate's product.

"before" is the paper's and TensorFlow's GRUCell; "after" is cuDNN's and torch's, TensorFlow's CudnnCompatibleGRUCell.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from recurra._typing import Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.base import LeafCell
from recurra.cells.checks import natural, positive
from recurra.cells.init import Initializer
from recurra.errors import InputError
from recurra.kernels import Recurrence, run_sequence


class GRUParams(NamedTuple):
    gates_kernel: Tensor
    """`[I + H, 2H]`: columns of the reset gate r, then of the update gate u."""
    gates_bias: Tensor
    """`[2H]`."""
    candidate_kernel: Tensor
    """`[I + H, H]`."""
    candidate_bias: Tensor
    """`[H]`."""


class GRUAfterParams(NamedTuple):
    gates_kernel: Tensor
    """`[I + H, 2H]`, columns r, u."""
    gates_bias: Tensor
    """`[2H]`."""
    input_kernel: Tensor
    """`[I, H]`: the candidate's input part."""
    input_bias: Tensor
    """`[H]`."""
    hidden_kernel: Tensor
    """`[H, H]`: the candidate's recurrent part."""
    hidden_bias: Tensor
    """`[H]`."""


class GRUOptions(NamedTuple):
    activation: Activation = "tanh"


def gru_project(params: GRUParams, inputs: Tensor, options: GRUOptions) -> tuple[Tensor, Tensor]:
    """The input's share of the gates and of the candidate, for `[..., I]`."""
    size = inputs.shape[-1]
    gates = inputs @ params.gates_kernel[:size] + params.gates_bias
    return gates, inputs @ params.candidate_kernel[:size] + params.candidate_bias


def gru_recur(
    params: GRUParams, projected: tuple[Tensor, Tensor], state: Tensor, options: GRUOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """`r, u` from the state, the candidate from `r * h`, then the mixture."""
    gates, candidate = projected
    first = params.gates_kernel.shape[0] - state.shape[-1]
    r, u = torch.sigmoid(gates + state @ params.gates_kernel[first:]).chunk(2, -1)
    candidate = resolve(options.activation)(candidate + (r * state) @ params.candidate_kernel[first:])
    h = u * state + (1 - u) * candidate
    return h, h


def gru_after_project(params: GRUAfterParams, inputs: Tensor, options: GRUOptions) -> tuple[Tensor, Tensor]:
    """The input's share of the gates and of the candidate, for `[..., I]`."""
    gates = inputs @ params.gates_kernel[: inputs.shape[-1]] + params.gates_bias
    return gates, inputs @ params.input_kernel + params.input_bias


def gru_after_recur(
    params: GRUAfterParams, projected: tuple[Tensor, Tensor], state: Tensor, options: GRUOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """As `gru_recur`, with the reset gate on the product instead of the state."""
    gates, candidate = projected
    first = params.gates_kernel.shape[0] - state.shape[-1]
    r, u = torch.sigmoid(gates + state @ params.gates_kernel[first:]).chunk(2, -1)
    candidate = candidate + r * (state @ params.hidden_kernel + params.hidden_bias)
    h = u * state + (1 - u) * resolve(options.activation)(candidate)
    return h, h


GRU = Recurrence("gru", gru_project, gru_recur)
GRU_AFTER = Recurrence("gru_after", gru_after_project, gru_after_recur)


def _recurrence(params: GRUParams | GRUAfterParams) -> Recurrence:
    return GRU if isinstance(params, GRUParams) else GRU_AFTER


def gru_step(
    params: GRUParams | GRUAfterParams, x: Tensor, state: Tensor, options: GRUOptions = GRUOptions()
) -> tuple[Tensor, Tensor]:
    """One step: `x [B, I]`, state `[B, H]` -> (output `[B, H]`, new state); the kind follows from the parameters."""
    return _recurrence(params).step(params, x, state, options)


def gru_sequence(
    params: GRUParams | GRUAfterParams,
    inputs: Tensor,
    state: Tensor,
    lengths: Tensor | None = None,
    *,
    options: GRUOptions = GRUOptions(),
    **call: Any,
) -> Any:
    """A sequence `[T, B, I]` -> (outputs `[T, B, H]`, final state); further arguments as in `recurra.kernels.scan`."""
    return run_sequence(_recurrence(params), params, inputs, state, lengths, options=options, **call)


class GRUCell(LeafCell):
    """Gated recurrent unit.

        r, u = split(sigmoid([x; h] @ gates.kernel + gates.bias))
        n = activation([x; r * h] @ candidate.kernel + candidate.bias)        # reset="before"
        n = activation(x @ W_x + b_x + r * (h @ W_h + b_h))                   # reset="after"
        h' = u * h + (1 - u) * n

    Parameters, reset before: `gates.kernel [I + H, 2H]`, `gates.bias [2H]` (ones), `candidate.kernel [I + H, H]`,
    `candidate.bias [H]` (zeros). Reset after: the gates as before, `candidate.input_projection.kernel [I, H]` and
    `.bias`, `candidate.hidden_projection.kernel [H, H]` and `.bias` (TensorFlow's CudnnCompatibleGRUCell).

    Args:
        input_size: features of the input.
        hidden_size: units.
        reset: "before" (TensorFlow) or "after" (torch, cuDNN).
        activation: of the candidate, a name or a callable.
        init: fills the weights in place instead of TensorFlow's default (glorot uniform).
        device, dtype: of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset: Literal["before", "after"] = "before",
        activation: Activation = "tanh",
        init: Initializer | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(init=init)
        resolve(activation)
        if reset not in ("before", "after"):
            raise InputError(f"`reset` must be 'before' or 'after', got {reset!r}")
        self.input_size = natural("input_size", input_size)
        self.state_size = self.output_size = positive("hidden_size", hidden_size)
        self.reset = reset
        self.options = GRUOptions(activation)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.add_variable("gates.kernel", input_size + hidden_size, 2 * hidden_size, **factory)
        self.add_variable("gates.bias", 2 * hidden_size, constant=1.0, **factory)
        if reset == "before":
            self.add_variable("candidate.kernel", input_size + hidden_size, hidden_size, **factory)
            self.add_variable("candidate.bias", hidden_size, constant=0.0, **factory)
        else:
            for part, rows in (("input", input_size), ("hidden", hidden_size)):
                self.add_variable(f"candidate.{part}_projection.kernel", rows, hidden_size, **factory)
                self.add_variable(f"candidate.{part}_projection.bias", hidden_size, constant=0.0, **factory)

    @property
    def recurrence(self) -> Recurrence:  # type: ignore[override]
        return GRU if self.reset == "before" else GRU_AFTER

    @property
    def kernel_gates(self) -> dict[str, str]:  # type: ignore[override]
        """kernel -> the letters of its column blocks, see `recurra.cells.views`."""
        if self.reset == "before":
            return {"gates.kernel": "ru", "candidate.kernel": "n"}
        return {
            "gates.kernel": "ru",
            "candidate.input_projection.kernel": "n",
            "candidate.hidden_projection.kernel": "n",
        }

    def params(self) -> GRUParams | GRUAfterParams:
        gates, candidate = self.gates, self.candidate
        if self.reset == "before":
            return GRUParams(gates.kernel, gates.bias, candidate.kernel, candidate.bias)
        inner, hidden = candidate.input_projection, candidate.hidden_projection
        return GRUAfterParams(gates.kernel, gates.bias, inner.kernel, inner.bias, hidden.kernel, hidden.bias)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset == "before" else ", reset='after'")
