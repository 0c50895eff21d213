"""tf.train's queues of inputs: producers of file names, numbers and rows."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


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
            capacity,
            [input_tensor.dtype.base_dtype],
            [element_shape],
            shared_name=shared_name,
            name="input_producer" if name is None else name,
        )
        runner = tf.train.QueueRunner(queue, [queue.enqueue_many([input_tensor])], cancel_op=cancel_op)
        tf.train.add_queue_runner(runner)
        tf.summary.scalar(
            summary_name or f"fraction_of_{capacity}_full", tf.cast(queue.size(), tf.float32) * (1.0 / capacity)
        )
        return queue


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
        some = tf.Assert(
            tf.greater(tf.size(names), 0), ["string_input_producer requires a non-null input tensor"], name="Assert"
        )
        with tf.control_dependencies([some]):
            names = tf.identity(names)
        return input_producer(
            names, [], num_epochs, shuffle, seed, capacity, shared_name, name=scope, cancel_op=cancel_op
        )


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
        return input_producer(tf.range(limit), [], num_epochs, shuffle, seed, capacity, shared_name, name=scope)


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
        index = range_input_producer(size, num_epochs, shuffle, seed, capacity, shared_name).dequeue()
        return [tf.gather(t, index) for t in tensors]
