"""tf.contrib.rnn's layer-style cells of one size: SRU, IndRNN, Indy cells, MinimalRNN, CFN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.cells import independent, minimal, sru
from recurra.cells.lstm import LSTMOptions, LSTMState
from recurra.cells.rnn import RNNOptions
from recurra.tf1.layers.base import InputSpec
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import LayerRNNCell, LSTMStateTuple, depth_of
from recurra.tf1.rnn.contrib_cells import tf, torch_activation
from recurra.tf1.rnn.library import library_call
from recurra.tf1.rnn.steps import resolve_activation


class LayerBasic(LayerRNNCell):
    """A layer-style cell of one size."""

    def __init__(
        self,
        num_units: int,
        activation: Any = None,
        reuse: Any = None,
        name: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(_reuse=reuse, name=name, dtype=dtype, **kwargs)
        self.input_spec = InputSpec(ndim=2)
        self._num_units, self._activation = num_units, resolve_activation(activation)

    @property
    def state_size(self) -> Any:
        return self._num_units

    @property
    def output_size(self) -> Any:
        return self._num_units

    def _zeros(self) -> Any:
        return tf("zeros_initializer")(**({} if self.dtype is None else {"dtype": self.dtype}))

    def _options(self) -> Any:
        return RNNOptions(torch_activation(self._activation))


@tf_export("contrib.rnn.SRUCell")
class SRUCell(LayerBasic):
    """The simple recurrent unit: output h, state c."""

    def __init__(self, num_units: int, activation: Any = None, reuse: Any = None, name: Any = None, **kwargs: Any):
        super().__init__(num_units, activation, reuse, name, **kwargs)

    def build(self, inputs_shape: Any) -> None:
        n = self._num_units
        self._kernel = self.add_variable("kernel", shape=[depth_of(inputs_shape), 4 * n])
        self._bias = self.add_variable("bias", shape=[2 * n], initializer=self._zeros())
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        options = self._options()
        recurrence = sru.SRUCell.recurrence
        output, new = library_call(
            lambda x, c, k, b: recurrence.step(sru.SRUParams(k, b), x, c, options),
            inputs,
            state,
            self._kernel,
            self._bias,
            count=2,
        )
        return output, new


@tf_export("contrib.rnn.IndRNNCell")
class IndRNNCell(LayerBasic):
    """Units that see only their own past."""

    def build(self, inputs_shape: Any) -> None:
        n = self._num_units
        self._kernel_w = self.add_variable("kernel_w", shape=[depth_of(inputs_shape), n])
        uniform = tf("random_uniform_initializer")(minval=-1, maxval=1, dtype=self.dtype)
        self._kernel_u = self.add_variable("kernel_u", shape=[1, n], initializer=uniform)
        self._bias = self.add_variable("bias", shape=[n], initializer=self._zeros())
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        options = self._options()
        (new,) = library_call(
            lambda x, h, *p: independent.IND_RNN.step(independent.IndyParams(*p), x, h, options)[1],
            inputs,
            state,
            self._kernel_w,
            self._kernel_u,
            self._bias,
            count=1,
        )
        return new, new


@tf_export("contrib.rnn.IndyGRUCell")
class IndyGRUCell(LayerBasic):
    """GRU whose units see only their own past."""

    def __init__(
        self,
        num_units: int,
        activation: Any = None,
        reuse: Any = None,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        name: Any = None,
        dtype: Any = None,
    ):
        super().__init__(num_units, activation, reuse, name, dtype)
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer

    def build(self, inputs_shape: Any) -> None:
        n, depth = self._num_units, depth_of(inputs_shape)

        def uniform() -> Any:
            return tf("random_uniform_initializer")(minval=-1, maxval=1, dtype=self.dtype)

        ones = self._bias_initializer or tf("constant_initializer")(1.0, dtype=self.dtype)
        self._gates = [
            self.add_variable("gates/kernel_w", shape=[depth, 2 * n], initializer=self._kernel_initializer),
            self.add_variable("gates/kernel_u", shape=[1, 2 * n], initializer=uniform()),
            self.add_variable("gates/bias", shape=[2 * n], initializer=ones),
        ]
        self._candidate = [
            self.add_variable("candidate/kernel", shape=[depth, n], initializer=self._kernel_initializer),
            self.add_variable("candidate/kernel_u", shape=[1, n], initializer=uniform()),
            self.add_variable("candidate/bias", shape=[n], initializer=self._bias_initializer or self._zeros()),
        ]
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        options = self._options()

        def step(x: Any, h: Any, gates: Any, candidate: Any) -> Any:
            params = independent.IndyGRUParams(independent.IndyParams(*gates), independent.IndyParams(*candidate))
            return independent.INDY_GRU.step(params, x, h, options)[1]

        (new,) = library_call(step, inputs, state, self._gates, self._candidate, count=1, operations=21)
        return new, new


@tf_export("contrib.rnn.IndyLSTMCell")
class IndyLSTMCell(LayerBasic):
    """LSTM whose units see only their own past."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        activation: Any = None,
        reuse: Any = None,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        name: Any = None,
        dtype: Any = None,
    ):
        super().__init__(num_units, activation, reuse, name, dtype)
        self._forget_bias = forget_bias
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer

    @property
    def state_size(self) -> Any:
        return LSTMStateTuple(self._num_units, self._num_units)

    def build(self, inputs_shape: Any) -> None:
        n = self._num_units
        self._kernel_w = self.add_variable(
            "kernel_w", shape=[depth_of(inputs_shape), 4 * n], initializer=self._kernel_initializer
        )
        uniform = tf("random_uniform_initializer")(minval=-1, maxval=1, dtype=self.dtype)
        self._kernel_u = self.add_variable("kernel_u", shape=[1, 4 * n], initializer=uniform)
        self._bias = self.add_variable("bias", shape=[4 * n], initializer=self._bias_initializer or self._zeros())
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        options = LSTMOptions(float(self._forget_bias), activation=torch_activation(self._activation))
        new_c, new_h = library_call(
            lambda x, c, h, *p: independent.INDY_LSTM.step(independent.IndyParams(*p), x, LSTMState(c, h), options)[1],
            inputs,
            *state,
            self._kernel_w,
            self._kernel_u,
            self._bias,
            count=2,
        )
        return new_h, LSTMStateTuple(new_c, new_h)


