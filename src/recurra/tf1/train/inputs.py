"""tf.train's input pipeline of queues: producers, batch, shuffle_batch."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_QUEUE_FILL = "fraction_of_%d_full"


@tf_export("train.match_filenames_once", "io.match_filenames_once")
def match_filenames_once(pattern: Any, name: str | None = None) -> Any:
    """A local variable with the names of files that match."""
    with tf.name_scope(name, "matching_filenames", [pattern]) as scope:
        return tf.Variable(
            initial_value=tf.matching_files(pattern),
            trainable=False,
            name=scope.rstrip("/").rpartition("/")[2],
            validate_shape=False,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
        )


@tf_export("train.limit_epochs")
def limit_epochs(tensor: Any, num_epochs: int | None = None, name: str | None = None) -> Any:
    """`tensor`, `num_epochs` times; then OutOfRangeError. Counts in a local variable."""
    if num_epochs is None:
        return tensor
    if num_epochs <= 0:
        raise ValueError(f"num_epochs must be > 0 not {num_epochs}.")
    with tf.name_scope(name, "limit_epochs", [tensor]) as scope:
        zero = tf.constant(0, dtype=tf.int64)
        epochs = tf.Variable(zero, name="epochs", trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES])
        with tf.control_dependencies([epochs.count_up_to(num_epochs)]):
            return tf.identity(tensor, name=scope)


@tf_export("train.input_producer")
def input_producer(
    input_tensor: Any,
    element_shape: Any = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    summary_name: str | None = None,
    name: str | None = None,
    cancel_op: Any = None,
) -> Any:
    """A queue of the rows of a tensor, epoch after epoch."""
    with tf.name_scope(name, "input_producer", [input_tensor]):
        input_tensor = tf.convert_to_tensor(input_tensor, name="input_tensor")
        element_shape = input_tensor.get_shape()[1:].merge_with(element_shape)
        if not element_shape.is_fully_defined():
            raise ValueError(
                "Either `input_tensor` must have a fully defined shape or `element_shape` must be specified"
            )
        if shuffle:
            input_tensor = tf.random_shuffle(input_tensor, seed=seed)
        input_tensor = limit_epochs(input_tensor, num_epochs)
        queue = tf.FIFOQueue(
            capacity, [input_tensor.dtype.base_dtype], [element_shape], name="input_producer" if name is None else name
        )
        runner = tf.train.QueueRunner(queue, [queue.enqueue_many([input_tensor])], cancel_op=cancel_op)
        tf.train.add_queue_runner(runner)
        _summarize(queue, summary_name or _QUEUE_FILL % capacity, capacity)
        return queue


def _summarize(queue: Any, name: str, capacity: int) -> None:
    tf.summary.scalar(name, tf.cast(queue.size(), tf.float32) * (1.0 / capacity))


@tf_export("train.string_input_producer")
def string_input_producer(
    string_tensor: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
    cancel_op: Any = None,
) -> Any:
    """A queue of strings, such as file names. ValueError for none."""
    if not isinstance(string_tensor, tf.Tensor | tf.Variable) and not list(string_tensor):
        raise ValueError("string_input_producer requires a non-null input tensor")
    with tf.name_scope(name, "input_producer", [string_tensor]) as scope:
        names = tf.convert_to_tensor(string_tensor, dtype=tf.string)
        return input_producer(names, [], num_epochs, shuffle, seed, capacity, name=scope, cancel_op=cancel_op)


@tf_export("train.range_input_producer")
def range_input_producer(
    limit: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """A queue of the numbers 0 … limit−1."""
    with tf.name_scope(name, "input_producer", [limit]) as scope:
        return input_producer(tf.range(limit), [], num_epochs, shuffle, seed, capacity, name=scope)


@tf_export("train.slice_input_producer")
def slice_input_producer(
    tensor_list: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
) -> list[Any]:
    """One row of each tensor, the same row of all."""
    with tf.name_scope(name, "input_producer", list(tensor_list)):
        tensors = [tf.convert_to_tensor(t) for t in tensor_list]
        if not tensors:
            raise ValueError("slice_input_producer() expects at least one tensor")
        size = tf.shape(tensors[0])[0]
        index = range_input_producer(size, num_epochs, shuffle, seed, capacity).dequeue()
        return [tf.gather(t, index) for t in tensors]


def _batched(
    tensors_list: list[Any],
    batch_size: Any,
    capacity: int,
    enqueue_many: bool,
    shapes: Any,
    dynamic_pad: bool,
    allow_smaller: bool,
    name: str | None,
    default_name: str,
    keep_input: Any = True,
    shuffling: tuple[int, int | None] | None = None,
) -> Any:
    """The queue and its runner behind batch, batch_join, shuffle_batch and shuffle_batch_join."""
    keys, rows = _flatten(tensors_list)
    with tf.name_scope(name, default_name, [t for row in rows for t in row]) as scope:
        rows = [[tf.convert_to_tensor(t) for t in row] for row in rows]
        dtypes = [t.dtype.base_dtype for t in rows[0]]
        known = _shapes(rows, shapes, enqueue_many, dynamic_pad)
        if shuffling is not None:
            queue = tf.RandomShuffleQueue(capacity, shuffling[0], dtypes, known, seed=shuffling[1])
        elif dynamic_pad:
            queue = tf.PaddingFIFOQueue(capacity, dtypes, known)
        else:
            queue = tf.FIFOQueue(capacity, dtypes, known)
        enqueues = [_enqueue(queue, row, enqueue_many, keep_input) for row in rows]
        tf.train.add_queue_runner(tf.train.QueueRunner(queue, enqueues))
        _summarize(queue, _QUEUE_FILL % capacity, capacity)
        take = queue.dequeue_up_to if allow_smaller else queue.dequeue_many
        taken = take(batch_size, name=scope)
        taken = taken if isinstance(taken, list) else [taken]
        if keys is not None:
            return dict(zip(keys, taken, strict=True))
        return taken if len(taken) > 1 else taken[0]


def _enqueue(queue: Any, row: list[Any], many: bool, keep: Any) -> Any:
    make = queue.enqueue_many if many else queue.enqueue
    if keep is True:
        return make(row)
    keep = tf.convert_to_tensor(keep)
    if keep.get_shape().ndims == 1:
        return queue.enqueue_many([tf.boolean_mask(t, keep) for t in row])
    return tf.cond(keep, lambda: make(row), tf.no_op)


def _flatten(tensors_list: list[Any]) -> tuple[list[Any] | None, list[list[Any]]]:
    first = tensors_list[0]
    if isinstance(first, dict):
        keys = sorted(first)
        return keys, [[row[k] for k in keys] for row in tensors_list]
    return None, [list(row) if isinstance(row, list | tuple) else [row] for row in tensors_list]


def _shapes(rows: list[list[Any]], shapes: Any, many: bool, dynamic_pad: bool) -> list[Any]:
    if shapes is not None:
        return [tf.TensorShape(s) for s in shapes]
    found = []
    for column in zip(*rows, strict=True):
        shape = column[0].get_shape()[1:] if many else column[0].get_shape()
        for tensor in column[1:]:
            other = tensor.get_shape()[1:] if many else tensor.get_shape()
            if dynamic_pad and shape.ndims is not None:
                dims = [a if a == b else None for a, b in zip(shape.as_list(), other.as_list(), strict=True)]
                shape = tf.TensorShape(dims)
            else:
                shape = shape.merge_with(other)
        if not dynamic_pad and not shape.is_fully_defined():
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
    """Batches of the examples that `tensors` give one by one."""
    rows = [tensors] * num_threads
    return _batched(
        rows, batch_size, capacity, enqueue_many, shapes, dynamic_pad, allow_smaller_final_batch, name, "batch"
    )


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
    rows = [tensors] * num_threads
    smaller = allow_smaller_final_batch
    return _batched(rows, batch_size, capacity, enqueue_many, shapes, dynamic_pad, smaller, name, "batch", keep_input)


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
    rows, smaller = list(tensors_list), allow_smaller_final_batch
    return _batched(rows, batch_size, capacity, enqueue_many, shapes, dynamic_pad, smaller, name, "batch_join")


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
    rows, smaller, mix = [tensors] * num_threads, allow_smaller_final_batch, (min_after_dequeue, seed)
    return _batched(
        rows, batch_size, capacity, enqueue_many, shapes, False, smaller, name, "shuffle_batch", shuffling=mix
    )


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
    rows, smaller, mix = list(tensors_list), allow_smaller_final_batch, (min_after_dequeue, seed)
    return _batched(
        rows, batch_size, capacity, enqueue_many, shapes, False, smaller, name, "shuffle_batch_join", shuffling=mix
    )
