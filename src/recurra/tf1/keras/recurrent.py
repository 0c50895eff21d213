"""tf.keras.layers.SimpleRNN, GRU, LSTM, RNN, Bidirectional and TimeDistributed.

A layer over one of Keras' own cells is one operation, KerasRNN: the inputs' products for all steps at once, then a loop over steps. Where
a step is masked, the state stays and the output of the step before is repeated, as Keras' loop has it.
"""  # noqa: E501

from __future__ import annotations

from typing import Any

import torch

from recurra.tf1 import nest, tracking
from recurra.tf1.build import apply_op
from recurra.tf1.keras.layer import Layer, mask_of
from recurra.tf1.layers.base import InputSpec
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

tf = space("")
_FUNCTIONS: dict[Any, Any] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0.0, 1.0),
    "relu": torch.relu,
    "linear": lambda x: x,
    "softsign": torch.nn.functional.softsign,
    "softplus": torch.nn.functional.softplus,
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "softmax": lambda x: torch.softmax(x, -1),
}


# -- the operation -----------------------------------------------------------------------------------------------------
def _lstm(x: Any, state: list[Any], kernel: Any, bias: Any, act: Any, gate: Any, drop: Any) -> list[Any]:
    h, c = state
    i, f, g, o = (x + _product(h, kernel, drop, 4)).chunk(4, -1)
    c = gate(f) * c + gate(i) * act(g)
    return [gate(o) * act(c), c]


def _gru(x: Any, state: list[Any], kernel: Any, bias: Any, act: Any, gate: Any, drop: Any) -> list[Any]:
    (h,) = state
    n = h.shape[-1]
    hs = [h] * 3 if drop is None else [h * d for d in drop]
    zr = x[..., : 2 * n] + torch.cat([hs[0] @ kernel[:, :n], hs[1] @ kernel[:, n : 2 * n]], -1)
    z, r = gate(zr[..., :n]), gate(zr[..., n:])
    new = act(x[..., 2 * n :] + (r * hs[2]) @ kernel[:, 2 * n :])
    return [z * h + (1 - z) * new]


def _gru_after(x: Any, state: list[Any], kernel: Any, bias: Any, act: Any, gate: Any, drop: Any) -> list[Any]:
    (h,) = state
    n = h.shape[-1]
    u = _product(h, kernel, drop, 3) + (0 if bias is None else bias)
    z, r = gate(x[..., :n] + u[..., :n]), gate(x[..., n : 2 * n] + u[..., n : 2 * n])
    return [z * h + (1 - z) * act(x[..., 2 * n :] + r * u[..., 2 * n :])]


def _simple(x: Any, state: list[Any], kernel: Any, bias: Any, act: Any, gate: Any, drop: Any) -> list[Any]:
    return [act(x + _product(state[0], kernel, drop, 1))]


def _product(h: Any, kernel: Any, drop: Any, gates: int) -> Any:
    if drop is None:
        return h @ kernel
    return torch.cat([(h * d) @ k for d, k in zip(drop, kernel.chunk(gates, -1), strict=True)], -1)


_STEPS = {"lstm": (_lstm, 4), "gru": (_gru, 3), "gru_after": (_gru_after, 3), "simple": (_simple, 1)}


