"""Calls prepared once and kept with their cell: the shortest road from a cell to compiled code, for inference.

The kernel's argument is filled in once for a number of rows; a call then only writes addresses and sizes into it. The
weights are the parameters where they lie, looked up anew in every call, or those that `freeze` packed.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import State
from recurra.kernels import decisions, ops
from recurra.kernels.dispatch import plain_only, refusal, sequence_of
from recurra.kernels.layouts import FAMILIES, flatten
from recurra.kernels.native import Packed, library


class Prepared:
    """The kernel's argument for B rows, all filled in but what changes from call to call."""

    def __init__(self, cell: Any, B: int, frozen: Frozen | None) -> None:
        params = cell.params()
        state = cell.initial_state(B)
        what, tensors = sequence_of(cell.recurrence, params, cell.input_size, state, options=cell.options)
        what = what._replace(halves=cell.halves)
        self.options, self.halves = cell.options, cell.halves
        self.frozen = frozen
        self.x_shape = torch.Size((B, cell.input_size))
        self.state_shapes = [leaf.shape for leaf in reversed(_nest.flatten(state))]
        self.sources = [(*_owner(cell, tensor), tensor.data_ptr()) for tensor in tensors if tensor is not None]
        x = torch.empty(1, *self.x_shape)
        leaves = tuple(reversed(_nest.flatten(state)))
        self.call = ops.make_call(what, None, x, (*leaves, *tensors), torch.empty(1, *self.state_shapes[0]))
        for index, leaf in enumerate(leaves):
            self.call.final[index] = ops.rows_of(leaf)
        if frozen is not None:
            self.call.packed = frozen.packed.pointer
        self.tensors = tensors
        self.address = ctypes.addressof(self.call)
        self.x, self.out = self.call.x, self.call.out
        self.initial = [self.call.initial[index] for index in range(len(leaves))]
        self.final = [self.call.final[index] for index in range(len(leaves))]

    def current(self, cell: Any, frozen: Frozen | None) -> bool:
        """Whether the cell is still what was prepared: parameters where they lay, options, products, packed weights."""
        if self.options is not cell.options or self.halves != cell.halves or self.frozen is not frozen:
            return False
        for owner, name, pointer in self.sources:
            tensor = owner.get(name)  # gone, where a parametrization or pruning took it over
            if tensor is None or tensor.data_ptr() != pointer:
                return False
        return True

    def fits(self, leaves: Any) -> bool:
        """Whether the parts of a state are plain tensors of the right shape."""
        for leaf, shape in zip(leaves, self.state_shapes, strict=True):  # noqa: SIM110
            if not plain_tensor(leaf, shape):
                return False
        return True

    def run(self, x: Tensor, out: Tensor, state: State) -> State:
        """Run the call whose x and out are described, but for their addresses; returns the new state."""
        self.x.base, self.out.base = x.data_ptr(), out.data_ptr()
        self.call.threads = library.threads()
        h = state if type(state) is Tensor else state[1]
        new_h = torch.empty_like(h)
        self.initial[0].base, self.final[0].base = h.data_ptr(), new_h.data_ptr()
        if h is state:
            library.run_prepared(self.address)
            return new_h
        new_c = torch.empty_like(state[0])
        self.initial[1].base, self.final[1].base = state[0].data_ptr(), new_c.data_ptr()
        library.run_prepared(self.address)
        return type(state)(new_c, new_h)


def _owner(cell: nn.Module, tensor: Tensor) -> tuple[dict[str, Any], str]:
    for module in cell.modules():
        for name, parameter in module._parameters.items():
            if parameter is tensor:
                return module._parameters, name
    raise LookupError("a parameter that no module owns")


class Calls:
    """Prepared calls of a cell, by rows; several, when several threads run it at once. Copies are empty."""

    def __init__(self) -> None:
        self.ready: dict[int, list[Prepared]] = {}

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()

    def take(self, cell: Any, B: int, frozen: Frozen | None) -> Prepared | None:
        """A prepared call for B rows, from packed weights or not; None where the kernels do not run this cell."""
        waiting = self.ready.get(B)
        if waiting:
            try:
                prepared = waiting.pop()
            except IndexError:  # another thread was faster
                prepared = None
            if prepared is not None and prepared.current(cell, frozen):
                return prepared
        if not eligible(cell, B):
            return None
        if len(self.ready) > MOST_KEPT:
            self.ready.clear()
        self.ready.setdefault(B, [])
        return Prepared(cell, B, frozen)

    def give(self, B: int, prepared: Prepared) -> None:
        """Take back a call after its run."""
        self.ready.setdefault(B, []).append(prepared)


MOST_KEPT = 16
"""Numbers of rows whose calls a cell keeps."""


