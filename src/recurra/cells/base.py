"""What every cell is made of: one step, a sequence, a state.

`BaseCell` turns a class with a `forward` (one step, in plain torch) and two sizes into a full citizen: it can be
stacked, wrapped, run both ways, over ragged rows, with carried state. `LeafCell` is the base of the library's own
cells: a thin module over a `Recurrence` (pure functions of parameters, input and state).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn.modules import module as module_hooks

from recurra import _nest
from recurra._typing import SCALAR, Masks, State, StateSize
from recurra.cells.autocast import in_float32, keeps_float32
from recurra.cells.checks import check_dtypes, check_step
from recurra.cells.init import Initializer, glorot_uniform
from recurra.cells.stepper import Stepper
from recurra.errors import InputError, StructureError
from recurra.kernels import (
    Recurrence,
    compiled_step,
    drawn_now,
    freeze,
    know_leaves,
    make_stepper,
    refusal,
    run_compiled,
    run_layers,
    run_sequence,
    run_step,
    run_unroll,
    runs,
    scan,
    thaw,
    wants_halves,
)
from recurra.kernels.scan import After, masks_at


class BaseCell(nn.Module):
    """A recurrent cell: `output, state = cell(x, state)`.

    A subclass defines `forward(x, state)` for one step, and `state_size` and `output_size` (attributes or properties).
    Leaves of a state are `[B, n]` for a size `n`, `[B, *s]` for `torch.Size(s)`, rank 0 for `SCALAR`.

    A cell whose equation has a part that needs no state may define `project(inputs)` and `recur(projected, state)`
    instead of `forward`; loops then compute that part for all time steps at once.
    """

    input_size: Any = None
    """Features of the input, where the cell fixes them; None lets any input through."""
    state_size: StateSize
    output_size: Any
    halves: bool = False
    """Whether products may round their operands to bfloat16, see `freeze`."""
    output_is_state: bool = False
    """Whether the output is the last leaf of the new state (as in RNN, GRU, LSTM)."""
    constructed_with: tuple[tuple[Any, ...], dict[str, Any]]
    """The constructor's arguments, so that an export can write down how to make the cell again."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        cell = super().__new__(cls)
        cell.__dict__["constructed_with"] = args, kwargs
        return cell

    def initial_state(
        self, batch_size: int, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> State:
        """Zeros in the structure of `state_size`; dtype and device default to those of the parameters."""
        if dtype is None or device is None:
            reference = next(iter(self._parameters.values()), None)  # the search below takes long
            reference = next(self.parameters(), None) if reference is None else reference
            if reference is not None:
                dtype, device = dtype or reference.dtype, device or reference.device

        def zeros(size: Any) -> Tensor:
            if type(size) is int:
                return torch.zeros(batch_size, size, dtype=dtype, device=device)
            shape = () if size is SCALAR else (batch_size, *size)
            return torch.zeros(shape, dtype=dtype, device=device)

        size = self.state_size
        return zeros(size) if type(size) is int else _nest.map_leaves(zeros, size)

    def project(self, inputs: Any) -> Any:
        """The part of the equation that needs no state, for one step or a whole sequence; by default nothing."""
        return inputs

    def recur(self, projected: Any, state: State, masks: Masks = None) -> tuple[Any, State]:
        """One step on a projected input; by default `forward`."""
        return self.forward(projected, state) if masks is None else self.forward(projected, state, masks)

    def _step(self, x: Any, state: State, masks: Masks = None) -> tuple[Any, State]:
        """One step: `x [B, I]` and a state -> (output, new state)."""
        if type(self).recur is BaseCell.recur:
            raise NotImplementedError(f"{type(self).__name__} must define `forward(x, state)`")
        self._check_step(x, state, masks)
        if masks is None and type(self).draw_masks is not BaseCell.draw_masks:
            masks = masks_at(self._draw_for(_nest.map_leaves(lambda leaf: leaf.unsqueeze(0), x)), 0)
        return self.recur(self.project(x), state, masks)

    def _check_step(self, x: Any, state: State, masks: Masks) -> None:
        check_step(self, x, state)

    # As in nn.Module: an attribute, so that a subclass may type its own arguments.
    forward: Callable[..., tuple[Any, Any]] = _step

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        """Random masks for a call of `steps` steps, in `like`'s dtype and device; None where nothing is random.

        Leaves have time first (length `steps`, or 1 for one mask for the whole sequence). Give them to `unroll`, or
        step by step through `recurra.masks_at(masks, t)`: both then compute the same numbers.
        """
        return None

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        reverse: bool = False,
        masks: Masks = None,
        after: After = (),
        resets: Tensor | None = None,
        reset_state: State = None,
        return_states: bool = False,
    ) -> Any:
        """A whole time-major sequence, `[T, B, I]`; arguments and result as in `recurra.kernels.scan`.

        This is the hook that `recurra.unroll` and the other loops call after checking their arguments. Random masks
        are drawn here unless they are given. A cell that `recurra.compile_cell` has seen runs its compiled step.
        """
        masks = masks if masks is not None else self._draw_for(inputs)
        found = self._unroll_compiled(
            inputs,
            state,
            lengths,
            reverse=reverse,
            masks=masks,
            after=after,
            resets=resets,
            return_states=return_states,
        )
        if found is not None:
            return found
        return scan(
            self.recur,
            inputs,
            state,
            lengths,
            project=self.project,
            reverse=reverse,
            masks=masks,
            after=after,
            resets=resets,
            reset_state=reset_state,
            return_states=return_states,
        )

    def unroll_from_zeros(self, inputs: Any, *, time_major: bool, reverse: bool) -> Any:
        """`(outputs, final state)` of full-length rows without gradients, outputs in the layout of `inputs`; None where
        only `unroll` can run them. Nothing needs to be checked before.
        """
        return None

    def unroll_packed(self, data: Tensor, batch_sizes: Tensor, state: State, *, reverse: bool) -> Any:
        """`(outputs [N, n], final state)` of packed rows `[N, I]`, longest first; None where only `unroll` can.

        Inputs and state are checked.
        """
        return None

    def _unroll_compiled(self, *sequence: Any, **call: Any) -> Any:
        compiled = self.__dict__.get("_compiled")
        return None if compiled is None else run_compiled(self, compiled, *sequence, **call)

    def stepper(self, batch_size: int) -> Stepper:
        """A stream of steps that keeps its state: `output = stepper(x)`."""
        return Stepper(self, batch_size)

    def freeze(self, *, dtype: torch.dtype | None = None) -> Self:
        """Switch to inference: evaluation mode, no gradients, and weights packed once where a kernel can use that;
        `unfreeze` is to train on.

        All cells inside are frozen, too. Whatever autograd counts as a change of a parameter (an optimizer's step,
        `load_state_dict`, `copy_`, another tensor or place), `requires_grad_()` and `train()` end it: the next call
        packs for itself again, as before `freeze`. Only writes behind autograd's back (through `.data`, NumPy or
        another process) are not seen until `freeze` is called again.

        Args:
            dtype: `torch.bfloat16` lets the kernels round the operands of their products (weights, inputs, the state
                that is multiplied) to bfloat16; sums, gates, states and outputs stay float32. Values of the operands
                are then right to 1 in 256 (docs/performance.md says what that does to outputs). Until `train()`;
                copies (pickled ones, too) keep this choice, but not the packed weights.

        Raises:
            InputError: this machine, or this build, has no such products.
        """
        halves = wants_halves(dtype)
        self.eval().requires_grad_(False)
        for cell in self.modules():
            if isinstance(cell, BaseCell):
                cell.halves = halves
            if isinstance(cell, LeafCell):
                freeze(cell)
        return self

    def unfreeze(self) -> Self:
        """The opposite of `freeze`: training mode, gradients for all parameters, weights packed by each call again."""
        return self.requires_grad_().train()

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.halves = False
        return super().train(mode)

    def _draw_for(self, inputs: Any, draw: Callable[..., Masks] | None = None) -> Masks:
        """Random masks for a sequence of inputs; `draw`: in place of `draw_masks`."""
        if type(self).draw_masks is BaseCell.draw_masks:
            return None
        first = _nest.flatten(inputs)[0]
        like = first if first.is_floating_point() else next(self.parameters(), torch.empty(()))
        sizes = _nest.map_leaves(lambda leaf: leaf.shape[2:], inputs)
        return (draw or self.draw_masks)(first.shape[0], first.shape[1], like=like, input_size=sizes)