def _run(
    inputs: Any, mask: list[Any], state: list[Any], params: list[Any], drops: list[Any], *, kind: str, activation: str,
    gate: str, backwards: bool, dropped: list[bool],
) -> list[Any]:  # fmt: skip
    """[outputs of all steps in the order of running [B, T, H], last output, final state …]."""
    step, gates = _STEPS[kind]
    kernel, recurrent, bias = (*params, None)[:3]
    drops = list(drops)
    x_drop = drops.pop(0) if dropped[0] else None
    h_drop = drops.pop(0) if dropped[1] else None
    step_bias = None
    if bias is not None and bias.dim() == 2:
        bias, step_bias = bias[0], bias[1]
    if x_drop is None:
        projected = inputs @ kernel
    else:
        parts = kernel.chunk(gates, -1)
        projected = torch.cat([(inputs * d.unsqueeze(1)) @ k for d, k in zip(x_drop, parts, strict=True)], -1)
    projected = projected if bias is None else projected + bias
    steps = projected.unbind(1)
    masks: Any = mask[0].unbind(1) if mask else None
    order = range(len(steps))[::-1] if backwards else range(len(steps))
    act, gated = _FUNCTIONS[activation], _FUNCTIONS[gate]
    output = torch.zeros_like(state[0])
    outputs = []
    for t in order:
        new = step(steps[t], state, recurrent, step_bias, act, gated, h_drop)
        if masks is None:
            state, output = new, new[0]
        else:
            kept = masks[t].reshape(-1, 1)
            output = torch.where(kept, new[0], output)
            state = [torch.where(kept, a, b) for a, b in zip(new, state, strict=True)]
        outputs.append(output)
    whole = torch.stack(outputs, 1) if outputs else inputs.new_zeros((inputs.shape[0], 0, output.shape[-1]))
    return [whole, output, *state]


def _shapes(o: Any) -> list[TensorShape]:
    batch, steps = (o.inputs[0].shape.values or (None, None))[:2]
    units = o.attrs["units"]
    return [TensorShape([batch, steps, units]), *[TensorShape([batch, units])] * (len(o.outputs) - 1)]


op(
    "KerasRNN",
    "inputs:T, mask:M*bool, state:S*T, params:P*T, drops:D*T -> R*T",
    _run,
    shape=_shapes,
)


