"""Tensors as protocol buffers: TensorProto and arrays, and as strings in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constant_arrays import constant_array
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, as_shape, unknown_shape
from recurra.tf1.values import as_bytes_array, to_numpy, to_torch

__all__ = ["make_ndarray", "make_tensor_proto"]

tf = space("")


def _protos() -> Any:
    from tensorboard.util import tensor_util

    return tensor_util


@tf_export("make_tensor_proto")
def make_tensor_proto(
    values: Any, dtype: Any = None, shape: Any = None, verify_shape: bool = False, allow_broadcast: bool = False
) -> Any:
    """A TensorProto of a Python or NumPy value; TypeError, ValueError as tf.constant's."""
    kind = None if dtype is None else dtypes.as_dtype(dtype)
    array, kind = constant_array(values, kind, shape, verify_shape)
    if kind is dtypes.string:
        return _protos().make_tensor_proto(array, shape=list(array.shape))
    return _protos().make_tensor_proto(array, dtype=kind.as_numpy_dtype, shape=list(array.shape))


@tf_export("make_ndarray")
def make_ndarray(tensor: Any) -> np.ndarray:
    """The array of a TensorProto."""
    if tensor.dtype == dtypes.bfloat16.as_datatype_enum:  # 16 bits each, in whichever field
        bits = np.frombuffer(tensor.tensor_content, np.uint16) if tensor.tensor_content else tensor.half_val
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        values = np.array(bits, np.uint16).view(dtypes.bfloat16.as_numpy_dtype)
        return np.broadcast_to(values, shape).copy() if values.size == 1 else values.reshape(shape)
    return _protos().make_ndarray(tensor)


def _one(text: bytes) -> np.ndarray:
    return as_bytes_array(np.array(text, dtype=object))


def _serialize(tensor: Any) -> np.ndarray:
    return _one(make_tensor_proto(np.asarray(to_numpy(tensor))).SerializeToString())


def _parse(serialized: np.ndarray, out_type: Any = dtypes.float32) -> Any:
    from tensorboard.compat.proto import tensor_pb2

    proto = tensor_pb2.TensorProto()
    try:
        proto.ParseFromString(serialized.item())
    except Exception as error:
        raise InvalidArgumentError(None, None, f"Could not parse `serialized` as TensorProto: {error}") from None
    kind = dtypes.as_dtype(proto.dtype)
    if kind != dtypes.as_dtype(out_type):
        raise InvalidArgumentError(
            None,
            None,
            f"Type mismatch between parsed tensor ({kind.name}) and dtype ({dtypes.as_dtype(out_type).name})",
        )
    return to_torch(np.asarray(make_ndarray(proto)))


_scalar: Any = lambda o: TensorShape([])  # noqa: E731
op("SerializeTensor", "tensor:T -> string", _serialize, shape=_scalar, diff=False)
op("ParseTensor", "serialized:string -> out_type", _parse, shape=lambda o: unknown_shape(), diff=False)


@tf_export("serialize_tensor", "io.serialize_tensor")
def serialize_tensor(tensor: Any, name: str | None = None) -> Any:
    """The tensor as the bytes of a TensorProto."""
    return apply_op("SerializeTensor", tensor, name=name)


@tf_export("parse_tensor", "io.parse_tensor")
def parse_tensor(serialized: Any, out_type: Any, name: str | None = None) -> Any:
    """The tensor of a serialized TensorProto of dtype `out_type`."""
    return apply_op("ParseTensor", serialized, out_type=dtypes.as_dtype(out_type), name=name)


@tf_export("serialize_sparse", "io.serialize_sparse")
def serialize_sparse(sp_input: Any, name: str | None = None, out_type: Any = dtypes.string) -> Any:
    """[3] strings: indices, values and shape of a SparseTensor."""
    with name_scope(name, "SerializeSparse"):
        parts = (sp_input.indices, sp_input.values, sp_input.dense_shape)
        return tf.stack([serialize_tensor(p) for p in parts])


def _rows(indices: Any, values: Any, shape: Any) -> np.ndarray:
    rows = indices[:, 0]
    out = np.empty((int(shape[0]), 3), dtype=object)
    for r in range(out.shape[0]):
        here = rows == r
        own = values[here.numpy()] if isinstance(values, np.ndarray) else values[here]
        for column, part in enumerate((indices[here][:, 1:], own, shape[1:])):
            out[r, column] = _serialize(part).item()
    return out


op(
    "SerializeManySparse",
    "indices:int64, values:T, shape:int64 -> string",
    _rows,
    shape=lambda o: TensorShape([None, 3]),
    diff=False,
)


@tf_export("serialize_many_sparse", "io.serialize_many_sparse")
def serialize_many_sparse(sp_input: Any, name: str | None = None, out_type: Any = dtypes.string) -> Any:
    """[rows, 3] strings: every row of a SparseTensor as one of a rank less."""
    return apply_op("SerializeManySparse", sp_input.indices, sp_input.values, sp_input.dense_shape, name=name)


def _deserialize(serialized: np.ndarray, dtype: Any) -> tuple[Any, Any, Any]:
    indices, values, shapes = [], [], []
    for row, (where, what, size) in enumerate(serialized.reshape(-1, 3)):
        part = np.asarray(to_numpy(_parse(_one(where), dtypes.int64)))
        indices.append(np.concatenate([np.full((len(part), 1), row, np.int64), part.reshape(len(part), -1)], 1))
        values.append(np.asarray(to_numpy(_parse(_one(what), dtype))))
        shapes.append(np.asarray(to_numpy(_parse(_one(size), dtypes.int64))))
    shape = np.array([len(shapes), *np.max(shapes, 0)], np.int64)
    return to_torch(np.concatenate(indices)), to_torch(np.concatenate(values)), to_torch(shape)


op(
    "DeserializeManySparse",
    "serialized:string -> int64, dtype, int64",
    _deserialize,
    shape=lambda o: [TensorShape([None, None]), TensorShape([None]), TensorShape([None])],
    diff=False,
)


@tf_export("deserialize_many_sparse", "io.deserialize_many_sparse")
def deserialize_many_sparse(
    serialized_sparse: Any, dtype: Any, rank: int | None = None, name: str | None = None
) -> Any:
    """The SparseTensors of [rows, 3] strings, stacked into one of a rank more."""
    kind = dtypes.as_dtype(dtype)
    indices, values, shape = apply_op("DeserializeManySparse", serialized_sparse, dtype=kind, name=name)
    indices.set_shape([None, rank])
    shape.set_shape(as_shape([rank]))
    return tf.SparseTensor(indices, values, shape)


def _json_examples(json_examples: np.ndarray) -> np.ndarray:
    from google.protobuf import json_format

    kind = tf.train.Example
    out = np.empty(json_examples.shape, dtype=object)
    for place, text in np.ndenumerate(json_examples):
        out[place] = json_format.Parse(text, kind()).SerializeToString()
    return out


op("DecodeJSONExample", "json_examples:string -> string", _json_examples, shape=lambda o: o.inputs[0].shape, diff=False)


@tf_export("decode_json_example", "io.decode_json_example")
def decode_json_example(json_examples: Any, name: str | None = None) -> Any:
    """JSON texts of tf.train.Example as serialized Examples."""
    return apply_op("DecodeJSONExample", convert_to_tensor(json_examples), name=name)
