"""The cells of xLSTM in compiled code (csrc/slstm.cpp, csrc/mlstm.cpp): a sequence forward and its gradients.

What the inputs give to the gates is one product for many steps and belongs to the call, so that its gradients are
products, too. Gradients of gradients are those of the reference, which autograd differentiates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra._typing import State
from recurra.errors import InputError
from recurra.kernels.decisions import KERNEL, note
from recurra.kernels.dispatch import refused_tensors
from recurra.kernels.mixing import dense_rows
from recurra.kernels.native import Rows, XLSTMCall, library
from recurra.kernels.ops import empty_like_layout, rows_of
from recurra.kernels.scan import mask_inputs, valid_steps
from recurra.kernels.twin import differentiate

LARGEST = 256
"""Features of a head up to which an mLSTM's memory, D x D numbers, stays in the caches."""

SPECIAL = ("masks", "after", "resets", "return_states")
"""What a call may ask for that only the plain loop does."""

CHUNK = 32
"""Steps that the mLSTM computes at once (csrc/mlstm.cpp)."""
ROWS = 2048
"""Rows and steps whose gates are computed at once: they stay in the caches until they are used."""


class Kind(NamedTuple):
    """What a call is, besides its tensors."""

    family: str
    heads: int
    exponential: bool
    """The forget gate is exp(f), not sigmoid(f)."""
    reverse: bool
    reference: Callable[..., tuple[Tensor, ...]]
    """(x, lengths, kernel, bias, recurrent, *state) -> (outputs, *final state), in plain torch."""

    @property
    def matrix(self) -> bool:
        """Whether it is an mLSTM."""
        return self.family == "mlstm"


def refusal(
    family: str, inputs: Any, state: State, params: tuple[Tensor, ...], call: dict[str, Any], heads: int
) -> str | None:
    """Why the plain loop runs a call of `unroll` instead; None when the compiled one does."""
    unused: Any = (None, False, ())
    wanted = [key for key in SPECIAL if not any(call.get(key) is nothing for nothing in unused)]
    if wanted:
        return f"no kernel with {', '.join(wanted)}"
    if torch.compiler.is_compiling():
        return "no kernel under torch.compile"
    if not isinstance(inputs, Tensor):
        return "no kernel with nested inputs"
    reason = refused_tensors([inputs, *state, *params])
    if reason is None and family == "mlstm" and params[0].shape[1] > (4 * LARGEST + 2) * heads:
        return f"more than {LARGEST} features a head"
    return reason or library.missing


