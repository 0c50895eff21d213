"""Sequences that come step by step: sessions over plain requests, and a WebSocket each. Both carry the recurrent
state."""

# Annotations are evaluated here: the requests' types are made for the model that is served.

import asyncio
import json
import logging
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from recurra.serving.problems import PROBLEMS, problem
from recurra.serving.schemas import Inputs, Opened, Problem, answered
from recurra.serving.sessions import Session, Sessions
from recurra.serving.worker import Worker

log = logging.getLogger("recurra.serving")
GOING_AWAY, REFUSED = 1001, 1008
NO_SESSION: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "no such session"}}
NO_MORE: dict[int | str, dict[str, Any]] = {503: {"model": Problem, "description": "too many sessions are open"}}


def add_streams(
    app: FastAPI, worker: Worker, sessions: Sessions, request: type[Inputs], answer: type[Any], *, listed: bool
) -> None:
    """The addresses /sessions and /stream; `listed` in the OpenAPI page unless they only say that there are none."""

    async def opened() -> Session:
        return sessions.open(await worker.call(lambda: worker.task.stream(worker.model)))

    async def pushed(session: Session, inputs: Any) -> dict[str, Any]:
        values, where = inputs.values()
        with worker.admitted():
            async with session.lock:
                answers = await worker.call(lambda: session.stream.push(values, where, worker.steps))
        sessions.touch(session)
        return answered(inputs, answers)

    @app.post("/sessions", status_code=201, responses=NO_MORE, include_in_schema=listed, summary="Begin a sequence")
    async def begin() -> Opened:
        session = await opened()
        return Opened(session=session.name, idle=sessions.idle)

    @app.post(
        "/sessions/{name}",
        response_model=answer,
        response_model_exclude_unset=True,
        responses=PROBLEMS | NO_SESSION,
        include_in_schema=listed,
        summary="The next step or steps, and the answer after each",
    )
    async def step(name: str, inputs: request) -> dict[str, Any]:  # type: ignore[valid-type]
        return await pushed(sessions.get(name), inputs)

    @app.delete("/sessions/{name}", status_code=204, responses=NO_SESSION, include_in_schema=listed, summary="End it")
    async def end(name: str) -> None:
        sessions.close(sessions.get(name).name)

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        try:
            session = await opened()
        except Exception as error:
            await _refuse(socket, problem(error)[1], REFUSED)
            return
        try:
            while True:
                message = await asyncio.wait_for(socket.receive(), sessions.idle)
                if message["type"] == "websocket.disconnect":
                    break
                await socket.send_json(await _reply(message.get("text"), session))
        except TimeoutError:
            await _refuse(socket, f"idle for {sessions.idle:g} seconds", GOING_AWAY)
        except WebSocketDisconnect:
            pass
        finally:
            sessions.close(session.name)

    async def _reply(text: str | None, session: Session) -> dict[str, Any]:
        """What a message is answered: predictions, or an error that leaves the sequence as it was."""
        try:
            message = json.loads(text or "")
            if message == {"reset": True}:
                session.stream = await worker.call(lambda: worker.task.stream(worker.model))
                return {"reset": True}
            return await pushed(session, request.model_validate(message))
        except json.JSONDecodeError as error:
            return {"error": f"not JSON: {error.msg}, at character {error.pos}"}
        except RecursionError:
            return {"error": "not JSON that can be read"}
        except Exception as error:
            status, text = problem(error)
            if status == 500:
                log.exception(text)  # of plain requests the server does that
            return {"error": text}


async def _refuse(socket: WebSocket, error: str, code: int) -> None:
    await socket.send_json({"error": error})
    await socket.close(code)
