"""Runs the application until a signal comes; what runs then is finished first."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from recurra.errors import ConfigError

PATIENCE = 30  # seconds that requests have to finish after a signal


def listen(host: str, port: int) -> socket.socket:
    """A socket at that address; port 0 takes any that is free.

    Raises:
        ConfigError: the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # the number's own words: those of `create_server` repeat the address
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigError(f"--host {host} --port {port}: {reason}") from error


def address(sock: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: FastAPI, sock: socket.socket, *, body: int, requests_logged: bool, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM (then return) or SIGINT (then KeyboardInterrupt)."""
    config = uvicorn.Config(
        app,
        log_level="info" if requests_logged else "warning",
        access_log=requests_logged,
        timeout_graceful_shutdown=PATIENCE,
        ws_max_size=body,
        server_header=False,
    )
    # uvicorn hands a signal on when it has stopped: a termination that was asked for and carried out is no failure
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        ready()
        uvicorn.Server(config).run(sockets=[sock])
    finally:
        signal.signal(signal.SIGTERM, before)
