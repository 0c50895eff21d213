"""Partitioned variables: slices of a whole, and the ordered code that is their key in both formats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "Extent",
    "Partitioned",
    "VariableInfo",
    "assemble",
    "check_tiling",
    "extents_of",
    "slice_key",
    "slice_shape",
    "volume",
]

Extent = tuple[int, int]  # start, length; length -1 is the whole dimension


@dataclass(frozen=True)
class VariableInfo:
    """What a checkpoint's directory says about one variable: nothing of its values has been read for it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    """Bytes in the file (for V1, where values may be packed, the size of the array)."""
    parts: int = 1

    @property
    def size(self) -> int:
        """Number of elements."""
        return volume(self.shape)


@dataclass(frozen=True)
class Partitioned:
    """A variable to be written in parts, as a partitioner made them: `parts` are (offset in each dimension, values)."""

    shape: tuple[int, ...]
    parts: Sequence[tuple[tuple[int, ...], np.ndarray]] = field(repr=False)

    def whole(self) -> np.ndarray:
        """The parts put together; ValueError where they do not tile the shape exactly."""
        parts = list(self.slices())
        check_tiling(self.shape, [extents for extents, _ in parts])
        return assemble(self.shape, parts)

    def slices(self) -> Iterator[tuple[tuple[Extent, ...], np.ndarray]]:
        """Each part as its extents, start and length of every dimension as TensorFlow writes them, and its values."""
        for offset, values in self.parts:
            yield tuple(zip(offset, values.shape, strict=True)), values


def extents_of(message: Any) -> tuple[Extent, ...]:
    """A TensorSlice message as (start, length) of each dimension."""
    return tuple((e.start, e.length if e.HasField("length") else -1) for e in message.extent)


def check_tiling(shape: Sequence[int], slices: Iterable[Sequence[Extent]]) -> None:
    """ValueError where these slices leave `shape` or do not hold as many elements (overlaps show in `assemble`)."""
    total = 0
    for extents in slices:
        if len(extents) != len(shape):
            raise ValueError(f"a slice has {len(extents)} dimensions, the variable {len(shape)}")
        for (start, length), dim in zip(extents, shape, strict=True):
            if start < 0 or start + max(length, 0) > dim:
                raise ValueError(f"slice {list(extents)} leaves the shape {list(shape)}")
        total += volume(slice_shape(shape, extents))
    if total != volume(shape):
        raise ValueError(f"its slices hold {total} elements, the variable {volume(shape)}")


def slice_shape(shape: Sequence[int], extents: Sequence[Extent]) -> tuple[int, ...]:
    """The shape of one slice of a variable."""
    return tuple(length if length >= 0 else dim for (_, length), dim in zip(extents, shape, strict=True))


def volume(lengths: Iterable[int]) -> int:
    """Product of dimensions, in Python's integers: nothing a file claims can overflow it."""
    product = 1
    for n in lengths:
        product *= n
    return product


def assemble(shape: Sequence[int], parts: Sequence[tuple[Sequence[Extent], np.ndarray]]) -> np.ndarray:
    """Slices that passed `check_tiling`, each with its values, as one array; ValueError where two overlap."""
    whole, seen = np.empty(shape, parts[0][1].dtype), np.zeros(shape, np.bool_)
    for extents, values in parts:
        index = tuple(slice(s, s + n) if n >= 0 else slice(None) for s, n in extents)
        if seen[index].any():
            raise ValueError(f"slice {list(extents)} overlaps another one")
        seen[index] = True
        whole[index] = values.reshape(whole[index].shape)
    return whole


def slice_key(name: str, extents: Sequence[Extent]) -> bytes:
    """The ordered code of a slice: 0, name, rank, then start and length of each dimension."""
    parts = [_number(0), _string(name.encode()), _number(len(extents))]
    for start, length in extents:
        parts += [_signed(start), _signed(length)]
    return b"".join(parts)


def _number(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(digits)]) + digits


def _string(text: bytes) -> bytes:
    escapes = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}
    return b"".join(escapes.get(byte, bytes([byte])) for byte in text) + b"\x00\x01"


def _signed(value: int) -> bytes:
    """Big-endian two's complement in n bytes under a header of n one-bits (inverted below zero)."""
    count = 1
    while not -(1 << (7 * count - 1)) <= value < 1 << (7 * count - 1):
        count += 1
    header = ((1 << count) - 1) << (16 - count)  # n ones, left-aligned in two bytes
    digits = bytearray((value & ((1 << (8 * max(count, 2))) - 1)).to_bytes(max(count, 2), "big"))
    if count == 1:
        return bytes([digits[1] ^ (header >> 8)])
    digits[0] ^= header >> 8
    digits[1] ^= header & 0xFF
    return bytes(digits)
