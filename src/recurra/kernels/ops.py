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
from recurra.kernels.mixing import Mixtures, dense_rows
from recurra.kernels.native import Call, Mix, Reserve, Rows, library

NORM_EPSILON = 1e-12
"""What layer normalisation adds to a variance (TensorFlow's contrib.rnn)."""


class Options(NamedTuple):
    """The numbers in a cell's equation."""

    activation: int = 0
    """csrc/core/call.h: recurra_activation."""
    forget_bias: float = 0.0
    cell_clip: float = 0.0
    """0 for none, as the projection's."""
    projection_clip: float = 0.0


class Sequence(NamedTuple):
    """What a call is, besides its tensors."""

    layout: Layout
    states: int
    """Tensors of the state: h, or h and c."""
    reverse: bool
    options: Options
    mix: Mixtures
    mask: Tensor | None
    """Of an LSTM's candidate, `[T or 1, B or 1, H]`."""
    resets: Tensor | None
    """`[T, B]` bool: rows that start anew before a step; the states then come with those to start from."""
    return_states: bool
    reference: Callable[..., tuple[Tensor, ...]]
    """(x, lengths, states, restart, params) -> (outputs, final states, all states), in plain torch."""
    halves: bool = False
    """Products of bfloat16 operands, summed in float32; without gradients."""

    def split(self, tensors: Any) -> tuple[Any, Any, Any]:
        """States, states to start anew from (none without resets), parameters."""
        n = self.states
        m = n if self.resets is None else 2 * n
        return tensors[:n], tensors[n:m], tensors[m:]


def sequence(what: Sequence, x: Tensor, lengths: Tensor | None, tensors: tuple[Tensor | None, ...]) -> Any:
    """Outputs `[T, B, R]`, the final states (h, or h and c) of `x [T, B, I]`, and, where wanted, all states.

    `tensors` are the initial states, the states to start anew from (with resets), and the parameters. Of all states,
    those past a row's end are zeros.
    """
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in (x, *tensors)):
        return _Sequence.apply(what, lengths, x, *tensors)
    return _forward(what, lengths, x, tensors, training=False)[0]


def rows_of(tensor: Tensor | None) -> Rows:
    """A `[T, B, n]` sequence or a `[B, n]` state, as the kernel sees it."""
    if tensor is None:
        return Rows(None, 0, 0)
    strides = tensor.stride()
    return Rows(tensor.data_ptr(), strides[0] if len(strides) == 3 else 0, strides[-2])


def empty_like_layout(x: Tensor, features: int) -> Tensor:
    """`[T, B, features]`, batch-major in memory where `x` is: what the caller makes of it stays one piece."""
    T, B = x.shape[:2]
    if x.stride(0) < x.stride(1):
        return _fresh(x.dtype, B, T, features).transpose(0, 1)
    return _fresh(x.dtype, T, B, features)


def _fresh(dtype: torch.dtype, *shape: int) -> Tensor:
    return library.empty(*shape) if dtype is torch.float32 else torch.empty(shape, dtype=dtype)


def make_call(
    what: Sequence, lengths: Tensor | None, x: Tensor, tensors: tuple[Tensor | None, ...], out: Tensor
) -> Call:
    """The kernel's argument; it holds addresses only, so the tensors must outlive it."""
    T, B, I = x.shape
    states, restart, params = what.split(tensors)
    options, projection = what.options, what.layout.projection
    call = Call(
        what.layout.family,
        2 if what.halves else x.dtype is torch.float64,
        library.threads(),
        what.reverse,
        options.activation,
        projection is not None and params[projection] is not None,
        what.mix[2] is what.mix[0],
        T,
        B,
        I,
        states[-1].shape[-1],
        states[0].shape[-1],
        None if lengths is None else lengths.data_ptr(),
        options.forget_bias,
        options.cell_clip,
        options.projection_clip,
        NORM_EPSILON,
        rows_of(x),
        rows_of(out),
    )
    for index, state in enumerate(states):
        call.initial[index] = rows_of(state)
    fill_weights(call.gate, call.peephole, call.norm, what.layout, params)
    for index, mixture in enumerate(what.mix):
        if mixture is not None:
            call.mix[index] = Mix(_coefficients(mixture.fresh), _coefficients(mixture.old))
    if what.mask is not None:
        call.mask = _coefficients(what.mask)
    if what.resets is not None:
        call.resets = Rows(what.resets.data_ptr(), *what.resets.stride())
        for index, state in enumerate(restart):
            call.restart[index] = rows_of(state)
    return call


