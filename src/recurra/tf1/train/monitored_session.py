"""tf.train.MonitoredSession, MonitoredTrainingSession, SingularMonitoredSession."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.coordinator import Coordinator
from recurra.tf1.train.hooks import SessionRunArgs, SessionRunContext, SessionRunValues
from recurra.tf1.train.queue_runner import start_queue_runners
from recurra.tf1.train.session_manager import Scaffold, SessionManager

tf = space("")
USE_DEFAULT = object()
_PREEMPTION = (errors.AbortedError, errors.UnavailableError)


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


class StepContext:
    """What run_step_fn hands to its function."""

    def __init__(self, session: Any, run_with_hooks_fn: Callable[..., Any]) -> None:
        self._session, self._run_with_hooks = session, run_with_hooks_fn

    @property
    def session(self) -> Any:
        return self._session

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """session.run with the hooks."""
        return self._run_with_hooks(*args, **kwargs)

    def request_stop(self) -> None:
        """End the loop: raises StopIteration."""
        raise StopIteration("step_fn has requested the iterations to stop.")


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
        self._creator = session_creator or ChiefSessionCreator()
        self._recovers, self._grace = should_recover, stop_grace_period_secs
        self._stop = False
        self._sess: Any = None
        self._open()

    def _open(self) -> None:
        self._sess = self._creator.create_session()
        self._coord = Coordinator()
        start_queue_runners(sess=self._sess, coord=self._coord)
        for hook in self._hooks:
            hook.after_create_session(self._sess, self._coord)

    @property
    def graph(self) -> Any:
        return None if self._sess is None else self._sess.graph

    def _tf_sess(self) -> Any:
        return self._sess

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """As Session.run, with what the hooks ask for."""
        while True:
            try:
                return self._run_once(fetches, feed_dict, options, run_metadata)
            except _PREEMPTION as error:
                if not self._recovers:
                    raise
                tf.logging.info("An error was raised, the session is created anew: %s", error)
                self._close_session()
                self._open()

    def _run_once(self, fetches: Any, feed_dict: Any, options: Any, run_metadata: Any) -> Any:
        if self._sess is None:
            raise RuntimeError("Run called even after should_stop requested.")
        context = SessionRunContext(SessionRunArgs(fetches, feed_dict), self._sess)
        wanted: dict[Any, Any] = {"caller": fetches}
        feeds = dict(feed_dict or {})
        for i, hook in enumerate(self._hooks):
            request = hook.before_run(context)
            if request is None:
                continue
            if request.fetches is not None:
                wanted[str(i)] = request.fetches
            for key, value in (request.feed_dict or {}).items():
                if key in feeds:
                    raise RuntimeError(f"Same tensor is fed by two hooks: {key}")
                feeds[key] = value
        try:
            results = self._sess.run(wanted, feed_dict=feeds or None, options=options, run_metadata=run_metadata)
        except Exception as error:
            self._coord_error(error)
            raise
        for i, hook in enumerate(self._hooks):
            hook.after_run(context, SessionRunValues(results.get(str(i)), options, run_metadata))
        self._stop = self._stop or context.stop_requested
        return results["caller"]

    def _coord_error(self, error: Exception) -> None:
        """Where a queue runner failed first, its exception is the cause."""
        if isinstance(error, errors.OutOfRangeError | errors.CancelledError):
            self._coord.raise_requested_exception()

    def run_step_fn(self, step_fn: Callable[..., Any]) -> Any:
        """Call step_fn(step_context), or step_fn(self, step_context) of a method."""
        names = step_fn.__code__.co_varnames[: step_fn.__code__.co_argcount]
        if "step_context" not in names:
            raise ValueError("The step_fn function is expected to have a step_context argument")
        context = StepContext(self._sess, self.run)
        try:
            return step_fn(context)
        except StopIteration:
            self._stop = True
            return None

    def should_stop(self) -> bool:
        """Whether the loop is over."""
        return self._sess is None or self._stop or self._coord.should_stop()

    def close(self) -> None:
        """End the loop: hooks' end, threads, session."""
        self._close(None)

    def _close(self, kind: type | None) -> None:
        try:
            if kind is None and self._sess is not None:
                for hook in self._hooks:
                    hook.end(self._sess)
        finally:
            self._close_session()
            if not self._graph_was_finalized:
                tf.get_default_graph()._unsafe_unfinalize()

    def _close_session(self) -> None:
        if self._sess is None:
            return
        self._coord.request_stop()
        sess, self._sess = self._sess, None
        try:
            self._coord.join(stop_grace_period_secs=self._grace, ignore_live_threads=True)
        finally:
            sess.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> bool:
        clean = kind is not None and issubclass(kind, errors.OutOfRangeError | StopIteration)
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
        return self._sess


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
