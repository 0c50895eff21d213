"""The live progress bar: a bar with speed and the newest numbers on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from recurra.training.runfolder import RunFolder

REFRESH_SECONDS = 0.1


class ProgressBar:
    """A bar over optimiser steps.

    Args:
        title: what stands before it.
        total: planned steps.
        enabled: False shows nothing (lines still go to the log).
    """

    def __init__(self, title: str, total: int, enabled: bool):
        self.title, self.total, self.enabled = title, total, enabled
        self.bar: Any = None
        self._shown = 0.0
        self._notes = ["", ""]

    def __enter__(self) -> ProgressBar:
        if self.enabled:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console()
            if console.is_terminal:
                columns = (
                    TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                    TextColumn("{task.fields[note]}"),
                )  # fmt: skip
                self.bar = Progress(*columns, console=console)
                self.bar.start()
                self.id = self.bar.add_task(self.title, total=self.total, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def at(self, step: int) -> None:
        """Show `step`, at most ten times a second."""
        if self.bar is None:
            return
        now = time.monotonic()
        if now - self._shown >= REFRESH_SECONDS or step == self.total:
            self._shown = now
            self.bar.update(self.id, completed=step, note="  ".join(filter(None, self._notes)))

    def note(self, text: str, *, keep_metric: bool = False) -> None:
        """Show `text` behind the bar (training loss, or with `keep_metric` False the validation metric)."""
        self._notes[0 if keep_metric else 1] = text

    def print(self, text: str, folder: RunFolder) -> None:
        """A line above the bar and in the log."""
        if self.bar is None:
            folder.say(text)
            return
        self.bar.console.print(text, highlight=False, markup=False)
        RunFolder(folder.path, quiet=True).say(text)
