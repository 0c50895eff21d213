"""A sequence of one equation, called by a plan again and again with the same parameters.

The first call of a number of rows fills in the kernel's argument; later ones write into it what changes from run to run, as long as the
parameters lie where they lay. What the kernels do not run goes the library's general road.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from recurra.cells.lstm import LSTMState
from recurra.kernels import ops, run_sequence
from recurra.kernels.dispatch import refusal, sequence_of
from recurra.kernels.layouts import flatten
from recurra.kernels.native import small
from recurra.kernels.prepared import undisturbed
from recurra.tf1.rnn.steps import FAMILIES

_MOST_KEPT = 16
"""Numbers of rows whose calls are kept."""


class SequenceCall:
    """(inputs [T, B, I], state tensors, parameter tensors, lengths) -> (outputs [T, B, H], final state tensors)."""

    def __init__(self, family: str, fields: Sequence[str], options: Any):
        self._family = FAMILIES[family]
        self._options = None if self._family.options is None else self._family.options(**dict(options))
        self._fields = fields
        names = flatten(self._family.params(**dict(zip(fields, range(len(fields)), strict=True))))
        self._order: list[Any] = list(names)  # of the equation's own tensors, the place among the given; None: absent
        self._ready: dict[Any, _Ready | None] = {}

    def __call__(
        self, inputs: Any, state: list[Any], params: list[Any], lengths: Any = None
    ) -> tuple[Any, tuple[Any, ...]]:
        if inputs.dim() == 3 and undisturbed():
            kernel = self._ready_for(inputs, state, params)
            if kernel is not None:
                return kernel(inputs, state, params, lengths)
        outputs, final = run_sequence(
            self._family.recurrence, self._packed(params), inputs, self._state(state), lengths, options=self._options
        )
        return outputs, tuple(final) if self._family.pair else (final,)

    def _packed(self, params: Sequence[Any]) -> Any:
        return self._family.params(**dict(zip(self._fields, params, strict=True)))

    def _state(self, state: Sequence[Any]) -> Any:
        return LSTMState(*state) if self._family.pair else state[0]

    def _ready_for(self, inputs: Any, state: list[Any], params: list[Any]) -> _Ready | None:
        key = (inputs.shape[1:], inputs.dtype, inputs.shape[0] == 0, *[t.shape for t in state], state[0].dtype)
        ready = self._ready.get(key)
        if ready is not None and ready.current(params):
            return ready
        if key in self._ready and ready is None:
            return None
        if len(self._ready) >= _MOST_KEPT:
            self._ready.clear()
        ready = self._ready[key] = self._prepare(inputs, state, params)
        return ready

    def _prepare(self, inputs: Any, state: list[Any], params: list[Any]) -> _Ready | None:
        """The call with its argument filled in; None where no kernel runs it, or the shapes do not fit."""
        packed = self._packed([p.detach() for p in params])
        first = self._state([t.detach() for t in state])
        rows = inputs.shape[1]
        if inputs.shape[0] == 0 or rows == 0 or any(t.shape[:-1] != (rows,) for t in state):
            return None
        if refusal(self._family.recurrence, packed, inputs, first, options=self._options) is not None:
            return None
        what, tensors = sequence_of(self._family.recurrence, packed, inputs.shape[2], first, options=self._options)
        order = self._order[: len(tensors)]
        if any((t is None) != (i is None) for t, i in zip(tensors, order, strict=True)):
            return None
        if any(p.dim() == 1 and not p.is_contiguous() for p in params):
            return None
        x = inputs.detach()
        out = small(x.shape[0], rows, state[-1].shape[-1])
        starts = [small(*t.shape) for t in reversed(state)]
        words = ops.make_call(what, None, ops.dense_rows(x), (*starts, *tensors), out)
        return _Ready(what, words, order, params)


class _Ready:
    """One filled-in argument."""

    def __init__(self, what: Any, words: Any, order: list[Any], params: list[Any]):
        self._what, self._words, self._order = what, words, order
        self._places = [(p.data_ptr(), p.stride()) for p in params]

    def current(self, params: list[Any]) -> bool:
        """Whether the parameters lie where they lay."""
        for param, (pointer, stride) in zip(params, self._places, strict=True):
            if param.data_ptr() != pointer or param.stride() != stride:
                return False
        return True

    def __call__(self, inputs: Any, state: list[Any], params: list[Any], lengths: Any) -> tuple[Any, tuple[Any, ...]]:
        if lengths is not None:
            lengths = lengths.to(torch.int64).contiguous()
        tensors = (*reversed(state), *[None if i is None else params[i] for i in self._order])
        outputs, *finals = ops.sequence(self._what, inputs, lengths, tensors, self._words)
        return outputs, tuple(reversed(finals))
