"""TFRecord files: tf.python_io.TFRecordWriter and tf_record_iterator."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import tf_export
from recurra.tf1.summary.writer import masked_crc, record


@tf_export("python_io.TFRecordCompressionType", "io.TFRecordCompressionType")
class TFRecordCompressionType:
    """Kinds of compression."""

    NONE, ZLIB, GZIP = 0, 1, 2


@tf_export("python_io.TFRecordOptions", "io.TFRecordOptions")
class TFRecordOptions:
    """How a TFRecord file is compressed."""

    def __init__(self, compression_type: Any = None, **kwargs: Any) -> None:
        self.compression_type = self.get_compression_type_string(compression_type)

    @classmethod
    def get_compression_type_string(cls, options: Any) -> str:
        """'', 'ZLIB' or 'GZIP' of an options object, a number, a name or None."""
        if isinstance(options, TFRecordOptions):
            return options.compression_type
        names = {None: "", "": "", 0: "", 1: "ZLIB", 2: "GZIP", "NONE": "", "ZLIB": "ZLIB", "GZIP": "GZIP"}
        if options not in names:
            raise ValueError(f"Not a valid compression_type: {options!r}")
        return names[options]


@tf_export("python_io.TFRecordWriter", "io.TFRecordWriter")
class TFRecordWriter:
    """Writes records to a file."""

    def __init__(self, path: Any, options: Any = None) -> None:
        self._compression = TFRecordOptions.get_compression_type_string(options)
        self._path = os.fspath(path)
        try:
            self._file: Any = open(self._path, "wb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise errors.NotFoundError(None, None, f"{self._path}; {error.strerror}") from error
        self._buffer: Any = io.BytesIO() if self._compression else self._file

    def write(self, record_bytes: bytes) -> None:
        """Append one record."""
        self._buffer.write(record(record_bytes))

    def flush(self) -> None:
        """What was written so far reaches the file (compressed files: when closed)."""
        self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._file.closed:
            return
        if self._compression:
            pack = gzip.compress if self._compression == "GZIP" else zlib.compress
            self._file.write(pack(self._buffer.getvalue()))
        self._file.close()

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@tf_export("python_io.tf_record_iterator", "io.tf_record_iterator")
def tf_record_iterator(path: Any, options: Any = None, compression: str = "") -> Iterator[bytes]:
    """The records of a file; DataLossError where it is damaged."""
    compression = compression or TFRecordOptions.get_compression_type_string(options)
    try:
        data = Path(os.fspath(path)).read_bytes()
    except OSError as error:
        raise errors.NotFoundError(None, None, f"{path}; {error.strerror}") from error
    if compression:
        data = gzip.decompress(data) if compression == "GZIP" else zlib.decompress(data)
    at = 0
    while at < len(data):
        head = data[at : at + 12]
        if len(head) < 12:
            raise errors.DataLossError(None, None, f"truncated record at {at}")
        length, crc = struct.unpack("<QI", head)
        body, tail = data[at + 12 : at + 12 + length], data[at + 12 + length : at + 16 + length]
        if masked_crc(head[:8]) != crc or len(tail) < 4 or masked_crc(body) != struct.unpack("<I", tail)[0]:
            raise errors.DataLossError(None, None, f"corrupted record at {at}")
        yield body
        at += 16 + length
