"""tf.contrib.training's loop: train ops, gradients clipped and scaled, buckets by length, evaluation of checkpoints."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from recurra.tf1 import dtypes, errors
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.core_ops import with_dependencies
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.slices import IndexedSlices
from recurra.tf1.train import batching
from recurra.tf1.train.hooks import SessionRunHook

__all__ = ["bucket", "create_train_op", "train"]

tf = space("")


def _scaled(gradient: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(gradient, IndexedSlices):
        return IndexedSlices(function(gradient.values), gradient.indices, gradient.dense_shape)
    return function(gradient)


# -- gradients --------------------------------------------------------------------------------------------------------
@tf_export("contrib.training.add_gradients_summaries")
def add_gradients_summaries(grads_and_vars: Any) -> list[Any]:
    """A histogram and the norm of every gradient."""
    summaries = []
    for gradient, variable in grads_and_vars:
        if gradient is None:
            continue
        values = gradient.values if isinstance(gradient, IndexedSlices) else gradient
        summaries.append(tf.summary.histogram(variable.op.name + "_gradient", values))
        summaries.append(tf.summary.scalar(variable.op.name + "_gradient_norm", tf.global_norm([values])))
    return summaries


@tf_export("contrib.training.clip_gradient_norms")
def clip_gradient_norms(gradients_to_variables: Any, max_norm: Any) -> list[Any]:
    """Every gradient by itself clipped to `max_norm`."""
    clip = functools.partial(tf.clip_by_norm, clip_norm=max_norm)
    return [(None if g is None else _scaled(g, clip), v) for g, v in gradients_to_variables]


@tf_export("contrib.training.clip_gradient_norms_fn")
def clip_gradient_norms_fn(max_norm: Any) -> Callable[[Any], list[Any]]:
    return lambda gradients_to_variables: clip_gradient_norms(gradients_to_variables, max_norm)


@tf_export("contrib.training.multiply_gradients")
def multiply_gradients(grads_and_vars: Any, gradient_multipliers: Any) -> list[Any]:
    """The gradients of the variables (or names) in the dict times its numbers."""
    if not isinstance(grads_and_vars, list):
        raise ValueError("`grads_and_vars` must be a list.")
    if not gradient_multipliers:
        raise ValueError("`gradient_multipliers` is empty.")
    if not isinstance(gradient_multipliers, dict):
        raise ValueError("`gradient_multipliers` must be a dict.")
    result = []
    for gradient, variable in grads_and_vars:
        key = variable if variable in gradient_multipliers else variable.op.name
        if key in gradient_multipliers:
            if gradient is None:
                raise ValueError("Requested multiple of `None` gradient.")
            factor = convert_to_tensor(gradient_multipliers[key], dtype=gradient.dtype)
            gradient = _scaled(gradient, lambda values, factor=factor: values * factor)
        result.append((gradient, variable))
    return result


@tf_export("contrib.opt.clip_gradients_by_global_norm")
def clip_gradients_by_global_norm(gradients_variables: Any, clip_norm: float = 20.0) -> tuple[list[Any], Any]:
    """(pairs with all gradients clipped by their common norm, that norm)."""
    gradients, variables = zip(*gradients_variables, strict=True)
    norm = tf.global_norm(gradients)
    clipped, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    return list(zip(clipped, variables, strict=True)), norm


_USE_GLOBAL_STEP = 0


@tf_export("contrib.training.create_train_op", "contrib.slim.learning.create_train_op")
def create_train_op(
    total_loss: Any,
    optimizer: Any,
    global_step: Any = _USE_GLOBAL_STEP,
    update_ops: Any = None,
    variables_to_train: Any = None,
    transform_grads_fn: Any = None,
    summarize_gradients: bool = False,
    gate_gradients: Any = 1,
    aggregation_method: Any = None,
    colocate_gradients_with_ops: bool = False,
    check_numerics: bool = True,
    clip_gradient_norm: float = 0,
    gradient_multipliers: Any = None,
) -> Any:
    """The loss, computed after the update that lowers it; the UPDATE_OPS collection runs first."""
    if isinstance(global_step, int) and global_step == _USE_GLOBAL_STEP:
        global_step = tf.train.get_or_create_global_step()
    updates = get_default_graph().get_collection(GraphKeys.UPDATE_OPS) if update_ops is None else update_ops
    if updates:
        with tf.control_dependencies(list(dict.fromkeys(updates))):
            barrier = tf.no_op(name="update_barrier")
        total_loss = with_dependencies([barrier], total_loss)
    variables = tf.trainable_variables() if variables_to_train is None else variables_to_train
    gradients = optimizer.compute_gradients(total_loss, variables)
    if gradient_multipliers:
        gradients = multiply_gradients(gradients, gradient_multipliers)
    if clip_gradient_norm > 0:
        gradients = clip_gradient_norms(gradients, clip_gradient_norm)
    if transform_grads_fn:
        gradients = transform_grads_fn(gradients)
    if summarize_gradients:
        with tf.name_scope("summarize_grads"):
            add_gradients_summaries(gradients)
    applied = optimizer.apply_gradients(gradients, global_step=global_step)
    with tf.name_scope("train_op"):
        if check_numerics:
            total_loss = tf.check_numerics(total_loss, "LossTensor is inf or nan")
        train_op = with_dependencies([applied], total_loss)
    known = get_default_graph().get_collection_ref(GraphKeys.TRAIN_OP)
    if train_op not in known:
        known.append(train_op)
    return train_op


@tf_export("contrib.training.train")
def train(
    train_op: Any,
    logdir: str | None,
    master: str = "",
    is_chief: bool = True,
    scaffold: Any = None,
    hooks: Any = None,
    chief_only_hooks: Any = None,
    save_checkpoint_secs: Any = 600,
    save_summaries_steps: Any = 100,
    config: Any = None,
    max_wait_secs: int = 7200,
    run_metadata: Any = None,
) -> Any:
    """Run `train_op` in a monitored session until a hook stops it; the last loss."""
    if logdir is None and is_chief:
        for name, given in (
            ("save_summaries_steps", save_summaries_steps),
            ("save_checkpoint_secs", save_checkpoint_secs),
        ):
            if given:
                raise ValueError(f"logdir cannot be None when {name} is not None")
    loss = None
    with tf.train.MonitoredTrainingSession(
        master=master,
        is_chief=is_chief,
        checkpoint_dir=logdir,
        scaffold=scaffold,
        hooks=hooks,
        chief_only_hooks=chief_only_hooks,
        save_checkpoint_secs=save_checkpoint_secs,
        save_summaries_steps=save_summaries_steps,
        config=config,
    ) as session:
        while not session.should_stop():
            loss = session.run(train_op)
    return loss


# -- buckets ----------------------------------------------------------------------------------------------------------
@tf_export("contrib.training.bucket")
def bucket(
    tensors: Any,
    which_bucket: Any,
    batch_size: Any,
    num_buckets: int,
    num_threads: int = 1,
    capacity: int = 32,
    bucket_capacities: Any = None,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    keep_input: Any = True,
    shared_name: str | None = None,
    name: str | None = None,
) -> tuple[Any, Any]:
    """(number of the bucket, a batch of its examples): each example waits in the queue of its bucket."""
    sizes = list(batch_size) if isinstance(batch_size, list | tuple) else [batch_size] * num_buckets
    if len(sizes) != num_buckets:
        raise ValueError("If batch_size is a list it must have num_buckets elements")
    capacities = [capacity] * num_buckets if bucket_capacities is None else list(bucket_capacities)
    if len(capacities) != num_buckets:
        raise ValueError(
            f"The list bucket_capacities ({bucket_capacities}) must have exactly num_buckets ({num_buckets}) elements."
        )
    given = batching.as_tensor_list(tensors)
    make = tf.PaddingFIFOQueue if dynamic_pad else tf.FIFOQueue
    with tf.name_scope(name, "bucket", given):
        row, sparse = batching.stored(list(given), many=False)
        types = [t.dtype.base_dtype for t in row]
        forms = [t.shape for t in row] if shapes is None else shapes
        number = convert_to_tensor(which_bucket, dtype=dtypes.int32)
        shared = ["" if shared_name is None else f"{shared_name}_{i}" for i in range(num_buckets)]
        queues = [
            make(c, types, forms, shared_name=s, name=f"bucket_queue_{i}")
            for i, (c, s) in enumerate(zip(capacities, shared, strict=True))
        ]
        top = tf.PaddingFIFOQueue(
            capacity,
            [dtypes.int32, *types],
            [[], *(_batch_shape(f, sizes, allow_smaller_final_batch) for f in forms)],
            shared_name=shared_name,
            name="top_queue",
        )
        enqueue = _enqueue_where(queues, number, row, keep_input)
        moves = [
            _move(top, i, queue, size, allow_smaller_final_batch)
            for i, (queue, size) in enumerate(zip(queues, sizes, strict=True))
        ]
        ended = (errors.OutOfRangeError, errors.CancelledError)
        _run(queues[0], moves, [top], ended)
        _run(top, [enqueue] * num_threads, queues, ended)
        which, *taken = top.dequeue(name="dequeue_top")
        batch = batching.restored(taken, sparse)
    return which, batching.as_original_type(tensors, batch if len(batch) > 1 else batch[0])


def _batch_shape(form: Any, sizes: list[Any], smaller: bool) -> Any:
    same = not smaller and all(isinstance(s, int) and s == sizes[0] for s in sizes)
    return tf.TensorShape([sizes[0] if same else None]).concatenate(form)


def _enqueue_where(queues: list[Any], number: Any, row: list[Any], keep: Any) -> Any:
    wanted = True if keep is True else convert_to_tensor(keep)
    conditions = [
        tf.equal(number, i) if wanted is True else tf.logical_and(tf.equal(number, i), wanted)
        for i in range(len(queues))
    ]
    enqueues = [
        tf.cond(condition, functools.partial(queue.enqueue, row), tf.no_op)
        for condition, queue in zip(conditions, queues, strict=True)
    ]
    return tf.group(*enqueues, name="group_enqueues")


def _move(top: Any, number: int, queue: Any, size: Any, smaller: bool) -> Any:
    taken = (queue.dequeue_up_to if smaller else queue.dequeue_many)(size, name=f"read_bucket_{number}")
    taken = taken if isinstance(taken, list | tuple) else [taken]
    return top.enqueue([tf.constant(number), *taken], name=f"enqueue_from_bucket_{number}")


def _run(queue: Any, enqueues: list[Any], closed: list[Any], ended: Any) -> None:
    close = tf.group(*[q.close() for q in closed])
    cancel = tf.group(*[q.close(cancel_pending_enqueues=True) for q in closed])
    tf.train.add_queue_runner(
        tf.train.QueueRunner(queue, enqueues, close_op=close, cancel_op=cancel, queue_closed_exception_types=ended)
    )


@tf_export("contrib.training.bucket_by_sequence_length")
def bucket_by_sequence_length(
    input_length: Any,
    tensors: Any,
    batch_size: Any,
    bucket_boundaries: Any,
    num_threads: int = 1,
    capacity: int = 32,
    bucket_capacities: Any = None,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    keep_input: Any = True,
    shared_name: str | None = None,
    name: str | None = None,
) -> tuple[Any, Any]:
    """(lengths, batch) of examples whose lengths lie between the same two of the increasing boundaries."""
    boundaries = list(bucket_boundaries)
    if not boundaries:
        raise ValueError("bucket_boundaries must not be empty")
    for before, after in itertools.pairwise(boundaries):
        if not isinstance(before, int) or not isinstance(after, int):
            raise TypeError("bucket boundaries must be integers")
        if before >= after:
            raise ValueError(f"Buckets must contain sequential increasing lengths, but saw: {before} before {after}")
    with tf.name_scope(name, "bucket_by_sequence_length", [input_length]):
        length = convert_to_tensor(input_length, dtype=dtypes.int32, name="input_length")
        limits = tf.constant(boundaries, dtypes.int32)
        which = tf.reduce_sum(tf.cast(tf.greater_equal(length, limits), dtypes.int32))
        row = [length, *batching.as_tensor_list(tensors)]
        _, batch = bucket(
            row,
            which,
            batch_size,
            len(boundaries) + 1,
            num_threads,
            capacity,
            bucket_capacities,
            None if shapes is None else [[], *shapes],
            dynamic_pad,
            allow_smaller_final_batch,
            keep_input,
            shared_name,
        )
    lengths, *rest = batch
    return lengths, batching.as_original_type(tensors, rest)


# -- evaluation -------------------------------------------------------------------------------------------------------
@tf_export("contrib.training.wait_for_new_checkpoint")
def wait_for_new_checkpoint(
    checkpoint_dir: str, last_checkpoint: str | None = None, seconds_to_sleep: float = 1, timeout: float | None = None
) -> str | None:
    """The path of a checkpoint other than `last_checkpoint`, waited for; None after `timeout` seconds."""
    end = None if timeout is None else time.time() + timeout
    while True:
        found = tf.train.latest_checkpoint(checkpoint_dir)
        if found is not None and found != last_checkpoint:
            return found
        if end is not None and time.time() + seconds_to_sleep > end:
            return None
        time.sleep(seconds_to_sleep)


@tf_export("contrib.training.checkpoints_iterator", "train.checkpoints_iterator")
def checkpoints_iterator(
    checkpoint_dir: str, min_interval_secs: float = 0, timeout: float | None = None, timeout_fn: Any = None
) -> Iterator[str]:
    """New checkpoints as they appear, until `timeout` seconds pass without one (and timeout_fn, if given, agrees)."""
    path = None
    while True:
        new = wait_for_new_checkpoint(checkpoint_dir, path, timeout=timeout)
        if new is None:
            if not timeout_fn or timeout_fn():
                return
            continue
        start, path = time.time(), new
        yield path
        time.sleep(max(0.0, start + min_interval_secs - time.time()))


@tf_export("contrib.training.get_or_create_eval_step")
def get_or_create_eval_step() -> Any:
    """The graph's counter of evaluations."""
    found = get_default_graph().get_collection(GraphKeys.EVAL_STEP)
    if len(found) > 1:
        raise ValueError("Multiple tensors added to tf.GraphKeys.EVAL_STEP")
    if found:
        return found[0]
    return tf.get_variable(
        "eval_step",
        shape=[],
        dtype=dtypes.int64,
        initializer=tf.zeros_initializer(),
        trainable=False,
        collections=[GraphKeys.LOCAL_VARIABLES, GraphKeys.EVAL_STEP],
    )


