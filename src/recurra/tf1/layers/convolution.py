"""tf.layers' convolutions."""

from __future__ import annotations

from typing import Any

from recurra.tf1.build import apply_op
from recurra.tf1.layers.base import InputSpec, Layer
from recurra.tf1.layers.core import activation_of, functional
from recurra.tf1.layers.pooling import data_format_of, per_axis
from recurra.tf1.names import export
from recurra.tf1.ops import init, nn, nn_conv_functions
from recurra.tf1.ops.array_shape import shape
from recurra.tf1.shapes import TensorShape

__all__ = ["Conv", "ConvTranspose", "SeparableConv"]


class Conv(Layer):
    """Convolution with `kernel [*kernel_size, channels, filters]` and an optional bias and activation."""

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = None,
        bias_initializer: Any = init.ZEROS,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        trainable: bool = True,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, name=name, activity_regularizer=activity_regularizer, **kwargs)
        self.filters = filters
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding, self.data_format = padding.lower(), data_format
        self._format = data_format_of(data_format, self.rank)
        if self.padding not in ("valid", "same", "causal"):
            raise ValueError(
                'The `padding` argument must be a list/tuple or one of "valid", "same" (or "causal", only for'
                f" `Conv1D). Received: {padding}"
            )
        self.activation, self.use_bias = activation_of(activation), use_bias
        self.kernel_initializer, self.bias_initializer = init.get(kernel_initializer), init.get(bias_initializer)
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _first(self) -> bool:
        return self.data_format == "channels_first"

    def _depth(self, input_shape: Any) -> int:
        depth = TensorShape(input_shape).as_list()[1 if self._first else -1]
        if depth is None:
            raise ValueError("The channel dimension of the inputs should be defined. Found `None`.")
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={1 if self._first else -1: depth})
        return depth

    def _kernel_shape(self, depth: int) -> tuple[int, ...]:
        return (*self.kernel_size, depth, self.filters)

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(
            "kernel",
            self._kernel_shape(self._depth(input_shape)),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            trainable=True,
            dtype=self.dtype,
        )
        self._build_bias()
        self.built = True

    def _build_bias(self) -> None:
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                trainable=True,
                dtype=self.dtype,
            )

    def call(self, inputs: Any) -> Any:
        padding = self.padding.upper()
        if self.padding == "causal":
            left = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            inputs = apply_op(
                "Pad", inputs, [[0, 0], [0, 0], [left, 0]] if self._first else [[0, 0], [left, 0], [0, 0]]
            )
            padding = "VALID"
        label = "conv1d" if self.rank == 1 else "Conv2D" if self.rank == 2 else "Conv3D"
        outputs = nn_conv_functions.convolution(
            inputs, self.kernel, padding, self.strides, self.dilation_rate, name=label, data_format=self._format
        )
        return self._finished(outputs)

    def _finished(self, outputs: Any) -> Any:
        if self.use_bias:
            outputs = nn.bias_add(outputs, self.bias, data_format=self._format if self._first else None)
        return self.activation(outputs) if self.activation is not None else outputs


