"""Variable-length integers: one at a time for the table format, whole arrays for V1's values."""

from __future__ import annotations

import numpy as np

__all__ = ["decode_varint", "decode_varints", "encode_varint", "encode_varints"]

_MAX_BYTES = 10  # of a 64-bit number


def encode_varint(value: int) -> bytes:
    """LEB128 of a non-negative number below 2**64."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """(value, position after it); ValueError where it does not end before `end` or does not fit 64 bits."""
    value = 0
    for shift in range(0, 7 * _MAX_BYTES, 7):
        if position >= end:
            raise ValueError("a variable-length number is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
    raise ValueError("a variable-length number is longer than 64 bits")


def encode_varints(values: np.ndarray) -> bytes:
    """Concatenated varints of uint64 [n] (two's complement where the caller's numbers were negative)."""
    values = np.ascontiguousarray(values, np.uint64)
    groups = np.empty((values.size, _MAX_BYTES), np.uint8)
    rest = values.copy()
    for k in range(_MAX_BYTES):
        groups[:, k] = rest & np.uint64(0x7F)
        rest >>= np.uint64(7)
    significant = _MAX_BYTES - np.argmax(groups[:, ::-1] != 0, axis=1)
    significant[values == 0] = 1
    column = np.arange(_MAX_BYTES)
    groups |= np.where(column < significant[:, None] - 1, np.uint8(0x80), np.uint8(0))
    return groups[column < significant[:, None]].tobytes()


def decode_varints(data: bytes) -> np.ndarray:
    """Every varint of a packed list, as uint64 [n]; ValueError where one is cut off or too long."""
    raw = np.frombuffer(data, np.uint8)
    if raw.size == 0:
        return np.empty(0, np.uint64)
    ends = np.flatnonzero(raw < 0x80)
    if ends.size == 0 or ends[-1] != raw.size - 1:
        raise ValueError("a variable-length number is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_BYTES:
        raise ValueError("a variable-length number is longer than 64 bits")
    place = np.arange(raw.size) - np.repeat(starts, lengths)
    parts = (raw & np.uint8(0x7F)).astype(np.uint64) << (np.uint64(7) * place.astype(np.uint64))
    return np.bitwise_or.reduceat(parts, starts)
