"""Whole sequences through a compiled step (`step_program.py`): the loop and its gradient, for cells of any equation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import Masks, State
from recurra.kernels.decisions import COMPILED, PLAIN, note
from recurra.kernels.dispatch import refused_context
from recurra.kernels.hoisted import OwnProducts
from recurra.kernels.native import library
from recurra.kernels.scan import longest, mask_inputs, select, valid_steps
from recurra.kernels.step_program import Uncompilable, compile_step
from recurra.kernels.step_sequence import Call, Step, forward, gradient
from recurra.kernels.twin import differentiate

MOST_STEPS = 16
"""Of one cell: each batch size, dtype and set of wanted gradients is compiled for itself."""


class Compiled:
    """The compiled steps of one cell, by what they were compiled for. Copies are empty."""

    def __init__(self) -> None:
        self.steps: dict[Any, Step | str] = {}

    def __reduce__(self) -> tuple[type[Compiled], tuple[()]]:
        return Compiled, ()

    def find(self, cell: Any, call: Call, tensors: list[Tensor], modes: list[bool], *, training: bool) -> Step | str:
        """The step for these tensors and modules' modes, or why there is none; `training`: gradients are wanted."""
        inputs = call.counts[0]
        key = (
            tuple([(t.shape[1:], t.dtype, training and t.requires_grad) for t in tensors[:inputs]]),
            tuple([(t.shape, t.dtype, t.stride(), training and t.requires_grad) for t in tensors[inputs:]]),
            tuple([(c.pieces.shape[1:], c.pieces.dtype, c.pieces.stride()[1:]) for c in call.constants()]),
            (call.valid is None, library.threads(), call.names),
            tuple(modes),
        )
        step = self.steps.get(key)
        if step is None:
            if len(self.steps) >= MOST_STEPS:
                return f"compiled for {MOST_STEPS} other shapes already"
            step = self.steps[key] = _compile(cell, call, _examples(call, tensors, training))
        return step


