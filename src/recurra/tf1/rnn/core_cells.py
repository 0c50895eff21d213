"""tf.nn.rnn_cell's own cells: BasicRNNCell, GRUCell, BasicLSTMCell, LSTMCell, MultiRNNCell."""

from __future__ import annotations

import copy
from typing import Any

from recurra.tf1 import eras, names, nest
from recurra.tf1 import partitioned as parts
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.layers.base import InputSpec
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import (
    LayerRNNCell,
    LSTMStateTuple,
    RNNCell,
    assert_like_rnncell,
    check_supported_dtypes,
    depth_of,
)
from recurra.tf1.rnn.steps import activation_name, cell_step, resolve_activation
from recurra.tf1.scopes import variable_scope
from recurra.tf1.tensor import Tensor
from recurra.tf1.tracking import Dependency


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


def _zeros() -> Any:
    return tf("zeros_initializer")


def tuple_by_default(given: bool | None) -> bool:
    """`state_is_tuple` as the era has it when it is not given: False before 0.11."""
    return eras.current() >= (0, 11) if given is None else given


def _moved(num_units: Any, names_: tuple[str, ...], args: tuple[Any, ...], since: dict[str, Any]) -> dict[str, Any]:
    """Positional arguments of the program's era by name."""
    return {**since, **dict(zip(names_, args, strict=False))}


class _CoreCell(LayerRNNCell):
    """A cell that knows the arguments which make an equal one."""

    _config_names: tuple[str, ...] = ("num_units",)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal cell."""
        given = {name: getattr(self, f"_{name}") for name in self._config_names}
        return {**super().get_config(), **given, "reuse": self._reuse, "activation": activation_name(self._activation)}


@tf_export("nn.rnn_cell.BasicRNNCell", "contrib.rnn.BasicRNNCell")
class BasicRNNCell(_CoreCell):
    """h' = activation([x; h] @ kernel + bias); output and state are h'."""

    def __init__(
        self,
        num_units: int,
        activation: Any = None,
        reuse: Any = None,
        name: Any = None,
        dtype: Any = None,
        input_size: Any = None,
        **kwargs: Any,
    ):
        if isinstance(activation, int):  # input_size stood here before 1.2
            activation = None
        check_supported_dtypes(dtype)
        super().__init__(_reuse=reuse, name=name, dtype=dtype, **kwargs)
        self.input_spec = InputSpec(ndim=2)
        self._num_units, self._activation = num_units, resolve_activation(activation)

    @property
    def state_size(self) -> Any:
        return self._num_units

    @property
    def output_size(self) -> Any:
        return self._num_units

    def build(self, inputs_shape: Any) -> None:
        depth = depth_of(inputs_shape)
        check_supported_dtypes(self.dtype)
        self._kernel = self.add_variable("kernel", shape=[depth + self._num_units, self._num_units])
        self._bias = self.add_variable("bias", shape=[self._num_units], initializer=_zeros()(dtype=self.dtype))
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        known = activation_name(self._activation)
        if known is not None:
            (output,) = cell_step(
                "rnn",
                inputs,
                [convert_to_tensor(state)],
                {"kernel": self._kernel, "bias": self._bias},
                activation=known,
            )
            return output, output
        gates = tf("matmul")(tf("concat")([inputs, state], 1), self._kernel)
        output = self._activation(tf("nn.bias_add")(gates, self._bias))
        return output, output


@tf_export("nn.rnn_cell.GRUCell", "contrib.rnn.GRUCell")
class GRUCell(_CoreCell):
    """r, u = sigmoid([x; h] @ K + b); c = activation([x; r*h] @ Kc + bc); h' = u*h + (1-u)*c."""

    _config_names = ("num_units", "kernel_initializer", "bias_initializer")

    def __init__(
        self,
        num_units: int,
        activation: Any = None,
        reuse: Any = None,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        name: Any = None,
        dtype: Any = None,
        input_size: Any = None,
        **kwargs: Any,
    ):
        if isinstance(activation, int):
            activation = None
        check_supported_dtypes(dtype)
        super().__init__(_reuse=reuse, name=name, dtype=dtype, **kwargs)
        self.input_spec = InputSpec(ndim=2)
        self._num_units, self._activation = num_units, resolve_activation(activation)
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer

    @property
    def state_size(self) -> Any:
        return self._num_units

    @property
    def output_size(self) -> Any:
        return self._num_units

    def build(self, inputs_shape: Any) -> None:
        depth, n = depth_of(inputs_shape), self._num_units
        check_supported_dtypes(self.dtype)
        ones = self._bias_initializer or tf("constant_initializer")(1.0, dtype=self.dtype)
        zeros = self._bias_initializer or _zeros()(dtype=self.dtype)
        self._gate_kernel = self.add_variable(
            "gates/kernel", shape=[depth + n, 2 * n], initializer=self._kernel_initializer
        )
        self._gate_bias = self.add_variable("gates/bias", shape=[2 * n], initializer=ones)
        self._candidate_kernel = self.add_variable(
            "candidate/kernel", shape=[depth + n, n], initializer=self._kernel_initializer
        )
        self._candidate_bias = self.add_variable("candidate/bias", shape=[n], initializer=zeros)
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        known = activation_name(self._activation)
        if known is not None:
            params = {
                "gates_kernel": self._gate_kernel,
                "gates_bias": self._gate_bias,
                "candidate_kernel": self._candidate_kernel,
                "candidate_bias": self._candidate_bias,
            }
            (new,) = cell_step("gru", inputs, [convert_to_tensor(state)], params, activation=known)
            return new, new
        gates = tf("matmul")(tf("concat")([inputs, state], 1), self._gate_kernel)
        r, u = tf("split")(value=tf("sigmoid")(tf("nn.bias_add")(gates, self._gate_bias)), num_or_size_splits=2, axis=1)
        candidate = tf("matmul")(tf("concat")([inputs, r * state], 1), self._candidate_kernel)
        c = self._activation(tf("nn.bias_add")(candidate, self._candidate_bias))
        new = u * state + (1 - u) * c
        return new, new


