"""tf.contrib.rnn's wrappers: projections, embedding, highway, compiled, attention over past outputs."""

from __future__ import annotations

import math
from typing import Any

from recurra.cells import highway
from recurra.tf1 import eras, names, nest
from recurra.tf1.build import name_scope
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.rnn.base import RNNCell, assert_like_rnncell
from recurra.tf1.rnn.library import library_call
from recurra.tf1.scopes import get_variable, get_variable_scope, variable_scope


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


class Linear:
    """`[args…] @ kernel + bias` with the variables of the current scope."""

    def __init__(
        self,
        args: Any,
        output_size: int,
        build_bias: bool,
        bias_initializer: Any = None,
        kernel_initializer: Any = None,
    ):
        self._build_bias = build_bias
        if args is None or (nest.is_nested(args) and not args):
            raise ValueError("`args` must be specified")
        self._sequence = nest.is_nested(args)
        flat = list(args) if self._sequence else [args]
        total = 0
        for tensor in flat:
            if tensor.get_shape().rank != 2:
                raise ValueError(f"linear is expecting 2D arguments: {[t.get_shape() for t in flat]}")
            depth = tensor.get_shape().as_list()[1]
            if depth is None:
                raise ValueError(
                    f"linear expects shape[1] to be provided for shape {tensor.get_shape()}, but saw {depth}"
                )
            total += depth
        dtype = flat[0].dtype
        kernel, bias = weight_names()
        with variable_scope(get_variable_scope()):
            self._weights = get_variable(kernel, [total, output_size], dtype=dtype, initializer=kernel_initializer)
            if build_bias:
                with variable_scope(get_variable_scope()) as inner:
                    inner.set_partitioner(None)
                    initializer = bias_initializer or tf("constant_initializer")(0.0, dtype=dtype)
                    self._biases = get_variable(bias, [output_size], dtype=dtype, initializer=initializer)

    def __call__(self, args: Any) -> Any:
        flat = list(args) if self._sequence else [args]
        joined = flat[0] if len(flat) == 1 else tf("concat")(flat, 1)
        result = tf("matmul")(joined, self._weights)
        return tf("nn.bias_add")(result, self._biases) if self._build_bias else result


def weight_names() -> tuple[str, str]:
    """The names of a linear map's variables in the program's era."""
    if eras.current() >= (1, 2):
        return "kernel", "bias"
    return ("weights", "biases") if eras.current() >= (1, 0) else ("Matrix", "Bias")


def linear(args: Any, output_size: int, bias: bool, *rest: Any, **options: Any) -> Any:
    """rnn_cell._linear: before 1.0 in a scope `Linear` of its own, with `bias_start`."""
    if eras.current() < (1, 0):
        start = rest[0] if rest else options.get("bias_start", 0.0)
        scope = rest[1] if len(rest) > 1 else options.get("scope")
        with variable_scope(scope or "Linear"):
            return Linear(args, output_size, bias, tf("constant_initializer")(start))(args)
    keys = ("bias_initializer", "kernel_initializer") if eras.current() >= (1, 2) else ("bias_start", "scope")
    given = {**dict(zip(keys, rest, strict=False)), **options}
    if "bias_start" in given:
        given["bias_initializer"] = tf("constant_initializer")(given.pop("bias_start"))
    scope = given.pop("scope", None)
    if scope is not None:
        with variable_scope(scope):
            return Linear(args, output_size, bias, **given)(args)
    return Linear(args, output_size, bias, **given)(args)


export(
    Linear, "contrib.rnn.python.ops.core_rnn_cell._Linear", "nn.rnn_cell._Linear", "python.ops.rnn_cell_impl._Linear"
)
export(
    linear,
    "contrib.rnn.python.ops.core_rnn_cell._linear",
    "nn.rnn_cell._linear",
    "nn.rnn_cell.linear",
    "python.ops.rnn_cell_impl._linear",
    "python.ops.rnn_cell._linear",
)


class _Wrapping(RNNCell):
    """A wrapper with a scope level of its own."""

    _cell: Any

    @property
    def state_size(self) -> Any:
        return self._cell.state_size

    @property
    def output_size(self) -> Any:
        return self._cell.output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        with name_scope(f"{type(self).__name__}ZeroState", values=[batch_size]):
            return self._cell.zero_state(batch_size, dtype)


