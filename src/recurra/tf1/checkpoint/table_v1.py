"""Format V1: one table file (or several, `<path>-NNNNN-of-MMMMM`) that holds both the directory and the values.

The row of the empty key lists names, shapes, types and slices; every other row is one slice, under its ordered code,
with its values in a TensorProto's typed lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from .dtypes import STRING, dtype_name, from_little_endian, numpy_dtype
from .errors import CheckpointError
from .messages import SavedTensorSlices, TensorData
from .slices import Extent, VariableInfo, assemble, check_tiling, extents_of, slice_key, slice_shape, volume
from .source import Source
from .table import Table
from .varint import decode_varints

__all__ = ["VALUE_FIELDS", "TableReader", "shard_path"]

# type -> (list of a TensorProto that holds it, whether its items are varints)
VALUE_FIELDS: dict[str, tuple[str, bool]] = {
    "float32": ("float_val", False),
    "float64": ("double_val", False),
    "complex64": ("scomplex_val", False),
    "complex128": ("dcomplex_val", False),
    "string": ("string_val", False),
    "int64": ("int64_val", True),
    "bool": ("bool_val", True),
    "float16": ("half_val", True),
    "uint32": ("uint32_val", True),
    "uint64": ("uint64_val", True),
    **{name: ("int_val", True) for name in ("int32", "int16", "int8", "uint16", "uint8")},
    **{name: ("int_val", True) for name in ("qint32", "qint16", "qint8", "quint16", "quint8")},
}


def shard_path(path: str, shard: int, shards: int) -> str:
    """One file of a sharded V1 checkpoint."""
    return f"{path}-{shard:05d}-of-{shards:05d}"


class TableReader:
    """Reads a V1 checkpoint from its table files; opening touches the directory rows only."""

    version = "V1"

    def __init__(self, sources: Sequence[Source]) -> None:
        self.name = sources[0].name
        self._tables = [Table(source) for source in sources]
        self._types: dict[str, tuple[tuple[int, ...], int]] = {}
        self._slices: dict[str, list[tuple[Table, tuple[Extent, ...]]]] = {}
        for table in self._tables:
            self._read_directory(table)
        self.variables = {name: self._info(name) for name in sorted(self._types)}

    def read(self, name: str) -> np.ndarray:
        """The values of one variable; a KeyError where there is none of this name."""
        shape = self._types[name][0]
        parts = [(extents, self._slice(table, name, extents)) for table, extents in self._slices[name]]
        if len(parts) == 1:
            return parts[0][1].reshape(shape)
        try:
            return assemble(shape, parts)
        except ValueError as error:
            raise CheckpointError(self.name, f"variable {name!r}: {error}") from None

    def close(self) -> None:
        for table in self._tables:
            table.source.close()

    def _read_directory(self, table: Table) -> None:
        name, row = table.source.name, table.get(b"")
        if row is None:
            raise CheckpointError(name, "has no directory row: is not a V1 checkpoint")
        meta = self._message(name, SavedTensorSlices, row, "the directory").meta
        if meta.versions.min_consumer > 1:
            raise CheckpointError(name, f"needs a reader of table version {meta.versions.min_consumer}")
        for tensor in meta.tensor:
            shape = tuple(dim.size for dim in tensor.shape.dim)
            if tensor.shape.unknown_rank or any(n < 0 for n in shape) or len(shape) > 32:
                raise CheckpointError(name, f"variable {tensor.name!r}: the shape {list(shape)} is not one")
            if self._types.setdefault(tensor.name, (shape, tensor.type)) != (shape, tensor.type):
                raise CheckpointError(name, f"variable {tensor.name!r}: its files differ in shape or type")
            places = self._slices.setdefault(tensor.name, [])
            for extents in [extents_of(piece) for piece in tensor.slice] or [((0, -1),) * len(shape)]:
                # An empty slice message stands for the whole variable.
                places.append((table, extents or ((0, -1),) * len(shape)))

    def _message(self, file: str, kind: Any, data: bytes, what: str) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError:
            raise CheckpointError(file, f"the entry of {what} is damaged") from None

    def _info(self, name: str) -> VariableInfo:
        shape, code = self._types[name]
        try:
            check_tiling(shape, [extents for _, extents in self._slices[name]])
        except ValueError as error:
            raise CheckpointError(self.name, f"variable {name!r}: {error}") from None
        dtype = numpy_dtype(code)
        itemsize = 0 if dtype is None or code == STRING else dtype.itemsize
        return VariableInfo(name, dtype_name(code), shape, volume(shape) * itemsize, len(self._slices[name]))

    def _slice(self, table: Table, name: str, extents: tuple[Extent, ...]) -> np.ndarray:
        """Flat values of one slice."""
        file, (shape, code) = table.source.name, self._types[name]
        row = table.get(slice_key(name, extents))
        if row is None:
            raise CheckpointError(file, f"variable {name!r}: its slice {list(extents)} is missing")
        saved = self._message(file, SavedTensorSlices, row, repr(name)).data
        tensor = self._message(file, TensorData, saved.data, repr(name))
        count = volume(slice_shape(shape, extents))
        try:
            return _values(tensor, code, count)
        except ValueError as error:
            raise CheckpointError(file, f"variable {name!r}: {error}") from None


def _values(tensor: Any, code: int, count: int) -> np.ndarray:
    dtype, (field, packed_varints) = numpy_dtype(code), VALUE_FIELDS.get(dtype_name(code), ("", False))
    if dtype is None or not field:
        raise ValueError(f"holds {dtype_name(code)}, which this format has no values for")
    chunks = getattr(tensor, field)
    if code == STRING:
        values = np.empty(len(chunks), object)
        values[:] = list(chunks)
    elif packed_varints:
        numbers = decode_varints(b"".join(chunks))
        values = _from_varints(numbers, dtype)
    else:
        data = np.frombuffer(bytearray().join(chunks), np.uint8)
        if data.size % dtype.itemsize:
            raise ValueError(f"{data.size} bytes are no whole number of {dtype_name(code)}")
        values = from_little_endian(data, dtype)
    if values.size != count:
        raise ValueError(f"its row holds {values.size} elements, its shape {count}")
    return values


def _from_varints(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.bool_:
        return numbers != 0
    if dtype == np.float16:
        return numbers.astype(np.uint16).view(np.float16)
    return numbers.astype(dtype)  # two's complement: the low bits are the number
