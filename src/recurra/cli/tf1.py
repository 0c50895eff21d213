"""`recurra run PROGRAM`: old TensorFlow programs, unmodified; `recurra tf1 …`: what the wing knows."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False)
tf1_app = typer.Typer(no_args_is_help=True, help="What recurra knows of TensorFlow 1.")


@tf1_app.callback()
def _tf1() -> None:
    """What recurra knows of TensorFlow 1."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    help="Run a program written for TensorFlow 0.6 to 1.15 (.py or .ipynb). Options of `run` come before PROGRAM; "
    "what follows it is the program's own.",
)
def run(
    ctx: typer.Context,
    program: Annotated[str, typer.Argument(help="The program or notebook.", show_default=False)],
    tf_version: Annotated[
        str | None,
        typer.Option("--tf-version", help="The release it was written for, such as 0.10 (read from the source)."),
    ] = None,
    python2: Annotated[
        bool | None,
        typer.Option("--python2/--no-python2", help="Rewrite it from Python 2 first (when it cannot be Python 3)."),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option("--data-dir", help="Where read_data_sets, keras.datasets and the ptb reader find their files."),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Print which tf.* names it used, and where.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Do not run it: say which tf.* names are missing.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="A notebook: go on after a cell that fails.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show recurra's own frames in an error's traceback.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not say the era and what was rewritten.")] = False,
) -> None:
    """Run or check a program."""
    if check:
        raise typer.Exit(_check(program, tf_version, python2))
    from recurra.tf1 import runner

    options = runner.Options(tf_version, python2, data_dir, report, quiet, keep_going, debug)
    raise typer.Exit(runner.run(program, ctx.args, options))


def _check(program: str, tf_version: str | None, python2: bool | None) -> int:
    from recurra.tf1.check import check

    result = check(program, tf_version, python2)
    counts = f"{len(result.used)} tf.* names, {len(result.missing)} missing"
    typer.echo(f"TensorFlow {result.era.era.text} ({result.era.reason}); {counts}")
    for finding in result.missing:
        typer.echo(f"  {finding.line}")
    return 1 if result.missing else 0


@tf1_app.command()
def coverage(
    missing: Annotated[bool, typer.Option("--missing", help="Name what is missing, module by module.")] = False,
) -> None:
    """Print how much of TensorFlow 1.15's public names recurra serves, per module."""
    from recurra.tf1 import coverage as table

    typer.echo(table.render(table.coverage(), show_missing=missing))
