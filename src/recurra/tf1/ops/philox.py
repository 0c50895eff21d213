"""TensorFlow's own random numbers: Philox 4x32-10 and the distributions that its CPU kernels draw from it.

Everything here is NumPy and knows no graph: an op owns a `Philox` (its seed pair and how far it has run) and asks it
for one array per execution. Two executions with the same seed pair at the same position give the same bits as
TensorFlow 1.15 on a CPU.

The generator follows Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011); the layout of words in
outputs was checked against arrays that TensorFlow 1.15 wrote (tests/tf1/test_philox.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

__all__ = ["DEFAULT_GRAPH_SEED", "Philox", "StatelessPhilox", "seed_pair"]

DEFAULT_GRAPH_SEED = 87654321
_SEED_MODULUS = 2**31 - 1

_M0, _M2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
_CHUNK = 1 << 13  # blocks at a time: the working set stays in the second-level cache
_BLOCKS_PER_OUTPUT = 256  # what an execution reserves per output, whatever it uses
_TRUNCATE = 2.0


def seed_pair(graph_seed: int | None, op_seed: int | None, op_id: int = 0) -> tuple[int, int]:
    """The pair (seed, seed2) of an op, `(0, 0)` meaning "nondeterministic".

    `op_id` is the number of operations made so far in the graph, used when only the graph has a seed.
    """
    if graph_seed is None and op_seed is None:
        return 0, 0
    first = DEFAULT_GRAPH_SEED if graph_seed is None else graph_seed
    second = op_id if op_seed is None else op_seed
    first, second = int(first) % _SEED_MODULUS, int(second) % _SEED_MODULUS
    return (0, _SEED_MODULUS) if (first, second) == (0, 0) else (first, second)


def _rounds(words: list[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """Ten Philox rounds over four uint64 arrays that hold 32-bit words."""
    c0, c1, c2, c3 = words
    k0, k1 = key
    for _ in range(10):
        p0, p2 = c0 * _M0, c2 * _M2
        np.bitwise_xor(c1, np.uint64(k0), out=c1)
        np.bitwise_xor(c3, np.uint64(k1), out=c3)
        n0 = p2 >> _HIGH
        n0 ^= c1
        n2 = p0 >> _HIGH
        n2 ^= c3
        p2 &= _LOW
        p0 &= _LOW
        c0, c1, c2, c3 = n0, p2, n2, p0
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def _blocks(key: tuple[int, int], counter_high: tuple[int, int], index: np.ndarray) -> np.ndarray:
    """The 128-bit outputs for the low counters `index` (uint64), as uint32 words `[len(index), 4]`."""
    out = np.empty((len(index), 4), np.uint32)
    for at in range(0, len(index), _CHUNK):
        low = index[at : at + _CHUNK]
        words = [low & _LOW, low >> _HIGH, *(np.full(len(low), c, np.uint64) for c in counter_high)]
        for column, word in enumerate(_rounds(words, key)):
            out[at : at + _CHUNK, column] = word
    return out


def _unit_float32(words: np.ndarray) -> np.ndarray:
    """uint32 -> float32 in [0, 1): 23 bits of mantissa."""
    return ((words & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def _unit_float64(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Two uint32 words -> float64 in [0, 1): 20 bits from the first, 32 from the second."""
    mantissa = ((high.astype(np.uint64) & np.uint64(0xFFFFF)) << _HIGH) | low
    return (mantissa | np.uint64(1023 << 52)).view(np.float64) - 1.0


def _unit_float16(words: np.ndarray) -> np.ndarray:
    bits = (words.astype(np.uint16) & np.uint16(0x3FF)) | np.uint16(15 << 10)
    return bits.view(np.float16) - np.float16(1)


def _box_muller_float32(pairs: np.ndarray) -> np.ndarray:
    """uint32 `[N, 2]` -> normal float32 `[N, 2]`: (r sin v, r cos v).

    Sine, cosine and logarithm are taken in float64 and rounded, which is what a good libm gives for float32.
    """
    radius_unit = np.maximum(_unit_float32(pairs[:, 0]), np.float32(1e-7))
    angle = (2.0 * np.pi * _unit_float32(pairs[:, 1]).astype(np.float64)).astype(np.float32).astype(np.float64)
    log = np.log(radius_unit.astype(np.float64)).astype(np.float32)
    radius = np.sqrt(np.float32(-2) * log)
    out = np.empty(pairs.shape, np.float32)
    np.multiply(np.sin(angle).astype(np.float32), radius, out=out[:, 0])
    np.multiply(np.cos(angle).astype(np.float32), radius, out=out[:, 1])
    return out


