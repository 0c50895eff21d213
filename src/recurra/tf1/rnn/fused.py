"""tf.contrib.rnn's fused cells: LSTMBlockCell, GRUBlockCell, LSTMBlockFusedCell and the adaptors; cuDNN-compatible cells."""  # noqa: E501

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from recurra.cells.lstm import LSTMState
from recurra.kernels.scan import scan
from recurra.tf1 import eras, names
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.layers.base import InputSpec, Layer
from recurra.tf1.names import export, tf_export
from recurra.tf1.rnn.base import LayerRNNCell, LSTMStateTuple, depth_of
from recurra.tf1.rnn.dynamic import dynamic_rnn
from recurra.tf1.rnn.library import library_call
from recurra.tf1.rnn.static import static_rnn
from recurra.tf1.rnn.steps import cell_step


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


def block_step(x: Any, c: Any, h: Any, kernel: Any, bias: Any, peeps: Any, forget_bias: float, cell_clip: float) -> Any:
    """LSTMCell's step, but the clip lets gradients pass, as the block operation's gradient does."""
    i, j, f, o = (torch.cat([x, h], -1) @ kernel + bias).chunk(4, -1)
    if peeps:
        i, f = i + peeps[0] * c, f + peeps[1] * c
    c = torch.sigmoid(f + forget_bias) * c + torch.sigmoid(i) * torch.tanh(j)
    if cell_clip > 0:
        c = c + (c.clamp(-cell_clip, cell_clip) - c).detach()
    if peeps:
        o = o + peeps[2] * c
    return c, torch.sigmoid(o) * torch.tanh(c)


@tf_export("contrib.rnn.LSTMBlockCell")
class LSTMBlockCell(LayerRNNCell):
    """LSTMCell as one operation; same variables."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        cell_clip: Any = None,
        use_peephole: bool = False,
        dtype: Any = None,
        reuse: Any = None,
        name: str = "lstm_cell",
        **kwargs: Any,
    ):
        if eras.current() < (1, 0):
            name = "LSTMBlockCell"
        super().__init__(_reuse=reuse, dtype=dtype, name=name)
        self._num_units, self._forget_bias = num_units, forget_bias
        self._cell_clip = -1 if cell_clip is None else cell_clip
        self._use_peephole = use_peephole
        self.input_spec = InputSpec(ndim=2)

    @property
    def state_size(self) -> Any:
        return LSTMStateTuple(self._num_units, self._num_units)

    @property
    def output_size(self) -> Any:
        return self._num_units

    def build(self, inputs_shape: Any) -> None:
        n = self._num_units
        self._kernel = self.add_variable("kernel", [depth_of(inputs_shape) + n, 4 * n])
        self._bias = self.add_variable("bias", [4 * n], initializer=tf("constant_initializer")(0.0))
        self._peeps = [self.add_variable(f"w_{g}_diag", [n]) for g in ("i", "f", "o")] if self._use_peephole else []
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        if len(state) != 2:
            raise ValueError("Expecting state to be a tuple with length 2.")
        c, h = state
        if not self._peeps and self._cell_clip <= 0:
            params = {"kernel": self._kernel, "bias": self._bias}
            new_c, new_h = cell_step(
                "lstm", inputs, [c, h], params, forget_bias=float(self._forget_bias), activation="tanh"
            )
        else:
            forget, clip = float(self._forget_bias), float(self._cell_clip)
            new_c, new_h = library_call(
                lambda x, c, h, k, b, p: block_step(x, c, h, k, b, p, forget, clip),
                inputs,
                c,
                h,
                self._kernel,
                self._bias,
                self._peeps,
                count=2,
            )
        return new_h, LSTMStateTuple(new_c, new_h)


@tf_export("contrib.cudnn_rnn.CudnnCompatibleLSTMCell")
class CudnnCompatibleLSTMCell(LSTMBlockCell):
    """LSTMBlockCell without a forget bias, as cuDNN's."""

    def __init__(self, num_units: int, reuse: Any = None):
        super().__init__(
            num_units, forget_bias=0, cell_clip=None, use_peephole=False, reuse=reuse, name="cudnn_compatible_lstm_cell"
        )


