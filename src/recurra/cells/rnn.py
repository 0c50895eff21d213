"""The simple recurrent cell (Elman, 1990): TensorFlow's BasicRNNCell with any activation."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra._typing import Masks, State
from recurra.cells.activations import Activation, resolve
from recurra.cells.base import LeafCell
from recurra.cells.checks import natural, positive
from recurra.cells.family import input_rows, state_rows
from recurra.cells.init import Initializer
from recurra.kernels import Recurrence, run_sequence


class RNNParams(NamedTuple):
    kernel: Tensor
    """`[I + H, H]`: rows of the input, then of the state."""
    bias: Tensor | None
    """`[H]`."""


class RNNOptions(NamedTuple):
    activation: Activation = "tanh"


def rnn_project(params: RNNParams, inputs: Tensor, options: RNNOptions) -> Tensor:
    """`x @ K_x + b`, for `[..., I]`."""
    projected = inputs @ input_rows(params.kernel, inputs)
    return projected if params.bias is None else projected + params.bias


def rnn_recur(
    params: RNNParams, projected: Tensor, state: Tensor, options: RNNOptions, masks: Masks = None
) -> tuple[Tensor, Tensor]:
    """`h' = activation(x @ K_x + b + h @ K_h)`."""
    h = resolve(options.activation)(projected + state @ state_rows(params.kernel, state))
    return h, h


RNN = Recurrence("rnn", rnn_project, rnn_recur)


def rnn_step(params: RNNParams, x: Tensor, state: Tensor, options: RNNOptions = RNNOptions()) -> tuple[Tensor, Tensor]:
    """One step: `x [B, I]`, state `[B, H]` -> (output `[B, H]`, new state)."""
    return RNN.step(params, x, state, options)


def rnn_sequence(
    params: RNNParams,
    inputs: Tensor,
    state: Tensor,
    lengths: Tensor | None = None,
    *,
    options: RNNOptions = RNNOptions(),
    **call: Any,
) -> Any:
    """A sequence `[T, B, I]` -> (outputs `[T, B, H]`, final state); further arguments as in `recurra.kernels.scan`."""
    return run_sequence(RNN, params, inputs, state, lengths, options=options, **call)


class RNNCell(LeafCell):
    """`h' = activation([x; h] @ kernel + bias)`; output and state are `h'`.

        cell = RNNCell(input_size, hidden_size)
        state = cell.initial_state(batch_size)
        for x in inputs:                  # [B, input_size]
            output, state = cell(x, state)

    Parameters: `kernel [I + H, H]` (glorot uniform, or `init`), `bias [H]` (zeros).

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: a name (`tanh`, `relu`, …) or a callable.
        init: fills the weights in place instead of TensorFlow's default.
        device, dtype: of the parameters.
    """

    recurrence = RNN
    kernel_gates = {"kernel": "h"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: Activation = "tanh",
        init: Initializer | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(init=init)
        resolve(activation)
        self.input_size = natural("input_size", input_size)
        self.state_size: State = positive("hidden_size", hidden_size)
        self.output_size = hidden_size
        self.options = RNNOptions(activation)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.add_variable("kernel", input_size + hidden_size, hidden_size, **factory)
        self.add_variable("bias", hidden_size, constant=0.0, **factory)

    def params(self) -> RNNParams:
        return RNNParams(self.kernel, self.bias)
