"""The compiled recurrences as torch functions: a sequence forward, its gradients, and the gradients' gradients.

`sequence` is the eager road: ctypes and one autograd.Function. Gradients of gradients are those of the reference, which
is run again and differentiated by autograd.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.kernels import argument
from recurra.kernels.argument import Options, Words, form_of
from recurra.kernels.layouts import Layout
from recurra.kernels.mixing import Mixtures, dense_rows
from recurra.kernels.native import Reserve, Rows, library
from recurra.kernels.random import Drawn
from recurra.kernels.twin import differentiate


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


def sequence(
    what: Sequence,
    x: Tensor,
    lengths: Tensor | None,
    tensors: tuple[Tensor | None, ...],
    template: Words[int] | None = None,
) -> Any:
    """Outputs `[T, B, R]`, the final states (h, or h and c) of `x [T, B, I]`, and, where wanted, all states.

    Of packed rows `x [N, I]`, `lengths` are the batch sizes `[T]`, and sequences of results are packed alike.
    `tensors` are the initial states, the states to start anew from (with resets), and the parameters. Of all states,
    those past a row's end are zeros. `template`: an earlier argument for the same `what`, but for masks, B and
    parameters.
    """
    if torch.is_grad_enabled() and any([tensor is not None and tensor.requires_grad for tensor in (x, *tensors)]):
        return _Sequence.apply(what, template, lengths, x, *tensors)
    return _forward(what, template, lengths, x, tensors, training=False)[0]


def point(words: Words[int], where: int, tensor: Tensor) -> None:
    """Write where the rows of a `[T, B, n]` sequence or a `[B, n]` state are."""
    strides = tensor.stride()
    words[where] = tensor.data_ptr()
    words[where + 1] = strides[0] if len(strides) == 3 else 0
    words[where + 2] = strides[-2]


def rows_of(tensor: Tensor | None) -> Rows:
    """A `[T, B, n]` sequence or a `[B, n]` state, as the kernels' structures have it."""
    if tensor is None:
        return Rows(None, 0, 0)
    strides = tensor.stride()
    return Rows(tensor.data_ptr(), strides[0] if len(strides) == 3 else 0, strides[-2])


def empty_like_layout(x: Tensor, features: int) -> Tensor:
    """`[T, B, features]`, batch-major in memory where `x` is: what the caller makes of it stays one piece.

    Of packed rows `[N, I]`: `[N, features]`.
    """
    if x.dim() == 2:
        return _fresh(x.dtype, x.shape[0], features)
    T, B = x.shape[:2]
    if x.stride(0) < x.stride(1):
        return _fresh(x.dtype, B, T, features).transpose(0, 1)
    return _fresh(x.dtype, T, B, features)


def _fresh(dtype: torch.dtype, *shape: int) -> Tensor:
    return library.empty(*shape) if dtype is torch.float32 else torch.empty(shape, dtype=dtype, device="cpu")


def make_call(
    what: Sequence, lengths: Tensor | None, x: Tensor, tensors: tuple[Tensor | None, ...], out: Tensor
) -> Words[int]:
    """The kernel's argument for a forward or a backward call, but for what only one of them has."""
    states, restart, params = what.split(tensors)
    form = form_of(what.layout, what.options, params)
    words = form.template[:]
    form.point(words, params)
    words[argument.IS_DOUBLE] = 2 if what.halves else x.dtype is torch.float64
    words[argument.THREADS] = library.threads()
    words[argument.REVERSE] = what.reverse
    words[argument.B], words[argument.R] = states[0].shape
    words[argument.I], words[argument.H] = x.shape[-1], states[-1].shape[-1]
    point_masks(words, what)
    if what.resets is not None:
        point(words, argument.RESETS, what.resets.unsqueeze(-1))
        for where, state in zip(argument.RESTART, restart, strict=False):
            point(words, where, state)
    point_sequence(words, lengths, x, states, out)
    return words


def point_masks(words: Words[int], what: Sequence) -> None:
    """Write what acts inside the recurrence."""
    words[argument.EMITS_STATE] = what.mix[2] is what.mix[0]
    for index, mixture in enumerate(what.mix):
        if mixture is not None:
            _point_mask(words, argument.FRESH[index], mixture.fresh)
            _point_mask(words, argument.OLD[index], mixture.old)
    _point_mask(words, argument.MASK, what.mask)