@tf_export("contrib.rnn.GRUBlockCell")
class GRUBlockCell(LayerRNNCell):
    """GRUCell as one operation, with variables w_ru, b_ru, w_c, b_c."""

    _names = ("w_ru", "b_ru", "w_c", "b_c")

    def __init__(self, num_units: Any = None, cell_size: Any = None, reuse: Any = None, name: str = "gru_cell"):
        super().__init__(_reuse=reuse, name=name)
        if (cell_size is None) == (num_units is None):
            raise ValueError("Exactly one of num_units or cell_size must be provided.")
        self._cell_size = cell_size if num_units is None else num_units
        self.input_spec = InputSpec(ndim=2)

    @property
    def state_size(self) -> Any:
        return self._cell_size

    @property
    def output_size(self) -> Any:
        return self._cell_size

    def build(self, inputs_shape: Any) -> None:
        depth, n = depth_of(inputs_shape), self._cell_size
        constant = tf("constant_initializer")
        w_ru, b_ru, w_c, b_c = self._names
        self._w_ru = self.add_variable(w_ru, [depth + n, 2 * n])
        self._b_ru = self.add_variable(b_ru, [2 * n], initializer=constant(1.0))
        self._w_c = self.add_variable(w_c, [depth + n, n])
        self._b_c = self.add_variable(b_c, [n], initializer=constant(0.0))
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        params = {
            "gates_kernel": self._w_ru,
            "gates_bias": self._b_ru,
            "candidate_kernel": self._w_c,
            "candidate_bias": self._b_c,
        }
        (new,) = cell_step("gru", inputs, [state], params, activation="tanh")
        return new, new


@tf_export("contrib.rnn.GRUBlockCellV2")
class GRUBlockCellV2(GRUBlockCell):
    """GRUBlockCell with GRUCell's variables."""

    _names = ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")


@tf_export("contrib.cudnn_rnn.CudnnCompatibleGRUCell")
class CudnnCompatibleGRUCell(LayerRNNCell):
    """GRU with the reset gate after the product, as cuDNN's."""

    def __init__(self, num_units: int, reuse: Any = None, kernel_initializer: Any = None):
        super().__init__(_reuse=reuse, name="cudnn_compatible_gru_cell")
        self._num_units, self._kernel_initializer = num_units, kernel_initializer
        self.input_spec = InputSpec(ndim=2)

    @property
    def state_size(self) -> Any:
        return self._num_units

    @property
    def output_size(self) -> Any:
        return self._num_units

    def build(self, inputs_shape: Any) -> None:
        depth, n, init = depth_of(inputs_shape), self._num_units, self._kernel_initializer
        ones, zeros = tf("constant_initializer")(1.0), tf("zeros_initializer")()
        add = self.add_variable
        self._made = {
            "gates_kernel": add("gates/kernel", shape=[depth + n, 2 * n], initializer=init),
            "gates_bias": add("gates/bias", shape=[2 * n], initializer=ones),
            "input_kernel": add("candidate/input_projection/kernel", shape=[depth, n], initializer=init),
            "hidden_kernel": add("candidate/hidden_projection/kernel", shape=[n, n], initializer=init),
            "input_bias": add("candidate/input_projection/bias", shape=[n], initializer=zeros),
            "hidden_bias": add("candidate/hidden_projection/bias", shape=[n], initializer=zeros),
        }
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        (new,) = cell_step("gru_after", inputs, [state], self._made, activation="tanh")
        return new, new


