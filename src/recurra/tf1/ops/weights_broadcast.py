"""How weights of losses and metrics may meet their values: a scalar, or the same rank, each dimension equal or 1."""

from __future__ import annotations

from typing import Any

from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

__all__ = ["assert_broadcastable", "broadcast_weights"]

tf = space("")
_ERROR = "weights can not be broadcast to values."
_HOME = "python.ops.weights_broadcast_ops"


@tf_export(f"{_HOME}.assert_broadcastable")
def assert_broadcastable(weights: Any, values: Any) -> Any:
    """An operation that fails where `weights` do not fit `values`; ValueError when the static shapes say so."""
    with name_scope(None, "assert_broadcastable", (weights, values)) as scope:
        with name_scope(None, "weights", (weights,)) as inner:
            weights = convert_to_tensor(weights, name=inner)
            weights_shape, weights_rank = tf.shape(weights, name="shape"), tf.rank(weights, name="rank")
        with name_scope(None, "values", (values,)) as inner:
            values = convert_to_tensor(values, name=inner)
            values_shape, values_rank = tf.shape(values, name="shape"), tf.rank(values, name="rank")
        known = _statically(weights.shape, values.shape)
        if known is not None:
            return tf.no_op(name=f"static_{known}_check_success")
        is_scalar = tf.equal(0, weights_rank, name="is_scalar")
        fits = lambda: tf.reduce_all(tf.equal(weights_shape, 1) | tf.equal(weights_shape, values_shape))  # noqa: E731
        same = tf.equal(values_rank, weights_rank)
        valid = tf.cond(is_scalar, lambda: is_scalar, lambda: tf.cond(same, fits, lambda: same), name="is_valid_shape")
        said = [_ERROR, "weights.shape=", weights.name, weights_shape, "values.shape=", values.name, values_shape]
        return tf.Assert(valid, [*said, "is_scalar=", is_scalar], name=scope)


def _statically(weights: Any, values: Any) -> str | None:
    """'scalar' or 'dims' when the shapes are known to fit, None when only a run can tell."""
    if weights.rank is None or values.rank is None:
        return None
    if weights.rank == 0:
        return "scalar"
    if weights.rank != values.rank:
        raise ValueError(
            f"{_ERROR} values.rank={values.rank}. weights.rank={weights.rank}. values.shape={values}. "
            f"weights.shape={weights}."
        )
    if not (weights.is_fully_defined() and values.is_fully_defined()):
        return None
    for i, (w, v) in enumerate(zip(weights.values, values.values, strict=True)):
        if w not in (1, v):
            raise ValueError(f"{_ERROR} Mismatch at dim {i}. values.shape={values} weights.shape={weights}.")
    return "dims"


@tf_export(f"{_HOME}.broadcast_weights")
def broadcast_weights(weights: Any, values: Any) -> Any:
    """`weights` at the shape of `values`."""
    with name_scope(None, "broadcast_weights", (weights, values)) as scope:
        values = convert_to_tensor(values, name="values")
        weights = convert_to_tensor(weights, dtype=values.dtype.base_dtype, name="weights")
        known = weights.shape.is_fully_defined() and values.shape.is_fully_defined()
        if known and weights.shape.is_compatible_with(values.shape):
            return weights
        with tf.control_dependencies((assert_broadcastable(weights, values),)):
            return tf.multiply(weights, tf.ones_like(values), name=scope)
