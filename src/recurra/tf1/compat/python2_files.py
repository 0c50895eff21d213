"""Files as Python 2 programs see them: one kind of string, whatever the mode.

Python 2's str was text and bytes at once, so "rb" files were split at " " and "wb" files took what csv, json or a format
gave. A file that is read gives text where it holds text (UTF-8, else Latin-1) and bytes where it does not (pickles, images,
arrays); a file that is written takes both.
"""  # noqa: E501

from __future__ import annotations

import builtins
import codecs
import gzip
import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

_LOOK = 1 << 16
_CONTROLS = frozenset(range(32)) - set(b"\t\n\r\f\v\x1b")  # what text does not hold
_real_open = builtins.open
in_force = False  # whether the program that runs is a Python 2 one: what TensorFlow's own files answer to


def text_encoding(start: bytes) -> str | None:
    """How a file that begins with `start` is to be decoded, None where it is no text."""
    if _CONTROLS.intersection(start):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def to_bytes(text: Any) -> Any:
    """What a file is given: text as UTF-8 (bytes that were read as Latin-1 or escaped come out as they went in)."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def shown(data: Any) -> Any:
    """Bytes that are text as text, everything else as it is."""
    encoding = text_encoding(data) if isinstance(data, bytes) else None
    return data if encoding is None else data.decode(encoding, "surrogateescape")


def strings(array: np.ndarray) -> np.ndarray:
    """An array of bytes as a Python 2 program sees it: those that are text, as text."""
    texts = np.empty(array.shape, array.dtype)
    for place, item in np.ndenumerate(array):
        texts[place] = shown(item)
    return texts


class Writer(io.BufferedWriter):
    """A file that takes text and bytes."""

    def write(self, data: Any) -> int:
        return super().write(to_bytes(data))

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)


class UpdatedFile(io.BufferedRandom):
    """A file that is read and written: takes text and bytes, gives text where it can."""

    def write(self, data: Any) -> int:
        return super().write(to_bytes(data))

    def read(self, size: int | None = -1) -> Any:
        return shown(super().read(size))


def open_file(name: Any, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:
    """open() of Python 2."""
    if kwargs or not isinstance(mode, str):  # io.open's own arguments: the program knows of text and bytes
        return _real_open(name, mode, buffering, **kwargs)
    plain = "".join(c for c in mode if c in "rwax+") or "r"
    if plain == "r":
        return _reader(io.BufferedReader(io.FileIO(name, "r")), None if "U" in mode else "\n")
    raw = io.FileIO(name, plain)
    return UpdatedFile(raw) if "+" in plain else Writer(raw)


def _reader(file: Any, newline: str | None = "\n") -> Any:
    encoding = text_encoding(file.peek(_LOOK)[:_LOOK])
    if encoding is None:
        return file
    return io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline=newline)


class _GzipWriter(gzip.GzipFile):
    def write(self, data: Any) -> int:
        return super().write(to_bytes(data))


def gzip_open(real: Callable[..., Any]) -> Callable[..., Any]:
    """gzip.open() of Python 2."""

    def wrapper(filename: Any, mode: str = "rb", compresslevel: int = 9, **kwargs: Any) -> Any:
        if kwargs or "t" in mode:
            return real(filename, mode, compresslevel, **kwargs)
        if "r" in mode:
            return _reader(real(filename, "rb"))
        return _GzipWriter(filename, mode, compresslevel)

    return wrapper


class StringIO(io.BytesIO):
    """StringIO of Python 2: holds text or bytes, and gives what it holds."""

    def __init__(self, initial: Any = "") -> None:
        super().__init__(to_bytes(initial))

    def _given(self, data: bytes) -> Any:
        encoding = text_encoding(super().getvalue()[:_LOOK])
        return data if encoding is None else data.decode(encoding, "surrogateescape")

    def write(self, data: Any) -> int:
        return super().write(to_bytes(data))

    def getvalue(self) -> Any:
        return self._given(super().getvalue())

    def read(self, size: int | None = -1) -> Any:
        return self._given(super().read(size))

    def readline(self, size: int | None = -1) -> Any:
        return self._given(super().readline(size))

    def readlines(self, hint: int | None = -1) -> list[Any]:
        return [self._given(line) for line in super().readlines(hint)]

    def __next__(self) -> Any:
        return self._given(super().__next__())