@tf_export("contrib.training.StopAfterNEvalsHook")
class StopAfterNEvalsHook(SessionRunHook):
    """Ends an evaluation after `num_evals` runs."""

    def __init__(self, num_evals: int | None, log_progress: bool = True):
        self._count, self._evals = num_evals, None

    def _set_evals_completed_tensor(self, updated_eval_step: Any) -> None:
        self._evals = updated_eval_step

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs({"evals_completed": self._evals})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._count is not None and run_values.results["evals_completed"] >= self._count:
            run_context.request_stop()


@tf_export("contrib.training.SummaryAtEndHook")
class SummaryAtEndHook(SessionRunHook):
    """Writes the summaries once, when the session ends."""

    def __init__(
        self, log_dir: str | None = None, summary_writer: Any = None, summary_op: Any = None, feed_dict: Any = None
    ):
        self._writer, self._op, self._feeds = summary_writer, summary_op, feed_dict
        self._folder = log_dir

    def begin(self) -> None:
        self._op = tf.summary.merge_all() if self._op is None else self._op
        if self._writer is None and self._folder is not None:
            self._writer = tf.summary.FileWriterCache.get(self._folder)
        self._step = tf.train.get_or_create_global_step()

    def end(self, session: Any) -> None:
        if self._op is None or self._writer is None:
            return
        step, text = session.run([self._step, self._op], self._feeds)
        self._writer.add_summary(text, step)
        self._writer.flush()