def point_sequence(words: Words[int], lengths: Tensor | None, x: Tensor, states: Any, out: Tensor) -> None:
    """Write what changes from call to call of the same parameters and rows."""
    point_rows(words, lengths, x, out)
    for where, state in zip(argument.INITIAL, states, strict=False):
        point(words, where, state)


def point_rows(words: Words[int], lengths: Tensor | None, x: Tensor, out: Tensor) -> None:
    """Write where inputs and outputs are, and how long their rows."""
    words[argument.LENGTHS] = words[argument.BATCH_SIZES] = 0
    if lengths is None or x.dim() == 3:
        words[argument.T] = x.shape[0]
        words[argument.LENGTHS] = 0 if lengths is None else lengths.data_ptr()
    else:
        words[argument.T] = lengths.shape[0]
        words[argument.BATCH_SIZES] = lengths.data_ptr()
    point(words, argument.X, x)
    point(words, argument.OUT, out)


def _point_mask(words: Words[int], where: int, mask: Tensor | Drawn | None) -> None:
    """Write where a mask `[T or 1, B or 1, n]` is; a single step or row serves all."""
    if isinstance(mask, Drawn):
        words[where], words[where + 1], words[where + 2] = ctypes.addressof(mask), 0, -1
    elif mask is not None:
        T, B, _ = mask.shape
        words[where] = mask.data_ptr()
        words[where + 1] = mask.stride(0) if T > 1 else 0
        words[where + 2] = mask.stride(1) if B > 1 else 0


def _dense(what: Sequence, tensors: Any) -> tuple[Tensor | None, ...]:
    """The tensors with states as the kernels read them."""
    states, restart, params = what.split(tensors)
    return (*map(dense_rows, states), *map(dense_rows, restart), *params)


class Kept(NamedTuple):
    """What backward needs, besides tensors."""

    words: Words[int]
    """The argument of the forward call."""
    addresses: list[int]
    """Where its tensors were."""
    reserve: Reserve


class Ready(NamedTuple):
    """A forward call whose argument is written."""

    words: Words[int]
    results: tuple[Tensor, ...]
    """Outputs, final states, and all states where they are wanted."""
    addresses: list[int]
    given: Any
    """What the argument points at, besides the results."""


def ready_forward(
    what: Sequence,
    template: Words[int] | None,
    lengths: Tensor | None,
    x: Tensor,
    tensors: tuple[Tensor | None, ...],
    out: Tensor | None = None,
) -> Ready:
    """Write a forward call's argument; `out`: where its outputs go, if not to a tensor of their own."""
    x, tensors = dense_rows(x), _dense(what, tensors)
    states = what.split(tensors)[0]
    if out is None:
        out = empty_like_layout(x, states[0].shape[-1])
    finals = tuple([torch.empty(state.shape, dtype=x.dtype, device="cpu") for state in states])
    every = tuple(empty_like_layout(x, state.shape[-1]) for state in states) if what.return_states else ()
    if template is None:
        words = make_call(what, lengths, x, tensors, out)
    else:
        words = template[:]
        words[argument.THREADS], words[argument.REVERSE] = library.threads(), what.reverse
        point_masks(words, what)
        point_sequence(words, lengths, x, states, out)
    for where, final in zip(argument.FINAL, finals, strict=False):
        point(words, where, final)
    for where, state in zip(argument.STATES, every, strict=False):
        point(words, where, state)
    return Ready(words, (out, *finals, *every), _addresses(lengths, out, x, tensors), (x, tensors))


def _forward(
    what: Sequence,
    template: Words[int] | None,
    lengths: Tensor | None,
    x: Tensor,
    tensors: tuple[Tensor | None, ...],
    *,
    training: bool,
) -> tuple[tuple[Tensor, ...], Kept | None]:
    ready = ready_forward(what, template, lengths, x, tensors)
    reserve = library.forward(ready.words, training)
    return ready.results, None if reserve is None else Kept(ready.words, ready.addresses, reserve)


