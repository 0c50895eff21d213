"""tf.import_graph_def: operations from the NodeDefs of a GraphDef, ours or TensorFlow's.

A node's type is looked up in the registry of operations. One that is not there is taken in all the same and fails when it is run, so
that a training graph's forward half runs whatever its other nodes are. Loops and branches are put together by `graph_frames.py`.
"""  # noqa: E501

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from recurra.tf1 import graph_frames
from recurra.tf1.build import convert_to_tensor, name_scope, output_dtypes
from recurra.tf1.dtypes import DType, as_dtype
from recurra.tf1.graph import Graph, get_default_graph
from recurra.tf1.graph_def import PRIVATE, RENAMED
from recurra.tf1.graph_defaults import LEFT_OUT
from recurra.tf1.inference import infer_shapes
from recurra.tf1.names import tf_export
from recurra.tf1.protos import message
from recurra.tf1.registry import OPS, OpDef
from recurra.tf1.shapes import TensorShape, unknown_shape
from recurra.tf1.tensor import Operation, Tensor


@tf_export("import_graph_def", "graph_util.import_graph_def", "python.framework.importer.import_graph_def")
def import_graph_def(
    graph_def: Any,
    input_map: dict[str, Any] | None = None,
    return_elements: list[str] | None = None,
    name: str | None = None,
    op_dict: Any = None,
    producer_op_list: Any = None,
) -> list[Any] | None:
    """Add a GraphDef's nodes to the default graph under `name` ("import"), with tensors of the graph in place of those in `input_map`.

    Returns the operations and tensors that `return_elements` names. `op_dict` and `producer_op_list` are not needed here.
    """  # noqa: E501
    nodes = _checked(graph_def).node
    given = _input_map(input_map)
    wanted = _wanted(return_elements)
    with name_scope(name, "import", [v for v in given.values() if isinstance(v, Tensor)]) as scope:
        replaced = {_canonical(key): _tensor(value) for key, value in given.items()}
        importer = Importer(nodes, get_default_graph(), scope or "", replaced)
        importer.run()
    if unused := sorted(key for key in replaced if key not in importer.mapped):
        raise ValueError(f"Attempted to map inputs that were not found in graph_def: [{', '.join(unused)}]")
    return None if wanted is None else [importer.element(item) for item in wanted]


def _checked(graph_def: Any) -> Any:
    if hasattr(graph_def, "node") and hasattr(graph_def, "versions"):
        return graph_def
    raise TypeError("graph_def must be a GraphDef proto.")


def _input_map(input_map: Any) -> dict[str, Any]:
    if input_map is None:
        return {}
    if not (isinstance(input_map, dict) and all(isinstance(k, str | bytes) for k in input_map)):
        raise TypeError("input_map must be a dictionary mapping strings to Tensor objects.")
    return {_text(key): value for key, value in input_map.items()}


def _wanted(return_elements: Any) -> list[str] | None:
    if return_elements is None:
        return None
    if isinstance(return_elements, str) or not all(isinstance(item, str | bytes) for item in return_elements):
        raise TypeError("return_elements must be a list of strings.")
    return [_text(item) for item in return_elements]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _tensor(value: Any) -> Any:
    return value if isinstance(value, Operation) else convert_to_tensor(value)


def _canonical(name: str) -> str:
    """`node:0` for a tensor's name however short; control inputs stay as they are."""
    head, colon, index = name.rpartition(":")
    if name.startswith("^") or (colon and index.isdigit() and head):
        return name
    if colon:
        raise ValueError(f"Cannot convert {name!r} to a tensor name.")
    return f"{name}:0"


