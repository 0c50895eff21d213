"""tf.keras.metrics' classes: metrics that add up over batches in variables.

`update_state` gives the operation that takes a batch in, `result` the tensor of the value so far, `reset_states` sets
the variables back. A model runs the updates with each batch, reads the result after them and resets when an epoch
begins.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.confusion import remove_squeezable_dimensions
from recurra.tf1.graph import get_default_graph
from recurra.tf1.keras import loss_functions as functions
from recurra.tf1.keras import state
from recurra.tf1.keras.layer import Layer
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")


@tf_export("keras.metrics.Metric")
class Metric(Layer):
    """The base; a program's own class defines `update_state` (of assignments) and `result`."""

    def __init__(self, name: Any = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype or state.setting("floatx"), **kwargs)
        self.stateful, self.built = True, True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update_state" in cls.__dict__:
            cls.update_state = _grouped(cls.__dict__["update_state"])  # type: ignore[method-assign]

    def add_weight(self, name: Any = None, shape: Any = (), aggregation: Any = None, synchronization: Any = None,
                   initializer: Any = None, dtype: Any = None, **_: Any) -> Any:  # fmt: skip
        with tf.control_dependencies(None), tf.name_scope(None):
            return super().add_weight(name, shape, dtype, initializer or "zeros", trainable=False)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dtype": dtypes.as_dtype(self._dtype).name}

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("Must be implemented in subclasses.")

    def result(self) -> Any:
        raise NotImplementedError("Must be implemented in subclasses.")

    def reset_states(self) -> None:
        """Set all variables to zero."""
        session = state.get_session()
        for variable in self.weights:
            variable.load(np.zeros(variable.shape.as_list(), variable.dtype.as_numpy_dtype), session)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value after this batch."""
        update = self.update_state(*args, **kwargs)
        with tf.control_dependencies([update]):
            return tf.identity(self.result())


def _grouped(function: Any) -> Any:
    """`update_state` as one operation: what it gave, or all assignments that it made."""

    def update_state(self: Any, *args: Any, **kwargs: Any) -> Any:
        graph = get_default_graph()
        before = len(graph._op_list)
        with tf.name_scope(self._name):
            made = function(self, *args, **kwargs)
        writes = [op for op in graph._op_list[before:] if op.definition is not None and op.definition.writes]
        wanted = getattr(made, "op", made)
        return tf.group(*writes, *([] if wanted is None or wanted in writes else [wanted]))

    update_state.__doc__ = function.__doc__
    return update_state


def _of_one_rank(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both as tensors, without a last dimension of 1 that only one of them has."""
    y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
    ranks = y_true.shape.ndims, y_pred.shape.ndims
    longer = {1: y_pred, -1: y_true}.get(0 if None in ranks else ranks[1] - ranks[0])
    if longer is None or not longer.shape[-1:].is_compatible_with([1]) or longer.shape[-1].value is None:
        return y_true, y_pred
    return remove_squeezable_dimensions(y_true, y_pred)


def _weighted(values: Any, weight: Any) -> tuple[Any, Any]:
    """(values times weights, the weights' sum), weights being given a row, or a row and step."""
    if weight is None:
        return values, tf.cast(tf.size(values), values.dtype)
    weight = tf.cast(weight, values.dtype)
    while values.shape.ndims is not None and weight.shape.ndims > values.shape.ndims:
        weight = tf.squeeze(weight, [-1])
    while weight.shape.ndims < (values.shape.ndims or 0):
        weight = tf.expand_dims(weight, -1)
    weight = weight + tf.zeros_like(values)
    return values * weight, tf.reduce_sum(weight)