def _definer(cls: type, name: str) -> int:
    """How many of a class' bases are asked for an attribute before one has it."""
    return next(index for index, base in enumerate(cls.__mro__) if name in base.__dict__)


class Variables(nn.Module):
    """A named group of parameters (`gates.kernel`, `projection.kernel`)."""

    if TYPE_CHECKING:  # the names are given at run time, by add_variable

        def __getattr__(self, name: str) -> Any: ...


class LeafCell(BaseCell):
    """A cell over a `Recurrence`: holds parameters under TensorFlow's names and says which options apply.

    A subclass sets `recurrence`, registers its variables in `__init__`, and gives them back in `params()`.
    """

    recurrence: ClassVar[Recurrence]
    kernel_gates: ClassVar[dict[str, str]] = {}
    """kernel -> the letters of its column blocks, see `recurra.cells.views`."""
    options: Any = None
    output_is_state = True
    _own_equation: ClassVar[bool] = False
    """Whether a subclass computes its steps itself, by `project` and `recur`, so that no kernel may."""
    _own_forward: ClassVar[bool] = False
    """Whether a subclass has a `forward` of its own and no `unroll` that goes with it: sequences are loops over it."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls._own_equation = cls.project is not LeafCell.project or cls.recur is not LeafCell.recur
        sequence, forward, project, recur = (_definer(cls, name) for name in ("unroll", "forward", "project", "recur"))
        cls._own_forward = forward < sequence
        # a sequence that some base class made for other steps
        if min(forward, project, recur) < sequence and cls.unroll is not LeafCell.unroll:
            cls.unroll = LeafCell.unroll  # type: ignore[method-assign]

    if TYPE_CHECKING:  # parameters and groups of them are given at run time, by add_variable

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, *, init: Initializer | None = None) -> None:
        super().__init__()
        if init is not None and not callable(init):
            raise StructureError(f"`init` must be a function that fills a tensor in place, got {init!r}")
        self.init = init
        self._constants: dict[str, float | None] = {}

    def add_variable(self, name: str, *shape: int, constant: float | None = None, **factory: Any) -> None:
        """Register a parameter under a dotted name: `constant` fills it, else the cell's `init` (default glorot)."""
        *groups, leaf = name.split(".")
        owner: nn.Module = self
        for group in groups:
            if not hasattr(owner, group):
                owner.add_module(group, Variables())
            owner = getattr(owner, group)
        owner.register_parameter(leaf, nn.Parameter(torch.empty(shape, **factory)))
        self._constants[name] = constant
        self._reset(name)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as the constructor did."""
        for name in self._constants:
            self._reset(name)

    def _reset(self, name: str) -> None:
        constant, parameter = self._constants[name], self.get_parameter(name)
        with torch.no_grad():
            if constant is not None:
                parameter.fill_(constant)
            else:
                (self.init or glorot_uniform)(parameter)

    def params(self) -> Any:
        """The parameters as the named tuple that the equation takes."""
        raise NotImplementedError(f"{type(self).__name__} must define `params()`")

    def project(self, inputs: Any) -> Any:
        return self.recurrence.project(self.params(), inputs, self.options)

    def recur(self, projected: Any, state: State, masks: Masks = None) -> tuple[Any, State]:
        return self.recurrence.recur(self.params(), projected, state, self.options, masks)

    def train(self, mode: bool = True) -> Self:
        if mode:
            thaw(self)
        return super().train(mode)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # nn.Module's own call takes as long as a small step; it is needed where something may listen, and by autograd
        if compiled_step is not None and not is_compiling() and not kwargs:
            stepped = compiled_step(self, *args)
            if stepped is not None:
                return stepped
        if len(args) == 2 and not kwargs and not torch.is_grad_enabled() and self._unobserved():
            stepped = run_step(self, *args)
            if stepped is not None:
                return stepped
        return super().__call__(*args, **kwargs)

    def _unobserved(self) -> bool:
        """Whether a call is this class' own step and nothing else: no hooks, no tracing, no masks."""
        return not (
            self._forward_hooks
            or self._forward_pre_hooks
            or module_hooks._global_forward_hooks
            or module_hooks._global_forward_pre_hooks
            or self._steps_itself()
            or torch._C._get_tracing_state()
            or self._own_equation
            or self._draws()
        )

    def _steps_itself(self) -> bool:
        """Whether its step is a `forward` that a subclass, or whoever set it on this very cell, wrote."""
        return type(self).forward is not LeafCell.forward or "forward" in self.__dict__

    def forward(self, x: Any, state: State, masks: Masks = None) -> tuple[Any, State]:
        if masks is None and not self._own_equation and not self._draws():
            stepped = run_step(self, x, state)
            if stepped is not None:
                return stepped
        if keeps_float32(self, x):
            return in_float32(partial(LeafCell.forward, self), x, state, masks)  # type: ignore[no-any-return]
        return super().forward(x, state, masks)

    def _check_step(self, x: Any, state: State, masks: Masks) -> None:
        super()._check_step(x, state, masks)
        self._check_call("x", x, state, masks)

    def _check_call(self, name: str, inputs: Any, state: State, masks: Masks) -> None:
        """What torch's own words would tell three frames below."""
        if masks is not None and type(self).draw_masks is BaseCell.draw_masks:
            raise InputError(f"`masks` are given, but {type(self).__name__} draws none and would not look at them")
        if not torch.compiler.is_compiling():
            check_dtypes(self, inputs, state, name)

    def stepper(self, batch_size: int) -> Any:
        kept = None if self._own_equation or self._steps_itself() or self._draws() else make_stepper(self, batch_size)
        return kept or super().stepper(batch_size)

    def unroll_from_zeros(self, inputs: Any, *, time_major: bool, reverse: bool) -> Any:
        if not self._runs_from_zeros():
            return None
        done = run_layers(self, [self], inputs, time_major=time_major, reverse=reverse)
        return done and (done[0], done[1][0])

    def _runs_from_zeros(self) -> bool:
        """Whether this is the class' own sequence from its own zeros, with no masks."""
        zeros = getattr(self.initial_state, "__func__", None) is BaseCell.initial_state
        return zeros and self.runs_own_sequence()

    def runs_own_sequence(self) -> bool:
        """Whether its sequences are those of this class' own equation, with no masks."""
        own = self._own_equation or self._steps_itself() or type(self).unroll is not LeafCell.unroll
        return not (own or self._draws())

    def unroll_packed(self, data: Tensor, batch_sizes: Tensor, state: State, *, reverse: bool) -> Any:
        if not self.runs_own_sequence():
            return None
        found = run_unroll(self, data, state, batch_sizes, reverse)
        if found is not None:
            return found
        self._check_call("inputs", data, state, None)
        params, options = self.params(), self.options
        if refusal(self.recurrence, params, data, state, options=options) is not None:
            return None
        call = {"options": options, "reverse": reverse, "halves": self.halves}
        return run_sequence(self.recurrence, params, data, state, batch_sizes, **call)

    def _draws(self) -> bool:
        """Whether a step draws masks of its own, now."""
        return False

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        masks: Masks = None,
        **call: Any,
    ) -> Any:
        """As `BaseCell.unroll`, through the family's kernel where one fits (see `recurra.explain`)."""
        if self._own_equation and not self._own_forward:
            return super().unroll(inputs, state, lengths, masks=masks, **call)
        if keeps_float32(self, inputs):
            return in_float32(self.unroll, inputs, state, lengths, masks=masks, **call)
        masks = masks if masks is not None else self._draw_for(inputs)
        if self._steps_itself():
            return scan(super().recur, inputs, state, lengths, project=super().project, masks=masks, **call)
        after = call.pop("after", ())
        if not call.get("return_states") and call.get("resets") is None:
            done = run_unroll(self, inputs, state, lengths, call.get("reverse", False), masks, after)
            if done is not None:
                return done
        call["after"] = drawn_now(after)
        self._check_call("inputs", inputs, state, masks)
        params = self.params()
        if "_compiled" in self.__dict__ and not runs(self.recurrence, params, inputs, state, self.options, masks, call):
            found = self._unroll_compiled(inputs, state, lengths, masks=masks, **call)
            if found is not None:
                return found
        return run_sequence(
            self.recurrence,
            params,
            inputs,
            state,
            lengths,
            options=self.options,
            masks=masks,
            halves=self.halves,
            **call,
        )

    def extra_repr(self) -> str:
        shown = [str(self.input_size), str(self.output_size)]
        fields = self.options._asdict() if self.options is not None else {}
        defaults = getattr(type(self.options), "_field_defaults", {})
        shown += [f"{key}={value!r}" for key, value in fields.items() if value != defaults.get(key)]
        return ", ".join(shown)


know_leaves(LeafCell.forward, LeafCell._draws)
