"""tf.nn's convolutions: the primitives and the functions over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor as TorchTensor

from recurra.tf1.constants import constant_value_as_shape
from recurra.tf1.ops.compute import windows
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

_CHANNELS_FIRST = ("NCHW", "NCDHW", "NCW")


def channels_last(x: TorchTensor, data_format: str) -> TorchTensor:
    return x.movedim(1, -1) if data_format in _CHANNELS_FIRST else x


def as_format(x: TorchTensor, data_format: str) -> TorchTensor:
    """A channels-last result in the format asked for."""
    return x.movedim(-1, 1) if data_format in _CHANNELS_FIRST else x


def spatial(values: Sequence[int], data_format: str) -> tuple[int, ...]:
    """The spatial entries of a per-dimension attribute such as `strides`."""
    return tuple(values[2:] if data_format in _CHANNELS_FIRST else values[1:-1])


def _explicit(padding: str, explicit_paddings: Sequence[int], data_format: str) -> windows.Padding:
    if padding != "EXPLICIT":
        return padding
    pairs = list(zip(explicit_paddings[::2], explicit_paddings[1::2], strict=True))
    return list(spatial(pairs, data_format))  # type: ignore[arg-type]


def _conv(
    input: TorchTensor,
    filter: TorchTensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilations: Sequence[int],
    explicit_paddings: Sequence[int] = (),
) -> TorchTensor:
    around = _explicit(padding, explicit_paddings, data_format)
    x = channels_last(input, data_format)
    groups = x.shape[-1] // filter.shape[-2]
    out = windows.conv(x, filter, spatial(strides, data_format), around, spatial(dilations, data_format), groups)
    return as_format(out, data_format)


def _depthwise(
    input: TorchTensor,
    filter: TorchTensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilations: Sequence[int],
) -> TorchTensor:
    x = channels_last(input, data_format)
    out = windows.depthwise_conv(x, filter, spatial(strides, data_format), padding, spatial(dilations, data_format))
    return as_format(out, data_format)


def _input_gradient(
    input_sizes: TorchTensor,
    filter: TorchTensor,
    out_backprop: TorchTensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilations: Sequence[int],
    explicit_paddings: Sequence[int] = (),
) -> TorchTensor:
    sizes = input_sizes.tolist()
    if data_format in _CHANNELS_FIRST:
        sizes = [sizes[0], *sizes[2:], sizes[1]]
    around = _explicit(padding, explicit_paddings, data_format)
    y = channels_last(out_backprop, data_format)
    out = windows.conv_transpose(
        y, filter, sizes, spatial(strides, data_format), around, spatial(dilations, data_format)
    )
    return as_format(out, data_format)


def _depthwise_input_gradient(
    input_sizes: TorchTensor,
    filter: TorchTensor,
    out_backprop: TorchTensor,
    strides: Sequence[int],
    padding: str,
    data_format: str,
    dilations: Sequence[int],
) -> TorchTensor:
    sizes, channels = input_sizes.tolist(), filter.shape[-2]
    if data_format in _CHANNELS_FIRST:
        sizes = [sizes[0], *sizes[2:], sizes[1]]
    flat = filter.reshape(*filter.shape[:-2], 1, -1)
    y = channels_last(out_backprop, data_format)
    steps, holes = spatial(strides, data_format), spatial(dilations, data_format)
    return as_format(windows.conv_transpose(y, flat, sizes, steps, padding, holes, groups=channels), data_format)


def _filter_gradient(depthwise: bool) -> Callable[..., TorchTensor]:
    def lower(
        input: TorchTensor,
        filter_sizes: TorchTensor,
        out_backprop: TorchTensor,
        strides: Sequence[int],
        padding: str,
        data_format: str,
        dilations: Sequence[int],
        explicit_paddings: Sequence[int] = (),
    ) -> TorchTensor:
        around = _explicit(padding, explicit_paddings, data_format)
        x, y = channels_last(input, data_format), channels_last(out_backprop, data_format)
        steps, holes = spatial(strides, data_format), spatial(dilations, data_format)
        return windows.conv_filter_gradient(x, y, filter_sizes.tolist(), steps, around, holes, depthwise)

    return lower


def window_shape(
    sizes: TensorShape, window: Sequence[int | None], channels: int | None, attrs: dict[str, Any]
) -> TensorShape:
    """The static shape after a window op; `window` per spatial axis."""
    data_format = attrs.get("data_format", "NHWC" if len(window) == 2 else "NDHWC")
    rank = len(window) + 2
    dims = sizes.with_rank(rank).values or (None,) * rank
    strides, rates = spatial(attrs["strides"], data_format), attrs.get("dilations")
    holes = spatial(rates, data_format) if rates else (1,) * len(window)
    around = _explicit(attrs["padding"], attrs.get("explicit_paddings", ()), data_format)
    out: list[int | None] = []
    for n, size in enumerate(spatial(dims, data_format)):  # type: ignore[arg-type]
        out.append(_axis_size(size, window[n], strides[n], holes[n], around if isinstance(around, str) else around[n]))
    ends = (dims[0], channels)
    return TensorShape([*ends, *out] if data_format in _CHANNELS_FIRST else [ends[0], *out, ends[1]])


def _axis_size(size: int | None, window: int | None, stride: int, rate: int, padding: Any) -> int | None:
    if size is None or window is None:
        return None
    if not isinstance(padding, str):
        size, padding = size + sum(padding), "VALID"
    result = windows.out_size(size, window, stride, padding, rate)
    if result < 0:
        reach = (window - 1) * rate + 1
        raise ValueError(f"Negative dimension size caused by subtracting {reach} from {size}")
    return result


def _conv_shape(rank: int, depthwise: bool = False) -> Callable[[Any], TensorShape]:
    def rule(operation: Any) -> TensorShape:
        x, kernel = (t.shape.with_rank(rank + 2) for t in operation.inputs[:2])
        sizes = kernel.values or (None,) * (rank + 2)
        first = operation.attrs.get("data_format", "") in _CHANNELS_FIRST
        depth = x.values and x.values[1 if first else -1]
        if depth is not None and sizes[-2] is not None and (depth != sizes[-2] if depthwise else depth % sizes[-2]):
            if depthwise:
                raise ValueError(f"Dimensions must be equal, but are {depth} and {sizes[-2]}")
            raise ValueError(f"Depth of input ({depth}) is not a multiple of input depth of filter ({sizes[-2]})")
        channels = sizes[-1] if not depthwise else None if None in sizes[-2:] else sizes[-2] * sizes[-1]  # type: ignore[operator]
        return window_shape(x, sizes[:rank], channels, operation.attrs)

    return rule


def _shape_from(index: int) -> Callable[[Any], TensorShape]:
    return lambda operation: constant_value_as_shape(operation.inputs[index])


op("Conv2D", "input:T, filter:T -> T", _conv, shape=_conv_shape(2))
op("Conv3D", "input:T, filter:T -> T", _conv, shape=_conv_shape(3))
op("DepthwiseConv2dNative", "input:T, filter:T -> T", _depthwise, shape=_conv_shape(2, depthwise=True))
op("Conv2DBackpropInput", "input_sizes:int32, filter:T, out_backprop:T -> T", _input_gradient, shape=_shape_from(0))
op("Conv3DBackpropInputV2", "input_sizes:Tshape, filter:T, out_backprop:T -> T", _input_gradient, shape=_shape_from(0))
op(
    "DepthwiseConv2dNativeBackpropInput",
    "input_sizes:int32, filter:T, out_backprop:T -> T",
    _depthwise_input_gradient,
    shape=_shape_from(0),
)
op(
    "Conv2DBackpropFilter",
    "input:T, filter_sizes:int32, out_backprop:T -> T",
    _filter_gradient(False),
    shape=_shape_from(1),
)
op(
    "Conv3DBackpropFilterV2",
    "input:T, filter_sizes:int32, out_backprop:T -> T",
    _filter_gradient(False),
    shape=_shape_from(1),
)
op(
    "DepthwiseConv2dNativeBackpropFilter",
    "input:T, filter_sizes:int32, out_backprop:T -> T",
    _filter_gradient(True),
    shape=_shape_from(1),
)
