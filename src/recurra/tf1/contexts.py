"""Where operations of a loop or a branch belong: TensorFlow's control-flow contexts."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from recurra.tf1.graph import get_default_graph
from recurra.tf1.plan import gradient_targets, needed_ops
from recurra.tf1.tensor import Operation, Tensor

__all__ = ["CondContext", "ControlFlowContext", "WhileContext"]


class ControlFlowContext:
    """The operations made inside a loop or a branch."""

    def __init__(self, name: str):
        self.name = name
        self.graph = get_default_graph()
        self.outer_context: ControlFlowContext | None = self.graph._get_control_flow_context()
        self._stacks: list[Any] = []

    def add_op(self, operation: Operation) -> None:
        """Called for every operation made inside."""

    def Enter(self) -> None:
        self._stacks.append((self.graph._context, self.graph._control_stack))
        self.graph._context = self

    def Exit(self) -> None:
        self.graph._context, self.graph._control_stack = self._stacks.pop()

    def holds(self, operation: Operation) -> bool:
        """Whether an operation was made inside (in an inner context too)."""
        context = operation._context
        while context is not None:
            if context is self:
                return True
            context = context.outer_context
        return False

    def IsWhileContext(self) -> bool:
        return isinstance(self, WhileContext)

    def IsCondContext(self) -> bool:
        return isinstance(self, CondContext)

    def captured(self, results: Iterable[Tensor], args: Iterable[Tensor]) -> tuple[list[Tensor], list[Operation]]:
        """Outer tensors and outer control inputs that `results` need, constants aside."""
        tensors, controls, inside = self._reached(results, args, set())
        again = _before_inner_gradients(inside, tensors)
        if again:
            tensors, controls, _ = self._reached(results, args, again)
        return tensors, controls

    def _reached(
        self, results: Iterable[Tensor], args: Iterable[Tensor], again: set[Operation]
    ) -> tuple[list[Tensor], list[Operation], set[Operation]]:
        """(outer tensors, outer control inputs, inner operations); outer operations in `again` count as inner ones."""
        given, seen = set(args), set()
        tensors: dict[Tensor, None] = {}
        controls: dict[Operation, None] = {}
        stack: list[Operation] = []

        def visit(tensor: Tensor) -> None:
            if tensor in given:
                return
            if tensor.op in again or self.holds(tensor.op):
                stack.append(tensor.op)
            elif tensor.op.type != "Const" or tensor.dtype.is_floating:  # other constants are known inside too
                tensors[tensor] = None

        for tensor in results:
            visit(tensor)
        while stack:
            operation = stack.pop()
            if operation in seen:
                continue
            seen.add(operation)
            for tensor in operation.inputs:
                visit(tensor)
            for control in operation.control_inputs:
                if self.holds(control):
                    stack.append(control)
                else:
                    controls[control] = None
        return list(tensors), list(controls), seen


def _before_inner_gradients(inside: set[Operation], outer: list[Tensor]) -> set[Operation]:
    """The outer operations between the targets of gradients taken inside and what comes in: recorded anew inside."""
    targets = {t for op in inside if op.type == "Gradients" for t in gradient_targets(op)} & set(outer)
    if not targets:
        return set()
    needed = needed_ops(outer, [], targets)
    carrying = set(targets)
    found = set()
    for op in needed:  # in order: what an operation needs comes before it
        if op.definition.diff and any(t in carrying for t in op.inputs):
            found.add(op)
            carrying.update(op.outputs)
    return found


def containing_loop(context: ControlFlowContext | None) -> ControlFlowContext | None:
    """The innermost loop around a context (itself, if it is one)."""
    while context is not None and not context.IsWhileContext():
        context = context.outer_context
    return context


def check_input(name: str, context: ControlFlowContext | None, given: Operation) -> None:
    """ValueError when the operation `name`, made in `context`, reads what belongs to a loop that it is not in."""
    theirs = containing_loop(given._context)
    if theirs is None:
        return
    mine = containing_loop(context)
    why = f"'{given.name}' is in a while loop" if mine is None else "they are in different while loops"
    while mine is not None:
        if mine is theirs:
            return
        mine = containing_loop(mine.outer_context)
    raise ValueError(f"Cannot use '{given.name}' as input to '{name}' because {why}. See info log for more details.")


class WhileContext(ControlFlowContext):
    """A loop under construction, and what a plan needs to run it afterwards."""

    loop: Operation
    merged: list[Tensor]
    entered: list[Tensor]
    predicate: Tensor
    following: list[Tensor]
    captures: list[Tensor]
    exits: list[Tensor]
    sequence: Any = None
    _inner_controls: list[Operation]

    def add_op(self, operation: Operation) -> None:
        operation.graph.prevent_fetching(operation)

    def needs(self) -> list[set[int]]:
        """Per loop variable, the variables that its next value is computed from; last those of the predicate."""
        if "_needs" not in self.__dict__:
            stops = [*self.merged, *self.entered, *self.captures]
            place = {t: i for side in (self.merged, self.entered) for i, t in enumerate(side)}
            self.__dict__["_needs"] = []
            for tensor in [*self.following, self.predicate]:
                ops = needed_ops([tensor], [], stops, self.loop.control_inputs)
                inputs = {t for op in ops for t in op.inputs} | {tensor}
                self.__dict__["_needs"].append({place[t] for t in inputs if t in place})
        return self.__dict__["_needs"]

    def shortened(self, loop: Operation, used: frozenset[int]) -> Operation:
        """The loop with only the variables that those at `used` depend on; `loop` itself when that is all of them."""
        if len(used) == len(loop.outputs):
            return loop
        needs = self.needs()
        kept: set[int] = set()
        waiting = set(used) | needs[-1]
        while waiting:
            i = waiting.pop()
            kept.add(i)
            waiting |= needs[i] - kept
        if len(kept) == len(loop.outputs):
            return loop
        made = self.__dict__.setdefault("_shortened", {})
        order = tuple(sorted(kept))
        if order not in made:
            made[order] = self._keep(loop, order)
        return made[order]

    def _keep(self, loop: Operation, order: tuple[int, ...]) -> Operation:
        short = copy.copy(self)
        short.__dict__.pop("_needs", None)
        short.__dict__.pop("_shortened", None)
        for name in ("merged", "entered", "following"):
            setattr(short, name, [getattr(self, name)[i] for i in order])
        short.captures, controls = self.captured([self.predicate, *short.following], [*short.merged, *short.entered])
        inputs = [*[loop.inputs[i] for i in order], *short.captures]
        attrs = {**loop.attrs, "_loop_context": short, "_lengths": {"inputs": len(inputs)}}
        made = Operation(loop.graph, loop.type, loop.name, inputs, attrs, loop.definition)
        made._context, made._outputs = loop._context, [loop.outputs[i] for i in order]
        made._control_inputs = [c for c in loop.control_inputs if c in controls or c not in self._inner_controls]
        short.loop = made
        return made


class CondContext(ControlFlowContext):
    """One branch of a cond."""

    def __init__(self, pred: Tensor, pivot: Tensor, branch: int, name: str = "cond_text"):
        super().__init__(name)
        self.pred, self.pivot, self.branch = pred, pivot, branch
        self.results: list[Tensor] = []

    def add_op(self, operation: Operation) -> None:
        operation.graph.prevent_fetching(operation)
