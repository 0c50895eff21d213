"""Two tasks for a sequence-to-sequence model that are made, not collected: words backwards, and sums.

python -m recurra.data.puzzles reversal 20000 > reversal.tsv
python -m recurra.data.puzzles arithmetic 150000 > arithmetic.tsv
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 15
"""Letters of the longest word."""
DIGITS = 3
"""Digits of the greatest number."""


def reversal(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """`count` different words of 1 to 15 random letters, each with its letters from last to first."""

    def word(generator: np.random.Generator) -> tuple[str, str]:
        letters = "".join(generator.choice(list(LETTERS), generator.integers(1, LONGEST + 1)))
        return letters, letters[::-1]

    return _different(word, count, len(LETTERS) ** 4, seed)


def arithmetic(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """`count` different sums and differences of two numbers of up to three digits: `("207-58", "149")`."""

    def problem(generator: np.random.Generator) -> tuple[str, str]:
        a, b = (int(generator.integers(10 ** generator.integers(1, DIGITS + 1))) for _ in "ab")
        return (f"{a}+{b}", str(a + b)) if generator.integers(2) else (f"{a}-{b}", str(a - b))

    return _different(problem, count, 10 ** (2 * DIGITS), seed)


def _different(
    draw: Callable[[np.random.Generator], tuple[str, str]], count: int, most: int, seed: int
) -> list[tuple[str, str]]:
    """`count` pairs of different sources, a function of the seed alone."""
    if not 0 <= count <= most:
        raise ValueError(f"`count` must lie in 0..{most}, got {count}")
    generator = np.random.Generator(np.random.PCG64(seed))
    made: dict[str, str] = {}
    while len(made) < count:
        made.setdefault(*draw(generator))
    return list(made.items())


if __name__ == "__main__":
    for source, target in {"reversal": reversal, "arithmetic": arithmetic}[sys.argv[1]](int(sys.argv[2])):
        print(f"{source}\t{target}")
