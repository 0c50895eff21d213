"""tf.metrics of the k best classes: recall_at_k, precision_at_k and its older name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.metrics import _collect, _safe_div, metric_variable
from recurra.tf1.names import export
from recurra.tf1.ops.array_create import ones_like
from recurra.tf1.ops.array_shape import expand_dims
from recurra.tf1.ops.math_reduce import reduce_sum
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.scopes import variable_scope


def _at_k(name: str, hit_of: Callable[..., tuple[Any, Any]]) -> None:
    def metric(
        labels: Any,
        predictions: Any,
        k: int,
        class_id: int | None = None,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
        _label: str = name,
    ) -> Any:
        with variable_scope(name, f"{_label}{k}", (predictions, labels, weights)):
            if class_id is not None:
                raise NotImplementedError(f"tf.metrics.{_label} with class_id")
            top = apply_op("TopKV2", convert_to_tensor(predictions), k, sorted=True)[1]
            hits, number = hit_of(cast(convert_to_tensor(labels), dtypes.int64), cast(top, dtypes.int64), k)
            return _ratio(hits, number, weights, metrics_collections, updates_collections)

    export(metric, f"metrics.{name}")


def _ratio(hits: Any, number: Any, weights: Any, value_collections: Any, update_collections: Any) -> tuple[Any, Any]:
    if weights is not None:
        factor = cast(convert_to_tensor(weights), dtypes.float64)
        hits, number = hits * factor, number * factor
    top, bottom = (
        metric_variable([], dtypes.float64, name="numerator"),
        metric_variable([], dtypes.float64, name="denominator"),
    )
    value = _safe_div(top, bottom, "value")
    update = _safe_div(top.assign_add(reduce_sum(hits)), bottom.assign_add(reduce_sum(number)), "update_op")
    _collect(value_collections, value)
    _collect(update_collections, update)
    return value, update


def _matches(labels: Any, top: Any) -> tuple[Any, Any]:
    """(how many of the top k are labels, how many labels there are) per row, float64."""
    if labels.get_shape().ndims == top.get_shape().ndims - 1:
        labels = expand_dims(labels, -1)
    equal = apply_op("Equal", expand_dims(top, -1), expand_dims(labels, -2))
    found = cast(apply_op("Any", equal, [-1], keep_dims=False), dtypes.float64)
    return reduce_sum(found, -1), reduce_sum(ones_like(cast(labels, dtypes.float64)), -1)


_at_k("recall_at_k", lambda labels, top, k: _matches(labels, top))
_at_k(
    "precision_at_k",
    lambda labels, top, k: (
        _matches(labels, top)[0],
        ones_like(_matches(labels, top)[0]) * convert_to_tensor(float(k), dtype=dtypes.float64),
    ),
)
_at_k(
    "sparse_precision_at_k",
    lambda labels, top, k: (
        _matches(labels, top)[0],
        ones_like(_matches(labels, top)[0]) * convert_to_tensor(float(k), dtype=dtypes.float64),
    ),
)
