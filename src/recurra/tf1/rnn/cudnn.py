"""tf.contrib.cudnn_rnn's layers: stacks of recurrent layers with one flat variable, on the library's sequence kernels.

The flat variable holds, per layer and direction, the input and recurrent matrices of every gate (rows of units), then two bias
vectors of every gate, in cuDNN's order: i, f, j, o for the LSTM, r, u, candidate for the GRU.
"""  # noqa: E501

from __future__ import annotations

from functools import cache
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.layers.base import InputSpec, Layer
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.rnn.sequence_call import SequenceCall
from recurra.tf1.shapes import TensorShape

__all__ = ["CudnnGRU", "CudnnLSTM", "CudnnRNNRelu", "CudnnRNNTanh"]

tf = space("")


_sequence_call = cache(SequenceCall)


def _run(inputs: Any, state: list[Any], params: list[Any], *, family: str, fields: Any, options: Any) -> Any:
    outputs, final = _sequence_call(family, fields, options)(inputs, state, params)
    return (outputs, *final)


def _shapes(o: Any) -> list[TensorShape]:
    steps, batch = [*o.inputs[0].shape.as_list(), None, None][:2] if o.inputs[0].shape.rank else (None, None)
    units = o.inputs[1].shape.as_list()[-1]
    return [TensorShape([steps, batch, units]), *[TensorShape([batch, units])] * o.attrs["_lengths"]["state"]]


op("CudnnSequence", "inputs:T, state:S*T, params:P*T -> M*T", _run, shape=_shapes)

_DIRECTIONS = ("unidirectional", "bidirectional")
for _name, _value in (
    ("CUDNN_RNN_UNIDIRECTION", "unidirectional"),
    ("CUDNN_RNN_BIDIRECTION", "bidirectional"),
    ("CUDNN_INPUT_LINEAR_MODE", "linear_input"),
    ("CUDNN_INPUT_SKIP_MODE", "skip_input"),
    ("CUDNN_INPUT_AUTO_MODE", "auto_select"),
):
    export(_value, f"contrib.cudnn_rnn.{_name}")