class ConvTranspose(Conv):
    """The gradient of a convolution used forwards; `kernel [*kernel_size, filters, channels]`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str = "channels_last",
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = None,
        bias_initializer: Any = init.ZEROS,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        trainable: bool = True,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            1,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            trainable,
            name,
            **kwargs,
        )

    def _kernel_shape(self, depth: int) -> tuple[int, ...]:
        return (*self.kernel_size, self.filters, depth)

    def call(self, inputs: Any) -> Any:
        static = inputs.get_shape().as_list()
        dynamic = shape(inputs)
        axes = range(2, self.rank + 2) if self._first else range(1, self.rank + 1)
        sizes = [self._deconvolved(static[a] if static[a] is not None else dynamic[a], n) for n, a in enumerate(axes)]
        known = [self._deconvolved(static[a], n) if static[a] is not None else None for n, a in enumerate(axes)]

        def wrap(batch, middle):
            return [batch, self.filters, *middle] if self._first else [batch, *middle, self.filters]

        batch = static[0] if static[0] is not None else dynamic[0]
        full = wrap(batch, sizes)
        target = apply_op("Pack", full, axis=0) if any(not isinstance(s, int) for s in full) else full
        run = nn_conv_functions.conv2d_transpose if self.rank == 2 else nn_conv_functions.conv3d_transpose
        outputs = run(
            inputs, self.kernel, target, list(self.strides), padding=self.padding.upper(), data_format=self._format
        )
        outputs.set_shape(wrap(static[0], known))
        return self._finished(outputs)

    def _deconvolved(self, size: Any, axis: int) -> Any:
        window, stride = self.kernel_size[axis], self.strides[axis]
        grown = size * stride
        return grown + max(window - stride, 0) if self.padding == "valid" else grown


class SeparableConv(Conv):
    """A filter per channel, then a 1x1 convolution over channels."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str = "channels_last",
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = None,
        pointwise_initializer: Any = None,
        bias_initializer: Any = init.ZEROS,
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        trainable: bool = True,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            None,
            bias_initializer,
            None,
            bias_regularizer,
            activity_regularizer,
            None,
            bias_constraint,
            trainable,
            name,
            **kwargs,
        )
        self.depth_multiplier = depth_multiplier
        self.depthwise_initializer, self.pointwise_initializer = (
            init.get(depthwise_initializer),
            init.get(pointwise_initializer),
        )
        self.depthwise_regularizer, self.pointwise_regularizer = depthwise_regularizer, pointwise_regularizer
        self.depthwise_constraint, self.pointwise_constraint = depthwise_constraint, pointwise_constraint

    def build(self, input_shape: Any) -> None:
        depth = self._depth(input_shape)
        self.depthwise_kernel = self.add_weight(
            "depthwise_kernel",
            (*self.kernel_size, depth, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            trainable=True,
            dtype=self.dtype,
        )
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel",
            (*(1,) * self.rank, self.depth_multiplier * depth, self.filters),
            initializer=self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            trainable=True,
            dtype=self.dtype,
        )
        self._build_bias()
        self.built = True

    def call(self, inputs: Any) -> Any:
        depthwise, pointwise, strides, rates = (
            self.depthwise_kernel,
            self.pointwise_kernel,
            list(self.strides),
            list(self.dilation_rate),
        )
        layout, axis = self._format, 2 if self._first else 1
        if self.rank == 1:
            inputs = apply_op("ExpandDims", inputs, axis)
            depthwise, pointwise = apply_op("ExpandDims", depthwise, 0), apply_op("ExpandDims", pointwise, 0)
            strides, rates, layout = strides * 2, [1, *rates], "NCHW" if self._first else "NHWC"
        full = [1, 1, *strides] if self._first else [1, *strides, 1]
        outputs = nn_conv_functions.separable_conv2d(
            inputs, depthwise, pointwise, full, self.padding.upper(), rate=rates, data_format=layout
        )
        if self.use_bias:
            outputs = nn.bias_add(outputs, self.bias, data_format=layout if self._first else None)
        if self.rank == 1:
            outputs = apply_op("Squeeze", outputs, squeeze_dims=[axis])
        return self.activation(outputs) if self.activation is not None else outputs


def _class(base: type, label: str, rank: int, function: str) -> None:
    made = type(label, (base,), {"rank": rank, "__doc__": base.__doc__})
    export(made, f"layers.{label}")
    functional(made, function)


for _rank in (1, 2, 3):
    _class(Conv, f"Conv{_rank}D", _rank, f"conv{_rank}d")
for _rank in (2, 3):
    _class(ConvTranspose, f"Conv{_rank}DTranspose", _rank, f"conv{_rank}d_transpose")
for _rank in (1, 2):
    _class(SeparableConv, f"SeparableConv{_rank}D", _rank, f"separable_conv{_rank}d")
