"""tf.contrib.seq2seq.sequence_loss, as a function and as an object."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import eras
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.ops import nn_loss
from recurra.tf1.ops.array_shape import reshape, shape
from recurra.tf1.ops.math_reduce import count_nonzero, reduce_sum
from recurra.tf1.ops.math_unary import cast

__all__ = ["SequenceLoss", "sequence_loss"]


@tf_export("contrib.seq2seq.sequence_loss")
def sequence_loss(
    logits: Any,
    targets: Any,
    weights: Any,
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    sum_over_timesteps: bool = False,
    sum_over_batch: bool = False,
    softmax_loss_function: Any = None,
    name: str | None = None,
) -> Any:
    """Weighted cross entropy of `logits [B, T, C]`, averaged or summed over either axis."""
    logits, targets, weights = (convert_to_tensor(t) for t in (logits, targets, weights))
    for tensor, rank, label in (
        (logits, 3, "Logits must be a [batch_size x sequence_length x logits] tensor"),
        (targets, 2, "Targets must be a [batch_size x sequence_length] tensor"),
        (weights, 2, "Weights must be a [batch_size x sequence_length] tensor"),
    ):
        if tensor.get_shape().ndims not in (None, rank):
            raise ValueError(label)
    if average_across_timesteps and sum_over_timesteps:
        raise ValueError("average_across_timesteps and sum_over_timesteps cannot be set to True at same time.")
    if average_across_batch and sum_over_batch:
        raise ValueError("average_across_batch and sum_over_batch cannot be set to True at same time.")
    with name_scope(name, "sequence_loss", [logits, targets, weights]):
        classes = shape(logits)[2]
        flat = reshape(logits, apply_op("Pack", [-1, classes], axis=0))
        labels = reshape(targets, [-1])
        if softmax_loss_function is None:
            entropy = nn_loss.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=flat)
        elif tuple(eras.current()[:2]) < (1, 1):
            entropy = softmax_loss_function(flat, labels)
        elif tuple(eras.current()[:2]) < (1, 2):
            entropy = softmax_loss_function(labels, flat)
        else:
            entropy = softmax_loss_function(labels=labels, logits=flat)
        entropy = entropy * reshape(weights, [-1])
        return _reduced(
            entropy, weights, logits, average_across_timesteps, average_across_batch, sum_over_timesteps, sum_over_batch
        )


def _reduced(
    entropy: Any, weights: Any, logits: Any, mean_time: bool, mean_batch: bool, sum_time: bool, sum_batch: bool
) -> Any:
    if mean_time and mean_batch:
        return _divided(reduce_sum(entropy), reduce_sum(weights))
    if sum_time and sum_batch:
        return _divided(reduce_sum(entropy), cast(count_nonzero(weights), entropy.dtype.base_dtype))
    table = reshape(entropy, shape(logits)[0:2])
    table.set_shape(logits.get_shape()[0:2])
    for axis, mean, total in ((0, mean_batch, sum_batch), (1, mean_time, sum_time)):
        if mean:
            return _divided(reduce_sum(table, [axis]), reduce_sum(weights, [axis]))
        if total:
            return _divided(reduce_sum(table, [axis]), cast(count_nonzero(weights, [axis]), table.dtype.base_dtype))
    return table


def _divided(total: Any, size: Any) -> Any:
    return apply_op("DivNoNan", total, size)


@tf_export("contrib.seq2seq.SequenceLoss")
class SequenceLoss:
    """`sequence_loss` with its arguments kept: `loss(y_true, y_pred, sample_weight)`."""

    def __init__(
        self,
        average_across_timesteps: bool = False,
        average_across_batch: bool = False,
        sum_over_timesteps: bool = True,
        sum_over_batch: bool = True,
        softmax_loss_function: Any = None,
        name: str | None = None,
    ) -> None:
        self.average_across_timesteps, self.average_across_batch = average_across_timesteps, average_across_batch
        self.sum_over_timesteps, self.sum_over_batch = sum_over_timesteps, sum_over_batch
        self.softmax_loss_function, self.name = softmax_loss_function, name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return sequence_loss(y_pred, y_true, sample_weight, **vars(self))
