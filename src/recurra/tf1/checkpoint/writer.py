"""Writing either format: to temporary files first, flushed to the disk, then renamed into place.

A crash at any moment leaves what was there before, whole. V1 is one rename per file. A V2 checkpoint is two files or
more, and its index is the moment of truth: when data files of the same name exist already, the new ones are named
for another number of shards (`-of-00002`, the last of them empty), so that the old index and its data stay a valid
pair until the new index replaces the old one; only then are the old data files removed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import crc32c as _crc32c
import numpy as np

from .bundle_v2 import data_path, index_path, length_bytes
from .dtypes import STRING, code_of, dtype_name, little_endian_bytes
from .errors import CheckpointError
from .messages import BundleEntry, BundleHeader, SavedTensorSlices, TensorData
from .slices import Extent, Partitioned, slice_key
from .source import masked_crc
from .table import TableWriter
from .table_v1 import VALUE_FIELDS, shard_path
from .varint import encode_varint, encode_varints

__all__ = ["write_v1", "write_v2"]

WHOLE: tuple[Extent, ...] = ()
V1_SLICE_LIMIT = (1 << 31) - 4096  # a protobuf message ends at 2 GiB

Tensor = np.ndarray | Partitioned


class _Staging:
    """Temporary files beside their targets: written and flushed, then renamed all together or removed."""

    def __init__(self) -> None:
        self._pending: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def file(self, target: str) -> Iterator[BinaryIO]:
        temporary = f"{target}.tempstate{secrets.token_hex(8)}"
        try:
            stream = open(temporary, "xb")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise CheckpointError(target, f"cannot be written: {error.strerror}") from error
        self._pending.append((temporary, target))
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    def commit(self) -> None:
        """Rename in the order the files were made; the last is the one that makes them valid."""
        while self._pending:
            os.replace(*self._pending[0])
            target = self._pending.pop(0)[1]
            _sync_directory(target)

    def discard(self) -> None:
        for temporary, _ in self._pending:
            with contextlib.suppress(FileNotFoundError):
                os.remove(temporary)


def _sync_directory(path: str) -> None:
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_v2(prefix: str, tensors: Mapping[str, Tensor], shard_of: Mapping[str, int]) -> None:
    """Write `<prefix>.index` and its data files; `shard_of` says which data file a variable goes to (default 0)."""
    for name, values in tensors.items():
        _check(name, values)
    used = max(shard_of.values(), default=0) + 1
    old = _data_files(prefix)
    shards = used
    while any(data_path(prefix, k, shards) in old for k in range(shards)):
        shards += 1
    staging, entries = _Staging(), {}
    try:
        for shard in range(shards):
            names = [name for name in sorted(tensors) if shard_of.get(name, 0) == shard]
            with staging.file(data_path(prefix, shard, shards)) as stream:
                entries.update(_write_data(stream, shard, {name: tensors[name] for name in names}))
        with staging.file(index_path(prefix)) as stream:
            _write_index(stream, shards, entries)
        staging.commit()
    except BaseException:
        staging.discard()
        raise
    for path in old:
        os.remove(path)


def _data_files(prefix: str) -> set[str]:
    pattern = re.compile(r"\.data-\d{5,}-of-\d{5,}")
    found = glob.glob(glob.escape(prefix) + ".data-*-of-*")
    return {path for path in found if pattern.fullmatch(path[len(prefix) :])}


def _check(name: str, values: Tensor) -> None:
    if not name:
        raise ValueError("a variable needs a name, got ''")
    _checked_code(name, values)
    if isinstance(values, Partitioned):
        try:
            values.whole()
        except ValueError as error:
            raise ValueError(f"variable {name!r}: {error}") from None


def _checked_code(name: str, values: Tensor) -> int:
    dtypes = {part.dtype for _, part in values.parts} if isinstance(values, Partitioned) else {values.dtype}
    if len(dtypes) != 1:
        raise ValueError(f"variable {name!r}: its parts have the types {sorted(map(str, dtypes))}, expected one")
    code = code_of(next(iter(dtypes)))
    if code is None:
        raise ValueError(f"variable {name!r} has dtype {next(iter(dtypes))}, which TensorFlow has no type for")
    return code


def _pieces(values: Tensor) -> list[tuple[tuple[Extent, ...], np.ndarray]]:
    return list(values.slices()) if isinstance(values, Partitioned) else [(WHOLE, values)]


def _is_whole(values: Tensor) -> bool:
    return not isinstance(values, Partitioned) or values.parts[0][1].shape == tuple(values.shape)


def _write_data(stream: BinaryIO, shard: int, tensors: Mapping[str, Tensor]) -> dict[bytes, bytes]:
    """Values one after the other; returns the index rows."""
    rows, offset = {}, 0
    for name, values in tensors.items():
        pieces = _pieces(values)
        if not _is_whole(values):
            directory = _entry(_checked_code(name, values), values.shape)
            for extents, _ in pieces:
                _set_slice(directory.slices.add(), extents)
            rows[name.encode()] = directory.SerializeToString()
        for extents, part in pieces:
            entry = _entry(_checked_code(name, part), part.shape)
            size, crc = _write_values(stream, part)
            entry.shard_id, entry.offset, entry.size, entry.crc32c = shard, offset, size, masked_crc(crc)
            key = name.encode() if _is_whole(values) else slice_key(name, extents)
            rows[key] = entry.SerializeToString()
            offset += size
    return rows


def _entry(code: int, shape: tuple[int, ...]) -> BundleEntry:
    entry = BundleEntry(dtype=code)
    entry.shape.SetInParent()
    for n in shape:
        entry.shape.dim.add(size=n)
    return entry


def _set_slice(message: TensorData, extents: tuple[Extent, ...]) -> None:
    for start, length in extents:
        extent = message.extent.add(start=start)
        if length >= 0:
            extent.length = length


def _write_values(stream: BinaryIO, values: np.ndarray) -> tuple[int, int]:
    """Bytes written and their checksum."""
    if code_of(values.dtype) == STRING:
        return _write_strings(stream, as_bytes(values))
    data = little_endian_bytes(values)
    stream.write(data)
    return len(data), _crc32c.crc32c(data)


def _write_strings(stream: BinaryIO, items: list[bytes]) -> tuple[int, int]:
    crc = _crc32c.crc32c(b"".join(length_bytes(len(item)) for item in items))
    checksum = masked_crc(crc).to_bytes(4, "little")
    lengths, text = b"".join(encode_varint(len(item)) for item in items), b"".join(items)
    stream.write(lengths + checksum + text)
    return len(lengths) + 4 + len(text), _crc32c.crc32c(checksum + text, crc)


def as_bytes(values: np.ndarray) -> list[bytes]:
    """The elements of a string array, flat; text is encoded as UTF-8."""
    items = []
    for item in values.reshape(-1).tolist():
        if not isinstance(item, bytes | str):
            raise ValueError(f"a string variable holds {item!r} of type {type(item).__name__}, expected bytes or str")
        items.append(item.encode() if isinstance(item, str) else item)
    return items


def _write_index(stream: BinaryIO, shards: int, rows: Mapping[bytes, bytes]) -> None:
    header = BundleHeader(num_shards=shards)
    header.version.producer = 1
    table = TableWriter(stream)
    table.add(b"", header.SerializeToString())
    for key in sorted(rows):
        table.add(key, rows[key])
    table.finish()


# -- V1 ----------------------------------------------------------------------------------------------------------------


def write_v1(path: str, tensors: Mapping[str, Tensor], shard_of: Mapping[str, int]) -> None:
    """Write one table file, or, where `shard_of` names more than one shard, several."""
    shards = max(shard_of.values(), default=0) + 1
    for name, values in tensors.items():
        _check(name, values)
        _v1_field(name, values)
    staging = _Staging()
    try:
        for shard in range(shards):
            chosen = {name: tensors[name] for name in sorted(tensors) if shard_of.get(name, 0) == shard}
            with staging.file(path if shards == 1 else shard_path(path, shard, shards)) as stream:
                _write_table(stream, chosen)
        staging.commit()
    except BaseException:
        staging.discard()
        raise


def _v1_field(name: str, values: Tensor) -> tuple[str, bool]:
    kind = dtype_name(_checked_code(name, values))
    if kind not in VALUE_FIELDS:
        raise ValueError(f'variable {name!r} is {kind}, which the V1 format cannot hold; use version="V2"')
    return VALUE_FIELDS[kind]


def _write_table(stream: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
    directory, rows = SavedTensorSlices(), {}
    directory.meta.versions.producer = 1
    for name, values in tensors.items():
        entry = directory.meta.tensor.add(name=name, type=_checked_code(name, values))
        entry.shape.SetInParent()
        for n in values.shape:
            entry.shape.dim.add(size=n)
        for extents, part in _pieces(values):
            # A whole dimension is start 0, length -1 in the key and an empty extent in the message.
            extents = extents if extents and not _is_whole(values) else ((0, -1),) * part.ndim
            _set_slice(entry.slice.add(), extents)
            rows[slice_key(name, extents)] = (name, extents, part)
    table = TableWriter(stream)
    table.add(b"", directory.SerializeToString())
    for key in sorted(rows):
        table.add(key, _v1_row(*rows[key]))
    table.finish()


def _v1_row(name: str, extents: tuple[Extent, ...], values: np.ndarray) -> bytes:
    field, varints = _v1_field(name, values)
    tensor = TensorData()
    if field == "string_val":
        tensor.string_val.extend(as_bytes(values))
    elif values.size:
        getattr(tensor, field).append(_packed(values) if varints else bytes(little_endian_bytes(values)))
    row = SavedTensorSlices()
    row.data.name = name
    row.data.slice.SetInParent()
    _set_slice(row.data.slice, extents)
    if tensor.ByteSize() > V1_SLICE_LIMIT:
        raise ValueError(f'variable {name!r} takes {tensor.ByteSize()} bytes; V1 holds 2 GiB at most, use version="V2"')
    row.data.data = tensor.SerializeToString()
    return row.SerializeToString()


def _packed(values: np.ndarray) -> bytes:
    flat = values.reshape(-1)
    if flat.dtype == np.float16:
        flat = flat.view(np.uint16)
    return encode_varints(
        flat.astype(np.int64).astype(np.uint64) if flat.dtype.kind in "bi" else flat.astype(np.uint64)
    )
