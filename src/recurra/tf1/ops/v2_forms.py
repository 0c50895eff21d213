"""The `…_v2` functions that TensorFlow 1.14 and 1.15 keep beside the old ones: the same operations under the later signatures."""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

__all__ = ["dropout"]

tf = space("")
_IMPL, _OPS, _EMBEDDING = "python.ops.nn_impl", "python.ops.nn_ops", "python.ops.embedding_ops"


def _with_div(old: str) -> Callable[..., Any]:
    """The loss without `partition_strategy`: ids are dealt out in blocks."""

    def loss(
        weights: Any,
        biases: Any,
        labels: Any,
        inputs: Any,
        num_sampled: int,
        num_classes: int,
        num_true: int = 1,
        sampled_values: Any = None,
        remove_accidental_hits: bool = old == "sampled_softmax_loss",
        seed: int | None = None,
        name: str | None = None,
    ) -> Any:
        more = {"seed": seed} if seed is not None else {}
        return getattr(tf.nn, old)(
            weights,
            biases,
            labels,
            inputs,
            num_sampled,
            num_classes,
            num_true,
            sampled_values,
            remove_accidental_hits,
            partition_strategy="div",
            name=name or old,
            **more,
        )

    loss.__name__ = old
    return loss


export(_with_div("nce_loss"), f"{_IMPL}.nce_loss_v2")
export(_with_div("sampled_softmax_loss"), f"{_IMPL}.sampled_softmax_loss_v2")


@tf_export(f"{_OPS}.softmax_v2")
def softmax(logits: Any, axis: Any = None, name: str | None = None) -> Any:
    return tf.nn.softmax(logits, axis=-1 if axis is None else axis, name=name)


@tf_export(f"{_OPS}.log_softmax_v2")
def log_softmax(logits: Any, axis: Any = None, name: str | None = None) -> Any:
    return tf.nn.log_softmax(logits, axis=-1 if axis is None else axis, name=name)


@tf_export(f"{_IMPL}.l2_normalize_v2")
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Any:
    return tf.nn.l2_normalize(x, axis, epsilon, name)


@tf_export(f"{_IMPL}.moments_v2")
def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    return tf.nn.moments(x, axes, shift=shift, name=name, keep_dims=keepdims)


@tf_export(f"{_OPS}.dropout_v2")
def dropout(x: Any, rate: Any, noise_shape: Any = None, seed: int | None = None, name: str | None = None) -> Any:
    """Zero each element with probability `rate` and scale the rest up."""
    return tf.nn.dropout(x, rate=rate, noise_shape=noise_shape, seed=seed, name=name)


def _transposed(old: str, data_format: str) -> Callable[..., Any]:
    def transposed(
        input: Any,
        filters: Any,
        output_shape: Any,
        strides: Any,
        padding: str = "SAME",
        data_format: str = data_format,
        dilations: Any = None,
        name: str | None = None,
    ) -> Any:
        more = {} if dilations is None else {"dilations": dilations}
        function = getattr(tf.nn, old)
        return function(input, filters, output_shape, strides, padding, data_format=data_format, name=name, **more)

    return transposed


export(_transposed("conv2d_transpose", "NHWC"), f"{_OPS}.conv2d_transpose_v2")
export(_transposed("conv3d_transpose", "NDHWC"), f"{_OPS}.conv3d_transpose_v2")


@tf_export(f"{_EMBEDDING}.safe_embedding_lookup_sparse_v2")
def safe_embedding_lookup_sparse(
    embedding_weights: Any,
    sparse_ids: Any,
    sparse_weights: Any = None,
    combiner: str = "mean",
    default_id: Any = None,
    max_norm: Any = None,
    name: str | None = None,
) -> Any:
    """nn.safe_embedding_lookup_sparse with ids dealt out in blocks."""
    return tf.nn.safe_embedding_lookup_sparse(
        embedding_weights,
        sparse_ids,
        sparse_weights,
        combiner,
        default_id,
        name,
        partition_strategy="div",
        max_norm=max_norm,
    )


@tf_export(f"{_EMBEDDING}.embedding_lookup_v2")
def embedding_lookup(params: Any, ids: Any, max_norm: Any = None, name: str | None = None) -> Any:
    return tf.nn.embedding_lookup(params, ids, "div", name, max_norm=max_norm)