class Importer:
    """Adds NodeDefs to `graph`, their names below `prefix` ("import/")."""

    def __init__(self, nodes: Iterable[Any], graph: Graph, prefix: str, replaced: dict[str, Any]):
        self.nodes: dict[str, Any] = {}
        for node in nodes:
            if node.name in self.nodes:
                raise ValueError(f"Node '{node.name}' is not unique")
            self.nodes[node.name] = node
        self.graph, self.prefix, self.replaced = graph, prefix, replaced
        self.ops: dict[str, Operation] = {}
        self.mapped: set[str] = set()
        self.outer = graph._get_control_flow_context()

    def run(self) -> None:
        """Make all operations, close the loops, then find what belongs to which loop or branch."""
        self.graph._check_not_finalized()
        order = self._order()
        waiting = self.graph._control_inputs_for([])
        for node in order:
            op = self._operation(node)
            if not op.inputs and not op._control_inputs:
                op._control_inputs = list(waiting)
        self._close_loops()
        graph_frames.Frames(self.graph, [self.ops[node.name] for node in order], self.outer).build()
        self.graph._touch()

    def element(self, name: str) -> Operation | Tensor:
        """The operation or tensor that a returned element's name means."""
        head, colon, index = name.rpartition(":")
        if colon and f"{head}:{index}" in self.replaced:
            self.mapped.add(name)
            return self.replaced[name]
        op = self.ops.get(head if colon else name)
        if op is None or (colon and int(index) >= len(op.outputs)):
            raise ValueError(f"Requested return_element {name!r} not found in graph_def.")
        return op.outputs[int(index)] if colon else op

    # -- order -------------------------------------------------------------------------------------------------------
    def _order(self) -> list[Any]:
        """The nodes such that inputs come first, a loop's way back aside."""
        order: list[Any] = []
        state: dict[str, int] = {}
        for root in self.nodes.values():
            stack = [root]
            while stack:
                node = stack[-1]
                mark = state.get(node.name, 0)
                if mark:
                    stack.pop()
                    if mark == 1:
                        state[node.name] = 2
                        order.append(node)
                    continue
                state[node.name] = 1
                before = [self._source(node, text) for text in node.input if not self._is_replaced(text)]
                pending = [n for n in before if state.get(n.name, 0) != 2 and not self._back_edge(node, n)]
                if any(state.get(n.name) == 1 for n in pending):
                    raise ValueError(f"Node '{node.name}': the graph has a cycle that is no loop")
                stack.extend(reversed(pending))
        return order

    def _is_replaced(self, text: str) -> bool:
        return (text if text.startswith("^") else _canonical(text)) in self.replaced

    def _source(self, node: Any, text: str) -> Any:
        name = text[1:] if text.startswith("^") else _canonical(text).rpartition(":")[0]
        if name not in self.nodes:
            raise ValueError(f"Node '{node.name}': Unknown input node '{text}'")
        return self.nodes[name]

    def _back_edge(self, node: Any, source: Any) -> bool:
        return node.op in ("Merge", "RefMerge") and source.op in ("NextIteration", "RefNextIteration")

    def _close_loops(self) -> None:
        for name, op in self.ops.items():
            if op.type in ("Merge", "RefMerge"):
                texts = [t for t in self.nodes[name].input if not t.startswith("^")]
                op._inputs = [self._input(self.nodes[name], text) for text in texts]

    # -- one node ----------------------------------------------------------------------------------------------------
    def _operation(self, node: Any) -> Operation:
        merge = node.op in ("Merge", "RefMerge")
        texts = [t for t in node.input if not t.startswith("^")]
        ready = [t for t in texts if not merge or self._made(t)]
        inputs = [self._input(node, text) for text in ready]
        if merge:  # the way back of a loop is closed later
            inputs = (inputs + inputs[:1] * len(texts))[: len(texts)]
        attrs, hints = read_attrs(node)
        definition = OPS.get(node.op) or _unknown(node, attrs, hints, self._used_outputs(node.name))
        _bind(node, definition, inputs, attrs)
        _check_types(node, definition, inputs, attrs)
        op = self._new(node, definition, inputs, attrs)
        kinds = output_dtypes(definition, attrs)
        op._outputs = [Tensor(op, i, kind) for i, kind in enumerate(kinds)]
        self._shapes(node, op, hints, merge and len(ready) < len(texts))
        return op

    def _made(self, text: str) -> bool:
        return self._is_replaced(text) or _canonical(text).rpartition(":")[0] in self.ops

    def _new(self, node: Any, definition: OpDef, inputs: list[Tensor], attrs: dict[str, Any]) -> Operation:
        graph = self.graph
        name = self.prefix + node.name
        if name in graph._ops:
            name = graph.unique_name_absolute(name)
        op = Operation(graph, node.op, name, inputs, attrs, definition)
        for text in (t for t in node.input if t.startswith("^")):
            found = self.replaced.get(text) or self.ops[text[1:]]
            self.mapped.add(text)
            op._control_inputs.append(found if isinstance(found, Operation) else found.op)
        op._device = node.device
        op._colocation = [
            f"loc:@{self.prefix}{group.decode().removeprefix('loc:@')}" for group in node.attr["_class"].list.s
        ] if "_class" in node.attr else []  # fmt: skip
        op._context = self.outer
        graph._ops[name] = self.ops[node.name] = op
        graph._op_list.append(op)
        parts = name.lower().split("/")
        for i in range(len(parts)):
            graph._names_in_use.setdefault("/".join(parts[: i + 1]), 1)
        return op

    def _input(self, node: Any, text: str) -> Tensor:
        name = _canonical(text)
        if name in self.replaced:
            self.mapped.add(name)
            return self.replaced[name]
        head, _, index = name.rpartition(":")
        op = self.ops[head]
        if int(index) >= len(op.outputs):
            if op.type in _SHORTER and int(index) < _SHORTER[op.type]:
                return _absent_output(op, int(index))
            raise ValueError(
                f"Node '{node.name}': Connecting to invalid output {index} of source node {head} "
                f"which has {len(op.outputs)} outputs."
            )
        return op.outputs[int(index)]

    def _used_outputs(self, name: str) -> int:
        """How many outputs of a node others read."""
        if not hasattr(self, "_counts"):
            self._counts: dict[str, int] = {}
            for node in self.nodes.values():
                for text in node.input:
                    if not text.startswith("^"):
                        head, _, index = _canonical(text).rpartition(":")
                        self._counts[head] = max(self._counts.get(head, 0), int(index) + 1)
        return self._counts.get(name, 0)

    def _shapes(self, node: Any, op: Operation, hints: list[TensorShape], open_loop: bool) -> None:
        try:
            shapes = [unknown_shape()] * len(op.outputs) if open_loop else infer_shapes(op)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            if not isinstance(error, ValueError):
                shapes = [unknown_shape()] * len(op.outputs)
            else:
                raise ValueError(f"{error} for '{op.name}' (op: '{op.type}')") from error
        for i, (tensor, shape) in enumerate(zip(op.outputs, shapes, strict=True)):
            hint = hints[i] if i < len(hints) else unknown_shape()
            tensor._shape = shape.merge_with(hint) if shape.is_compatible_with(hint) else shape


