"""contrib.layers' small functions: images as sequences, spatial attention, groups, scaled gradients, summaries."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.contrib.arg_scope import add_arg_scope
from recurra.tf1.contrib.framework import model_variable
from recurra.tf1.contrib.layers import optimization
from recurra.tf1.contrib.layers.common import activate, collect, collect_variable, renaming_scope
from recurra.tf1.contrib.layers.dense import _relu
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.layers.convolution import SeparableConv
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops import init
from recurra.tf1.train import optimizers

__all__ = ["group_norm", "spatial_softmax"]

tf = space("")


# -- images and sequences --------------------------------------------------------------------------------------------
def _images_to_sequence(
    inputs: Any, data_format: str = "NHWC", outputs_collections: Any = None, scope: Any = None
) -> Any:
    """[batch, height, width, depth] as the sequences of its rows: [width, batch·height, depth]."""
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    with tf.name_scope(scope, "ImagesToSequence", [inputs]) as name:
        inputs = convert_to_tensor(inputs)
        if data_format == "NCHW":
            inputs = tf.transpose(inputs, [0, 2, 3, 1])
        _, _, width, depth = inputs.shape.as_list()
        count, height = tf.unstack(tf.shape(inputs)[:2])
        outputs = tf.reshape(tf.transpose(inputs, [2, 0, 1, 3]), [width, count * height, depth])
        return collect(outputs_collections, name, outputs)


def _sequence_to_images(
    inputs: Any,
    height: int,
    output_data_format: str = "channels_last",
    outputs_collections: Any = None,
    scope: Any = None,
) -> Any:
    """The inverse of images_to_sequence."""
    with tf.name_scope(scope, "SequenceToImages", [inputs]) as name:
        inputs = convert_to_tensor(inputs)
        width, count, depth = inputs.shape.as_list()
        rows = tf.reshape(inputs, [width, -1 if count is None else count // height, height, depth])
        order = [1, 3, 2, 0] if output_data_format == "channels_first" else [1, 2, 0, 3]
        return collect(outputs_collections, name, tf.transpose(rows, order))


export(add_arg_scope(_images_to_sequence), "contrib.layers.images_to_sequence")
export(add_arg_scope(_sequence_to_images), "contrib.layers.sequence_to_images")


def _dense_to_sparse(tensor: Any, eos_token: int = 0, outputs_collections: Any = None, scope: Any = None) -> Any:
    """The entries that are not `eos_token`, as a SparseTensor."""
    with tf.variable_scope(scope, "dense_to_sparse", [tensor]) as sc:
        tensor = convert_to_tensor(tensor)
        where = tf.where(tf.not_equal(tensor, tf.constant(eos_token, tensor.dtype)))
        shape = tf.shape(tensor, out_type=dtypes.int64)
        return collect(outputs_collections, sc.name, tf.SparseTensor(where, tf.gather_nd(tensor, where), shape))


export(add_arg_scope(_dense_to_sparse), "contrib.layers.dense_to_sparse")


@tf_export("contrib.layers.spatial_softmax")
def spatial_softmax(
    features: Any,
    temperature: Any = None,
    name: str | None = None,
    variables_collections: Any = None,
    trainable: bool = True,
    data_format: str = "NHWC",
) -> Any:
    """[batch, 2·channels]: where each channel's softmax over the image has its mean, in [-1, 1] (Levine et al., 2015)."""  # noqa: E501
    with tf.variable_scope(name, "spatial_softmax"):
        shape, static = tf.shape(features), features.shape
        if data_format == "NHWC":
            height, width, channels = shape[1], shape[2], static.as_list()[3]
        elif data_format == "NCHW":
            channels, height, width = static.as_list()[1], shape[2], shape[3]
        else:
            raise ValueError("data_format has to be either NCHW or NHWC.")
        if channels is None:
            raise ValueError(
                "The num_channels dimension of the inputs to `spatial_softmax` should be defined. Found `None`."
            )
        x, y = tf.meshgrid(tf.lin_space(-1.0, 1.0, num=height), tf.lin_space(-1.0, 1.0, num=width), indexing="ij")
        heat = model_variable(
            "temperature",
            shape=(),
            dtype=dtypes.float32,
            initializer=init.Ones() if temperature is None else init.Constant(temperature),
            trainable=trainable,
        )
        flat = features if data_format == "NCHW" else tf.transpose(features, [0, 3, 1, 2])
        attention = tf.nn.softmax(tf.reshape(flat, [-1, height * width]) / heat)
        means = [tf.reduce_sum(tf.reshape(axis, [height * width]) * attention, [1], keepdims=True) for axis in (x, y)]
        points = tf.reshape(tf.concat(means, 1), [-1, channels * 2])
        points.set_shape([None, channels * 2])
        return points


