"""tf.contrib.rnn's cells with one input and one state: their variables here, their equations from the library."""

from __future__ import annotations

from typing import Any

from recurra.cells import coupled, glstm, intersection, layer_norm_lstm, nas, norm, ugrnn
from recurra.cells.lstm import LSTMOptions, LSTMState
from recurra.tf1 import names
from recurra.tf1.layers.base import InputSpec
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import LayerRNNCell, LSTMStateTuple, RNNCell, depth_of
from recurra.tf1.rnn.library import library_call
from recurra.tf1.rnn.steps import activation_name, resolve_activation
from recurra.tf1.scopes import get_variable, variable_scope


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


def torch_activation(activation: Any) -> str:
    """The library's name of an activation; NotImplementedError for a function of the program's own."""
    known = activation_name(activation)
    if known is None:
        raise NotImplementedError(f"This cell takes TensorFlow's own activation functions, not {activation!r}")
    return known


def input_depth(inputs: Any, what: str = "Could not infer input size from inputs.get_shape()[-1]") -> int:
    """The static size of the last axis; ValueError with TensorFlow's words."""
    depth = inputs.get_shape().with_rank(2).as_list()[1] if inputs.get_shape().rank is not None else None
    if depth is None:
        raise ValueError(what)
    return depth


def zeros_for(name: str, size: int, dtype: Any) -> Any:
    return get_variable(name, [size], initializer=tf("zeros_initializer")(dtype=dtype), dtype=dtype)


def cut_weight(name: str, shape: list[int], dtype: Any, shards: int) -> Any:
    """`name_0`, `name_1`, … joined along the rows, as the older contrib cells keep their weights."""
    each, extra = divmod(shape[0], shards)
    made = [
        get_variable(f"{name}_{i}", [each + (1 if i < extra else 0), *shape[1:]], dtype=dtype) for i in range(shards)
    ]
    return made[0] if shards == 1 else tf("concat")(made, 0, name=f"{name}_concat")


class Basic(RNNCell):
    """A cell with one size, whose variables are made inside the call."""

    def __init__(self, num_units: int, reuse: Any = None, **kwargs: Any):
        super().__init__(_reuse=reuse, **kwargs)
        self._num_units = num_units

    @property
    def state_size(self) -> Any:
        return self._num_units

    @property
    def output_size(self) -> Any:
        return self._num_units


class Paired(RNNCell):
    """A cell with a memory and an output, of sizes (units, width)."""

    _num_units: int
    _state_is_tuple: bool = True

    @property
    def _width(self) -> int:
        return getattr(self, "_num_proj", None) or self._num_units

    @property
    def state_size(self) -> Any:
        sizes = self._num_units, self._width
        return LSTMStateTuple(*sizes) if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self) -> Any:
        return self._width

    def split(self, state: Any) -> tuple[Any, Any]:
        if self._state_is_tuple:
            c, h = state
            return c, h
        return tf("slice")(state, [0, 0], [-1, self._num_units]), tf("slice")(
            state, [0, self._num_units], [-1, self._width]
        )

    def join(self, c: Any, h: Any) -> Any:
        return LSTMStateTuple(c, h) if self._state_is_tuple else tf("concat")([c, h], 1)


def _norm_variables(name: str, size: int, gain: float, shift: float, dtype: Any = None) -> list[Any]:
    with variable_scope(name):
        gamma = get_variable("gamma", shape=[size], initializer=tf("constant_initializer")(gain), dtype=dtype)
        beta = get_variable("beta", shape=[size], initializer=tf("constant_initializer")(shift), dtype=dtype)
    return [gamma, beta]


def _pack_norms(values: Any) -> Any:
    return None if values is None else norm.Norms(*[None if v is None else norm.Norm(*v) for v in values])