@tf_export("contrib.rnn.LSTMBlockWrapper")
class LSTMBlockWrapper(Layer):
    """A fused LSTM over time-major inputs: subclasses say how big it is."""

    @property
    def num_units(self) -> int:
        raise NotImplementedError

    def call(self, inputs: Any, initial_state: Any = None, dtype: Any = None, sequence_length: Any = None) -> Any:
        """`inputs [T, B, d]` or a list of `[B, d]` -> (outputs in the same form, final state)."""
        as_list = isinstance(inputs, list)
        inputs = tf("stack")(inputs) if as_list else inputs
        shape = inputs.get_shape().with_rank(3)
        if shape.as_list()[2] is None:
            raise ValueError(f"Expecting inputs_shape[2] to be set: {shape}")
        batch = shape.as_list()[1] if shape.as_list()[1] is not None else tf("shape")(inputs)[1]
        if initial_state is None:
            if dtype is None:
                raise ValueError("Either initial_state or dtype needs to be specified")
            zeros = tf("zeros")(tf("stack")([batch, self.num_units]), dtype=dtype)
            initial_state = zeros, zeros
        elif len(initial_state) != 2:
            raise ValueError("Expecting initial_state to be a tuple with length 2 or None")
        lengths = None if sequence_length is None else tf("cast")(convert_to_tensor(sequence_length), "int64")
        outputs, c, h = self._run(inputs, initial_state[0], initial_state[1], lengths)
        if as_list:
            outputs = tf("unstack")(outputs)
        return outputs, LSTMStateTuple(c, h)

    def _run(self, inputs: Any, c: Any, h: Any, lengths: Any) -> Any:
        raise NotImplementedError


