"""tf.estimator's ready models of feature columns: DNN and linear, for classes and for numbers."""

from __future__ import annotations

from typing import Any

from recurra.tf1.estimator.estimator import Estimator
from recurra.tf1.estimator.specs import EstimatorSpec
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.learn import ModeKeys

tf = space("")


class _Head:
    """Loss, predictions and metrics of some logits; losses are sums over the batch, as TensorFlow's are."""

    def __init__(self, n_classes: int, vocabulary: Any, weight_column: Any, dimension: int) -> None:
        if weight_column is not None:
            raise NotImplementedError("a ready estimator with weight_column is not implemented in recurra")
        self.classes, self.vocabulary, self.dimension = n_classes, vocabulary, dimension

    @property
    def width(self) -> int:
        return self.dimension if not self.classes else 1 if self.classes == 2 else self.classes

    def predictions(self, logits: Any) -> dict[str, Any]:
        if not self.classes:
            return {"predictions": logits}
        if self.classes == 2:
            logistic = tf.nn.sigmoid(logits)
            both = tf.concat([tf.zeros_like(logits), logits], -1)
            found = {"logits": logits, "logistic": logistic, "probabilities": tf.nn.softmax(both)}
        else:
            both, found = logits, {"logits": logits, "probabilities": tf.nn.softmax(logits)}
        ids = tf.expand_dims(tf.argmax(both, -1), -1)
        words = [str(i) for i in range(self.classes)] if self.vocabulary is None else list(self.vocabulary)
        rows = [tf.shape(logits)[0], 1]
        every = {
            "all_class_ids": tf.tile(tf.constant([list(range(self.classes))]), rows),
            "all_classes": tf.tile(tf.constant([words]), rows),
        }
        return {**found, "class_ids": ids, "classes": tf.gather(tf.constant(words), ids), **every}

    def ids(self, labels: Any) -> Any:
        labels = tf.reshape(labels, [-1, 1])
        if self.vocabulary is None:
            return tf.cast(labels, tf.int64)
        return tf.contrib.lookup.index_table_from_tensor(tf.constant(list(self.vocabulary))).lookup(labels)

    def spec(self, mode: str, logits: Any, labels: Any, optimizer: Any) -> EstimatorSpec:
        """The model function's answer."""
        found = self.predictions(logits)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=found)
        if not self.classes:
            target = tf.reshape(tf.to_float(labels), [-1, self.dimension])
            losses = tf.square(logits - target)
        elif self.classes == 2:
            target = self.ids(labels)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.to_float(target), logits=logits)
        else:
            target = self.ids(labels)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.squeeze(target, [-1]), logits=logits)
        loss = tf.reduce_sum(losses)
        if mode == ModeKeys.EVAL:
            return EstimatorSpec(
                mode, predictions=found, loss=loss, eval_metric_ops=self.metrics(found, target, losses)
            )
        step = optimizer.minimize(loss, global_step=tf.train.get_global_step())
        tf.summary.scalar("loss", loss)
        return EstimatorSpec(mode, predictions=found, loss=loss, train_op=step)

    def metrics(self, found: dict[str, Any], target: Any, losses: Any) -> dict[str, Any]:
        metrics = tf.metrics
        result = {"average_loss": metrics.mean(losses)}
        if not self.classes:
            result["prediction/mean"] = metrics.mean(found["predictions"])
            result["label/mean"] = metrics.mean(target)
            return result
        result["accuracy"] = metrics.accuracy(target, found["class_ids"])
        if self.classes == 2:
            score = found["logistic"]
            result.update({
                "auc": metrics.auc(target, score),
                "auc_precision_recall": metrics.auc(
                    target, score, curve="PR", summation_method="careful_interpolation"
                ),
                "precision": metrics.precision(target, found["class_ids"]),
                "recall": metrics.recall(target, found["class_ids"]),
                "label/mean": metrics.mean(target),
                "prediction/mean": metrics.mean(score),
                "accuracy_baseline": _baseline(target),
            })  # fmt: skip
        return result


def _baseline(target: Any) -> Any:
    """The accuracy of always answering the more frequent class."""
    mean, update = tf.metrics.mean(target)
    return tf.maximum(mean, 1 - mean), tf.maximum(update, 1 - update)


def _optimizer(given: Any, rate: float) -> Any:
    kinds = {"Adagrad": "AdagradOptimizer", "Adam": "AdamOptimizer", "Ftrl": "FtrlOptimizer",
             "RMSProp": "RMSPropOptimizer", "SGD": "GradientDescentOptimizer"}  # fmt: skip
    if isinstance(given, str):
        if given not in kinds:
            raise ValueError(f"Unsupported optimizer name: {given}. Supported names are: {sorted(kinds)}")
        return getattr(tf.train, kinds[given])(learning_rate=rate)
    return given() if callable(given) and not hasattr(given, "minimize") else given


