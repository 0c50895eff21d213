"""tf.estimator.train_and_evaluate in one process: train, and evaluate each new checkpoint."""

from __future__ import annotations

import time
from typing import Any

from recurra.tf1.estimator.specs import EvalSpec, TrainSpec
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.hooks import CheckpointSaverListener

tf = space("")


class _Evaluator(CheckpointSaverListener):
    """Evaluates after a save, at most every `throttle_secs` seconds."""

    def __init__(self, estimator: Any, spec: EvalSpec) -> None:
        self._estimator, self._spec = estimator, spec
        self.results: dict[str, Any] | None = None
        self._path: str | None = None
        self._last = time.time()

    def begin(self) -> None:
        self._last = time.time()

    def after_save(self, session: Any, global_step_value: int) -> None:
        if time.time() - self._last >= self._spec.throttle_secs:
            self.evaluate()

    def evaluate(self) -> None:
        """Evaluate the newest checkpoint, once."""
        path = self._estimator.latest_checkpoint()
        if path is None or path == self._path:
            return
        self._path = path
        spec = self._spec
        self.results = self._estimator.evaluate(
            spec.input_fn, steps=spec.steps, name=spec.name, checkpoint_path=path, hooks=spec.hooks
        )
        for exporter in spec.exporters if isinstance(spec.exporters, list | tuple) else [spec.exporters]:
            exporter.export(
                estimator=self._estimator,
                export_path=f"{self._estimator.model_dir}/export/{exporter.name}",
                checkpoint_path=path,
                eval_result=self.results,
                is_the_final_export=True,
            )
        self._last = time.time()


@tf_export("estimator.train_and_evaluate")
def train_and_evaluate(estimator: Any, train_spec: TrainSpec, eval_spec: EvalSpec) -> tuple[Any, list[Any]]:
    """Train as `train_spec` says and evaluate new checkpoints as `eval_spec` says, the last one always.

    Returns (metrics of the last evaluation, [])."""
    evaluator = _Evaluator(estimator, eval_spec)
    estimator.train(
        train_spec.input_fn,
        hooks=list(train_spec.hooks or ()),
        max_steps=train_spec.max_steps,
        saving_listeners=[*(train_spec.saving_listeners or ()), evaluator],
    )
    evaluator.evaluate()
    return evaluator.results, []
