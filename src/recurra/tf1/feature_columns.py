"""tf.feature_column: how named features become the input of a model.

Every column makes a dense matrix of ids [B, n] (−1: none) or of numbers [B, n] first; indicators and embeddings come from the ids.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.tf1.layers.base import _parts
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")


class FeatureColumn:
    """A column: its name, and the key of the feature it reads."""

    sequence = False

    def __init__(self, key: str, name: str) -> None:
        self.key, self.name = key, name

    @property
    def parse_spec(self) -> dict[str, Any]:
        """What tf.parse_example needs to read the feature."""
        raise NotImplementedError

    def dense(self, features: dict[str, Any]) -> Any:
        """[B, n] (of a sequence column [B, T, n]): the model's input."""
        raise ValueError(
            f"Items of feature_columns must be a dense column (numeric, bucketized, indicator, embedding). Given: "
            f"{self.name}; wrap a categorical column with an embedding_column or indicator_column."
        )


def _feature(features: dict[str, Any], key: str) -> Any:
    if key not in features:
        raise ValueError(f"Feature {key} is not in features dictionary.")
    found = features[key]
    if isinstance(found, tf.SparseTensor):
        return found
    found = tf.convert_to_tensor(found)
    return tf.expand_dims(found, -1) if found.shape.ndims == 1 else found


def _without_holes(value: Any, fill: Any) -> Any:
    """A feature as a dense tensor, missing values being `fill`."""
    if not isinstance(value, tf.SparseTensor):
        return value
    return tf.sparse_tensor_to_dense(value, default_value=fill, validate_indices=False)


class _Numeric(FeatureColumn):
    def __init__(self, key: str, shape: Any, default: Any, dtype: Any, normalizer: Any, sequence: bool) -> None:
        super().__init__(key, key)
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.default_value, self.dtype, self.normalizer_fn, self.sequence = (
            default,
            tf.as_dtype(dtype),
            normalizer,
            sequence,
        )

    @property
    def parse_spec(self) -> dict[str, Any]:
        if self.sequence:
            return {self.key: tf.VarLenFeature(self.dtype)}
        return {self.key: tf.FixedLenFeature(self.shape, self.dtype, self.default_value)}

    def numbers(self, features: dict[str, Any]) -> Any:
        fill = tf.constant(self.default_value if self.sequence else 0, self.dtype)
        value = _feature(features, self.key)
        if self.normalizer_fn is None:
            return tf.to_float(_without_holes(value, fill))
        if self.sequence:  # what is there is normalised, what is missing filled in afterwards
            return tf.to_float(_without_holes(self.normalizer_fn(value), fill))
        return tf.to_float(self.normalizer_fn(_without_holes(value, fill)))

    def dense(self, features: dict[str, Any]) -> Any:
        size = int(np.prod(self.shape))
        value = self.numbers(features)
        if not self.sequence:
            return tf.reshape(value, [-1, size])
        return tf.reshape(value, [tf.shape(value)[0], -1, size])


class _Bucketized(FeatureColumn):
    def __init__(self, source: _Numeric, boundaries: Sequence[float]) -> None:
        if list(boundaries) != sorted(boundaries) or not boundaries:
            raise ValueError(f"boundaries must be a sorted list. Given: {boundaries}")
        super().__init__(source.key, f"{source.name}_bucketized")
        self.source, self.boundaries = source, list(boundaries)
        self.num_buckets = len(self.boundaries) + 1

    @property
    def parse_spec(self) -> dict[str, Any]:
        return self.source.parse_spec

    def ids(self, features: dict[str, Any]) -> Any:
        """The bucket of every number; those of different places in the feature are kept apart."""
        buckets = tf.cast(_bucketize(self.source.dense(features), self.boundaries), tf.int64)
        size = int(np.prod(self.source.shape))
        return buckets + tf.constant(np.arange(size) * self.num_buckets, tf.int64)

    @property
    def count(self) -> int:
        return self.num_buckets * int(np.prod(self.source.shape))

    def dense(self, features: dict[str, Any]) -> Any:
        size = int(np.prod(self.source.shape))
        buckets = _bucketize(self.source.dense(features), self.boundaries)
        return tf.reshape(tf.one_hot(buckets, self.num_buckets), [-1, size * self.num_buckets])


def _bucketize(value: Any, boundaries: list[float]) -> Any:
    edges = tf.constant(boundaries, tf.float32)
    return tf.reduce_sum(tf.cast(tf.expand_dims(value, -1) >= edges, tf.int32), axis=-1)


