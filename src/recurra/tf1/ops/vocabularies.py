"""Vocabularies: tables between words and numbers, from files and tensors, with hash buckets for unknown words."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.core_ops import no_op
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.lookup import (
    HashTable,
    KeyValueTensorInitializer,
    LookupInterface,
    TextFileInitializer,
    map_keys,
)
from recurra.tf1.ops.slices import SparseTensor

__all__ = ["index_table_from_file"]


@tf_export("contrib.lookup.HasherSpec")
class HasherSpec:
    def __init__(self, hasher: str, key: Any = None) -> None:
        self.hasher, self.key = hasher, key


export(HasherSpec("fasthash"), "contrib.lookup.FastHashSpec")


@tf_export("contrib.lookup.IdTableWithHashBuckets")
class IdTableWithHashBuckets(LookupInterface):
    """A table whose unknown keys go to hash buckets behind the vocabulary."""

    def __init__(
        self, table: Any, num_oov_buckets: int, hasher_spec: Any = None, name: str | None = None, key_dtype: Any = None
    ) -> None:
        self._table, self._buckets = table, num_oov_buckets
        self.key_dtype = dtypes.as_dtype(key_dtype or (table.key_dtype if table is not None else dtypes.string))
        self.value_dtype = dtypes.int64
        self.name = name or "string_to_index"

    @property
    def resource_handle(self) -> Any:
        return None if self._table is None else self._table.resource_handle

    @property
    def initializer(self) -> Any:
        return self._table.initializer if self._table is not None else no_op()

    init = initializer

    def size(self, name: str | None = None) -> Any:
        known = self._table.size() if self._table is not None else convert_to_tensor(0, dtypes.int64)
        return known + self._buckets

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        keys = keys if isinstance(keys, SparseTensor) else convert_to_tensor(keys)
        return map_keys(keys, self._lookup)

    def _lookup(self, keys: Any) -> Any:
        text = (
            keys
            if keys.dtype.base_dtype == dtypes.string
            else apply_op("AsString", keys, precision=-1, scientific=False, shortest=False, width=-1, fill="")
        )
        if self._table is None:
            return apply_op("StringToHashBucketFast", text, num_buckets=self._buckets)
        if self._table.key_dtype == dtypes.int64 and keys.dtype.base_dtype != dtypes.int64:
            keys = apply_op("Cast", keys, DstT=dtypes.int64)
        ids = self._table.lookup(keys)
        if not self._buckets:
            return ids
        buckets = apply_op("StringToHashBucketFast", text, num_buckets=self._buckets) + self._table.size()
        return apply_op("Select", apply_op("NotEqual", ids, self._table.default_value), ids, buckets)


@tf_export("lookup.StaticVocabularyTable", "python.ops.lookup_ops.StaticVocabularyTableV1")
class StaticVocabularyTable(IdTableWithHashBuckets):
    """A vocabulary by its initializer, with hash buckets behind it for unknown keys."""

    def __init__(
        self, initializer: Any, num_oov_buckets: int, lookup_key_dtype: Any = None, name: str | None = None
    ) -> None:
        if num_oov_buckets <= 0:
            raise ValueError(f"oov_buckets must be > 0, got {num_oov_buckets}.")
        if initializer is not None and initializer.value_dtype != dtypes.int64:
            raise TypeError(f"Invalid value dtype: {initializer.value_dtype}, expected {dtypes.int64}.")
        table = None if initializer is None else HashTable(initializer, default_value=-1)
        kind = lookup_key_dtype or (dtypes.string if table is None else table.key_dtype)
        super().__init__(table, num_oov_buckets, name=name, key_dtype=kind)


@tf_export("contrib.lookup.index_table_from_file", "lookup.index_table_from_file")
def index_table_from_file(
    vocabulary_file: Any = None,
    num_oov_buckets: int = 0,
    vocab_size: int | None = None,
    default_value: int = -1,
    hasher_spec: Any = None,
    key_dtype: Any = dtypes.string,
    name: str | None = None,
    key_column_index: int = -2,
    value_column_index: int = -1,
    delimiter: str = "\t",
) -> Any:
    """Line number of a word."""
    if vocabulary_file is None or (isinstance(vocabulary_file, str) and not vocabulary_file):
        raise ValueError("vocabulary_file must be specified and must not be empty.")
    if num_oov_buckets < 0:
        raise ValueError("num_oov_buckets must be greater or equal than 0, got %d." % num_oov_buckets)  # noqa: UP031
    if vocab_size is not None and vocab_size < 1:
        raise ValueError("vocab_size must be greater than 0, got %d." % vocab_size)  # noqa: UP031
    with name_scope(name, "string_to_index"):
        table_init = TextFileInitializer(
            vocabulary_file, key_dtype, key_column_index, dtypes.int64, value_column_index, vocab_size, delimiter
        )
        table = HashTable(table_init, default_value)
        return (
            IdTableWithHashBuckets(table, num_oov_buckets, hasher_spec, key_dtype=key_dtype)
            if num_oov_buckets
            else table
        )


@tf_export("contrib.lookup.index_table_from_tensor")
def index_table_from_tensor(
    mapping: Any,
    num_oov_buckets: int = 0,
    default_value: int = -1,
    hasher_spec: Any = None,
    dtype: Any = dtypes.string,
    name: str | None = None,
) -> Any:
    """Position of a word in a vector."""
    if mapping is None:
        raise ValueError("mapping must be specified.")
    with name_scope(name, "string_to_index"):
        keys = convert_to_tensor(mapping)
        count = apply_op("Size", keys, out_type=dtypes.int64)
        values = apply_op("Range", convert_to_tensor(0, dtypes.int64), count, convert_to_tensor(1, dtypes.int64))
        table = HashTable(KeyValueTensorInitializer(keys, values), default_value)
        return IdTableWithHashBuckets(table, num_oov_buckets, hasher_spec) if num_oov_buckets else table


@tf_export("lookup.index_table_from_tensor")
def _index_table_from_tensor(
    vocabulary_list: Any, num_oov_buckets: int = 0, default_value: int = -1, hasher_spec: Any = None,
    dtype: Any = dtypes.string, name: str | None = None,
) -> Any:  # fmt: skip
    if vocabulary_list is None:
        raise ValueError("vocabulary_list must be specified.")
    return index_table_from_tensor(vocabulary_list, num_oov_buckets, default_value, hasher_spec, dtype, name)


export(
    lambda tensor, mapping, default_value=-1, name=None: index_table_from_tensor(
        mapping, default_value=default_value, name=name
    ).lookup(tensor),
    "contrib.lookup.string_to_index",
)
export(
    lambda mapping, default_value=-1, name=None: index_table_from_tensor(
        mapping, default_value=default_value, name=name
    ),
    "contrib.lookup.string_to_index_table_from_tensor",
)
export(index_table_from_file, "contrib.lookup.string_to_index_table_from_file")


@tf_export("contrib.lookup.index_to_string_table_from_file", "lookup.index_to_string_table_from_file")
def index_to_string_table_from_file(
    vocabulary_file: Any,
    vocab_size: int | None = None,
    default_value: str = "UNK",
    name: str | None = None,
    key_column_index: int = -1,
    value_column_index: int = -2,
    delimiter: str = "\t",
) -> Any:
    """The word of a line."""
    with name_scope(name, "index_to_string"):
        source = TextFileInitializer(
            vocabulary_file, dtypes.int64, key_column_index, dtypes.string, value_column_index, vocab_size, delimiter
        )
        return HashTable(source, default_value)


@tf_export("lookup.index_to_string_table_from_tensor")
def _index_to_string_table_from_tensor(
    vocabulary_list: Any, default_value: str = "UNK", name: str | None = None
) -> Any:
    if vocabulary_list is None:
        raise ValueError("vocabulary_list must be specified.")
    return index_to_string_table_from_tensor(vocabulary_list, default_value, name)


@tf_export("contrib.lookup.index_to_string_table_from_tensor")
def index_to_string_table_from_tensor(mapping: Any, default_value: str = "UNK", name: str | None = None) -> Any:
    if mapping is None:
        raise ValueError("mapping must be specified.")
    with name_scope(name, "index_to_string"):
        values = convert_to_tensor(mapping)
        count = apply_op("Size", values, out_type=dtypes.int64)
        keys = apply_op("Range", convert_to_tensor(0, dtypes.int64), count, convert_to_tensor(1, dtypes.int64))
        return HashTable(KeyValueTensorInitializer(keys, values), default_value)


export(
    lambda tensor, mapping, default_value="UNK", name=None: index_to_string_table_from_tensor(
        mapping, default_value, name
    ).lookup(tensor),
    "contrib.lookup.index_to_string",
)
