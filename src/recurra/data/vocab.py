"""Vocabularies: tokens ↔ numbers, stored with the model as plain lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

UNKNOWN = "<unk>"
PADDING = "<pad>"
END = "<end>"


class Vocabulary:
    """Tokens in a fixed order. With `unknown`, a token that is not in it has that token's number.

    Args:
        tokens: in the order of their numbers.
        unknown: the token that stands for all others; None refuses them with a KeyError.
    """

    def __init__(self, tokens: Sequence[str], unknown: str | None = UNKNOWN):
        self.tokens = list(tokens)
        self.number = {token: i for i, token in enumerate(self.tokens)}
        self.unknown = unknown if unknown in self.number else None

    @classmethod
    def of(
        cls,
        tokens: Iterable[str],
        *,
        special: Sequence[str] = (PADDING, UNKNOWN),
        min_count: int = 1,
        most: int | None = None,
    ) -> Vocabulary:
        """The tokens seen at least `min_count` times, most frequent first, ties by text, after the `special` ones."""
        counts = Counter(tokens)
        for token in special:
            counts.pop(token, None)
        ordered = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
        if most is not None:
            ordered = ordered[: max(0, most - len(special))]
        return cls([*special, *ordered])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.number

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Numbers of `tokens`."""
        if self.unknown is None:
            return [self.number[token] for token in tokens]
        other = self.number[self.unknown]
        return [self.number.get(token, other) for token in tokens]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Tokens of `numbers`."""
        return [self.tokens[i] for i in numbers]
