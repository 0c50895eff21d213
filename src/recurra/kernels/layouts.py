"""Where each family keeps each gate's weights: the kernels take any layout, so nothing is transposed or joined.

A family's parameters come as a flat tuple of tensors; a gate's weights are a part of one of them. The same description
serves the parameters and their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from torch import Tensor

from recurra.errors import InputError
from recurra.kernels.native import GATES, NORMS

RNN, LSTM, GRU, GRU_AFTER, COUPLED_LSTM, NORMED_LSTM, NORMED_COUPLED_LSTM = range(7)
"""csrc/core/call.h: recurra_family."""


class Part(NamedTuple):
    """A block of a matrix: its first row (input or hidden feature) and its first unit."""

    tensor: int
    row: int
    unit: int
    transposed: bool = False
    """Units are axis 0, as torch.nn has it."""


class GateLayout(NamedTuple):
    x: Part | None
    h: Part
    x_bias: Part | None = None
    h_bias: Part | None = None


class Layout(NamedTuple):
    """A family's gates, in the kernel's order (LSTM i j f o; GRU r u n), and the shapes its tensors must have."""

    family: int
    gates: tuple[GateLayout, ...]
    """An LSTM's projection comes last, as a gate without an input."""
    shapes: tuple[tuple[int, ...] | None, ...]
    """None where the family has no tensor."""
    peepholes: tuple[int | None, ...] = ()
    """Which tensors are the peepholes of i, f and o."""
    norms: tuple[int, ...] = ()
    """Which tensors are the gains of the gates' and the memory's norms; each shift follows its gain."""
    projection: int | None = None
    """Which tensor is the projection."""


def flatten(params: Any) -> tuple[Tensor | None, ...]:
    """The tensors of a family's parameters in order; a part that is missing is one None."""
    found: list[Tensor | None] = []
    for field in params:
        if isinstance(field, tuple):
            found.extend(flatten(field))
        else:
            found.append(field)
    return tuple(found)


def rebuild(params: Any, tensors: Iterator[Tensor | None]) -> Any:
    """`params` with other tensors, as `flatten` gives them; where these end, its own stay."""
    fields = [rebuild(field, tensors) if isinstance(field, tuple) else next(tensors, field) for field in params]
    return type(params)(*fields)


def layout_name(family: str, params: Any) -> str:
    """Which layout parameters have: a family's own, or that with layer normalisation."""
    return family + "_normed" if getattr(params, "norms", None) is not None else family


@cache
def layout(name: str, I: int, H: int, R: int) -> Layout:
    """The layout of family `name` for I inputs, H units, R recurrent outputs."""
    return _LAYOUTS[name](I, H, R)


def _rnn(I: int, H: int, R: int) -> Layout:
    gate = GateLayout(Part(0, 0, 0), Part(0, I, 0), Part(1, 0, 0))
    return Layout(RNN, (gate,), ((I + R, H), (H,)))


def _lstm(family: int, gates: str, *, norms: int = 0, skip: int = 0) -> Callable[[int, int, int], Layout]:
    """TensorFlow's tensors: kernel, bias, `skip` absent fields, gain and shift of `norms`, peepholes, projection."""

    def make(I: int, H: int, R: int) -> Layout:
        count, first = len(gates), 2 + skip + 2 * norms
        peepholes = [gate for gate in gates if gate != "j"]
        projection = first + len(peepholes)
        parts = [GateLayout(Part(0, 0, g * H), Part(0, I, g * H), Part(1, 0, g * H)) for g in range(count)]
        parts.append(GateLayout(None, Part(projection, 0, 0)))
        where = {gate: first + index for index, gate in enumerate(peepholes)}
        units: list[tuple[int, ...] | None] = [(H,)] * (2 * norms + len(peepholes))
        return Layout(
            family,
            tuple(parts),
            ((I + R, count * H), (count * H,), *[None] * skip, *units, (H, R)),
            peepholes=tuple(where.get(gate) for gate in "ifo"),
            norms=tuple(2 + skip + 2 * index for index in range(norms)),
            projection=projection,
        )

    return make


