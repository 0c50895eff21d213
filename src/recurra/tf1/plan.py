"""Plans: the ops that some fetches need, in order, as one generated Python function of torch calls.

A plan is made once for its (fetches, feeds). Ops become lines `v7 = f7(v3, v4)`; constants are folded; values are dropped after their
last use; only the ops between the ys and xs of a Gradients op are recorded by autograd. Bodies of loops and branches are compiled by the
same `compile_function` and called by their own lowering.
"""  # noqa: E501

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from recurra.tf1 import errors, fusion
from recurra.tf1.constants import constant_value
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.values import to_torch

_set_grad = torch._C._set_grad_enabled
_serial = itertools.count()
_LINES: dict[str, dict[int, Operation]] = {}


def leaf(value: Any) -> Any:
    """A value to differentiate by: itself when autograd already follows it, else a fresh leaf that shares its memory."""  # noqa: E501
    return value if value.requires_grad else value.detach().requires_grad_(True)


class Plan:
    """A compiled function together with the elements it was made for (kept alive: plans are found by their ids)."""

    def __init__(self, call: Callable[..., tuple[Any, ...]], keep: Any, ops: list[Operation]):
        self.call, self.keep, self.ops = call, keep, ops


def compile_function(
    session: Any,
    args: Sequence[Tensor],
    results: Sequence[Tensor],
    targets: Iterable[Operation] = (),
    recording: bool = False,
    done: Iterable[Operation] = (),
    cells: bool = False,
) -> Plan:
    """`call(*values of args) -> values of results`, having run `targets` too. With `recording` the caller's grad mode stays.

    Operations in `done` were run before. With `cells`, arguments that are references come as Cells.
    """  # noqa: E501
    return _Compiler(session, args, results, list(targets), recording, set(done), cells).compile()


def needed_ops(
    results: Iterable[Tensor],
    targets: Iterable[Operation],
    args: Iterable[Tensor],
    done: Iterable[Operation] = (),
    instead: dict[Operation, Operation] | None = None,
) -> list[Operation]:
    """The operations that results and targets need, in a valid order, stopping at `args` and at `done`.

    `instead` replaces operations by others that make the same tensors.
    """
    given = set(args)
    replace = instead or {}
    order: list[Operation] = []
    state: dict[Operation, int] = dict.fromkeys(done, 2)
    stack = [t.op for t in results if t not in given] + list(targets)
    stack.reverse()
    while stack:
        op = stack[-1]
        mark = state.get(op, 0)
        if mark == 2:
            stack.pop()
        elif mark == 1:
            state[op] = 2
            order.append(op)
            stack.pop()
        else:
            state[op] = 1
            waiting = [t.op for t in op._inputs if t not in given] + op._control_inputs
            if replace:
                waiting = [replace.get(o, o) for o in waiting]
            stack.extend(o for o in reversed(waiting) if state.get(o, 0) == 0)
    return order


