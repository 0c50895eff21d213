"""What a cell is: RNNCell and its layer-style child, zero states, the check that something is a cell."""

from __future__ import annotations

from typing import Any, NamedTuple

from recurra.tf1 import dtypes, eras, names, nest
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.layers.base import Layer
from recurra.tf1.names import export, tf_export
from recurra.tf1.scopes import get_variable, get_variable_scope, variable_scope
from recurra.tf1.shapes import Dimension, TensorShape
from recurra.tf1.tensor import Tensor, TensorLike

export("kernel", "python.ops.rnn_cell_impl._WEIGHTS_VARIABLE_NAME")
export("bias", "python.ops.rnn_cell_impl._BIAS_VARIABLE_NAME")
export("is not an RNNCell", "python.ops.rnn_cell_impl.ASSERT_LIKE_RNNCELL_ERROR_REGEXP")


class _StateTuple(NamedTuple):
    c: Any
    h: Any


class LSTMStateTuple(_StateTuple):
    """(c, h): memory first."""

    __slots__ = ()

    @property
    def dtype(self) -> Any:
        c, h = self
        if c.dtype != h.dtype:
            raise TypeError(f"Inconsistent internal state: {c.dtype} vs {h.dtype}")
        return c.dtype


export(LSTMStateTuple, "nn.rnn_cell.LSTMStateTuple", "contrib.rnn.LSTMStateTuple")


def like_rnncell(cell: Any) -> bool:
    """Whether something has what the loops need."""
    return not _missing(cell)


def _missing(cell: Any) -> list[str]:
    found = []
    if not hasattr(cell, "output_size"):
        found.append("'output_size' property is missing")
    if not hasattr(cell, "state_size"):
        found.append("'state_size' property is missing")
    if not (hasattr(cell, "zero_state") or hasattr(cell, "get_initial_state")):
        found.append("either 'zero_state' or 'get_initial_state' method is required")
    if not callable(cell):
        found.append("is not callable")
    return found


def assert_like_rnncell(cell_name: str, cell: Any) -> None:
    """TypeError unless `cell` is one."""
    missing = _missing(cell)
    if missing:
        raise TypeError(f"The argument {cell_name!r} ({cell}) is not an RNNCell: {', '.join(missing)}.")


export(assert_like_rnncell, "python.ops.rnn_cell_impl.assert_like_rnncell", "nn.rnn_cell.assert_like_rnncell")


def state_shape(batch: Any, size: Any, static: bool = False) -> Any:
    """[batch] + size, as a list of Python numbers where static, else as what tf.zeros takes.

    `batch` is a number, a scalar tensor or variable, or the leading sizes: a list, a shape, a tensor of rank 1.
    """
    dims = TensorShape(size if isinstance(size, TensorShape | list | tuple) else [size])
    if isinstance(batch, TensorLike) and not isinstance(batch, Tensor):  # programs of 0.x keep it in a variable
        batch = convert_to_tensor(batch)
    leading = _leading(batch)
    if static:
        return [*leading, *dims.as_list()]
    if not dims.is_fully_defined():
        raise ValueError(f"Shape {dims} must be fully defined")
    if None not in leading:
        return [*leading, *dims.as_list()]
    batch_vector = batch if batch.shape.rank == 1 else names.lookup("expand_dims")(batch, 0)
    rest = names.lookup("constant")(dims.as_list(), dtype=batch.dtype.base_dtype)
    return names.lookup("concat")([batch_vector, rest], 0)


def _leading(batch: Any) -> list[int | None]:
    """The sizes before a state's own; None for those not known while the graph is built."""
    if isinstance(batch, Tensor):
        known = constant_value(batch)
        if batch.shape.rank == 1:
            return [None] * (batch.shape.values[0] or 1) if known is None else [int(n) for n in known]
        return [None if known is None else int(known)]
    if isinstance(batch, list | tuple | TensorShape):
        return TensorShape(batch).as_list()
    return [None if batch is None else int(batch)]


