"""The training loop: short, and resumable at every step.

Everything random about step n is a function of (seed, n, process): the order of examples comes from (seed, epoch),
dropout from a generator that is seeded anew at every step. So a checkpoint is weights, optimiser, carried state and
a position, and a run that was killed anywhere goes on to the same numbers as one that was not.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recurra import _nest
from recurra.errors import RecurraError
from recurra.training import checkpoint, distributed
from recurra.training.checkpoint import Progress
from recurra.training.events import EventLog
from recurra.training.progress import ProgressBar
from recurra.training.runfolder import Row, RunFolder
from recurra.training.task import Share, Task

AGREE_EVERY = 16  # steps between the messages in which several processes agree to stop


class Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived; the state was saved before this was raised."""

    def __init__(self, step: int, folder: Path):
        super().__init__(f"interrupted at step {step}; the state is saved, go on with: recurra train --resume {folder}")


class Diverged(RecurraError):
    """The loss is no number any more."""


def make_optimizer(task: Task[Any], model: nn.Module) -> torch.optim.Optimizer:
    """Adam (fused) or plain gradient descent over all trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    config = task.config
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=config.learning_rate, fused=True)
    if config.weight_decay:
        return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    return torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)


class Loop:
    """One training run.

    Args:
        task: what is trained.
        model: freshly built.
        folder: where it is written (by rank 0 only).
        share: this process's part of each batch.
    """

    def __init__(self, task: Task[Any], model: nn.Module, folder: RunFolder, recipe: str, share: Share):
        self.task, self.model, self.folder, self.recipe, self.share = task, model, folder, recipe, share
        self.config = task.config
        self.first = share.rank == 0
        self.optimizer = make_optimizer(task, model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.progress = Progress()
        self.state: Any = None
        self.stop_requested = False
        self.total_steps = self._plan()
        self._pending: list[Row] = []
        self._mark = (0.0, 0.0)

    # --- resuming ---------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Take up the run from `last.pt`; without one it starts at the beginning."""
        path = self.folder.path / "last.pt"
        if path.is_file():
            content = checkpoint.load(path, self.recipe)
            checkpoint.load_weights(self.model, content, path)
            self.optimizer.load_state_dict(content["optimizer"])
            self.progress = Progress(**content["progress"])
            self.state = self._unpack_state(content["state"])
        if self.first:
            self.folder.rewind_metrics(self.progress.step)

    def _unpack_state(self, states: list[list[torch.Tensor]] | None) -> Any:
        if states is None:
            return None
        leaves = states[self.share.rank]
        like = self.model.initial_state(leaves[0].shape[0])  # type: ignore[operator]
        return _nest.pack_as(like, leaves)

    def save(self) -> None:
        """Write `last.pt`."""
        self._clock()
        leaves = None if self.state is None else [leaf.detach() for leaf in _nest.flatten(self.state)]
        states = None if leaves is None else distributed.gather(leaves, self.share)
        if self.first:
            path = self.folder.path / "last.pt"
            checkpoint.save(path, self.recipe, self.model, self.progress, optimizer=self.optimizer, state=states)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> Progress:
        """Train until something says stop.

        Raises:
            Interrupted: by Ctrl-C or SIGTERM, after saving.
            Diverged: the loss is not finite.
            OSError: a file cannot be written (a full disk); what was written before is whole.
        """
        self.events = EventLog(self.folder.path, self.progress.step, enabled=self.first)
        self.bar = ProgressBar(self.recipe, self.total_steps, self.first and self.config.progress)
        with self.events, self.bar, self._signals():
            self._start_clock()
            while not self._finished():
                self._epoch()
        return self.progress

    def _epoch(self) -> None:
        """The rest of the current epoch; `_after_step` turns to the next one after its last batch."""
        progress = self.progress
        epoch, batches = progress.epoch, self.task.epoch(progress.epoch)
        self.model.train()
        while progress.epoch == epoch and not self._finished():
            self._step(batches[progress.position])
            progress.step += 1
            progress.position += 1
            self._after_step(last_of_epoch=progress.position == len(batches))

    def _step(self, batch: Any) -> None:
        progress, config = self.progress, self.config
        rate = self.task.learning_rate(progress.epoch, self._fraction())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.default_generator.manual_seed(step_seed(config.seed, progress.step, self.share.rank))
        self.optimizer.zero_grad(set_to_none=True)
        result = self.task.loss(self.model, to_device(batch, config.device), self.state, self.share)
        self.state = result.state
        (result.total / result.count).backward()
        if self.share.world > 1:
            distributed.sum_gradients(self.model)
        if config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, config.clip_norm)
        self.optimizer.step()
        value = result.total.item()
        if not math.isfinite(value):
            raise Diverged(
                f"the loss became {value} at step {progress.step + 1} (learning rate {rate:g}); "
                "try a smaller --learning-rate or --clip-norm; the best weights so far are kept"
            )
        progress.train_loss += value
        progress.train_count += result.count

    def _after_step(self, *, last_of_epoch: bool) -> None:
        progress, config = self.progress, self.config
        step = progress.step
        if step % config.log_every == 0 or step == 1 or last_of_epoch:
            self._log_training()
        due = step % config.eval_every == 0 if config.eval_every else last_of_epoch
        final = step == self.total_steps
        if due or final:
            self._validate()
        saving = due or final or last_of_epoch or bool(config.save_every and step % config.save_every == 0)
        if last_of_epoch:
            progress.epoch, progress.position, self.state = progress.epoch + 1, 0, None
        if saving:
            self.save()
        self.bar.at(step)
        if self._asked_to_stop():
            self.save()
            raise Interrupted(step, self.folder.path)

    # --- validation -------------------------------------------------------------------------------------------------

    def _validate(self) -> None:
        started = self._clock()
        progress, task = self.progress, self.task
        quick = task.quick_evaluate(self.model)
        if quick is not None and not self._may_be_best(*quick):
            self._row("valid-subset", math.nan, quick[0])
        else:
            metrics = task.evaluate(self.model, "valid")
            value = metrics[task.metric]
            self._row("valid", metrics["loss"], value)
            self.events.scalars(progress.step, {f"valid/{name}": number for name, number in metrics.items()})
            if self._is_best(value, metrics["loss"]):
                progress.best, progress.best_loss, progress.best_step = value, metrics["loss"], progress.step
                progress.quick_best = None if quick is None else quick[0]
                if self.first:
                    checkpoint.save(self.folder.path / "best.pt", self.recipe, self.model, progress)
            self._say_validation(metrics, started)
        self.model.train()
        self._flush()

    def _is_best(self, value: float, loss: float) -> bool:
        """Whether this validation is the best so far; of two with the same metric the lower loss is better."""
        progress = self.progress
        if progress.best is None:
            return True
        if math.isnan(progress.best):  # a first validation of no value is beaten by any that has one
            return not math.isnan(value)
        if value == progress.best:
            return progress.best_loss is None or loss < progress.best_loss
        return value > progress.best if self.task.higher_is_better else value < progress.best

    def _may_be_best(self, value: float, count: int) -> bool:
        """Whether the subset's metric is so near its value at the best step that all of the data must decide."""
        best = self.progress.quick_best
        if best is None:
            return True
        margin = math.sqrt(max(best * (1 - best), 1e-4) / count)  # one standard error of a share
        return value >= best - margin if self.task.higher_is_better else value <= best + margin

    def _say_validation(self, metrics: dict[str, float], started: float) -> None:
        progress = self.progress
        if not self.first:
            return
        shown = "  ".join(f"{name} {number:.4f}" for name, number in metrics.items())
        star = "  *" if progress.best_step == progress.step else ""
        self.bar.note(f"{self.task.metric} {metrics[self.task.metric]:.4f}, best {progress.best:.4f}")
        text = (
            f"epoch {progress.epoch + 1:3d}  step {progress.step:6d}  {progress.seconds:7.1f} s  valid: {shown}{star}"
        )
        self.bar.print(text, self.folder)

    # --- when to stop -----------------------------------------------------------------------------------------------

    def _plan(self) -> int:
        planned = self.config.epochs * len(self.task.epoch(0))
        return planned if self.config.steps is None else min(planned, self.config.steps)

    def _fraction(self) -> float:
        """How much of the planned run is done: by steps, or by CPU time where that ends it first."""
        done = self.progress.step / self.total_steps
        if self.config.cpu_minutes is not None:
            spent = self.progress.cpu_seconds + time.process_time() - self._mark[1]
            done = max(done, spent / (60 * self.config.cpu_minutes))
        return done

    def _finished(self) -> bool:
        progress, config = self.progress, self.config
        if progress.step >= self.total_steps or progress.epoch >= config.epochs:
            return True
        waited = 0 if progress.best is None else progress.step - progress.best_step
        if config.patience is not None and waited > config.patience:
            return True
        if config.cpu_minutes is None:
            return False
        over = self._fraction() >= 1.0
        over = over if self.share.world == 1 else self._agreed(over)
        if over and self.progress.best_step != progress.step:
            self._validate()
        return over

    def _asked_to_stop(self) -> bool:
        return self.stop_requested if self.share.world == 1 else self._agreed(self.stop_requested)

    def _agreed(self, value: bool) -> bool:
        return self.progress.step % AGREE_EVERY == 0 and distributed.agree(value, self.share)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for a stop after the step; a second Ctrl-C stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: Any) -> None:
            if self.stop_requested and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.stop_requested = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _start_clock(self) -> None:
        self._mark = (time.perf_counter(), time.process_time())

    def _clock(self) -> float:
        """Bring `progress.seconds` and `cpu_seconds` up to date."""
        now = (time.perf_counter(), time.process_time())
        self.progress.seconds += now[0] - self._mark[0]
        self.progress.cpu_seconds += now[1] - self._mark[1]
        self._mark = now
        return now[0]

    def _log_training(self) -> None:
        progress = self.progress
        total = distributed.sum_scalar(progress.train_loss, self.share)
        loss = total / max(progress.train_count, 1e-9)
        self._row("train", loss, math.nan)
        self.events.scalars(
            progress.step, {"train/loss": loss, "train/learning_rate": self.optimizer.param_groups[0]["lr"]}
        )
        self.bar.note(f"loss {loss:.4f}", keep_metric=True)
        progress.train_loss = progress.train_count = 0.0
        self._flush()

    def _row(self, part: str, loss: float, value: float) -> None:
        self._clock()
        progress = self.progress
        self._pending.append(
            {
                "step": progress.step,
                "epoch": progress.epoch,
                "part": part,
                "loss": "" if math.isnan(loss) else repr(loss),
                "metric": "" if math.isnan(value) else self.task.metric,
                "value": "" if math.isnan(value) else repr(value),
                "learning_rate": repr(self.optimizer.param_groups[0]["lr"]),
                "seconds": f"{progress.seconds:.3f}",
                "cpu_seconds": f"{progress.cpu_seconds:.3f}",
            }
        )

    def _flush(self) -> None:
        if self.first:
            self.folder.append_metrics(self._pending)
        self._pending.clear()


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of everything random inside one step of one process: 32 well-mixed bits."""
    value = (seed * 0x9E3779B1 + step * 0x85EBCA6B + rank * 0xC2B2AE35 + 0x27D4EB2F) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return value ^ (value >> 13)


def to_device(batch: Any, device: str) -> Any:
    """`batch` with its tensors on `device`."""
    if device == "cpu":
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(item, device) for item in batch))
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return type(batch)(to_device(item, device) for item in batch)  # type: ignore[call-arg]
    return batch
