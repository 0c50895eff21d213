"""The compiled recurrences as torch functions: a sequence forward, its gradients, and the gradients' gradients.

`sequence` is the eager road: ctypes and one autograd.Function. Gradients of gradients are those of the reference, which
is run again and differentiated by autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.kernels.layouts import Layout, fill_weights
from recurra.kernels.mixing import Mixtures
from recurra.kernels.native import Call, Mix, Reserve, Rows, library

ACTIVATIONS = ("tanh", "relu", "sigmoid")
"""csrc/core/call.h: recurra_activation."""


class Sequence(NamedTuple):
    """What a call is, besides its tensors."""

    layout: Layout
    states: int
    """Tensors of the state: h, or h and c."""
    reverse: bool
    activation: int
    forget_bias: float
    cell_clip: float
    """0 for none."""
    mix: Mixtures
    reference: Callable[..., tuple[Tensor, ...]]
    """(x, lengths, states, params) -> (outputs, final states), in plain torch."""
    halves: bool = False
    """Products of bfloat16 operands, summed in float32; without gradients."""


def sequence(
    what: Sequence, x: Tensor, lengths: Tensor | None, states: tuple[Tensor, ...], params: tuple[Tensor | None, ...]
) -> tuple[Tensor, ...]:
    """Outputs `[T, B, R]` and the final states (h, or h and c) of `x [T, B, I]`, differentiable."""
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in (x, *states, *params)):
        return _Sequence.apply(what, lengths, x, *states, *params)
    return _forward(what, lengths, x, states, params, training=False)[0]


def rows_of(tensor: Tensor | None) -> Rows:
    """A `[T, B, n]` sequence or a `[B, n]` state, as the kernel sees it."""
    if tensor is None:
        return Rows(None, 0, 0)
    strides = tensor.stride()
    return Rows(tensor.data_ptr(), strides[0] if len(strides) == 3 else 0, strides[-2])


def dense_rows(tensor: Tensor) -> Tensor:
    """The tensor itself where the features of a row lie side by side, else a copy."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] <= 1 else tensor.contiguous()


def empty_like_layout(x: Tensor, features: int) -> Tensor:
    """`[T, B, features]`, batch-major in memory where `x` is: what the caller makes of it stays one piece."""
    T, B = x.shape[:2]
    if x.stride(0) < x.stride(1):
        return _fresh(x.dtype, B, T, features).transpose(0, 1)
    return _fresh(x.dtype, T, B, features)


def _fresh(dtype: torch.dtype, *shape: int) -> Tensor:
    return library.empty(*shape) if dtype is torch.float32 else torch.empty(shape, dtype=dtype)


def make_call(
    what: Sequence,
    lengths: Tensor | None,
    x: Tensor,
    states: tuple[Tensor, ...],
    params: tuple[Tensor | None, ...],
    out: Tensor,
) -> Call:
    """The kernel's argument; it holds addresses only, so the tensors must outlive it."""
    T, B, I = x.shape
    call = Call(
        what.layout.family,
        2 if what.halves else x.dtype is torch.float64,
        library.threads(),
        what.reverse,
        what.activation,
        T,
        B,
        I,
        states[-1].shape[-1],
        states[0].shape[-1],
        None if lengths is None else lengths.data_ptr(),
        what.forget_bias,
        what.cell_clip,
        rows_of(x),
        rows_of(out),
    )
    for index, state in enumerate(states):
        call.initial[index] = rows_of(state)
    fill_weights(call.gate, call.peephole, what.layout, params)
    for index, mixture in enumerate(what.mix):
        if mixture is not None:
            call.mix[index] = Mix(_coefficients(mixture.fresh), _coefficients(mixture.old))
    return call


def _coefficients(tensor: Tensor) -> Rows:
    T, B, _ = tensor.shape
    return Rows(tensor.data_ptr(), tensor.stride(0) if T > 1 else 0, tensor.stride(1) if B > 1 else 0)


def _forward(
    what: Sequence,
    lengths: Tensor | None,
    x: Tensor,
    states: tuple[Tensor, ...],
    params: tuple[Tensor | None, ...],
    *,
    training: bool,
) -> tuple[tuple[Tensor, ...], Reserve | None]:
    x, states = dense_rows(x), tuple(dense_rows(state) for state in states)
    out = empty_like_layout(x, states[0].shape[-1])
    finals = tuple(torch.empty(state.shape, dtype=x.dtype) for state in states)
    call = make_call(what, lengths, x, states, params, out)
    for index, final in enumerate(finals):
        call.final[index] = rows_of(final)
    reserve = library.forward(call, training)
    return (out, *finals), reserve


class _Sequence(torch.autograd.Function):
    """Forward and backward through the kernels."""

    @staticmethod
    def forward(ctx: Any, what: Sequence, lengths: Tensor | None, x: Tensor, *tensors: Tensor | None) -> Any:
        states: Any = tensors[: what.states]
        results, ctx.reserve = _forward(what, lengths, x, states, tensors[what.states :], training=True)
        ctx.what = what
        ctx.save_for_backward(lengths, results[0], x, *tensors)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        lengths, out, x, *tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            found = _differentiable(ctx.what, lengths, x, tensors, grads, wanted)
        else:
            found = _backward(ctx.what, ctx.reserve, lengths, out, x, tensors, grads, wanted)
        return (None, None, *found)


def _backward(
    what: Sequence,
    reserve: Reserve,
    lengths: Tensor | None,
    out: Tensor,
    x: Tensor,
    tensors: list[Any],
    grads: Any,
    wanted: Any,
) -> list[Tensor | None]:
    states, params = tensors[: what.states], tensors[what.states :]
    dense_x, dense_states = dense_rows(x), tuple(dense_rows(state) for state in states)
    call = make_call(what, lengths, dense_x, dense_states, tuple(params), out)
    call.reserve = reserve.pointer
    grads = [None if grad is None else dense_rows(grad) for grad in grads]
    call.d_out = rows_of(grads[0])
    for index, grad in enumerate(grads[1:]):
        call.d_final[index] = rows_of(grad)
    d_x = empty_like_layout(x, x.shape[2]) if wanted[0] else None
    d_states = [_empty(state, want) for state, want in zip(states, wanted[1:], strict=False)]
    d_params = [_empty(param, want) for param, want in zip(params, wanted[1 + what.states :], strict=True)]
    call.d_x = rows_of(d_x)
    for index, d_state in enumerate(d_states):
        call.d_initial[index] = rows_of(d_state)
    if any(grad is not None for grad in d_params):
        fill_weights(call.d_gate, call.d_peephole, what.layout, d_params)
    library.backward(call)
    return [d_x, *d_states, *d_params]


def _empty(tensor: Tensor | None, wanted: bool) -> Tensor | None:
    if tensor is None or not wanted:
        return None
    return _fresh(tensor.dtype, *tensor.shape)


def _differentiable(
    what: Sequence, lengths: Tensor | None, x: Tensor, tensors: list[Any], grads: Any, wanted: Any
) -> list[Tensor | None]:
    """The gradients as functions that autograd can differentiate again: those of the reference."""
    inputs = [x, *tensors]
    results = what.reference(x, lengths, tuple(tensors[: what.states]), tuple(tensors[what.states :]))
    pairs = [(result, grad) for result, grad in zip(results, grads, strict=True) if grad is not None]
    targets = [tensor for tensor, want in zip(inputs, wanted, strict=True) if want]
    found = iter(
        torch.autograd.grad(
            [result for result, _ in pairs], targets, [grad for _, grad in pairs], create_graph=True, allow_unused=True
        )
    )
    return [next(found) if want else None for want in wanted]
