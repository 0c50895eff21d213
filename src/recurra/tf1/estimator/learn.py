"""tf.contrib.learn.Estimator: the older form, with arrays as input and model functions that answer a tuple."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from recurra.tf1.estimator.estimator import Estimator, _wanted
from recurra.tf1.estimator.specs import EstimatorSpec
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.hooks import SessionRunArgs, SessionRunContext, SessionRunHook
from recurra.tf1.train.learn import ModeKeys

tf = space("")
_SEED = 42  # of the order in which arrays are fed, as tf.contrib.learn's data feeder


class ModelFnOps(NamedTuple):
    """What a model function answers."""

    mode: str
    predictions: Any = None
    loss: Any = None
    train_op: Any = None
    eval_metric_ops: Any = None
    output_alternatives: Any = None
    training_chief_hooks: Any = None
    training_hooks: Any = None
    scaffold: Any = None


export(ModelFnOps, "contrib.learn.ModelFnOps", "contrib.learn.estimators.model_fn.ModelFnOps")


class MetricSpec(NamedTuple):
    """A metric, and which of the predictions and labels it compares."""

    metric_fn: Callable[..., Any]
    prediction_key: str | None = None
    label_key: str | None = None
    weight_key: str | None = None

    def create_metric_ops(self, features: Any, labels: Any, predictions: Any) -> Any:
        """(value, update)."""
        weights = {"weights": features[self.weight_key]} if self.weight_key else {}
        return self.metric_fn(
            predictions=_member(predictions, self.prediction_key), labels=_member(labels, self.label_key), **weights
        )


export(MetricSpec, "contrib.learn.MetricSpec")


def _member(group: Any, key: str | None) -> Any:
    if not isinstance(group, dict):
        return group
    return group[key] if key is not None else next(iter(group.values()))


class _Feeder(SessionRunHook):
    """Feeds arrays, batch after batch in the order of tf.contrib.learn's data feeder."""

    def __init__(self, x: Any, y: Any, batch_size: int | None, shuffle: bool, epochs: int | None) -> None:
        self._x, self._y = np.asarray(x), None if y is None else np.asarray(y)
        if self._x.ndim == 1:
            self._x = self._x[:, None]
        if self._y is not None and self._y.ndim > 1 and self._y.shape[1] == 1:  # [n, 1] is [n] to the model function
            self._y = self._y.reshape(len(self._y), *self._y.shape[2:])
        self._size = len(self._x)
        self._batch = min(batch_size or self._size, self._size)
        self._random = np.random.RandomState(_SEED)
        self._shuffle, self._epochs = shuffle, epochs
        self._order = self._next_order()
        self._offset = 0

    def input_fn(self) -> tuple[Any, Any]:
        """Placeholders of the batches."""
        self._places = [
            tf.placeholder(data.dtype, [None, *data.shape[1:]], name)
            for data, name in ((self._x, "input"), (self._y, "output"))
            if data is not None
        ]
        return self._places[0], (self._places[1] if self._y is not None else None)

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs:
        if self._epochs == 0:
            raise tf.errors.OutOfRangeError(None, None, "the arrays were read as often as asked")
        rows = self._order[self._offset : self._offset + self._batch]
        self._offset += self._batch
        if self._offset >= self._size:
            self._offset, self._order = 0, self._next_order()
            self._epochs = None if self._epochs is None else self._epochs - 1
        arrays = [self._x[rows], *([] if self._y is None else [self._y[rows]])]
        return SessionRunArgs(None, feed_dict=dict(zip(self._places, arrays, strict=True)))

    def _next_order(self) -> np.ndarray:
        return self._random.permutation(self._size) if self._shuffle else np.arange(self._size)


