"""Time series in a CSV file: one row per time step; one or several series; windows with normalisation."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data.tables import delimiter_of, is_number
from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError


@dataclass
class SeriesTable:
    """Numeric columns of one or several series.

    Attributes:
        series: name → values `[T, F]` float64, in the order of the file.
        columns: names of the F columns.
        target: which of them is forecast.
        skipped: rows left out.
    """

    series: dict[str, np.ndarray]
    columns: list[str]
    target: int
    skipped: int


def read(
    path: Path,
    *,
    target: str | None = None,
    series: str | None = None,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    skip_bad: bool = False,
) -> SeriesTable:
    """Read the numeric columns of a CSV file with a header.

    Args:
        path: the file.
        target: the column to forecast; default the last numeric one.
        series: the column that names the series a row belongs to; default: all rows are one series.
        time: a column that is left out of the features; columns that hold no numbers are left out anyway.
        columns: the features, which a trained model needs in this order; default: all that hold numbers.
        skip_bad: leave out rows with missing or unparsable values, and count them.

    Raises:
        DataError: missing, empty, no such column, a value that is missing, no number or not finite (file and line
            named).
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path}: empty")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter_of(path, text), strict=True)
    names = [name.strip() for name in next(reader)]
    if all(is_number(name) for name in names):
        raise DataError(f"{path}, line 1: numbers, expected a header with the columns' names")
    # a model that was trained knows its columns, and needs no time any more
    for wanted in (target, series, time) if columns is None else (series, *columns):
        if wanted is not None and wanted not in names:
            raise DataError(f"{path}: no column {wanted!r}; columns: {', '.join(names)}")
    rows: list[tuple[int, list[str]]] = []
    skipped = 0
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) == len(names):
            rows.append((reader.line_num, cells))
        elif skip_bad:
            skipped += 1
        else:
            raise DataError(f"{path}, line {reader.line_num}: {len(cells)} columns, expected {len(names)} {SKIP_HINT}")
    if not rows:
        raise DataError(f"{path}: a header and no rows")
    used = list(columns) if columns is not None else _numeric(path, names, rows, {series, time}, target)
    chosen = target or used[-1]
    where = [names.index(name) for name in used]
    group = None if series is None else names.index(series)
    found: dict[str, list[list[float]]] = {}
    for line, cells in rows:
        try:
            values = [_number(cells[i], names[i]) for i in where]
        except ValueError as error:
            if not skip_bad:
                raise DataError(f"{path}, line {line}: {error} {SKIP_HINT}") from error
            skipped += 1
            continue
        found.setdefault("" if group is None else cells[group].strip(), []).append(values)
    arrays = {name: np.array(values) for name, values in found.items()}
    if not arrays:
        raise DataError(f"{path}: no row could be read ({skipped} bad ones)")
    return SeriesTable(arrays, used, used.index(chosen), skipped)


def _numeric(
    path: Path, names: list[str], rows: list[tuple[int, list[str]]], leave: set[str | None], target: str | None
) -> list[str]:
    """Columns that hold numbers: in most of the first hundred rows, so that one bad cell is an error, not another
    kind of column."""
    head = rows[:100]
    columns = [
        name
        for i, name in enumerate(names)
        if name not in leave and sum(is_number(cells[i]) for _, cells in head) * 2 > len(head)
    ]
    if target is not None and target not in columns:
        raise DataError(f"{path}: column {target!r} holds no numbers; columns that do: {', '.join(columns) or 'none'}")
    if not columns:
        raise DataError(f"{path}: no column holds numbers; columns: {', '.join(names)}")
    return columns


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
