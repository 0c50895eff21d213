"""The group LSTM (Kuchaiev and Ginsburg, 2017, https://arxiv.org/abs/1703.10722): one small LSTM per slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell, lstm_sizes
from recurra.errors import InputError
from recurra.kernels import Recurrence


class GLSTMParams(NamedTuple):
    """Of N groups: the rows of each for its slice of the input, and for its slice of the output; columns i, j, f, o."""

    input_kernel: Tensor
    """`[N, I / N, 4H / N]`."""
    recurrent_kernel: Tensor
    """`[N, P / N, 4H / N]`."""
    bias: Tensor
    """`[4, H]`, in the same order; the forget bias is not in it."""
    projection: Tensor | None = None
    """`[H, P]`."""


class GLSTMOptions(NamedTuple):
    forget_bias: float = 1.0
    activation: Activation = "tanh"


def stack_groups(
    kernels: Sequence[Tensor], biases: Sequence[Tensor], projection: Tensor | None, input_size: int
) -> GLSTMParams:
    """From TensorFlow's variables: a kernel `[(I + P) / N, 4H / N]` a group, a bias a gate."""
    rows = input_size // len(kernels)
    of_input, of_output = zip(*(kernel.tensor_split([rows]) for kernel in kernels), strict=True)
    return GLSTMParams(torch.stack(of_input), torch.stack(of_output), torch.stack(tuple(biases)), projection)


def in_groups(values: Tensor, groups: int) -> Tensor:
    """`[B, features]` -> `[N, B, features / N]`, not copied."""
    return values.reshape(values.shape[0], groups, values.shape[1] // groups).transpose(0, 1)


def glstm_project(params: GLSTMParams, inputs: Tensor, options: GLSTMOptions) -> Tensor:
    """The input's share of the gates, `[..., N, B, 4H / N]`; the forget bias is in it."""
    groups = params.input_kernel.shape[0]
    i, j, f, o = params.bias.unbind(0)
    bias = torch.stack([i, j, f + options.forget_bias, o]).unflatten(-1, (groups, -1)).transpose(0, 1).flatten(1)
    share = torch.baddbmm(bias.unsqueeze(1), in_groups(inputs.flatten(0, -2), groups), params.input_kernel)
    return share.unflatten(1, inputs.shape[:-1]).movedim(0, -3)


def glstm_recur(
    params: GLSTMParams, projected: Tensor, state: LSTMState, options: GLSTMOptions, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """The groups' gates, then one memory; the candidate is always a tanh, as in TensorFlow."""
    m = in_groups(state.h, params.recurrent_kernel.shape[0])
    i, j, f, o = torch.baddbmm(projected, m, params.recurrent_kernel).transpose(0, 1).chunk(4, -1)  # [B, N, H / N]
    c = torch.addcmul(state.c.reshape(i.shape) * torch.sigmoid(f), torch.sigmoid(i), torch.tanh(j))
    output = (resolve(options.activation)(c) * torch.sigmoid(o)).flatten(1)
    if params.projection is not None:
        output = output @ params.projection
    return output, LSTMState(c.flatten(1), output)


GLSTM = Recurrence("glstm", glstm_project, glstm_recur)


class GLSTMCell(FamilyCell):
    """LSTM in groups: group g sees its slice of the input and of the output only.

        i_g, j_g, f_g, o_g = split([x_g; m_g] @ group{g}.kernel);  i = [i_0; i_1; …] + bias_i, …
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)
        m' = sigmoid(o) * activation(c') (@ projection.kernel)

    Parameters: `group0.kernel`, `group1.kernel`, … `[(I + P) / N, 4H / N]`, `bias_i`, `bias_j`, `bias_f`, `bias_o`
    `[H]` (zeros), with a projection `projection.kernel [H, P]`.

    Args:
        input_size: features of the input, divisible by the number of groups.
        hidden_size: units, divisible too.
        number_of_groups: N.
        projection_size: units P of a projected output, divisible too.
        forget_bias: added to the forget gate when it runs.
        activation: of the memory.
        common: `init`, `device`, `dtype`.
    """

    recurrence = GLSTM
    tf_scope = "glstm_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        number_of_groups: int = 1,
        projection_size: int | None = None,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        **common: Unpack[Common],
    ) -> None:
        resolve(activation)
        positive("number_of_groups", number_of_groups)
        options = GLSTMOptions(forget_bias, activation)
        super().__init__(positive("input_size", input_size), hidden_size, options, **common)
        self.number_of_groups = number_of_groups
        self.output_size = hidden_size if projection_size is None else positive("projection_size", projection_size)
        self.state_size = lstm_sizes(hidden_size, self.output_size)
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "projection_size": self.output_size}
        for name, size in sizes.items():
            if size % number_of_groups:
                raise InputError(f"`{name}` must be divisible by number_of_groups={number_of_groups}, got {size}")
        rows = (input_size + self.output_size) // number_of_groups
        for group in range(number_of_groups):
            self.variable(f"group{group}.kernel", rows, 4 * hidden_size // number_of_groups)
        for gate in "ijfo":
            self.variable(f"bias_{gate}", hidden_size, fill=0.0)
        if projection_size is not None:
            self.variable("projection.kernel", hidden_size, projection_size)

    def params(self) -> GLSTMParams:
        kernels = [getattr(self, f"group{group}").kernel for group in range(self.number_of_groups)]
        projection = self.projection.kernel if hasattr(self, "projection") else None
        return stack_groups(kernels, [self.bias_i, self.bias_j, self.bias_f, self.bias_o], projection, self.input_size)