class _Compiler:
    def __init__(
        self,
        session: Any,
        args: Sequence[Tensor],
        results: Sequence[Tensor],
        targets: list[Operation],
        recording: bool,
        done: set[Operation],
        cells: bool,
        fuse: bool = True,
    ):
        self.done, self.cells, self.fuse = done, cells, fuse
        self.session, self.args, self.results, self.targets = session, list(args), list(results), targets
        self.recording = recording
        self.given = set(args)
        self.names: dict[Tensor, str] = {}
        self.scope: dict[str, Any] = {"leaf": leaf, "set_grad": _set_grad}
        self.lines: list[str] = []
        self.line_ops: dict[int, Operation] = {}
        self.known: dict[Tensor, Any] = {}
        self.substituted: set[Tensor] = set()
        self.producers: dict[Tensor, Operation] = {}  # of the outputs of fused operations
        self.reordered = False
        self.leaves_early: set[Tensor] = set()

    def compile(self) -> Plan:
        ops = needed_ops(self.results, self.targets, self.given, self.done)
        ops = self._follow_fed_gradients(ops)
        ops = self._shorten_loops(ops)
        self.gradient_ops = [op for op in ops if op.type == "Gradients"]
        self._fold(ops)
        ops = self._live(ops)
        self.gradient_ops = [op for op in ops if op.type == "Gradients"]
        region, leaves = self._regions(ops)
        self.leaves_early = leaves
        if self.fuse:
            ops = fusion.fuse(self, ops, region, leaves)
        order = self._schedule(ops)
        if self.reordered:
            if len(order) != len(ops):  # two chains wait for each other: take the steps one by one
                return _Compiler(
                    self.session,
                    self.args,
                    self.results,
                    self.targets,
                    self.recording,
                    self.done,
                    self.cells,
                    fuse=False,
                ).compile()
            order = self._live(order)
        return self._generate(order, region, leaves)

    # -- what is needed ----------------------------------------------------------------------------------------------
    def _follow_fed_gradients(self, ops: list[Operation]) -> list[Operation]:
        """TensorFlow's gradients flow through fed tensors: compute those too where a gradient needs what lies before them."""  # noqa: E501
        fed = [t for t in self.args if t.op._inputs and t.dtype.is_floating]
        gradients = [op for op in ops if op.type == "Gradients"]
        if not fed or not gradients or self.recording:
            return ops
        sources = {t for op in gradients for t in gradient_targets(op)}
        for tensor in fed:
            before = needed_ops([tensor], [], self.given - {tensor}, self.done)
            if tensor not in sources and any(out in sources for op in before for out in op.outputs):
                self.substituted.add(tensor)
        if not self.substituted:
            return ops
        return needed_ops(self.results, self.targets, self.given - self.substituted, self.done)

    def _shorten_loops(self, ops: list[Operation]) -> list[Operation]:
        """Loops without the variables that nothing here needs (what they compute may not even be computable)."""
        loops = [op for op in ops if op.type == "While"]
        if not loops:
            return ops
        used = {t for op in ops for t in op._inputs} | set(self.results)
        instead = {}
        for op in loops:
            short = op.attrs["_loop_context"].shortened(op, frozenset(i for i, t in enumerate(op.outputs) if t in used))
            if short is not op:
                instead[op] = short
        if not instead:
            return ops
        for op in instead.values():
            self.producers.update(dict.fromkeys(op.outputs, op))
        return needed_ops(self.results, self.targets, self.given - self.substituted, self.done, instead)

    def _fold(self, ops: list[Operation]) -> None:
        """Values that no feed, state or random number can change."""
        static_shapes = all(
            t.op.type in ("Placeholder", "PlaceholderWithDefault") or not t.op._inputs for t in self.args
        )
        differentiated = {t for op in self.gradient_ops for t in gradient_targets(op)}
        for op in ops:
            if op.type == "Const":
                known = op.outputs[0] not in self.given
            elif op.type in ("Shape", "Size", "Rank", "ShapeN"):
                known = static_shapes and not op._inputs[0].dtype._is_ref_dtype
            else:
                known = bool(op._inputs) and all(t in self.known for t in op._inputs)
            if not known or op._control_inputs or any(t in differentiated or t in self.given for t in op.outputs):
                continue
            values = [constant_value(t) for t in op.outputs]
            if values and all(v is not None for v in values):
                for tensor, value in zip(op.outputs, values, strict=True):
                    self.known[tensor] = value

    def _live(self, ops: list[Operation]) -> list[Operation]:
        """`ops` without those that folding made superfluous."""
        needed = {t for t in self.results if t not in self.known and (t not in self.given or t in self.substituted)}
        wanted = set(self.targets)
        kept = []
        for op in reversed(ops):
            if op not in wanted and not any(t in needed for t in op.outputs):
                continue
            if op.outputs and all(t in self.known for t in op.outputs):
                continue
            kept.append(op)
            wanted.update(op._control_inputs)
            needed.update(
                t for t in op._inputs if t not in self.known and (t not in self.given or t in self.substituted)
            )
        kept.reverse()
        return kept

    def _regions(self, ops: list[Operation]) -> tuple[set[Operation], set[Tensor]]:
        """The ops that autograd must record, and the tensors that start its record."""
        region: set[Operation] = set()
        leaves: set[Tensor] = set()
        for gradient in self.gradient_ops:
            carrying: set[Tensor] = set(gradient_targets(gradient))
            leaves |= carrying
            forward = []
            for op in ops:
                if op.definition.diff and op is not gradient and any(t in carrying for t in op._inputs):
                    forward.append(op)
                    carrying.update(t for t in op.outputs if is_differentiable(t))
            needed = set(gradient.inputs[: gradient.attrs["n_ys"]])
            for op in reversed(forward):
                if any(t in needed for t in op.outputs):
                    region.add(op)
                    needed.update(op._inputs)
        return region, leaves

    def _schedule(self, ops: list[Operation]) -> list[Operation]:
        """An order in which writes to variables come as late as their dependants allow."""
        if not self.reordered and not any(op.definition.writes for op in ops):
            return ops
        position = {op: i for i, op in enumerate(ops)}
        waiting: dict[Operation, int] = {}
        users: dict[Operation, list[Operation]] = {op: [] for op in ops}
        for op in ops:
            before = {self.producers.get(t, t.op) for t in op._inputs if self._computed(t)} | set(op._control_inputs)
            before = {b for b in before if b in position and b is not op}
            waiting[op] = len(before)
            for b in before:
                users[b].append(op)
        heap = [(_rank(op), position[op]) for op in ops if not waiting[op]]
        heapq.heapify(heap)
        order = []
        while heap:
            op = ops[heapq.heappop(heap)[1]]
            order.append(op)
            for user in users[op]:
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(heap, (_rank(user), position[user]))
        return order

    def _computed(self, tensor: Tensor) -> bool:
        return tensor not in self.known and (tensor not in self.given or tensor in self.substituted)

    # -- code --------------------------------------------------------------------------------------------------------
    def _generate(self, ops: list[Operation], region: set[Operation], leaves: set[Tensor]) -> Plan:
        self.region, self.leaves = region, leaves
        number = next(_serial)
        params = []
        for tensor in self.args:
            self.names[tensor] = f"v{len(self.names)}"
            params.append(self.names[tensor])
        self.lines.append(f"def plan({', '.join(params)}):")
        for tensor in self.args:
            if tensor in leaves and tensor not in self.substituted:
                self.lines.append(f"    {self.names[tensor]} = leaf({self.names[tensor]})")
        last = self._last_uses(ops)
        grad_mode = False
        self.stale_reads = self._stale_reads(ops)
        for index, op in enumerate(ops):
            record = op in region
            if not self.recording and record != grad_mode:
                self.lines.append(f"    set_grad({record})")
                grad_mode = record
            self._emit(op, index, record)
            drop = last.get(index)
            if drop:
                self.lines.append("    " + " = ".join(self.names[t] for t in drop) + " = None")
        if grad_mode:
            self.lines.append("    set_grad(False)")
        out = ", ".join(self._value(t) for t in self.results)
        self.lines.append(f"    return ({out},)" if self.results else "    return ()")
        filename = f"<plan {number}>"
        exec(compile("\n".join(self.lines), filename, "exec"), self.scope)
        _LINES[filename] = self.line_ops
        return Plan(self.scope["plan"], (self.args, self.results, self.targets), ops)

    def _last_uses(self, ops: list[Operation]) -> dict[int, list[Tensor]]:
        last: dict[Tensor, int] = {}
        for index, op in enumerate(ops):
            for tensor in itertools.chain(op._inputs, op.outputs):
                if tensor not in self.known:
                    last[tensor] = index
        kept = set(self.results)
        drops: dict[int, list[Tensor]] = {}
        for tensor, index in last.items():
            if tensor not in kept:
                drops.setdefault(index, []).append(tensor)
        return drops

    def _stale_reads(self, ops: list[Operation]) -> set[Operation]:
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
        for tensor in self.results:
            if tensor in aliases and writes[aliases[tensor]._inputs[0]] > position[aliases[tensor]]:
                stale.add(aliases[tensor])
        return stale

    def _value(self, tensor: Tensor, by_reference: bool = False) -> str:
        """The expression for a tensor's value: its name, a constant, or the read of a variable."""
        if tensor in self.known:
            name = f"c{tensor._id}"
            if name not in self.scope:
                self.scope[name] = to_torch(np.asarray(self.known[tensor]))
            return name
        name = self.names[tensor]
        if tensor.dtype._is_ref_dtype and not by_reference and (self.cells or tensor not in self.given):
            return f"{name}.read()"
        return name

    def _emit(self, op: Operation, index: int, record: bool) -> None:
        outputs = op.outputs
        for tensor in outputs:
            if tensor not in self.names:
                self.names[tensor] = f"v{len(self.names)}"
        function = f"f{index}"
        self.scope[function] = self._function(op, record)
        call = f"{function}({', '.join(self._arguments(op))})"
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
        self.line_ops[len(self.lines)] = op
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
        definition = op.definition
        if op.type == "Gradients":
            last = not any(g is not op for g in self.gradient_ops) and not record and not self.recording
            return partial(
                run_gradients,
                n_ys=op.attrs["n_ys"],
                gys=op.attrs["gys"],
                retain=not last,
                create=record or self.recording,
            )
        if definition.bind is not None:
            if op.type in CONTROL_FLOW:
                return definition.bind(op, self.session, record or self.recording)
            return definition.bind(op, self.session)
        if definition.fn is None:
            raise NotImplementedError(f"Operation {op.name!r} ({op.type}) cannot be run")
        keywords = definition.kwargs(op.attrs)
        function = partial(definition.fn, **keywords) if keywords else definition.fn
        if op in self.stale_reads:
            return lambda cell: cell.read().clone()
        return function


