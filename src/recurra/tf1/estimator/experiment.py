"""tf.contrib.learn.Experiment and learn_runner: training and evaluation of an estimator as one thing, up to release 1.4."""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.estimator.learn import LearnEstimator
from recurra.tf1.estimator.monitors import ValidationMonitor
from recurra.tf1.estimator.specs import RunConfig
from recurra.tf1.names import tf_export


@tf_export("contrib.learn.Experiment", "contrib.learn.experiment.Experiment")
class Experiment:
    """What an estimator is trained and evaluated on."""

    def __init__(
        self,
        estimator: Any,
        train_input_fn: Callable[..., Any],
        eval_input_fn: Callable[..., Any],
        eval_metrics: Any = None,
        train_steps: int | None = None,
        eval_steps: int | None = 100,
        train_monitors: Any = None,
        eval_hooks: Any = None,
        local_eval_frequency: int | None = None,
        eval_delay_secs: float = 120,
        continuous_eval_throttle_secs: float = 60,
        min_eval_frequency: int | None = None,
        delay_workers_by_global_step: bool = False,
        export_strategies: Any = None,
        train_steps_per_iteration: int | None = None,
        checkpoint_and_export: bool = False,
        saving_listeners: Any = None,
        check_interval_secs: float = 5,
    ) -> None:
        if not (isinstance(estimator, LearnEstimator) or hasattr(estimator, "train")):
            raise ValueError("`estimator` must implement `tf.contrib.learn.Evaluable` or be a tf.estimator.Estimator.")
        if isinstance(estimator, LearnEstimator) is False and eval_metrics is not None:
            raise ValueError("`eval_metrics` must be `None` with `tf.estimator.Estimator`.")
        if export_strategies:
            raise NotImplementedError("Experiment(export_strategies=…) is not implemented in recurra")
        self._estimator, self._train_steps, self._eval_steps = estimator, train_steps, eval_steps
        self._inputs, self._eval_inputs, self._metrics = train_input_fn, eval_input_fn, eval_metrics
        self._monitors, self._eval_hooks = list(train_monitors or ()), list(eval_hooks or ())
        self._every = 1 if min_eval_frequency is None else min_eval_frequency
        self._local_every = local_eval_frequency
        self._saving_listeners = saving_listeners

    @property
    def estimator(self) -> Any:
        return self._estimator

    @property
    def eval_metrics(self) -> Any:
        return self._metrics

    @property
    def train_steps(self) -> int | None:
        return self._train_steps

    @property
    def eval_steps(self) -> int | None:
        return self._eval_steps

    def extend_train_hooks(self, additional_hooks: Any) -> None:
        """Add hooks to those of the training."""
        self._monitors.extend(additional_hooks)

    def train(self, delay_secs: float | None = None) -> Any:
        """Train up to `train_steps`; there are no other workers to wait for."""
        for hook in self._monitors:
            if hasattr(hook, "set_estimator"):
                hook.set_estimator(self._estimator)
        return self._estimator.train(
            self._inputs, hooks=self._monitors, max_steps=self._train_steps, saving_listeners=self._saving_listeners
        )

    def evaluate(self, delay_secs: float | None = None, name: str | None = None) -> Any:
        """Loss and metrics on the evaluation's input."""
        return self._evaluate(input_fn=self._eval_inputs, steps=self._eval_steps, name=name)

    def _evaluate(self, **asked: Any) -> Any:
        if isinstance(self._estimator, LearnEstimator):
            asked["metrics"] = self._metrics
        return self._estimator.evaluate(hooks=self._eval_hooks, **asked)

    def train_and_evaluate(self) -> Any:
        """Train, evaluating new checkpoints every `min_eval_frequency` steps, and at the end: (results, exports)."""
        return self._both(self._every)

    def local_run(self) -> Any:
        """The same, with evaluations `local_eval_frequency` steps apart."""
        return self._both(self._local_every)

    def _both(self, every: int | None) -> Any:
        usual = self._monitors
        self._monitors = [*usual, *([_Evaluation(self, every)] if every else [])]
        try:
            self.train()
        finally:
            self._monitors = usual
        return self.evaluate(), []

    def test(self) -> Any:
        """One step of training, one of evaluation."""
        self._estimator.train(self._inputs, steps=1)
        return self._evaluate(input_fn=self._eval_inputs, steps=1, name="one_pass"), []


class _Evaluation(ValidationMonitor):
    """Evaluates an experiment at new checkpoints."""

    def __init__(self, experiment: Experiment, every_n_steps: int) -> None:
        super().__init__(input_fn=experiment._eval_inputs, every_n_steps=every_n_steps)
        self._experiment = experiment

    def _results(self) -> Any:
        return self._experiment.evaluate()


@tf_export("contrib.learn.learn_runner.run", "contrib.learn.python.learn.learn_runner.run")
def run(
    experiment_fn: Callable[..., Experiment],
    output_dir: str | None = None,
    schedule: str | None = None,
    run_config: RunConfig | None = None,
    hparams: Any = None,
) -> Any:
    """Make the experiment (`experiment_fn(run_config, hparams)`, or of `output_dir`) and call its method `schedule`."""
    if not callable(experiment_fn):
        raise TypeError(f"Experiment builder '{experiment_fn}' is not callable.")
    if (output_dir is None) == (run_config is None):
        raise ValueError("Must provide either an output directory or a run_config, and not both.")
    made = experiment_fn(output_dir) if run_config is None else experiment_fn(run_config, hparams)
    if not isinstance(made, Experiment):
        raise TypeError(f"Experiment builder did not return an Experiment instance, got {type(made)} instead.")
    task = getattr(made, schedule or "train_and_evaluate", None)
    if not callable(task):
        raise ValueError(f"Schedule references non-existent task {schedule}")
    return task()
