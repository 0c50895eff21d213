"""CoNLL columns: a token per line with its tag last, sentences apart by empty lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError


class Sentences(NamedTuple):
    """Sentences as parallel lists of tokens and tags, and how many bad lines were left out."""

    tokens: list[list[str]]
    tags: list[list[str]]
    skipped: int

    def at(self, rows: Iterable[int], skipped: int = 0) -> Sentences:
        """The sentences `rows`, in the order of the file."""
        chosen = sorted(rows)
        return Sentences([self.tokens[i] for i in chosen], [self.tags[i] for i in chosen], skipped)


def read(path: Path, *, skip_bad: bool = False) -> Sentences:
    """Read a file; columns are separated by tabs, or by blanks where there is no tab.

    The first column is the token, the last one the tag. `-DOCSTART-` lines separate sentences. A byte-order mark,
    CRLF and separator lines of blanks are understood.

    Raises:
        DataError: a line with another number of columns than the first (file and line named), or no sentence at all.
    """
    sentences: list[list[list[str]]] = [[]]
    columns, skipped = 0, 0
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if is_separator(line):
            if sentences[-1]:
                sentences.append([])
            continue
        found = cells(line)
        columns = columns or len(found)
        if len(found) != columns or columns < 2:
            if not skip_bad:
                expected = columns if columns > 1 else "at least 2 (token and tag)"
                raise DataError(
                    f"{path}, line {number}: {len(found)} columns, expected {expected}: {line.strip()[:60]!r} "
                    f"{SKIP_HINT}"
                )
            skipped += 1
            continue
        sentences[-1].append(found)
    whole = [sentence for sentence in sentences if sentence]
    if not whole:
        raise DataError(f"{path}: no sentence with tokens and tags")
    tokens = [[row[0] for row in sentence] for sentence in whole]
    tags = [[row[-1].strip() for row in sentence] for sentence in whole]
    return Sentences(tokens, tags, skipped)


def is_separator(line: str) -> bool:
    """Whether a line stands between sentences."""
    return not line.strip() or line.startswith("-DOCSTART-")


def cells(line: str) -> list[str]:
    """The columns of a line."""
    return line.rstrip("\t").split("\t") if "\t" in line.strip() else line.split()
