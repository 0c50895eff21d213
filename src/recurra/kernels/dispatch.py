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
from recurra.kernels import compiled, mixing, ops
from recurra.kernels.decisions import KERNEL, PLAIN, note
from recurra.kernels.layouts import FAMILIES, PARAMETERS, check_shapes, layout
from recurra.kernels.native import library
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
    resets: Tensor | None = None,
    return_states: bool = False,
) -> str | None:
    """Why no kernel runs this call; None when one does."""
    return (
        _refused_family(recurrence.family, params, options)
        or _refused_extras(masks, resets, return_states)
        or _refused_tensors(params, inputs, state)
        or mixing.refused(after, inputs, state)
        or library.missing
    )


def runs(
    recurrence: Recurrence, params: Any, inputs: Any, state: State, options: Any, masks: Masks, call: dict[str, Any]
) -> bool:
    """Whether a kernel runs this call; `call` as `run_sequence` takes it."""
    looked_at = {name: call[name] for name in ("after", "resets", "return_states") if name in call}
    return refusal(recurrence, params, inputs, state, options=options, masks=masks, **looked_at) is None


def _refused_family(family: str, params: Any, options: Any) -> str | None:
    if family not in FAMILIES:
        return "no kernel for this family"
    activation = getattr(options, "activation", "tanh")
    known = ops.ACTIVATIONS if family.endswith("rnn") else ("tanh",)
    if activation not in known:
        return f"no kernel with the activation {activation!r}"
    if getattr(params, "projection", None) is not None or getattr(params, "weight_hr", None) is not None:
        return "no kernel with a projection"
    return None


def _refused_extras(masks: Masks, resets: Tensor | None, return_states: bool) -> str | None:
    if masks is not None:
        return "no kernel with random masks"
    if resets is not None:
        return "no kernel with resets"
    return "no kernel returns all states" if return_states else None


def _refused_tensors(params: Any, inputs: Any, state: State) -> str | None:
    return refused_tensors([inputs, *_nest.flatten(state), *(tensor for tensor in params if tensor is not None)])


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
    return None