# -- layers ------------------------------------------------------------------------------------------------------------
@tf_export("keras.layers.RNN")
class RNN(Layer):
    """A cell over the time steps of [B, T, F]."""

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False, time_major: bool = False,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(**kwargs)
        cell = [_cell_of(c) for c in cell] if isinstance(cell, list | tuple) else _cell_of(cell)
        self.cell = tf.keras.layers.StackedRNNCells(cell) if isinstance(cell, list) else cell
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll, self.time_major = go_backwards, stateful, unroll, time_major
        self.supports_masking = True
        self.states: Any = None
        self._constants, self._given = 0, []  # how many constants the cell is given at every step, and which

    def build(self, input_shape: Any) -> None:
        shape = _first_shape(input_shape)
        if not getattr(self.cell, "built", False) and hasattr(self.cell, "build"):
            with tf.name_scope(getattr(self.cell, "name", None) or "cell"):
                self.cell.build(TensorShape([shape.as_list()[0], shape.as_list()[-1]]))
                self.cell.built = True
        if self.stateful:
            self._make_states(shape.as_list()[0])
        self.built = True

    def _make_states(self, batch: Any) -> None:
        if batch is None:
            raise ValueError(
                "If a RNN is stateful, it needs to know its batch size. Specify the batch size of your input tensors: "
                "give `batch_input_shape` to the first layer, or `batch_shape` to Input."
            )
        sizes = nest.flatten(self.cell.state_size)
        self.states = [
            tf.Variable(tf.zeros([batch, int(size)]), trainable=False, name="state", use_resource=True)
            for size in sizes
        ]

    def reset_states(self, states: Any = None) -> None:
        """Set the kept states to `states`, or to zeros."""
        from recurra.tf1.keras.state import get_session

        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        if self.states is None:
            self._make_states((self.batch_input_shape or (None,))[0])
        session = get_session()
        given = [0] * len(self.states) if states is None else nest.flatten(states)
        for variable, value in zip(self.states, given, strict=True):
            variable.load(value + 0 * session.run(variable), session)

    def __call__(self, inputs: Any, initial_state: Any = None, constants: Any = None, **kwargs: Any) -> Any:
        if isinstance(inputs, list | tuple):
            inputs, rest = inputs[0], list(inputs[1:])
            if self._constants and constants is None:
                rest, constants = rest[: -self._constants], rest[-self._constants :]
            initial_state = rest or initial_state
        constants = [] if constants is None else list(nest.flatten(constants))
        if constants and isinstance(self, _OwnRNN):
            raise TypeError(f"{type(self).__name__} takes no constants: its cell has none")
        self._constants = len(constants)
        if initial_state is None and not constants:
            return super().__call__(inputs, **kwargs)
        self.input_spec = None
        whole = [inputs, *([] if initial_state is None else nest.flatten(initial_state)), *constants]
        kwargs.setdefault("mask", mask_of(inputs))
        return super().__call__(whole, **kwargs)

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:
        if isinstance(inputs, list | tuple):
            inputs, *rest = inputs
            border = len(rest) - self._constants
            initial_state, self._given = rest[:border], rest[border:]
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        if self.time_major:
            inputs = tf.transpose(inputs, [1, 0, 2])
        state = list(initial_state) if initial_state else self._first_state(inputs)
        whole, last, final = self.run(inputs, mask, state, training)
        if self.stateful:
            updates = [tf.assign(v, s).op for v, s in zip(self.states, final, strict=True)]
            self._updates += updates
        if self.time_major:
            whole = tf.transpose(whole, [1, 0, 2])
        output = whole if self.return_sequences else last
        return [output, *final] if self.return_state else output

    def _first_state(self, inputs: Any) -> list[Any]:
        if self.stateful:
            return [v.read_value() for v in self.states]
        if hasattr(self.cell, "get_initial_state"):
            made = self.cell.get_initial_state(inputs=inputs, batch_size=tf.shape(inputs)[0], dtype=inputs.dtype)
            return list(nest.flatten(made))
        rows = tf.shape(inputs)[0]
        return [tf.zeros([rows, int(size)], inputs.dtype) for size in nest.flatten(self.cell.state_size)]

    def run(self, inputs: Any, mask: Any, state: list[Any], training: Any) -> tuple[Any, Any, list[Any]]:
        """All outputs, the last one, and the final state, by a loop over any cell."""
        size = self.cell.state_size
        count = tf.shape(inputs)[1]
        swap = [1, 0, *range(2, inputs.shape.ndims)]
        steps = tf.transpose(inputs, swap)
        steps = tf.reverse(steps, [0]) if self.go_backwards else steps
        masks = None if mask is None else tf.transpose(tf.reverse(mask, [1]) if self.go_backwards else mask)
        first, _ = self._step(steps[0], state, size, training)
        outputs = tf.TensorArray(inputs.dtype, count)

        def body(t: Any, array: Any, before: Any, *state: Any) -> Any:
            output, new = self._step(steps[t], list(state), size, training)
            if masks is not None:
                kept = masks[t]
                output = tf.where(kept, output, before)
                new = [tf.where(kept, a, b) for a, b in zip(new, state, strict=True)]
            return (t + 1, array.write(t, output), output, *new)

        done = tf.while_loop(lambda t, *_: t < count, body, (tf.constant(0), outputs, tf.zeros_like(first), *state))
        whole = tf.transpose(done[1].stack(), [1, 0, *range(2, first.shape.ndims + 1)])
        whole.set_shape([inputs.shape[0], inputs.shape[1], *first.shape.as_list()[1:]])
        return whole, done[2], list(done[3:])

    def _step(self, inputs: Any, state: list[Any], size: Any, training: Any) -> tuple[Any, list[Any]]:
        if nest.is_nested(size):
            packed = nest.pack_sequence_as(size, state)
        else:  # Keras' own cells take a list, those of tf.nn.rnn_cell the tensor
            packed = state[0] if hasattr(self.cell, "_is_tf_rnn_cell") else state
        more = {"training": training} if getattr(self.cell, "_call_takes", lambda _: False)("training") else {}
        if self._given:
            more["constants"] = self._given
        call = (
            self.cell.call if isinstance(self.cell, tf.keras.layers.Layer) or hasattr(self.cell, "call") else self.cell
        )
        output, new = call(inputs, packed, **more)
        return output, list(nest.flatten(new))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        own = mask if self.return_sequences else None
        return [own, *[None] * len(nest.flatten(self.cell.state_size))] if self.return_state else own


