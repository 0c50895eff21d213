"""tf.contrib.eager.metrics: metrics that keep their sums in variables, called once a batch."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import nest, tracking
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


@tf_export("contrib.eager.metrics.Metric")
class Metric(tracking.Trackable):
    """`metric(values)` adds a batch, `result()` is the value so far. Subclasses give `build`, `call` and `result`.

    In a graph the call gives tensors that update when they are run, and `init_variables()` an operation.
    """

    def __init__(self, name: str | None = None, use_global_variables: bool = False) -> None:
        self._built = False
        self._vars: list[Any] = []
        self._initial_values: dict[Any, Any] = {}
        self._use_global_variables = use_global_variables
        self._name = name or type(self).__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._built:
            with tf.name_scope(self._name.replace(" ", "_")), tf.control_dependencies(None):
                self.build(*args, **kwargs)
            self._built = True
        if tf.executing_eagerly():
            return self.call(*args, **kwargs)
        graph = tf.get_default_graph()
        before = set(graph.get_operations())
        results = self.call(*args, **kwargs)
        updates = [op for op in graph.get_operations() if op not in before and op.type.startswith("Assign")]
        with tf.control_dependencies(updates):
            return nest.map_structure(tf.identity, results)

    @property
    def name(self) -> str:
        return self._name

    @property
    def variables(self) -> list[Any]:
        return self._vars

    def init_variables(self) -> Any:
        """Begin anew; in a graph, the operation that does it."""
        if not tf.executing_eagerly():
            return tf.group(*[v.initializer for v in self._vars])
        for variable in self._vars:
            variable.assign(self._initial_values[variable])
        return None

    def build(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("Metrics must define a build() member function")

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("Metrics must define a call() member function")

    def result(self) -> Any:
        raise NotImplementedError("Metrics must define a result() member function")

    def value(self) -> Any:
        """The result's tensor in a graph, the function that gives it under eager execution."""
        return self.result if tf.executing_eagerly() else self.result()

    def aggregate(self, metrics: list[Any]) -> None:
        """Add what others of the same kind have counted."""
        for metric in metrics:
            if type(self) is not type(metric):
                raise TypeError(f"All metrics must be the same type, '{type(self)}' != '{type(metric)}'.")
        for i, variable in enumerate(self._vars):
            variable.assign_add(tf.add_n([m._vars[i] for m in metrics]))

    def add_variable(self, name: str, shape: Any = None, dtype: Any = None, initializer: Any = None) -> Any:
        """A variable, for `build` alone."""
        if self._built:
            raise RuntimeError("Can't call add_variable() except in build().")
        keys = tf.GraphKeys
        home = keys.GLOBAL_VARIABLES if self._use_global_variables else keys.LOCAL_VARIABLES
        fill = initializer() if isinstance(initializer, type) else initializer
        variable = tf.Variable(
            lambda: fill(shape or (), dtype=dtype or tf.float32), trainable=False, name=name, use_resource=True,
            collections=[home, keys.METRIC_VARIABLES],
        )  # fmt: skip
        self._vars.append(self._track_trackable(variable, name, overwrite=True))
        if tf.executing_eagerly():
            self._initial_values[variable] = variable.value()
        return variable


@tf_export("contrib.eager.metrics.Mean")
class Mean(Metric):
    """The mean of all values so far, weighted where weights are given."""

    def __init__(self, name: str | None = None, dtype: Any = None, use_global_variables: bool = False) -> None:
        super().__init__(name, use_global_variables)
        self.dtype = tf.float64 if dtype is None else dtype

    def build(self, *args: Any, **kwargs: Any) -> None:
        self.numer = self.add_variable("numer", (), self.dtype, tf.zeros_initializer)
        self.denom = self.add_variable("denom", (), self.dtype, tf.zeros_initializer)

    def call(self, values: Any, weights: Any = None) -> Any:
        if weights is None:
            self.denom.assign_add(tf.cast(tf.size(values), self.dtype))
            total = tf.reduce_sum(values)
            self.numer.assign_add(tf.cast(total, self.dtype))
            return total
        weights = tf.cast(weights, self.dtype)
        self.denom.assign_add(tf.reduce_sum(weights))
        values = tf.cast(values, self.dtype) * weights
        self.numer.assign_add(tf.reduce_sum(values))
        return values, weights

    def result(self, write_summary: bool = True) -> Any:
        value = self.numer / self.denom
        if write_summary:
            tf.contrib.summary.scalar(name=self.name, tensor=value)
        return value

    def _count(self, labels: Any, predictions: Any, matches: Any, weights: Any) -> Any:
        Mean.call(self, tf.cast(matches, self.dtype), weights)
        return (labels, predictions) if weights is None else (labels, predictions, weights)


def _same_shapes(labels: Any, predictions: Any) -> list[Any]:
    check = tf.assert_equal(
        tf.shape(labels), tf.shape(predictions), message="Shapes of labels and predictions are unequal"
    )
    return [] if check is None else [check]


@tf_export("contrib.eager.metrics.Accuracy")
class Accuracy(Mean):
    """How often predictions equal labels, of the same shape and type."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def call(self, labels: Any, predictions: Any, weights: Any = None) -> Any:
        with tf.control_dependencies(_same_shapes(labels, predictions)):
            return self._count(labels, predictions, tf.equal(labels, predictions), weights)


@tf_export("contrib.eager.metrics.CategoricalAccuracy")
class CategoricalAccuracy(Accuracy):
    """How often the largest prediction is where the one-hot label is."""

    def call(self, labels: Any, predictions: Any, weights: Any = None) -> Any:
        with tf.control_dependencies(_same_shapes(labels, predictions)):
            labels, predictions = tf.argmax(labels, axis=-1), tf.argmax(predictions, axis=-1)
            return self._count(labels, predictions, tf.equal(labels, predictions), weights)


@tf_export("contrib.eager.metrics.BinaryAccuracy")
class BinaryAccuracy(Mean):
    """How often a prediction lies above `threshold` where the label is true, and not where it is false."""

    def __init__(self, threshold: float, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.threshold = threshold

    def call(self, labels: Any, predictions: Any, weights: Any = None) -> Any:
        with tf.control_dependencies(_same_shapes(labels, predictions)):
            predictions = predictions > self.threshold
            labels = tf.cast(labels, tf.bool)
            return self._count(labels, predictions, tf.equal(labels, predictions), weights)


@tf_export("contrib.eager.metrics.SparseAccuracy")
class SparseAccuracy(Accuracy):
    """How often the largest prediction is at the label, an index."""

    def call(self, labels: Any, predictions: Any, weights: Any = None) -> Any:
        first = tf.assert_equal(
            tf.shape(labels)[0], tf.shape(predictions)[0], message="First axis of labels and predictions is unequal"
        )
        with tf.control_dependencies([] if first is None else [first]):
            predictions = tf.argmax(predictions, axis=-1)
            labels = tf.cast(labels, tf.int64)
            return self._count(labels, predictions, tf.equal(labels, predictions), weights)
