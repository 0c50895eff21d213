"""From examples to batches: padding, and an order that depends on nothing but (seed, epoch).

A run can be killed anywhere and go on exactly there because a batch is a function of (seed, epoch, position in the
epoch): nothing that was drawn before has to be remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Batch(NamedTuple):
    """What a model reads in one step.

    Attributes:
        inputs: `[B, T, F]` floats or `[B, T]` token numbers.
        lengths: `[B]` real steps per row, or None when every row is full.
        targets: `[B]` classes, `[B, T]` tokens or tags, `[B, horizon]` values.
        rows: `[B]` indices of the examples in their data set.
    """

    inputs: Tensor
    lengths: Tensor | None
    targets: Tensor
    rows: np.ndarray

    @property
    def size(self) -> int:
        """Rows in the batch."""
        return int(self.inputs.shape[0])


def epoch_generator(seed: int, epoch: int, stream: int = 0) -> np.random.Generator:
    """The generator of everything random about one epoch's order."""
    return np.random.Generator(np.random.PCG64([seed, epoch, stream]))


def shuffled_batches(
    count: int, batch_size: int, seed: int, epoch: int, *, drop_last: bool = False
) -> list[np.ndarray]:
    """The epoch's batches as index arrays: a permutation of `count` examples, cut evenly.

    With `drop_last` the batch number is rounded down and the remainder spread (as document 001's shuffle_batch
    does), so that every example is used and no batch is small.
    """
    order = epoch_generator(seed, epoch).permutation(count)
    if drop_last:
        return np.array_split(order, max(1, count // batch_size))
    return [order[i : i + batch_size] for i in range(0, count, batch_size)]


def batches_by_length(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Shuffled batches of rows with similar lengths, so that little is padded: sorted inside shuffled blocks of 50
    batches."""
    generator = epoch_generator(seed, epoch)
    order = generator.permutation(len(lengths))
    steps = np.asarray(lengths)
    block = 50 * batch_size
    batches: list[np.ndarray] = []
    for start in range(0, len(order), block):
        part = order[start : start + block]
        part = part[np.argsort(steps[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def equal_lengths(rows: Sequence[Sized]) -> list[list[int]]:
    """The indices of `rows`, those of one length together, for a model that has to see rows without padding."""
    found: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        found.setdefault(len(row), []).append(index)
    return list(found.values())


def pad_tokens(rows: Sequence[Sequence[int]], value: int = 0) -> tuple[Tensor, Tensor]:
    """Token rows as `[B, T]` int64 (T: the longest, at least 1) and their lengths `[B]`."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    padded = np.full((len(rows), max(1, int(lengths.max()) if len(rows) else 1)), value, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded), lengths


def pad_values(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Rows `[T_i, F]` as `[B, T, F]` float32, zeros past the end, and their lengths `[B]`."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    features = rows[0].shape[1]
    padded = np.zeros((len(rows), max(1, int(lengths.max())), features), dtype=np.float32)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded), lengths


class Examples:
    """Sequences with one target each (a class, or a vector).

    Args:
        inputs: an array `[N, T, F]` (all of one length), a list of `[T_i, F]` arrays, or a list of token lists.
        targets: `[N]` classes (int) or `[N, K]` values (float).
    """

    def __init__(self, inputs: np.ndarray | Sequence[np.ndarray] | Sequence[Sequence[int]], targets: np.ndarray):
        self.targets = torch.as_tensor(targets)
        self.dense = torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else None
        self.rows = None if self.dense is not None else list(inputs)
        self.tokens = self.rows is not None and bool(self.rows) and not isinstance(self.rows[0], np.ndarray)
        if len(inputs) != len(targets):
            raise ValueError(f"inputs: {len(inputs)} examples, targets: {len(targets)}; expected as many")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> list[int]:
        """Steps of every example."""
        if self.dense is not None:
            return [self.dense.shape[1]] * len(self)
        assert self.rows is not None
        return [len(row) for row in self.rows]

    def batch(self, indices: np.ndarray) -> Batch:
        """The examples at `indices`, padded to the longest of them."""
        where = torch.from_numpy(np.asarray(indices))
        if self.dense is not None:
            return Batch(self.dense[where], None, self.targets[where], indices)
        assert self.rows is not None
        chosen = [self.rows[i] for i in indices]
        inputs, lengths = pad_tokens(chosen) if self.tokens else pad_values(chosen)
        return Batch(inputs, lengths, self.targets[where], indices)

    def chunks(self, size: int, most: int | None = None) -> Iterator[Batch]:
        """All examples (or the first `most`) in order, for evaluation; ragged ones in order of length, so that
        little is padded."""
        count = len(self) if most is None else min(most, len(self))
        order = np.arange(count)
        if self.rows is not None:
            order = order[np.argsort(np.asarray(self.lengths[:count]), kind="stable")]
        for start in range(0, count, size):
            yield self.batch(order[start : start + size])


def stream_rows(tokens: np.ndarray, batch_size: int) -> np.ndarray:
    """A text `[N]` cut into `batch_size` rows `[batch_size, N // batch_size]` that are read in parallel
    (ptb_word_lm's reader)."""
    width = len(tokens) // batch_size
    return tokens[: batch_size * width].reshape(batch_size, width)


class Stream:
    """A long text read as parallel rows in windows of `steps`, each token predicting the next; state is carried from
    window to window.

    Args:
        tokens: `[N]` token numbers.
        batch_size: rows.
        steps: window length (truncated back-propagation).
        tail: also give the last, shorter window (evaluation counts every token).
    """

    def __init__(self, tokens: np.ndarray, batch_size: int, steps: int, *, tail: bool = False):
        self.rows = torch.from_numpy(stream_rows(np.asarray(tokens, dtype=np.int64), batch_size))
        self.steps = steps
        predictions = self.rows.shape[1] - 1
        self.windows = -(-predictions // steps) if tail else predictions // steps
        if predictions < 1 or self.windows < 1:
            raise ValueError(
                f"text: {len(tokens)} tokens are too few for {batch_size} rows of {steps} steps; "
                "make batch_size or bptt smaller"
            )

    def __len__(self) -> int:
        return self.windows

    def window(self, index: int, rows: slice = slice(None)) -> Batch:
        """Window `index`: inputs `[B, t]`, targets the same one step later."""
        start = index * self.steps
        stop = min(start + self.steps, self.rows.shape[1] - 1)
        part = self.rows[rows]
        return Batch(part[:, start:stop], None, part[:, start + 1 : stop + 1], np.arange(part.shape[0]))
