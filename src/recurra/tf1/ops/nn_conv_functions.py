"""The functions of tf.nn over the convolution primitives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor as TorchTensor

from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.compute import windows
from recurra.tf1.ops.nn_conv import spatial, window_shape
from recurra.tf1.registry import op
from recurra.tf1.shapes import Dimension, TensorShape


def per_dimension(value: Any, rank: int, channel_index: int, name: str) -> list[int]:
    """A window argument given as a number, per spatial axis, or in full: always in full, dimensions as numbers."""
    if value is None:
        value = [1]
    elif not isinstance(value, (list, tuple)):
        value = [value]
    value = [size.value if isinstance(size, Dimension) else size for size in value]
    if len(value) == rank + 2:
        return value
    if len(value) not in (1, rank):
        raise ValueError(f"{name} should be of length 1, {rank} or {rank + 2} but was {len(value)}")
    inner = list(value) * rank if len(value) == 1 else list(value)
    return [1, 1, *inner] if channel_index == 1 else [1, *inner, 1]


def _padding(padding: Any) -> tuple[str, list[int]]:
    if isinstance(padding, (list, tuple)):
        return "EXPLICIT", [int(p) for pair in padding for p in pair]
    return padding, []


def _one_of(first_name: str, first: Any, second_name: str, second: Any) -> Any:
    if first is not None and second is not None:
        raise ValueError(f"Cannot specify both '{second_name}' and '{first_name}'")
    return second if first is None else first


@tf_export("nn.conv2d")
def conv2d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Any:
    kernel = _one_of("filter", filter, "filters", filters)
    data_format = data_format or "NHWC"
    around, explicit = _padding(padding)
    channel = 1 if data_format == "NCHW" else 3
    return apply_op(
        "Conv2D",
        input,
        kernel,
        name=name,
        strides=per_dimension(strides, 2, channel, "strides"),
        padding=around,
        use_cudnn_on_gpu=use_cudnn_on_gpu,
        explicit_paddings=explicit,
        data_format=data_format,
        dilations=per_dimension(dilations, 2, channel, "dilations"),
    )


@tf_export("nn.conv3d")
def conv3d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    padding: Any = None,
    data_format: str = "NDHWC",
    dilations: Any = (1, 1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Any:
    kernel = _one_of("filter", filter, "filters", filters)
    return apply_op(
        "Conv3D",
        input,
        kernel,
        name=name,
        strides=list(strides),
        padding=padding,
        data_format=data_format or "NDHWC",
        dilations=list(dilations),
    )


@tf_export("nn.conv1d")
def conv1d(
    value: Any = None,
    filters: Any = None,
    stride: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool | None = None,
    data_format: str | None = None,
    name: str | None = None,
    input: Any = None,
    dilations: Any = None,
) -> Any:
    value = _one_of("value", value, "input", input)
    with name_scope(name, "conv1d", [value, filters]) as scope:
        first = data_format in ("NCW", "NCHW")
        if data_format not in (None, "NHWC", "NWC", "NCW", "NCHW"):
            raise ValueError("data_format must be 'NWC' or 'NCW'.")
        axis, channel = (2, 1) if first else (1, 2)
        strides = _one_dimension(stride, channel, "stride")
        rates = _one_dimension(dilations, channel, "dilations")
        planes = apply_op("ExpandDims", value, axis)
        kernel = apply_op("ExpandDims", filters, 0)
        result = apply_op(
            "Conv2D",
            planes,
            kernel,
            name=scope,
            strides=strides,
            padding=padding,
            data_format="NCHW" if first else "NHWC",
            dilations=rates,
            use_cudnn_on_gpu=True,
            explicit_paddings=[],
        )
        return apply_op("Squeeze", result, squeeze_dims=[axis])


def _one_dimension(value: Any, channel: int, name: str) -> list[int]:
    return [1, *per_dimension(value, 1, channel, name)]


@tf_export("nn.conv2d_transpose")
def conv2d_transpose(
    value: Any = None,
    filter: Any = None,
    output_shape: Any = None,
    strides: Any = None,
    padding: str = "SAME",
    data_format: str = "NHWC",
    name: str | None = None,
    input: Any = None,
    filters: Any = None,
    dilations: Any = None,
) -> Any:
    value, kernel = _one_of("value", value, "input", input), _one_of("filter", filter, "filters", filters)
    channel = 1 if data_format == "NCHW" else 3
    with name_scope(name, "conv2d_transpose", [value, kernel, output_shape]) as scope:
        return apply_op(
            "Conv2DBackpropInput",
            output_shape,
            kernel,
            value,
            name=scope,
            strides=per_dimension(strides, 2, channel, "strides"),
            padding=padding,
            data_format=data_format,
            dilations=per_dimension(dilations, 2, channel, "dilations"),
            use_cudnn_on_gpu=True,
            explicit_paddings=[],
        )


@tf_export("nn.conv3d_transpose")
def conv3d_transpose(
    value: Any,
    filter: Any = None,
    output_shape: Any = None,
    strides: Any = None,
    padding: str = "SAME",
    data_format: str = "NDHWC",
    name: str | None = None,
    input: Any = None,
    filters: Any = None,
    dilations: Any = None,
) -> Any:
    value, kernel = _one_of("value", value, "input", input), _one_of("filter", filter, "filters", filters)
    channel = 1 if data_format == "NCDHW" else 4
    with name_scope(name, "conv3d_transpose", [value, kernel, output_shape]) as scope:
        return apply_op(
            "Conv3DBackpropInputV2",
            output_shape,
            kernel,
            value,
            name=scope,
            strides=per_dimension(strides, 3, channel, "strides"),
            padding=padding,
            data_format=data_format,
            dilations=per_dimension(dilations, 3, channel, "dilations"),
        )


@tf_export("nn.conv2d_backprop_input")
def conv2d_backprop_input(
    input_sizes: Any,
    filter: Any = None,
    out_backprop: Any = None,
    strides: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Any:
    around, explicit = _padding(padding)
    return apply_op(
        "Conv2DBackpropInput",
        input_sizes,
        _one_of("filter", filter, "filters", filters),
        out_backprop,
        name=name,
        strides=list(strides),
        padding=around,
        data_format=data_format,
        dilations=list(dilations),
        explicit_paddings=explicit,
        use_cudnn_on_gpu=use_cudnn_on_gpu,
    )


@tf_export("nn.conv2d_backprop_filter")
def conv2d_backprop_filter(
    input: Any,
    filter_sizes: Any,
    out_backprop: Any,
    strides: Any,
    padding: Any,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
) -> Any:
    around, explicit = _padding(padding)
    return apply_op(
        "Conv2DBackpropFilter",
        input,
        filter_sizes,
        out_backprop,
        name=name,
        strides=list(strides),
        padding=around,
        data_format=data_format,
        dilations=list(dilations),
        explicit_paddings=explicit,
        use_cudnn_on_gpu=use_cudnn_on_gpu,
    )


@tf_export("nn.conv3d_backprop_filter_v2", "nn.conv3d_backprop_filter")
def conv3d_backprop_filter_v2(
    input: Any,
    filter_sizes: Any,
    out_backprop: Any,
    strides: Any,
    padding: str,
    data_format: str = "NDHWC",
    dilations: Any = (1, 1, 1, 1, 1),
    name: str | None = None,
) -> Any:
    return apply_op(
        "Conv3DBackpropFilterV2",
        input,
        filter_sizes,
        out_backprop,
        name=name,
        strides=list(strides),
        padding=padding,
        data_format=data_format,
        dilations=list(dilations),
    )


@tf_export("nn.depthwise_conv2d_native", "nn.depthwise_conv2d_native_")
def depthwise_conv2d_native(
    input: Any,
    filter: Any,
    strides: Any,
    padding: str,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
) -> Any:
    return apply_op(
        "DepthwiseConv2dNative",
        input,
        filter,
        name=name,
        strides=list(strides),
        padding=padding,
        data_format=data_format,
        dilations=list(dilations),
    )


def _native_gradient(kind: str, *order: str) -> Callable[..., Any]:
    def gradient(
        a: Any,
        b: Any,
        out_backprop: Any,
        strides: Any,
        padding: str,
        data_format: str = "NHWC",
        dilations: Any = (1, 1, 1, 1),
        name: str | None = None,
    ) -> Any:
        return apply_op(
            kind,
            a,
            b,
            out_backprop,
            name=name,
            strides=list(strides),
            padding=padding,
            data_format=data_format,
            dilations=list(dilations),
        )

    return gradient


export(
    _native_gradient("DepthwiseConv2dNativeBackpropInput"),
    "nn.depthwise_conv2d_native_backprop_input",
    "nn.depthwise_conv2d_backprop_input",
)
export(
    _native_gradient("DepthwiseConv2dNativeBackpropFilter"),
    "nn.depthwise_conv2d_native_backprop_filter",
    "nn.depthwise_conv2d_backprop_filter",
)


def _rates(rate: Any) -> list[int]:
    return [1, 1] if rate is None else [rate, rate] if isinstance(rate, int) else [int(r) for r in rate]


def _with_rate(rates: list[int], data_format: str) -> list[int]:
    return [1, 1, *rates] if data_format == "NCHW" else [1, *rates, 1]


@tf_export("nn.depthwise_conv2d")
def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: str,
    rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    rates, data_format = _rates(_one_of("rate", rate, "dilations", dilations)), data_format or "NHWC"
    with name_scope(name, "depthwise", [input, filter]) as scope:
        return depthwise_conv2d_native(
            convert_to_tensor(input, name="tensor_in"),
            convert_to_tensor(filter, name="filter_in"),
            strides,
            padding,
            data_format,
            _with_rate(rates, data_format),
            name=scope,
        )


@tf_export("nn.separable_conv2d")
def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: str,
    rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    dilations: Any = None,
) -> Any:
    rates, data_format = _rates(_one_of("rate", rate, "dilations", dilations)), data_format or "NHWC"
    with name_scope(name, "separable_conv2d", [input, depthwise_filter, pointwise_filter]) as scope:
        input = convert_to_tensor(input, name="tensor_in")
        depthwise_filter = convert_to_tensor(depthwise_filter, name="depthwise_filter")
        pointwise_filter = convert_to_tensor(pointwise_filter, name="pointwise_filter")
        pointwise_filter.get_shape().with_rank(4)
        depthwise = depthwise_conv2d_native(
            input, depthwise_filter, strides, padding, data_format, _with_rate(rates, data_format), name="depthwise"
        )
        return conv2d(depthwise, pointwise_filter, [1, 1, 1, 1], "VALID", data_format=data_format, name=scope)


@tf_export("nn.convolution")
def convolution(
    input: Any,
    filter: Any,
    padding: str,
    strides: Any = None,
    dilation_rate: Any = None,
    name: str | None = None,
    data_format: str | None = None,
    filters: Any = None,
    dilations: Any = None,
) -> Any:
    """Convolution of 1 to 3 spatial axes; dilation is the kernel's own instead of a detour over batches."""
    kernel = _one_of("filter", filter, "filters", filters)
    with name_scope(name, "convolution", [input, kernel]) as scope:
        input, kernel = convert_to_tensor(input, name="input"), convert_to_tensor(kernel, name="filter")
        rank = input.get_shape().ndims - 2
        rates = list(_one_of("dilation_rate", dilation_rate, "dilations", dilations) or [1] * rank)
        steps = list(strides or [1] * rank)
        if any(s > 1 for s in steps) and any(r > 1 for r in rates):
            raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
        first = data_format is not None and data_format.startswith("NC")
        if rank == 1:
            return conv1d(input, kernel, steps, padding, data_format=data_format, dilations=rates, name=scope)

        def full(values):
            return [1, 1, *values] if first else [1, *values, 1]

        run, default = (conv2d, "NHWC") if rank == 2 else (conv3d, "NDHWC")
        return run(
            input, kernel, full(steps), padding, data_format=data_format or default, dilations=full(rates), name=scope
        )


