"""tf.data's datasets of datasets: chosen by number or by chance, counted, without repeats, with a carried state, in windows."""  # noqa: E501

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from recurra.tf1 import nest
from recurra.tf1.data import pipeline
from recurra.tf1.data.dataset import Dataset, Function, Run
from recurra.tf1.data.structure import Spec, map_leaves
from recurra.tf1.data.transforms import Transformation, _both, parallel_interleave
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

__all__ = ["choose_from_datasets", "sample_from_datasets"]

tf = space("")

export(-1, *_both("AUTOTUNE"))
export(parallel_interleave, "contrib.data.sloppy_interleave")


def _chosen(streams: list[pipeline.Stream], numbers: Iterator[int], go_on: bool) -> pipeline.Stream:
    """The next element of the numbered stream; of one that has ended, nothing."""
    open_streams = set(range(len(streams)))
    for number in numbers:
        if not open_streams:
            return
        if number not in open_streams:
            continue
        try:
            yield next(streams[number])
        except StopIteration:
            open_streams.discard(number)
            if not go_on and not open_streams:
                return


def _same(datasets: Any) -> list[Dataset]:
    parts = list(datasets)
    if not parts or not all(isinstance(d, Dataset) for d in parts):
        raise TypeError("`datasets` must be a non-empty list of Dataset objects")
    for part in parts[1:]:
        if part.output_types != parts[0].output_types:
            raise ValueError("All datasets must have the same type.")
    return parts


@tf_export(*_both("choose_from_datasets"))
def choose_from_datasets(datasets: Any, choice_dataset: Dataset) -> Dataset:
    """For every number of `choice_dataset` the next element of the dataset of that number."""
    parts = _same(datasets)
    if choice_dataset.output_types != tf.int64:
        raise TypeError("`choice_dataset` must be a dataset of scalar `tf.int64` tensors.")

    def stream(run: Run) -> pipeline.Stream:
        numbers = (int(e[0]) for e in choice_dataset.stream(run))
        return _chosen([p.stream(run) for p in parts], numbers, go_on=False)

    return parts[0]._like(stream, [t for p in [*parts[1:], choice_dataset] for t in p.inputs])


@tf_export(*_both("sample_from_datasets"))
def sample_from_datasets(datasets: Any, weights: Any = None, seed: int | None = None) -> Dataset:
    """Elements of datasets drawn by chance, with the given weights; those that have ended are passed over."""
    parts = _same(datasets)
    if weights is not None and len(weights) != len(parts):
        raise ValueError("`weights` must be a vector of length `len(datasets)`.")
    share = np.full(len(parts), 1.0) if weights is None else np.asarray(weights, np.float64)

    def stream(run: Run) -> pipeline.Stream:
        random = np.random.RandomState(seed)
        numbers = (int(random.choice(len(parts), p=share / share.sum())) for _ in itertools.count())
        return _chosen([p.stream(run) for p in parts], numbers, go_on=True)

    return parts[0]._like(stream, [t for p in parts[1:] for t in p.inputs])


@tf_export(*_both("Counter"))
def Counter(start: int = 0, step: int = 1, dtype: Any = None) -> Dataset:
    """start, start + step, … without end."""
    kind = tf.int64 if dtype is None else tf.as_dtype(dtype)

    def stream(run: Run) -> pipeline.Stream:
        return ([torch.tensor(n, dtype=kind.torch)] for n in itertools.count(start, step))

    return Dataset(Spec(kind, tf.TensorShape([])), [], stream)


@tf_export(*_both("unique"))
def unique() -> Transformation:
    """The first of equal elements only; one tensor per element."""

    def kept(stream: pipeline.Stream) -> pipeline.Stream:
        seen = set()
        for element in stream:
            value = element[0]
            array = value.numpy() if isinstance(value, torch.Tensor) else value
            key = (array.shape, array.tobytes() if array.dtype != object else tuple(array.reshape(-1)))
            if key not in seen:
                seen.add(key)
                yield element

    def transform(dataset: Dataset) -> Dataset:
        if len(nest.flatten(dataset.output_types)) != 1:
            raise TypeError("unique takes datasets of one tensor per element")
        return dataset._like(lambda run: kept(dataset.stream(run)))

    return transform


@tf_export(*_both("scan"))
def scan(initial_state: Any, scan_func: Any) -> Transformation:
    """`state, out = scan_func(state, element)` over the elements; the outs."""
    state = nest.map_structure(tf.convert_to_tensor, initial_state)
    flat = nest.flatten(state)

    def transform(dataset: Dataset) -> Dataset:
        specs = nest.map_structure(lambda t: Spec(t.dtype.base_dtype, t.shape), state)
        traced = Function(lambda *both: _pair(scan_func(*both)), (specs, dataset.spec), unpack=True)
        _, result = traced.spec

        def stream(run: Run) -> pipeline.Stream:
            call = traced.bind(run)
            carried = [run.of(t) for t in flat]
            for element in dataset.stream(run):
                values = call([*carried, *element])
                carried = values[: len(flat)]
                yield values[len(flat) :]

        return dataset._like(stream, [*flat, *traced.captures], result)

    return transform


def _pair(result: Any) -> Any:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError("The scan function must return a pair comprising the new state and the output value.")
    return result


@tf_export("contrib.data.sliding_window_batch")
def sliding_window_batch(
    window_size: int, stride: int | None = None, window_shift: int | None = None, window_stride: int = 1
) -> Transformation:
    """Batches of `window_size` elements, each `window_shift` after the one before."""
    if stride is not None and window_shift is not None:
        raise ValueError("Cannot specify both `stride` and `window_shift`")
    shift = next((s for s in (window_shift, stride) if s is not None), 1)
    reach = (window_size - 1) * window_stride + 1

    def windows(stream: pipeline.Stream) -> pipeline.Stream:
        buffer: deque[Any] = deque()
        skipped = 0
        for element in stream:
            if skipped:
                skipped -= 1
                continue
            buffer.append(element)
            if len(buffer) == reach:
                rows = list(buffer)[::window_stride]
                yield [pipeline.stack(list(column)) for column in zip(*rows, strict=True)]
                for _ in range(min(shift, len(buffer))):
                    buffer.popleft()
                skipped = max(0, shift - reach)

    def transform(dataset: Dataset) -> Dataset:
        batched = map_leaves(lambda s: Spec(s.dtype, tf.TensorShape([None]).concatenate(s.shape)), dataset.spec)
        return dataset._like(lambda run: windows(dataset.stream(run)), spec=batched)

    return transform


@tf_export(*_both("get_single_element"))
def get_single_element(dataset: Dataset) -> Any:
    """The element of a dataset that has exactly one."""
    from recurra.tf1.data.iterators import Iterator as DatasetIterator

    return DatasetIterator.one_shot(dataset).get_next()
