"""Which way a sequence call takes: a compiled kernel, or the plain loop, and the reason why.

`refusal` is the one predicate: pure, it returns the reason why no kernel runs a call, or None. Nothing falls back
silently: each reason is logged once, and `recurra.explain` shows it for a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Masks, State
from recurra.errors import InputError
from recurra.kernels import compiled, decisions, mixing, ops
from recurra.kernels.activations import kernel_activation
from recurra.kernels.decisions import KERNEL, PLAIN, note
from recurra.kernels.layouts import (
    FAMILIES,
    PARAMETERS,
    check_shapes,
    dense_vectors,
    flatten,
    layout,
    layout_name,
    rebuild,
)
from recurra.kernels.native import library
from recurra.kernels.packed import in_padded_rows, is_packed, packed_rows
from recurra.kernels.random import drawn_now
from recurra.kernels.scan import After, scan, valid_steps

MASKED = ("layer_norm_basic_lstm",)
"""Families whose masks are those of the candidate, and the kernels' own."""


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


_plain_only: ContextVar[bool] = ContextVar("recurra_plain_only", default=False)


@contextmanager
def plain() -> Iterator[None]:
    """Take the plain loop for every sequence call inside: for exports that need torch's own operators."""
    token = _plain_only.set(True)
    try:
        yield
    finally:
        _plain_only.reset(token)


def plain_only() -> bool:
    """Whether `plain()` asks for torch's own operators here."""
    return _plain_only.get()


def refusal(
    recurrence: Recurrence,
    params: Any,
    inputs: Any,
    state: State,
    *,
    options: Any = None,
    masks: Masks = None,
    after: After = (),
) -> str | None:
    """Why no kernel runs this call; None when one does."""
    return (
        _refused_family(recurrence.family, options)
        or _refused_tensors(flatten(params), inputs, state)
        or refused_masks(recurrence.family, masks, inputs, state)
        or mixing.refused(after, inputs, state)
        or library.missing
    )


def runs(
    recurrence: Recurrence, params: Any, inputs: Any, state: State, options: Any, masks: Masks, call: dict[str, Any]
) -> bool:
    """Whether a kernel runs this call; `call` as `run_sequence` takes it."""
    return refusal(recurrence, params, inputs, state, options=options, masks=masks, after=call.get("after", ())) is None


def _refused_family(family: str, options: Any) -> str | None:
    if family not in FAMILIES:
        return "no kernel for this family"
    if kernel_activation(options) is None:
        return f"no kernel with the activation {getattr(options, 'activation', None)!r}"
    return None


def refused_masks(family: str, masks: Masks, inputs: Tensor, state: State) -> str | None:
    """Why no kernel takes the masks of a cell's own."""
    if masks is None:
        return None
    if family not in MASKED or not isinstance(masks, Tensor):
        return "no kernel with random masks"
    return mixing.refused_mask("recurrent dropout", masks, inputs, _nest.flatten(state)[0].shape[-1])


def _refused_tensors(params: Any, inputs: Any, state: State) -> str | None:
    return refused_tensors(
        [*_nest.flatten(inputs), *_nest.flatten(state), *(tensor for tensor in params if tensor is not None)]
    )


def recorded() -> bool:
    """Whether somebody records, or replaces, torch's operators: a kernel would be missing there."""
    return bool(torch._C._len_torch_dispatch_stack()) or torch._C._get_tracing_state() is not None


def refused_context() -> str | None:
    """Why nothing but torch's own operators may run here."""
    compiling = torch.compiler.is_compiling()
    if torch.compiler.is_exporting():
        return "under torch.export: the exported program must run without recurra"
    if not compiling and plain_only():
        return "asked for, by kernels.plain()"
    if not compiling and torch._C._functorch.peek_interpreter_stack() is not None:
        return "inside a functorch transform"
    if not compiling and torch.autograd.forward_ad._current_level >= 0:
        return "under forward-mode differentiation"
    if not compiling and recorded():
        return "while torch's operators are recorded (torch.jit.trace, make_fx, a dispatch mode)"
    return None