def _rank(op: Operation) -> int:
    """When an op that is ready runs: writes last, those marked `_early` (decoupled weight decay) first."""
    return -1 if "_early" in op.attrs else int(op.definition.writes)


CONTROL_FLOW = {"While", "Cond", "CustomGradient"}


def is_differentiable(tensor: Tensor) -> bool:
    """Whether gradients may flow through a tensor of this dtype."""
    kind = tensor.dtype.base_dtype
    return kind.is_floating or kind.is_complex


def gradient_targets(op: Operation) -> list[Tensor]:
    """The tensors that a Gradients op differentiates by."""
    return op.inputs[op.attrs["n_ys"] + sum(op.attrs["gys"]) :]


def run_gradients(values: list[Any], n_ys: int, gys: list[bool], retain: bool, create: bool) -> list[Any]:
    """d(sum of ys · their grad_ys)/d(targets); zeros where a value did not depend on the target in this run."""
    given = iter(values[n_ys : n_ys + sum(gys)])
    ys = list(zip(values[:n_ys], (next(given) if has else None for has in gys), strict=True))
    targets = values[n_ys + sum(gys) :]
    ys = [(y, g) for y, g in ys if y.requires_grad]
    wanted = [t for t in targets if t.requires_grad]
    if not ys or not wanted:
        return [torch.zeros_like(t) for t in targets]
    seeds = [torch.ones_like(y) if g is None else g.to(y.dtype).expand_as(y) for y, g in ys]
    grads = iter(
        torch.autograd.grad(
            [y for y, _ in ys], wanted, seeds, retain_graph=retain or create, create_graph=create, allow_unused=True
        )
    )
    found = [next(grads) if t.requires_grad else None for t in targets]
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, targets, strict=True)]


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
    op = None
    trace = error.__traceback__
    while trace is not None:
        lines = _LINES.get(trace.tb_frame.f_code.co_filename)
        if lines is not None:
            op = lines.get(trace.tb_lineno, op)
        trace = trace.tb_next
    return errors.from_torch(error, op) if op is not None else error