class _LSTMBase(_CoreCell):
    """What both LSTMs share: the state's form and the step on library functions."""

    _state_is_tuple: bool
    _num_units: int

    def _split_state(self, state: Any, units: int, width: int) -> tuple[Any, Any]:
        if self._state_is_tuple:
            c, h = state
            return c, h
        if units == width:
            c, h = tf("split")(value=state, num_or_size_splits=2, axis=1)
            return c, h
        return tf("slice")(state, [0, 0], [-1, units]), tf("slice")(state, [0, units], [-1, width])

    def _join_state(self, c: Any, h: Any) -> Any:
        return LSTMStateTuple(c, h) if self._state_is_tuple else tf("concat")([c, h], 1)


@tf_export("nn.rnn_cell.BasicLSTMCell", "contrib.rnn.BasicLSTMCell")
class BasicLSTMCell(_LSTMBase):
    """The LSTM without options: i, j, f, o = split([x; h] @ kernel + bias), forget_bias added to f."""

    _config_names = ("num_units", "forget_bias", "state_is_tuple")

    def __init__(self, num_units: int, forget_bias: Any = 1.0, *args: Any, **kwargs: Any):
        order: tuple[str, ...] = ("state_is_tuple", "activation", "reuse", "name", "dtype")
        if eras.current() < (1, 2):
            order = ("input_size", "state_is_tuple", "activation", "reuse")
        given = {**dict(zip(order, args, strict=False)), **kwargs}
        given.pop("input_size", None)
        state_is_tuple, activation = given.pop("state_is_tuple", None), given.pop("activation", None)
        reuse, dtype = given.pop("reuse", None), given.pop("dtype", None)
        check_supported_dtypes(dtype)
        super().__init__(_reuse=reuse, dtype=dtype, **given)
        self.input_spec = InputSpec(ndim=2)
        self._num_units, self._forget_bias = num_units, forget_bias
        self._state_is_tuple = tuple_by_default(state_is_tuple)
        self._activation = resolve_activation(activation)

    @property
    def state_size(self) -> Any:
        return LSTMStateTuple(self._num_units, self._num_units) if self._state_is_tuple else 2 * self._num_units

    @property
    def output_size(self) -> Any:
        return self._num_units

    def build(self, inputs_shape: Any) -> None:
        depth, n = depth_of(inputs_shape), self._num_units
        check_supported_dtypes(self.dtype)
        self._kernel = self.add_variable("kernel", shape=[depth + n, 4 * n])
        self._bias = self.add_variable("bias", shape=[4 * n], initializer=_zeros()(dtype=self.dtype))
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        c, h = self._split_state(state, self._num_units, self._num_units)
        known = activation_name(self._activation)
        if known is not None and not isinstance(self._forget_bias, Tensor):
            params = {"kernel": self._kernel, "bias": self._bias}
            new_c, new_h = cell_step(
                "lstm", inputs, [c, h], params, forget_bias=float(self._forget_bias), activation=known
            )
            return new_h, self._join_state(new_c, new_h)
        gates = tf("nn.bias_add")(tf("matmul")(tf("concat")([inputs, h], 1), self._kernel), self._bias)
        i, j, f, o = tf("split")(value=gates, num_or_size_splits=4, axis=1)
        sigmoid = tf("sigmoid")
        new_c = c * sigmoid(f + self._forget_bias) + sigmoid(i) * self._activation(j)
        new_h = self._activation(new_c) * sigmoid(o)
        return new_h, self._join_state(new_c, new_h)