@tf_export("contrib.rnn.LayerNormBasicLSTMCell")
class LayerNormBasicLSTMCell(Paired):
    """The LSTM with layer normalisation and recurrent dropout."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        input_size: Any = None,
        activation: Any = None,
        layer_norm: bool = True,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        dropout_keep_prob: Any = 1.0,
        dropout_prob_seed: Any = None,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._forget_bias, self._activation = num_units, forget_bias, resolve_activation(activation)
        self._keep_prob, self._seed = dropout_keep_prob, dropout_prob_seed
        self._layer_norm, self._norm_gain, self._norm_shift = layer_norm, norm_gain, norm_shift

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        c, h = state
        n, dtype = self._num_units, inputs.dtype
        kernel = get_variable("kernel", [depth_of(inputs.shape) + n, 4 * n], dtype=dtype)
        bias = None if self._layer_norm else get_variable("bias", [4 * n], dtype=dtype)
        norms = None
        if self._layer_norm:
            norms = [_norm_variables(k, n, self._norm_gain, self._norm_shift, dtype) for k in norm.NORMED]
        mask = None
        keep = self._keep_prob
        if not isinstance(keep, float) or keep < 1:
            mask = tf("nn.dropout")(tf("ones_like")(c), keep, seed=self._seed)
        options = LSTMOptions(float(self._forget_bias), activation=torch_activation(self._activation))

        def step(x: Any, c: Any, h: Any, kernel: Any, bias: Any, norms: Any, mask: Any) -> Any:
            params = layer_norm_lstm.LayerNormLSTMParams(kernel, bias, _pack_norms(norms))
            return layer_norm_lstm.LAYER_NORM_BASIC_LSTM.step(params, x, LSTMState(c, h), options, mask)[1]

        new_c, new_h = library_call(step, inputs, c, h, kernel, bias, norms, mask, count=2)
        return new_h, LSTMStateTuple(new_c, new_h)


@tf_export("contrib.rnn.LayerNormLSTMCell", "contrib.rnn.python.ops.rnn_cell.LayerNormLSTMCell")
class LayerNormLSTMCell(Paired):
    """LSTMCell with layer normalisation of the gates and the memory."""

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        cell_clip: Any = None,
        initializer: Any = None,
        num_proj: Any = None,
        proj_clip: Any = None,
        forget_bias: float = 1.0,
        activation: Any = None,
        layer_norm: bool = False,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._use_peepholes, self._cell_clip = num_units, use_peepholes, cell_clip
        self._initializer, self._num_proj, self._proj_clip = initializer, num_proj, proj_clip
        self._forget_bias, self._activation = forget_bias, resolve_activation(activation)
        self._layer_norm, self._norm_gain, self._norm_shift = layer_norm, norm_gain, norm_shift

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        c, h = state
        n, dtype = self._num_units, inputs.dtype
        depth = input_depth(inputs)
        with variable_scope(tf("get_variable_scope")(), initializer=self._initializer):
            kernel = get_variable("kernel", [depth + self._width, 4 * n], dtype=dtype)
            bias = zeros_for("bias", 4 * n, dtype)
            norms = None
            if self._layer_norm:
                norms = [_norm_variables(k, n, self._norm_gain, self._norm_shift) for k in norm.NORMED[:4]]
            peeps = None
            if self._use_peepholes:
                peeps = [get_variable(f"w_{g}_diag", shape=[n], dtype=dtype) for g in ("f", "i", "o")]
            if norms is not None:
                norms.append(_norm_variables("state", n, self._norm_gain, self._norm_shift))
            projection = None
            if self._num_proj is not None:
                with variable_scope("projection"):
                    projection = get_variable("kernel", [n, self._num_proj], dtype=dtype)
        options = LSTMOptions(
            float(self._forget_bias),
            self._cell_clip,
            self._proj_clip if self._num_proj else None,
            torch_activation(self._activation),
        )
        bias = None if self._layer_norm else bias

        def step(x: Any, c: Any, h: Any, kernel: Any, bias: Any, norms: Any, peeps: Any, projection: Any) -> Any:
            w_f, w_i, w_o = peeps or (None, None, None)
            params = layer_norm_lstm.LayerNormLSTMParams(kernel, bias, _pack_norms(norms), w_i, w_f, w_o, projection)
            return layer_norm_lstm.LAYER_NORM_LSTM.step(params, x, LSTMState(c, h), options)[1]

        new_c, new_h = library_call(step, inputs, c, h, kernel, bias, norms, peeps, projection, count=2)
        return new_h, LSTMStateTuple(new_c, new_h)


@tf_export("contrib.rnn.CoupledInputForgetGateLSTMCell")
class CoupledInputForgetGateLSTMCell(Paired):
    """The LSTM whose input gate is one minus its forget gate."""

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        initializer: Any = None,
        num_proj: Any = None,
        proj_clip: Any = None,
        num_unit_shards: int = 1,
        num_proj_shards: int = 1,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Any = None,
        reuse: Any = None,
        layer_norm: bool = False,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._use_peepholes = num_units, use_peepholes
        self._num_proj, self._proj_clip = num_proj, proj_clip
        self._num_unit_shards, self._num_proj_shards = num_unit_shards, num_proj_shards
        self._forget_bias, self._state_is_tuple = forget_bias, state_is_tuple
        self._activation = resolve_activation(activation)
        self._layer_norm, self._norm_gain, self._norm_shift = layer_norm, norm_gain, norm_shift

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        c, h = self.split(state)
        n, dtype = self._num_units, inputs.dtype
        depth = input_depth(inputs)
        kernel = cut_weight("W", [depth + self._width, 3 * n], dtype, self._num_unit_shards)
        bias = zeros_for("B", 3 * n, dtype)
        norms = None
        if self._layer_norm:
            norms = [None, *[_norm_variables(k, n, self._norm_gain, self._norm_shift) for k in norm.NORMED[1:4]]]
        peeps = None
        if self._use_peepholes:
            peeps = [get_variable(f"W_{g}_diag", shape=[n], dtype=dtype) for g in ("F", "O")]
        if norms is not None:
            norms.append(_norm_variables("state", n, self._norm_gain, self._norm_shift))
        projection = cut_weight("W_P", [n, self._num_proj], dtype, self._num_proj_shards) if self._num_proj else None
        options = LSTMOptions(
            float(self._forget_bias),
            None,
            self._proj_clip if self._num_proj else None,
            torch_activation(self._activation),
        )
        bias = None if self._layer_norm else bias

        def step(x: Any, c: Any, h: Any, kernel: Any, bias: Any, norms: Any, peeps: Any, projection: Any) -> Any:
            w_f, w_o = peeps or (None, None)
            params = coupled.CoupledLSTMParams(kernel, bias, _pack_norms(norms), w_f, w_o, projection)
            return coupled.COUPLED_LSTM.step(params, x, LSTMState(c, h), options)[1]

        new_c, new_h = library_call(step, inputs, c, h, kernel, bias, norms, peeps, projection, count=2)
        return new_h, self.join(new_c, new_h)


@tf_export("contrib.rnn.UGRNNCell")
class UGRNNCell(Basic):
    """The update gate RNN."""

    def __init__(
        self,
        num_units: int,
        initializer: Any = None,
        forget_bias: float = 1.0,
        activation: Any = None,
        reuse: Any = None,
    ):
        super().__init__(num_units, reuse)
        self._initializer, self._forget_bias, self._activation = (
            initializer,
            forget_bias,
            resolve_activation(activation),
        )

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        n, dtype = self._num_units, inputs.dtype
        with variable_scope(tf("get_variable_scope")(), initializer=self._initializer):
            kernel = get_variable("kernel", [input_depth(inputs) + n, 2 * n], dtype=dtype)
            bias = zeros_for("bias", 2 * n, dtype)
        options = ugrnn.UGRNNOptions(float(self._forget_bias), torch_activation(self._activation))
        (new,) = library_call(
            lambda x, h, k, b: ugrnn.UGRNN.step(ugrnn.UGRNNParams(k, b), x, h, options)[1],
            inputs,
            state,
            kernel,
            bias,
            count=1,
        )
        return new, new


@tf_export("contrib.rnn.IntersectionRNNCell")
class IntersectionRNNCell(Basic):
    """Two gated recurrences, one over time and one over depth."""

    def __init__(
        self,
        num_units: int,
        num_in_proj: Any = None,
        initializer: Any = None,
        forget_bias: float = 1.0,
        y_activation: Any = None,
        reuse: Any = None,
    ):
        super().__init__(num_units, reuse)
        self._num_input_proj, self._initializer, self._forget_bias = num_in_proj, initializer, forget_bias
        self._y_activation = y_activation or tf("nn.relu")

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        n, dtype = self._num_units, inputs.dtype
        depth = input_depth(inputs)
        if depth != n and not self._num_input_proj:
            raise ValueError(
                "Must have input size == output size for Intersection RNN. To fix, num_in_proj should be set to num_units at cell init."  # noqa: E501
            )
        inner: Any = None
        with variable_scope(tf("get_variable_scope")(), initializer=self._initializer):
            if depth != n:
                with variable_scope("in_projection"):
                    inner = [get_variable("kernel", [depth, n], dtype=dtype), zeros_for("bias", n, dtype)]
            kernel = get_variable("kernel", [2 * n, 4 * n], dtype=dtype)
            bias = zeros_for("bias", 4 * n, dtype)
        options = intersection.IntersectionOptions(float(self._forget_bias), torch_activation(self._y_activation))

        def step(x: Any, s: Any, kernel: Any, bias: Any, inner: Any) -> Any:
            params = intersection.IntersectionParams(kernel, bias, *(inner or (None, None)))
            return intersection.INTERSECTION.step(params, x, s, options)

        output, new = library_call(step, inputs, state, kernel, bias, inner, count=2)
        return output, new


class LayerPair(LayerRNNCell, Paired):
    """A layer-style cell with a memory and an output."""


@tf_export("contrib.rnn.NASCell")
class NASCell(LayerPair):
    """The cell that neural architecture search found."""

    def __init__(self, num_units: int, num_proj: Any = None, use_bias: bool = False, reuse: Any = None, **kwargs: Any):
        super().__init__(_reuse=reuse, **kwargs)
        self._num_units, self._num_proj, self._use_bias = num_units, num_proj, use_bias
        self.input_spec = InputSpec(ndim=2)

    def build(self, inputs_shape: Any) -> None:
        n, depth = self._num_units, depth_of(inputs_shape)
        self.recurrent_kernel = self.add_variable("recurrent_kernel", shape=[self._width, 8 * n])
        self.kernel = self.add_variable("kernel", shape=[depth, 8 * n])
        self.bias = (
            self.add_variable("bias", shape=[8 * n], initializer=tf("zeros_initializer")()) if self._use_bias else None
        )
        self.projection = self.add_variable("projection_weights", shape=[n, self._num_proj]) if self._num_proj else None
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""

        def step(x: Any, c: Any, h: Any, *params: Any) -> Any:
            return nas.NAS.step(nas.NASParams(*params), x, LSTMState(c, h))[1]

        new_c, new_h = library_call(
            step, inputs, *state, self.kernel, self.recurrent_kernel, self.bias, self.projection, count=2
        )
        return new_h, LSTMStateTuple(new_c, new_h)


@tf_export("contrib.rnn.GLSTMCell")
class GLSTMCell(Paired):
    """The LSTM in groups: group g sees its slice of the input and of the output."""

    def __init__(
        self,
        num_units: int,
        initializer: Any = None,
        num_proj: Any = None,
        number_of_groups: int = 1,
        forget_bias: float = 1.0,
        activation: Any = None,
        reuse: Any = None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._initializer, self._num_proj = num_units, initializer, num_proj
        self._forget_bias, self._activation = forget_bias, resolve_activation(activation)
        self._number_of_groups = number_of_groups
        if num_units % number_of_groups:
            raise ValueError("num_units must be divisible by number_of_groups")
        if num_proj and num_proj % number_of_groups:
            raise ValueError("num_proj must be divisible by number_of_groups")

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        n, groups, dtype = self._num_units, self._number_of_groups, inputs.dtype
        depth = inputs.shape.as_list()[1]
        if depth is None:
            raise ValueError("input size must be statically known")
        if depth % groups:
            raise ValueError(f"input size ({depth}) must be divisible by number_of_groups ({groups})")
        kernels = []
        with variable_scope(tf("get_variable_scope")(), initializer=self._initializer):
            for group in range(groups):
                with variable_scope(f"group{group}"):
                    kernels.append(
                        get_variable("kernel", [(depth + self._width) // groups, 4 * n // groups], dtype=dtype)
                    )
            biases = [
                get_variable(
                    f"bias_{g}", shape=[n], dtype=dtype, initializer=tf("constant_initializer")(0.0, dtype=dtype)
                )
                for g in "ijfo"
            ]
            projection = None
            if self._num_proj is not None:
                with variable_scope("projection"):
                    projection = get_variable("kernel", [n, self._num_proj], dtype=dtype)
        options = glstm.GLSTMOptions(float(self._forget_bias), torch_activation(self._activation))

        def step(x: Any, c: Any, h: Any, kernels: Any, biases: Any, projection: Any) -> Any:
            params = glstm.stack_groups(kernels, biases, projection, x.shape[-1])
            return glstm.GLSTM.step(params, x, LSTMState(c, h), options)[1]

        new_c, new_h = library_call(step, inputs, *state, kernels, biases, projection, count=2)
        return new_h, LSTMStateTuple(new_c, new_h)
