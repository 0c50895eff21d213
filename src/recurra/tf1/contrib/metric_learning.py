"""tf.contrib.losses.metric_learning: losses that pull embeddings of one class together."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_HOME = "contrib.losses.metric_learning"


def pairwise_distance(feature: Any, squared: bool = False) -> Any:
    """Distances between all rows, zero (with zero gradient) where rounding leaves less than nothing."""
    squares = tf.reduce_sum(tf.square(feature), axis=1, keepdims=True)
    found = tf.maximum(squares + tf.transpose(squares) - 2.0 * tf.matmul(feature, feature, transpose_b=True), 0.0)
    nothing = tf.less_equal(found, 0.0)
    if not squared:
        found = tf.sqrt(found + tf.to_float(nothing) * 1e-16)
    found = found * tf.to_float(tf.logical_not(nothing))
    return found * (1.0 - tf.eye(tf.shape(feature)[0]))


@tf_export(f"{_HOME}.contrastive_loss")
def contrastive_loss(labels: Any, embeddings_anchor: Any, embeddings_positive: Any, margin: float = 1.0) -> Any:
    """Distances of equal pairs and the missing margins of unequal ones (Hadsell et al., 2006)."""
    distances = tf.sqrt(tf.reduce_sum(tf.squared_difference(embeddings_anchor, embeddings_positive), 1))
    same = tf.to_float(labels)
    return tf.reduce_mean(
        same * tf.square(distances) + (1.0 - same) * tf.square(tf.maximum(margin - distances, 0.0)),
        name="contrastive_loss",
    )


@tf_export(f"{_HOME}.triplet_semihard_loss")
def triplet_semihard_loss(labels: Any, embeddings: Any, margin: float = 1.0) -> Any:
    """For every positive pair the nearest negative that is farther (Schroff et al., 2015)."""
    distances = pairwise_distance(embeddings, squared=True)
    labels = tf.reshape(labels, [-1, 1])
    same = tf.equal(labels, tf.transpose(labels))
    rows = tf.size(labels)
    tiled = tf.tile(distances, [rows, 1])
    other = tf.tile(tf.logical_not(same), [rows, 1])
    farther = tf.logical_and(other, tf.greater(tiled, tf.reshape(tf.transpose(distances), [-1, 1])))
    any_farther = tf.transpose(tf.reshape(tf.reduce_any(farther, axis=1), [rows, rows]))
    outside = tf.transpose(tf.reshape(_least(tiled, farther), [rows, rows]))
    inside = tf.tile(_most(distances, tf.logical_not(same)), [1, rows])
    gaps = margin + distances - tf.where(any_farther, outside, inside)
    positive = tf.to_float(same) - tf.eye(rows)
    return tf.divide(
        tf.reduce_sum(tf.maximum(gaps * positive, 0.0)), tf.reduce_sum(positive), name="triplet_semihard_loss"
    )


def _least(values: Any, chosen: Any) -> Any:
    """The least chosen value of every row (its largest value where none is chosen)."""
    most = tf.reduce_max(values, 1, keepdims=True)
    return tf.reduce_min((values - most) * tf.to_float(chosen), 1, keepdims=True) + most


def _most(values: Any, chosen: Any) -> Any:
    least = tf.reduce_min(values, 1, keepdims=True)
    return tf.reduce_max((values - least) * tf.to_float(chosen), 1, keepdims=True) + least


@tf_export(f"{_HOME}.npairs_loss")
def npairs_loss(
    labels: Any, embeddings_anchor: Any, embeddings_positive: Any, reg_lambda: float = 0.002,
    print_losses: bool = False,
) -> Any:  # fmt: skip
    """Softmax over the products of all pairs (Sohn, 2016), with the embeddings' squares as regularizer."""
    squares = [tf.reduce_mean(tf.reduce_sum(tf.square(e), 1)) for e in (embeddings_anchor, embeddings_positive)]
    penalty = tf.multiply(0.25 * reg_lambda, squares[0] + squares[1], name="l2loss")
    scores = tf.matmul(embeddings_anchor, embeddings_positive, transpose_a=False, transpose_b=True)
    labels = tf.reshape(labels, [-1, 1])
    same = tf.to_float(tf.equal(labels, tf.transpose(labels)))
    targets = same / tf.reduce_sum(same, 1, keepdims=True)
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=scores, labels=targets), name="xentropy")
    if print_losses:
        loss = tf.Print(loss, ["cross entropy:", loss, "l2loss:", penalty])
    return penalty + loss


@tf_export(f"{_HOME}.lifted_struct_loss")
def lifted_struct_loss(labels: Any, embeddings: Any, margin: float = 1.0) -> Any:
    """All negatives of both ends of a positive pair together (Song et al., 2016)."""
    distances = pairwise_distance(embeddings)
    labels = tf.reshape(labels, [-1, 1])
    same = tf.equal(labels, tf.transpose(labels))
    rows = tf.size(labels)
    gaps = margin - distances
    other = tf.to_float(tf.logical_not(same))
    least = tf.reduce_min(gaps, 1, keepdims=True)
    most = tf.reduce_max((gaps - least) * other, 1, keepdims=True) + least
    pairs = tf.maximum(most, tf.transpose(most))
    tiled = tf.tile(gaps, [rows, 1])
    lifted = tf.tile(other, [rows, 1])
    shared = tf.reshape(tf.transpose(pairs), [-1, 1])
    sums = tf.reshape(tf.reduce_sum(tf.exp(tiled - shared) * lifted, 1, keepdims=True), [rows, rows])
    losses = tf.log(sums + tf.transpose(sums)) + pairs + distances
    positive = tf.to_float(same) - tf.eye(rows)
    count = tf.reduce_sum(positive) / 2.0
    return tf.truediv(
        0.25 * tf.reduce_sum(tf.square(tf.maximum(losses * positive, 0.0))), count, name="liftedstruct_loss"
    )
