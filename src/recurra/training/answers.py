"""What a trained model answers: one class per kind of task, printed as a line by the commands, sent as JSON by the
server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

KEPT = 10  # classes of an answer
PRINTED = 3  # of these, in its line


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classes:
    """The likeliest class, and it with the next likeliest, best first (ten at most)."""

    label: str
    probability: float
    best: list[Candidate]

    @classmethod
    def of(cls, probabilities: Tensor, classes: Sequence[str]) -> Classes:
        """From `probabilities [K]`."""
        values, order = probabilities.topk(min(KEPT, len(classes)))
        best = [Candidate(classes[i], p) for i, p in zip(order.tolist(), values.tolist(), strict=True)]
        return cls(best[0].label, best[0].probability, best)

    def line(self) -> str:
        """`class<TAB>probability`, and the next likeliest behind it."""
        return "\t".join(f"{found.label}\t{found.probability:.4f}" for found in self.best[:PRINTED])


@dataclass(frozen=True, slots=True)
class TaggedToken:
    """A token with its tag and the tag's probability."""

    token: str
    tag: str
    probability: float


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a sentence."""

    tokens: list[TaggedToken]

    def line(self) -> str:
        """`token/tag` pairs and the mean probability of the tags; nothing for an empty sentence."""
        if not self.tokens:
            return ""
        pairs = " ".join(f"{found.token}/{found.tag}" for found in self.tokens)
        return f"{pairs}\t{sum(found.probability for found in self.tokens) / len(self.tokens):.4f}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """The next values of the column that is forecast, in its own unit."""

    values: list[float]

    def line(self) -> str:
        """The values, apart by tabs."""
        return "\t".join(f"{value:.6g}" for value in self.values)


@dataclass(frozen=True, slots=True)
class NextToken:
    """The likeliest next token, its probability, and the perplexity of the text before it (None: there is none)."""

    token: str
    probability: float
    perplexity: float | None

    def line(self) -> str:
        """The three, apart by tabs."""
        known = "–" if self.perplexity is None else f"{self.perplexity:.2f}"
        return f"{self.token!r}\t{self.probability:.4f}\tperplexity {known}"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A written sequence and its score, a log-probability."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Written:
    """The best sequences that were found, best first; none for an empty source."""

    best: list[Hypothesis]

    def line(self) -> str:
        """Text and score of each, all apart by tabs."""
        return "\t".join(f"{found.text}\t{found.score:.4f}" for found in self.best)


Answer = Classes | Tags | Forecast | NextToken | Written
