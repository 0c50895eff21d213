"""tf.FIFOQueue and its kin: the graph's side of `queue_objects.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from recurra.tf1 import errors
from recurra.tf1.build import apply_op
from recurra.tf1.constants import constant_value
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.train import queue_objects

tf = space("")


def _holder(make: Callable[[Any], queue_objects.FIFO]) -> Callable[..., Any]:
    def bind(operation: Any, session: Any) -> Callable[[], Any]:
        name = operation.attrs.get("shared_name")
        queue = session.resource(("queue", name) if name else operation, lambda: make(operation))
        if name:
            _check_shared(queue, operation, make(operation))
        return lambda: queue

    return bind


def _check_shared(queue: queue_objects.FIFO, operation: Any, asked: queue_objects.FIFO) -> None:
    """InvalidArgumentError when a queue of this name was made with other settings."""
    name = operation.attrs["shared_name"]
    if type(queue) is not type(asked):
        raise errors.InvalidArgumentError(
            None, operation, f"Shared queue '{name}' is of another type than requested: {queue.kind}"
        )
    for what in ("capacity", "shapes", "component_types", "least", "seeds"):
        mine, wanted = getattr(queue, what, None), getattr(asked, what, None)
        if mine != wanted:
            label = {"shapes": "component shapes", "component_types": "component types"}.get(what, what)
            raise errors.InvalidArgumentError(
                None, operation, f"Shared queue '{name}' has {label} {mine} but requested {label} was {wanted}"
            )


def _shared(operation: Any) -> tuple[str, int, Any, Any]:
    attrs = operation.attrs
    return operation.name, attrs["capacity"], attrs.get("shapes") or None, attrs["component_types"]


def _shuffling(operation: Any) -> queue_objects.FIFO:
    attrs = operation.attrs
    return queue_objects.RandomShuffle(*_shared(operation), attrs["min_after_dequeue"], (attrs["seed"], attrs["seed2"]))


_KINDS: dict[str, Callable[[Any], queue_objects.FIFO]] = {
    "FIFOQueueV2": lambda o: queue_objects.FIFO(*_shared(o)),
    "PaddingFIFOQueueV2": lambda o: queue_objects.Padding(*_shared(o)),
    "RandomShuffleQueueV2": _shuffling,
    "PriorityQueueV2": lambda o: queue_objects.Priority(*_shared(o)),
}
for _type, _make in _KINDS.items():
    op(_type, " -> resource", bind=_holder(_make), shape=lambda o: tf.TensorShape([]), diff=False)


def _component_shapes(operation: Any) -> list[Any]:
    return [tf.TensorShape(s) for s in operation.attrs["_shapes"]]


def _number(value: int) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.int32)


def _scalar_shape(operation: Any) -> Any:
    return tf.TensorShape([])


op(
    "SelectQueue",  # TensorFlow gathers from a stack of handles
    "index:int32, queues:N*resource -> resource",
    lambda index, queues: queues[int(index)],
    shape=_scalar_shape,
    diff=False,
)
_TAKE = " -> *component_types"
op(
    "QueueEnqueueV2",
    "handle:resource, components:*Tcomponents -> ",
    lambda handle, components: handle.enqueue(*components),
    stateful=True,
    diff=False,
)
op(
    "QueueEnqueueManyV2",
    "handle:resource, components:*Tcomponents -> ",
    lambda handle, components: handle.enqueue_many(*components),
    stateful=True,
    diff=False,
)
op(
    "QueueDequeueV2",
    "handle:resource" + _TAKE,
    lambda handle: handle.dequeue(),
    shape=_component_shapes,
    stateful=True,
    diff=False,
)
op(
    "QueueDequeueManyV2",
    "handle:resource, n:int32" + _TAKE,
    lambda handle, n: handle.dequeue_many(int(n)),
    shape=_component_shapes,
    stateful=True,
    diff=False,
)
op(
    "QueueDequeueUpToV2",
    "handle:resource, n:int32" + _TAKE,
    lambda handle, n: handle.dequeue_up_to(int(n)),
    shape=_component_shapes,
    stateful=True,
    diff=False,
)
op(
    "QueueCloseV2",
    "handle:resource -> ",
    lambda handle, *, cancel_pending_enqueues=False: handle.close(cancel_pending_enqueues),
    stateful=True,
    diff=False,
)
op(
    "QueueSizeV2",
    "handle:resource -> int32",
    lambda handle: _number(handle.size()),
    shape=_scalar_shape,
    stateful=True,
    diff=False,
)
op(
    "QueueIsClosedV2",
    "handle:resource -> bool",
    lambda handle: torch.tensor(handle.closed),
    shape=_scalar_shape,
    stateful=True,
    diff=False,
)


@tf_export("QueueBase", "queue.QueueBase", "io.QueueBase")
class QueueBase:
    """What all queues do. Elements are tuples (or dicts, with `names`) of tensors."""

    def __init__(self, dtypes: Any, shapes: Any, names: Any, queue_ref: Any) -> None:
        self._dtypes, self._names, self._queue_ref = dtypes, names, queue_ref
        if shapes is not None and len(shapes) != len(dtypes):
            raise ValueError(
                f"Queue shapes must have the same length as dtypes, received len(shapes)={len(shapes)}, "
                f"len(dtypes)={len(dtypes)}"
            )
        self._shapes = [tf.TensorShape(None)] * len(dtypes) if shapes is None else [tf.TensorShape(s) for s in shapes]

    @staticmethod
    def from_list(index: Any, queues: list[QueueBase]) -> QueueBase:
        """The queue of a list at an index that may be a tensor: training and validation through one graph."""
        if not queues or not isinstance(queues, list) or not all(isinstance(q, QueueBase) for q in queues):
            raise TypeError("A list of queues expected")
        first = queues[0]
        if any(q.dtypes != first.dtypes for q in queues):
            raise TypeError("Queues do not have matching component dtypes.")
        if any(q.names != first.names for q in queues):
            raise TypeError("Queues do not have matching component names.")
        chosen = apply_op("SelectQueue", index, [q.queue_ref for q in queues])
        shapes = [_common(parts) for parts in zip(*(q.shapes for q in queues), strict=True)]
        return QueueBase(first.dtypes, shapes, first.names, chosen)

    @property
    def queue_ref(self) -> Any:
        return self._queue_ref

    @property
    def name(self) -> str:
        return self._queue_ref.op.name

    @property
    def dtypes(self) -> Any:
        return self._dtypes

    @property
    def shapes(self) -> Any:
        return self._shapes

    @property
    def names(self) -> Any:
        return self._names

    def _values(self, vals: Any, many: bool) -> list[Any]:
        if isinstance(vals, dict):
            if not self._names:
                raise ValueError("Queue must have names to enqueue a dictionary")
            if sorted(self._names, key=str) != sorted(vals, key=str):
                raise ValueError(
                    f"Keys in dictionary to enqueue do not match names of Queue.  Dictionary: ({sorted(vals)}), "
                    f"Queue: ({sorted(self._names)})"
                )
            vals = [vals[name] for name in self._names]
        elif self._names:
            raise ValueError("You must enqueue a dictionary in a Queue with names")
        vals = list(vals) if isinstance(vals, list | tuple) else [vals]
        if len(vals) != len(self._dtypes) and len(self._dtypes) == 1:
            vals = [vals]
        tensors = []
        for i, (value, dtype) in enumerate(zip(vals, self._dtypes, strict=True)):
            tensor = tf.convert_to_tensor(value, dtype=dtype, name=f"component_{i}")
            have = tensor.get_shape().with_rank_at_least(1)[1:] if many else tensor.get_shape()
            if not have.is_compatible_with(self._shapes[i]):
                raise ValueError(f"Shapes {have} and {self._shapes[i]} are incompatible")
            tensors.append(tensor)
        if many:
            rows = tf.TensorShape([None])
            for tensor in tensors:
                rows = rows.merge_with(tensor.get_shape().with_rank_at_least(1)[:1])
        return tensors

    _needs_shapes = True

    def enqueue(self, vals: Any, name: str | None = None) -> Any:
        """The operation that adds one element."""
        with tf.name_scope(
            name, f"{self.name.rpartition('/')[2]}_enqueue", vals if isinstance(vals, list | tuple) else [vals]
        ) as scope:
            return apply_op("QueueEnqueueV2", self._queue_ref, self._values(vals, False), name=scope)

    def enqueue_many(self, vals: Any, name: str | None = None) -> Any:
        """The operation that adds the elements of batches."""
        with tf.name_scope(
            name, f"{self.name.rpartition('/')[2]}_EnqueueMany", vals if isinstance(vals, list | tuple) else [vals]
        ) as scope:
            return apply_op("QueueEnqueueManyV2", self._queue_ref, self._values(vals, True), name=scope)

    def _result(self, tensors: Any) -> Any:
        tensors = list(tensors) if isinstance(tensors, list | tuple) else [tensors]
        if self._names:
            return dict(zip(self._names, tensors, strict=True))
        return tensors[0] if len(tensors) == 1 else tensors

    def dequeue(self, name: str | None = None) -> Any:
        """One element."""
        name = name or f"{self.name.rpartition('/')[2]}_Dequeue"
        made = apply_op(
            "QueueDequeueV2", self._queue_ref, component_types=self._dtypes, _shapes=self._shapes, name=name
        )
        return self._result(made)

    def _dequeue_several(self, type_: str, n: Any, name: str, known: bool) -> Any:
        count = constant_value(tf.convert_to_tensor(n, name="n")) if known else None
        shapes = [tf.TensorShape([None if count is None else int(count)]).concatenate(s) for s in self._shapes]
        made = apply_op(type_, self._queue_ref, n, component_types=self._dtypes, _shapes=shapes, name=name)
        return self._result(made)

    def dequeue_many(self, n: Any, name: str | None = None) -> Any:
        """`n` elements as a batch."""
        self._need_shapes("DequeueMany")
        name = name or f"{self.name.rpartition('/')[2]}_DequeueMany"
        return self._dequeue_several("QueueDequeueManyV2", n, name, True)

    def dequeue_up_to(self, n: Any, name: str | None = None) -> Any:
        """At most `n` elements as a batch."""
        self._need_shapes("DequeueUpTo")
        name = name or f"{self.name.rpartition('/')[2]}_DequeueUpTo"
        return self._dequeue_several("QueueDequeueUpToV2", n, name, False)

    def _need_shapes(self, what: str) -> None:
        if self._needs_shapes and not all(s.is_fully_defined() for s in self._shapes):
            raise errors.invalid_argument(
                f"{what} requires that all components have fully specified shapes: {self.name}"
            )

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Any:
        """The operation that closes the queue."""
        name = name or f"{self.name.rpartition('/')[2]}_Close"
        return apply_op("QueueCloseV2", self._queue_ref, cancel_pending_enqueues=cancel_pending_enqueues, name=name)

    def is_closed(self, name: str | None = None) -> Any:
        """Whether the queue is closed."""
        return apply_op("QueueIsClosedV2", self._queue_ref, name=name or f"{self.name.rpartition('/')[2]}_Is_Closed")

    def size(self, name: str | None = None) -> Any:
        """How many elements there are."""
        return apply_op("QueueSizeV2", self._queue_ref, name=name or f"{self.name.rpartition('/')[2]}_Size")


def _common(shapes: Any) -> Any:
    """The shape that all of some shapes have; sizes that differ are unknown."""
    first = shapes[0]
    if any(shape.rank is None or shape.rank != first.rank for shape in shapes):
        return tf.TensorShape(None)
    return tf.TensorShape(
        [sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*(s.as_list() for s in shapes), strict=True)]
    )


def _types(dtypes: Any) -> list[Any]:
    return [tf.as_dtype(d) for d in (dtypes if isinstance(dtypes, list | tuple) else [dtypes])]


def _shape_list(shapes: Any, count: int) -> Any:
    if shapes is None:
        return None
    if isinstance(shapes, tf.TensorShape) or not isinstance(shapes, list | tuple):
        return [shapes]
    if count == 1 and (not shapes or not isinstance(shapes[0], list | tuple | tf.TensorShape)):
        return [shapes]
    return list(shapes)


def _name_list(names: Any, dtypes: list[Any]) -> Any:
    if names is None:
        return None
    names = list(names) if isinstance(names, list | tuple) else [names]
    if len(names) != len(dtypes):
        raise ValueError(
            f"List of names must have the same length as the list of dtypes, received len(names)={len(names)}, "
            f"len(dtypes)={len(dtypes)}"
        )
    return names


def _text(shared_name: str | bytes | None) -> str:
    return shared_name.decode() if isinstance(shared_name, bytes) else shared_name or ""


class _Made(QueueBase):
    """A queue with its own holder operation."""

    _type = ""

    def _make(
        self,
        capacity: int,
        dtypes: Any,
        shapes: Any,
        names: Any,
        name: str,
        shared_name: str | None,
        **attrs: Any,
    ) -> None:
        kinds = _types(dtypes)
        attrs |= {"container": "", "shared_name": _text(shared_name)}
        listed = _shape_list(shapes, len(kinds))
        ref = apply_op(self._type, capacity=capacity, component_types=kinds, shapes=listed or [], name=name, **attrs)
        super().__init__(kinds, listed, _name_list(names, kinds), ref)


@tf_export("FIFOQueue", "queue.FIFOQueue")
class FIFOQueue(_Made):
    """First in, first out."""

    _type = "FIFOQueueV2"

    def __init__(
        self,
        capacity: int,
        dtypes: Any,
        shapes: Any = None,
        names: Any = None,
        shared_name: str | None = None,
        name: str = "fifo_queue",
    ) -> None:
        self._make(capacity, dtypes, shapes, names, name, shared_name)


@tf_export("PaddingFIFOQueue", "queue.PaddingFIFOQueue", "io.PaddingFIFOQueue")
class PaddingFIFOQueue(_Made):
    """First in, first out; batches are filled with zeros where the shapes have unknown sizes."""

    _type = "PaddingFIFOQueueV2"
    _needs_shapes = False

    def __init__(
        self,
        capacity: int,
        dtypes: Any,
        shapes: Any,
        names: Any = None,
        shared_name: str | None = None,
        name: str = "padding_fifo_queue",
    ) -> None:
        if len(_types(dtypes)) != len(_shape_list(shapes, len(_types(dtypes))) or []):
            raise ValueError("Shapes must be provided for all components")
        self._make(capacity, dtypes, shapes, names, name, shared_name)


@tf_export("RandomShuffleQueue", "queue.RandomShuffleQueue", "io.RandomShuffleQueue")
class RandomShuffleQueue(_Made):
    """Elements leave in random order."""

    _type = "RandomShuffleQueueV2"

    def __init__(
        self,
        capacity: int,
        min_after_dequeue: int,
        dtypes: Any,
        shapes: Any = None,
        names: Any = None,
        seed: int | None = None,
        shared_name: str | None = None,
        name: str = "random_shuffle_queue",
    ) -> None:
        seeds = [0 if s is None else s for s in tf.get_seed(seed)]
        if seeds == [0, 0] and seed is not None:
            seeds = [0, 2**31 - 1]
        extra = {"min_after_dequeue": min_after_dequeue, "seed": seeds[0], "seed2": seeds[1]}
        self._make(capacity, dtypes, shapes, names, name, shared_name, **extra)


@tf_export("PriorityQueue", "queue.PriorityQueue", "io.PriorityQueue")
class PriorityQueue(_Made):
    """The element with the smallest int64 priority leaves first; the priority is its first component."""

    _type = "PriorityQueueV2"

    def __init__(
        self,
        capacity: int,
        types: Any,
        shapes: Any = None,
        names: Any = None,
        shared_name: str | None = None,
        name: str = "priority_queue",
    ) -> None:
        kinds = _types(types)
        listed = _shape_list(shapes, len(kinds))
        self._make(capacity, [tf.int64, *kinds], None if listed is None else [(), *listed], names, name, shared_name)
