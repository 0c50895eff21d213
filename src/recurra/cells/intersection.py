"""The intersection RNN (Collins, Sohl-Dickstein and Sussillo, 2017, https://arxiv.org/abs/1611.09913)."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell, state_rows
from recurra.kernels import Recurrence


class IntersectionParams(NamedTuple):
    kernel: Tensor
    """`[2H, 4H]`: columns of the state's gate and candidate, then of the output's gate and candidate."""
    bias: Tensor
    """`[4H]`."""
    in_kernel: Tensor | None = None
    """`[I, H]`, with its bias: brings the input to H features; both or none."""
    in_bias: Tensor | None = None


class IntersectionOptions(NamedTuple):
    forget_bias: float = 1.0
    y_activation: Activation = "relu"


def intersection_project(
    params: IntersectionParams, inputs: Tensor, options: IntersectionOptions
) -> tuple[Tensor, Tensor]:
    """The input at H features, and its share of the gates and candidates."""
    if params.in_kernel is not None and params.in_bias is not None:
        inputs = inputs @ params.in_kernel + params.in_bias
    return inputs, inputs @ params.kernel[: inputs.shape[-1]] + params.bias


def intersection_recur(
    params: IntersectionParams,
    projected: tuple[Tensor, Tensor],
    state: Tensor,
    options: IntersectionOptions,
    masks: Masks = None,
) -> tuple[Tensor, Tensor]:
    """One gate along time (the state), one along depth (the output)."""
    x, gates = projected
    h_gate, h, y_gate, y = (gates + state @ state_rows(params.kernel, state)).chunk(4, -1)
    new = torch.lerp(torch.tanh(h), state, torch.sigmoid(h_gate + options.forget_bias))
    output = torch.lerp(resolve(options.y_activation)(y), x, torch.sigmoid(y_gate + options.forget_bias))
    return output, new


INTERSECTION = Recurrence("intersection", intersection_project, intersection_recur)


class IntersectionRNNCell(FamilyCell):
    """Intersection RNN: an update gate in time and one in depth.

        x = x @ in_projection.kernel + in_projection.bias                # only where I differs from H
        gh, h, gy, y = split([x; s] @ kernel + bias)
        s' = sigmoid(gh + forget_bias) * s + (1 - sigmoid(gh + forget_bias)) * tanh(h)
        out = sigmoid(gy + forget_bias) * x + (1 - sigmoid(gy + forget_bias)) * y_activation(y)

    Parameters: `kernel [2H, 4H]`, `bias [4H]` (zeros), with a projection `in_projection.kernel [I, H]` and `.bias`.
    (TensorFlow asks for `num_in_proj` where the sizes differ; here the sizes say it.)

    Args:
        input_size: features of the input.
        hidden_size: units.
        forget_bias: added to both gates when they run.
        y_activation: of the output's candidate.
        common: `init`, `device`, `dtype`.
    """

    recurrence = INTERSECTION
    output_is_state = False
    tf_scope = "intersection_rnn_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        y_activation: Activation = "relu",
        **common: Unpack[Common],
    ) -> None:
        resolve(y_activation)
        options = IntersectionOptions(forget_bias, y_activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        if input_size != hidden_size:
            self.variable("in_projection.kernel", input_size, hidden_size)
            self.variable("in_projection.bias", hidden_size, fill=0.0)
        self.variable("kernel", 2 * hidden_size, 4 * hidden_size)
        self.variable("bias", 4 * hidden_size, fill=0.0)

    def params(self) -> IntersectionParams:
        if not hasattr(self, "in_projection"):
            return IntersectionParams(self.kernel, self.bias)
        return IntersectionParams(self.kernel, self.bias, self.in_projection.kernel, self.in_projection.bias)
