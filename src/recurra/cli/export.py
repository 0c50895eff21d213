"""`recurra export`: a trained run as ONNX or safetensors."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


class Target(enum.StrEnum):
    """Formats to export to."""

    onnx = "onnx"
    safetensors = "safetensors"


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, a checkpoint in it, or a .safetensors made from it.")],
    to: Annotated[Target, typer.Option(help="The format.")] = Target.onnx,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file [default: in the run's folder].")
    ] = None,
) -> None:
    """Export a trained model; ONNX files are checked with ONNX Runtime on random input before they are kept.

    An ONNX model has free batch and time axes, lengths where the model has them, and for language models the state as
    inputs and outputs, so that a text or stream can be carried on step by step.
    """
    from recurra.training.runfolder import RunFolder

    folder = run.parent if run.suffix in (".pt", ".safetensors") else RunFolder.open(run).path
    target = output if output is not None else folder / f"model.{to.value}"
    if to is Target.safetensors:
        from recurra.export.safetensors import save_run

        typer.echo(f"wrote {save_run(run, target)}; recurra.load({str(target)!r}) takes it back")
        return
    from recurra.export.models import export_run

    typer.echo(str(export_run(run, target)))
