"""tf.estimator.Estimator: train, evaluate and predict with the program's own model function."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from recurra.tf1 import eras
from recurra.tf1.estimator.specs import EstimatorSpec, RunConfig, WarmStartSettings
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.learn import ModeKeys

tf = space("")


@tf_export("estimator.Estimator", "python.estimator.estimator.Estimator")
class Estimator:
    """A model function with a folder: every call builds the graph anew and goes on from the newest checkpoint there.

    `model_fn(features, labels, mode, params, config)` (any of the last three by name) answers an EstimatorSpec; an
    `input_fn` answers (features, labels) as tensors or a Dataset of them.
    """

    def __init__(
        self,
        model_fn: Callable[..., Any],
        model_dir: str | None = None,
        config: RunConfig | None = None,
        params: Any = None,
        warm_start_from: Any = None,
    ) -> None:
        if model_fn is None:
            raise ValueError("model_fn must be provided to Estimator.")
        config = config or RunConfig()
        if model_dir and config.model_dir and str(model_dir) != str(config.model_dir):
            raise ValueError(
                "`model_dir` are set both in constructor and `RunConfig`, but with different values. In constructor: "
                f"'{model_dir}', in `RunConfig`: '{config.model_dir}' "
            )
        folder = model_dir or config.model_dir
        if not folder:
            folder = tempfile.mkdtemp()
            tf.logging.warning("Using temporary folder as model directory: %s", folder)
        self._config = config.replace(model_dir=str(folder))
        self._model_fn, self._params, self._warm_start = model_fn, params, warm_start_from

    @property
    def model_dir(self) -> str:
        return str(self._config.model_dir)

    @property
    def config(self) -> RunConfig:
        return self._config

    @property
    def model_fn(self) -> Callable[..., Any]:
        return self._model_fn

    @property
    def params(self) -> Any:
        return {} if self._params is None else self._params

    def eval_dir(self, name: str | None = None) -> str:
        """Where evaluations write their summaries."""
        return os.path.join(self.model_dir, "eval" if not name else f"eval_{name}")

    def latest_checkpoint(self) -> str | None:
        """The newest checkpoint of the model folder."""
        return tf.train.latest_checkpoint(self.model_dir)

    def get_variable_names(self) -> list[str]:
        """The names in the newest checkpoint."""
        return [name for name, _ in tf.train.list_variables(self._needed_checkpoint())]

    def get_variable_value(self, name: str) -> np.ndarray:
        """A variable's value in the newest checkpoint."""
        return np.asarray(tf.train.load_variable(self._needed_checkpoint(), name))

    def _needed_checkpoint(self) -> str:
        path = self.latest_checkpoint()
        if not path:
            raise ValueError(f"Could not find trained model in model_dir: {self.model_dir}.")
        return path

    # -- the three calls ---------------------------------------------------------------------------------------------
    def train(
        self,
        input_fn: Callable[..., Any],
        hooks: Any = None,
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Any = None,
    ) -> Estimator:
        """Train until the input ends, for `steps` steps more, or up to step `max_steps`."""
        if steps is not None and max_steps is not None:
            raise ValueError("Can not provide both steps and max_steps.")
        for name, value in (("steps", steps), ("max_steps", max_steps)):
            if value is not None and value <= 0:
                raise ValueError(f"Must specify {name} > 0, given: {value}")
        if max_steps is not None and self._saved_step() >= max_steps:
            tf.logging.info("Skipping training since max_steps has already saved.")
            return self
        with tf.Graph().as_default() as graph:
            spec, loss = self._build(graph, input_fn, ModeKeys.TRAIN)
            if not graph.get_collection(tf.GraphKeys.SUMMARIES) or not _has_summary(graph, "loss"):
                tf.summary.scalar("loss", loss)
            stop = [tf.train.StopAtStepHook(steps, max_steps)] if steps or max_steps else []
            every = self._config.log_step_count_steps
            log = (
                [tf.train.LoggingTensorHook({"loss": loss, "step": tf.train.get_global_step()}, every)] if every else []
            )
            own = [*stop, tf.train.NanTensorHook(loss), *log, *spec.training_hooks, *spec.training_chief_hooks]
            self._train_loop(spec, loss, [*(hooks or ()), *own], saving_listeners)
        return self

    def _train_loop(self, spec: EstimatorSpec, loss: Any, hooks: list[Any], listeners: Any) -> None:
        config = self._config
        if not (spec.scaffold.saver or tf.get_collection(tf.GraphKeys.SAVERS)):
            spec.scaffold._saver = tf.train.Saver(
                max_to_keep=config.keep_checkpoint_max,
                keep_checkpoint_every_n_hours=config.keep_checkpoint_every_n_hours,
                save_relative_paths=True,
                defer_build=True,
            )
            tf.add_to_collection(tf.GraphKeys.SAVERS, spec.scaffold._saver)
        saves = config.save_checkpoints_secs or config.save_checkpoints_steps
        if saves and not any(isinstance(hook, tf.train.CheckpointSaverHook) for hook in hooks):
            saver = tf.train.CheckpointSaverHook(
                self.model_dir,
                save_secs=config.save_checkpoints_secs,
                save_steps=config.save_checkpoints_steps,
                scaffold=spec.scaffold,
                listeners=listeners,
            )
            hooks.append(saver)
        with tf.train.MonitoredTrainingSession(
            checkpoint_dir=self.model_dir,
            scaffold=spec.scaffold,
            hooks=hooks,
            save_checkpoint_secs=0,
            save_summaries_steps=config.save_summary_steps,
            config=config.session_config,
            log_step_count_steps=config.log_step_count_steps,
        ) as session:
            value = None
            while not session.should_stop():
                _, value = session.run([spec.train_op, loss])
        if value is None:
            tf.logging.warning("Training with estimator made no steps. Perhaps input is empty or misspecified.")
        else:
            tf.logging.info("Loss for final step: %s.", value)

    def evaluate(
        self,
        input_fn: Callable[..., Any],
        steps: int | None = None,
        hooks: Any = None,
        checkpoint_path: str | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """The metrics of `model_fn`, the mean loss and the global step, over `steps` batches or all of the input."""
        if steps is not None and steps <= 0:
            raise ValueError(f"Must specify steps > 0, given: {steps}")
        path = self._trained(checkpoint_path, "evaluate")
        with tf.Graph().as_default() as graph:
            spec, loss = self._build(graph, input_fn, ModeKeys.EVAL)
            metrics = {**spec.eval_metric_ops, "loss": tf.metrics.mean(loss)}
            update = tf.group(*(op for _, op in metrics.values()))
            values = {**{key: value for key, (value, _) in metrics.items()}, "global_step": tf.train.get_global_step()}
            results = None
            done = 0
            with self._session(spec, path, [*(hooks or ()), *spec.evaluation_hooks]) as session:
                while not session.should_stop() and (steps is None or done < steps):
                    try:
                        session.run(update)
                    except tf.errors.OutOfRangeError:
                        break
                    done += 1
                results = session._tf_sess().run(values)
        self._summarise(results, name)
        shown = ", ".join(f"{key} = {value}" for key, value in sorted(results.items()))
        tf.logging.info("Saving dict for global step %s: %s", results["global_step"], shown)
        return results

    def predict(
        self,
        input_fn: Callable[..., Any],
        predict_keys: Any = None,
        hooks: Any = None,
        checkpoint_path: str | None = None,
        yield_single_examples: bool = True,
    ) -> Iterator[Any]:
        """The predictions, example after example (batch after batch with yield_single_examples=False)."""
        path = self._trained(checkpoint_path, "predict")
        with tf.Graph().as_default() as graph:
            spec, _ = self._build(graph, input_fn, ModeKeys.PREDICT)
            predictions = _chosen(spec.predictions, predict_keys)
            session = self._session(spec, path, [*(hooks or ()), *spec.prediction_hooks])
        with session:
            while not session.should_stop():
                try:
                    batch = session.run(predictions)
                except tf.errors.OutOfRangeError:
                    return
                yield from _examples(batch) if yield_single_examples else [batch]

    # -- what they share ---------------------------------------------------------------------------------------------
    def _build(self, graph: Any, input_fn: Callable[..., Any], mode: str) -> tuple[EstimatorSpec, Any]:
        tf.set_random_seed(self._config.tf_random_seed)
        tf.train.create_global_step(graph)
        features, labels = self._inputs(input_fn, mode)
        spec = self._call_model_fn(features, labels, mode)
        if mode == ModeKeys.TRAIN and self._warm_start and not self.latest_checkpoint():
            _warm_start(self._warm_start)
        return spec, spec.loss

    def _inputs(self, input_fn: Callable[..., Any], mode: str) -> tuple[Any, Any]:
        found = input_fn(**_wanted(input_fn, mode=mode, params=self.params, config=self._config))
        if hasattr(found, "make_initializable_iterator"):
            iterator = found.make_initializable_iterator()
            tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
            found = iterator.get_next()
        if isinstance(found, list | tuple):
            if len(found) != 2 and mode != ModeKeys.PREDICT:
                raise ValueError(
                    f"input_fn should return (features, labels) as a len 2 tuple, got {len(found)} values."
                )
            return found[0], (found[1] if mode != ModeKeys.PREDICT else None)
        return found, None

    def _call_model_fn(self, features: Any, labels: Any, mode: str) -> EstimatorSpec:
        optional = {"labels": labels, "mode": mode, "params": self.params, "config": self._config}
        arguments = _wanted(self._model_fn, **optional)
        if "labels" not in arguments and labels is not None:
            raise ValueError("model_fn does not take labels, but input_fn returns labels.")
        spec = self._model_fn(features=features, **arguments)
        if not isinstance(spec, EstimatorSpec):
            raise ValueError(f"model_fn should return an EstimatorSpec, got {type(spec).__name__}.")
        return spec

    def _session(self, spec: EstimatorSpec, path: str | None, hooks: list[Any]) -> Any:
        creator = tf.train.ChiefSessionCreator(
            scaffold=spec.scaffold, config=self._config.session_config, checkpoint_filename_with_path=path
        )
        return tf.train.MonitoredSession(session_creator=creator, hooks=hooks)

    def _trained(self, checkpoint_path: str | None, what: str) -> str | None:
        path = checkpoint_path or self.latest_checkpoint()
        if path:
            return path
        if eras.current() < (1, 8):
            raise ValueError(f"Could not find trained model in model_dir: {self.model_dir}.")
        tf.logging.info(
            "Could not find trained model in model_dir: %s, running initialization to %s.", self.model_dir, what
        )
        return None

    def _saved_step(self) -> int:
        path = self.latest_checkpoint()
        return int(tf.train.load_variable(path, tf.GraphKeys.GLOBAL_STEP)) if path else -1

    def _summarise(self, results: dict[str, Any], name: str | None) -> None:
        writer = tf.summary.FileWriterCache.get(self.eval_dir(name))
        numbers = {k: float(v) for k, v in results.items() if k != "global_step" and np.ndim(v) == 0 and _is_number(v)}
        summary = tf.Summary(value=[tf.Summary.Value(tag=key, simple_value=value) for key, value in numbers.items()])
        writer.add_summary(summary, int(results["global_step"]))
        writer.flush()


def _wanted(function: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Those of the offered arguments that the function takes, by name."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    bound = getattr(function, "keywords", {})  # functools.partial: what it holds already is not ours to give
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and "labels" in offered:
        return {k: v for k, v in offered.items() if k not in bound}
    return {k: v for k, v in offered.items() if k in parameters and k not in bound}


def _has_summary(graph: Any, name: str) -> bool:
    return any(tensor.op.name == name for tensor in graph.get_collection(tf.GraphKeys.SUMMARIES))


def _is_number(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "iufb"


def _chosen(predictions: Any, keys: Any) -> Any:
    if not keys:
        return predictions
    if not isinstance(predictions, dict):
        raise ValueError("predict_keys argument is not valid in case of non-dict predictions.")
    chosen = {key: value for key, value in predictions.items() if key in keys}
    if not chosen:
        raise ValueError(f"Expected to run at least one output from {list(predictions)}, provided {keys}.")
    return chosen


def _examples(batch: Any) -> Iterator[Any]:
    if not isinstance(batch, dict):
        yield from batch
        return
    sizes = {key: value.shape[0] for key, value in batch.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Batch length of predictions should be same. {sizes}")
    for i in range(next(iter(sizes.values()))):
        yield {key: value[i] for key, value in batch.items()}


def _warm_start(given: Any) -> None:
    settings = given if isinstance(given, WarmStartSettings) else WarmStartSettings(str(given))
    tf.train.warm_start(*settings)
