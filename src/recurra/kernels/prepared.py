"""Calls prepared once and kept with their cell: the shortest road from a cell to compiled code.

The kernel's argument is filled in once for a number of rows; a call then only writes addresses and sizes into it. The
weights are the parameters where they lie, looked up anew in every call, or those that `freeze` packed.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Masks, State
from recurra.errors import InputError
from recurra.kernels import argument, decisions, mixing, ops
from recurra.kernels.argument import Words
from recurra.kernels.binding import extension
from recurra.kernels.both import Pair, both
from recurra.kernels.dispatch import plain_only, recorded, refusal, refused_masks, sequence_of, with_masks
from recurra.kernels.layouts import FAMILIES, flatten
from recurra.kernels.native import Packed, library
from recurra.kernels.packed import is_packed, packed_rows
from recurra.kernels.scan import After
from recurra.kernels.trained import train_sequence

if TYPE_CHECKING:
    from recurra.kernels._binding import Bound

X, OUT, THREADS = argument.X, argument.OUT, argument.THREADS
H_BEFORE, C_BEFORE = argument.INITIAL
H_AFTER, C_AFTER = argument.FINAL
FLOAT, empty_like = torch.float32, torch.empty_like
compiled_sequence: Any = None if extension is None else extension.sequence
"""`run_unroll` of full rows without gradients, of prepared cells; it gives None where a call must be looked at."""


class Prepared:
    """The kernel's argument for B rows, all filled in but what changes from call to call."""

    def __init__(self, cell: Any, B: int, frozen: Frozen | None) -> None:
        params = cell.params()
        state = cell.initial_state(B)
        found = [
            sequence_of(cell.recurrence, params, cell.input_size, state, options=cell.options, reverse=reverse)
            for reverse in (False, True)
        ]
        self.whats = [what for what, _ in found]
        """The call, forwards and in reverse, for autograd."""
        self.tensors = found[0][1]
        self.options, self.halves = cell.options, cell.halves
        self.frozen = frozen
        self.x_shape = torch.Size((B, cell.input_size))
        self.state_shapes = [leaf.shape for leaf in reversed(_nest.flatten(state))]
        self.state_type = None if type(state) is Tensor else type(state)
        self.sources = [
            (*_owner(cell, tensor), tensor, tensor.data_ptr(), tensor.stride())
            for tensor in self.tensors
            if tensor is not None
        ]
        self._checks = [
            (owner.get, name, tensor, tensor.data_ptr, pointer, tensor.stride, strides)
            for owner, name, tensor, pointer, strides in self.sources
        ]
        leaves = tuple(leaf.contiguous() for leaf in reversed(_nest.flatten(state)))  # as those that come are to lie
        x, out = (torch.empty(1, *shape, dtype=FLOAT, device="cpu") for shape in (self.x_shape, self.state_shapes[0]))
        self.words = ops.make_call(self.whats[0]._replace(halves=cell.halves), None, x, (*leaves, *self.tensors), out)
        for where, leaf in zip(argument.FINAL, leaves, strict=False):
            ops.point(self.words, where, leaf)
        self.words[OUT] = 0
        if frozen is not None:
            self.words[argument.PACKED] = frozen.packed.pointer
        self.bound = self._bound()

    def _bound(self) -> Bound | None:
        """The same for the compiled calls."""
        if extension is None:
            return None
        sources = [(owner, name, tensor) for owner, name, tensor, _, _ in self.sources]
        what = self.whats[0]
        places = argument.form_of(what.layout, what.options, self.tensors).gradients
        gradients = array("q", [value for place in places for value in place])
        return extension.Bound(
            self.words, gradients, sources, self.state_type, self.options, bool(self.halves), self.frozen
        )

    def current(self, cell: Any, frozen: Frozen | None) -> bool:
        """Whether the cell is still what was prepared: its parameters where they lay, options, products, packing."""
        if self.frozen is not frozen:
            return False
        if self.bound is not None:
            return self.bound.current(cell)
        if self.options is not cell.options or self.halves != cell.halves:
            return False
        for owned, name, tensor, address, pointer, stride, strides in self._checks:
            # another one, or none, where a parametrization or pruning took it over; the same memory read another way
            # where somebody set `.data` to a transposition
            if owned(name) is not tensor or address() != pointer or stride() != strides:
                return False
        return True

    def fits(self, leaves: Any) -> bool:
        """Whether the parts of a state are plain tensors of the right shape."""
        shapes = self.state_shapes
        if len(shapes) == 1:
            return plain_tensor(leaves[0], shapes[0])
        return plain_tensor(leaves[0], shapes[0]) and plain_tensor(leaves[1], shapes[1])

    def step(self, x: Any, state: State) -> tuple[Tensor, State] | None:
        """One step without gradients, `(output, new state)`; None where x or the state are not plain."""
        if not plain_tensor(x, self.x_shape):
            return None
        shapes, words = self.state_shapes, self.words[:]
        if self.state_type is None:
            h = state
        elif type(state) is self.state_type:
            c, h = state
            if not plain_tensor(c, shapes[1]):
                return None
        else:
            return None
        if not plain_tensor(h, shapes[0]):
            return None
        new_h = empty_like(h)
        words[X], words[THREADS], words[H_BEFORE] = x.data_ptr(), library.threads(), h.data_ptr()
        words[H_AFTER] = words[OUT] = new_h.data_ptr()
        if self.state_type is None:
            library.step(words)
            return new_h, new_h
        new_c = empty_like(c)
        words[C_BEFORE], words[C_AFTER] = c.data_ptr(), new_c.data_ptr()
        library.step(words)
        return new_h, self.state_type(new_c, new_h)

    def run_sequence(
        self, what: ops.Sequence, inputs: Tensor, state: State, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        """A sequence without gradients: outputs and final state."""
        x = ops.dense_rows(inputs)
        out = ops.empty_like_layout(x, self.state_shapes[0][1])
        words = self.words[:]
        words[argument.REVERSE] = what.reverse
        ops.point_masks(words, what)
        ops.point_rows(words, lengths, x, out)
        return out, self.run(words, x, state)

    def pack(self, leaves: Any) -> State:
        """A state's parts, h first, in the cell's structure."""
        return leaves[0] if self.state_type is None else self.state_type(*reversed(leaves))

    def run(self, words: Words[int], x: Tensor, state: State) -> State:
        """Run a call all whose fields are written but the addresses of x and of the states; returns the new state."""
        words[X], words[THREADS] = x.data_ptr(), library.threads()
        h = state if type(state) is Tensor else state[1]
        new_h = torch.empty_like(h)
        words[H_BEFORE], words[H_AFTER] = h.data_ptr(), new_h.data_ptr()
        if h is state:
            library.forward(words, False)
            return new_h
        new_c = torch.empty_like(state[0])
        words[C_BEFORE], words[C_AFTER] = state[0].data_ptr(), new_c.data_ptr()
        library.forward(words, False)
        return type(state)(new_c, new_h)


def _owner(cell: nn.Module, tensor: Tensor) -> tuple[dict[str, Any], str]:
    for module in cell.modules():
        for name, parameter in module._parameters.items():
            if parameter is tensor:
                return module._parameters, name
    raise LookupError("a parameter that no module owns")


class Calls:
    """Prepared calls of a cell, by rows and kind; never written to, so that threads share them. Copies are empty."""

    def __init__(self) -> None:
        self.ready: dict[tuple[int, bool], Prepared] = {}
        self.bound: dict[int, Bound] = {}
        """What compiled calls look up, by rows."""
        self.packed: dict[int, Bound] = {}
        """The same from packed weights."""
        self.layers: dict[int, Any] = {}
        """Whole stacks' arguments by rows, see `recurra.kernels.layers`."""

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()

    def find(self, cell: Any, B: int, frozen: Frozen | None) -> Prepared | None:
        """A prepared call for B rows, from packed weights or not; None where the kernels do not run this cell."""
        key = B, frozen is None
        prepared = self.ready.get(key)
        if prepared is not None and prepared.current(cell, frozen):
            return prepared
        if not eligible(cell, B):
            return None
        if len(self.ready) > MOST_KEPT:
            for kept in (self.ready, self.bound, self.packed):
                kept.clear()
        prepared = self.ready[key] = Prepared(cell, B, frozen)
        if prepared.bound is not None:
            (self.bound if frozen is None else self.packed)[B] = prepared.bound
        return prepared


MOST_KEPT = 16
"""Numbers of rows whose calls a cell keeps."""


def calls_of(cell: Any) -> Calls:
    """The cell's prepared calls."""
    calls = cell.__dict__.get("_calls")
    if calls is None:
        calls = cell.__dict__["_calls"] = Calls()
    return calls


def undisturbed() -> bool:
    """Whether calls may take this road here: no transform, nobody who records operators or listens for decisions."""
    if extension is not None:
        return extension.undisturbed()
    return not (
        library.core is None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
        or decisions.listening()
        or plain_only()
        or recorded()
    )


def wants_gradient(tensors: Any) -> bool:
    """Whether autograd records what is made of these tensors."""
    return torch.is_grad_enabled() and any([tensor is not None and tensor.requires_grad for tensor in tensors])


def eligible(cell: Any, B: int) -> bool:
    """Whether the kernels run this cell's own equation on B rows of its own parameters."""
    recurrence = getattr(cell, "recurrence", None)
    if B < 1 or not isinstance(cell.input_size, int) or recurrence is None or recurrence.family not in FAMILIES:
        return False
    params = cell.params()
    owned = {id(parameter) for parameter in cell.parameters()}
    for tensor in flatten(params):
        if tensor is not None and (id(tensor) not in owned or (tensor.dim() == 1 and not tensor.is_contiguous())):
            return False
    x = torch.empty(1, B, cell.input_size, dtype=FLOAT, device="cpu")
    with torch.inference_mode(False):
        return refusal(cell.recurrence, params, x, cell.initial_state(B), options=cell.options) is None


def plain_tensor(tensor: Any, shape: torch.Size) -> bool:
    """Whether this is a dense float32 tensor of a shape, in memory."""
    return (
        type(tensor) is Tensor
        and tensor.shape == shape
        and tensor.dtype is FLOAT
        and tensor.is_cpu
        and tensor.is_contiguous()
        and not tensor.is_neg()
    )


class _Found(NamedTuple):
    """A sequence call for which there is a prepared one."""

    prepared: Prepared
    what: ops.Sequence
    lengths: Tensor | None
    tensors: tuple[Tensor | None, ...]
    """States, h first, and parameters."""
    differentiable: bool


def _find(
    cell: Any,
    inputs: Any,
    state: State,
    lengths: Tensor | None,
    reverse: bool,
    masks: Masks = None,
    after: After = (),
) -> _Found | None:
    if torch.compiler.is_compiling() or type(inputs) is not Tensor or not undisturbed():
        return None
    leaves: Any = (state,) if type(state) is Tensor else state[::-1]
    if is_packed(inputs, lengths):
        B, I = leaves[0].shape[0], inputs.shape[1]
        if not packed_rows(inputs, lengths, B):
            return None
    elif inputs.dim() == 3:
        B, I = inputs.shape[1:]
        if lengths is not None and lengths.shape != (B,):
            return None
    else:
        return None
    if inputs.shape[0] == 0 or inputs.dtype is not torch.float32 or not inputs.is_cpu:
        return None
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
    frozen = frozen_of(cell)
    prepared = calls_of(cell).find(cell, B, frozen)
    if prepared is None or cell.input_size != I or not prepared.fits(leaves):
        return None
    what = prepared.whats[reverse]
    if masks is not None or after:
        if refused_masks(cell.recurrence.family, masks, inputs, state) or mixing.refused(after, inputs, state):
            return None
        what = with_masks(what, state, masks, after)
    return _Found(prepared, what, lengths, (*leaves, *prepared.tensors), frozen is None and not cell.halves)


def run_unroll(
    cell: Any,
    inputs: Any,
    state: State,
    lengths: Tensor | None,
    reverse: bool,
    masks: Masks = None,
    after: After = (),
) -> tuple[Tensor, State] | None:
    """A sequence `[T, B, I]`, `(outputs, final state)`; None where another road must run it.

    Of packed rows `[N, I]`, `lengths` are the batch sizes `[T]`. Arguments are checked, as for `BaseCell.unroll`.
    """
    if torch.compiler.is_compiling():
        return None
    bare = lengths is None and masks is None and not after
    if bare and compiled_sequence is not None:
        done = compiled_sequence(cell, inputs, state, reverse)
        if done is not None:
            return done
    found = _find(cell, inputs, state, lengths, reverse, masks, after)
    if found is None:
        return None
    if not wants_gradient((inputs, *found.tensors)):
        return found.prepared.run_sequence(found.what, inputs, state, found.lengths)
    if not found.differentiable:
        return None
    if bare:
        done = train_sequence(found.prepared, inputs, found.tensors[: found.what.states], reverse)
        if done is not None:
            return done[0], found.prepared.pack(done[1:])
    out, *finals = ops.sequence(found.what, inputs, found.lengths, found.tensors, found.prepared.words)
    return out, found.prepared.pack(finals)


def run_both(
    cells: tuple[Any, Any], inputs: Any, states: tuple[State, State], lengths: Tensor | None, *, joined: bool
) -> tuple[tuple[Tensor, ...], tuple[State, State]] | None:
    """One cell forwards and one in reverse, as two `run_unroll`: outputs, of both or `joined`, and the final states."""
    forward = _find(cells[0], inputs, states[0], lengths, False)
    backward = None if forward is None else _find(cells[1], inputs, states[1], lengths, True)
    if forward is None or backward is None:
        return None
    tensors = (*forward.tensors, *backward.tensors)
    if wants_gradient((inputs, *tensors)) and not (forward.differentiable and backward.differentiable):
        return None
    templates = forward.prepared.words, backward.prepared.words
    pair = Pair((forward.what, backward.what), templates, len(forward.tensors), joined)
    results = both(pair, inputs, forward.lengths, tensors)
    first = 1 if joined else 2
    second = first + forward.what.states
    return results[:first], (forward.prepared.pack(results[first:second]), backward.prepared.pack(results[second:]))


class Frozen:
    """A cell's weights, packed by `freeze`; good for as long as nobody writes to the parameters. Copies are empty."""

    def __init__(self, packed: Packed | None = None, sources: Any = (), memory: Any = ()) -> None:
        self.packed: Any = packed
        self._sources, self._memory = sources, memory

    def __reduce__(self) -> tuple[type[Frozen], tuple[()]]:
        return Frozen, ()

    def current(self) -> bool:
        """Whether the parameters are those that were packed, unchanged (as autograd counts their changes)."""
        if self.packed is None:
            return False
        for owner, name, tensor, pointer, strides, version in self._sources:
            if owner.get(name) is not tensor or tensor.data_ptr() != pointer or tensor._version != version:
                return False
            if tensor.stride() != strides:
                return False
            if tensor.requires_grad:  # somebody means to train it
                return False
        return True


def wants_halves(dtype: torch.dtype | None) -> bool:
    """Whether `freeze(dtype=…)` asks for bfloat16 products.

    Raises:
        InputError: for another dtype, or where this machine or build has no such products.
    """
    if dtype not in (None, torch.float32, torch.bfloat16):
        raise InputError(f"`dtype` must be torch.bfloat16 or torch.float32, got {dtype}")
    if dtype is torch.bfloat16 and not library.halves():
        raise InputError("`dtype` is torch.bfloat16, but this machine or build has no bfloat16 products (AVX512_BF16)")
    return dtype is torch.bfloat16


def packed_for_steps(cell: Any) -> Frozen | None:
    """The packed weights that a step reads: only those of bfloat16, as those of float32 are read where they lie."""
    return frozen_of(cell) if cell.halves else None


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
    if any(tensor.is_inference() for _, _, tensor, _, _ in prepared.sources):  # nobody counts what is written to these
        return
    packed = library.freeze(prepared.words)
    sources = [(*source, source[2]._version) for source in prepared.sources]
    # their memory stays: another value of `.data` must not come to lie at the same address
    cell.__dict__["_frozen"] = Frozen(packed, sources, [source[2].detach() for source in prepared.sources])


def thaw(cell: Any) -> None:
    """Forget the packed weights."""
    cell.__dict__.pop("_frozen", None)
