"""tf.keras.layers' cells: SimpleRNNCell, GRUCell, LSTMCell, StackedRNNCells, for TensorFlow's own loops (tf.nn.dynamic_rnn …).

Keras keeps the input's and the state's weights apart (kernel, recurrent_kernel), orders an LSTM's gates i, f, c, o and a
GRU's z, r, h, and squashes gates with the piecewise linear hard_sigmoid.
"""  # noqa: E501

from __future__ import annotations

from typing import Any

from recurra.tf1 import names, nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.layers.base import Layer
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import depth_of, zero_state_tensors
from recurra.tf1.tracking import Dependency


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


@tf_export("keras.activations.hard_sigmoid", "keras.backend.hard_sigmoid")
def hard_sigmoid(x: Any) -> Any:
    """0.2 x + 0.5, cut to [0, 1]."""
    return tf("clip_by_value")(0.2 * convert_to_tensor(x) + 0.5, 0.0, 1.0)


def _activation(given: Any) -> Any:
    """A function from Keras' name for it; None is the identity."""
    if given is None or given == "linear":
        return tf("identity")
    if not isinstance(given, str):
        return given
    for home in ("keras.activations", "nn", ""):
        try:
            return tf(f"{home}.{given}" if home else given)
        except KeyError:
            continue
    raise ValueError(f"Unknown activation function:{given}")


class _KerasCell(Layer):
    """`output, new_state = cell(inputs, state)`, the state in the form it came in (Keras' own loop passes a list)."""

    gates = 1

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls)
        made._made_with = (args, dict(kwargs))
        return made

    def get_config(self) -> dict[str, Any]:
        """What the cell was made with, by names, so that `from_config` makes its like."""
        from recurra.tf1.keras.layer import constructor_arguments
        from recurra.tf1.keras.saving import plain

        return {key: plain(value) for key, value in constructor_arguments(self).items()}

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        name: Any = None,
        dtype: Any = None,
        trainable: bool = True,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.units, self.use_bias = units, use_bias
        self.activation = _activation(activation)
        get = tf("keras.initializers.get")
        self._made = {
            "kernel": (get(kernel_initializer), kernel_regularizer),
            "recurrent_kernel": (get(recurrent_initializer), recurrent_regularizer),
            "bias": (get(bias_initializer), bias_regularizer),
        }
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.bias: Any = None

    @property
    def state_size(self) -> Any:
        return self.units

    @property
    def output_size(self) -> Any:
        return self.units

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """Zeros, in the structure of state_size."""
        if inputs is not None:
            batch_size, dtype = tf("shape")(inputs)[0], inputs.dtype
        return zero_state_tensors(self.state_size, batch_size, dtype)

    def build(self, input_shape: Any) -> None:
        n = self.gates * self.units
        self.kernel = self._add("kernel", [depth_of(input_shape), n])
        self.recurrent_kernel = self._add("recurrent_kernel", [self.units, n])
        if self.use_bias:
            self.bias = self._add("bias", [n])
        self.built = True

    def _add(self, name: str, shape: list[int]) -> Any:
        """A variable in the layer's name scope; Keras' weights are not shared through variable scopes."""
        initializer, regularizer = self._made[name]
        kind = as_dtype(self._dtype or "float32")
        variable = tf("Variable")(lambda: initializer(shape, dtype=kind), name=name, trainable=self.trainable)
        (self._trainable_weights if self.trainable else self._non_trainable_weights).append(variable)
        if regularizer:
            self._add_regularization(name, variable, regularizer)
        self._named_weights[name] = variable
        return variable

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:
        """One step. Dropout is of training mode, which TensorFlow's own loops do not ask for."""
        if training not in (None, False) and (self.dropout or self.recurrent_dropout):
            raise NotImplementedError(f"keras.layers.{type(self).__name__} with dropout, called with training=True")
        flat = nest.flatten(states)
        new = self._step(inputs, *flat)
        return new[0], nest.pack_sequence_as(states, new)

    def _step(self, inputs: Any, *state: Any) -> list[Any]:
        raise NotImplementedError

    def _products(self, inputs: Any, h: Any) -> Any:
        """inputs · kernel + bias and h · recurrent_kernel."""
        x = tf("matmul")(inputs, self.kernel)
        return (tf("nn.bias_add")(x, self.bias) if self.use_bias else x), tf("matmul")(h, self.recurrent_kernel)


