"""Both directions of a layer in one compiled call: on two threads each has a direction, and none waits for the other.

Each direction's numbers are those of a call of its own, bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.kernels import ops
from recurra.kernels.argument import Words
from recurra.kernels.native import library
from recurra.kernels.ops import Kept


class Pair(NamedTuple):
    """What a call is, besides its tensors."""

    whats: tuple[ops.Sequence, ops.Sequence]
    templates: tuple[Words[int], Words[int]]
    """Earlier arguments of the same calls."""
    first: int
    """How many tensors, states and parameters, are the first direction's."""
    joined: bool
    """Whether the outputs are one tensor, features of the first before those of the second."""

    def split(self, tensors: Any) -> tuple[Any, Any]:
        """Each direction's own."""
        return tensors[: self.first], tensors[self.first :]

    def outputs(self, values: Any, width: int) -> list[Any]:
        """Outputs, or their gradients, as each direction's own; `width` of the first's."""
        if not self.joined:
            return list(values)
        return [None, None] if values[0] is None else [values[0][..., :width], values[0][..., width:]]


def both(pair: Pair, x: Tensor, lengths: Tensor | None, tensors: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
    """Outputs (two, or one joined), the first direction's final states, the second's; arguments as `ops.sequence`."""
    if torch.is_grad_enabled() and any([tensor is not None and tensor.requires_grad for tensor in (x, *tensors)]):
        return _Both.apply(pair, lengths, x, *tensors)  # type: ignore[no-any-return]
    return _forward(pair, lengths, x, tensors, training=False)[0]


def _forward(
    pair: Pair, lengths: Tensor | None, x: Tensor, tensors: tuple[Tensor | None, ...], *, training: bool
) -> tuple[tuple[Tensor, ...], list[Kept]]:
    own = pair.split(tensors)
    widths = [given[0].shape[-1] for given in own]
    outs: list[Any] = [ops.empty_like_layout(x, width) for width in ([sum(widths)] if pair.joined else widths)]
    calls = [
        ops.ready_forward(what, template, lengths, x, given, out)
        for what, template, given, out in zip(
            pair.whats, pair.templates, own, pair.outputs(outs, widths[0]), strict=True
        )
    ]
    reserves = library.both_forward(calls[0].words, calls[1].words, training)
    kept = [Kept(call.words, call.addresses, reserve) for call, reserve in zip(calls, reserves, strict=False)]
    return (*outs, *calls[0].results[1:], *calls[1].results[1:]), kept


class _Both(torch.autograd.Function):
    """Forward and backward of both directions."""

    @staticmethod
    def forward(ctx: Any, pair: Pair, lengths: Tensor | None, x: Tensor, *tensors: Tensor | None) -> Any:
        results, ctx.kept = _forward(pair, lengths, x, tensors, training=True)
        ctx.pair = pair
        ctx.save_for_backward(lengths, x, *results[: 1 if pair.joined else 2], *tensors)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        pair = ctx.pair
        count = 1 if pair.joined else 2
        lengths, x, *saved = ctx.saved_tensors
        own, wanted = pair.split(saved[count:]), pair.split(ctx.needs_input_grad[3:])
        width = own[0][0].shape[-1]
        outs, d_outs = pair.outputs(saved[:count], width), pair.outputs(grads[:count], width)
        states = pair.whats[0].states
        d_finals = grads[count : count + states], grads[count + states :]
        each = [
            ops.Asked(
                what,
                kept.reserve.pointer,
                lengths,
                out,
                x,
                given,
                (d_out, *d_final),
                (ctx.needs_input_grad[2], *want),
                kept,
            )
            for what, kept, out, given, d_out, d_final, want in zip(
                pair.whats, ctx.kept, outs, own, d_outs, d_finals, wanted, strict=True
            )
        ]
        found: list[list[Tensor | None]]
        if torch.is_grad_enabled():
            found = [ops.differentiable(asked) for asked in each]
        else:
            calls = [ops.ready_backward(asked) for asked in each]
            library.both_backward(calls[0][0], calls[1][0])
            found = [gradients for _, gradients, _ in calls]
        d_x, other = found[0][0], found[1][0]
        if d_x is None or other is None:
            d_x = other if d_x is None else d_x
        else:
            d_x = d_x + other if torch.is_grad_enabled() else d_x.add_(other)
        return (None, None, d_x, *found[0][1:], *found[1][1:])