def _cell_of(cell: Any) -> Any:
    """A cell, or the one that a configuration describes."""
    return tf.keras.layers.deserialize(cell) if isinstance(cell, dict) else cell


def _first_shape(shapes: Any) -> TensorShape:
    """The shape of the inputs, from a shape or a list that begins with it."""
    several = isinstance(shapes, list | tuple) and not all(isinstance(d, int | None) for d in shapes)
    return TensorShape(shapes[0] if several else shapes)


_TO_CELL = ("units", "activation", "recurrent_activation", "use_bias", "kernel_initializer", "recurrent_initializer",
            "bias_initializer", "unit_forget_bias", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
            "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout",
            "implementation", "reset_after")  # fmt: skip


class _CellWeights:
    """The cell inside a layer of this module, as a checkpoint knows it."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        return _own_weights(self._layer)


class _OwnRNN(RNN):
    """A layer over one of Keras' own cells, run as one operation."""

    kind = "simple"
    gates = 1
    order: tuple[str, ...] = ()
    defaults: dict[str, Any] = {"activation": "tanh", "recurrent_activation": "hard_sigmoid"}

    def __init__(self, units: int, *args: Any, **kwargs: Any) -> None:
        named = {**self.defaults, "units": units, **dict(zip(self.order, args, strict=False)), **kwargs}
        layer = {k: v for k, v in named.items() if k not in _TO_CELL}
        super().__init__(None, **layer)
        self.input_spec = [InputSpec(ndim=3)]
        self.units = int(named["units"])
        self.activation = _named(named["activation"])
        self.recurrent_activation = _named(named["recurrent_activation"])
        self.use_bias = named.get("use_bias", True)
        self.unit_forget_bias = named.get("unit_forget_bias", True) and self.kind == "lstm"
        self.dropout, self.recurrent_dropout = named.get("dropout", 0.0), named.get("recurrent_dropout", 0.0)
        if named.get("reset_after") and self.kind == "gru":
            self.kind = "gru_after"
        self.options = named
        self.cell = self
        self._cell_weights = _CellWeights(self)

    @property
    def state_size(self) -> Any:
        return [self.units] * (2 if self.kind == "lstm" else 1)

    @property
    def output_size(self) -> int:
        return self.units

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> list[Any]:
        """Zeros."""
        rows = tf.shape(inputs)[0] if inputs is not None else batch_size
        return [tf.zeros([rows, self.units], dtype or "float32") for _ in self.state_size]

    def _sublayers(self) -> list[Any]:
        return []

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        """TensorFlow's layers own a cell, which owns the weights; cuDNN's own them themselves."""
        return [tracking.Dependency("cell", self._cell_weights)]

    def build(self, input_shape: Any) -> None:
        shape = _first_shape(input_shape).as_list()
        width = self.gates * self.units
        self.kernel = self._add("kernel", [shape[-1], width], "glorot_uniform")
        self.recurrent_kernel = self._add("recurrent_kernel", [self.units, width], "orthogonal", "recurrent")
        self.bias = None
        if self.use_bias:
            rows = [2, width] if self.kind == "gru_after" else [width]
            self.bias = self._add("bias", rows, "zeros")
        if self.stateful:
            self._make_states(shape[0])
        self.built = True

    def _add(self, name: str, shape: list[int], default: str, prefix: str | None = None) -> Any:
        prefix = prefix or name
        chosen = self.options.get(f"{prefix}_initializer", default)
        if name == "bias" and self.unit_forget_bias:
            chosen = _with_forget_bias(tf.keras.initializers.get(chosen), self.units)
        return self.add_weight(
            name, shape, None, chosen, self.options.get(f"{prefix}_regularizer"),
            constraint=self.options.get(f"{prefix}_constraint"),
        )  # fmt: skip

    def run(self, inputs: Any, mask: Any, state: list[Any], training: Any) -> tuple[Any, Any, list[Any]]:
        params = [self.kernel, self.recurrent_kernel, *([] if self.bias is None else [self.bias])]
        params = [p.read_value() for p in params]
        rows = tf.shape(inputs)[0]
        widths = (int(inputs.shape[-1]), self.units)
        rates = (self.dropout, self.recurrent_dropout)
        dropped = [bool(rate) and training is not False for rate in rates]
        drops = [
            self._masks(rate, rows, width, training)
            for rate, width, used in zip(rates, widths, dropped, strict=True)
            if used
        ]
        results = apply_op(
            "KerasRNN",
            inputs,
            [] if mask is None else [tf.cast(mask, tf.bool)],
            state,
            params,
            drops,
            kind=self.kind,
            activation=self.activation,
            gate=self.recurrent_activation,
            backwards=self.go_backwards,
            dropped=dropped,
            units=self.units,
            R=2 + len(state),
        )
        return results[0], results[1], list(results[2:])

    def _masks(self, rate: float, rows: Any, width: int, training: Any) -> Any:
        """One mask a gate, the same for all steps; ones outside of training."""
        ones = tf.ones([self.gates, rows, width])
        if training is True:
            return tf.nn.dropout(ones, rate=rate)
        return tf.cond(training, lambda: tf.nn.dropout(ones, rate=rate), lambda: ones)


