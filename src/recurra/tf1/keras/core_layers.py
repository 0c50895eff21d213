"""tf.keras.layers' plain layers: those of tf.layers with Keras' names and masks, and the small ones of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import nest
from recurra.tf1.keras.layer import Layer, map_shapes, mask_of
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


def _served(cls: type, *more: str) -> type:
    return export(cls, f"keras.layers.{cls.__name__}", *(f"keras.layers.{name}" for name in more))


_POOLING = ("pool_size", "strides", "padding", "data_format")


def _of_tf_layers(name: str, *more: str, masking: bool = False) -> None:
    """Serve a class of tf.layers as Keras has it."""
    cls = getattr(tf.layers, name)

    @functools.wraps(cls.__init__)
    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        if "Pool" in name:  # Keras has defaults where tf.layers has none
            kwargs = {"pool_size": 2, "strides": None, **dict(zip(_POOLING, args, strict=False)), **kwargs}
            args = ()
        if kwargs.get("data_format", 0) is None:
            del kwargs["data_format"]
        cls.__init__(self, *args, **kwargs)
        self.supports_masking = masking

    _served(type(name, (cls, Layer), {"__init__": start, "__doc__": cls.__doc__}), *more)


for _name in ("Dense", "Dropout", "BatchNormalization"):
    _of_tf_layers(_name, masking=True)
_of_tf_layers("Flatten")
for _name in (
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "SeparableConv1D",
    "SeparableConv2D",
):
    _of_tf_layers(_name, _name.replace("Conv", "Convolution"))
for _rank in (1, 2, 3):
    _of_tf_layers(f"MaxPooling{_rank}D", f"MaxPool{_rank}D")
    _of_tf_layers(f"AveragePooling{_rank}D", f"AvgPool{_rank}D")


class _Elementwise(Layer):
    """A layer whose output has the shape and the mask of its input."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@tf_export("keras.layers.Activation")
class Activation(_Elementwise):
    """A function of every element."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = tf.keras.activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


@tf_export("keras.layers.ReLU")
class ReLU(_Elementwise):
    def __init__(self, max_value: Any = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.options = {"alpha": negative_slope, "max_value": max_value, "threshold": threshold}

    def call(self, inputs: Any) -> Any:
        return tf.keras.backend.relu(inputs, **self.options)


@tf_export("keras.layers.LeakyReLU")
class LeakyReLU(_Elementwise):
    def __init__(self, alpha: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: Any) -> Any:
        return tf.nn.leaky_relu(inputs, self.alpha)


@tf_export("keras.layers.ELU")
class ELU(_Elementwise):
    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: Any) -> Any:
        return tf.keras.activations.elu(inputs, self.alpha)


@tf_export("keras.layers.Softmax")
class Softmax(_Elementwise):
    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        return tf.nn.softmax(inputs, axis=self.axis)


@tf_export("keras.layers.PReLU")
class PReLU(_Elementwise):
    """max(0, x) + alpha min(0, x), alpha learned."""

    def __init__(self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
                 shared_axes: Any = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.made = (alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = shared_axes or []

    def build(self, input_shape: Any) -> None:
        dims = [
            1 if i + 1 in self.shared_axes else int(d) for i, d in enumerate(TensorShape(input_shape).as_list()[1:])
        ]
        initializer, regularizer, constraint = self.made
        self.alpha = self.add_weight("alpha", dims, None, initializer, regularizer, constraint=constraint)

    def call(self, inputs: Any) -> Any:
        return tf.nn.relu(inputs) - self.alpha * tf.nn.relu(-inputs)


class _Noise(_Elementwise):
    """Something that happens in training only."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        from recurra.tf1.cases import smart_cond

        return smart_cond(training, lambda: self.noised(inputs), lambda: tf.identity(inputs))

    def noised(self, inputs: Any) -> Any:
        raise NotImplementedError


