"""tf.metrics: running metrics made of local variables, a value tensor and an update op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.confusion import confusion_matrix, remove_squeezable_dimensions
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.array_create import ones_like, zeros, zeros_like
from recurra.tf1.ops.array_move import tile
from recurra.tf1.ops.array_shape import expand_dims, reshape, squeeze
from recurra.tf1.ops.math_binary import logical_and
from recurra.tf1.ops.math_reduce import reduce_mean, reduce_sum
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.weights_broadcast import broadcast_weights
from recurra.tf1.scopes import variable_scope

__all__ = ["accuracy", "mean"]

tf = space("")

_EPSILON = 1e-7


def metric_variable(shape: Any, dtype: Any, validate_shape: bool = True, name: str | None = None) -> Any:
    """A zero in the local and metric variables' collections."""
    from recurra.tf1.variables import Variable

    collections = [GraphKeys.LOCAL_VARIABLES, GraphKeys.METRIC_VARIABLES]
    return Variable(
        lambda: zeros(shape, dtype), trainable=False, collections=collections, validate_shape=validate_shape, name=name
    )


def _collect(collections: Any, value: Any) -> None:
    if collections:
        for key in collections if isinstance(collections, (list, tuple)) else [collections]:
            get_default_graph().add_to_collection(key, value)


def _safe_div(total: Any, count: Any, name: str | None = None) -> Any:
    return apply_op("DivNoNan", total, count, name=name)


