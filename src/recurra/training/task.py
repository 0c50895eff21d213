"""What a recipe defines: its data, its model, its loss, how it is judged, and what it shows.

The loop (`recurra.training.loop`) knows tasks only through this class, so a new recipe is one subclass and one line in
`recurra.training.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from recurra.errors import ConfigError, DataError
from recurra.training.answers import Answer
from recurra.training.config import RunConfig

ConfigT = TypeVar("ConfigT", bound=RunConfig)


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What one batch gives.

    Attributes:
        total: the loss to differentiate, summed over this process's share of the batch.
        count: what it is divided by, for the *global* batch (rows, tokens), whichever process computes it.
        state: the recurrent state to carry into the next batch, or None.
    """

    total: Tensor
    count: float
    state: Any = None


@dataclass
class Section:
    """A part of the report: a heading, text, pictures (PNG bytes with captions), and a table (header first)."""

    title: str
    text: str = ""
    pictures: list[tuple[bytes, str]] = field(default_factory=list)
    table: list[Sequence[str]] | None = None
    preformatted: str = ""
    folded: bool = False


class Share(NamedTuple):
    """Which part of every global batch this process computes: rows `rank :: world`."""

    rank: int = 0
    world: int = 1


class Incoming:
    """A sequence that comes in step by step, each answered from what came so far; the model's state is carried.

    Args:
        read: the steps in a JSON value (or text), or a DataError that names `where` it came from.
        step: takes one of them, gives the model's output.
        answer: what that output says.
    """

    def __init__(
        self,
        read: Callable[[Any, str], Sequence[Any]],
        step: Callable[[Any], Any],
        answer: Callable[[Any], Answer],
    ) -> None:
        self._read, self._step, self._answer = read, step, answer
        self.steps = 0
        """Steps taken so far."""

    def push(self, values: Sequence[Any], where: Sequence[str], most: int | None = None) -> list[Answer]:
        """The answer after each of `values`; none is taken if one of them cannot be read, or if there are more than
        `most` steps."""
        parts = [self._read(value, place) for value, place in zip(values, where, strict=True)]
        for steps, place in zip(parts, where, strict=True):
            if not len(steps):
                raise DataError(f"{place}: empty, expected a step")
        check_steps(sum(map(len, parts)), most, where[0] if len(where) == 1 else "inputs")
        return [self._take(steps) for steps in parts]

    @torch.inference_mode()
    def _take(self, steps: Sequence[Any]) -> Answer:
        for step in steps:
            output = self._step(step)
            self.steps += 1
        return self._answer(output)