def _gru(I: int, H: int, R: int) -> Layout:
    gates = [GateLayout(Part(0, 0, g * H), Part(0, I, g * H), Part(1, 0, g * H)) for g in range(2)]
    gates.append(GateLayout(Part(2, 0, 0), Part(2, I, 0), Part(3, 0, 0)))
    return Layout(GRU, tuple(gates), ((I + R, 2 * H), (2 * H,), (I + R, H), (H,)))


def _gru_after(I: int, H: int, R: int) -> Layout:
    gates = [GateLayout(Part(0, 0, g * H), Part(0, I, g * H), Part(1, 0, g * H)) for g in range(2)]
    gates.append(GateLayout(Part(2, 0, 0), Part(4, 0, 0), Part(3, 0, 0), Part(5, 0, 0)))
    return Layout(GRU_AFTER, tuple(gates), ((I + R, 2 * H), (2 * H,), (I, H), (H,), (R, H), (H,)))


def _torch(family: int, order: Sequence[int], *, projection: bool = False) -> Callable[[int, int, int], Layout]:
    """torch.nn's tensors: weight_ih [G*H, I], weight_hh [G*H, R], bias_ih, bias_hh; `order` of gates in them."""

    def make(I: int, H: int, R: int) -> Layout:
        gates = [
            GateLayout(Part(0, 0, g * H, True), Part(1, 0, g * H, True), Part(2, 0, g * H), Part(3, 0, g * H))
            for g in order
        ]
        units = len(order) * H
        shapes: list[tuple[int, ...]] = [(units, I), (units, R), (units,), (units,)]
        if not projection:
            return Layout(family, tuple(gates), tuple(shapes))
        gates.append(GateLayout(None, Part(4, 0, 0, True)))
        return Layout(family, tuple(gates), (*shapes, (R, H)), projection=4)

    return make


_LAYOUTS: dict[str, Callable[[int, int, int], Layout]] = {
    "rnn": _rnn,
    "lstm": _lstm(LSTM, "ijfo"),
    "coupled_lstm": _lstm(COUPLED_LSTM, "jfo", skip=1),
    "coupled_lstm_normed": _lstm(NORMED_COUPLED_LSTM, "jfo", norms=4, skip=1),
    "layer_norm_lstm": _lstm(LSTM, "ijfo", skip=1),
    "layer_norm_lstm_normed": _lstm(NORMED_LSTM, "ijfo", norms=5),
    "layer_norm_basic_lstm": _lstm(LSTM, "ijfo", skip=1),
    "layer_norm_basic_lstm_normed": _lstm(NORMED_LSTM, "ijfo", norms=5),
    "gru": _gru,
    "gru_after": _gru_after,
    "torch_rnn": _torch(RNN, (0,)),
    "torch_lstm": _torch(LSTM, (0, 2, 1, 3), projection=True),
    "torch_gru": _torch(GRU_AFTER, (0, 1, 2)),
}

FAMILIES = frozenset(_LAYOUTS)
"""The families that a kernel knows."""
PARAMETERS = {name: len(layout(name, 1, 1, 1).shapes) for name in _LAYOUTS}
"""How many tensors each family has."""


def check_shapes(what: Layout, tensors: Sequence[Tensor | None], params: Any) -> None:
    """Raise InputError for a parameter of a wrong shape, naming it."""
    for index, (tensor, shape) in enumerate(zip(tensors, what.shapes, strict=True)):
        if tensor is not None and tensor.shape != shape:
            expected = "none" if shape is None else list(shape)
            raise InputError(f"`{_names(params)[index]}` has shape {list(tensor.shape)}, expected {expected}")


def dense_vectors(tensors: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """The tensors, with vectors as the kernels read them: element by element. Matrices may lie as they like."""
    for tensor in tensors:
        if tensor is not None and not tensor.is_contiguous() and tensor.dim() == 1:
            return tuple(t.contiguous() if t is not None and t.dim() == 1 else t for t in tensors)
    return tensors


def _names(params: Any) -> list[str]:
    """The tensors' names, in the order of `flatten`."""
    found: list[str] = []
    for name, field in zip(params._fields, params, strict=True):
        found += [f"{name}.{inner}" for inner in _names(field)] if isinstance(field, tuple) else [name]
    return found


assert max(len(layout(name, 1, 1, 1).gates) for name in _LAYOUTS) <= GATES
assert max(len(layout(name, 1, 1, 1).norms) for name in _LAYOUTS) <= NORMS
