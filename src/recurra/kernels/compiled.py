"""The kernels as torch operators, for torch.compile: `recurra::sequence` and its gradient.

What eager calls keep in the library's pool until backward is an output here, so that the compiler sees all memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.kernels import ops
from recurra.kernels.layouts import fill_weights, layout
from recurra.kernels.native import library

_LIBRARY = torch.library.Library("recurra", "DEF")
_OPTIONS = "str family, bool reverse, int activation, float forget_bias, float cell_clip"
_LIBRARY.define(f"sequence(Tensor x, Tensor? lengths, Tensor[] states, Tensor[] params, {_OPTIONS}) -> Tensor[]")
_LIBRARY.define(
    "sequence_backward(Tensor x, Tensor? lengths, Tensor[] states, Tensor[] params, Tensor out, Tensor reserve, "
    f"Tensor?[] grads, {_OPTIONS}) -> Tensor[]"
)


def _what(
    x: Tensor, states: list[Tensor], family: str, reverse: bool, activation: int, bias: float, clip: float
) -> Any:
    where = layout(family, x.shape[2], states[-1].shape[1], states[0].shape[1])
    return ops.Sequence(where, len(states), reverse, activation, bias, clip, (None, None, None), _no_reference)


def _no_reference(*_: Any) -> Any:
    raise RuntimeError("second derivatives of a compiled graph: run the model eagerly")


def _reserve_shape(x: Tensor, states: list[Tensor], family: str) -> tuple[int, int, int]:
    H, R = states[-1].shape[1], states[0].shape[1]
    return x.shape[0], x.shape[1], library.reserve_row(layout(family, x.shape[2], H, R).family, H, R)


def _given(params: list[Tensor]) -> tuple[Tensor | None, ...]:
    """An operator's list cannot hold None: a tensor of no elements stands for a missing parameter."""
    return tuple(param if param.numel() else None for param in params)


def _forward(x: Tensor, lengths: Tensor | None, states: list[Tensor], params: list[Tensor], *options: Any) -> Any:
    what = _what(x, states, *options)
    x, dense = ops.dense_rows(x), tuple(map(ops.dense_rows, states))
    out = torch.empty(x.shape[0], x.shape[1], states[0].shape[1], dtype=x.dtype)
    finals = [torch.empty(state.shape, dtype=x.dtype) for state in states]
    reserve = torch.empty(_reserve_shape(x, states, options[0]), dtype=x.dtype)
    call = ops.make_call(what, lengths, x, dense, _given(params), out)
    for index, final in enumerate(finals):
        call.final[index] = ops.rows_of(final)
    call.reserve = reserve.data_ptr()
    library.forward_into(call)
    return [out, *finals, reserve]


def _forward_fake(
    x: Tensor, lengths: Tensor | None, states: list[Tensor], params: list[Tensor], *options: Any
) -> list[Tensor]:
    out = x.new_empty(x.shape[0], x.shape[1], states[0].shape[1])
    finals = [x.new_empty(state.shape) for state in states]
    return [out, *finals, x.new_empty(_reserve_shape(x, states, options[0]))]


def _backward(
    x: Tensor,
    lengths: Tensor | None,
    states: list[Tensor],
    params: list[Tensor],
    out: Tensor,
    reserve: Tensor,
    grads: list[Tensor | None],
    *options: Any,
) -> list[Tensor]:
    what = _what(x, states, *options)
    found = _backward_fake(x, lengths, states, params, out, reserve, grads)
    d_x, d_states, d_params = found[0], found[1 : 1 + len(states)], found[1 + len(states) :]
    x, dense = ops.dense_rows(x), tuple(map(ops.dense_rows, states))
    call = ops.make_call(what, lengths, x, dense, _given(params), out)
    call.reserve = reserve.data_ptr()
    dense_grads = [None if grad is None else ops.dense_rows(grad) for grad in grads]
    call.d_out, call.d_x = ops.rows_of(dense_grads[0]), ops.rows_of(d_x)
    for index, (grad, d_state) in enumerate(zip(dense_grads[1:], d_states, strict=True)):
        call.d_final[index], call.d_initial[index] = ops.rows_of(grad), ops.rows_of(d_state)
    fill_weights(call.d_gate, call.d_peephole, what.layout, _given(d_params))
    library.backward(call)
    return found


def _backward_fake(x: Tensor, lengths: Any, states: list[Tensor], params: list[Tensor], *_: Any) -> list[Tensor]:
    return [torch.empty(tensor.shape, dtype=x.dtype, device=x.device) for tensor in (x, *states, *params)]


def _setup(ctx: Any, inputs: Any, output: list[Tensor]) -> None:
    x, lengths, states, params, *ctx.options = inputs
    ctx.states = len(states)
    ctx.save_for_backward(x, lengths, output[0], output[-1], *states, *params)


def _autograd(ctx: Any, grads: list[Tensor | None]) -> Any:
    x, lengths, out, reserve, *tensors = ctx.saved_tensors
    states, params = tensors[: ctx.states], tensors[ctx.states :]
    found = torch.ops.recurra.sequence_backward(
        x, lengths, states, params, out, reserve, list(grads[:-1]), *ctx.options
    )
    d_states, d_params = list(found[1 : 1 + ctx.states]), list(found[1 + ctx.states :])
    return found[0], None, d_states, d_params, *[None] * len(ctx.options)


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
    reverse: bool,
    activation: int,
    forget_bias: float,
    cell_clip: float,
) -> list[Tensor]:
    """Outputs and final states, as `ops.sequence`, as one operator of the graph."""
    results = torch.ops.recurra.sequence(
        x,
        lengths,
        states,
        [x.new_empty(0) if param is None else param for param in params],
        family,
        reverse,
        activation,
        forget_bias,
        cell_clip,
    )
    return results[:-1]
