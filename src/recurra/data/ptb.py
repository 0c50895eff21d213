"""Penn Treebank in Mikolov's preparation (`ptb.train.txt` …), as ptb_word_lm's reader takes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.data.files import PTB, locate
from recurra.data.text import read_text
from recurra.data.vocab import Vocabulary
from recurra.errors import DataError


class TextSplits(NamedTuple):
    """Token numbers `[N]` int64 of three texts, and their vocabulary."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: Vocabulary


def read_words(path: Path) -> list[str]:
    """The words of a PTB file, `<eos>` at each line's end."""
    return read_text(path).replace("\n", " <eos> ").split()


def load(data_dir: Path | None = None) -> TextSplits:
    """The three parts with the vocabulary of the training text, most frequent word first, ties by text (10,000 words).

    Words of the other parts that are not in it are left out, as in ptb_word_lm (the real files have none).
    """
    folder = locate(PTB, data_dir)
    words = [read_words(folder / f"ptb.{part}.txt") for part in ("train", "valid", "test")]
    for part, content in zip(("train", "valid", "test"), words, strict=True):
        if not content:
            raise DataError(f"{folder / f'ptb.{part}.txt'}: empty")
    vocabulary = Vocabulary.of(words[0], special=())
    numbers = [np.array([vocabulary.number[w] for w in part if w in vocabulary], dtype=np.int64) for part in words]
    return TextSplits(numbers[0], numbers[1], numbers[2], vocabulary)
