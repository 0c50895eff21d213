"""Typed configuration of a run: defaults, a YAML file, the command line, in this order, the last one wins.

One Pydantic model per recipe (`recurra.training.configs`). Every field is an option of `recurra train RECIPE`, a key
of the YAML file and a keyword of `recurra.recipes`; an unknown key is refused with the nearest known one. Nothing
here imports torch, so that `recurra train RECIPE --help` answers at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recurra import _slips
from recurra.errors import ConfigError

ConfigT = TypeVar("ConfigT", bound="RunConfig")


def option(default: Any, description: str, panel: str = "Training", **constraints: Any) -> Any:
    """A field that is an option too: its help text and the panel of `--help` it stands in."""
    return Field(default, description=description, json_schema_extra={"panel": panel}, **constraints)


class RunConfig(BaseModel):
    """What every run has: where it goes, how long it may take, how it is optimised."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    out: Path | None = option(None, "folder of this run (default: RUNS/<recipe>-<date>-<time>)", "Run")
    runs: Path = option(Path("runs"), "folder in which run folders are made", "Run")
    seed: int = option(0, "seed of initialisation, shuffling and dropout", "Run", ge=0)
    threads: int | None = option(None, "threads of torch (default: torch's own choice)", "Run", ge=1)
    devices: int = option(1, "processes; the global batch is divided among them (gloo on CPU)", "Run", ge=1)
    device: str = option("cpu", "where to compute: cpu, cuda, cuda:1, …", "Run")
    report: bool = option(True, "write report.html with pictures at the end", "Run")
    progress: bool = option(True, "show a live progress bar", "Run")
    data_dir: Path | None = option(
        None, "folder with the data sets (default: $RECURRA_DATA, else the download cache)", "Data"
    )

    epochs: int = option(10, "passes over the training data at most", ge=1)
    steps: int | None = option(None, "optimiser steps at most", ge=1)
    cpu_minutes: float | None = option(None, "stop after this many CPU minutes of training (all threads counted)", gt=0)
    batch_size: int = option(32, "examples (rows) per optimiser step", ge=1)
    optimizer: Literal["adam", "sgd"] = option("adam", "adam or plain gradient descent")
    learning_rate: float = option(1e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("none", "how the learning rate goes down until the end of the run")
    weight_decay: float = option(0.0, "decoupled weight decay (adam only)", ge=0)
    clip_norm: float | None = option(None, "clip the global norm of the gradient to this", gt=0)
    eval_every: int | None = option(None, "steps between validations (default: once per epoch)", ge=1)
    save_every: int | None = option(None, "steps between checkpoints besides those at validations", ge=1)
    log_every: int = option(50, "steps between lines of metrics.csv", ge=1)
    patience: int | None = option(None, "stop after this many steps without a better validation", ge=1)

    @classmethod
    def fields(cls) -> list[str]:
        """The names of all options, in the order of definition."""
        return list(cls.model_fields)


class ModelConfig(RunConfig):
    """What every recurrent model has."""

    cell: str = option("lstm", "cell: rnn, lstm, gru, or any other of the library's cells", "Model")
    hidden: int = option(100, "units per layer and direction", "Model", ge=1)
    layers: int = option(1, "recurrent layers", "Model", ge=1)
    bidirectional: bool = option(False, "a second, independent stack reads each sequence backwards", "Model")
    dropout: float = option(
        0.0, "share of activations dropped on inputs and outputs of layers in training", "Model", ge=0, lt=1
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, else the list of them."""
    known = list(known)
    matches = _slips.nearest(name, known)
    return f"did you mean {matches[0]!r}?" if matches else f"known: {', '.join(known)}"


def build(cls: type[ConfigT], values: Mapping[str, Any], source: str = "options") -> ConfigT:
    """A checked config from `values`; keys may be written with `-` or `_`.

    Raises:
        ConfigError: an unknown key (with the nearest known one) or an impossible value (with the field's name).
    """
    keys = {str(key).replace("-", "_"): value for key, value in values.items()}
    for key in keys:
        if key not in cls.model_fields:
            raise ConfigError(f"{source}: unknown option {key!r}; {nearest(key, cls.model_fields)}")
    try:
        return cls(**keys)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "config"
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    if problem["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        close = _slips.nearest(str(problem["input"]), choices)
        message += f"; did you mean {close[0]!r}?" if close else ""
    return f"{where} = {problem['input']!r}: {message}" if problem["loc"] else message


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--config {path}: not YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path}: expected a mapping of options, got {type(content).__name__}")
    return content


def resolve(cls: type[ConfigT], file: Path | None, overrides: Mapping[str, Any]) -> ConfigT:
    """Defaults, then the YAML `file`, then `overrides`; each source is checked under its own name."""
    values: dict[str, Any] = {}
    if file is not None:
        from_file = read_yaml(file)
        values.update({str(key).replace("-", "_"): value for key, value in from_file.items()})
        build(cls, values | {k: v for k, v in overrides.items() if k in cls.model_fields}, f"--config {file}")
    values.update(overrides)
    return build(cls, values)


def dump(config: RunConfig) -> dict[str, Any]:
    """The resolved config as plain values (paths as text), for config.yaml and checkpoints."""
    return config.model_dump(mode="json")