@tf_export("contrib.learn.Estimator", "contrib.learn.estimators.Estimator")
class LearnEstimator(Estimator):
    """fit, evaluate and predict on arrays or input functions.

    `model_fn(features, targets, mode, params, config)` (the last three by name) answers a ModelFnOps or
    (predictions, loss, train_op).
    """

    def __init__(
        self,
        model_fn: Callable[..., Any] | None = None,
        model_dir: str | None = None,
        config: Any = None,
        params: Any = None,
        feature_engineering_fn: Callable[..., Any] | None = None,
    ) -> None:
        self._learn_fn, self._engineer = model_fn, feature_engineering_fn
        self._metrics: Any = None
        self._labels_like: Any = None
        super().__init__(model_fn, model_dir, config, params)  # type: ignore[arg-type]

    def _call_model_fn(self, features: Any, labels: Any, mode: str) -> EstimatorSpec:
        if mode != ModeKeys.PREDICT:
            self._labels_like = _like(labels)
        elif labels is None and self._labels_like is not None:  # model functions build their loss in every mode
            labels = _placeholders(self._labels_like)
        if self._engineer is not None:
            features, labels = self._engineer(features, labels)
        takes = _wanted(self._learn_fn, mode=mode, params=self.params, config=self._config)  # type: ignore[arg-type]
        found = self._learn_fn(features, labels, **takes)  # type: ignore[misc]
        if isinstance(found, EstimatorSpec):
            return found
        if not isinstance(found, ModelFnOps):
            if not isinstance(found, tuple) or len(found) != 3:
                raise ValueError("Unrecognized value returned by model_fn, please return ModelFnOps.")
            found = ModelFnOps(mode, *found)
        metrics = dict(found.eval_metric_ops or {})
        for name, spec in (self._metrics or {}).items():
            key = name[0] if isinstance(name, tuple) else name
            metrics[key] = _metric(spec, name, features, labels, found.predictions)
        return EstimatorSpec(
            mode,
            predictions=found.predictions,
            loss=found.loss,
            train_op=found.train_op,
            eval_metric_ops=metrics if mode == ModeKeys.EVAL else None,
            training_chief_hooks=found.training_chief_hooks,
            training_hooks=found.training_hooks,
            scaffold=found.scaffold,
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        input_fn: Any = None,
        steps: int | None = None,
        batch_size: int | None = None,
        monitors: Any = None,
        max_steps: int | None = None,
    ) -> LearnEstimator:
        """Train on arrays (in batches of `batch_size`, shuffled) or on `input_fn`."""
        hooks = list(monitors or ())
        for hook in hooks:
            if hasattr(hook, "set_estimator"):
                hook.set_estimator(self)
        if x is not None:
            feeder = _Feeder(x, y, batch_size, shuffle=True, epochs=None)
            input_fn = feeder.input_fn
            hooks.insert(0, feeder)
        self.train(input_fn, hooks=hooks, steps=steps, max_steps=max_steps)
        return self

    partial_fit = fit

    def evaluate(  # type: ignore[override]
        self,
        x: Any = None,
        y: Any = None,
        input_fn: Any = None,
        feed_fn: Any = None,
        batch_size: int | None = None,
        steps: int | None = None,
        metrics: Any = None,
        name: str | None = None,
        checkpoint_path: str | None = None,
        hooks: Any = None,
        log_progress: bool = True,
    ) -> dict[str, Any]:
        """Loss and metrics on arrays, read once, or on `input_fn`."""
        hooks = list(hooks or ())
        if x is not None:
            feeder = _Feeder(x, y, batch_size, shuffle=False, epochs=1)
            input_fn = feeder.input_fn
            hooks.append(feeder)
        self._metrics = metrics
        try:
            return super().evaluate(input_fn, steps, hooks, checkpoint_path, name)
        finally:
            self._metrics = None

    def predict(  # type: ignore[override]
        self,
        x: Any = None,
        input_fn: Any = None,
        batch_size: int | None = None,
        outputs: Any = None,
        as_iterable: bool = True,
        iterate_batches: bool = False,
    ) -> Any:
        """Predictions for arrays or `input_fn`: an iterator over examples, or everything at once."""
        hooks = []
        if x is not None:
            feeder = _Feeder(x, None, batch_size, shuffle=False, epochs=1)
            input_fn = feeder.input_fn
            hooks.append(feeder)
        found = super().predict(input_fn, outputs, hooks, yield_single_examples=as_iterable and not iterate_batches)
        return found if as_iterable else _joined(found)


def _like(labels: Any) -> Any:
    if isinstance(labels, dict):
        return {key: (value.dtype, value.shape) for key, value in labels.items()}
    return None if labels is None else (labels.dtype, labels.shape)


def _placeholders(like: Any) -> Any:
    if isinstance(like, dict):
        return {key: tf.placeholder(*value, name=key) for key, value in like.items()}
    return tf.placeholder(*like, name="output")