class _Recur(nn.Module):
    """A cell's `recur` as a module's call, so that its parameters can be given from outside."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, *step: Any) -> Any:
        recur: Any = self.cell.recur
        return recur(*step)


def _compile(cell: Any, call: Call, arguments: list[Tensor]) -> Step | str:
    module, counts = _Recur(cell), call.counts
    nesting: dict[str, Any] = {}
    parts = (call.projected, call.state, call.masks)
    ragged = call.valid is not None

    def plain(*tensors: Tensor) -> list[Tensor]:
        values = iter(tensors)
        x, state, masks = (
            _nest.pack_as(part, [next(values) for _ in range(count)]) for part, count in zip(parts, counts, strict=True)
        )
        valid = next(values) if ragged else None
        given = dict(zip(call.names, values, strict=True))
        output, new = torch.func.functional_call(module, given, (x, state) if masks is None else (x, state, masks))
        if valid is not None:
            new = select(valid, new, state)
            output = select(valid, output, _nest.map_leaves(torch.zeros_like, output))
        _check_alike(_nest.flatten(state), _nest.flatten(new))
        nesting["output"] = _nest.map_leaves(lambda leaf: 0, output)
        # None is another's view, and the next step finds its state as the first one did: dense.
        leaves = (*_nest.flatten(output), *_nest.flatten(new))
        return [leaf.clone(memory_format=torch.contiguous_format) for leaf in leaves]

    try:
        program = compile_step(plain, arguments, (*counts[:2], len(call.names)))
    except Uncompilable as reason:
        return str(reason)
    return Step(program, plain, nesting["output"])


def _check_alike(before: list[Tensor], after: list[Tensor]) -> None:
    """What is compiled for the first step runs all others: their states must be of one form."""
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape or old.dtype is not new.dtype:
            raise Uncompilable(
                f"its step makes a state {list(new.shape)} of {new.dtype} from one {list(old.shape)} of {old.dtype}"
            )


def run_compiled(
    cell: Any,
    compiled: Compiled,
    inputs: Any,
    state: State,
    lengths: Tensor | None,
    *,
    reverse: bool = False,
    masks: Masks = None,
    after: Any = (),
    resets: Tensor | None = None,
    return_states: bool = False,
    **_: Any,
) -> tuple[Any, State] | None:
    """A sequence as `scan`'s, through the cell's compiled step; None, with the reason noted, where it has none."""
    extras = bool(after) or resets is not None or return_states
    reason = _refused((inputs, state, masks), extras) or None
    total = _nest.flatten(inputs)[0].shape[0]
    steps = longest(lengths, total) if reason is None else 0
    if reason is None and steps == 0:
        reason = "no step to run"
    if reason is not None:
        _passed(cell, reason)
        return None
    valid = None if lengths is None else valid_steps(lengths, total)
    if valid is not None:
        inputs = _nest.map_leaves(lambda leaf: leaf[:steps], mask_inputs(inputs, valid))
    with OwnProducts():
        projected = cell.project(inputs)
    leaves = [leaf.contiguous() for leaf in _nest.flatten(projected)]
    parts = [leaf.contiguous() for leaf in _nest.flatten(state)]
    counts = len(leaves), len(parts), len(_nest.flatten(masks))
    given, modes = _owned(cell)
    call = Call(projected, state, masks, valid, tuple(given), steps, total, reverse, counts)
    tensors = [*leaves, *parts, *given.values()]
    training = torch.is_grad_enabled() and any([tensor.requires_grad for tensor in tensors])
    step = compiled.find(cell, call, tensors, modes, training=training)
    if isinstance(step, str):
        _passed(cell, step)
        return None
    note(type(cell).__name__, COMPILED, "by torch's compiler")
    if training:
        results = _Steps.apply(step, call, *tensors)
    else:
        with torch.no_grad():
            results, _kept = forward(step, call, tensors, training=False)
    split = len(results) - counts[1]
    return _nest.pack_as(step.output, results[:split]), _nest.pack_as(state, results[split:])


def _owned(cell: nn.Module) -> tuple[dict[str, Tensor], list[bool]]:
    """Parameters and buffers by name, each once, and whether each module is in training."""
    given: dict[str, Tensor] = {}
    modes: list[bool] = []
    seen: set[int] = set()
    for prefix, module in cell.named_modules(prefix="cell"):
        modes.append(module.training)
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                given[f"{prefix}.{name}"] = tensor
    return given, modes


def _passed(cell: Any, reason: str) -> None:
    """Say that the plain loop takes over."""
    note(type(cell).__name__, PLAIN, reason, warn=True)


def _examples(call: Call, tensors: list[Tensor], training: bool) -> list[Tensor]:
    """The first step's arguments, each wanting a gradient where its sequence does now.

    From the second step on the state depends on all that the first one saw: it wants one where anything does.
    """
    inputs, states, _ = call.counts

    def example(index: int, tensor: Tensor) -> Tensor:
        row = (tensor[0] if index < inputs else tensor).detach()
        carried = inputs <= index < inputs + states and tensor.is_floating_point()
        return row.requires_grad_(training and (carried or tensor.requires_grad))

    rows = [example(index, tensor) for index, tensor in enumerate(tensors)]
    first = inputs + states
    return [*rows[:first], *(column.piece(0) for column in call.constants()), *rows[first:]]


def _refused(values: Any, extras: bool) -> str | None:
    reason = "under torch.compile" if torch.compiler.is_compiling() else refused_context()
    if reason is not None:
        return reason
    if library.serial:
        return "in a forked process"
    if torch.is_autocast_enabled("cpu"):  # what is traced under it computes other numbers elsewhere
        return "under autocast"
    if extras:
        return "a compiled step knows no resets, no states of all steps and no state dropout or zoneout behind it"
    for tensor in _nest.flatten(values):
        if type(tensor) is not Tensor or tensor.device.type != "cpu":
            return f"{type(tensor).__name__} on {tensor.device.type} in place of a plain tensor on the CPU"
    return None


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, step: Step, call: Call, *tensors: Tensor) -> Any:
        results, ctx.kept = forward(step, call, tensors, training=True)
        ctx.step, ctx.call = step, call
        ctx.save_for_backward(*tensors)  # also: refuse a gradient after they were written into
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            return None, None, *differentiate(partial(_plain, ctx.step, ctx.call), tensors, grads, wanted)
        found = gradient(ctx.step.program, ctx.call, ctx.kept, grads)
        return None, None, *[grad if want else None for grad, want in zip(found, wanted, strict=True)]


def _plain(step: Step, call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Outputs and final state, step by step in torch."""
    inputs, states, _ = call.counts
    count = step.outputs()
    columns = [*(leaf.unbind(0) for leaf in tensors[:inputs])]
    extra = [column.at() for column in call.constants()]
    state, shared = list(tensors[inputs : inputs + states]), tensors[inputs + states :]
    outputs: list[Any] = [None] * call.steps
    for t in call.order():
        found = step.plain(*(at[t] for at in columns), *state, *(at[t] for at in extra), *shared)
        outputs[t], state = found[:count], found[count:]
    return [*(_padded(leaves, call.total) for leaves in zip(*outputs, strict=True)), *state]


def _padded(steps: Sequence[Tensor], total: int) -> Tensor:
    rows = torch.stack(tuple(steps))
    if len(steps) == total:
        return rows
    return torch.cat([rows, rows.new_zeros(total - len(steps), *rows.shape[1:])])
