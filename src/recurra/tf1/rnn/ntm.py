"""tf.contrib.rnn's neural Turing machine."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from recurra.cells import ntm
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.rnn.base import LayerRNNCell
from recurra.tf1.rnn.contrib_cells import tf
from recurra.tf1.rnn.library import library_call
from recurra.tf1.shapes import TensorShape

NTMControllerState = export(
    namedtuple("NTMControllerState", ("controller_state", "read_vector_list", "w_list", "M", "time")),
    "contrib.rnn.NTMControllerState",
    "contrib.rnn.python.ops.rnn_cell.NTMControllerState",
)


@tf_export("contrib.rnn.NTMCell", "contrib.rnn.python.ops.rnn_cell.NTMCell")
class NTMCell(LayerRNNCell):
    """The neural Turing machine: a controller with a memory."""

    def __init__(
        self,
        controller: Any,
        memory_size: int,
        memory_vector_dim: int,
        read_head_num: int,
        write_head_num: int,
        shift_range: int = 1,
        output_dim: Any = None,
        clip_value: float = 20,
        dtype: Any = None,
        name: Any = None,
    ):
        super().__init__(dtype=dtype or "float32", name=name)
        self.controller, self.memory_size, self.memory_vector_dim = controller, memory_size, memory_vector_dim
        self.read_head_num, self.write_head_num, self.shift_range = read_head_num, write_head_num, shift_range
        self.clip_value, self.output_dim = clip_value, output_dim
        heads = read_head_num + write_head_num
        self._numbers = heads * (memory_vector_dim + 2 * shift_range + 4) + 2 * write_head_num * memory_vector_dim

    @property
    def state_size(self) -> Any:
        return NTMControllerState(
            self.controller.state_size,
            [self.memory_vector_dim] * self.read_head_num,
            [self.memory_size] * (self.read_head_num + self.write_head_num),
            TensorShape([self.memory_size * self.memory_vector_dim]),
            TensorShape([]),
        )

    @property
    def output_size(self) -> Any:
        return self.output_dim

    def build(self, inputs_shape: Any) -> None:
        if self.output_dim is None:
            self.output_dim = inputs_shape.as_list()[1]
        width, truncated = self.controller.output_size, tf("truncated_normal_initializer")
        self._parameters_kernel = self.add_variable(
            "parameters_kernel", shape=[width, self._numbers], initializer=truncated(stddev=1.0 / width**0.5)
        )
        self._parameters_bias = self.add_variable(
            "parameters_bias", shape=[self._numbers], initializer=tf("zeros_initializer")()
        )
        rows = width + self.memory_vector_dim * self.read_head_num
        self._output_kernel = self.add_variable(
            "output_kernel", shape=[rows, self.output_dim], initializer=truncated(stddev=1.0 / rows**0.5)
        )
        self._output_bias = self.add_variable(
            "output_bias", shape=[self.output_dim], initializer=tf("zeros_initializer")()
        )
        glorot = tf("glorot_uniform_initializer")
        self._init_read = [
            self.add_variable(f"initial_read_vector_{i}", shape=[1, self.memory_vector_dim], initializer=glorot())
            for i in range(self.read_head_num)
        ]
        self._init_weights = [
            self.add_variable(f"initial_address_weights_{i}", shape=[1, self.memory_size], initializer=glorot())
            for i in range(self.read_head_num + self.write_head_num)
        ]
        self._memory = self.add_variable(
            "memory", shape=[self.memory_size, self.memory_vector_dim], initializer=tf("constant_initializer")(1e-6)
        )
        self.built = True

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """Zeros; at time 0 the learned start values are used in their place."""
        zeros = tf("zeros")
        with name_scope("NTMCellZeroState"):
            return NTMControllerState(
                self.controller.zero_state(batch_size, dtype),
                [zeros([batch_size, self.memory_vector_dim], dtype) for _ in range(self.read_head_num)],
                [zeros([batch_size, self.memory_size], dtype) for _ in range(self.read_head_num + self.write_head_num)],
                zeros([batch_size, self.memory_size, self.memory_vector_dim], dtype),
                0,
            )

    def _start(self, time: Any, given: Any, learned: Any) -> Any:
        if not hasattr(time, "op"):
            return learned if time == 0 else given
        return tf("cond")(tf("equal")(time, 0), lambda: learned, lambda: given)

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        inputs = convert_to_tensor(inputs)
        batch = inputs.shape.as_list()[0] or tf("shape")(inputs)[0]
        tile, expand = tf("tile"), tf("expand_dims")

        def rows(variable: Any, function: Any) -> Any:
            return tile(function(convert_to_tensor(variable)), [batch, 1])

        reads = [
            self._start(state.time, g, rows(v, tf("tanh")))
            for g, v in zip(state.read_vector_list, self._init_read, strict=True)
        ]
        weights = [
            self._start(state.time, g, rows(v, tf("nn.softmax")))
            for g, v in zip(state.w_list, self._init_weights, strict=True)
        ]
        memory = self._start(state.time, state.M, tile(expand(convert_to_tensor(self._memory), 0), [batch, 1, 1]))
        output, controller_state = self.controller(tf("concat")([inputs, *reads], axis=1), state.controller_state)
        options = ntm.NTMOptions(
            self.memory_vector_dim, self.read_head_num, self.write_head_num, self.shift_range, float(self.clip_value)
        )
        heads = self.read_head_num + self.write_head_num

        def step(out: Any, reads: Any, weights: Any, memory: Any, params: Any) -> Any:
            before = ntm.NTMState(None, tuple(reads), tuple(weights), memory)
            result, after = ntm.ntm_heads(ntm.NTMParams(*params), out, before, None, options)
            return (result, *after.reads, *after.weights, after.memory)

        params = [self._parameters_kernel, self._parameters_bias, self._output_kernel, self._output_bias]
        made = library_call(step, output, reads, weights, memory, params, count=2 + self.read_head_num + heads)
        split = 1 + self.read_head_num
        new = NTMControllerState(controller_state, made[1:split], made[split : split + heads], made[-1], state.time + 1)
        return made[0], new
