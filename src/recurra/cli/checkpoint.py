"""`recurra checkpoint`: look into TensorFlow 1's checkpoints, convert them, compare them, guess their model."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import recurra.tf1.checkpoint as ckpt
from recurra.tf1.checkpoint.names import is_bookkeeping

app = typer.Typer(help=__doc__, no_args_is_help=True)

PATH = Annotated[
    str, typer.Argument(help="A checkpoint's prefix, a directory of checkpoints, a .safetensors or a .pt file.")
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Target(enum.StrEnum):
    """Formats to convert to."""

    safetensors = "safetensors"
    tf_v2 = "tf-v2"
    tf_v1 = "tf-v1"
    torch = "torch"


class Names(enum.StrEnum):
    """What becomes of the names."""

    modern = "modern"
    keep = "keep"


def _statistics(values: np.ndarray) -> dict[str, Any]:
    if values.dtype == object or values.dtype == np.bool_ or values.size == 0:
        return {}
    wide = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    if wide.dtype.kind == "c":
        wide = np.abs(wide)
    return {
        "mean": float(wide.mean()),
        "std": float(wide.std()),
        "min": float(wide.min()),
        "max": float(wide.max()),
        "finite": bool(np.isfinite(wide).all()),
    }


def _directory(tensors: Any) -> dict[str, ckpt.VariableInfo]:
    if isinstance(tensors, ckpt.Checkpoint):
        return tensors.variables
    return {n: ckpt.VariableInfo(n, str(v.dtype), v.shape, v.nbytes) for n, v in tensors.items()}


def _rows(tensors: Any, statistics: bool) -> list[dict[str, Any]]:
    rows, directory = [], _directory(tensors)
    for name, parts in ckpt.modern_names(tensors).items():
        info = directory[name]
        rows.append(
            {
                "name": name,
                "modern": parts.full,
                "slot": parts.slot or ("counter" if is_bookkeeping(parts.modern) else None),
                "dtype": info.dtype,
                "shape": list(info.shape),
                "bytes": info.nbytes,
                "parts": info.parts,
                **(_statistics(tensors[name]) if statistics else {}),
            }
        )
    return rows


@app.command()
def inspect(
    path: PATH,
    as_json: AS_JSON = False,
    statistics: Annotated[bool, typer.Option(help="Read the values: mean, deviation, range, checksums.")] = True,
) -> None:
    """List the variables: name, shape, dtype, bytes, statistics, and the era of the names."""
    tensors = ckpt.read_any(path)
    rows, era = _rows(tensors, statistics), ckpt.era(tensors)
    version = tensors.version if isinstance(tensors, ckpt.Checkpoint) else Path(path).suffix[1:]
    if as_json:
        typer.echo(json.dumps({"path": path, "format": version, "era": era, "variables": rows}, indent=2))
        return
    total = sum(row["bytes"] for row in rows)
    # Not the table's title, which is broken at the table's width: a path should stay in one piece.
    typer.echo(f"{path}: {version}, {len(rows)} variables, {total:,} bytes, names of {era or 'no known era'}")
    table = Table()
    for column in ("name", "dtype", "shape", "bytes", *(("mean", "std", "min", "max") if statistics else ())):
        table.add_column(column, justify="left" if column in ("name", "dtype", "shape") else "right", overflow="fold")
    for row in rows:
        numbers = [f"{row[k]:.4g}" if k in row else "" for k in ("mean", "std", "min", "max")] if statistics else []
        style = "red" if row.get("finite") is False else "dim" if row["slot"] else None
        table.add_row(row["name"], row["dtype"], str(row["shape"]), f"{row['bytes']:,}", *numbers, style=style)
    Console(width=None if Console().is_terminal else 160).print(table)


@app.command()
def convert(
    path: PATH,
    output: Annotated[str, typer.Argument(help="The prefix or file to write.")],
    to: Annotated[Target, typer.Option(help="The format to write.")],
    names: Annotated[Names, typer.Option(help="modern: the names of TensorFlow 1.15.")] = Names.keep,
    drop_slots: Annotated[bool, typer.Option("--drop-slots", help="Leave out optimizer slots and counters.")] = False,
) -> None:
    """Write a checkpoint as safetensors, TensorFlow's V2 or V1, or torch; any era's names can become 1.15's."""
    written = ckpt.convert(path, output, to=to.value, names=names.value, drop_slots=drop_slots)
    typer.echo(f"{written}: {len(ckpt.read_any(written))} variables")


@app.command()
def diff(
    a: PATH,
    b: PATH,
    names: Annotated[Names, typer.Option(help="modern: names of different eras count as the same.")] = Names.modern,
    tolerance: Annotated[float, typer.Option(help="Greatest difference of values that counts as none.")] = 0.0,
    as_json: AS_JSON = False,
) -> None:
    """Compare two checkpoints; exit code 1 where they differ."""
    found = [d for d in ckpt.diff(a, b, names=names.value) if not (d.greatest is not None and d.greatest <= tolerance)]
    if as_json:
        typer.echo(json.dumps([vars(d) for d in found], indent=2))
    for d in () if as_json else found:
        greatest = "" if d.greatest is None else f", by {d.greatest:.3g} at most"
        typer.echo(f"{d.name}: {d.kind}" + (f" ({d.detail}{greatest})" if d.detail else ""))
    if found:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("no difference")


@app.command()
def infer(path: PATH) -> None:
    """Say which model is in a checkpoint: cells, sizes, layers, directions, embeddings, dense layers, transitions."""
    tensors = ckpt.read_any(path)
    typer.echo(str(ckpt.infer(tensors)))
