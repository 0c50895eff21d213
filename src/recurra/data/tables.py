"""Labelled sequences in a person's own tables: CSV, TSV, JSONL."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from recurra.data import delimited
from recurra.data.delimited import JSON_SUFFIXES, LABEL_NAMES, TEXT_NAMES, Delimited, Header, is_number
from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError


@dataclass
class Labelled:
    """Examples of one file.

    Attributes:
        kind: "text", or "values" (numeric sequences).
        inputs: texts, or arrays `[T, F]` float32.
        labels: one class name per example.
        skipped: rows left out because they could not be read.
        columns: names of what was read, for the log.
        source: the columns that the inputs come from (empty for a folder).
        label: the column that holds the class (None for a folder).
        notes: what was read otherwise than it stands there, and what was left out.
        whole_files: each example is a file of its own in a folder.
    """

    kind: Literal["text", "values"]
    inputs: list[Any] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    skipped: int = 0
    columns: str = ""
    source: list[str] = field(default_factory=list)
    label: str | None = None
    notes: list[str] = field(default_factory=list)
    whole_files: bool = False


@dataclass(frozen=True)
class Choice:
    """How a file is to be read: columns by name (None: found), and whether bad rows are left out."""

    text_column: str | None = None
    label_column: str | None = None
    skip_bad: bool = False


def read(path: Path, choice: Choice | None = None) -> Labelled:
    """Read labelled sequences, by the kind of file (for a folder see `recurra.data.folders`).

    Raises:
        DataError: missing, empty, a column that is not there, a row with the wrong number of columns or an
            unparsable number (file and line named; with `skip_bad` such rows are counted and left out).
    """
    choice = choice or Choice()
    rows = _rows(path, choice)
    names = list(rows.good[0][1])
    label = _label_column(path, names, rows.good, choice.label_column)
    data = Labelled("text", skipped=rows.skipped, label=label, notes=rows.notes)
    _fill(path, data, rows.good, label, choice)
    if not data.inputs:
        raise DataError(f"{path}: no row could be read ({data.skipped} bad ones)")
    return data


Row = dict[str, Any]


class _Rows(NamedTuple):
    """The rows of a file with their lines, how many were left out, and what was read otherwise than it stands there."""

    good: list[tuple[int, Row]]
    skipped: int
    notes: list[str]


def _rows(path: Path, choice: Choice) -> _Rows:
    if path.suffix.lower() in JSON_SUFFIXES:
        found = list(objects(path, skip_bad=choice.skip_bad))
        rows = _Rows([(line, row) for line, row in found if row is not None], 0, [])
        rows = rows._replace(skipped=len(found) - len(rows.good))
    else:
        table = delimited.read(path, delimited.header_of_texts, skip_bad=choice.skip_bad)
        good = [(line, dict(zip(table.names, cells, strict=True))) for line, cells in table.rows]
        rows = _Rows(good, table.skipped, table.notes)
    if not rows.good:
        raise DataError(f"{path}: no row with data")
    return rows


def cells_of(path: Path, header: Header = delimited.header_of_texts, *, skip_bad: bool = False) -> Delimited:
    """A CSV or JSONL file as cells of text; the columns of JSON are the keys of the first object, `null` is empty.

    Raises:
        DataError: as `delimited.read`; a key is missing.
    """
    if path.suffix.lower() not in JSON_SUFFIXES:
        return delimited.read(path, header, skip_bad=skip_bad)
    rows = _rows(path, Choice(skip_bad=skip_bad))
    table = Delimited(list(rows.good[0][1]), [], rows.skipped)
    for line, row in rows.good:
        missing = next((name for name in table.names if name not in row), None)
        if missing is None:
            table.rows.append((line, ["" if row[name] is None else str(row[name]) for name in table.names]))
        elif skip_bad:
            table.skipped += 1
        else:
            raise DataError(f"{path}, line {line}: no {missing!r} {SKIP_HINT}")
    return table


def objects(path: Path, *, skip_bad: bool = False) -> Iterator[tuple[int, Row | None]]:
    """The objects of a JSONL file, or of a JSON list, with their lines; None for what is none (with `skip_bad`).

    The lines of an indented list count as one, so that its items are numbered from 1.
    """
    text = read_text(path)
    for number, line in enumerate(_items(path, text) if text.lstrip().startswith("[") else text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"expected an object, got {type(row).__name__}")
        except (ValueError, RecursionError) as error:
            if not skip_bad:
                raise DataError(f"{path}, line {number}: not JSON: {error} {SKIP_HINT}") from error
            yield number, None
            continue
        yield number, row


def _items(path: Path, text: str) -> list[str]:
    """The items of one JSON list, each as a line of its own."""
    try:
        return [json.dumps(item) for item in json.loads(text)]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from error


def _label_column(path: Path, names: list[str], rows: list[tuple[int, Row]], wanted: str | None) -> str:
    """The column with the class: as wanted, by its name, or the last, the first or any one whose values recur."""
    if wanted is not None:
        if wanted not in names:
            raise DataError(f"{path}: no column {wanted!r}; columns: {', '.join(names)}")
        return wanted
    if len(names) < 2:
        raise DataError(f"{path}: one column ({names[0]}), expected a sequence and its class")
    lower = {name.lower(): name for name in names}
    named = next((lower[name] for name in LABEL_NAMES if name in lower), None)
    head = rows[:1000]
    kinds = {name: len({str(row.get(name)) for _, row in head}) for name in names}
    recurring = [name for name in (names[-1], *names[:-1]) if 2 * kinds[name] <= len(head)]
    return named or next(iter(recurring), names[-1])


def _fill(path: Path, data: Labelled, rows: list[tuple[int, Row]], label: str, choice: Choice) -> None:
    """Decide what the inputs are by the first row, then read every row that way."""
    # a column without a name is pandas' index
    others = [name for name in rows[0][1] if name not in (label, "")] or [""]
    if choice.text_column is not None:
        if choice.text_column not in rows[0][1]:
            raise DataError(f"{path}: no column {choice.text_column!r}; columns: {', '.join(rows[0][1])}")
        others = [choice.text_column]
    sample = rows[0][1]
    wide = len(others) > 1 and all(is_number(sample[name]) for name in others)
    if not wide and len(others) > 1:
        named = [name for name in others if name.lower() in TEXT_NAMES]
        others = (named or sorted(others, key=lambda name: -_mean_length(rows, name)))[:1]
    looks = (_looks_numeric(row.get(others[0])) for _, row in rows)
    numeric = wide or bool(next((answer for answer in looks if answer is not None), False))
    data.kind = "values" if numeric else "text"
    data.source = others
    data.columns = (
        f"{'numbers' if numeric else 'text'} from {others[0]}{f' … {others[-1]}' if wide else ''}, class from {label}"
    )
    width = _width(rows, others[0]) if numeric and not wide else 1
    for line, row in rows:
        try:
            value = _value(row, others, wide, numeric)
            if numeric and value.shape[1] != width:
                value = _resized(value, width, others[0])
            name = str(row[label]).strip()
            if not name:
                raise ValueError(f"column {label!r} is empty")
        except (ValueError, KeyError) as error:
            if not choice.skip_bad:
                problem = f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
                raise DataError(f"{path}, line {line}: {problem} {SKIP_HINT}") from error
            data.skipped += 1
            continue
        data.inputs.append(value)
        data.labels.append(name)


def _value(row: Row, columns: list[str], wide: bool, numeric: bool) -> Any:
    if not numeric and isinstance(row[columns[0]], list | dict):
        raise ValueError(
            f"column {columns[0]!r}: neither a text nor a sequence of numbers: {str(row[columns[0]])[:40]}"
        )
    if not numeric:
        return str(row[columns[0]])
    if wide:
        values = [[_finite(row[name], name)] for name in columns]
        return np.array(values, dtype=np.float32)
    sequence = parse_sequence(row[columns[0]], least=0)
    if sequence is None:
        raise ValueError(f"column {columns[0]!r}: not a sequence of numbers: {str(row[columns[0]])[:40]!r}")
    return sequence


def _finite(cell: Any, name: str) -> float:
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"column {name!r}: {cell!r} is no number") from error
    if not math.isfinite(number):
        raise ValueError(f"column {name!r}: {cell!r} is no finite number")
    return number


def _looks_numeric(cell: Any) -> bool | None:
    """Whether a cell holds a sequence of numbers; None where an empty one leaves it open."""
    if cell in ("", [], None):
        return None
    return parse_sequence(cell) is not None


def _width(rows: list[tuple[int, Row]], name: str) -> int:
    """Numbers per step: what most rows have."""
    found = (parse_sequence(row.get(name), least=0) for _, row in rows)
    widths = Counter(value.shape[1] for value in found if value is not None and len(value))
    return widths.most_common(1)[0][0] if widths else 1


def _resized(value: np.ndarray, width: int, name: str) -> np.ndarray:
    if len(value):
        raise ValueError(f"column {name!r}: steps of {value.shape[1]} numbers, expected {width}")
    return np.zeros((0, width), dtype=np.float32)


def parse_sequence(cell: Any, least: int = 2) -> np.ndarray | None:
    """`[T, F]` of a JSON list (of numbers, or of rows), also as text, or of numbers separated by blanks, commas or
    semicolons; None for anything else.

    A list may hold any number of steps, a text at least `least`: one number alone is no sign of a sequence.
    """
    if isinstance(cell, (int, float)) and not isinstance(cell, bool) and least < 2:
        cell = [cell]
    if isinstance(cell, str) and cell.lstrip().startswith("[["):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    if isinstance(cell, str):
        parts = cell.replace(",", " ").replace(";", " ").strip("[] ").split()
        if len(parts) < least or not all(is_number(part) for part in parts):
            return None
        cell = [float(part) for part in parts]
    if not isinstance(cell, list):
        return None
    try:
        array = np.array(cell, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    array = array[:, None] if array.ndim == 1 else array
    return array if array.ndim == 2 and bool(np.isfinite(array).all()) else None


def _mean_length(rows: list[tuple[int, Row]], name: str) -> float:
    return sum(len(str(row.get(name, ""))) for _, row in rows[:200]) / min(200, len(rows))


def split(labels: Sequence[str], shares: Sequence[float], seed: int) -> list[np.ndarray]:
    """Index arrays: what is left for training first, then one part per share; each class is divided alike.

    Classes too small to be divided stay in training.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    names = np.array(labels)
    for label in sorted(set(labels)):
        rows = generator.permutation(np.flatnonzero(names == label))
        start = 0
        for part, share in enumerate(shares, 1):
            count = round(len(rows) * share) if len(rows) > 2 else 0
            parts[part] += rows[start : start + count].tolist()
            start += count
        parts[0] += rows[start:].tolist()
    return [np.array(sorted(part), dtype=np.int64) for part in parts]


