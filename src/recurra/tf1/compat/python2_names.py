"""Names that Python 2 had: built-ins (cmp, file, round …), string.letters, itertools.izip, hashes of text."""

from __future__ import annotations

import builtins
import codecs
import configparser
import decimal
import functools
import gzip
import hashlib
import io
import itertools
import json
import math
import pickle
import string
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from recurra.tf1.compat import python2_files
from recurra.tf1.compat.patches import Patches


def cmp(a: Any, b: Any) -> int:
    """-1, 0 or 1."""
    return (a > b) - (a < b)


def round_half_away(number: Any, digits: int = 0) -> Any:
    """round() of Python 2: a float, halves away from zero."""
    if not isinstance(number, int | float) or isinstance(number, bool):
        return builtins.round(number, digits)
    if not math.isfinite(number):
        return float(number)
    place = decimal.Decimal(1).scaleb(-digits)
    return float(decimal.Decimal(number).quantize(place, decimal.ROUND_HALF_UP, decimal.Context(400)))


def mapped(function: Any, *sequences: Iterable[Any]) -> list[Any]:
    """map(): a list; of several sequences as long as the longest; without a function their elements side by side."""
    if len(sequences) == 1:
        return list(sequences[0]) if function is None else [function(x) for x in sequences[0]]
    rows = itertools.zip_longest(*sequences)
    return list(rows) if function is None else [function(*row) for row in rows]


def filtered(function: Any, sequence: Iterable[Any]) -> Any:
    """filter(): text of text, a tuple of a tuple, else a list."""
    kept = builtins.filter(function, sequence)
    if isinstance(sequence, str):
        return "".join(kept)
    return tuple(kept) if isinstance(sequence, tuple) else list(kept)


def zipped(*sequences: Iterable[Any]) -> list[Any]:
    """zip(): a list."""
    return list(builtins.zip(*sequences, strict=False))


def execfile(path: str, globals_: dict[str, Any] | None = None, locals_: Any = None) -> None:
    """Run a file's source in a namespace."""
    exec(compile(Path(path).read_text(), path, "exec"), {} if globals_ is None else globals_, locals_)


BUILTINS: dict[str, Any] = {
    "cmp": cmp,
    "file": python2_files.open_file,
    "open": python2_files.open_file,
    "round": round_half_away,
    "map": mapped,
    "filter": filtered,
    "zip": zipped,
    "raw_input": builtins.input,
    "execfile": execfile,
}


# -- what rewritten sources call --------------------------------------------------------------------------------------
def sorted_by(values: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
    """sorted(values, cmp, key, reverse)."""
    return builtins.sorted(values, **_ordering(args, kwargs))


def sort_by(values: Any, *args: Any, **kwargs: Any) -> Any:
    """values.sort(cmp, key, reverse); what is no list sorts as it will (arrays, frames)."""
    return values.sort(**_ordering(args, kwargs)) if isinstance(values, list) else values.sort(*args, **kwargs)


def _ordering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    given = dict(builtins.zip(("cmp", "key", "reverse"), args, strict=False)) | kwargs
    compare, key = given.pop("cmp", None), given.pop("key", None)
    if compare is not None:
        of = functools.cmp_to_key(compare)
        given["key"] = of if key is None else lambda value: of(key(value))
    elif key is not None:
        given["key"] = key
    return given


def translate(text: Any, table: Any, delete: str = "") -> Any:
    """text.translate(table or None, characters to leave out)."""
    if not isinstance(text, str):
        return text.translate(table, delete)
    kept = text.translate(dict.fromkeys(map(ord, delete)))
    return kept if table is None else kept.translate(table)


def message(error: Any) -> Any:
    """error.message: its only argument."""
    return error.message if hasattr(error, "message") else (error.args[0] if len(error.args) == 1 else "")


_OF_BYTES = {"hex", "base64", "zlib", "bz2", "rot13", "quopri", "uu"}
_AS_READ = {"utf-8", "utf-8-sig", "iso8859-1", "cp1252", "ascii"}


def decode(value: Any, *args: Any, **kwargs: Any) -> Any:
    """value.decode(…), and text as it is, unless it was read byte by byte and is of another encoding."""
    return _decode(value, *args, **kwargs) if isinstance(value, str) else value.decode(*args, **kwargs)


def _decode(text: str, encoding: str = "ascii", errors: str = "strict") -> str:
    name = codecs.lookup(encoding).name
    if name in _OF_BYTES:
        return _recoded(text, name, codecs.decode)
    if name == "ascii" and errors != "strict":
        return text.encode("ascii", errors).decode("ascii")
    if name in _AS_READ or text.isascii() or any(ord(c) > 255 for c in text):
        return text
    return text.encode("latin-1").decode(encoding, errors)


def encode(value: Any, *args: Any, **kwargs: Any) -> Any:
    """value.encode(…), and text as it is: this is what text files and str() of such a program take."""
    return _encode(value, *args, **kwargs) if isinstance(value, str) else value.encode(*args, **kwargs)


def _encode(text: str, encoding: str = "ascii", errors: str = "strict") -> str:
    name = codecs.lookup(encoding).name
    if name in _OF_BYTES:
        return _recoded(text, name, codecs.encode)
    return text.encode("ascii", errors).decode("ascii") if name == "ascii" and errors != "strict" else text


def _recoded(value: str, name: str, convert: Callable[..., Any]) -> str:
    made = convert(value if name == "rot13" else value.encode("latin-1"), name)
    return made if isinstance(made, str) else made.decode("latin-1")


# -- modules ----------------------------------------------------------------------------------------------------------
def apply(patches: Patches) -> None:
    """Restore what the standard library of Python 2 offered, and let what takes bytes take text."""
    patches.set(python2_files, "in_force", True)
    for name, value in _STRING.items():
        patches.add(string, name, value)
    for name, value in _ITERTOOLS.items():
        patches.add(itertools, name, value)
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "new"):
        patches.set(hashlib, name, _hash(getattr(hashlib, name)))
    for module, names in ((struct, ("pack", "unpack")), (pickle, ("loads",))):
        for name in names:
            patches.set(module, name, _of_text(getattr(module, name)))
    for name in ("dump", "dumps", "load", "loads"):
        patches.set(json, name, _without_encoding(getattr(json, name)))
    patches.set(configparser.ConfigParser, "_DEFAULT_INTERPOLATION", _Interpolation())
    patches.set(subprocess, "Popen", _Process)
    patches.set(gzip, "open", python2_files.gzip_open(gzip.open))
    patches.set(io, "StringIO", python2_files.StringIO)


