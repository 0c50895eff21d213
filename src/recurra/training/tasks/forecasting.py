"""Forecast the next values of one or several series, against the naive forecast."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import series, tables
from recurra.data.batching import Batch, Examples, equal_lengths, shuffled_batches
from recurra.data.delimited import JSON_SUFFIXES
from recurra.data.series import SeriesTable, Wanted, Windows
from recurra.data.text import read_text
from recurra.errors import DataError
from recurra.models.forecaster import Forecaster
from recurra.training import plots
from recurra.training.answers import Forecast
from recurra.training.configs import ForecastConfig
from recurra.training.task import Incoming, Lazy, Section, Share, StepLoss, Task, inference, mine, one_by_one

EVAL_ROWS = 1000


class Forecasting(Task[ForecastConfig]):
    """The next `horizon` values of a column. Parts follow each other in time: train, then validation, then test."""

    metric = "mae"
    higher_is_better = False
    loss_unit = "window"
    answer_type = Forecast

    data: str = ""
    columns: list[str]
    target: int
    mean: np.ndarray
    scale: np.ndarray

    # --- data -------------------------------------------------------------------------------------------------------

    def prepare(self) -> list[str]:
        config = self.config
        table = self._read(self.data)
        config.window = config.window or max(24, 4 * config.horizon)
        self.columns, self.target = table.columns, table.target
        config.target, config.series = table.columns[table.target], table.group
        parts = self._split(table)
        flat = np.concatenate(list(parts["train"].values()))
        self.mean, self.scale = flat.mean(0), np.where(flat.std(0) > 1e-12, flat.std(0), 1.0)
        self.windows = {name: self._cut(part, config.stride if name == "train" else 1) for name, part in parts.items()}
        for name, windows in self.windows.items():
            if not len(windows.inputs):
                need = config.window + config.horizon
                text = f"too short for {name}: a window and a horizon take {need} steps; make --window smaller"
                raise DataError(f"{self.data}: {text}")
        self.examples = {name: Examples(w.inputs, w.targets) for name, w in self.windows.items()}
        count = len(self.examples["train"])
        config.epochs = config.epochs or int(np.clip(1500 * config.batch_size / count, 3, 60))
        sizes = ", ".join(f"{len(part)} {name}" for name, part in self.examples.items())
        lines = [
            f"{self.data}: {sum(map(len, table.series.values()))} steps of {len(table.series)} series, "
            f"columns {', '.join(table.columns)}; forecast {config.target!r}",
            *table.notes,
            f"windows of {config.window} steps, horizon {config.horizon}: {sizes}",
        ]
        return [*lines, f"{table.skipped} bad rows left out"] if table.skipped else lines

    def _read(self, path: str, columns: list[str] | None = None) -> SeriesTable:
        config = self.config
        wanted = Wanted(config.target, config.series, config.time, columns, config.skip_bad)
        return series.read(Path(path), wanted)

    def _split(self, table: SeriesTable) -> dict[str, dict[str, np.ndarray]]:
        """By time; validation and test windows may look back into what lies before them, never ahead."""
        config = self.config
        parts: dict[str, dict[str, np.ndarray]] = {"train": {}, "valid": {}, "test": {}}
        for name, values in table.series.items():
            test = 0 if config.test else round(len(values) * config.test_share)
            valid = 0 if config.valid else round(len(values) * config.valid_share)
            cuts = (len(values) - test - valid, len(values) - test)
            parts["train"][name] = values[: cuts[0]]
            parts["valid"][name] = values[max(0, cuts[0] - config.window) : cuts[1]]
            parts["test"][name] = values[max(0, cuts[1] - config.window) :]
        for name, file in (("valid", config.valid), ("test", config.test)):
            if file is not None:
                parts[name] = self._read(str(file), table.columns).series
        return parts

    def _cut(self, part: dict[str, np.ndarray], stride: int = 1) -> Windows:
        config = self.config
        return series.cut(part, self.target, config.window, config.horizon, stride, self.mean, self.scale)

    def artifacts(self) -> dict[str, Any]:
        return {
            "columns": self.columns,
            "target": self.target,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "window": self.config.window,
        }

    def restore(self, artifacts: dict[str, Any]) -> None:
        self.columns, self.target = artifacts["columns"], artifacts["target"]
        self.mean, self.scale = np.array(artifacts["mean"]), np.array(artifacts["scale"])
        self.config.window = artifacts["window"]

    # --- training ---------------------------------------------------------------------------------------------------

    def build_model(self) -> nn.Module:
        config = self.config
        return Forecaster(
            len(self.columns),
            config.horizon,
            self.target,
            cell=config.cell,
            hidden=config.hidden,
            layers=config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
        )

    def epoch(self, epoch: int) -> Sequence[Batch]:
        train = self.examples["train"]
        order = shuffled_batches(len(train), self.config.batch_size, self.config.seed, epoch)
        return Lazy(len(order), lambda i: train.batch(order[i]))

    def loss(self, model: nn.Module, batch: Batch, state: Any, share: Share) -> StepLoss:
        rows = mine(np.arange(batch.size), share)
        guess = model(batch.inputs[rows])
        # the loss is a mean over rows of the mean absolute error over the horizon
        total = (guess - batch.targets[rows]).abs().mean(-1).sum()
        return StepLoss(total, batch.size)

    # --- judging ----------------------------------------------------------------------------------------------------

    def forecasts(self, model: nn.Module, part: str) -> np.ndarray:
        """Forecasts `[N, horizon]` in the target's unit."""
        with inference(model):
            chunks = [model(b.inputs.to(self.config.device)).cpu() for b in self.examples[part].chunks(EVAL_ROWS)]
        return self._unit(torch.cat(chunks).numpy())

    def _unit(self, normal: np.ndarray) -> np.ndarray:
        return normal.astype(np.float64) * self.scale[self.target] + self.mean[self.target]

    def _scores(self, guess: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        errors = guess - truth
        mae, rmse = float(np.abs(errors).mean()), float(np.sqrt((errors**2).mean()))
        return {"loss": mae / float(self.scale[self.target]), "mae": mae, "rmse": rmse}

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        return self._scores(self.forecasts(model, part), self._unit(self.windows[part].targets))

    def baselines(self) -> dict[str, dict[str, float]]:
        windows = self.windows["test"]
        truth = self._unit(windows.targets)
        found = {"naive: the last value": self._scores(np.repeat(windows.last[:, None], truth.shape[1], 1), truth)}
        season = self.config.horizon
        if self.config.window >= season:
            before = self._unit(windows.inputs[:, -season:, self.target])
            found[f"naive: the last {season} values again"] = self._scores(before, truth)
        return found

    def sections(self, model: nn.Module) -> list[Section]:
        windows, guess = self.windows["test"], self.forecasts(model, "test")
        truth, history = self._unit(windows.targets), self._unit(windows.inputs[:, :, self.target])
        errors = np.abs(guess - truth).mean(1)
        pictures = []
        for title, row in (
            ("a typical window", int(np.argsort(errors)[len(errors) // 2])),
            ("the worst window", int(errors.argmax())),
        ):
            naive = np.full(truth.shape[1], windows.last[row])
            label = f"{title}{f' ({windows.names[row]})' if windows.names[row] else ''}"
            pictures.append((plots.forecast(history[row], truth[row], guess[row], naive, label), label))
        by_step: list[Sequence[str]] = [
            ("step ahead", "mae"),
            *((str(i + 1), f"{e:.4g}") for i, e in enumerate(np.abs(guess - truth).mean(0))),
        ]
        return [Section("Forecasts", pictures=pictures), Section("Error by step ahead", table=by_step)]

    # --- using it ---------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return {"columns": self.columns}

    def input_type(self) -> Any:
        return str | list[float] | list[list[float]] | list[dict[str, Any]]

    def step_type(self) -> Any:
        return str | float | list[float] | list[list[float]] | dict[str, Any]

    def read_input(self, value: Any, where: str) -> Tensor:
        """The target's last values (or a list of rows with all columns, by name or in their order): what follows them
        is forecast."""
        steps = self._normal(self._by_name(value, where), where, tables.steps_of)
        if not len(steps):
            raise DataError(f"{where}: empty, expected steps of {self._wanted()}")
        return steps[-self.config.window :]

    def answers(self, model: nn.Module, inputs: Sequence[Tensor]) -> list[Forecast]:
        found: dict[int, Forecast] = {}
        with inference(model):
            for rows in equal_lengths(inputs):
                guesses = model(torch.stack([inputs[i] for i in rows]))
                found |= zip(rows, map(self._forecast, guesses), strict=True)
        return [found[i] for i in range(len(inputs))]

    def stream(self, model: nn.Module) -> Incoming:
        """A step is a row; all that came before is carried on, more than a window, too."""

        def read(value: Any, where: str) -> Sequence[Tensor]:
            rows = self._by_name([value] if isinstance(value, dict) else value, where)
            return one_by_one(self._normal(rows, where, tables.next_steps))

        return Incoming(read, model.stepper(), lambda guess: self._forecast(guess[0]))  # type: ignore[operator]

    def _forecast(self, guess: Tensor) -> Forecast:
        return Forecast(self._unit(guess.numpy()).tolist())

    def _by_name(self, value: Any, where: str) -> Any:
        """Rows that are objects, as lists of the columns that the model reads."""
        if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
            return value
        missing = next((name for row in value for name in self.columns if name not in row), None)
        if missing is not None:
            raise DataError(f"{where}: a row without column {missing!r}, which the model reads")
        return [[row[name] for name in self.columns] for row in value]

    def _normal(self, value: Any, where: str, read: Callable[[Any, int, str], np.ndarray]) -> Tensor:
        try:
            steps = read(value, len(self.columns), where)
        except DataError as error:
            raise DataError(f"{where}: expected steps of {self._wanted()}") from error
        return torch.from_numpy(((steps - self.mean) / self.scale).astype(np.float32))

    def _wanted(self) -> str:
        return f"{len(self.columns)} numbers ({', '.join(self.columns)})"

    def predict_file(self, model: nn.Module, path: Path) -> Iterator[str]:
        """For a table with the training file's columns: the values after its end, a line per series (its name
        first)."""
        objects = path.suffix.lower() in JSON_SUFFIXES and read_text(path).lstrip("[ \n").startswith("{")
        if not objects and path.suffix.lower() not in (".csv", ".tsv"):
            yield from super().predict_file(model, path)
            return
        table = self._read(str(path), self.columns)
        for name, values in table.series.items():
            guess = next(self.predict(model, [json.dumps(values[-self.config.window :].tolist())]))
            yield f"{name}\t{guess}" if name else guess

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        table = self._read(data, self.columns)
        windows = self._cut(table.series)
        if not len(windows.inputs):
            raise DataError(
                f"{data}: shorter than a window and a horizon ({self.config.window} + {self.config.horizon})"
            )
        self.examples, self.windows = {"test": Examples(windows.inputs, windows.targets)}, {"test": windows}
        return self.evaluate(model, "test")
