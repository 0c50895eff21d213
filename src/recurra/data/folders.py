"""Labelled sequences in a folder: a file per class with an example per line, or a folder per class with an example per
file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from recurra.data import series
from recurra.data.series import Wanted
from recurra.data.tables import Labelled
from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError

TABLES = (".csv", ".tsv")
LAYOUTS = "CLASS.txt with an example per line, or folders CLASS/ with a .txt or .csv file per example"


def read(path: Path, columns: list[str] | None = None, *, skip_bad: bool = False) -> Labelled:
    """Read a folder.

    Args:
        path: the folder.
        columns: of the tables, which a trained model needs in this order; default: those of the first one that hold
            numbers and do more than count.
        skip_bad: leave out examples that cannot be read, and count them.

    Raises:
        DataError: there are no examples, or one cannot be read.
    """
    there = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    folders = [file for file in there if file.is_dir()]
    whole = any(_examples(folder) for folder in folders)
    data = _whole_files(path, folders, columns, skip_bad) if whole else _lines(there)
    if not data.inputs:
        raise DataError(f"{path}: expected files {LAYOUTS}; there are {_kinds(there) or 'none'}")
    taken = folders if whole else _lists(there)
    others = [file for file in there if file not in taken]
    if others:
        data.notes.append(f"left out: {_kinds(others)} (only {'folders' if whole else '.txt files'} are read here)")
    return data


def read_values(path: Path, columns: list[str]) -> np.ndarray:
    """The sequence `[T, F]` in one table."""
    found = series.read(path, Wanted(columns=columns)).series
    return next(iter(found.values())).astype(np.float32)


def _lists(there: Iterable[Path]) -> list[Path]:
    return [file for file in there if file.suffix.lower() == ".txt" and file.is_file()]


def _lines(there: Iterable[Path]) -> Labelled:
    data = Labelled("text", columns="a file per class")
    for file in _lists(there):
        lines = [line.strip() for line in read_text(file).split("\n") if line.strip()]
        if not lines:
            data.notes.append(f"left out: {file.name}, which is empty")
        data.inputs += lines
        data.labels += [file.stem] * len(lines)
    return data


def _examples(folder: Path) -> list[Path]:
    kinds = (".txt", *TABLES)
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in kinds and file.is_file())


def _whole_files(path: Path, folders: list[Path], columns: list[str] | None, skip_bad: bool) -> Labelled:
    """Each file is an example: numbers where there are more tables than texts."""
    files = [(folder.name, file) for folder in folders for file in _examples(folder)]
    tables = sum(file.suffix.lower() in TABLES for _, file in files)
    numbers = columns is not None or 2 * tables > len(files)
    data = Labelled("values" if numbers else "text", whole_files=True)
    chosen = [pair for pair in files if (pair[1].suffix.lower() in TABLES) == numbers]
    if numbers and columns is None:
        first = series.read(chosen[0][1])
        columns = first.columns
        # what is said of a table whose last column is forecast, as far as it is true here
        data.notes += [note.split(" (--")[0] for note in first.notes if note.startswith(("left out", "decimal"))]
    for label, file in chosen:
        try:
            value = read_values(file, columns) if columns is not None else read_text(file).strip()
            if not len(value):
                raise DataError(f"{file}: empty")
        except DataError as error:
            if not skip_bad:
                raise DataError(f"{error}{'' if SKIP_HINT in str(error) else f' {SKIP_HINT}'}") from error
            data.skipped += 1
            continue
        data.inputs.append(value)
        data.labels.append(label)
    data.source = columns or []
    data.columns = "a file per example, a folder per class"
    if columns:
        data.columns += f"; columns {', '.join(columns)}"
    taken = {file for _, file in chosen}
    everything = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    others = [file for file in everything if file not in taken and not file.name.startswith(".")]
    if others:
        what = "tables" if numbers else ".txt files"
        data.notes.append(f"left out in the folders: {_kinds(others)} (only {what} are read)")
    return data


def _kinds(files: Iterable[Path]) -> str:
    """How many files there are of each kind."""
    kinds = Counter("folder" if file.is_dir() else file.suffix.lower() or "no suffix" for file in files)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
