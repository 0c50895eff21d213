"""Grid RNNs (Kalchbrenner, Danihelka and Graves, 2016, https://arxiv.org/abs/1507.01526) as TensorFlow's
contrib.grid_rnn has them: one cell per dimension of a grid, all of them seeing each other's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import LSTMState, Masks, State
from recurra.cells.activations import Activation, resolve
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.checks import check_step, positive
from recurra.cells.family import affine
from recurra.cells.gru import GRUCell
from recurra.cells.init import Initializer
from recurra.cells.lstm import LSTMCell
from recurra.cells.rnn import RNNCell
from recurra.errors import InputError

MakeCell = Callable[[int, int], BaseCell]
"""(input_size, hidden_size) -> the cell of one dimension."""


class GridDims(NamedTuple):
    """Which dimension does what."""

    number: int
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    priority: tuple[int, ...] = ()
    plain: tuple[int, ...] = ()
    """Dimensions without recurrence."""

    @property
    def sees_inputs_only(self) -> bool:
        """Whether the cells' input (all outputs but the last dimension's) is the projected input at every time."""
        return all(k in self.inputs and k in self.priority for k in range(self.number - 1))

    @property
    def order(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The dimensions that run first, and those that run after and see them."""
        return tuple(k for k in range(self.number) if k not in self.priority), self.priority


class GridInput(NamedTuple):
    """What a step needs of its input."""

    shares: dict[str, Tensor]
    """`m_{k}`, `c_{k}` -> the projection that takes the place of that output or memory."""
    cells: dict[str, Any]
    """Each cell's own projection; empty where its input is known only in the step."""
    inputs: Tensor


def join(parts: Sequence[Tensor], *, like: Tensor) -> Tensor:
    """Side by side; nothing at all for no parts."""
    if len(parts) < 2:
        return parts[0] if parts else like.new_zeros(*like.shape[:-1], 0)
    return torch.cat(list(parts), -1)


def grid_step(
    dims: GridDims,
    cells: Callable[[int, Tensor, State], tuple[Tensor, State]],
    plain: Callable[[int, Tensor], Tensor],
    m: list[Tensor],
    c: list[Tensor | None],
) -> tuple[list[Tensor], list[State]]:
    """One step over the grid: a cell's input is all outputs but the last dimension's, its hidden state that one.

    Args:
        dims: the plan.
        cells: dimension, input, state -> (output, new state) of a recurrent dimension.
        plain: dimension, all outputs side by side -> output of a dimension without recurrence.
        m: each dimension's output one step ago (input dimensions: the projected input).
        c: each dimension's memory, None where it has none.
    """
    now: list[Any] = [None] * dims.number
    states: list[State] = [None] * dims.number
    for group in dims.order:
        seen = [before if fresh is None else fresh for fresh, before in zip(now, m, strict=True)]
        x = join(seen[:-1], like=seen[-1])
        for k in group:
            if k in dims.plain:
                now[k] = plain(k, torch.cat(seen, -1))
            else:
                memory = c[k]
                state = seen[-1] if memory is None else LSTMState(memory, seen[-1])
                now[k], states[k] = cells(k, x, state)
    return now, states


