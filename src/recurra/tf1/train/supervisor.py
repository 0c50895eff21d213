"""tf.train.Supervisor: sessions that are restored, saved and summarised by background threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.protos import message
from recurra.tf1.train.coordinator import Coordinator, LooperThread
from recurra.tf1.train.session_manager import SessionManager, default_local_init_op

tf = space("")
USE_DEFAULT = 0


@tf_export("train.Supervisor")
class Supervisor:
    """Arguments as TensorFlow's; 0 (USE_DEFAULT) means: find it in a collection, or make it."""

    USE_DEFAULT = USE_DEFAULT

    def __init__(
        self,
        graph: Any = None,
        ready_op: Any = USE_DEFAULT,
        ready_for_local_init_op: Any = USE_DEFAULT,
        is_chief: bool = True,
        init_op: Any = USE_DEFAULT,
        init_feed_dict: Any = None,
        local_init_op: Any = USE_DEFAULT,
        logdir: str | None = None,
        summary_op: Any = USE_DEFAULT,
        saver: Any = USE_DEFAULT,
        global_step: Any = USE_DEFAULT,
        save_summaries_secs: float = 120,
        save_model_secs: float = 600,
        recovery_wait_secs: float = 30,
        stop_grace_secs: float = 120,
        checkpoint_basename: str = "model.ckpt",
        session_manager: Any = None,
        summary_writer: Any = USE_DEFAULT,
        init_fn: Callable[[Any], Any] | None = None,
        local_init_run_options: Any = None,
    ) -> None:
        self._graph = graph or tf.get_default_graph()
        self._is_chief, self._logdir = is_chief, logdir
        self._stop_grace_secs = stop_grace_secs
        self._init_feed_dict, self._init_fn = init_feed_dict, init_fn
        self._coord = Coordinator()
        self._started_threads: list[Any] = []
        with self._graph.as_default():
            self._make_ops(ready_op, ready_for_local_init_op, init_op, local_init_op, summary_op, saver, global_step)
        self._save_summaries_secs = save_summaries_secs if is_chief else 0
        self._save_model_secs = save_model_secs if is_chief else 0
        self._save_path = os.path.join(logdir, checkpoint_basename) if logdir else None
        self._summary_writer = None
        if summary_writer is not USE_DEFAULT:
            self._summary_writer = summary_writer
        elif logdir and is_chief:
            self._summary_writer = tf.summary.FileWriter(logdir)
        self._graph_added_to_summary = False
        self._session_manager = session_manager or SessionManager(
            local_init_op=self._local_init_op,
            ready_op=self._ready_op,
            ready_for_local_init_op=self._ready_for_local_init_op,
            graph=self._graph,
            recovery_wait_secs=recovery_wait_secs,
        )
        self._graph.finalize()

    def _make_ops(
        self, ready: Any, ready_local: Any, init: Any, local_init: Any, summary: Any, saver: Any, step: Any
    ) -> None:
        keys = tf.GraphKeys

        def choose(given: Any, key: str, make: Callable[[], Any]) -> Any:
            if given is not USE_DEFAULT:
                return given
            found = tf.get_collection(key)
            made = found[0] if found else make()
            if not found and made is not None:
                tf.add_to_collection(key, made)
            return made

        self._ready_op = choose(ready, keys.READY_OP, tf.report_uninitialized_variables)
        self._ready_for_local_init_op = choose(ready_local, keys.READY_FOR_LOCAL_INIT_OP, lambda: None)
        self._init_op = choose(init, keys.INIT_OP, tf.global_variables_initializer)
        self._local_init_op = choose(local_init, keys.LOCAL_INIT_OP, default_local_init_op)
        default_saver = lambda: tf.train.Saver() if tf.global_variables() else None  # noqa: E731
        self._saver = choose(saver, keys.SAVERS, default_saver)
        self._summary_op = choose(summary, keys.SUMMARY_OP, tf.summary.merge_all)
        self._global_step = choose(step, keys.GLOBAL_STEP, lambda: tf.train.get_global_step(self._graph))

    is_chief = property(lambda self: self._is_chief)
    session_manager = property(lambda self: self._session_manager)
    coord = property(lambda self: self._coord)
    init_op = property(lambda self: self._init_op)
    init_feed_dict = property(lambda self: self._init_feed_dict)
    ready_op = property(lambda self: self._ready_op)
    ready_for_local_init_op = property(lambda self: self._ready_for_local_init_op)
    summary_writer = property(lambda self: self._summary_writer)
    summary_op = property(lambda self: self._summary_op)
    save_summaries_secs = property(lambda self: self._save_summaries_secs)
    global_step = property(lambda self: self._global_step)
    saver = property(lambda self: self._saver)
    save_model_secs = property(lambda self: self._save_model_secs)
    save_path = property(lambda self: self._save_path)

    def prepare_or_wait_for_session(
        self,
        master: str = "",
        config: Any = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        start_standard_services: bool = True,
    ) -> Any:
        """A ready session, its services and queue runners started."""
        self._coord.clear_stop()
        if self._summary_writer is not None:
            self._summary_writer.reopen()
        if not self._is_chief:
            sess = self._session_manager.wait_for_session(master, config=config, max_wait_secs=max_wait_secs)
        else:
            sess = self._session_manager.prepare_session(
                master,
                init_op=self._init_op,
                saver=self._saver,
                checkpoint_dir=self._logdir,
                wait_for_checkpoint=wait_for_checkpoint,
                max_wait_secs=max_wait_secs,
                config=config,
                init_feed_dict=self._init_feed_dict,
                init_fn=self._init_fn,
            )
            if self._logdir:
                with self._graph.as_default():
                    tf.train.write_graph(self._graph, self._logdir, "graph.pbtxt")
            if self._summary_writer is not None and not self._graph_added_to_summary:
                self._summary_writer.add_graph(self._graph)
                self._graph_added_to_summary = True
            if start_standard_services:
                self.start_standard_services(sess)
        self.start_queue_runners(sess)
        return sess

    def start_standard_services(self, sess: Any) -> list[Any]:
        """The threads that write summaries, the step counter and checkpoints into `logdir`."""
        if not self._is_chief:
            raise RuntimeError(
                "Only chief supervisor can start standard services. Because only chief supervisors can write events."
            )
        if not self._logdir:
            return []
        threads = []
        if self._save_summaries_secs and self._summary_writer is not None:
            if self._summary_op is not None:
                threads.append(self.loop(self._save_summaries_secs, self.summary_computed_by, args=(sess,)))
            if self._global_step is not None:
                threads.append(_StepCounter(self, sess))
        if self._save_model_secs and self._saver is not None and self._save_path:
            threads.append(self.loop(self._save_model_secs, self._save, args=(sess,)))
        for thread in threads:
            if not thread.is_alive() and not thread._started.is_set():
                thread.start()
        self._started_threads += threads
        return threads

    def _save(self, sess: Any) -> None:
        self._saver.save(sess, self._save_path, global_step=self._global_step)

    def summary_computed_by(self, sess: Any) -> None:
        """One summary of the moment."""
        wanted = [self._summary_op] + ([] if self._global_step is None else [self._global_step])
        values = sess.run(wanted)
        self._summary_writer.add_summary(values[0], values[1] if len(values) > 1 else None)

    def start_queue_runners(self, sess: Any, queue_runners: Any = None) -> list[Any]:
        """The threads of the graph's queue runners."""
        runners = self._graph.get_collection(tf.GraphKeys.QUEUE_RUNNERS) if queue_runners is None else queue_runners
        threads = [t for r in runners for t in r.create_threads(sess, coord=self._coord, daemon=True, start=True)]
        self._started_threads += threads
        return threads

    PrepareSession = prepare_or_wait_for_session
    StartStandardServices = start_standard_services
    StartQueueRunners = start_queue_runners

    def loop(
        self,
        timer_interval_secs: float | None,
        target: Callable[..., Any],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> LooperThread:
        """A started thread that calls `target` every so many seconds."""
        thread = LooperThread(self._coord, timer_interval_secs, target=target, args=args, kwargs=kwargs)
        thread.start()
        return thread

    Loop = loop

    def stop(self, threads: Any = None, close_summary_writer: bool = True, ignore_live_threads: bool = False) -> None:
        """Stop all threads and write the last summaries. Raises what a thread failed with."""
        self._coord.request_stop()
        try:
            self._coord.join(
                threads, stop_grace_period_secs=self._stop_grace_secs, ignore_live_threads=ignore_live_threads
            )
        finally:
            if close_summary_writer and self._summary_writer is not None:
                self._summary_writer.add_session_log(message("event_pb2", "SessionLog")(status=2))
                self._summary_writer.close()
                self._graph_added_to_summary = False

    Stop = stop

    def request_stop(self, ex: Any = None) -> None:
        """Ask all threads to stop."""
        self._coord.request_stop(ex=ex)

    RequestStop = request_stop

    def should_stop(self) -> bool:
        """Whether the program should stop."""
        return self._coord.should_stop()

    ShouldStop = should_stop

    def stop_on_exception(self) -> Any:
        """with-block whose exception stops all threads."""
        return self._coord.stop_on_exception()

    StopOnException = stop_on_exception

    def wait_for_stop(self) -> None:
        """Wait until the program should stop."""
        self._coord.wait_for_stop()

    WaitForStop = wait_for_stop

    def summary_computed(self, sess: Any, summary: Any, global_step: Any = None) -> None:
        """Write a summary."""
        if self._summary_writer is None:
            raise RuntimeError("Writing a summary requires a summary writer.")
        if global_step is None and self._global_step is not None:
            global_step = tf.train.global_step(sess, self._global_step)
        self._summary_writer.add_summary(summary, global_step)

    SummaryComputed = summary_computed

    @contextlib.contextmanager
    def managed_session(
        self,
        master: str = "",
        config: Any = None,
        start_standard_services: bool = True,
        close_summary_writer: bool = True,
    ) -> Iterator[Any]:
        """A session for a with block; at its end everything stops, and is saved when it ended well."""
        sess = None
        try:
            sess = self.prepare_or_wait_for_session(
                master=master, config=config, start_standard_services=start_standard_services
            )
            with sess.as_default():
                yield sess
        except Exception as error:
            self.request_stop(error)
        finally:
            try:
                self.stop(close_summary_writer=close_summary_writer, ignore_live_threads=True)
            finally:
                if sess is not None:
                    sess.close()


class _StepCounter(LooperThread):
    """Writes how many steps were made per second."""

    def __init__(self, supervisor: Supervisor, sess: Any) -> None:
        super().__init__(supervisor.coord, supervisor.save_summaries_secs)
        self._supervisor, self._sess = supervisor, sess
        self._tag = f"{supervisor.global_step.op.name}/sec"

    def start_loop(self) -> None:
        self._last_time = time.time()
        self._last_step = tf.train.global_step(self._sess, self._supervisor.global_step)

    def run_loop(self) -> None:
        step, now = tf.train.global_step(self._sess, self._supervisor.global_step), time.time()
        rate = (step - self._last_step) / max(now - self._last_time, 1e-9)
        self._last_time, self._last_step = now, step
        summary = message("summary_pb2", "Summary")()
        summary.value.add(tag=self._tag, simple_value=rate)
        self._supervisor.summary_writer.add_summary(summary, step)
        tf.logging.info("%s: %g", self._tag, rate)
