"""The addresses of the server, and what becomes of errors."""

# Annotations are evaluated here: the requests' types are made for the model that is served.

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse

from recurra import __version__
from recurra.cells import BaseCell
from recurra.errors import ConfigError
from recurra.serving.body import BodyLimit
from recurra.serving.problems import PROBLEMS, add_handlers, problem
from recurra.serving.schemas import (
    Generated,
    GenerateRequest,
    Health,
    Info,
    Inputs,
    Limits,
    answered,
    inputs_model,
    predictions_model,
)
from recurra.serving.sessions import Sessions
from recurra.serving.streams import add_streams
from recurra.serving.worker import Worker
from recurra.training.runfolder import RunFolder
from recurra.training.runs import Trained

PAGE = Path(__file__).with_name("page.html")
# the page is whole in itself: a browser is to load nothing from elsewhere
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"
MODEL_FACTS = ("cell", "hidden", "layers", "bidirectional", "read", "level", "window", "horizon", "target")


def create_app(trained: Trained, limits: Limits, threads: int | None = None) -> FastAPI:
    """The application that serves `trained`.

    Raises:
        ConfigError: a run of this recipe cannot predict.
    """
    if trained.task.answer_type is None:
        raise ConfigError(f"a run of recipe {trained.recipe!r} cannot predict: nothing to serve")
    for module in trained.model.modules():
        if isinstance(module, BaseCell):
            module.freeze()
    worker = Worker(trained, threads=threads, requests=limits.requests, steps=limits.tokens)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        worker.stop()

    app = FastAPI(
        title=f"recurra: {trained.recipe}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, most=limits.body)
    add_handlers(app)
    info = _info(trained, limits)
    _add_pages(app, info)
    request = inputs_model(trained.task.input_type(), limits.inputs)
    answer = predictions_model(trained.task.answer_type)
    _add_predict(app, worker, request, answer)
    _add_generate(app, worker, trained)
    steps = inputs_model(trained.task.step_type(), limits.inputs)
    add_streams(app, worker, Sessions(limits.sessions, limits.idle), steps, answer, listed=info.streams)
    return app


def _info(trained: Trained, limits: Limits) -> Info:
    folder = None if trained.path is None else RunFolder(trained.path)
    result = (None if folder is None else folder.read_json("result.json")) or {}
    model = {name: getattr(trained.config, name) for name in MODEL_FACTS if hasattr(trained.config, name)}
    facts = dict.fromkeys(("labels", "vocabulary", "columns")) | trained.task.facts()
    why_not = None
    try:
        trained.task.stream(trained.model)
    except ConfigError as error:
        why_not = str(error)
    return Info(
        run="" if trained.path is None else trained.path.name,
        recipe=trained.recipe,
        model=model | {"parameters": sum(parameter.numel() for parameter in trained.model.parameters())},
        metrics=result.get("test"),
        baselines=result.get("baselines"),
        generates=hasattr(trained.task, "written"),
        streams=why_not is None,
        why_no_streams=why_not,
        limits=limits,
        version=__version__,
        **facts,
    )


def _add_pages(app: FastAPI, info: Info) -> None:
    @app.get("/", response_class=HTMLResponse, summary="A page to try the model")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers={"Content-Security-Policy": POLICY})

    @app.get("/health", summary="Whether the server is up")
    async def health() -> Health:
        return Health()

    @app.get("/info", summary="What is served")
    async def about() -> Info:
        return info


def _add_predict(app: FastAPI, worker: Worker, request: type[Inputs], answer: type[Any]) -> None:
    @app.post(
        "/predict",
        response_model=answer,
        response_model_exclude_unset=True,
        responses=PROBLEMS,
        summary="What `recurra predict` answers",
    )
    async def predict(inputs: request) -> dict[str, Any]:  # type: ignore[valid-type]
        with worker.admitted():
            return answered(inputs, await worker.predict(*inputs.values()))  # type: ignore[attr-defined]


def _add_generate(app: FastAPI, worker: Worker, trained: Trained) -> None:
    done = {"content": {"text/event-stream": {}}, "description": "the text; with `stream` its tokens, as events"}
    responses: dict[int | str, dict[str, Any]] = {200: done, **PROBLEMS}

    @app.post(
        "/generate",
        response_model=Generated,
        responses=responses,
        summary="What `recurra generate` writes",
        include_in_schema=hasattr(trained.task, "written"),  # elsewhere it only says that there is none
    )
    async def generate(request: GenerateRequest) -> Any:
        pieces = trained.written(
            request.prompt, length=request.length, temperature=request.temperature, seed=request.seed
        )
        unknown = trained.unknown(request.prompt)
        with worker.admitted():
            text = [await worker.call(lambda: next(pieces))]  # a prompt that cannot be read is told here
            if not request.stream:
                text += [piece async for piece in _made(worker, pieces)]
                return Generated(text="".join(text), unknown=unknown)
        return StreamingResponse(_events(worker, text, pieces, unknown), media_type="text/event-stream")


async def _made(worker: Worker, pieces: Iterator[str]) -> AsyncIterator[str]:
    """`pieces` as the model's thread makes them, other requests between one and the next."""
    while (piece := await worker.call(lambda: next(pieces, None))) is not None:
        yield piece


async def _events(worker: Worker, text: list[str], pieces: Iterator[str], unknown: list[str]) -> AsyncIterator[str]:
    """Server-sent events: `{"text": …}` for what there is and for each piece, then `event: done` with the whole."""
    yield _event({"text": text[0]})
    try:
        with worker.admitted():
            async for piece in _made(worker, pieces):
                text.append(piece)
                yield _event({"text": piece})
    except Exception as error:
        yield _event({"error": problem(error)[1]}, "error")
    else:
        yield _event(Generated(text="".join(text), unknown=unknown).model_dump(), "done")


def _event(data: dict[str, Any], name: str | None = None) -> str:
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n"
