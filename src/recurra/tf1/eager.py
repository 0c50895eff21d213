"""Eager execution: a graph whose operations run when they are made, and tensors that hold their values.

An operation runs at once when all of its inputs have values and it is not part of a loop's or branch's body; what hangs on a
placeholder (Keras' symbolic layers) stays symbolic in the same graph, for the session that the graph has. Gradients are autograd's:
while a tape is open, variables are read as leaves that the tape remembers.
"""  # noqa: E501

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from recurra.tf1 import errors, nest, shape_errors
from recurra.tf1.codegen import CONTROL_FLOW
from recurra.tf1.constants import group_inputs
from recurra.tf1.dtypes import DType, as_dtype
from recurra.tf1.graph import Graph, get_default_graph, set_global_default
from recurra.tf1.names import export, tf_export
from recurra.tf1.plan import is_differentiable
from recurra.tf1.session import BaseSession
from recurra.tf1.shapes import TensorShape, as_shape, unknown_shape
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.values import Cell, TrackedCell, to_numpy, to_torch

_SYMBOLIC = {"Placeholder", "PlaceholderWithDefault", "Enter", "Exit", "NextIteration", "Merge", "Switch", "LoopCond",
             "Gradients"}  # fmt: skip
_NO_TWIN = {"VarHandleOp"}  # its tensor is the variable's storage: kept for as long as the operation


class _Tapes(threading.local):
    def __init__(self) -> None:
        self.open: list[Any] = []


_tapes = _Tapes()


