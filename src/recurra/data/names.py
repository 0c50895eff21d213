"""Surnames and their nationality: document 000's 35 names, and the real 18,012."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.data.files import NAMES, locate
from recurra.data.vocab import Vocabulary
from recurra.errors import DataError

# The document's vocabulary in the order of its numbers; number 0 ("0") is its padding.
DOCUMENT_CHARACTERS = "0 ',-/1:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\xa0ÁÉßàáãäçèéêìíñòóõöùúüąłńŚŻż"
DOCUMENT_NAMES = [
    "Khoury",
    "Khoury",
    "Nahas",
    "Daher",
    "Gerges",
    "Nazari",
    "Maalouf",
    "Gerges",
    "Naifeh",
    "Guirguis",
    "Baba",
    "Sabbagh",
    "Attia",
    "Tahan",
    "Haddad",
    "Aswad",
    "Najjar",
    "Dagher",
    "Maloof",
    "Isa",
    "Asghar",
    "Nader",
    "Gaber",
    "Abboud",
    "Maalouf",
    "Zogby",
    "Srour",
    "Bahar",
    "Mustafa",
    "Hanania",
    "Daher",
    "Tuma",
    "Nahas",
    "Saliba",
    "Shamoon",
]
DOCUMENT_LABELS = (
    9, 0, 12, 4, 8, 12, 6, 1, 6, 7, 11, 14, 8, 4, 0, 5, 7, 12,
    2, 5, 3, 9, 14, 1, 10, 12, 12, 14, 2, 2, 12, 13, 0, 2, 11,
)  # fmt: skip
DOCUMENT_STEPS = 8
DOCUMENT_LOGITS = 35  # the document sizes its output layer by the number of names, not of classes


def document() -> tuple[list[list[int]], np.ndarray, Vocabulary]:
    """The document's names as token rows (not padded), labels `[35]` and its vocabulary of 88 characters."""
    vocabulary = Vocabulary(list(DOCUMENT_CHARACTERS), unknown=None)
    return [vocabulary.encode(name) for name in DOCUMENT_NAMES], np.array(DOCUMENT_LABELS, dtype=np.int64), vocabulary


class NameSplits(NamedTuple):
    """(name, class number) pairs in three parts, no name in two of them, and the classes."""

    train: list[tuple[str, int]]
    valid: list[tuple[str, int]]
    test: list[tuple[str, int]]
    classes: list[str]


def read_folder(folder: Path) -> list[tuple[str, str]]:
    """Distinct (name, nationality) pairs of a folder with one `Nationality.txt` of names each, in a fixed order.

    Raises:
        DataError: no such folder, fewer than two files with names, or a file that is not UTF-8.
    """
    pairs: set[tuple[str, str]] = set()
    for path in sorted(folder.glob("*.txt")):
        if path.stem.isupper():
            continue  # SOURCE.txt, README.txt
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
        pairs |= {(name, path.stem) for name in map(str.strip, lines) if name}
    if len({label for _, label in pairs}) < 2:
        raise DataError(f"{folder}: expected at least two files NATIONALITY.txt with names")
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def load(data_dir: Path | None = None, held_out: float = 0.1, seed: int = 0) -> NameSplits:
    """The real names, split by name (one that has several nationalities lies in one part with all of them).

    A tenth of what is left after the held-out part serves as validation.
    """
    pairs = read_folder(locate(NAMES, data_dir))
    classes = sorted({label for _, label in pairs})
    names = sorted({name for name, _ in pairs})
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(names))
    tests = round(len(names) * held_out)
    valids = round((len(names) - tests) * 0.1)
    part = np.full(len(names), 0)
    part[order[:tests]] = 2
    part[order[tests : tests + valids]] = 1
    where = {name: part[i] for i, name in enumerate(names)}
    parts: list[list[tuple[str, int]]] = [[], [], []]
    for name, label in pairs:
        parts[where[name]].append((name, classes.index(label)))
    return NameSplits(parts[0], parts[1], parts[2], classes)
