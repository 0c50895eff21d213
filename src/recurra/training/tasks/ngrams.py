"""The classical method that a recurrent classifier of text must beat: logistic regression on n-grams (scikit-learn)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np


def ngram_baseline(
    train: Sequence[str],
    train_labels: np.ndarray,
    test: Sequence[str],
    test_labels: np.ndarray,
    level: Literal["char", "word"],
) -> dict[str, dict[str, float]]:
    """Accuracy and macro F1 of tf-idf n-grams (characters 1 … 4 with word ends, or words 1 … 2) and logistic
    regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    if len(set(train_labels.tolist())) < 2:
        return {}
    char = level == "char"
    kind: dict[str, Any] = (
        {"analyzer": "char_wb", "ngram_range": (1, 4)} if char else {"ngram_range": (1, 2), "token_pattern": r"(?u)\S+"}
    )
    vectors = TfidfVectorizer(lowercase=False, min_df=2 if len(train) > 1000 else 1, **kind)
    try:
        pipe = make_pipeline(vectors, LogisticRegression(C=10.0, max_iter=300)).fit(list(train), train_labels)
    except ValueError:  # no n-gram occurs often enough: there is nothing to compare with
        return {}
    guess = pipe.predict(list(test))
    scores = {
        "accuracy": float(np.mean(guess == test_labels)),
        "macro_f1": float(f1_score(test_labels, guess, average="macro")),
    }
    name = "character 1–4-grams" if char else "word 1–2-grams"
    return {f"{name}, logistic regression": scores}
