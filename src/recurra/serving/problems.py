"""What becomes of errors: a status and the message that the command line prints; never a traceback."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from recurra.errors import RecurraError
from recurra.serving.schemas import Problem
from recurra.serving.sessions import NoSession, TooManySessions
from recurra.serving.worker import Busy

STATUS: dict[type[Exception], int] = {NoSession: 404, TooManySessions: 503, Busy: 503}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "the request is too large"},
    422: {"model": Problem, "description": "the input does not fit this model"},
    500: {"model": Problem, "description": "a fault of the server"},
    503: {"model": Problem, "description": "too many requests are running"},
}


def problem(error: Exception) -> tuple[int, str]:
    """Status and message of an error; of one that was not foreseen only its kind is told."""
    if isinstance(error, HTTPException) and error.status_code == 400:
        return 422, "not JSON that can be read"  # too deep, or not UTF-8
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, (RequestValidationError, ValidationError)):
        return 422, _first_problem(error)
    if isinstance(error, (RecurraError, ValueError, NotImplementedError)):
        return STATUS.get(type(error), 422), " ".join(str(error).split())
    return 500, f"internal error: {type(error).__name__}"


def _first_problem(error: RequestValidationError | ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"not JSON: {first['ctx']['error']}, at character {first['loc'][-1]}"
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    if (first["type"] == "missing" and not place) or first["type"] in ("model_attributes_type", "model_type"):
        return "expected a JSON object (Content-Type: application/json)"
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}" if place else message


def add_handlers(app: FastAPI) -> None:
    """Answer all errors of `app` by `problem`."""

    async def answer(request: Request, error: Exception) -> Response:
        status, message = problem(error)
        headers = {"Retry-After": "1"} if status == 503 else getattr(error, "headers", None)
        return JSONResponse({"error": message}, status, headers)

    for kind in (HTTPException, RequestValidationError, RecurraError, ValueError, NotImplementedError, Exception):
        app.add_exception_handler(kind, answer)
