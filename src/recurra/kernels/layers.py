"""Layers over a whole sequence from zeros: the shortest road of `unroll`, without gradients one compiled call.

There, what lies between two layers never becomes a tensor, nor do the zeros that all of them start from.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra._typing import State
from recurra.kernels import argument, ops
from recurra.kernels.binding import extension
from recurra.kernels.native import library, small
from recurra.kernels.prepared import MOST_KEPT, Prepared, calls_of, frozen_of, undisturbed, wants_gradient
from recurra.kernels.trained import train_sequence

X, OUT = argument.X, argument.OUT
compiled_layers: Any = None if extension is None else extension.layers
"""The same without Python's frames, of cells that have been prepared; None where a call must be looked at."""


class Layers:
    """The arguments of some layers for B rows, one behind the other, filled in but for what changes."""

    def __init__(self, calls: list[Prepared]) -> None:
        self.calls = calls
        self.words = array("q")
        for call in calls:
            words = call.words[:]
            for where in argument.INITIAL:
                words[where] = 0  # zeros
            self.words += words
        size = len(calls[0].words)
        self.out = (len(calls) - 1) * size + OUT
        self.finals = [
            [(k * size + where, shape) for where, shape in zip(argument.FINAL, call.state_shapes, strict=False)]
            for k, call in enumerate(calls)
        ]
        """Of each layer, where its final h, or h and c, are told, and their shapes."""

    def run(self, x: Tensor, reverse: bool) -> tuple[Tensor, list[State]]:
        """`x [T, B, I]` -> the last layer's outputs, the final states of all."""
        x = ops.dense_rows(x)
        out = ops.empty_like_layout(x, self.calls[-1].state_shapes[0][1])
        words, end = self.words[:], self.out
        words[argument.T], words[argument.REVERSE], words[argument.THREADS] = x.shape[0], reverse, library.threads()
        words[X], words[end] = x.data_ptr(), out.data_ptr()
        words[X + 1], words[X + 2], _ = x.stride()
        words[end + 1], words[end + 2], _ = out.stride()
        states = []
        for call, places in zip(self.calls, self.finals, strict=True):
            leaves = []
            for where, shape in places:
                leaf = small(*shape)
                words[where] = leaf.data_ptr()
                leaves.append(leaf)
            states.append(call.pack(leaves))
        library.layers(words, len(self.calls))
        return out, states


def run_layers(
    owner: Any, cells: Sequence[Any], inputs: Any, *, time_major: bool, reverse: bool
) -> tuple[Tensor, list[State]] | None:
    """Outputs of a stack, in the layout of `inputs`, and the final states; None where another road must run it.

    `owner` is the stack, or the cell itself; it keeps the argument.
    """
    if torch.compiler.is_compiling():
        return None
    if compiled_layers is not None:
        done = compiled_layers(cells, inputs, time_major, reverse)
        if done is not None:
            return done
    if type(inputs) is not Tensor or inputs.dim() != 3 or not undisturbed():
        return None
    x = inputs if time_major else inputs.transpose(0, 1)
    T, B, I = x.shape
    if T == 0 or x.dtype is not torch.float32 or not x.is_cpu:
        return None
    calls = []
    for cell in cells:
        call = calls_of(cell).find(cell, B, frozen_of(cell)) if cell.input_size == I else None
        if call is None:
            return None
        I = call.state_shapes[0][1]
        calls.append(call)
    if wants_gradient((inputs, *[tensor for call in calls for tensor in call.tensors])):
        return _train(calls, x, time_major=time_major, reverse=reverse)
    kept = calls_of(owner).layers
    layers = kept.get(B)
    if layers is None or layers.calls != calls:
        if len(kept) > MOST_KEPT:
            kept.clear()
        layers = kept[B] = Layers(calls)
    out, states = layers.run(x, reverse)
    return out if time_major else out.transpose(0, 1), states


def _train(calls: list[Prepared], x: Tensor, *, time_major: bool, reverse: bool) -> tuple[Tensor, list[State]] | None:
    """The same with gradients, layer by layer."""
    states = []
    for call in calls:
        done = train_sequence(call, x, (None,) * len(call.state_shapes), reverse)
        if done is None:
            return None
        x, *leaves = done
        states.append(call.pack(leaves))
    return x if time_major else x.transpose(0, 1), states
