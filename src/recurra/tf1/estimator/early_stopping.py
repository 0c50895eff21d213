"""tf.contrib.estimator: hooks that end the training when an evaluation's metric stands still."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.hooks import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, _Timer

tf = space("")


@tf_export("contrib.estimator.read_eval_metrics", "estimator.experimental.read_eval_metrics")
def read_eval_metrics(eval_dir: str) -> dict[int, dict[str, float]]:
    """{global step: metrics} from the event files that evaluations wrote."""
    found: dict[int, dict[str, float]] = {}
    for event in _events(eval_dir):
        numbers = {v.tag: v.simple_value for v in event.summary.value if v.HasField("simple_value")}
        if numbers:
            found[event.step] = numbers
    return dict(sorted(found.items()))


def _events(folder: str) -> Iterator[Any]:
    if not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        if "tfevents" in name:
            yield from tf.train.summary_iterator(os.path.join(folder, name))


@tf_export("contrib.estimator.make_early_stopping_hook", "estimator.experimental.make_early_stopping_hook")
def make_early_stopping_hook(
    estimator: Any,
    should_stop_fn: Callable[[], bool],
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> SessionRunHook:
    """Stops when `should_stop_fn()` says so, asked every `run_every_secs` seconds or `run_every_steps` steps."""
    if run_every_secs is not None and run_every_steps is not None:
        raise ValueError("Only one of `run_every_secs` and `run_every_steps` must be set.")
    return _StopWhen(should_stop_fn, _Timer(run_every_secs, run_every_steps))


class _StopWhen(SessionRunHook):
    def __init__(self, should_stop: Callable[[], bool], timer: _Timer) -> None:
        self._should_stop, self._timer = should_stop, timer

    def begin(self) -> None:
        self._step = tf.train.get_global_step()

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        return SessionRunArgs(self._step)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        if self._timer.should_trigger_for_step(run_values.results):
            self._timer.update_last_triggered_step(run_values.results)
            if self._should_stop():
                tf.logging.info("Requesting early stopping at global step %d", run_values.results)
                run_context.request_stop()


def _threshold(name: str, better: Callable[[float, float], bool]) -> None:
    @tf_export(f"contrib.estimator.stop_if_{name}_hook", f"estimator.experimental.stop_if_{name}_hook")
    def hook(
        estimator: Any,
        metric_name: str,
        threshold: float,
        eval_dir: str | None = None,
        min_steps: int = 0,
        run_every_secs: float | None = 60,
        run_every_steps: int | None = None,
    ) -> SessionRunHook:
        """Stop once the metric passes `threshold`."""
        folder = eval_dir or estimator.eval_dir()

        def reached() -> bool:
            values = read_eval_metrics(folder).items()
            return any(step >= min_steps and better(m[metric_name], threshold) for step, m in values)

        return make_early_stopping_hook(estimator, reached, run_every_secs, run_every_steps)


def _standstill(name: str, better: Callable[[float, float], bool]) -> None:
    @tf_export(f"contrib.estimator.stop_if_no_{name}_hook", f"estimator.experimental.stop_if_no_{name}_hook")
    def hook(
        estimator: Any,
        metric_name: str,
        max_steps_without_change: int,
        eval_dir: str | None = None,
        min_steps: int = 0,
        run_every_secs: float | None = 60,
        run_every_steps: int | None = None,
    ) -> SessionRunHook:
        """Stop once the metric was not bettered for `max_steps_without_change` steps."""
        folder = eval_dir or estimator.eval_dir()

        def stands_still() -> bool:
            best: float | None = None
            best_step = 0
            for step, metrics in read_eval_metrics(folder).items():
                if step < min_steps:
                    continue
                value = metrics[metric_name]
                if best is None or better(value, best):
                    best, best_step = value, step
                if step - best_step >= max_steps_without_change:
                    return True
            return False

        return make_early_stopping_hook(estimator, stands_still, run_every_secs, run_every_steps)


for _name, _better in (("higher", operator.ge), ("lower", operator.le)):
    _threshold(_name, _better)
for _name, _better in (("increase", operator.gt), ("decrease", operator.lt)):
    _standstill(_name, _better)
