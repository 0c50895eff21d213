"""What the columns of a table of time series are for: which names the series, which are clocks or counters and tell
nothing, which one is to be forecast. Every choice comes with a line that says so and which option decides
otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recurra.data.clock import CLOCK_NAMES
from recurra.data.delimited import is_number
from recurra.errors import DataError

TARGET_NAMES = ("target", "y", "value", "values")
CALENDAR_NAMES = ("year", "quarter", "month", "week", "weekday", "day_of_week", "dayofweek", "day", "hour", "minute")
ENOUGH = 10  # rows of a series from which its columns are judged
HEAD = 2000  # rows of a table that are looked at


@dataclass
class Roles:
    """The columns' parts.

    Attributes:
        features: the columns that are read, in the table's order; the target among them.
        target: the one that is forecast.
        series: the column that names the series, or None for one series.
        notes: lines that say what was chosen and left out, and why.
    """

    features: list[str]
    target: str
    series: str | None
    notes: list[str] = field(default_factory=list)


class _Columns:
    """The head of a table by columns."""

    def __init__(self, names: list[str], rows: Sequence[Sequence[str]]):
        self.names = names
        self.cells = {name: [row[i].strip() for row in rows[:HEAD]] for i, name in enumerate(names)}
        self.count = min(HEAD, len(rows))

    def is_numeric(self, name: str) -> bool:
        """Numbers in most of the first hundred rows, so that one bad cell is an error, not another kind of column."""
        head = self.cells[name][:100]
        return sum(map(is_number, head)) * 2 > len(head)

    def groups(self, series: str | None) -> list[np.ndarray]:
        """The rows of each series."""
        if series is None:
            return [np.arange(self.count)]
        keys = np.array(self.cells[series])
        return [np.flatnonzero(keys == key) for key in dict.fromkeys(self.cells[series])]

    def rises(self, name: str, groups: list[np.ndarray], *, evenly: bool = False) -> bool:
        """Whether the numbers of a column rise from row to row in every series long enough to tell (`evenly`: always
        by as much)."""
        try:
            values = np.array([float(cell) for cell in self.cells[name]])
        except ValueError:
            return False
        long = [np.diff(values[rows]) for rows in groups if len(rows) >= ENOUGH]
        steady = all(np.allclose(steps, steps[0], rtol=1e-6, atol=0) for steps in long) if evenly else True
        return bool(long) and steady and all((steps > 0).all() for steps in long)


def assign(
    path: Path,
    names: list[str],
    rows: Sequence[Sequence[str]],
    *,
    target: str | None = None,
    series: str | None = None,
    time: str | None = None,
) -> Roles:
    """The parts of a table's columns; `target`, `series` and `time` are taken as given.

    Raises:
        DataError: the target holds no numbers, or no column does.
    """
    table = _Columns(names, rows)
    notes = []
    if series is None:
        series = _series_of(table, {target, time})
        if series is not None:
            notes.append(f"a series for each {series!r}, because the time repeats (--series chooses another column)")
    numeric = [name for name in names if name not in (series, time) and table.is_numeric(name)]
    if target is not None and target not in numeric:
        raise DataError(f"{path}: column {target!r} holds no numbers; columns that do: {', '.join(numeric) or 'none'}")
    if not numeric:
        raise DataError(f"{path}: no column holds numbers; columns: {', '.join(names)}")
    others = [name for name in names if name not in (series, time, *numeric) and name.lower() not in CLOCK_NAMES]
    if others:
        shown = ", ".join(f"{name} ({table.cells[name][0][:20]!r})" for name in others)
        notes.append(f"left out, because they hold no numbers: {shown}")
    groups = table.groups(series)
    counters = [name for name in numeric if name != target and _counts(table, name, groups)]
    features = [name for name in numeric if name not in counters] or numeric
    if len(features) < len(numeric):
        notes.append(f"left out, because they only count up: {', '.join(counters)} (--target takes one of them)")
    if target is None:
        target, why = _target_of(table, features, groups)
        if len(numeric) > 1:
            notes.append(f"{target!r} is forecast: {why} (--target chooses another)")
    return Roles(features, target, series, notes)


def _counts(table: _Columns, name: str, groups: list[np.ndarray]) -> bool:
    """Whether a column is a row number or a clock: it rises evenly, or by its name and at all."""
    return table.rises(name, groups, evenly=name.lower() not in CLOCK_NAMES)


def _target_of(table: _Columns, features: list[str], groups: list[np.ndarray]) -> tuple[str, str]:
    for name in features:
        if name.lower() in TARGET_NAMES:
            return name, "its name says so"
    free = [name for name in features if name.lower() not in CALENDAR_NAMES and not table.rises(name, groups)]
    if free:
        return free[-1], "the last column of numbers that is no calendar and does not only rise"
    return features[-1], "the last column of numbers"


def _series_of(table: _Columns, taken: set[str | None]) -> str | None:
    """The column that parts the rows into series: where some column's times repeat, and no longer do inside each."""
    for name in table.names:
        kinds = len(set(table.cells[name]))
        if name in taken or not 2 <= kinds <= table.count // ENOUGH:
            continue
        groups = table.groups(name)
        if any(_is_time(table, other, groups) for other in table.names if other != name):
            return name
    return None


def _is_time(table: _Columns, name: str, groups: list[np.ndarray]) -> bool:
    cells = np.array(table.cells[name])
    if len(set(cells)) == len(cells):
        return False
    if table.is_numeric(name):
        return table.rises(name, groups)
    return all(len(set(cells[rows])) == len(rows) for rows in groups)
