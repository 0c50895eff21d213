"""A list of changes to modules that are undone together."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

_ABSENT = object()


class Patches:
    """Sets attributes and entries and restores them, last first, when the with block ends."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def __enter__(self) -> Patches:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        while self._undo:
            self._undo.pop()()

    def undo(self, action: Callable[[], Any]) -> None:
        """Call `action` when the block ends."""
        self._undo.append(action)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """owner.name = value."""
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self.undo(lambda: delattr(owner, name) if before is _ABSENT else setattr(owner, name, before))

    def add(self, owner: Any, name: str, value: Any) -> None:
        """owner.name = value where there is none."""
        if not hasattr(owner, name):
            self.set(owner, name, value)

    def entry(self, mapping: Any, key: str, value: Any) -> None:
        """mapping[key] = value."""
        before = mapping.get(key, _ABSENT)
        mapping[key] = value

        def restore() -> None:
            if before is _ABSENT:
                mapping.pop(key, None)
            else:
                mapping[key] = before

        self.undo(restore)