def _box_muller_float64(quads: np.ndarray) -> np.ndarray:
    """uint32 `[N, 4]` -> normal float64 `[N, 2]`."""
    unit = np.maximum(_unit_float64(quads[:, 0], quads[:, 1]), 1e-7)
    angle = 2.0 * np.pi * _unit_float64(quads[:, 2], quads[:, 3])
    radius = np.sqrt(-2.0 * np.log(unit))
    return np.stack([np.sin(angle) * radius, np.cos(angle) * radius], axis=1)


class Philox:
    """The stream of one random op: a seed pair and the number of 128-bit blocks already handed out."""

    def __init__(self, seed: int, seed2: int, position: int = 0) -> None:
        self.key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
        self.counter_high = (seed2 & 0xFFFFFFFF, (seed2 >> 32) & 0xFFFFFFFF)
        self.position = position

    def reserve(self, blocks: int) -> int:
        """Advance by `blocks` and return where they start."""
        start, self.position = self.position, self.position + blocks
        return start

    def _reserve_outputs(self, count: int) -> int:
        """What TensorFlow's fillers reserve: 256 words an output, rounded up to whole blocks."""
        return self.reserve(count * _BLOCKS_PER_OUTPUT)

    def blocks(self, start: int, count: int) -> np.ndarray:
        """uint32 `[count, 4]` from block `start` on."""
        return self._at(np.arange(start, start + count, dtype=np.uint64))

    def _at(self, index: np.ndarray) -> np.ndarray:
        return _blocks(self.key, self.counter_high, index)

    def words(self, start: int) -> Iterator[int]:
        """Single 32-bit words from block `start` on, without end."""
        while True:
            yield from self.blocks(start, 64).ravel().tolist()
            start += 64

    def uniform(self, shape: Sequence[int], dtype: np.dtype | type = np.float32) -> np.ndarray:
        """Uniform in [0, 1): float16, float32 or float64."""
        return self._fill(shape, dtype, self._uniform_values)

    def normal(self, shape: Sequence[int], dtype: np.dtype | type = np.float32) -> np.ndarray:
        """Standard normal: float16, float32 or float64."""
        return self._fill(shape, dtype, self._normal_values)

    def truncated_normal(self, shape: Sequence[int], dtype: np.dtype | type = np.float32) -> np.ndarray:
        """Standard normal conditioned on |z| < 2."""
        return self._fill(shape, dtype, self._truncated_values)

    def integers(self, shape: Sequence[int], low: int, high: int, dtype: np.dtype | type = np.int32) -> np.ndarray:
        """Integers in [low, high), int32 or int64, with TensorFlow's slight bias (a plain modulus)."""
        span = np.uint64(high - low)

        def values(start: int, count: int, kind: np.dtype) -> np.ndarray:
            per_block = 4 if kind == np.int32 else 2
            words = self.blocks(start, -(-count // per_block)).astype(np.uint64)
            if per_block == 2:
                words = words[:, 0::2] | (words[:, 1::2] << _HIGH)
            return (words.ravel() % span).astype(np.int64) + low

        return self._fill(shape, dtype, values)

    def _fill(
        self, shape: Sequence[int], dtype: np.dtype | type, values: Callable[[int, int, np.dtype], np.ndarray]
    ) -> np.ndarray:
        kind = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        start = self._reserve_outputs(count)
        return values(start, count, kind)[:count].astype(kind, copy=False).reshape(tuple(shape))

    def _uniform_values(self, start: int, count: int, kind: np.dtype) -> np.ndarray:
        if kind == np.float64:
            words = self.blocks(start, -(-count // 2))
            return _unit_float64(words[:, 0::2], words[:, 1::2]).ravel()
        words = self.blocks(start, -(-count // 4)).ravel()
        return _unit_float16(words) if kind == np.float16 else _unit_float32(words)

    def _normal_values(self, start: int, count: int, kind: np.dtype) -> np.ndarray:
        if kind == np.float64:
            return _box_muller_float64(self.blocks(start, -(-count // 2))).ravel()
        return _box_muller_float32(self.blocks(start, -(-count // 4)).reshape(-1, 2)).ravel()

    def _truncated_values(self, start: int, count: int, kind: np.dtype) -> np.ndarray:
        """Each group of outputs has its own run of blocks and takes the accepted draws in order."""
        group = 2 if kind == np.float64 else 4
        groups = -(-count // group)
        base = np.uint64(start) + np.arange(groups, dtype=np.uint64) * np.uint64(group * _BLOCKS_PER_OUTPUT // 4)
        out = np.empty((groups, group), np.float64 if kind == np.float64 else np.float32)
        filled = np.zeros(groups, np.int64)
        rows, step = np.arange(groups), 0
        while rows.size:
            self._take_accepted(out, filled, rows, self._at(base[rows] + np.uint64(step)), kind)
            rows = rows[filled[rows] < group]
            step += 1
        return out.ravel()

    @staticmethod
    def _take_accepted(
        out: np.ndarray, filled: np.ndarray, rows: np.ndarray, words: np.ndarray, kind: np.dtype
    ) -> None:
        """Append the draws of one block per row with |z| < 2, until the row is full."""
        draws = _box_muller_float64(words) if kind == np.float64 else _box_muller_float32(words.reshape(-1, 2))
        draws = draws.reshape(len(rows), -1)
        width = out.shape[1]
        for column in range(draws.shape[1]):
            values = draws[:, column]
            keep = (np.abs(values) < _TRUNCATE) & (filled[rows] < width)
            kept = rows[keep]
            out[kept, filled[kept]] = values[keep]
            filled[kept] += 1

    def multinomial(self, logits: np.ndarray, samples: int, dtype: np.dtype | type = np.int64) -> np.ndarray:
        """Class indices `[B, samples]` drawn from unnormalised log-probabilities `[B, C]`."""
        batch = logits.shape[0]
        start = self._reserve_outputs(batch * (-(-samples // 4) * 4) * 2)
        words = self.blocks(start, -(-batch * samples // 2))
        unit = _unit_float64(words[:, 0::2], words[:, 1::2]).ravel()[: batch * samples].reshape(batch, samples)
        finite = np.isfinite(logits)
        peak = np.max(logits, axis=1, keepdims=True, where=finite, initial=np.finfo(logits.dtype).min)
        mass = np.where(finite, np.exp(logits.astype(np.float64) - peak.astype(np.float64)), 0.0)
        cumulative = np.cumsum(mass, axis=1)
        out = np.empty((batch, samples), dtype)
        for row in range(batch):
            out[row] = np.searchsorted(cumulative[row], unit[row] * cumulative[row, -1], side="right")
        return out

    def permutation(self, size: int) -> np.ndarray:
        """The order in which `random_shuffle` puts `size` rows (int64 `[size]`)."""
        order = np.arange(size)
        if size < 2:
            return order
        blocks = -(-(size - 1) // 4)
        words = self.blocks(self.reserve(blocks), blocks).ravel()[: size - 1].astype(np.int64)
        picks = (words % np.arange(size, 1, -1)).tolist()
        shuffled = order.tolist()
        for i, pick in enumerate(picks):
            shuffled[i], shuffled[i + pick] = shuffled[i + pick], shuffled[i]
        return np.asarray(shuffled)


class StatelessPhilox(Philox):
    """The stream of a `stateless_random_*` op: key and counter are scrambled from its two seeds, nothing advances."""

    def __init__(self, seed: int, seed2: int) -> None:
        mixed = [np.array([w], np.uint64) for w in _halves(seed) + _halves(seed2)]
        key0, key1, high0, high1 = (int(w[0]) for w in _rounds(mixed, (0x3EC8F720, 0x02461E29)))
        super().__init__(key0 | key1 << 32, high0 | high1 << 32)


def _halves(seed: int) -> list[int]:
    return [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
