"""tf.train.MonitoredSession, MonitoredTrainingSession, SingularMonitoredSession."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.coordinator import Coordinator
from recurra.tf1.train.queue_runner import start_queue_runners
from recurra.tf1.train.session_layers import CoordinatedSession, HookedSession, RecoverableSession, StepContext
from recurra.tf1.train.session_manager import Scaffold, SessionManager

tf = space("")
USE_DEFAULT = object()


@tf_export("train.SessionCreator")
class SessionCreator:
    """Makes sessions."""

    def create_session(self) -> Any:
        """A ready session."""
        raise NotImplementedError(f"{type(self).__name__}.create_session")


@tf_export("train.ChiefSessionCreator")
class ChiefSessionCreator(SessionCreator):
    """Restores the newest checkpoint, or initialises."""

    def __init__(
        self,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
    ) -> None:
        self._scaffold = scaffold or Scaffold()
        self._master, self._config = master, config
        self._checkpoint_dir, self._checkpoint_filename = checkpoint_dir, checkpoint_filename_with_path

    def create_session(self) -> Any:
        scaffold = self._scaffold.finalize()
        manager = SessionManager(
            local_init_op=scaffold.local_init_op,
            local_init_feed_dict=scaffold.local_init_feed_dict,
            ready_op=scaffold.ready_op,
            ready_for_local_init_op=scaffold.ready_for_local_init_op,
            graph=tf.get_default_graph(),
        )
        return manager.prepare_session(
            self._master,
            saver=scaffold.saver,
            checkpoint_dir=self._checkpoint_dir,
            checkpoint_filename_with_path=self._checkpoint_filename,
            config=self._config,
            init_op=scaffold.init_op,
            init_feed_dict=scaffold.init_feed_dict,
            init_fn=scaffold.init_fn,
        )


@tf_export("train.WorkerSessionCreator")
class WorkerSessionCreator(SessionCreator):
    """Waits until somebody else initialised the variables."""

    def __init__(
        self, scaffold: Scaffold | None = None, master: str = "", config: Any = None, max_wait_secs: float = 1800
    ) -> None:
        self._scaffold = scaffold or Scaffold()
        self._master, self._config, self._max_wait_secs = master, config, max_wait_secs

    def create_session(self) -> Any:
        scaffold = self._scaffold.finalize()
        manager = SessionManager(scaffold.local_init_op, scaffold.ready_op, scaffold.ready_for_local_init_op)
        return manager.wait_for_session(self._master, config=self._config, max_wait_secs=self._max_wait_secs)


class _CoordinatedSessionCreator(SessionCreator):
    """Sessions of `session_creator` with hooks and a coordinator around them; `tf_sess` is the newest."""

    def __init__(self, session_creator: SessionCreator, hooks: list[Any], stop_grace_period_secs: float) -> None:
        self._creator, self._hooks, self._grace = session_creator, hooks, stop_grace_period_secs
        self.coord: Any = None
        self.tf_sess: Any = None

    def create_session(self) -> Any:
        self.tf_sess = self._creator.create_session()
        self.coord = Coordinator(clean_stop_exception_types=[])
        if tf.get_collection(tf.GraphKeys.QUEUE_RUNNERS):
            start_queue_runners(sess=self.tf_sess, coord=self.coord)
        for hook in self._hooks:
            hook.after_create_session(self.tf_sess, self.coord)
        return CoordinatedSession(HookedSession(self.tf_sess, self._hooks), self.coord, self._grace)


class _Base:
    """A session whose run calls hooks; the loop asks `should_stop`."""

    StepContext = StepContext

    def __init__(
        self,
        session_creator: SessionCreator | None,
        hooks: Any,
        should_recover: bool,
        stop_grace_period_secs: float = 120,
    ) -> None:
        self._graph_was_finalized = tf.get_default_graph().finalized
        self._hooks = list(hooks or [])
        for hook in self._hooks:
            hook.begin()
        self._creator = _CoordinatedSessionCreator(
            session_creator or ChiefSessionCreator(), self._hooks, stop_grace_period_secs
        )
        self._sess: Any = RecoverableSession(self._creator) if should_recover else self._creator.create_session()

    @property
    def graph(self) -> Any:
        return None if self._tf_sess() is None else self._tf_sess().graph

    def _tf_sess(self) -> Any:
        return self._creator.tf_sess

    def _is_closed(self) -> bool:
        return self._tf_sess() is None

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """As Session.run, with what the hooks ask for."""
        if self._sess is None:
            raise RuntimeError("Run called even after should_stop requested.")
        return self._sess.run(fetches, feed_dict=feed_dict, options=options, run_metadata=run_metadata)

    def run_step_fn(self, step_fn: Callable[..., Any]) -> Any:
        """Call step_fn(step_context), or step_fn(self, step_context) of a method."""
        given = tuple(inspect.signature(getattr(step_fn, "__func__", step_fn)).parameters)
        if given not in (("step_context",), ("self", "step_context")):
            raise ValueError(
                "`step_fn` may either have one `step_context` argument, or two, `self` and `step_context`, if it is a "
                f"method. Got {given} instead."
            )
        return self._sess.run_step_fn(step_fn, self._tf_sess(), run_with_hooks=None)

    def should_stop(self) -> bool:
        """Whether the loop is over."""
        return self._sess is None or self._sess.should_stop()

    def close(self) -> None:
        """End the loop: hooks' end, threads, session."""
        self._close(None)

    def _close(self, kind: type | None) -> None:
        try:
            if kind is None:
                for hook in self._hooks:
                    hook.end(self._tf_sess())
        finally:
            try:
                if self._sess is None:
                    raise RuntimeError("Session is already closed.")
                self._sess.close()
            finally:
                self._sess = self._creator.tf_sess = self._creator.coord = None
                if not self._graph_was_finalized:
                    tf.get_default_graph()._unsafe_unfinalize()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> bool:
        clean = kind in (errors.OutOfRangeError, StopIteration)
        self._close(None if clean else kind)
        return clean


