"""Numbers that say how good predictions are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confusion(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts `[classes, classes]`: row the truth, column the prediction."""
    return np.bincount(targets * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def macro_f1(targets: np.ndarray, predictions: np.ndarray, classes: int) -> float:
    """The mean over classes, that are in the targets or the predictions, of 2·hits / (targets + predictions)."""
    counts = confusion(targets, predictions, classes)
    hits, total = np.diag(counts), counts.sum(0) + counts.sum(1)
    present = total > 0
    return float(np.mean(2 * hits[present] / total[present])) if present.any() else 0.0


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """(type, first, one past last) of the entities in a BIO sequence; an I- after another type or O begins one
    (conlleval's rule)."""
    found: set[tuple[str, int, int]] = set()
    kind, start = "", 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and (prefix != "I" or name != kind):
            found.add((kind, start, i))
            kind = ""
        if prefix in ("B", "I") and not kind:
            kind, start = name, i
    return found


def entity_scores(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of whole entities over all sentences (micro average)."""
    hits = real = claimed = 0
    for gold, guess in zip(truth, predicted, strict=True):
        a, b = entities(gold), entities(guess)
        hits, real, claimed = hits + len(a & b), real + len(a), claimed + len(b)
    precision, recall = hits / max(claimed, 1), hits / max(real, 1)
    return {"precision": precision, "recall": recall, "f1": 2 * hits / max(claimed + real, 1)}