def refused_tensors(tensors: list[Any]) -> str | None:
    """Why no kernel takes these tensors in this context."""
    reason = refused_context()
    if reason is not None:
        return reason
    for tensor in tensors:
        if type(tensor) not in (Tensor, torch.nn.Parameter):
            return f"{type(tensor).__name__} in place of a plain tensor"
        if not tensor.is_cpu:
            return f"tensors on {tensor.device.type}"
        if tensor.dtype is not torch.float32:
            return f"tensors of {tensor.dtype}; the kernels are for torch.float32"
    return None


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
    halves: bool = False,
) -> Any:
    """A whole sequence of one family's recurrence; arguments and result as in `scan`.

    `inputs` may be packed rows `[N, I]`; `lengths` are then their batch sizes `[T]`, and outputs and states are packed.
    `halves`: let a kernel that runs the call without gradients multiply bfloat16 operands, summing in float32.
    """
    call = {
        "options": options,
        "reverse": reverse,
        "masks": masks,
        "after": after,
        "resets": resets,
        "reset_state": reset_state,
        "return_states": return_states,
    }
    reason = refusal(recurrence, params, inputs, state, options=options, masks=masks, after=after)
    if reason is None and resets is not None:
        reason = _refused_tensors((), reset_state, reset_state)
    if reason is None and torch.compiler.is_compiling():
        if is_packed(inputs, lengths):
            padded = partial(run_sequence, recurrence, params, state=state, halves=halves, **call)
            return in_padded_rows(padded, inputs, lengths)
        if resets is None and not return_states:
            return _run_compiled(recurrence, params, inputs, state, lengths, options, reverse, masks, after)
        reason = "resets or all states, under torch.compile"
    if reason is None:
        halves = halves and not _wants_gradient((*flatten(params), *_nest.flatten(reset_state)), inputs, state)
        if decisions.listening():
            note(recurrence.family, KERNEL, library.isa() + (", bfloat16 products" if halves else ""))
        return run_kernel(recurrence, params, inputs, state, lengths, halves=halves, **call)
    note(recurrence.family, PLAIN, reason, warn=reason == library.missing)
    return _plain(recurrence, params, inputs, state, lengths, **call)


def _wants_gradient(params: Any, inputs: Any, state: State) -> bool:
    tensors = [*_nest.flatten(inputs), *_nest.flatten(state), *params]
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def _plain(
    recurrence: Recurrence, params: Any, inputs: Any, state: State, lengths: Tensor | None, *, options: Any, **call: Any
) -> Any:
    def step(projected: Any, state: State, step_masks: Masks) -> tuple[Any, State]:
        return recurrence.recur(params, projected, state, options, step_masks)

    if is_packed(inputs, lengths):
        padded = partial(_plain, recurrence, params, state=state, options=options, **call)
        return in_padded_rows(padded, inputs, lengths)
    project = partial(_project, recurrence, params, options)
    return scan(step, inputs, state, lengths, project=project, noted=True, **call)


def _project(recurrence: Recurrence, params: Any, options: Any, inputs: Any) -> Any:
    return recurrence.project(params, inputs, options)


def _run_compiled(
    recurrence: Recurrence,
    params: Any,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None,
    options: Any,
    reverse: bool,
    masks: Tensor | None,
    after: After,
) -> tuple[Tensor, State]:
    """The call as one operator of a compiled graph."""
    name = layout_name(recurrence.family, params)
    outputs, *finals = compiled.sequence(
        name,
        inputs,
        None if lengths is None else lengths.to(torch.int64),
        list(reversed(_nest.flatten(state))),
        list(flatten(params))[: PARAMETERS[name]],
        options=_options(options),
        reverse=reverse,
        mask=masks,
        mix=mixing.mixtures(after, state),
    )
    return outputs, _nest.pack_as(state, list(reversed(finals)))


def _options(options: Any) -> ops.Options:
    activation = kernel_activation(options)
    assert activation is not None
    clips = (getattr(options, name, None) or 0.0 for name in ("cell_clip", "projection_clip"))
    return ops.Options(activation, float(getattr(options, "forget_bias", 0.0)), *map(float, clips))


def _sizes(state: State) -> tuple[int, int]:
    """Units, and the width of h."""
    leaves = _nest.flatten(state)
    return leaves[0].shape[-1], leaves[-1].shape[-1]


def _check_batch(inputs: Tensor, state: State, lengths: Tensor | None) -> None:
    packed = is_packed(inputs, lengths)
    if not packed and inputs.dim() != 3:
        raise InputError(f"`inputs` has shape {list(inputs.shape)}, expected [T, B, I]")
    rows = _nest.flatten(state)[0].shape[0] if packed else inputs.shape[1]
    if packed and not packed_rows(inputs, lengths, rows):
        raise InputError(f"`batch_sizes` do not say how the {inputs.shape[0]} packed rows of {rows} sequences lie")
    for leaf, width in zip(_nest.flatten(state), _sizes(state), strict=False):
        if leaf.shape != (rows, width):
            raise InputError(f"`state` has a part of shape {list(leaf.shape)}, expected {[rows, width]}")
    if not packed and lengths is not None and lengths.shape != (rows,):
        raise InputError(f"`lengths` has shape {list(lengths.shape)}, expected {[rows]}")


