"""tf.contrib.rnn's cells of unusual form: convolutional, phased, over time and frequency, weight-normed, with a memory."""  # noqa: E501

from __future__ import annotations

from collections import namedtuple
from typing import Any

import torch

from recurra.cells import conv_lstm, grid_lstm, phased, time_freq, weight_norm
from recurra.cells.lstm import LSTM, LSTMOptions, LSTMParams, LSTMState
from recurra.tf1 import names
from recurra.tf1.names import export, tf_export
from recurra.tf1.rnn.base import LSTMStateTuple, RNNCell
from recurra.tf1.rnn.contrib_cells import Paired, cut_weight, input_depth, torch_activation, zeros_for
from recurra.tf1.rnn.library import count_operations, library_call
from recurra.tf1.rnn.steps import resolve_activation
from recurra.tf1.scopes import get_variable, variable_scope
from recurra.tf1.shapes import TensorShape


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


@tf_export("contrib.rnn.WeightNormLSTMCell", "contrib.rnn.python.ops.rnn_cell.WeightNormLSTMCell")
class WeightNormLSTMCell(Paired):
    """LSTM whose kernel columns have trained lengths."""

    def __init__(
        self,
        num_units: int,
        norm: bool = True,
        use_peepholes: bool = False,
        cell_clip: Any = None,
        initializer: Any = None,
        num_proj: Any = None,
        proj_clip: Any = None,
        forget_bias: float = 1,
        activation: Any = None,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._scope_name = "wn_lstm_cell"
        self._base_name = "wn_lstm_cell"
        self._num_units, self._norm, self._use_peepholes = num_units, norm, use_peepholes
        self._cell_clip, self._initializer, self._num_proj, self._proj_clip = (
            cell_clip,
            initializer,
            num_proj,
            proj_clip,
        )
        self._forget_bias, self._activation = forget_bias, resolve_activation(activation)

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        n, dtype = self._num_units, inputs.dtype
        c, h = state
        with variable_scope(self._scope_name, initializer=self._initializer):
            kernel = get_variable("kernel", [input_depth(inputs) + self._width, 4 * n], dtype=dtype)
            gains = [get_variable(f"norm_{i}", [4 * n], dtype=dtype) for i in range(2)] if self._norm else None
            bias = zeros_for("bias", 4 * n, dtype)
            peeps = (
                [get_variable(f"w_{g}_diag", shape=[n], dtype=dtype) for g in ("f", "i", "o")]
                if self._use_peepholes
                else None
            )
            projection, last = None, None
            if self._num_proj is not None:
                with variable_scope("projection"):
                    projection = get_variable("kernel", [n, self._num_proj], dtype=dtype)
                    last = get_variable("norm_0", [self._num_proj], dtype=dtype) if self._norm else None
        options = LSTMOptions(
            float(self._forget_bias),
            self._cell_clip,
            self._proj_clip if self._num_proj else None,
            torch_activation(self._activation),
        )

        def step(
            x: Any, c: Any, h: Any, kernel: Any, bias: Any, gains: Any, peeps: Any, projection: Any, last: Any
        ) -> Any:
            w_f, w_i, w_o = peeps or (None, None, None)
            params = LSTMParams(kernel, bias, w_i, w_f, w_o, projection)
            if gains is not None:
                params = weight_norm.weight_norm_lstm(params, weight_norm.WeightNormGains(*gains, last))
            return LSTM.step(params, x, LSTMState(c, h), options)[1]

        new_c, new_h = library_call(step, inputs, c, h, kernel, bias, gains, peeps, projection, last, count=2)
        return new_h, LSTMStateTuple(new_c, new_h)


class ConvLSTMCell(RNNCell):
    """LSTM over fields, channels last."""

    def __init__(
        self,
        conv_ndims: int,
        input_shape: Any,
        output_channels: int,
        kernel_shape: Any,
        use_bias: bool = True,
        skip_connection: bool = False,
        forget_bias: float = 1.0,
        initializers: Any = None,
        name: str = "conv_lstm_cell",
    ):
        super().__init__(name=name)
        if conv_ndims != len(input_shape) - 1:
            raise ValueError(f"Invalid input_shape {input_shape} for conv_ndims={conv_ndims}.")
        self._conv_ndims, self._input_shape, self._output_channels = conv_ndims, input_shape, output_channels
        self._kernel_shape, self._use_bias, self._skip_connection = list(kernel_shape), use_bias, skip_connection
        self._forget_bias = forget_bias
        channels = output_channels + (input_shape[-1] if skip_connection else 0)
        self._state_size = LSTMStateTuple(
            TensorShape([*input_shape[:-1], output_channels]), TensorShape([*input_shape[:-1], output_channels])
        )
        self._output_size = TensorShape([*input_shape[:-1], channels])

    @property
    def output_size(self) -> Any:
        return self._output_size

    @property
    def state_size(self) -> Any:
        return self._state_size

    def call(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        """One step."""
        c, h = state
        channels = inputs.shape.as_list()[-1] + h.shape.as_list()[-1]
        total = 4 * self._output_channels
        kernel = get_variable("kernel", [*self._kernel_shape, channels, total], dtype=inputs.dtype)
        biases = None
        if self._use_bias:
            biases = get_variable(
                "biases", [total], dtype=inputs.dtype, initializer=tf("constant_initializer")(0.0, dtype=inputs.dtype)
            )
        options = conv_lstm.ConvLSTMOptions(float(self._forget_bias), self._skip_connection, self._skip_connection)

        def step(x: Any, c: Any, h: Any, kernel: Any, biases: Any) -> Any:
            output, new = conv_lstm.CONV_LSTM.step(
                conv_lstm.ConvLSTMParams(kernel, biases), x, LSTMState(c, h), options
            )
            return (output, *new)

        output, new_c, new_h = library_call(step, inputs, c, h, kernel, biases, count=3)
        return output, LSTMStateTuple(new_c, new_h)


export(ConvLSTMCell, "contrib.rnn.ConvLSTMCell")


def _of_rank(rank: int) -> type:
    def __init__(self: Any, name: str = f"conv_{rank}d_lstm_cell", **kwargs: Any) -> None:
        ConvLSTMCell.__init__(self, conv_ndims=rank, name=name, **kwargs)

    made = type(
        f"Conv{rank}DLSTMCell", (ConvLSTMCell,), {"__init__": __init__, "__doc__": f"ConvLSTMCell over {rank} axes."}
    )
    return export(made, f"contrib.rnn.Conv{rank}DLSTMCell")


Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell = (_of_rank(rank) for rank in (1, 2, 3))


@tf_export("contrib.rnn.PhasedLSTMCell")
class PhasedLSTMCell(Paired):
    """LSTM whose units open in phases of their own; inputs are (time [B, 1], x)."""

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        leak: float = 0.001,
        ratio_on: float = 0.1,
        trainable_ratio_on: bool = True,
        period_init_min: float = 1.0,
        period_init_max: float = 1000.0,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._use_peepholes, self._leak, self._ratio_on = num_units, use_peepholes, leak, ratio_on
        self._trainable_ratio_on = trainable_ratio_on
        self._period_init_min, self._period_init_max = period_init_min, period_init_max

    def _linear(self, scope: str, rows: int, columns: int, dtype: Any, operations: int) -> list[Any]:
        with variable_scope(scope):
            made = [get_variable("kernel", [rows, columns], dtype=dtype), zeros_for("bias", columns, dtype)]
        count_operations(operations)
        return made

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        c, h = state
        time, x = inputs
        n, dtype = self._num_units, x.dtype
        rows = input_depth(x) + n
        # TensorFlow computes between the variables: the period's seed counts those operations.
        masks = self._linear("mask_gates", rows + (n if self._use_peepholes else 0), 2 * n, dtype, operations=8)
        new_input = self._linear("new_input", rows, n, dtype, operations=8)
        gate = self._linear("output_gate", rows + (n if self._use_peepholes else 0), n, dtype, operations=7)
        low, high = self._period_init_min, self._period_init_max

        def exp_uniform(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
            return tf("exp")(tf("random_uniform")(shape, tf("log")(low), tf("log")(high), dtype))

        period = get_variable("period", [n], initializer=exp_uniform, dtype=dtype)
        phase = get_variable(
            "phase",
            [n],
            dtype=dtype,
            initializer=lambda shape, dtype=None, partition_info=None: tf("random_uniform")(
                shape, 0.0, period.initial_value, dtype
            ),
        )
        ratio = get_variable(
            "ratio_on",
            [n],
            dtype=dtype,
            initializer=tf("constant_initializer")(self._ratio_on),
            trainable=self._trainable_ratio_on,
        )
        options = phased.PhasedLSTMOptions(leak=self._leak, peepholes=self._use_peepholes)

        def step(
            time: Any,
            x: Any,
            c: Any,
            h: Any,
            masks: Any,
            new_input: Any,
            gate: Any,
            period: Any,
            phase: Any,
            ratio: Any,
        ) -> Any:
            params = phased.PhasedLSTMParams(*masks, *new_input, *gate, period, phase, ratio)
            return phased.PHASED_LSTM.step(params, (time.to(x.dtype), x), LSTMState(c, h), options)[1]

        new_c, new_h = library_call(step, time, x, c, h, masks, new_input, gate, period, phase, ratio, count=2)
        return new_h, LSTMStateTuple(new_c, new_h)


@tf_export("contrib.rnn.TimeFreqLSTMCell")
class TimeFreqLSTMCell(RNNCell):
    """LSTM over windows of the features. As in TensorFlow, the sizes it reports are those of one window."""

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        cell_clip: Any = None,
        initializer: Any = None,
        num_unit_shards: int = 1,
        forget_bias: float = 1.0,
        feature_size: Any = None,
        frequency_skip: int = 1,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._use_peepholes, self._cell_clip = num_units, use_peepholes, cell_clip
        self._initializer, self._num_unit_shards, self._forget_bias = initializer, num_unit_shards, forget_bias
        self._feature_size, self._frequency_skip = feature_size, frequency_skip

    @property
    def output_size(self) -> Any:
        return self._num_units

    @property
    def state_size(self) -> Any:
        return 2 * self._num_units

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        n, dtype = self._num_units, inputs.dtype
        depth = inputs.get_shape().with_rank(2).as_list()[1]
        if depth is None:
            raise ValueError("Cannot infer input_size from static shape inference.")
        size = self._feature_size or depth
        with variable_scope(tf("get_variable_scope")(), initializer=self._initializer):
            kernel = cut_weight("W", [size + 2 * n, 4 * n], dtype, self._num_unit_shards)
            bias = get_variable("B", shape=[4 * n], initializer=tf("zeros_initializer")(), dtype=dtype)
            peeps = (
                [get_variable(f"W_{g}_diag", shape=[n], dtype=dtype) for g in ("F", "I", "O")]
                if self._use_peepholes
                else []
            )
        options = time_freq.TimeFreqOptions(size, self._frequency_skip, float(self._forget_bias), self._cell_clip)
        output, new = library_call(
            lambda x, s, *p: time_freq.TIME_FREQ_LSTM.step(time_freq.TimeFreqParams(*p), x, s, options),
            inputs,
            state,
            kernel,
            bias,
            *peeps,
            count=2,
        )
        return output, new


@tf_export("contrib.rnn.GridLSTMCell")
class GridLSTMCell(RNNCell):
    """LSTM over time and over frequency at once."""

    _directions: tuple[str, ...] = ("",)

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        share_time_frequency_weights: bool = False,
        cell_clip: Any = None,
        initializer: Any = None,
        num_unit_shards: int = 1,
        forget_bias: float = 1.0,
        feature_size: Any = None,
        frequency_skip: Any = None,
        num_frequency_blocks: Any = None,
        start_freqindex_list: Any = None,
        end_freqindex_list: Any = None,
        couple_input_forget_gates: bool = False,
        state_is_tuple: bool = True,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._use_peepholes, self._share = num_units, use_peepholes, share_time_frequency_weights
        self._couple, self._state_is_tuple, self._cell_clip = couple_input_forget_gates, state_is_tuple, cell_clip
        self._num_unit_shards, self._forget_bias = num_unit_shards, forget_bias
        self._feature_size, self._frequency_skip = feature_size, frequency_skip
        self._start, self._end = start_freqindex_list, end_freqindex_list
        if num_frequency_blocks is None:
            raise ValueError("Must specify num_frequency_blocks")
        self._counts = list(num_frequency_blocks)
        if (self._start is None) != (self._end is None) or (self._start and len(self._start) != len(self._end)):
            raise ValueError(
                "Length of start and end freqindex_list does not match. Please specify the start and end frequency indices "  # noqa: E501
                f"of each block: {self._start}, {self._end}"
            )
        if self._start is not None and len(self._start) != len(self._counts):
            raise ValueError(
                "Length of num_frequency_blocks is not the same as start_freqindex_list. Please specify the number of blocks."  # noqa: E501
            )
        if self._start is None and len(self._counts) != 1:
            raise ValueError(
                "Length of num_frequency_blocks should be 1 if start_freqindex_list and end_freqindex_list are not given"  # noqa: E501
            )
        self._make_sizes()

    def _make_sizes(self) -> None:
        fields = [
            f"{d}_state_f{k:02d}_b{b:02d}_{leaf}".lstrip("_")
            for d in self._directions
            for b, count in enumerate(self._counts)
            for k in range(count)
            for leaf in "cm"
        ]
        total = sum(self._counts) * len(self._directions)
        tuple_name = "BidirectionalGridLSTMStateTuple" if len(self._directions) > 1 else "GridLSTMStateTuple"
        self._state_tuple_type = namedtuple(tuple_name, fields)  # type: ignore[misc]
        sizes = [self._num_units] * (2 * total)
        self._state_size = self._state_tuple_type(*sizes) if self._state_is_tuple else 2 * total * self._num_units
        self._output_size = 2 * total * self._num_units

    @property
    def output_size(self) -> Any:
        return self._output_size

    @property
    def state_size(self) -> Any:
        return self._state_size

    @property
    def state_tuple_type(self) -> Any:
        return self._state_tuple_type

    def _slices(self, depth: int, size: int) -> tuple[tuple[int, int], ...]:
        slices = tuple(zip(self._start or [0], self._end or [depth], strict=True))
        for (first, last), wanted in zip(slices, self._counts, strict=True):
            count = int((last - first - size) / self._frequency_skip) + 1
            if count != wanted:
                raise ValueError(
                    f"Invalid num_frequency_blocks, requires {wanted} but gets {count}, please check the input size and filter "  # noqa: E501
                    "config are correct."
                )
        return slices

    def _block_variables(self, block: int, size: int, dtype: Any) -> list[Any]:
        n = self._num_units
        gates = 3 if self._couple else 4
        made: list[Any] = []
        for along in ("f",) if self._share else ("f", "t"):
            kernel = cut_weight(f"W_{along}_{block}", [size + 2 * n, gates * n], dtype, self._num_unit_shards)
            bias = get_variable(
                f"B_{along}_{block}", shape=[gates * n], initializer=tf("zeros_initializer")(), dtype=dtype
            )
            made.append([kernel, bias])
        peeps: dict[str, Any] = {}
        along = ("freq",) if self._share else ("freq", "time")
        if self._use_peepholes:  # made in TensorFlow's order
            for name in [f"{g}_diag_{a}{s}" for a in along for g in ("IO" if self._couple else "FIO") for s in "ft"]:
                peeps[name] = get_variable(f"W_{name}_{block}", shape=[n], dtype=dtype)
        rows = [peeps.get(f"{g}_diag_{a}{s}") for a in along for s in "ft" for g in "IFO"] if peeps else []
        return [made, rows]

    def _parameters(self, size: int, dtype: Any) -> Any:
        return [self._block_variables(b, size, dtype) for b in range(len(self._counts))]

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        depth = inputs.get_shape().with_rank(2).as_list()[1]
        if depth is None:
            raise ValueError("Cannot infer input_size from static shape inference.")
        size = self._feature_size or depth
        slices = self._slices(depth, size)
        params = self._parameters(size, inputs.dtype)
        options = grid_lstm.GridLSTMOptions(
            slices, size, self._frequency_skip, float(self._forget_bias), self._cell_clip, self._couple
        )
        total = 2 * sum(self._counts) * len(self._directions)
        leaves = list(state) if self._state_is_tuple else self._untupled(state)

        def step(x: Any, leaves: Any, params: Any) -> Any:
            return self._run(x, tuple(leaves), params, options)

        output, *new = library_call(step, inputs, leaves, params, count=total + 1)
        return output, self._state_tuple_type(*new) if self._state_is_tuple else tf("concat")(new, 1)

    def _untupled(self, state: Any) -> list[Any]:
        """As TensorFlow has it, every block reads its state from column 0 on."""
        n = self._num_units
        found = []
        for _ in self._directions:
            for count in self._counts:
                found += [tf("slice")(state, [0, i * n], [-1, n]) for i in range(2 * count)]
        return found

    def _run(self, x: Any, leaves: Any, params: Any, options: Any) -> Any:
        output, new = grid_lstm.GRID_LSTM.step(_blocks(params), x, leaves, options)
        return (output, *new)


def _blocks(params: Any) -> tuple[Any, ...]:
    return tuple(_block(*p) for p in params)


def _block(made: Any, peeps: Any) -> Any:
    kernel = torch.cat([m[0] for m in made], -1)
    bias = torch.cat([m[1] for m in made])
    if not peeps:
        return grid_lstm.GridBlock(kernel, bias)
    zero = next(p for p in peeps if p is not None).new_zeros(())
    rows = [
        zero.expand(kernel.shape[1] // len(made) // (3 if any(p is None for p in peeps) else 4)) if p is None else p
        for p in peeps
    ]
    return grid_lstm.GridBlock(kernel, bias, torch.stack(rows).unflatten(0, (-1, 2, 3)))


@tf_export("contrib.rnn.BidirectionalGridLSTMCell")
class BidirectionalGridLSTMCell(GridLSTMCell):
    """GridLSTMCell in both directions of frequency."""

    _directions = ("fwd", "bwd")

    def __init__(self, *args: Any, backward_slice_offset: int = 0, **kwargs: Any):
        order = (
            "num_units",
            "use_peepholes",
            "share_time_frequency_weights",
            "cell_clip",
            "initializer",
            "num_unit_shards",
            "forget_bias",
            "feature_size",
            "frequency_skip",
            "num_frequency_blocks",
            "start_freqindex_list",
            "end_freqindex_list",
            "couple_input_forget_gates",
            "backward_slice_offset",
            "reuse",
        )
        given = {**dict(zip(order, args, strict=False)), **kwargs}
        self._offset = given.pop("backward_slice_offset", backward_slice_offset)
        super().__init__(**given)

    def _parameters(self, size: int, dtype: Any) -> Any:
        made = []
        for direction in self._directions:
            with variable_scope(direction):
                made.append(super()._parameters(size, dtype))
        return made

    def _run(self, x: Any, leaves: Any, params: Any, options: Any) -> Any:
        both = grid_lstm.BidirectionalGridParams(_blocks(params[0]), _blocks(params[1]))
        chosen = grid_lstm.BidirectionalGridOptions(options, self._offset)
        output, new = grid_lstm.BIDIRECTIONAL_GRID_LSTM.step(both, x, leaves, chosen)
        return (output, *new)
