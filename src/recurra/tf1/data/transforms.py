"""tf.contrib.data and tf.data.experimental: transformations for Dataset.apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.data import pipeline
from recurra.tf1.data.dataset import Dataset, Function, Run
from recurra.tf1.data.structure import Spec
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
Transformation = Callable[[Dataset], Dataset]


def _both(name: str) -> list[str]:
    return [f"contrib.data.{name}", f"data.experimental.{name}"]


@tf_export(*_both("shuffle_and_repeat"))
def shuffle_and_repeat(buffer_size: Any, count: Any = None, seed: Any = None) -> Transformation:
    """shuffle, then repeat."""
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


@tf_export(*_both("map_and_batch"))
def map_and_batch(
    map_func: Any,
    batch_size: Any,
    num_parallel_batches: Any = None,
    drop_remainder: bool = False,
    num_parallel_calls: Any = None,
) -> Transformation:
    """map, then batch."""
    return lambda dataset: dataset.map(map_func).batch(batch_size, drop_remainder)


@tf_export("contrib.data.batch_and_drop_remainder")
def batch_and_drop_remainder(batch_size: Any) -> Transformation:
    """batch without a smaller last one."""
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


@tf_export("contrib.data.padded_batch_and_drop_remainder")
def padded_batch_and_drop_remainder(batch_size: Any, padded_shapes: Any, padding_values: Any = None) -> Transformation:
    """padded_batch without a smaller last one."""
    return lambda dataset: dataset.padded_batch(batch_size, padded_shapes, padding_values, drop_remainder=True)


@tf_export(*_both("unbatch"))
def unbatch() -> Transformation:
    """The rows of each element."""
    return lambda dataset: dataset.unbatch()


@tf_export(*_both("enumerate_dataset"))
def enumerate_dataset(start: int = 0) -> Transformation:
    """Elements with their numbers."""
    return lambda dataset: dataset.enumerate(start)


@tf_export(*_both("parallel_interleave"))
def parallel_interleave(map_func: Any, cycle_length: Any, block_length: Any = 1, **options: Any) -> Transformation:
    """interleave."""
    return lambda dataset: dataset.interleave(map_func, cycle_length, block_length)


@tf_export(*_both("prefetch_to_device"), *_both("copy_to_device"))
def prefetch_to_device(device: Any, buffer_size: Any = None) -> Transformation:
    """The same elements: there is one device."""
    return lambda dataset: dataset


@tf_export(*_both("ignore_errors"))
def ignore_errors() -> Transformation:
    """Elements whose making fails are left out."""

    def kept(stream: pipeline.Stream) -> pipeline.Stream:
        while True:
            try:
                yield next(stream)
            except StopIteration:
                return
            except (errors.OpError, ValueError, RuntimeError):
                continue

    return lambda dataset: dataset._like(lambda run: kept(dataset.stream(run)))


@tf_export(*_both("assert_element_shape"))
def assert_element_shape(expected_shapes: Any) -> Transformation:
    """The same elements, with a known shape."""

    def setter(*components: Any) -> Any:
        for tensor, shape in zip(
            components, expected_shapes if len(components) > 1 else [expected_shapes], strict=True
        ):
            tensor.set_shape(shape)
        return components if len(components) > 1 else components[0]

    return lambda dataset: dataset.map(setter)


@tf_export(*_both("group_by_window"))
def group_by_window(
    key_func: Any, reduce_func: Any, window_size: Any = None, window_size_func: Any = None
) -> Transformation:
    """Elements collected by key; each window becomes the dataset reduce_func(key, window)."""
    if (window_size is None) == (window_size_func is None):
        raise ValueError("Must pass either window_size or window_size_func.")

    def transform(dataset: Dataset) -> Dataset:
        key = Function(lambda *e: tf.cast(key_func(*e), tf.int64), dataset.spec)
        size = Function(
            lambda k: tf.cast(window_size if window_size_func is None else window_size_func(k), tf.int64),
            Spec(tf.int64, tf.TensorShape([])),
        )
        source = Dataset(dataset.spec, [], lambda run: iter(run.stores[_WINDOW]))
        reduce = Function(lambda k: reduce_func(k, source), Spec(tf.int64, tf.TensorShape([])))
        if reduce.dataset is None:
            raise TypeError("`reduce_func` must return a `Dataset` object.")
        inner = reduce.dataset

        def stream(run: Run) -> pipeline.Stream:
            keys, sizes, prepare = key.bind(run), size.bind(run), reduce.bind(run)

            def expand(k: int, group: list[pipeline.Element]) -> pipeline.Stream:
                inputs = dict(zip(reduce.results, prepare([_int64(k)]), strict=True))
                inside = Run(run.session, {**run.values, **inputs})
                inside.stores[_WINDOW] = group
                return inner.stream(inside)

            return pipeline.group_by_window(
                lambda: dataset.stream(run), lambda e: int(keys(e)[0]), expand, lambda k: int(sizes([_int64(k)])[0])
            )

        captured = [*key.captures, *size.captures, *reduce.captures]
        return dataset._like(stream, captured, inner.spec)

    return transform


_WINDOW = "window"


def _int64(value: int) -> Any:
    import torch

    return torch.tensor(value, dtype=torch.int64)


@tf_export(*_both("bucket_by_sequence_length"))
def bucket_by_sequence_length(
    element_length_func: Any,
    bucket_boundaries: Any,
    bucket_batch_sizes: Any,
    padded_shapes: Any = None,
    padding_values: Any = None,
    pad_to_bucket_boundary: bool = False,
    no_padding: bool = False,
    drop_remainder: bool = False,
) -> Transformation:
    """Batches of elements of like length."""
    if len(bucket_batch_sizes) != len(bucket_boundaries) + 1:
        raise ValueError("len(bucket_batch_sizes) must equal len(bucket_boundaries) + 1")

    def bucket(*element: Any) -> Any:
        length = tf.cast(element_length_func(*element), tf.int64)
        return tf.reduce_sum(tf.cast(length >= tf.constant(list(bucket_boundaries), tf.int64), tf.int64))

    def size(k: Any) -> Any:
        return tf.gather(tf.constant(list(bucket_batch_sizes), tf.int64), k)

    def make(k: Any, grouped: Dataset) -> Dataset:
        if no_padding:
            return grouped.batch(size(k), drop_remainder=drop_remainder)
        return grouped.padded_batch(size(k), padded_shapes, padding_values, drop_remainder=drop_remainder)

    return lambda dataset: dataset.apply(group_by_window(bucket, make, window_size_func=size))
