"""tf.contrib.summary: summaries that write themselves when they run, to the writer that was chosen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from recurra.tf1.cases import smart_cond
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.summary.ops import summary_scope
from recurra.tf1.summary.writer import FileWriter

tf = space("")
_HOME = "contrib.summary"
_OPS = "_SUMMARY_V2"
_WRITERS = "_SUMMARY_WRITER_V2"
_state: dict[str, Any] = {"record": False, "writer": None}


@tf_export(f"{_HOME}.SummaryWriter")
class SummaryWriter:
    """Where summaries go: an event file that `initialize` opens."""

    def __init__(self, logdir: Any, flush_secs: float = 120, suffix: str | None = None) -> None:
        self._logdir, self._flush_secs, self._suffix = logdir, flush_secs, suffix
        self._file: FileWriter | None = None
        self._init = tf.py_func(self._open, [], tf.bool).op
        get_default_graph().add_to_collection(_WRITERS, self._init)

    def _open(self) -> np.ndarray:
        if self._file is None:
            self._file = FileWriter(self._logdir, flush_secs=self._flush_secs, filename_suffix=self._suffix)
        return np.array(True)

    def write(self, summary: Any, step: Any) -> np.ndarray:
        """Add the bytes of a summary; FailedPreconditionError before the writer was initialised."""
        if self._file is None:
            raise tf.errors.FailedPreconditionError(None, None, "Summary writer is not initialized: run initialize()")
        self._file.add_summary(bytes(summary), int(step))
        return np.array(True)

    def init(self) -> Any:
        """The operation that opens the file."""
        return self._init

    def set_as_default(self) -> None:
        """Let summaries that are made from now on go here."""
        _state["writer"] = self

    @contextlib.contextmanager
    def as_default(self) -> Iterator[SummaryWriter]:
        before, _state["writer"] = _state["writer"], self
        try:
            yield self
            self._flush()
        finally:
            _state["writer"] = before

    def _flush(self) -> np.ndarray:
        if self._file is not None:
            self._file.flush()
        return np.array(True)

    def flush(self) -> Any:
        """The operation that flushes the file."""
        return tf.py_func(self._flush, [], tf.bool).op

    def close(self) -> Any:
        def shut() -> np.ndarray:
            if self._file is not None:
                self._file.close()
            return np.array(True)

        return tf.py_func(shut, [], tf.bool).op


@tf_export(f"{_HOME}.create_file_writer", f"{_HOME}.create_summary_file_writer")
def create_file_writer(
    logdir: Any, max_queue: Any = None, flush_millis: Any = None, filename_suffix: Any = None, name: Any = None
) -> SummaryWriter:
    """A writer to event files in a folder."""
    return SummaryWriter(logdir, 120 if flush_millis is None else flush_millis / 1000, filename_suffix)


@tf_export(f"{_HOME}.create_db_writer")
def create_db_writer(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("tf.contrib.summary.create_db_writer: summaries in databases are not in recurra")


# -- when ------------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def _recording(value: Any) -> Iterator[None]:
    before, _state["record"] = _state["record"], value
    try:
        yield
    finally:
        _state["record"] = before


@tf_export(f"{_HOME}.always_record_summaries")
def always_record_summaries() -> Any:
    """Within it, summaries are always written."""
    return _recording(True)


@tf_export(f"{_HOME}.never_record_summaries")
def never_record_summaries() -> Any:
    """Within it, no summary is written."""
    return _recording(False)


@tf_export(f"{_HOME}.record_summaries_every_n_global_steps")
def record_summaries_every_n_global_steps(n: int, global_step: Any = None) -> Any:
    """Within it, summaries are written in every n-th step."""
    step = tf.train.get_or_create_global_step() if global_step is None else global_step
    with tf.device("cpu:0"):
        return _recording(tf.equal(step % n, 0))


@tf_export(f"{_HOME}.should_record_summaries")
def should_record_summaries() -> Any:
    """Whether summaries are written: a bool, or a tensor of one."""
    return _state["record"]


# -- what ------------------------------------------------------------------------------------------------------------
def _write(name: str, tensor: Any, family: Any, step: Any, make: Any) -> Any:
    writer = _state["writer"]
    if writer is None:
        return tf.no_op()
    number = tf.train.get_or_create_global_step() if step is None else step
    number = tf.cast(number, tf.int64)
    outer = tf.contrib.framework.get_name_scope()

    def record() -> Any:
        inside = f"{outer}/" if outer else None  # the tag is that of where the summary was asked for
        with tf.name_scope(inside), summary_scope(name, family, values=[tensor]) as (tag, scope):
            summary = make(tag, tensor, scope)
        return tf.py_func(writer.write, [summary, tf.identity(number)], tf.bool)

    def nothing() -> Any:
        return tf.constant(False)

    done = smart_cond(tf.convert_to_tensor(_state["record"]), record, nothing)
    get_default_graph().add_to_collection(_OPS, done)
    return done


@tf_export(f"{_HOME}.scalar")
def scalar(name: str, tensor: Any, family: Any = None, step: Any = None) -> Any:
    """Write a number."""
    return _write(
        name, tensor, family, step, lambda tag, value, scope: _made("ScalarSummary", tag, tf.cast(value, tf.float32))
    )


@tf_export(f"{_HOME}.histogram")
def histogram(name: str, tensor: Any, family: Any = None, step: Any = None) -> Any:
    """Write a histogram."""
    return _write(name, tensor, family, step, lambda tag, value, scope: _made("HistogramSummary", tag, value))


@tf_export(f"{_HOME}.image")
def image(
    name: str, tensor: Any, bad_color: Any = None, max_images: int = 3, family: Any = None, step: Any = None
) -> Any:
    """Write images."""
    if bad_color is not None:
        raise NotImplementedError("tf.contrib.summary.image with bad_color is not implemented in recurra")
    return _write(
        name, tensor, family, step, lambda tag, value, scope: _made("ImageSummary", tag, value, max_images=max_images)
    )


@tf_export(f"{_HOME}.audio")
def audio(name: str, tensor: Any, sample_rate: Any, max_outputs: int, family: Any = None, step: Any = None) -> Any:
    """Write sounds."""
    rate = tf.cast(sample_rate, tf.float32)
    return _write(
        name, tensor, family, step,
        lambda tag, value, scope: _made("AudioSummaryV2", tag, value, rate, max_outputs=max_outputs),
    )  # fmt: skip


@tf_export(f"{_HOME}.generic")
def generic(name: str, tensor: Any, metadata: Any = None, family: Any = None, step: Any = None) -> Any:
    """Write any tensor."""
    text = b"" if metadata is None else metadata if isinstance(metadata, bytes) else metadata.SerializeToString()
    return _write(
        name, tensor, family, step, lambda tag, value, scope: _made("TensorSummaryV2", tag, value, tf.constant(text))
    )


def _made(kind: str, tag: str, *values: Any, **attrs: Any) -> Any:
    from recurra.tf1.build import apply_op

    return apply_op(kind, tag, *values, **attrs)


# -- running ---------------------------------------------------------------------------------------------------------
@tf_export(f"{_HOME}.all_summary_ops", "summary.all_v2_summary_ops")
def all_summary_ops() -> Any:
    """All operations that write summaries in the graph."""
    return get_default_graph().get_collection(_OPS)


@tf_export(f"{_HOME}.summary_writer_initializer_op")
def summary_writer_initializer_op() -> Any:
    """The operations that open the writers' files."""
    return get_default_graph().get_collection(_WRITERS)


@tf_export(f"{_HOME}.initialize", "summary.initialize")
def initialize(graph: Any = None, session: Any = None) -> None:
    """Open the files of all writers, and write the graph where one is given."""
    if _state["writer"] is None:
        raise RuntimeError("No default tf.contrib.summary.SummaryWriter found")
    session = tf.get_default_session() if session is None else session
    if session is None:
        raise ValueError("Argument `session must be passed if no default session exists")
    session.run(summary_writer_initializer_op())
    if graph is not None:
        _state["writer"]._file.add_graph(graph if hasattr(graph, "as_graph_def") else None)


@tf_export(f"{_HOME}.flush")
def flush(writer: Any = None, name: Any = None) -> Any:
    """The operation that flushes a writer, by default the chosen one."""
    chosen = _state["writer"] if writer is None else writer
    return tf.no_op() if chosen is None else chosen.flush()


@tf_export(f"{_HOME}.eval_dir")
def eval_dir(output_dir: str, eval_name: str | None = None) -> str:
    """The folder for an evaluation's summaries."""
    return os.path.join(output_dir, f"eval_{eval_name}" if eval_name else "eval")
