"""tf.nn.rnn_cell's wrappers: DropoutWrapper, ResidualWrapper, DeviceWrapper."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Callable
from typing import Any

from recurra.tf1 import eras, names, nest
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import LSTMStateTuple, RNNCell, assert_like_rnncell, state_shape
from recurra.tf1.tensor import TensorLike
from recurra.tf1.tensor_array import TensorArray
from recurra.tf1.tracking import Dependency


class RNNCellWrapper(RNNCell):
    """A cell around another one, without a scope of its own."""

    def __init__(self, cell: Any, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        assert_like_rnncell("cell", cell)
        self.cell = self._cell = cell

    @property
    def wrapped_cell(self) -> Any:
        return self.cell

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        return [Dependency("cell", self.cell)]

    def _own_config(self) -> dict[str, Any]:
        return {}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal wrapper; the cell as its class and configuration."""
        cell = {"class_name": type(self.cell).__name__, "config": self.cell.get_config()}
        return {**super().get_config(), "cell": cell, **self._own_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A new wrapper from what get_config gave."""
        config = dict(config)
        config.pop("trainable", None)
        described = config.pop("cell")
        if isinstance(described, dict):
            kind = (custom_objects or {}).get(described["class_name"]) or names.lookup(
                f"nn.rnn_cell.{described['class_name']}"
            )
            described = kind.from_config(described["config"])
        return cls(described, **config)

    @property
    def state_size(self) -> Any:
        return self.cell.state_size

    @property
    def output_size(self) -> Any:
        return self.cell.output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        with name_scope(f"{type(self).__name__}ZeroState", values=[batch_size]):
            return self.cell.zero_state(batch_size, dtype)

    def _call_wrapped_cell(self, inputs: Any, state: Any, cell_call_fn: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __call__(self, inputs: Any, state: Any, scope: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Run the wrapped cell and what the wrapper adds."""
        return self._call_wrapped_cell(inputs, state, self.cell.__call__, scope=scope)


def _default_filter(substate: Any) -> Any:
    """Drop everything but the memory of an LSTM and TensorArrays."""
    if isinstance(substate, LSTMStateTuple):
        if eras.current() < (1, 4):
            return LSTMStateTuple(c=True, h=True)
        return LSTMStateTuple(c=False, h=True)
    return not isinstance(substate, TensorArray)


def _is_constant_one(value: Any) -> bool:
    if isinstance(value, TensorLike):
        known = constant_value(value)
        return known is not None and float(known) == 1.0
    return isinstance(value, numbers.Real) and float(value) == 1.0


_OLD_ORDER = ("seed",)
_ORDER = ("state_keep_prob", "variational_recurrent", "input_size", "dtype", "seed", "dropout_state_filter_visitor")


@tf_export("nn.rnn_cell.DropoutWrapper", "contrib.rnn.DropoutWrapper")
class DropoutWrapper(RNNCellWrapper):
    """Drop parts of the input, the new state and the output of a cell; the probabilities are of keeping."""

    def __init__(self, cell: Any, input_keep_prob: Any = 1.0, output_keep_prob: Any = 1.0, *args: Any, **kwargs: Any):
        order = _OLD_ORDER if eras.current() < (1, 1) else _ORDER
        given = {**dict(zip(order, args, strict=False)), **kwargs}
        state_keep_prob = given.pop("state_keep_prob", 1.0)
        variational, input_size = given.pop("variational_recurrent", False), given.pop("input_size", None)
        dtype, seed = given.pop("dtype", None), given.pop("seed", None)
        visitor = given.pop("dropout_state_filter_visitor", None)
        super().__init__(cell, dtype=dtype, **given)
        if visitor is not None and not callable(visitor):
            raise TypeError("dropout_state_filter_visitor must be callable")
        self._dropout_state_filter = visitor or _default_filter
        with name_scope("DropoutWrapperInit"):
            self._input_keep_prob = self._checked(input_keep_prob, "input_keep_prob")
            self._state_keep_prob = self._checked(state_keep_prob, "state_keep_prob")
            self._output_keep_prob = self._checked(output_keep_prob, "output_keep_prob")
            self._variational_recurrent, self._input_size, self._seed = variational, input_size, seed
            self._recurrent_input_noise: Any = None
            self._recurrent_state_noise: Any = None
            self._recurrent_output_noise: Any = None
            if variational:
                self._make_noise(dtype, input_size)

    def _own_config(self) -> dict[str, Any]:
        visitor = self._dropout_state_filter
        return {
            **({} if visitor is _default_filter else {"dropout_state_filter_visitor": visitor}),
            "input_keep_prob": self._input_keep_prob,
            "output_keep_prob": self._output_keep_prob,
            "state_keep_prob": self._state_keep_prob,
            "variational_recurrent": self._variational_recurrent,
            "input_size": self._input_size,
            "seed": self._seed,
        }

    @staticmethod
    def _checked(value: Any, name: str) -> Any:
        tensor = convert_to_tensor(value, name=name) if isinstance(value, TensorLike) else None
        known = constant_value(tensor) if tensor is not None else value
        if known is None:
            return value
        if known < 0 or known > 1:
            raise ValueError(f"Parameter {name} must be between 0 and 1: {int(known)}")
        return float(known) if tensor is None else value

    def _make_noise(self, dtype: Any, input_size: Any) -> None:
        if dtype is None:
            raise ValueError("When variational_recurrent=True, dtype must be provided")

        def noise(size: Any, kind: str, index: int) -> Any:
            shape = [1, *state_shape(1, size)[1:]]
            seed = self._gen_seed(kind, index)
            return names.lookup("random_uniform")(shape, seed=seed, dtype=dtype)

        if not _is_constant_one(self._input_keep_prob):
            if input_size is None:
                raise ValueError(
                    "When variational_recurrent=True and input_keep_prob < 1.0 or is unknown, input_size must be provided"  # noqa: E501
                )
            self._recurrent_input_noise = _enumerate(lambda i, s: noise(s, "input", i), input_size)
        self._recurrent_state_noise = _enumerate(lambda i, s: noise(s, "state", i), self.cell.state_size)
        self._recurrent_output_noise = _enumerate(lambda i, s: noise(s, "output", i), self.cell.output_size)

    def _gen_seed(self, kind: str, index: int) -> int | None:
        if self._seed is None:
            return None
        if eras.current() < (1, 1):
            return self._seed
        text = f"{self._seed}{kind}_{index}"
        return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF

    def _drop(self, values: Any, kind: str, noise: Any, keep: Any, shallow: Any = None) -> Any:
        flags = shallow if shallow is not None else nest.map_structure(lambda _: True, values)
        if not self._variational_recurrent:

            def plain(index: int, flag: Any, value: Any) -> Any:
                if not isinstance(flag, bool) or not flag or isinstance(value, TensorArray):
                    return value
                return names.lookup("nn.dropout")(value, keep_prob=keep, seed=self._gen_seed(kind, index))

            return _enumerate(plain, values, flags)

        def masked(index: int, flag: Any, value: Any, n: Any) -> Any:
            if not isinstance(flag, bool) or not flag or isinstance(value, TensorArray):
                return value
            kept = names.lookup("floor")(keep + n)
            made = names.lookup("div")(value, keep) * kept
            made.set_shape(value.get_shape())
            return made

        return _enumerate(masked, values, flags, noise)

    def _call_wrapped_cell(self, inputs: Any, state: Any, cell_call_fn: Any, **kwargs: Any) -> Any:
        if not _is_constant_one(self._input_keep_prob):
            inputs = self._drop(inputs, "input", self._recurrent_input_noise, self._input_keep_prob)
        output, new_state = cell_call_fn(inputs, state, **kwargs)
        if not _is_constant_one(self._state_keep_prob):
            flags = _visited(new_state, self._dropout_state_filter)
            new_state = self._drop(new_state, "state", self._recurrent_state_noise, self._state_keep_prob, flags)
        if not _is_constant_one(self._output_keep_prob):
            output = self._drop(output, "output", self._recurrent_output_noise, self._output_keep_prob)
        return output, new_state


def _enumerate(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """map over leaves with their number; `function(i, *other leaves, leaf, …)` with flags before values."""
    leaves = nest.flatten(structure)
    columns = [nest.flatten(other) for other in others]
    if not columns:
        made = [function(i, leaf) for i, leaf in enumerate(leaves)]
    elif len(columns) == 1:
        made = [function(i, columns[0][i], leaf) for i, leaf in enumerate(leaves)]
    else:
        made = [function(i, columns[0][i], leaf, columns[1][i]) for i, leaf in enumerate(leaves)]
    return nest.pack_sequence_as(structure, made)


def _visited(state: Any, visitor: Callable[[Any], Any]) -> Any:
    """The visitor's answer for every part of the state, spread over the leaves."""
    answer = visitor(state)
    if isinstance(answer, bool):
        if answer and nest.is_nested(state):
            parts = list(state) if not isinstance(state, dict) else [state[k] for k in sorted(state)]
            return nest.pack_sequence_as(state, [f for p in parts for f in nest.flatten(_visited(p, visitor))])
        return nest.map_structure(lambda _: answer, state)
    nest.assert_same_structure(answer, state, check_types=False) if len(nest.flatten(answer)) == len(
        nest.flatten(state)
    ) else None
    flags: list[Any] = []
    for flag, part in zip(list(answer), list(state), strict=True):
        flags += [flag] * len(nest.flatten(part)) if isinstance(flag, bool) else nest.flatten(flag)
    return nest.pack_sequence_as(state, flags)


@tf_export("nn.rnn_cell.ResidualWrapper", "contrib.rnn.ResidualWrapper")
class ResidualWrapper(RNNCellWrapper):
    """output = input + output of the cell, or residual_fn(input, output)."""

    def __init__(self, cell: Any, residual_fn: Any = None, **kwargs: Any):
        super().__init__(cell, **kwargs)
        self._residual_fn = residual_fn

    def _own_config(self) -> dict[str, Any]:
        return {} if self._residual_fn is None else {"residual_fn": self._residual_fn}

    def _call_wrapped_cell(self, inputs: Any, state: Any, cell_call_fn: Any, **kwargs: Any) -> Any:
        outputs, new_state = cell_call_fn(inputs, state, **kwargs)

        def shapes_agree(inp: Any, out: Any) -> None:
            inp.get_shape().assert_is_compatible_with(out.get_shape())

        def default(inp: Any, out: Any) -> Any:
            nest.assert_same_structure(inp, out)
            nest.map_structure(shapes_agree, inp, out)
            return nest.map_structure(lambda i, o: i + o, inp, out)

        return (self._residual_fn or default)(inputs, outputs), new_state


@tf_export("nn.rnn_cell.DeviceWrapper", "contrib.rnn.DeviceWrapper")
class DeviceWrapper(RNNCellWrapper):
    """The cell under a device scope."""

    def __init__(self, cell: Any, device: Any, **kwargs: Any):
        super().__init__(cell, **kwargs)
        self._device = device

    def _own_config(self) -> dict[str, Any]:
        return {"device": self._device}

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        with (
            name_scope(f"{type(self).__name__}ZeroState", values=[batch_size]),
            get_default_graph().device(self._device),
        ):
            return self.cell.zero_state(batch_size, dtype)

    def _call_wrapped_cell(self, inputs: Any, state: Any, cell_call_fn: Any, **kwargs: Any) -> Any:
        with get_default_graph().device(self._device):
            return cell_call_fn(inputs, state, **kwargs)
