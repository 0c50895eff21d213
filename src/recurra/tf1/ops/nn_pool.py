"""tf.nn's pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.ops.compute import windows
from recurra.tf1.ops.nn_conv import as_format, channels_last, spatial, window_shape
from recurra.tf1.ops.nn_conv_functions import per_dimension
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["avg_pool", "max_pool"]


def _max(
    input: TorchTensor, ksize: Sequence[int], strides: Sequence[int], padding: str, data_format: str
) -> TorchTensor:
    x = channels_last(input, data_format)
    out = windows.max_pool(x, spatial(ksize, data_format), spatial(strides, data_format), padding)
    return as_format(out, data_format)  # type: ignore[arg-type]


def _average(
    value: TorchTensor, ksize: Sequence[int], strides: Sequence[int], padding: str, data_format: str
) -> TorchTensor:
    x = channels_last(value, data_format)
    return as_format(
        windows.average_pool(x, spatial(ksize, data_format), spatial(strides, data_format), padding), data_format
    )


def _max_with_argmax(
    input: TorchTensor,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: str,
    Targmax: Any,
    include_batch_in_index: bool = False,
) -> tuple[TorchTensor, TorchTensor]:
    """The index counts (row * width + column) * channels + channel, over the batch too if asked for."""
    values, plane = windows.max_pool(
        input, spatial(ksize, "NHWC"), spatial(strides, "NHWC"), padding, return_indices=True
    )
    channels = input.shape[-1]
    index = plane * channels + torch.arange(channels)
    if include_batch_in_index:
        index = index + torch.arange(input.shape[0]).view(-1, 1, 1, 1) * input[0].numel()
    return values, index.to(Targmax.torch)


def _pool_shape(operation: Any) -> TensorShape:
    attrs, x = operation.attrs, operation.inputs[0].shape
    window = attrs["ksize"]
    x = x.with_rank(len(window))
    first = attrs.get("data_format", "NHWC").startswith("NC")
    channels = x.values[1 if first else -1] if x.values else None
    return window_shape(x, spatial(window, "NCHW" if first else "NHWC"), channels, {**attrs, "dilations": None})


op("MaxPool", "input:T -> T", _max, shape=_pool_shape)
op("AvgPool", "value:T -> T", _average, shape=_pool_shape)
op("MaxPool3D", "input:T -> T", _max, shape=_pool_shape)
op(
    "AvgPool3D",
    "input:T -> T",
    lambda input, ksize, strides, padding, data_format: _average(input, ksize, strides, padding, data_format),
    shape=_pool_shape,
)
op("MaxPoolWithArgmax", "input:T -> T, Targmax", _max_with_argmax, shape=lambda o: [_pool_shape(o)] * 2)


def _pool2d(kind: str, default: str) -> Callable[..., Any]:
    def pool(
        value: Any = None,
        ksize: Any = None,
        strides: Any = None,
        padding: Any = None,
        data_format: str = "NHWC",
        name: str | None = None,
        input: Any = None,
    ) -> Any:
        value = input if value is None else value
        with name_scope(name, default, [value]) as scope:
            channel = 1 if data_format == "NCHW" else 3
            return apply_op(
                kind,
                convert_to_tensor(value, name="input"),
                name=scope,
                ksize=per_dimension(ksize, 2, channel, "ksize"),
                strides=per_dimension(strides, 2, channel, "strides"),
                padding=padding,
                data_format=data_format or "NHWC",
            )

    return pool


max_pool = tf_export("nn.max_pool")(_pool2d("MaxPool", "MaxPool"))
avg_pool = tf_export("nn.avg_pool")(_pool2d("AvgPool", "AvgPool"))


@tf_export("nn.avg_pool2d")
def avg_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None
) -> Any:
    return avg_pool(input, ksize, strides, padding, data_format, name or "AvgPool2D")


@tf_export("nn.max_pool2d")
def max_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None
) -> Any:
    return max_pool(input, ksize, strides, padding, data_format, name or "max_pool2d")


def _pool3d(kind: str) -> Callable[..., Any]:
    def pool(
        input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NDHWC", name: str | None = None
    ) -> Any:
        channel = 1 if data_format == "NCDHW" else 4
        return apply_op(
            kind,
            input,
            name=name,
            ksize=per_dimension(ksize, 3, channel, "ksize"),
            strides=per_dimension(strides, 3, channel, "strides"),
            padding=padding,
            data_format=data_format or "NDHWC",
        )

    return pool


max_pool3d = tf_export("nn.max_pool3d")(_pool3d("MaxPool3D"))
avg_pool3d = tf_export("nn.avg_pool3d")(_pool3d("AvgPool3D"))


def _pool1d(kind: str, default: str) -> Callable[..., Any]:
    def pool(
        input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NWC", name: str | None = None
    ) -> Any:
        with name_scope(name, default, [input]) as scope:
            first = data_format in ("NCW", "NCHW")
            axis, channel = (2, 1) if first else (1, 2)
            planes = apply_op("ExpandDims", input, axis)
            result = apply_op(
                kind,
                planes,
                name=scope,
                ksize=[1, *per_dimension(ksize, 1, channel, "ksize")],
                strides=[1, *per_dimension(strides, 1, channel, "strides")],
                padding=padding,
                data_format="NCHW" if first else "NHWC",
            )
            return apply_op("Squeeze", result, squeeze_dims=[axis])

    return pool


max_pool1d = tf_export("nn.max_pool1d")(_pool1d("MaxPool", "MaxPool1d"))
avg_pool1d = tf_export("nn.avg_pool1d")(_pool1d("AvgPool", "AvgPool1D"))


@tf_export("nn.max_pool_with_argmax")
def max_pool_with_argmax(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str = "NHWC",
    Targmax: Any = None,
    name: str | None = None,
    output_dtype: Any = None,
    include_batch_in_index: bool = False,
) -> Any:
    if data_format not in (None, "NHWC"):
        raise ValueError("Data formats other than 'NHWC' are not yet supported")
    index = dtypes.as_dtype(output_dtype or Targmax or dtypes.int64)

    def full(value, label):
        return per_dimension(value, 2, 3, label)

    return apply_op(
        "MaxPoolWithArgmax",
        input,
        name=name,
        ksize=full(ksize, "ksize"),
        strides=full(strides, "strides"),
        padding=padding,
        Targmax=index,
        include_batch_in_index=include_batch_in_index,
    )


@tf_export("nn.pool")
def pool(
    input: Any,
    window_shape: Any,
    pooling_type: str,
    padding: str,
    dilation_rate: Any = None,
    strides: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    """Pooling of 1 to 3 spatial axes; without dilation."""
    with name_scope(name, f"{pooling_type.lower()}_pool", [input]) as scope:
        input = convert_to_tensor(input, name="input")
        rank = len(window_shape)
        rates = list(dilation_rate or dilations or [1] * rank)
        if rank not in (1, 2, 3) or any(r != 1 for r in rates):
            raise NotImplementedError(f"tf.nn.pool with {rank} spatial dimensions and dilation_rate={rates}")
        table = {"MAX": (max_pool1d, max_pool, max_pool3d), "AVG": (avg_pool1d, avg_pool, avg_pool3d)}
        steps = list(strides or [1] * rank)
        first = data_format is not None and data_format.startswith("NC")
        default = ("NWC", "NHWC", "NDHWC")[rank - 1]
        full = list(window_shape) if rank == 1 else ([1, 1, *window_shape] if first else [1, *window_shape, 1])
        jumps = steps if rank == 1 else ([1, 1, *steps] if first else [1, *steps, 1])
        return table[pooling_type][rank - 1](
            input, full, jumps, padding, data_format=data_format or default, name=scope
        )