_SHORTER = {"CTCLoss": 2}  # operations that have more outputs in TensorFlow than here


# -- attributes ------------------------------------------------------------------------------------------------------
def read_attrs(node: Any) -> tuple[dict[str, Any], list[TensorShape]]:
    """A node's attributes as Python values, and the shapes that its writer noted."""
    attrs: dict[str, Any] = {}
    hints: list[TensorShape] = []
    for key, attr in node.attr.items():
        if key == "_output_shapes":
            hints = [_shape(s) for s in attr.list.shape]
        elif key == PRIVATE:
            attrs.update(ast.literal_eval(attr.s.decode()))
        elif key != "_class" and (value := _value(attr)) is not None:
            attrs[RENAMED.get((node.op, key), key)] = value
    return attrs, hints


def _shape(proto: Any) -> TensorShape:
    return unknown_shape() if proto.unknown_rank else TensorShape([None if d.size < 0 else d.size for d in proto.dim])


def _dtype(number: int) -> Any:
    try:
        return as_dtype(number)
    except TypeError:
        return None


def _value(attr: Any) -> Any:
    kind = attr.WhichOneof("value")
    if kind in ("i", "b", "f"):
        return getattr(attr, kind)
    if kind == "s":
        return _decoded(attr.s)
    if kind == "type":
        return _dtype(attr.type)
    if kind == "shape":
        return _shape(attr.shape)
    if kind == "tensor":
        from recurra.tf1.ops.serialize import make_ndarray

        return make_ndarray(attr.tensor)
    if kind == "list":
        return _list(attr.list)
    return None  # functions of a library and placeholders of function bodies


def _list(proto: Any) -> list[Any]:
    if proto.type:
        return [_dtype(t) for t in proto.type]
    if proto.shape:
        return [_shape(s) for s in proto.shape]
    if proto.s:
        return [_decoded(s) for s in proto.s]
    return list(proto.i) or list(proto.f) or list(proto.b)


