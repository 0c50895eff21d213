"""Candidate samplers: which negative classes a sampled loss sees, and how often each was to be expected.

The draws follow TensorFlow's CPU kernels word by word, so a seeded sampler repeats TensorFlow's candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from recurra.tf1.ops.philox import Philox

__all__ = ["Candidates", "RangeSampler", "fixed_unigram", "learned_unigram", "log_uniform", "sample", "uniform"]

_WORDS_PER_SAMPLE = 2048


class Candidates(NamedTuple):
    """`sampled` int64 `[S]`; `true_expected` float32 as the true classes, `sampled_expected` float32 `[S]`."""

    sampled: np.ndarray
    true_expected: np.ndarray
    sampled_expected: np.ndarray


class RangeSampler(NamedTuple):
    """A distribution over 0 … n-1: one draw from a stream of 32-bit words, and the probability of a class."""

    draw: Callable[[Iterator[int]], int]
    probability: Callable[[int], float]
    seen: Callable[[Sequence[int]], None] | None = None


def _unit_double(words: Iterator[int]) -> float:
    high, low = next(words) & 0xFFFFF, next(words)
    return ((high << 32) | low) / 2.0**52


def _unit_float(words: Iterator[int]) -> float:
    return (next(words) & 0x7FFFFF) / 2.0**23


def _below(words: Iterator[int], n: int) -> int:
    """An unbiased integer in [0, n)."""
    if n & (n - 1) == 0:
        return next(words) & (n - 1)
    reject = 0xFFFFFFFF % n + 1
    while (word := next(words)) < reject:
        pass
    return word % n


def _below64(words: Iterator[int], n: int) -> int:
    """The same from two words at a time."""
    reject = 0 if n & (n - 1) == 0 else (2**64 - 1) % n + 1
    while (word := next(words) | next(words) << 32) < reject:
        pass
    return word % n


def uniform(n: int) -> RangeSampler:
    return RangeSampler(lambda words: _below64(words, n), lambda _: 1.0 / n)


def log_uniform(n: int) -> RangeSampler:
    """Zipfian: P(class) = log((class + 2) / (class + 1)) / log(n + 1)."""
    log_range = math.log1p(n)
    return RangeSampler(
        lambda words: (int(math.exp(_unit_double(words) * log_range)) - 1) % n,
        lambda value: math.log((value + 2.0) / (value + 1.0)) / log_range,
    )


def fixed_unigram(weights: Sequence[float]) -> RangeSampler:
    """Proportional to `weights`, by Walker's alias method."""
    n, total = len(weights), float(sum(weights))
    keep = [w * n / total for w in weights]
    other = list(range(n))
    low = [i for i in range(n) if keep[i] < 1.0]
    high = [i for i in range(n) if keep[i] >= 1.0]
    shares = list(keep)
    while low and high:
        small, large = low.pop(), high.pop()
        other[small], shares[small] = large, keep[small]
        keep[large] -= 1.0 - keep[small]
        (low if keep[large] < 1.0 else high).append(large)
    for i in low + high:
        shares[i] = 1.0

    def draw(words: Iterator[int]) -> int:
        unit = _unit_float(words)
        index = _below(words, n)
        return index if unit < shares[index] else other[index]

    return RangeSampler(draw, lambda value: weights[value] / total)


def learned_unigram(n: int) -> RangeSampler:
    """Proportional to one plus how often a class was a true class so far."""
    counts = np.ones(n, np.int64)

    def draw(words: Iterator[int]) -> int:
        return int(np.searchsorted(np.cumsum(counts), _below(words, int(counts.sum())), side="right"))

    def seen(classes: Sequence[int]) -> None:
        np.add.at(counts, list(classes), 1)

    return RangeSampler(draw, lambda value: float(counts[value] / counts.sum()), seen)


def sample(sampler: RangeSampler, true_classes: np.ndarray, count: int, unique: bool, stream: Philox) -> Candidates:
    """Draw `count` candidates (all different if `unique`) and the expected counts of them and of the true classes."""
    words = stream.words(stream.reserve(-(-_WORDS_PER_SAMPLE * count // 4)))
    drawn: list[int] = []
    used: set[int] = set()
    tries = 0
    while len(drawn) < count:
        value = sampler.draw(words)
        tries += 1
        if unique and value in used:
            continue
        used.add(value)
        drawn.append(value)

    def expected(classes):
        return np.array([_expected(sampler.probability(int(c)), count, tries) for c in classes.ravel()], np.float32)

    sampled = np.array(drawn, np.int64)
    result = Candidates(sampled, expected(true_classes).reshape(true_classes.shape), expected(sampled))
    if sampler.seen:
        sampler.seen(true_classes.ravel().tolist())
    return result


def _expected(probability: float, count: int, tries: int) -> float:
    """How often a class is expected in the batch; with rejection, the chance that it was seen at all."""
    return probability * count if tries == count else -math.expm1(tries * math.log1p(-probability))
