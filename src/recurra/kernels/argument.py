"""The kernels' one argument, `recurra_call` of csrc/core/call.h, as an array of its eight-byte words.

What calls of one form share (layout, options, how the weights are strided) is written once, into a template; a call
copies it and writes addresses and sizes.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from recurra.kernels.layouts import Layout, Part
from recurra.kernels.native import Call, Gate, Mix, Norm, Rows

NORM_EPSILON = 1e-12
"""What layer normalisation adds to a variance (TensorFlow's contrib.rnn)."""
MOST_FORMS = 256


def word(name: str, index: int = 0, of: type[ctypes.Structure] | None = None, inner: str = "") -> int:
    """Where a field of the call, an element of it, or a field of that element begins."""
    start = getattr(Call, name).offset + index * (8 if of is None else ctypes.sizeof(of))
    return (start + (getattr(of, inner).offset if inner else 0)) // 8


FAMILY, IS_DOUBLE, THREADS, REVERSE, EMITS_STATE = map(
    word, ("family", "is_double", "threads", "reverse", "output_is_state")
)
LENGTHS, BATCH_SIZES, RESERVE, PACKED = map(word, ("lengths", "batch_sizes", "reserve", "packed"))
T, B, I, H, R = map(word, "TBIHR")
X, OUT, MASK, RESETS, D_OUT, D_X = map(word, ("x", "out", "mask", "resets", "d_out", "d_x"))
INITIAL, FINAL, STATES, RESTART, D_FINAL, D_STATES, D_INITIAL, D_RESTART = (
    tuple(word(name, index, Rows) for index in range(2))
    for name in ("initial", "final", "states", "restart", "d_final", "d_states", "d_initial", "d_restart")
)
"""Of h and c."""
FRESH, OLD = (tuple(word("mix", index, Mix, part) for index in range(3)) for part in ("fresh", "old"))

Words = array  # of "q"
"""One call's argument; it holds addresses only, so the tensors must outlive it."""


def address(words: Words[int]) -> int:
    """Where the argument lies; good for as long as `words` is not resized."""
    return words.buffer_info()[0]


class Options(NamedTuple):
    """The numbers in a cell's equation."""

    activation: int = 0
    """csrc/core/call.h: recurra_activation."""
    forget_bias: float = 0.0
    cell_clip: float = 0.0
    """0 for none, as the projection's."""
    projection_clip: float = 0.0


class Address(NamedTuple):
    """A word that holds the address of a part of a parameter."""

    word: int
    tensor: int
    offset: int
    """In bytes from the tensor's first element."""


class Form:
    """What calls of one layout, options and strides of parameters share."""

    def __init__(self, layout: Layout, options: Options, params: Sequence[Tensor | None]) -> None:
        self.layout = layout
        """Also kept alive, as forms are found by its identity."""
        present = [param for param in params if param is not None]
        size = present[0].element_size()
        call = Call(family=layout.family, **options._asdict(), norm_epsilon=NORM_EPSILON)
        call.projected = layout.projection is not None and params[layout.projection] is not None
        strides = [None if param is None else param.stride() for param in params]
        dense = [None if param is None else (*param.shape[1:], 1) for param in params]
        self.weights = _place(call, "", layout, strides, size)
        self.gradients = _place(call, "d_", layout, dense, size)
        self.template = array("q", bytes(call))

    def point(self, words: Words[int], params: Sequence[Tensor | None]) -> None:
        """Write where the parameters are."""
        bases = [0 if param is None else param.data_ptr() for param in params]
        for where, tensor, offset in self.weights:
            words[where] = bases[tensor] + offset

    def point_gradients(self, words: Words[int], found: Sequence[Tensor | None]) -> None:
        """Write where the parameters' gradients go; None: not wanted."""
        bases = [0 if grad is None else grad.data_ptr() for grad in found]
        for where, tensor, offset in self.gradients:
            if bases[tensor]:
                words[where] = bases[tensor] + offset


def _place(call: Call, prefix: str, layout: Layout, strides: Sequence[Any], size: int) -> tuple[Address, ...]:
    """Write the weights' strides into the call; returns where their addresses belong."""
    found = []

    def vector(where: int, tensor: int, unit: int = 0) -> None:
        if strides[tensor] is not None:
            found.append(Address(where, tensor, unit * size))

    gates = getattr(call, f"{prefix}gate")
    for index, gate in enumerate(layout.gates):
        for name, part in (("x", gate.x), ("h", gate.h)):
            where = word(f"{prefix}gate", index, Gate, name)
            if part is not None and strides[part.tensor] is not None:
                row, unit = _steps(part, strides[part.tensor])
                setattr(gates[index], f"{name}_row", row)
                setattr(gates[index], f"{name}_unit", unit)
                found.append(Address(where, part.tensor, (part.row * row + part.unit * unit) * size))
        for name, bias in (("x_bias", gate.x_bias), ("h_bias", gate.h_bias)):
            if bias is not None:
                vector(word(f"{prefix}gate", index, Gate, name), bias.tensor, bias.unit)
    for index, tensor in enumerate(layout.peepholes):
        if tensor is not None:
            vector(word(f"{prefix}peephole", index), tensor)
    for index, gain in enumerate(layout.norms):
        vector(word(f"{prefix}norm", index, Norm, "gain"), gain)
        vector(word(f"{prefix}norm", index, Norm, "shift"), gain + 1)
    return tuple(found)


def _steps(part: Part, strides: tuple[int, ...]) -> tuple[int, int]:
    """Elements from one row, and from one unit, of a matrix to the next."""
    row, unit = strides
    return (unit, row) if part.transposed else (row, unit)


_forms: dict[Any, Form] = {}


def form_of(layout: Layout, options: Options, params: Sequence[Tensor | None]) -> Form:
    """The form of calls with such parameters, made at the first of them."""
    # what a layout holds takes long to hash; `layouts.layout` makes each only once
    key = (id(layout), options, *[None if param is None else (param.stride(), param.dtype) for param in params])
    form = _forms.get(key)
    if form is None:
        if len(_forms) >= MOST_FORMS:
            _forms.clear()
        form = _forms[key] = Form(layout, options, params)
    return form
