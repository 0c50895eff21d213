"""Plans: the ops that some fetches need, in order, as one generated Python function of torch calls.

A plan is made once for its (fetches, feeds). Constants are folded; chains of cell steps become sequences; only the ops
between the ys and xs of a Gradients op are recorded by autograd; `codegen` writes the function. Bodies of loops and
branches are compiled by the same `compile_function` and called by their own lowering.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from recurra.tf1 import fusion
from recurra.tf1.codegen import Generator, translate
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import OpError
from recurra.tf1.norm_fusion import join_norms
from recurra.tf1.order import needed_ops
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.workload import Workload

__all__ = ["Plan", "compile_function", "gradient_targets", "is_differentiable", "needed_ops", "translate"]


class Plan:
    """A compiled function together with the elements it was made for (kept alive: plans are found by their ids).

    `loops` says of every loop (by the name of its first operation) and cell step whether it runs as a "sequence" or in "steps".
    """  # noqa: E501

    def __init__(
        self,
        call: Callable[..., tuple[Any, ...]],
        keep: Any,
        ops: list[Operation],
        loops: dict[str, str],
        work: Workload,
    ):
        self.call, self.keep, self.ops, self.loops, self.work = call, keep, ops, loops, work


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
        self.known: dict[Tensor, Any] = {}
        self.substituted: set[Tensor] = set()
        self.producers: dict[Tensor, Operation] = {}  # of the outputs of fused operations
        self.instead: dict[Operation, Operation] = {}
        self.reordered = False
        self.leaves_early: set[Tensor] = set()

    def compile(self) -> Plan:
        ops = needed_ops(self.results, self.targets, self.given, self.done)
        ops = self._follow_fed_gradients(ops)
        ops = self._shorten_loops(ops)
        ops = self._find_cells(ops)
        self.gradient_ops = [op for op in ops if op.type == "Gradients"]
        self._fold(ops)
        ops = self._live(ops)
        self.gradient_ops = [op for op in ops if op.type == "Gradients"]
        region, leaves = self._regions(ops)
        self.leaves_early = leaves
        if not self.recording:
            held = leaves | self.given | set(self.results)
            joined = join_norms(ops, held.__contains__, region)
            self.producers.update((t, op) for op in joined if op.type == "HalfSquares" for t in op.outputs)
            ops = joined
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
        instead = self.instead
        for op in loops:
            short = op.attrs["_loop_context"].shortened(op, frozenset(i for i, t in enumerate(op.outputs) if t in used))
            if short is not op:
                instead[op] = short
        if not instead:
            return ops
        for op in instead.values():
            self.producers.update(dict.fromkeys(op.outputs, op))
        return needed_ops(self.results, self.targets, self.given - self.substituted, self.done, instead)

    def _find_cells(self, ops: list[Operation]) -> list[Operation]:
        """Steps of cells that the program wrote out as steps of the library's."""
        from recurra.tf1.rnn.recognise import written_out

        held = {t for op in ops if op.type == "Gradients" for t in gradient_targets(op)} | self.given
        instead = written_out(ops, held.__contains__)
        if not instead:
            return ops
        self.instead.update(instead)
        self.producers.update((t, made) for made in instead.values() for t in made.outputs)
        return needed_ops(self.results, self.targets, self.given - self.substituted, self.done, self.instead)

    def _fold(self, ops: list[Operation]) -> None:
        """Values that no feed, state or random number can change."""
        static_shapes = all(
            t.op.type in ("Placeholder", "PlaceholderWithDefault") or not t.op._inputs for t in self.args
        )
        differentiated = {t for op in self.gradient_ops for t in gradient_targets(op)}
        for op in ops:
            if op.graph.eager and _was_run(op):  # what a symbolic part of an eager graph takes from the rest
                self.known.update((t, constant_value(t)) for t in op.outputs if t not in self.given)
                continue
            if op.type == "Const":
                known = op.outputs[0] not in self.given
            elif op.type in ("Shape", "Size", "Rank", "ShapeN"):
                known = static_shapes and not op._inputs[0].dtype._is_ref_dtype
            else:
                known = bool(op._inputs) and all(t in self.known for t in op._inputs)
            if not known or op._control_inputs or any(t in differentiated or t in self.given for t in op.outputs):
                continue
            try:
                values = [constant_value(t) for t in op.outputs]
            except OpError:
                continue  # the run says it, with the operation
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
            before = {self.producer(t) for t in op._inputs if self._computed(t)} | set(op._control_inputs)
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

    def producer(self, tensor: Tensor) -> Operation:
        """The operation of this plan that makes a tensor."""
        return self.producers.get(tensor, tensor.op)

    def _computed(self, tensor: Tensor) -> bool:
        return tensor not in self.known and (tensor not in self.given or tensor in self.substituted)

    def _generate(self, ops: list[Operation], region: set[Operation], leaves: set[Tensor]) -> Plan:
        written = Generator(self, ops, region, leaves)
        return Plan(
            written.function(), (self.args, self.results, self.targets), ops, written.loops, Workload(ops, self.args)
        )


def _was_run(op: Operation) -> bool:
    """Whether eager execution gave the outputs of an operation their values (a variable is read in the plan)."""
    return bool(op.outputs) and all(type(t) is not Tensor for t in op.outputs) and op.type != "VarHandleOp"


def _rank(op: Operation) -> int:
    """When an op that is ready runs: writes last, those marked `_early` (decoupled weight decay) first."""
    return -1 if "_early" in op.attrs else int(op.definition.writes)


def is_differentiable(tensor: Tensor) -> bool:
    """Whether gradients may flow through a tensor of this dtype."""
    kind = tensor.dtype.base_dtype
    return kind.is_floating or kind.is_complex


def gradient_targets(op: Operation) -> list[Tensor]:
    """The tensors that a Gradients op differentiates by."""
    return op.inputs[op.attrs["n_ys"] + sum(op.attrs["gys"]) :]