@tf_export("contrib.rnn.InputProjectionWrapper", "nn.rnn_cell.InputProjectionWrapper")
class InputProjectionWrapper(_Wrapping):
    """A linear map in front of a cell."""

    def __init__(self, cell: Any, num_proj: int, activation: Any = None, input_size: Any = None, reuse: Any = None):
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        self._cell, self._num_proj, self._activation = cell, num_proj, activation
        self._linear: Any = None

    def call(self, inputs: Any, state: Any) -> Any:
        if self._linear is None or eras.current() < (1, 0):
            self._linear = Linear(inputs, self._num_proj, True)
        projected = self._linear(inputs)
        return self._cell(self._activation(projected) if self._activation else projected, state)


@tf_export("contrib.rnn.OutputProjectionWrapper", "nn.rnn_cell.OutputProjectionWrapper")
class OutputProjectionWrapper(_Wrapping):
    """A linear map behind a cell."""

    def __init__(self, cell: Any, output_size: int, activation: Any = None, reuse: Any = None):
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        if output_size < 1:
            raise ValueError(f"Parameter output_size must be > 0: {output_size}.")
        self._cell, self._output_size, self._activation = cell, output_size, activation
        self._linear: Any = None

    @property
    def output_size(self) -> Any:
        return self._output_size

    def call(self, inputs: Any, state: Any) -> Any:
        output, new = self._cell(inputs, state)
        if self._linear is None or eras.current() < (1, 0):
            self._linear = Linear(output, self._output_size, True)
        projected = self._linear(output)
        return (self._activation(projected) if self._activation else projected), new


@tf_export("contrib.rnn.EmbeddingWrapper", "nn.rnn_cell.EmbeddingWrapper")
class EmbeddingWrapper(_Wrapping):
    """Look ids up before a cell."""

    def __init__(
        self, cell: Any, embedding_classes: int, embedding_size: int, initializer: Any = None, reuse: Any = None
    ):
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        if embedding_classes <= 0 or embedding_size <= 0:
            raise ValueError(
                f"Both embedding_classes and embedding_size must be > 0: {embedding_classes}, {embedding_size}."
            )
        self._cell, self._embedding_classes, self._embedding_size = cell, embedding_classes, embedding_size
        self._initializer = initializer

    def call(self, inputs: Any, state: Any) -> Any:
        with get_default_graph().device("/cpu:0"):
            initializer = self._initializer or get_variable_scope().initializer
            if initializer is None:
                limit = math.sqrt(3)  # uniform(-sqrt(3), sqrt(3)) has variance 1
                initializer = tf("random_uniform_initializer")(-limit, limit)
            dtype = (state[0] if isinstance(state, tuple) else state).dtype
            while isinstance(dtype, tuple):
                dtype = dtype[0]
            table = get_variable(
                "embedding", [self._embedding_classes, self._embedding_size], initializer=initializer, dtype=dtype
            )
            embedded = tf("nn.embedding_lookup")(table, tf("reshape")(inputs, [-1]))
        return self._cell(embedded, state)