def _metric(spec: Any, name: Any, features: Any, labels: Any, predictions: Any) -> Any:
    if isinstance(spec, MetricSpec):
        return spec.create_metric_ops(features, labels, predictions)
    key = name[1] if isinstance(name, tuple) else None
    taken = inspect.signature(spec).parameters
    if "predictions" in taken and "labels" in taken:
        return spec(predictions=_member(predictions, key), labels=labels)
    return spec(_member(predictions, key), labels)


def _joined(batches: Iterator[Any]) -> Any:
    found = list(batches)
    if found and isinstance(found[0], dict):
        return {key: np.concatenate([batch[key] for batch in found]) for key in found[0]}
    return np.concatenate(found)


@tf_export("contrib.learn.SKCompat", "contrib.learn.estimators.estimator.SKCompat")
class SKCompat:
    """An estimator with scikit-learn's calls: arrays in, arrays out."""

    def __init__(self, estimator: LearnEstimator) -> None:
        self._estimator = estimator

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int = 128,
        steps: int | None = None,
        max_steps: int | None = None,
        monitors: Any = None,
    ) -> SKCompat:
        """Train."""
        self._estimator.fit(x, y, steps=steps, batch_size=batch_size, monitors=monitors, max_steps=max_steps)
        return self

    def score(
        self,
        x: Any,
        y: Any,
        batch_size: int = 128,
        steps: int | None = None,
        metrics: Any = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Loss and metrics."""
        return self._estimator.evaluate(x, y, batch_size=batch_size, steps=steps, metrics=metrics, name=name)

    def predict(self, x: Any, batch_size: int = 128, outputs: Any = None) -> Any:
        """All predictions as arrays."""
        return self._estimator.predict(x, batch_size=batch_size, outputs=outputs, as_iterable=False)

    def get_params(self, deep: bool = False) -> dict[str, Any]:
        """The estimator's own parameters."""
        return {"estimator": self._estimator}


def _weights(shape: list[Any], mean: float | None, stddev: float | None, kind: Any) -> tuple[Any, Any]:
    """The weights and bias of the two models below; zeros where neither mean nor stddev says otherwise, as there."""
    if mean is None and stddev is None:
        return tf.get_variable("weights", shape, dtype=kind), tf.get_variable("bias", shape[1:], dtype=kind)
    init = tf.random_normal_initializer(mean or 0.0, 1.0 if stddev is None else stddev)
    return (
        tf.get_variable("weights", shape, initializer=init, dtype=kind),
        tf.get_variable("bias", shape[1:], initializer=init, dtype=kind),
    )


@tf_export("contrib.learn.models.linear_regression")
def linear_regression(
    x: Any, y: Any, init_mean: float | None = None, init_stddev: float | None = 1.0
) -> tuple[Any, Any]:
    """(predictions, mean squared error) of a linear layer on x [B, F] for y [B] or [B, D]."""
    with tf.variable_scope("linear_regression"):
        tf.summary.histogram("linear_regression.x", x)
        tf.summary.histogram("linear_regression.y", y)
        kind = x.dtype.base_dtype
        flat = y.get_shape().ndims == 1
        weights, bias = _weights([x.get_shape()[1], 1 if flat else y.get_shape()[1]], init_mean, init_stddev, kind)
        tf.summary.histogram("linear_regression.weights", weights)
        tf.summary.histogram("linear_regression.bias", bias)
        predictions = tf.nn.xw_plus_b(x, weights, bias)
        if flat:
            predictions = tf.squeeze(predictions, [1])
        return predictions, tf.losses.mean_squared_error(y, predictions)


@tf_export("contrib.learn.models.logistic_regression")
def logistic_regression(
    x: Any, y: Any, class_weight: Any = None, init_mean: float | None = None, init_stddev: float | None = 1.0
) -> tuple[Any, Any]:
    """(probabilities, mean cross entropy) of a softmax layer on x [B, F] for one-hot y [B, C]."""
    with tf.variable_scope("logistic_regression"):
        kind = x.dtype.base_dtype
        weights, bias = _weights([x.get_shape()[1], y.get_shape()[-1]], init_mean, init_stddev, kind)
        logits = tf.nn.xw_plus_b(x, weights, bias)
        if class_weight is not None:
            logits = tf.multiply(logits, class_weight)
        return tf.nn.softmax(logits), tf.losses.softmax_cross_entropy(y, logits)