class Task(ABC, Generic[ConfigT]):
    """One recipe's problem.

    Args:
        config: the resolved options.

    Attributes:
        metric: the validation metric that chooses the best weights.
        higher_is_better: its direction.
        loss_unit: what `loss` is a mean of ("example", "token", …), for the report.
        answer_type: what a prediction is, a class of `recurra.training.answers`; None: the recipe cannot predict.
    """

    metric: str = "accuracy"
    higher_is_better: bool = True
    loss_unit: ClassVar[str] = "example"
    answer_type: ClassVar[type[Any] | None] = None

    def __init__(self, config: ConfigT):
        self.config = config

    # --- data and model ---------------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self) -> list[str]:
        """Read the data; returns lines that describe it for the log.

        Called before `build_model` on training and resuming; not for prediction.
        """

    @abstractmethod
    def artifacts(self) -> dict[str, Any]:
        """What `build_model` and `predict` need besides config and weights, as plain JSON values (vocabulary,
        classes …)."""

    @abstractmethod
    def restore(self, artifacts: dict[str, Any]) -> None:
        """Take `artifacts` back, in place of `prepare`."""

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A freshly initialised model (torch's global generator is seeded by the caller)."""

    # --- training ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def epoch(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch, a function of (seed, epoch) alone; items are made when indexed."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, state: Any, share: Share) -> StepLoss:
        """The loss of this process's share of `batch`, given the carried `state` (None at an epoch's start)."""

    def learning_rate(self, epoch: int, progress: float) -> float:
        """The rate at `epoch` (from 0) and `progress` (0 … 1 of the planned steps or time)."""
        rate = self.config.learning_rate
        return rate * max(0.0, 1.0 - progress) if self.config.decay == "linear" else rate

    # --- judging ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        """Metrics on `part` ("valid" or "test"); `metric` and "loss" among them."""

    def quick_evaluate(self, model: nn.Module) -> tuple[float, int] | None:
        """(metric, number of examples) on a fixed subset of the validation data, or None to always look at all of
        it."""
        return None

    def baselines(self) -> dict[str, dict[str, float]]:
        """Trivial or classical methods on the same test part: name → metrics."""
        return {}

    def sections(self, model: nn.Module) -> list[Section]:
        """The recipe's own parts of the report."""
        return []

    # --- using what was trained -------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What someone who uses the model wants to know, where it has it: `labels`, `vocabulary` (how many tokens),
        `columns` (of its input)."""
        return {}

    def input_type(self) -> Any:
        """The type of what `read_input` takes from JSON."""
        return str

    def step_type(self) -> Any:
        """The type of what a stream takes from JSON."""
        return self.input_type()

    def read_input(self, value: Any, where: str) -> Any:
        """A line of text, or a value from JSON, as the model reads it.

        Raises:
            DataError: it is something else; `where` it came from is named.
            ConfigError: by default; a recipe that can predict overrides this and `answers`.
        """
        raise ConfigError(f"{type(self).__name__}: a run of this recipe cannot predict")

    def answers(self, model: nn.Module, inputs: Sequence[Any]) -> list[Any]:
        """An answer for each of what `read_input` gave, computed together."""
        raise ConfigError(f"{type(self).__name__}: a run of this recipe cannot predict")

    def predict(self, model: nn.Module, lines: Iterable[str]) -> Iterator[str]:
        """One line out for each line in, as each comes."""
        for number, line in enumerate(lines, 1):
            yield self.answers(model, [self.read_input(line, f"line {number}")])[0].line()

    def stream(self, model: nn.Module) -> Incoming:
        """A sequence that will come step by step.

        Raises:
            ConfigError: this model has to see the whole of it; says why.
        """
        raise ConfigError(f"a run of this recipe reads whole sequences only ({type(self).__name__}), no streams")

    def predict_file(self, model: nn.Module, path: Path) -> Iterator[str]:
        """Predictions for a file: by default one per line; a recipe whose files have a header or a format reads
        that."""
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            yield from self.predict(model, (line.rstrip("\r\n") for line in file))

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        """Metrics on a person's own data."""
        raise ConfigError(f"{type(self).__name__}: a run of this recipe cannot be evaluated on other data")


class Lazy(Sequence[Any]):
    """A sequence whose items are made when asked for: `Lazy(3, make)[1]` is `make(1)`."""

    def __init__(self, length: int, make: Any):
        self.length, self.make = length, make

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:  # type: ignore[override]
        return self.make(index)


def mine(batch_rows: np.ndarray, share: Share) -> np.ndarray:
    """This process's rows of a global batch."""
    return batch_rows[share.rank :: share.world]


def check_steps(count: int, most: int | None, where: str) -> None:
    """DataError for more than `most` steps."""
    if most is not None and count > most:
        raise DataError(f"{where}: {count} steps, no more than {most} are taken at once")


def text_of(value: Any, where: str) -> str:
    """`value`, if it is a text.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: expected a text, got {json_kind(value)}")
    return value


def json_kind(value: Any) -> str:
    """What a JSON value is called."""
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null", str: "a text"}
    return kinds.get(type(value), "a number")


def one_by_one(rows: Tensor) -> list[Tensor]:
    """`rows [T, …]` as T batches of one (`split` would make one of none)."""
    return [rows[i : i + 1] for i in range(len(rows))]


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers in `model`."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def inference(model: nn.Module) -> torch.inference_mode:
    """Evaluation mode and no gradients, for a `with`; the loop turns training mode on again itself."""
    model.eval()
    return torch.inference_mode()
