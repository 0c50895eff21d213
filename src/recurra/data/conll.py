"""Tagged sentences: CoNLL columns (a token per line with its tag last, sentences apart by empty lines), CSV, JSONL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from recurra.data import delimited, tables
from recurra.data.delimited import JSON_SUFFIXES
from recurra.data.text import SKIP_HINT, read_text
from recurra.errors import DataError

TOKEN_NAMES, TAG_NAMES, SENTENCE_NAMES = ("token", "word"), ("tag", "ner", "label"), ("sentence", "id")
JSON_TOKENS, JSON_TAGS = ("tokens", "words"), ("tags", "ner_tags", "labels")


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
    CRLF and separator lines of blanks are understood. A CSV file has a token per row, and a column whose values tell
    sentences apart; JSONL has a sentence per line with lists `tokens` and `tags`.

    Raises:
        DataError: a line with another number of columns than the first (file and line named), or no sentence at all.
    """
    if path.suffix.lower() == ".csv":
        return _read_table(path, skip_bad)
    if path.suffix.lower() in JSON_SUFFIXES:
        return _read_json(path, skip_bad)
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


def _read_table(path: Path, skip_bad: bool) -> Sentences:
    table = delimited.read(path, lambda first, rest: [name.strip() for name in first], skip_bad=skip_bad)
    lower = [name.lower() for name in table.names]
    token = next((i for i, name in enumerate(lower) if name in TOKEN_NAMES), None)
    tag = next((i for i, name in enumerate(lower) if name in TAG_NAMES), len(lower) - 1)
    sentence = next((i for i, name in enumerate(lower) if name.startswith(SENTENCE_NAMES)), None)
    if token is None or sentence is None or token == tag:
        kinds = ", ".join("/".join(names) for names in (SENTENCE_NAMES, TOKEN_NAMES, TAG_NAMES))
        raise DataError(f"{path}: expected columns {kinds}; there are {', '.join(table.names)}")
    found = Sentences([], [], table.skipped)
    last = None
    for line, cells in table.rows:
        name, word, kind = (cells[i].strip() for i in (sentence, token, tag))
        if not word or not kind:
            if not skip_bad:
                raise DataError(f"{path}, line {line}: no {'tag' if word else 'token'} {SKIP_HINT}")
            found = found._replace(skipped=found.skipped + 1)
            continue
        # in some files only a sentence's first row names it
        if not found.tokens or (name and name != last):
            found.tokens.append([])
            found.tags.append([])
        last = name or last
        found.tokens[-1].append(word)
        found.tags[-1].append(kind)
    return found


def _read_json(path: Path, skip_bad: bool) -> Sentences:
    found = Sentences([], [], 0)
    for line, row in tables.objects(path, skip_bad=skip_bad):
        row = row or {}
        tokens = next((row[name] for name in JSON_TOKENS if name in row), None)
        tags = next((row[name] for name in JSON_TAGS if name in row), None)
        if isinstance(tokens, list) and isinstance(tags, list) and len(tokens) == len(tags) and tokens:
            found.tokens.append(list(map(str, tokens)))
            found.tags.append(list(map(str, tags)))
        elif skip_bad:
            found = found._replace(skipped=found.skipped + 1)
        else:
            raise DataError(f"{path}, line {line}: expected lists `tokens` and `tags` of one length {SKIP_HINT}")
    if not found.tokens:
        raise DataError(f"{path}: no sentence with tokens and tags")
    return found


def is_separator(line: str) -> bool:
    """Whether a line stands between sentences."""
    return not line.strip() or line.startswith("-DOCSTART-")


def cells(line: str) -> list[str]:
    """The columns of a line."""
    return line.rstrip("\t").split("\t") if "\t" in line.strip() else line.split()
