"""The recipes from Python: `from recurra import recipes; result = recipes.digits(epochs=5)`.

One function per recipe, with the command line's options as keywords (see `recurra train RECIPE --help`, or
`recipes.options("ptb")`). Each trains, writes the run's folder, and returns its `Result`;
`recipes.load(result.path)` gives the trained model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recurra.training.config import build
from recurra.training.registry import get
from recurra.training.runs import Result, Trained, load, resume, train

__all__ = [
    "Result",
    "Trained",
    "classify",
    "digits",
    "forecast",
    "lm",
    "load",
    "mnist",
    "mnist_static",
    "names",
    "options",
    "ptb",
    "resume",
    "seq2seq",
    "tag",
    "toy_binary",
]


def options(recipe: str) -> dict[str, str]:
    """The options of a recipe and what they mean."""
    fields = get(recipe).config_class().model_fields
    return {name: f"{field.description} [default: {field.default}]" for name, field in fields.items()}


def _train(recipe: str, values: dict[str, Any], data: str | Path | None = None) -> Result:
    config = build(get(recipe).config_class(), values, f"recipes.{recipe.replace('-', '_')}")
    return train(recipe, config, None if data is None else str(data))


def digits(**options: Any) -> Result:
    """scikit-learn's digits, read row by row."""
    return _train("digits", options)


def mnist(**options: Any) -> Result:
    """Document 001: stacked or bidirectional cells on MNIST rows."""
    return _train("mnist", options)


def mnist_static(**options: Any) -> Result:
    """Document 003: one LSTM trained with plain gradient descent."""
    return _train("mnist-static", options)


def names(**options: Any) -> Result:
    """Document 000: nationality of surnames; `data="document"` for its 35 names."""
    return _train("names", options)


def ptb(**options: Any) -> Result:
    """Document 002: ptb_word_lm's language model."""
    return _train("ptb", options)


def toy_binary(**options: Any) -> Result:
    """Document 004: two binary digits, `layout="right"` or `"wrong"`."""
    return _train("toy-binary", options)


def classify(data: str | Path, **options: Any) -> Result:
    """Your own labelled sequences."""
    return _train("classify", options, data)


def lm(text: str | Path, **options: Any) -> Result:
    """A language model of your own text."""
    return _train("lm", options, text)


def tag(conll: str | Path, **options: Any) -> Result:
    """Tag tokens, with or without a CRF."""
    return _train("tag", options, conll)


def forecast(csv: str | Path, **options: Any) -> Result:
    """Forecast one or several series."""
    return _train("forecast", options, csv)


def seq2seq(pairs: str | Path, **options: Any) -> Result:
    """Write a sequence for a sequence; `pairs="dates"` makes some."""
    return _train("seq2seq", options, pairs)
