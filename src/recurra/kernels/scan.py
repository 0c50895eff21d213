"""The plain loop over time steps: the meaning of every sequence call, and the fallback where no kernel fits.

Past the end of a row (`t >= lengths[row]`) the output is zero and the state is the old one, by selection and never by
multiplication, so that NaN in the padding reaches neither values nor gradients. The loop stops at the longest row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Masks, State
from recurra.errors import StructureError
from recurra.kernels.decisions import PLAIN, note

Step = Callable[[Any, State, Masks], tuple[Any, State]]
"""(input at t, state, masks at t) -> (output at t, new state)."""


class StateDropout(NamedTuple):
    """Multiply the new state by masks (already scaled by 1/keep; a None leaf is not touched); the output is not."""

    masks: Masks


class Zoneout(NamedTuple):
    """Mix the old state back in: `m * old + (1 - m) * new`; masks of 0 and 1 in training, the rate in evaluation.

    With `emit`, the cell's output is its state's last leaf, and becomes the mixed one (Krueger et al., 2016).
    """

    masks: Masks
    emit: bool = True


After = tuple[StateDropout | Zoneout, ...]
"""What acts on the new state after each step, in order: the wrappers' part of a recurrence."""


def masks_at(masks: Masks, t: int) -> Masks:
    """The masks of step `t`: axis 0 is time, of length T, or of length 1 for one mask for the whole sequence."""
    return _nest.map_leaves(lambda mask: mask[0] if mask.shape[0] == 1 else mask[t], masks)


def apply_after(after: After, t: int, output: Any, new: State, old: State) -> tuple[Any, State]:
    """Run the transforms of step `t` over a step's result."""
    for transform in after:
        masks = masks_at(transform.masks, t)
        if isinstance(transform, StateDropout):
            new = _nest.map_leaves(lambda leaf, mask: leaf * mask if _acts_on(mask, leaf) else leaf, new, masks)
            continue
        new = _nest.map_leaves(
            lambda leaf, past, mask: mask * past + (1 - mask) * leaf if _acts_on(mask, leaf) else leaf, new, old, masks
        )
        if transform.emit:
            output = _nest.flatten(new)[-1]
    return output, new


def _acts_on(mask: Tensor | None, leaf: Tensor) -> bool:
    """Whether there is a mask, and not a counter to mask: integers and leaves of rank 0 are left alone."""
    return mask is not None and leaf.dim() > 0 and (leaf.is_floating_point() or leaf.is_complex())


def select(condition: Tensor, new: State, old: State) -> State:
    """Rows of `new` where `condition [B]`, else of `old`; a leaf of rank 0 is always taken from `new`."""

    def leaf(fresh: Tensor, past: Tensor) -> Tensor:
        if fresh.dim() == 0:
            return fresh
        return torch.where(condition.reshape(-1, *[1] * (fresh.dim() - 1)), fresh, past)

    return _nest.map_leaves(leaf, new, old)


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """`[T, B]`, true where a row is still running."""
    return torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths.unsqueeze(0)


def traced(*tensors: Tensor) -> bool:
    """Whether values may not be looked at: under torch.compile, torch.export or vmap, or on the meta device."""
    if torch.compiler.is_compiling():
        return True
    return any(tensor.is_meta or _batched(tensor) for tensor in tensors)


def _batched(tensor: Tensor) -> bool:
    """Whether vmap stands for many tensors with it, also under `grad` inside."""
    while torch._C._functorch.is_gradtrackingtensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return bool(torch._C._functorch.is_batchedtensor(tensor))


def longest(lengths: Tensor | None, steps: int) -> int:
    """How many steps must run: up to the longest row; all of them where lengths cannot be read."""
    if lengths is None or traced(lengths):
        return steps
    return min(steps, int(lengths.max())) if lengths.numel() else 0


def mask_inputs(inputs: Any, valid: Tensor | None) -> Any:
    """Inputs with the padding replaced by zeros: 0 * NaN would reach a parameter's gradient otherwise."""
    if valid is None:
        return inputs

    def leaf(tensor: Tensor) -> Tensor:
        shape = valid.shape + (1,) * (tensor.dim() - 2)
        return torch.where(valid.reshape(shape), tensor, tensor.new_zeros(()))

    return _nest.map_leaves(leaf, inputs)


