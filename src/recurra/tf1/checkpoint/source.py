"""Where bytes come from: a file read by position, or a buffer in memory.

Files are read with `pread` rather than through a map: as lazy, as fast (one copy, straight into the array), and a
file that somebody cuts short while it is open is an error instead of a SIGBUS.
"""

from __future__ import annotations

import os
from typing import Protocol

import crc32c as _crc32c
import numpy as np

from .errors import CheckpointError, CheckpointNotFoundError

__all__ = ["BytesSource", "FileSource", "Source", "masked_crc"]

CHUNK = 1 << 20  # read and checksummed while still in the cache


def masked_crc(crc: int) -> int:
    """crc32c as the table and bundle formats store it: rotated by 15 bits and offset."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class Source(Protocol):
    """A run of bytes of known size that has a name for error messages."""

    name: str
    size: int

    def read(self, offset: int, size: int) -> bytes: ...

    def read_into(self, offset: int, target: np.ndarray) -> int:
        """Fill `target` (uint8 [n]) from `offset` on and return the crc32c of what was read."""
        ...

    def close(self) -> None: ...


def _check_range(source: Source, offset: int, size: int) -> None:
    if offset < 0 or size < 0 or offset + size > source.size:
        raise CheckpointError(
            source.name, f"bytes {offset} to {offset + size} are wanted, but the file has {source.size}"
        )


class BytesSource:
    """A buffer in memory (tests, fuzzing)."""

    def __init__(self, data: bytes, name: str = "<memory>") -> None:
        self.name, self.size, self._data = name, len(data), data

    def read(self, offset: int, size: int) -> bytes:
        _check_range(self, offset, size)
        return self._data[offset : offset + size]

    def read_into(self, offset: int, target: np.ndarray) -> int:
        data = self.read(offset, target.size)
        target[:] = np.frombuffer(data, np.uint8)
        return _crc32c.crc32c(data)

    def close(self) -> None:
        """Nothing is held."""


class FileSource:
    """A file, opened once and read by position."""

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (lives as long as the checkpoint)
        except FileNotFoundError:
            raise CheckpointNotFoundError(path, "no such file") from None
        except OSError as error:
            raise CheckpointError(path, f"cannot be opened: {error.strerror}") from error
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, size: int) -> bytes:
        _check_range(self, offset, size)
        target = bytearray(size)
        self._fill(offset, memoryview(target))
        return bytes(target)

    def read_into(self, offset: int, target: np.ndarray) -> int:
        _check_range(self, offset, target.size)
        view, crc = memoryview(target), 0  # type: ignore[arg-type]
        for start in range(0, len(view), CHUNK):
            part = view[start : start + CHUNK]
            self._fill(offset + start, part)
            crc = _crc32c.crc32c(part, crc)
        return crc

    def _fill(self, offset: int, view: memoryview) -> None:
        done = 0
        while done < len(view):
            count = os.preadv(self._file.fileno(), [view[done:]], offset + done)
            if count == 0:
                raise CheckpointError(self.name, f"the file became shorter than {self.size} bytes while it was read")
            done += count

    def close(self) -> None:
        self._file.close()
