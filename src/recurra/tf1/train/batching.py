"""tf.train.batch, shuffle_batch and their like: batches of examples, gathered by a queue that threads fill.

The eight functions differ in three ways: one set of tensors or one per thread (`_join`), in order or shuffled
(`shuffle_`), all examples or those that are wanted (`maybe_`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

__all__ = ["batch", "shuffle_batch"]

tf = space("")
_HOME = "python.training.input"


class _Options(NamedTuple):
    """What all eight have in common."""

    batch_size: Any
    capacity: int
    enqueue_many: bool
    shapes: Any
    dynamic_pad: bool
    allow_smaller: bool
    shared_name: str | None
    name: str | None
    shuffling: tuple[int, int | None] | None = None  # (min_after_dequeue, seed)


@tf_export(f"{_HOME}._as_tensor_list")
def as_tensor_list(tensors: Any) -> Any:
    """The values of a dict in the order of its keys (as text, should they not compare), anything else as it is."""
    return [tensors[k] for k in sorted(tensors, key=str)] if isinstance(tensors, dict) else tensors


@tf_export(f"{_HOME}._as_original_type")
def as_original_type(original: Any, tensors: Any) -> Any:
    """The inverse of `as_tensor_list`, for tensors as a queue gives them: a single one comes without a list."""
    if not isinstance(original, dict):
        return tensors
    listed = [tensors] if len(original) == 1 else tensors
    return {key: listed[i] for i, key in enumerate(sorted(original, key=str))}


def _batched(tensors_list: list[Any], default_name: str, options: _Options, keep_input: Any = True) -> Any:
    """The queue and its runner, and what a batch is taken from it by."""
    rows = [as_tensor_list(one) for one in tensors_list]
    rows = [list(row) if isinstance(row, list | tuple) else [row] for row in rows]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("All sets of tensors must have the same length.")
    if any(isinstance(one, dict) and set(one) != set(tensors_list[0]) for one in tensors_list):
        raise ValueError("All dictionaries of tensors must have the same keys.")
    with tf.name_scope(options.name, default_name, [t for row in rows for t in row]) as scope:
        kept = [stored(row, options.enqueue_many) for row in rows]
        rows = [tensors for tensors, _ in kept]
        if any([t.dtype for t in row] != [t.dtype for t in rows[0]] for row in rows):
            raise TypeError("Expected types to be consistent: " + str([[t.dtype.name for t in row] for row in rows]))
        keep = keep_input if keep_input is True else _wanted(keep_input, options.enqueue_many)
        many = options.enqueue_many
        shapes = _shapes(rows, options)
        queue = _queue(options, [t.dtype.base_dtype for t in rows[0]], shapes)
        enqueues = [_enqueue(queue, row, many, keep) for row in rows]
        tf.train.add_queue_runner(tf.train.QueueRunner(queue, enqueues))
        _summarize(queue, options)
        take = queue.dequeue_up_to if options.allow_smaller else queue.dequeue_many
        taken = take(options.batch_size, name=scope)
        taken = taken if isinstance(taken, list) else [taken]
        sparse = kept[0][1]
        batch = restored(taken, sparse)
        return as_original_type(tensors_list[0], batch if len(batch) > 1 else batch[0])


class _Sparse(NamedTuple):
    """What brings a sparse tensor back from the texts that a queue keeps of it."""

    dtype: Any
    rank: int | None


def stored(row: list[Any], many: bool) -> tuple[list[Any], list[_Sparse | None]]:
    """Tensors that a queue can keep of a row: of a sparse tensor its three parts as text."""
    tensors, sparse = [], []
    for value in row:
        if hasattr(value, "dense_shape") and hasattr(value, "indices"):
            rank = value.dense_shape.get_shape().with_rank(1).as_list()[0]
            sparse.append(_Sparse(value.dtype, None if rank is None else rank + (not many)))
            value = tf.serialize_many_sparse(value) if many else tf.serialize_sparse(value)
        else:
            sparse.append(None)
        tensors.append(tf.convert_to_tensor(value))
    return tensors, sparse


def restored(taken: list[Any], sparse: list[_Sparse | None]) -> list[Any]:
    """What `stored` made texts of as sparse tensors again, a rank higher."""
    return [
        t if s is None else tf.deserialize_many_sparse(t, s.dtype, s.rank) for t, s in zip(taken, sparse, strict=True)
    ]


def _queue(options: _Options, dtypes: list[Any], shapes: list[Any]) -> Any:
    if options.shuffling is not None:
        least, seed = options.shuffling
        return tf.RandomShuffleQueue(
            options.capacity, least, dtypes, shapes, seed=seed, shared_name=options.shared_name
        )
    kind = tf.PaddingFIFOQueue if options.dynamic_pad else tf.FIFOQueue
    return kind(options.capacity, dtypes, shapes, shared_name=options.shared_name)


def _summarize(queue: Any, options: _Options) -> None:
    if options.shuffling is None:
        full = tf.cast(queue.size(), tf.float32) * (1.0 / options.capacity)
        tf.summary.scalar(f"fraction_of_{options.capacity}_full", full)
        return
    least = options.shuffling[0]
    full = tf.maximum(0.0, tf.cast(queue.size() - least, tf.float32)) * (1.0 / (options.capacity - least))
    tf.summary.scalar(f"fraction_over_{least}_of_{options.capacity - least}_full", full)


def _wanted(keep_input: Any, many: bool) -> Any:
    keep = tf.convert_to_tensor(keep_input)
    if keep.shape.rank is None:
        raise ValueError("`keep_input` dimensions must be known at graph construction.")
    if not many and keep.shape.rank == 1:
        raise ValueError("`keep_input` cannot be a vector when `enqueue_many=False`.")
    if keep.shape.rank > 1:
        raise ValueError("`keep_input` must be 0 or 1 dimensions.")
    return keep


def _enqueue(queue: Any, row: list[Any], many: bool, keep: Any) -> Any:
    make = queue.enqueue_many if many else queue.enqueue
    if keep is True:
        return make(row)
    if keep.shape.rank == 1:
        return make([tf.boolean_mask(t, keep) for t in row])
    return tf.cond(keep, lambda: make(row), tf.no_op)


def _shapes(rows: list[list[Any]], options: _Options) -> list[Any]:
    if options.shapes is not None:
        return [tf.TensorShape(s) for s in options.shapes]
    found = []
    for column in zip(*rows, strict=True):
        shapes = [t.get_shape()[1:] if options.enqueue_many else t.get_shape() for t in column]
        if options.dynamic_pad and any(s.ndims is None for s in shapes):
            raise ValueError("Cannot infer Tensor's rank: " + str(column[0]))
        shape = shapes[0]
        for other in shapes[1:]:
            # threads may disagree in a size: then it is known of none
            shape = shape.most_specific_compatible_shape(other)
        if not options.dynamic_pad and not shape.is_fully_defined():
            raise ValueError(f"All shapes must be fully defined: {[t.get_shape() for t in rows[0]]}")
        found.append(shape)
    return found


@tf_export("train.batch")
def batch(
    tensors: Any,
    batch_size: Any,
    num_threads: int = 1,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """Batches of the examples that `tensors` give one by one (or many at a time)."""
    smaller = allow_smaller_final_batch
    options = _Options(batch_size, capacity, enqueue_many, shapes, dynamic_pad, smaller, shared_name, name)
    return _batched([tensors] * num_threads, "batch", options)


@tf_export("train.maybe_batch")
def maybe_batch(
    tensors: Any,
    keep_input: Any,
    batch_size: Any,
    num_threads: int = 1,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """As batch, of the examples for which `keep_input` holds."""
    smaller = allow_smaller_final_batch
    options = _Options(batch_size, capacity, enqueue_many, shapes, dynamic_pad, smaller, shared_name, name)
    return _batched([tensors] * num_threads, "batch", options, keep_input)


@tf_export("train.batch_join")
def batch_join(
    tensors_list: Any,
    batch_size: Any,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """As batch, one thread for each entry of `tensors_list`."""
    smaller = allow_smaller_final_batch
    options = _Options(batch_size, capacity, enqueue_many, shapes, dynamic_pad, smaller, shared_name, name)
    return _batched(list(tensors_list), "batch_join", options)


@tf_export("train.maybe_batch_join")
def maybe_batch_join(
    tensors_list: Any,
    keep_input: Any,
    batch_size: Any,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """As batch_join, of the examples for which `keep_input` holds."""
    smaller = allow_smaller_final_batch
    options = _Options(batch_size, capacity, enqueue_many, shapes, dynamic_pad, smaller, shared_name, name)
    return _batched(list(tensors_list), "batch_join", options, keep_input)


@tf_export("train.shuffle_batch")
def shuffle_batch(
    tensors: Any,
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    num_threads: int = 1,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """Batches in random order; at least `min_after_dequeue` examples stay to be chosen from."""
    smaller = allow_smaller_final_batch
    options = _Options(
        batch_size, capacity, enqueue_many, shapes, False, smaller, shared_name, name, (min_after_dequeue, seed)
    )
    return _batched([tensors] * num_threads, "shuffle_batch", options)


@tf_export("train.maybe_shuffle_batch")
def maybe_shuffle_batch(
    tensors: Any,
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    keep_input: Any,
    num_threads: int = 1,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """As shuffle_batch, of the examples for which `keep_input` holds."""
    smaller = allow_smaller_final_batch
    options = _Options(
        batch_size, capacity, enqueue_many, shapes, False, smaller, shared_name, name, (min_after_dequeue, seed)
    )
    return _batched([tensors] * num_threads, "shuffle_batch", options, keep_input)


@tf_export("train.shuffle_batch_join")
def shuffle_batch_join(
    tensors_list: Any,
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """As shuffle_batch, one thread for each entry of `tensors_list`."""
    smaller = allow_smaller_final_batch
    options = _Options(
        batch_size, capacity, enqueue_many, shapes, False, smaller, shared_name, name, (min_after_dequeue, seed)
    )
    return _batched(list(tensors_list), "shuffle_batch_join", options)


@tf_export("train.maybe_shuffle_batch_join")
def maybe_shuffle_batch_join(
    tensors_list: Any,
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    keep_input: Any,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """As shuffle_batch_join, of the examples for which `keep_input` holds."""
    smaller = allow_smaller_final_batch
    options = _Options(
        batch_size, capacity, enqueue_many, shapes, False, smaller, shared_name, name, (min_after_dequeue, seed)
    )
    return _batched(list(tensors_list), "shuffle_batch_join", options, keep_input)