def _decoded(text: bytes) -> Any:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def _bind(node: Any, definition: OpDef, inputs: list[Tensor], attrs: dict[str, Any]) -> None:
    """Defaults, lengths of list arguments and type attributes, as building the operation here would set them."""
    for key, value in {**definition.defaults, **LEFT_OUT.get(node.op, {})}.items():
        attrs.setdefault(key, value)
    if node.op == "InitializeTableFromTextFileV2" and inputs:  # the file is read as the table's types
        table = inputs[0].op.attrs
        attrs.update((key, table[key]) for key in ("key_dtype", "value_dtype") if key in table)
    lists = [arg for arg in definition.inputs if arg.kind != "one"]
    if lists and "_lengths" not in attrs:
        lengths, rest = {}, len(inputs) - (len(definition.inputs) - len(lists))
        for i, arg in enumerate(lists):
            size = attrs.get(arg.count) if arg.count else _length(attrs.get(arg.type))
            lengths[arg.name] = rest if size is None or i == len(lists) - 1 else int(size)
            rest -= lengths[arg.name]
        attrs["_lengths"] = lengths
    expected = sum(1 if a.kind == "one" else attrs["_lengths"][a.name] for a in definition.inputs)
    if expected != len(inputs) and node.op in OPS:
        raise ValueError(f"Node '{node.name}': expected {expected} inputs but {len(inputs)} were specified")
    index = 0
    for arg in definition.inputs:
        size = 1 if arg.kind == "one" else attrs["_lengths"][arg.name]
        if arg.fixed is None and arg.type and size and arg.kind != "any":
            attrs.setdefault(arg.type, inputs[index].dtype.base_dtype)
        if arg.count:
            attrs[arg.count] = size
        index += size


def _length(kinds: Any) -> int | None:
    return len(kinds) if isinstance(kinds, list) else None


def _check_types(node: Any, definition: OpDef, inputs: list[Tensor], attrs: dict[str, Any]) -> None:
    index = 0
    for arg in definition.inputs:
        size = 1 if arg.kind == "one" else attrs["_lengths"][arg.name]
        wanted = arg.fixed or (attrs.get(arg.type) if arg.kind != "any" else None)
        for i in range(index, index + size):
            tensor = inputs[i]
            if isinstance(wanted, DType) and tensor.dtype.base_dtype != wanted.base_dtype and arg.type in node.attr:
                raise ValueError(
                    f"Input {i} of node {node.name} was passed {tensor.dtype.base_dtype.name} from {tensor.name} "
                    f"incompatible with expected {wanted.base_dtype.name}."
                )
        index += size


# -- what is not known -----------------------------------------------------------------------------------------------
def _fails(op_type: str) -> Any:
    def run(inputs: list[Any]) -> Any:
        raise NotImplementedError(f"Op type {op_type!r} is not implemented in recurra")

    return run


def _unknown(node: Any, attrs: dict[str, Any], hints: list[TensorShape], used: int) -> OpDef:
    """A definition for a node of a type that is not here: its outputs are as many as are read or noted."""
    kind = next((attrs[k] for k in ("dtype", "out_type", "Tout", "T") if isinstance(attrs.get(k), DType)), None)
    count = max(used, len(hints))
    attrs["_kinds"] = [kind or as_dtype("float32")] * count
    shapes = [hints[i] if i < len(hints) else unknown_shape() for i in range(count)]
    return OpDef(
        node.op,
        "inputs:* -> *_kinds",
        _fails(node.op),
        shape=lambda op: shapes,
        bind=None,
        diff=False,
        writes=False,
        stateful=True,
        defaults={},
    )


def _absent_output(op: Operation, index: int) -> Tensor:
    """A further output that TensorFlow's operation has and ours has not: it fails when it is needed."""
    node = message("node_def_pb2", "NodeDef")(name=op.name, op=f"{op.type}:{index}")
    attrs: dict[str, Any] = {"_lengths": {"inputs": len(op.inputs)}}
    definition = _unknown(node, attrs, [], 1)
    made = Operation(op.graph, node.op, op.name, op.inputs, attrs, definition)
    made._outputs = [Tensor(made, 0, as_dtype("float32"))]
    return made.outputs[0]
