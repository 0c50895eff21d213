"""Sequences of prepared cells with gradients through the compiled calls: `ops.sequence` for full rows, in less Python.

What the compiled calls do not know (copies of saved tensors, gradients of gradients) is `ops`' own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recurra.kernels import ops
from recurra.kernels.binding import extension

if TYPE_CHECKING:
    from recurra.kernels.prepared import Prepared


def train_sequence(prepared: Prepared, x: Tensor, states: tuple[Tensor | None, ...], reverse: bool) -> Any:
    """Outputs and the final states, h first, of `x [T, B, I]`; None where `ops.sequence` must run the call.

    `states` are the initial ones, h first, of the right shapes; None: zeros.
    """
    if prepared.bound is None or prepared.frozen is not None or prepared.halves or not _readable(x):
        return None
    return _Trained.apply(prepared, reverse, x, *states, *prepared.tensors)


def _readable(x: Tensor) -> bool:
    return type(x) is Tensor and (x.stride(2) == 1 or x.shape[2] == 1) and not x.is_neg()


class _Trained(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, prepared: Prepared, reverse: bool, x: Tensor, *tensors: Tensor | None) -> Any:
        ctx.what = prepared.whats[reverse]
        ctx.shapes = prepared.state_shapes
        done = extension.forward(prepared.bound, reverse, x, tensors[: ctx.what.states])
        if done is None:
            raise RuntimeError("a prepared call does not fit its tensors")
        ctx.kept = done[0]
        ctx.save_for_backward(done[1], x, *tensors)
        ctx.set_materialize_grads(False)
        return done[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        out, x, *tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[2:]
        found = None
        if not torch.is_grad_enabled():
            found = extension.backward(ctx.kept, out, x, tensors, grads, wanted)
        if found is None:
            for index, shape in enumerate(ctx.shapes):
                if tensors[index] is None:
                    tensors[index] = torch.zeros(shape, dtype=torch.float32, device="cpu")
            found = ops.gradients(ops.Asked(ctx.what, ctx.kept.pointer, None, out, x, tensors, grads, wanted))
        return (None, None, *found)