class _Categorical(FeatureColumn):
    """Ids from a feature by `look_up`, a function of its dense values."""

    def __init__(self, key: str, count: int, dtype: Any, look_up: Any, sequence: bool = False) -> None:
        super().__init__(key, key)
        self.vocabulary_file: str | None = None
        self.vocabulary_size: int | None = None
        self.count, self.dtype, self.look_up, self.sequence = count, tf.as_dtype(dtype), look_up, sequence

    @property
    def parse_spec(self) -> dict[str, Any]:
        return {self.key: tf.VarLenFeature(self.dtype)}

    def ids(self, features: dict[str, Any]) -> Any:
        missing: Any = "" if self.dtype == tf.string else -1
        value = _without_holes(_feature(features, self.key), missing)
        if self.dtype != tf.string:
            value = tf.cast(value, tf.int64)
        found = tf.cast(self.look_up(value), tf.int64)
        return tf.where(tf.equal(value, missing), -tf.ones_like(found), found)


class _Indicator(FeatureColumn):
    """How often each id is there."""

    def __init__(self, source: Any) -> None:
        super().__init__(source.key, f"{source.name}_indicator")
        self.source, self.sequence = source, source.sequence

    @property
    def parse_spec(self) -> dict[str, Any]:
        return self.source.parse_spec

    def dense(self, features: dict[str, Any]) -> Any:
        hot = tf.one_hot(self.source.ids(features), self.source.count)
        return hot if self.sequence else tf.reduce_sum(hot, axis=1)


class _Embedding(FeatureColumn):
    """Rows of a table, combined over a feature's ids."""

    def __init__(self, source: Any, dimension: int, combiner: str, initializer: Any, trainable: bool,
                 max_norm: float | None = None, stored: tuple[Any, Any] = (None, None)) -> None:  # fmt: skip
        if dimension is None or dimension < 1:
            raise ValueError(f"Invalid dimension {dimension}.")
        super().__init__(source.key, f"{source.name}_embedding")
        self.source, self.dimension, self.combiner, self.trainable = source, dimension, combiner, trainable
        if (stored[0] is None) != (stored[1] is None):
            raise ValueError("Must specify both `ckpt_to_load_from` and `tensor_name_in_ckpt` or none of them.")
        self.initializer, self.sequence = initializer, source.sequence
        self.max_norm, self.stored = max_norm, stored

    @property
    def parse_spec(self) -> dict[str, Any]:
        return self.source.parse_spec

    def dense(self, features: dict[str, Any]) -> Any:
        if self.combiner not in ("mean", "sqrtn", "sum"):
            raise ValueError("combiner must be one of 'mean', 'sqrtn' or 'sum'")
        initializer = self.initializer or tf.truncated_normal_initializer(0.0, 1 / np.sqrt(self.dimension))
        shape = [self.source.count, self.dimension]
        table = tf.get_variable("embedding_weights", shape, initializer=initializer, trainable=self.trainable)
        if self.stored[0] is not None:
            tf.train.init_from_checkpoint(self.stored[0], {self.stored[1]: table})
        ids = self.source.ids(features)
        there = tf.cast(ids >= 0, tf.float32)
        rows = tf.nn.embedding_lookup(table, tf.maximum(ids, 0), max_norm=self.max_norm) * tf.expand_dims(there, -1)
        if self.sequence:
            return rows
        total, number = tf.reduce_sum(rows, axis=1), tf.reduce_sum(there, axis=1, keepdims=True)
        if self.combiner == "sum":
            return total
        return total / tf.maximum(tf.sqrt(number) if self.combiner == "sqrtn" else number, 1.0)


# -- making columns ----------------------------------------------------------------------------------------------------
@tf_export("feature_column.numeric_column")
def numeric_column(key: str, shape: Any = (1,), default_value: Any = None, dtype: Any = "float32",
                   normalizer_fn: Any = None) -> _Numeric:  # fmt: skip
    """Numbers as they are."""
    return _Numeric(key, shape, default_value, dtype, normalizer_fn, False)


@tf_export("feature_column.bucketized_column")
def bucketized_column(source_column: _Numeric, boundaries: Sequence[float]) -> _Bucketized:
    """Which interval a number lies in."""
    return _Bucketized(source_column, boundaries)


def _identity(key: str, num_buckets: int, default_value: int | None = None, *, sequence: bool = False) -> _Categorical:
    """Numbers that are ids already; those outside are `default_value`, or an error when the graph runs."""

    def look_up(value: Any) -> Any:
        good = tf.logical_and(value >= 0, value < num_buckets)
        if default_value is not None:
            return tf.where(good, value, tf.ones_like(value) * default_value)
        missing = tf.equal(value, -1)
        with tf.control_dependencies([tf.Assert(tf.reduce_all(tf.logical_or(good, missing)), [value])]):
            return tf.identity(value)

    return _Categorical(key, num_buckets, "int64", look_up, sequence)


