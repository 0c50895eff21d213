"""tf.graph_util: parts of a GraphDef, variables turned into constants, training's nodes taken out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.serialize import make_tensor_proto
from recurra.tf1.protos import message
from recurra.tf1.tensor import Operation

tf = space("")
_VARIABLES = ("Variable", "VariableV2", "VarHandleOp")
_ON_CPU = ("DynamicStitch", "ParallelDynamicStitch", "Cast")
_PINNED = {"Assign", "AssignAdd", "AssignSub", "Queue", "RandomParameters", "ScatterAdd", "ScatterSub", "ScatterUpdate",
           "TruncatedNormal", "Variable", "VariableV2"}  # fmt: skip


def _name(text: str) -> str:
    """The node that an input's text means."""
    return text.lstrip("^").split(":")[0]


def _check(graph_def: Any, what: str) -> None:
    if type(graph_def).__name__ != "GraphDef":
        raise TypeError(f"{what} must be a graph_pb2.GraphDef proto.")


@tf_export("graph_util.extract_sub_graph")
def extract_sub_graph(graph_def: Any, dest_nodes: Any) -> Any:
    """The GraphDef of what the nodes named in `dest_nodes` need, in the old order."""
    _check(graph_def, "graph_def")
    if isinstance(dest_nodes, str):
        raise TypeError("dest_nodes must be a list.")
    nodes = {node.name: node for node in graph_def.node}
    for name in dest_nodes:
        if name not in nodes:
            raise AssertionError(f"{name} is not in graph")
    kept, waiting = set(), list(dest_nodes)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += _before(nodes[name]) if name in nodes else []
    made = message("graph_pb2", "GraphDef")()
    made.node.extend(node for node in graph_def.node if node.name in kept)
    made.library.CopyFrom(graph_def.library)
    made.versions.CopyFrom(graph_def.versions)
    return made


def _before(node: Any) -> list[str]:
    groups = [g.decode() for g in node.attr["_class"].list.s] if "_class" in node.attr else []
    return [_name(text) for text in node.input] + [g[5:] for g in groups if g.startswith("loc:@")]


def _constant(name: str, dtype: int, value: Any) -> Any:
    node = message("node_def_pb2", "NodeDef")(name=name, op="Const")
    node.attr["dtype"].type = dtype
    node.attr["value"].tensor.CopyFrom(make_tensor_proto(value, dtype=dtype))
    return node


@tf_export("graph_util.convert_variables_to_constants")
def convert_variables_to_constants(
    sess: Any,
    input_graph_def: Any,
    output_node_names: list[str],
    variable_names_whitelist: Any = None,
    variable_names_blacklist: Any = None,
) -> Any:
    """What the output nodes need, with the session's values in place of its variables."""
    part = extract_sub_graph(input_graph_def, output_node_names)
    chosen = [node for node in part.node if node.op in _VARIABLES]
    if variable_names_whitelist is not None:
        chosen = [node for node in chosen if node.name in variable_names_whitelist]
    if variable_names_blacklist is not None:
        chosen = [node for node in chosen if node.name not in variable_names_blacklist]
    fetches = [f"{n.name}/Read/ReadVariableOp:0" if n.op == "VarHandleOp" else f"{n.name}:0" for n in chosen]
    values = dict(zip((node.name for node in chosen), sess.run(fetches) if fetches else [], strict=True))
    tf.logging.info("Froze %d variables.", len(values))
    handles = _handle_types(part, {node.name for node in chosen if node.op == "VarHandleOp"})
    made = message("graph_pb2", "GraphDef")()
    for node in part.node:
        if node.name in values:
            made.node.append(_constant(node.name, node.attr["dtype"].type, values[node.name]))
        else:
            made.node.extend(_without_handle(node, handles))
    made.library.CopyFrom(part.library)
    made.versions.CopyFrom(part.versions)
    tf.logging.info("Converted %d variables to const ops.", len(values))
    return made


