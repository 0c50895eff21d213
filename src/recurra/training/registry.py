"""The recipes: name → config, task, help. No torch here; a task's module is imported when it is used.

To add one: a config in `configs.py` (or your own module), a `Task` subclass, a line here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recurra.errors import ConfigError
from recurra.training.config import RunConfig, nearest

if TYPE_CHECKING:
    from recurra.training.task import Task


@dataclass(frozen=True)
class Recipe:
    """A named experiment.

    Attributes:
        name: as in `recurra train NAME`.
        config: `module:Class` of its options.
        task: `module:Class` of its task.
        help: one line.
        data: what the positional argument is called and means, for recipes that read a person's files; None for the
            others.
        made: what may stand there instead of a file: data that the recipe makes itself.
    """

    name: str
    config: str
    task: str
    help: str
    data: tuple[str, str] | None = None
    made: tuple[str, ...] = ()

    def config_class(self) -> type[RunConfig]:
        """The class of its options."""
        return _import(self.config)

    def task_class(self) -> type[Task[Any]]:
        """The class of its task."""
        return _import(self.task)


def _import(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def _recipe(
    name: str, config: str, task: str, help: str, data: tuple[str, str] | None = None, made: tuple[str, ...] = ()
) -> Recipe:
    return Recipe(name, f"recurra.training.configs:{config}", f"recurra.training.tasks.{task}", help, data, made)


_ALL = (
    _recipe("digits", "DigitsConfig", "images:Digits", "scikit-learn's digits, row by row (embedded data)"),
    _recipe("mnist", "MnistConfig", "images:Mnist", "stacked or bidirectional cells on MNIST rows (document 001)"),
    _recipe("mnist-static", "MnistStaticConfig", "images:MnistStatic", "one LSTM, gradient descent (document 003)"),
    _recipe("names", "NamesConfig", "names:Names", "nationality of surnames: output or state? (document 000)"),
    _recipe("ptb", "PtbConfig", "language:Ptb", "word language model, ptb_word_lm's settings (document 002)"),
    _recipe("toy-binary", "ToyConfig", "toy:ToyBinary", "two binary digits and the layout trap (document 004)"),
    _recipe(
        "classify",
        "ClassifyConfig",
        "classify:Classify",
        "your own labelled sequences",
        ("DATA", "CSV, TSV or JSONL with text or numeric sequence columns, or a folder (a file or a folder per class)"),
    ),
    _recipe("lm", "LmConfig", "language:OwnText", "a language model of your own text", ("TEXT", "a UTF-8 text file")),
    _recipe(
        "tag",
        "TagConfig",
        "tagging:Tagging",
        "tag tokens, BiLSTM with or without CRF",
        ("CONLL", "a token and its tag per line, sentences apart by empty lines; or CSV, JSONL"),
    ),
    _recipe(
        "forecast",
        "ForecastConfig",
        "forecasting:Forecasting",
        "forecast one or several series",
        ("CSV", "a table (CSV, TSV, JSONL) with one row per time step"),
    ),
    _recipe(
        "seq2seq",
        "Seq2SeqConfig",
        "seq2seq:Sequences",
        "write a sequence for a sequence, with attention",
        ("PAIRS", "a file with a source and a target per line, apart by a tab; `dates` makes some"),
        ("dates", "reversal", "arithmetic"),
    ),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}


def get(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigError: unknown; the nearest known name is given.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; {nearest(name, RECIPES).replace('_', '-')}")
    return RECIPES[name]
