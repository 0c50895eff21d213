"""tf.train.SessionManager and Scaffold: how a session comes to be ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _ready(op: Any, sess: Any, message: str) -> tuple[bool, str | None]:
    if op is None:
        return True, None
    try:
        value = sess.run(op)
    except errors.FailedPreconditionError as error:
        return False, f"{message}: {error}"
    if value is None or getattr(value, "size", 0) == 0:
        return True, None
    names = ", ".join(v.decode() if isinstance(v, bytes) else str(v) for v in value)
    return False, f"Variables not initialized: {names}"


@tf_export("train.SessionManager")
class SessionManager:
    """Restores from a checkpoint or initialises, then checks that the session is ready."""

    def __init__(
        self,
        local_init_op: Any = None,
        ready_op: Any = None,
        ready_for_local_init_op: Any = None,
        graph: Any = None,
        recovery_wait_secs: float = 30,
        local_init_run_options: Any = None,
        local_init_feed_dict: Any = None,
    ) -> None:
        self._graph = graph or tf.get_default_graph()
        self._local_init_op, self._ready_op = local_init_op, ready_op
        self._ready_for_local_init_op = ready_for_local_init_op
        self._recovery_wait_secs = recovery_wait_secs
        self._local_init_feed_dict = local_init_feed_dict
        if ready_for_local_init_op is not None and local_init_op is None:
            raise ValueError(
                "If you pass a ready_for_local_init_op you must also pass a local_init_op , ready_for_local_init_op "
                f"[{ready_for_local_init_op}]"
            )

    def _restore(
        self,
        master: str,
        saver: Any,
        checkpoint_dir: str | None,
        checkpoint_filename_with_path: str | None,
        wait: bool,
        max_wait_secs: float,
        config: Any,
    ) -> tuple[Any, bool]:
        sess = tf.Session(master, graph=self._graph, config=config)
        if checkpoint_dir and checkpoint_filename_with_path:
            raise ValueError("Can not provide both checkpoint_dir and checkpoint_filename_with_path.")
        if saver is None or not (checkpoint_dir or checkpoint_filename_with_path):
            return sess, False
        if checkpoint_filename_with_path:
            saver.restore(sess, checkpoint_filename_with_path)
            return sess, True
        until = time.monotonic() + max_wait_secs
        state = tf.train.get_checkpoint_state(checkpoint_dir)
        while not (state and state.model_checkpoint_path):
            if not wait or time.monotonic() >= until:
                return sess, False
            time.sleep(min(self._recovery_wait_secs, max(until - time.monotonic(), 0)))
            state = tf.train.get_checkpoint_state(checkpoint_dir)
        saver.restore(sess, state.model_checkpoint_path)
        saver.recover_last_checkpoints(state.all_model_checkpoint_paths)
        return sess, True

    def prepare_session(
        self,
        master: str,
        init_op: Any = None,
        saver: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        config: Any = None,
        init_feed_dict: Any = None,
        init_fn: Callable[[Any], Any] | None = None,
    ) -> Any:
        """A ready session. RuntimeError where there is neither checkpoint nor initialiser, or it does not get ready."""
        sess, loaded = self._restore(
            master, saver, checkpoint_dir, checkpoint_filename_with_path, wait_for_checkpoint, max_wait_secs, config
        )
        if not loaded:
            if init_op is None and not init_fn and self._local_init_op is None:
                raise RuntimeError("Model is not initialized and no init_op or init_fn or local_init_op was given")
            if init_op is not None:
                sess.run(init_op, feed_dict=init_feed_dict)
            if init_fn:
                init_fn(sess)
        ready, message = self._try_local_init(sess)
        if not ready:
            raise RuntimeError(
                f"Init operations did not make model ready for local_init.  Init op: {_op_name(init_op)}, "
                f"init fn: {init_fn}, error: {message}"
            )
        ready, message = _ready(self._ready_op, sess, "Model not ready")
        if not ready:
            raise RuntimeError(
                f"Init operations did not make model ready.  Init op: {_op_name(init_op)}, init fn: {init_fn}, "
                f"local_init_op: {_op_name(self._local_init_op)}, error: {message}"
            )
        return sess

    def recover_session(
        self,
        master: str,
        saver: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        config: Any = None,
    ) -> tuple[Any, bool]:
        """(session, whether it was restored and is ready)."""
        sess, loaded = self._restore(
            master, saver, checkpoint_dir, checkpoint_filename_with_path, wait_for_checkpoint, max_wait_secs, config
        )
        ready, message = self._try_local_init(sess)
        if not ready or not loaded:
            tf.logging.info("Restoring model from %s did not make model ready: %s", checkpoint_dir, message)
            return sess, False
        ready, message = _ready(self._ready_op, sess, "Model not ready")
        return sess, ready

    def wait_for_session(self, master: str, config: Any = None, max_wait_secs: float = float("inf")) -> Any:
        """A new session once it is ready. DeadlineExceededError after `max_wait_secs`."""
        until = time.monotonic() + max_wait_secs
        while True:
            sess = tf.Session(master, graph=self._graph, config=config)
            local, _ = self._try_local_init(sess)
            ready, message = _ready(self._ready_op, sess, "Model not ready")
            if local and ready:
                return sess
            sess.close()
            if time.monotonic() + self._recovery_wait_secs > until:
                raise errors.DeadlineExceededError(
                    None, None, f"Session was not ready after waiting {max_wait_secs} secs. {message}"
                )
            time.sleep(self._recovery_wait_secs)

    def _try_local_init(self, sess: Any) -> tuple[bool, str | None]:
        if self._local_init_op is None:
            return True, None
        ready, message = _ready(self._ready_for_local_init_op, sess, "Model not ready for local init")
        if ready:
            sess.run(self._local_init_op, feed_dict=self._local_init_feed_dict)
        return ready, message


def _op_name(op: Any) -> str:
    if isinstance(op, list | tuple):
        return ", ".join(_op_name(o) for o in op)
    return str(getattr(op, "name", op))


@tf_export("train.Scaffold")
class Scaffold:
    """The operations that a monitored session needs; what is not given is found in collections or made."""

    def __init__(
        self,
        init_op: Any = None,
        init_feed_dict: Any = None,
        init_fn: Any = None,
        ready_op: Any = None,
        ready_for_local_init_op: Any = None,
        local_init_op: Any = None,
        summary_op: Any = None,
        saver: Any = None,
        copy_from_scaffold: Any = None,
        local_init_feed_dict: Any = None,
    ) -> None:
        other = copy_from_scaffold
        self._user_init_fn = init_fn
        self._init_fn = (lambda sess: init_fn(self, sess)) if init_fn else getattr(other, "init_fn", None)

        def pick(name: str, value: Any) -> Any:
            return value if value is not None else getattr(other, name, None)

        self._init_op, self._ready_op = pick("init_op", init_op), pick("ready_op", ready_op)
        self._ready_for_local_init_op = pick("ready_for_local_init_op", ready_for_local_init_op)
        self._local_init_op, self._summary_op = pick("local_init_op", local_init_op), pick("summary_op", summary_op)
        self._saver, self._init_feed_dict = pick("saver", saver), pick("init_feed_dict", init_feed_dict)
        self._local_init_feed_dict = pick("local_init_feed_dict", local_init_feed_dict)

    def finalize(self) -> Scaffold:
        """Make what is missing, and freeze the graph."""
        keys = tf.GraphKeys
        if self._init_op is None:
            self._init_op = self.get_or_default(
                "init_op",
                keys.INIT_OP,
                lambda: tf.group(tf.global_variables_initializer(), *_resources(keys.RESOURCES)),
            )
        if self._ready_op is None:
            self._ready_op = self.get_or_default("ready_op", keys.READY_OP, lambda: tf.report_uninitialized_variables())
        if self._ready_for_local_init_op is None:
            self._ready_for_local_init_op = self.get_or_default(
                "ready_for_local_init_op",
                keys.READY_FOR_LOCAL_INIT_OP,
                lambda: tf.report_uninitialized_variables(tf.global_variables()),
            )
        if self._local_init_op is None:
            self._local_init_op = self.get_or_default("local_init_op", keys.LOCAL_INIT_OP, default_local_init_op)
        if self._summary_op is None:
            self._summary_op = self.get_or_default("summary_op", keys.SUMMARY_OP, tf.summary.merge_all)
        if self._saver is None:
            found = tf.get_collection(keys.SAVERS)
            if len(found) > 1:
                raise RuntimeError(
                    "More than one item in collection SAVERS. Please indicate which one to use by passing it "
                    "to the constructor."
                )
            self._saver = found[0] if found else tf.train.Saver(sharded=True, allow_empty=True)
            if not found:
                tf.add_to_collection(keys.SAVERS, self._saver)
        self._saver.build()
        tf.get_default_graph().finalize()
        return self

    init_fn = property(lambda self: self._init_fn)
    init_op = property(lambda self: self._init_op)
    ready_op = property(lambda self: self._ready_op)
    ready_for_local_init_op = property(lambda self: self._ready_for_local_init_op)
    local_init_op = property(lambda self: self._local_init_op)
    local_init_feed_dict = property(lambda self: self._local_init_feed_dict)
    summary_op = property(lambda self: self._summary_op)
    saver = property(lambda self: self._saver)
    init_feed_dict = property(lambda self: self._init_feed_dict)

    @staticmethod
    def get_or_default(arg_name: str, collection_key: str, default_constructor: Callable[[], Any]) -> Any:
        """The collection's only entry, or a new one that is added to it."""
        elements = tf.get_collection(collection_key)
        if len(elements) > 1:
            raise RuntimeError(
                f'More than one item in the collection "{collection_key}". Please indicate which one to '
                f"use by passing it to the tf.Scaffold constructor as: tf.Scaffold({arg_name}=item to use)"
            )
        if elements:
            return elements[0]
        made = default_constructor()
        if made is not None:
            tf.add_to_collection(collection_key, made)
        return made

    @staticmethod
    def default_local_init_op() -> Any:
        """Initialises local variables and tables."""
        return default_local_init_op()


def _resources(key: str) -> list[Any]:
    return [r.create if hasattr(r, "create") else r for r in tf.get_collection(key)]


def default_local_init_op() -> Any:
    """Initialises local variables and tables."""
    return tf.group(
        tf.local_variables_initializer(), tf.tables_initializer(), *_resources(tf.GraphKeys.LOCAL_RESOURCES)
    )
