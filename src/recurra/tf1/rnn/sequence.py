"""Loops over known cells as whole sequences.

`attach` marks the loop of a dynamic_rnn. When a plan is made, `lift` reads the loop's body: reads of the input arrays become the whole
inputs, CellStep operations become sequence calls, element-wise operations between them act on all time steps at once. A body with
anything else in it runs step by step.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from recurra.tf1.constants import constant_value, group_inputs
from recurra.tf1.plan import needed_ops
from recurra.tf1.rnn.sequence_call import SequenceCall
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.tensor_array import ArrayState
from recurra.tf1.values import to_torch

_ELEMENTWISE = frozenset(
    [
        "Add",
        "AddV2",
        "Sub",
        "Mul",
        "RealDiv",
        "Div",
        "Maximum",
        "Minimum",
        "Sigmoid",
        "Tanh",
        "Relu",
        "Relu6",
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "Neg",
        "Square",
        "Sqrt",
        "Rsqrt",
        "Exp",
        "Identity",
        "BiasAdd",
        "Cast",
        "Floor",
        "Greater",
        "Less",
        "GreaterEqual",
        "LessEqual",
        "LogicalAnd",
        "LogicalOr",
        "LogicalNot",
    ]
)
_RANDOM = ("RandomUniform", "RandomStandardNormal", "TruncatedNormal")

Run = Callable[[list[Any]], Any]


def call_of(step: Operation) -> Callable[..., Any]:
    """The sequence call of a CellStep; each has its own, as each has its own parameters."""
    attrs = step.attrs
    return SequenceCall(attrs["family"], attrs["fields"], attrs["options"])


class _Step(NamedTuple):
    """One line of a lifted body: `outputs = run(values of inputs)`."""

    outputs: list[Tensor]
    inputs: list[Tensor]
    run: Callable[..., Any]


def attach(context: Any, cell: Any, lengths: Any) -> None:
    """Remember that the loop of `context` is a dynamic_rnn with these lengths."""
    context.sequence = Attached(lengths)


class Attached:
    def __init__(self, lengths: Tensor | None):
        self.lengths = lengths

    def bind(self, context: Any, session: Any) -> Callable[[list[Any]], Any] | None:
        """The loop as a function of (initial values + captures), or None when the body is not of the known kind."""
        lifted = _Lift(context, self.lengths, session)
        return lifted.runner() if lifted.build() else None


class _Lift:
    def __init__(self, context: Any, lengths: Tensor | None, session: Any):
        self.context, self.lengths, self.session = context, lengths, session
        self.kinds: dict[Tensor, str] = {}
        self.steps: list[_Step] = []
        self.nexts: dict[Tensor, Tensor] = {}  # a following tensor -> the entered tensor it continues
        self.finals: dict[Tensor, Tensor] = {}  # a following tensor -> the tensor that holds the final value
        self.arrays: list[Tensor] = []

    def build(self) -> bool:
        """Read the body; False when something in it is not known."""
        context = self.context
        for tensor in context.entered:
            kind = tensor.dtype.base_dtype.name
            array = any(
                op.type == "TensorArrayWriteV3" and op.inputs[3] is tensor for op in self._body(context.following)
            )
            self.kinds[tensor] = (
                "flow" if array else "time" if kind in ("int32", "int64") and tensor.shape.rank == 0 else "state"
            )
        for tensor in context.captures:
            self.kinds[tensor] = "fixed"
        for op in self._body(context.following):
            if not self._lift(op):
                return False
        return all(
            f in self.finals and self.nexts[f] is e for f, e in zip(context.following, context.entered, strict=True)
        )

    def _body(self, results: list[Tensor]) -> list[Operation]:
        if not hasattr(self, "_ops"):
            context = self.context
            self._ops = needed_ops(results, [], [*context.entered, *context.captures], context.loop.control_inputs)
        return self._ops

    def _lift(self, op: Operation) -> bool:
        if op.type == "NoOp":
            return True
        if op.type == "Const":
            value = to_torch(op.attrs["value"])
            return self._add(op, "fixed", [], lambda: value)
        kinds = [self.kinds.get(t) for t in op.inputs]
        if None in kinds or any(c.type not in ("NoOp",) and c in set(self._ops) for c in op.control_inputs):
            return False
        handler = getattr(self, f"_lift_{op.type.lower()}", None)
        if handler is not None:
            return handler(op, kinds)
        if op.type in _RANDOM and all(k == "fixed" for k in kinds):
            return self._lift_random(op)
        if op.definition.fn is None or op.definition.stateful:
            return False
        function = op.definition.fn
        keywords = op.definition.kwargs(op.attrs)
        if all(k == "fixed" for k in kinds):
            return self._add(op, "fixed", op.inputs, lambda *v: function(*group_inputs(op, list(v)), **keywords))
        if op.type in _ELEMENTWISE and set(kinds) <= {"fixed", "series"}:
            if op.type in ("Add", "AddV2") and self._is_time(op):
                return False
            ranks = [t.shape.rank for t, k in zip(op.inputs, kinds, strict=True) if k == "series"]
            if any(t.shape.rank is None or t.shape.rank > min(r or 0 for r in ranks) for t in op.inputs):
                return False
            return self._add(op, "series", op.inputs, lambda *v: function(*v, **keywords))
        return False

    def _is_time(self, op: Operation) -> bool:
        return any(self.kinds.get(t) == "time" for t in op.inputs)

    def _add(self, op: Operation, kind: str, inputs: list[Tensor], run: Callable[..., Any]) -> bool:
        self.steps.append(_Step(list(op.outputs), list(inputs), run))
        for tensor in op.outputs:
            self.kinds[tensor] = kind
        return True

    # -- operations that a dynamic_rnn's body is made of -------------------------------------------------------------
    def _lift_time(self, op: Operation, kinds: list[Any]) -> bool:
        place = kinds.index("time") if "time" in kinds else -1
        if place < 0 or len(kinds) != 2:
            return self._lift_plain(op, kinds)
        one = constant_value(op.inputs[1 - place])
        if one is None or int(one) != 1:
            return False
        self.nexts[op.outputs[0]] = op.inputs[place]
        self.finals[op.outputs[0]] = op.outputs[0]
        self.kinds[op.outputs[0]] = "next"
        self.steps.append(_Step([op.outputs[0]], [], _count))
        return True

    def _lift_plain(self, op: Operation, kinds: list[Any]) -> bool:
        function, keywords = op.definition.fn, op.definition.kwargs(op.attrs)
        if not set(kinds) <= {"fixed", "series"}:
            return False
        kind = "series" if "series" in kinds else "fixed"
        return self._add(op, kind, op.inputs, lambda *v: function(*v, **keywords))

    _lift_add = _lift_addv2 = _lift_time

    def _lift_tensorarrayreadv3(self, op: Operation, kinds: list[Any]) -> bool:
        if kinds != ["fixed", "time", "fixed"]:
            return False
        self.arrays.append(op.inputs[2])
        return self._add(op, "series", [op.inputs[2]], lambda array: array.stacked)

    def _lift_tensorarraywritev3(self, op: Operation, kinds: list[Any]) -> bool:
        if kinds != ["fixed", "time", "series", "flow"]:
            return False
        self.nexts[op.outputs[0]] = op.inputs[3]
        self.finals[op.outputs[0]] = op.outputs[0]
        return self._add(op, "written", [op.inputs[3], op.inputs[2]], _store)

    def _lift_greaterequal(self, op: Operation, kinds: list[Any]) -> bool:
        if kinds != ["time", "fixed"]:
            return self._lift_plain(op, kinds)
        return self._add(op, "mask", [op.inputs[1]], lambda lengths: lengths)

    def _lift_matmul(self, op: Operation, kinds: list[Any]) -> bool:
        if kinds == ["series", "fixed"] and not op.attrs.get("transpose_a"):
            turned = op.attrs.get("transpose_b", False)
            return self._add(op, "series", op.inputs, lambda x, w: torch.matmul(x, w.t() if turned else w))
        return self._lift_plain(op, kinds) if set(kinds) == {"fixed"} else False

    def _lift_concatv2(self, op: Operation, kinds: list[Any]) -> bool:
        axis = constant_value(op.inputs[-1])
        if axis is None or int(axis) not in (1, -1) or any(k != "series" for k in kinds[:-1]):
            return False
        return self._add(op, "series", op.inputs[:-1], lambda *parts: torch.cat(parts, -1))

    def _lift_shape(self, op: Operation, kinds: list[Any]) -> bool:
        if kinds != ["series"]:
            return self._lift_plain(op, kinds) if kinds == ["fixed"] else False
        kind = op.outputs[0].dtype.torch
        return self._add(op, "fixed", op.inputs, lambda x: torch.tensor(x.shape[1:], dtype=kind))

    def _lift_random(self, op: Operation) -> bool:
        draw = op.definition.bind(op, self.session)  # type: ignore[misc]
        self.steps.append(_Step(list(op.outputs), [self._length_source(), *op.inputs], _Drawn(draw)))
        self.kinds[op.outputs[0]] = "series"
        return self.arrays != []

    def _length_source(self) -> Tensor:
        return self.arrays[0] if self.arrays else self.context.entered[0]

    def _lift_select(self, op: Operation, kinds: list[Any]) -> bool:
        if kinds[0] != "mask":
            return False
        if kinds[1] == "state":
            new = op.inputs[2]
            if new not in self.finals or self.nexts.get(new) is not op.inputs[1]:
                return False
            self.nexts[op.outputs[0]] = op.inputs[1]
            self.finals[op.outputs[0]] = self.finals[new]
            self.kinds[op.outputs[0]] = "next"
            return True
        if kinds[2] != "series" or kinds[1] not in ("series", "fixed"):
            return False
        return self._add(op, "series", op.inputs, _masked)

    _lift_selectv2 = _lift_select

    def _lift_cellstep(self, op: Operation, kinds: list[Any]) -> bool:
        count = op.attrs["_lengths"]["state"]
        if (
            kinds[0] != "series"
            or any(k != "state" for k in kinds[1 : count + 1])
            or any(k != "fixed" for k in kinds[count + 1 :])
        ):
            return False
        state = op.inputs[1 : count + 1]
        call = call_of(op)
        masked = self.lengths is not None
        lengths = [self.lengths] if self.lengths is not None else []
        if any(self.kinds.get(t) != "fixed" for t in lengths):
            return False

        def run(inputs: Any, *rest: Any) -> tuple[Any, ...]:
            bound = rest[0].clamp(0, inputs.shape[0]) if masked else None
            values = rest[1:] if masked else rest
            outputs, final = call(inputs, list(values[:count]), list(values[count:]), bound)
            return (outputs, *final)

        holders = [_holder(t) for t in op.outputs]
        self.steps.append(
            _Step([op.outputs[-1], *holders], [op.inputs[0], *lengths, *state, *op.inputs[count + 1 :]], run)
        )
        for tensor, holder, old in zip(op.outputs, holders, state, strict=True):
            self.kinds[tensor] = "memory"
            self.nexts[tensor], self.finals[tensor] = old, holder
        self.kinds[op.outputs[-1]] = "series"
        return True

    # -- running -----------------------------------------------------------------------------------------------------
    def runner(self) -> Callable[[list[Any]], Any]:
        """The lifted loop; it answers None when an input array was not filled as a whole (then the steps must run)."""
        context = self.context
        given = [*context.entered, *context.captures]
        slots: dict[Tensor, int] = {t: i for i, t in enumerate(given)}
        for step in self.steps:
            for tensor in step.outputs:
                slots.setdefault(tensor, len(slots))
        lines = [(s.run, [slots[t] for t in s.inputs], [slots[t] for t in s.outputs]) for s in self.steps]
        results = [slots[self.finals[t]] for t in context.following]
        arrays = [slots[t] for t in self.arrays]
        times = {
            slots[t]: t.dtype.base_dtype.torch
            for t in context.following
            if self.kinds[t] == "next" and self.finals[t] is t
        }
        lengths = slots.get(self.lengths) if self.lengths is not None else None
        size = len(slots)

        def run(values: list[Any]) -> Any:
            sources = [values[i] for i in arrays]
            if not sources or any(not isinstance(s, ArrayState) or s.stacked is None for s in sources):
                return None
            steps = sources[0].stacked.shape[0]
            if steps == 0:
                return None
            env = values + [None] * (size - len(values))
            for function, inputs, outputs in lines:
                result = function(*[env[i] for i in inputs])
                if len(outputs) == 1:
                    env[outputs[0]] = result
                else:
                    for place, value in zip(outputs, result, strict=True):
                        env[place] = value
            ran = steps if lengths is None else min(steps, max(1, int(env[lengths].max())))
            return tuple(torch.tensor(ran, dtype=times[i]) if i in times else env[i] for i in results)

        return run


def _holder(tensor: Tensor) -> Tensor:
    """A stand-in for the final value of a state that changes at every step."""
    return tensor.__copy__()


def _count() -> None:
    return None


def _store(array: ArrayState, series: torch.Tensor) -> ArrayState:
    array.items, array.stacked = [], series
    return array


def _masked(lengths: Any, past: Any, series: torch.Tensor) -> torch.Tensor:
    done = torch.arange(series.shape[0], dtype=lengths.dtype).unsqueeze(1) >= lengths
    return torch.where(done.reshape(*done.shape, *[1] * (series.dim() - 2)), past, series)


class _Drawn:
    """The random numbers of all steps, drawn in the order of the steps."""

    def __init__(self, draw: Callable[..., Any]):
        self.draw = draw

    def __call__(self, source: Any, *inputs: Any) -> torch.Tensor:
        return torch.stack([self.draw(*inputs) for _ in range(source.stacked.shape[0])])
