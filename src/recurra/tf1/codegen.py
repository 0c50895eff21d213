"""From ops in order to one Python function: a line `v7 = f7(v3, v4)` for every op that does something.

Variables are constants of the function (their Cells); operations that hand their input on are other names for it; an operation that
repeats an earlier one is left out; neighbouring operations of a type with a `many` lowering (optimizer updates) are one call.
"""  # noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.graph import _engine_run_backward as _backward

from recurra.tf1 import errors, shape_errors
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.values import Cell, TrackedCell, to_torch

if TYPE_CHECKING:
    from recurra.tf1.plan import _Compiler

_set_grad = torch._C._set_grad_enabled
_serial = itertools.count()
_LINES = "__plan_lines__"  # among a function's globals: its lines' operations, which go with it

CONTROL_FLOW = {"While", "Cond", "CustomGradient"}
_CELLS = {"VariableV2", "Variable", "TemporaryVariable", "VarHandleOp"}
_HANDED_ON = {"Identity", "PreventGradient", "Enter", "Exit", "NextIteration", "LoopCond"}


class Generator:
    """Writes the function of one plan."""

    def __init__(self, plan: _Compiler, ops: list[Operation], region: set[Operation], leaves: set[Tensor]):
        self.plan, self.ops, self.region, self.leaves = plan, ops, region, leaves
        self.given, self.known, self.substituted = plan.given, plan.known, plan.substituted
        self.names: dict[Tensor, str] = {}
        self.constants: set[str] = set()
        self.scope: dict[str, Any] = {"leaf": leaf, "set_grad": _set_grad}
        self.lines: list[str] = []
        self.line_ops: dict[int, tuple[Operation, list[str]]] = {}  # with the expressions of the arguments
        self.alias: dict[Tensor, Tensor] = {}
        self.grad_mode = False
        self.loops: dict[str, str] = {}

    def function(self) -> Callable[..., tuple[Any, ...]]:
        """The compiled function of the values of the plan's arguments."""
        plan = self.plan
        filename = f"<plan {next(_serial)}>"
        for tensor in plan.args:
            self.names[tensor] = f"v{len(self.names)}"
        self.lines.append(f"def plan({', '.join(self.names[t] for t in plan.args)}):")
        for tensor in plan.args:
            if tensor in self.leaves and tensor not in self.substituted:
                self.lines.append(f"    {self.names[tensor]} = leaf({self.names[tensor]})")
        emitted = self._emitted()
        self._write(emitted, self._last_uses(emitted))
        if self.grad_mode:
            self.lines.append("    set_grad(False)")
        out = ", ".join(self._value(t) for t in plan.results)
        self.lines.append(f"    return ({out},)" if plan.results else "    return ()")
        exec(compile("\n".join(self.lines), filename, "exec"), self.scope)
        self.scope[_LINES] = self.line_ops
        return self.scope["plan"]

    # -- what needs no line ------------------------------------------------------------------------------------------
    def _emitted(self) -> list[list[Operation]]:
        """The operations that get a line, those that share one together."""
        groups: list[list[Operation]] = []
        seen: dict[Any, list[Operation]] = {}
        self.stale_reads = _stale_reads(self.ops, self.plan.results)
        for op in self.ops:
            if op.type == "NoOp" or self._is_cell(op) or self._hands_on(op) or self._repeats(op, seen):
                continue
            if op.definition.many is not None and groups and self._joins(op, groups[-1]):
                groups[-1].append(op)
            else:
                groups.append([op])
        return groups

    def _is_cell(self, op: Operation) -> bool:
        if op.type not in _CELLS or op.outputs[0] in self.leaves:
            return False
        name = f"k{len(self.constants)}"
        self.scope[name] = op.definition.bind(op, self.plan.session)()  # type: ignore[misc]
        self.constants.add(name)
        self.names[op.outputs[0]] = name
        return True

    def _hands_on(self, op: Operation) -> bool:
        if op.type not in _HANDED_ON or op._inputs[0].dtype._is_ref_dtype:
            return False
        if op.outputs[0] in self.leaves or op.outputs[0] in self.given:
            return False
        self.alias[op.outputs[0]] = self._root(op._inputs[0])
        return True

    def _repeats(self, op: Operation, seen: dict[Any, list[Operation]]) -> bool:
        """Whether a pure operation does again what an earlier one did."""
        known = op.definition
        if known.fn is None or known.stateful or not op._inputs or op.type.startswith("TensorArray"):
            return False
        if any(t.dtype._is_ref_dtype or t.dtype.name in ("resource", "variant") for t in op._inputs):
            return False
        if any(t in self.leaves or t in self.given for t in op.outputs):
            return False
        key = (op.type, op in self.region, *map(self._identity, op._inputs))
        keywords = known.kwargs(op.attrs)
        kinds = [t.dtype for t in op.outputs]
        for earlier in seen.setdefault(key, []):
            same = [t.dtype for t in earlier.outputs] == kinds and op.attrs.get("_lengths") == earlier.attrs.get(
                "_lengths"
            )
            if same and _equal(known.kwargs(earlier.attrs), keywords):
                self.alias.update(zip(op.outputs, earlier.outputs, strict=True))
                return True
        seen[key].append(op)
        return False

    def _identity(self, tensor: Tensor) -> Any:
        if tensor in self.known:
            value = np.asarray(self.known[tensor])
            if value.size <= 64 and value.dtype.kind in "biuf":
                return value.dtype.str, value.shape, value.tobytes()
        return id(self._root(tensor))

    def _joins(self, op: Operation, group: list[Operation]) -> bool:
        """Whether an operation can share the call of the group before it."""
        first = group[0]
        if op.type != first.type or op.definition.kwargs(op.attrs) != first.definition.kwargs(first.attrs):
            return False
        made = {t for other in group for t in other.outputs}
        cells = {self._root(t) for other in group for t in _written(other)}
        return not any(self._root(t) in cells or self._root(t) in made for t in op._inputs)

    def _root(self, tensor: Tensor) -> Tensor:
        return self.alias.get(tensor, tensor)

    def _last_uses(self, groups: list[list[Operation]]) -> dict[int, list[Tensor]]:
        """The tensors that no line after the i-th needs."""
        last: dict[Tensor, int] = {}
        for index, group in enumerate(groups):
            for op in group:
                for tensor in itertools.chain(op._inputs, op.outputs):
                    last[self._root(tensor)] = index
        kept = {self._root(t) for t in self.plan.results}
        self.used = {self._root(t) for group in groups for op in group for t in op._inputs} | kept
        drops: dict[int, list[Tensor]] = {}
        for tensor, index in last.items():
            if tensor not in kept and tensor not in self.known and self.names.get(tensor) not in self.constants:
                drops.setdefault(index, []).append(tensor)
        return drops

    # -- lines -------------------------------------------------------------------------------------------------------
    def _write(self, groups: list[list[Operation]], last: dict[int, list[Tensor]]) -> None:
        for index, group in enumerate(groups):
            record = group[0] in self.region
            if not self.plan.recording and record != self.grad_mode:
                self.lines.append(f"    set_grad({record})")
                self.grad_mode = record
            if group[0].definition.many is not None:
                self._emit_many(group, index)
            else:
                self._emit(group[0], index, record)
            drop = [t for t in last.get(index, ()) if self.names.get(t) not in self.constants]
            if drop:
                self.lines.append("    " + " = ".join(self.names[t] for t in drop) + " = None")

    def _value(self, tensor: Tensor, by_reference: bool = False) -> str:
        """The expression for a tensor's value: its name, a constant, or the read of a variable."""
        tensor = self._root(tensor)
        if tensor in self.known:
            name = f"c{tensor._id}"
            if name not in self.scope:
                self.scope[name] = to_torch(np.asarray(self.known[tensor]))
            return name
        name = self.names[tensor]
        if tensor.dtype._is_ref_dtype and not by_reference and (self.plan.cells or tensor not in self.given):
            return f"{name}.read()"
        return name

    def _emit_many(self, group: list[Operation], index: int) -> None:
        function = f"f{index}"
        first = group[0]
        self.scope[function] = partial(first.definition.many, **first.definition.kwargs(first.attrs))  # type: ignore[arg-type]
        calls = [f"({', '.join(self._arguments(op))},)" for op in group]
        self.lines.append(f"    {function}([{', '.join(calls)}])")
        self.line_ops[len(self.lines)] = first, []
        for op in group:
            for tensor in op.outputs:
                self.names[tensor] = self.names[self._root(op._inputs[0])]

    def _emit(self, op: Operation, index: int, record: bool) -> None:
        outputs = op.outputs
        for tensor in outputs:
            if tensor not in self.names:
                self.names[tensor] = f"v{len(self.names)}"
        function = f"f{index}"
        self.scope[function] = self._function(op, record)
        arguments = self._arguments(op)
        call = f"{function}({', '.join(arguments)})"
        single = len(outputs) == 1 and op.definition.outputs[0].kind == "one"
        fed = {t for t in outputs if t in self.given}
        targets = [("_" if t in fed else self.names[t]) for t in outputs]
        if not outputs:
            line = f"    {call}"
        elif single:
            line = f"    {targets[0]} = {call}"
        else:
            line = f"    {', '.join(targets)}, = {call}" if len(targets) == 1 else f"    {', '.join(targets)} = {call}"
        swapped = fed & self.substituted
        if swapped:
            line = line.replace("_ =", "computed_ =", 1) if single else line
            if not single:
                raise NotImplementedError(
                    f"Feeding {op.name}, one of several outputs, while differentiating through it"
                )
        self.lines.append(line)
        self.line_ops[len(self.lines)] = op, arguments
        for tensor in swapped:
            name = self.names[tensor]
            self.scope["substitute"] = substitute
            self.lines.append(f"    {name} = substitute(computed_, {name})")
        for tensor in outputs:
            if tensor in self.leaves and tensor not in fed:
                self.lines.append(f"    {self.names[tensor]} = leaf({self.names[tensor]})")

    def _arguments(self, op: Operation) -> list[str]:
        texts: list[str] = []
        index = 0
        lengths = op.attrs.get("_lengths", {})
        for arg in op.definition.inputs:
            size = 1 if arg.kind == "one" else lengths.get(arg.name, 0)
            part = [self._value(t, arg.ref) for t in op._inputs[index : index + size]]
            texts.append(part[0] if arg.kind == "one" else f"[{', '.join(part)}]")
            index += size
        return texts

    def _function(self, op: Operation, record: bool) -> Callable[..., Any]:
        definition, plan = op.definition, self.plan
        if op.type == "Gradients":
            last = not any(g is not op for g in plan.gradient_ops) and not record and not plan.recording
            return partial(
                run_gradients,
                n_ys=op.attrs["n_ys"],
                gys=op.attrs["gys"],
                retain=not last,
                create=record or plan.recording,
            )
        if op.type in ("CellSequence", "CellStep"):
            self.loops[op.name] = "sequence" if op.type == "CellSequence" else "steps"
        if definition.bind is not None:
            if op.type in CONTROL_FLOW:
                bound = definition.bind(op, plan.session, record or plan.recording)
                if op.type == "While":
                    self.loops[op.name] = "sequence" if getattr(bound, "as_sequence", False) else "steps"
                return bound
            return definition.bind(op, plan.session)
        if definition.fn is None:
            raise NotImplementedError(f"Operation {op.name!r} ({op.type}) cannot be run")
        if op in self.stale_reads:
            return lambda cell: cell.read().clone()
        keywords = definition.kwargs(op.attrs)
        if "wanted" in definition.keywords:
            keywords["wanted"] = tuple(t in self.used for t in op.outputs)
        return partial(definition.fn, **keywords) if keywords else definition.fn


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # arrays among the attributes
        return False


