"""tf.nn: pooling and transposed convolution by the number of dimensions, losses averaged over replicas, label sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["conv_transpose", "with_space_to_batch"]

tf = space("")


def _pool(kind: str) -> Any:
    def pool(
        input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None = None, name: str | None = None
    ) -> Any:
        """Pool over the spatial dimensions, 1 to 3 of them; [batch, …, channels] unless `data_format` says otherwise."""  # noqa: E501
        rank = convert_to_tensor(input).shape.ndims - 2
        if rank not in (1, 2, 3):
            raise ValueError(f"Input tensor must be of rank 3, 4 or 5 but was {rank + 2}.")
        function = getattr(tf.nn, f"{kind}_pool{rank}d")
        form = data_format or ("NWC", "NHWC", "NDHWC")[rank - 1]
        return function(input, ksize, strides, padding, data_format=form, name=name)

    return export(pool, f"nn.{kind}_pool_v2")


_pool("max")
_pool("avg")


def _refuse_holes(dilations: Any) -> None:
    if any(rate != 1 for rate in np.ravel(1 if dilations is None else dilations)):
        raise NotImplementedError(f"transposed convolutions with dilations: {dilations}")


@tf_export("nn.conv1d_transpose")
def conv1d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The transpose of conv1d; `filters` [width, out, in]."""
    _refuse_holes(dilations)
    with name_scope(name, "conv1d_transpose", [input, filters, output_shape]):
        last = data_format in (None, "NWC")
        axis = 1 if last else 2
        shape = tf.convert_to_tensor(output_shape)
        known = constant_value(shape)
        shape = list(known) if known is not None else tf.unstack(shape)
        shape.insert(axis, 1)
        step = strides if isinstance(strides, int) else strides[0] if len(strides) == 1 else strides[axis]
        result = tf.nn.conv2d_transpose(
            tf.expand_dims(input, axis),
            tf.expand_dims(filters, 0),
            shape,
            [1, 1, step, 1] if last else [1, 1, 1, step],
            padding,
            data_format="NHWC" if last else "NCHW",
        )
        return tf.squeeze(result, [axis])


@tf_export("nn.conv_transpose")
def conv_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The transposed convolution of as many dimensions as `output_shape` has besides batch and channels."""
    _refuse_holes(dilations)
    rank = output_shape.shape.as_list()[0] if hasattr(output_shape, "shape") else len(output_shape)
    if rank not in (3, 4, 5):
        raise ValueError(f"output_shape must have 3, 4 or 5 entries, got {rank}")
    function = getattr(tf.nn, f"conv{rank - 2}d_transpose")
    form = {} if data_format is None else {"data_format": data_format}
    return function(input, filters, output_shape, strides, padding=padding, name=name, **form)


@tf_export("nn.with_space_to_batch")
def with_space_to_batch(
    input: Any,
    dilation_rate: Any,
    padding: str,
    op: Any,
    filter_shape: Any = None,
    spatial_dims: Any = None,
    data_format: str | None = None,
) -> Any:
    """`op(space_to_batch(input), num_spatial_dims, "VALID")` brought back: an operation with holes of `dilation_rate`."""  # noqa: E501
    input = convert_to_tensor(input)
    rates = np.asarray(constant_value(convert_to_tensor(dilation_rate)))
    count = len(rates)
    if (rates == 1).all():
        return op(input, count, padding)
    first = 2 if data_format is not None and data_format.startswith("NC") else 1
    dims = list(range(first, first + count)) if spatial_dims is None else list(spatial_dims)
    base = np.zeros((count, 2), np.int64)
    if padding == "SAME":
        sizes = np.asarray(constant_value(convert_to_tensor(filter_shape)))[:count]
        extra = (sizes + (sizes - 1) * (rates - 1)) - 1
        base = np.stack([extra // 2, extra - extra // 2], 1)
    elif padding != "VALID":
        raise ValueError(f"Invalid padding method {padding!r}")
    skipped = dims[0] - 1
    blocks = np.concatenate([np.ones(dims[-1] - count, np.int64), rates]) if skipped else rates
    pads = np.concatenate([np.zeros((dims[-1] - count, 2), np.int64), base]) if skipped else base
    paddings, crops = tf.required_space_to_batch_paddings(
        tf.shape(input)[1 : 1 + len(blocks)], blocks.astype(np.int32), pads.astype(np.int32)
    )
    inner = tf.space_to_batch_nd(input, blocks.astype(np.int32), paddings)
    return tf.batch_to_space_nd(op(inner, count, "VALID"), blocks.astype(np.int32), crops)


@tf_export("nn.compute_average_loss")
def compute_average_loss(per_example_loss: Any, sample_weight: Any = None, global_batch_size: int | None = None) -> Any:
    """The (weighted) sum of the losses over the global batch size (default: their number)."""
    losses = convert_to_tensor(per_example_loss)
    if sample_weight is not None:
        losses = losses * tf.cast(sample_weight, losses.dtype)
    count = tf.shape(losses)[0] if global_batch_size is None else global_batch_size
    return tf.reduce_sum(losses) / tf.cast(count, losses.dtype)


@tf_export("nn.scale_regularization_loss")
def scale_regularization_loss(regularization_loss: Any) -> Any:
    """The sum of the losses over the number of replicas, which is one."""
    return tf.reduce_sum(regularization_loss)


def _unique_rows(labels: Any) -> tuple[Any, Any]:
    """Per row its distinct values in order of appearance, padded with zeros, and where each value stands among them."""
    import torch

    rows, places = torch.zeros(labels.shape, dtype=torch.int64), torch.zeros(labels.shape, dtype=torch.int32)
    for r, row in enumerate(labels.tolist()):
        order: dict[int, int] = {}
        for c, value in enumerate(row):
            places[r, c] = order.setdefault(value, len(order))
        rows[r, : len(order)] = torch.tensor(list(order))
    return rows, places


op(
    "CtcUniqueLabels",
    "labels:T -> int64, int32",
    _unique_rows,
    shape=lambda o: [TensorShape([o.inputs[0].shape.values[0], None]), o.inputs[0].shape],
    diff=False,
)


@tf_export("nn.ctc_unique_labels")
def ctc_unique_labels(labels: Any, name: str | None = None) -> Any:
    """(distinct labels of each row, zero-padded; the place of each label among them), [batch, ·]."""
    from recurra.tf1.build import apply_op

    unique, places = apply_op("CtcUniqueLabels", labels, name=name)
    return unique, places
