"""tf.contrib.metrics: the streaming metrics, predictions first, and the simple ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes, metrics, names
from recurra.tf1 import metrics_top_k as metrics_top_k
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.math_reduce import reduce_mean, reduce_sum
from recurra.tf1.ops.math_unary import cast

__all__ = ["accuracy"]


def _streaming(metric: Callable[..., Any]) -> Callable[..., Any]:
    """A tf.metrics function with its two main arguments in contrib's order."""

    def streaming(predictions: Any = None, labels: Any = None, *args: Any, **kwargs: Any) -> Any:
        return metric(labels, predictions, *args, **kwargs)

    return streaming


_PAIRED = (
    "accuracy auc false_negatives false_negatives_at_thresholds false_positives false_positives_at_thresholds"
    " mean_absolute_error mean_cosine_distance mean_iou mean_relative_error mean_squared_error precision"
    " precision_at_thresholds recall recall_at_k recall_at_thresholds root_mean_squared_error true_negatives"
    " true_negatives_at_thresholds true_positives true_positives_at_thresholds sparse_precision_at_k"
)
for _name in _PAIRED.split():
    export(_streaming(names._TABLE[f"metrics.{_name}"][0].value), f"contrib.metrics.streaming_{_name}")
export(metrics.mean, "contrib.metrics.streaming_mean")
export(metrics.mean_tensor, "contrib.metrics.streaming_mean_tensor")
export(metrics.percentage_below, "contrib.metrics.streaming_percentage_less")


@tf_export("contrib.metrics.accuracy")
def accuracy(predictions: Any, labels: Any, weights: Any = None, name: str | None = None) -> Any:
    """The share of equal entries, of this batch alone."""
    predictions, labels = convert_to_tensor(predictions), convert_to_tensor(labels)
    if not (labels.dtype.is_integer or labels.dtype in (dtypes.bool_, dtypes.string)):
        raise ValueError(f"Labels should have bool, integer, or string dtype, not {labels.dtype!r}")
    if labels.dtype.base_dtype != predictions.dtype.base_dtype:
        raise ValueError(
            f"Dtypes of predictions and labels should match. Given: predictions ({predictions.dtype!r}) and labels ({labels.dtype!r})"  # noqa: E501
        )
    with name_scope(name, "accuracy", values=[predictions, labels]):
        correct = cast(apply_op("Equal", predictions, labels), dtypes.float32)
        if weights is None:
            return reduce_mean(correct)
        weights = convert_to_tensor(weights)
        count = reduce_sum(apply_op("Mul", weights, apply_op("OnesLike", correct)))
        return apply_op("DivNoNan", reduce_sum(correct * weights), count)


@tf_export("contrib.metrics.aggregate_metrics")
def aggregate_metrics(*value_update_tuples: Any) -> tuple[list[Any], list[Any]]:
    if not value_update_tuples:
        raise ValueError("Expected at least one value_tensor/update_op pair")
    values, updates = zip(*value_update_tuples, strict=True)
    return list(values), list(updates)


@tf_export("contrib.metrics.aggregate_metric_map")
def aggregate_metric_map(names_to_tuples: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {k: v for k, (v, _) in names_to_tuples.items()}, {k: u for k, (_, u) in names_to_tuples.items()}


for _name in ("set_difference", "set_intersection", "set_size", "set_union"):
    export(names._TABLE[f"sets.{_name}"][0].value, f"contrib.metrics.{_name}")