def _stale_reads(ops: list[Operation], results: list[Tensor]) -> set[Operation]:
    """Reads of resource variables whose value is still used after a write: they must copy."""
    writes: dict[Tensor, int] = {}
    for index, op in enumerate(ops):
        if op.definition.writes:
            for tensor in op._inputs:
                if tensor.dtype.name == "resource":
                    writes.setdefault(tensor, index)
    if not writes:
        return set()
    position = {op: i for i, op in enumerate(ops)}
    stale: set[Operation] = set()
    aliases: dict[Tensor, Operation] = {}
    for index, op in enumerate(ops):
        for tensor in op._inputs:
            read = aliases.get(tensor)
            if read is not None and index > writes[read._inputs[0]] > position[read]:
                stale.add(read)
        if op.type == "ReadVariableOp" and op._inputs[0] in writes:
            aliases[op.outputs[0]] = op
        elif op.type in ("Identity", "Reshape") and op._inputs and op._inputs[0] in aliases:
            aliases[op.outputs[0]] = aliases[op._inputs[0]]
    for tensor in results:
        if tensor in aliases and writes[aliases[tensor]._inputs[0]] > position[aliases[tensor]]:
            stale.add(aliases[tensor])
    return stale


# -- what the function calls -----------------------------------------------------------------------------------------
def leaf(value: Any) -> Any:
    """A value to differentiate by: itself when autograd already follows it, else a fresh leaf that shares its memory."""  # noqa: E501
    if isinstance(value, Cell):
        return TrackedCell(value)
    return value if value.requires_grad else value.detach().requires_grad_(True)


