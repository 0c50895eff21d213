"""What a run leaves behind: one folder, every file of it whole at any moment.

config.yaml       the resolved options            artifacts.json   what the model needs besides weights (vocabulary,
classes …) environment.json  versions, machine, command      metrics.csv      one row per logged step or validation
last.pt           everything to go on from        best.pt          the weights that validated best
log.txt           what was printed                events/          TensorBoard
result.json       final numbers                   report.html      curves, pictures, mistakes
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recurra._files import write_json, write_text
from recurra._slips import nearest
from recurra.errors import CheckpointError, ConfigError

Row = dict[str, float | int | str]
METRIC_COLUMNS = ("step", "epoch", "part", "loss", "metric", "value", "learning_rate", "seconds", "cpu_seconds")


class RunFolder:
    """A run's folder: makes it, writes into it, reads it back.

    Args:
        path: the folder.
        quiet: write nothing to the terminal (the log still gets it).
    """

    def __init__(self, path: Path, *, quiet: bool = False):
        self.path = Path(path)
        self.quiet = quiet

    @classmethod
    def create(cls, recipe: str, out: Path | None, runs: Path, config: Mapping[str, Any]) -> RunFolder:
        """A new folder with config and environment.

        Raises:
            ConfigError: the folder holds a run already, or cannot be made.
        """
        path = new_path(recipe, out, runs)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--out {path}: cannot be made: {error.strerror or error}") from error
        folder = cls(path)
        write_json(path / "environment.json", environment())
        write_text(
            path / "config.yaml", yaml.safe_dump({"recipe": recipe, **config}, sort_keys=False, allow_unicode=True)
        )
        return folder

    @classmethod
    def open(cls, path: Path, *, to_resume: bool = False) -> RunFolder:
        """An existing run, by its folder or the beginning of its name, which is looked for in `runs` too.

        `lm` stands for the newest `lm-<date>-<time>` that is finished (with `to_resume`: that is not); any other
        beginning must fit one run only.

        Raises:
            CheckpointError: there is none (the nearest names are given), or there are several.
        """
        named, places = path, [path] if len(path.parts) > 1 else [path, Path("runs") / path]
        if not path.exists():
            path = next(filter(None, (_begins_with(place, to_resume) for place in places)), path)
        if not (path / "config.yaml").is_file():
            raise CheckpointError(f"{named}: no run here (config.yaml is missing); {_nearest_runs(places)}")
        return cls(path)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "result.json").is_file()

    def config(self) -> dict[str, Any]:
        """The resolved options, `recipe` among them."""
        try:
            content = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise CheckpointError(
                f"{self.path / 'config.yaml'}: cannot be read: {' '.join(str(error).split())}"
            ) from error
        if not isinstance(content, dict) or "recipe" not in content:
            raise CheckpointError(f"{self.path / 'config.yaml'}: names no recipe")
        return content

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the run, or None where there is none yet."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path}: broken: {error}") from error
        return value

    def say(self, text: str) -> None:
        """Print and log a line."""
        if not self.quiet:
            print(text, flush=True)
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def append_metrics(self, rows: list[Row]) -> None:
        """Append rows to metrics.csv (one write: a kill leaves whole lines, or a last one that reading drops)."""
        path = self.path / "metrics.csv"
        text = io.StringIO()
        writer = csv.DictWriter(text, METRIC_COLUMNS, restval="", lineterminator="\n")
        if not path.exists():
            writer.writeheader()
        writer.writerows(rows)
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())

    def metrics(self) -> list[dict[str, str]]:
        """The whole rows of metrics.csv."""
        path = self.path / "metrics.csv"
        if not path.exists():
            return []
        text = path.read_text(encoding="utf-8")
        text = text[: text.rfind("\n") + 1]
        return list(csv.DictReader(io.StringIO(text)))

    def rewind_metrics(self, step: int) -> None:
        """Drop the rows after `step`: a resumed run writes them again."""
        kept = [row for row in self.metrics() if int(row["step"]) <= step]
        text = io.StringIO()
        writer = csv.DictWriter(text, METRIC_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_text(self.path / "metrics.csv", text.getvalue())


def new_path(recipe: str, out: Path | None, runs: Path) -> Path:
    """The folder of a new run: `out`, or a dated one in `runs`.

    Raises:
        ConfigError: `out` holds a run already.
    """
    if out is not None:
        if (out / "config.yaml").exists():
            raise ConfigError(
                f"--out {out}: holds a run already; go on with `recurra train --resume {out}` or name another folder"
            )
        return out
    stem = f"{recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = runs / stem, 1
    while path.exists():
        number += 1
        path = runs / f"{stem}-{number}"
    return path


def _begins_with(path: Path, to_resume: bool) -> Path | None:
    """The run whose name begins as `path` does; of a recipe's dated ones the newest that is of use."""
    runs = _runs_like(path.parent, f"{glob.escape(path.name)}*")
    dated = [run for run in runs if re.match(r"-\d{8}-\d{6}", run.name.removeprefix(path.name))]
    if dated:
        return max(dated, key=lambda run: (_use(RunFolder(run), to_resume), run.name))
    if len(runs) > 1:
        raise CheckpointError(f"{path}: several runs begin so: {', '.join(run.name for run in runs)}")
    return runs[0] if runs else None


def _use(run: RunFolder, to_resume: bool) -> int:
    """How well a run serves: one to go on with must not be finished, any other should be, and needs weights."""
    weights = (run.path / "best.pt").is_file() or (run.path / "last.pt").is_file()
    if to_resume:
        return 0 if run.finished else 1 + weights
    return weights + (weights and run.finished)


def _runs_like(folder: Path, pattern: str) -> list[Path]:
    return sorted(config.parent for config in folder.glob(f"{pattern}/config.yaml"))


def _nearest_runs(places: list[Path]) -> str:
    """What to say of a run that is not there: the names most like it, else where there are any."""
    there = {run.name: run for place in reversed(places) for run in _runs_like(place.parent, "*")}
    close = nearest(places[0].name, there, 3)
    if not close:
        return "`recurra runs` lists the runs there are" if there else f"there are no runs in {places[-1].parent}"
    return f"did you mean {' or '.join(str(there[name]) for name in close)}?"


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """What is known of every run in a folder, newest last."""
    found = []
    for config in sorted(runs.glob("*/config.yaml"), key=lambda path: path.stat().st_mtime):
        found.append({"run": config.parent.name} | _known_of(RunFolder(config.parent)))
    return found


def _known_of(folder: RunFolder) -> dict[str, Any]:
    """Recipe, steps, result, and "unfinished" or "broken" where there is none."""
    try:
        recipe, result, rows = folder.config()["recipe"], folder.read_json("result.json"), folder.metrics()
    except CheckpointError:
        return {"recipe": "?", "steps": 0, "result": None, "state": "broken"}
    return {"recipe": recipe, "steps": int(rows[-1]["step"]) if rows else 0, "result": result, "state": "unfinished"}


def environment() -> dict[str, Any]:
    """Versions, machine and command line of this process."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("recurra", "torch", "numpy", "scikit-learn", "matplotlib"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": versions,
    }
