"""Streams that stay open between requests: a session holds a sequence's recurrent state until it is closed, or idle
for too long."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from recurra.errors import RecurraError
from recurra.training.task import Incoming


class NoSession(RecurraError):
    """The session was closed, has expired, or never was."""


class TooManySessions(RecurraError):
    """No further session is taken."""


@dataclass
class Session:
    """An open stream."""

    name: str
    stream: Incoming
    used: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Steps of a sequence are taken one after another."""


class Sessions:
    """The open sessions.

    Args:
        most: sessions that may be open at once.
        idle: seconds without a step after which a session is dropped.
        clock: seconds that go on.
    """

    def __init__(self, most: int, idle: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.idle, self._clock = most, idle, clock
        self._open: dict[str, Session] = {}

    def __len__(self) -> int:
        self._drop_idle()
        return len(self._open)

    def open(self, stream: Incoming) -> Session:
        """A new session.

        Raises:
            TooManySessions: as many as may be are open.
        """
        self._drop_idle()
        if len(self._open) >= self.most:
            raise TooManySessions(f"{self.most} sessions are open, no more are taken; close one or wait")
        session = Session(secrets.token_urlsafe(16), stream, self._clock())
        self._open[session.name] = session
        return session

    def get(self, name: str) -> Session:
        """The session of that name, which is thereby used.

        Raises:
            NoSession: there is none.
        """
        self._drop_idle()
        if name not in self._open:
            raise NoSession(f"no session {name[:40]!r}: closed, or idle for {self.idle:g} seconds, or never opened")
        self.touch(self._open[name])
        return self._open[name]

    def touch(self, session: Session) -> None:
        """Count a session as used now."""
        session.used = self._clock()

    def close(self, name: str) -> None:
        """Forget a session."""
        self._open.pop(name, None)

    def _drop_idle(self) -> None:
        now = self._clock()
        # one whose step is being computed is in use
        idle = [name for name, one in self._open.items() if now - one.used > self.idle and not one.lock.locked()]
        for name in idle:
            del self._open[name]
