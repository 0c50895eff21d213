"""tf.contrib.slim's training and evaluation loops."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from recurra.tf1.contrib.train_ops import checkpoints_iterator
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_UNSET = object()


@tf_export("contrib.slim.learning.train_step")
def train_step(sess: Any, train_op: Any, global_step: Any, train_step_kwargs: dict[str, Any]) -> tuple[Any, bool]:
    """One step: (the loss, whether to stop)."""
    begun = time.time()
    loss, step = sess.run([train_op, global_step])
    taken = time.time() - begun
    if "should_log" in train_step_kwargs and sess.run(train_step_kwargs["should_log"]):
        tf.logging.info("global step %d: loss = %.4f (%.3f sec/step)", step, loss, taken)
    stop = bool(sess.run(train_step_kwargs["should_stop"])) if "should_stop" in train_step_kwargs else False
    return loss, stop


@tf_export("contrib.slim.learning.train")
def train(
    train_op: Any,
    logdir: Any,
    train_step_fn: Callable[..., Any] = train_step,
    train_step_kwargs: Any = _UNSET,
    log_every_n_steps: int = 1,
    graph: Any = None,
    master: str = "",
    is_chief: bool = True,
    global_step: Any = None,
    number_of_steps: int | None = None,
    init_op: Any = _UNSET,
    init_feed_dict: Any = None,
    local_init_op: Any = _UNSET,
    init_fn: Any = None,
    ready_op: Any = _UNSET,
    summary_op: Any = _UNSET,
    save_summaries_secs: float = 600,
    summary_writer: Any = _UNSET,
    startup_delay_steps: int = 0,
    saver: Any = None,
    save_interval_secs: float = 600,
    sync_optimizer: Any = None,
    session_config: Any = None,
    session_wrapper: Any = None,
    trace_every_n_steps: Any = None,
    ignore_live_threads: bool = False,
) -> Any:
    """Run `train_op` (of `create_train_op`) until `number_of_steps`, with checkpoints and summaries; the last loss."""
    for name, value in (("sync_optimizer", sync_optimizer), ("trace_every_n_steps", trace_every_n_steps)):
        if value is not None:
            raise NotImplementedError(f"slim.learning.train with {name} is not implemented in recurra")
    if train_op is None:
        raise ValueError("train_op cannot be None.")
    if number_of_steps is not None and number_of_steps <= 0:
        raise ValueError("`number_of_steps` must be either None or a positive number.")
    graph = graph or tf.get_default_graph()
    with graph.as_default():
        step = tf.train.get_or_create_global_step() if global_step is None else global_step
        kwargs = train_step_kwargs
        if kwargs is _UNSET:
            limit = tf.constant(False) if number_of_steps is None else tf.greater_equal(step, number_of_steps)
            kwargs = {"should_stop": limit, "should_log": tf.equal(step % log_every_n_steps, 0),
                      "logdir": logdir}  # fmt: skip
        options = {"init_op": init_op, "local_init_op": local_init_op, "ready_op": ready_op, "summary_op": summary_op,
                   "summary_writer": summary_writer}  # fmt: skip
        supervisor = tf.train.Supervisor(
            graph=graph, logdir=logdir, is_chief=is_chief, global_step=step, init_feed_dict=init_feed_dict,
            init_fn=init_fn, saver=saver or tf.train.Saver(), save_summaries_secs=save_summaries_secs,
            save_model_secs=save_interval_secs, **{k: v for k, v in options.items() if v is not _UNSET},
        )  # fmt: skip
        loss = None
        with supervisor.managed_session(master, start_standard_services=False, config=session_config) as session:
            wrapped = session if session_wrapper is None else session_wrapper(session)
            if logdir:
                supervisor.start_standard_services(session)
            supervisor.start_queue_runners(session)
            try:
                while not supervisor.should_stop():
                    loss, stop = train_step_fn(wrapped, train_op, step, kwargs)
                    if stop:
                        tf.logging.info("Stopping Training.")
                        supervisor.request_stop()
            except tf.errors.OutOfRangeError:
                tf.logging.info("Finished training: the input has ended.")
            if logdir and supervisor.is_chief:
                supervisor.saver.save(session, supervisor.save_path, global_step=supervisor.global_step)
        return loss


@tf_export("contrib.slim.evaluation.evaluate_once")
def evaluate_once(
    master: str,
    checkpoint_path: str,
    logdir: str,
    num_evals: int = 1,
    initial_op: Any = None,
    initial_op_feed_dict: Any = None,
    eval_op: Any = None,
    eval_op_feed_dict: Any = None,
    final_op: Any = None,
    final_op_feed_dict: Any = None,
    summary_op: Any = _UNSET,
    summary_op_feed_dict: Any = None,
    variables_to_restore: Any = None,
    session_config: Any = None,
    hooks: Any = None,
) -> Any:
    """Restore a checkpoint, run `eval_op` num_evals times, then the final and the summary operation."""
    summary = tf.summary.merge_all() if summary_op is _UNSET else summary_op
    names = variables_to_restore if variables_to_restore is not None else tf.contrib.slim.get_variables_to_restore()
    saver = tf.train.Saver(names)
    local = tf.group(tf.local_variables_initializer(), tf.tables_initializer())
    with tf.Session(master, config=session_config) as session:
        session.run([tf.variables_initializer(tf.global_variables()), local])
        saver.restore(session, checkpoint_path)
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        if initial_op is not None:
            session.run(initial_op, initial_op_feed_dict)
        if eval_op is not None:
            for _ in range(num_evals):
                session.run(eval_op, eval_op_feed_dict)
        value = None if final_op is None else session.run(final_op, final_op_feed_dict)
        if summary is not None and logdir:
            writer = tf.summary.FileWriter(logdir)
            steps = tf.get_collection(GraphKeys.GLOBAL_STEP)
            step = session.run(steps[0]) if steps else None
            writer.add_summary(session.run(summary, summary_op_feed_dict), step)
            writer.close()
        coordinator.request_stop()
        coordinator.join(threads, ignore_live_threads=True)
    return value


@tf_export("contrib.slim.evaluation.evaluation_loop")
def evaluation_loop(
    master: str,
    checkpoint_dir: str,
    logdir: str,
    num_evals: int = 1,
    *args: Any,
    eval_interval_secs: float = 60,
    max_number_of_evaluations: int | None = None,
    timeout: float | None = None,
    **kwargs: Any,
) -> Any:
    """`evaluate_once` on every checkpoint that appears in a folder; the last value."""
    value = None
    paths = checkpoints_iterator(os.fspath(checkpoint_dir), eval_interval_secs, timeout)
    for count, path in enumerate(paths, 1):
        value = evaluate_once(master, path, logdir, num_evals, *args, **kwargs)
        if max_number_of_evaluations is not None and count >= max_number_of_evaluations:
            break
    return value
