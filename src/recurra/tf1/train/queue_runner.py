"""tf.train.QueueRunner: threads that keep a queue filled."""

from __future__ import annotations

import threading
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.protos import DESCRIBED

tf = space("")


@tf_export("train.QueueRunner", "train.queue_runner.QueueRunner")
class QueueRunner:
    """One thread per enqueue operation; the queue is closed when its source is exhausted."""

    def __init__(
        self,
        queue: Any = None,
        enqueue_ops: Any = None,
        close_op: Any = None,
        cancel_op: Any = None,
        queue_closed_exception_types: Any = None,
        queue_runner_def: Any = None,
        import_scope: str | None = None,
    ) -> None:
        if queue_runner_def is not None:
            if queue or enqueue_ops:
                raise ValueError("queue_runner_def and queue are mutually exclusive.")
            self.__dict__.update(QueueRunner.from_proto(queue_runner_def, import_scope).__dict__)
            return
        if not queue or not enqueue_ops:
            raise ValueError("Must provide queue and enqueue_ops.")
        if queue_closed_exception_types is not None and not (
            isinstance(queue_closed_exception_types, tuple)
            and queue_closed_exception_types
            and all(isinstance(t, type) and issubclass(t, errors.OpError) for t in queue_closed_exception_types)
        ):
            raise TypeError("queue_closed_exception_types, when provided, must be a tuple of tf.errors types, "
                            f"but saw: {queue_closed_exception_types}")  # fmt: skip
        self._queue, self._enqueue_ops = queue, list(enqueue_ops)
        self._close_op = queue.close() if close_op is None else close_op
        self._cancel_op = queue.close(cancel_pending_enqueues=True) if cancel_op is None else cancel_op
        self._closed_types = tuple(
            {*(queue_closed_exception_types or (errors.OutOfRangeError,)), errors.CancelledError}
        )
        self._lock = threading.Lock()
        self._runs: dict[Any, int] = {}
        self._exceptions_raised: list[BaseException] = []

    def graph_state(self) -> tuple[str, dict[str, Any]]:
        """What an exported graph keeps of a runner."""
        queue = self._queue
        held = {"ref": queue.queue_ref, "dtypes": queue.dtypes, "shapes": queue.shapes, "names": queue.names}
        ops = {"enqueue_ops": self._enqueue_ops, "close_op": self._close_op, "cancel_op": self._cancel_op}
        return "train.QueueRunner", {"queue": held, **ops}

    @staticmethod
    def from_proto(queue_runner_def: Any, import_scope: str | None = None) -> QueueRunner:
        """The runner that a QueueRunnerDef describes, of operations in the default graph."""
        prefix = f"{import_scope}/" if import_scope else ""

        def find(name: str) -> Any:
            return tf.get_default_graph().as_graph_element(prefix + name)

        proto = queue_runner_def
        queue = find(proto.queue_name)
        held = tf.QueueBase(list(queue.attrs["component_types"]), None, None, queue.outputs[0])
        ops = [find(name) for name in proto.enqueue_op_name]
        closed = tuple(errors.exception_type_from_error_code(c) for c in proto.queue_closed_exception_types)
        return QueueRunner(held, ops, find(proto.close_op_name), find(proto.cancel_op_name), closed or None)

    @classmethod
    def from_graph_state(cls, state: dict[str, Any]) -> QueueRunner:
        """The runner of an imported graph."""
        held = state["queue"]
        queue = tf.QueueBase(held["dtypes"], held["shapes"], held["names"], held["ref"])
        return cls(queue, state["enqueue_ops"], state["close_op"], state["cancel_op"])

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The QueueRunnerDef of a MetaGraphDef; None outside `export_scope`."""
        if export_scope and not self._queue.name.startswith(export_scope):
            return None
        strip = len(export_scope) + 1 if export_scope else 0
        proto = DESCRIBED["QueueRunnerDef"](
            queue_name=self._queue.name[strip:],
            enqueue_op_name=[op.name[strip:] for op in self._enqueue_ops],
            close_op_name=self._close_op.name[strip:],
            cancel_op_name=self._cancel_op.name[strip:],
        )
        codes = (errors.error_code_from_exception_type(t) for t in self.queue_closed_exception_types)
        proto.queue_closed_exception_types.extend(codes)
        return proto

    @property
    def queue(self) -> Any:
        return self._queue

    @property
    def enqueue_ops(self) -> list[Any]:
        return self._enqueue_ops

    @property
    def close_op(self) -> Any:
        return self._close_op

    @property
    def cancel_op(self) -> Any:
        return self._cancel_op

    @property
    def queue_closed_exception_types(self) -> tuple[Any, ...]:
        return tuple(t for t in self._closed_types if t is not errors.CancelledError)

    @property
    def exceptions_raised(self) -> list[BaseException]:
        return self._exceptions_raised

    @property
    def name(self) -> str:
        return self._queue.name

    def create_threads(self, sess: Any, coord: Any = None, daemon: bool = False, start: bool = False) -> list[Any]:
        """Threads that enqueue until the source ends, the queue is closed or `coord` stops."""
        with self._lock:
            if self._runs.get(sess, 0) > 0:
                return []  # this session has them already
            self._runs[sess] = len(self._enqueue_ops)
            self._exceptions_raised = []
        # threads never outlive the program: they are daemons whatever was asked
        threads = [threading.Thread(target=self._run, args=(sess, o, coord), daemon=True) for o in self._enqueue_ops]
        if coord is not None:
            threads.append(threading.Thread(target=self._close_on_stop, args=(sess, coord), daemon=True))
        for thread in threads:
            if coord is not None:
                coord.register_thread(thread)
            if start:
                thread.start()
        return threads

    def _run(self, sess: Any, enqueue_op: Any, coord: Any) -> None:
        try:
            while coord is None or not coord.should_stop():
                try:
                    sess.run(enqueue_op)
                except self._closed_types:
                    self._close_if_last(sess)
                    return
        except Exception as error:
            if coord is not None:
                coord.request_stop(error)
                return
            tf.logging.error("Exception in QueueRunner: %s", error)
            self._exceptions_raised.append(error)
            raise
        finally:
            with self._lock:
                self._runs[sess] -= 1

    def _close_if_last(self, sess: Any) -> None:
        with self._lock:
            last = self._runs[sess] == 1
        if last:
            try:
                sess.run(self._close_op)
            except (errors.OpError, RuntimeError) as error:  # the session was closed meanwhile
                tf.logging.vlog(1, "Ignored exception: %s", error)

    def _close_on_stop(self, sess: Any, coord: Any) -> None:
        coord.wait_for_stop()
        try:
            sess.run(self._cancel_op)
        except (errors.OpError, RuntimeError) as error:
            tf.logging.vlog(1, "Ignored exception: %s", error)


@tf_export("train.add_queue_runner", "train.queue_runner.add_queue_runner")
def add_queue_runner(qr: QueueRunner, collection: str = "queue_runners") -> None:
    """Register a runner with the graph."""
    tf.add_to_collection(collection, qr)


@tf_export("train.start_queue_runners", "train.queue_runner.start_queue_runners")
def start_queue_runners(
    sess: Any = None, coord: Any = None, daemon: bool = True, start: bool = True, collection: str = "queue_runners"
) -> list[Any]:
    """Start the threads of all runners that were registered."""
    sess = sess or tf.get_default_session()
    if sess is None:
        raise ValueError("Cannot start queue runners: No default session is registered. Use `with sess.as_default()` "
                         "or pass an explicit session to tf.start_queue_runners(sess=sess)")  # fmt: skip
    if not hasattr(sess, "run"):
        raise TypeError(f"sess must be a `tf.Session` object. Given class: {type(sess)}")
    with sess.graph.as_default():
        runners = tf.get_collection(collection)
    return [t for runner in runners for t in runner.create_threads(sess, coord=coord, daemon=daemon, start=start)]
