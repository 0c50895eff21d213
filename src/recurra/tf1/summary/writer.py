"""tf.summary.FileWriter: event files as TensorBoard reads them."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import crc32c

from recurra.tf1.names import export, tf_export
from recurra.tf1.protos import message

_MASK = 0xA282EAD8
_last_stamp = [0.0]


def masked_crc(data: bytes) -> int:
    """CRC-32C rotated and shifted, as the record format stores it."""
    crc = crc32c.crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One record: length, its checksum, the data, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


class EventsWriter:
    """Appends Event messages to one file; flushed every `flush_secs` seconds and when asked."""

    def __init__(self, logdir: str, flush_secs: float = 120, suffix: str | None = None) -> None:
        os.makedirs(logdir, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}{suffix or ''}"
        self.path = os.path.join(logdir, name)
        self._file = open(self.path, "ab")  # noqa: SIM115 - closed by close()
        self._flush_secs, self._next = flush_secs, time.monotonic() + flush_secs
        self._lock = threading.Lock()
        self.write(message("event_pb2", "Event")(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def write(self, event: Any) -> None:
        """Append one event."""
        with self._lock:
            self._file.write(record(event.SerializeToString()))
        if time.monotonic() > self._next:
            self.flush()

    def flush(self) -> None:
        """Everything written so far reaches the file."""
        with self._lock:
            if not self._file.closed:
                self._file.flush()
        self._next = time.monotonic() + self._flush_secs

    def close(self) -> None:
        """Flush and close the file."""
        with self._lock:
            self._file.close()


@tf_export("summary.FileWriter", "train.SummaryWriter", "python.summary.writer.writer.FileWriter")
class FileWriter:
    """Writes summaries and graphs to an event file in `logdir`."""

    def __init__(
        self,
        logdir: str,
        graph: Any = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        graph_def: Any = None,
        filename_suffix: str | None = None,
        session: Any = None,
    ) -> None:
        self._logdir, self._flush_secs, self._suffix = os.fspath(logdir), flush_secs, filename_suffix
        self._events: EventsWriter | None = EventsWriter(self._logdir, flush_secs, filename_suffix)
        self._session = session
        self._seen_tags: set[str] = set()
        self._seen_runs: set[str] = set()
        self._closed = False
        if graph is not None or graph_def is not None:
            self.add_graph(graph=graph, graph_def=graph_def)

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get_logdir(self) -> str:
        """The folder of the event file."""
        return self._logdir

    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Write a Summary message, or the bytes that a summary operation gave."""
        if isinstance(summary, bytes):
            parsed = message("summary_pb2", "Summary")()
            parsed.ParseFromString(summary)
            summary = parsed
        for value in summary.value:
            if not value.metadata.ByteSize():
                continue
            if value.tag in self._seen_tags:  # metadata is written once per tag
                value.ClearField("metadata")
            else:
                self._seen_tags.add(value.tag)
        self._add(message("event_pb2", "Event")(summary=summary), global_step)

    def add_event(self, event: Any) -> None:
        """Write an Event message."""
        if self._closed:
            from recurra.tf1.platform import tf_logging

            tf_logging.warn(
                "Attempting to use a closed FileWriter. The operation will be a noop unless it is reopened."
            )
            return
        assert self._events is not None
        self._events.write(event)

    def _add(self, event: Any, step: Any) -> None:
        event.wall_time = time.time()
        if step is not None:
            event.step = int(step)
        self.add_event(event)

    def add_graph(self, graph: Any = None, global_step: Any = None, graph_def: Any = None) -> None:
        """Write a graph's definition."""
        if graph is not None and graph_def is not None:
            raise ValueError("Please pass only graph, or graph_def (deprecated), but not both.")
        given = graph if graph is not None else graph_def
        if hasattr(given, "as_graph_def"):
            given = given.as_graph_def()
        elif not hasattr(given, "SerializeToString"):
            raise ValueError(
                f"The passed graph must be an instance of `Graph` or the deprecated `GraphDef`, not {given!r}"
            )
        self._add(message("event_pb2", "Event")(graph_def=given.SerializeToString()), global_step)

    def add_meta_graph(self, meta_graph_def: Any, global_step: Any = None) -> None:
        """Write a MetaGraphDef."""
        if not hasattr(meta_graph_def, "SerializeToString"):
            raise TypeError(f"meta_graph_def must be type MetaGraphDef, saw type: {type(meta_graph_def)}")
        self._add(message("event_pb2", "Event")(meta_graph_def=meta_graph_def.SerializeToString()), global_step)

    def add_session_log(self, session_log: Any, global_step: Any = None) -> None:
        """Write a SessionLog (start, stop, checkpoint)."""
        self._add(message("event_pb2", "Event")(session_log=session_log), global_step)

    def add_run_metadata(self, run_metadata: Any, tag: str, global_step: Any = None) -> None:
        """Write what a run reported of itself, once per tag."""
        if tag in self._seen_runs:
            raise ValueError("The provided tag was already used for this event type")
        self._seen_runs.add(tag)
        tagged = message("event_pb2", "TaggedRunMetadata")(tag=tag, run_metadata=run_metadata.SerializeToString())
        self._add(message("event_pb2", "Event")(tagged_run_metadata=tagged), global_step)

    def flush(self) -> None:
        """Everything added so far reaches the file."""
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """Flush and close; adding afterwards needs `reopen`."""
        if not self._closed and self._events is not None:
            self._events.close()
            self._closed = True

    def reopen(self) -> None:
        """Go on in a new event file after `close`."""
        if self._closed:
            self._events = EventsWriter(self._logdir, self._flush_secs, self._suffix)
            self._closed = False


@tf_export("summary.FileWriterCache")
class FileWriterCache:
    """One writer per folder."""

    _cache: dict[str, FileWriter] = {}

    @staticmethod
    def get(logdir: str) -> FileWriter:
        """The folder's writer, made on first use."""
        if logdir not in FileWriterCache._cache:
            FileWriterCache._cache[logdir] = FileWriter(logdir)
        return FileWriterCache._cache[logdir]

    @staticmethod
    def clear() -> None:
        """Close and forget all writers."""
        for writer in FileWriterCache._cache.values():
            writer.close()
        FileWriterCache._cache.clear()


export(FileWriterCache, "python.summary.writer.writer_cache.FileWriterCache")


def read_records(path: str) -> Iterator[bytes]:
    """The records of a file in TensorFlow's record format; ValueError at a damaged one."""
    with open(path, "rb") as file:
        while head := file.read(12):
            if len(head) < 12:
                raise ValueError(f"{path}: truncated record")
            length, crc = struct.unpack("<QI", head)
            if masked_crc(head[:8]) != crc:
                raise ValueError(f"{path}: corrupted record at {file.tell() - 12}")
            data = file.read(length)
            tail = file.read(4)
            if len(data) < length or len(tail) < 4:
                raise ValueError(f"{path}: truncated record")
            if masked_crc(data) != struct.unpack("<I", tail)[0]:
                raise ValueError(f"{path}: corrupted record at {file.tell() - length - 4}")
            yield data


@tf_export("train.summary_iterator")
def summary_iterator(path: str) -> Iterator[Any]:
    """The Event messages of an event file."""
    for data in read_records(path):
        yield message("event_pb2", "Event").FromString(data)
