"""tf.keras.layers.ConvLSTM2D: an LSTM whose products are convolutions (Shi et al., 2015)."""

from __future__ import annotations

import inspect
from typing import Any

from recurra.tf1.cases import smart_cond
from recurra.tf1.keras.layer import Layer
from recurra.tf1.keras.recurrent import RNN, _with_forget_bias
from recurra.tf1.layers.base import InputSpec
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class ConvLSTM2DCell(Layer):
    """One step on images [B, H, W, C]; the state is [h, c], the gates i, f, c, o."""

    def __init__(self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                 data_format: Any = None, dilation_rate: Any = (1, 1), activation: Any = "tanh",
                 recurrent_activation: Any = "hard_sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
                 recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, **kwargs: Any) -> None:  # fmt: skip
        if data_format == "channels_first":
            raise NotImplementedError("keras.layers.ConvLSTM2D with data_format='channels_first'")
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, _pair(kernel_size)
        self.strides, self.dilation_rate, self.padding = _pair(strides), _pair(dilation_rate), padding.upper()
        self.activation = tf.keras.activations.get(activation)
        self.recurrent_activation = tf.keras.activations.get(recurrent_activation)
        self.use_bias, self.unit_forget_bias = use_bias, unit_forget_bias
        self._rules = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "recurrent_kernel": (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        self.dropout, self.recurrent_dropout = min(1.0, max(0.0, dropout)), min(1.0, max(0.0, recurrent_dropout))
        self._drops: dict[str, Any] = {}

    @property
    def state_size(self) -> Any:
        return [self.filters, self.filters]

    @property
    def output_size(self) -> int:
        return self.filters

    def build(self, input_shape: Any) -> None:
        channels = TensorShape(input_shape).as_list()[-1]
        width = 4 * self.filters
        self.kernel = self._weight("kernel", [*self.kernel_size, channels, width])
        self.recurrent_kernel = self._weight("recurrent_kernel", [*self.kernel_size, self.filters, width])
        self.bias = self._weight("bias", [width]) if self.use_bias else None

    def _weight(self, label: str, shape: list[int]) -> Any:
        initializer, regularizer, constraint = self._rules[label]
        if label == "bias" and self.unit_forget_bias:
            initializer = _with_forget_bias(tf.keras.initializers.get(initializer), self.filters)
        return self.add_weight(label, shape, None, initializer, regularizer, constraint=constraint)

    def masks(self, inputs: Any, state: Any, training: Any) -> None:
        """Draw the dropout of all steps: one mask a gate, over the places and channels of an image."""
        rates = {"x": (self.dropout, inputs), "h": (self.recurrent_dropout, state)}
        for label, (rate, like) in rates.items():
            self._drops[label] = None
            if rate and training is not False:
                ones = tf.ones(tf.concat([[4], tf.shape(like)], 0))
                self._drops[label] = smart_cond(
                    training, lambda o=ones, r=rate: tf.nn.dropout(o, rate=r), lambda o=ones: tf.identity(o)
                )

    def _product(self, value: Any, kernel: Any, drop: Any, bias: Any, strides: list[int], padding: str,
                 rate: list[int]) -> list[Any]:  # fmt: skip
        kernels = tf.split(kernel, 4, axis=3)
        biases = [None] * 4 if bias is None else tf.split(bias, 4)
        made = []
        for gate in range(4):
            entry = value if drop is None else value * drop[gate]
            part = tf.nn.convolution(entry, kernels[gate], padding, strides=strides, dilation_rate=rate)
            made.append(part if bias is None else tf.nn.bias_add(part, biases[gate]))
        return made

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:
        h, c = states
        xs = self._product(
            inputs, self.kernel, self._drops.get("x"), self.bias, self.strides, self.padding, self.dilation_rate
        )
        hs = self._product(h, self.recurrent_kernel, self._drops.get("h"), None, [1, 1], "SAME", [1, 1])
        i, f, g, o = (x + r for x, r in zip(xs, hs, strict=True))
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]


_CELL = set(inspect.signature(ConvLSTM2DCell).parameters) - {"kwargs"}


@tf_export("keras.layers.ConvLSTM2D", "keras.layers.ConvRecurrent2D")
class ConvLSTM2D(RNN):
    """An LSTM over films [B, T, H, W, C]."""

    def __init__(self, filters: int, kernel_size: Any, *args: Any, activity_regularizer: Any = None,
                 **kwargs: Any) -> None:  # fmt: skip
        own = {k: kwargs.pop(k) for k in list(kwargs) if k in _CELL}
        cell = ConvLSTM2DCell(filters, kernel_size, *args, **own)
        super().__init__(cell, activity_regularizer=activity_regularizer, **kwargs)
        self.input_spec = [InputSpec(ndim=5)]
        self.filters, self.kernel_size = cell.filters, cell.kernel_size

    def build(self, input_shape: Any) -> None:
        shape = TensorShape(input_shape[0] if isinstance(input_shape, list | tuple) else input_shape).as_list()
        self.cell.build(TensorShape([shape[0], *shape[2:]]))
        self.cell.built = True
        if self.stateful:
            self._make_films(shape)
        self.built = True

    def _make_films(self, shape: list[Any]) -> None:
        if None in (shape[0], *shape[2:]):
            raise ValueError("If a RNN is stateful, it needs to know its batch size and the size of its images.")
        image = self._first(tf.zeros([shape[0], *shape[2:]])).shape.as_list()
        self.states = [tf.Variable(tf.zeros(image), trainable=False, name="state", use_resource=True) for _ in range(2)]

    def _first(self, image: Any) -> Any:
        """Zeros of the state's size: what a kernel of zeros makes of an image."""
        cell = self.cell
        zeros = tf.zeros([*cell.kernel_size, image.shape.as_list()[-1], cell.filters])
        return tf.nn.convolution(
            tf.zeros_like(image), zeros, cell.padding, strides=cell.strides, dilation_rate=cell.dilation_rate
        )

    def _first_state(self, inputs: Any) -> list[Any]:
        if self.stateful:
            return [v.read_value() for v in self.states]
        return [self._first(tf.reduce_sum(inputs, axis=1))] * 2

    def run(self, inputs: Any, mask: Any, state: list[Any], training: Any) -> tuple[Any, Any, list[Any]]:
        self.cell.masks(inputs[:, 0], state[0], training)
        return super().run(inputs, mask, state, training)
