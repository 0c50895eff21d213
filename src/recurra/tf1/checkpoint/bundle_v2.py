"""Format V2, the tensor bundle: `<prefix>.index` (a table) and `<prefix>.data-NNNNN-of-MMMMM` (raw tensors).

Opening reads the index whole and checks every claim in it against the sizes of the data files; values are read, and
their checksums verified, one variable at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import crc32c as _crc32c
import numpy as np
from google.protobuf.message import DecodeError

from .dtypes import STRING, dtype_name, from_little_endian, numpy_dtype
from .errors import CheckpointError
from .messages import BundleEntry, BundleHeader
from .slices import VariableInfo, assemble, check_tiling, extents_of, slice_key, slice_shape, volume
from .source import Source, masked_crc
from .table import Table
from .varint import decode_varint

__all__ = ["BundleReader", "data_path", "index_path"]

BUNDLE_VERSION = 1  # of the format that TensorFlow 1.x and 2.x write and that is read here
LITTLE_ENDIAN = 0


def index_path(prefix: str) -> str:
    """The index file of a V2 checkpoint."""
    return f"{prefix}.index"


def data_path(prefix: str, shard: int, shards: int) -> str:
    """One of its data files."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}"


class BundleReader:
    """Reads a V2 checkpoint from an index and a way to get at its data files."""

    version = "V2"

    def __init__(self, index: Source, shard: Callable[[int, int], Source]) -> None:
        """`shard(k, n)` opens data file k of n; it is asked for at once, so that a missing one shows here."""
        self.name = index.name
        rows = Table(index).items()
        self.header = self._read_header(rows)
        self._slices: dict[bytes, Any] = {}
        self._entries: dict[str, Any] = {}
        for key, value in rows:
            entry = self._message(BundleEntry, value, repr(key[:80]))
            if key.startswith(b"\0"):
                self._slices[key] = entry
            else:
                self._entries[self._text(key)] = entry
        located = [e for e in (*self._entries.values(), *self._slices.values()) if not e.slices]
        self._shards = self._open_shards(located, shard)
        self._check_places(located)
        self.variables = {name: self._info(name, entry) for name, entry in self._entries.items()}

    def read(self, name: str) -> np.ndarray:
        """The values of one variable; a KeyError where there is none of this name."""
        entry = self._entries[name]
        try:
            if not entry.slices:
                return self._tensor(entry)
            parts = [(extents, self._tensor(self._slices[key])) for key, extents in self._slice_keys(name, entry)]
            return assemble(_dims(entry), parts)
        except ValueError as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(self._where(entry), f"variable {name!r}: {error}") from None

    def close(self) -> None:
        for source in self._shards.values():
            source.close()

    # -- opening: every claim of the index is checked here -------------------------------------------------------------

    def _read_header(self, rows: Iterator[tuple[bytes, bytes]]) -> Any:
        key, value = next(rows, (None, b""))
        if key != b"":
            raise CheckpointError(self.name, "has no bundle header: is not the index of a V2 checkpoint")
        header = self._message(BundleHeader, value, "the header")
        if header.endianness != LITTLE_ENDIAN:
            raise CheckpointError(self.name, "was written on a big-endian machine, which is not read here")
        if header.version.min_consumer > BUNDLE_VERSION:
            raise CheckpointError(self.name, f"needs a reader of bundle version {header.version.min_consumer}")
        if header.num_shards < 0:
            raise CheckpointError(self.name, f"claims {header.num_shards} data files")
        return header

    def _message(self, kind: Any, data: bytes, what: str) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError:
            raise CheckpointError(self.name, f"the entry of {what} is damaged") from None

    def _text(self, key: bytes) -> str:
        try:
            return key.decode()
        except UnicodeDecodeError:
            raise CheckpointError(self.name, f"the variable name {key[:80]!r} is not UTF-8") from None

    def _open_shards(self, entries: list[Any], shard: Callable[[int, int], Source]) -> dict[int, Source]:
        count, shards = self.header.num_shards, {}
        for number in sorted({entry.shard_id for entry in entries}):
            if not 0 <= number < count:
                raise CheckpointError(self.name, f"an entry lies in data file {number} of {count}")
            shards[number] = shard(number, count)
        return shards

    def _check_places(self, entries: list[Any]) -> None:
        """Every tensor lies inside its data file and apart from the others."""
        end, previous_shard = 0, -1
        for entry in sorted(entries, key=lambda e: (e.shard_id, e.offset, e.size)):
            if entry.shard_id != previous_shard:
                end, previous_shard = 0, entry.shard_id
            source = self._shards[entry.shard_id]
            if entry.offset < 0 or entry.size < 0:
                raise CheckpointError(self.name, f"an entry has offset {entry.offset} and size {entry.size}")
            if entry.offset + entry.size > source.size:
                raise CheckpointError(
                    source.name,
                    f"has {source.size} bytes, but the index places a tensor up to byte {entry.offset + entry.size}",
                )
            if entry.size and entry.offset < end:
                raise CheckpointError(self.name, f"two tensors overlap at byte {entry.offset} of {source.name}")
            end = max(end, entry.offset + entry.size)

    def _info(self, name: str, entry: Any) -> VariableInfo:
        shape = _dims(entry)
        try:
            _check_shape(entry, shape)
            if not entry.slices:
                _check_size(entry, shape)
                return VariableInfo(name, dtype_name(entry.dtype), shape, entry.size)
            parts = []
            check_tiling(shape, [extents_of(piece) for piece in entry.slices])
            for key, extents in self._slice_keys(name, entry):
                if key not in self._slices:
                    raise ValueError(f"its slice {list(extents)} is missing")
                part = self._slices[key]
                if part.dtype != entry.dtype or _dims(part) != slice_shape(shape, extents) or part.slices:
                    raise ValueError(f"its slice {list(extents)} has another type or shape")
                _check_size(part, _dims(part))
                parts.append(part)
        except ValueError as error:
            raise CheckpointError(self.name, f"variable {name!r}: {error}") from None
        return VariableInfo(name, dtype_name(entry.dtype), shape, sum(part.size for part in parts), len(parts))

    def _slice_keys(self, name: str, entry: Any) -> list[tuple[bytes, tuple]]:
        return [(slice_key(name, extents_of(piece)), extents_of(piece)) for piece in entry.slices]

    # -- values --------------------------------------------------------------------------------------------------------

    def _where(self, entry: Any) -> str:
        return self._shards[entry.shard_id].name if entry.shard_id in self._shards else self.name

    def _tensor(self, entry: Any) -> np.ndarray:
        source, dtype = self._shards[entry.shard_id], numpy_dtype(entry.dtype)
        if dtype is None:
            raise ValueError(f"holds {dtype_name(entry.dtype)}, which has no values to read")
        buffer = np.empty(entry.size, np.uint8)
        crc = source.read_into(entry.offset, buffer)
        shape = _dims(entry)
        if entry.dtype == STRING:
            values, crc = _decode_strings(buffer.tobytes(), volume(shape))
        else:
            values = from_little_endian(buffer, dtype)
        if masked_crc(crc) != entry.crc32c:
            raise ValueError(f"checksum mismatch at byte {entry.offset}: the file is damaged")
        return values.reshape(shape)


