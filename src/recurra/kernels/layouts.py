"""Where each family keeps each gate's weights: the kernels take any layout, so nothing is transposed or joined.

A family's parameters come as a flat tuple of tensors; a gate's weights are a part of one of them. The same description
serves the parameters and their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from torch import Tensor

from recurra.errors import InputError
from recurra.kernels.native import GATES, Gate

RNN, LSTM, GRU, GRU_AFTER = range(4)
"""csrc/core/call.h: recurra_family."""


class Part(NamedTuple):
    """A block of a matrix: its first row (input or hidden feature) and its first unit."""

    tensor: int
    row: int
    unit: int
    transposed: bool = False
    """Units are axis 0, as torch.nn has it."""


class GateLayout(NamedTuple):
    x: Part
    h: Part
    x_bias: Part | None
    h_bias: Part | None


class Layout(NamedTuple):
    """A family's gates, in the kernel's order (LSTM i j f o; GRU r u n), and the shapes its tensors must have."""

    family: int
    gates: tuple[GateLayout, ...]
    shapes: tuple[tuple[int, ...], ...]
    peepholes: tuple[int, ...] = ()
    """Which tensors are the peepholes of i, f and o."""


@cache
def layout(name: str, I: int, H: int, R: int) -> Layout:
    """The layout of family `name` for I inputs, H units, R recurrent outputs."""
    return _LAYOUTS[name](I, H, R)


def _rnn(I: int, H: int, R: int) -> Layout:
    gate = GateLayout(Part(0, 0, 0), Part(0, I, 0), Part(1, 0, 0), None)
    return Layout(RNN, (gate,), ((I + R, H), (H,)))


def _lstm(I: int, H: int, R: int) -> Layout:
    gates = tuple(GateLayout(Part(0, 0, g * H), Part(0, I, g * H), Part(1, 0, g * H), None) for g in range(4))
    return Layout(LSTM, gates, ((I + R, 4 * H), (4 * H,), (H,), (H,), (H,)), peepholes=(2, 3, 4))


def _gru(I: int, H: int, R: int) -> Layout:
    gates = [GateLayout(Part(0, 0, g * H), Part(0, I, g * H), Part(1, 0, g * H), None) for g in range(2)]
    gates.append(GateLayout(Part(2, 0, 0), Part(2, I, 0), Part(3, 0, 0), None))
    return Layout(GRU, tuple(gates), ((I + R, 2 * H), (2 * H,), (I + R, H), (H,)))


def _gru_after(I: int, H: int, R: int) -> Layout:
    gates = [GateLayout(Part(0, 0, g * H), Part(0, I, g * H), Part(1, 0, g * H), None) for g in range(2)]
    gates.append(GateLayout(Part(2, 0, 0), Part(4, 0, 0), Part(3, 0, 0), Part(5, 0, 0)))
    return Layout(GRU_AFTER, tuple(gates), ((I + R, 2 * H), (2 * H,), (I, H), (H,), (R, H), (H,)))


def _torch(family: int, order: Sequence[int]) -> Callable[[int, int, int], Layout]:
    """torch.nn's tensors: weight_ih [G*H, I], weight_hh [G*H, R], bias_ih, bias_hh; `order` of gates in them."""

    def make(I: int, H: int, R: int) -> Layout:
        gates = tuple(
            GateLayout(Part(0, 0, g * H, True), Part(1, 0, g * H, True), Part(2, 0, g * H), Part(3, 0, g * H))
            for g in order
        )
        units = len(order) * H
        return Layout(family, gates, ((units, I), (units, R), (units,), (units,)))

    return make


_LAYOUTS: dict[str, Callable[[int, int, int], Layout]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
    "gru_after": _gru_after,
    "torch_rnn": _torch(RNN, (0,)),
    "torch_lstm": _torch(LSTM, (0, 2, 1, 3)),
    "torch_gru": _torch(GRU_AFTER, (0, 1, 2)),
}

FAMILIES = frozenset(_LAYOUTS)
PARAMETERS = {name: len(layout(name, 1, 1, 1).shapes) for name in _LAYOUTS}
"""How many tensors each family has."""
"""The families that a kernel knows."""


def check_shapes(what: Layout, tensors: Sequence[Tensor | None], names: Sequence[str]) -> None:
    """Raise InputError for a parameter of a wrong shape, naming it."""
    for name, tensor, shape in zip(names, tensors, what.shapes, strict=True):
        if tensor is not None and tensor.shape != shape:
            raise InputError(f"`{name}` has shape {list(tensor.shape)}, expected {list(shape)}")


def fill_weights(gates: Any, peepholes: Any, what: Layout, tensors: Sequence[Tensor | None]) -> None:
    """Point the kernel's weights at the parameters, or at their gradients; None where there is no tensor."""
    bases = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    strides = [(0, 0) if tensor is None or tensor.dim() < 2 else tensor.stride() for tensor in tensors]
    size = next(tensor.element_size() for tensor in tensors if tensor is not None)

    def matrix(part: Part) -> tuple[int | None, int, int]:
        base, (row, unit) = bases[part.tensor], strides[part.tensor]
        if part.transposed:
            row, unit = unit, row
        return None if base is None else base + (part.row * row + part.unit * unit) * size, row, unit

    def vector(part: Part | None) -> int | None:
        base = None if part is None else bases[part.tensor]
        return None if base is None or part is None else base + part.unit * size

    for index, gate in enumerate(what.gates):
        gates[index] = Gate(*matrix(gate.x), *matrix(gate.h), vector(gate.x_bias), vector(gate.h_bias))
    for index, tensor in enumerate(what.peepholes):
        peepholes[index] = bases[tensor]


assert max(len(layout(name, 1, 1, 1).gates) for name in _LAYOUTS) <= GATES