def _matching(predictions: Any, labels: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Squeeze a superfluous last dimension where ranks differ by one."""
    predictions = convert_to_tensor(predictions)
    if labels is not None:
        labels, predictions = remove_squeezable_dimensions(convert_to_tensor(labels), predictions)
        predictions.get_shape().assert_is_compatible_with(labels.get_shape())
    if weights is None:
        return predictions, labels, None
    return predictions, labels, _matching_weights(convert_to_tensor(weights), predictions)


def _matching_weights(weights: Any, predictions: Any) -> Any:
    """Weights with a last dimension of 1 less or more, as the predictions' rank asks, in the run if need be."""
    mine, theirs = weights.shape.rank, predictions.shape.rank
    if mine == 0:
        return weights
    if mine is not None and theirs is not None:
        if mine - theirs == 1:
            return squeeze(weights, [-1])
        return expand_dims(weights, [-1]) if theirs - mine == 1 else weights
    excess = tf.rank(weights) - tf.rank(predictions)
    fixed = mine is not None and not weights.shape[-1:].is_compatible_with([1])
    as_it_is = lambda: weights  # noqa: E731
    squeezed = as_it_is if fixed else lambda: squeeze(weights, [-1])

    def expanded() -> Any:
        return tf.cond(tf.equal(excess, -1), lambda: expand_dims(weights, [-1]), as_it_is)

    def adjusted() -> Any:
        return tf.cond(tf.equal(excess, 1), squeezed, expanded)

    return tf.cond(tf.equal(tf.rank(weights), 0), as_it_is, adjusted)


def _running_mean(
    values: Any, weights: Any, value_collections: Any, update_collections: Any, name: str | None, default: str
) -> tuple[Any, Any]:
    with variable_scope(name, default, (values, weights)):
        values = cast(convert_to_tensor(values), dtypes.float32)
        total, count = (
            metric_variable([], dtypes.float32, name="total"),
            metric_variable([], dtypes.float32, name="count"),
        )
        if weights is None:
            number = cast(apply_op("Size", values), dtypes.float32)
        else:
            values, _, weights = _matching(values, None, weights)
            weights = broadcast_weights(cast(weights, dtypes.float32), values)
            values, number = values * weights, reduce_sum(weights)
        add_total = total.assign_add(reduce_sum(values))
        with get_default_graph().control_dependencies([values]):
            add_count = count.assign_add(number)
        result = _safe_div(total, count, "value")
        update = _safe_div(add_total, add_count, "update_op")
        _collect(value_collections, result)
        _collect(update_collections, update)
        return result, update


@tf_export("metrics.mean")
def mean(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    return _running_mean(values, weights, metrics_collections, updates_collections, name, "mean")


@tf_export("metrics.accuracy")
def accuracy(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    predictions, labels, weights = _matching(predictions, labels, weights)
    if labels.dtype.base_dtype != predictions.dtype.base_dtype:
        predictions = cast(predictions, labels.dtype.base_dtype)
    correct = cast(apply_op("Equal", predictions, labels), dtypes.float32)
    return _running_mean(correct, weights, metrics_collections, updates_collections, name or "accuracy", "accuracy")


def _error_metric(name: str, error: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def metric(
        labels: Any,
        predictions: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = name,
    ) -> Any:
        predictions, labels, weights = _matching(predictions, labels, weights)
        return _running_mean(
            error(labels, predictions), weights, metrics_collections, updates_collections, name, "mean"
        )

    return export(metric, f"metrics.{name}")


mean_absolute_error = _error_metric("mean_absolute_error", lambda y, p: apply_op("Abs", p - y))
mean_squared_error = _error_metric("mean_squared_error", lambda y, p: apply_op("Square", y - p))


@tf_export("metrics.root_mean_squared_error")
def root_mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    value, update = mean_squared_error(labels, predictions, weights, None, None, name or "root_mean_squared_error")
    value, update = apply_op("Sqrt", value), apply_op("Sqrt", update)
    _collect(metrics_collections, value)
    _collect(updates_collections, update)
    return value, update


@tf_export("metrics.mean_relative_error")
def mean_relative_error(
    labels: Any,
    predictions: Any,
    normalizer: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    predictions, labels, weights = _matching(predictions, labels, weights)
    predictions, normalizer = remove_squeezable_dimensions(predictions, convert_to_tensor(normalizer))
    zero = apply_op("Equal", convert_to_tensor(0.0, dtype=normalizer.dtype), normalizer)
    relative = apply_op(
        "Select", zero, zeros_like(labels), apply_op("RealDiv", apply_op("Abs", labels - predictions), normalizer)
    )
    return _running_mean(
        relative, weights, metrics_collections, updates_collections, name or "mean_relative_error", "mean"
    )


@tf_export("metrics.mean_cosine_distance")
def mean_cosine_distance(
    labels: Any,
    predictions: Any,
    dim: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    predictions, labels, weights = _matching(predictions, labels, weights)
    products = reduce_sum(apply_op("Mul", predictions, labels), [dim], keepdims=True)
    value, update = _running_mean(products, weights, None, None, name or "mean_cosine_distance", "mean")
    value, update = apply_op("Sub", 1.0, value), apply_op("Sub", 1.0, update)
    _collect(metrics_collections, value)
    _collect(updates_collections, update)
    return value, update


@tf_export("metrics.percentage_below")
def percentage_below(
    values: Any,
    threshold: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    below = cast(apply_op("Less", convert_to_tensor(values), threshold), dtypes.float32)
    return _running_mean(
        below, weights, metrics_collections, updates_collections, name or "percentage_below_threshold", "mean"
    )


@tf_export("metrics.mean_tensor")
def mean_tensor(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    with variable_scope(name, "mean", (values, weights)):
        values = cast(convert_to_tensor(values), dtypes.float32)
        total = metric_variable(values.get_shape(), dtypes.float32, name="total_tensor")
        count = metric_variable(values.get_shape(), dtypes.float32, name="count_tensor")
        number = ones_like(values)
        if weights is not None:
            values, _, weights = _matching(values, None, weights)
            weights = broadcast_weights(cast(weights, dtypes.float32), values)
            values, number = values * weights, number * weights
        add_total = total.assign_add(values)
        with get_default_graph().control_dependencies([values]):
            add_count = count.assign_add(number)

        def ratio(t, c, label):
            return _safe_div(t, apply_op("Maximum", c, 0.0), label)

        result, update = ratio(total, count, "value"), ratio(add_total, add_count, "update_op")
        _collect(metrics_collections, result)
        _collect(updates_collections, update)
        return result, update


# -- counts of the confusion matrix ---------------------------------------------------------------------------------------  # noqa: E501
def _count(values: Any, weights: Any, label: str) -> tuple[Any, Any]:
    total = metric_variable([], dtypes.float32, name="count")
    hits = cast(values, dtypes.float32)
    if weights is not None:
        hits, _, weights = _matching(hits, None, weights)
        hits = hits * cast(weights, dtypes.float32)
    value = apply_op("Identity", total)
    return value, total.assign_add(reduce_sum(hits))


_KINDS: dict[str, tuple[bool, bool]] = {
    "true_positives": (True, True),
    "false_positives": (False, True),
    "true_negatives": (False, False),
    "false_negatives": (True, False),
}


def _confusion(name: str) -> Callable[..., Any]:
    is_label, is_prediction = _KINDS[name]

    def metric(
        labels: Any,
        predictions: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
        _label: str = name,
    ) -> Any:
        with variable_scope(name, _label, (predictions, labels, weights)):
            predictions, labels = (cast(convert_to_tensor(t), dtypes.bool_) for t in (predictions, labels))
            predictions, labels, weights = _matching(predictions, labels, weights)
            hits = logical_and(apply_op("Equal", labels, is_label), apply_op("Equal", predictions, is_prediction))
            value, update = _count(hits, weights, _label)
            _collect(metrics_collections, value)
            _collect(updates_collections, update)
            return value, update

    return export(metric, f"metrics.{name}")


true_positives, false_positives = _confusion("true_positives"), _confusion("false_positives")
true_negatives, false_negatives = _confusion("true_negatives"), _confusion("false_negatives")


def _share(name: str, other: Callable[..., Any]) -> Callable[..., Any]:
    """true positives / (true positives + `other`)."""

    def metric(
        labels: Any,
        predictions: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
        _label: str = name,
    ) -> Any:
        with variable_scope(name, _label, (predictions, labels, weights)):
            hit, hit_update = true_positives(labels, predictions, weights)
            miss, miss_update = other(labels, predictions, weights)

            def share(t, f, label):
                return apply_op("Select", t + f > 0, apply_op("Div", t, t + f), convert_to_tensor(0.0), name=label)

            value, update = share(hit, miss, "value"), share(hit_update, miss_update, "update_op")
            _collect(metrics_collections, value)
            _collect(updates_collections, update)
            return value, update

    return export(metric, f"metrics.{name}")


precision, recall = _share("precision", false_positives), _share("recall", false_negatives)


def _at_thresholds(
    labels: Any, predictions: Any, thresholds: list[float], weights: Any, wanted: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Confusion counts for every threshold: variables (as values) and their updates, `[T]` each."""
    predictions, labels = (
        cast(convert_to_tensor(predictions), dtypes.float32),
        cast(convert_to_tensor(labels), dtypes.bool_),
    )
    predictions, labels, weights = _matching(predictions, labels, weights)
    count = len(thresholds)
    scores = reshape(predictions, [1, -1])
    positive = tile(reshape(labels, [1, -1]), [count, 1])
    above = apply_op("Greater", scores, convert_to_tensor([[t] for t in thresholds]))
    factor = None
    if weights is not None:
        factor = reshape(broadcast_weights(cast(weights, dtypes.float32), predictions), [1, -1])
    values, updates = {}, {}
    for kind in wanted:
        is_label, is_prediction = _KINDS[kind]
        hits = cast(
            logical_and(apply_op("Equal", positive, is_label), apply_op("Equal", above, is_prediction)), dtypes.float32
        )
        hits = hits if factor is None else hits * factor
        variable = metric_variable([count], dtypes.float32, name=kind)
        values[kind], updates[kind] = convert_to_tensor(variable), variable.assign_add(reduce_sum(hits, 1))
    return values, updates


def _threshold_metric(
    name: str, wanted: tuple[str, ...], compute: Callable[[dict[str, Any], str], Any], scope: str
) -> None:
    def metric(
        labels: Any,
        predictions: Any,
        thresholds: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
    ) -> Any:
        with variable_scope(name, scope, (predictions, labels, weights)):
            values, updates = _at_thresholds(labels, predictions, list(thresholds), weights, wanted)
            value, update = compute(values, "value"), compute(updates, "update_op")
            _collect(metrics_collections, value)
            _collect(updates_collections, update)
            return value, update

    export(metric, f"metrics.{name}")


for _kind in _KINDS:
    _threshold_metric(f"{_kind}_at_thresholds", (_kind,), (lambda kind: lambda v, label: v[kind])(_kind), _kind)
_threshold_metric(
    "precision_at_thresholds",
    ("true_positives", "false_positives"),
    lambda v, label: apply_op(
        "RealDiv", v["true_positives"], _EPSILON + v["true_positives"] + v["false_positives"], name="precision_" + label
    ),
    "precision_at_thresholds",
)
_threshold_metric(
    "recall_at_thresholds",
    ("true_positives", "false_negatives"),
    lambda v, label: apply_op(
        "RealDiv", v["true_positives"], _EPSILON + v["true_positives"] + v["false_negatives"], name="recall_" + label
    ),
    "recall_at_thresholds",
)


@tf_export("metrics.auc")
def auc(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    num_thresholds: int = 200,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    curve: str = "ROC",
    name: str | None = None,
    summation_method: str = "trapezoidal",
    thresholds: Any = None,
) -> Any:
    """Area under the ROC or precision-recall curve at `num_thresholds` points."""
    with variable_scope(name, "auc", (labels, predictions, weights)):
        if curve not in ("ROC", "PR"):
            raise ValueError(f"curve must be either ROC or PR, {curve} unknown")
        inner = (
            sorted(thresholds)
            if thresholds is not None
            else [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        )
        points = [-_EPSILON, *inner, 1.0 + _EPSILON]
        values, updates = _at_thresholds(labels, predictions, points, weights, tuple(_KINDS))

        def compute(v, label):
            return _area(v, curve, summation_method, len(points), label)

        value, update = compute(values, "value"), compute(updates, "update_op")
        _collect(metrics_collections, value)
        _collect(updates_collections, update)
        return value, update


def _area(v: dict[str, Any], curve: str, method: str, count: int, label: str) -> Any:
    epsilon = 1.0e-6
    tp, fp, tn, fn = v["true_positives"], v["false_positives"], v["true_negatives"], v["false_negatives"]
    recall_ = apply_op("RealDiv", tp + epsilon, tp + fn + epsilon)
    if curve == "ROC":
        x, y = apply_op("RealDiv", fp, fp + tn + epsilon), recall_
    else:
        if method == "careful_interpolation":
            return _interpolated_pr(tp, fp, fn, count, label)
        x, y = recall_, apply_op("RealDiv", tp + epsilon, tp + fp + epsilon)
    width = x[: count - 1] - x[1:]
    if method in ("trapezoidal", "careful_interpolation"):
        height = (y[: count - 1] + y[1:]) / 2.0
    elif method == "minoring":
        height = apply_op("Minimum", y[: count - 1], y[1:])
    elif method == "majoring":
        height = apply_op("Maximum", y[: count - 1], y[1:])
    else:
        raise ValueError(f"Invalid summation_method: {method}")
    return reduce_sum(apply_op("Mul", width, height), name=label)


def _interpolated_pr(tp: Any, fp: Any, fn: Any, count: int, label: str) -> Any:
    """Davis and Goadrich's interpolation between the points of a precision-recall curve."""
    positive = tp + fp
    step_tp, step_p = tp[: count - 1] - tp[1:], positive[: count - 1] - positive[1:]
    slope = _safe_div(step_tp, apply_op("Maximum", step_p, 0.0))
    intercept = tp[1:] - slope * positive[1:]
    both = logical_and(positive[: count - 1] > 0, positive[1:] > 0)
    ratio = apply_op(
        "Select",
        both,
        _safe_div(positive[: count - 1], apply_op("Maximum", positive[1:], 0.0)),
        ones_like(positive[1:]),
    )
    area = _safe_div(slope * (step_tp + intercept * apply_op("Log", ratio)), apply_op("Maximum", tp[1:] + fn[1:], 0.0))
    return reduce_sum(area, name=label)


@tf_export("python.ops.metrics_impl._streaming_confusion_matrix")  # what precision and recall by class are made of
def _confusion_update(labels: Any, predictions: Any, num_classes: int, weights: Any = None) -> tuple[Any, Any]:
    total = metric_variable([num_classes, num_classes], dtypes.float64, name="total_confusion_matrix")

    def flat(t):
        return reshape(t, [-1]) if t.get_shape().ndims not in (None, 0, 1) else t

    predictions, labels = (flat(cast(convert_to_tensor(t), dtypes.int64)) for t in (predictions, labels))
    weights = None if weights is None else flat(convert_to_tensor(weights))
    current = confusion_matrix(labels, predictions, num_classes, weights=weights, dtype=dtypes.float64)
    return total, total.assign_add(current)


@tf_export("metrics.mean_iou")
def mean_iou(
    labels: Any,
    predictions: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    with variable_scope(name, "mean_iou", (predictions, labels, weights)):
        total, update = _confusion_update(labels, predictions, num_classes, weights)
        rows, columns = cast(reduce_sum(total, 1), dtypes.float32), cast(reduce_sum(total, 0), dtypes.float32)
        hits = cast(apply_op("DiagPart", total), dtypes.float32)
        union = rows + columns - hits
        seen = reduce_sum(cast(apply_op("NotEqual", union, 0.0), dtypes.float32))
        union = apply_op("Select", union > 0, union, ones_like(union))
        ratios = apply_op("RealDiv", hits, union)
        value = apply_op(
            "Select",
            seen > 0,
            reduce_sum(ratios, name="mean_iou") / apply_op("Maximum", seen, 1.0),
            convert_to_tensor(0.0),
        )
        _collect(metrics_collections, value)
        _collect(updates_collections, update)
        return value, update


@tf_export("metrics.mean_per_class_accuracy")
def mean_per_class_accuracy(
    labels: Any,
    predictions: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    with variable_scope(name, "mean_accuracy", (predictions, labels, weights)):
        total, update = _confusion_update(labels, predictions, num_classes, weights)
        per_class = _safe_div(
            cast(apply_op("DiagPart", total), dtypes.float32), cast(reduce_sum(total, 1), dtypes.float32)
        )
        value = reduce_mean(per_class, name="mean_accuracy")
        _collect(metrics_collections, value)
        _collect(updates_collections, update)
        return value, update