def scan(
    step: Step,
    inputs: Any,
    state: State,
    lengths: Tensor | None = None,
    *,
    project: Callable[[Any], Any] | None = None,
    reverse: bool = False,
    masks: Masks = None,
    after: After = (),
    resets: Tensor | None = None,
    reset_state: State = None,
    return_states: bool = False,
    noted: bool = False,
) -> Any:
    """Run `step` over `inputs`.

    Args:
        step: the recurrence, see `Step`.
        inputs: `[T, B, ...]`, or a nest of such.
        state: the state before the first step, leaves `[B, ...]`.
        lengths: `[B]` integers in `0..T`; None means T everywhere.
        project: the part of the equation that needs no state, applied to all steps at once beforehand.
        reverse: run from each row's last step to its first; output `t` still belongs to input `t`.
        masks: the cell's own random masks, first axis time (T or 1).
        after: what wrappers do to the new state inside the recurrence.
        resets: `[T, B]` bool: rows that start anew from `reset_state` before step t.
        return_states: also return the state after every step, leaves `[T, B, ...]`.
        noted: whether the reason for the plain loop is known already; else it is that of a cell of its own equation.

    Returns:
        `(outputs, final_state)`, or `(outputs, final_state, states)`; outputs `[T, B, ...]`.
    """
    if not noted:
        owner = getattr(step, "__self__", step)
        note(type(owner).__name__, PLAIN, "its equation is its own")
    total, batch = _nest.flatten(inputs)[0].shape[:2]
    valid = None if lengths is None else valid_steps(lengths, total)
    steps = longest(lengths, total)
    inputs = mask_inputs(inputs, valid)
    if steps < total:
        inputs = _nest.map_leaves(lambda tensor: tensor[:steps], inputs)
    if steps == 0:
        return _empty(step, project, inputs, state, total, batch, masks, return_states)
    projected = inputs if project is None else project(inputs)

    initial = state
    columns = [leaf.unbind(0) for leaf in _nest.flatten(projected)]
    outputs: list[Any] = [None] * steps
    states: list[Any] = [None] * steps
    checked = False
    for t in reversed(range(steps)) if reverse else range(steps):
        old = state if resets is None else select(resets[t], reset_state, state)
        x = _nest.pack_as(projected, [column[t] for column in columns])
        found = step(x, old, masks_at(masks, t))
        if not checked:
            _check_result(step, found, old)
            checked = True
        output, new = found
        output, new = apply_after(after, t, output, new, old)
        if valid is None:
            state = new
        else:
            # past a row's end even a reset is not looked at: the state that left the row stays
            state = select(valid[t], new, state)
            output = _nest.map_leaves(
                lambda leaf, t=t: torch.where(valid[t].reshape(-1, *[1] * (leaf.dim() - 1)), leaf, leaf.new_zeros(())),
                output,
            )
        outputs[t], states[t] = output, state
    stacked = _stack(outputs, total)
    if not return_states:
        return stacked, state
    return stacked, state, _stack(states, total, padding=initial if reverse else state)


def _check_result(step: Step, found: Any, state: State) -> None:
    """Raise StructureError, naming the cell, for a step that gives no (output, new state) as the next one needs."""
    name = type(getattr(step, "__self__", step)).__name__
    if not isinstance(found, tuple) or len(found) != 2:
        raise StructureError(f"a step of `{name}` returned {_nest.describe(found)}, expected (output, new state)")
    output, new = found
    if not _nest.same_structure(new, state):
        raise StructureError(
            f"a step of `{name}` returned the new state {_nest.describe(new)}, expected the structure of the state "
            f"that it was given, {_nest.describe(state)}"
        )
    for part, value in (("output", output), ("new state", new)):
        for leaf in _nest.flatten(value):
            if not isinstance(leaf, Tensor):
                raise StructureError(
                    f"a step of `{name}` returned the {part} {_nest.describe(value)}, expected tensors in it"
                )


def _stack(steps: list[Any], total: int, padding: Any = None) -> Any:
    """Stack step results over time; steps that nobody ran hold `padding`, or zeros."""
    missing = total - len(steps)

    def column(*leaves: Tensor) -> Tensor:
        return torch.stack(leaves)

    def pad(leaf: Tensor, filler: Tensor | None) -> Tensor:
        rest = leaf.new_zeros(leaf.shape[1:]) if filler is None else filler
        return torch.cat([leaf, rest.unsqueeze(0).expand(missing, *leaf.shape[1:])])

    stacked = _nest.map_leaves(column, *steps)
    return _nest.map_leaves(pad, stacked, padding) if missing else stacked


def _empty(
    step: Step,
    project: Callable[[Any], Any] | None,
    inputs: Any,
    state: State,
    total: int,
    batch: int,
    masks: Masks,
    return_states: bool,
) -> Any:
    """No step runs (T is 0, or every row is empty): zeros of the shape that one step would give."""
    one = _nest.map_leaves(lambda tensor: tensor.new_zeros(1, batch, *tensor.shape[2:]), inputs)
    with torch.no_grad():
        projected = one if project is None else project(one)
        first = _nest.map_leaves(lambda mask: mask.new_ones(mask.shape[1:]), masks)
        like, _ = step(_nest.map_leaves(lambda tensor: tensor[0], projected), state, first)
    outputs = _nest.map_leaves(lambda leaf: leaf.new_zeros(total, *leaf.shape), like)
    if not return_states:
        return outputs, state
    return outputs, state, _nest.map_leaves(lambda leaf: leaf.unsqueeze(0).expand(total, *leaf.shape), state)
