"""TensorFlow's protocol messages: ConfigProto, GraphDef, Event, Example …

Those that the tensorboard package carries are taken from there; tf.train.Example with its parts and QueueRunnerDef are described here
(field names and numbers are the wire format of TFRecord files and of meta graphs).
"""  # noqa: E501

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from recurra.tf1.names import export

_CARRIED: dict[str, list[str]] = {
    "config_pb2": ["ConfigProto", "GPUOptions", "GraphOptions", "OptimizerOptions", "RunOptions", "RunMetadata"],
    "event_pb2": ["Event", "SessionLog", "LogMessage", "TaggedRunMetadata"],
    "summary_pb2": ["Summary", "SummaryMetadata", "HistogramProto"],
    "graph_pb2": ["GraphDef"],
    "node_def_pb2": ["NodeDef"],
    "attr_value_pb2": ["AttrValue", "NameAttrList"],
    "tensor_pb2": ["TensorProto"],
    "meta_graph_pb2": ["MetaGraphDef", "TensorInfo"],
}
_ELSEWHERE = {
    "ConfigProto": ["ConfigProto"],
    "GPUOptions": ["GPUOptions"],
    "Summary": ["Summary", "summary.Summary"],
    "SummaryMetadata": ["SummaryMetadata", "summary.SummaryDescription"],
    "Event": ["Event", "summary.Event"],
    "SessionLog": ["SessionLog", "summary.SessionLog"],
    "TaggedRunMetadata": ["TaggedRunMetadata", "summary.TaggedRunMetadata"],
    "MetaGraphDef": ["MetaGraphDef"],
    "TensorInfo": ["TensorInfo", "saved_model.TensorInfo"],
}


def message(file: str, name: str) -> Any:
    """The class of message `name` in tensorboard's copy of `file` ('event_pb2')."""
    return getattr(import_module(f"tensorboard.compat.proto.{file}"), name)


# message -> [(field, number, kind)]; kind: a scalar type, or another message's name with "*" for repeated
_DESCRIBED: dict[str, list[tuple[str, int, str]]] = {
    "BytesList": [("value", 1, "*bytes")],
    "FloatList": [("value", 1, "*float")],
    "Int64List": [("value", 1, "*int64")],
    "Feature": [("bytes_list", 1, "BytesList"), ("float_list", 2, "FloatList"), ("int64_list", 3, "Int64List")],
    "Features": [("feature", 1, "{Feature}")],
    "FeatureList": [("feature", 1, "*Feature")],
    "FeatureLists": [("feature_list", 1, "{FeatureList}")],
    "Example": [("features", 1, "Features")],
    "SequenceExample": [("context", 1, "Features"), ("feature_lists", 2, "FeatureLists")],
    "QueueRunnerDef": [
        ("queue_name", 1, "string"),
        ("enqueue_op_name", 2, "*string"),
        ("close_op_name", 3, "string"),
        ("cancel_op_name", 4, "string"),
        ("queue_closed_exception_types", 5, "*int32"),
    ],
}
_PACKAGE = "recurra.tensorflow"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {name: getattr(_Field, f"TYPE_{name.upper()}") for name in ("bytes", "float", "int32", "int64", "string")}


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="recurra/example.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _DESCRIBED.items():
        described = file.message_type.add(name=name)
        if name == "Feature":
            described.oneof_decl.add(name="kind")
        for field_name, number, kind in fields:
            _add_field(described, field_name, number, kind, in_oneof=name == "Feature")
    return file


def _add_field(described: Any, name: str, number: int, kind: str, in_oneof: bool) -> None:
    field = described.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if kind.startswith(("*", "{")):
        field.label = _Field.LABEL_REPEATED
    plain = kind.strip("*{}")
    if plain in _SCALARS:
        field.type = _SCALARS[plain]
        return
    field.type = _Field.TYPE_MESSAGE
    field.type_name = f".{_PACKAGE}.{plain}"
    if in_oneof:
        field.oneof_index = 0
    if kind.startswith("{"):  # a map is a repeated entry message
        entry = described.nested_type.add(name="".join(p.title() for p in name.split("_")) + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
        entry.field.add(
            name="value", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_MESSAGE, type_name=field.type_name
        )
        field.type_name = f".{_PACKAGE}.{described.name}.{entry.name}"


def _described_classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_describe())
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{n}")) for n in _DESCRIBED}


DESCRIBED = _described_classes()
Example, SequenceExample, Features, Feature = (
    DESCRIBED[n] for n in ("Example", "SequenceExample", "Features", "Feature")
)


@cache
def saved_model() -> Any:
    """The class of SavedModel, a list of MetaGraphDefs."""
    meta = import_module("tensorboard.compat.proto.meta_graph_pb2").DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(name="recurra/saved_model.proto", package=_PACKAGE, syntax="proto3")
    file.dependency.append(meta.name)
    described = file.message_type.add(name="SavedModel")
    described.field.add(name="saved_model_schema_version", number=1, label=1, type=_SCALARS["int64"])
    described.field.add(name="meta_graphs", number=2, label=3, type=_Field.TYPE_MESSAGE,
                        type_name="." + meta.message_types_by_name["MetaGraphDef"].full_name)  # fmt: skip
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.SavedModel"))


for _file, _names in _CARRIED.items():
    for _name in _names:
        export(message(_file, _name), *_ELSEWHERE.get(_name, [_name]))
for _name, _class in DESCRIBED.items():
    export(_class, f"train.{_name}")
export(message("saver_pb2", "SaverDef"), "train.SaverDef")
export(message("cluster_pb2", "ClusterDef"), "train.ClusterDef")