def _handle_types(part: Any, frozen: set[str]) -> dict[str, int]:
    """Nodes that carry the handle of a frozen variable, and the dtype of what is behind it."""
    known = {node.name: node.attr["dtype"].type for node in part.node if node.name in frozen}
    handing_on = [n for n in part.node if n.op in ("Switch", "Enter", "Exit", "Identity", "Merge", "NextIteration")]
    grown = True
    while grown:
        found = {n.name: known[_name(n.input[0])] for n in handing_on if n.input and _name(n.input[0]) in known}
        grown = not found.keys() <= known.keys()
        known.update(found)
    return known


def _without_handle(node: Any, handles: dict[str, int]) -> Iterable[Any]:
    """A node of the frozen graph: reads of a handle become identities, gathers of it gathers of the constant."""
    made = message("node_def_pb2", "NodeDef")()
    made.CopyFrom(node)
    source = _name(node.input[0]) if node.input else ""
    if node.name in handles:
        made.attr["T"].type = handles[node.name]
        made.attr.pop("_output_shapes", None)
    elif source in handles and node.op == "ReadVariableOp":
        made.op = "Identity"
        _set_types(made, T=node.attr["dtype"].type)
    elif source in handles and node.op == "ResourceGather":
        indices = node.attr["Tindices"].type
        axis = _constant(f"{node.name}/axis", indices, 0)
        made.op = "GatherV2"
        made.input.insert(2, axis.name)
        _set_types(made, Tparams=node.attr["dtype"].type, Tindices=indices, Taxis=indices)
        return [axis, made]
    return [made]


def _set_types(node: Any, **kinds: int) -> None:
    kept = {"_class", "_recurra"} & set(node.attr)
    for key in set(node.attr) - kept:
        del node.attr[key]
    for key, kind in kinds.items():
        node.attr[key].type = kind


@tf_export("graph_util.remove_training_nodes")
def remove_training_nodes(input_graph: Any, protected_nodes: Any = None) -> Any:
    """The graph without CheckNumerics, and without the Identity nodes that order nothing."""
    protected = set(protected_nodes or ())
    awaited = {text[1:] for node in input_graph.node for text in node.input if text.startswith("^")}
    instead: dict[str, str] = {}
    for node in input_graph.node:
        orders = node.name in awaited or any(text.startswith("^") for text in node.input)
        if node.name not in protected and (node.op == "CheckNumerics" or (node.op == "Identity" and not orders)):
            instead[node.name] = node.input[0]

    def source(text: str) -> str:
        while not text.startswith("^") and _name(text) in instead:
            text = instead[_name(text)]
        return text

    made = message("graph_pb2", "GraphDef")()
    for node in input_graph.node:
        if node.name not in instead:
            kept = made.node.add()
            kept.CopyFrom(node)
            kept.input[:] = [source(text) for text in node.input]
    made.library.CopyFrom(input_graph.library)
    made.versions.CopyFrom(input_graph.versions)
    return made


@tf_export("graph_util.tensor_shape_from_node_def_name")
def tensor_shape_from_node_def_name(graph: Any, input_name: str) -> Any:
    """The static shape of the tensor that a NodeDef's input means."""
    return graph.get_tensor_by_name(input_name if ":" in input_name else f"{input_name}:0").get_shape()


@tf_export("graph_util.must_run_on_cpu")
def must_run_on_cpu(node: Any, pin_variables_on_cpu: bool = False) -> bool:
    """Whether TensorFlow keeps a node off its accelerators: text and int32 constants, and what handles int32."""
    proto = node.node_def if isinstance(node, Operation) else node
    if pin_variables_on_cpu and proto.op in _PINNED:
        return True
    int32 = tf.int32.as_datatype_enum
    if proto.op == "Const":
        return proto.attr["dtype"].type in (int32, tf.string.as_datatype_enum)
    return proto.op in _ON_CPU and proto.attr["SrcT" if proto.op == "Cast" else "T"].type == int32