_LSTM_ORDER = (
    "use_peepholes",
    "cell_clip",
    "initializer",
    "num_proj",
    "proj_clip",
    "num_unit_shards",
    "num_proj_shards",
    "forget_bias",
    "state_is_tuple",
    "activation",
    "reuse",
    "name",
    "dtype",
)
_LSTM_ORDER_OLD = (
    "input_size",
    "use_peepholes",
    "cell_clip",
    "initializer",
    "num_proj",
    "proj_clip",
    "num_unit_shards",
    "num_proj_shards",
    "forget_bias",
    "state_is_tuple",
    "activation",
)


@tf_export("nn.rnn_cell.LSTMCell", "contrib.rnn.LSTMCell")
class LSTMCell(_LSTMBase):
    """The LSTM with peepholes, clips and projection, as options."""

    _config_names = (
        "num_units",
        "use_peepholes",
        "cell_clip",
        "initializer",
        "num_proj",
        "proj_clip",
        "num_unit_shards",
        "num_proj_shards",
        "forget_bias",
        "state_is_tuple",
    )

    def __init__(self, num_units: int, *args: Any, **kwargs: Any):
        order = _LSTM_ORDER
        if eras.current() < (1, 2):
            order = _LSTM_ORDER_OLD
            if eras.current() < (0, 10):
                order = tuple(a for a in order if a != "proj_clip")
        given = {**dict(zip(order, args, strict=False)), **kwargs}
        given.pop("input_size", None)
        take = given.pop
        self_options = {
            key: take(key, default)
            for key, default in (
                ("use_peepholes", False),
                ("cell_clip", None),
                ("initializer", None),
                ("num_proj", None),
                ("proj_clip", None),
                ("num_unit_shards", None),
                ("num_proj_shards", None),
                ("forget_bias", 1.0),
                ("state_is_tuple", None),
                ("activation", None),
                ("reuse", None),
                ("dtype", None),
            )
        }
        check_supported_dtypes(self_options["dtype"])
        super().__init__(_reuse=self_options["reuse"], dtype=self_options["dtype"], **given)
        self.input_spec = InputSpec(ndim=2)
        self._num_units, self._use_peepholes = num_units, self_options["use_peepholes"]
        self._cell_clip, self._initializer = self_options["cell_clip"], self_options["initializer"]
        self._num_proj, self._proj_clip = self_options["num_proj"], self_options["proj_clip"]
        self._num_unit_shards, self._num_proj_shards = self_options["num_unit_shards"], self_options["num_proj_shards"]
        self._forget_bias = self_options["forget_bias"]
        self._state_is_tuple = tuple_by_default(self_options["state_is_tuple"])
        self._activation = resolve_activation(self_options["activation"])

    @property
    def _width(self) -> int:
        return self._num_proj or self._num_units

    @property
    def state_size(self) -> Any:
        sizes = self._num_units, self._width
        return LSTMStateTuple(*sizes) if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self) -> Any:
        return self._width

    def build(self, inputs_shape: Any) -> None:
        depth, n = depth_of(inputs_shape), self._num_units
        check_supported_dtypes(self.dtype)
        cut = parts.fixed_size_partitioner(self._num_unit_shards) if self._num_unit_shards is not None else None
        self._kernel = self.add_variable(
            "kernel", shape=[depth + self._width, 4 * n], initializer=self._initializer, partitioner=cut
        )
        self._bias = self.add_variable(
            "bias", shape=[4 * n], initializer=_zeros() if self.dtype is None else _zeros()(dtype=self.dtype)
        )
        if self._use_peepholes:
            self._w_f_diag = self.add_variable("w_f_diag", shape=[n], initializer=self._initializer)
            self._w_i_diag = self.add_variable("w_i_diag", shape=[n], initializer=self._initializer)
            self._w_o_diag = self.add_variable("w_o_diag", shape=[n], initializer=self._initializer)
        if self._num_proj is not None:
            cut = parts.fixed_size_partitioner(self._num_proj_shards) if self._num_proj_shards is not None else None
            self._proj_kernel = self.add_variable(
                "projection/kernel", shape=[n, self._num_proj], initializer=self._initializer, partitioner=cut
            )
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        c, m = self._split_state(state, self._num_units, self._width)
        known = activation_name(self._activation)
        if known is None or isinstance(self._forget_bias, Tensor) or isinstance(self._cell_clip, Tensor):
            new_c, new_m = self._step(inputs, c, m)
            return new_m, self._join_state(new_c, new_m)
        params = {"kernel": self._kernel, "bias": self._bias}
        if self._use_peepholes:
            params |= {"w_i_diag": self._w_i_diag, "w_f_diag": self._w_f_diag, "w_o_diag": self._w_o_diag}
        if self._num_proj is not None:
            params["projection"] = self._proj_kernel
        options: dict[str, Any] = {"forget_bias": float(self._forget_bias), "activation": known}
        if self._cell_clip is not None:
            options["cell_clip"] = float(self._cell_clip)
        if self._num_proj is not None and self._proj_clip is not None:
            options["projection_clip"] = float(self._proj_clip)
        new_c, new_m = cell_step("lstm", inputs, [c, m], params, **options)
        return new_m, self._join_state(new_c, new_m)

    def _step(self, inputs: Any, c: Any, m: Any) -> tuple[Any, Any]:
        """The same with an activation of the program's own."""
        sigmoid, clip = tf("sigmoid"), tf("clip_by_value")
        gates = tf("nn.bias_add")(tf("matmul")(tf("concat")([inputs, m], 1), self._kernel), self._bias)
        i, j, f, o = tf("split")(value=gates, num_or_size_splits=4, axis=1)
        if self._use_peepholes:
            i, f = i + self._w_i_diag * c, f + self._w_f_diag * c
        c = sigmoid(f + self._forget_bias) * c + sigmoid(i) * self._activation(j)
        if self._cell_clip is not None:
            c = clip(c, -self._cell_clip, self._cell_clip)
        m = sigmoid(o + self._w_o_diag * c if self._use_peepholes else o) * self._activation(c)
        if self._num_proj is not None:
            m = tf("matmul")(m, self._proj_kernel)
            if self._proj_clip is not None:
                m = clip(m, -self._proj_clip, self._proj_clip)
        return c, m


