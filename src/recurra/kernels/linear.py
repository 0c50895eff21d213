"""Recurrences that are linear in their state, `h_t = a_t * h_{t-1} + b_t`, elementwise: the whole sequence at once.

All of `a` and `b` is known before the first step, so that what is left per step is one multiply-add. On a CPU a
compiled loop does that (csrc/scan.cpp), or torch step by step, in place, where there is none; where a step costs a
launch (a GPU) or where values may not be looked at (torch.compile), it is done by doubling: log2(T) passes over the
sequence. All give the same numbers up to rounding, and gradients of any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.kernels.decisions import PLAIN, note
from recurra.kernels.dispatch import plain_only
from recurra.kernels.native import Rows, ScanCall, library
from recurra.kernels.scan import traced

COMPILED = (torch.float32, torch.float64, torch.complex64, torch.complex128)


def linear_scan(a: Tensor, b: Tensor, initial: Tensor, *, reverse: bool = False) -> Tensor:
    """All `h_t = a_t * h_{t-1} + b_t`.

    Args:
        a: `[T, ...]`, real or complex, or what broadcasts to it: a factor that never changes has no time.
        b: `[T, ...]`, of the same dtype.
        initial: `h_{-1} [...]`.
        reverse: run from the last step to the first, `h_t = a_t * h_{t+1} + b_t` with `h_T = initial`.

    Returns:
        `h [T, ...]`.
    """
    if b.shape[0] == 0:
        return b
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    if a.device.type == "cpu" and not traced(a, b, initial) and not transformed:
        alike = b.dtype in COMPILED and a.dtype is b.dtype is initial.dtype
        if alike and library.core is not None and not plain_only():
            return _Compiled.apply(a, b, initial, reverse)
        if library.missing is not None:
            note("linear scan", PLAIN, library.missing, warn=True)
        return _Steps.apply(a.expand(b.shape), b, initial, reverse)
    a = a.expand(b.shape)
    if reverse:
        return doubling(a.flip(0), b.flip(0), initial).flip(0)
    return doubling(a, b, initial)


def doubling(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """As `linear_scan`, in log2(T) passes (Hillis and Steele, 1986): each joins spans of twice the length."""
    b = torch.cat([(a[:1] * initial + b[:1]), b[1:]])
    reach = 1
    while reach < a.shape[0]:
        b = torch.cat([b[:reach], a[reach:] * b[:-reach] + b[reach:]])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b


class _Sizes(NamedTuple):
    """A sequence as the compiled loop sees it: `[T, B, N]`; all but the time in one row where it has not this rank."""

    T: int
    B: int
    N: int

    def rows(self, tensor: Tensor, kept: list[Tensor]) -> Rows:
        """Where the rows of `[T, ...]` lie; a copy that this took stays alive in `kept`."""
        tensor = tensor.resolve_conj().resolve_neg()
        if tensor.shape != self:
            tensor = tensor.reshape(self)
        if tensor.stride(2) != 1 and self.N > 1:
            tensor = tensor.contiguous()
        kept.append(tensor)
        return Rows(tensor.data_ptr(), tensor.stride(0), tensor.stride(1))


def _call(sizes: _Sizes, b: Tensor, *, reverse: bool) -> ScanCall:
    is_double = b.dtype in (torch.float64, torch.complex128)
    return ScanCall(is_double, b.is_complex(), library.threads(), reverse, *sizes)


class _Compiled(torch.autograd.Function):
    """The scan in csrc/scan.cpp; its gradient is the scan the other way."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        sizes = _Sizes(*b.shape) if b.dim() == 3 else _Sizes(b.shape[0], 1, b[0].numel())
        states = torch.empty(b.shape, dtype=b.dtype, device="cpu")
        kept: list[Tensor] = []
        call = _call(sizes, b, reverse=reverse)
        call.a, call.b = sizes.rows(a.expand(b.shape), kept), sizes.rows(b, kept)
        call.initial = sizes._replace(T=1).rows(initial.expand(b.shape[1:]).unsqueeze(0), kept)
        call.out = sizes.rows(states, kept)
        library.scan(call, backward=False)
        ctx.save_for_backward(a, initial, states)
        ctx.reverse, ctx.sizes = reverse, sizes
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        a, initial, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = _scan_back(a.expand(states.shape), initial, states, grads[0], reverse=ctx.reverse)
            return found[0].sum_to_size(a.shape), found[1], found[2].sum_to_size(initial.shape), None
        sizes: _Sizes = ctx.sizes
        kept: list[Tensor] = []
        call = _call(sizes, states, reverse=ctx.reverse)
        call.a, call.out = sizes.rows(a.expand(states.shape), kept), sizes.rows(states, kept)
        call.initial = sizes._replace(T=1).rows(initial.expand(states.shape[1:]).unsqueeze(0), kept)
        total, first = torch.empty_like(states), torch.empty_like(states[0])
        call.d_out, call.d_b = sizes.rows(grads[0], kept), sizes.rows(total, kept)
        call.d_initial = sizes._replace(T=1).rows(first.unsqueeze(0), kept)
        factor: Tensor | None = None
        if ctx.needs_input_grad[0]:
            steady = a.dim() < states.dim() or a.shape[0] < states.shape[0]
            factor = torch.zeros_like(states[:1]) if steady else torch.empty_like(states)
            call.d_a = (sizes._replace(T=1) if steady else sizes).rows(factor, kept)
            call.d_a.t_stride = 0 if steady else call.d_a.t_stride
        library.scan(call, backward=True)
        return None if factor is None else factor.sum_to_size(a.shape), total, first.sum_to_size(initial.shape), None


def _scan_back(
    a: Tensor, initial: Tensor, states: Tensor, grad: Tensor, *, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a, b and the initial state, in functions that differentiate again."""
    factors = a.conj().resolve_conj()
    start = initial.expand(states.shape[1:]).unsqueeze(0)
    nothing = torch.zeros_like(start)
    if reverse:
        shifted, before, first = torch.cat([nothing, factors[:-1]]), torch.cat([states[1:], start]), -1
    else:
        shifted, before, first = torch.cat([factors[1:], nothing]), torch.cat([start, states[:-1]]), 0
    total = linear_scan(shifted, grad, nothing[0], reverse=not reverse)
    return total * before.conj(), total, factors[first] * total[first]


class _Steps(torch.autograd.Function):
    """The scan step by step, forward in time or backward; its gradient is the scan the other way."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        states = torch.empty_like(b, memory_format=torch.contiguous_format)
        h = initial
        order = range(a.shape[0] - 1, -1, -1) if reverse else range(a.shape[0])
        factors, terms, rows = a.unbind(0), b.unbind(0), states.unbind(0)
        for t in order:
            torch.addcmul(terms[t], factors[t], h, out=rows[t])
            h = rows[t]
        ctx.save_for_backward(a, initial, states)
        ctx.reverse = reverse
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, initial, states = ctx.saved_tensors
        return *_scan_back(a, initial, states, grads[0], reverse=ctx.reverse), None


def hold_padding(a: Tensor, b: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Coefficients that keep the state past a row's end (where `valid [T, B]` is false): 1 and 0, by selection."""
    if valid is None:
        return a, b
    valid = valid.reshape(*valid.shape, *[1] * (a.dim() - 2))
    return torch.where(valid, a, a.new_ones(())), torch.where(valid, b, b.new_zeros(()))