@tf_export("keras.layers.SimpleRNNCell")
class SimpleRNNCell(_KerasCell):
    """h = activation(x · kernel + bias + h · recurrent_kernel)."""

    def _step(self, inputs: Any, *state: Any) -> list[Any]:
        x, h = self._products(inputs, state[0])
        return [self.activation(x + h)]


@tf_export("keras.layers.GRUCell")
class GRUCell(_KerasCell):
    """h = z · h + (1 − z) · h̃, with the reset gate before the product (after it with `reset_after`)."""

    gates = 3

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid", *args: Any,
        implementation: int = 1, reset_after: bool = False, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(units, activation, *args, **kwargs)
        self.recurrent_activation, self.reset_after = _activation(recurrent_activation), reset_after

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.reset_after and self.use_bias:
            raise NotImplementedError(
                "keras.layers.GRUCell(reset_after=True) with a bias is not implemented in recurra"
            )

    def _step(self, inputs: Any, *state: Any) -> list[Any]:
        h = state[0]
        x, products = self._products(inputs, h)
        x_z, x_r, x_h = tf("split")(x, 3, axis=1)
        u_z, u_r, u_h = tf("split")(products, 3, axis=1)
        z, r = self.recurrent_activation(x_z + u_z), self.recurrent_activation(x_r + u_r)
        candidate = r * u_h if self.reset_after else tf("matmul")(r * h, self.recurrent_kernel[:, 2 * self.units :])
        return [z * h + (1 - z) * self.activation(x_h + candidate)]


@tf_export("keras.layers.LSTMCell")
class LSTMCell(_KerasCell):
    """State [h, c]; the forget gate's bias starts at 1 with `unit_forget_bias`."""

    gates = 4

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid", *args: Any,
        unit_forget_bias: bool = True, implementation: int = 1, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(units, activation, *args, **kwargs)
        self.recurrent_activation, self.unit_forget_bias = _activation(recurrent_activation), unit_forget_bias
        if unit_forget_bias:
            initializer, regularizer = self._made["bias"]
            self._made["bias"] = (self._with_forget_bias(initializer), regularizer)

    def _with_forget_bias(self, initializer: Any) -> Any:
        n = self.units

        def initial(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
            parts = [initializer([n], dtype=dtype), tf("ones")([n], dtype), initializer([2 * n], dtype=dtype)]
            return tf("concat")(parts, 0)

        return initial

    @property
    def state_size(self) -> Any:
        return [self.units, self.units]

    def _step(self, inputs: Any, *state: Any) -> list[Any]:
        h, c = state
        x, products = self._products(inputs, h)
        i, f, candidate, o = tf("split")(x + products, 4, axis=1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(candidate)
        return [gate(o) * self.activation(c), c]


@tf_export("keras.layers.StackedRNNCells")
class StackedRNNCells(Layer):
    """Cells on top of each other; the state is a tuple of theirs."""

    def __init__(self, cells: Any, name: Any = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.cells = list(cells)
        self._layers = [self.cells]  # the second way to them that TensorFlow's checkpoints know

    @property
    def _checkpoint_dependencies(self) -> list[Dependency]:
        return [Dependency("cells", self.cells), Dependency("_layers", self._layers)]

    @property
    def state_size(self) -> Any:
        return tuple(cell.state_size for cell in self.cells)

    @property
    def output_size(self) -> Any:
        return self.cells[-1].output_size

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """The cells' initial states."""
        return tuple(cell.get_initial_state(inputs, batch_size, dtype) for cell in self.cells)

    def call(self, inputs: Any, states: Any) -> Any:
        """One step of every cell."""
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, after = cell(inputs, state)
            new.append(after)
        return inputs, tuple(new)
