"""tf.keras.losses and tf.keras.metrics: functions of (y_true, y_pred), found by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.keras import state
from recurra.tf1.names import export, lookup, tf_export
from recurra.tf1.namespace import space

tf = space("")
LOSSES: dict[str, Callable[..., Any]] = {}
METRICS: dict[str, Callable[..., Any]] = {}


def _loss(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            LOSSES[name] = METRICS[name] = function
            export(function, f"keras.losses.{name}", f"keras.metrics.{name}", f"keras.objectives.{name}")
        return function

    return register


def _metric(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            METRICS[name] = function
            export(function, f"keras.metrics.{name}")
        return function

    return register


def _pair(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    y_pred = tf.convert_to_tensor(y_pred)
    return tf.cast(y_true, y_pred.dtype), y_pred


def _mean(value: Any) -> Any:
    return tf.reduce_mean(value, axis=-1)


# -- losses ------------------------------------------------------------------------------------------------------------
@_loss("mean_squared_error", "mse", "MSE")
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return _mean(tf.squared_difference(y_pred, y_true))


@_loss("mean_absolute_error", "mae", "MAE")
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return _mean(tf.abs(y_pred - y_true))


@_loss("mean_absolute_percentage_error", "mape", "MAPE")
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return 100.0 * _mean(tf.abs((y_true - y_pred) / tf.maximum(tf.abs(y_true), state.setting("epsilon"))))


@_loss("mean_squared_logarithmic_error", "msle", "MSLE")
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    least = state.setting("epsilon")
    return _mean(
        tf.squared_difference(tf.log(tf.maximum(y_pred, least) + 1.0), tf.log(tf.maximum(y_true, least) + 1.0))
    )


def _signs(y_true: Any) -> Any:
    """Labels 0 and 1 become −1 and 1."""
    binary = tf.reduce_all(tf.logical_or(tf.equal(y_true, 0), tf.equal(y_true, 1)))
    return tf.cond(binary, lambda: 2.0 * y_true - 1.0, lambda: y_true)


@_loss("hinge")
def hinge(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return _mean(tf.maximum(1.0 - _signs(y_true) * y_pred, 0.0))


@_loss("squared_hinge")
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return _mean(tf.square(tf.maximum(1.0 - _signs(y_true) * y_pred, 0.0)))


@_loss("categorical_hinge")
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    right = tf.reduce_sum(y_true * y_pred, axis=-1)
    return tf.maximum(0.0, tf.reduce_max((1.0 - y_true) * y_pred, axis=-1) - right + 1.0)


@_loss("logcosh")
def logcosh(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    x = y_pred - y_true
    return _mean(x + tf.nn.softplus(-2.0 * x) - tf.log(2.0))


@_loss("huber_loss")
def huber_loss(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    error = tf.abs(y_pred - y_true)
    small = tf.minimum(error, delta)
    return 0.5 * small * small + delta * (error - small)


@_loss("kullback_leibler_divergence", "kld", "KLD")
def kullback_leibler_divergence(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    least = state.setting("epsilon")
    y_true, y_pred = tf.clip_by_value(y_true, least, 1), tf.clip_by_value(y_pred, least, 1)
    return tf.reduce_sum(y_true * tf.log(y_true / y_pred), axis=-1)


@_loss("poisson")
def poisson(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return _mean(y_pred - y_true * tf.log(y_pred + state.setting("epsilon")))


@_loss("cosine_proximity", "cosine", "cosine_similarity")
def cosine_proximity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return tf.reduce_sum(tf.nn.l2_normalize(y_true, axis) * tf.nn.l2_normalize(y_pred, axis), axis=axis)


@_loss("categorical_crossentropy")
def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / tf.cast(tf.shape(y_true)[-1], y_pred.dtype)
    return tf.keras.backend.categorical_crossentropy(y_true, y_pred, from_logits)


@_loss("sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1) -> Any:
    return tf.keras.backend.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)


@_loss("binary_crossentropy", "bce", "BCE")
def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return _mean(tf.keras.backend.binary_crossentropy(y_true, y_pred, from_logits))


# -- metrics -----------------------------------------------------------------------------------------------------------
@_metric("binary_accuracy")
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    y_true, y_pred = _pair(y_true, y_pred)
    return _mean(tf.cast(tf.equal(y_true, tf.cast(y_pred > threshold, y_pred.dtype)), tf.float32))


@_metric("categorical_accuracy")
def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    return tf.cast(tf.equal(tf.argmax(y_true, -1), tf.argmax(y_pred, -1)), tf.float32)


@_metric("sparse_categorical_accuracy")
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    best = tf.argmax(y_pred, -1)
    labels = tf.reshape(tf.cast(y_true, tf.int64), tf.shape(best))  # [B, 1] beside predictions [B, C]
    return tf.cast(tf.equal(labels, best), tf.float32)


@_metric("top_k_categorical_accuracy")
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    return tf.cast(tf.nn.in_top_k(y_pred, tf.argmax(y_true, -1), k), tf.float32)


@_metric("sparse_top_k_categorical_accuracy")
def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    return tf.cast(tf.nn.in_top_k(y_pred, tf.cast(tf.reshape(y_true, [-1]), tf.int32), k), tf.float32)


# -- by name -----------------------------------------------------------------------------------------------------------
class Loss:
    """A loss function as an object, called on (y_true, y_pred, sample_weight)."""

    def __init__(self, function: Any = None, **options: Any) -> None:
        self.name = options.pop("name", None)
        self.reduction = options.pop("reduction", "auto")
        self.function, self.options = function, options

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of every element, without its last axis."""
        return self.function(y_true, y_pred, **self.options)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        losses = self.call(y_true, y_pred)
        losses = losses if sample_weight is None else losses * sample_weight
        if self.reduction == "none":
            return losses
        return tf.reduce_sum(losses) if self.reduction == "sum" else tf.reduce_mean(losses)


