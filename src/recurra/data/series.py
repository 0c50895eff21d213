"""Time series in a CSV file: one row per time step; one or several series; windows with normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recurra.data import clock, delimited, tables
from recurra.data.roles import Roles, assign
from recurra.data.text import SKIP_HINT
from recurra.errors import DataError


@dataclass
class SeriesTable:
    """Numeric columns of one or several series.

    Attributes:
        series: name → values `[T, F]` float64, in the order of the file.
        columns: names of the F columns.
        target: which of them is forecast.
        skipped: rows left out.
        group: the column that names the series, or None.
        notes: what was chosen in the table, and why.
    """

    series: dict[str, np.ndarray]
    columns: list[str]
    target: int
    skipped: int
    group: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """How a table is to be read.

    Attributes:
        target: the column to forecast; default: see `recurra.data.roles`.
        series: the column that names the series a row belongs to; default: one is looked for.
        time: a column that is left out of the features; columns that hold no numbers are left out anyway.
        columns: the features, which a trained model needs in this order; default: all that hold numbers and do more
            than count.
        skip_bad: leave out rows with missing or unparsable values, and count them.
    """

    target: str | None = None
    series: str | None = None
    time: str | None = None
    columns: Sequence[str] | None = None
    skip_bad: bool = False


def read(path: Path, wanted: Wanted = Wanted()) -> SeriesTable:
    """Read the numeric columns of a CSV file, with a header or without, or of JSONL.

    Raises:
        DataError: missing, empty, no such column, a value that is missing, no number or not finite (file and line
            named).
    """
    names, rows, skipped, notes = _rows(path, wanted)
    latest_first = clock.latest_first(names, [cells for _, cells in rows], wanted.time)
    if latest_first is not None:
        rows.reverse()
        notes.append(f"turned round, because {latest_first!r} goes back in time")
    if wanted.columns is None:
        roles = assign(
            path, names, [cells for _, cells in rows], target=wanted.target, series=wanted.series, time=wanted.time
        )
    else:
        roles = Roles(list(wanted.columns), wanted.target or wanted.columns[-1], wanted.series)
    where = [names.index(name) for name in roles.features]
    group = None if roles.series is None else names.index(roles.series)
    found: dict[str, list[list[float]]] = {}
    for line, cells in rows:
        try:
            values = [_number(cells[i], names[i]) for i in where]
        except ValueError as error:
            if not wanted.skip_bad:
                raise DataError(f"{path}, line {line}: {error} {SKIP_HINT}") from error
            skipped += 1
            continue
        found.setdefault("" if group is None else cells[group].strip(), []).append(values)
    arrays = {name: np.array(values) for name, values in found.items()}
    if not arrays:
        raise DataError(f"{path}: no row could be read ({skipped} bad ones)")
    target = roles.features.index(roles.target)
    return SeriesTable(arrays, roles.features, target, skipped, roles.series, notes + roles.notes)


def _rows(path: Path, wanted: Wanted) -> tuple[list[str], list[tuple[int, list[str]]], int, list[str]]:
    """The names, the rows with their lines, how many were left out because they have other columns, and notes."""
    table = tables.cells_of(path, delimited.header_of_numbers, skip_bad=wanted.skip_bad)
    # a model that was trained knows its columns, and needs no time any more
    given = (wanted.target, wanted.series, wanted.time)
    for name in given if wanted.columns is None else (wanted.series, *wanted.columns):
        if name is not None and name not in table.names:
            raise DataError(f"{path}: no column {name!r}; columns: {', '.join(table.names)}")
    if not table.rows:
        raise DataError(f"{path}: a header and no rows")
    return table.names, table.rows, table.skipped, table.notes


def _number(cell: str, name: str) -> float:
    if not cell.strip():
        raise ValueError(f"column {name!r} is empty")
    try:
        value = float(cell)
    except ValueError as error:
        raise ValueError(f"column {name!r}: {cell!r} is no number") from error
    if not math.isfinite(value):
        raise ValueError(f"column {name!r}: {cell!r} is no finite number")
    return value


@dataclass
class Windows:
    """Windows of normalised values.

    Attributes:
        inputs: `[N, window, F]` float32, standardised by the training part.
        targets: `[N, horizon]` float32, the target column, standardised alike.
        last: `[N]` the target's last known value, in its own unit.
        names: the series each window comes from.
    """

    inputs: np.ndarray
    targets: np.ndarray
    last: np.ndarray
    names: list[str]


def cut(
    parts: dict[str, np.ndarray],
    target: int,
    window: int,
    horizon: int,
    stride: int,
    mean: np.ndarray,
    scale: np.ndarray,
) -> Windows:
    """All windows of `window` steps followed by `horizon` steps, every `stride` steps, of every series."""
    inputs, targets, last, names = [], [], [], []
    for name, values in parts.items():
        normal = (values - mean) / scale
        for start in range(0, len(values) - window - horizon + 1, stride):
            stop = start + window
            inputs.append(normal[start:stop])
            targets.append(normal[stop : stop + horizon, target])
            last.append(values[stop - 1, target])
            names.append(name)
    features = mean.shape[0]
    return Windows(
        np.array(inputs, dtype=np.float32).reshape(-1, window, features),
        np.array(targets, dtype=np.float32).reshape(-1, horizon),
        np.array(last),
        names,
    )