def _check_restart(inputs: Tensor, resets: Tensor, state: State, reset_state: State) -> None:
    if resets.shape != inputs.shape[:2] or resets.dtype is not torch.bool:
        raise InputError(f"`resets` is {_nest.describe(resets)}, expected a bool tensor of {list(inputs.shape[:2])}")
    for leaf, like in zip(_nest.flatten(reset_state), _nest.flatten(state), strict=True):
        if leaf.shape != like.shape:
            raise InputError(f"`reset_state` has a part of shape {list(leaf.shape)}, expected {list(like.shape)}")


def sequence_of(
    recurrence: Recurrence,
    params: Any,
    features: int,
    state: State,
    *,
    options: Any = None,
    reverse: bool = False,
    masks: Tensor | None = None,
    after: After = (),
    resets: Tensor | None = None,
    return_states: bool = False,
) -> tuple[ops.Sequence, tuple[Tensor | None, ...]]:
    """What a call is to the kernels, and its parameters as they take them; shapes are checked."""
    H, R = _sizes(state)
    where = layout(layout_name(recurrence.family, params), features, H, R)
    tensors = flatten(params)[: len(where.shapes)]
    check_shapes(where, tensors, params)
    tensors = dense_vectors(tensors)
    if R != H and (where.projection is None or tensors[where.projection] is None):
        raise InputError(f"`state` has parts of {H} and {R} units, but there is no projection")

    reference = partial(_reference, recurrence, params, state, options=options, reverse=reverse)
    more = {"resets": resets, "return_states": return_states}
    states = len(_nest.flatten(state))
    none = mixing.mixtures((), state)
    kind = (where, states, reverse, _options(options), none, None, resets, return_states)
    return with_masks(ops.Sequence(*kind, partial(reference, **more)), state, masks, after), tensors


def with_masks(what: ops.Sequence, state: State, masks: Tensor | None, after: After) -> ops.Sequence:
    """A call without masks with those that act inside its recurrence; `state` in the cell's structure."""
    return what._replace(
        mix=mixing.mixtures(after, state),
        mask=None if masks is None else mixing.dense_rows(masks),
        reference=partial(what.reference, masks=masks, after=after),
    )


def _reference(
    recurrence: Recurrence,
    params: Any,
    state: State,
    x: Tensor,
    lengths: Tensor | None,
    start: list[Tensor],
    restart: list[Tensor],
    given: list[Tensor | None],
    *,
    after: After = (),
    **call: Any,
) -> tuple[Tensor, ...]:
    """What `ops.Sequence.reference` is; of `params` and `state` only the structure counts."""
    results = _plain(
        recurrence,
        rebuild(params, iter(given)),
        x,
        _nest.pack_as(state, list(reversed(start))),
        lengths,
        after=drawn_now(after),
        reset_state=_nest.pack_as(state, list(reversed(restart))) if restart else None,
        **call,
    )
    return results[0], *(leaf for part in results[1:] for leaf in reversed(_nest.flatten(part)))


def run_kernel(
    recurrence: Recurrence,
    params: Any,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    *,
    options: Any = None,
    reverse: bool = False,
    masks: Tensor | None = None,
    after: After = (),
    resets: Tensor | None = None,
    reset_state: State = None,
    return_states: bool = False,
    halves: bool = False,
) -> Any:
    """The compiled road, for a call that `refusal` lets through (and for float64, which it does not)."""
    _check_batch(inputs, state, lengths)
    restart: tuple[Tensor, ...] = ()
    if resets is not None:
        _check_restart(inputs, resets, state, reset_state)
        restart = tuple(reversed(_nest.flatten(reset_state)))
    what, tensors = sequence_of(
        recurrence,
        params,
        inputs.shape[-1],
        state,
        options=options,
        reverse=reverse,
        masks=masks,
        after=after,
        resets=resets,
        return_states=return_states,
    )
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
    states = tuple(reversed(_nest.flatten(state)))  # the kernel's order: h, c
    outputs, *found = ops.sequence(what._replace(halves=halves), inputs, lengths, (*states, *restart, *tensors))
    final = _nest.pack_as(state, list(reversed(found[: what.states])))
    if not return_states:
        return outputs, final
    every = _nest.pack_as(state, list(reversed(found[what.states :])))
    if lengths is not None and not is_packed(inputs, lengths):
        # past its end a row has the state that it left with, or, in reverse, the one that it will enter with
        valid = valid_steps(lengths, inputs.shape[0]).unsqueeze(-1)
        every = _nest.map_leaves(partial(torch.where, valid), every, state if reverse else final)
    return outputs, final, every
