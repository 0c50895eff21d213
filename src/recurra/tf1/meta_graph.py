"""tf.train.export_meta_graph and import_meta_graph.

A MetaGraphDef as TensorFlow writes it (names, shapes, collections), with our own form of the graph (`graph_text.py`) in a collection;
one without that form is TensorFlow's, and its GraphDef and collections are read (`graph_import.py`).
"""  # noqa: E501

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from recurra._files import write_bytes
from recurra.tf1 import names
from recurra.tf1.constants import constant_value
from recurra.tf1.graph import Graph, get_default_graph
from recurra.tf1.graph_import import Importer
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import tf_export
from recurra.tf1.protos import DESCRIBED, message
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.variables import Variable

_KEY = "recurra_graph"
_objects: dict[str, list[Any]] = {}  # what has no data form, for imports within the process


@tf_export("train.export_meta_graph", "python.framework.meta_graph.export_scoped_meta_graph")
def export_meta_graph(
    filename: str | None = None,
    meta_info_def: Any = None,
    graph_def: Any = None,
    saver_def: Any = None,
    collection_list: Any = None,
    as_text: bool = False,
    graph: Graph | None = None,
    export_scope: str | None = None,
    clear_devices: bool = False,
    clear_extraneous_savers: bool = False,
    strip_default_attrs: bool = False,
    save_debug_info: bool = False,
    **kwargs: Any,
) -> Any:
    """The MetaGraphDef of `graph` (the default one), written to `filename` when one is given."""
    from recurra.tf1.graph_text import Encoder

    graph = graph or get_default_graph()
    meta = message("meta_graph_pb2", "MetaGraphDef")()
    if meta_info_def is not None:
        meta.meta_info_def.CopyFrom(meta_info_def)
    meta.meta_info_def.tensorflow_version = "1.15.0"
    meta.graph_def.CopyFrom(graph_def if graph_def is not None else graph.as_graph_def(add_shapes=True))
    for node in meta.graph_def.node if clear_devices else ():
        node.device = ""
    if saver_def is not None:
        meta.saver_def.CopyFrom(saver_def)
    keys = collection_list if collection_list is not None else graph.get_all_collection_keys()
    for key in keys:
        items = graph.get_collection(key)
        if clear_extraneous_savers and key == "savers":
            items = [s for s in items if saver_def is not None and s.as_saver_def() == saver_def]
        _add_collection(meta, key, items, export_scope)
    saver = graph.extra.get("savers", {}).get(_saver_scope(meta)) if saver_def is not None else None
    encoder = Encoder(graph, saver and saver.saved_names())
    data = encoder.encode()
    tag = f"{id(graph)}:{graph.version}"
    _objects[tag] = encoder.objects
    meta.collection_def[_KEY].bytes_list.value.extend([data, tag.encode()])
    if filename:
        write_bytes(filename, str(meta).encode() if as_text else meta.SerializeToString())
    return meta


def _add_collection(meta: Any, key: Any, items: Iterable[Any], scope: str | None) -> None:
    items = list(items)
    if not items or not isinstance(key, str):
        return
    target = meta.collection_def[key]
    if all(isinstance(i, Variable) for i in items):
        protos = (v.to_proto(scope) for v in items)
        target.bytes_list.value.extend(p.SerializeToString() for p in protos if p is not None)
    elif all(isinstance(i, Tensor | Operation) for i in items):
        target.node_list.value.extend(i.name for i in items)
    elif all(isinstance(i, int) and not isinstance(i, bool) for i in items):
        target.int64_list.value.extend(items)
    elif all(isinstance(i, float) for i in items):
        target.float_list.value.extend(items)
    elif all(isinstance(i, str | bytes) for i in items):
        target.bytes_list.value.extend(i.encode() if isinstance(i, str) else i for i in items)
    elif all(hasattr(i, "to_proto") for i in items):
        protos = (i.to_proto(scope) for i in items)
        target.bytes_list.value.extend(p.SerializeToString() for p in protos if p is not None)
    else:
        del meta.collection_def[key]


@tf_export("python.framework.meta_graph.read_meta_graph_file")
def read_meta_graph_file(filename: str) -> Any:
    """The MetaGraphDef in a file, binary or text."""
    kind = message("meta_graph_pb2", "MetaGraphDef")
    try:
        with open(filename, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise OSError(f"File {filename} does not exist.") from None
    try:
        return kind.FromString(data)
    except DecodeError:
        try:
            return text_format.Parse(data, kind())
        except (text_format.ParseError, UnicodeDecodeError):
            raise OSError(f"Cannot parse file {filename}: it is no MetaGraphDef.") from None


@tf_export("train.import_meta_graph")
def import_meta_graph(
    meta_graph_or_file: Any, clear_devices: bool = False, import_scope: str | None = None, **kwargs: Any
) -> Any:
    """Rebuild an exported graph in the default one; returns a Saver of its variables, None when it has none."""
    from recurra.tf1.graph_text import Decoder

    meta = (
        meta_graph_or_file
        if hasattr(meta_graph_or_file, "collection_def")
        else read_meta_graph_file(os.fspath(meta_graph_or_file))
    )
    graph = get_default_graph()
    prefix = f"{import_scope}/" if import_scope else ""
    present = dict(graph.extra.get("savers", {}))
    if _KEY in meta.collection_def:
        data, tag = meta.collection_def[_KEY].bytes_list.value
        decoder = Decoder(data, graph, prefix, _objects.get(tag.decode()), clear_devices)
        decoder.decode()
        saved = decoder.saved
    else:
        importer = _import_foreign(meta, graph, prefix, clear_devices, **kwargs)
        saved = _stored_variables(meta, graph, importer)
    make = names.lookup("train.Saver")
    options = {"name": import_scope} if import_scope else {}
    if meta.HasField("saver_def"):
        options["saver_def"] = meta.saver_def
        scope = prefix + _saver_scope(meta)
        if scope in present:  # the operations that a SaverDef names are those of a saver the program made before
            return make(present[scope]._var_list, **options)
    variables = [
        v
        for k in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.SAVEABLE_OBJECTS)
        for v in graph.get_collection(k, import_scope)
    ]
    return make(saved or variables, **options) if variables else None


