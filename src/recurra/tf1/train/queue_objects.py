"""Queues as Python objects of a session: first-in first-out, padding, random order, by priority.

Elements are tuples of run-time values (torch tensors; object arrays for strings). Taking waits until there is
something; a closed queue raises tf.errors.OutOfRangeError when it is empty.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from typing import Any

import numpy as np
import torch

from recurra.tf1 import deadline, errors
from recurra.tf1.shapes import TensorShape

Element = tuple[Any, ...]


def stack(values: list[Any]) -> Any:
    """Components of several elements as one batch."""
    if isinstance(values[0], torch.Tensor):
        return torch.stack(values)
    batch = np.empty((len(values), *np.shape(values[0])), dtype=object)
    for i, value in enumerate(values):
        batch[i] = value if np.ndim(value) else np.asarray(value, dtype=object)[()]
    return batch


def rows(batch: Any) -> list[Any]:
    """The elements of a batch along its first axis."""
    if isinstance(batch, torch.Tensor):
        return [row.clone() for row in batch]
    return [_scalar(row) for row in batch]


def _dims(dims: list[Any]) -> str:
    return f"[{','.join('?' if d is None else str(d) for d in dims)}]"


def _scalar(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    boxed = np.empty((), dtype=object)
    boxed[()] = value
    return boxed


class FIFO:
    """First in, first out."""

    kind = "FIFOQueue"

    def __init__(self, name: str, capacity: int, shapes: Any = None, component_types: Any = ()) -> None:
        self.name, self.shapes, self.component_types = name, shapes, list(component_types)
        self.capacity = capacity if capacity and capacity > 0 else 2**31
        self.closed = False
        self.cancelled = False
        self.changed = threading.Condition()
        self.items: Any = deque()

    # -- how elements are kept: overridden by the other kinds ----------------------------------------------------------
    def _put(self, element: Element) -> None:
        self.items.append(element)

    def _take(self) -> Element:
        return self.items.popleft()

    def _ready(self, count: int) -> bool:
        return len(self.items) >= count

    def _batch(self, elements: list[Element]) -> Element:
        try:
            return tuple(stack(list(parts)) for parts in zip(*elements, strict=True))
        except (RuntimeError, ValueError) as error:
            raise errors.invalid_argument(f"{self.kind} elements differ in shape: {error}") from error

    # -- operations --------------------------------------------------------------------------------------------------
    def enqueue(self, *components: Any) -> None:
        """Add one element, waiting for room. CancelledError when the queue is closed."""
        self._check_open()
        self._check_shapes(components)
        self._add(components)

    def enqueue_many(self, *components: Any) -> None:
        """Add the elements of batches."""
        self._check_open()
        self._check_shapes(components, many=True)
        for element in zip(*(rows(c) for c in components), strict=True):
            self._add(element)

    def _check_open(self) -> None:
        if self.closed:
            raise self._is_closed()

    def _is_closed(self) -> errors.OpError:
        return errors.CancelledError(None, None, f"{self.kind} '{self.name}' is closed.")

    def _add(self, element: Element) -> None:
        """Wait for room; what began to wait before the queue was closed still gets in, unless that was cancelled."""
        with self.changed:
            while len(self.items) >= self.capacity and not self.cancelled:
                deadline.wait(self.changed)
            if self.cancelled:
                raise self._is_closed()
            self._put(tuple(c.clone() if isinstance(c, torch.Tensor) else c for c in element))
            self.changed.notify_all()

    def _check_shapes(self, components: Element, many: bool = False) -> None:
        """InvalidArgumentError where a component is not of the shape that the queue was made for."""
        for i, (value, shape) in enumerate(zip(components, self.shapes or (), strict=False)):
            wanted = TensorShape(shape)
            have = list(np.shape(value))
            if wanted.rank is None or wanted.is_compatible_with(have[1:] if many else have):
                continue
            expected = (have[:1] if many else []) + wanted.as_list()
            raise errors.invalid_argument(
                f"Shape mismatch in tuple component {i}. Expected {_dims(expected)}, got {_dims(have)}"
            )

    def dequeue(self) -> Element:
        """Take one element, waiting for it. OutOfRangeError when the queue is closed and empty."""
        with self.changed:
            self._wait(1)
            if not self.items:
                raise self._exhausted(1)
            element = self._take()
            self.changed.notify_all()
            return element

    def dequeue_many(self, count: int) -> Element:
        """Take `count` elements as a batch."""
        return self._batch(self._several(count, count)) if count else self._nothing()

    def dequeue_up_to(self, count: int) -> Element:
        """Take `count` elements, or what is left of a closed queue."""
        return self._batch(self._several(count, 1)) if count else self._nothing()

    def _nothing(self) -> Element:
        """A batch of no elements."""
        empty = []
        for kind, shape in zip(self.component_types, self.shapes or (), strict=True):
            dims = [0, *(0 if d is None else d for d in TensorShape(shape).as_list())]
            empty.append(np.empty(dims, object) if kind.torch is None else torch.empty(dims, dtype=kind.torch))
        return tuple(empty)

    def _several(self, count: int, least: int) -> list[Element]:
        taken: list[Element] = []
        with self.changed:
            while len(taken) < count:
                self._wait(1 if len(self.items) < count - len(taken) else count - len(taken))
                if self.closed and len(self.items) + len(taken) < least:
                    for element in reversed(taken):
                        self._return(element)
                    raise self._exhausted(count)
                if not self.items:
                    break
                while self.items and len(taken) < count and (self.closed or self._ready(1)):
                    taken.append(self._take())
                self.changed.notify_all()
        return taken

    def _return(self, element: Element) -> None:
        self.items.appendleft(element)

    def _wait(self, count: int) -> None:
        while not self._ready(count) and not self.closed:
            deadline.wait(self.changed)

    def _exhausted(self, count: int) -> errors.OpError:
        size = len(self.items)
        text = (
            f"{self.kind} '_0_{self.name}' is closed and has insufficient elements (requested {count}, "
            f"current size {size})"
        )
        return errors.OutOfRangeError(None, None, text)

    def close(self, cancel_pending: bool = False) -> None:
        """No more elements; who waits is woken."""
        with self.changed:
            self.closed, self.cancelled = True, self.cancelled or cancel_pending
            self.changed.notify_all()

    def cancel(self) -> None:
        """The session closes."""
        self.close(True)

    def size(self) -> int:
        """How many elements there are."""
        return len(self.items)


class Padding(FIFO):
    """Batches are filled with zeros up to their longest element."""

    kind = "PaddingFIFOQueue"

    def _batch(self, elements: list[Element]) -> Element:
        return tuple(pad_stack(list(parts)) for parts in zip(*elements, strict=True))


def pad_stack(values: list[Any], shape: Any = None, fill: Any = 0) -> Any:
    """Values of one rank as a batch, filled up to the largest size of each axis (or to `shape`'s known sizes)."""
    largest = [max(sizes) for sizes in zip(*(np.shape(v) for v in values), strict=True)]
    if shape is not None:
        largest = [found if size is None or size < 0 else int(size) for size, found in zip(shape, largest, strict=True)]
    for value in values:
        if any(have > most for have, most in zip(np.shape(value), largest, strict=True)):
            raise errors.DataLossError(
                None,
                None,
                f"Attempted to pad to a smaller size than the input element: {list(np.shape(value))} to {largest}",
            )
    if isinstance(values[0], torch.Tensor):
        batch = torch.full((len(values), *largest), fill, dtype=values[0].dtype)
    else:
        batch = np.full((len(values), *largest), fill or b"", dtype=object)
    for i, value in enumerate(values):
        batch[(i, *(slice(0, n) for n in np.shape(value)))] = value
    return batch


class RandomShuffle(FIFO):
    """Elements leave in random order; at least `min_after_dequeue` stay until the queue is closed."""

    kind = "RandomShuffleQueue"

    def __init__(
        self, name: str, capacity: int, shapes: Any, component_types: Any, least: int, seeds: tuple[int, int]
    ) -> None:
        super().__init__(name, capacity, shapes, component_types)
        self.least = least
        self.items = []
        self.random = np.random.RandomState(None if seeds == (0, 0) else [s & 0xFFFFFFFF for s in seeds])

    def _take(self) -> Element:
        i = self.random.randint(len(self.items))
        self.items[i], self.items[-1] = self.items[-1], self.items[i]
        return self.items.pop()

    def _return(self, element: Element) -> None:
        self.items.append(element)

    def _ready(self, count: int) -> bool:
        return len(self.items) >= count + self.least


class Priority(FIFO):
    """The element with the smallest first component leaves first."""

    kind = "PriorityQueue"

    def __init__(self, name: str, capacity: int, shapes: Any = None, component_types: Any = ()) -> None:
        super().__init__(name, capacity, shapes, component_types)
        self.items = []
        self.order = itertools.count()

    def _put(self, element: Element) -> None:
        heapq.heappush(self.items, (int(element[0]), next(self.order), element))

    def _take(self) -> Element:
        return heapq.heappop(self.items)[2]

    def _return(self, element: Element) -> None:
        self._put(element)