def zero_state_tensors(size: Any, batch_size: Any, dtype: Any) -> Any:
    """Zeros in the structure of `size`."""
    if isinstance(batch_size, float):
        Dimension(batch_size)  # ValueError where it is no whole number

    def zeros(leaf: Any) -> Tensor:
        made = names.lookup("zeros")(state_shape(batch_size, leaf), dtype=dtype)
        made.set_shape(state_shape(batch_size, leaf, static=True))
        return made

    return _map_sizes(zeros, size)


def _map_sizes(function: Any, size: Any) -> Any:
    if isinstance(size, TensorShape) or not nest.is_nested(size):
        return function(size)
    return nest.pack_sequence_as(size, [_map_sizes(function, leaf) for leaf in nest.flatten(size)])


export(zero_state_tensors, "python.ops.rnn_cell_impl._zero_state_tensors")
export(state_shape, "python.ops.rnn_cell_impl._concat")


@tf_export("nn.rnn_cell.RNNCell", "contrib.rnn.RNNCell")
class RNNCell(Layer):
    """`output, new_state = cell(inputs, state)`, with `state_size`, `output_size` and `zero_state`."""

    def __init__(self, trainable: bool = True, name: Any = None, dtype: Any = None, **kwargs: Any):
        super().__init__(trainable=trainable, name=name, dtype=dtype, **kwargs)
        self._is_tf_rnn_cell = True

    def __call__(self, inputs: Any, state: Any, scope: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._ready()
        if eras.current() < (1, 0):
            return self._old_call(inputs, state, scope)
        if scope is not None:
            with variable_scope(scope, custom_getter=self._rnn_get_variable) as scope:
                return super().__call__(inputs, state, scope=scope)
        entered = self.__dict__.get("rnncell_scope")
        if entered is None:
            entered = variable_scope(get_variable_scope(), custom_getter=self._rnn_get_variable)
            self.__dict__["rnncell_scope"] = entered
        with entered:
            return super().__call__(inputs, state)

    def _ready(self) -> None:
        """A program's own cell may never have called our constructor."""
        if "built" not in self.__dict__:
            RNNCell.__init__(self)

    def _old_call(self, inputs: Any, state: Any, scope: Any) -> Any:
        """Before 1.0 a cell had no variables of its own: every call got them by name in the scope it was called in."""
        with variable_scope(scope or type(self).__name__) as opened:
            self._scope = self._current_scope = opened
            inputs = nest.map_structure(lambda t: convert_to_tensor(t) if not isinstance(t, TensorLike) else t, inputs)
            if type(self).build is not Layer.build:
                self._dtype = nest.flatten(inputs)[0].dtype.base_dtype.name
                self.build(nest.map_structure(lambda t: t.shape, inputs))
            return self.call(inputs, state)

    def _rnn_get_variable(self, getter: Any, *args: Any, **kwargs: Any) -> Any:
        variable = getter(*args, **kwargs)
        for part in variable if hasattr(variable, "_get_variable_list") else [variable]:
            target = self._trainable_weights if part.trainable else self._non_trainable_weights
            if not any(part is known for known in target):
                target.append(part)
        return variable

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self.__dict__.pop("rnncell_scope", None)
        return super().__deepcopy__(memo)

    @property
    def state_size(self) -> Any:
        raise NotImplementedError("Abstract method")

    @property
    def output_size(self) -> Any:
        raise NotImplementedError("Abstract method")

    def build(self, _: Any) -> None:
        self.built = True

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """zero_state, with batch size and dtype from `inputs` where given; ValueError when they clash."""
        if inputs is not None:
            inputs = convert_to_tensor(inputs, name="inputs")
            if batch_size is not None:
                static = constant_value(batch_size) if isinstance(batch_size, Tensor) else batch_size
                known = inputs.shape.as_list()[0]
                if known != (None if static is None else int(static)):
                    raise ValueError(
                        "batch size from input tensor is different from the input param. Input tensor batch: "
                        f"{known}, batch_size: {batch_size}"
                    )
            if dtype is not None and inputs.dtype.base_dtype != dtypes.as_dtype(dtype):
                raise ValueError(
                    f"dtype from input tensor is different from the input param. Input tensor dtype: {inputs.dtype}, dtype: {dtype}"  # noqa: E501
                )
            known = inputs.shape.as_list()[0] if inputs.shape.rank is not None else None
            batch_size = known if known is not None else names.lookup("shape")(inputs)[0]
            dtype = inputs.dtype
        if batch_size is None or dtype is None:
            raise ValueError(
                f"batch_size and dtype cannot be None while constructing initial state: batch_size={batch_size}, dtype={dtype}"  # noqa: E501
            )
        return self.zero_state(batch_size, dtype)

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """Zeros of shape [batch_size] + size in the structure of state_size."""
        with name_scope(f"{type(self).__name__}ZeroState", values=[batch_size]):
            return zero_state_tensors(self.state_size, batch_size, dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config()


class LayerRNNCell(RNNCell):
    """A cell whose variables are made once, on the first call, from the static depth of the input."""

    def __call__(self, inputs: Any, state: Any, scope: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._ready()
        if eras.current() < (1, 0):
            return self._old_call(inputs, state, scope)
        return Layer.__call__(self, inputs, state, *args, scope=scope, **kwargs)

    def add_weight(self, name: str, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        if eras.current() >= (1, 2):
            return super().add_weight(name, shape, *args, **kwargs)
        name = old_variable_name(type(self).__name__, name)
        if eras.current() >= (1, 0):
            return super().add_weight(name, shape, *args, **kwargs)
        return get_variable(
            name, shape, dtype=kwargs.get("dtype") or self._dtype, initializer=kwargs.get("initializer")
        )

    def add_variable(self, name: str, shape: Any = None, **kwargs: Any) -> Any:
        return self.add_weight(name, shape, **kwargs)


export(LayerRNNCell, "nn.rnn_cell._LayerRNNCell", "contrib.rnn.LayerRNNCell", "python.ops.rnn_cell_impl.LayerRNNCell")


def old_variable_name(cell: str, name: str) -> str:
    """A variable of a cell under the name that the program's release gave it."""
    if eras.current() >= (1, 0):
        return (
            name.replace("kernel", "weights").replace("bias", "biases") if name.endswith(("kernel", "bias")) else name
        )
    if cell == "LSTMCell":
        table = {"kernel": "W_0", "bias": "B", "projection/kernel": "W_P_0"}
        return table.get(name, name.upper().replace("_DIAG", "_diag"))
    parts = name.split("/")
    parts[-1] = {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}.get(parts[-1], parts[-1])
    return "/".join([*[p.title() for p in parts[:-1]], parts[-1]])


def loop_scope(name: str) -> str:
    """A loop's default scope in the program's era (`rnn`, or `RNN` before 1.0)."""
    if eras.current() >= (1, 0):
        return name
    return {"rnn": "RNN", "bidirectional_rnn": "BiRNN", "fw": "FW", "bw": "BW"}.get(name, name)


def depth_of(shape: Any) -> int:
    """The static size of the last axis; ValueError when unknown."""
    shape = TensorShape(shape)
    if shape.rank is None or shape.values[-1] is None:
        raise ValueError(f"Expected inputs.shape[-1] to be known, saw shape: {shape}")
    return shape.values[-1]


def check_supported_dtypes(dtype: Any) -> None:
    """Cells compute with floating or complex numbers only."""
    if dtype is None:
        return
    dtype = dtypes.as_dtype(dtype)
    if not (dtype.is_floating or dtype.is_complex):
        raise ValueError(f"RNN cell only supports floating point inputs, but saw dtype: {dtype}")
