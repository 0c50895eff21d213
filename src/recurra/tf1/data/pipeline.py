"""What a tf.data pipeline does at run time: Python iterators over elements, which are flat lists of values."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from recurra.tf1 import errors
from recurra.tf1.train.queue_objects import pad_stack, rows, stack

Element = list[Any]
Stream = Iterator[Element]
Make = Callable[[], Stream]


def number(value: Any) -> int:
    """A scalar run-time value as int."""
    return int(value)


def slices(batches: Element) -> Stream:
    """The rows of whole tensors."""
    columns = [rows(b) for b in batches]
    return (list(row) for row in zip(*columns, strict=True))


def repeat(make: Make, count: int) -> Stream:
    """The stream `count` times (-1: for ever; it ends when a pass is empty)."""
    for _ in itertools.count() if count < 0 else range(count):
        empty = True
        for element in make():
            empty = False
            yield element
        if empty:
            return


def shuffle(make: Make, size: int, random: np.random.RandomState) -> Stream:
    """Elements in an order drawn from a buffer of `size`."""
    stream = make()
    buffer = list(itertools.islice(stream, size))
    for element in stream:
        at = random.randint(len(buffer))
        buffer[at], element = element, buffer[at]
        yield element
    while buffer:
        at = random.randint(len(buffer))
        buffer[at], buffer[-1] = buffer[-1], buffer[at]
        yield buffer.pop()


def batch(make: Make, size: int, drop: bool, join: Callable[[list[Element]], Element]) -> Stream:
    """`size` elements as one."""
    stream = make()
    while chunk := list(itertools.islice(stream, size)):
        if len(chunk) < size and drop:
            return
        yield join(chunk)


def join_equal(chunk: list[Element]) -> Element:
    """Elements of one shape as a batch. InvalidArgumentError where shapes differ."""
    joined = []
    for column in zip(*chunk, strict=True):
        shapes = {tuple(np.shape(v)) for v in column}
        if len(shapes) > 1:
            first, other = sorted(shapes, key=lambda s: s != tuple(np.shape(column[0])))[:2]
            text = (
                "Cannot batch tensors with different shapes in component 0. First element had shape "
                f"{list(first)} and another element had shape {list(other)}."
            )
            raise errors.invalid_argument(text)
        joined.append(stack(list(column)))
    return joined


def join_padded(chunk: list[Element], shapes: list[Any], fills: list[Any]) -> Element:
    """Elements filled up to the largest as a batch."""
    columns = zip(*chunk, strict=True)
    return [pad_stack(list(c), shape, fill) for c, shape, fill in zip(columns, shapes, fills, strict=True)]


def interleave(make: Make, expand: Callable[[Element], Stream], cycle: int, block: int) -> Stream:
    """Blocks of elements from `cycle` open streams in turn."""
    sources = make()
    open_streams: deque[Stream] = deque(expand(e) for e in itertools.islice(sources, cycle))
    while open_streams:
        stream = open_streams.popleft()
        taken = list(itertools.islice(stream, block))
        yield from taken
        if len(taken) == block:
            open_streams.append(stream)
        else:
            open_streams.extend(expand(e) for e in itertools.islice(sources, 1))


def group_by_window(
    make: Make,
    key: Callable[[Element], int],
    reduce: Callable[[int, list[Element]], Stream],
    size: Callable[[int], int],
) -> Stream:
    """Elements collected by key; a full group is reduced to elements."""
    groups: dict[int, list[Element]] = {}
    for element in make():
        k = key(element)
        group = groups.setdefault(k, [])
        group.append(element)
        if len(group) >= size(k):
            yield from reduce(k, groups.pop(k))
    for k, group in groups.items():
        yield from reduce(k, group)


def lines(path: str, compression: str = "", skip: int = 0) -> Stream:
    """The lines of a text file as byte strings."""
    import gzip
    import zlib

    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise errors.NotFoundError(None, None, f"{path}; {error.strerror}") from error
    if compression == "GZIP":
        data = gzip.decompress(data)
    elif compression == "ZLIB":
        data = zlib.decompress(data)
    found = data.split(b"\n")
    if found and not found[-1]:
        found.pop()
    return ([text(line.rstrip(b"\r"))] for line in found[skip:])


def text(data: bytes) -> np.ndarray:
    """Bytes as a scalar string value."""
    boxed = np.empty((), dtype=object)
    boxed[()] = data
    return boxed


def cached(make: Make, store: list[Element], state: dict[str, bool]) -> Stream:
    """The stream, kept in memory the first time it is read to its end."""
    if state.get("full"):
        yield from store
        return
    kept = []
    for element in make():
        kept.append(element)
        yield element
    store[:] = kept
    state["full"] = True


def integers(start: int, stop: int, step: int) -> Stream:
    """Dataset.range."""
    return ([torch.tensor(i, dtype=torch.int64)] for i in range(start, stop, step))


def flatten(streams: Iterable[Stream]) -> Stream:
    """One stream after the other."""
    return itertools.chain.from_iterable(streams)
