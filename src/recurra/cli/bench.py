"""`recurra bench`: this library beside its peers, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.errors import ConfigError

app = typer.Typer()


def _pythons(pairs: list[str]) -> dict[str, str]:
    from recurra.benchmark.run import NAMES

    found = {}
    for pair in pairs:
        name, _, python = pair.partition("=")
        if name not in NAMES or not python:
            raise ConfigError(f"`--peer` is {pair!r}, expected NAME=PYTHON with NAME one of {', '.join(NAMES)}")
        if not Path(python).exists():
            raise ConfigError(f"`--peer {name}`: there is no {python}")
        found[name] = python
    return found


def _peers(against: list[str] | None) -> list[str]:
    """Our own roads, and those peers that were asked for, or all."""
    from recurra.benchmark.run import NAMES

    unknown = set(against or ()) - set(NAMES)
    if unknown:
        raise ConfigError(f"`--against` is {min(unknown)!r}, expected one of {', '.join(NAMES)}")
    return [name for name in NAMES if not against or name in against or name.startswith("recurra")]


@app.command()
def bench(
    workload: Annotated[list[str] | None, typer.Option(help="Only these workloads (repeat the option).")] = None,
    cell: Annotated[list[str] | None, typer.Option(help="Only these cells: lstm, gru, gru_after, rnn.")] = None,
    mode: Annotated[list[str] | None, typer.Option(help="Only these modes: forward, training, stream.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="NAME=PYTHON: the interpreter that has a peer (their pins collide).")
    ] = None,
    part: Annotated[
        str,
        typer.Option(help="peers, or what needs no other library than torch: variants, ragged, halves, own, memory."),
    ] = "peers",
    against: Annotated[
        list[str] | None,
        typer.Option(help="Only these peers: torch, tensorflow, jax, onnxruntime (repeat the option)."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every peer.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every peer per job.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, help="Length of a turn.")] = 0.15,
    tuned: Annotated[bool, typer.Option(help="Let malloc keep freed memory (GLIBC_TUNABLES), for all peers.")] = False,
    json: Annotated[Path | None, typer.Option(help="Results; rows already there are kept or replaced.")] = None,
    picture: Annotated[Path | None, typer.Option(help="A picture of the results (PNG).")] = None,
) -> None:
    """Measure LSTM, GRU and RNN, forward, training and streaming, beside torch, TensorFlow, JAX and ONNX Runtime."""
    from recurra.benchmark import report
    from recurra.benchmark.contests import PARTS
    from recurra.benchmark.run import Options, header, run, run_part
    from recurra.benchmark.workloads import jobs

    parts = ("peers", *PARTS, "memory")
    if part not in parts:
        raise ConfigError(f"`--part` is {part!r}, expected one of {', '.join(parts)}")
    options = Options(threads, rounds, seconds, _pythons(peer or []), tuned)
    if part != "peers":
        found = {**header(options, part), "results": run_part(part, options, workload or (), say=typer.echo)}
    else:
        chosen = jobs(workload, cell, mode)
        if not chosen:
            raise ConfigError("no job has this workload, cell and mode")
        found = run(chosen, options, _peers(against), say=typer.echo)
    if json is not None:
        found = report.merge(json, found)
        report.write(json, found)
    machine = found["machine"]
    typer.echo(
        f"\n{machine['cpu']}, {machine['threads']} threads, {machine['isa']}: "
        f"{machine['gflops']:.0f} GFLOP/s, {machine['gigabytes_per_second']:.0f} GB/s\n"
    )
    if part != "peers":
        scale = 1.0 if part == "memory" else 1e3
        typer.echo(report.roads_table(report.of_part(found, part), scale=scale))
    else:
        typer.echo(report.peers_table(found, report.of_part(found, "tuned" if tuned else "peers")))
    if picture is not None:
        report.picture(found, picture)