def _hashed(key: str, hash_bucket_size: int, dtype: Any = "string", *, sequence: bool = False) -> _Categorical:
    """Ids by hashing."""

    def look_up(value: Any) -> Any:
        text = value if value.dtype == tf.string else tf.as_string(value)
        return tf.string_to_hash_bucket_fast(text, hash_bucket_size)

    return _Categorical(key, hash_bucket_size, dtype, look_up, sequence)


def _listed(key: str, vocabulary_list: Sequence[Any], dtype: Any = None, default_value: int = -1,
            num_oov_buckets: int = 0, *, sequence: bool = False) -> _Categorical:  # fmt: skip
    """Ids by the place in a list."""
    kind = dtype or ("string" if isinstance(vocabulary_list[0], str | bytes) else "int64")

    def look_up(value: Any) -> Any:
        words = tf.constant(list(vocabulary_list), tf.as_dtype(kind))
        table = tf.contrib.lookup.index_table_from_tensor(words, num_oov_buckets, default_value)
        return table.lookup(value)

    return _Categorical(key, len(vocabulary_list) + num_oov_buckets, kind, look_up, sequence)


def _from_file(key: str, vocabulary_file: str, vocabulary_size: int | None = None, num_oov_buckets: int = 0,
               default_value: int | None = None, dtype: Any = "string", *,
               sequence: bool = False) -> _Categorical:  # fmt: skip
    """Ids by the line in a file."""
    if vocabulary_size is None:
        with tf.gfile.GFile(vocabulary_file) as file:
            vocabulary_size = sum(1 for _ in file)
    size = vocabulary_size

    def look_up(value: Any) -> Any:
        default = -1 if default_value is None else default_value
        table = tf.contrib.lookup.index_table_from_file(vocabulary_file, num_oov_buckets, size, default)
        return table.lookup(value if value.dtype == tf.string else tf.as_string(value))

    made = _Categorical(key, size + num_oov_buckets, dtype, look_up, sequence)
    made.vocabulary_file, made.vocabulary_size = vocabulary_file, size
    return made


for _name, _make in (("identity", _identity), ("hash_bucket", _hashed), ("vocabulary_list", _listed),
                     ("vocabulary_file", _from_file)):  # fmt: skip
    export(_make, f"feature_column.categorical_column_with_{_name}")

    def _over_steps(*args: Any, _make: Any = _make, **kwargs: Any) -> _Categorical:
        made: _Categorical = _make(*args, sequence=True, **kwargs)
        return made

    _spoken = f"sequence_categorical_column_with_{_name}"
    export(_over_steps, f"feature_column.{_spoken}", f"contrib.feature_column.{_spoken}")


@tf_export("feature_column.sequence_numeric_column", "contrib.feature_column.sequence_numeric_column")
def sequence_numeric_column(key: str, shape: Any = (1,), default_value: float = 0.0, dtype: Any = "float32",
                            normalizer_fn: Any = None) -> _Numeric:  # fmt: skip
    """Numbers of every time step."""
    return _Numeric(key, shape, default_value, dtype, normalizer_fn, True)


@tf_export("feature_column.indicator_column")
def indicator_column(categorical_column: Any) -> _Indicator:
    """One-hot, or multi-hot."""
    return _Indicator(categorical_column)


@tf_export("feature_column.embedding_column")
def embedding_column(categorical_column: Any, dimension: int, combiner: str = "mean", initializer: Any = None,
                     ckpt_to_load_from: Any = None, tensor_name_in_ckpt: Any = None, max_norm: Any = None,
                     trainable: bool = True) -> _Embedding:  # fmt: skip
    """Rows of a table that is learned."""
    stored = (ckpt_to_load_from, tensor_name_in_ckpt)
    return _Embedding(categorical_column, dimension, combiner, initializer, trainable, max_norm, stored)


# -- using columns -----------------------------------------------------------------------------------------------------
def _columns(given: Any) -> list[FeatureColumn]:
    columns = list(given) if isinstance(given, list | tuple | set) else [given]
    names = [c.name for c in columns]
    if len(set(names)) != len(names):
        raise ValueError(f"Duplicate feature column name found for columns: {sorted(names)}")
    return sorted(columns, key=lambda c: c.name)