def read_inputs(path: Path, source: list[str], kind: str) -> Iterator[Any] | None:
    """The inputs of a table that has the columns `source`, row by row, with classes or without; None for what is no
    table: another kind of file, a single column without that name.

    Raises:
        DataError: a table without these columns.
    """
    if path.suffix.lower() not in (*JSON_SUFFIXES, ".csv", ".tsv"):
        return None
    rows = _rows(path, Choice()).good
    first = rows[0][1]
    if not source:
        return None
    missing = next((name for name in source if name not in first), None)
    if missing is not None:
        if len(first) == 1:
            return None
        raise DataError(f"{path}: no column {missing!r}, which the model reads; columns: {', '.join(first)}")
    return (row_input(row, source, kind, f"{path}, line {line}") for line, row in rows)


def row_input(row: Row, source: list[str], kind: str, where: str) -> Any:
    """The input in a row: what stands in the columns `source`.

    Raises:
        DataError: a column is missing, or holds something else; `where` the row came from is named.
    """
    try:
        return _value(row, source, len(source) > 1, kind == "values")
    except KeyError as error:
        raise DataError(f"{where}: no {error.args[0]!r}") from error
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def steps_of(value: Any, columns: int, where: str) -> np.ndarray:
    """A sequence `[T, columns]` typed in (numbers separated by blanks or commas, or a JSON list of rows), or from JSON:
    a list of rows, or of the numbers of a single column.

    Raises:
        DataError: it is something else; `where` it came from is named.
    """
    found = parse_sequence(value, least=0)
    if found is None:
        shown = value if isinstance(value, str) else json.dumps(value, default=str)
        raise DataError(f"{where}: not a sequence of numbers: {shown[:60]!r}")
    if len(found) and found.shape[1] != columns:
        raise DataError(f"{where}: a sequence with {found.shape[1]} features, expected {columns}")
    return found if len(found) else np.zeros((0, columns), dtype=np.float32)


def next_steps(value: Any, columns: int, where: str) -> np.ndarray:
    """As `steps_of`, for a sequence that comes step by step: a flat list or line of `columns` numbers is one step."""
    flat = parse_sequence(value, least=0)
    if columns > 1 and flat is not None and flat.shape == (columns, 1):
        return flat.reshape(1, columns)
    return steps_of(value, columns, where)