@tf_export("contrib.training.evaluate_once")
def evaluate_once(
    checkpoint_path: str,
    master: str = "",
    scaffold: Any = None,
    eval_ops: Any = None,
    feed_dict: Any = None,
    final_ops: Any = None,
    final_ops_feed_dict: Any = None,
    hooks: Any = None,
    config: Any = None,
) -> Any:
    """Restore a checkpoint, run `eval_ops` until a hook stops it, then the values of `final_ops`."""
    step = get_or_create_eval_step()
    hooks = list(hooks or [])
    if eval_ops is not None:
        updated = tf.assign_add(step, 1)
        eval_ops = (
            {**eval_ops, "update_eval_step": updated}
            if isinstance(eval_ops, dict)
            else [*(eval_ops if isinstance(eval_ops, list) else [eval_ops]), updated]
        )
        for hook in hooks:
            if isinstance(hook, StopAfterNEvalsHook):
                hook._set_evals_completed_tensor(updated)
    creator = tf.train.ChiefSessionCreator(
        scaffold=scaffold, checkpoint_filename_with_path=checkpoint_path, master=master, config=config
    )
    last = tf.train.FinalOpsHook(final_ops, final_ops_feed_dict)
    with tf.train.MonitoredSession(session_creator=creator, hooks=[*hooks, last]) as session:
        while eval_ops is not None and not session.should_stop():
            session.run(eval_ops, feed_dict)
    return last.final_ops_values


@tf_export("contrib.training.evaluate_repeatedly")
def evaluate_repeatedly(
    checkpoint_dir: str,
    master: str = "",
    scaffold: Any = None,
    eval_ops: Any = None,
    feed_dict: Any = None,
    final_ops: Any = None,
    final_ops_feed_dict: Any = None,
    eval_interval_secs: float = 60,
    hooks: Any = None,
    config: Any = None,
    max_number_of_evaluations: int | None = None,
    timeout: float | None = None,
    timeout_fn: Any = None,
) -> Any:
    """evaluate_once for every new checkpoint of a folder; the values of the last."""
    values = None
    paths = checkpoints_iterator(checkpoint_dir, eval_interval_secs, timeout, timeout_fn)
    for count, path in enumerate(paths, 1):
        values = evaluate_once(
            path, master, scaffold, eval_ops, feed_dict, final_ops, final_ops_feed_dict, hooks, config
        )
        if max_number_of_evaluations is not None and count >= max_number_of_evaluations:
            break
    return values