def _coefficients(tensor: Tensor | None) -> Rows:
    if tensor is None:
        return Rows(None, 0, 0)
    T, B, _ = tensor.shape
    return Rows(tensor.data_ptr(), tensor.stride(0) if T > 1 else 0, tensor.stride(1) if B > 1 else 0)


def _dense(what: Sequence, tensors: Any) -> tuple[Tensor | None, ...]:
    """The tensors with states as the kernels read them."""
    states, restart, params = what.split(tensors)
    return (*map(dense_rows, states), *map(dense_rows, restart), *params)


def _forward(
    what: Sequence, lengths: Tensor | None, x: Tensor, tensors: tuple[Tensor | None, ...], *, training: bool
) -> tuple[tuple[Tensor, ...], Reserve | None]:
    x, tensors = dense_rows(x), _dense(what, tensors)
    states = what.split(tensors)[0]
    out = empty_like_layout(x, states[0].shape[-1])
    finals = tuple(torch.empty(state.shape, dtype=x.dtype) for state in states)
    every = tuple(empty_like_layout(x, state.shape[-1]) for state in states) if what.return_states else ()
    call = make_call(what, lengths, x, tensors, out)
    for index, final in enumerate(finals):
        call.final[index] = rows_of(final)
    for index, state in enumerate(every):
        call.states[index] = rows_of(state)
    reserve = library.forward(call, training)
    return (out, *finals, *every), reserve


class _Sequence(torch.autograd.Function):
    """Forward and backward through the kernels."""

    @staticmethod
    def forward(ctx: Any, what: Sequence, lengths: Tensor | None, x: Tensor, *tensors: Tensor | None) -> Any:
        results, ctx.reserve = _forward(what, lengths, x, tensors, training=True)
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
    dense_x, dense = dense_rows(x), _dense(what, tensors)
    call = make_call(what, lengths, dense_x, dense, out)
    call.reserve = reserve.pointer
    grads = [None if grad is None else dense_rows(grad) for grad in grads]
    d_x = empty_like_layout(x, x.shape[2]) if wanted[0] else None
    found = [_empty(tensor, want) for tensor, want in zip(tensors, wanted[1:], strict=True)]
    fill_gradients(call, what, grads, d_x, found)
    library.backward(call)
    return [d_x, *found]


def fill_gradients(call: Call, what: Sequence, grads: Any, d_x: Tensor | None, found: list[Tensor | None]) -> None:
    """Point the kernel at the results' gradients `grads` and at where those of x and of the tensors go."""
    d_states, d_restart, d_params = what.split(found)
    call.d_out, call.d_x = rows_of(grads[0]), rows_of(d_x)
    for index, d_state in enumerate(d_states):
        call.d_final[index], call.d_initial[index] = rows_of(grads[1 + index]), rows_of(d_state)
        if what.return_states:
            call.d_states[index] = rows_of(grads[1 + what.states + index])
    for index, d_state in enumerate(d_restart):
        call.d_restart[index] = rows_of(d_state)
    if any(grad is not None for grad in d_params):
        fill_weights(call.d_gate, call.d_peephole, call.d_norm, what.layout, d_params)


def _empty(tensor: Tensor | None, wanted: bool) -> Tensor | None:
    if tensor is None or not wanted:
        return None
    return _fresh(tensor.dtype, *tensor.shape)


def _differentiable(
    what: Sequence, lengths: Tensor | None, x: Tensor, tensors: list[Any], grads: Any, wanted: Any
) -> list[Tensor | None]:
    """The gradients as functions that autograd can differentiate again: those of the reference."""
    inputs = [x, *tensors]
    results = what.reference(x, lengths, *what.split(tensors))
    pairs = [(result, grad) for result, grad in zip(results, grads, strict=True) if grad is not None]
    targets = [tensor for tensor, want in zip(inputs, wanted, strict=True) if want]
    found = iter(
        torch.autograd.grad(
            [result for result, _ in pairs], targets, [grad for _, grad in pairs], create_graph=True, allow_unused=True
        )
    )
    return [next(found) if want else None for want in wanted]
