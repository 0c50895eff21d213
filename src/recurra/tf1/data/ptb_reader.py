"""tensorflow.models.rnn.ptb.reader: Penn Treebank's words as numbers and batches of them."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.files import PTB, locate
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_MODULES = ("models.rnn.ptb.reader", "models.tutorials.rnn.ptb.reader")


def _exported(name: str) -> list[str]:
    return [f"{module}.{name}" for module in _MODULES]


@tf_export(*_exported("_read_words"))
def read_words(filename: Any) -> list[str]:
    """The words of a file, <eos> at each line's end."""
    return Path(filename).read_text(encoding="utf-8").replace("\n", "<eos>").split()


@tf_export(*_exported("_build_vocab"))
def build_vocab(filename: Any) -> dict[str, int]:
    """Word to number: most frequent first, ties in alphabetical order."""
    counts = collections.Counter(read_words(filename))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {word: i for i, (word, _) in enumerate(ranked)}


@tf_export(*_exported("_file_to_word_ids"))
def file_to_word_ids(filename: Any, word_to_id: dict[str, int]) -> list[int]:
    """The numbers of a file's known words."""
    return [word_to_id[word] for word in read_words(filename) if word in word_to_id]


@tf_export(*_exported("ptb_raw_data"))
def ptb_raw_data(data_path: str | None = None) -> tuple[list[int], list[int], list[int], int]:
    """(train, valid, test, vocabulary size) of data_path's ptb.*.txt, or of the data folder's."""
    folder = Path(data_path or ".")
    if not (folder / "ptb.train.txt").is_file():
        folder = locate(PTB)
    files = [folder / f"ptb.{part}.txt" for part in ("train", "valid", "test")]
    word_to_id = build_vocab(files[0])
    train, valid, test = (file_to_word_ids(file, word_to_id) for file in files)
    return train, valid, test, len(word_to_id)


@tf_export(*_exported("ptb_iterator"))
def ptb_iterator(raw_data: Any, batch_size: int, num_steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(words, next words) [batch_size, num_steps] along the text."""
    raw = np.array(raw_data, dtype=np.int32)
    width = len(raw) // batch_size
    data = raw[: batch_size * width].reshape(batch_size, width)
    epoch_size = (width - 1) // num_steps
    if epoch_size == 0:
        raise ValueError("epoch_size == 0, decrease batch_size or num_steps")
    for i in range(epoch_size):
        at = i * num_steps
        yield data[:, at : at + num_steps], data[:, at + 1 : at + num_steps + 1]


@tf_export(*_exported("ptb_producer"))
def ptb_producer(raw_data: Any, batch_size: int, num_steps: int, name: str | None = None) -> tuple[Any, Any]:
    """The same as tensors that a queue of positions drives."""
    with tf.name_scope(name, "PTBProducer", [raw_data, batch_size, num_steps]):
        raw = tf.convert_to_tensor(raw_data, name="raw_data", dtype=tf.int32)
        width = len(raw_data) // batch_size
        data = tf.reshape(raw[: batch_size * width], [batch_size, width])
        epoch_size = (width - 1) // num_steps
        if epoch_size <= 0:
            raise ValueError("epoch_size == 0, decrease batch_size or num_steps")
        i = tf.train.range_input_producer(epoch_size, shuffle=False).dequeue()
        x = tf.strided_slice(data, [0, i * num_steps], [batch_size, (i + 1) * num_steps])
        y = tf.strided_slice(data, [0, i * num_steps + 1], [batch_size, (i + 1) * num_steps + 1])
        x.set_shape([batch_size, num_steps])
        y.set_shape([batch_size, num_steps])
        return x, y