def _named(function: Any) -> str:
    name = "linear" if function is None else function if isinstance(function, str) else function.__name__
    if name not in _FUNCTIONS:
        raise NotImplementedError(f"a Keras recurrent layer with the activation {name!r} is not implemented in recurra")
    return name


def _with_forget_bias(initializer: Any, units: int) -> Any:
    def initial(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        first, rest = initializer([units], dtype=dtype), initializer([2 * units], dtype=dtype)
        return tf.concat([first, tf.ones([units], dtype), rest], 0)

    return initial


_SHARED = ("use_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer")
_RULES = ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer",
          "kernel_constraint", "recurrent_constraint", "bias_constraint", "dropout", "recurrent_dropout")  # fmt: skip


@tf_export("keras.layers.SimpleRNN")
class SimpleRNN(_OwnRNN):
    """h = activation(x · kernel + bias + h · recurrent_kernel)."""

    order = ("activation", *_SHARED, *_RULES)


@tf_export("keras.layers.GRU")
class GRU(_OwnRNN):
    """h = z · h + (1 − z) · h̃; the gates are z, r, h, squashed by the piecewise linear hard_sigmoid."""

    kind, gates = "gru", 3
    order = ("activation", "recurrent_activation", *_SHARED, *_RULES, "implementation")


@tf_export("keras.layers.LSTM")
class LSTM(_OwnRNN):
    """Gates i, f, c, o, squashed by the piecewise linear hard_sigmoid; the state is [h, c]."""

    kind, gates = "lstm", 4
    order = ("activation", "recurrent_activation", *_SHARED, "unit_forget_bias", *_RULES, "implementation")


def _own_weights(layer: Any) -> list[Any]:
    return [tracking.Dependency(*pair) for pair in layer._named_weights.items()]


@tf_export("keras.layers.CuDNNLSTM")
class CuDNNLSTM(LSTM):
    """An LSTM with cuDNN's sigmoid gates and its two biases."""

    order = ("kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias")
    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    _checkpoint_dependencies = property(_own_weights)


@tf_export("keras.layers.CuDNNGRU")
class CuDNNGRU(GRU):
    """A GRU with cuDNN's sigmoid gates, the reset gate after the product."""

    order = ("kernel_initializer", "recurrent_initializer", "bias_initializer")
    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
    _checkpoint_dependencies = property(_own_weights)


