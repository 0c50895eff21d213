"""The standard library as old programs knew it: collections.Iterable, time.clock, open(…, 'rU'), …"""

from __future__ import annotations

import base64
import builtins
import collections
import collections.abc
import errno
import fractions
import functools
import html
import importlib
import inspect
import math
import os
import pickle
import random
import re
import sys
import time
import types
import unittest
from collections.abc import Callable
from typing import Any

from recurra.tf1.compat.patches import Patches

_ABSTRACT = [
    "Iterable",
    "Iterator",
    "Callable",
    "Hashable",
    "Sized",
    "Container",
    "Generator",
    "Sequence",
    "MutableSequence",
    "Set",
    "MutableSet",
    "Mapping",
    "MutableMapping",
    "MappingView",
    "KeysView",
    "ItemsView",
    "ValuesView",
    "Awaitable",
    "Coroutine",
    "ByteString",
]
_UNITTEST = {  # names that Python 3.12 dropped
    "assertEquals": "assertEqual",
    "assertNotEquals": "assertNotEqual",
    "assertItemsEqual": "assertCountEqual",
    "assertAlmostEquals": "assertAlmostEqual",
    "assertRegexpMatches": "assertRegex",
    "assertNotRegexpMatches": "assertNotRegex",
    "assertRaisesRegexp": "assertRaisesRegex",
    "assert_": "assertTrue",
}


def apply(patches: Patches) -> None:
    """Restore what Python 3.3 to 3.12 dropped."""
    for name in _ABSTRACT:
        if hasattr(collections.abc, name):
            patches.add(collections, name, getattr(collections.abc, name))
    patches.add(time, "clock", time.perf_counter)
    patches.add(inspect, "getargspec", _getargspec)
    patches.add(fractions, "gcd", math.gcd)
    patches.add(base64, "encodestring", base64.encodebytes)
    patches.add(base64, "decodestring", base64.decodebytes)
    patches.add(os, "errno", errno)
    patches.add(os, "getcwdu", os.getcwd)
    patches.add(sys, "setdefaultencoding", lambda name: None)
    if sys.version_info < (3, 13):
        patches.add(importlib.import_module("cgi"), "escape", html.escape)
    patches.set(re, "split", _split(re.split))
    patches.set(random, "sample", _sample(random.sample))
    patches.set(random, "shuffle", _shuffle(random.shuffle))
    patches.set(builtins, "open", _open(builtins.open))
    patches.set(pickle, "load", _pickle_load(pickle.load))
    patches.set(pickle, "dump", _pickle_dump(pickle.dump))
    for old, new in _UNITTEST.items():
        patches.add(unittest.TestCase, old, getattr(unittest.TestCase, new))
    if sys.version_info >= (3, 12):
        patches.entry(sys.modules, "imp", _imp())


def _getargspec(func: Callable) -> Any:
    spec = inspect.getfullargspec(func)
    return collections.namedtuple("ArgSpec", "args varargs keywords defaults")(
        spec.args, spec.varargs, spec.varkw, spec.defaults
    )


def _imp() -> types.ModuleType:
    module = types.ModuleType("imp")
    module.reload = importlib.reload  # type: ignore[attr-defined]
    return module


def _split(split: Callable) -> Callable:
    r"""re.split(r"(\W+)?", text) split at words up to Python 3.6; empty matches split since."""

    @functools.wraps(split)
    def wrapper(pattern: Any, string: Any, maxsplit: int = 0, flags: int = 0) -> list:
        compiled = re.compile(pattern, flags)
        if not compiled.match(string[:0]):
            return compiled.split(string, maxsplit)
        parts, start = [], 0
        for match in compiled.finditer(string):
            if match.end() == match.start():
                continue
            parts += [string[start : match.start()], *match.groups()]
            start = match.end()
            if maxsplit and len(parts) >= maxsplit * (1 + compiled.groups):
                break
        return [*parts, string[start:]]

    return wrapper


def _sample(sample: Callable) -> Callable:
    """random.sample took sets and dict views up to Python 3.10."""

    @functools.wraps(sample)
    def wrapper(population: Any, k: int, **kwargs: Any) -> list:
        if not isinstance(population, collections.abc.Sequence):
            population = list(population)
        return sample(population, int(k), **kwargs)

    return wrapper


def _shuffle(shuffle: Callable) -> Callable:
    """random.shuffle took a second argument, the source of random numbers, up to Python 3.10."""

    @functools.wraps(shuffle)
    def wrapper(x: Any, source: Callable[[], float] | None = None) -> None:
        if source is None:
            shuffle(x)
            return
        for i in reversed(range(1, len(x))):
            j = int(source() * (i + 1))
            x[i], x[j] = x[j], x[i]

    return wrapper


def _open(real: Callable) -> Callable:
    """Modes with U (universal newlines, refused since Python 3.11) are opened as text."""

    @functools.wraps(real)
    def wrapper(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if isinstance(mode, str) and "U" in mode:
            mode = mode.replace("U", "") or "r"
            mode = mode if mode[0] in "rwax" else "r" + mode
        return real(file, mode, *args, **kwargs)

    return wrapper


def _pickle_load(load: Callable) -> Callable:
    """Pickles of Python 2 hold byte strings, and Python 2 programs opened them as text."""

    @functools.wraps(load)
    def wrapper(file: Any, *args: Any, **kwargs: Any) -> Any:
        source = getattr(file, "buffer", file)  # `file` stays referenced: a text file closes its buffer when it goes
        start = source.tell() if hasattr(source, "tell") else None
        try:
            return load(source, *args, **kwargs)
        except UnicodeDecodeError:
            if start is None or "encoding" in kwargs:
                raise
            source.seek(start)
            return load(source, *args, encoding="latin1", **kwargs)

    return wrapper


def _pickle_dump(dump: Callable) -> Callable:
    @functools.wraps(dump)
    def wrapper(obj: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        buffer = getattr(file, "buffer", None)
        if buffer is not None:
            file.flush()
        dump(obj, buffer if buffer is not None else file, *args, **kwargs)

    return wrapper