@tf_export("nn.rnn_cell.MultiRNNCell", "contrib.rnn.MultiRNNCell")
class MultiRNNCell(RNNCell):
    """Cells on top of each other: the output of one is the input of the next."""

    def __init__(self, cells: Any, state_is_tuple: bool | None = None):
        super().__init__()
        if not cells:
            raise ValueError("Must specify at least one cell for MultiRNNCell.")
        if not nest.is_nested(cells):
            raise TypeError(f"cells must be a list or tuple, but saw: {cells}.")
        for number, cell in enumerate(cells):
            assert_like_rnncell(f"cells[{number}]", cell)
        self._cells = list(cells)
        self._state_is_tuple = tuple_by_default(state_is_tuple)
        if not self._state_is_tuple and any(nest.is_nested(c.state_size) for c in self._cells):
            raise ValueError(
                "Some cells return tuples of states, but the flag state_is_tuple is not set.  State sizes are: "
                f"{[c.state_size for c in self._cells]}"
            )

    @property
    def cells(self) -> list[Any]:
        return self._cells

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        return [Dependency(f"cell-{i}", cell) for i, cell in enumerate(self._cells)]

    @property
    def state_size(self) -> Any:
        sizes = tuple(cell.state_size for cell in self._cells)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self) -> Any:
        return self._cells[-1].output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        with name_scope(f"{type(self).__name__}ZeroState", values=[batch_size]):
            if self._state_is_tuple:
                return tuple(cell.zero_state(batch_size, dtype) for cell in self._cells)
            return super().zero_state(batch_size, dtype)

    @property
    def trainable_weights(self) -> list[Any]:
        if not self.trainable:
            return []
        return _unique_weights([w for c in self._cells if isinstance(c, RNNCell) for w in c.trainable_weights])

    @property
    def non_trainable_weights(self) -> list[Any]:
        kind = "non_trainable_weights" if self.trainable else "weights"
        return _unique_weights([w for c in self._cells if isinstance(c, RNNCell) for w in getattr(c, kind)])

    def call(self, inputs: Any, state: Any) -> Any:
        """Every cell in turn."""
        position, current, new_states = 0, inputs, []
        pattern = "cell_%d" if eras.current() >= (1, 0) else "Cell%d"
        if self._state_is_tuple and not nest.is_nested(state):
            raise ValueError(f"Expected state to be a tuple of length {len(self.state_size)}, but received: {state}")
        if eras.current() < (1, 9):  # a program that may be of release 1.0: nothing in its source tells a later one
            self._cells = _of_fitting_depth(self._cells, inputs)
        for i, cell in enumerate(self._cells):
            with variable_scope(pattern % i):
                if self._state_is_tuple:
                    mine = state[i]
                else:
                    mine = tf("slice")(state, [0, position], [-1, cell.state_size])
                    position += cell.state_size
                current, new = cell(current, mine)
                new_states.append(new)
        return current, tuple(new_states) if self._state_is_tuple else tf("concat")(new_states, 1)


def _of_fitting_depth(cells: list[Any], inputs: Any) -> list[Any]:
    """The cells, with copies for `[cell] * n` over inputs that are as deep as no output of the cell.

    Release 1.0 gave every layer variables of its own; later ones share the kernel, which cannot be built then.
    """
    depth = inputs.shape.as_list()[-1] if isinstance(inputs, Tensor) and inputs.shape.rank else None
    if depth is None or len(set(map(id, cells))) == len(cells) or depth == cells[0].output_size:
        return cells
    return [_copied(cell) if any(cell is c for c in cells[:i]) else cell for i, cell in enumerate(cells)]


def _copied(cell: Any) -> Any:
    """A cell that is not built yet once more, and the one inside of a wrapper with it."""
    twin = copy.copy(cell)
    inside = [(name, value) for name, value in vars(cell).items() if isinstance(value, RNNCell)]
    copies = {id(value): _copied(value) for _, value in inside}
    vars(twin).update({name: copies[id(value)] for name, value in inside})
    return twin


def _unique_weights(weights: list[Any]) -> list[Any]:
    return list({id(w): w for w in weights}.values())
