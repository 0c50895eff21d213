"""The base of cells whose recurrence is linear in the state: the sequence is one scan, a step is one multiply-add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Masks, State
from recurra.cells.family import FamilyCell
from recurra.kernels import Recurrence
from recurra.kernels.linear import hold_padding, linear_scan
from recurra.kernels.scan import After, mask_inputs, select, valid_steps


class Coefficients(NamedTuple):
    """What the input says about `h' = a * h + b`, and what the output needs beside h."""

    a: Tensor
    """`[..., B, H]` for a state `[B, H]`, or what broadcasts to it: `[H]` where it never changes."""
    b: Tensor
    rest: Any = None


class LinearRecurrence(NamedTuple):
    """`coefficients(params, inputs, options)` for one step or all; `emit(params, rest, h, options)` -> output."""

    family: str
    coefficients: Callable[..., Coefficients]
    emit: Callable[..., Tensor]
    prepare: Callable[[Any], Any] = lambda params: params
    """What is computed from the parameters alone, once a call: it takes their place in the other two."""
    complex_state: bool = False
    """Whether h is complex: the state's leaf is then its real view, with a last axis of (real, imaginary)."""

    def enter(self, state: Tensor) -> Tensor:
        """h of a state's leaf (complex numbers have no half precision: those are computed in single)."""
        if not self.complex_state:
            return state
        wide = state if state.dtype in (torch.float32, torch.float64) else state.float()
        return torch.view_as_complex(wide.contiguous())

    def leave(self, h: Tensor, dtype: torch.dtype) -> Tensor:
        """The leaf of h."""
        return torch.view_as_real(h).to(dtype) if self.complex_state else h

    def as_steps(self) -> Recurrence:
        """The same equation in the form of every other cell."""

        def project(params: Any, inputs: Tensor, options: Any) -> Coefficients:
            found = self.coefficients(self.prepare(params), inputs, options)
            return found._replace(a=found.a.expand(found.b.shape))

        def recur(
            params: Any, projected: Coefficients, state: Tensor, options: Any, masks: Masks = None
        ) -> tuple[Tensor, Tensor]:
            h = projected.a * self.enter(state) + projected.b
            return self.emit(self.prepare(params), projected.rest, h, options), self.leave(h, state.dtype)

        return Recurrence(self.family, project, recur)


BLOCK = 1 << 17
"""State numbers that are computed at a time (steps * B * H): so many stay in the processor's caches."""


def linear_sequence(
    recurrence: LinearRecurrence,
    params: Any,
    inputs: Tensor,
    state: Tensor,
    lengths: Tensor | None = None,
    *,
    options: Any = None,
    reverse: bool = False,
    resets: Tensor | None = None,
    reset_state: Tensor | None = None,
    return_states: bool = False,
) -> Any:
    """A whole sequence `[T, B, I]`; arguments and result as in `recurra.kernels.scan`.

    Past a row's end a is 1 and b is 0, so that the state stays; run in reverse, a row then starts at its own end.
    """
    params, total = recurrence.prepare(params), inputs.shape[0]
    valid = None if lengths is None else valid_steps(lengths, total)
    steps = max(1, BLOCK // max(1, state.numel())) if inputs.device.type == "cpu" else max(1, total)
    parts = [slice(start, start + steps) for start in range(0, max(1, total), steps)]
    outputs, states = [], []
    final = state
    for part in reversed(parts) if reverse else parts:
        emitted, h = _block(
            recurrence,
            params,
            inputs[part],
            final,
            None if valid is None else valid[part],
            options,
            reverse=reverse,
            resets=None if resets is None else resets[part],
            reset_state=reset_state,
        )
        outputs.append(emitted)
        states.append(h)
        final = final if total == 0 else h[0 if reverse else -1]
    order = reversed if reverse else iter
    joined = outputs[0] if len(parts) == 1 else torch.cat(list(order(outputs)))
    return (joined, final, torch.cat(list(order(states)))) if return_states else (joined, final)


def _block(
    recurrence: LinearRecurrence,
    params: Any,
    inputs: Tensor,
    state: Tensor,
    valid: Tensor | None,
    options: Any,
    *,
    reverse: bool,
    resets: Tensor | None,
    reset_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Some steps: outputs and states `[T, B, …]`."""
    a, b, rest = recurrence.coefficients(params, mask_inputs(inputs, valid), options)
    if resets is not None or valid is not None:
        a = a.expand(b.shape)
    if resets is not None and reset_state is not None:
        fresh = b + a * recurrence.enter(reset_state)
        b = select(resets.flatten(), fresh.flatten(0, 1), b.flatten(0, 1)).unflatten(0, b.shape[:2])
        a = torch.where(resets.reshape(*resets.shape, *[1] * (a.dim() - 2)), a.new_zeros(()), a)
    a, b = hold_padding(a, b, valid)
    h = linear_scan(a, b, recurrence.enter(state), reverse=reverse)
    outputs = mask_inputs(recurrence.emit(params, rest, h, options), valid)
    return outputs, recurrence.leave(h, state.dtype)


class LinearCell(FamilyCell):
    """A cell over a `LinearRecurrence`; wrappers that act inside the recurrence run it step by step."""

    linear: ClassVar[LinearRecurrence]
    output_is_state = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "linear" in cls.__dict__:
            cls.recurrence = cls.linear.as_steps()

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        masks: Masks = None,
        after: After = (),
        **call: Any,
    ) -> Any:
        if after or masks is not None or _nest.is_nested(inputs):
            return super().unroll(inputs, state, lengths, masks=masks, after=after, **call)
        return linear_sequence(self.linear, self.params(), inputs, state, lengths, options=self.options, **call)
