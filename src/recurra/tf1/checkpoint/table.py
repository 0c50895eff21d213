"""The sorted table both formats rest on: LevelDB's file layout (the `.index` file of V2, the whole file of V1).

    file    data blocks, meta-index block (empty), index block, footer of 48 bytes
    block   body, 1 byte of compression (0 none, 1 snappy), masked crc32c of both (4 bytes, little-endian)
    body    entries, then the offsets of the restart points and their number (uint32 each)
    entry   varints: bytes shared with the previous key, further key bytes, value bytes; then these key bytes, the value
    footer  handles (offset, size) of the two index blocks, zeros up to 40 bytes, the magic number

The reader trusts nothing: handles must lie in the file, in order and apart, keys must ascend, and what a block can
expand to (snappy, shared keys) is bounded by a multiple of its size.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import BinaryIO

import cramjam
import crc32c as _crc32c

from .errors import CheckpointError
from .source import Source, masked_crc
from .varint import decode_varint, encode_varint

__all__ = ["Table", "TableWriter"]

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = 5
BLOCK_SIZE = 262144  # TensorFlow's; an entry of twice this size gets a block of its own
RESTART_INTERVAL = 16
# A snappy element of 3 bytes copies at most 64; a key can share its bytes with the 15 that follow its restart point.
SNAPPY_RATIO = 32
KEY_RATIO = 64

Handle = tuple[int, int]


class Table:
    """Reads one table lazily: opening touches footer and index, `get` one data block."""

    def __init__(self, source: Source) -> None:
        self.source = source
        if source.size < FOOTER:
            raise CheckpointError(source.name, f"{source.size} bytes are too few for a checkpoint table")
        footer = source.read(source.size - FOOTER, FOOTER)
        if int.from_bytes(footer[40:], "little") != MAGIC:
            raise CheckpointError(source.name, "is not a checkpoint table (wrong magic number at the end)")
        _, position = self._handle(footer, 0, 40)
        index_handle, _ = self._handle(footer, position, 40)
        self._last_keys: list[bytes] = []
        self._handles: list[Handle] = []
        self._recent: tuple[int, dict[bytes, bytes]] = -1, {}
        previous_end = 0
        for key, value in self._entries(self._block(index_handle)):
            handle, _ = self._handle(value, 0, len(value))
            if handle[0] < previous_end or handle[0] + handle[1] + TRAILER > index_handle[0]:
                raise CheckpointError(source.name, "data blocks overlap or lie out of order")
            previous_end = handle[0] + handle[1] + TRAILER
            self._last_keys.append(key)
            self._handles.append(handle)

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        place = bisect.bisect_left(self._last_keys, key)
        if place == len(self._handles):
            return None
        if place != self._recent[0]:
            entries = dict(self._entries(self._block(self._handles[place])))
            if self._handles[place][1] > 2 * BLOCK_SIZE:
                return entries.get(key)  # one large value: not worth keeping
            self._recent = place, entries
        return self._recent[1].get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) in order."""
        previous: bytes | None = None
        for handle in self._handles:
            for key, value in self._entries(self._block(handle)):
                if previous is not None and key <= previous:
                    raise CheckpointError(self.source.name, f"keys are not in order at {key[:80]!r}")
                yield key, value
                previous = key

    def _handle(self, data: bytes, position: int, end: int) -> tuple[Handle, int]:
        try:
            offset, position = decode_varint(data, position, end)
            size, position = decode_varint(data, position, end)
        except ValueError as error:
            raise CheckpointError(self.source.name, f"a block handle is damaged: {error}") from None
        if offset + size + TRAILER > self.source.size - FOOTER:
            raise CheckpointError(
                self.source.name, f"a block at {offset} of {size} bytes leaves the file of {self.source.size} bytes"
            )
        return (offset, size), position

    def _block(self, handle: Handle) -> bytes:
        offset, size = handle
        raw = self.source.read(offset, size + TRAILER)
        stored = int.from_bytes(raw[size + 1 :], "little")
        if masked_crc(_crc32c.crc32c(memoryview(raw)[: size + 1])) != stored:
            raise CheckpointError(self.source.name, f"checksum mismatch in the block at byte {offset}: file is damaged")
        kind = raw[size]
        if kind == 0:
            return raw[:size]
        if kind == 1:
            return self._uncompressed(raw[:size], offset)
        raise CheckpointError(self.source.name, f"block at byte {offset} has the unknown compression type {kind}")

    def _uncompressed(self, body: bytes, offset: int) -> bytes:
        try:
            size, _ = decode_varint(body, 0, len(body))
            if size > SNAPPY_RATIO * len(body):
                raise ValueError(f"{len(body)} bytes cannot hold the {size} that they claim")
            return bytes(cramjam.snappy.decompress_raw(body))
        except (ValueError, cramjam.DecompressionError) as error:
            raise CheckpointError(self.source.name, f"snappy block at byte {offset} is damaged: {error}") from None

    def _entries(self, body: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from _parse_block(body)
        except ValueError as error:
            raise CheckpointError(self.source.name, f"a block is damaged: {error}") from None


def _parse_block(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(body) < 4:
        raise ValueError("it has no restart count")
    restarts = int.from_bytes(body[-4:], "little")
    end = len(body) - 4 - 4 * restarts
    if end < 0:
        raise ValueError(f"{restarts} restart points do not fit")
    key, position, key_bytes = b"", 0, 0
    while position < end:
        shared, position = decode_varint(body, position, end)
        unshared, position = decode_varint(body, position, end)
        length, position = decode_varint(body, position, end)
        if shared > len(key) or position + unshared + length > end:
            raise ValueError("an entry leaves it")
        key = key[:shared] + body[position : position + unshared]
        position += unshared
        key_bytes += len(key)
        if key_bytes > KEY_RATIO * len(body):
            raise ValueError("its keys expand beyond measure")
        yield key, body[position : position + length]
        position += length


class _BlockBuilder:
    """Collects the entries of one block."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.clear()

    def clear(self) -> None:
        self.body, self.restarts, self.count, self.last = bytearray(), [0], 0, b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count == self.interval:
            self.restarts.append(len(self.body))
            self.count = 0
        elif self.body:
            shared = _common_prefix(self.last, key)
        self.body += encode_varint(shared) + encode_varint(len(key) - shared) + encode_varint(len(value))
        self.body += key[shared:]
        self.body += value
        self.last = key
        self.count += 1

    @property
    def size(self) -> int:
        return len(self.body) + 4 * len(self.restarts) + 4

    def finish(self) -> bytes:
        for restart in [*self.restarts, len(self.restarts)]:
            self.body += restart.to_bytes(4, "little")
        return bytes(self.body)


def _common_prefix(a: bytes, b: bytes) -> int:
    limit = min(len(a), len(b))
    for k in range(limit):
        if a[k] != b[k]:
            return k
    return limit


def _separator(before: bytes, after: bytes) -> bytes:
    """A short key k with before <= k < after."""
    shared = _common_prefix(before, after)
    if shared < min(len(before), len(after)) and before[shared] + 1 < after[shared]:
        return before[:shared] + bytes([before[shared] + 1])
    return before


def _successor(key: bytes) -> bytes:
    """A short key at or after `key`."""
    for k, byte in enumerate(key):
        if byte != 0xFF:
            return key[:k] + bytes([byte + 1])
    return key


class TableWriter:
    """Writes one table, uncompressed, as TensorFlow does; keys must be added in ascending order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._offset = file, 0
        self._data, self._index = _BlockBuilder(RESTART_INTERVAL), _BlockBuilder(1)
        self._last: bytes | None = None
        self._pending: Handle | None = None

    def add(self, key: bytes, value: bytes) -> None:
        if self._last is not None and key <= self._last:
            raise ValueError(f"key {key!r} does not come after {self._last!r}")
        if len(key) + len(value) >= 2 * BLOCK_SIZE:
            self._flush()
        if self._pending is not None:
            self._index_pending(_separator(self._last or b"", key))
        self._data.add(key, value)
        self._last = key
        if self._data.size >= BLOCK_SIZE:
            self._flush()

    def finish(self) -> None:
        """Write what is left, the index and the footer."""
        self._flush()
        if self._pending is not None:
            self._index_pending(_successor(self._last or b""))
        meta = self._write(_BlockBuilder(RESTART_INTERVAL).finish())
        index = self._write(self._index.finish())
        handles = b"".join(encode_varint(number) for number in (*meta, *index))
        self._file.write(handles.ljust(FOOTER - 8, b"\0") + MAGIC.to_bytes(8, "little"))

    def _index_pending(self, key: bytes) -> None:
        if self._pending is not None:
            self._index.add(key, b"".join(encode_varint(number) for number in self._pending))
            self._pending = None

    def _flush(self) -> None:
        if not self._data.body:
            return
        self._pending = self._write(self._data.finish())
        self._data.clear()

    def _write(self, body: bytes) -> Handle:
        crc = masked_crc(_crc32c.crc32c(b"\0", _crc32c.crc32c(body)))
        self._file.write(body)
        self._file.write(b"\0" + crc.to_bytes(4, "little"))
        handle = self._offset, len(body)
        self._offset += len(body) + TRAILER
        return handle
