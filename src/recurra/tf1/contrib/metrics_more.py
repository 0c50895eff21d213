"""The rarer metrics: rates at a fixed other rate, F1, covariance and correlation, kappa, what was seen, top-k lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.metrics import _at_thresholds, _collect, _matching, metric_variable
from recurra.tf1.metrics_top_k import _matches, _ratio
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

__all__ = ["f1_score", "streaming_covariance"]

tf = space("")

_EPSILON = 1e-7
_ALL = ("true_positives", "false_negatives", "true_negatives", "false_positives")
Counts = dict[str, Any]


def _thresholds(count: int) -> list[float]:
    """Evenly spread, the ends just outside [0, 1]."""
    return [-_EPSILON, *((i + 1) / (count - 1) for i in range(count - 2)), 1.0 + _EPSILON]


def _results(value: Any, update: Any, value_collections: Any, update_collections: Any) -> tuple[Any, Any]:
    _collect(value_collections, value)
    _collect(update_collections, update)
    return value, update


# -- one rate where another is closest to a target --------------------------------------------------------------------
def _sensitivity(c: Counts) -> Any:
    return tf.div(c["true_positives"], c["true_positives"] + c["false_negatives"] + _EPSILON)


def _specificity(c: Counts) -> Any:
    return tf.div(c["true_negatives"], c["true_negatives"] + c["false_positives"] + _EPSILON)


def _precision(c: Counts) -> Any:
    return tf.div(c["true_positives"], c["true_positives"] + c["false_positives"] + _EPSILON)


def _closest(
    rate: Callable[[Counts], Any], wanted: Callable[[Counts], Any], last: bool = False
) -> Callable[[Counts, float], Any]:
    """`wanted` at the first (or last) threshold where `rate` is closest to its target."""

    def at(c: Counts, target: float) -> Any:
        distance = tf.abs(rate(c) - target)
        place = tf.argmin(tf.reverse(distance, [0]) if last else distance, 0)
        return wanted(c)[tf.cast(tf.size(distance, out_type=dtypes.int64) - 1 - place if last else place, dtypes.int32)]

    return at


def _precision_at(c: Counts, recall: float) -> Any:
    """The precision at the highest threshold of at least that recall."""
    place = tf.reduce_sum(tf.cast(tf.greater_equal(_sensitivity(c), recall), dtypes.int64)) - 1
    hits, wrong = c["true_positives"][place] + _EPSILON, c["false_positives"][place]
    return tf.div(hits, hits + wrong)


def _recall_at(c: Counts, precision: float) -> Any:
    """The recall at the first threshold whose precision is closest."""
    found, recall = _precision(c), _sensitivity(c)
    best = tf.argmin(tf.abs(found - precision), 0)
    return recall[tf.cast(best, dtypes.int32)]


def _at_target(name: str, target_name: str, compute: Callable[[Counts, Any], Any], *served: str) -> Any:
    def metric(
        labels: Any,
        predictions: Any,
        target: Any = None,
        weights: Any = None,
        num_thresholds: int = 200,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
        _label: str = name,
        **named: Any,
    ) -> Any:
        target = named.pop(target_name, target)
        if not 0 <= target <= 1:
            raise ValueError(f"`{target_name}` must be in the range [0, 1].")
        with tf.variable_scope(name, _label, (predictions, labels, weights)):
            values, updates = _at_thresholds(labels, predictions, _thresholds(num_thresholds), weights, _ALL)
            return _results(compute(values, target), compute(updates, target), metrics_collections, updates_collections)

    metric.__name__ = name
    export(metric, *served)
    return metric


_sensitivity_metric = _at_target(
    "sensitivity_at_specificity",
    "specificity",
    _closest(_specificity, _sensitivity),
    "metrics.sensitivity_at_specificity",
)
_specificity_metric = _at_target(
    "specificity_at_sensitivity",
    "sensitivity",
    _closest(_sensitivity, _specificity, last=True),
    "metrics.specificity_at_sensitivity",
)
_at_target("precision_at_recall", "target_recall", _precision_at, "contrib.metrics.precision_at_recall")
_at_target("recall_at_precision", "precision", _recall_at, "contrib.metrics.recall_at_precision")


def _swapped(metric: Callable[..., Any]) -> Callable[..., Any]:
    return lambda predictions, labels, *args, **kwargs: metric(labels, predictions, *args, **kwargs)


export(_swapped(_sensitivity_metric), "contrib.metrics.streaming_sensitivity_at_specificity")
export(_swapped(_specificity_metric), "contrib.metrics.streaming_specificity_at_sensitivity")


# -- rates ------------------------------------------------------------------------------------------------------------
def _rate(name: str, part: str, rest: str) -> None:
    """part / (part + rest), of hard predictions, and at thresholds."""

    def share(c: Counts) -> Any:
        return tf.div(c[part], c[part] + c[rest] + _EPSILON)

    def at_thresholds(
        predictions: Any,
        labels: Any,
        thresholds: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
        _label: str = name,
    ) -> Any:
        with tf.variable_scope(name, f"{_label}_at_thresholds", (predictions, labels, weights)):
            values, updates = _at_thresholds(labels, predictions, list(thresholds), weights, (part, rest))
            return _results(share(values), share(updates), metrics_collections, updates_collections)

    def hard(
        predictions: Any,
        labels: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
        _label: str = name,
    ) -> Any:
        with tf.variable_scope(name, _label, (predictions, labels, weights)):
            pairs = {key: getattr(tf.metrics, key)(labels, predictions, weights) for key in (part, rest)}
            ratio = [_safe(pairs[part][i], pairs[part][i] + pairs[rest][i]) for i in (0, 1)]
            return _results(*ratio, metrics_collections, updates_collections)

    export(hard, f"contrib.metrics.streaming_{name}")
    export(at_thresholds, f"contrib.metrics.streaming_{name}_at_thresholds")


def _safe(top: Any, bottom: Any) -> Any:
    return tf.where(tf.greater(bottom, 0), tf.div(top, bottom), tf.zeros_like(top))


_rate("false_negative_rate", "false_negatives", "true_positives")
_rate("false_positive_rate", "false_positives", "true_negatives")


@tf_export("contrib.metrics.f1_score")
def f1_score(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    num_thresholds: int = 200,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """The best F1 over the thresholds."""
    with tf.variable_scope(name, "f1", (labels, predictions, weights)):
        wanted = ("true_positives", "false_positives", "false_negatives")
        values, updates = _at_thresholds(labels, predictions, _thresholds(num_thresholds), weights, wanted)

        def best(c: Counts) -> Any:
            precision, recall = _precision(c), _sensitivity(c)
            return tf.reduce_max(2.0 * precision * recall / (precision + recall + _EPSILON))

        return _results(best(values), best(updates), metrics_collections, updates_collections)


# -- moments ----------------------------------------------------------------------------------------------------------
@tf_export("contrib.metrics.count")
def count(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """How many values there were, or the sum of their weights."""
    with tf.variable_scope(name, "count", (values, weights)):
        total = metric_variable([], dtypes.float32, name="count")
        values = convert_to_tensor(values)
        if weights is None:
            number = tf.to_float(tf.size(values))
        else:
            values, _, weights = _matching(values, None, weights)
            number = tf.reduce_sum(tf.cast(weights, dtypes.float32) * tf.ones_like(tf.to_float(values)))
        with tf.control_dependencies([values]):
            update = tf.assign_add(total, number)
        return _results(tf.identity(total), update, metrics_collections, updates_collections)


@tf_export("contrib.metrics.streaming_covariance")
def streaming_covariance(
    predictions: Any,
    labels: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """The unbiased sample covariance, batch by batch (Chan, Golub and LeVeque, 1979)."""
    with tf.variable_scope(name, "covariance", (predictions, labels, weights)):
        predictions, labels, weights = _matching(predictions, labels, weights)
        x, y = tf.to_float(predictions), tf.to_float(labels)
        seen = metric_variable([], dtypes.float32, name="count")
        mean_x = metric_variable([], dtypes.float32, name="mean_prediction")
        mean_y = metric_variable([], dtypes.float32, name="mean_label")
        comoment = metric_variable([], dtypes.float32, name="comoment")
        share = tf.ones_like(x) if weights is None else tf.to_float(weights) * tf.ones_like(x)
        batch = tf.reduce_sum(share)
        batch_x, batch_y = (tf.div_no_nan(tf.reduce_sum(v * share), batch) for v in (x, y))
        total = seen + batch
        step_x = tf.div_no_nan((batch_x - mean_x) * batch, total)
        step_y = tf.div_no_nan((batch_y - mean_y) * batch, total)
        own = tf.reduce_sum((x - batch_x) * (y - batch_y) * share)
        between = (mean_x - batch_x) * (mean_y - batch_y) * tf.div_no_nan(seen * batch, total)
        changes = [own + between, step_x, step_y, batch]
        with tf.control_dependencies(changes):
            updated = [
                tf.assign_add(v, change) for v, change in zip((comoment, mean_x, mean_y, seen), changes, strict=True)
            ]

        def unbiased(moment: Any, number: Any) -> Any:
            return tf.where(tf.less_equal(number, 1.0), tf.constant(float("nan")), tf.div(moment, number - 1.0))

        return _results(
            unbiased(tf.identity(comoment), tf.identity(seen)),
            unbiased(updated[0], updated[3]),
            metrics_collections,
            updates_collections,
        )


@tf_export("contrib.metrics.streaming_pearson_correlation")
def streaming_pearson_correlation(
    predictions: Any,
    labels: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """Covariance over the product of the standard deviations."""
    with tf.variable_scope(name, "pearson_r", (predictions, labels, weights)):
        predictions, labels = tf.to_float(convert_to_tensor(predictions)), tf.to_float(convert_to_tensor(labels))
        both, own, other = (
            streaming_covariance(a, b, weights, name=scope)
            for a, b, scope in (
                (predictions, labels, "covariance"),
                (predictions, predictions, "variance_predictions"),
                (labels, labels, "variance_labels"),
            )
        )
        value, update = (tf.truediv(both[i], tf.sqrt(own[i]) * tf.sqrt(other[i])) for i in (0, 1))
        return _results(value, update, metrics_collections, updates_collections)


@tf_export("contrib.metrics.cohen_kappa")
def cohen_kappa(
    labels: Any,
    predictions_idx: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """Agreement beyond chance, (p₀ − pₑ)/(1 − pₑ) (Cohen, 1960)."""
    if num_classes < 2:
        raise ValueError("`num_classes` must be >= 2.")
    with tf.variable_scope(name, "cohen_kappa", (labels, predictions_idx, weights)):
        predictions, labels, weights = _matching(predictions_idx, labels, weights)
        share = tf.ones_like(tf.cast(labels, dtypes.int64)) if weights is None else tf.cast(weights, dtypes.int64)
        kinds = dtypes.int64
        hit = tf.one_hot(tf.cast(labels, kinds), num_classes, dtype=kinds) * share[..., None]
        said = tf.one_hot(tf.cast(predictions, kinds), num_classes, dtype=kinds) * share[..., None]
        axes = list(range(labels.shape.ndims))
        counts = [
            tf.reduce_sum(hit * tf.one_hot(tf.cast(predictions, kinds), num_classes, dtype=kinds), axes),
            tf.reduce_sum(said, axes),
            tf.reduce_sum(hit, axes),
        ]
        variables = [metric_variable([num_classes], kinds, name=n) for n in ("po", "pe_row", "pe_col")]
        updates = [tf.assign_add(v, c) for v, c in zip(variables, counts, strict=True)]

        def kappa(po: Any, row: Any, column: Any) -> Any:
            total = tf.cast(tf.reduce_sum(row), dtypes.float64)
            agreed = tf.cast(tf.reduce_sum(po), dtypes.float64)
            chance = tf.reduce_sum(tf.cast(row, dtypes.float64) * tf.cast(column, dtypes.float64)) / total
            nothing = tf.constant(float("nan"), dtypes.float64)
            return tf.where(tf.equal(total, chance), nothing, (agreed - chance) / (total - chance))

        return _results(
            kappa(*[tf.identity(v) for v in variables]), kappa(*updates), metrics_collections, updates_collections
        )


# -- by lists of the best ---------------------------------------------------------------------------------------------
def _at_top(label: str, recall: bool) -> Callable[..., Any]:
    def metric(
        labels: Any,
        predictions_idx: Any,
        k: int | None = None,
        class_id: int | None = None,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
    ) -> Any:
        if class_id is not None:
            raise NotImplementedError(f"tf.metrics.{label} with class_id")
        with tf.variable_scope(name, label, (predictions_idx, labels, weights)):
            top = tf.cast(predictions_idx, dtypes.int64)
            hits, wanted = _matches(tf.cast(labels, dtypes.int64), top)
            number = wanted if recall else tf.ones_like(hits) * tf.cast(tf.shape(top)[-1], dtypes.float64)
            return _ratio(hits, number, weights, metrics_collections, updates_collections)

    metric.__name__ = label
    return export(metric, f"metrics.{label}")


_precision_at_top = _at_top("precision_at_top_k", False)
_recall_at_top = _at_top("recall_at_top_k", True)
export(
    lambda top_k_predictions, labels, class_id=None, weights=None, *args, **kwargs: _precision_at_top(
        labels, top_k_predictions, None, class_id, weights, *args, **kwargs
    ),
    "contrib.metrics.streaming_sparse_precision_at_top_k",
)
export(
    lambda labels, top_k_predictions, class_id=None, weights=None, *args, **kwargs: _recall_at_top(
        labels, top_k_predictions, None, class_id, weights, *args, **kwargs
    ),
    "contrib.metrics.sparse_recall_at_top_k",
)
export(
    lambda predictions, labels, k, class_id=None, weights=None, *args, **kwargs: tf.metrics.recall_at_k(
        labels, predictions, k, class_id, weights, *args, **kwargs
    ),
    "contrib.metrics.streaming_sparse_recall_at_k",
)


@tf_export("contrib.metrics.streaming_concat")
def streaming_concat(
    values: Any,
    axis: int = 0,
    max_size: int | None = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """Everything that was seen, along `axis`, up to `max_size` of it."""
    with tf.variable_scope(name, "streaming_concat", (values,)):
        values = convert_to_tensor(values)
        rank = values.shape.ndims
        if rank in (None, 0):
            raise ValueError("`values` cannot have unknown rank or be a scalar")
        axis %= rank
        shape = values.shape.as_list()
        if any(n is None for i, n in enumerate(shape) if i != axis):
            raise ValueError(
                "all dimensions of `values` other than the dimension to concatenate along must have statically known "
                "size"
            )
        empty = [0 if i == axis else n for i, n in enumerate(shape)]
        kept = tf.Variable(
            lambda: tf.zeros(empty, values.dtype),
            trainable=False,
            validate_shape=False,
            collections=["local_variables", "metric_variables"],
            name="array",
        )
        joined = tf.concat([kept.value(), values], axis)
        if max_size is not None:
            joined = joined[tuple(slice(0, max_size) if i == axis else slice(None) for i in range(rank))]
        update = tf.assign(kept, joined, validate_shape=False)
        value = tf.identity(kept)
        return _results(value, tf.identity(update), metrics_collections, updates_collections)
