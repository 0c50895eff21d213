"""A cell that attends to its own last outputs (TensorFlow's AttentionCellWrapper; Cheng, Dong and Lapata, 2016,
https://arxiv.org/abs/1601.06733; the attention is Bahdanau's).
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Masks, State
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.checks import check_step, positive
from recurra.cells.family import affine
from recurra.cells.init import Initializer


class AttentionCellState(NamedTuple):
    """The state of an `AttentionCellWrapper`."""

    cell: State
    attention: Tensor
    """`[B, A]`: what was read at the last step."""
    window: Tensor
    """`[B, L * A]`: the last L outputs, oldest first."""


class AttentionCellParams(NamedTuple):
    in_kernel: Tensor
    """`[I + A, N]`: joins the input and what was read."""
    in_bias: Tensor
    window_kernel: Tensor
    """`[A, V]`: the window's keys."""
    query_kernel: Tensor
    """`[Q, V]`: the query from all parts of the cell's new state, side by side."""
    query_bias: Tensor
    score: Tensor
    """`[V]`."""
    out_kernel: Tensor
    """`[P + A, A]`: joins the cell's output and what was read."""
    out_bias: Tensor


def attend_window(params: AttentionCellParams, query: Tensor, window: Tensor) -> Tensor:
    """What `query [B, Q]` reads from `window [B, L, A]` -> `[B, A]`."""
    asked = torch.addmm(params.query_bias, query, params.query_kernel)
    hidden = torch.tanh(window @ params.window_kernel + asked.unsqueeze(1))
    weights = torch.softmax(hidden @ params.score, -1)
    return torch.bmm(weights.unsqueeze(1), window).squeeze(1)


def join_output(
    params: AttentionCellParams, output: Tensor, cell_state: State, window: Tensor
) -> tuple[Tensor, AttentionCellState]:
    """From the inner cell's result to the wrapper's: read the window, join, move the window on."""
    size = params.out_bias.shape[0]
    rows = window.unflatten(-1, (-1, size))
    attention = attend_window(params, torch.cat(_nest.flatten(cell_state), -1), rows)
    output = torch.addmm(params.out_bias, torch.cat([output, attention], -1), params.out_kernel)
    return output, AttentionCellState(cell_state, attention, torch.cat([window[:, size:], output], -1))


class AttentionCellWrapper(LeafCell):
    """Attention over the cell's own last `attn_length` outputs.

        x2 = [x; attention] @ kernel + bias
        y, cell_state' = cell(x2, cell_state);  q = all of cell_state', side by side
        a_l = softmax_l(attn_v · tanh(window_l @ attn_w + q @ attention.kernel + attention.bias))
        attention' = Σ a_l window_l
        output = [y; attention'] @ attn_output_projection.kernel + .bias;  window' = [window[1:]; output]

    Output `[B, A]`, state `AttentionCellState(cell, attention [B, A], window [B, L * A])`.

    Parameters: the inner cell's (under `cell`), `kernel`, `bias`, `attention.attn_w [A, V]` (TensorFlow stores it as
    `[1, 1, A, V]`), `attention.attn_v [V]`, `attention.kernel`, `attention.bias`, `attn_output_projection.kernel` and
    `.bias`.

    Args:
        cell: the inner cell; its `input_size` is the width that `x2` has.
        attn_length: how many outputs L the window holds.
        input_size: features of the input; default: as many as the inner cell takes.
        attn_size: width A of outputs and attention; default: the inner cell's output.
        attn_vec_size: width V of the keys; default A.
        init: fills the weights in place instead of TensorFlow's default.
    """

    tf_scope: ClassVar[str] = "attention_cell_wrapper"
    output_is_state = False

    def __init__(
        self,
        cell: BaseCell,
        attn_length: int,
        *,
        input_size: int | None = None,
        attn_size: int | None = None,
        attn_vec_size: int | None = None,
        init: Initializer | None = None,
    ) -> None:
        super().__init__(init=init)
        self.cell = cell
        self.attn_length = positive("attn_length", attn_length)
        size = positive("attn_size", cell.output_size if attn_size is None else attn_size)
        keys = positive("attn_vec_size", size if attn_vec_size is None else attn_vec_size)
        self.input_size = positive("input_size", cell.input_size if input_size is None else input_size)
        self.output_size = size
        self.state_size = AttentionCellState(cell.state_size, size, size * attn_length)  # type: ignore[arg-type]
        like = next(cell.parameters())
        factory: dict[str, Any] = {"device": like.device, "dtype": like.dtype}
        query = sum(_nest.flatten(cell.state_size))
        shapes = {
            "kernel": (self.input_size + size, cell.input_size),
            "attention.attn_w": (size, keys),
            "attention.attn_v": (keys,),
            "attention.kernel": (query, keys),
            "attn_output_projection.kernel": (cell.output_size + size, size),
        }
        biases = {"bias": cell.input_size, "attention.bias": keys, "attn_output_projection.bias": size}
        for name, shape in shapes.items():
            self.add_variable(name, *shape, **factory)
        for name, width in biases.items():
            self.add_variable(name, width, constant=0.0, **factory)

    def initial_state(self, batch_size: int, **factory: Any) -> AttentionCellState:
        zeros = super().initial_state(batch_size, **factory)
        return zeros._replace(cell=self.cell.initial_state(batch_size, **factory))

    def params(self) -> AttentionCellParams:
        attention, out = self.attention, self.attn_output_projection
        keys = (attention.attn_w, attention.kernel, attention.bias, attention.attn_v)
        return AttentionCellParams(self.kernel, self.bias, *keys, out.kernel, out.bias)

    def project(self, inputs: Tensor) -> Tensor:
        return affine(inputs, self.kernel[: inputs.shape[-1]], self.bias)

    def recur(self, projected: Tensor, state: AttentionCellState, masks: Masks = None) -> tuple[Tensor, State]:
        x = torch.addmm(projected, state.attention, self.kernel[self.input_size :])
        output, cell_state = self.cell(x, state.cell) if masks is None else self.cell(x, state.cell, masks)
        return join_output(self.params(), output, cell_state, state.window)

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def forward(self, x: Tensor, state: AttentionCellState, masks: Masks = None) -> tuple[Tensor, State]:
        check_step(self, x, state)
        return self.recur(self.project(x), state, masks)

    def unroll(self, *arguments: Any, **call: Any) -> Any:
        return BaseCell.unroll(self, *arguments, **call)
