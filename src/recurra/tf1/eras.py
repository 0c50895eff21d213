"""Which TensorFlow release a program was written for, and what `tf.__version__` answers.

`current()` is read at call time by everything that changed between releases (argument orders, `state_is_tuple`'s
default, scope names, …). `detect(scan)` guesses it from names and argument orders that only one era has
(`era_rules.py`); `--tf-version` overrides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from recurra.tf1.sourcescan import Scan


class Era(NamedTuple):
    """A TensorFlow release. Compares with tuples: `current() < (1, 0)`."""

    major: int
    minor: int
    patch: int = 0

    @property
    def text(self) -> str:
        """The version string that `tf.__version__` answers."""
        return f"{self.major}.{self.minor}.{self.patch}"


LATEST = Era(1, 15, 0)
_LAST_PATCH = {(0, 12): 1, (1, 0): 1, (1, 2): 1}
# One digit after the dot: programs compare version strings as text, and "1.15" < "1.3" misleads them.
USUAL = Era(1, 8, 0)
_LAST_ONE_DIGIT = Era(1, 9, 0)

_current = LATEST


def current() -> Era:
    """The era in force: of the program being run, 1.15 where TensorFlow is imported as `recurra.tf1`."""
    return _current


def set_current(era: Era) -> None:
    """Put `era` in force."""
    global _current
    _current = era


@contextmanager
def using(era: Era) -> Iterator[Era]:
    """Put `era` in force inside a with block."""
    before = current()
    set_current(era)
    try:
        yield era
    finally:
        set_current(before)


def parse(text: str) -> Era:
    """'0.10' → Era(0, 10, 0); ValueError where it is no release between 0.6 and 1.15."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    if match:
        major, minor = int(match[1]), int(match[2])
        if (0, 6) <= (major, minor) <= (0, 12) or (1, 0) <= (major, minor) <= (1, 15):
            return Era(major, minor, int(match[3]) if match[3] else _LAST_PATCH.get((major, minor), 0))
    raise ValueError(f"TensorFlow version {text!r} is not known; expected 0.6 to 0.12 or 1.0 to 1.15, such as 0.10")


@dataclass(frozen=True)
class Guess:
    """A detected era and the reason, one line of text."""

    era: Era
    reason: str

    @property
    def line(self) -> str:
        """The line the runner prints."""
        return f"recurra: TensorFlow {self.era.text} ({self.reason}; set another with --tf-version)"


def detect(found: Scan) -> Guess:
    """The era of a scanned program, from the names and argument orders that only some releases have."""
    from recurra.tf1.era_rules import Bound, bounds, tuple_states

    since, until = bounds(found)
    if since and until and until.version < since.version:  # branches on the version: the newer one was meant to work
        until = None
    if until is None:
        return _modern(found, since)
    if until.version >= (1, 0):
        return Guess(_release(until.version), until.reason)
    newest = min(until.version, (0, 12))
    if newest <= (0, 8):
        return Guess(_release(newest), until.reason)
    if since and since.version >= (0, 11):
        return Guess(_release(newest), f"{until.reason}, {since.reason}")
    state: Bound = tuple_states(found)
    return Guess(_release(min(newest, state.version)), f"{until.reason}, {state.reason}")


def _modern(found: Scan, since: object) -> Guess:
    from recurra.tf1.era_rules import Bound

    if not isinstance(since, Bound) or since.version <= USUAL[:2]:
        return Guess(USUAL, since.reason if isinstance(since, Bound) else "nothing in the source tells")
    if found.compares_version_text:
        return Guess(_LAST_ONE_DIGIT, f"{since.reason}, but versions are compared as text")
    return Guess(LATEST, since.reason)


def _release(version: tuple[int, int]) -> Era:
    return Era(*version, _LAST_PATCH.get(version, 0))
