"""The column of a table that tells the time, and whether it goes backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

CLOCK_NAMES = ("", "index", "id", "no", "nr", "row", "step", "t", "time", "timestamp", "date", "datetime", "epoch")
FORMATS = [f"{day}{time}" for day in ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y") for time in ("", " %H:%M", " %H:%M:%S")]


def latest_first(names: Sequence[str], rows: Sequence[Sequence[str]], wanted: str | None = None) -> str | None:
    """The name of a column whose times never rise and somewhere fall, from the first row to the last.

    Looked at is `wanted`; without it columns called as clocks are, and those of dates.
    """
    for i, name in enumerate(names):
        if name != wanted if wanted is not None else not (name.lower() in CLOCK_NAMES or _is_date(rows[0][i])):
            continue
        cells = [row[i].strip() for row in rows]
        if any(_falls(cells, read) for read in _readers()):
            return name
    return None


def _readers() -> list[Callable[[str], float]]:
    def by(form: str) -> Callable[[str], float]:
        return lambda cell: datetime.strptime(cell, form).timestamp()

    return [float, lambda cell: datetime.fromisoformat(cell).timestamp(), *map(by, FORMATS)]


def _is_date(cell: str) -> bool:
    for read in _readers()[1:]:
        try:
            read(cell.strip())
        except (ValueError, OverflowError, OSError):
            continue
        return True
    return False


def _falls(cells: Sequence[str], read: Callable[[str], float]) -> bool:
    try:
        times = [read(cell) for cell in cells]
    except (ValueError, OverflowError, OSError):
        return False
    return all(a >= b for a, b in pairwise(times)) and times[0] > times[-1]
