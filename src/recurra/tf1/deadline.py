"""Time limits of a Session.run: what may take for ever (loops, waiting for a queue) asks whether its time is over."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from recurra.tf1 import errors


class _Local(threading.local):
    end: float | None = None


_local = _Local()


@contextlib.contextmanager
def within(milliseconds: int) -> Iterator[None]:
    """What runs inside on this thread has so much time; 0 is no limit of its own."""
    before = _local.end
    if milliseconds > 0:
        _local.end = time.monotonic() + milliseconds / 1000
    try:
        yield
    finally:
        _local.end = before


def limited() -> bool:
    """Whether this thread runs against a deadline: loops without one need not look at the clock."""
    return _local.end is not None


def check() -> None:
    """DeadlineExceededError once the time is over."""
    if _local.end is not None and time.monotonic() >= _local.end:
        raise errors.DeadlineExceededError(None, None, "Timed out waiting for the run's operations to finish.")


def wait(condition: threading.Condition) -> None:
    """condition.wait(), ended by the deadline."""
    if _local.end is None:
        condition.wait()
    else:
        condition.wait(max(_local.end - time.monotonic(), 0))
        check()


def of_run(options: Any, config: Any) -> int:
    """The time limit in ms of a run with these RunOptions under this ConfigProto, 0 for none."""
    own = getattr(options, "timeout_in_ms", 0) if options is not None else 0
    return own or (getattr(config, "operation_timeout_in_ms", 0) if config is not None else 0)