class _Reduced(Metric):
    """A sum, and how many (or how much weight) went into it."""

    mean = True

    def __init__(self, name: Any = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight("total")
        if self.mean:
            self.count = self.add_weight("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> Any:
        """Add values, each times its weight."""
        values, count = _weighted(tf.cast(values, self.total.dtype.base_dtype), sample_weight)
        added = [tf.assign_add(self.total, tf.reduce_sum(values))]
        if self.mean:
            added.append(tf.assign_add(self.count, count))
        return tf.group(*added)

    def result(self) -> Any:
        """The mean, 0 of nothing."""
        if not self.mean:
            return tf.identity(self.total.read_value())
        return tf.div_no_nan(self.total.read_value(), self.count.read_value())


@tf_export("keras.metrics.Mean")
class Mean(_Reduced):
    """The weighted mean of values."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@tf_export("keras.metrics.Sum")
class Sum(_Reduced):
    """The weighted sum of values."""

    mean = False

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class MeanMetricWrapper(_Reduced):
    """The mean of a function of (y_true, y_pred)."""

    def __init__(self, fn: Any, name: Any = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name, dtype)
        self._fn, self._fn_kwargs = fn, kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = _of_one_rank(y_true, y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        return _Reduced.update_state(self, values, sample_weight)


def _of_function(name: str, label: str, function: Any, *options: str, **defaults: Any) -> None:
    """Serve the mean of a function as a class with the given options."""

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        given = {
            **defaults,
            **dict(zip(order[1:], args, strict=False)),
            **kwargs,
        }
        kept = {"name": given.pop("name", label), "dtype": given.pop("dtype", None)}
        MeanMetricWrapper.__init__(self, function, **kept, **given)

    options_first = tuple(o for o in options if o in ("k",))
    options_last = tuple(o for o in options if o not in options_first)
    order = ("self", *options_first, "name", "dtype", *options_last)
    start.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(o, inspect.Parameter.POSITIONAL_OR_KEYWORD) for o in order]
    )
    export(
        type(name, (MeanMetricWrapper,), {"__init__": start, "__doc__": f"The mean {label}."}), f"keras.metrics.{name}"
    )


def _matches(y_true: Any, y_pred: Any) -> Any:
    return tf.cast(tf.equal(tf.cast(y_true, y_pred.dtype), y_pred), tf.float32)


def _binary(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    above = tf.cast(y_pred > threshold, y_pred.dtype)
    return tf.reduce_mean(tf.cast(tf.equal(tf.cast(y_true, y_pred.dtype), above), tf.float32), axis=-1)


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    return functions.cosine_proximity(y_true, y_pred, axis)


def _log_cosh(y_true: Any, y_pred: Any) -> Any:
    return functions.logcosh(y_true, y_pred)


for _row in (
    ("Accuracy", "accuracy", _matches),
    ("BinaryAccuracy", "binary_accuracy", _binary, "threshold"),
    ("CategoricalAccuracy", "categorical_accuracy", functions.categorical_accuracy),
    ("SparseCategoricalAccuracy", "sparse_categorical_accuracy", functions.sparse_categorical_accuracy),
    ("TopKCategoricalAccuracy", "top_k_categorical_accuracy", functions.METRICS["top_k_categorical_accuracy"], "k"),
    ("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy",
     functions.METRICS["sparse_top_k_categorical_accuracy"], "k"),
    ("MeanSquaredError", "mean_squared_error", functions.mean_squared_error),
    ("MeanAbsoluteError", "mean_absolute_error", functions.mean_absolute_error),
    ("MeanAbsolutePercentageError", "mean_absolute_percentage_error", functions.mean_absolute_percentage_error),
    ("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", functions.mean_squared_logarithmic_error),
    ("Hinge", "hinge", functions.hinge),
    ("SquaredHinge", "squared_hinge", functions.squared_hinge),
    ("CategoricalHinge", "categorical_hinge", functions.categorical_hinge),
    ("LogCoshError", "logcosh", _log_cosh),
    ("Poisson", "poisson", functions.poisson),
    ("KLDivergence", "kullback_leibler_divergence", functions.kullback_leibler_divergence),
    ("CosineSimilarity", "cosine_similarity", _cosine, "axis"),
    ("BinaryCrossentropy", "binary_crossentropy", functions.binary_crossentropy, "from_logits", "label_smoothing"),
    ("CategoricalCrossentropy", "categorical_crossentropy", functions.categorical_crossentropy, "from_logits",
     "label_smoothing"),
    ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", functions.sparse_categorical_crossentropy,
     "from_logits", "axis"),
):  # fmt: skip
    _of_function(*_row)


@tf_export("keras.metrics.RootMeanSquaredError")
class RootMeanSquaredError(_Reduced):
    """The root of the mean squared error."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = _of_one_rank(y_true, y_pred)
        return _Reduced.update_state(self, tf.squared_difference(y_pred, tf.cast(y_true, y_pred.dtype)), sample_weight)

    def result(self) -> Any:
        return tf.sqrt(tf.div_no_nan(self.total.read_value(), self.count.read_value()))


@tf_export("keras.metrics.MeanRelativeError")
class MeanRelativeError(_Reduced):
    """The mean of |y_true − y_pred| / normalizer."""

    def __init__(self, normalizer: Any, name: Any = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.normalizer = normalizer

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = tf.cast(y_pred, self.total.dtype.base_dtype)
        errors = tf.div_no_nan(tf.abs(tf.cast(y_true, y_pred.dtype) - y_pred), tf.cast(self.normalizer, y_pred.dtype))
        return _Reduced.update_state(self, errors, sample_weight)


@tf_export("keras.metrics.MeanIoU")
class MeanIoU(Metric):
    """The mean, over classes, of intersection over union."""

    def __init__(self, num_classes: int, name: Any = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.total_cm = self.add_weight("total_confusion_matrix", (num_classes, num_classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        flat = [
            None if v is None else tf.reshape(tf.convert_to_tensor(v), [-1]) for v in (y_true, y_pred, sample_weight)
        ]
        table = tf.confusion_matrix(flat[0], flat[1], self.num_classes, weights=flat[2], dtype=tf.float32)
        return tf.assign_add(self.total_cm, table)

    def result(self) -> Any:
        table = self.total_cm.read_value()
        hits = tf.diag_part(table)
        union = tf.reduce_sum(table, 0) + tf.reduce_sum(table, 1) - hits
        seen = tf.reduce_sum(tf.cast(tf.not_equal(union, 0), tf.float32))
        return tf.div_no_nan(tf.reduce_sum(tf.div_no_nan(hits, union)), seen)


@tf_export("keras.metrics.MeanTensor")
class MeanTensor(Metric):
    """The weighted mean of tensors of one shape, element by element."""

    def __init__(self, name: str = "mean_tensor", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._total: Any = None

    def update_state(self, values: Any, sample_weight: Any = None) -> Any:
        values = tf.cast(values, self._dtype)
        if self._total is None:
            self._total, self._count = (self.add_weight(n, values.shape.as_list()) for n in ("total", "count"))
        weight = tf.ones_like(values)
        if sample_weight is not None:
            values, _ = _weighted(values, sample_weight)
            weight, _ = _weighted(weight, sample_weight)
        return tf.group(tf.assign_add(self._total, values), tf.assign_add(self._count, weight))

    def result(self) -> Any:
        if self._total is None:
            raise ValueError("MeanTensor does not have any result yet. Please call the MeanTensor instance or use "
                             "`.update_state(value)` before retrieving the result.")  # fmt: skip
        return tf.div_no_nan(self._total.read_value(), self._count.read_value())
