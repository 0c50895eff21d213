"""tf.TextLineReader and its kin: operations that read (key, value) from a queue of file names."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra.tf1 import errors
from recurra.tf1.build import apply_op
from recurra.tf1.data import pipeline
from recurra.tf1.io.records import TFRecordOptions, tf_record_iterator
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op

tf = space("")


class _Reader:
    """One reader in one session: the open file and what was read."""

    def __init__(self, read: Callable[[str], Iterator[tuple[str, bytes]]]) -> None:
        self.read_file = read
        self.open: Iterator[tuple[str, bytes]] = iter(())
        self.records = self.units = 0
        self.lock = threading.RLock()  # several queue runners may read from one reader

    def read(self, queue: Any) -> tuple[Any, Any]:
        """The next (key, value); the queue's OutOfRangeError when there are no more files."""
        with self.lock:
            while True:
                for key, value in self.open:
                    self.records += 1
                    return pipeline.text(key.encode()), pipeline.text(value)
                name = queue.dequeue()[0].item()
                self.units += 1
                self.open = iter(self.read_file(name.decode() if isinstance(name, bytes) else name))

    def read_up_to(self, queue: Any, count: int) -> tuple[Any, Any]:
        """At most `count` of them, from one file."""
        with self.lock:
            pairs = [self.read(queue)]
            pairs += [(pipeline.text(k.encode()), pipeline.text(v)) for k, v in itertools.islice(self.open, count - 1)]
            self.records += len(pairs) - 1
        return tuple(np.array([p[i].item() for p in pairs], dtype=object) for i in range(2))  # type: ignore[return-value]

    def reset(self) -> None:
        """Start anew."""
        self.open, self.records, self.units = iter(()), 0, 0


def _bind(operation: Any, session: Any) -> Callable[[], Any]:
    reader = session.resource(operation, lambda: _Reader(operation.attrs["_read"]))
    return lambda: reader


def _scalar(operation: Any) -> Any:
    return tf.TensorShape([])


def _pair(operation: Any) -> list[Any]:
    return [tf.TensorShape([])] * 2


def _pairs(operation: Any) -> list[Any]:
    return [tf.TensorShape([None])] * 2


_INPUT = "reader_handle:resource, queue_handle:resource"
op("ReaderV2", " -> resource", bind=_bind, shape=_scalar, diff=False)
op(
    "ReaderReadV2",
    f"{_INPUT} -> key:string, value:string",
    lambda reader_handle, queue_handle: reader_handle.read(queue_handle),
    shape=_pair,
    diff=False,
    stateful=True,
)
op(
    "ReaderReadUpToV2",
    f"{_INPUT}, num_records:int64 -> keys:string, values:string",
    lambda reader_handle, queue_handle, num_records: reader_handle.read_up_to(queue_handle, int(num_records)),
    shape=_pairs,
    diff=False,
    stateful=True,
)
op(
    "ReaderNumRecordsProducedV2",
    "reader_handle:resource -> int64",
    lambda reader_handle: torch.tensor(reader_handle.records),
    shape=_scalar,
    diff=False,
    stateful=True,
)
op(
    "ReaderNumWorkUnitsCompletedV2",
    "reader_handle:resource -> int64",
    lambda reader_handle: torch.tensor(reader_handle.units),
    shape=_scalar,
    diff=False,
    stateful=True,
)
op(
    "ReaderResetV2",
    "reader_handle:resource -> ",
    lambda reader_handle: reader_handle.reset(),
    diff=False,
    stateful=True,
)


@tf_export("ReaderBase")
class ReaderBase:
    """What all readers do."""

    def __init__(self, read: Callable[[str], Iterator[tuple[str, bytes]]], name: str | None) -> None:
        self._reader_ref = apply_op("ReaderV2", _read=read, name=name or type(self).__name__)

    @property
    def reader_ref(self) -> Any:
        return self._reader_ref

    def _queue(self, queue: Any) -> Any:
        return queue.queue_ref if hasattr(queue, "queue_ref") else queue

    def read(self, queue: Any, name: str | None = None) -> Any:
        """(key, value) of the next record."""
        return tuple(apply_op("ReaderReadV2", self._reader_ref, self._queue(queue), name=name))

    def read_up_to(self, queue: Any, num_records: Any, name: str | None = None) -> Any:
        """(keys, values) of at most `num_records`."""
        count = tf.convert_to_tensor(num_records, dtype=tf.int64)
        return tuple(apply_op("ReaderReadUpToV2", self._reader_ref, self._queue(queue), count, name=name))

    def num_records_produced(self, name: str | None = None) -> Any:
        """How many records were read."""
        return apply_op("ReaderNumRecordsProducedV2", self._reader_ref, name=name)

    def num_work_units_completed(self, name: str | None = None) -> Any:
        """How many files were opened."""
        return apply_op("ReaderNumWorkUnitsCompletedV2", self._reader_ref, name=name)

    def reset(self, name: str | None = None) -> Any:
        """The operation that starts the reader anew."""
        return apply_op("ReaderResetV2", self._reader_ref, name=name)


@tf_export("TextLineReader")
class TextLineReader(ReaderBase):
    """Lines; keys are file:number."""

    def __init__(self, skip_header_lines: int | None = None, name: str | None = None) -> None:
        skip = skip_header_lines or 0

        def read(path: str) -> Iterator[tuple[str, bytes]]:
            for number, line in enumerate(pipeline.lines(path, skip=skip), 1 + skip):
                yield f"{path}:{number}", line[0].item()

        super().__init__(read, name)


@tf_export("TFRecordReader")
class TFRecordReader(ReaderBase):
    """Records of TFRecord files."""

    def __init__(self, name: str | None = None, options: Any = None) -> None:
        compression = TFRecordOptions.get_compression_type_string(options)

        def read(path: str) -> Iterator[tuple[str, bytes]]:
            for number, data in enumerate(tf_record_iterator(path, compression=compression)):
                yield f"{path}:{number}", data

        super().__init__(read, name)


@tf_export("WholeFileReader")
class WholeFileReader(ReaderBase):
    """Whole files; keys are their names."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(lambda path: iter([(path, _bytes(path))]), name)


@tf_export("IdentityReader")
class IdentityReader(ReaderBase):
    """The names themselves."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(lambda path: iter([(path, path.encode())]), name)


@tf_export("FixedLengthRecordReader")
class FixedLengthRecordReader(ReaderBase):
    """Records of a fixed number of bytes."""

    def __init__(
        self,
        record_bytes: int,
        header_bytes: int | None = None,
        footer_bytes: int | None = None,
        hop_bytes: int | None = None,
        name: str | None = None,
        encoding: str | None = None,
    ) -> None:
        def read(path: str) -> Iterator[tuple[str, bytes]]:
            data = _bytes(path)
            end = len(data) - (footer_bytes or 0) - record_bytes
            for number, at in enumerate(range(header_bytes or 0, end + 1, hop_bytes or record_bytes)):
                yield f"{path}:{number}", data[at : at + record_bytes]

        super().__init__(read, name)


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise errors.NotFoundError(None, None, f"{path}; {error.strerror}") from error
