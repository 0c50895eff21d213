"""Loops and branches of an imported graph, from the operations that TensorFlow 1 makes them of.

A loop is Enter, Merge, LoopCond, Switch, NextIteration and Exit; a branch lies between Switch and Merge. Every operation's place is a
path of such frames, found along the data and control edges; each frame becomes a context (`contexts.py`), and a hidden While or
Cond operation runs it for its Exit or Merge operations.
"""  # noqa: E501

from __future__ import annotations

import copy
from typing import Any

from recurra.tf1.contexts import CondContext, ControlFlowContext, WhileContext
from recurra.tf1.control_flow import _hidden
from recurra.tf1.graph import Graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.shapes import unknown_shape
from recurra.tf1.tensor import Operation, Tensor

_Path = tuple[Any, ...]
_ENTERS, _EXITS = ("Enter", "RefEnter"), ("Exit", "RefExit")
_SWITCHES, _MERGES = ("Switch", "RefSwitch"), ("Merge", "RefMerge")
_NEXTS = ("NextIteration", "RefNextIteration")


class _Loop:
    """Marks a frame on a path: the loop of this name."""

    def __init__(self, name: str):
        self.name = name


class _Branch:
    """Marks a frame on a path: where `pred` is `value`."""

    def __init__(self, pred: Tensor, value: int):
        self.pred, self.value = pred, value


