"""Linear-chain sums and best paths through the compiled library (csrc/chain.cpp), and which calls it takes.

Arguments are batch-major, as `recurra.crf` has them, and read in place: `scores [B, T, K]`, `transitions [K, K]`,
`lengths [B]` or None. Gradients of gradients are those of the twin in `chain_scan.py`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from recurra.kernels.decisions import KERNEL, PLAIN, note
from recurra.kernels.dispatch import refused_tensors
from recurra.kernels.native import Reserve, Rows, library
from recurra.kernels.ops import dense_rows
from recurra.kernels.twin import differentiate

Twin = Callable[[Tensor, Tensor], Tensor]


class Chain(ctypes.Structure):
    """`recurra_chain` of csrc/core/chain.h, field by field."""

    _fields_ = [
        ("is_double", c_int64),
        ("threads", c_int64),
        ("T", c_int64),
        ("B", c_int64),
        ("K", c_int64),
        ("lengths", c_void_p),
        ("scores", Rows),
        ("transitions", c_void_p),
        ("total", c_void_p),
        ("reserve", c_void_p),
        ("d_total", c_void_p),
        ("d_scores", Rows),
        ("d_transitions", c_void_p),
        ("tags", c_void_p),
    ]


def takes(scores: Tensor, transitions: Tensor, *, differentiable: bool = True) -> bool:
    """Whether the library runs this call; the reason why not is noted for `recurra.explain` and logged once.

    `differentiable`: whether the library has the gradient of what is asked for.
    """
    reason = _refusal(scores, transitions)
    if reason is None and not differentiable and _wants_gradient(scores, transitions):
        reason = "no kernel for this gradient"
    note("crf", KERNEL if reason is None else PLAIN, reason or library.isa(), warn=reason == library.missing)
    return reason is None


def _refusal(scores: Tensor, transitions: Tensor) -> str | None:
    if torch.compiler.is_compiling():
        return "under torch.compile"
    if scores.shape[2] == 0:
        return "no tags"
    return refused_tensors([scores, transitions]) or library.missing


def _wants_gradient(scores: Tensor, transitions: Tensor) -> bool:
    return torch.is_grad_enabled() and (scores.requires_grad or transitions.requires_grad)


def log_norm(scores: Tensor, transitions: Tensor, lengths: Tensor | None, twin: Twin) -> Tensor:
    """The logarithm `[B]` of the sum of exp(score) over all paths, differentiable; `twin` does the same in torch."""
    if _wants_gradient(scores, transitions):
        return _LogNorm.apply(twin, lengths, scores, transitions)
    return _forward(scores, transitions, lengths, training=False)[0]


def marginals(scores: Tensor, transitions: Tensor, lengths: Tensor | None) -> Tensor:
    """The probability `[B, T, K]` of each tag at each step; zeros past a row's length. Without gradient."""
    _, reserve = _forward(scores, transitions, lengths, training=True)
    assert reserve is not None
    found = torch.empty(scores.shape, dtype=scores.dtype, device="cpu")
    _gradient(scores, transitions, lengths, reserve, None, found, None)
    return found


def viterbi(scores: Tensor, transitions: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """The best path `[B, T]` (zeros past a row's length) and its score `[B]`. Without gradient."""
    scores, transitions, lengths = _dense(scores, transitions, lengths)
    call = _call(scores, transitions, lengths)
    score = torch.empty(scores.shape[0], dtype=scores.dtype, device="cpu")
    tags = torch.empty(scores.shape[:2], dtype=torch.int64, device="cpu")
    call.total, call.tags = score.data_ptr(), tags.data_ptr()
    _run(library.chain_viterbi, call)
    return tags, score


def _run(function: Callable[..., int], call: Chain, *options: Any) -> None:
    library.check(function(ctypes.addressof(call), *options))


def _dense(scores: Tensor, transitions: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    lengths = None if lengths is None else lengths.to(torch.int64).contiguous()
    return dense_rows(scores.detach()), transitions.detach().contiguous(), lengths


def _call(scores: Tensor, transitions: Tensor, lengths: Tensor | None) -> Chain:
    """The library's argument: addresses only, so the (dense) tensors must outlive it."""
    B, T, K = scores.shape
    return Chain(
        scores.dtype is torch.float64,
        library.threads(),
        T,
        B,
        K,
        None if lengths is None else lengths.data_ptr(),
        _rows(scores),
        transitions.data_ptr(),
    )


def _rows(tensor: Tensor) -> Rows:
    return Rows(tensor.data_ptr(), tensor.stride(1), tensor.stride(0))


def _forward(
    scores: Tensor, transitions: Tensor, lengths: Tensor | None, *, training: bool
) -> tuple[Tensor, Reserve | None]:
    scores, transitions, lengths = _dense(scores, transitions, lengths)
    call = _call(scores, transitions, lengths)
    total = torch.empty(scores.shape[0], dtype=scores.dtype, device="cpu")
    call.total = total.data_ptr()
    _run(library.chain_log_norm, call, training)
    if not training:
        return total, None
    assert library.core is not None
    return total, Reserve(library.release, call.reserve)


def _gradient(
    scores: Tensor,
    transitions: Tensor,
    lengths: Tensor | None,
    reserve: Reserve,
    d_total: Tensor | None,
    d_scores: Tensor | None,
    d_transitions: Tensor | None,
) -> None:
    """Fill the gradients that are wanted, `d_scores` and `d_transitions`; no `d_total` means ones."""
    scores, transitions, lengths = _dense(scores, transitions, lengths)
    call = _call(scores, transitions, lengths)
    call.reserve = reserve.pointer
    if d_total is not None:
        d_total = d_total.contiguous()
        call.d_total = d_total.data_ptr()
    if d_scores is not None:
        call.d_scores = _rows(d_scores)
    if d_transitions is not None:
        call.d_transitions = d_transitions.data_ptr()
    _run(library.chain_gradient, call)


class _LogNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, twin: Twin, lengths: Tensor | None, scores: Tensor, transitions: Tensor) -> Tensor:
        total, ctx.reserve = _forward(scores, transitions, lengths, training=True)
        ctx.twin = twin
        ctx.save_for_backward(lengths, scores, transitions)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        lengths, scores, transitions = ctx.saved_tensors
        wanted = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            found = differentiate(lambda given: [ctx.twin(*given)], [scores, transitions], grads, wanted)
            return None, None, *found
        results = [
            torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu") if want else None
            for tensor, want in zip((scores, transitions), wanted, strict=True)
        ]
        _gradient(scores, transitions, lengths, ctx.reserve, grads[0], *results)
        return None, None, *results
