"""Lookup tables: hash tables filled from constants or files, vocabularies in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.core_ops import group, no_op
from recurra.tf1.errors import FailedPreconditionError, InvalidArgumentError
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.slices import SparseTensor
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["HashTable", "LookupInterface", "map_keys"]


class _Store:
    """The entries of one table in one session; None until initialised."""

    def __init__(self, mutable: bool) -> None:
        self.entries: dict[Any, Any] | None = {} if mutable else None


def _bind_table(operation: Any, session: Any) -> Callable[[], _Store]:
    store = session.resource(operation, lambda: _Store(operation.attrs["mutable"]))
    return lambda: store


def _items(value: Any) -> list[Any]:
    return value.reshape(-1).tolist()


def _initialize(table: _Store, keys: Any, values: Any) -> None:
    entries: dict[Any, Any] = {}
    for key, value in zip(_items(keys), _items(values), strict=True):
        if key in entries and entries[key] != value:
            raise FailedPreconditionError(
                None,
                None,
                f"HashTable has different value for same key. Key {key} has {entries[key]} and trying to add value"
                f" {value}",
            )
        entries[key] = value
    table.entries = entries


def _find(table: _Store, keys: Any, default_value: Any, Tout: Any) -> Any:
    if table.entries is None:
        raise FailedPreconditionError(None, None, "Table not initialized.")
    default = default_value.item()
    found = [table.entries.get(k, default) for k in _items(keys)]
    if Tout == dtypes.string:
        out = np.empty(len(found), object)
        out[:] = found
        return out.reshape(keys.shape)
    return torch.tensor(found, dtype=Tout.torch).reshape(tuple(keys.shape))


def _insert(table: _Store, keys: Any, values: Any) -> None:
    assert table.entries is not None
    table.entries.update(zip(_items(keys), _items(values), strict=True))


def _remove(table: _Store, keys: Any) -> None:
    assert table.entries is not None
    for key in _items(keys):
        table.entries.pop(key, None)


def _export(table: _Store, Tkeys: Any, Tvalues: Any) -> tuple[Any, Any]:
    entries = table.entries or {}

    def pack(items, kind):
        return np.array(list(items), object) if kind == dtypes.string else torch.tensor(list(items), dtype=kind.torch)

    return pack(entries.keys(), Tkeys), pack(entries.values(), Tvalues)


for _kind in ("HashTableV2", "MutableHashTableV2"):  # the second only in graphs that TensorFlow wrote
    op(_kind, "-> resource", bind=_bind_table, shape=lambda o: TensorShape([]), diff=False)
op("InitializeTableV2", "table:resource, keys:Tkey, values:Tval ->", _initialize, stateful=True)
op(
    "LookupTableFindV2",
    "table:resource, keys:Tin, default_value:Tout -> Tout",
    _find,
    diff=False,
    stateful=True,
    shape=lambda o: o.inputs[1].shape,
)
op("LookupTableInsertV2", "table:resource, keys:Tin, values:Tout ->", _insert, stateful=True)
op("LookupTableRemoveV2", "table:resource, keys:Tin ->", _remove, stateful=True)
op(
    "LookupTableSizeV2",
    "table:resource -> int64",
    lambda table: torch.tensor(len(table.entries or {})),
    stateful=True,
    diff=False,
    shape=lambda o: TensorShape([]),
)
op(
    "LookupTableExportV2",
    "table:resource -> Tkeys, Tvalues",
    _export,
    stateful=True,
    diff=False,
    shape=lambda o: [TensorShape([None])] * 2,
)


class KeyValueTensorInitializer:
    """Fills a table from two tensors."""

    def __init__(
        self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None, name: str | None = None
    ) -> None:
        self._keys = convert_to_tensor(keys, dtype=key_dtype, name="keys")
        self._values = convert_to_tensor(values, dtype=value_dtype, name="values")
        self.key_dtype, self.value_dtype = self._keys.dtype.base_dtype, self._values.dtype.base_dtype

    def initialize(self, table: Any) -> Any:
        done = apply_op("InitializeTableV2", table._handle, self._keys, self._values)
        get_default_graph().add_to_collection(GraphKeys.TABLE_INITIALIZERS, done)
        return done


export(KeyValueTensorInitializer, "contrib.lookup.KeyValueTensorInitializer", "lookup.KeyValueTensorInitializer")


@tf_export("contrib.lookup.TextFileIndex", "lookup.TextFileIndex")
class TextFileIndex:
    WHOLE_LINE, LINE_NUMBER = -2, -1


def _column(line: str, number: int, index: int, delimiter: str) -> str | int:
    if index == TextFileIndex.LINE_NUMBER:
        return number
    if index == TextFileIndex.WHOLE_LINE:
        return line
    columns = line.split(delimiter)
    if index >= len(columns):
        raise InvalidArgumentError(
            None, None,
            f"Invalid number of columns in line {number} ({line}): expected at least {index + 1} got {len(columns)}",
        )  # fmt: skip
    return columns[index]


def _read_entries(
    table: _Store,
    filename: Any,
    key_index: int,
    value_index: int,
    vocab_size: int,
    delimiter: str,
    key_dtype: Any,
    value_dtype: Any,
) -> None:
    with open(filename.item().decode(), encoding="utf-8", newline="\n") as source:
        lines = [line.rstrip("\n") for line in source]
    if vocab_size >= 0:
        if len(lines) < vocab_size:
            raise InvalidArgumentError(
                None,
                None,
                f"Invalid vocab_size in {filename.item().decode()}: expected {vocab_size} but got {len(lines)}",
            )
        lines = lines[:vocab_size]

    def convert(text, kind):
        try:
            return str(text).encode() if kind == dtypes.string else (int(text) if kind.is_integer else float(text))
        except ValueError:
            raise InvalidArgumentError(
                None, None, f"Field {text} in line is not a valid {'int64' if kind.is_integer else kind.name}."
            ) from None

    keys = [convert(_column(line, n, key_index, delimiter), key_dtype) for n, line in enumerate(lines)]
    if len(set(keys)) != len(keys):
        raise FailedPreconditionError(None, None, "HashTable has different value for same key.")
    values = [convert(_column(line, n, value_index, delimiter), value_dtype) for n, line in enumerate(lines)]
    table.entries = dict(zip(keys, values, strict=True))


op("InitializeTableFromTextFileV2", "table:resource, filename:string ->", _read_entries, stateful=True)


class TextFileInitializer:
    """Fills a table from the columns (or line numbers) of a file."""

    def __init__(
        self,
        filename: Any,
        key_dtype: Any,
        key_index: int,
        value_dtype: Any,
        value_index: int,
        vocab_size: int | None = None,
        delimiter: str = "\t",
        name: str | None = None,
    ) -> None:
        self.key_dtype, self.value_dtype = dtypes.as_dtype(key_dtype), dtypes.as_dtype(value_dtype)
        self._filename, self._key_index, self._value_index = filename, key_index, value_index
        self._vocab_size, self._delimiter = -1 if vocab_size is None else vocab_size, delimiter
        if vocab_size is not None and vocab_size <= 0:
            raise ValueError(f"Invalid vocab_size {vocab_size}.")
        self._check_columns()

    def _check_columns(self) -> None:
        for what, index, kind in (
            ("key", self._key_index, self.key_dtype),
            ("value", self._value_index, self.value_dtype),
        ):
            if index < -2:
                raise ValueError(f"Invalid {what} index {index}.")
            if index == TextFileIndex.LINE_NUMBER and kind != dtypes.int64:
                raise ValueError(f"Signature mismatch. {what.capitalize()}s must be dtype {dtypes.int64}, got {kind}.")
            if index == TextFileIndex.WHOLE_LINE and not (kind == dtypes.string or (what == "key" and kind.is_integer)):
                raise ValueError(f"Signature mismatch. {what.capitalize()}s must be integer or string, got {kind}.")

    @property
    def _shared_name(self) -> str:
        """The name under which TensorFlow shares the table of a file."""
        size = [] if self._vocab_size < 0 else [str(self._vocab_size)]
        name = self._filename if isinstance(self._filename, str) else getattr(self._filename, "name", "")
        return "_".join(["hash_table", str(name), *size, str(self._key_index), str(self._value_index)])

    def initialize(self, table: Any) -> Any:
        filename = convert_to_tensor(self._filename, dtypes.string, name="asset_filepath")
        done = apply_op(
            "InitializeTableFromTextFileV2",
            table._handle,
            filename,
            key_index=self._key_index,
            value_index=self._value_index,
            vocab_size=self._vocab_size,
            delimiter=self._delimiter,
            key_dtype=self.key_dtype,
            value_dtype=self.value_dtype,
        )
        get_default_graph().add_to_collection(GraphKeys.TABLE_INITIALIZERS, done)
        get_default_graph().add_to_collection(GraphKeys.ASSET_FILEPATHS, filename)
        return done


export(TextFileInitializer, "contrib.lookup.TextFileInitializer", "lookup.TextFileInitializer")
export(
    lambda filename, key_column_index=-1, value_column_index=-2, vocab_size=None, delimiter="\t", name="text_file_string_table_init": (  # noqa: E501
        TextFileInitializer(
            filename, dtypes.int64, key_column_index, dtypes.string, value_column_index, vocab_size, delimiter
        )
    ),
    "contrib.lookup.TextFileStringTableInitializer",
)
export(
    lambda filename, key_column_index=-2, value_column_index=-1, vocab_size=None, delimiter="\t", name="text_file_id_table_init", key_dtype=dtypes.string: (  # noqa: E501
        TextFileInitializer(
            filename, key_dtype, key_column_index, dtypes.int64, value_column_index, vocab_size, delimiter
        )
    ),
    "contrib.lookup.TextFileIdTableInitializer",
)


@tf_export("contrib.lookup.LookupInterface")
class LookupInterface:
    """A table: `lookup(keys)`, `size()`."""

    key_dtype: Any
    value_dtype: Any
    name: str


def map_keys(keys: Any, find: Callable[[Any], Any]) -> Any:
    if isinstance(keys, SparseTensor):
        return SparseTensor(keys.indices, find(keys.values), keys.dense_shape)
    return find(keys)


class _Table(LookupInterface):
    def _make(self, key_dtype: Any, value_dtype: Any, default_value: Any, name: str, mutable: bool) -> None:
        self.key_dtype, self.value_dtype = dtypes.as_dtype(key_dtype), dtypes.as_dtype(value_dtype)
        self._handle = apply_op("HashTableV2", name=name, mutable=mutable)
        self.name = self._handle.op.name.split("/")[-1]
        self._default_value = convert_to_tensor(default_value, dtype=self.value_dtype)

    resource_handle = property(lambda self: self._handle)
    default_value = property(lambda self: self._default_value)

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        keys = (
            keys
            if isinstance(keys, SparseTensor)
            else convert_to_tensor(keys, dtype=None if hasattr(keys, "op") else self.key_dtype)
        )
        if keys.dtype.base_dtype != self.key_dtype:
            raise TypeError(f"Signature mismatch. Keys must be dtype {self.key_dtype}, got {keys.dtype}.")
        with name_scope(name, f"{self.name}_Lookup"):
            return map_keys(
                keys,
                lambda k: apply_op("LookupTableFindV2", self._handle, k, self._default_value, Tout=self.value_dtype),
            )

    def size(self, name: str | None = None) -> Any:
        return apply_op("LookupTableSizeV2", self._handle, name=name)

    def export(self, name: str | None = None) -> Any:
        return tuple(
            apply_op("LookupTableExportV2", self._handle, Tkeys=self.key_dtype, Tvalues=self.value_dtype, name=name)
        )


@tf_export("contrib.lookup.HashTable", "lookup.StaticHashTable", "python.ops.lookup_ops.StaticHashTableV1")
class HashTable(_Table):
    """A table that its initializer fills once."""

    def __init__(
        self, initializer: Any, default_value: Any, shared_name: str | None = None, name: str | None = None
    ) -> None:
        self._initializer = initializer
        with name_scope(name, "hash_table", []):
            self._make(initializer.key_dtype, initializer.value_dtype, default_value, "hash_table", mutable=False)
            self._init_op = initializer.initialize(self)

    initializer = property(lambda self: self._init_op)
    init = property(lambda self: self._init_op)


@tf_export(
    "contrib.lookup.MutableHashTable",
    "contrib.lookup.MutableDenseHashTable",
    "lookup.experimental.DenseHashTable",
    "python.ops.lookup_ops.DenseHashTable",
)
class MutableHashTable(_Table):
    """A table that `insert` fills."""

    def __init__(
        self,
        key_dtype: Any,
        value_dtype: Any,
        default_value: Any,
        empty_key: Any = None,
        shared_name: str | None = None,
        name: str = "MutableHashTable",
        checkpoint: bool = True,
        **_: Any,
    ) -> None:
        self._make(key_dtype, value_dtype, default_value, name, mutable=True)

    def insert(self, keys: Any, values: Any, name: str | None = None) -> Any:
        keys, values = convert_to_tensor(keys, self.key_dtype), convert_to_tensor(values, self.value_dtype)
        return apply_op("LookupTableInsertV2", self._handle, keys, values, name=name)

    def remove(self, keys: Any, name: str | None = None) -> Any:
        keys = convert_to_tensor(keys, None if hasattr(keys, "op") else self.key_dtype)
        if keys.dtype != self.key_dtype:
            raise TypeError(f"Signature mismatch. Keys must be dtype {self.key_dtype}, got {keys.dtype}.")
        return apply_op("LookupTableRemoveV2", self._handle, keys, name=name)


@tf_export("tables_initializer", "initialize_all_tables", "initializers.tables_initializer")
def tables_initializer(name: str = "init_all_tables") -> Any:
    """An operation that fills every table of the graph."""
    found = get_default_graph().get_collection(GraphKeys.TABLE_INITIALIZERS)
    return group(*found, name=name) if found else no_op(name=name)