def _deep(
    features: Any, columns: Any, units: Any, activation: Any, dropout: Any, norm: bool, mode: str, width: int
) -> Any:
    training = mode == ModeKeys.TRAIN
    with tf.variable_scope("dnn"):
        with tf.variable_scope("input_from_feature_columns"):
            net = tf.feature_column.input_layer(features, columns)
        for i, size in enumerate(units):
            with tf.variable_scope(f"hiddenlayer_{i}") as scope:
                start = tf.glorot_uniform_initializer()
                net = tf.layers.dense(net, size, activation, kernel_initializer=start, name=scope)
                if dropout is not None and training:
                    net = tf.layers.dropout(net, dropout, training=True)
                if norm:
                    net = tf.layers.batch_normalization(net, training=training, momentum=0.999)
        with tf.variable_scope("logits") as scope:
            return tf.layers.dense(net, width, kernel_initializer=tf.glorot_uniform_initializer(), name=scope)


class _Deep(Estimator):
    def _begin(self, head: _Head, hidden_units: Any, feature_columns: Any, options: dict[str, Any]) -> None:
        self._check(options, ("optimizer", "activation_fn", "dropout", "batch_norm"))
        activation = options.get("activation_fn", tf.nn.relu)
        dropout, norm = options.get("dropout"), options.get("batch_norm", False)

        def model(features: Any, labels: Any, mode: str) -> Any:
            logits = _deep(features, feature_columns, hidden_units, activation, dropout, norm, mode, head.width)
            return head.spec(mode, logits, labels, _optimizer(options.get("optimizer", "Adagrad"), 0.05))

        self._finish(model, options)

    def _check(self, options: dict[str, Any], known: tuple[str, ...]) -> None:
        rest = sorted(set(options) - {*known, "model_dir", "config", "warm_start_from"})
        if rest:
            raise NotImplementedError(
                f"tf.estimator.{type(self).__name__} with {rest[0]} is not implemented in recurra"
            )

    def _finish(self, model: Any, options: dict[str, Any]) -> None:
        Estimator.__init__(
            self, model, options.get("model_dir"), options.get("config"), warm_start_from=options.get("warm_start_from")
        )


@tf_export("estimator.DNNClassifier")
class DNNClassifier(_Deep):
    """Dense layers over columns, for classes."""

    def __init__(self, hidden_units: Any, feature_columns: Any, model_dir: Any = None, n_classes: int = 2,
                 weight_column: Any = None, label_vocabulary: Any = None, **options: Any) -> None:  # fmt: skip
        head = _Head(n_classes, label_vocabulary, weight_column, 1)
        self._begin(head, hidden_units, feature_columns, {"model_dir": model_dir, **options})


@tf_export("estimator.DNNRegressor")
class DNNRegressor(_Deep):
    """Dense layers over columns, for numbers."""

    def __init__(self, hidden_units: Any, feature_columns: Any, model_dir: Any = None, label_dimension: int = 1,
                 weight_column: Any = None, **options: Any) -> None:  # fmt: skip
        head = _Head(0, None, weight_column, label_dimension)
        self._begin(head, hidden_units, feature_columns, {"model_dir": model_dir, **options})


class _Linear(_Deep):
    def _begin_linear(self, head: _Head, feature_columns: Any, options: dict[str, Any]) -> None:
        self._check(options, ("optimizer",))
        rate = min(0.2, 1.0 / len(list(feature_columns)) ** 0.5)

        def model(features: Any, labels: Any, mode: str) -> Any:
            with tf.variable_scope("linear"):
                logits = tf.feature_column.linear_model(features, feature_columns, units=head.width)
            return head.spec(mode, logits, labels, _optimizer(options.get("optimizer", "Ftrl"), rate))

        self._finish(model, options)


@tf_export("estimator.LinearClassifier")
class LinearClassifier(_Linear):
    """A weighted sum of columns, for classes."""

    def __init__(self, feature_columns: Any, model_dir: Any = None, n_classes: int = 2, weight_column: Any = None,
                 label_vocabulary: Any = None, **options: Any) -> None:  # fmt: skip
        head = _Head(n_classes, label_vocabulary, weight_column, 1)
        self._begin_linear(head, feature_columns, {"model_dir": model_dir, **options})


@tf_export("estimator.LinearRegressor")
class LinearRegressor(_Linear):
    """A weighted sum of columns, for numbers."""

    def __init__(self, feature_columns: Any, model_dir: Any = None, label_dimension: int = 1, weight_column: Any = None,
                 **options: Any) -> None:  # fmt: skip
        head = _Head(0, None, weight_column, label_dimension)
        self._begin_linear(head, feature_columns, {"model_dir": model_dir, **options})