def refused_tensors(tensors: list[Any]) -> str | None:
    """Why no kernel takes these tensors in this context."""
    reason = refused_context()
    if reason is not None:
        return reason
    for tensor in tensors:
        if type(tensor) not in (Tensor, torch.nn.Parameter):
            return f"{type(tensor).__name__} in place of a plain tensor"
        if tensor.device.type != "cpu":
            return f"tensors on {tensor.device.type}"
        if tensor.dtype is not torch.float32:
            return f"tensors of {tensor.dtype}"
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

    `halves`: let a kernel that runs the call without gradients multiply bfloat16 operands, summing in float32.
    """
    reason = refusal(
        recurrence,
        params,
        inputs,
        state,
        options=options,
        masks=masks,
        after=after,
        resets=resets,
        return_states=return_states,
    )
    if reason is None and torch.compiler.is_compiling():
        if not after:
            return _run_compiled(recurrence, params, inputs, state, lengths, options, reverse)
        reason = "masks in the recurrence, under torch.compile"
    if reason is None:
        halves = halves and not _wants_gradient(params, inputs, state)
        note(recurrence.family, KERNEL, library.isa() + (", bfloat16 products" if halves else ""))
        return run_kernel(
            recurrence, params, inputs, state, lengths, options=options, reverse=reverse, after=after, halves=halves
        )
    note(recurrence.family, PLAIN, reason, warn=reason == library.missing)
    return _plain(
        recurrence,
        params,
        inputs,
        state,
        lengths,
        options=options,
        reverse=reverse,
        masks=masks,
        after=after,
        resets=resets,
        reset_state=reset_state,
        return_states=return_states,
    )


def _wants_gradient(params: Any, inputs: Any, state: State) -> bool:
    tensors = [*_nest.flatten(inputs), *_nest.flatten(state), *params]
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def _plain(
    recurrence: Recurrence, params: Any, inputs: Any, state: State, lengths: Tensor | None, *, options: Any, **call: Any
) -> Any:
    def step(projected: Any, state: State, step_masks: Masks) -> tuple[Any, State]:
        return recurrence.recur(params, projected, state, options, step_masks)

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
) -> tuple[Tensor, State]:
    """The call as one operator of a compiled graph."""
    states = (state,) if isinstance(state, Tensor) else (state.h, state.c)
    outputs, *finals = compiled.sequence(
        recurrence.family,
        inputs,
        None if lengths is None else lengths.to(torch.int64),
        list(states),
        list(params)[: PARAMETERS[recurrence.family]],
        reverse=reverse,
        activation=ops.ACTIVATIONS.index(getattr(options, "activation", "tanh")),
        forget_bias=float(getattr(options, "forget_bias", 0.0)),
        cell_clip=float(getattr(options, "cell_clip", None) or 0.0),
    )
    return outputs, finals[0] if isinstance(state, Tensor) else type(state)(finals[1], finals[0])


def _check_batch(inputs: Tensor, states: tuple[Tensor, ...], lengths: Tensor | None) -> None:
    if inputs.dim() != 3:
        raise InputError(f"`inputs` has shape {list(inputs.shape)}, expected [T, B, I]")
    rows, H = inputs.shape[1], states[-1].shape[-1]
    for state in states:
        if state.shape != (rows, H):
            raise InputError(f"`state` has a part of shape {list(state.shape)}, expected {[rows, H]}")
    if lengths is not None and lengths.shape != (rows,):
        raise InputError(f"`lengths` has shape {list(lengths.shape)}, expected {[rows]}")


def sequence_of(
    recurrence: Recurrence,
    params: Any,
    features: int,
    state: State,
    *,
    options: Any = None,
    reverse: bool = False,
    after: After = (),
) -> tuple[ops.Sequence, tuple[Tensor | None, ...]]:
    """What a call is to the kernels, and its parameters as they take them; shapes are checked."""
    H, R = (leaf.shape[-1] for leaf in (_nest.flatten(state)[0], _nest.flatten(state)[-1]))
    where = layout(recurrence.family, features, H, R)
    tensors = tuple(params)[: len(where.shapes)]
    check_shapes(where, tensors, type(params)._fields[: len(tensors)])

    def reference(
        x: Tensor, lengths: Tensor | None, states: tuple[Tensor, ...], tensors: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, ...]:
        start = _nest.pack_as(state, list(reversed(states)))
        given = type(params)(*tensors)
        out, final = _plain(recurrence, given, x, start, lengths, options=options, reverse=reverse, after=after)
        return out, *reversed(_nest.flatten(final))

    activation = ops.ACTIVATIONS.index(getattr(options, "activation", "tanh"))
    forget_bias = getattr(options, "forget_bias", 0.0)
    states = len(_nest.flatten(state))
    clip = getattr(options, "cell_clip", None) or 0.0
    mix = mixing.mixtures(after, state)
    return ops.Sequence(where, states, reverse, activation, forget_bias, clip, mix, reference), tensors


def run_kernel(
    recurrence: Recurrence,
    params: Any,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    *,
    options: Any = None,
    reverse: bool = False,
    after: After = (),
    halves: bool = False,
) -> tuple[Tensor, State]:
    """The compiled road, for a call that `refusal` lets through (and for float64, which it does not)."""
    states = tuple(reversed(_nest.flatten(state)))  # the kernel's order: h, c
    _check_batch(inputs, states, lengths)
    what, tensors = sequence_of(
        recurrence, params, inputs.shape[2], state, options=options, reverse=reverse, after=after
    )
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
    outputs, *finals = ops.sequence(what._replace(halves=halves), inputs, lengths, states, tensors)
    return outputs, _nest.pack_as(state, list(reversed(finals)))
