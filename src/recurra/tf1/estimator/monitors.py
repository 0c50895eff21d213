"""tf.contrib.learn.monitors: what a training of tf.contrib.learn calls on its way."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.hooks import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues

tf = space("")


class EveryN(SessionRunHook):
    """A monitor that acts every `every_n_steps` steps, from the first on."""

    def __init__(self, every_n_steps: int = 100, first_n_steps: int = 1) -> None:
        self._every, self._first = every_n_steps, first_n_steps
        self._estimator: Any = None
        self._last: int | None = None

    def set_estimator(self, estimator: Any) -> None:
        """The estimator that is trained."""
        self._estimator = estimator

    def begin(self) -> None:
        self._step = tf.train.get_global_step()
        self._last = None

    def every_n_step_begin(self, step: int) -> list[Any]:
        """Tensors to run with a step that is due."""
        return []

    def every_n_step_end(self, step: int, outputs: dict[str, Any]) -> bool:
        """Act; True ends the training."""
        return False

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        wanted = self.every_n_step_begin(self._last or 0)
        return SessionRunArgs([self._step, {t if isinstance(t, str) else t.name: t for t in wanted}])

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        step, outputs = int(run_values.results[0]), run_values.results[1]
        if self._last is not None and step < self._last + self._every and step > self._first:
            return
        self._last = step
        if self.every_n_step_end(step, outputs):
            run_context.request_stop()


export(EveryN, "contrib.learn.monitors.EveryN", "contrib.learn.monitors.BaseMonitor")


@tf_export("contrib.learn.monitors.ValidationMonitor")
class ValidationMonitor(EveryN):
    """Evaluates new checkpoints on held-out data, and may stop the training when a metric stands still."""

    def __init__(
        self,
        x: Any = None,
        y: Any = None,
        input_fn: Any = None,
        batch_size: int | None = None,
        eval_steps: int | None = None,
        every_n_steps: int = 100,
        metrics: Any = None,
        hooks: Any = None,
        early_stopping_rounds: int | None = None,
        early_stopping_metric: str = "loss",
        early_stopping_metric_minimize: bool = True,
        name: str | None = None,
        **unused: Any,
    ) -> None:
        super().__init__(every_n_steps, first_n_steps=-1)
        if x is None and input_fn is None:
            raise ValueError("Either x or input_fn should be provided.")
        self._data = {"x": x, "y": y, "input_fn": input_fn, "batch_size": batch_size, "steps": eval_steps}
        self._metrics, self._name = metrics, name
        self._rounds, self._metric = early_stopping_rounds, early_stopping_metric
        self._sign = 1 if early_stopping_metric_minimize else -1
        self._path: str | None = None
        self.best_step: int | None = None
        self.best_value: float | None = None
        self.best_metrics: dict[str, Any] | None = None
        self.early_stopped = False

    def _results(self) -> dict[str, Any]:
        return self._estimator.evaluate(**self._data, metrics=self._metrics, name=self._name)

    def every_n_step_end(self, step: int, outputs: dict[str, Any]) -> bool:
        path = self._estimator.latest_checkpoint()
        if path is None or path == self._path:
            return False
        self._path = path
        results = self._results()
        told = ", ".join(f"{key} = {value}" for key, value in sorted(results.items()))
        tf.logging.info("Validation (step %d): %s", step, told)
        if self._rounds is None:
            return False
        value = float(results[self._metric])
        if self.best_value is None or value * self._sign < self.best_value * self._sign:
            self.best_value, self.best_step, self.best_metrics = value, step, results
        self.early_stopped = step - (self.best_step or 0) >= self._rounds
        return self.early_stopped


@tf_export("contrib.learn.monitors.PrintTensor")
def print_tensor(tensor_names: Any, every_n: int = 100, first_n: int = 1) -> SessionRunHook:
    """Logs tensors by name every `every_n` steps."""
    names = tensor_names if isinstance(tensor_names, dict) else list(tensor_names)
    return tf.train.LoggingTensorHook(names, every_n_iter=every_n)
