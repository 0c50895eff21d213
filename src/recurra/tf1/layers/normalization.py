"""tf.layers' batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.cases import smart_cond, smart_constant_value
from recurra.tf1.layers.base import InputSpec, Layer
from recurra.tf1.names import tf_export
from recurra.tf1.ops import init, nn
from recurra.tf1.shapes import TensorShape

__all__ = ["BatchNormalization"]


@tf_export("layers.BatchNormalization")
class BatchNormalization(Layer):
    """Normalise over all axes but `axis`; moving averages are updated by the ops in GraphKeys.UPDATE_OPS."""

    def __init__(
        self,
        axis: Any = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = init.ZEROS,
        gamma_initializer: Any = init.ONES,
        moving_mean_initializer: Any = init.ZEROS,
        moving_variance_initializer: Any = init.ONES,
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        fused: bool | None = None,
        trainable: bool = True,
        virtual_batch_size: int | None = None,
        adjustment: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        if renorm or virtual_batch_size is not None or adjustment is not None:
            raise NotImplementedError("tf.layers.batch_normalization with renorm, virtual_batch_size or adjustment")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.momentum, self.epsilon, self.center, self.scale, self.fused = momentum, epsilon, center, scale, fused
        self.beta_initializer, self.gamma_initializer = init.get(beta_initializer), init.get(gamma_initializer)
        self.moving_mean_initializer = init.get(moving_mean_initializer)
        self.moving_variance_initializer = init.get(moving_variance_initializer)
        self.beta_regularizer, self.gamma_regularizer = beta_regularizer, gamma_regularizer
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint

    def build(self, input_shape: Any) -> None:
        dims = TensorShape(input_shape)
        if dims.ndims is None:
            raise ValueError("Input has undefined rank:", input_shape)
        if not isinstance(self.axis, int):
            if len(self.axis) != 1:
                raise NotImplementedError(f"tf.layers.batch_normalization over several axes: {self.axis}")
            self.axis = self.axis[0]
        self.axis %= dims.ndims
        channels = dims.as_list()[self.axis]
        if channels is None:
            raise ValueError("Input has undefined `axis` dimension. Input shape: ", input_shape)
        self.input_spec = InputSpec(ndim=dims.ndims, axes={self.axis: channels})
        if self.fused is None:
            self.fused = dims.ndims == 4 and self.axis in (1, 3)
        kind = dtypes.float32 if self.dtype in (None, "float16") else dtypes.as_dtype(self.dtype)

        def add(name, initializer, trainable, regularizer=None):
            return self.add_weight(
                name, (channels,), dtype=kind, initializer=initializer, regularizer=regularizer, trainable=trainable
            )

        self.gamma = add("gamma", self.gamma_initializer, True, self.gamma_regularizer) if self.scale else None
        self.beta = add("beta", self.beta_initializer, True, self.beta_regularizer) if self.center else None
        self.moving_mean = add("moving_mean", self.moving_mean_initializer, False)
        self.moving_variance = add("moving_variance", self.moving_variance_initializer, False)
        self.built = True

    def call(self, inputs: Any, training: Any = False) -> Any:
        fused = self.fused and inputs.get_shape().ndims == 4
        outputs, mean, variance = (self._fused if fused else self._plain)(inputs, training)
        outputs.set_shape(inputs.get_shape())
        if smart_constant_value(training) is not False:
            self._moving_updates(mean, variance, training)
        return outputs

    def _fused(self, inputs: Any, training: Any) -> tuple[Any, Any, Any]:
        layout = "NCHW" if self.axis == 1 else "NHWC"
        size = self.moving_mean.get_shape().as_list()
        gamma = self.gamma if self.scale else convert_to_tensor(np.ones(size, np.float32))
        beta = self.beta if self.center else convert_to_tensor(np.zeros(size, np.float32))

        def train():
            return nn.fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon, data_format=layout)

        def infer():
            return nn.fused_batch_norm(
                inputs, gamma, beta, self.moving_mean, self.moving_variance, self.epsilon, layout, is_training=False
            )

        return smart_cond(training, train, infer)

    def _plain(self, inputs: Any, training: Any) -> tuple[Any, Any, Any]:
        rank = inputs.get_shape().ndims
        axes = [a for a in range(rank) if a != self.axis]
        spread = axes != list(range(rank - 1))
        view = [1] * rank
        view[self.axis] = inputs.get_shape().as_list()[self.axis]
        mean, variance = smart_cond(
            training, lambda: nn.moments(inputs, axes), lambda: (_value(self.moving_mean), _value(self.moving_variance))
        )

        def shaped(v):
            return v if v is None or not spread else apply_op("Reshape", v, view)

        outputs = nn.batch_normalization(
            inputs, *(shaped(v) for v in (mean, variance, self.beta, self.gamma)), self.epsilon
        )
        return outputs, mean, variance

    def _moving_updates(self, mean: Any, variance: Any, training: Any) -> None:
        decay = smart_cond(training, lambda: convert_to_tensor(1.0 - self.momentum), lambda: convert_to_tensor(0.0))
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            with name_scope(None, "AssignMovingAvg", [moving, value]) as scope:
                delta = (_value(moving) - value) * decay
                self.add_update(moving.assign_sub(delta, name=scope).op)


def _value(variable: Any) -> Any:
    return convert_to_tensor(variable)


@tf_export("layers.batch_normalization")
def batch_normalization(
    inputs: Any,
    axis: Any = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_initializer: Any = init.ZEROS,
    gamma_initializer: Any = init.ONES,
    moving_mean_initializer: Any = init.ZEROS,
    moving_variance_initializer: Any = init.ONES,
    beta_regularizer: Any = None,
    gamma_regularizer: Any = None,
    beta_constraint: Any = None,
    gamma_constraint: Any = None,
    training: Any = False,
    trainable: bool = True,
    name: Any = None,
    reuse: Any = None,
    **more: Any,
) -> Any:
    inputs = convert_to_tensor(inputs)
    layer = BatchNormalization(
        axis,
        momentum,
        epsilon,
        center,
        scale,
        beta_initializer,
        gamma_initializer,
        moving_mean_initializer,
        moving_variance_initializer,
        beta_regularizer,
        gamma_regularizer,
        beta_constraint,
        gamma_constraint,
        trainable=trainable,
        name=name,
        dtype=inputs.dtype.base_dtype,
        _reuse=reuse,
        _scope=name,
        **more,
    )
    return layer(inputs, training=training)
