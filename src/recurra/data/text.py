"""Plain text as tokens: UTF-8 with or without byte-order mark, any line ends; by character or by word."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from recurra.errors import DataError

Level = Literal["char", "word"]
END_OF_LINE = "<eos>"
SKIP_HINT = "(--skip-bad leaves such rows out)"  # ends every message about a row that it helps with
CLOSING = tuple(".,;:!?)]’'")  # marks that stand close behind a word
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]", re.UNICODE)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file (or of UTF-16 that says so); a byte-order mark is dropped, CRLF and CR become LF.

    Raises:
        DataError: missing, a folder, unreadable, or not UTF-8 (line named).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    try:
        # a byte-order mark tells UTF-16 for sure, which is what some programs call Unicode
        text = raw.decode("utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        place = f"byte {error.start}: 0x{raw[error.start]:02x}"
        raise DataError(f"{path}, line {line}: not UTF-8 ({place}); save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def tokenize(text: str, level: Level) -> list[str]:
    """Characters, or words and punctuation marks with `<eos>` for each line's end."""
    if level == "char":
        return list(text)
    tokens: list[str] = []
    for line in text.split("\n"):
        tokens += _WORD.findall(line)
        tokens.append(END_OF_LINE)
    return tokens[:-1]


def pieces(tokens: Iterable[str], level: Level) -> Iterator[str]:
    """What each token adds to a readable text."""
    if level == "char":
        yield from tokens
        return
    begun = True  # of the text or of a line
    for token in tokens:
        ends = token == END_OF_LINE
        close = begun or ends or token[:1] in CLOSING
        yield "\n" if ends else token if close else f" {token}"
        begun = ends


def join(tokens: Iterable[str], level: Level) -> str:
    """Readable text of tokens: the inverse of `tokenize` up to spaces."""
    return "".join(pieces(tokens, level))
