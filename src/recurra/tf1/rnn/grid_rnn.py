"""tf.contrib.grid_rnn: cells over several dimensions, each with a cell of its own."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from recurra.tf1 import names
from recurra.tf1.names import export, tf_export
from recurra.tf1.rnn.base import LSTMStateTuple, RNNCell
from recurra.tf1.rnn.core_cells import BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell
from recurra.tf1.scopes import get_variable, get_variable_scope, variable_scope

_Dimension = namedtuple("_Dimension", ["idx", "is_input", "is_output", "is_priority", "non_recurrent_fn"])


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


def _listed(dims: Any) -> list[int]:
    return list(dims) if isinstance(dims, list | tuple) else [dims]


@tf_export("contrib.grid_rnn.GridRNNCell")
class GridRNNCell(RNNCell):
    """A grid of `num_dims` dimensions (Kalchbrenner et al., 2015)."""

    def __init__(
        self,
        num_units: int,
        num_dims: int = 1,
        input_dims: Any = None,
        output_dims: Any = None,
        priority_dims: Any = None,
        non_recurrent_dims: Any = None,
        tied: bool = False,
        cell_fn: Any = None,
        non_recurrent_fn: Any = None,
        state_is_tuple: bool = True,
        output_is_tuple: bool = True,
    ):
        super().__init__()
        if num_dims < 1:
            raise ValueError(f"dims must be >= 1: {num_dims}")
        self._state_is_tuple, self._output_is_tuple, self._tied, self._num_dims = (
            state_is_tuple,
            output_is_tuple,
            tied,
            num_dims,
        )
        chosen = {
            name: [] if dims is None else self._checked(dims, num_dims)
            for name, dims in (
                ("input", input_dims),
                ("output", output_dims),
                ("priority", priority_dims),
                ("plain", non_recurrent_dims),
            )
        }
        self._dims = [
            _Dimension(
                i,
                i in chosen["input"],
                i in chosen["output"],
                i in chosen["priority"],
                non_recurrent_fn if i in chosen["plain"] else None,
            )
            for i in range(num_dims)
        ]
        self._inputs, self._outputs = chosen["input"], chosen["output"]
        self._recurrents = [d.idx for d in self._dims if d.non_recurrent_fn is None]
        self._priority = [d.idx for d in self._dims if d.is_priority]
        self._non_priority = [d.idx for d in self._dims if not d.is_priority]
        make = cell_fn or (lambda n: LSTMCell(n, state_is_tuple=state_is_tuple))
        count = 1 if tied else num_dims
        self._cells = [make(num_units) for _ in range(count)]
        if not isinstance(self._cells[0], RNNCell):
            raise ValueError(f"cell_fn must return an RNNCell instance, saw: {type(self._cells[0])}")
        self._num_units = num_units

    @staticmethod
    def _checked(dims: Any, count: int) -> list[int]:
        found = _listed(dims)
        if any(d < 0 or d >= count for d in found):
            raise ValueError(f"Invalid dims: {found}. Must be in [0, {count})")
        return found

    def _cell_of(self, dim: int) -> Any:
        return self._cells[0 if self._tied else dim]

    @property
    def output_size(self) -> Any:
        sizes = tuple(self._cell_of(0).output_size for _ in self._outputs)
        return sizes if self._output_is_tuple else sum(sizes)

    @property
    def state_size(self) -> Any:
        sizes = tuple(self._cell_of(i).state_size for i in self._recurrents)
        return sizes if self._state_is_tuple else sum(sizes)

    def _has_memory(self, dim: int) -> bool:
        return (
            not isinstance(self._cell_of(dim).state_size, int) or self._cell_of(dim).state_size == 2 * self._num_units
        )

    def __call__(self, inputs: Any, state: Any, scope: Any = None, *args: Any, **kwargs: Any) -> Any:
        """One step over all dimensions."""
        self._ready()
        with variable_scope(scope or type(self).__name__):
            m, c = self._unpack(state)
            self._project_inputs(inputs, m, c)
            outputs: list[Any] = [None] * self._num_dims
            new: list[Any] = [None] * self._num_dims
            self._propagate(self._non_priority, m, c, outputs, new, first=True)
            self._propagate(self._priority, m, c, outputs, new, first=False)
            output: Any = tuple(outputs[i] for i in self._outputs)
            states: Any = tuple(new[i] for i in self._recurrents)
            if not self._output_is_tuple:
                output = output[0] if len(output) == 1 else tf("concat")(list(output), 1)
            if not self._state_is_tuple:
                states = states[0] if len(states) == 1 else tf("concat")(list(states), 1)
            return output, states

    def _unpack(self, state: Any) -> tuple[list[Any], list[Any]]:
        m: list[Any] = [None] * self._num_dims
        c: list[Any] = [None] * self._num_dims
        position = 0
        for order, dim in enumerate(self._recurrents):
            n = self._num_units
            if self._state_is_tuple:
                part = state[order]
                if self._has_memory(dim):
                    c[dim], m[dim] = part
                else:
                    m[dim] = part
                continue
            if self._has_memory(dim):
                c[dim] = tf("slice")(state, [0, position], [-1, n])
                position += n
            m[dim] = tf("slice")(state, [0, position], [-1, n])
            position += n
        return m, c

    def _project_inputs(self, inputs: Any, m: list[Any], c: list[Any]) -> None:
        if not self._inputs or inputs is None or inputs.get_shape().as_list()[1] == 0:
            return
        pieces = tf("split")(inputs, len(self._inputs), 1) if len(self._inputs) > 1 else [inputs]
        size = pieces[0].get_shape().as_list()[1]
        for piece, dim in zip(pieces, self._inputs, strict=True):
            m[dim] = tf("matmul")(piece, get_variable(f"project_m_{dim}", [size, self._num_units], dtype=inputs.dtype))
            if self._has_memory(dim):
                c[dim] = tf("matmul")(
                    piece, get_variable(f"project_c_{dim}", [size, self._num_units], dtype=inputs.dtype)
                )

    def _propagate(
        self, dims: Sequence[int], m: list[Any], c: list[Any], outputs: list[Any], new: list[Any], first: bool
    ) -> None:
        if not dims:
            return
        seen = [outputs[i] if outputs[i] is not None and not first else m[i] for i in range(self._num_dims)]
        joined, last = self._joined(seen)
        for dim in dims:
            whole = self._dims[dim]
            if whole.non_recurrent_fn is not None:
                everything = tf("concat")([s for s in seen if s is not None], 1)
                with variable_scope("non_recurrent"):
                    if self._tied:
                        outputs[dim] = tf("contrib.layers.fully_connected")(
                            everything,
                            num_outputs=self._num_units,
                            activation_fn=whole.non_recurrent_fn,
                            weights_initializer=get_variable_scope().initializer,
                        )
                    else:
                        with variable_scope(f"cell_{dim}"):
                            outputs[dim] = tf("contrib.layers.fully_connected")(
                                everything,
                                num_outputs=self._num_units,
                                activation_fn=whole.non_recurrent_fn,
                                weights_initializer=get_variable_scope().initializer,
                            )
                continue
            cell = self._cell_of(dim)
            if not self._has_memory(dim):
                state: Any = last
            elif getattr(cell, "_state_is_tuple", True):
                state = LSTMStateTuple(c[dim], last)
            else:
                state = tf("concat")([c[dim], last], 1)
            with variable_scope("recurrent"):
                if self._tied:
                    reused = any(o is not None for o in new)
                    with variable_scope(
                        get_variable_scope(), reuse=True if reused or get_variable_scope().reuse else None
                    ):
                        outputs[dim], new[dim] = cell(joined, state)
                else:
                    with variable_scope(f"cell_{dim}"):
                        outputs[dim], new[dim] = cell(joined, state)

    def _joined(self, seen: list[Any]) -> tuple[Any, Any]:
        """All outputs but the last side by side, and the last one."""
        given = [s for s in seen if s is not None]
        last = given[-1]
        if len(given) > 1:
            return (tf("concat")(given[:-1], 1) if len(given) > 2 else given[0]), last
        batch = last.get_shape().as_list()[0]
        return tf("zeros")([batch if batch is not None else tf("shape")(last)[0], 0], last.dtype), last


def _preset(name: str, dims: int, cell: Any, options: tuple[str, ...] = (), has_plain: bool = True) -> None:
    defaults = {"use_peepholes": False, "forget_bias": 1.0}

    def __init__(self: Any, num_units: int, *args: Any, **kwargs: Any) -> None:
        order = (
            (["tied"] if dims > 1 else [])
            + (["non_recurrent_fn"] if dims > 1 else [])
            + list(options)
            + ["state_is_tuple", "output_is_tuple"]
        )
        given = {
            "tied": False,
            "non_recurrent_fn": None,
            "state_is_tuple": True,
            "output_is_tuple": True,
            **{o: defaults[o] for o in options},
            **dict(zip(order, args, strict=False)),
            **kwargs,
        }
        chosen = {o: given[o] for o in options}
        tuple_state = given["state_is_tuple"]

        def make(n: int) -> Any:
            if cell is BasicLSTMCell:
                return cell(n, state_is_tuple=tuple_state, **{"forget_bias": 1.0, **chosen})
            return cell(n, state_is_tuple=tuple_state, **chosen) if cell is LSTMCell else cell(n)

        GridRNNCell.__init__(
            self,
            num_units=num_units,
            num_dims=dims,
            input_dims=0,
            output_dims=0,
            priority_dims=0,
            tied=given["tied"],
            non_recurrent_dims=None if given["non_recurrent_fn"] is None else 0,
            cell_fn=make,
            non_recurrent_fn=given["non_recurrent_fn"],
            state_is_tuple=tuple_state,
            output_is_tuple=given["output_is_tuple"],
        )

    export(
        type(
            name,
            (GridRNNCell,),
            {"__init__": __init__, "__doc__": f"GridRNNCell of {dims} dimensions over {cell.__name__}."},
        ),
        f"contrib.grid_rnn.{name}",
    )


_preset("Grid1BasicRNNCell", 1, BasicRNNCell)
_preset("Grid2BasicRNNCell", 2, BasicRNNCell)
_preset("Grid1BasicLSTMCell", 1, BasicLSTMCell, ("forget_bias",))
_preset("Grid2BasicLSTMCell", 2, BasicLSTMCell, ("forget_bias",))
_preset("Grid1LSTMCell", 1, LSTMCell, ("use_peepholes", "forget_bias"))
_preset("Grid2LSTMCell", 2, LSTMCell, ("use_peepholes", "forget_bias"))
_preset("Grid3LSTMCell", 3, LSTMCell, ("use_peepholes", "forget_bias"))
_preset("Grid2GRUCell", 2, GRUCell)