@tf_export("contrib.rnn.LSTMBlockFusedCell")
class LSTMBlockFusedCell(LSTMBlockWrapper):
    """The LSTM over whole sequences."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        cell_clip: Any = None,
        use_peephole: bool = False,
        reuse: Any = None,
        dtype: Any = None,
        name: str = "lstm_fused_cell",
    ):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._num_units, self._forget_bias = num_units, forget_bias
        self._cell_clip = -1 if cell_clip is None else cell_clip
        self._use_peephole = use_peephole
        self.input_spec = InputSpec(ndim=3)

    @property
    def num_units(self) -> int:
        return self._num_units

    def build(self, input_shape: Any) -> None:
        n, depth = self._num_units, input_shape.as_list()[-1]
        self._kernel = self.add_variable("kernel", [depth + n, 4 * n])
        self._bias = self.add_variable("bias", [4 * n], initializer=tf("constant_initializer")(0.0))
        self._peeps = [self.add_variable(f"w_{g}_diag", [n]) for g in ("i", "f", "o")] if self._use_peephole else []
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, list):
            kwargs = {**dict(zip(("initial_state", "dtype", "sequence_length", "scope"), args, strict=False)), **kwargs}
            outputs, state = super().__call__(tf("stack")(inputs), **kwargs)
            return tf("unstack")(outputs), state
        if len(args) > 3:
            kwargs["scope"], args = args[3], args[:3]
        return super().__call__(inputs, *args, **kwargs)

    def _run(self, inputs: Any, c: Any, h: Any, lengths: Any) -> Any:
        forget, clip = float(self._forget_bias), float(self._cell_clip)

        def sequence(x: Any, c: Any, h: Any, lengths: Any, kernel: Any, bias: Any, peeps: Any) -> Any:
            def step(row: Any, state: Any, _: Any) -> Any:
                new_c, new_h = block_step(row, *state, kernel, bias, peeps, forget, clip)
                return new_h, LSTMState(new_c, new_h)

            bound = None if lengths is None else lengths.clamp(0, x.shape[0])
            outputs, final = scan(step, x, LSTMState(c, h), bound, noted=True)
            return (outputs, *final)

        made = library_call(sequence, inputs, c, h, lengths, self._kernel, self._bias, self._peeps, count=3)
        steps, batch, _ = inputs.shape.as_list()
        for tensor, shape in zip(made, ([steps, batch, self._num_units], *[[batch, self._num_units]] * 2), strict=True):
            tensor.set_shape(shape)
        return made


class FusedRNNCell:
    """A cell over whole time-major sequences."""

    def __call__(
        self, inputs: Any, initial_state: Any = None, dtype: Any = None, sequence_length: Any = None, scope: Any = None
    ) -> Any:
        raise NotImplementedError


tf_export("contrib.rnn.FusedRNNCell")(FusedRNNCell)


@tf_export("contrib.rnn.FusedRNNCellAdaptor")
class FusedRNNCellAdaptor(FusedRNNCell):
    """Any cell as a fused one, by a loop."""

    def __init__(self, cell: Any, use_dynamic_rnn: bool = False):
        self._cell, self._use_dynamic_rnn = cell, use_dynamic_rnn

    def __call__(
        self, inputs: Any, initial_state: Any = None, dtype: Any = None, sequence_length: Any = None, scope: Any = None
    ) -> Any:
        """Time-major inputs, or a list -> (outputs in the same form, final state)."""
        as_list = isinstance(inputs, list)
        if self._use_dynamic_rnn:
            inputs = tf("stack")(inputs) if as_list else inputs
            outputs, state = dynamic_rnn(
                self._cell,
                inputs,
                sequence_length=sequence_length,
                initial_state=initial_state,
                dtype=dtype,
                time_major=True,
                scope=scope,
            )
            return (tf("unstack")(outputs, num=inputs.shape.as_list()[0]) if as_list else outputs), state
        steps = inputs if as_list else tf("unstack")(inputs)
        outputs, state = static_rnn(
            self._cell, steps, initial_state=initial_state, dtype=dtype, sequence_length=sequence_length, scope=scope
        )
        return (outputs if as_list else tf("stack")(outputs)), state


@tf_export("contrib.rnn.TimeReversedFusedRNN")
class TimeReversedFusedRNN(FusedRNNCell):
    """A fused cell from the last step to the first."""

    def __init__(self, cell: Any):
        self._cell = cell

    def _reverse(self, tensor: Any, lengths: Any) -> Any:
        if isinstance(tensor, list):
            return list(reversed(tensor))
        if lengths is not None:
            return tf("reverse_sequence")(tensor, lengths, 0, 1)
        return tf("reverse")(tensor, [0])

    def __call__(
        self, inputs: Any, initial_state: Any = None, dtype: Any = None, sequence_length: Any = None, scope: Any = None
    ) -> Any:
        """As the cell, over reversed time; a list is reversed entirely, whatever the lengths."""
        turned = self._reverse(inputs, sequence_length)
        outputs, state = self._cell(
            turned, initial_state=initial_state, dtype=dtype, sequence_length=sequence_length, scope=scope
        )
        return self._reverse(outputs, sequence_length), state


def _block_values(
    x: Any, w: Any, b: Any, c: Any, h: Any, peeps: Any, lengths: Any, forget_bias: float, cell_clip: float
) -> Any:
    """All that the block operation gives, over time: i, cs, f, o, ci, co, h."""
    rows: list[list[Any]] = []
    for t in range(x.shape[0]):
        i, j, f, o = (torch.cat([x[t], h], -1) @ w + b).chunk(4, -1)
        if peeps:
            i, f = i + peeps[0] * c, f + peeps[1] * c
        i, f, j = torch.sigmoid(i), torch.sigmoid(f + forget_bias), torch.tanh(j)
        c = f * c + i * j
        if cell_clip > 0:
            c = c + (c.clamp(-cell_clip, cell_clip) - c).detach()
        o = torch.sigmoid(o + peeps[2] * c if peeps else o)
        co = torch.tanh(c)
        h = o * co
        rows.append([i, c, f, o, j, co, h])
    stacked = [torch.stack(column) for column in zip(*rows, strict=True)]
    running = (torch.arange(x.shape[0]) < int(lengths)).reshape(-1, 1, 1)
    return tuple(torch.where(running, s, torch.zeros_like(s)) for s in stacked)


def block_lstm_values(
    seq_len_max: Any,
    x: Any,
    cs_prev: Any,
    h_prev: Any,
    w: Any,
    wci: Any,
    wcf: Any,
    wco: Any,
    b: Any,
    forget_bias: float = 1.0,
    cell_clip: float = 3,
    use_peephole: bool = False,
    name: str | None = None,
) -> Any:
    """gen_rnn_ops.block_lstm: (i, cs, f, o, ci, co, h), each [T, B, n]."""
    peeps = [wci, wcf, wco] if use_peephole else []
    made = library_call(
        lambda x, w, b, c, h, p, n: _block_values(x, w, b, c, h, p, n, float(forget_bias), float(cell_clip)),
        x,
        w,
        b,
        cs_prev,
        h_prev,
        peeps,
        seq_len_max,
        count=7,
        name=name,
    )
    shape = [*x.shape.as_list()[:2], w.shape.as_list()[1] // 4] if x.shape.rank == 3 else None
    for tensor in made:
        tensor.set_shape(shape)
    return _BlockLSTM(*made)


class _BlockLSTM(NamedTuple):
    i: Any
    cs: Any
    f: Any
    o: Any
    ci: Any
    co: Any
    h: Any


export(
    block_lstm_values,
    "python.ops.gen_rnn_ops.block_lstm",
    "contrib.rnn.ops.gen_lstm_ops.block_lstm",
    "raw_ops.BlockLSTM",
)
tf_export("python.ops.gen_rnn_ops.BlockLSTM")(block_lstm_values)


@tf_export("python.ops.gen_rnn_ops.block_lstmv2", "python.ops.gen_rnn_ops.BlockLSTMV2", "raw_ops.BlockLSTMV2")
def block_lstm_v2(
    seq_len_max: Any,
    x: Any,
    cs_prev: Any,
    h_prev: Any,
    w: Any,
    wci: Any,
    wcf: Any,
    wco: Any,
    b: Any,
    cell_clip: float = 0,
    use_peephole: bool = False,
    name: str | None = None,
) -> Any:
    """The block operation with the gates in the order i, f, c, o and no bias added to the forget gate.

    The gradients of `w` and `b` come in the order i, c, f, o, as those of 1.15's kernel do.
    """
    kernel, bias = (library_call(_InOldOrder.apply, value, count=1)[0] for value in (w, b))
    for made, value in ((kernel, w), (bias, b)):
        made.set_shape(value.shape)
    peeps = wci, wcf, wco
    return block_lstm_values(seq_len_max, x, cs_prev, h_prev, kernel, *peeps, bias, 0.0, cell_clip, use_peephole, name)


class _InOldOrder(torch.autograd.Function):
    """Gates i, f, c, o as i, c, f, o. 1.15's kernel forgets to put the gradients back."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        i, f, c, o = value.chunk(4, -1)
        return torch.cat([i, c, f, o], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return grad


@tf_export("contrib.rnn.python.ops.lstm_ops._block_lstm")
def block_lstm(
    seq_len_max: Any,
    x: Any,
    w: Any,
    b: Any,
    cs_prev: Any = None,
    h_prev: Any = None,
    wci: Any = None,
    wcf: Any = None,
    wco: Any = None,
    forget_bias: Any = None,
    cell_clip: Any = None,
    use_peephole: Any = None,
    name: str | None = None,
) -> Any:
    """The block operation over a list of inputs; returns seven lists."""
    if w is None or b is None:
        raise ValueError("w and b must be given")
    size = w.shape.as_list()[1] // 4
    rows = [convert_to_tensor(t) for t in x]
    zero = tf("zeros")(tf("stack")([tf("shape")(rows[0])[0], size]), rows[0].dtype)
    made = block_lstm_values(
        seq_len_max,
        tf("stack")(rows),
        zero if cs_prev is None else cs_prev,
        zero if h_prev is None else h_prev,
        convert_to_tensor(w),
        wci,
        wcf,
        wco,
        b,
        1.0 if forget_bias is None else forget_bias,
        -1.0 if cell_clip is None else cell_clip,
        bool(use_peephole),
        name,
    )
    return tuple(tf("unstack")(t, num=len(rows)) for t in made)
