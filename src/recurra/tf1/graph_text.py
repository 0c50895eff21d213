"""A graph as plain data (JSON) and back: what import_meta_graph reads. Nothing in it is executed; Python functions of a program
(py_func, cell equations given as closures) stay in the process that made them, and an operation that lost its function says so when run.
"""  # noqa: E501

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import contexts, names, registry
from recurra.tf1.dtypes import DType, as_dtype
from recurra.tf1.graph import Graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.rnn import sequence
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.variables import RefVariable, ResourceVariable, Variable

_VARIABLES = {"RefVariable": RefVariable, "ResourceVariable": ResourceVariable}
_CONTEXTS = {
    "WhileContext": contexts.WhileContext,
    "CondContext": contexts.CondContext,
    "ControlFlowContext": contexts.ControlFlowContext,
}


class Encoder:
    """One graph as JSON text; `objects` are the values that have no data form."""

    def __init__(self, graph: Graph, saved: dict[str, Any] | None = None):
        self.graph, self.saved = graph, saved
        self.ops: list[Operation] = []
        self.index: dict[Operation, int] = {}
        self.contexts: dict[int, int] = {}
        self.context_rows: list[Any] = []
        self.objects: list[Any] = []
        self.shared: dict[int, int] = {}
        self.shared_rows: list[Any] = []

    def encode(self) -> bytes:
        """The compressed text."""
        for op in self.graph.get_operations():
            self.op(op)
        collections = [
            [key, [self.value(i) for i in self.graph.get_collection(key)]]
            for key in self.graph.collections
            if isinstance(key, str)
        ]
        saved = self.value(self.saved)
        rows = []
        done = 0
        while done < len(self.ops):  # encoding an operation may reach further hidden ones
            rows.append(self._row(self.ops[done]))
            done += 1
        text = {
            "ops": rows,
            "contexts": self.context_rows,
            "collections": collections,
            "shared": self.shared_rows,
            "seed": self.graph.seed,
            "saved": saved,
        }
        return zlib.compress(json.dumps(text).encode())

    def op(self, op: Operation) -> int:
        if op not in self.index:
            self.index[op] = len(self.ops)
            self.ops.append(op)
        return self.index[op]

    def _row(self, op: Operation) -> Any:
        listed = self.graph._ops.get(op.name) is op
        return {
            "type": op.type,
            "name": op.name,
            "listed": listed,
            "device": op._device,
            "inputs": [self.tensor(t) for t in op._inputs],
            "controls": [self.op(o) for o in op._control_inputs],
            "attrs": [[k, self.value(v)] for k, v in op._attrs.items()],
            "outputs": [[t.dtype.name, None if t.shape.values is None else list(t.shape.values)] for t in op.outputs],
            "context": None if op._context is None else self.context(op._context),
        }

    def tensor(self, tensor: Tensor) -> list[int]:
        return [self.op(tensor.op), tensor.value_index]

    def context(self, context: Any) -> int:
        if id(context) not in self.contexts:
            place = self.contexts[id(context)] = len(self.context_rows)
            self.context_rows.append(None)
            kept = {k: v for k, v in vars(context).items() if k not in ("graph", "_stacks", "_needs", "_shortened")}
            row = {"kind": type(context).__name__, "attrs": [[k, self.value(v)] for k, v in kept.items()]}
            self.context_rows[place] = row
        return self.contexts[id(context)]

    def value(self, value: Any) -> Any:
        """Any attribute or collection item."""
        if value is None or isinstance(value, bool | str) or type(value) in (int, float):
            return value
        for kind, code, convert in self._table():
            if isinstance(value, kind):
                return {code: convert(value)}
        if hasattr(value, "graph_state"):  # queue runners, savers: made anew from what they hold of the graph
            name, state = value.graph_state()
            return {"made": [name, self.value(state)]}
        self.objects.append(value)
        return {"object": len(self.objects) - 1}

    def _table(self) -> list[tuple[Any, str, Callable[[Any], Any]]]:
        return [
            (Tensor, "tensor", self.tensor),
            (Operation, "op", self.op),
            (DType, "dtype", lambda v: v.name),
            (TensorShape, "shape", lambda v: None if v.values is None else list(v.values)),
            (np.ndarray, "array", _array_out),
            (np.generic, "array", lambda v: _array_out(np.asarray(v))),
            (bytes, "bytes", lambda v: base64.b64encode(v).decode()),
            (contexts.ControlFlowContext, "context", self.context),
            (sequence.Attached, "attached", lambda v: self.value(v.lengths)),
            (Variable, "variable", self._variable),
            (list, "list", lambda v: [self.value(i) for i in v]),
            (tuple, "tuple", lambda v: [self.value(i) for i in v]),
            (dict, "dict", lambda v: [[self.value(k), self.value(i)] for k, i in v.items()]),
        ]

    def _variable(self, variable: Variable) -> int:
        if id(variable) not in self.shared:
            place = self.shared[id(variable)] = len(self.shared_rows)
            self.shared_rows.append(None)
            skipped = ("_constraint", "_synchronization", "_aggregation", "_save_slice_info")
            kept = {k: v for k, v in vars(variable).items() if k not in skipped}
            kind = type(variable).__name__ if type(variable).__name__ in _VARIABLES else "RefVariable"
            self.shared_rows[place] = [kind, [[k, self.value(v)] for k, v in kept.items()]]
        return self.shared[id(variable)]


def _array_out(array: np.ndarray) -> Any:
    if array.dtype.kind == "O":
        items = [base64.b64encode(i).decode() for i in array.reshape(-1)]
        return ["string", list(array.shape), items]
    name = as_dtype(array.dtype).name
    return [name, list(array.shape), base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()]


