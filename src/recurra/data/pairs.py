"""Pairs of sequences: a source and a target per line, apart by a tab, or in the columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recurra.data import dates, puzzles, tables
from recurra.data.delimited import JSON_SUFFIXES, Delimited
from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError

BUILT_IN = {
    "dates": (dates.pairs, 20_000),
    "reversal": (puzzles.reversal, 20_000),
    "arithmetic": (puzzles.arithmetic, 150_000),
}
"""name -> (generator, pairs): what the project can make itself."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sources and targets, equally many, and how many bad lines were left out."""

    sources: list[str]
    targets: list[str]
    skipped: int = 0


def read(path: str, *, skip_bad: bool = False) -> Pairs:
    """The pairs in a UTF-8 file; a name of `BUILT_IN` stands for its generator where there is no file of that name.

    A CSV or JSONL file has columns `source` and `target`, or two columns.

    Raises:
        DataError: a line without exactly one tab, or with an empty side (file and line are named).
    """
    if path in BUILT_IN and not Path(path).exists():
        generate, count = BUILT_IN[path]
        made = generate(count)
        return Pairs([source for source, _ in made], [target for _, target in made])
    table = Path(path).suffix.lower() in (*JSON_SUFFIXES, ".csv")
    rows = _table(Path(path), skip_bad) if table else _lines(Path(path))
    sources, targets, skipped = [], [], rows.skipped
    for number, cells in rows.rows:
        cells = [cell.strip() for cell in cells]
        if len(cells) == 2 and all(cells):
            sources.append(cells[0])
            targets.append(cells[1])
        elif skip_bad:
            skipped += 1
        else:
            how = "" if table else " apart by one tab"
            shown = "\t".join(cells)[:60]
            raise DataError(f"{path}, line {number}: expected a source and a target{how}, got {shown!r} {SKIP_HINT}")
    if not sources:
        raise DataError(f"{path}: no pairs")
    return Pairs(sources, targets, skipped)


def _lines(path: Path) -> Delimited:
    lines = enumerate(read_text(path).split("\n"), 1)
    return Delimited([], [(number, line.split("\t")) for number, line in lines if line.strip()])


def _table(path: Path, skip_bad: bool) -> Delimited:
    table = tables.cells_of(path, skip_bad=skip_bad)
    names = {name.lower(): i for i, name in enumerate(table.names)}
    if len(names) != 2 and not names.keys() >= {"source", "target"}:
        raise DataError(f"{path}: expected columns source and target, or two columns; there are {', '.join(names)}")
    where = (names.get("source", 0), names.get("target", 1))
    table.rows = [(line, [cells[i] for i in where]) for line, cells in table.rows]
    return table