class GridRNNCell(LeafCell):
    """A grid of cells, one a dimension.

        inputs, split over `input_dims` and projected, replace those dimensions' m (and c)
        x = [m_0; …; m_{D-2}],  h = m_{D-1}                     # the same for every dimension
        m_k', c_k' = cell_k(x, (c_k, h))                        # first all dimensions but `priority_dims`, then these

    Output: the m' of `output_dims` side by side, `[B, n * outputs]` (TensorFlow gives a tuple; `chunk` it); state: a
    tuple of the recurrent dimensions' states.

    Parameters: `project_m_{k}`, `project_c_{k}` `[I, n]`, `recurrent.cell_{k}` (or, tied, `recurrent.cell`), a
    dimension without recurrence has `non_recurrent.cell_{k}.weights [D * n, n]` and `.biases`.

    Args:
        input_size: features of the input; divisible by the number of input dimensions.
        hidden_size: units n of every dimension.
        num_dims: dimensions D.
        input_dims, output_dims: which take the input and give the output; none takes or gives nothing.
        priority_dims: which run last.
        non_recurrent_dims: which keep no state.
        tied: one cell for all dimensions.
        cell: makes the cell of a dimension.
        non_recurrent_activation: of the dimensions without recurrence.
        init: fills the projections in place instead of TensorFlow's default.
    """

    output_is_state = False
    tf_scope: ClassVar[str] = "GridRNNCell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_dims: int = 1,
        input_dims: int | Sequence[int] = (0,),
        output_dims: int | Sequence[int] = (0,),
        priority_dims: int | Sequence[int] = (),
        non_recurrent_dims: int | Sequence[int] = (),
        tied: bool = False,
        cell: MakeCell = LSTMCell,
        non_recurrent_activation: Activation = "linear",
        init: Initializer | None = None,
    ) -> None:
        super().__init__(init=init)
        plans = {
            "input_dims": input_dims,
            "output_dims": output_dims,
            "priority_dims": priority_dims,
            "non_recurrent_dims": non_recurrent_dims,
        }
        positive("num_dims", num_dims)
        self.dims = GridDims(num_dims, *(_dims(name, dims, num_dims) for name, dims in plans.items()))
        self.input_size, self.hidden_size = positive("input_size", input_size), positive("hidden_size", hidden_size)
        if self.dims.inputs and input_size % len(self.dims.inputs):
            raise InputError(f"`input_size` must divide by {len(self.dims.inputs)} input dimensions, got {input_size}")
        self.activation = resolve(non_recurrent_activation)
        self.tied = tied
        recurrent = [k for k in range(num_dims) if k not in self.dims.plain]
        self.recurrent = nn.ModuleDict()
        for name in ["cell"] if tied else [f"cell_{k}" for k in recurrent]:
            self.recurrent[name] = cell((num_dims - 1) * hidden_size, hidden_size)
        sizes = tuple(self.cell_of(k).state_size for k in recurrent)
        self.state_size = sizes
        self.output_size = hidden_size * len(self.dims.outputs)
        like = next(self.recurrent.parameters())
        factory: dict[str, Any] = {"device": like.device, "dtype": like.dtype}
        for k in self.dims.inputs:
            has_memory = k not in self.dims.plain and _nest.is_nested(self.cell_of(k).state_size)
            for part in "mc" if has_memory or self._memory_of_others(k) else "m":
                self.add_variable(f"project_{part}_{k}", input_size // len(self.dims.inputs), hidden_size, **factory)
        for k in self.dims.plain:
            at = f"non_recurrent.cell_{k}"
            self.add_variable(f"{at}.weights", num_dims * hidden_size, hidden_size, **factory)
            self.add_variable(f"{at}.biases", hidden_size, constant=0.0, **factory)

    def _memory_of_others(self, k: int) -> bool:
        """TensorFlow projects to the memory of a dimension without recurrence too, in vain, when the cells have one."""
        return k in self.dims.plain and any(_nest.is_nested(cell.state_size) for cell in self.recurrent.values())

    @property
    def tf_names(self) -> dict[str, str]:
        """parameter -> TensorFlow's name within the scope (the inner cells' scopes included)."""
        names = {}
        for name, _ in self.named_parameters():
            path = name.split(".")
            if path[0] == "recurrent":
                inner = getattr(self.recurrent[path[1]], "tf_scope", _scope_of(self.recurrent[path[1]], self.tf_scope))
                middle = [] if path[1] == "cell" else [path[1]]
                names[name] = "/".join(["recurrent", *middle, inner, *path[2:]])
            elif path[0] == "non_recurrent":
                names[name] = "/".join([*path[:2], "fully_connected", path[2]])
        return names

    def cell_of(self, k: int) -> BaseCell:
        """The cell of a recurrent dimension."""
        return self.recurrent[self._name_of(k)]  # type: ignore[return-value]

    def _name_of(self, k: int) -> str:
        return "cell" if self.tied else f"cell_{k}"

    def initial_state(self, batch_size: int, **factory: Any) -> State:
        recurrent = [k for k in range(self.dims.number) if k not in self.dims.plain]
        return tuple(self.cell_of(k).initial_state(batch_size, **factory) for k in recurrent)

    def project(self, inputs: Tensor) -> GridInput:
        parts = inputs.chunk(max(1, len(self.dims.inputs)), -1)
        shares = {}
        for k, part in zip(self.dims.inputs, parts, strict=False):
            for kind in "mc":
                if hasattr(self, f"project_{kind}_{k}"):
                    shares[f"{kind}_{k}"] = part @ getattr(self, f"project_{kind}_{k}")
        return GridInput(shares, self._project_cells(shares, inputs), inputs)

    def _project_cells(self, shares: dict[str, Tensor], inputs: Tensor) -> dict[str, Any]:
        """Each cell's own projection, for all steps at once, where it needs no state."""
        cells = [self.cell_of(k) for k in range(self.dims.number) if k not in self.dims.plain]
        drawn = any(type(cell).draw_masks is not BaseCell.draw_masks for cell in cells)
        if drawn or not self.dims.sees_inputs_only:
            return {}
        x = join([shares[f"m_{k}"] for k in range(self.dims.number - 1)], like=inputs)
        return {name: cell.project(x) for name, cell in self.recurrent.items()}  # type: ignore[operator]

    def recur(self, projected: GridInput, state: State, masks: Masks = None) -> tuple[Tensor, State]:
        shares, ready, inputs = projected
        m: list[Tensor] = []
        c: list[Tensor | None] = []
        left = list(state)
        for k in range(self.dims.number):
            past = None if k in self.dims.plain else left.pop(0)
            memory, output = past if isinstance(past, tuple) else (None, past)
            if output is None:
                output = inputs.new_zeros(inputs.shape[0], self.hidden_size)
            m.append(shares.get(f"m_{k}", output))  # type: ignore[arg-type]
            c.append(memory if memory is None else shares.get(f"c_{k}", memory))

        def run(k: int, x: Tensor, state: State) -> tuple[Tensor, State]:
            name = self._name_of(k)
            return self.cell_of(k).recur(ready[name], state) if ready else self.cell_of(k)(x, state)

        now, states = grid_step(self.dims, run, self._run_plain, m, c)
        new = tuple(states[k] for k in range(self.dims.number) if k not in self.dims.plain)
        return join([now[k] for k in self.dims.outputs], like=inputs), new

    def _run_plain(self, k: int, seen: Tensor) -> Tensor:
        part = getattr(self.non_recurrent, f"cell_{k}")
        return self.activation(affine(seen, part.weights, part.biases))

    def forward(self, x: Tensor, state: State, masks: Masks = None) -> tuple[Tensor, State]:
        check_step(self, x, state)
        return self.recur(self.project(x), state, masks)

    def unroll(self, *arguments: Any, **call: Any) -> Any:
        return BaseCell.unroll(self, *arguments, **call)


def _dims(name: str, dims: int | Sequence[int], count: int) -> tuple[int, ...]:
    chosen = (dims,) if isinstance(dims, int) else tuple(dims)
    for k in chosen:
        if not 0 <= k < count:
            raise InputError(f"`{name}` must lie in [0, {count}), got {k}")
    return chosen


def _scope_of(cell: nn.Module, grid: str) -> str:
    """TensorFlow 1.15's scope of a core cell in a grid."""
    if isinstance(cell, LSTMCell):
        return "basic_lstm_cell" if "Basic" in grid else "lstm_cell"
    return {GRUCell: "gru_cell", RNNCell: "basic_rnn_cell"}.get(type(cell), type(cell).__name__)


class _Preset(GridRNNCell):
    """A grid whose first dimension takes the input, gives the output and runs last.

    Args:
        input_size, hidden_size, tied, init: as in `GridRNNCell`.
        non_recurrent_activation: makes the first dimension keep no state; None leaves it recurrent.
        options: of the cells.
    """

    kind: ClassVar[Callable[..., BaseCell]]
    count: ClassVar[int]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        tied: bool = False,
        non_recurrent_activation: Activation | None = None,
        init: Initializer | None = None,
        **options: Any,
    ) -> None:
        plain = () if non_recurrent_activation is None else (0,)
        super().__init__(
            input_size,
            hidden_size,
            num_dims=self.count,
            priority_dims=0,
            non_recurrent_dims=plain,
            tied=tied,
            cell=partial(type(self).kind, init=init, **options),
            non_recurrent_activation=non_recurrent_activation or "linear",
            init=init,
        )