@tf_export("nn.atrous_conv2d")
def atrous_conv2d(value: Any, filters: Any, rate: int, padding: str, name: str | None = None) -> Any:
    return convolution(value, filters, padding, dilation_rate=[rate, rate], name=name)


@tf_export("nn.atrous_conv2d_transpose")
def atrous_conv2d_transpose(
    value: Any, filters: Any, output_shape: Any, rate: int, padding: str, name: str | None = None
) -> Any:
    with name_scope(name, "atrous_conv2d_transpose", [value, filters, output_shape]) as scope:
        return conv2d_transpose(value, filters, output_shape, 1, padding, dilations=[1, rate, rate, 1], name=scope)


def _dilation2d(
    input: TorchTensor, filter: TorchTensor, strides: Sequence[int], rates: Sequence[int], padding: str
) -> TorchTensor:
    """Grey-scale dilation: max over the window of input + filter; padding never wins."""
    window, steps, holes = filter.shape[:2], spatial(strides, "NHWC"), spatial(rates, "NHWC")
    around = windows.pads(input.shape[1:-1], window, steps, padding, holes)
    pad = torch.nn.functional.pad(input, (0, 0, *around[1], *around[0]), value=float(torch.finfo(input.dtype).min))
    cells = windows.patches(pad, window, steps, "VALID", holes)
    cells = cells.unflatten(-1, (window[0] * window[1], filter.shape[-1]))
    return (cells + filter.reshape(-1, filter.shape[-1])).amax(-2)