class _CudnnRNN(Layer):
    """Time-major `layer(inputs [T, B, I], initial_state) -> (outputs [T, B, directions·units], states)`.

    States are [layers·directions, B, units]. Dropout acts between the layers, when `training`.
    """

    _gates: int
    _rnn_mode: str
    _states = 1

    def __init__(
        self,
        num_layers: int,
        num_units: int,
        input_mode: str = "linear_input",
        direction: str = "unidirectional",
        dropout: float = 0.0,
        seed: int | None = None,
        dtype: Any = dtypes.float32,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        name: str | None = None,
    ):
        super().__init__(dtype=dtype, name=name)
        if direction not in _DIRECTIONS:
            raise ValueError(f"Invalid direction: {direction}")
        if input_mode not in ("linear_input", "auto_select"):
            raise NotImplementedError(f"tf.contrib.cudnn_rnn with input_mode {input_mode!r}")
        if dtypes.as_dtype(dtype) not in (dtypes.float16, dtypes.float32, dtypes.float64):
            raise ValueError("Only support float16, float32, float64, provided %s" % dtype)  # noqa: UP031
        self._num_layers, self._num_units, self._direction = num_layers, num_units, direction
        self._input_mode, self._dropout, self._seed = input_mode, dropout, seed
        self._kernel_initializer = kernel_initializer or tf.glorot_uniform_initializer(seed=seed, dtype=dtype)
        self._bias_initializer = bias_initializer or tf.constant_initializer(0.0, dtype=dtype)
        self.input_spec = InputSpec(ndim=3)

    # -- what a program asks ------------------------------------------------------------------------------------------
    @property
    def num_layers(self) -> int:
        return self._num_layers

    @property
    def num_units(self) -> int:
        return self._num_units

    @property
    def input_mode(self) -> str:
        return self._input_mode

    @property
    def direction(self) -> str:
        return self._direction

    @property
    def num_dirs(self) -> int:
        return 2 if self._direction == "bidirectional" else 1

    @property
    def rnn_mode(self) -> str:
        return self._rnn_mode

    @property
    def canonical_weight_shapes(self) -> list[tuple[int, int]]:
        """The shapes of all matrices in the flat variable, in order."""
        shapes = []
        for layer in range(self._num_layers):
            width = self._input_size if layer == 0 else self._num_units * self.num_dirs
            for _ in range(self.num_dirs):
                shapes += [(self._num_units, width)] * self._gates + [(self._num_units, self._num_units)] * self._gates
        return shapes

    @property
    def canonical_bias_shapes(self) -> list[tuple[int]]:
        return [(self._num_units,)] * (2 * self._gates * self._num_layers * self.num_dirs)

    def state_shape(self, batch_size: Any) -> tuple[list[Any], ...]:
        """The shape of each state for a batch size."""
        return ([self._num_layers * self.num_dirs, batch_size, self._num_units],) * self._states

    @property
    def saveable(self) -> Any:
        raise NotImplementedError("tf.contrib.cudnn_rnn's canonical checkpoints: the flat variable itself is saved")

    # -- the layer ----------------------------------------------------------------------------------------------------
    def build(self, input_shape: Any) -> None:
        self._input_size = TensorShape(input_shape).as_list()[-1]
        if self._input_size is None:
            raise ValueError("The last dimension of the inputs to `CudnnRNN` should be defined. Found `None`.")
        weights, biases = self.canonical_weight_shapes, self.canonical_bias_shapes
        sizes = [rows * columns for rows, columns in weights] + [shape[0] for shape in biases]

        def initial(*_: Any, **__: Any) -> Any:
            parts = [self._kernel_initializer(s, dtype=self.dtype) for s in weights]
            parts += [self._bias_initializer(s, dtype=self.dtype) for s in biases]
            return tf.concat([tf.reshape(p, [-1]) for p in parts], 0)

        self.kernel = tf.get_variable("opaque_kernel", shape=[sum(sizes)], dtype=self.dtype, initializer=initial)
        self._trainable_weights.append(self.kernel)
        flat = tf.split(self.kernel, sizes, 0)
        self._matrices = [tf.reshape(p, s) for p, s in zip(flat, weights, strict=False)]
        self._vectors = flat[len(weights) :]
        self.built = True

    def call(self, inputs: Any, initial_state: Any = None, training: bool = True, **_: Any) -> Any:
        """Run the stack; zeros where no state is given."""
        given = initial_state if initial_state is None or self._states == 2 else _single(initial_state)
        given = self._zero_state(tf.shape(inputs)[1]) if given is None else tuple(given)
        rows = [tf.unstack(convert_to_tensor(s), num=self._num_layers * self.num_dirs) for s in given]
        finals: list[list[Any]] = []
        value = inputs
        for layer in range(self._num_layers):
            if layer and training and self._dropout > 0:
                value = tf.nn.dropout(value, keep_prob=1 - self._dropout, seed=self._seed)
            outputs = []
            for way in range(self.num_dirs):
                place = layer * self.num_dirs + way
                turned = tf.reverse(value, [0]) if way else value
                result, *final = self._sequence(place, turned, [r[place] for r in rows])
                outputs.append(tf.reverse(result, [0]) if way else result)
                finals.append(final)
            value = outputs[0] if len(outputs) == 1 else tf.concat(outputs, 2)
        return value, tuple(tf.stack(list(parts)) for parts in zip(*finals, strict=True))

    def _zero_state(self, batch: Any) -> tuple[Any, ...]:
        return tuple(tf.zeros(shape, self.dtype) for shape in self.state_shape(batch))

    def _parts(self, place: int) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Input matrices, recurrent matrices, input biases, recurrent biases of one layer and direction."""
        start, n = 2 * self._gates * place, self._gates
        matrices, vectors = self._matrices[start : start + 2 * n], self._vectors[start : start + 2 * n]
        return matrices[:n], matrices[n:], vectors[:n], vectors[n:]

    def _sequence(self, place: int, inputs: Any, state: list[Any]) -> Any:
        raise NotImplementedError

    def _apply(self, family: str, inputs: Any, state: list[Any], params: dict[str, Any], **options: Any) -> Any:
        return apply_op(
            "CudnnSequence",
            inputs,
            state,
            list(params.values()),
            family=family,
            fields=tuple(params),
            options=tuple(sorted(options.items())),
            M=len(state) + 1,
        )


def _single(state: Any) -> Any:
    return state if isinstance(state, list | tuple) else (state,)


def _kernel(inputs: list[Any], recurrent: list[Any], order: list[int]) -> Any:
    """[input + units, gates·units] of matrices [units, ·]."""
    rows = [tf.concat([inputs[g], recurrent[g]], 1) for g in order]
    return tf.transpose(tf.concat(rows, 0))


def _bias(first: list[Any], second: list[Any], order: list[int]) -> Any:
    return tf.concat([first[g] + second[g] for g in order], 0)


@tf_export("contrib.cudnn_rnn.CudnnLSTM")
class CudnnLSTM(_CudnnRNN):
    """LSTM layers; the state is (h, c), and no forget bias is added."""

    _gates, _rnn_mode, _states = 4, "lstm", 2

    def _sequence(self, place: int, inputs: Any, state: list[Any]) -> Any:
        wx, wh, bx, bh = self._parts(place)
        order = [0, 2, 1, 3]  # i, f, j, o to i, j, f, o
        params = {"kernel": _kernel(wx, wh, order), "bias": _bias(bx, bh, order)}
        h, c = state
        outputs, c, h = self._apply("lstm", inputs, [c, h], params, forget_bias=0.0, activation="tanh")
        return outputs, h, c


@tf_export("contrib.cudnn_rnn.CudnnGRU")
class CudnnGRU(_CudnnRNN):
    """GRU layers with the reset gate after the product."""

    _gates, _rnn_mode = 3, "gru"

    def _sequence(self, place: int, inputs: Any, state: list[Any]) -> Any:
        wx, wh, bx, bh = self._parts(place)
        params = {
            "gates_kernel": _kernel(wx, wh, [0, 1]),
            "gates_bias": _bias(bx, bh, [0, 1]),
            "input_kernel": tf.transpose(wx[2]),
            "input_bias": bx[2],
            "hidden_kernel": tf.transpose(wh[2]),
            "hidden_bias": bh[2],
        }
        return self._apply("gru_after", inputs, state, params, activation="tanh")


class _CudnnPlain(_CudnnRNN):
    _gates = 1
    _activation: str

    def _sequence(self, place: int, inputs: Any, state: list[Any]) -> Any:
        wx, wh, bx, bh = self._parts(place)
        params = {"kernel": _kernel(wx, wh, [0]), "bias": _bias(bx, bh, [0])}
        return self._apply("rnn", inputs, state, params, activation=self._activation)


@tf_export("contrib.cudnn_rnn.CudnnRNNTanh")
class CudnnRNNTanh(_CudnnPlain):
    """Plain layers with tanh."""

    _rnn_mode, _activation = "rnn_tanh", "tanh"


@tf_export("contrib.cudnn_rnn.CudnnRNNRelu")
class CudnnRNNRelu(_CudnnPlain):
    """Plain layers with ReLU."""

    _rnn_mode, _activation = "rnn_relu", "relu"
