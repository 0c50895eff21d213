"""Data for Keras' models: arrays, dicts of them, generators, Sequences and Datasets, as batches of lists of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
Row = tuple[list[Any], list[Any], list[Any]]


@tf_export("keras.utils.Sequence")
class Sequence:
    """Batches by number: `sequence[i]` is (x, y) or (x, y, weights)."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def on_epoch_end(self) -> None:
        """Called after every epoch."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


def class_weights(given: Any) -> dict[int, float] | None:
    """{class: weight}."""
    return None if given is None else {int(k): float(v) for k, v in dict(given).items()}


def _listed(value: Any, names: list[str]) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [np.asarray(value[name]) for name in names]
    if isinstance(value, list | tuple) and (len(names) != 1 or all(isinstance(v, np.ndarray) for v in value)):
        if len(names) <= 1 and len(value) == 1:
            return [np.asarray(value[0])]
        if len(names) > 1 or all(isinstance(v, np.ndarray) and v.ndim for v in value):
            return [np.asarray(v) for v in value]
    return [np.asarray(value)]


class Data:
    """Inputs, targets and sample weights as lists of arrays."""

    def __init__(self, x: Any, y: Any, weights: Any, inputs: list[str], outputs: list[str]):
        self.x, self.y = _listed(x, inputs), _listed(y, outputs)
        self.weights: list[Any] = [None] * len(self.y) if weights is None else _listed(weights, outputs)
        self.x = [a[:, None] if a.ndim == 1 else a for a in self.x]
        sizes = {len(a) for a in [*self.x, *self.y]}
        if len(sizes) > 1:
            raise ValueError(
                f"Input arrays should have the same number of samples as target arrays. Found {len(self.x[0])} input "
                f"samples and {len(self.y[0]) if self.y else 0} target samples."
            )
        self.size = sizes.pop() if sizes else 0

    def weighted(self, by_class: dict[int, float] | None) -> Data:
        """With every row's weight multiplied by that of its class."""
        if by_class:
            for i, y in enumerate(self.y):
                labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y), -1)[:, 0].astype(int)
                weights = np.array([by_class.get(int(label), 1.0) for label in labels.reshape(-1)]).reshape(
                    labels.shape
                )
                self.weights[i] = weights if self.weights[i] is None else self.weights[i] * weights
        return self

    def rows(self, chosen: Any) -> Row:
        """Some rows, or all."""
        if chosen is None:
            return self.x, self.y, self.weights
        pick = lambda arrays: [None if a is None else a[chosen] for a in arrays]  # noqa: E731
        return pick(self.x), pick(self.y), pick(self.weights)


class Batches:
    """Gives an epoch's batches each time it is gone through."""

    def __init__(self, make: Callable[..., Data], x: Any, y: Any, weights: Any, size: int | None, shuffle: Any,
                 steps: int | None, by_class: Any = None):  # fmt: skip
        self.make, self.shuffle, self.steps, self.by_class = make, shuffle, steps, by_class
        self.size = size or 32
        self.data: Data | None = None
        self.source: Any = None
        if hasattr(x, "make_one_shot_iterator") or hasattr(x, "get_next"):
            self.source = _dataset_batches(x)
            if self.steps is None:
                self.restart = lambda: _dataset_batches(x)
        elif hasattr(x, "__next__") or isinstance(x, Sequence) or (hasattr(x, "__getitem__") and _is_sequence(x)):
            self.source = x
        else:
            self.data = make(x, y, weights, by_class)
            self.order = np.arange(self.data.size)
        if self.data is None and self.steps is None and hasattr(self.source, "__len__"):
            self.steps = len(self.source)

    restart: Any = None

    @property
    def samples(self) -> int | None:
        return None if self.data is None else len(self.order)

    def split_off(self, share: float) -> Batches:
        """The last `share` of the rows as batches of their own."""
        if self.data is None:
            raise ValueError("`validation_split` is only supported when the data are arrays.")
        cut = int(self.data.size * (1.0 - share))
        made = object.__new__(Batches)
        made.__dict__.update(self.__dict__)
        made.order, made.shuffle, made.steps = self.order[cut:], False, None
        self.order = self.order[:cut]
        return made

    def __iter__(self) -> Iterator[Row]:
        if self.data is not None:
            yield from self._from_arrays(self.data)
        elif hasattr(self.source, "__next__"):
            yield from self._from_iterator()
        else:
            order = np.arange(len(self.source))
            if self.shuffle:
                np.random.shuffle(order)
            for i in order[: self.steps]:
                yield self._parts(self.source[int(i)])
            if hasattr(self.source, "on_epoch_end"):
                self.source.on_epoch_end()

    def _from_arrays(self, data: Data) -> Iterator[Row]:
        if self.shuffle == "batch":
            whole = len(self.order) // self.size * self.size
            blocks = self.order[:whole].reshape(-1, self.size)
            np.random.shuffle(blocks)
        elif self.shuffle:
            np.random.shuffle(self.order)
        for start in range(0, len(self.order), self.size)[: self.steps]:
            yield data.rows(self.order[start : start + self.size])

    def _from_iterator(self) -> Iterator[Row]:
        count = 0
        while self.steps is None or count < self.steps:
            item = next(self.source, None)
            if item is None:
                if self.restart is None or self.steps is not None:
                    raise ValueError("The generator ended before the epoch did; give fewer `steps_per_epoch`.")
                self.source = self.restart()
                return
            yield self._parts(item)
            count += 1

    def _parts(self, item: Any) -> Row:
        parts = item if isinstance(item, tuple) else (item,)
        x, y, weights = (*parts, None, None)[:3]
        return self.make(x, y, weights, self.by_class).rows(None)


def _is_sequence(x: Any) -> bool:
    return not isinstance(x, np.ndarray | list | tuple | dict) and hasattr(x, "__len__") and not hasattr(x, "dtype")


def _dataset_batches(x: Any) -> Iterator[Any]:
    """The elements of a Dataset or an iterator over one."""
    from recurra.tf1.keras.state import get_session

    element = (x if hasattr(x, "get_next") else x.make_one_shot_iterator()).get_next()
    session = get_session()
    while True:
        try:
            yield session.run(element)
        except tf.errors.OutOfRangeError:
            return
