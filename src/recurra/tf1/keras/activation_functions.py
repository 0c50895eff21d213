"""tf.keras.activations and tf.keras.constraints."""

from __future__ import annotations

from typing import Any

from recurra.tf1.keras import state
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")
_PLAIN = {"tanh": "tanh", "sigmoid": "sigmoid", "softplus": "nn.softplus", "softsign": "nn.softsign", "selu": "nn.selu",
          "exponential": "exp"}  # fmt: skip


def _plain(target: str) -> Any:
    def function(x: Any) -> Any:
        found: Any = tf
        for part in target.split("."):
            found = getattr(found, part)
        return found(x)

    return function


for _name, _target in _PLAIN.items():
    _function = _plain(_target)
    _function.__name__ = _name
    export(_function, f"keras.activations.{_name}")


@tf_export("keras.activations.linear")
def linear(x: Any) -> Any:
    return tf.identity(x)


@tf_export("keras.activations.relu", "keras.backend.relu")
def relu(x: Any, alpha: float = 0.0, max_value: Any = None, threshold: float = 0) -> Any:
    """x where it is at least `threshold`, alpha (x − threshold) below, at most `max_value`."""
    positive = tf.nn.relu(x) if not threshold else x * tf.cast(x > threshold, x.dtype)
    if max_value is not None:
        positive = tf.clip_by_value(positive, 0.0, max_value)
    return positive if not alpha else positive - alpha * tf.nn.relu(threshold - x)


@tf_export("keras.activations.elu", "keras.backend.elu")
def elu(x: Any, alpha: float = 1.0) -> Any:
    made = tf.nn.elu(x)
    return made if alpha == 1 else tf.where(x > 0, made, alpha * made)


@tf_export("keras.activations.softmax")
def softmax(x: Any, axis: int = -1) -> Any:
    return tf.nn.softmax(x, axis=axis)


@tf_export("keras.activations.get", "keras.activations.deserialize")
def get(identifier: Any) -> Any:
    """An activation from its name, or itself; None is linear."""
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    try:
        return getattr(tf.keras.activations, identifier)
    except (AttributeError, NotImplementedError, TypeError):
        raise ValueError(f"Unknown activation function:{identifier}") from None


export(lambda function: function.__name__, "keras.activations.serialize")


# -- constraints -------------------------------------------------------------------------------------------------------
@tf_export("keras.constraints.Constraint")
class Constraint:
    """`constraint(weights)` gives the nearest allowed weights."""

    def __call__(self, w: Any) -> Any:
        return w

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


@tf_export("keras.constraints.MaxNorm", "keras.constraints.max_norm", "keras.constraints.maxnorm")
class MaxNorm(Constraint):
    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norms = tf.sqrt(tf.reduce_sum(tf.square(w), axis=self.axis, keepdims=True))
        return w * (tf.clip_by_value(norms, 0.0, self.max_value) / (state.setting("epsilon") + norms))


@tf_export("keras.constraints.NonNeg", "keras.constraints.non_neg", "keras.constraints.nonneg")
class NonNeg(Constraint):
    def __call__(self, w: Any) -> Any:
        return w * tf.cast(w >= 0.0, w.dtype)


@tf_export("keras.constraints.UnitNorm", "keras.constraints.unit_norm", "keras.constraints.unitnorm")
class UnitNorm(Constraint):
    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = tf.sqrt(tf.reduce_sum(tf.square(w), axis=self.axis, keepdims=True))
        return w / (state.setting("epsilon") + norms)


@tf_export("keras.constraints.MinMaxNorm", "keras.constraints.min_max_norm")
class MinMaxNorm(Constraint):
    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norms = tf.sqrt(tf.reduce_sum(tf.square(w), axis=self.axis, keepdims=True))
        wanted = self.rate * tf.clip_by_value(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (state.setting("epsilon") + norms))


@tf_export("keras.constraints.get")
def get_constraint(identifier: Any) -> Any:
    """A constraint from its name, its {"class_name", "config"} dict, or itself."""
    if identifier is None or callable(identifier):
        return identifier
    name, config = (identifier, {}) if isinstance(identifier, str) else (identifier["class_name"], identifier["config"])
    return getattr(tf.keras.constraints, name)(**config)


@tf_export("keras.regularizers.get")
def get_regularizer(identifier: Any) -> Any:
    """A regularizer from its name, its {"class_name", "config"} dict, or itself."""
    from recurra.tf1.keras.layer import regularizer_of

    return regularizer_of(identifier)
