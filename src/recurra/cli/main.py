"""`recurra`: the entry point, and what happens to errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from recurra._threads import let_waiting_threads_sleep
from recurra.cli.lazy import Command, LazyGroup
from recurra.errors import RecurraError

INTERRUPTED = 130
FAILED = 1


class Commands(LazyGroup):
    """All sub-commands."""

    table = {
        "train": Command("recurra.cli.train:app", "Train a recipe, or a model of your own data."),
        "evaluate": Command("recurra.cli.use:evaluate_app", "Measure a trained model on a file."),
        "predict": Command(
            "recurra.cli.use:predict_app",
            "One prediction per line of a file, of standard input, or of the command line.",
        ),
        "generate": Command("recurra.cli.use:generate_app", "Text from a trained language model."),
        "serve": Command("recurra.cli.serve:app", "Serve a trained model over HTTP."),
        "runs": Command("recurra.cli.use:runs_app", "A table of the runs in a folder."),
        "run": Command("recurra.cli.tf1:app", "Run a TensorFlow 1 program."),
        "tf1": Command("recurra.cli.tf1:tf1_app", "What recurra knows of TensorFlow 1 (coverage)."),
        "checkpoint": Command("recurra.cli.checkpoint:app", "Look into, convert and write TensorFlow 1 checkpoints."),
        "export": Command("recurra.cli.export:app", "Export a trained model (ONNX, safetensors)."),
        "bench": Command("recurra.cli.bench:app", "Measure speed on this machine."),
    }


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)


@app.callback(help="Recurrent networks on today's PyTorch: train, use and move them.")
def _root(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=lambda asked: _version(asked))
    ] = False,
) -> None:
    """What stands before a command."""


def _version(asked: bool) -> None:
    if asked:
        from recurra import __version__

        typer.echo(f"recurra {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every expected error becomes one line and an exit code other than 0."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] != ["bench"]:  # which measures every library as it comes
        let_waiting_threads_sleep()
    debug = "--debug" in arguments or bool(os.environ.get("RECURRA_DEBUG"))
    if "run" not in arguments:
        # --debug works wherever it stands; only a program that `recurra run` starts keeps its own
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(arguments, prog_name="recurra")
    except SystemExit:
        raise
    except BaseException as error:
        if debug:
            raise
        sys.exit(report(error))


def report(error: BaseException) -> int:
    """Print `error` as one line on standard error; returns the exit code."""
    text = " ".join(str(error).split())
    if type(error).__name__ == "Interrupted":
        return _say(text, INTERRUPTED)
    if isinstance(error, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        # the reader of our output went away (head); nothing to say, and nothing must be flushed to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        kept = "" if isinstance(error, FileNotFoundError) else "; files written before are whole"
        return _say(f"error: {place}{error.strerror or text}{kept}", FAILED)
    if type(error).__name__ == "ProcessRaisedException":
        return _say(f"error: {_last_line(str(error))}", FAILED)
    if isinstance(error, SyntaxError) and error.filename:
        source = f"\n    {error.text.strip()}" if error.text else ""
        return _say(f"error: {error.filename}, line {error.lineno}: {error.msg}{source}", FAILED)
    if isinstance(error, (RecurraError, ValueError, NotImplementedError)):
        return _say(f"error: {text}", FAILED)
    return _say(f"internal error: {type(error).__name__}: {text} (run it again with --debug for the traceback)", FAILED)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].partition(": ")[2] or lines[-1] if lines else "a process failed"


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    main()
