"""tf.parse_example, parse_single_example, parse_single_sequence_example: TFRecord's messages as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from recurra.tf1 import errors
from recurra.tf1.build import apply_op
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.protos import Example, SequenceExample
from recurra.tf1.registry import op
from recurra.tf1.values import to_torch

tf = space("")


@tf_export("FixedLenFeature", "io.FixedLenFeature")
class FixedLenFeature(NamedTuple):
    """A feature of fixed shape."""

    shape: Any
    dtype: Any
    default_value: Any = None


@tf_export("VarLenFeature", "io.VarLenFeature")
class VarLenFeature(NamedTuple):
    """A feature of any length, as a SparseTensor."""

    dtype: Any


@tf_export("FixedLenSequenceFeature", "io.FixedLenSequenceFeature")
class FixedLenSequenceFeature(NamedTuple):
    """A list of features of fixed shape."""

    shape: Any
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None


@tf_export("SparseFeature", "io.SparseFeature")
class SparseFeature(NamedTuple):
    """Indices and values in two features, as a SparseTensor."""

    index_key: Any
    value_key: str
    dtype: Any
    size: Any
    already_sorted: bool = False


def _values(feature: Any, dtype: Any, key: str) -> np.ndarray:
    """The values of a Feature message as a flat array."""
    kind = feature.WhichOneof("kind")
    wanted = {"string": "bytes_list", "float32": "float_list", "int64": "int64_list"}[dtype.name]
    if kind is not None and kind != wanted:
        text = f"Key: {key}.  Data types don't match. Expected type: {dtype.name}"
        raise errors.invalid_argument(text)
    found = list(getattr(feature, wanted).value)
    if dtype.name == "string":
        array = np.empty(len(found), dtype=object)
        array[:] = found
        return array
    return np.array(found, dtype=dtype.as_numpy_dtype)


def _fixed(features: Any, key: str, spec: Any, name: str) -> np.ndarray:
    shape = (
        [int(d) for d in tf.TensorShape(spec.shape).as_list()]
        if tf.TensorShape(spec.shape).is_fully_defined()
        else None
    )
    present = key in features and features[key].WhichOneof("kind") is not None
    if not present:
        if spec.default_value is None:
            text = f"Name: {name}, Feature: {key} (data type: {spec.dtype.name}) is required but could not be found."
            raise errors.invalid_argument(text)
        kind = object if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype
        default = np.asarray(spec.default_value, dtype=kind)
        if kind is object:
            default = np.vectorize(lambda v: v.encode() if isinstance(v, str) else v, otypes=[object])(default)
        return np.broadcast_to(default, shape or default.shape).copy()
    array = _values(features[key], spec.dtype, key)
    size = int(np.prod(shape)) if shape is not None else array.size
    if array.size != size:
        text = (
            f"Name: {name}, Key: {key}, Index: 0.  Number of {spec.dtype.name} values != expected.  "
            f"Values size: {array.size} but output shape: {shape}"
        )
        raise errors.invalid_argument(text)
    return array.reshape(shape) if shape is not None else array


def _out(array: np.ndarray) -> Any:
    if array.dtype == object:
        return array
    return to_torch(array if array.flags.c_contiguous else np.ascontiguousarray(array))


def _column(parsed: list[Any], key: str, spec: Any, names: list[str]) -> list[Any]:
    """The outputs of one feature over a batch of examples: one array, or indices, values and shape."""
    maps = [p.features.feature for p in parsed]
    if isinstance(spec, FixedLenFeature):
        return [np.stack([_fixed(m, key, spec, n) for m, n in zip(maps, names, strict=True)]) if maps else None]
    if isinstance(spec, FixedLenSequenceFeature):
        return [_ragged([_values(m[key], spec.dtype, key) if key in m else None for m in maps], spec, key)]
    if isinstance(spec, SparseFeature):
        return _sparse_pairs(maps, spec)
    rows = [_values(m[key], spec.dtype, key) if key in m else np.zeros(0) for m in maps]
    return _sparse(rows, spec.dtype)


def _ragged(rows: list[Any], spec: Any, key: str) -> np.ndarray:
    inner = [int(d) for d in tf.TensorShape(spec.shape).as_list()]
    if any(r is None for r in rows) and not spec.allow_missing:
        raise errors.invalid_argument(f"Feature: {key} is required but could not be found.")
    kind = object if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype
    shaped = [np.zeros([0, *inner], kind) if r is None else r.reshape([-1, *inner]) for r in rows]
    fill = spec.default_value if spec.default_value is not None else (b"" if kind is object else 0)
    batch = np.full([len(rows), max((len(r) for r in shaped), default=0), *inner], fill, dtype=kind)
    for i, row in enumerate(shaped):
        batch[i, : len(row)] = row
    return batch


def _sparse(rows: list[np.ndarray], dtype: Any) -> list[np.ndarray]:
    indices = [[i, j] for i, row in enumerate(rows) for j in range(len(row))]
    kind = object if dtype.name == "string" else dtype.as_numpy_dtype
    values = np.concatenate([r.astype(kind) for r in rows]) if rows else np.zeros(0, kind)
    shape = [len(rows), max((len(r) for r in rows), default=0)]
    return [np.array(indices, np.int64).reshape(-1, 2), values, np.array(shape, np.int64)]


def _sparse_pairs(maps: list[Any], spec: SparseFeature) -> list[np.ndarray]:
    keys = [spec.index_key] if isinstance(spec.index_key, str) else list(spec.index_key)
    sizes = [spec.size] if isinstance(spec.size, int) else list(spec.size)
    entries = []
    for i, features in enumerate(maps):
        at = [_values(features[k], tf.int64, k) for k in keys]
        found = _values(features[spec.value_key], spec.dtype, spec.value_key)
        entries += sorted(([i, *map(int, index)], value) for *index, value in zip(*at, found, strict=True))
    kind = object if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype
    indices = np.array([e[0] for e in entries], np.int64).reshape(-1, 1 + len(keys))
    return [indices, np.array([e[1] for e in entries], kind), np.array([len(maps), *sizes], np.int64)]


def _parse(kind: Any, data: Any) -> Any:
    try:
        return kind.FromString(data)
    except Exception as error:
        raise errors.invalid_argument(f"Could not parse example input, value: {data!r}") from error


def _bind_batch(operation: Any, session: Any) -> Callable[..., Any]:
    features = operation.attrs["_features"]

    def run(serialized: Any, names: Any) -> Any:
        flat = np.asarray(serialized, dtype=object).reshape(-1)
        parsed = [_parse(Example, data) for data in flat]
        shown = [str(n) for n in np.asarray(names, dtype=object).reshape(-1)] or ["<unknown>"] * len(parsed)
        outputs = [_out(a) for key in sorted(features) for a in _column(parsed, key, features[key], shown)]
        return tuple(outputs)

    return run


def _bind_sequence(operation: Any, session: Any) -> Callable[..., Any]:
    context, lists = operation.attrs["_context"], operation.attrs["_lists"]

    def run(serialized: Any) -> Any:
        parsed = _parse(SequenceExample, serialized.item())
        outputs = []
        for key in sorted(context):
            spec = context[key]
            if isinstance(spec, VarLenFeature):
                row = _values(parsed.context.feature[key], spec.dtype, key)
                outputs += _vector(row)
            else:
                outputs.append(_fixed(parsed.context.feature, key, spec, "<unknown>"))
        for key in sorted(lists):
            outputs += _steps(parsed.feature_lists.feature_list, key, lists[key])
        return tuple(_out(o) for o in outputs)

    return run


def _vector(row: np.ndarray) -> list[np.ndarray]:
    return [np.arange(len(row), dtype=np.int64)[:, None], row, np.array([len(row)], np.int64)]


def _steps(lists: Any, key: str, spec: Any) -> list[np.ndarray]:
    if isinstance(spec, VarLenFeature):
        return _sparse([_values(f, spec.dtype, key) for f in lists[key].feature], spec.dtype)
    if key not in lists and not spec.allow_missing:
        text = (
            f"Name: <unknown>, Feature list '{key}' is required but could not be found.  Did you mean "
            "to include it in feature_list_dense_missing_assumed_empty or feature_list_dense_defaults?"
        )
        raise errors.invalid_argument(text)
    shape = [int(d) for d in tf.TensorShape(spec.shape).as_list()]
    kind = object if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype
    rows = [_values(f, spec.dtype, key).reshape(shape) for f in lists[key].feature] if key in lists else []
    return [np.stack(rows) if rows else np.zeros([0, *shape], kind)]


def _attr_shapes(operation: Any) -> list[Any]:
    return operation.attrs["_shapes"]


op("ParseExample", "serialized:string, names:string -> *Tout", bind=_bind_batch, shape=_attr_shapes, diff=False)
op("ParseSingleSequenceExample", "serialized:string -> *Tout", bind=_bind_sequence, shape=_attr_shapes, diff=False)


def _declared(features: dict[str, Any], lead: Any, rank: int) -> tuple[list[Any], list[Any]]:
    """Output dtypes and shapes, in order of the keys."""
    kinds, shapes = [], []
    for key in sorted(features):
        spec = features[key]
        if isinstance(spec, VarLenFeature | SparseFeature):
            kinds += [tf.int64, spec.dtype, tf.int64]
            width = rank if isinstance(spec, VarLenFeature) else 2
            shapes += [tf.TensorShape([None, width]), tf.TensorShape([None]), tf.TensorShape([width])]
        elif isinstance(spec, FixedLenSequenceFeature):
            kinds.append(spec.dtype)
            shapes.append(
                tf.TensorShape(lead).concatenate(tf.TensorShape([None])).concatenate(tf.TensorShape(spec.shape))
            )
        else:
            kinds.append(spec.dtype)
            shapes.append(tf.TensorShape(lead).concatenate(tf.TensorShape(spec.shape)))
    return kinds, shapes


def _collect(features: dict[str, Any], outputs: list[Any]) -> dict[str, Any]:
    remaining = iter(outputs)
    found = {}
    for key in sorted(features):
        if isinstance(features[key], VarLenFeature | SparseFeature):
            found[key] = tf.SparseTensor(next(remaining), next(remaining), next(remaining))
        else:
            found[key] = next(remaining)
    return found


def _checked(features: Any) -> dict[str, Any]:
    if not features:
        raise ValueError("Missing: features was empty.")
    return {k: s._replace(dtype=tf.as_dtype(s.dtype)) for k, s in features.items()}


@tf_export("parse_example", "io.parse_example")
def parse_example(serialized: Any, features: Any, name: str | None = None, example_names: Any = None) -> dict[str, Any]:
    """{key: tensor or SparseTensor} of a vector of serialized Example messages."""
    specs = _checked(features)
    serialized = tf.convert_to_tensor(serialized, dtype=tf.string)
    count = serialized.get_shape()[:1] if serialized.get_shape().ndims else [None]
    kinds, shapes = _declared(specs, count, 2)
    names = tf.convert_to_tensor([] if example_names is None else example_names, dtype=tf.string)
    made = apply_op("ParseExample", serialized, names, Tout=kinds, _shapes=shapes, _features=specs, name=name)
    return _collect(specs, list(made) if isinstance(made, list | tuple) else [made])


@tf_export("parse_single_example", "io.parse_single_example")
def parse_single_example(
    serialized: Any, features: Any, name: str | None = None, example_names: Any = None
) -> dict[str, Any]:
    """{key: tensor or SparseTensor} of one serialized Example message."""
    with tf.name_scope(name, "ParseSingleExample", [serialized]):
        parsed = parse_example(tf.expand_dims(tf.convert_to_tensor(serialized, dtype=tf.string), 0), features)
        return {key: _first_row(value) for key, value in parsed.items()}


def _first_row(value: Any) -> Any:
    if isinstance(value, tf.SparseTensor):
        return tf.SparseTensor(value.indices[:, 1:], value.values, value.dense_shape[1:])
    return tf.squeeze(value, [0])


@tf_export("parse_single_sequence_example", "io.parse_single_sequence_example")
def parse_single_sequence_example(
    serialized: Any,
    context_features: Any = None,
    sequence_features: Any = None,
    example_name: Any = None,
    name: str | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """({context key: tensor}, {list key: tensor [steps, …]}) of one serialized SequenceExample message."""
    if not (context_features or sequence_features):
        raise ValueError("Missing features.")
    context = _checked(context_features) if context_features else {}
    lists = _checked(sequence_features) if sequence_features else {}
    kinds, shapes = _declared(context, [], 1)
    more_kinds, more_shapes = _declared(lists, [], 2)
    made = apply_op(
        "ParseSingleSequenceExample",
        tf.convert_to_tensor(serialized, dtype=tf.string),
        Tout=kinds + more_kinds,
        _shapes=shapes + more_shapes,
        _context=context,
        _lists=lists,
        name=name,
    )
    outputs = list(made) if isinstance(made, list | tuple) else [made]
    return _collect(context, outputs[: len(kinds)]), _collect(lists, outputs[len(kinds) :])