def _array_in(row: Any) -> np.ndarray:
    name, shape, data = row
    if name == "string":
        made = np.empty(len(data), dtype=object)
        made[:] = [base64.b64decode(i) for i in data]
        return made.reshape(shape)
    return np.frombuffer(base64.b64decode(data), dtype=as_dtype(name).as_numpy_dtype).reshape(shape).copy()


class Decoder:
    """Adds an encoded graph to `graph`, names under `prefix`; `saved` is {name in the checkpoint: variable} then."""

    def __init__(self, data: bytes, graph: Graph, prefix: str, objects: list[Any] | None, clear_devices: bool):
        self.text = json.loads(zlib.decompress(data))
        self.graph, self.prefix, self.objects, self.clear = graph, prefix, objects, clear_devices
        self.ops: list[Operation] = []
        self.contexts: list[Any] = []
        self.shared: dict[int, Any] = {}
        self.taken: dict[Operation, Operation] = {}
        self.saved: dict[str, Variable] | None = None

    def decode(self) -> None:
        """Operations, contexts and collections."""
        for row in self.text["ops"]:
            self.ops.append(self._operation(row))
        self.contexts = [_CONTEXTS[row["kind"]].__new__(_CONTEXTS[row["kind"]]) for row in self.text["contexts"]]
        for context, row in zip(self.contexts, self.text["contexts"], strict=True):
            context.graph, context._stacks = self.graph, []
            for key, value in row["attrs"]:
                setattr(context, key, self.value(value))
        for op, row in zip(self.ops, self.text["ops"], strict=True):
            op._inputs = [self.tensor(t) for t in row["inputs"]]
            op._control_inputs = [self.ops[i] for i in row["controls"]]
            op._attrs.update((k, self.value(v)) for k, v in row["attrs"])
            op._context = None if row["context"] is None else self.contexts[row["context"]]
        known = {v.op: v for v in self.graph.get_collection(GraphKeys.GLOBAL_VARIABLES) if isinstance(v, Variable)}
        for key, items in self.text["collections"]:
            for item in items:
                value = self._by_name(self.value(item), known)
                if value is not _LOST:
                    self.graph.add_to_collection(key, value)
        self.saved = self.value(self.text.get("saved"))
        if self.graph.seed is None:
            self.graph.seed = self.text["seed"]
        self.graph._touch()

    def _by_name(self, item: Any, known: dict[Operation, Variable]) -> Any:
        """A collection holds names: where the graph had an operation of that name before, they mean that one."""
        if isinstance(item, Variable):
            return known.get(self.taken.get(item.op, item.op), item)
        if isinstance(item, Tensor) and item.op in self.taken:
            return self.taken[item.op].outputs[item.value_index]
        return self.taken.get(item, item) if isinstance(item, Operation) else item

    def _operation(self, row: Any) -> Operation:
        name = self.prefix + row["name"]
        before = self.graph._ops.get(name) if row["listed"] else None
        if before is not None:
            name = self.graph.unique_name_absolute(name)
        made = Operation(self.graph, row["type"], name, (), {}, registry.get(row["type"]))
        made._device = "" if self.clear else row["device"]
        made._outputs = [
            Tensor(made, i, as_dtype(kind), TensorShape(dims)) for i, (kind, dims) in enumerate(row["outputs"])
        ]
        if before is not None:
            self.taken[made] = before
        if row["listed"]:
            self.graph._ops[name] = made
            self.graph._op_list.append(made)
            parts = name.lower().split("/")
            for i in range(len(parts)):
                self.graph._names_in_use.setdefault("/".join(parts[: i + 1]), 1)
        return made

    def tensor(self, place: Any) -> Tensor:
        return self.ops[place[0]].outputs[place[1]]

    def value(self, value: Any) -> Any:
        """The inverse of Encoder.value."""
        if not isinstance(value, dict):
            return value
        ((code, data),) = value.items()
        return getattr(self, f"_{code}")(data)

    _tensor = tensor

    def _op(self, data: Any) -> Operation:
        return self.ops[data]

    def _dtype(self, data: Any) -> DType:
        return as_dtype(data)

    def _shape(self, data: Any) -> TensorShape:
        return TensorShape(data)

    def _array(self, data: Any) -> np.ndarray:
        return _array_in(data)

    def _bytes(self, data: Any) -> bytes:
        return base64.b64decode(data)

    def _context(self, data: Any) -> Any:
        return self.contexts[data]

    def _attached(self, data: Any) -> Any:
        return sequence.Attached(self.value(data))

    def _list(self, data: Any) -> list[Any]:
        return [self.value(i) for i in data]

    def _tuple(self, data: Any) -> tuple[Any, ...]:
        return tuple(self.value(i) for i in data)

    def _dict(self, data: Any) -> dict[Any, Any]:
        return {self.value(k): self.value(v) for k, v in data}

    def _made(self, data: Any) -> Any:
        name, state = data
        return names.lookup(name).from_graph_state(self.value(state))

    def _object(self, data: Any) -> Any:
        return self.objects[data] if self.objects is not None else _LOST

    def _variable(self, data: Any) -> Variable:
        if data not in self.shared:
            kind, attrs = self.text["shared"][data]
            made = object.__new__(_VARIABLES[kind])
            self.shared[data] = made
            defaults = {"_constraint": None, "_synchronization": None, "_aggregation": None, "_save_slice_info": None}
            made.__dict__.update(defaults)
            made.__dict__.update((k, self.value(v)) for k, v in attrs)
        return self.shared[data]


class _Lost:
    """Stands for a Python function of the process that exported the graph."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("This operation was a Python function of the program that exported the graph")


_LOST = _Lost()
