"""tf.layers' dense, dropout and flatten, and the machinery of the functional forms."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.cases import smart_cond
from recurra.tf1.layers.base import InputSpec, Layer
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import init, nn
from recurra.tf1.ops.array_shape import reshape, shape
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.matmul import matmul, tensordot
from recurra.tf1.shapes import TensorShape

__all__ = ["Dense", "Dropout", "Flatten", "activation_of", "functional"]


def activation_of(activation: Any) -> Any:
    """A callable from what `activation=` may be: None, a function, or a Keras name."""
    from recurra.tf1 import names

    if activation is None or callable(activation):
        return activation
    if activation == "linear":
        return None
    for prefix in ("nn", "keras.activations"):
        try:
            return names.lookup(f"{prefix}.{activation}")
        except KeyError:
            continue
    raise ValueError(f"Unknown activation function:{activation}")


def functional(cls: type, name: str, *call_arguments: str) -> Callable[..., Any]:
    """`tf.layers.name(inputs, …)`: make the layer, call it. `call_arguments` (as "training") go to the call.

    The positional order is the constructor's with `reuse` last.
    """
    parameters = [p for p in inspect.signature(cls.__init__).parameters if p not in ("self", "kwargs")]
    order = [p for p in parameters if p not in ("name", "trainable")]
    order += [*call_arguments, *(["trainable"] if "trainable" in parameters else []), "name", "reuse"]

    def function(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(order, args, strict=False))
        given.update(kwargs)
        call = {a: given.pop(a) for a in call_arguments if a in given}
        reuse, label = given.pop("reuse", None), given.pop("name", None)
        inputs = convert_to_tensor(inputs)
        layer = cls(name=label, _reuse=reuse, _scope=label, dtype=inputs.dtype.base_dtype, **given)
        return layer(inputs, **call)

    function.__name__ = name
    return export(function, f"layers.{name}")


@tf_export("layers.Dense", "python.layers.core.Dense")
class Dense(Layer):
    """`activation(inputs @ kernel + bias)` over the last axis."""

    def __init__(
        self,
        units: int,
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
        self.units = int(units) if not isinstance(units, int) else units
        self.activation, self.use_bias = activation_of(activation), use_bias
        self.kernel_initializer, self.bias_initializer = init.get(kernel_initializer), init.get(bias_initializer)
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Any) -> None:
        depth = TensorShape(input_shape).as_list()[-1]
        if depth is None:
            raise ValueError("The last dimension of the inputs to `Dense` should be defined. Found `None`.")
        self.input_spec = InputSpec(min_ndim=2, axes={-1: depth})
        self.kernel = self.add_weight(
            "kernel",
            [depth, self.units],
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            dtype=self.dtype,
            trainable=True,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                [self.units],
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                dtype=self.dtype,
                trainable=True,
            )
        self.built = True

    def call(self, inputs: Any) -> Any:
        inputs = convert_to_tensor(inputs)
        if inputs.dtype.is_integer:
            inputs = cast(inputs, self.kernel.dtype.base_dtype)
        static = inputs.get_shape()
        if static.ndims is not None and static.ndims > 2:
            outputs = tensordot(inputs, self.kernel, [[static.ndims - 1], [0]])
            outputs.set_shape([*static.as_list()[:-1], self.units])
        else:
            outputs = matmul(inputs, self.kernel)
        if self.use_bias:
            outputs = nn.bias_add(outputs, self.bias)
        return self.activation(outputs) if self.activation is not None else outputs

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape).with_rank_at_least(2)[:-1].concatenate(self.units)


@tf_export("layers.Dropout")
class Dropout(Layer):
    """Dropout that is active only in training."""

    def __init__(
        self, rate: Any = 0.5, noise_shape: Any = None, seed: int | None = None, name: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def call(self, inputs: Any, training: Any = False) -> Any:
        def dropped() -> Any:
            return nn.dropout(inputs, noise_shape=self.noise_shape, seed=self.seed, rate=self.rate)

        return smart_cond(training, dropped, lambda: apply_op("Identity", inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@tf_export("layers.Flatten")
class Flatten(Layer):
    """All axes after the first in one."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format or "channels_last"
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        static = inputs.get_shape()
        if self.data_format == "channels_first" and static.ndims is not None and static.ndims > 2:
            inputs = apply_op("Transpose", inputs, [0, *range(2, static.ndims), 1])
        rows = static.values[0] if static.values else None
        columns = int(np.prod(static.values[1:])) if static.values and None not in static.values[1:] else None
        if columns is not None:
            outputs = reshape(inputs, [-1 if rows is None else rows, columns])
        else:
            outputs = reshape(inputs, apply_op("Pack", [shape(inputs)[0], -1], axis=0))
        outputs.set_shape([rows, columns])
        return outputs

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        return TensorShape([dims[0], None if None in dims[1:] else int(np.prod(dims[1:]))])  # type: ignore[arg-type]


functional(Dense, "dense")
functional(Dropout, "dropout", "training")
export(
    lambda inputs, name=None, data_format="channels_last": Flatten(name=name, data_format=data_format)(
        convert_to_tensor(inputs)
    ),
    "layers.flatten",
)
