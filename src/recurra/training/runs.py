"""From options to a finished run, and from a run's folder back to a model: what the commands and `recurra.recipes`
call."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recurra._files import write_json
from recurra._threads import waiting_hint
from recurra.errors import CheckpointError, ConfigError
from recurra.training import checkpoint, distributed, report
from recurra.training.config import RunConfig, build, dump
from recurra.training.loop import Loop
from recurra.training.registry import get
from recurra.training.runfolder import RunFolder, new_path
from recurra.training.task import Task, parameter_count


@dataclass
class Result:
    """What a run came to.

    Attributes:
        path: its folder.
        test: metrics on the test part.
        baselines: the same of trivial or classical methods.
        steps, seconds, cpu_seconds: of training, validation included.
        best: the validation metric that chose the weights.
    """

    path: Path
    test: dict[str, float]
    baselines: dict[str, dict[str, float]]
    steps: int
    seconds: float
    cpu_seconds: float
    best: float | None


def train(recipe: str, config: RunConfig, data: str | None = None) -> Result:
    """Make a run folder and train in it.

    Raises:
        DataError, ConfigError: the data or the options do not fit.
        recurra.training.loop.Interrupted: Ctrl-C; the state is saved.
    """
    values = dump(config)
    if data is not None:
        values["data_path"] = data
    if config.devices > 1 and not distributed.under_torchrun():
        path = new_path(recipe, config.out, config.runs)
        distributed.launch(_spawned, config.devices, recipe, values | {"out": str(path)})
        return read_result(RunFolder.open(path))
    return _train_in(recipe, config, data, values)


def resume(path: Path, *, progress: bool | None = None) -> Result:
    """Go on with the run in `path`; a finished run is only read. `progress`: whether a bar is shown (None: as the run
    says)."""
    folder = RunFolder.open(path, to_resume=True)
    if folder.read_json("result.json") is not None:
        return read_result(folder)
    recipe, config, data = read_config(folder)
    config.progress = config.progress if progress is None else progress
    if config.devices > 1 and not distributed.under_torchrun():
        distributed.launch(_spawned_again, config.devices, str(folder.path))
        return read_result(folder)
    return _run(recipe, config, data, folder)


def _spawned(rank: int, recipe: str, values: dict[str, Any]) -> None:
    _, config, data = _resolved({"recipe": recipe, **values}, recipe)
    _train_in(recipe, config, data, values)


def _spawned_again(rank: int, path: str) -> None:
    folder = RunFolder.open(Path(path))
    _run(*read_config(folder), folder)


def _train_in(recipe: str, config: RunConfig, data: str | None, values: dict[str, Any]) -> Result:
    """Data and options are looked at before a folder is made, so that a slip leaves nothing behind."""
    check_device(config.device)
    share = distributed.start(config.device)
    task = make_task(recipe, config, data)
    lines = task.prepare()
    task.build_model()
    task.epoch(0)
    path = None
    if share.rank == 0:
        folder = RunFolder.create(recipe, config.out, config.runs, values | dump(task.config))
        path = str(folder.path)
    folder = RunFolder.open(Path(distributed.from_first(path, share)))
    return _run(recipe, config, data, folder, task, lines)


def _run(
    recipe: str,
    config: RunConfig,
    data: str | None,
    folder: RunFolder,
    task: Task[Any] | None = None,
    lines: list[str] | None = None,
) -> Result:
    share = distributed.start(config.device)
    folder.quiet = share.rank > 0
    try:
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        if task is None:
            task = make_task(recipe, config, data)
            lines = task.prepare()
        torch.manual_seed(config.seed)
        model = task.build_model().to(config.device)
        loop = Loop(task, model, folder, recipe, share)
        if share.rank == 0:
            write_json(folder.path / "artifacts.json", task.artifacts())
        loop.resume()
        if share.rank == 0:
            for line in lines or []:
                folder.say(line)
            hint = waiting_hint(torch.get_num_threads())
            if hint:
                folder.say(hint)
            went_on = f", going on at step {loop.progress.step}" if loop.progress.step else ""
            folder.say(
                f"{parameter_count(model):,} parameters, at most {loop.total_steps:,} steps{went_on}; "
                f"run folder: {folder.path}"
            )
        loop.run()
        if share.rank == 0:
            _finish(task, model, folder, loop)
    finally:
        if share.world > 1:
            distributed.stop()
    return read_result(folder) if share.rank == 0 else Result(folder.path, {}, {}, 0, 0.0, 0.0, None)


def _finish(task: Task[Any], model: nn.Module, folder: RunFolder, loop: Loop) -> None:
    """The best weights on the test part, once; the baselines; the result and the report."""
    progress, best = loop.progress, folder.path / "best.pt"
    if best.is_file():
        checkpoint.load_weights(model, checkpoint.load(best), best)
    result: dict[str, Any] = {
        "recipe": loop.recipe,
        "metric": task.metric,
        "best": progress.best,
        "best_step": progress.best_step,
        "test": task.evaluate(model, "test"),
        "baselines": task.baselines(),
        "steps": progress.step,
        "epochs": progress.epoch,
        "seconds": round(progress.seconds, 3),
        "cpu_seconds": round(progress.cpu_seconds, 3),
        "parameters": parameter_count(model),
        "threads": torch.get_num_threads(),
        "processes": loop.share.world,
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }
    if loop.config.report:
        report.write(folder, result, task.metric, task.sections(model))
    write_json(folder.path / "result.json", result)


def read_result(folder: RunFolder) -> Result:
    """The result of a finished run.

    Raises:
        CheckpointError: the run is not finished.
    """
    content = folder.read_json("result.json")
    if content is None:
        raise CheckpointError(
            f"{folder.path}: this run has not finished; go on with: recurra train --resume {folder.path}"
        )
    keys = ("test", "baselines", "steps", "seconds", "cpu_seconds", "best")
    return Result(folder.path, **{key: content[key] for key in keys})


def read_config(folder: RunFolder) -> tuple[str, RunConfig, str | None]:
    """Recipe, options and data path of a run."""
    return _resolved(folder.config(), str(folder.path / "config.yaml"))


def _resolved(values: dict[str, Any], where: str) -> tuple[str, RunConfig, str | None]:
    values = dict(values)
    recipe, data = values.pop("recipe"), values.pop("data_path", None)
    return recipe, build(get(recipe).config_class(), values, where), data


def check_device(device: str) -> None:
    """Whether torch can compute there.

    Raises:
        ConfigError: it cannot; says why.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0].partition(". ")[0]
        raise ConfigError(f"device = {device!r}: not usable here ({reason}); try cpu") from error