@tf_export("contrib.rnn.HighwayWrapper")
class HighwayWrapper(RNNCell):
    """Carry the input past a cell by a gate; its variables lie in the loop's scope."""

    def __init__(self, cell: Any, couple_carry_transform_gates: bool = True, carry_bias_init: float = 1.0):
        super().__init__()
        self._cell, self._couple, self._carry_bias_init = cell, couple_carry_transform_gates, carry_bias_init

    @property
    def state_size(self) -> Any:
        return self._cell.state_size

    @property
    def output_size(self) -> Any:
        return self._cell.output_size

    @property
    def trainable_weights(self) -> list[Any]:
        return self._cell.trainable_weights

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        with name_scope(f"{type(self).__name__}ZeroState", values=[batch_size]):
            return self._cell.zero_state(batch_size, dtype)

    def _highway(self, x: Any, out: Any) -> Any:
        size = x.get_shape().with_rank(2).as_list()[1]
        constant = tf("constant_initializer")
        carry = [
            get_variable("carry_w", [size, size]),
            get_variable("carry_b", [size], initializer=constant(self._carry_bias_init)),
        ]
        transform: list[Any] = []
        if not self._couple:
            transform = [
                get_variable("transform_w", [size, size]),
                get_variable("transform_b", [size], initializer=constant(-self._carry_bias_init)),
            ]
        (made,) = library_call(
            lambda x, y, *p: highway.highway(highway.HighwayParams(*p), x, y), x, out, *carry, *transform, count=1
        )
        return made

    def __call__(self, inputs: Any, state: Any, scope: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run the cell and mix its output with the input."""
        outputs, new_state = self._cell(inputs, state, scope=scope)
        nest.assert_same_structure(inputs, outputs)
        nest.map_structure(lambda i, o: i.get_shape().assert_is_compatible_with(o.get_shape()), inputs, outputs)
        return nest.map_structure(self._highway, inputs, outputs), new_state


@tf_export("contrib.rnn.CompiledWrapper")
class CompiledWrapper(_Wrapping):
    """The cell itself: there is nothing to compile here."""

    def __init__(self, cell: Any, compile_stateful: bool = False):
        super().__init__()
        self._cell, self._compile_stateful = cell, compile_stateful

    def __call__(self, inputs: Any, state: Any, scope: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self._cell(inputs, state, scope=scope)


@tf_export("contrib.rnn.AttentionCellWrapper")
class AttentionCellWrapper(RNNCell):
    """Attention over the last `attn_length` outputs."""

    def __init__(
        self,
        cell: Any,
        attn_length: int,
        attn_size: Any = None,
        attn_vec_size: Any = None,
        input_size: Any = None,
        state_is_tuple: bool | None = None,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        self._state_is_tuple = eras.current() >= (1, 2) if state_is_tuple is None else state_is_tuple
        if nest.is_nested(cell.state_size) and not self._state_is_tuple:
            raise ValueError(
                f"Cell returns tuple of states, but the flag state_is_tuple is not set. State size is: {cell.state_size}"  # noqa: E501
            )
        if attn_length <= 0:
            raise ValueError(f"attn_length should be greater than zero, got {attn_length}")
        self._cell, self._attn_length = cell, attn_length
        self._attn_size = attn_size or cell.output_size
        self._attn_vec_size = attn_vec_size or self._attn_size
        self._input_size = input_size
        self._linears: dict[str, Any] = {}

    @property
    def state_size(self) -> Any:
        size = (self._cell.state_size, self._attn_size, self._attn_size * self._attn_length)
        return size if self._state_is_tuple else sum(size)

    @property
    def output_size(self) -> Any:
        return self._attn_size

    def _map(self, which: str, args: Any, size: int, bias: bool = True) -> Any:
        if which not in self._linears or eras.current() < (1, 0):
            self._linears[which] = Linear(args, size, bias)
        return self._linears[which](args)

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        slice_ = tf("slice")
        if self._state_is_tuple:
            state, attns, window = state
        else:
            whole, inner = state, self._cell.state_size
            state = slice_(whole, [0, 0], [-1, inner])
            attns = slice_(whole, [0, inner], [-1, self._attn_size])
            window = slice_(whole, [0, inner + self._attn_size], [-1, self._attn_size * self._attn_length])
        rows = tf("reshape")(window, [-1, self._attn_length, self._attn_size])
        size = self._input_size or inputs.get_shape().as_list()[1]
        cell_output, new_state = self._cell(self._map("in", [inputs, attns], size), state)
        query = tf("concat")(nest.flatten(new_state), 1) if self._state_is_tuple else new_state
        new_attns, rest = self._attention(query, rows)
        with variable_scope("attn_output_projection"):
            output = self._map("out", [cell_output, new_attns], self._attn_size)
        moved = tf("concat")([rest, tf("expand_dims")(output, 1)], 1)
        moved = tf("reshape")(moved, [-1, self._attn_length * self._attn_size])
        made = (new_state, new_attns, moved)
        return output, made if self._state_is_tuple else tf("concat")(list(made), 1)

    def _attention(self, query: Any, window: Any) -> Any:
        with variable_scope("attention"):
            keys = get_variable("attn_w", [1, 1, self._attn_size, self._attn_vec_size], dtype=query.dtype)
            score = get_variable("attn_v", [self._attn_vec_size], dtype=query.dtype)
            asked = self._map("query", query, self._attn_vec_size)

        def read(window: Any, keys: Any, score: Any, asked: Any) -> Any:
            import torch

            hidden = torch.tanh(window @ keys[0, 0] + asked.unsqueeze(1))
            weights = torch.softmax(hidden @ score, -1)
            return (weights.unsqueeze(-1) * window).sum(1), window[:, 1:]

        new, rest = library_call(read, window, keys, score, asked, count=2)
        new.set_shape([None, self._attn_size])
        return new, rest