def _dims(entry: Any) -> tuple[int, ...]:
    return tuple(dim.size for dim in entry.shape.dim)


def _check_shape(entry: Any, shape: tuple[int, ...]) -> None:
    if entry.shape.unknown_rank or any(n < 0 for n in shape):
        raise ValueError(f"the shape {list(shape)} is not known in full")
    if len(shape) > 32:
        raise ValueError(f"has {len(shape)} dimensions")


def _check_size(entry: Any, shape: tuple[int, ...]) -> None:
    """The bytes of an entry are as many as its shape and type need (a string needs one at least, its length)."""
    dtype, count = numpy_dtype(entry.dtype), volume(shape)
    if dtype is None:
        return
    if entry.dtype == STRING:
        if count > entry.size:
            raise ValueError(f"{entry.size} bytes cannot hold {count} strings")
    elif count * dtype.itemsize != entry.size:
        raise ValueError(
            f"{dtype_name(entry.dtype)} {list(shape)} needs {count * dtype.itemsize} bytes, not {entry.size}"
        )


def _decode_strings(data: bytes, count: int) -> tuple[np.ndarray, int]:
    """Strings [count] of bytes, and the checksum, in which each length counts as a fixed-size integer."""
    lengths, position, crc = [], 0, 0
    for _ in range(count):
        length, position = decode_varint(data, position, len(data))
        lengths.append(length)
        crc = _crc32c.crc32c(length_bytes(length), crc)
    stored = data[position : position + 4]
    if len(stored) < 4 or masked_crc(crc) != int.from_bytes(stored, "little"):
        raise ValueError("checksum mismatch in the lengths of its strings: the file is damaged")
    position += 4
    if position + sum(lengths) != len(data):
        raise ValueError(f"strings of {sum(lengths)} bytes do not fill the {len(data) - position} that are there")
    values = np.empty(count, object)
    for k, length in enumerate(lengths):
        values[k] = data[position : position + length]
        position += length
    return values, _crc32c.crc32c(data[position - sum(lengths) :], _crc32c.crc32c(stored, crc))


def length_bytes(length: int) -> bytes:
    """A string's length as the checksum sees it."""
    return length.to_bytes(4 if length < 1 << 32 else 8, "little")
