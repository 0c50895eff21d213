"""The LSTM (Hochreiter and Schmidhuber, 1997) with TensorFlow's options: peepholes, clips, projection.

BasicLSTMCell is this cell without options; LSTMCell has them (Gers et al., 2002; Sak et al., 2014).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra._typing import LSTMState, Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.base import LeafCell
from recurra.cells.checks import check_projection_clip, natural, number, positive, positive_or_none
from recurra.cells.family import input_rows, state_rows
from recurra.cells.init import Initializer
from recurra.kernels import Recurrence, run_sequence

GATES = "ijfo"
"""The order of the kernel's column blocks: input gate, candidate, forget gate, output gate."""


class LSTMParams(NamedTuple):
    kernel: Tensor
    """`[I + P, 4H]`: rows of the input, then of the recurrent output; columns in the order i, j, f, o."""
    bias: Tensor | None
    """`[4H]`; the forget bias is not in it."""
    w_i_diag: Tensor | None = None
    """`[H]`, with its two sisters: peepholes from the memory to the gates; all three or none."""
    w_f_diag: Tensor | None = None
    w_o_diag: Tensor | None = None
    projection: Tensor | None = None
    """`[H, P]`."""


class LSTMOptions(NamedTuple):
    forget_bias: float = 1.0
    cell_clip: float | None = None
    projection_clip: float | None = None
    activation: Activation = "tanh"


def clip(value: Tensor, limit: float | None) -> Tensor:
    """`value` within ±limit (gradient 1 inside, the bounds included); None leaves it alone."""
    return value if limit is None else value.clamp(-limit, limit)


def lstm_project(params: LSTMParams, inputs: Tensor, options: LSTMOptions) -> Tensor:
    """`x @ K_x + b`, for `[..., I]`."""
    projected = inputs @ input_rows(params.kernel, inputs)
    return projected if params.bias is None else projected + params.bias


def lstm_recur(
    params: LSTMParams, projected: Tensor, state: LSTMState, options: LSTMOptions, masks: Masks = None
) -> tuple[Tensor, LSTMState]:
    """The gates from the projected input and the state, then the memory, then the output."""
    c, h = state
    activation = resolve(options.activation)
    i, j, f, o = (projected + h @ state_rows(params.kernel, h)).chunk(4, -1)
    if params.w_i_diag is not None and params.w_f_diag is not None:
        i, f = i + params.w_i_diag * c, f + params.w_f_diag * c
    c = torch.sigmoid(f + options.forget_bias) * c + torch.sigmoid(i) * activation(j)
    c = clip(c, options.cell_clip)
    if params.w_o_diag is not None:
        o = o + params.w_o_diag * c
    h = torch.sigmoid(o) * activation(c)
    if params.projection is not None:
        h = clip(h @ params.projection, options.projection_clip)
    return h, LSTMState(c, h)


LSTM = Recurrence("lstm", lstm_project, lstm_recur)


def lstm_step(
    params: LSTMParams, x: Tensor, state: LSTMState, options: LSTMOptions = LSTMOptions()
) -> tuple[Tensor, LSTMState]:
    """One step: `x [B, I]`, state (c `[B, H]`, h `[B, P]`) -> (output `[B, P]`, new state)."""
    return LSTM.step(params, x, state, options)


def lstm_sequence(
    params: LSTMParams,
    inputs: Tensor,
    state: LSTMState,
    lengths: Tensor | None = None,
    *,
    options: LSTMOptions = LSTMOptions(),
    **call: Any,
) -> Any:
    """A sequence `[T, B, I]` -> (outputs `[T, B, P]`, final state); further arguments as in `recurra.kernels.scan`."""
    return run_sequence(LSTM, params, inputs, state, lengths, options=options, **call)


class LSTMCell(LeafCell):
    """Long short-term memory, with TensorFlow 1's options and numbers.

        i, j, f, o = split([x; h] @ kernel + bias)
        c' = sigmoid(f + forget_bias + w_f_diag * c) * c + sigmoid(i + w_i_diag * c) * activation(j)
        c' = clip(c', ±cell_clip)                                 # the clipped value is what the state keeps
        h' = sigmoid(o + w_o_diag * c') * activation(c')
        h' = clip(h' @ projection.kernel, ±projection_clip)       # with projection_size

    Output `h'`, state `LSTMState(c', h')`.

        cell = LSTMCell(input_size, hidden_size, peepholes=True)
        outputs, state = recurra.unroll(cell, inputs, lengths=lengths)      # inputs [B, T, input_size]

    Parameters: `kernel [I + P, 4H]`, `bias [4H]` (zeros), with peepholes `w_i_diag`, `w_f_diag`, `w_o_diag` `[H]`,
    with a projection `projection.kernel [H, P]`.

    Args:
        input_size: features of the input.
        hidden_size: units of the memory, H.
        peepholes: let the gates see the memory (the output gate sees the new one).
        forget_bias: added to the forget gate when it runs; not stored in `bias`.
        cell_clip: bound of the memory.
        projection_size: units P of the projected output.
        projection_clip: bound of the projected output; needs `projection_size`.
        activation: of the candidate and the memory, a name or a callable.
        init: fills the weights in place instead of TensorFlow's default (glorot uniform over the fused shape).
        device, dtype: of the parameters.
    """

    recurrence = LSTM
    kernel_gates = {"kernel": GATES}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peepholes: bool = False,
        forget_bias: float = 1.0,
        cell_clip: float | None = None,
        projection_size: int | None = None,
        projection_clip: float | None = None,
        activation: Activation = "tanh",
        init: Initializer | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(init=init)
        resolve(activation)
        check_projection_clip(projection_size, projection_clip)
        self.input_size = natural("input_size", input_size)
        self.hidden_size = positive("hidden_size", hidden_size)
        self.output_size = hidden_size if projection_size is None else positive("projection_size", projection_size)
        self.state_size = LSTMState(hidden_size, self.output_size)  # type: ignore[arg-type]
        self.options = LSTMOptions(
            number("forget_bias", forget_bias),
            positive_or_none("cell_clip", cell_clip),
            positive_or_none("projection_clip", projection_clip),
            activation,
        )
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.add_variable("kernel", input_size + self.output_size, 4 * hidden_size, **factory)
        self.add_variable("bias", 4 * hidden_size, constant=0.0, **factory)
        if peepholes:
            for name in ("w_f_diag", "w_i_diag", "w_o_diag"):
                self.add_variable(name, hidden_size, **factory)
        if projection_size is not None:
            self.add_variable("projection.kernel", hidden_size, projection_size, **factory)

    @property
    def peepholes(self) -> bool:
        """Whether the gates see the memory."""
        return hasattr(self, "w_f_diag")

    def params(self) -> LSTMParams:
        projection = self.projection.kernel if hasattr(self, "projection") else None
        if not self.peepholes:
            return LSTMParams(self.kernel, self.bias, projection=projection)
        return LSTMParams(self.kernel, self.bias, self.w_i_diag, self.w_f_diag, self.w_o_diag, projection)