def _dilation_shape(operation: Any) -> TensorShape:
    kernel = operation.inputs[1].shape.with_rank(3).values or (None,) * 3
    attrs = {**operation.attrs, "dilations": operation.attrs["rates"], "data_format": "NHWC"}
    return window_shape(operation.inputs[0].shape, kernel[:2], kernel[2], attrs)


op("Dilation2D", "input:T, filter:T -> T", _dilation2d, shape=_dilation_shape)


@tf_export("nn.dilation2d")
def dilation2d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    rates: Any = None,
    padding: Any = None,
    name: str | None = None,
    filters: Any = None,
    dilations: Any = None,
) -> Any:
    kernel, holes = _one_of("filter", filter, "filters", filters), _one_of("rates", rates, "dilations", dilations)
    return apply_op("Dilation2D", input, kernel, name=name, strides=list(strides), rates=list(holes), padding=padding)


@tf_export("nn.erosion2d")
def erosion2d(value: Any, kernel: Any, strides: Any, rates: Any, padding: str, name: str | None = None) -> Any:
    with name_scope(name, "erosion2d", [value, kernel]) as scope:
        flipped = apply_op("ReverseV2", kernel, [0, 1])
        grown = dilation2d(apply_op("Neg", value), flipped, strides, rates, padding)
        return apply_op("Neg", grown, name=scope)
