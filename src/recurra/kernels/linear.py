"""Recurrences that are linear in their state, `h_t = a_t * h_{t-1} + b_t`, elementwise: the whole sequence at once.

All of `a` and `b` is known before the first step, so that what is left per step is one multiply-add. On a CPU that is
done step by step, in place; where a step costs a launch (a GPU) or where values may not be looked at (torch.compile),
by doubling: log2(T) passes over the sequence. Both give the same numbers up to rounding, and gradients of any order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.kernels.scan import traced


def linear_scan(a: Tensor, b: Tensor, initial: Tensor, *, reverse: bool = False) -> Tensor:
    """All `h_t = a_t * h_{t-1} + b_t`.

    Args:
        a: `[T, ...]`, real or complex.
        b: `[T, ...]`, of the same shape and dtype.
        initial: `h_{-1} [...]`.
        reverse: run from the last step to the first, `h_t = a_t * h_{t+1} + b_t` with `h_T = initial`.

    Returns:
        `h [T, ...]`.
    """
    if a.shape[0] == 0:
        return b
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    if a.device.type == "cpu" and not traced(a, b, initial) and not transformed:
        return _Steps.apply(a, b, initial, reverse)
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
        (grad,) = grads
        zero = torch.zeros_like(initial)
        factors = a.conj().resolve_conj()
        if ctx.reverse:
            shifted = torch.cat([zero.unsqueeze(0).expand(1, *a.shape[1:]), factors[:-1]])
            before = torch.cat([states[1:], initial.unsqueeze(0)])
            first = -1
        else:
            shifted = torch.cat([factors[1:], zero.unsqueeze(0).expand(1, *a.shape[1:])])
            before = torch.cat([initial.unsqueeze(0), states[:-1]])
            first = 0
        total = _Steps.apply(shifted, grad, zero, not ctx.reverse)
        return total * before.conj(), total, factors[first] * total[first], None


def hold_padding(a: Tensor, b: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Coefficients that keep the state past a row's end (where `valid [T, B]` is false): 1 and 0, by selection."""
    if valid is None:
        return a, b
    valid = valid.reshape(*valid.shape, *[1] * (a.dim() - 2))
    return torch.where(valid, a, a.new_ones(())), torch.where(valid, b, b.new_zeros(()))
