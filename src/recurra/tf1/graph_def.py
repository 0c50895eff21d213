"""GraphDef and NodeDef messages of our graphs, for summaries, error reports and programs that look at them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from recurra.tf1.dtypes import DType
from recurra.tf1.protos import message
from recurra.tf1.shapes import TensorShape


def shape_proto(shape: TensorShape) -> Any:
    """A TensorShapeProto."""
    proto = message("tensor_shape_pb2", "TensorShapeProto")()
    if shape.values is None:
        proto.unknown_rank = True
    else:
        for dim in shape.values:
            proto.dim.add(size=-1 if dim is None else dim)
    return proto


def node_def(op: Any, add_shapes: bool = False) -> Any:
    """The NodeDef of an operation: name, type, inputs, device and the attributes that have a message form."""
    node = message("node_def_pb2", "NodeDef")(name=op.name, op=op.type, device=op.device)
    for tensor in op.inputs:
        node.input.append(tensor.op.name if tensor.value_index == 0 else tensor.name)
    node.input.extend(f"^{o.name}" for o in op.control_inputs)
    for key, value in sorted(op.attrs.items()):
        if not key.startswith("_lengths"):
            _set_attr(node.attr[key], value)
            if node.attr[key].WhichOneof("value") is None:
                del node.attr[key]
    if op._colocation:
        node.attr["_class"].list.s.extend(g.encode() for g in op._colocation)
    if add_shapes:
        node.attr["_output_shapes"].list.shape.extend(shape_proto(t.shape) for t in op.outputs)
    return node


def _set_attr(attr: Any, value: Any) -> None:
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
    elif isinstance(value, list | tuple):
        _set_list(attr.list, value)


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
    proto.node.extend(node_def(op, add_shapes) for op in graph.get_operations())
    proto.versions.producer = graph.graph_def_versions.producer
    return proto


def local_devices() -> list[Any]:
    """The one device that there is."""
    name = "/job:localhost/replica:0/task:0/device:CPU:0"
    return [SimpleNamespace(name=name, device_type="CPU", memory_limit_bytes=2**28, memory_limit=2**28, incarnation=1)]