# -- normalisation and convolution ------------------------------------------------------------------------------------
def _group_norm(
    inputs: Any,
    groups: int = 32,
    channels_axis: int = -1,
    reduction_axes: Any = (-3, -2),
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Any = None,
    param_initializers: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
    mean_close_to_zero: bool = False,
) -> Any:
    """Normalised over `reduction_axes` and the channels of each group (Wu and He, 2018); ValueError for groups that do not divide."""  # noqa: E501
    inputs = convert_to_tensor(inputs)
    rank = inputs.shape.ndims
    if rank is None:
        raise ValueError(f"Inputs {inputs.name} has undefined rank.")
    if channels_axis > rank - 1:
        raise ValueError("Axis is out of bounds.")
    channels_axis %= rank
    sizes = inputs.shape.as_list()
    channels = sizes[channels_axis]
    axes = [a % rank for a in reduction_axes]
    if channels is None:
        raise ValueError(f"Inputs {inputs.name} has undefined channel dimension: {channels_axis}.")
    if channels_axis in axes:
        raise ValueError("reduction_axis must be mutually exclusive with channels_axis")
    if groups > channels:
        raise ValueError(f"Invalid groups {groups} for {channels} channels.")
    if channels % groups:
        raise ValueError(f"{channels} channels is not commensurate with {groups} groups.")
    shape = tf.shape(inputs)
    full = [shape[i] if n is None else n for i, n in enumerate(sizes)]
    split = [*full[:channels_axis], groups, channels // groups, *full[channels_axis + 1 :]]
    ones = [1] * len(split)
    ones[channels_axis : channels_axis + 2] = [groups, channels // groups]
    with tf.variable_scope(scope, "GroupNorm", [inputs], reuse=reuse) as sc:
        initial = param_initializers or {}
        grouped = tf.reshape(inputs, split)
        over = [channels_axis + 1, *(a + 1 if a > channels_axis else a for a in axes)]
        mean, variance = tf.nn.moments(grouped, over, keepdims=True)
        factor = tf.rsqrt(variance + epsilon)
        shift: Any = None
        for name, used, default in (("beta", center, init.Zeros()), ("gamma", scale, init.Ones())):
            if not used:
                continue
            parameter = model_variable(
                name,
                shape=[channels],
                dtype=inputs.dtype.base_dtype,
                initializer=initial.get(name, default),
                trainable=trainable,
            )
            collect_variable(parameter, variables_collections, name)
            if name == "beta":
                shift = tf.reshape(parameter, ones)
            else:
                factor = factor * tf.reshape(parameter, ones)
        normal = grouped * factor + ((0.0 if shift is None else shift) - mean * factor)
        outputs = tf.reshape(normal, shape)
        outputs.set_shape(inputs.shape)
        return collect(outputs_collections, sc.name, outputs if activation_fn is None else activation_fn(outputs))


group_norm = export(add_arg_scope(_group_norm), "contrib.layers.group_norm")
_SEPARABLE = type("SeparableConv2D", (SeparableConv,), {"rank": 2})


def _separable_conv2d(
    inputs: Any,
    num_outputs: int | None,
    kernel_size: Any,
    depth_multiplier: int = 1,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str = "NHWC",
    rate: Any = 1,
    activation_fn: Any = _relu,
    normalizer_fn: Any = None,
    normalizer_params: Any = None,
    weights_initializer: Any = init.XAVIER,
    pointwise_initializer: Any = None,
    weights_regularizer: Any = None,
    biases_initializer: Any = init.ZEROS,
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Any:
    """A convolution of every channel by itself, then one of 1×1 over the channels."""
    if num_outputs is None:
        raise NotImplementedError("tf.contrib.layers.separable_conv2d without a pointwise convolution")
    rename = {"bias": "biases", "depthwise_kernel": "depthwise_weights", "pointwise_kernel": "pointwise_weights"}
    with renaming_scope(scope, "SeparableConv2d", inputs, reuse, rename) as sc:
        inputs = convert_to_tensor(inputs)
        layer = _SEPARABLE(
            num_outputs,
            kernel_size,
            strides=stride,
            padding=padding,
            data_format="channels_first" if data_format.startswith("NC") else "channels_last",
            dilation_rate=rate,
            depth_multiplier=depth_multiplier,
            use_bias=not normalizer_fn and biases_initializer is not None,
            depthwise_initializer=weights_initializer,
            pointwise_initializer=pointwise_initializer or weights_initializer,
            bias_initializer=biases_initializer,
            depthwise_regularizer=weights_regularizer,
            pointwise_regularizer=weights_regularizer,
            bias_regularizer=biases_regularizer,
            trainable=trainable,
            name=sc.name,
            dtype=inputs.dtype.base_dtype,
            _scope=sc,
            _reuse=reuse,
        )
        outputs = layer(inputs)
        collect_variable(layer.depthwise_kernel, variables_collections, "weights")
        collect_variable(layer.pointwise_kernel, variables_collections, "weights")
        collect_variable(layer.bias, variables_collections, "biases")
        return collect(outputs_collections, sc.name, activate(outputs, normalizer_fn, normalizer_params, activation_fn))


for _name in ("separable_conv2d", "separable_convolution2d"):
    _function = add_arg_scope(_separable_conv2d)
    export(_function, f"contrib.layers.{_name}", f"contrib.slim.{_name}")


# -- gradients --------------------------------------------------------------------------------------------------------
@tf_export("contrib.layers.scale_gradient")
def scale_gradient(x: Any, scale: Any, name: str = "scale_gradient") -> Any:
    """`x` itself; its gradient times `scale`."""

    @tf.custom_gradient
    def scaled(value: Any) -> Any:
        return tf.identity(value, name=name), lambda grad: grad * scale

    return scaled(convert_to_tensor(x))


# -- summaries --------------------------------------------------------------------------------------------------------
@tf_export("contrib.layers.summarize_tensor")
def summarize_tensor(tensor: Any, tag: str | None = None) -> Any:
    """A scalar's or a histogram's summary; None for text and truth values."""
    if tensor.dtype.base_dtype in (dtypes.string, dtypes.bool_):
        return None
    kind = tf.summary.scalar if tensor.shape.ndims == 0 else tf.summary.histogram
    return kind(tag or f"{tensor.op.name}_summary", tensor)


@tf_export("contrib.layers.summarize_activation")
def summarize_activation(op: Any) -> Any:
    """A histogram of an activation, and how much of it is cut off."""
    kind, inputs = op.op.type, op.op.inputs
    if kind in ("Relu", "Softplus", "Relu6"):
        tf.summary.scalar(f"{op.op.name}/zeros", tf.reduce_mean(tf.to_float(tf.less(inputs[0], 0.0))))
    if kind == "Relu6":
        tf.summary.scalar(f"{op.op.name}/sixes", tf.reduce_mean(tf.to_float(tf.greater(inputs[0], 6.0))))
    return tf.summary.histogram(f"{op.op.name}/activation", op)


@tf_export("contrib.layers.summarize_tensors")
def summarize_tensors(tensors: Any, summarizer: Callable[[Any], Any] = summarize_tensor) -> list[Any]:
    return [summarizer(tensor) for tensor in tensors]


@tf_export("contrib.layers.summarize_collection")
def summarize_collection(
    collection: Any, name_filter: str | None = None, summarizer: Callable[[Any], Any] = summarize_tensor
) -> list[Any]:
    """Summaries of the tensors of a collection whose names match."""
    found = get_default_graph().get_collection(collection)
    return [summarizer(t) for t in found if name_filter is None or re.match(name_filter, t.op.name)]


@tf_export("contrib.layers.summarize_activations")
def summarize_activations(
    name_filter: str | None = None, summarizer: Callable[[Any], Any] = summarize_activation
) -> list[Any]:
    return summarize_collection(GraphKeys.ACTIVATIONS, name_filter, summarizer)


for _name, _key in (("variables", "GLOBAL_VARIABLES"), ("weights", "WEIGHTS"), ("biases", "BIASES")):
    export(functools.partial(summarize_collection, getattr(GraphKeys, _key)), f"contrib.layers.summarize_{_name}")
export(
    {name: getattr(optimizers, cls) for name, cls in optimization._CLASSES.items()},
    "contrib.layers.OPTIMIZER_CLS_NAMES",
)
