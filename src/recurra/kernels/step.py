"""One step through the kernels: the shortest road from `cell(x, state)` and `stepper(x)` to compiled code.

A few rows are multiplied straight from the weights where they lie (csrc/core/direct.h), as fast as from packed ones, so
there is nothing that could grow stale. More rows than `MOST_ROWS` are torch's business: its product is fast there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import State
from recurra.errors import InputError
from recurra.kernels import argument
from recurra.kernels.binding import extension
from recurra.kernels.decisions import PLAIN, note
from recurra.kernels.layouts import FAMILIES
from recurra.kernels.native import library
from recurra.kernels.prepared import (
    Prepared,
    calls_of,
    eligible,
    empty_like,
    packed_for_steps,
    plain_tensor,
    undisturbed,
    wants_gradient,
)

X, OUT, THREADS = argument.X, argument.OUT, argument.THREADS
MOST_ROWS = 3

compiled_step = None if extension is None else extension.step
"""`(cell, x, state)` -> `(output, new state)`: a step of a cell without gradients and without Python's frames, by what
`run_step` has prepared; None where its call must be looked at. None where there are no compiled calls."""


def know_leaves(forward: Any, draws: Any) -> None:
    """Tell `compiled_step` the methods that a cell has which computes its class' own step and draws no masks."""
    if extension is not None:
        extension.attach_leaf(forward, draws)


def run_step(cell: Any, x: Any, state: State) -> tuple[Tensor, State] | None:
    """One step of `cell` without gradients, `(output, new state)`; None where the kernels do not run it."""
    if type(x) is not Tensor or torch.compiler.is_compiling() or x.dim() != 2:
        return None
    if not undisturbed():
        if library.missing is not None and cell.recurrence.family in FAMILIES:
            note(cell.recurrence.family, PLAIN, library.missing, warn=True)
        return None
    B = x.shape[0]
    if not 0 < B <= MOST_ROWS:
        return None
    prepared = calls_of(cell).find(cell, B, packed_for_steps(cell))
    if prepared is None:
        return None
    if torch.is_grad_enabled() and wants_gradient((x, *_nest.flatten(state), *prepared.tensors)):
        return None
    return prepared.step(x, state)


class _Call:
    """What `Stream` of the compiled calls is, where there are none."""

    step: Any

    def __call__(self, x: Tensor) -> Tensor:
        return self.step(x)


class KernelStepper(_Call if extension is None else extension.Stream):  # type: ignore[misc]
    """A running stream through the kernels: as `recurra.cells.stepper.Stepper`, with its buffers kept.

    `output = stepper(x)`: one step, `x [B, I]` -> output; the state moves on. The weights are read where they lie, so
    writes into them are seen by the next step.
    """

    def __init__(self, cell: Any, batch_size: int) -> None:
        self.cell = cell
        self.batch_size = batch_size
        self._like = cell.initial_state(batch_size)
        with torch.inference_mode(False):  # they are written to in any mode
            dense = torch.contiguous_format
            self._buffers = [leaf.detach().clone(memory_format=dense) for leaf in reversed(_nest.flatten(self._like))]
        self._prepare()

    def _prepare(self) -> None:
        if not eligible(self.cell, self.batch_size):
            self._prepared: Prepared | None = None
            return
        self._prepared = Prepared(self.cell, self.batch_size, packed_for_steps(self.cell))
        words = self._prepared.words
        for buffer, before, after in zip(self._buffers, argument.INITIAL, argument.FINAL, strict=False):
            words[before] = words[after] = buffer.data_ptr()
        if self._prepared.bound is not None and self._prepared.frozen is None:
            h, *c = self._buffers
            self.bind(self._prepared.bound, self.cell, h, c[0] if c else None)

    def __getstate__(self) -> dict[str, Any]:
        """Without addresses: a copy has buffers of its own."""
        return {"cell": self.cell, "batch_size": self.batch_size, "state": self.state}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__init__(kept["cell"], kept["batch_size"])  # type: ignore[misc]
        self.state = kept["state"]

    @property
    def state(self) -> State:
        """The state after the last step, as a copy; assign to carry a stream on elsewhere."""
        return _nest.pack_as(self._like, [buffer.clone() for buffer in reversed(self._buffers)])

    @state.setter
    def state(self, state: State) -> None:
        _nest.check_structure("state", state, self._like)
        for buffer, leaf in zip(reversed(self._buffers), _nest.flatten(state), strict=True):
            if leaf.shape != buffer.shape:
                raise InputError(f"`state` has a part of shape {list(leaf.shape)}, expected {list(buffer.shape)}")
            buffer.copy_(leaf.detach())

    def reset(self) -> None:
        """Back to the cell's initial state."""
        self.state = self.cell.initial_state(self.batch_size)

    def step(self, x: Tensor) -> Tensor:
        """One step through ctypes, or plain torch, whatever has become of the cell and of x."""
        prepared = self._prepared
        if prepared is None or not prepared.current(self.cell, packed_for_steps(self.cell)):  # a parameter has moved
            self._prepare()
            prepared = self._prepared
        if prepared is None:  # to where the kernels do not follow
            return self._plain_step(x)
        if not plain_tensor(x, prepared.x_shape):
            x = self._converted(x, prepared.x_shape)
        out = empty_like(self._buffers[0])
        words = prepared.words
        words[X], words[OUT], words[THREADS] = x.data_ptr(), out.data_ptr(), library.threads()
        library.step(words)
        return out

    def _plain_step(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            output, self.state = self.cell(x, self.state)
        return output

    def _converted(self, x: Tensor, expected: torch.Size) -> Tensor:
        if not isinstance(x, Tensor) or x.shape != expected or x.dtype is not torch.float32:
            raise InputError(f"`x` is {_nest.describe(x)}, expected a float32 tensor of shape {list(expected)}")
        return x.detach().cpu().resolve_neg().contiguous()


def make_stepper(cell: Any, batch_size: int) -> KernelStepper | None:
    """A stepper over the kernels; None where they do not run this cell or so many rows."""
    few = 0 < batch_size <= MOST_ROWS
    return KernelStepper(cell, batch_size) if library.core is not None and few and eligible(cell, batch_size) else None
