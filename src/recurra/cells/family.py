"""What the cells of the wider family share: sizes, the common arguments, and variables drawn in their own way."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, TypedDict, Unpack

import torch
from torch import Tensor

from recurra._typing import LSTMState
from recurra.cells.base import LeafCell
from recurra.cells.checks import positive
from recurra.cells.init import Initializer


class Common(TypedDict, total=False):
    """Arguments that every cell takes: `init` fills the weights in place of TensorFlow's default."""

    init: Initializer | None
    device: torch.device | str | None
    dtype: torch.dtype | None


class FamilyCell(LeafCell):
    """A leaf cell of `hidden_size` units with a state of that size, unless a subclass says otherwise.

    `tf_scope` is the variable scope that TensorFlow 1.15 gives the cell; `tf_names` maps a parameter's name to
    TensorFlow's where it is not the same (with "/" for ".").
    """

    tf_scope: ClassVar[str]
    tf_names: ClassVar[dict[str, str]] = {}

    def __init__(self, input_size: Any, hidden_size: int, options: Any, **common: Unpack[Common]) -> None:
        unknown = common.keys() - Common.__annotations__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {min(unknown)!r}")
        super().__init__(init=common.get("init"))
        self.input_size = input_size
        self.hidden_size = positive("hidden_size", hidden_size)
        self.state_size = self.output_size = hidden_size
        self.options = options
        self._factory = {"device": common.get("device"), "dtype": common.get("dtype")}
        self._drawn: dict[str, Initializer] = {}

    def variable(self, name: str, *shape: int, fill: float | Initializer | None = None) -> None:
        """Register a parameter: `fill` is a constant, or its own initializer; None leaves it to `init` or glorot."""
        if callable(fill):
            self._drawn[name] = fill
        self.add_variable(name, *shape, constant=None if callable(fill) else fill, **self._factory)

    def _reset(self, name: str) -> None:
        if name in self._drawn:
            with torch.no_grad():
                self._drawn[name](self.get_parameter(name))
        else:
            super()._reset(name)


def lstm_sizes(hidden_size: int, output_size: int | None = None) -> LSTMState:
    """The state sizes of an LSTM with an output of its own size."""
    return LSTMState(hidden_size, hidden_size if output_size is None else output_size)  # type: ignore[arg-type]


def uniform(low: float, high: float) -> Initializer:
    """An initializer that draws from [low, high)."""
    return partial(torch.nn.init.uniform_, a=low, b=high)


def affine(inputs: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`inputs @ kernel + bias` in one pass over the result."""
    return torch.nn.functional.linear(inputs, kernel.t(), bias)


def input_rows(kernel: Tensor, inputs: Tensor) -> Tensor:
    """The rows of a fused kernel that the input multiplies."""
    count = inputs.shape[-1]
    return kernel if count == kernel.shape[0] else kernel[:count]


def state_rows(kernel: Tensor, state: Tensor) -> Tensor:
    """The rows of a fused kernel that the recurrent state multiplies (the last ones)."""
    count = state.shape[-1]
    return kernel if count == kernel.shape[0] else kernel[kernel.shape[0] - count :]