def _addresses(*tensors: Any) -> list[int]:
    *single, many = tensors
    return [0 if tensor is None else tensor.data_ptr() for tensor in (*single, *many)]


class _Sequence(torch.autograd.Function):
    """Forward and backward through the kernels."""

    @staticmethod
    def forward(
        ctx: Any,
        what: Sequence,
        template: Words[int] | None,
        lengths: Tensor | None,
        x: Tensor,
        *tensors: Tensor | None,
    ) -> Any:
        results, ctx.kept = _forward(what, template, lengths, x, tensors, training=True)
        ctx.what = what
        ctx.save_for_backward(lengths, results[0], x, *tensors)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        lengths, out, x, *tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        asked = Asked(ctx.what, ctx.kept.reserve.pointer, lengths, out, x, tensors, grads, wanted, ctx.kept)
        return (None, None, None, *gradients(asked))


class Asked(NamedTuple):
    """What a backward call is asked for."""

    what: Sequence
    reserve: int
    """The block that the forward call left."""
    lengths: Tensor | None
    out: Tensor
    x: Tensor
    tensors: list[Any]
    grads: Any
    """Of the results."""
    wanted: Any
    """Whether the gradient of x is, then those of the tensors."""
    kept: Kept | None = None
    """The forward call's argument, where the tensors may still lie as then."""


def gradients(asked: Asked) -> list[Tensor | None]:
    """Gradients of x and of the tensors, where they are wanted."""
    if torch.is_grad_enabled():
        return differentiable(asked)
    words, found, _given = ready_backward(asked)
    library.backward(words)
    return found


def ready_backward(asked: Asked) -> tuple[Words[int], list[Tensor | None], Any]:
    """A backward call's argument, the gradients that it fills in (of x, then of the tensors), and what it points at."""
    what, reserve, lengths, out, x, tensors, grads, wanted, kept = asked
    dense_x, dense = dense_rows(x), _dense(what, tensors)
    if kept is not None and _addresses(lengths, out, dense_x, dense) == kept.addresses:
        words = kept.words[:]
        words[argument.THREADS] = library.threads()  # not forward's: this may be another process, after a fork
    else:  # copies, made of rows that are not dense or by a hook on saved tensors
        words = make_call(what, lengths, dense_x, dense, out)
        words[argument.RESERVE] = reserve
    grads = [None if grad is None else dense_rows(grad) for grad in grads]
    d_x = empty_like_layout(x, x.shape[-1]) if wanted[0] else None
    found = [_empty(tensor, want) for tensor, want in zip(tensors, wanted[1:], strict=True)]
    fill_gradients(words, what, dense, grads, d_x, found)
    return words, [d_x, *found], (dense_x, dense, grads)


def fill_gradients(
    words: Words[int], what: Sequence, tensors: Any, grads: Any, d_x: Tensor | None, found: list[Tensor | None]
) -> None:
    """Point the kernel at the results' gradients `grads` and at where those of x and of the tensors go."""
    n = what.states
    d_states, d_restart, d_params = what.split(found)
    places = [(argument.D_OUT, grads[0]), (argument.D_X, d_x)]
    places += zip(argument.D_FINAL, grads[1 : 1 + n], strict=False)
    places += zip(argument.D_STATES, grads[1 + n :], strict=False)
    places += zip(argument.D_INITIAL, d_states, strict=False)
    places += zip(argument.D_RESTART, d_restart, strict=False)
    for where, tensor in places:
        if tensor is not None:
            point(words, where, tensor)
    form_of(what.layout, what.options, what.split(tensors)[2]).point_gradients(words, d_params)


def _empty(tensor: Tensor | None, wanted: bool) -> Tensor | None:
    if tensor is None or not wanted:
        return None
    return _fresh(tensor.dtype, *tensor.shape)


def differentiable(asked: Asked) -> list[Tensor | None]:
    """The gradients as functions that autograd can differentiate again: those of the reference."""
    what = asked.what

    def twin(given: list[Any]) -> tuple[Tensor, ...]:
        return what.reference(given[0], asked.lengths, *what.split(given[1:]))

    return differentiate(twin, [asked.x, *asked.tensors], asked.grads, asked.wanted)