@tf_export("train.MonitoredSession")
class MonitoredSession(_Base):
    """A session with hooks that is made anew when a worker goes away."""

    def __init__(
        self, session_creator: SessionCreator | None = None, hooks: Any = None, stop_grace_period_secs: float = 120
    ) -> None:
        super().__init__(session_creator, hooks, should_recover=True, stop_grace_period_secs=stop_grace_period_secs)


@tf_export("train.SingularMonitoredSession")
class SingularMonitoredSession(_Base):
    """A session with hooks, made once."""

    def __init__(
        self,
        hooks: Any = None,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: Any = None,
        checkpoint_dir: str | None = None,
        stop_grace_period_secs: float = 120,
        checkpoint_filename_with_path: str | None = None,
    ) -> None:
        creator = ChiefSessionCreator(scaffold, master, config, checkpoint_dir, checkpoint_filename_with_path)
        super().__init__(creator, hooks, should_recover=False, stop_grace_period_secs=stop_grace_period_secs)

    def raw_session(self) -> Any:
        """The tf.Session."""
        return self._tf_sess()


@tf_export("train.MonitoredTrainingSession")
def monitored_training_session(
    master: str = "",
    is_chief: bool = True,
    checkpoint_dir: str | None = None,
    scaffold: Scaffold | None = None,
    hooks: Any = None,
    chief_only_hooks: Any = None,
    save_checkpoint_secs: Any = USE_DEFAULT,
    save_summaries_steps: Any = USE_DEFAULT,
    save_summaries_secs: Any = USE_DEFAULT,
    config: Any = None,
    stop_grace_period_secs: float = 120,
    log_step_count_steps: int | None = 100,
    max_wait_secs: float = 7200,
    save_checkpoint_steps: Any = USE_DEFAULT,
    summary_dir: str | None = None,
) -> MonitoredSession:
    """A MonitoredSession that saves, summarises and counts steps into `checkpoint_dir`."""
    if save_summaries_steps is USE_DEFAULT and save_summaries_secs is USE_DEFAULT:
        save_summaries_steps, save_summaries_secs = 100, None
    if save_checkpoint_secs is USE_DEFAULT and save_checkpoint_steps is USE_DEFAULT:
        save_checkpoint_secs, save_checkpoint_steps = 600, None
    given = [save_summaries_steps, save_summaries_secs, save_checkpoint_secs, save_checkpoint_steps]
    steps, secs, save_secs, save_steps = (None if v is USE_DEFAULT else v for v in given)
    scaffold = scaffold or Scaffold()
    if not is_chief:
        creator: SessionCreator = WorkerSessionCreator(scaffold, master, config, max_wait_secs)
        return MonitoredSession(creator, hooks or [], stop_grace_period_secs)
    all_hooks = list(chief_only_hooks or [])
    summary_dir = summary_dir or checkpoint_dir
    if summary_dir:
        if log_step_count_steps and log_step_count_steps > 0:
            all_hooks.append(tf.train.StepCounterHook(output_dir=summary_dir, every_n_steps=log_step_count_steps))
        if (steps and steps > 0) or (secs and secs > 0):
            all_hooks.append(
                tf.train.SummarySaverHook(scaffold=scaffold, save_steps=steps, save_secs=secs, output_dir=summary_dir)
            )
    if checkpoint_dir and ((save_secs and save_secs > 0) or (save_steps and save_steps > 0)):
        all_hooks.append(
            tf.train.CheckpointSaverHook(checkpoint_dir, save_steps=save_steps, save_secs=save_secs, scaffold=scaffold)
        )
    creator = ChiefSessionCreator(scaffold, master=master, config=config, checkpoint_dir=checkpoint_dir)
    return MonitoredSession(creator, [*(hooks or []), *all_hooks], stop_grace_period_secs)


export(SessionManager, "python.training.session_manager.SessionManager")