class Frames:
    """Finds the frames of `ops` (inputs first) and makes them run."""

    def __init__(self, graph: Graph, ops: list[Operation], outer: Any):
        self.graph, self.ops, self.outer = graph, ops, outer
        self.paths: dict[Tensor, _Path] = {}
        self.places: dict[Operation, _Path] = {}
        self.frames: dict[Any, Any] = {}
        self.contexts: dict[_Path, ControlFlowContext] = {}

    def build(self) -> None:
        """Contexts for all operations, and a hidden operation for every loop and branch, inner ones first."""
        for op in self.ops:
            self._place(op)
        for op in self.ops:
            op._context = self._context(self.places[op])
        loops: dict[_Path, list[Operation]] = {}
        branches: dict[tuple[_Path, Any, str], list[Operation]] = {}
        for op in self.ops:
            if op.type in _MERGES:
                if self._is_loop_merge(op):
                    loops.setdefault(self.places[op], []).append(op)
                elif (key := self._branch_of(op)) is not None:
                    branches.setdefault(key, []).append(op)
        waiting: list[tuple[int, Any]] = [(len(path), (path, merges)) for path, merges in loops.items()]
        waiting += [(len(key[0]) + 1, (key, merges)) for key, merges in branches.items()]
        for _, (key, merges) in sorted(waiting, key=lambda item: -item[0]):
            if key in loops:
                self._make_loop(key, merges)
            else:
                self._make_cond(key, merges)

    # -- places ------------------------------------------------------------------------------------------------------
    def _place(self, op: Operation) -> None:
        reads = [self.paths[t] for t in op.inputs if t in self.paths]
        reads += [self.places[c] for c in op.control_inputs if c in self.places]
        if op.type in _MERGES and not self._is_loop_merge(op):
            inside: _Path = self._shared([self.paths.get(t, ()) for t in op.inputs])
        else:
            inside = max(reads, key=len, default=())
        place, out = inside, inside
        if op.type in _ENTERS:
            out = (*inside, self._loop(inside, op.attrs.get("frame_name", "")))
        elif op.type in _EXITS:
            last = max((i for i, frame in enumerate(inside) if isinstance(frame, _Loop)), default=0)
            place = out = inside[:last]
        self.places[op] = place
        for tensor in op.outputs:
            self.paths[tensor] = out
        if op.type in _SWITCHES and op.inputs[1].op.type != "LoopCond":
            for value, tensor in enumerate(op.outputs):
                self.paths[tensor] = (*inside, self._branch(inside, _plain(op.inputs[1]), value))

    def _is_loop_merge(self, op: Operation) -> bool:
        return any(t.op.type in _NEXTS for t in op.inputs)

    def _shared(self, paths: list[_Path]) -> _Path:
        """The path before the branches that the inputs of a Merge come from."""
        longest = max(paths, key=len)
        depth = 0
        while depth < len(longest) and all(len(p) > depth and p[depth] is longest[depth] for p in paths):
            depth += 1
        if len(set(paths)) == 1:  # nothing tells the inputs apart
            depth = max((i for i, frame in enumerate(longest) if isinstance(frame, _Branch)), default=len(longest))
        return longest[:depth]

    def _loop(self, path: _Path, name: str) -> _Loop:
        return self.frames.setdefault((path, name), _Loop(name))

    def _branch(self, path: _Path, pred: Tensor, value: int) -> _Branch:
        return self.frames.setdefault((path, pred, value), _Branch(pred, value))

    def _context(self, path: _Path) -> Any:
        if not path:
            return self.outer
        if path not in self.contexts:
            outer, frame = self._context(path[:-1]), path[-1]
            self.graph._context = outer
            try:
                self.contexts[path] = self._new_context(frame)
            finally:
                self.graph._context = self.outer
        return self.contexts[path]

    def _new_context(self, frame: Any) -> ControlFlowContext:
        if isinstance(frame, _Loop):
            return WhileContext(frame.name)
        return CondContext(frame.pred, frame.pred, frame.value, frame.pred.op.name.rpartition("/")[0] or "cond")

    # -- loops -------------------------------------------------------------------------------------------------------
    def _make_loop(self, path: _Path, merges: list[Operation]) -> None:
        context: Any = self._context(path)
        switches: dict[Tensor, Operation] = {}
        exits: dict[Tensor, list[Operation]] = {}
        for op in self.ops:
            if op.type in _SWITCHES and self.places[op] == path and op.inputs[1].op.type == "LoopCond":
                switches[op.inputs[0]] = op
                context.predicate = op.inputs[1]
            elif op.type in _EXITS:
                exits.setdefault(op.inputs[0], []).append(op)
        merges = [m for m in merges if m.outputs[0] in switches]
        begins = {*merges, *switches.values(), context.predicate.op}
        for op in self.ops:  # waiting for the turn to begin is what running the body means
            if op._control_inputs and self.places[op][: len(path)] == path:
                op._control_inputs = [c for c in op._control_inputs if c not in begins]
        context.merged = [m.outputs[0] for m in merges]
        context.entered = [switches[t].outputs[1] for t in context.merged]
        context.following = [_following(m) for m in merges]
        arguments = [*context.merged, *context.entered]
        context.captures, controls = context.captured([context.predicate, *context.following], arguments)
        enters = [next(t for t in m.inputs if t.op.type not in _NEXTS) for m in merges]
        made = self._hidden("While", path[:-1], context.name, [*enters, *context.captures], context.merged,
                            _loop_context=context)  # fmt: skip
        made._control_inputs, context._inner_controls = list(controls), controls
        context.loop = made
        context.exits = []
        for merged, result in zip(context.merged, made.outputs, strict=True):
            for op in exits.get(switches[merged].outputs[0], []):
                op._inputs = [result]
                context.exits.append(op.outputs[0])
        self.graph.extra.setdefault("loops", []).append(context)
        if context.outer_context is None:
            self.graph.add_to_collection(GraphKeys.WHILE_CONTEXT, context)

    # -- branches ----------------------------------------------------------------------------------------------------
    def _branch_of(self, op: Operation) -> tuple[_Path, Any, str] | None:
        """The path, predicate and scope of the branches that a Merge joins; None where it joins something else."""
        path = self.places[op]
        preds = set()
        for tensor in op.inputs:
            frame = next(iter(self.paths.get(tensor, ())[len(path) :]), None)
            if not isinstance(frame, _Branch):
                return None
            preds.add(frame.pred)
        return (path, preds.pop(), op.name.rpartition("/")[0]) if len(preds) == 1 and len(op.inputs) == 2 else None

    def _make_cond(self, key: tuple[_Path, Tensor, str], merges: list[Operation]) -> None:
        path, pred, scope = key
        branches, captures, controls = [], {}, {}
        for value in (0, 1):
            context: Any = copy.copy(self._context((*path, self._branch(path, pred, value))))
            context.results = [self._input_of(m, path, value) for m in merges]
            shared: Any = self._context((*path, self._branch(path, pred, value)))
            tensors, ops = shared.captured(context.results, [])
            captures.update(dict.fromkeys(tensors))
            controls.update(dict.fromkeys(ops))
            branches.append(context)
        results = [m.outputs[0] for m in merges]
        made = self._hidden("Cond", path, scope, [pred, *captures], results, _branches=tuple(branches))
        made._control_inputs = list(controls)
        self.graph.extra.setdefault("conds", []).append(made)
        for merge, result in zip(merges, made.outputs, strict=True):
            merge._inputs, merge.attrs["N"], merge.attrs["_lengths"] = [result], 1, {"inputs": 1}

    def _input_of(self, merge: Operation, path: _Path, value: int) -> Tensor:
        return next(t for t in merge.inputs if self.paths[t][len(path)].value == value)

    def _hidden(
        self, kind: str, path: _Path, name: str, inputs: list[Tensor], results: list[Tensor], **attrs: Any
    ) -> Operation:
        before, self.graph._context = self.graph._context, self._context(path)
        try:
            kinds = [t.dtype.base_dtype for t in results]
            shapes = [t.shape if t.op.type != "Merge" else unknown_shape().merge_with(t.shape) for t in results]
            return _hidden(kind, name, inputs, kinds, shapes, **attrs)
        finally:
            self.graph._context = before


def _plain(pred: Tensor) -> Tensor:
    """A predicate before the identities it goes through."""
    while pred.op.type == "Identity":
        pred = pred.op.inputs[0]
    return pred


def _following(merge: Operation) -> Tensor:
    """What a loop variable is after one turn; through the NextIteration where that waits for something."""
    after = next(t for t in merge.inputs if t.op.type in _NEXTS).op
    return after.outputs[0] if after.control_inputs else after.inputs[0]