def run_gradients(values: list[Any], n_ys: int, gys: list[bool], retain: bool, create: bool) -> list[Any]:
    """d(sum of ys · their grad_ys)/d(targets); zeros where a value did not depend on the target in this run.

    The engine is called directly: torch.autograd.grad imports sympy at its first call, a third of a second.
    """
    given = iter(values[n_ys : n_ys + sum(gys)])
    ys = list(zip(values[:n_ys], (next(given) if has else None for has in gys), strict=True))
    targets = [t.leaf if isinstance(t, TrackedCell) else t for t in values[n_ys + sum(gys) :]]
    ys = [(y, g) for y, g in ys if y.requires_grad]
    wanted = [t for t in targets if t.requires_grad]
    if not ys or not wanted:
        return [torch.zeros_like(t) for t in targets]
    seeds = tuple(torch.ones_like(y) if g is None else g.to(y.dtype).expand_as(y) for y, g in ys)
    found = _backward(
        tuple(y for y, _ in ys),
        seeds,
        retain or create,
        create,
        tuple(wanted),
        allow_unreachable=True,
        accumulate_grad=False,
    )
    if len(wanted) == len(targets) and all(g is not None for g in found):
        return found
    grads = iter(found)
    found = [next(grads) if t.requires_grad else None for t in targets]
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, targets, strict=True)]


def _written(op: Operation) -> list[Tensor]:
    """The variables that an update gets to write to: the value, and its slots."""
    return [t for arg, t in zip(op.definition.inputs, op._inputs, strict=True) if arg.ref or t.dtype.name == "resource"]


class _Substitute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, computed: torch.Tensor, fed: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return fed.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return grad, None


def substitute(computed: Any, fed: Any) -> Any:
    """The fed value with the computed one's history."""
    return _Substitute.apply(computed, fed)


def translate(error: Exception) -> Exception:
    """The tf error for an exception that came out of a plan, naming the operation that raised it."""
    op: Operation | None = None
    arguments: list[str] = []
    frame: Any = None
    trace = error.__traceback__
    while trace is not None:
        lines = trace.tb_frame.f_globals.get(_LINES)
        if lines is not None and trace.tb_lineno in lines:
            op, arguments, frame = *lines[trace.tb_lineno], trace.tb_frame
        trace = trace.tb_next
    if op is None:
        return error
    words = None
    if not isinstance(error, errors.OpError):
        found = [eval(text, frame.f_globals, frame.f_locals) for text in arguments]
        words = shape_errors.at_run(op, [v for part in found for v in (part if isinstance(part, list) else [part])])
    return errors.from_torch(error, op, words)
