"""The protobuf messages inside the two formats, described here field by field (numbers and types are the formats').

Built at import with protobuf's descriptors, so that no generated code is kept. Messages that carry a tensor's
values (`SavedSlice.data`, the packed lists of `TensorData`) are declared as bytes, which are the same on the wire: the
values then go to NumPy in one piece instead of one Python number at a time.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["BundleEntry", "BundleHeader", "ObjectGraph", "SavedTensorSlices", "TensorData"]

_PACKAGE = "recurra.checkpoint"
# message -> fields "name number [repeated] type"; a leading * marks a oneof member (present or absent, even when 0)
_MESSAGES: dict[str, list[str]] = {
    "VersionDef": ["producer 1 int32", "min_consumer 2 int32"],
    "Dim": ["size 1 int64", "name 2 string"],
    "TensorShape": ["dim 2 repeated Dim", "unknown_rank 3 bool"],
    "Extent": ["start 1 int64", "*length 2 int64"],
    "TensorSlice": ["extent 1 repeated Extent"],
    "BundleHeader": ["num_shards 1 int32", "endianness 2 int32", "version 3 VersionDef"],
    "BundleEntry": [
        "dtype 1 int32",
        "shape 2 TensorShape",
        "shard_id 3 int32",
        "offset 4 int64",
        "size 5 int64",
        "crc32c 6 fixed32",
        "slices 7 repeated TensorSlice",
    ],
    "SavedSliceMeta": ["name 1 string", "shape 2 TensorShape", "type 3 int32", "slice 4 repeated TensorSlice"],
    "SavedTensorSliceMeta": ["tensor 1 repeated SavedSliceMeta", "versions 2 VersionDef"],
    "SavedSlice": ["name 1 string", "slice 2 TensorSlice", "data 3 bytes"],
    "SavedTensorSlices": ["meta 1 SavedTensorSliceMeta", "data 2 SavedSlice"],
    "ObjectReference": ["node_id 1 int32", "local_name 2 string"],
    "SerializedTensor": ["name 1 string", "full_name 2 string", "checkpoint_key 3 string", "optional_restore 4 bool"],
    "SlotReference": ["original_variable_node_id 1 int32", "slot_name 2 string", "slot_variable_node_id 3 int32"],
    "TrackedObject": [
        "children 1 repeated ObjectReference",
        "attributes 2 repeated SerializedTensor",
        "slot_variables 3 repeated SlotReference",
    ],
    "ObjectGraph": ["nodes 1 repeated TrackedObject"],
    "TensorData": [
        "float_val 5 repeated bytes",
        "double_val 6 repeated bytes",
        "int_val 7 repeated bytes",
        "string_val 8 repeated bytes",
        "scomplex_val 9 repeated bytes",
        "int64_val 10 repeated bytes",
        "bool_val 11 repeated bytes",
        "dcomplex_val 12 repeated bytes",
        "half_val 13 repeated bytes",
        "uint32_val 16 repeated bytes",
        "uint64_val 17 repeated bytes",
    ],
}
_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("int32", "int64", "fixed32", "bool", "string", "bytes")
}


def _add_field(message: descriptor_pb2.DescriptorProto, text: str) -> None:
    optional, parts = text.startswith("*"), text.lstrip("*").split()
    field = message.field.add(name=parts[0], number=int(parts[1]))
    field.label = field.LABEL_REPEATED if "repeated" in parts else field.LABEL_OPTIONAL
    if parts[-1] in _SCALARS:
        field.type = _SCALARS[parts[-1]]
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{parts[-1]}"
    if optional:
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"has_{parts[0]}")


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="recurra/checkpoint.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add_field(message, text)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _build()
BundleHeader = _CLASSES["BundleHeader"]
BundleEntry = _CLASSES["BundleEntry"]
ObjectGraph = _CLASSES["ObjectGraph"]
SavedTensorSlices = _CLASSES["SavedTensorSlices"]
TensorData = _CLASSES["TensorData"]
