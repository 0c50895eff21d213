"""GraphDef and NodeDef messages of our graphs, for summaries, error reports and programs that look at them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from recurra.tf1.dtypes import DType
from recurra.tf1.protos import message
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Operation, Tensor

PRIVATE = "_recurra"  # the attribute of a node that holds ours without a message form, as a Python literal
RENAMED = {("TensorArrayV3", "tensor_array_name"): "array_name"}  # (type, TensorFlow's attribute): ours
_THEIRS = {(op_type, ours): theirs for (op_type, theirs), ours in RENAMED.items()}
_OWN = {"CellStep": ("fields",)}  # type: attributes that stay tuples
_HELD_APART = ("_loop_context", "_branches", "_lengths")


def shape_proto(shape: TensorShape) -> Any:
    """A TensorShapeProto."""
    proto = message("tensor_shape_pb2", "TensorShapeProto")()
    if shape.values is None:
        proto.unknown_rank = True
    else:
        for dim in shape.values:
            proto.dim.add(size=-1 if dim is None else dim)
    return proto


def node_def(op: Operation, add_shapes: bool = False) -> Any:
    """The NodeDef of an operation: name, type, inputs, device and attributes."""
    node = message("node_def_pb2", "NodeDef")(name=op.name, op=op.type, device=op.device)
    for tensor in _inputs(op):
        node.input.append(tensor.op.name if tensor.value_index == 0 else tensor.name)
    node.input.extend(f"^{o.name}" for o in [*op.control_inputs, *_pivot(op)])
    private = {}
    for key, value in sorted(op.attrs.items()):
        if key in _HELD_APART and not (key == "_lengths" and len(value) > 1):
            continue
        name = _THEIRS.get((op.type, key), key)
        if key.startswith("_") or key in _OWN.get(op.type, ()) or not _set_attr(node.attr[name], value):
            node.attr.pop(name, None)
            if _is_literal(value):
                private[key] = value
    if op.type in ("Merge", "RefMerge"):
        node.attr["N"].i = len(_inputs(op))
    if private:
        node.attr[PRIVATE].s = repr(private).encode()
    if op._colocation:
        node.attr["_class"].list.s.extend(g.encode() for g in op._colocation)
    if add_shapes:
        node.attr["_output_shapes"].list.shape.extend(shape_proto(t.shape) for t in op.outputs)
    return node


def _inputs(op: Operation) -> list[Tensor]:
    """An operation's inputs as TensorFlow has them: those of Exit and Merge come out of the loop or the branches."""
    if not op.inputs or op.inputs[0].op.type not in ("While", "Cond"):
        return op.inputs
    hidden, index = op.inputs[0].op, op.inputs[0].value_index
    if hidden.type == "While":
        entered = hidden.attrs["_loop_context"].entered[index]
        switch = entered.op if entered.op.type == "Switch" else entered.op.inputs[0].op
        return [switch.outputs[0]]
    return [_guarded(branch, branch.results[index]) for branch in hidden.attrs["_branches"]]


def _guarded(branch: Any, result: Tensor) -> Tensor:
    """A branch's result, led through the Switch that TensorFlow has there when it was made outside."""
    if result.op._context is not None and branch.holds(result.op):
        return result
    made = branch.__dict__.setdefault("_switches", {})
    if result not in made:
        from recurra.tf1.build import apply_op

        graph = result.graph
        held = graph._finalized, graph._context, graph._control_stack
        graph._finalized, graph._context, graph._control_stack = False, branch.outer_context, []
        try:
            with graph.as_default():
                made[result] = apply_op("Switch", result, branch.pred, name=f"{branch.name}/Switch_result/")
        finally:
            graph._finalized, graph._context, graph._control_stack = held
    return made[result][branch.branch]


def _pivot(op: Operation) -> list[Operation]:
    """What ties an operation without inputs to the loop or branch that it was made in."""
    context = op._context
    if context is None or any(o._context is context for o in [*(t.op for t in op.inputs), *op.control_inputs]):
        return []
    if hasattr(context, "merged"):
        return [] if op.type in ("Enter", "Merge") else [context.merged[0].op]
    return [context.pivot.op] if hasattr(context, "pivot") else []


def _is_literal(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_literal(v) for v in value)
    if isinstance(value, dict):
        return all(_is_literal(v) for pair in value.items() for v in pair)
    return value is None or type(value) in (bool, int, float, str, bytes)


def _set_attr(attr: Any, value: Any) -> bool:
    """Write an attribute; False when it has no message form."""
    if isinstance(value, bool | np.bool_):
        attr.b = bool(value)
    elif isinstance(value, int | np.integer) and -(2**63) <= int(value) < 2**63:
        attr.i = int(value)
    elif isinstance(value, float | np.floating):
        attr.f = float(value)
    elif isinstance(value, str):
        attr.s = value.encode()
    elif isinstance(value, bytes):
        attr.s = value
    elif isinstance(value, DType):
        attr.type = value.as_datatype_enum
    elif isinstance(value, TensorShape):
        attr.shape.CopyFrom(shape_proto(value))
    elif isinstance(value, np.ndarray):
        attr.tensor.CopyFrom(tensor_proto(value))
    elif isinstance(value, list | tuple) and all(isinstance(v, _LISTED) for v in value):
        _set_list(attr.list, value)
    else:
        return False
    return True


_LISTED = (bool, int, np.integer, float, str, bytes, DType, TensorShape)


def _set_list(target: Any, values: Any) -> None:
    target.SetInParent()
    for value in values:
        if isinstance(value, bool):
            target.b.append(value)
        elif isinstance(value, int | np.integer):
            target.i.append(int(value))
        elif isinstance(value, float):
            target.f.append(value)
        elif isinstance(value, str | bytes):
            target.s.append(value.encode() if isinstance(value, str) else value)
        elif isinstance(value, DType):
            target.type.append(value.as_datatype_enum)
        elif isinstance(value, TensorShape):
            target.shape.append(shape_proto(value))


def tensor_proto(array: np.ndarray) -> Any:
    """A TensorProto with raw content (text: string_val)."""
    from recurra.tf1.dtypes import as_dtype

    kind = as_dtype(array.dtype)
    proto = message("tensor_pb2", "TensorProto")(dtype=kind.as_datatype_enum)
    proto.tensor_shape.CopyFrom(shape_proto(TensorShape(array.shape)))
    if array.dtype.kind == "O":
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = np.ascontiguousarray(array).tobytes()
    return proto


def graph_def(graph: Any, add_shapes: bool = False) -> Any:
    """The GraphDef of a graph."""
    proto = message("graph_pb2", "GraphDef")()
    known: set[Operation] = set()
    while len(known) < len(graph._op_list):  # writing a Merge may add the Switch before it
        fresh = [op for op in graph.get_operations() if op not in known]
        proto.node.extend(node_def(op, add_shapes) for op in fresh)
        known.update(fresh)
    proto.versions.producer = graph.graph_def_versions.producer
    return proto


def local_devices() -> list[Any]:
    """The one device that there is."""
    name = "/job:localhost/replica:0/task:0/device:CPU:0"
    return [SimpleNamespace(name=name, device_type="CPU", memory_limit_bytes=2**28, memory_limit=2**28, incarnation=1)]
