"""Highway connections around a cell (Srivastava, Greff and Schmidhuber, 2015, https://arxiv.org/abs/1505.00387)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from recurra._typing import Masks
from recurra.cells.base import BaseCell
from recurra.cells.init import glorot_uniform
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError


class HighwayParams(NamedTuple):
    carry_w: Tensor
    """`[n, n]`."""
    carry_b: Tensor
    """`[n]`."""
    transform_w: Tensor | None = None
    """`[n, n]`, with its bias: a gate of its own for the cell's output; both or none."""
    transform_b: Tensor | None = None


def highway(params: HighwayParams, inputs: Tensor, outputs: Tensor) -> Tensor:
    """`x * g + y * (1 - g)`, or `x * g + y * t` with a transform gate; `[..., n]`."""
    carry = torch.sigmoid(inputs @ params.carry_w + params.carry_b)
    if params.transform_w is None or params.transform_b is None:
        return inputs * carry + outputs * (1 - carry)
    return inputs * carry + outputs * torch.sigmoid(inputs @ params.transform_w + params.transform_b)


class HighwayWrapper(Wrapper):
    """`output = x * g + cell(x) * (1 - g)` with `g = sigmoid(x @ carry_w + carry_b)`; the state is the cell's.

    Parameters: `carry_w [n, n]`, `carry_b [n]`, uncoupled also `transform_w [n, n]`, `transform_b [n]`.

    Args:
        cell: a cell whose output has the size of its input.
        couple_carry_transform_gates: whether the cell's share is `1 - g`; False gives it a gate of its own.
        carry_bias_init: start of `carry_b`; `transform_b` starts at its negative.
    """

    fills_padding = True
    reads_padding = True
    tf_scope: ClassVar[str] = ""
    carry_w: Tensor
    carry_b: Tensor
    transform_w: Tensor
    transform_b: Tensor

    def __init__(
        self, cell: BaseCell, *, couple_carry_transform_gates: bool = True, carry_bias_init: float = 1.0
    ) -> None:
        super().__init__(cell)
        size = cell.output_size
        if not isinstance(size, int) or (cell.input_size is not None and cell.input_size != size):
            raise InputError(f"`cell` must give as many features as it takes: input {cell.input_size}, output {size}")
        like = next(cell.parameters(), torch.empty(()))
        self.coupled, self.carry_bias_init = couple_carry_transform_gates, carry_bias_init
        for name in ("carry",) if self.coupled else ("carry", "transform"):
            self.register_parameter(f"{name}_w", nn.Parameter(like.new_empty(size, size)))
            self.register_parameter(f"{name}_b", nn.Parameter(like.new_empty(size)))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the gates' parameters anew, as the constructor did; the cell inside has its own."""
        params = self.params()
        for weight in (params.carry_w, params.transform_w):
            if weight is not None:
                glorot_uniform(weight)
        params.carry_b.fill_(self.carry_bias_init)
        if params.transform_b is not None:
            params.transform_b.fill_(-self.carry_bias_init)

    def params(self) -> HighwayParams:
        """The gates' parameters, for `highway`."""
        if self.coupled:
            return HighwayParams(self.carry_w, self.carry_b)
        return HighwayParams(self.carry_w, self.carry_b, self.transform_w, self.transform_b)

    def behind(self, inputs: Tensor, outputs: Tensor, masks: Masks) -> Tensor:
        return highway(self.params(), inputs, outputs)