def calls_of(cell: Any, kind: str) -> Calls:
    """The cell's prepared calls of a kind, "_steps" or "_sequences" (a step is prepared but for addresses)."""
    calls = cell.__dict__.get(kind)
    if calls is None:
        calls = cell.__dict__[kind] = Calls()
    return calls


def possible(cell: Any, tensors: Any) -> bool:
    """Whether a call may take this road: no gradient or transform, nobody who listens for decisions."""
    if torch.is_grad_enabled() and (frozen_of(cell) is None or any(tensor.requires_grad for tensor in tensors)):
        return False
    return not (
        library.core is None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
        or decisions.listening()
        or plain_only()
    )


def eligible(cell: Any, B: int) -> bool:
    """Whether the kernels run this cell's own equation on B rows of its own parameters."""
    recurrence = getattr(cell, "recurrence", None)
    if B < 1 or not isinstance(cell.input_size, int) or recurrence is None or recurrence.family not in FAMILIES:
        return False
    params = cell.params()
    owned = {id(parameter) for parameter in cell.parameters()}
    if any(tensor is not None and id(tensor) not in owned for tensor in flatten(params)):
        return False
    x = torch.empty(1, B, cell.input_size)
    with torch.inference_mode(False):
        return refusal(cell.recurrence, params, x, cell.initial_state(B), options=cell.options) is None


def plain_tensor(tensor: Any, shape: torch.Size) -> bool:
    """Whether this is a dense float32 tensor of a shape, in memory."""
    return (
        type(tensor) is Tensor
        and tensor.shape == shape
        and tensor.dtype is torch.float32
        and tensor.is_cpu
        and tensor.is_contiguous()
    )


def run_unroll(
    cell: Any, inputs: Any, state: State, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, State] | None:
    """A sequence `[T, B, I]` without gradients, `(outputs, final state)`; None where another road must run it.

    Arguments are checked, as for `BaseCell.unroll`.
    """
    if torch.compiler.is_compiling() or type(inputs) is not Tensor or inputs.dim() != 3:
        return None
    leaves: Any = (state,) if type(state) is Tensor else state[::-1]
    if not possible(cell, (inputs, *leaves)):
        return None
    T, B, I = inputs.shape
    if T == 0 or inputs.dtype is not torch.float32 or not inputs.is_cpu:
        return None
    if lengths is not None and lengths.shape != (B,):
        return None
    calls = calls_of(cell, "_sequences")
    prepared = calls.take(cell, B, frozen_of(cell))
    if prepared is None or cell.input_size != I or not prepared.fits(leaves):
        return None
    x = ops.dense_rows(inputs)
    out = ops.empty_like_layout(x, prepared.state_shapes[0][1])
    call, x_rows, out_rows = prepared.call, prepared.x, prepared.out
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
    call.T, call.reverse = T, reverse
    call.lengths = None if lengths is None else lengths.data_ptr()
    x_rows.t_stride, x_rows.b_stride, _ = x.stride()
    out_rows.t_stride, out_rows.b_stride, _ = out.stride()
    final = prepared.run(x, out, state)
    calls.give(B, prepared)
    return out, final


class Frozen:
    """A cell's weights, packed by `freeze`; good for as long as nobody writes to the parameters. Copies are empty."""

    def __init__(self, packed: Packed | None = None, sources: Any = ()) -> None:
        self.packed: Any = packed
        self._sources = sources

    def __reduce__(self) -> tuple[type[Frozen], tuple[()]]:
        return Frozen, ()

    def current(self) -> bool:
        """Whether the parameters are those that were packed, unchanged (as autograd counts their changes)."""
        if self.packed is None:
            return False
        for owner, name, tensor, pointer, version in self._sources:
            if owner.get(name) is not tensor or tensor.data_ptr() != pointer or tensor._version != version:
                return False
            if tensor.requires_grad:  # somebody means to train it
                return False
        return True


def frozen_of(cell: Any) -> Frozen | None:
    """The cell's packed weights; None where there are none, or where a parameter was written to: they are gone then."""
    frozen = cell.__dict__.get("_frozen")
    if frozen is None or frozen.current():
        return frozen
    thaw(cell)
    return None


def freeze(cell: Any) -> None:
    """Pack the cell's weights, where the kernels run it."""
    thaw(cell)
    if library.core is None or not eligible(cell, 1):
        return
    prepared = Prepared(cell, 1, None)
    tensors = [(owner, name, owner[name], pointer) for owner, name, pointer in prepared.sources]
    if any(tensor.is_inference() for _, _, tensor, _ in tensors):  # nobody counts what is written to these
        return
    packed = library.freeze(prepared.call)
    cell.__dict__["_frozen"] = Frozen(packed, [(*source, source[2]._version) for source in tensors])


def thaw(cell: Any) -> None:
    """Forget the packed weights."""
    cell.__dict__.pop("_frozen", None)
