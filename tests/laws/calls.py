"""Random calls of a row's cell, and the pieces that the laws take them apart into."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

import recurra as rc
from recurra import _nest
from recurra._typing import SCALAR
from tests.laws.table import Row, build

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}


@dataclasses.dataclass
class Call:
    """A sequence call, time-major."""

    cell: Any
    inputs: Any
    state: Any
    lengths: Tensor | None
    masks: Any
    steps: int
    batch: int
    dtype: torch.dtype

    def run(self, **change: Any) -> Any:
        """(outputs, final state); `change` replaces fields, or is passed on to `unroll`."""
        own = {key: change.pop(key) for key in list(change) if key in ("inputs", "state", "lengths", "masks")}
        call = dataclasses.replace(self, **own)
        return rc.unroll(
            call.cell, call.inputs, call.state, lengths=call.lengths, masks=call.masks, time_major=True, **change
        )

    def ends(self) -> Tensor:
        """The lengths, T where there are none."""
        return torch.full((self.batch,), self.steps) if self.lengths is None else self.lengths


def calls(row: Row, *, dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)) -> st.SearchStrategy[Call]:
    """Calls with T of 0..5 and B of 0..3, ragged or not."""

    @st.composite
    def draw_call(draw: Callable[..., Any]) -> Call:
        steps, batch = draw(st.integers(0, 5)), draw(st.integers(0, 3))
        ragged = draw(st.booleans())
        lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)) if ragged else None
        return make_call(row, steps, batch, lengths, draw(st.sampled_from(dtypes)), draw(st.integers(0, 99)))

    return draw_call()


def make_call(
    row: Row, steps: int, batch: int, lengths: list[int] | None, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Call:
    """A call with everything that is random drawn from `seed`."""
    cell = build(row, dtype, seed)
    inputs = random_inputs(cell, steps, batch, dtype)
    state = _nest.map_leaves(
        lambda leaf: 0.5 * torch.randn_like(leaf) if leaf.dim() else leaf, cell.initial_state(batch)
    )
    like = torch.empty(0, dtype=dtype)
    masks = cell.draw_masks(steps, batch, like=like, input_size=cell.input_size)
    ends = None if lengths is None else torch.tensor(lengths, dtype=torch.int64)
    return Call(cell, inputs, state, ends, masks, steps, batch, dtype)


def random_inputs(cell: Any, steps: int, batch: int, dtype: torch.dtype) -> Any:
    if cell.input_size is None:  # ids
        return torch.randint(0, 7, (steps, batch))

    def leaf(size: Any) -> Tensor:
        return torch.randn(steps, batch, *([size] if isinstance(size, int) else size), dtype=dtype)

    return _nest.map_leaves(leaf, cell.input_size)


def each(fn: Callable[..., Any], value: Any, *others: Any) -> Any:
    return _nest.map_leaves(fn, value, *others)


def rows_of(value: Any, rows: Any) -> Any:
    """Some rows of a sequence or of masks `[T, B, ...]` (masks of one row for all stay)."""
    return each(lambda leaf: leaf if leaf.shape[1] == 1 and max(rows, default=0) > 0 else leaf[:, rows], value)


def state_rows(state: Any, rows: Any) -> Any:
    return each(lambda leaf: leaf[rows] if leaf.dim() else leaf, state)


def times_of(value: Any, times: slice) -> Any:
    """Some steps of a sequence or of masks (masks of one step for all stay)."""
    return each(lambda leaf: leaf if leaf.shape[0] == 1 else leaf[times], value)


def flip(value: Any, ends: Tensor) -> Any:
    """Each row `[T, B, ...]` turned round within its length."""

    def leaf(tensor: Tensor) -> Tensor:
        if tensor.shape[0] == 1 and len(ends) and int(ends.max()) != 1:
            return tensor
        turned = tensor.clone()
        for row, end in enumerate(ends.tolist()):
            if tensor.shape[1] > row:
                turned[:end, row] = tensor[:end, row].flip(0)
        return turned

    return each(leaf, value)


def fill_padding(call: Call, filler: float) -> Any:
    """The inputs with `filler` past each row's end (ids: another id)."""

    def leaf(tensor: Tensor) -> Tensor:
        spoiled = tensor.clone()
        for row, end in enumerate(call.ends().tolist()):
            spoiled[end:, row] = filler if tensor.is_floating_point() else 6
        return spoiled

    return each(leaf, call.inputs)


def zero_past_ends(value: Any, ends: Tensor) -> Any:
    def leaf(tensor: Tensor) -> Tensor:
        kept = tensor.clone()
        for row, end in enumerate(ends.tolist()):
            kept[end:, row] = 0
        return kept

    return each(leaf, value)


def assert_same(actual: Any, expected: Any, dtype: torch.dtype, what: str = "") -> None:
    """The same structure, shapes, dtypes and (nearly) numbers."""
    _nest.check_structure(what or "value", actual, expected)
    for left, right in zip(_nest.flatten(actual), _nest.flatten(expected), strict=True):
        torch.testing.assert_close(
            left, right, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], msg=lambda text: f"{what}: {text}"
        )


def has_counter(cell: Any) -> bool:
    return any(size is SCALAR for size in _nest.flatten(cell.state_size))


class Unrolled(torch.nn.Module):
    """A call as a module of (inputs, state), for functional_call, vmap, export and compile."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.cell = call.cell
        self.lengths, self.masks = call.lengths, call.masks

    def forward(self, inputs: Any, state: Any) -> Any:
        return self.cell.unroll(inputs, state, self.lengths, masks=self.masks)
