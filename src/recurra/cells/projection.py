"""Dense layers before or behind a cell, and an embedding before it: TensorFlow's projection and embedding wrappers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from recurra._typing import Masks
from recurra.cells.activations import Activation, resolve
from recurra.cells.base import BaseCell
from recurra.cells.checks import positive
from recurra.cells.init import Initializer, glorot_uniform
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError


def _dense(rows: int, columns: int, init: Initializer | None, **factory: Any) -> tuple[nn.Parameter, nn.Parameter]:
    kernel = nn.Parameter(torch.empty(rows, columns, **factory))
    with torch.no_grad():
        (init or glorot_uniform)(kernel)
    return kernel, nn.Parameter(torch.zeros(columns, **factory))


class InputProjectionWrapper(Wrapper):
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
        super().__init__(cell)
        self._input_size = positive("input_size", input_size)
        self.activation = activation
        resolve(activation)
        if not isinstance(cell.input_size, int):
            raise InputError(f"`cell` must have a fixed number of input features, got input_size {cell.input_size}")
        self.kernel, self.bias = _dense(input_size, cell.input_size, init, device=device, dtype=dtype)

    @property
    def input_size(self) -> int:  # type: ignore[override]
        return self._input_size

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cell.output_is_state

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def before(self, inputs: Tensor, masks: Masks) -> Tensor:
        return resolve(self.activation)(inputs @ self.kernel + self.bias)


class OutputProjectionWrapper(Wrapper):
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
        super().__init__(cell)
        self._output_size = positive("output_size", output_size)
        self.activation = activation
        resolve(activation)
        self.kernel, self.bias = _dense(cell.output_size, output_size, init, device=device, dtype=dtype)

    @property
    def output_size(self) -> int:  # type: ignore[override]
        return self._output_size

    def behind(self, inputs: Any, outputs: Tensor, masks: Masks) -> Tensor:
        return resolve(self.activation)(outputs @ self.kernel + self.bias)


class EmbeddingWrapper(Wrapper):
    """The cell reads rows of `embedding [classes, cell.input_size]` in place of ids `[B]` (a sequence: `[T, B]`).

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
        self.embedding = nn.Parameter(
            torch.empty(positive("classes", classes), cell.input_size, device=device, dtype=dtype)
        )
        with torch.no_grad():
            if init is not None:
                init(self.embedding)
            else:
                nn.init.uniform_(self.embedding, -math.sqrt(3), math.sqrt(3))

    @property
    def input_size(self) -> None:  # type: ignore[override]
        return None

    @property
    def output_is_state(self) -> bool:  # type: ignore[override]
        return self.cell.output_is_state

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def before(self, inputs: Tensor, masks: Masks) -> Tensor:
        if inputs.dtype not in (torch.int32, torch.int64):
            raise InputError(f"`inputs` must be integer ids, got dtype {inputs.dtype}")
        return nn.functional.embedding(inputs, self.embedding)
