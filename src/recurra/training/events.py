"""TensorBoard events, where the tensorboard package is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class EventLog:
    """Writes scalars into `folder/events`; does nothing when disabled or when tensorboard is not installed.

    Args:
        folder: the run's folder.
        step: where the run (re)starts; what an earlier process wrote after it is superseded.
    """

    def __init__(self, folder: Path, step: int, *, enabled: bool = True):
        self.writer: Any = _writer(folder / "events", step) if enabled else None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write `values` at `step`."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.writer is not None:
            self.writer.close()


def _writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step or None)