class Grid1BasicRNNCell(_Preset):
    """`GridRNNCell` of one `RNNCell`."""

    kind, count, tf_scope = RNNCell, 1, "Grid1BasicRNNCell"


class Grid2BasicRNNCell(_Preset):
    """`GridRNNCell` of two `RNNCell`s."""

    kind, count, tf_scope = RNNCell, 2, "Grid2BasicRNNCell"


class Grid1BasicLSTMCell(_Preset):
    """`GridRNNCell` of one `LSTMCell` without options."""

    kind, count, tf_scope = LSTMCell, 1, "Grid1BasicLSTMCell"


class Grid2BasicLSTMCell(_Preset):
    """`GridRNNCell` of two `LSTMCell`s without options."""

    kind, count, tf_scope = LSTMCell, 2, "Grid2BasicLSTMCell"


class Grid1LSTMCell(_Preset):
    """`GridRNNCell` of one `LSTMCell`."""

    kind, count, tf_scope = LSTMCell, 1, "Grid1LSTMCell"


class Grid2LSTMCell(_Preset):
    """`GridRNNCell` of two `LSTMCell`s."""

    kind, count, tf_scope = LSTMCell, 2, "Grid2LSTMCell"


class Grid3LSTMCell(_Preset):
    """`GridRNNCell` of three `LSTMCell`s."""

    kind, count, tf_scope = LSTMCell, 3, "Grid3LSTMCell"


class Grid2GRUCell(_Preset):
    """`GridRNNCell` of two `GRUCell`s."""

    kind, count, tf_scope = GRUCell, 2, "Grid2GRUCell"
