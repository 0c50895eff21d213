"""`recurra train RECIPE` and `recurra train --resume RUN`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.lazy import Command, LazyGroup
from recurra.cli.options import with_options
from recurra.data.files import check_path
from recurra.training.config import RunConfig, resolve
from recurra.training.registry import RECIPES, Recipe
from recurra.training.runfolder import RunFolder


class Recipes(LazyGroup):
    """One sub-command per recipe, with the recipe's options."""

    table = {name: Command("", recipe.help) for name, recipe in RECIPES.items()}

    def load(self, name: str) -> Any:
        return _command(RECIPES[name])


app = typer.Typer(cls=Recipes, invoke_without_command=True, add_completion=False)


@app.callback(
    help="Train a recipe, or a model of your own data. `recurra train RECIPE --help` lists the recipe's options."
)
def _train(
    ctx: typer.Context,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="With --resume: a live progress bar, or none.")
    ] = None,
) -> None:
    if ctx.invoked_subcommand is not None:
        if resume is not None:
            raise typer.BadParameter("goes without a recipe: the run's folder says which it was", param_hint="--resume")
        if progress is not None:
            raise typer.BadParameter("stands behind the recipe, or goes with --resume", param_hint="--progress")
        return
    if resume is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)
    run = RunFolder.open(resume, to_resume=True)
    if run.finished:
        typer.echo(f"{run.path}: finished already, nothing is left to do; its result:")
    from recurra.training import runs

    show(runs.resume(run.path, progress=progress))


def _command(recipe: Recipe) -> Any:
    """The Typer command of a recipe."""
    arguments = []
    if recipe.data is not None:
        name, text = recipe.data
        info = typer.Argument(metavar=name, help=text, show_default=False)
        arguments.append(
            inspect.Parameter("data_path", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Annotated[str, info])
        )
    yaml = typer.Option(
        "--config",
        help="YAML file with options; the command line overrides it",
        rich_help_panel="Run",
        show_default=False,
    )
    arguments.append(
        inspect.Parameter(
            "config_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, yaml]
        )
    )

    def run(data_path: str | None = None, config_file: Path | None = None, **values: Any) -> None:
        config = resolve(recipe.config_class(), config_file, values)
        _check_paths(recipe, config, data_path)
        from recurra.training import runs

        show(runs.train(recipe.name, config, data_path))

    sub = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    doc = recipe.config_class().__doc__ or recipe.help
    sub.command(name=recipe.name, help=doc)(with_options(run, recipe.config_class(), arguments))
    return typer.main.get_command(sub)


def _check_paths(recipe: Recipe, config: RunConfig, data: str | None) -> None:
    """Files that are not there are told before torch is imported, which takes seconds."""
    for path in (data, getattr(config, "valid", None), getattr(config, "test", None)):
        if path is not None and path not in recipe.made:
            check_path(path)


def show(result: Any) -> None:
    """The result table, and where everything lies."""
    from rich.console import Console
    from rich.table import Table

    if not result.test:
        return  # a further process of a distributed run
    from recurra.training.report import score_table

    head, *rows = score_table([("this model", result.test), *result.baselines.items()])
    table = Table(title="Test")
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 else "right")
    for i, row in enumerate(rows):
        table.add_row(*row, style="bold" if i == 0 else None)
    console = Console()
    console.print(table)
    console.print(
        f"{result.steps:,} steps in {result.seconds:.1f} s ({result.cpu_seconds:.1f} CPU seconds)", highlight=False
    )
    report = result.path / "report.html"
    console.print(f"run folder: {result.path}", highlight=False, soft_wrap=True)
    if report.exists():
        console.print(f"report: {report}", highlight=False, soft_wrap=True)
