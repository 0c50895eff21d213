"""The kernels as torch operators, for torch.compile: `recurra::sequence` and its gradient.

What eager calls keep in the library's pool until backward is an output here, so that the compiler sees all memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.kernels import argument, ops
from recurra.kernels.layouts import dense_vectors, layout
from recurra.kernels.mixing import Mixture, Mixtures
from recurra.kernels.native import Call, library

_LIBRARY = torch.library.Library("recurra", "DEF")
_TENSORS = "Tensor x, Tensor? lengths, Tensor[] states, Tensor[] params, Tensor[] masks"
_OPTIONS = (
    "str family, bool reverse, bool emits, int activation, float forget_bias, float cell_clip, float projection_clip"
)
_LIBRARY.define(f"sequence({_TENSORS}, {_OPTIONS}) -> Tensor[]")
_LIBRARY.define(f"sequence_backward({_TENSORS}, Tensor out, Tensor reserve, Tensor?[] grads, {_OPTIONS}) -> Tensor[]")


def _what(
    x: Tensor, states: list[Tensor], masks: list[Tensor], family: str, reverse: bool, emits: bool, *options: Any
) -> Any:
    """`masks`: the candidate's, then `fresh` and `old` of h, c and the output; `emits`: the output's are those of h."""
    where = layout(family, x.shape[2], states[-1].shape[1], states[0].shape[1])
    mask, *mixed = _given(masks)
    h, c, output = (
        None if fresh is None and old is None else Mixture(fresh, old)
        for fresh, old in zip(mixed[::2], mixed[1::2], strict=True)
    )
    mix = h, c, h if emits else output
    return ops.Sequence(where, len(states), reverse, ops.Options(*options), mix, mask, None, False, _no_reference)


def _no_reference(*_: Any) -> Any:
    raise RuntimeError("second derivatives of a compiled graph: run the model eagerly")


def _reserve_shape(
    x: Tensor, states: list[Tensor], params: list[Tensor], family: str, *options: Any
) -> tuple[int, int, int]:
    H, R = states[-1].shape[1], states[0].shape[1]
    where = layout(family, x.shape[2], H, R)
    projected = where.projection is not None and params[where.projection].numel() > 0
    call = Call(family=where.family, H=H, R=R, B=1, T=1, threads=1, projected=projected)
    call.output_is_state, call.projection_clip = options[1], options[-1]
    return x.shape[0], x.shape[1], library.reserve_row(call)


def _given(params: list[Tensor]) -> tuple[Tensor | None, ...]:
    """An operator's list cannot hold None: a tensor of no elements stands for a missing parameter."""
    return dense_vectors(tuple(param if param.numel() else None for param in params))


def _forward(
    x: Tensor,
    lengths: Tensor | None,
    states: list[Tensor],
    params: list[Tensor],
    masks: list[Tensor],
    *options: Any,
) -> Any:
    what = _what(x, states, masks, *options)
    x, dense = ops.dense_rows(x), tuple(map(ops.dense_rows, states))
    out = torch.empty(x.shape[0], x.shape[1], states[0].shape[1], dtype=x.dtype, device=x.device)
    finals = [torch.empty(state.shape, dtype=x.dtype, device=x.device) for state in states]
    reserve = torch.empty(_reserve_shape(x, states, params, *options), dtype=x.dtype, device=x.device)
    words = ops.make_call(what, lengths, x, (*dense, *_given(params)), out)
    for where, final in zip(argument.FINAL, finals, strict=False):
        ops.point(words, where, final)
    words[argument.RESERVE] = reserve.data_ptr()
    library.forward_into(words)
    return [out, *finals, reserve]


def _forward_fake(
    x: Tensor,
    lengths: Tensor | None,
    states: list[Tensor],
    params: list[Tensor],
    masks: list[Tensor],
    *options: Any,
) -> list[Tensor]:
    out = x.new_empty(x.shape[0], x.shape[1], states[0].shape[1])
    finals = [x.new_empty(state.shape) for state in states]
    return [out, *finals, x.new_empty(_reserve_shape(x, states, params, *options))]


def _backward(
    x: Tensor,
    lengths: Tensor | None,
    states: list[Tensor],
    params: list[Tensor],
    masks: list[Tensor],
    out: Tensor,
    reserve: Tensor,
    grads: list[Tensor | None],
    *options: Any,
) -> list[Tensor]:
    what = _what(x, states, masks, *options)
    found = _backward_fake(x, lengths, states, params)
    x, dense = ops.dense_rows(x), tuple(map(ops.dense_rows, states))
    tensors = (*dense, *_given(params))
    words = ops.make_call(what, lengths, x, tensors, out)
    words[argument.RESERVE] = reserve.data_ptr()
    dense_grads = [None if grad is None else ops.dense_rows(grad) for grad in grads]
    ops.fill_gradients(words, what, tensors, dense_grads, found[0], list(_given(found[1:])))
    library.backward(words)
    return found


def _backward_fake(x: Tensor, lengths: Any, states: list[Tensor], params: list[Tensor], *_: Any) -> list[Tensor]:
    return [torch.empty(tensor.shape, dtype=x.dtype, device=x.device) for tensor in (x, *states, *params)]


def _setup(ctx: Any, inputs: Any, output: list[Tensor]) -> None:
    x, lengths, states, params, masks, *ctx.options = inputs
    ctx.states, ctx.params = len(states), len(params)
    ctx.save_for_backward(x, lengths, output[0], output[-1], *states, *params, *masks)


def _autograd(ctx: Any, grads: list[Tensor | None]) -> Any:
    x, lengths, out, reserve, *tensors = ctx.saved_tensors
    end = ctx.states + ctx.params
    states, params, masks = tensors[: ctx.states], tensors[ctx.states : end], tensors[end:]
    found = torch.ops.recurra.sequence_backward(
        x, lengths, states, params, masks, out, reserve, list(grads[:-1]), *ctx.options
    )
    d_states, d_params = list(found[1 : 1 + ctx.states]), list(found[1 + ctx.states :])
    return found[0], None, d_states, d_params, [None] * len(masks), *[None] * len(ctx.options)


_LIBRARY.impl("sequence", _forward, "CPU")
_LIBRARY.impl("sequence_backward", _backward, "CPU")
torch.library.register_fake("recurra::sequence", _forward_fake, lib=_LIBRARY)
torch.library.register_fake("recurra::sequence_backward", _backward_fake, lib=_LIBRARY)
torch.library.register_autograd("recurra::sequence", _autograd, setup_context=_setup, lib=_LIBRARY)


def sequence(
    family: str,
    x: Tensor,
    lengths: Tensor | None,
    states: list[Tensor],
    params: list[Tensor | None],
    *,
    options: ops.Options,
    reverse: bool,
    mask: Tensor | None,
    mix: Mixtures,
) -> list[Tensor]:
    """Outputs and final states, as `ops.sequence`, as one operator of the graph."""
    emits = mix[2] is mix[0]
    parts = (mix[0], mix[1], None if emits else mix[2])
    masks = [mask, *(part for mixture in parts for part in (mixture or Mixture(None, None)))]
    results = torch.ops.recurra.sequence(
        x, lengths, states, _present(x, params), _present(x, masks), family, reverse, emits, *options
    )
    return results[:-1]


def _present(x: Tensor, tensors: list[Tensor | None]) -> list[Tensor]:
    return [x.new_empty(0) if tensor is None else tensor for tensor in tensors]