def _method(name: str) -> Callable[..., Any]:
    return lambda text, *args: getattr(text, name)(*args)


_STRING: dict[str, Any] = {
    "letters": string.ascii_letters,
    "lowercase": string.ascii_lowercase,
    "uppercase": string.ascii_uppercase,
    "maketrans": str.maketrans,
    "join": lambda words, sep=" ": sep.join(words),
    "joinfields": lambda words, sep=" ": sep.join(words),
    "atoi": int,
    "atof": float,
} | {
    name: _method(name)
    for name in dir(str)
    if not name.startswith("_") and name not in ("maketrans", "join", "format", "encode")
}
_ITERTOOLS = {
    "imap": builtins.map,
    "izip": builtins.zip,
    "ifilter": builtins.filter,
    "izip_longest": itertools.zip_longest,
    "ifilterfalse": itertools.filterfalse,
}


class _Interpolation(configparser.BasicInterpolation):
    """Values of "%(name)s" alone are looked up; "vocab%d" stays."""

    def before_get(self, parser: Any, section: Any, option: Any, value: str, defaults: Any) -> str:
        return super().before_get(parser, section, option, value, defaults) if "%(" in value else value

    def before_set(self, parser: Any, section: Any, option: Any, value: str) -> str:
        return value


class _Process(subprocess.Popen):
    """A process that is told, and tells, text."""

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        if self.text_mode:
            return super().communicate(input, timeout)
        out, err = super().communicate(python2_files.to_bytes(input), timeout)
        return python2_files.shown(out), python2_files.shown(err)


class _Hash:
    """A hash that takes text."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def update(self, data: Any) -> None:
        self._inner.update(python2_files.to_bytes(data))

    def copy(self) -> _Hash:
        return _Hash(self._inner.copy())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _hash(make: Callable[..., Any]) -> Callable[..., Any]:
    named = make is hashlib.new

    @functools.wraps(make)
    def wrapper(*args: Any, **kwargs: Any) -> _Hash:
        kept, rest = (args[:1], args[1:]) if named else ((), args)
        return _Hash(make(*kept, *map(python2_files.to_bytes, rest), **kwargs))

    return wrapper


def _of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of bytes that takes text whose characters are bytes; the format stays."""

    @functools.wraps(function)
    def wrapper(first: Any, *args: Any, **kwargs: Any) -> Any:
        if not args and isinstance(first, str):
            first = first.encode("latin-1")
        return function(first, *(a.encode("latin-1") if isinstance(a, str) else a for a in args), **kwargs)

    return wrapper


def _without_encoding(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, encoding: str | None = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper
