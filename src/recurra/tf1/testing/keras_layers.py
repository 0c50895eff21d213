"""tensorflow.python.keras.testing_utils: data, small models, and the routine that tries a layer out from all sides."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.testing.keras_modes import _chosen, should_run_eagerly

tf = space("")
_HOME = "python.keras.testing_utils"


@tf_export(f"{_HOME}.get_test_data")
def get_test_data(
    train_samples: int, test_samples: int, input_shape: Sequence[int], num_classes: int, random_seed: int | None = None
) -> Any:
    """((x, y) to train on, (x, y) to test on): a noisy pattern per class."""
    if random_seed is not None:
        np.random.seed(random_seed)
    count = train_samples + test_samples
    patterns = 2 * num_classes * np.random.random((num_classes, *input_shape))
    y = np.random.randint(0, num_classes, size=(count,))
    x = np.zeros((count, *input_shape), dtype=np.float32)
    for row, label in enumerate(y):
        x[row] = patterns[label] + np.random.normal(loc=0, scale=1.0, size=tuple(input_shape))
    return (x[:train_samples], y[:train_samples]), (x[train_samples:], y[train_samples:])


def _same_dims(expected: Any, actual: Any, what: str) -> None:
    expected, actual = (list(s.as_list() if hasattr(s, "as_list") else s) for s in (expected, actual))
    if len(expected) != len(actual) or any(
        e is not None and a is not None and e != a for e, a in zip(expected, actual, strict=True)
    ):
        raise AssertionError(f"{what}: found {actual}, expected {expected}")


def _data(input_shape: Sequence[Any], input_dtype: str) -> np.ndarray:
    dims = [np.random.randint(1, 4) if d is None else d for d in input_shape]
    data = 10 * np.random.random(dims)
    return (data - 0.5 if input_dtype.startswith("float") else data).astype(input_dtype)


def _check_restored(model: Any, kind: Any, data: np.ndarray, output: np.ndarray) -> None:
    again = kind.from_config(model.get_config())
    if model.weights:
        again.set_weights(model.get_weights())
        np.testing.assert_allclose(again.predict(data), output, rtol=1e-3, atol=1e-6)


@tf_export(f"{_HOME}.layer_test")
def layer_test(
    layer_cls: Any,
    kwargs: dict[str, Any] | None = None,
    input_shape: Any = None,
    input_dtype: Any = None,
    input_data: Any = None,
    expected_output: Any = None,
    expected_output_dtype: Any = None,
    expected_output_shape: Any = None,
    validate_training: bool = True,
    adapt_data: Any = None,
) -> np.ndarray:
    """Weights, shapes, dtypes, values, configuration and training of a layer with one input; gives what it predicts."""
    if input_data is None:
        if input_shape is None:
            raise ValueError("input_shape is None")
        input_dtype = input_dtype or "float32"
        input_data = _data(input_shape, input_dtype)
    input_shape = input_data.shape if input_shape is None else input_shape
    input_dtype = input_data.dtype if input_dtype is None else input_dtype
    expected_output_dtype = expected_output_dtype or input_dtype
    kwargs = dict(kwargs or {})
    layer = layer_cls(**kwargs)
    weights = layer.get_weights()
    layer.set_weights(weights)
    if "weights" in inspect.signature(layer_cls.__init__).parameters:
        kwargs["weights"] = weights
        layer = layer_cls(**kwargs)

    keras, label = tf.keras, layer_cls.__name__
    x = keras.layers.Input(shape=input_shape[1:], dtype=input_dtype)
    y = layer(x)
    if keras.backend.dtype(y) != expected_output_dtype:
        raise AssertionError(f"{label}: output dtype {keras.backend.dtype(y)}, expected {expected_output_dtype}")
    if expected_output_shape is not None:
        _same_dims(expected_output_shape, y.shape, f"{label}: static shape")

    model = keras.models.Model(x, y)
    computed = layer.compute_output_shape(tf.TensorShape(input_shape)).as_list()
    signature = layer.compute_output_signature(tf.TensorSpec(shape=input_shape, dtype=input_dtype))
    output = model.predict(input_data)
    _same_dims(computed, output.shape, f"{label}: compute_output_shape")
    _same_dims(signature.shape, output.shape, f"{label}: compute_output_signature")
    if signature.dtype != output.dtype:
        raise AssertionError(f"{label}: output dtype {output.dtype}, computed {signature.dtype}")
    if expected_output is not None:
        np.testing.assert_allclose(output, expected_output, rtol=1e-3, atol=1e-6)
    _check_restored(model, keras.models.Model, input_data, output)
    if validate_training:
        _train(keras.models.Model(x, layer(x)), input_data, output)
    return _as_first_layer(layer, input_shape, input_data, computed, expected_output)


def _train(model: Any, data: np.ndarray, target: np.ndarray) -> None:
    more = {} if _chosen.run_eagerly is None else {"run_eagerly": should_run_eagerly()}
    model.compile("rmsprop", "mse", weighted_metrics=["acc"], **more)
    model.train_on_batch(data, target)


def _as_first_layer(layer: Any, input_shape: Any, data: np.ndarray, computed: Any, expected: Any) -> np.ndarray:
    first = type(layer).from_config({**layer.get_config(), "batch_input_shape": input_shape})
    model = tf.keras.models.Sequential()
    model.add(first)
    output: np.ndarray = model.predict(data)
    _same_dims(computed, output.shape, f"{type(layer).__name__} after deserialization")
    if expected is not None:
        np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-6)
    _check_restored(model, tf.keras.models.Sequential, data, output)
    return output


# -- small models ----------------------------------------------------------------------------------------------------
def _chain(layers: Sequence[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def _subclass_of(layers: Sequence[Any]) -> Any:
    class Chain(tf.keras.Model):  # type: ignore[misc]
        def __init__(self, name: str | None = None) -> None:
            super().__init__(name=name)
            for i, layer in enumerate(layers):
                setattr(self, f"layer{i}", layer)

        def call(self, inputs: Any, **_: Any) -> Any:
            return _chain([getattr(self, f"layer{i}") for i in range(len(layers))], inputs)

    return Chain


@tf_export(f"{_HOME}.get_model_from_layers")
def get_model_from_layers(
    layers: Sequence[Any],
    input_shape: Any = None,
    input_dtype: Any = None,
    name: str | None = None,
    input_ragged: Any = None,
    input_sparse: Any = None,
) -> Any:
    """A model of these layers of the kind that the test asks for."""
    if _chosen.model_type == "subclass":
        return _subclass_of(layers)(name=name)
    if _chosen.model_type == "sequential":
        model = tf.keras.models.Sequential(name=name)
        if input_shape:
            model.add(tf.keras.layers.InputLayer(input_shape=input_shape, dtype=input_dtype))
        for layer in layers:
            model.add(layer)
        return model
    if _chosen.model_type == "functional":
        if not input_shape:
            raise ValueError("Cannot create a functional model from layers with no input shape.")
        inputs = tf.keras.Input(shape=input_shape, dtype=input_dtype)
        return tf.keras.Model(inputs, _chain(layers, inputs), name=name)
    raise ValueError(f"Unknown model type {_chosen.model_type}")


def _mlp_layers(num_hidden: int, num_classes: int, **first: Any) -> list[Any]:
    last = "sigmoid" if num_classes == 1 else "softmax"
    dense = tf.keras.layers.Dense
    return [dense(num_hidden, activation="relu", **first), dense(num_classes, activation=last)]


@tf_export(f"{_HOME}.get_small_sequential_mlp")
def get_small_sequential_mlp(num_hidden: int, num_classes: int, input_dim: int | None = None) -> Any:
    """Two dense layers."""
    return tf.keras.models.Sequential(
        _mlp_layers(num_hidden, num_classes, **({"input_dim": input_dim} if input_dim else {}))
    )


@tf_export(f"{_HOME}.get_small_functional_mlp")
def get_small_functional_mlp(num_hidden: int, num_classes: int, input_dim: int) -> Any:
    """The same as a functional model."""
    inputs = tf.keras.Input(shape=(input_dim,))
    return tf.keras.Model(inputs, _chain(_mlp_layers(num_hidden, num_classes), inputs))


@tf_export(f"{_HOME}.get_small_subclass_mlp")
def get_small_subclass_mlp(num_hidden: int, num_classes: int) -> Any:
    """The same as a subclass."""
    return _subclass_of(_mlp_layers(num_hidden, num_classes))()


@tf_export(f"{_HOME}.get_small_mlp")
def get_small_mlp(num_hidden: int, num_classes: int, input_dim: int) -> Any:
    """The same, of the kind that the test asks for."""
    makers: dict[str | None, Callable[[], Any]] = {
        "subclass": lambda: get_small_subclass_mlp(num_hidden, num_classes),
        "sequential": lambda: get_small_sequential_mlp(num_hidden, num_classes, input_dim),
        "functional": lambda: get_small_functional_mlp(num_hidden, num_classes, input_dim),
    }
    if _chosen.model_type not in makers:
        raise ValueError(f"Unknown model type {_chosen.model_type}")
    return makers[_chosen.model_type]()
