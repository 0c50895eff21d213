"""The contract that the whole library speaks: the shape alphabet, states, and what a cell is.

    T  time steps          B  batch rows            I  input features
    H  hidden units        G  gates                 P  projected units (= H where nothing is projected)

Inside the library a sequence is time-major, `[T, B, I]`; the public loops take `[B, T, I]` unless told otherwise.
A row-strided view is as good as a contiguous tensor: nothing is copied only to change the layout.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

State: TypeAlias = Any
"""A tensor `[B, ...]`, or nested (named) tuples of such; a leaf of rank 0 is a counter and is never masked."""

Masks: TypeAlias = Any
"""What was drawn at random for a call: None, or nested (named) tuples of tensors whose first axis is time (T or 1)."""


class LSTMState(NamedTuple):
    """The state of an LSTM: memory first, as in TensorFlow (torch.nn has h first)."""

    c: Tensor
    """Memory `[B, H]`."""
    h: Tensor
    """Output `[B, P]`."""


class _ScalarSize:
    """The size of a state leaf of rank 0."""

    def __repr__(self) -> str:
        return "SCALAR"

    def __reduce__(self) -> str:
        return "SCALAR"


SCALAR = _ScalarSize()

StateSize: TypeAlias = Any
"""Like a state, with sizes at the leaves: `n` for `[B, n]`, `torch.Size(s)` for `[B, *s]`, `SCALAR` for `[]`."""


@runtime_checkable
class Cell(Protocol):
    """What the loops need. `recurra.cells.BaseCell` gives all of it to a class that has `forward` and the sizes."""

    @property
    def state_size(self) -> StateSize: ...

    @property
    def output_size(self) -> Any: ...

    def initial_state(
        self, batch_size: int, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> State: ...

    def __call__(self, x: Any, state: State) -> tuple[Any, State]: ...

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        reverse: bool = False,
        masks: Masks = None,
        after: Any = (),
        resets: Tensor | None = None,
        reset_state: State = None,
        return_states: bool = False,
    ) -> Any: ...
