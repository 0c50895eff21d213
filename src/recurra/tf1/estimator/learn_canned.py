"""tf.contrib.learn's ready models and tf.contrib.layers' columns, on those of tf.estimator and tf.feature_column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recurra.tf1.estimator.canned import _deep, _optimizer
from recurra.tf1.estimator.learn import LearnEstimator, ModelFnOps
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.learn import ModeKeys

tf = space("")


# -- columns -----------------------------------------------------------------------------------------------------------
@tf_export("contrib.layers.real_valued_column")
def real_valued_column(column_name: str, dimension: int = 1, default_value: Any = None, dtype: Any = "float32",
                       normalizer: Any = None) -> Any:  # fmt: skip
    """Numbers as they are; "" is the one array that a model is fitted on."""
    return tf.feature_column.numeric_column(column_name, dimension, default_value, dtype, normalizer)


@tf_export("contrib.layers.bucketized_column")
def bucketized_column(source_column: Any, boundaries: Any) -> Any:
    return tf.feature_column.bucketized_column(source_column, boundaries)


@tf_export("contrib.layers.sparse_column_with_keys")
def sparse_column_with_keys(column_name: str, keys: Any, default_value: int = -1, combiner: str = "sum",
                            dtype: Any = None) -> Any:  # fmt: skip
    return tf.feature_column.categorical_column_with_vocabulary_list(column_name, keys, dtype, default_value)


@tf_export("contrib.layers.sparse_column_with_hash_bucket")
def sparse_column_with_hash_bucket(column_name: str, hash_bucket_size: int, combiner: str = "sum",
                                   dtype: Any = "string", hash_keys: Any = None) -> Any:  # fmt: skip
    if hash_keys is not None:
        raise NotImplementedError("tf.contrib.layers.sparse_column_with_hash_bucket with hash_keys")
    return tf.feature_column.categorical_column_with_hash_bucket(column_name, hash_bucket_size, dtype)


@tf_export("contrib.layers.sparse_column_with_integerized_feature")
def sparse_column_with_integerized_feature(column_name: str, bucket_size: int, combiner: str = "sum",
                                           dtype: Any = "int64") -> Any:  # fmt: skip
    return tf.feature_column.categorical_column_with_identity(column_name, bucket_size)


@tf_export("contrib.layers.sparse_column_with_vocabulary_file")
def sparse_column_with_vocabulary_file(column_name: str, vocabulary_file: str, num_oov_buckets: int = 0,
                                       vocab_size: int | None = None, default_value: int = -1, combiner: str = "sum",
                                       dtype: Any = "string") -> Any:  # fmt: skip
    make = tf.feature_column.categorical_column_with_vocabulary_file
    return make(column_name, vocabulary_file, vocab_size, num_oov_buckets, default_value, dtype)


@tf_export("contrib.layers.one_hot_column")
def one_hot_column(sparse_id_column: Any) -> Any:
    return tf.feature_column.indicator_column(sparse_id_column)


@tf_export("contrib.layers.embedding_column")
def embedding_column(sparse_id_column: Any, dimension: int, combiner: str = "mean", initializer: Any = None,
                     ckpt_to_load_from: Any = None, tensor_name_in_ckpt: Any = None, max_norm: Any = None,
                     trainable: bool = True) -> Any:  # fmt: skip
    return tf.feature_column.embedding_column(
        sparse_id_column, dimension, combiner, initializer, ckpt_to_load_from, tensor_name_in_ckpt, max_norm, trainable
    )


@tf_export("contrib.layers.input_from_feature_columns")
def input_from_feature_columns(columns_to_tensors: Any, feature_columns: Any, weight_collections: Any = None,
                               trainable: bool = True, scope: Any = None, cols_to_outs: Any = None) -> Any:  # fmt: skip
    """The columns side by side."""
    with tf.variable_scope(scope, default_name="input_from_feature_columns"):
        return tf.feature_column.input_layer(columns_to_tensors, feature_columns)


@tf_export("contrib.learn.infer_real_valued_columns_from_input")
def infer_real_valued_columns_from_input(x: Any) -> list[Any]:
    """One column of numbers for an array [N, n]."""
    return [real_valued_column("", dimension=int(x.shape[1]) if len(x.shape) > 1 else 1)]


# -- models ------------------------------------------------------------------------------------------------------------
class _Ready(LearnEstimator):
    """A ready model; losses are means over the batch."""

    classes = 0

    def _begin(self, logits_of: Any, options: dict[str, Any], optimizer: Any, rate: float) -> None:
        rest = sorted(k for k, v in options.items() if k not in ("model_dir", "config") and v is not None)
        if rest:
            raise NotImplementedError(
                f"tf.contrib.learn.{type(self).__name__} with {rest[0]} is not implemented in recurra"
            )
        width = 1 if self.classes in (0, 2) else self.classes

        def model(features: Any, labels: Any, mode: str) -> ModelFnOps:
            named = features if isinstance(features, dict) else {"": features}
            logits = logits_of(named, mode, width)
            found, loss, metrics = self._head(logits, labels, mode)
            train = None
            if mode == ModeKeys.TRAIN:
                train = _optimizer(optimizer, rate).minimize(loss, global_step=tf.train.get_global_step())
            return ModelFnOps(mode, found, loss, train, metrics)

        LearnEstimator.__init__(self, model, options.get("model_dir"), options.get("config"))

    def _head(self, logits: Any, labels: Any, mode: str) -> tuple[Any, Any, Any]:
        if not self.classes:
            found = {"scores": tf.squeeze(logits, [-1])}
            if labels is None or mode == ModeKeys.PREDICT:
                return found, None, None
            target = tf.reshape(tf.to_float(labels), [-1])
            return found, tf.reduce_mean(tf.square(found["scores"] - target)), {}
        both = tf.concat([tf.zeros_like(logits), logits], -1) if self.classes == 2 else logits
        found = {"classes": tf.argmax(both, -1), "probabilities": tf.nn.softmax(both), "logits": logits}
        if labels is None or mode == ModeKeys.PREDICT:
            return found, None, None
        target = tf.reshape(tf.cast(labels, tf.int64), [-1])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=both)
        return found, tf.reduce_mean(losses), {"accuracy": tf.metrics.accuracy(target, found["classes"])}

    def _values(self, key: str, x: Any, input_fn: Any, batch_size: Any, as_iterable: bool) -> Any:
        """One of the predictions, example by example or at once."""
        found = LearnEstimator.predict(self, x, input_fn, batch_size, [key], as_iterable)
        return _each(found, key) if as_iterable else found[key]

    def predict(self, x: Any = None, input_fn: Any = None, batch_size: Any = None, outputs: Any = None,  # type: ignore[override]
                as_iterable: bool = True, iterate_batches: bool = False) -> Any:  # fmt: skip
        """The classes, or the numbers."""
        if outputs is not None:
            return LearnEstimator.predict(self, x, input_fn, batch_size, outputs, as_iterable)
        return self._values("classes" if self.classes else "scores", x, input_fn, batch_size, as_iterable)


def _each(found: Iterator[Any], key: str) -> Iterator[Any]:
    return (item[key] for item in found)


class _Classifier(_Ready):
    def predict_classes(self, x: Any = None, input_fn: Any = None, batch_size: Any = None,
                        as_iterable: bool = True) -> Any:  # fmt: skip
        """The classes."""
        return self._values("classes", x, input_fn, batch_size, as_iterable)

    def predict_proba(self, x: Any = None, input_fn: Any = None, batch_size: Any = None,
                      as_iterable: bool = True) -> Any:  # fmt: skip
        """The probabilities of all classes."""
        return self._values("probabilities", x, input_fn, batch_size, as_iterable)


class _Regressor(_Ready):
    def predict_scores(self, x: Any = None, input_fn: Any = None, batch_size: Any = None,
                       as_iterable: bool = True) -> Any:  # fmt: skip
        """The numbers."""
        return self._values("scores", x, input_fn, batch_size, as_iterable)


def _dense(hidden_units: Any, columns: Any, activation_fn: Any, dropout: Any) -> Any:
    def logits(features: Any, mode: str, width: int) -> Any:
        return _deep(features, columns, hidden_units, activation_fn or tf.nn.relu, dropout, False, mode, width)

    return logits


def _linear(columns: Any) -> Any:
    def logits(features: Any, mode: str, width: int) -> Any:
        with tf.variable_scope("linear"):
            return tf.feature_column.linear_model(features, columns, units=width)

    return logits


@tf_export("contrib.learn.DNNClassifier")
class DNNClassifier(_Classifier):
    """Dense layers over columns, for classes."""

    def __init__(self, hidden_units: Any, feature_columns: Any, model_dir: Any = None, n_classes: int = 2,
                 optimizer: Any = None, activation_fn: Any = None, dropout: Any = None,
                 **options: Any) -> None:  # fmt: skip
        self.classes = n_classes
        made = _dense(hidden_units, feature_columns, activation_fn, dropout)
        self._begin(made, {"model_dir": model_dir, **options}, optimizer or "Adagrad", 0.05)


@tf_export("contrib.learn.DNNRegressor")
class DNNRegressor(_Regressor):
    """Dense layers over columns, for numbers."""

    def __init__(self, hidden_units: Any, feature_columns: Any, model_dir: Any = None, optimizer: Any = None,
                 activation_fn: Any = None, dropout: Any = None, **options: Any) -> None:  # fmt: skip
        made = _dense(hidden_units, feature_columns, activation_fn, dropout)
        self._begin(made, {"model_dir": model_dir, **options}, optimizer or "Adagrad", 0.05)


@tf_export("contrib.learn.LinearClassifier")
class LinearClassifier(_Classifier):
    """A weighted sum of columns, for classes."""

    def __init__(self, feature_columns: Any, model_dir: Any = None, n_classes: int = 2, optimizer: Any = None,
                 **options: Any) -> None:  # fmt: skip
        self.classes = n_classes
        rate = min(0.2, 1.0 / len(feature_columns) ** 0.5)
        self._begin(_linear(feature_columns), {"model_dir": model_dir, **options}, optimizer or "Ftrl", rate)


@tf_export("contrib.learn.LinearRegressor")
class LinearRegressor(_Regressor):
    """A weighted sum of columns, for numbers."""

    def __init__(self, feature_columns: Any, model_dir: Any = None, optimizer: Any = None, **options: Any) -> None:
        rate = min(0.2, 1.0 / len(feature_columns) ** 0.5)
        self._begin(_linear(feature_columns), {"model_dir": model_dir, **options}, optimizer or "Ftrl", rate)
