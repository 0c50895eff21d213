"""tf.train.export_meta_graph and import_meta_graph for graphs that recurra built.

A MetaGraphDef as TensorFlow writes it (names, shapes, collections), with our own form of the graph (`graph_text.py`) in a collection.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recurra.tf1 import errors, names
from recurra.tf1.graph import Graph, GraphKeys, get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.protos import message
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
    meta.meta_info_def.tensorflow_version = "1.15.0"
    meta.graph_def.CopyFrom(graph.as_graph_def(add_shapes=True))
    if saver_def is not None:
        meta.saver_def.CopyFrom(saver_def)
    keys = collection_list if collection_list is not None else graph.get_all_collection_keys()
    for key in keys:
        _add_collection(meta, key, graph.get_collection(key), export_scope)
    encoder = Encoder(graph)
    data = encoder.encode()
    tag = f"{id(graph)}:{graph.version}"
    _objects[tag] = encoder.objects
    meta.collection_def[_KEY].bytes_list.value.extend([data, tag.encode()])
    if filename:
        with open(filename, "wb") as file:
            file.write(str(meta).encode() if as_text else meta.SerializeToString())
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
    else:
        del meta.collection_def[key]


@tf_export("python.framework.meta_graph.read_meta_graph_file")
def read_meta_graph_file(filename: str) -> Any:
    """The MetaGraphDef in a file."""
    try:
        with open(filename, "rb") as file:
            return message("meta_graph_pb2", "MetaGraphDef").FromString(file.read())
    except FileNotFoundError:
        raise OSError(f"File {filename} does not exist.") from None


@tf_export("train.import_meta_graph")
def import_meta_graph(
    meta_graph_or_file: Any, clear_devices: bool = False, import_scope: str | None = None, **kwargs: Any
) -> Any:
    """Rebuild an exported graph in the default one; returns a Saver of its variables, None when it has none."""
    from recurra.tf1.graph_text import Decoder

    meta = (
        read_meta_graph_file(str(meta_graph_or_file))
        if not hasattr(meta_graph_or_file, "collection_def")
        else meta_graph_or_file
    )
    if _KEY not in meta.collection_def:
        raise errors.UnimplementedError(
            None,
            None,
            "This .meta file was written by TensorFlow: recurra reads such files for names, shapes, collections and hyper-parameters "  # noqa: E501
            "(recurra.tf1.checkpoint), but cannot run the graph. Build the model by its own code and use tf.train.Saver().restore.",  # noqa: E501
        )
    data, tag = meta.collection_def[_KEY].bytes_list.value
    graph = get_default_graph()
    prefix = f"{import_scope}/" if import_scope else ""
    Decoder(data, graph, prefix, _objects.get(tag.decode()), clear_devices).decode()
    variables = [
        v
        for k in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.SAVEABLE_OBJECTS)
        for v in graph.get_collection(k, import_scope)
    ]
    if not variables:
        return None
    return names.lookup("train.Saver")(variables, name=import_scope) if import_scope else names.lookup("train.Saver")()