class _Minimal(LayerBasic):
    """MinimalRNNCell and CFNCell share their arguments."""

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "ones",
        name: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(units, activation, name=name, dtype=dtype, **kwargs)
        self._kernel_initializer, self._bias_initializer = (
            tf("keras.initializers.get")(i) for i in (kernel_initializer, bias_initializer)
        )

    def _step(self, function: Callable[..., Any], inputs: Any, state: Any, *params: Any) -> Any:
        options = self._options()
        (new,) = library_call(lambda x, h, *p: function(p, x, h, options), inputs, state, *params, count=1)
        return new, new


@tf_export("contrib.rnn.MinimalRNNCell", "contrib.rnn.python.ops.rnn_cell.MinimalRNNCell")
class MinimalRNNCell(_Minimal):
    """One update gate over an encoded input."""

    def build(self, inputs_shape: Any) -> None:
        n = self._num_units
        self.kernel = self.add_weight(
            shape=[depth_of(inputs_shape) + 2 * n, n], name="kernel", initializer=self._kernel_initializer
        )
        self.bias = self.add_weight(shape=[n], name="bias", initializer=self._bias_initializer)
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        return self._step(
            lambda p, x, h, o: minimal.MINIMAL_RNN.step(minimal.MinimalRNNParams(*p), x, h, o)[1],
            inputs,
            state,
            self.kernel,
            self.bias,
        )


@tf_export("contrib.rnn.CFNCell", "contrib.rnn.python.ops.rnn_cell.CFNCell")
class CFNCell(_Minimal):
    """The chaos-free network."""

    def build(self, inputs_shape: Any) -> None:
        n = self._num_units
        self.kernel = self.add_weight(
            shape=[depth_of(inputs_shape), 3 * n], name="kernel", initializer=self._kernel_initializer
        )
        self.recurrent_kernel = self.add_weight(
            shape=[n, 2 * n], name="recurrent_kernel", initializer=self._kernel_initializer
        )
        self.bias = self.add_weight(shape=[2 * n], name="bias", initializer=self._bias_initializer)
        self.built = True

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        return self._step(
            lambda p, x, h, o: minimal.CFN.step(minimal.CFNParams(*p), x, h, o)[1],
            inputs,
            state,
            self.kernel,
            self.recurrent_kernel,
            self.bias,
        )
