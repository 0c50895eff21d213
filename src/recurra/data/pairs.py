"""Pairs of sequences: a source and a target per line, apart by a tab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recurra.data import dates, puzzles
from recurra.data.text import SKIP_HINT
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

    Raises:
        DataError: a line without exactly one tab, or with an empty side (file and line are named).
    """
    if path in BUILT_IN and not Path(path).exists():
        generate, count = BUILT_IN[path]
        made = generate(count)
        return Pairs([source for source, _ in made], [target for _, target in made])
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    sources, targets, skipped = [], [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) == 2 and all(cells):
            sources.append(cells[0])
            targets.append(cells[1])
        elif skip_bad:
            skipped += 1
        else:
            raise DataError(
                f"{path}:{number}: expected a source and a target apart by one tab, got {line[:60]!r} {SKIP_HINT}"
            )
    if not sources:
        raise DataError(f"{path}: no pairs")
    return Pairs(sources, targets, skipped)
