"""Labelled sequences in a person's own files: CSV, TSV, JSONL, or a folder with a file per class."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError

LABEL_NAMES = ("label", "class", "target", "category", "y")
JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
TEXT_NAMES = ("text", "sentence", "name", "content", "document")


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
    """

    kind: Literal["text", "values"]
    inputs: list[Any] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    skipped: int = 0
    columns: str = ""
    source: list[str] = field(default_factory=list)
    label: str | None = None


@dataclass(frozen=True)
class Choice:
    """How a file is to be read: columns by name (None: found), and whether bad rows are left out."""

    text_column: str | None = None
    label_column: str | None = None
    skip_bad: bool = False


def read(path: Path, choice: Choice | None = None) -> Labelled:
    """Read labelled sequences, by the kind of file.

    Raises:
        DataError: missing, empty, a column that is not there, a row with the wrong number of columns or an
            unparsable number (file and line named; with `skip_bad` such rows are counted and left out).
    """
    choice = choice or Choice()
    if path.is_dir():
        return _read_folder(path)
    rows = list(_json_rows(path, choice)) if path.suffix in JSON_SUFFIXES else list(_csv_rows(path, choice))
    good = [(line, row) for line, row in rows if row is not None]
    if not good:
        raise DataError(f"{path}: no row with data")
    names = list(good[0][1])
    label = _label_column(path, names, good, choice.label_column)
    data = Labelled("text", skipped=len(rows) - len(good), label=label)
    _fill(path, data, good, label, choice)
    if not data.inputs:
        raise DataError(f"{path}: no row could be read ({data.skipped} bad ones)")
    return data


def _read_folder(path: Path) -> Labelled:
    data = Labelled("text", columns="a file per class")
    for file in sorted(path.glob("*.txt")):
        for line in read_text(file).split("\n"):
            if line.strip():
                data.inputs.append(line.strip())
                data.labels.append(file.stem)
    if not data.inputs:
        raise DataError(f"{path}: expected files CLASS.txt with an example per line")
    return data


Row = dict[str, Any]


def _csv_rows(path: Path, choice: Choice) -> Iterator[tuple[int, Row | None]]:
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path}: empty")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter_of(path, text), strict=True)
    try:
        first = next(reader)
        names = header_of(first)
        if names is None:
            names = [f"column{i + 1}" for i in range(len(first))]
            yield 1, dict(zip(names, first, strict=True))
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(names):
                yield reader.line_num, dict(zip(names, cells, strict=True))
            elif choice.skip_bad:
                yield reader.line_num, None
            else:
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} columns, expected {len(names)} {SKIP_HINT}"
                )
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def delimiter_of(path: Path, text: str) -> str:
    """Tab for .tsv, else the likeliest of comma, semicolon and tab by the first line."""
    if path.suffix == ".tsv":
        return "\t"
    first = text.split("\n", 1)[0]
    return max(",;\t", key=first.count)


def header_of(cells: Sequence[str]) -> list[str] | None:
    """The names in a first row, or None if it is data: a header holds no number and no name twice."""
    names = [cell.strip() for cell in cells]
    if any(is_number(name) for name in names) or len(set(names)) < len(names) or "" in names:
        return None
    known = {name.lower() for name in names} & {*LABEL_NAMES, *TEXT_NAMES, "date", "time", "id"}
    return names if known or all(len(name) <= 30 and " " not in name for name in names) else None


def _json_rows(path: Path, choice: Choice) -> Iterator[tuple[int, Row | None]]:
    """An object per line; the lines of an indented list count as one, so that its items are numbered from 1."""
    text = read_text(path)
    for number, line in enumerate(_items(path, text) if text.lstrip().startswith("[") else text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"expected an object, got {type(row).__name__}")
        except ValueError as error:
            if not choice.skip_bad:
                raise DataError(f"{path}, line {number}: not JSON: {error} {SKIP_HINT}") from error
            yield number, None
            continue
        yield number, row


def _items(path: Path, text: str) -> list[str]:
    """The items of one JSON list, each as a line of its own."""
    try:
        return [json.dumps(item) for item in json.loads(text)]
    except ValueError as error:
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
    others = [name for name in rows[0][1] if name != label]
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
    except (TypeError, ValueError) as error:
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
        except ValueError:
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
    except (ValueError, TypeError):
        return None
    array = array[:, None] if array.ndim == 1 else array
    return array if array.ndim == 2 and bool(np.isfinite(array).all()) else None


def is_number(cell: Any) -> bool:
    """Whether a cell reads as a number."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


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
    if path.suffix not in (*JSON_SUFFIXES, ".csv", ".tsv"):
        return None
    rows = _json_rows(path, Choice()) if path.suffix in JSON_SUFFIXES else _csv_rows(path, Choice())
    line, first = next(rows, (0, None))
    if line == 0:
        raise DataError(f"{path}: no row with data")
    if first is None or not source:
        return None
    missing = next((name for name in source if name not in first), None)
    if missing is not None:
        if len(first) == 1:
            return None
        raise DataError(f"{path}: no column {missing!r}, which the model reads; columns: {', '.join(first)}")

    def inputs() -> Iterator[Any]:
        for number, row in itertools.chain([(line, first)], rows):
            yield row_input(row or {}, source, kind, f"{path}, line {number}")

    return inputs()


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
