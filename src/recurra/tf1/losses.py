"""tf.losses and tf.contrib.losses: weighted losses that add themselves to a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.confusion import remove_squeezable_dimensions, squeezed_when
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import nn_loss
from recurra.tf1.ops.array_create import ones_like, zeros_like
from recurra.tf1.ops.array_shape import squeeze
from recurra.tf1.ops.math_binary import add_n
from recurra.tf1.ops.math_reduce import reduce_sum
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.weights_broadcast import assert_broadcastable

__all__ = ["Reduction", "compute_weighted_loss", "mean_squared_error"]


@tf_export("losses.Reduction")
class Reduction:
    """How a loss per element becomes the loss."""

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = "weighted_mean"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    SUM_OVER_NONZERO_WEIGHTS = SUM_BY_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple[str, ...]:
        return (
            cls.NONE,
            cls.SUM,
            cls.MEAN,
            cls.SUM_OVER_BATCH_SIZE,
            cls.SUM_OVER_NONZERO_WEIGHTS,
            cls.SUM_BY_NONZERO_WEIGHTS,
        )

    @classmethod
    def validate(cls, key: str) -> None:
        if key not in cls.all():
            raise ValueError(f"Invalid Reduction Key {key}.")


@tf_export("losses.add_loss", "contrib.losses.add_loss")
def add_loss(loss: Any, loss_collection: str | None = GraphKeys.LOSSES) -> None:
    if loss_collection:
        get_default_graph().add_to_collection(loss_collection, loss)


@tf_export("losses.get_losses", "contrib.losses.get_losses")
def get_losses(scope: str | None = None, loss_collection: str = GraphKeys.LOSSES) -> list[Any]:
    return get_default_graph().get_collection(loss_collection, scope)


@tf_export("losses.get_regularization_losses", "contrib.losses.get_regularization_losses")
def get_regularization_losses(scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


@tf_export("losses.get_regularization_loss")
def get_regularization_loss(scope: str | None = None, name: str = "total_regularization_loss") -> Any:
    losses = get_regularization_losses(scope)
    return add_n(losses, name=name) if losses else convert_to_tensor(0.0)


@tf_export("losses.get_total_loss", "contrib.losses.get_total_loss")
def get_total_loss(add_regularization_losses: bool = True, name: str = "total_loss", scope: str | None = None) -> Any:
    losses = get_losses(scope)
    if add_regularization_losses:
        losses = losses + get_regularization_losses(scope)
    return add_n(losses, name=name)


def _safe_div(total: Any, count: Any, name: str = "value") -> Any:
    return apply_op("DivNoNan", total, count, name=name)


def _num_present(losses: Any, weights: Any) -> Any:
    """How many elements have a non-zero weight, weights broadcast to the losses."""
    with name_scope(None, "num_present", [losses, weights]) as scope:
        present = apply_op("Select", apply_op("Equal", weights, 0.0), zeros_like(weights), ones_like(weights))
        return reduce_sum(present * ones_like(losses), name=scope)


@tf_export("losses.compute_weighted_loss")
def compute_weighted_loss(
    losses: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    """`losses * weights` reduced, and added to the collection."""
    Reduction.validate(reduction)
    with (
        name_scope(scope, "weighted_loss", (losses, weights)),
        get_default_graph().control_dependencies((assert_broadcastable(weights, losses),)),
    ):
        losses = convert_to_tensor(losses)
        input_dtype = losses.dtype.base_dtype
        losses = cast(losses, dtypes.float32)
        weights = cast(convert_to_tensor(weights), dtypes.float32)
        loss = apply_op("Mul", losses, weights)
        if reduction != Reduction.NONE:
            loss = reduce_sum(loss)
            if reduction == Reduction.MEAN:
                loss = _safe_div(loss, reduce_sum(ones_like(losses) * weights))
            elif reduction == Reduction.SUM_BY_NONZERO_WEIGHTS:
                loss = _safe_div(loss, _num_present(losses, weights))
            elif reduction == Reduction.SUM_OVER_BATCH_SIZE:
                loss = _safe_div(loss, cast(apply_op("Size", losses), dtypes.float32))
        loss = cast(loss, input_dtype)
        add_loss(loss, loss_collection)
        return loss


def _pair(labels: Any, predictions: Any, first: str = "labels", second: str = "predictions") -> None:
    if labels is None:
        raise ValueError(f"{first} must not be None.")
    if predictions is None:
        raise ValueError(f"{second} must not be None.")


def _elementwise(name: str, label: str, values: Callable[..., Any], **own: Any) -> Any:
    """A loss over labels and predictions of one shape, from its value per element."""

    def loss(
        labels: Any,
        predictions: Any,
        weights: Any = 1.0,
        scope: str | None = None,
        loss_collection: str | None = GraphKeys.LOSSES,
        reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
        **options: Any,
    ) -> Any:
        _pair(labels, predictions)
        with name_scope(scope, label, (predictions, labels, weights)) as full:
            predictions, labels = (cast(convert_to_tensor(t), dtypes.float32) for t in (predictions, labels))
            predictions.get_shape().assert_is_compatible_with(labels.get_shape())
            return compute_weighted_loss(
                values(labels, predictions, **{**own, **options}), weights, full, loss_collection, reduction
            )

    loss.__name__ = name
    return export(loss, f"losses.{name}")


absolute_difference = _elementwise("absolute_difference", "absolute_difference", lambda y, p: apply_op("Abs", p - y))
mean_squared_error = _elementwise(
    "mean_squared_error", "mean_squared_error", lambda y, p: apply_op("SquaredDifference", p, y)
)


@tf_export("losses.huber_loss")
def huber_loss(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    delta: float = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    """Half the square up to `delta`, linear beyond."""
    _pair(labels, predictions)
    with name_scope(scope, "huber_loss", (predictions, labels, weights)) as full:
        predictions, labels = (cast(convert_to_tensor(t), dtypes.float32) for t in (predictions, labels))
        predictions.get_shape().assert_is_compatible_with(labels.get_shape())
        error = apply_op("Abs", predictions - labels)
        quadratic = apply_op("Minimum", error, delta)
        losses = 0.5 * quadratic * quadratic + delta * (error - quadratic)
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.log_loss")
def log_loss(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    _pair(labels, predictions)
    with name_scope(scope, "log_loss", (predictions, labels, weights)) as full:
        predictions, labels = (cast(convert_to_tensor(t), dtypes.float32) for t in (predictions, labels))
        predictions.get_shape().assert_is_compatible_with(labels.get_shape())
        losses = -labels * apply_op("Log", predictions + epsilon) - (1 - labels) * apply_op(
            "Log", 1 - predictions + epsilon
        )
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.cosine_distance")
def cosine_distance(
    labels: Any,
    predictions: Any,
    axis: int | None = None,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
    dim: int | None = None,
) -> Any:
    axis = dim if axis is None else axis
    if axis is None:
        raise ValueError("You must specify 'axis'.")
    _pair(labels, predictions)
    with name_scope(scope, "cosine_distance_loss", (predictions, labels, weights)) as full:
        predictions, labels = (cast(convert_to_tensor(t), dtypes.float32) for t in (predictions, labels))
        predictions.get_shape().assert_is_compatible_with(labels.get_shape())
        losses = 1 - reduce_sum(apply_op("Mul", predictions, labels), [axis], keepdims=True)
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.hinge_loss")
def hinge_loss(
    labels: Any,
    logits: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    _pair(labels, logits, second="logits")
    with name_scope(scope, "hinge_loss", (logits, labels, weights)) as full:
        logits, labels = (cast(convert_to_tensor(t), dtypes.float32) for t in (logits, labels))
        logits.get_shape().assert_is_compatible_with(labels.get_shape())
        signs = 2 * labels - ones_like(labels)
        losses = apply_op("Relu", ones_like(labels) - signs * logits)
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.sigmoid_cross_entropy")
def sigmoid_cross_entropy(
    multi_class_labels: Any,
    logits: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    _pair(multi_class_labels, logits, "multi_class_labels", "logits")
    with name_scope(scope, "sigmoid_cross_entropy_loss", (logits, multi_class_labels, weights)) as full:
        logits = convert_to_tensor(logits)
        labels = cast(convert_to_tensor(multi_class_labels), logits.dtype.base_dtype)
        logits.get_shape().assert_is_compatible_with(labels.get_shape())
        if label_smoothing > 0:
            labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
        losses = nn_loss.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.softmax_cross_entropy")
def softmax_cross_entropy(
    onehot_labels: Any,
    logits: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    _pair(onehot_labels, logits, "onehot_labels", "logits")
    with name_scope(scope, "softmax_cross_entropy_loss", (logits, onehot_labels, weights)) as full:
        logits = convert_to_tensor(logits)
        labels = cast(convert_to_tensor(onehot_labels), logits.dtype.base_dtype)
        logits.get_shape().assert_is_compatible_with(labels.get_shape())
        if label_smoothing > 0:
            classes = cast(apply_op("Shape", labels, out_type=dtypes.int32)[1], logits.dtype.base_dtype)
            labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
        labels = apply_op("StopGradient", labels, name="labels_stop_gradient")
        losses = nn_loss.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.sparse_softmax_cross_entropy")
def sparse_softmax_cross_entropy(
    labels: Any,
    logits: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    _pair(labels, logits, second="logits")
    with name_scope(scope, "sparse_softmax_cross_entropy_loss", (logits, labels, weights)) as full:
        labels, logits = convert_to_tensor(labels), convert_to_tensor(logits)
        labels, logits = remove_squeezable_dimensions(labels, logits, 1)
        weights = convert_to_tensor(weights)
        mine, theirs = weights.shape.rank, labels.shape.rank
        if mine is None or (mine > 0 and theirs is None):
            excess = apply_op("Equal", apply_op("Rank", labels), apply_op("Rank", weights) - 1)
            weights = squeezed_when(weights, excess)
        elif theirs is not None and mine == theirs + 1:
            weights = squeeze(weights, [-1])
        losses = nn_loss.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(losses, weights, full, loss_collection, reduction)


@tf_export("losses.mean_pairwise_squared_error")
def mean_pairwise_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
) -> Any:
    """Squared differences of all pairs of errors within a row, averaged."""
    _pair(labels, predictions)
    with name_scope(scope, "mean_pairwise_squared_error", (predictions, labels, weights)):
        weights = cast(convert_to_tensor(weights), dtypes.float32)
        labels, predictions = (cast(convert_to_tensor(t), dtypes.float32) for t in (labels, predictions))
        predictions.get_shape().assert_is_compatible_with(labels.get_shape())
        diffs = predictions - labels
        axes = list(range(1, diffs.get_shape().ndims))
        squares = reduce_sum(apply_op("Square", diffs), axes, keepdims=True)
        present = _present_per_row(diffs, weights)
        first = 2.0 * _safe_div(squares, apply_op("Maximum", present - 1, 0), name="value")
        total = reduce_sum(diffs, axes, keepdims=True)
        second = 2.0 * _safe_div(
            apply_op("Square", total), apply_op("Maximum", present * (present - 1), 0), name="value"
        )
        weighted = apply_op("Mul", first - second, weights)
        loss = reduce_sum(weighted)
        everything = reduce_sum(present)
        zero = convert_to_tensor(0.0)
        loss = apply_op("Select", everything > 0, loss, zero, name="value")
        add_loss(loss, loss_collection)
        return loss


def _present_per_row(losses: Any, weights: Any) -> Any:
    present = apply_op("Select", apply_op("Equal", weights, 0.0), zeros_like(weights), ones_like(weights))
    spread = present * ones_like(losses)
    return reduce_sum(spread, list(range(1, losses.get_shape().ndims)), keepdims=True)


# -- tf.contrib.losses: predictions first, the older weighting ----------------------------------------------------------  # noqa: E501
@tf_export("contrib.losses.compute_weighted_loss")
def contrib_weighted_loss(losses: Any, weights: Any = 1.0, scope: str | None = None) -> Any:
    return compute_weighted_loss(losses, weights, scope)


def _swapped(loss: Any, second: str = "labels", first: str = "predictions") -> Any:
    """A loss with its two main arguments in contrib's order."""

    def contrib(predictions: Any = None, labels: Any = None, weights: Any = 1.0, *rest: Any, **options: Any) -> Any:
        named = {**options}
        predictions = named.pop(first, predictions)
        labels = named.pop(second, labels)
        weights = named.pop("weight", weights)
        return loss(labels, predictions, weights, *rest, **named)

    return contrib


for _name, _loss in (
    ("absolute_difference", absolute_difference),
    ("mean_squared_error", mean_squared_error),
    ("mean_pairwise_squared_error", mean_pairwise_squared_error),
):
    export(_swapped(_loss), f"contrib.losses.{_name}")
export(_swapped(softmax_cross_entropy, "onehot_labels", "logits"), "contrib.losses.softmax_cross_entropy")
export(_swapped(sigmoid_cross_entropy, "multi_class_labels", "logits"), "contrib.losses.sigmoid_cross_entropy")
export(_swapped(sparse_softmax_cross_entropy, "labels", "logits"), "contrib.losses.sparse_softmax_cross_entropy")
export(
    lambda predictions, labels=None, weights=1.0, epsilon=1e-7, scope=None: log_loss(
        labels, predictions, weights, epsilon, scope
    ),
    "contrib.losses.log_loss",
)
export(lambda logits, labels=None, scope=None: hinge_loss(labels, logits, scope=scope), "contrib.losses.hinge_loss")
export(
    lambda predictions, labels=None, axis=None, weights=1.0, scope=None, dim=None: cosine_distance(
        labels, predictions, axis, weights, scope, dim=dim
    ),
    "contrib.losses.cosine_distance",
)