def make_task(recipe: str, config: RunConfig, data: str | None) -> Task[Any]:
    """The task of a recipe; `data` is the person's own file for recipes that take one."""
    known = get(recipe)
    task = known.task_class()(config)
    if known.data is not None:
        if data is None:
            raise ConfigError(f"recipe {recipe!r} needs {known.data[0]}: {known.data[1]}")
        task.data = data  # type: ignore[attr-defined]
    return task


class Trained:
    """A trained model with everything it needs to be used.

    Args:
        path: a run's folder, or a checkpoint file in one (default: its `best.pt`, else `last.pt`).
    """

    def __init__(self, path: Path):
        path = Path(path)
        folder = RunFolder.open(path.parent if path.suffix == ".pt" else path)
        weights = path if path.suffix == ".pt" else folder.path / "best.pt"
        if not weights.is_file():
            weights = folder.path / "last.pt"
        self.path: Path | None = folder.path
        self.recipe, self.config, self.data = read_config(folder)
        artifacts = folder.read_json("artifacts.json")
        if artifacts is None:
            raise CheckpointError(
                f"{folder.path}: artifacts.json is missing; the run was stopped before it began to train"
            )
        self._build(artifacts)
        checkpoint.load_weights(self.model, checkpoint.load(weights, self.recipe), weights)

    @classmethod
    def from_parts(cls, values: dict[str, Any], artifacts: dict[str, Any], where: str) -> Trained:
        """From what config.yaml and artifacts.json hold; `model` has fresh weights, `where` names the source."""
        trained = cls.__new__(cls)
        trained.path = None
        trained.recipe, trained.config, trained.data = _resolved(values, where)
        trained._build(artifacts)
        return trained

    def _build(self, artifacts: dict[str, Any]) -> None:
        self.task = get(self.recipe).task_class()(self.config)
        self.task.restore(artifacts)
        self.model = self.task.build_model().eval()

    def predict(self, lines: Iterable[str]) -> Iterator[str]:
        """One line out for each line in."""
        return self.task.predict(self.model, lines)

    def predict_file(self, path: str | Path) -> Iterator[str]:
        """Predictions for a file: per line, or in the format the model was trained on."""
        return self.task.predict_file(self.model, Path(path))

    def evaluate(self, data: str, *, skip_bad: bool = False) -> dict[str, float]:
        """Metrics on a file; with `skip_bad` rows that cannot be read are left out, as in training."""
        if not skip_bad:
            return self.task.evaluate_file(self.model, data)
        if not hasattr(self.config, "skip_bad"):
            raise ConfigError(f"skip_bad: a run of recipe {self.recipe!r} has no rows to leave out")
        trained, self.config.skip_bad = self.config.skip_bad, True
        try:
            return self.task.evaluate_file(self.model, data)
        finally:
            self.config.skip_bad = trained

    def generate(self, prompt: str = "", *, length: int = 200, temperature: float = 0.8, seed: int = 0) -> str:
        """Text that goes on after `prompt` (language models).

        Raises:
            ConfigError: the run is no language model, or an argument is out of range.
        """
        return "".join(self.written(prompt, length=length, temperature=temperature, seed=seed))

    def written(self, prompt: str = "", *, length: int = 200, temperature: float = 0.8, seed: int = 0) -> Iterator[str]:
        """As `generate`, piece by piece as it is made; arguments are checked at once."""
        if not hasattr(self.task, "written"):
            raise ConfigError(f"a run of recipe {self.recipe!r} cannot generate; language models (lm, ptb) can")
        if temperature < 0 or not math.isfinite(temperature):
            raise ConfigError(f"temperature {temperature}: expected 0 (the likeliest token) or more")
        task: Any = self.task
        pieces: Iterator[str] = task.written(self.model, prompt, length, temperature, seed)
        return pieces

    def unknown(self, text: str) -> list[str]:
        """What `text` holds that a language model does not know, each once; it reads `<unk>` there."""
        found: list[str] = self.task.unknown(text) if hasattr(self.task, "unknown") else []
        return found


def load(path: str | Path) -> Trained:
    """The trained model of a run folder, ready to predict."""
    return Trained(Path(path))
