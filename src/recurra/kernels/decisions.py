"""Which road each sequence call took, and why: recorded for `recurra.explain`, fallbacks logged once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

logger = logging.getLogger("recurra.kernels")

KERNEL = "kernel"
PLAIN = "plain loop"
COMPILED = "compiled step"
TORCH = "torch.nn's own"


class Decision(NamedTuple):
    """The road one sequence call took."""

    family: str
    """Of the recurrence, or the class of an own cell."""
    road: str
    """`KERNEL`, `COMPILED`, `PLAIN` or, of a layer of `recurra.nn`, `TORCH`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.family}: {self.road} ({self.reason})"


_recorders: list[list[Decision]] = []
_logged: set[tuple[str, str]] = set()


@contextmanager
def recording() -> Iterator[list[Decision]]:
    """Collect the decisions of all sequence calls inside."""
    decisions: list[Decision] = []
    _recorders.append(decisions)
    try:
        yield decisions
    finally:
        _recorders.remove(decisions)


def listening() -> bool:
    """Whether somebody collects decisions now."""
    return bool(_recorders)


def note(family: str, road: str, reason: str, *, warn: bool = False) -> None:
    """Remember a decision for `recording`, and log a fallback's reason once."""
    if torch.compiler.is_compiling():  # a compiled graph can neither log nor append
        return
    if not _recorders and (road != PLAIN or (family, reason) in _logged):
        return
    decision = Decision(family, road, reason)
    for recorder in _recorders:
        recorder.append(decision)
    if road == PLAIN and (family, reason) not in _logged:
        _logged.add((family, reason))
        logger.log(logging.WARNING if warn else logging.INFO, "%s", decision)
