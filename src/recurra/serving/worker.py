"""The one thread that touches the model: requests that wait together are computed together.

One thread, because a model's kernels use all the threads they may have already, and because numbers then do not depend
on who else asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from recurra.errors import RecurraError
from recurra.training.runs import Trained
from recurra.training.task import check_steps

PADDED = 20_000  # steps computed together, padding included: what bounds the memory that strangers' inputs take


class Busy(RecurraError):
    """More requests are waiting than the server takes."""


@dataclass
class _Call:
    """Something to be computed alone."""

    function: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)


@dataclass
class _Prediction:
    """Inputs that may be computed with those of other requests."""

    values: Sequence[Any]
    where: Sequence[str]
    inputs: list[Any] = field(default_factory=list)
    future: Future[Any] = field(default_factory=Future)


class Worker:
    """Computes for many clients.

    Args:
        trained: the model.
        threads: torch's threads; None: as the run says, else torch's own choice.
        rows: inputs that are computed together at most.
        requests: requests that may wait at once; more are refused.
        steps: of an input at most.
    """

    def __init__(
        self,
        trained: Trained,
        *,
        threads: int | None = None,
        rows: int = 32,
        requests: int = 256,
        steps: int | None = None,
    ) -> None:
        self.task, self.model = trained.task, trained.model
        self.rows, self.requests, self.steps = rows, requests, steps
        self._threads = threads or trained.config.threads
        self._active = 0
        self._queue: queue.SimpleQueue[_Call | _Prediction | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin to compute."""
        self._thread.start()

    def stop(self) -> None:
        """Compute what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Around a request.

        Raises:
            Busy: too many are running.
        """
        if self._active >= self.requests:
            raise Busy(f"{self._active} requests are running or waiting, no more are taken now")
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1

    async def predict(self, values: Sequence[Any], where: Sequence[str]) -> list[Any]:
        """An answer for each value; `where` names each in errors."""
        return await self._done(_Prediction(values, where))

    async def call(self, function: Callable[[], Any]) -> Any:
        """What `function()` gives, computed by the model's thread."""
        return await self._done(_Call(function))

    async def _done(self, job: _Call | _Prediction) -> Any:
        self._queue.put(job)
        return await asyncio.wrap_future(job.future)

    # --- the model's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        ended = False
        while not ended:
            jobs, ended = self._waiting()
            predictions = []
            for job in jobs:
                if not job.future.set_running_or_notify_cancel():
                    continue  # the client went away
                if isinstance(job, _Call):
                    _settle(job.future, job.function)
                elif self._read(job):
                    predictions.append(job)
            self._predict(predictions)

    def _waiting(self) -> tuple[list[_Call | _Prediction], bool]:
        """The jobs there are, at least one; and whether they are the last."""
        jobs: list[_Call | _Prediction] = []
        found = self._queue.get()
        while found is not None:
            jobs.append(found)
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _read(self, job: _Prediction) -> bool:
        """Read a job's values; what cannot be read is that job's error alone."""
        try:
            job.inputs = [self._read_one(*pair) for pair in zip(job.values, job.where, strict=True)]
        except Exception as error:
            job.future.set_exception(error)
            return False
        return True

    def _read_one(self, value: Any, where: str) -> Any:
        read = self.task.read_input(value, where)
        check_steps(len(read), self.steps, where)  # others are padded to its length
        return read

    def _predict(self, jobs: list[_Prediction]) -> None:
        inputs = [one for job in jobs for one in job.inputs]
        try:
            answers = iter(self._answers(inputs))
        except Exception:
            # whose fault it was is seen when each is computed alone
            for job in jobs:
                _settle(job.future, lambda job=job: self._answers(job.inputs))  # type: ignore[misc]
            return
        for job in jobs:
            job.future.set_result([next(answers) for _ in job.inputs])

    def _answers(self, inputs: list[Any]) -> list[Any]:
        answers: list[Any] = []
        while len(answers) < len(inputs):
            answers += self.task.answers(self.model, self._batch(inputs[len(answers) :]))
        return answers

    def _batch(self, inputs: list[Any]) -> list[Any]:
        """The first of `inputs` that may be padded to one length."""
        longest = count = 0
        for one in inputs[: self.rows]:
            longest = max(longest, len(one))
            if count and (count + 1) * longest > PADDED:
                break
            count += 1
        return inputs[:count]


def _settle(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
