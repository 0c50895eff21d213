"""One step through the kernels: the shortest road from `cell(x, state)` and `stepper(x)` to compiled code.

A few rows are multiplied straight from the weights where they lie (csrc/core/direct.h), so there is nothing packed that
could grow stale. What can be prepared once, the kernel's argument, is kept with the cell; a call then only fills in
addresses. More rows than `MOST_ROWS` are torch's business: its product is fast there.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import State
from recurra.errors import InputError
from recurra.kernels import ops
from recurra.kernels.dispatch import refusal, sequence_of
from recurra.kernels.layouts import FAMILIES
from recurra.kernels.native import library

MOST_ROWS = 3


class _Prepared:
    """The kernel's argument for one step of B rows, all filled in but the addresses that change."""

    def __init__(self, cell: Any, B: int) -> None:
        params = cell.params()
        state = cell.initial_state(B)
        what, tensors = sequence_of(cell.recurrence, params, cell.input_size, state, options=cell.options)
        self.x_shape = torch.Size((B, cell.input_size))
        self.state_shapes = [leaf.shape for leaf in reversed(_nest.flatten(state))]
        self.sources = [(*_owner(cell, tensor), tensor.data_ptr()) for tensor in tensors if tensor is not None]
        x = torch.empty(1, *self.x_shape)
        leaves = tuple(reversed(_nest.flatten(state)))
        self.call = ops.make_call(what, None, x, leaves, tensors, torch.empty(1, *self.state_shapes[0]))
        for index, leaf in enumerate(leaves):
            self.call.final[index] = ops.rows_of(leaf)
        self.tensors = tensors
        self.address = ctypes.addressof(self.call)
        self.x, self.out = self.call.x, self.call.out
        self.initial = [self.call.initial[index] for index in range(len(leaves))]
        self.final = [self.call.final[index] for index in range(len(leaves))]

    def current(self) -> bool:
        """Whether the parameters still lie where they did."""
        for owner, name, pointer in self.sources:  # noqa: SIM110  (a generator costs a microsecond more)
            if owner[name].data_ptr() != pointer:
                return False
        return True

    def fits(self, leaves: Any) -> bool:
        """Whether the parts of a state are plain tensors of the right shape."""
        for leaf, shape in zip(leaves, self.state_shapes, strict=True):  # noqa: SIM110
            if not _plain_tensor(leaf, shape):
                return False
        return True


def _owner(cell: nn.Module, tensor: Tensor) -> tuple[dict[str, Any], str]:
    for module in cell.modules():
        for name, parameter in module._parameters.items():
            if parameter is tensor:
                return module._parameters, name
    raise LookupError("a parameter that no module owns")


class Steps:
    """Prepared calls of a cell, by input shape; several, when several threads step it at once. Copies are empty."""

    def __init__(self) -> None:
        self.ready: dict[torch.Size, list[_Prepared]] = {}

    def __reduce__(self) -> tuple[type[Steps], tuple[()]]:
        return Steps, ()

    def take(self, cell: Any, shape: torch.Size) -> _Prepared | None:
        """A prepared call for inputs of a shape; None where the kernels do not run this cell."""
        waiting = self.ready.get(shape)
        if waiting:
            try:
                prepared = waiting.pop()
            except IndexError:  # another thread was faster
                prepared = None
            if prepared is not None and prepared.current():
                return prepared
        B = shape[0] if len(shape) == 2 else 0
        if not _eligible(cell, B):
            return None
        self.ready.setdefault(shape, [])
        return _Prepared(cell, B)


def _eligible(cell: Any, B: int) -> bool:
    if not 0 < B <= MOST_ROWS or not isinstance(cell.input_size, int):
        return False
    recurrence = getattr(cell, "recurrence", None)
    if recurrence is None or recurrence.family not in FAMILIES:
        return False
    params = cell.params()
    owned = {id(parameter) for parameter in cell.parameters()}
    if any(tensor is not None and id(tensor) not in owned for tensor in params):
        return False
    x = torch.empty(1, B, cell.input_size)
    with torch.inference_mode(False):
        return refusal(cell.recurrence, params, x, cell.initial_state(B), options=cell.options) is None


def _plain_tensor(tensor: Any, shape: torch.Size) -> bool:
    return (
        type(tensor) is Tensor
        and tensor.shape == shape
        and tensor.dtype is torch.float32
        and tensor.is_cpu
        and tensor.is_contiguous()
    )


def run_step(cell: Any, x: Any, state: State) -> tuple[Tensor, State] | None:
    """One step of `cell` without gradients, `(output, new state)`; None where the kernels do not run it."""
    if torch.compiler.is_compiling() or library.core is None or type(x) is not Tensor:
        return None
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return None
    attributes = cell.__dict__
    steps = attributes.get("_steps")
    if steps is None:
        steps = attributes["_steps"] = Steps()
    shape = x.shape
    prepared = steps.take(cell, shape)
    leaves: Any = (state,) if type(state) is Tensor else state[::-1]
    if prepared is None or not _plain_tensor(x, prepared.x_shape) or not prepared.fits(leaves):
        return None
    h = leaves[0]
    out = torch.empty_like(h)
    prepared.x.base = x.data_ptr()
    prepared.initial[0].base = h.data_ptr()
    prepared.out.base = prepared.final[0].base = out.data_ptr()
    new: State = out
    if len(leaves) == 2:
        memory = torch.empty_like(leaves[1])
        prepared.initial[1].base = leaves[1].data_ptr()
        prepared.final[1].base = memory.data_ptr()
        new = type(state)(memory, out)
    library.run_prepared(prepared.address)
    steps.ready[shape].append(prepared)
    return out, new


class KernelStepper:
    """A running stream through the kernels: as `recurra.cells.stepper.Stepper`, with its buffers kept.

    The weights are read where they lie, so writes into them are seen by the next step.
    """

    def __init__(self, cell: Any, batch_size: int) -> None:
        self.cell = cell
        self.batch_size = batch_size
        self._prepared = _Prepared(cell, batch_size)
        self._like = cell.initial_state(batch_size)
        self._buffers = [leaf.clone() for leaf in reversed(_nest.flatten(self._like))]
        for buffer, before, after in zip(self._buffers, self._prepared.initial, self._prepared.final, strict=True):
            before.base = after.base = buffer.data_ptr()

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

    def __call__(self, x: Tensor) -> Tensor:
        """One step: `x [B, I]` -> output; the state moves on."""
        prepared = self._prepared
        if not _plain_tensor(x, prepared.x_shape):
            x = self._converted(x)
        out = torch.empty_like(self._buffers[0])
        prepared.x.base = x.data_ptr()
        prepared.out.base = out.data_ptr()
        library.run_prepared(prepared.address)
        return out

    def _converted(self, x: Tensor) -> Tensor:
        expected = self._prepared.x_shape
        if not isinstance(x, Tensor) or x.shape != expected or x.dtype is not torch.float32:
            raise InputError(f"`x` is {_nest.describe(x)}, expected a float32 tensor of shape {list(expected)}")
        return x.detach().cpu().contiguous()


def make_stepper(cell: Any, batch_size: int) -> KernelStepper | None:
    """A stepper over the kernels; None where they do not run this cell or so many rows."""
    return KernelStepper(cell, batch_size) if library.core is not None and _eligible(cell, batch_size) else None