@tf_export("keras.layers.GaussianNoise")
class GaussianNoise(_Noise):
    def __init__(self, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev

    def noised(self, inputs: Any) -> Any:
        return inputs + tf.random_normal(tf.shape(inputs), stddev=self.stddev)


@tf_export("keras.layers.GaussianDropout")
class GaussianDropout(_Noise):
    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def noised(self, inputs: Any) -> Any:
        return inputs * tf.random_normal(tf.shape(inputs), 1.0, float(np.sqrt(self.rate / (1 - self.rate))))


@tf_export("keras.layers.SpatialDropout1D")
class SpatialDropout1D(_Noise):
    """Drops whole features of a sequence."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def noised(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        return tf.nn.dropout(inputs, noise_shape=[shape[0], 1, shape[2]], rate=self.rate)


@tf_export("keras.layers.ActivityRegularization")
class ActivityRegularization(_Elementwise):
    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=tf.keras.regularizers.L1L2(l1, l2), **kwargs)


@tf_export("keras.layers.Masking")
class Masking(_Elementwise):
    """Marks the time steps whose features all equal `mask_value`."""

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return tf.reduce_any(tf.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        kept = tf.reduce_any(tf.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return inputs * tf.cast(kept, inputs.dtype)


@tf_export("keras.layers.Embedding")
class Embedding(Layer):
    """Rows of a table; with `mask_zero`, row 0 marks padding."""

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
                 embeddings_regularizer: Any = None, activity_regularizer: Any = None,
                 embeddings_constraint: Any = None, mask_zero: bool = False, input_length: Any = None,
                 **kwargs: Any) -> None:  # fmt: skip
        if "input_shape" not in kwargs and "batch_input_shape" not in kwargs:
            length = (
                (None,) if input_length is None else (input_length,) if isinstance(input_length, int) else input_length
            )
            kwargs["input_shape"] = tuple(length)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.input_dim, self.output_dim, self.mask_zero = int(input_dim), int(output_dim), mask_zero
        self.input_length, self.supports_masking = input_length, mask_zero
        self.made = (embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self._dtype = "float32"

    def build(self, input_shape: Any) -> None:
        initializer, regularizer, constraint = self.made
        shape = (self.input_dim, self.output_dim)
        self.embeddings = self.add_weight("embeddings", shape, None, initializer, regularizer, constraint=constraint)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return tf.not_equal(inputs, 0) if self.mask_zero else None

    def call(self, inputs: Any) -> Any:
        indices = inputs if inputs.dtype.name in ("int32", "int64") else tf.cast(inputs, tf.int32)
        return tf.nn.embedding_lookup(self.embeddings, indices)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return TensorShape([*TensorShape(input_shape).as_list(), self.output_dim])


@tf_export("keras.layers.Reshape")
class Reshape(Layer):
    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Any) -> Any:
        made = tf.reshape(inputs, [tf.shape(inputs)[0], *self.target_shape])
        known = inputs.shape.as_list()[1:]
        size = None if None in known else int(np.prod(known))
        rest = -int(np.prod(self.target_shape))
        dims = [d if d != -1 else (size // rest if size is not None and rest else None) for d in self.target_shape]
        made.set_shape([None, *dims])
        return made


@tf_export("keras.layers.Permute")
class Permute(Layer):
    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)

    def call(self, inputs: Any) -> Any:
        return tf.transpose(inputs, [0, *self.dims])


@tf_export("keras.layers.RepeatVector")
class RepeatVector(Layer):
    """[B, F] n times: [B, n, F]."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def call(self, inputs: Any) -> Any:
        return tf.tile(tf.expand_dims(inputs, 1), [1, self.n, 1])


@tf_export("keras.layers.Lambda")
class Lambda(Layer):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Any], output_shape: Any = None, mask: Any = None, arguments: Any = None,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.function, self.arguments, self.mask = function, arguments or {}, mask
        self.supports_masking, self._output_shape = mask is not None, output_shape
        self._takes = set(inspect.signature(function).parameters) if callable(function) else set()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        more = {k: v for k, v in (("mask", mask), ("training", training)) if k in self._takes}
        return self.function(inputs, **{**more, **self.arguments})

    def compute_output_shape(self, input_shape: Any) -> Any:
        given = self._output_shape
        if given is None:
            return super().compute_output_shape(input_shape)
        if callable(given):
            return map_shapes(lambda shape: shape, given(input_shape))
        rows = nest.flatten(map_shapes(lambda shape: shape, input_shape))[0].as_list()[0]
        return map_shapes(lambda shape: TensorShape([rows, *shape.as_list()]), given)


# -- merging -----------------------------------------------------------------------------------------------------------
class _Merge(Layer):
    """Joins tensors; its mask is true where all masks are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, list | tuple) or len(inputs) < 1:
            raise ValueError("A merge layer should be called on a list of inputs.")
        return self.merge(list(inputs))

    def merge(self, inputs: list[Any]) -> Any:
        total = inputs[0]
        for tensor in inputs[1:]:
            total = self.join(total, tensor)
        return total

    def join(self, a: Any, b: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        found = [m for m in nest.flatten(mask) if m is not None] if mask is not None else []
        if not found:
            return None
        total = found[0]
        for item in found[1:]:
            total = tf.logical_and(total, item)
        return total


def _merging(name: str, join: Any, *functions: str) -> None:
    cls = type(name, (_Merge,), {"join": lambda self, a, b: join(a, b), "__doc__": f"{name} of tensors, by elements."})
    _served(cls)
    for function in functions:
        export(lambda inputs, **kwargs: cls(**kwargs)(inputs), f"keras.layers.{function}")


_merging("Add", lambda a, b: a + b, "add")
_merging("Subtract", lambda a, b: a - b, "subtract")
_merging("Multiply", lambda a, b: a * b, "multiply")
_merging("Maximum", lambda a, b: tf.maximum(a, b), "maximum")
_merging("Minimum", lambda a, b: tf.minimum(a, b), "minimum")


@tf_export("keras.layers.Average")
class Average(_Merge):
    def merge(self, inputs: list[Any]) -> Any:
        return tf.add_n(inputs) / float(len(inputs))


@tf_export("keras.layers.Concatenate")
class Concatenate(_Merge):
    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def merge(self, inputs: list[Any]) -> Any:
        return tf.concat(inputs, self.axis)


@tf_export("keras.layers.Dot")
class Dot(Layer):
    """Products of two tensors along `axes`, sample by sample."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Any) -> Any:
        a, b = inputs
        axes = [self.axes] * 2 if isinstance(self.axes, int) else list(self.axes)
        axes = [axis % x.shape.ndims for axis, x in zip(axes, (a, b), strict=True)]
        if self.normalize:
            a, b = tf.nn.l2_normalize(a, axes[0]), tf.nn.l2_normalize(b, axes[1])
        return tf.keras.backend.batch_dot(a, b, axes)


