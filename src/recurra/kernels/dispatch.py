"""Which way a sequence call takes: a compiled kernel, or the plain loop, and the reason why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from recurra._typing import Masks, State
from recurra.kernels.scan import After, scan


class Recurrence(NamedTuple):
    """The equation of one family of cells, as pure functions of tensors.

    `project(params, inputs, options)` is the part that needs no state and works on one step or on all of them;
    `recur(params, projected, state, options, masks)` is one step of the rest and gives `(output, new state)`.
    """

    family: str
    project: Callable[..., Any]
    recur: Callable[..., tuple[Any, State]]

    def step(self, params: Any, x: Any, state: State, options: Any = None, masks: Masks = None) -> tuple[Any, State]:
        """One step: `x [B, I]`, state leaves `[B, ...]` -> (output, new state)."""
        return self.recur(params, self.project(params, x, options), state, options, masks)


def run_sequence(
    recurrence: Recurrence,
    params: Any,
    inputs: Any,
    state: State,
    lengths: Tensor | None = None,
    *,
    options: Any = None,
    reverse: bool = False,
    masks: Masks = None,
    after: After = (),
    resets: Tensor | None = None,
    reset_state: State = None,
    return_states: bool = False,
) -> Any:
    """A whole sequence of one family's recurrence; arguments and result as in `scan`."""

    def step(projected: Any, state: State, step_masks: Masks) -> tuple[Any, State]:
        return recurrence.recur(params, projected, state, options, step_masks)

    return scan(
        step,
        inputs,
        state,
        lengths,
        project=partial(_project, recurrence, params, options),
        reverse=reverse,
        masks=masks,
        after=after,
        resets=resets,
        reset_state=reset_state,
        return_states=return_states,
    )


def _project(recurrence: Recurrence, params: Any, options: Any, inputs: Any) -> Any:
    return recurrence.project(params, inputs, options)
