"""`recurra evaluate`, `predict`, `generate`, `runs`: what a finished run is for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.data.files import check_path
from recurra.errors import DataError
from recurra.training.runfolder import RunFolder, list_runs

if TYPE_CHECKING:
    from recurra.training.runs import Trained

DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".conll")

evaluate_app = typer.Typer(add_completion=False)
predict_app = typer.Typer(add_completion=False)
generate_app = typer.Typer(add_completion=False)
runs_app = typer.Typer(add_completion=False)

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run's folder or the beginning of its name, or a checkpoint file in it.",
        show_default=False,
    ),
]


def load_run(run: Path, files: Iterable[str] = ()) -> Trained:
    """The trained model of `run`; a run or a file that is not there is told before torch is imported, which takes
    seconds."""
    checkpoint = run.name if run.suffix == ".pt" else None
    opened = RunFolder.open(run if checkpoint is None else run.parent)
    folder = opened.path
    if not opened.finished:
        typer.echo(f"{folder}: not finished; its best weights so far are used", err=True)
    elif checkpoint is None and folder.name != run.name:
        typer.echo(f"run: {folder}", err=True)
    for file in files:
        check_path(file)
    from recurra.training.runs import load

    return load(folder if checkpoint is None else folder / checkpoint)


@evaluate_app.command(help="Measure a trained model on a file in the format it was trained on.")
def evaluate(
    run: RunArgument,
    data: Annotated[str, typer.Argument(metavar="DATA", help="The file.", show_default=False)],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read.")] = False,
) -> None:
    trained = load_run(run, files=[data])
    for name, value in trained.evaluate(data, skip_bad=skip_bad).items():
        typer.echo(f"{name}\t{value:.6g}")


@predict_app.command(
    help="One line in, one line out, with probabilities. "
    "INPUT is a file, '-' for standard input (streams), or the text itself."
)
def predict(
    run: RunArgument,
    text: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="A file, '-', or text: each argument is a line.", show_default=False),
    ],
) -> None:
    file = text[0] if len(text) == 1 and (Path(text[0]).is_file() or _like_a_file(text[0])) else None
    if len(text) == 1 and text[0] and Path(text[0]).is_dir():
        raise DataError(f"{text[0]}: a folder; expected a file, '-' or text")
    if file is None and any(map(_like_a_file, text)):
        raise DataError(f"{next(filter(_like_a_file, text))}: give one file alone")
    trained = load_run(run, files=[] if file is None else [file])
    some = False
    for line in _predictions(trained, text, file):
        some = True
        typer.echo(line)
        sys.stdout.flush()
    if file is not None and not some:
        raise DataError(f"{file}: empty, nothing to predict")


def _like_a_file(argument: str) -> bool:
    """A mistyped file name is likelier than a text that ends like one."""
    return Path(argument).suffix.lower() in DATA_SUFFIXES


def _predictions(trained: Trained, arguments: list[str], file: str | None) -> Iterator[str]:
    """For standard input ('-'; it may be empty), a file, or the arguments as lines."""
    if arguments == ["-"]:
        stream = sys.stdin.buffer
        return trained.predict(
            line.decode("utf-8", errors="replace").rstrip("\r\n") for line in iter(stream.readline, b"")
        )
    return trained.predict(arguments) if file is None else trained.predict_file(file)


@generate_app.command(help="Text from a trained language model.")
def generate(
    run: RunArgument,
    prompt: Annotated[str, typer.Option(help="What the text begins with.")] = "",
    length: Annotated[int, typer.Option(help="Tokens to generate.", min=1)] = 200,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest token; 1: as the model says.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
) -> None:
    trained = load_run(run)
    text = trained.generate(prompt, length=length, temperature=temperature, seed=seed)
    unknown = trained.unknown(prompt)
    if unknown:
        typer.echo(f"the model does not know {', '.join(map(repr, unknown))}; it reads <unk> there", err=True)
    typer.echo(text)


@runs_app.command(help="A table of the runs in a folder.")
def runs(folder: Annotated[Path, typer.Argument(help="The folder with run folders.")] = Path("runs")) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in ("run", "recipe", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("valid", "test", "steps", "min"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in list_runs(folder):
        table.add_row(*_table_row(run))
    Console().print(table)


def _table_row(run: dict[str, Any]) -> tuple[str, ...]:
    result = run["result"]
    if result is None:
        return run["run"], run["recipe"], run["state"], "", "", str(run["steps"]), ""
    metric = result["metric"]
    best = "" if result["best"] is None else f"{result['best']:.4g}"
    minutes = f"{result['seconds'] / 60:.1f}"
    return run["run"], run["recipe"], metric, best, f"{result['test'][metric]:.4g}", str(result["steps"]), minutes