export(lambda inputs, **kw: Average(**kw)(inputs), "keras.layers.average")
export(lambda inputs, axis=-1, **kw: Concatenate(axis, **kw)(inputs), "keras.layers.concatenate")
export(lambda inputs, axes, normalize=False, **kw: Dot(axes, normalize, **kw)(inputs), "keras.layers.dot")


# -- over whole axes ---------------------------------------------------------------------------------------------------
def _global(name: str, reduce: str, axes: list[int], *more: str) -> None:
    def call(self: Any, inputs: Any, mask: Any = None) -> Any:
        found = mask_of(inputs) if mask is None else mask
        if found is not None and name == "GlobalAveragePooling1D":
            kept = tf.expand_dims(tf.cast(found, inputs.dtype), 2)
            return tf.reduce_sum(inputs * kept, axes) / tf.reduce_sum(kept, axes)
        return getattr(tf, reduce)(inputs, axes)

    methods = {"call": call, "compute_mask": lambda self, inputs, mask=None: None, "__doc__": f"{reduce} over {axes}."}
    _served(type(name, (Layer,), methods), *more)


_global("GlobalMaxPooling1D", "reduce_max", [1], "GlobalMaxPool1D")
_global("GlobalMaxPooling2D", "reduce_max", [1, 2], "GlobalMaxPool2D")
_global("GlobalMaxPooling3D", "reduce_max", [1, 2, 3], "GlobalMaxPool3D")
_global("GlobalAveragePooling1D", "reduce_mean", [1], "GlobalAvgPool1D")
_global("GlobalAveragePooling2D", "reduce_mean", [1, 2], "GlobalAvgPool2D")
_global("GlobalAveragePooling3D", "reduce_mean", [1, 2, 3], "GlobalAvgPool3D")


def _pairs(value: Any, axes: int) -> list[list[int]]:
    items = [value] * axes if isinstance(value, int) else list(value)
    if axes == 1 and len(items) == 2:
        items = [items]
    return [[item, item] if isinstance(item, int) else list(item) for item in items]


def _bordering(axes: int) -> None:
    """ZeroPadding and Cropping over `axes` axes, channels last."""

    def pad(self: Any, inputs: Any) -> Any:
        return tf.pad(inputs, [[0, 0], *self.border, [0, 0]])

    def crop(self: Any, inputs: Any) -> Any:
        window = [slice(a, -b if b else None) for a, b in self.border]
        return inputs[(slice(None), *window, slice(None))]

    for kind, call, option in (("ZeroPadding", pad, "padding"), ("Cropping", crop, "cropping")):

        def start(self: Any, border: Any = 1, data_format: Any = None, _option: str = option, **kwargs: Any) -> None:
            border = kwargs.pop(_option, border)
            Layer.__init__(self, **kwargs)
            if data_format == "channels_first":
                raise NotImplementedError(f"keras.layers.{type(self).__name__} with channels_first")
            self.border = _pairs(border, axes)

        _served(type(f"{kind}{axes}D", (Layer,), {"__init__": start, "call": call}))


for _axes in (1, 2, 3):
    _bordering(_axes)


def _upsampling(axes: int) -> None:
    def start(self: Any, size: Any = 2, data_format: Any = None, interpolation: str = "nearest", **kwargs: Any) -> None:
        Layer.__init__(self, **kwargs)
        if data_format == "channels_first" or interpolation != "nearest":
            raise NotImplementedError(f"keras.layers.{type(self).__name__} other than nearest, channels last")
        self.size = [size] * axes if isinstance(size, int) else list(size)

    def call(self: Any, inputs: Any) -> Any:
        for axis, times in enumerate(self.size, 1):
            inputs = tf.keras.backend.repeat_elements(inputs, times, axis)
        return inputs

    _served(type(f"UpSampling{axes}D", (Layer,), {"__init__": start, "call": call}))


for _axes in (1, 2, 3):
    _upsampling(_axes)
