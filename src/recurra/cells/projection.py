"""Dense layers before or behind a cell, and an embedding before it: TensorFlow's projection and embedding wrappers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.base import BaseCell
from recurra.cells.checks import check_classes, positive
from recurra.cells.init import Initializer, glorot_uniform
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError


class _Dense(Wrapper):
    """A wrapper with one dense layer: `kernel [rows, columns]` and `bias [columns]`."""

    def __init__(self, cell: BaseCell, activation: Activation, init: Initializer | None) -> None:
        super().__init__(cell)
        resolve(activation)
        self.activation, self.init = activation, init

    def _add_dense(self, rows: int, columns: int, **factory: Any) -> None:
        self.kernel = nn.Parameter(torch.empty(rows, columns, **factory))
        self.bias = nn.Parameter(torch.empty(columns, **factory))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the kernel anew and clear the bias, as the constructor did; the cell inside has its own."""
        (self.init or glorot_uniform)(self.kernel)
        self.bias.zero_()

    def dense(self, values: Tensor) -> Tensor:
        """`activation(values @ kernel + bias)`, for `[..., rows]`."""
        return resolve(self.activation)(values @ self.kernel + self.bias)


class InputProjectionWrapper(_Dense):
    """`cell(activation(x @ kernel + bias))`; `kernel [I, cell.input_size]`, `bias` zeros.

    Args:
        cell: the cell to wrap.
        input_size: features I of the input.
        activation: a name or a callable.
        init: fills the kernel in place instead of glorot uniform.
        device, dtype: of the parameters.
    """

    reads_padding = True

    def __init__(
        self,
        cell: BaseCell,
        input_size: int,
        *,
        activation: Activation = "linear",
        init: Initializer | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(cell, activation, init)
        self._input_size = positive("input_size", input_size)
        if not isinstance(cell.input_size, int):
            raise InputError(f"`cell` must have a fixed number of input features, got input_size {cell.input_size}")
        self._add_dense(input_size, cell.input_size, device=device, dtype=dtype)

    @property
    def input_size(self) -> int:
        return self._input_size

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cell.output_is_state

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def before(self, inputs: Tensor, masks: Masks) -> Tensor:
        return self.dense(inputs)


class OutputProjectionWrapper(_Dense):
    """`activation(output @ kernel + bias)`; `kernel [cell.output_size, output_size]`, `bias` zeros.

    Args:
        cell: the cell to wrap.
        output_size: features of the projected output.
        activation: a name or a callable.
        init: fills the kernel in place instead of glorot uniform.
        device, dtype: of the parameters.
    """

    fills_padding = True

    def __init__(
        self,
        cell: BaseCell,
        output_size: int,
        *,
        activation: Activation = "linear",
        init: Initializer | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(cell, activation, init)
        self._output_size = positive("output_size", output_size)
        if not isinstance(cell.output_size, int):
            raise InputError(f"`cell` must give a vector a row, got output_size {_nest.describe(cell.output_size)}")
        self._add_dense(cell.output_size, output_size, device=device, dtype=dtype)

    @property
    def output_size(self) -> int:
        return self._output_size

    def behind(self, inputs: Any, outputs: Tensor, masks: Masks) -> Tensor:
        return self.dense(outputs)


class EmbeddingWrapper(Wrapper):
    """The cell reads rows of an embedding in place of ids.

    Inputs are integers `[B]` in `0..classes-1` (of a sequence `[B, T]`); the parameter is `embedding [classes,
    cell.input_size]`.

    Args:
        cell: the cell to wrap.
        classes: number of symbols.
        init: fills the embedding in place instead of TensorFlow's uniform ±sqrt(3).
        device, dtype: of the parameters.
    """

    reads_padding = True

    def __init__(
        self,
        cell: BaseCell,
        classes: int,
        *,
        init: Initializer | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(cell)
        if not isinstance(cell.input_size, int):
            raise InputError(f"`cell` must have a fixed number of input features, got input_size {cell.input_size}")
        self.init = init
        self.embedding = nn.Parameter(
            torch.empty(positive("classes", classes), cell.input_size, device=device, dtype=dtype)
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the embedding anew, as the constructor did; the cell inside has its own."""
        if self.init is not None:
            self.init(self.embedding)
        else:
            nn.init.uniform_(self.embedding, -math.sqrt(3), math.sqrt(3))

    @property
    def input_size(self) -> None:
        return None

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cell.output_is_state

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def before(self, inputs: Tensor, masks: Masks) -> Tensor:
        if inputs.is_floating_point() or inputs.is_complex() or inputs.dtype is torch.bool:
            raise InputError(f"`inputs` must be integer ids, got dtype {inputs.dtype}")
        check_classes("inputs", inputs, self.embedding.shape[0])
        return nn.functional.embedding(inputs if inputs.dtype is torch.int32 else inputs.long(), self.embedding)
