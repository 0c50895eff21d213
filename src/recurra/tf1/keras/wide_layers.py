"""tf.keras.layers that few programs use: attention, layer normalisation, local and depthwise convolutions, noise."""

from __future__ import annotations

from typing import Any

from recurra.tf1.keras.core_layers import _Elementwise, _Noise
from recurra.tf1.keras.layer import Layer
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


@tf_export("keras.layers.LayerNormalization")
class LayerNormalization(Layer):
    """Mean and variance of each sample over `axis` (Ba et al., 2016)."""

    def __init__(self, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
                 gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
                 trainable: bool = True, name: Any = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(trainable=trainable, name=name, **kwargs)
        self.axis = [axis] if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self._gamma = (gamma_initializer, gamma_regularizer, gamma_constraint)
        self._beta = (beta_initializer, beta_regularizer, beta_constraint)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        dims = TensorShape(input_shape).as_list()
        self._axes = sorted(axis % len(dims) for axis in self.axis)
        shape = [dims[a] for a in self._axes]
        self._spread = [dims[a] if a in self._axes else 1 for a in range(len(dims))]
        made = {}
        for label, wanted, (initializer, regularizer, constraint) in (
            ("gamma", self.scale, self._gamma),
            ("beta", self.center, self._beta),
        ):
            made[label] = (
                self.add_weight(label, shape, None, initializer, regularizer, constraint=constraint) if wanted else None
            )
        self.gamma, self.beta = made["gamma"], made["beta"]

    def call(self, inputs: Any) -> Any:
        mean, variance = tf.nn.moments(inputs, self._axes, keep_dims=True)
        spread = [None if p is None else tf.reshape(p, self._spread) for p in (self.beta, self.gamma)]
        return tf.nn.batch_normalization(inputs, mean, variance, *spread, self.epsilon)


class _DenseAttention(Layer):
    """softmax(scores(query, key)) · value; masked values get no weight, masked queries give zeros."""

    def __init__(self, causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.causal = causal
        self.supports_masking = True

    def scores(self, query: Any, key: Any) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if not isinstance(inputs, list) or not 2 <= len(inputs) <= 3:
            raise ValueError(
                f"{type(self).__name__} layer must be called on a list of inputs of length 2 or 3, namely "
                "[query, value] or [query, value, key]."
            )
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
        scores = self.scores(query, key)
        allowed = None if value_mask is None else tf.expand_dims(value_mask, -2)
        if self.causal:
            size = tf.shape(scores)[-2:]
            lower = tf.expand_dims(tf.matrix_band_part(tf.ones(size, tf.bool), -1, 0), 0)
            allowed = lower if allowed is None else tf.logical_and(allowed, lower)
        if allowed is not None:
            scores -= 1e9 * tf.cast(tf.logical_not(allowed), scores.dtype)
        result = tf.matmul(tf.nn.softmax(scores), value)
        return result if query_mask is None else result * tf.cast(tf.expand_dims(query_mask, -1), result.dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask[0] if mask else None


@tf_export("keras.layers.Attention")
class Attention(_DenseAttention):
    """Scores are products (Luong et al., 2015)."""

    def __init__(self, use_scale: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight("scale", (), None, "ones") if self.use_scale else None

    def scores(self, query: Any, key: Any) -> Any:
        made = tf.matmul(query, key, transpose_b=True)
        return made if self.scale is None else made * self.scale


@tf_export("keras.layers.AdditiveAttention")
class AdditiveAttention(_DenseAttention):
    """Scores are sums of tanh(query + key) (Bahdanau et al., 2015)."""

    def __init__(self, use_scale: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale

    def build(self, input_shape: Any) -> None:
        size = TensorShape(input_shape[1]).as_list()[-1]
        self.scale = self.add_weight("scale", [size], None, "glorot_uniform") if self.use_scale else None

    def scores(self, query: Any, key: Any) -> Any:
        joined = tf.tanh(tf.expand_dims(query, -2) + tf.expand_dims(key, -3))
        return tf.reduce_sum(joined if self.scale is None else self.scale * joined, axis=-1)


class _Convolving(Layer):
    """What a kernel moved over an image takes; channels come last."""

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        if options.get("data_format") == "channels_first":
            raise NotImplementedError(f"keras.layers.{type(self).__name__} with data_format='channels_first'")
        self.activation = tf.keras.activations.get(options.pop("activation", None))
        self.use_bias = options.pop("use_bias", True)
        self._rules = {
            name: (options.pop(f"{name}_initializer", default), options.pop(f"{name}_regularizer", None),
                   options.pop(f"{name}_constraint", None))
            for name, default in (("kernel", "glorot_uniform"), ("depthwise", "glorot_uniform"), ("bias", "zeros"))
        }  # fmt: skip
        options.pop("data_format", None)
        return options

    def _weight(self, label: str, shape: Any, rule: str | None = None) -> Any:
        initializer, regularizer, constraint = self._rules[rule or label]
        return self.add_weight(label, shape, None, initializer, regularizer, constraint=constraint)

    def _ended(self, outputs: Any) -> Any:
        if self.use_bias:
            outputs = outputs + self.bias
        return outputs if self.activation is None else self.activation(outputs)


def _many(value: Any, axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


@tf_export("keras.layers.DepthwiseConv2D")
class DepthwiseConv2D(_Convolving):
    """Every channel is convolved by itself."""

    def __init__(self, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid", depth_multiplier: int = 1,
                 data_format: Any = None, activation: Any = None, use_bias: bool = True,
                 **kwargs: Any) -> None:  # fmt: skip
        rest = self._options({**kwargs, "data_format": data_format, "activation": activation, "use_bias": use_bias})
        super().__init__(**rest)
        self.kernel_size, self.strides = _many(kernel_size, 2), _many(strides, 2)
        self.padding, self.depth_multiplier = padding.upper(), depth_multiplier

    def build(self, input_shape: Any) -> None:
        channels = TensorShape(input_shape).as_list()[-1]
        self.depthwise_kernel = self._weight(
            "depthwise_kernel", [*self.kernel_size, channels, self.depth_multiplier], "depthwise"
        )
        self.bias = self._weight("bias", [channels * self.depth_multiplier]) if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        made = tf.nn.depthwise_conv2d(inputs, self.depthwise_kernel, [1, *self.strides, 1], self.padding)
        return self._ended(made)


class _LocallyConnected(_Convolving):
    """A convolution whose kernel is another one at every place."""

    axes = 1

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                 data_format: Any = None, activation: Any = None, use_bias: bool = True, implementation: int = 1,
                 **kwargs: Any) -> None:  # fmt: skip
        if padding.lower() != "valid":
            raise ValueError(f"Invalid border mode for {type(self).__name__} (only valid is supported): {padding}")
        rest = self._options({**kwargs, "data_format": data_format, "activation": activation, "use_bias": use_bias})
        super().__init__(**rest)
        self.filters = filters
        self.kernel_size, self.strides = _many(kernel_size, self.axes), _many(strides, self.axes)

    def build(self, input_shape: Any) -> None:
        *sizes, channels = TensorShape(input_shape).as_list()[1:]
        if None in sizes:
            raise ValueError(f"The spatial dimensions of the inputs to {type(self).__name__} should be fully-defined")
        self._places = [(n - k) // s + 1 for n, k, s in zip(sizes, self.kernel_size, self.strides, strict=True)]
        window = channels
        for k in self.kernel_size:
            window *= k
        count = 1
        for n in self._places:
            count *= n
        self.kernel = self._weight("kernel", [count, window, self.filters])
        self.bias = self._weight("bias", [*self._places, self.filters]) if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        image = inputs if self.axes == 2 else tf.expand_dims(inputs, 2)
        windows = [[1, *(part + [1] * (2 - self.axes)), 1] for part in (self.kernel_size, self.strides)]
        patches = tf.extract_image_patches(image, *windows, [1, 1, 1, 1], "VALID")
        count, window = self.kernel.shape.as_list()[:2]
        rows = tf.transpose(tf.reshape(patches, [-1, count, window]), [1, 0, 2])
        made = tf.transpose(tf.matmul(rows, self.kernel), [1, 0, 2])
        return self._ended(tf.reshape(made, [-1, *self._places, self.filters]))


@tf_export("keras.layers.LocallyConnected1D")
class LocallyConnected1D(_LocallyConnected):
    """A kernel of its own at every step of a sequence."""


@tf_export("keras.layers.LocallyConnected2D")
class LocallyConnected2D(_LocallyConnected):
    """A kernel of its own at every place of an image."""

    axes = 2


@tf_export("keras.layers.ThresholdedReLU")
class ThresholdedReLU(_Elementwise):
    """x where x > theta, else 0."""

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = float(theta)

    def call(self, inputs: Any) -> Any:
        return inputs * tf.cast(inputs > self.theta, inputs.dtype)


@tf_export("keras.layers.AlphaDropout")
class AlphaDropout(_Noise):
    """Dropout that keeps selu's mean and variance (Klambauer et al., 2017)."""

    def __init__(self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def noised(self, inputs: Any) -> Any:
        if not 0.0 < self.rate < 1.0:
            return tf.identity(inputs)
        least = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946
        shape = tf.shape(inputs) if self.noise_shape is None else self.noise_shape
        kept = tf.cast(tf.random_uniform(shape, seed=self.seed) >= self.rate, inputs.dtype)
        scale = ((1 - self.rate) * (1 + self.rate * least**2)) ** -0.5
        return scale * (inputs * kept + least * (1 - kept)) - scale * least * self.rate


def _spatial_dropout(axes: int) -> None:
    """Drops whole channels of an image or a volume."""

    def start(self: Any, rate: float, data_format: Any = None, **kwargs: Any) -> None:
        if data_format == "channels_first":
            raise NotImplementedError(f"keras.layers.SpatialDropout{axes}D with data_format='channels_first'")
        _Noise.__init__(self, **kwargs)
        self.rate = rate

    def noised(self: Any, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        return tf.nn.dropout(inputs, noise_shape=[shape[0], *[1] * axes, shape[-1]], rate=self.rate)

    methods = {"__init__": start, "noised": noised, "__doc__": _spatial_dropout.__doc__}
    name = f"SpatialDropout{axes}D"
    tf_export(f"keras.layers.{name}")(type(name, (_Noise,), methods))


_spatial_dropout(2)
_spatial_dropout(3)


@tf_export("keras.layers.AbstractRNNCell")
class AbstractRNNCell(Layer):
    """The base of a program's own cells: `call(inputs, states)`, `state_size` and `output_size`."""

    def call(self, inputs: Any, states: Any) -> Any:
        raise NotImplementedError("Abstract method")

    @property
    def state_size(self) -> Any:
        raise NotImplementedError("Abstract method")

    @property
    def output_size(self) -> Any:
        raise NotImplementedError("Abstract method")

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """Zeros of the state's sizes."""
        from recurra.tf1 import nest

        rows = tf.shape(inputs)[0] if inputs is not None else batch_size
        return nest.map_structure(lambda n: tf.zeros([rows, int(n)], dtype or inputs.dtype), self.state_size)