def _getter(trainable: bool, weight_collections: Any) -> Any:
    """Variables as the options of a layer of columns want them."""
    collections = [*(weight_collections or ()), tf.GraphKeys.GLOBAL_VARIABLES]

    def get(getter: Any, *args: Any, **kwargs: Any) -> Any:
        learns = trainable and kwargs.get("trainable") is not False
        return getter(*args, **{**kwargs, "trainable": learns, "collections": list(dict.fromkeys(collections))})

    return get


@tf_export("feature_column.input_layer")
def input_layer(features: dict[str, Any], feature_columns: Any, weight_collections: Any = None, trainable: bool = True,
                cols_to_vars: Any = None, cols_to_output_tensors: Any = None) -> Any:  # fmt: skip
    """The columns side by side, in the order of their names: [B, n]."""
    parts = []
    with tf.variable_scope(None, "input_layer", custom_getter=_getter(trainable, weight_collections)):
        for column in _columns(feature_columns):
            with tf.variable_scope(None, column.name or "column") as scope:
                part = column.dense(features)
                made = tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, scope=scope.name)
            parts.append(part)
            if cols_to_vars is not None:
                cols_to_vars[column] = made
            if cols_to_output_tensors is not None:
                cols_to_output_tensors[column] = part
        return tf.concat(parts, 1) if len(parts) > 1 else tf.identity(parts[0])


@tf_export("feature_column.linear_model")
def linear_model(features: dict[str, Any], feature_columns: Any, units: int = 1, sparse_combiner: str = "sum",
                 weight_collections: Any = None, trainable: bool = True, cols_to_vars: Any = None) -> Any:  # fmt: skip
    """Σ column · weights + bias: [B, units]. Categorical columns count each id once as often as it is there."""
    if sparse_combiner != "sum":
        raise NotImplementedError("tf.feature_column.linear_model with a sparse_combiner other than sum")
    total = None
    with tf.variable_scope(None, "linear_model", custom_getter=_getter(trainable, weight_collections)):
        for column in _columns(feature_columns):
            with tf.variable_scope(None, column.name or "column"):
                source = column
                if hasattr(column, "ids"):
                    hot = tf.one_hot(column.ids(features), column.count)
                    source_value, width = tf.reduce_sum(hot, axis=1), column.count
                else:
                    source_value = source.dense(features)
                    width = source_value.shape.as_list()[1]
                shape = [width, units]
                weights = tf.get_variable("weights", shape, initializer=tf.zeros_initializer(), trainable=trainable)
                part = tf.matmul(source_value, weights)
                if cols_to_vars is not None:
                    cols_to_vars[column] = _parts(weights)
                total = part if total is None else total + part
        bias = tf.get_variable("bias_weights", [units], initializer=tf.zeros_initializer(), trainable=trainable)
        if cols_to_vars is not None:
            cols_to_vars["bias"] = _parts(bias)
        return tf.nn.bias_add(total, bias)


@tf_export("contrib.feature_column.sequence_input_layer", "feature_column.sequence_input_layer")
def sequence_input_layer(features: dict[str, Any], feature_columns: Any, weight_collections: Any = None,
                         trainable: bool = True) -> tuple[Any, Any]:  # fmt: skip
    """([B, T, n], lengths [B]): the columns of every time step side by side."""
    parts, lengths = [], None
    with tf.variable_scope(None, "sequence_input_layer", custom_getter=_getter(trainable, weight_collections)):
        for column in _columns(feature_columns):
            with tf.variable_scope(None, column.name or "column"):
                parts.append(column.dense(features))
            lengths = _lengths(features[column.key], column) if lengths is None else lengths
        return tf.concat(parts, -1), lengths


def _lengths(feature: Any, column: Any) -> Any:
    """How many steps every row has."""
    if not isinstance(feature, tf.SparseTensor):
        shape = tf.shape(feature, out_type=tf.int64)
        return tf.fill([shape[0]], shape[1])
    last = tf.segment_max(feature.indices[:, 1], feature.indices[:, 0]) + 1
    size = int(np.prod(column.shape)) if isinstance(column, _Numeric) else 1
    rows = tf.pad(last, [[0, tf.cast(feature.dense_shape[0], tf.int32) - tf.shape(last)[0]]])
    return rows // size if feature.dense_shape.shape.as_list() == [2] else rows


@tf_export("feature_column.make_parse_example_spec")
def make_parse_example_spec(feature_columns: Any) -> dict[str, Any]:
    """What tf.parse_example needs for these columns."""
    spec: dict[str, Any] = {}
    for column in _columns(feature_columns):
        spec.update(column.parse_spec)
    return spec