def _import_foreign(
    meta: Any,
    graph: Graph,
    prefix: str,
    clear_devices: bool,
    input_map: dict[str, Any] | None = None,
    return_elements: Any = None,
    **unused: Any,
) -> Importer:
    """The graph and the collections of a MetaGraphDef that TensorFlow wrote."""
    if unused:
        raise TypeError(f"import_meta_graph() got an unexpected keyword argument {min(unused)!r}")
    importer = Importer(meta.graph_def.node, graph, prefix, {k: v for k, v in (input_map or {}).items()})
    importer.run()
    if clear_devices:
        for op in importer.ops.values():
            op._device = ""
    for key in sorted(meta.collection_def):
        for item in _collected(graph, key, meta.collection_def[key], prefix):
            graph.add_to_collection(key, item)
    return importer


_VARIABLES = {k for k in vars(GraphKeys).values() if isinstance(k, str) and "variables" in k} | {GraphKeys.GLOBAL_STEP}
_OURS_TO_MAKE = {GraphKeys.WHILE_CONTEXT, GraphKeys.COND_CONTEXT, GraphKeys.SAVERS}


def _collected(graph: Graph, key: str, definition: Any, prefix: str) -> list[Any]:
    """The items of one collection, as the program that wrote them had them."""
    kind = definition.WhichOneof("kind")
    if kind is None or key in _OURS_TO_MAKE:
        return []
    items = list(getattr(definition, kind).value)
    if kind == "node_list":
        return [graph.as_graph_element(prefix + item) for item in items]
    if kind != "bytes_list":
        return items
    if key in _VARIABLES:
        return [_variable(graph, item, prefix) for item in items]
    if key == GraphKeys.QUEUE_RUNNERS:
        make = names.lookup("train.QueueRunner").from_proto
        return [make(DESCRIBED["QueueRunnerDef"].FromString(i), prefix[:-1] or None) for i in items]
    return items


def _variable(graph: Graph, data: bytes, prefix: str) -> Variable:
    """One object for a variable, whichever collections list it."""
    proto = message("variable_pb2", "VariableDef").FromString(data)
    known = graph.extra.setdefault("imported_variables", {})
    key = prefix + proto.variable_name
    if key not in known:
        known[key] = Variable.from_proto(proto, prefix[:-1] or None)
    found: Variable = known[key]
    return found


def _stored_variables(meta: Any, graph: Graph, importer: Importer) -> dict[str, Any] | None:
    """{name in the checkpoint: variable} as the graph's own save operation has it; None where it does not say."""
    variables = _imported_variables(meta, importer)
    for name, op in importer.ops.items():
        if op.type not in ("SaveV2", "SaveSlices") or not name.startswith(f"{_saver_scope(meta)}/"):
            continue
        keys = constant_value(op.inputs[1])
        tensors = op.inputs[3:]
        if keys is None or len(tensors) != keys.size:
            return None
        found = {k.decode(): variables.get(_origin(t)) for k, t in zip(keys.reshape(-1), tensors, strict=True)}
        parts = any(v._save_slice_info is not None for v in variables.values())
        return None if parts or None in found.values() else found
    return None


def _imported_variables(meta: Any, importer: Importer) -> dict[Operation, Variable]:
    """The variables that came with the graph, also where their names had to change."""
    kind = message("variable_pb2", "VariableDef")
    found = {}
    for key in _VARIABLES & set(meta.collection_def):
        for data in meta.collection_def[key].bytes_list.value:
            proto = kind.FromString(data)
            op = importer.ops.get(proto.variable_name.rpartition(":")[0])
            if op is None or op in found:
                continue
            for field in ("variable_name", "initializer_name", "snapshot_name", "initial_value_name"):
                name, colon, index = getattr(proto, field).rpartition(":")
                own = importer.ops.get(name if colon else index)
                if own is not None:
                    setattr(proto, field, f"{own.name}{colon}{index}" if colon else own.name)
            found[op] = Variable.from_proto(proto)
    return found


def _saver_scope(meta: Any) -> str:
    return meta.saver_def.save_tensor_name.rpartition("/")[0] if meta.HasField("saver_def") else "save"


def _origin(tensor: Tensor) -> Operation:
    while tensor.op.type in ("Identity", "ReadVariableOp", "Enter"):
        tensor = tensor.op.inputs[0]
    return tensor.op