class EagerTensor(Tensor):
    """A tensor with a value: `numpy()`, and Python's conversions of it."""

    def __init__(self, op: Operation, value_index: int, dtype: DType, value: Any):
        shape = as_shape(value.shape) if hasattr(value, "shape") else unknown_shape()
        super().__init__(op, value_index, dtype, shape)
        self._held = value

    def numpy(self) -> Any:
        """The value as an array, or a NumPy scalar."""
        return to_numpy(self._held)

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        raise NotImplementedError(
            "eval is not supported when eager execution is enabled, is .numpy() what you're looking for?"
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def cpu(self) -> EagerTensor:
        return self

    gpu = cpu

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype)

    def __bool__(self) -> bool:
        return bool(self.numpy())

    __nonzero__ = __bool__

    def __int__(self) -> int:
        return int(self.numpy())

    def __index__(self) -> int:
        return int(self.numpy().__index__())

    def __float__(self) -> float:
        return float(self.numpy())

    def __len__(self) -> int:
        if not self.shape.rank:
            raise TypeError("Scalar tensor has no `len()`")
        return self.shape.as_list()[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape.rank:
            raise TypeError("Cannot iterate over a scalar tensor.")
        return iter([self[i] for i in range(len(self))])

    def __format__(self, spec: str) -> str:
        return format(self.numpy() if spec else str(self), spec)

    def __str__(self) -> str:
        return f"tf.Tensor({_shown(self)}, shape={self.shape}, dtype={self.dtype.name})"

    def __repr__(self) -> str:
        return f"<tf.Tensor: id={self._id}, shape={self.shape}, dtype={self.dtype.name}, numpy={self.numpy()!r}>"


def _shown(tensor: EagerTensor) -> str:
    value = tensor.numpy()
    return str(value) if isinstance(value, np.ndarray | np.generic) else repr(value)


class EagerGraph(Graph):
    """The graph of a thread's eager execution: it keeps only what is symbolic."""

    eager = True

    def __init__(self) -> None:
        super().__init__()
        self.session = BaseSession(graph=self)
        self.building_function = False

    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """Names are unique among what is kept alone."""
        full = f"{self._name_stack}/{name}" if self._name_stack else name
        return super().unique_name(name, mark_as_used) if full in self._ops else full

    def run_now(self, op: Operation, kinds: list[Any]) -> bool:
        """Give an operation its outputs with their values; False when it stays symbolic."""
        if self._context is not None or self.symbolic or op.type in _SYMBOLIC:
            return False
        if not all(isinstance(t, EagerTensor) for t in op._inputs):
            return False
        result = self._execute(op)
        outputs = op.definition.outputs
        if not kinds:
            result = []
        elif len(outputs) == 1 and outputs[0].kind == "one":
            result = [result]
        op._outputs.extend(
            EagerTensor(op, i, as_dtype(kind), value) for i, (kind, value) in enumerate(zip(kinds, result, strict=True))
        )
        if op.type in _NO_TWIN:
            op._outputs[0]._shape = TensorShape([])
        elif self._ops.get(op.name) is op:
            del self._ops[op.name]
            if self._op_list and self._op_list[-1] is op:
                self._op_list.pop()
            if not any(t.dtype.name in ("resource", "variant") for t in op._inputs):
                op._inputs = []  # else the last tensor of a long computation would keep the whole of it
            op._control_inputs = []
        return True

    @contextlib.contextmanager
    def only_building(self) -> Iterator[None]:
        """Operations made inside stay symbolic: Keras' models are graphs."""
        self.symbolic += 1
        try:
            yield
        finally:
            self.symbolic -= 1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Operations made inside run, whatever is open outside: variables get their values."""
        before = self.symbolic, self._context
        self.symbolic, self._context = 0, None
        try:
            yield
        finally:
            self.symbolic, self._context = before

    def _execute(self, op: Operation) -> Any:
        definition = op.definition
        if op.type == "Const":
            return to_torch(np.array(op.attrs["value"]))
        if definition.bind is not None:
            more = (bool(_tapes.open),) if op.type in CONTROL_FLOW else ()
            function = definition.bind(op, self.session, *more)
        elif definition.many is not None:
            many = partial(definition.many, **definition.kwargs(op.attrs))
            function = lambda *args: many([args])  # noqa: E731
        else:
            function = partial(definition.fn, **definition.kwargs(op.attrs))
        record = bool(_tapes.open) and definition.diff is not False
        with torch.set_grad_enabled(record):
            values = [_argument(t, record and not definition.writes) for t in op._inputs]
            try:
                result = function(*group_inputs(op, values))
            except Exception as error:
                translated = errors.from_torch(error, op, shape_errors.at_run(op, [t._held for t in op._inputs]))
                if translated is error:
                    raise
                raise translated from error
        if op.type == "ReadVariableOp" and isinstance(values[0], Cell):  # later assignments write in place
            return result.clone() if isinstance(result, torch.Tensor) else result.copy()
        return result


def _argument(tensor: Tensor, record: bool) -> Any:
    value = tensor._held
    if not record or not isinstance(value, Cell) or not isinstance(value.read(), torch.Tensor):
        return value
    if not value.op.attrs["dtype"].is_floating and not value.op.attrs["dtype"].is_complex:
        return value
    tracked = TrackedCell(value)
    tracked.leaf = value.read().detach().clone().requires_grad_(True)
    for tape in _tapes.open:
        tape.note_read(tensor.op, tracked.leaf)
    return tracked


# -- switching -------------------------------------------------------------------------------------------------------
class _Process(threading.local):
    graph: EagerGraph | None = None


_process = _Process()


def eager_graph() -> EagerGraph:
    """The thread's graph of eager execution."""
    if _process.graph is None:
        _process.graph = EagerGraph()
    return _process.graph


@tf_export("enable_eager_execution", "compat.v1.enable_eager_execution", "python.framework.ops.enable_eager_execution")
def enable_eager_execution(config: Any = None, device_policy: Any = None, execution_mode: Any = None) -> None:
    """From now on operations run when they are made. ValueError once a graph was built."""
    current = get_default_graph()
    if not current.eager:
        if current._op_list:
            raise ValueError("tf.enable_eager_execution must be called at program startup.")
        set_global_default(eager_graph())


export(enable_eager_execution, "contrib.eager.enable_eager_execution", "enable_v2_behavior")


@tf_export("executing_eagerly", "contrib.eager.executing_eagerly", "contrib.eager.in_eager_mode",
           "python.eager.context.executing_eagerly", "python.eager.context.in_eager_mode")  # fmt: skip
def executing_eagerly() -> bool:
    """Whether operations run when they are made."""
    graph = get_default_graph()
    return graph.eager and not graph.symbolic


@tf_export("python.eager.context.eager_mode")
@contextlib.contextmanager
def eager_mode() -> Iterator[None]:
    """Eager execution inside the block."""
    with eager_graph().as_default():
        yield


@tf_export("python.eager.context.graph_mode")
@contextlib.contextmanager
def graph_mode() -> Iterator[None]:
    """Graph building inside the block."""
    current = get_default_graph()
    with (Graph() if current.eager else current).as_default():
        yield


# -- gradients -------------------------------------------------------------------------------------------------------
class Recording:
    """What one open tape knows: under which leaves variables were read, and what else it watches.

    `accessed`: whether it follows every trainable variable that is read, or those alone that it was told to watch.
    """

    def __init__(self, accessed: bool = True) -> None:
        self.reads: dict[Operation, list[torch.Tensor]] = {}
        self._accessed = accessed
        self._watched: dict[Any, Any] = {}  # variables' operations and tensors' leaves, by identity

    def note_read(self, handle: Operation, leaf: torch.Tensor) -> None:
        variable = getattr(handle, "variable", None)
        if id(handle) in self._watched or (self._accessed and (variable is None or variable.trainable)):
            self.reads.setdefault(handle, []).append(leaf)

    def clear(self) -> None:
        self.reads.clear()
        self._watched.clear()

    def start(self) -> None:
        _tapes.open.append(self)

    def stop(self) -> None:
        if self in _tapes.open:
            _tapes.open.remove(self)

    def watch(self, tensor: Any) -> None:
        """Let autograd follow a tensor or variable from here on."""
        handle = getattr(tensor, "handle", None)
        if handle is not None:
            self._watched[id(handle.op)] = handle.op
            return
        value = getattr(tensor, "_held", None)
        if isinstance(value, torch.Tensor) and is_differentiable(tensor):
            if not value.requires_grad:
                tensor._held = value.detach().requires_grad_(True)
            self._watched[id(tensor._held)] = tensor._held

    def gradient(self, targets: list[Any], sources: list[Any], seeds: list[Any] | None) -> list[torch.Tensor | None]:
        """d(sum of targets)/d(each source); None where nothing connects them."""
        places = [self._places(s) for s in sources]
        wanted = [p for part in places for p in part if p.requires_grad]
        ys = [(t._held, None if seeds is None else seeds[i]) for i, t in enumerate(targets)]
        ys = [(y, s) for y, s in ys if isinstance(y, torch.Tensor) and y.requires_grad]
        if not ys or not wanted:
            return [None] * len(sources)
        create = bool(_tapes.open)
        first = [torch.ones_like(y) if s is None else s._held.to(y.dtype).expand_as(y) for y, s in ys]
        with torch.set_grad_enabled(create):
            found = torch.autograd.grad(
                [y for y, _ in ys], wanted, first, retain_graph=True, create_graph=create, allow_unused=True
            )
            by_place = dict(zip(map(id, wanted), found, strict=True))
            return [_sum([by_place.get(id(p)) for p in part]) for part in places]

    def _places(self, source: Any) -> list[torch.Tensor]:
        handle = getattr(source, "handle", None)
        if handle is not None:
            return self.reads.get(handle.op, [])
        value = getattr(source, "_held", None)
        follows = isinstance(value, torch.Tensor) and (not value.is_leaf or id(value) in self._watched)
        return [value] if follows else []  # a leaf may be another tape's


def with_own_gradient(function: Any, inputs: list[Any], kwargs: dict[str, Any]) -> Any:
    """`function(*inputs) -> (ys, grad_fn)`: the ys, through which tapes go by grad_fn(*dys)."""
    with _unrecorded():
        result, gradient = function(*[wrap(_detached(t), t.dtype) for t in inputs], **kwargs)
    outputs = nest.flatten(result)
    if not _tapes.open:
        return result

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *values: Any) -> tuple[Any, ...]:
            return tuple(t._held.clone() for t in outputs)

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> tuple[Any, ...]:  # type: ignore[override]
            found = gradient(*[wrap(dy, t.dtype) for dy, t in zip(upstream, outputs, strict=True)])
            found = list(found) if isinstance(found, list | tuple) else [found]
            if len(found) != len(inputs):
                raise ValueError(f"custom_gradient function returned {len(found)} gradients for {len(inputs)} inputs")
            return tuple(None if g is None else g._held for g in found)

    with torch.set_grad_enabled(True):
        values = Custom.apply(*[t._held for t in inputs])
    return nest.pack_sequence_as(result, [wrap(v, t.dtype) for v, t in zip(values, outputs, strict=True)])


def _detached(tensor: Any) -> Any:
    value = tensor._held
    return value.detach() if isinstance(value, torch.Tensor) else value


@contextlib.contextmanager
def _unrecorded() -> Iterator[None]:
    """No tape follows what is computed inside."""
    before, _tapes.open = _tapes.open, []
    try:
        yield
    finally:
        _tapes.open = before


def _sum(parts: list[torch.Tensor | None]) -> torch.Tensor | None:
    total: torch.Tensor | None = None
    for part in parts:
        if part is not None:
            total = part if total is None else total + part
    return total


def wrap(value: Any, dtype: DType) -> EagerTensor:
    """A run-time value as a tensor of the eager graph."""
    graph = eager_graph()
    op = Operation(graph, "Const", "value", [], {"value": None, "dtype": dtype}, None)
    tensor = EagerTensor(op, 0, dtype, value)
    op._outputs.append(tensor)
    return tensor
