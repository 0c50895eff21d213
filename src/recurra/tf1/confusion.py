"""tf.confusion_matrix, and how labels and predictions of neighbouring ranks are made to match."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.array_create import ones_like
from recurra.tf1.ops.array_shape import squeeze
from recurra.tf1.ops.math_unary import cast

__all__ = ["confusion_matrix", "remove_squeezable_dimensions"]

tf = space("")


@tf_export("python.ops.confusion_matrix.remove_squeezable_dimensions")
def remove_squeezable_dimensions(
    labels: Any, predictions: Any, expected_rank_diff: int = 0, name: str | None = None
) -> tuple[Any, Any]:
    """(labels, predictions) without the last dimension of whichever has one rank too many; ValueError when it is not 1.

    `expected_rank_diff` is how many ranks the predictions have more. Unknown ranks are compared in the run.
    """
    with name_scope(name, "remove_squeezable_dimensions", [labels, predictions]):
        labels, predictions = convert_to_tensor(labels), convert_to_tensor(predictions)
        mine, theirs = labels.shape.rank, predictions.shape.rank
        if mine is not None and theirs is not None:
            excess = theirs - mine - expected_rank_diff
            if excess == 1:
                predictions = squeeze(predictions, [-1])
            elif excess == -1:
                labels = squeeze(labels, [-1])
            return labels, predictions
        difference = tf.rank(predictions) - tf.rank(labels)
        return (
            squeezed_when(labels, tf.equal(expected_rank_diff - 1, difference)),
            squeezed_when(predictions, tf.equal(expected_rank_diff + 1, difference)),
        )


def squeezed_when(tensor: Any, pred: Any) -> Any:
    """`tensor` without its last dimension of 1 in runs in which the predicate holds."""
    rank = tensor.shape.rank
    if rank == 0 or (rank is not None and not tensor.shape[-1:].is_compatible_with([1])):
        return tensor
    return tf.cond(pred, lambda: squeeze(tensor, [-1]), lambda: tensor)


@tf_export("confusion_matrix", "math.confusion_matrix", "contrib.metrics.confusion_matrix")
def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: Any = None,
    dtype: Any = dtypes.int32,
    name: str | None = None,
    weights: Any = None,
) -> Any:
    """`[classes, classes]`: rows are labels, columns predictions. InvalidArgumentError in a run for classes out of range."""  # noqa: E501
    with name_scope(name, "confusion_matrix", (predictions, labels, num_classes, weights)):
        labels, predictions = remove_squeezable_dimensions(
            convert_to_tensor(labels, name="labels"), convert_to_tensor(predictions, name="predictions")
        )
        given = {"labels": cast(labels, dtypes.int64), "predictions": cast(predictions, dtypes.int64)}
        for what, tensor in given.items():
            check = tf.assert_non_negative(tensor, message=f"`{what}` contains negative values")
            given[what] = _after(check, tensor)
        if num_classes is None:
            largest = [apply_op("Max", t, [0], keep_dims=False) for t in (given["predictions"], given["labels"])]
            classes = apply_op("Maximum", *largest) + 1
        else:
            known = dtypes.int64 if isinstance(num_classes, int) else None
            classes = cast(convert_to_tensor(num_classes, dtype=known), dtypes.int64)
            for what, tensor in given.items():
                given[what] = _after(tf.assert_less(tensor, classes, message=f"`{what}` out of bound"), tensor)
        values = ones_like(given["predictions"], dtype)
        if weights is not None:
            weights = convert_to_tensor(weights)
            given["predictions"].shape.assert_is_compatible_with(weights.shape)
            values = cast(weights, dtype)
        index = apply_op("Pack", [given["labels"], given["predictions"]], axis=1)
        return apply_op("ScatterNd", index, values, apply_op("Pack", [classes, classes], axis=0))


def _after(check: Any, tensor: Any) -> Any:
    with tf.control_dependencies([check]):
        return tf.identity(tensor)
