"""`recurra serve RUN`: a trained model over HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from recurra.cli.use import RunArgument, load_run
from recurra.errors import RecurraError

NEEDED = ("fastapi", "uvicorn", "websockets")

app = typer.Typer(add_completion=False)


@app.command(
    help="Serve a trained model over HTTP: a page to try it at /, JSON at /predict and /generate, streams at /sessions "
    "and /stream. Stop it with Ctrl-C or SIGTERM; requests that run are finished first."
)
def serve(
    run: RunArgument,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any that is free.", min=0, max=65535)] = 8000,
    threads: Annotated[
        int | None, typer.Option(help="Threads of torch (default: as the run says).", min=1, show_default=False)
    ] = None,
    inputs: Annotated[int, typer.Option(help="Inputs in one request at most.", min=1)] = 256,
    body: Annotated[int, typer.Option(help="Bytes of one request or message at most.", min=1)] = 1 << 20,
    requests: Annotated[int, typer.Option(help="Requests that run or wait at once at most.", min=1)] = 256,
    sessions: Annotated[int, typer.Option(help="Streams that are open at once at most.", min=0)] = 100,
    idle: Annotated[float, typer.Option(help="Seconds without a step after which a stream ends.", min=0.001)] = 300,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Print a line for each request.")] = False,
) -> None:
    _check_extra()
    trained = load_run(run)
    from recurra.serving.app import create_app
    from recurra.serving.schemas import Limits
    from recurra.serving.server import address, listen
    from recurra.serving.server import run as serve_until_stopped

    limits = Limits(inputs=inputs, body=body, requests=requests, sessions=sessions, idle=idle)
    served = create_app(trained, limits, threads)
    with listen(host, port) as sock:
        here = f"serving {trained.path} (recipe {trained.recipe}) at {address(sock)}  (Ctrl-C stops)"
        serve_until_stopped(served, sock, body=body, requests_logged=log, ready=lambda: typer.echo(here))


def _check_extra() -> None:
    for name in NEEDED:
        if find_spec(name) is None:
            raise RecurraError(f"serve needs {name}: pip install 'recurra[serve]'")