export(Loss, "keras.losses.Loss")
_CLASSES = {
    "MeanSquaredError": mean_squared_error,
    "MeanAbsoluteError": mean_absolute_error,
    "MeanAbsolutePercentageError": mean_absolute_percentage_error,
    "MeanSquaredLogarithmicError": mean_squared_logarithmic_error,
    "BinaryCrossentropy": binary_crossentropy,
    "CategoricalCrossentropy": categorical_crossentropy,
    "SparseCategoricalCrossentropy": sparse_categorical_crossentropy,
    "Hinge": hinge,
    "SquaredHinge": squared_hinge,
    "CategoricalHinge": categorical_hinge,
    "KLDivergence": kullback_leibler_divergence,
    "Poisson": poisson,
    "LogCosh": logcosh,
    "Huber": huber_loss,
    "CosineSimilarity": lambda y_true, y_pred, axis=-1: -cosine_proximity(y_true, y_pred, axis),
}
for _name, _function in _CLASSES.items():

    def _start(self: Any, _function: Any = _function, **options: Any) -> None:
        Loss.__init__(self, _function, **options)

    export(type(_name, (Loss,), {"__init__": _start}), f"keras.losses.{_name}")


@tf_export("keras.losses.get", "keras.losses.deserialize")
def get_loss(identifier: Any) -> Any:
    """A loss from its name, or itself."""
    return _found(identifier, LOSSES, "loss")


@tf_export("keras.metrics.get", "keras.metrics.deserialize")
def get_metric(identifier: Any) -> Any:
    """A metric from its name, or itself; the name of a class gives an object of it."""
    if isinstance(identifier, str) and identifier not in METRICS and identifier[:1].isupper():
        try:
            return lookup(f"keras.metrics.{identifier}")()
        except KeyError:
            pass
    return _found(identifier, METRICS, "metric")


def _found(identifier: Any, table: dict[str, Any], what: str) -> Any:
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, str) and identifier in table:
        return table[identifier]
    raise ValueError(f"Unknown {what} function:{identifier}")


for _kind in ("losses", "metrics"):
    export(lambda function: function.__name__, f"keras.{_kind}.serialize")


def accuracy_for(loss: Any, y_pred: Any) -> Any:
    """What "accuracy" means beside this loss and output."""
    name = loss if isinstance(loss, str) else getattr(getattr(loss, "function", loss), "__name__", "")
    last = y_pred.shape.as_list()[-1] if y_pred.shape.rank else None
    if last == 1 or name in ("binary_crossentropy", "bce", "BCE"):
        return binary_accuracy
    return sparse_categorical_accuracy if name == "sparse_categorical_crossentropy" else categorical_accuracy


def is_sparse(loss: Any) -> bool:
    """Whether a loss takes labels as numbers."""
    function = getattr(loss, "function", loss)
    return function == "sparse_categorical_crossentropy" or function is sparse_categorical_crossentropy
