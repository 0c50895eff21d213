"""Metrics against scikit-learn and against conlleval's rules by hand."""

import numpy as np
import pytest

from recurra.training import metrics


def test_macro_f1_is_scikit_learns():
    score = pytest.importorskip("sklearn.metrics").f1_score
    generator = np.random.default_rng(0)
    for classes in (2, 5):
        truth, guess = generator.integers(0, classes, (2, 200))
        assert metrics.macro_f1(truth, guess, classes) == pytest.approx(score(truth, guess, average="macro"))
    assert metrics.macro_f1(np.array([0, 0]), np.array([0, 1]), 9) == pytest.approx(
        score([0, 0], [0, 1], average="macro", zero_division=0)
    )


def test_confusion_counts_truth_in_rows():
    assert metrics.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-PER I-PER O", {("PER", 1, 3)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("I-LOC I-PER", {("LOC", 0, 1), ("PER", 1, 2)}),
        ("B-LOC I-PER I-PER", {("LOC", 0, 1), ("PER", 1, 3)}),
        ("O O", set()),
        ("", set()),
        ("B-a-b I-a-b", {("a-b", 0, 2)}),
    ],
)
def test_entities(tags, found):
    assert metrics.entities(tags.split()) == found


def test_entity_scores_count_whole_entities():
    truth = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC"]]
    guess = [["B-PER", "O", "O", "B-LOC"], ["O"]]
    scores = metrics.entity_scores(truth, guess)
    assert scores == {"precision": pytest.approx(1 / 2), "recall": pytest.approx(1 / 3), "f1": pytest.approx(2 / 5)}