# -- wrappers ----------------------------------------------------------------------------------------------------------
class Wrapper(Layer):
    """A layer around another one."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        self.layer = layer
        super().__init__(**kwargs)


export(Wrapper, "keras.layers.Wrapper")


@tf_export("keras.layers.TimeDistributed")
class TimeDistributed(Wrapper):
    """A layer applied to every time step of [B, T, …]."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self._layers = [layer]  # TensorFlow's checkpoints know it by both names
        self.supports_masking = True

    def call(self, inputs: Any, training: Any = None) -> Any:
        static = inputs.shape.as_list()
        shape = tf.shape(inputs)
        flat = tf.reshape(inputs, tf.concat([[-1], shape[2:]], 0))
        flat.set_shape([None, *static[2:]])
        more = {"training": training} if training is not None and self.layer._call_takes("training") else {}
        output = self.layer(flat, **more)
        made = tf.reshape(output, tf.concat([shape[:2], tf.shape(output)[1:]], 0))
        made.set_shape([*static[:2], *output.shape.as_list()[1:]])
        return made


@tf_export("keras.layers.Bidirectional")
class Bidirectional(Wrapper):
    """A recurrent layer in both directions, joined by `merge_mode` (sum, mul, concat, ave or None)."""

    def __init__(self, layer: Any, merge_mode: Any = "concat", weights: Any = None, **kwargs: Any) -> None:
        if layer.batch_input_shape is not None:
            kwargs.setdefault("batch_input_shape", layer.batch_input_shape)
        super().__init__(layer, **kwargs)
        if merge_mode not in ("sum", "mul", "ave", "concat", None):
            raise ValueError("Invalid merge mode. Merge mode should be one of {sum, mul, ave, concat, None}")
        self.merge_mode = merge_mode
        self.forward_layer = layer
        self.backward_layer = self._turned(layer)
        self.forward_layer._name, self.backward_layer._name = f"forward_{layer.name}", f"backward_{layer.name}"
        self.layer = self.forward_layer
        self._layers = [self.forward_layer, self.backward_layer]
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.supports_masking = True

    @staticmethod
    def _turned(layer: Any) -> Any:
        args, kwargs = layer._made_with
        return type(layer)(*args, **{**kwargs, "go_backwards": not layer.go_backwards, "name": layer.name})

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:
        more: dict[str, Any] = {"mask": mask, "training": training}
        states: Any = (None, None)
        if isinstance(inputs, list | tuple):
            inputs, rest = inputs[0], list(inputs[1:])
            states = (rest[: len(rest) // 2], rest[len(rest) // 2 :])
            more["mask"] = mask[0] if isinstance(mask, list | tuple) else mask
        forward = nest.flatten(self.forward_layer(inputs, initial_state=states[0], **more))
        backward = nest.flatten(self.backward_layer(inputs, initial_state=states[1], **more))
        a, b = forward[0], backward[0]
        if self.return_sequences:
            b = tf.reverse(b, [1])
        joined = {
            "concat": lambda: tf.concat([a, b], -1),
            "sum": lambda: a + b,
            "ave": lambda: (a + b) / 2,
            "mul": lambda: a * b,
            None: lambda: [a, b],
        }[self.merge_mode]()
        if not self.return_state:
            return joined
        return [*(joined if isinstance(joined, list) else [joined]), *forward[1:], *backward[1:]]

    def __call__(self, inputs: Any, initial_state: Any = None, **kwargs: Any) -> Any:
        if initial_state is not None:
            inputs = [inputs, *nest.flatten(initial_state)]
        return super().__call__(inputs, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        own = mask if self.return_sequences else None
        masks = [own] * (2 if self.merge_mode is None else 1)
        return masks + [None] * 4 if self.return_state else masks

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        return [part for part in super()._checkpoint_dependencies if part.name != "layer"]

    def reset_states(self) -> None:
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()
