"""Tables of text as people have them: apart by commas, semicolons, tabs or bars, with a header or without, with decimal
points or commas."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError

DELIMITERS = ",\t;|"
HEAD = 20  # records from which the delimiter is judged
JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
LABEL_NAMES = ("label", "class", "target", "category", "y")
TEXT_NAMES = ("text", "sentence", "name", "content", "document")
KNOWN_NAMES = (*LABEL_NAMES, *TEXT_NAMES, "date", "time", "id")
_DATE = re.compile(r"\d{1,4}[-/.:]\d{1,2}([-/.:T ]|$)")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")

Header = Callable[[Sequence[str], Sequence[Sequence[str]]], list[str] | None]
"""The names in a table's first row, given the rows after it, or None where it is data."""


@dataclass
class Delimited:
    """A table's cells.

    Attributes:
        names: of the columns; `column1` … where there is no header.
        rows: line in the file and cells of each row.
        skipped: rows left out because they have other columns.
        notes: what was read otherwise than it stands there.
    """

    names: list[str]
    rows: list[tuple[int, list[str]]]
    skipped: int = 0
    notes: list[str] = field(default_factory=list)


def read(path: Path, header: Header, *, skip_bad: bool = False) -> Delimited:
    """Read a table; empty lines count for nothing, and `header` says what its first row is.

    Raises:
        DataError: missing, empty, not UTF-8, an open quote, a row with another number of columns (file and line are
            named; with `skip_bad` such rows are counted and left out).
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path}: empty")
    delimiter = delimiter_of(path, text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    found: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((reader.line_num, cells))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    first = found[0][1]
    names = header(first, [cells for _, cells in found[1 : HEAD + 1]])
    rows = found if names is None else found[1:]
    table = Delimited(names or [f"column{i + 1}" for i in range(len(first))], [])
    if names is None:
        table.notes.append(f"no header: the columns are called {', '.join(table.names[:9])}")
    for line, cells in rows:
        if len(cells) == len(first):
            table.rows.append((line, cells))
        elif skip_bad:
            table.skipped += 1
        else:
            raise DataError(f"{path}, line {line}: {len(cells)} columns, expected {len(first)} {SKIP_HINT}")
    if delimiter != ",":
        _read_decimal_commas(path, table)
    return table


def delimiter_of(path: Path, text: str) -> str:
    """Tab for .tsv; else what parts the first records into as many columns each (of several that do, the one that makes
    most cells numbers), or is commonest in the first line."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    numbers = {}
    for delimiter in DELIMITERS:
        try:
            head = list(itertools.islice(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True), HEAD))
        except csv.Error:
            continue
        records = [record for record in head if record]
        if len(records[0]) > 1 and len({len(record) for record in records}) == 1:
            cells = [cell.strip() for record in records for cell in record]
            numbers[delimiter] = sum(map(_like_a_number, cells)) / len(cells)
    if numbers:
        return max(numbers, key=lambda delimiter: numbers[delimiter])
    first = text.split("\n", 1)[0]
    return max(DELIMITERS, key=first.count)


def header_of_texts(first: Sequence[str], rest: Sequence[Sequence[str]]) -> list[str] | None:
    """The names in the first row of a table that may hold texts, or None if it is data: a header holds no number, no
    name twice, and no long text."""
    names = [cell.strip() for cell in first]
    named = names[1:] if names[0] == "" else names  # pandas gives its index no name
    if not named or "" in named or any(map(_like_a_number, names)) or len(set(names)) < len(names):
        return None
    known = {name.lower() for name in named} & {*KNOWN_NAMES}
    return names if known or all(len(name) <= 30 and " " not in name for name in named) else None


def header_of_numbers(first: Sequence[str], rest: Sequence[Sequence[str]]) -> list[str] | None:
    """The names in the first row of a table of numbers, or None if it is data: numbers, with dates and names that come
    again below."""
    names = [cell.strip() for cell in first]
    below = [row for row in rest if len(row) == len(names)]
    data = [
        _like_a_number(name) or bool(_DATE.match(name)) or name in {row[i].strip() for row in below}
        for i, name in enumerate(names)
    ]
    return None if all(data) and any(map(_like_a_number, names)) else names


def is_number(cell: Any) -> bool:
    """Whether a cell reads as a number."""
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _like_a_number(cell: str) -> bool:
    return is_number(cell) or bool(_DECIMAL_COMMA.fullmatch(cell))


def _read_decimal_commas(path: Path, table: Delimited) -> None:
    """Turn `1,5` into `1.5`, and `1.234` into `1234`, in columns of nothing but numbers of which some have such commas.

    Raises:
        DataError: others of them have decimal points.
    """
    found = []
    for i, name in enumerate(table.names):
        cells = [cells[i].strip() for _, cells in table.rows]
        written = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
        plain = sum(is_number(cell) for cell in cells)
        # one bad cell is an error of its row, and must not turn all others into text
        if written and 2 * (len(written) + plain) > len(cells):
            found.append(name)
            for line, row in table.rows:
                cell = row[i].strip()
                if _DECIMAL_COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell):
                    row[i] = cell.replace(".", "").replace(",", ".")
                elif "." in cell and is_number(cell):
                    raise DataError(
                        f"{path}, line {line}: column {name!r}: {cell!r} has a decimal point, {written[0]!r} a comma"
                    )
    if found:
        table.notes.append(f"decimal commas in {', '.join(found)}")
