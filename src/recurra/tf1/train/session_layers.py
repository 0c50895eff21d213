"""What a monitored session is made of, inside out: a session, hooks around its runs, a coordinator, creation anew.

RecoverableSession(CoordinatedSession(HookedSession(tf.Session)))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.hooks import SessionRunArgs, SessionRunContext, SessionRunValues

tf = space("")
PREEMPTION = (errors.AbortedError, errors.UnavailableError)
_HOME = "python.training.monitored_session"


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


@tf_export(f"{_HOME}._WrappedSession")
class WrappedSession:
    """A session with a condition to stop; closing it does not raise when a worker went away."""

    def __init__(self, sess: Any) -> None:
        self._sess = sess

    @property
    def graph(self) -> Any:
        return self._sess.graph

    @property
    def sess_str(self) -> Any:
        return self._sess.sess_str

    def should_stop(self) -> bool:
        """Whether the session is closed, or it or one inside wants to stop."""
        if self._check_stop() or not self._sess:
            return True
        return isinstance(self._sess, WrappedSession) and self._sess.should_stop()

    def _check_stop(self) -> bool:
        """A subclass's own condition."""
        return False

    def close(self) -> None:
        """Close the session inside."""
        if self._sess:
            try:
                self._sess.close()
            except PREEMPTION as error:
                tf.logging.warning("An error occurred when attempting to close the session: %s", error)
            finally:
                self._sess = None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As Session.run."""
        return self._sess.run(*args, **kwargs)

    def run_step_fn(self, step_fn: Callable[..., Any], raw_session: Any, run_with_hooks: Any) -> Any:
        """Call step_fn with a StepContext; `run_with_hooks` None is this session's run."""
        return step_fn(StepContext(raw_session, run_with_hooks or self.run))


@tf_export(f"{_HOME}._RecoverableSession")
class RecoverableSession(WrappedSession):
    """Makes its session anew when a worker goes away."""

    def __init__(self, sess_creator: Any) -> None:
        self._sess_creator = sess_creator
        super().__init__(self._create_session())

    def _create_session(self) -> Any:
        while True:
            try:
                return self._sess_creator.create_session()
            except PREEMPTION as error:
                tf.logging.info("An error was raised while a session was being created: %s", error)

    def _check_stop(self) -> bool:
        try:
            return self._sess._check_stop() if self._sess else True
        except PREEMPTION as error:
            tf.logging.info("An error was raised while asking whether to stop: %s", error)
            self.close()
            self._sess = self._create_session()
            return False
        except Exception:
            return True  # should_stop answers, it does not raise

    def _attempt(self, call: Callable[[Any], Any]) -> Any:
        """`call(session)`, again with a new session as often as a worker goes away."""
        while True:
            try:
                if not self._sess:
                    self._sess = self._create_session()
                return call(self._sess)
            except PREEMPTION as error:
                tf.logging.info("An error was raised, the session is created anew: %s", error)
                self.close()

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As Session.run."""
        return self._attempt(lambda session: session.run(*args, **kwargs))

    def run_step_fn(self, step_fn: Callable[..., Any], raw_session: Any, run_with_hooks: Any) -> Any:
        """Call step_fn with a StepContext of the current session."""
        return self._attempt(lambda session: session.run_step_fn(step_fn, raw_session, session.run))


@tf_export(f"{_HOME}._CoordinatedSession")
class CoordinatedSession(WrappedSession):
    """Stops with its coordinator, whose exception comes first."""

    def __init__(self, sess: Any, coord: Any, stop_grace_period_secs: float = 120) -> None:
        super().__init__(sess)
        self._coord, self._stop_grace_period_secs = coord, stop_grace_period_secs

    def _check_stop(self) -> bool:
        self._coord.raise_requested_exception()
        return self._coord.should_stop()

    def close(self) -> None:
        """Stop the threads, then close."""
        self._coord.request_stop()
        try:
            self._coord.join(stop_grace_period_secs=self._stop_grace_period_secs, ignore_live_threads=True)
        finally:
            try:
                super().close()
            except Exception as error:  # what join reports says more
                tf.logging.debug("closing failed: %s", error)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As Session.run; where a thread lost a worker first, that is the error."""
        try:
            return self._sess.run(*args, **kwargs)
        except PREEMPTION:
            raise
        except Exception as original:
            try:
                self._coord.raise_requested_exception()
            except PREEMPTION:
                raise
            except Exception:
                raise original from None
            raise


@tf_export(f"{_HOME}._HookedSession")
class HookedSession(WrappedSession):
    """Calls hooks before and after each run."""

    def __init__(self, sess: Any, hooks: Any) -> None:
        super().__init__(sess)
        self._hooks, self._should_stop = hooks, False

    def _check_stop(self) -> bool:
        return self._should_stop

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """As Session.run, with what the hooks ask for."""
        if self.should_stop():
            raise RuntimeError("Run called even after should_stop requested.")
        wanted: dict[Any, Any] = {"caller": fetches}
        context = SessionRunContext(SessionRunArgs(fetches, feed_dict), self._sess)
        options = options or tf.RunOptions()
        run_metadata = run_metadata or tf.RunMetadata()
        feeds = self._before(context, wanted, feed_dict, options)
        results = self._sess.run(wanted, feed_dict=feeds, options=options, run_metadata=run_metadata)
        for hook in self._hooks:
            hook.after_run(context, SessionRunValues(results.get(hook), options, run_metadata))
        self._should_stop = self._should_stop or context.stop_requested
        return results["caller"]

    def _before(self, context: Any, wanted: dict[Any, Any], feed_dict: Any, options: Any) -> Any:
        """The hooks' requests: their fetches go into `wanted`, their options into `options`; returns all feeds."""
        feeds: dict[Any, Any] = {}
        for hook in self._hooks:
            request = hook.before_run(context)
            if request is None:
                continue
            if request.fetches is not None:
                wanted[hook] = request.fetches
            if request.feed_dict:
                _refuse_both(feeds, request.feed_dict, "Same tensor is fed by two hooks.")
                feeds.update(request.feed_dict)
            if request.options:
                _merge_options(options, request.options)
        if feeds and feed_dict:
            _refuse_both(feed_dict, feeds, "Same tensor is fed by a SessionRunHook and user.")
        return {**feeds, **feed_dict} if feeds and feed_dict else feeds or feed_dict


def _refuse_both(a: Any, b: Any, message: str) -> None:
    both = [key for key in a if key in b]
    if both:
        raise RuntimeError(f"{message} Conflict(s): {both}")


def _merge_options(options: Any, more: Any) -> None:
    """The more demanding of both RunOptions."""
    for name in ("trace_level", "timeout_in_ms", "inter_op_thread_pool"):
        setattr(options, name, max(getattr(options, name), getattr(more, name)))
    options.output_partition_graphs = options.output_partition_graphs or more.output_partition_graphs
    options.debug_options.debug_tensor_watch_opts.extend(more.debug_options.debug_tensor_watch_opts)
