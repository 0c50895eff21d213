"""Steps as lists of calls (csrc/core/replay.h): one call of the library runs such a list for all steps of a sequence.

What a compiled step does is a fixed list of calls: functions that torch's compiler made, and products. Kept as such a
list (`step_capture.py`), a sequence needs Python once and not at every step, and its products are the library's own.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from ctypes import c_int64, c_void_p
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.kernels.native import library


class Sizes(ctypes.Structure):
    """`recurra_product_sizes`, field by field."""

    _fields_ = [
        (name, c_int64) for name in ("M", "N", "K", "a_row", "a_column", "b_row", "b_column", "c_row", "start_row")
    ]


COMPILED, PRODUCT, ADD = range(3)


class Operation(ctypes.Structure):
    """`recurra_operation`, field by field."""

    _fields_ = [("kind", c_int64), ("function", c_void_p), ("first", c_int64), ("count", c_int64), ("sizes", Sizes)]


class ReplayCall(ctypes.Structure):
    """`recurra_replay_call`, field by field."""

    _fields_ = [
        ("threads", c_int64),
        ("reverse", c_int64),
        ("steps", c_int64),
        ("slots", c_int64),
        ("operations", c_int64),
        ("slot", c_void_p),
        ("place", c_void_p),
        ("operation", c_void_p),
    ]


class Where(NamedTuple):
    """A slot's memory at step t: `base + (t + shift) % period * stride`, in bytes; at the first that runs, `first`."""

    base: int
    stride: int
    period: int
    shift: int = 0
    first: int = 0


class Place(NamedTuple):
    """An offset, in bytes, into a slot."""

    slot: int
    offset: int


NOWHERE = Place(-1, 0)


class Function(NamedTuple):
    """A compiled function of pointers."""

    address: int
    places: tuple[Place, ...]


class Product(NamedTuple):
    """c = start + a b."""

    sizes: tuple[int, ...]
    """As `Sizes` has them."""
    places: tuple[Place, Place, Place, Place]
    """Of a, b, c and start."""


class Replay:
    """A step's calls, ready to run."""

    def __init__(self, calls: Sequence[Function | Product], arguments: int, scratch: Sequence[int], keep: Any) -> None:
        """`arguments`: slots that a caller fills; `scratch`: bytes of the others; `keep`: what the calls live in."""
        self.arguments = arguments
        self.keep = keep
        self._scratch = array("q", [word for bytes in scratch for word in (0, bytes, 1, 0, 0)])
        self._places = array("q")
        self._operations = []
        for call in calls:
            if isinstance(call, Function):
                self._operations.append(_operation(COMPILED, self._places, call.places, function=call.address))
            else:
                self._operations.append(_operation(PRODUCT, self._places, call.places, sizes=Sizes(*call.sizes)))

    def run(
        self, where: Sequence[Where], steps: int, *, reverse: bool, sums: Sequence[tuple[int, Tensor]] = ()
    ) -> None:
        """Run so many steps.

        Args:
            where: each argument's memory, which the caller keeps alive.
            steps: how many.
            reverse: from the last one to the first.
            sums: arguments, and the float32 tensors that their values after each step are added to.
        """
        assert library.core is not None and len(where) == self.arguments
        slots = array("q", [word for slot in where for word in slot])
        slots.extend(self._scratch)
        places, operations = self._places[:], list(self._operations)
        for argument, total in sums:
            at = Place(len(slots) // 5, 0)
            slots.extend(Where(total.data_ptr(), 0, 1))
            operations.append(_operation(ADD, places, (Place(argument, 0), at), sizes=Sizes(N=total.numel())))
        list_of = (Operation * len(operations))(*operations)
        call = ReplayCall(
            library.threads(),
            reverse,
            steps,
            len(slots) // 5,
            len(operations),
            slots.buffer_info()[0],
            places.buffer_info()[0],
            ctypes.addressof(list_of),
        )
        status = library.core.recurra_replay(ctypes.byref(call))
        if status == -4:
            raise RuntimeError("a compiled step divided an integer by zero")
        library.check(status)


def _operation(kind: int, places: array[int], own: Sequence[Place], **fields: Any) -> Operation:
    """An operation, whose places are put behind the others."""
    first = len(places) // 2
    for place in own:
        places.extend(place)
    return Operation(kind=kind, first=first, count=len(own), **fields)


def sizes_of(a: Tensor, b: Tensor, c: Tensor, start: Tensor | None = None) -> tuple[int, ...] | None:
    """`Sizes` of c = start + a b, or None where the library has no such product."""
    tensors = [a, b, c] if start is None else [a, b, c, start]
    if any(tensor.dtype is not torch.float32 or tensor.dim() != 2 or tensor.numel() == 0 for tensor in tensors):
        return None
    if 1 not in _strides(a) or _strides(c)[1] != 1 or (start is not None and _strides(start)[1] != 1):
        return None
    start_row = 0 if start is None else start.stride(0)
    return *c.shape, a.shape[1], *_strides(a), *_strides(b), _strides(c)[0], start_row


def _strides(tensor: Tensor) -> tuple[int, int]:
    """Of a matrix; those of an axis of one element, which never count, as if it were dense."""
    row, column = tensor.stride()
    if tensor.shape[1] == 1:
        column = 1
    return row, column


def product(a: Tensor, b: Tensor, out: Tensor, bias: Tensor | None = None) -> Tensor:
    """out = a b (+ bias, the same for every row), by the library's own product where it has it."""
    start = None if bias is None else bias.expand(out.shape)
    sizes = None if library.core is None else sizes_of(a, b, out, start)
    if sizes is None:
        return torch.mm(a, b, out=out) if bias is None else torch.addmm(bias, a, b, out=out)
    assert library.core is not None
    first = 0 if bias is None else bias.data_ptr()
    status = library.core.recurra_product(
        ctypes.byref(Sizes(*sizes)), a.data_ptr(), b.data_ptr(), first, out.data_ptr(), library.threads()
    )
    library.check(status)
    return out