def sequence(
    kind: Kind,
    x: Tensor,
    lengths: Tensor | None,
    kernel: Tensor,
    bias: Tensor,
    recurrent: Tensor | None,
    state: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Outputs `[T, B, H]` and the final state.

    Args:
        kind: which cell, and how.
        x: `[T, B, I]`.
        lengths: `[B]`, or None.
        kernel, bias: what turns x into the gates, `[I, n]` and `[n]`.
        recurrent: of an sLSTM, `[N, D, 4 D]`.
        state: c, n, m, h `[B, H]` of an sLSTM; c `[B, N, D, D]`, n `[B, N, D]`, m `[B, N]` of an mLSTM.
    """
    _check(kind, x, lengths, kernel, state)
    note(kind.family, KERNEL, library.isa())
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
        x = mask_inputs(x, valid_steps(lengths, x.shape[0]))
    tensors = (x, kernel, bias, recurrent, *state)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        return _Sequence.apply(kind, lengths, *tensors)
    return _forward(kind, lengths, x, kernel, bias, recurrent, state, training=False)[0]


def _check(kind: Kind, x: Tensor, lengths: Tensor | None, kernel: Tensor, state: tuple[Tensor, ...]) -> None:
    if x.dim() != 3 or x.shape[2] != kernel.shape[0]:
        raise InputError(f"`inputs` has shape {list(x.shape)}, expected [T, B, {kernel.shape[0]}]")
    rows, heads = x.shape[1], kind.heads
    units = (kernel.shape[1] - 2 * heads * kind.matrix) // 4
    features = units // heads
    shapes: Any = [(rows, units)] * 4
    if kind.matrix:
        shapes = [(rows, heads, features, features), (rows, heads, features), (rows, heads)]
    for leaf, shape in zip(state, shapes, strict=True):
        if leaf.shape != shape:
            raise InputError(f"`state` has a part of shape {list(leaf.shape)}, expected {list(shape)}")
    if lengths is not None and lengths.shape != (rows,):
        raise InputError(f"`lengths` has shape {list(lengths.shape)}, expected {[rows]}")
    if lengths is not None and rows and (int(lengths.min()) < 0 or int(lengths.max()) > x.shape[0]):
        raise InputError("`lengths` must lie in 0..T")


def _parts(x: Tensor, *, backwards: bool) -> list[slice]:
    """The spans of steps of a call, in the order in which they run."""
    rows = max(1, ROWS // max(1, x.shape[1]))
    steps = -(-rows // CHUNK) * CHUNK
    parts = [slice(start, start + steps) for start in range(0, x.shape[0], steps)]
    return parts[::-1] if backwards else parts


class _Part(NamedTuple):
    """A span of steps as its gradient needs it."""

    span: slice
    lengths: Tensor | None
    """Within the span."""
    gates: Tensor | None
    """`[steps * B, n]`; an sLSTM needs them no more."""
    start: list[Tensor]
    final: list[Tensor]
    reserve: Tensor | None


def _fresh(like: Tensor, *shape: int) -> Tensor:
    return library.empty(*shape) if like.dtype is torch.float32 else like.new_empty(shape)


def _make_call(kind: Kind, lengths: Tensor | None, gates: Tensor | None, out: Tensor, recurrent: Tensor | None) -> Any:
    """The kernel's argument; it holds addresses only, so that the tensors must outlive it."""
    T, B, H = out.shape
    return XLSTMCall(
        out.dtype is torch.float64,
        library.threads(),
        kind.reverse,
        kind.exponential,
        T,
        B,
        kind.heads,
        H // kind.heads,
        None if lengths is None else lengths.data_ptr(),
        None if recurrent is None else recurrent.data_ptr(),
        _gate_rows(gates, B),
        rows_of(out),
    )


def _gate_rows(gates: Tensor | None, batch: int) -> Rows:
    return Rows(None, 0, 0) if gates is None else Rows(gates.data_ptr(), batch * gates.shape[1], gates.shape[1])


def _point(array: Any, tensors: Any) -> None:
    for index, tensor in enumerate(tensors):
        array[index] = None if tensor is None else tensor.data_ptr()


def _flat(rows: Tensor) -> Tensor:
    """`[T, B, n]` as a matrix, time-major."""
    return rows.reshape(-1, rows.shape[2])


def _forward(
    kind: Kind,
    lengths: Tensor | None,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor,
    recurrent: Tensor | None,
    state: Any,
    *,
    training: bool,
) -> tuple[tuple[Tensor, ...], list[_Part]]:
    """The results, and what backward needs. A span's gates are used while they are in the caches."""
    recurrent = None if recurrent is None else recurrent.contiguous()
    out = empty_like_layout(x, (kernel.shape[1] - 2 * kind.heads * kind.matrix) // 4)
    final, parts, gates = [leaf.contiguous() for leaf in state], [], None
    for span in _parts(x, backwards=kind.reverse):
        flat, start = _flat(x[span]), final
        if gates is None or training or gates.shape[0] != flat.shape[0]:
            gates = _fresh(x, flat.shape[0], kernel.shape[1])
        torch.addmm(bias, flat, kernel, out=gates)
        within = None if lengths is None else (lengths - span.start).clamp(0, len(out[span]))
        call = _make_call(kind, within, gates, out[span], recurrent)
        final = [torch.empty_like(leaf) for leaf in start]
        _point(call.initial, start)
        _point(call.final, final)
        if training:
            reserve = _fresh(x, library.xlstm_reserve(call, matrix=kind.matrix))
            call.reserve = reserve.data_ptr()
            kept = [leaf.detach() for leaf in final]  # a result itself would hold its own graph
            parts.append(_Part(span, within, gates if kind.matrix else None, start, kept, reserve))
        library.xlstm(call, matrix=kind.matrix, backward=False)
    if final and final[0] is state[0]:  # no step ran
        final = [leaf.clone() for leaf in final]
    return (out, *final), parts


class _Sequence(torch.autograd.Function):
    """Forward and backward through the kernels."""

    @staticmethod
    def forward(ctx: Any, kind: Kind, lengths: Tensor | None, *inputs: Any) -> Any:
        plain: Any = [None if tensor is None else tensor.detach() for tensor in inputs]
        x, kernel, bias, recurrent, *state = plain
        results, ctx.parts = _forward(kind, lengths, x, kernel, bias, recurrent, state, training=True)
        ctx.kind = kind
        # an mLSTM's gradient reads its final state, too: what is written into that must be noticed
        ctx.save_for_backward(lengths, results[0], *inputs, *(results[1:] if kind.matrix else ()))
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        lengths, out, *inputs = ctx.saved_tensors[: len(ctx.needs_input_grad)]
        if torch.is_grad_enabled():
            found = _differentiable(ctx.kind, lengths, inputs, grads)
        else:
            found = _backward(ctx, out, inputs, grads)
        return (None, None, *found)


def _backward(ctx: Any, out: Tensor, inputs: list[Any], grads: Any) -> list[Tensor | None]:
    """Span by span, the last first: a span's gradients are multiplied while they are in the caches."""
    kind, parts = ctx.kind, ctx.parts
    x, kernel, bias, recurrent = inputs[:4]
    dense = None if recurrent is None else recurrent.contiguous()
    d_out = None if grads[0] is None else dense_rows(grads[0])
    d_state = [None if grad is None else grad.contiguous() for grad in grads[1:]]
    wants = ctx.needs_input_grad[2:6]
    d_x = empty_like_layout(x, x.shape[2]) if wants[0] else None
    d_kernel, d_bias = torch.zeros_like(kernel), torch.zeros_like(bias)
    d_recurrent = None if dense is None else torch.zeros_like(dense)
    d_gates: Tensor | None = None
    for part in reversed(parts):
        flat, here = _flat(x[part.span]), out[part.span]
        if d_gates is None or d_gates.shape[0] != flat.shape[0]:
            d_gates = _fresh(x, flat.shape[0], kernel.shape[1])
        d_state = _part_back(kind, part, here, dense, None if d_out is None else d_out[part.span], d_gates, d_state)
        if wants[1]:
            d_kernel.addmm_(flat.t(), d_gates)
        if wants[2]:
            d_bias += d_gates.sum(0)
        if d_recurrent is not None and wants[3]:
            _add_recurrent(d_recurrent, _before(kind, part, here), d_gates)
        if d_x is not None:
            d_x[part.span] = torch.mm(d_gates, kernel.t()).view_as(x[part.span])
    return [d_x, d_kernel, d_bias, d_recurrent, *d_state]


def _part_back(
    kind: Kind,
    part: _Part,
    out: Tensor,
    recurrent: Tensor | None,
    d_out: Tensor | None,
    d_gates: Tensor,
    d_final: list[Tensor | None],
) -> list[Tensor | None]:
    """Writes the gates' gradients of a span, and gives those of the state before it."""
    call = _make_call(kind, part.lengths, part.gates, out, recurrent)
    d_start = [torch.empty_like(leaf) for leaf in part.start]
    pointed = (call.initial, part.start), (call.final, part.final), (call.d_final, d_final), (call.d_initial, d_start)
    for array, tensors in pointed:
        _point(array, tensors)
    assert part.reserve is not None
    call.reserve, call.d_out, call.d_x = part.reserve.data_ptr(), rows_of(d_out), _gate_rows(d_gates, out.shape[1])
    library.xlstm(call, matrix=kind.matrix, backward=True)
    return list(d_start)


def _before(kind: Kind, part: _Part, out: Tensor) -> Tensor:
    """The output before each step of a span, in the order in which its rows run."""
    before, initial = out.new_empty(out.shape), part.start[3]
    if not kind.reverse:
        before[1:], before[0] = out[:-1], initial
        return before
    before[:-1], before[-1] = out[1:], initial
    if part.lengths is not None:
        rows = torch.nonzero((part.lengths > 0) & (part.lengths < out.shape[0])).squeeze(-1)
        before[part.lengths[rows] - 1, rows] = initial[rows]
    return before


def _add_recurrent(gradient: Tensor, before: Tensor, d_gates: Tensor) -> None:
    """Head by head, of each gate: the outputs before all steps times the gradients at them."""
    heads, features, _ = gradient.shape
    past = _flat(before).unflatten(-1, (heads, features)).permute(1, 2, 0)
    each = d_gates.unflatten(-1, (4, heads, features)).permute(1, 2, 0, 3)
    for gate, to in zip(each, gradient.chunk(4, -1), strict=True):
        to += torch.bmm(past, gate)


def _differentiable(kind: Kind, lengths: Tensor | None, inputs: list[Tensor | None], grads: Any) -> list[Tensor | None]:
    """The gradients as functions that autograd can differentiate again: those of the reference."""
    wanted = [tensor is not None and tensor.requires_grad for tensor in inputs]
    return differentiate(lambda given: kind.reference(given[0], lengths, *given[1:]), inputs, grads, wanted)
