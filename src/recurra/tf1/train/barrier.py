"""Barriers: elements that are put together component by component, under keys, and taken when they are complete."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch

from recurra.tf1 import deadline, errors
from recurra.tf1.build import apply_op
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.train.queue_objects import rows, stack
from recurra.tf1.values import to_torch

tf = space("")
_FIRST = -(2**63)


class _State:
    """A barrier in one session: incomplete elements, and complete ones by the order in which their keys came."""

    def __init__(self, name: str, kinds: list[Any], shapes: list[Any]) -> None:
        self.name, self._kinds, self._shapes = name, kinds, shapes
        self.incomplete: dict[bytes, tuple[int, list[Any]]] = {}
        self.ready: list[tuple[int, bytes, list[Any]]] = []
        self._next = _FIRST
        self.closed = self.cancelled = False
        self.changed = threading.Condition()

    def insert(self, component: int, keys: list[bytes], values: list[Any]) -> None:
        """Give elements one component each. InvalidArgumentError where one has it, CancelledError once closed."""
        with self.changed:
            if self.cancelled:
                raise errors.CancelledError(None, None, f"Barrier {self.name} is closed.")
            number, self._next = self._next, self._next + 1  # the elements of one call share a number
            for key, value in zip(keys, values, strict=True):
                self._put(component, key, value, number)
            self.changed.notify_all()

    def _put(self, component: int, key: bytes, value: Any, number: int) -> None:
        shown = key.decode(errors="replace")
        if key not in self.incomplete:
            if self.closed:
                text = f"Barrier {self.name} is closed, but attempted to insert a brand new key: {shown}"
                raise errors.CancelledError(None, None, text)
            self.incomplete[key] = (number, [None] * len(self._kinds))
        number, parts = self.incomplete[key]
        if parts[component] is not None:
            raise errors.invalid_argument(
                f"Key {shown} already has a value for component {component} in barrier {self.name}"
            )
        parts[component] = value
        if all(part is not None for part in parts):
            del self.incomplete[key]
            self.ready.append((number, key, parts))

    def take(self, count: int, allow_small_batch: bool) -> tuple[Any, ...]:
        """(numbers, keys, components …) of complete elements, oldest first; OutOfRangeError where too few can come."""
        with self.changed:
            while len(self.ready) < count:
                if self.closed:
                    count = self._left(count, allow_small_batch)
                if len(self.ready) < count:
                    deadline.wait(self.changed)
            self.ready.sort(key=lambda element: element[0])
            taken, self.ready = self.ready[:count], self.ready[count:]
        keys = np.empty(len(taken), dtype=object)
        keys[:] = [key for _, key, _ in taken]
        columns = [self._column(i, [parts[i] for _, _, parts in taken]) for i in range(len(self._kinds))]
        return (torch.tensor([number for number, _, _ in taken], dtype=torch.int64), keys, *columns)

    def _left(self, count: int, allow_small_batch: bool) -> int:
        """How many of `count` elements a closed barrier can still give; a small batch waits for no incomplete ones."""
        can_come = len(self.ready) + (0 if allow_small_batch else len(self.incomplete))
        if allow_small_batch:
            count = min(count, can_come)
        if can_come < max(count, 1):
            text = f"is closed and has insufficient elements (requested {count}, total size {can_come})"
            raise errors.OutOfRangeError(None, None, f"Barrier {self.name} {text}")
        return count

    def _column(self, i: int, values: list[Any]) -> Any:
        if values:
            return stack(values)
        shape = [0, *(self._shapes[i].as_list() if self._shapes[i].is_fully_defined() else ())]
        return to_torch(np.empty(shape, self._kinds[i].as_numpy_dtype))

    def close(self, cancel: bool) -> None:
        with self.changed:
            if self.cancelled or (self.closed and not cancel):
                raise errors.CancelledError(None, None, f"Barrier {self.name} was already closed.")
            self.closed, self.cancelled = True, cancel
            if cancel:
                self.incomplete.clear()
            self.changed.notify_all()


def _bind(operation: Any, session: Any) -> Any:
    attrs = operation.attrs
    state = session.resource(operation, lambda: _State(operation.name, attrs["component_types"], attrs["_shapes"]))
    return lambda: state


def _taken_shapes(operation: Any) -> list[Any]:
    count = operation.attrs.get("_count")
    return [tf.TensorShape([count]), tf.TensorShape([count]),
            *[tf.TensorShape([count]).concatenate(s) for s in operation.attrs["_shapes"]]]  # fmt: skip


def _insert(handle: _State, keys: Any, values: Any, *, component_index: int) -> None:
    if np.size(values) == 0 and np.size(keys):
        raise errors.invalid_argument(f"Tensors with no elements are not supported for barrier {handle.name}")
    handle.insert(component_index, list(keys.reshape(-1)), rows(values))


def _take(handle: _State, num_elements: Any, *, allow_small_batch: bool = False) -> Any:
    return handle.take(int(num_elements), allow_small_batch)


def _close(handle: _State, *, cancel_pending_enqueues: bool = False) -> None:
    handle.close(cancel_pending_enqueues)


op("Barrier", " -> resource", bind=_bind, shape=lambda o: tf.TensorShape([]), diff=False)
op("BarrierInsertMany", "handle:resource, keys:string, values:T ->", _insert, stateful=True, diff=False)
op("BarrierTakeMany", "handle:resource, num_elements:int32 -> int64, string, *component_types", _take,
   shape=_taken_shapes, stateful=True, diff=False)  # fmt: skip
op("BarrierClose", "handle:resource ->", _close, stateful=True, diff=False)
for _name, _what in (("BarrierReadySize", "ready"), ("BarrierIncompleteSize", "incomplete")):
    op(_name, "handle:resource -> int32",
       lambda handle, _what=_what: torch.tensor(len(getattr(handle, _what)), dtype=torch.int32),
       shape=lambda o: tf.TensorShape([]), stateful=True, diff=False)  # fmt: skip


@tf_export("python.ops.data_flow_ops.Barrier")
class Barrier:
    """Elements of several components, inserted one component at a time and taken when all are there."""

    def __init__(self, types: Any, shapes: Any = None, shared_name: str | None = None, name: str = "barrier") -> None:
        self._types = [tf.as_dtype(t) for t in (types if isinstance(types, list | tuple) else [types])]
        if isinstance(shapes, list | tuple) and all(isinstance(d, int | None) for d in shapes):
            shapes = [shapes]  # the one component's
        if shapes is None:
            self._shapes = [tf.TensorShape(None)] * len(self._types)
        else:
            self._shapes = [tf.TensorShape(s) for s in shapes]
            for i, shape in enumerate(self._shapes):
                if shape.num_elements() == 0:
                    raise ValueError(f"Empty tensors are not supported, but received shape '{shape}' at index {i}")
        if shared_name is not None:
            raise NotImplementedError("a Barrier with a shared_name is not implemented in recurra")
        self._barrier_ref = apply_op("Barrier", component_types=self._types, _shapes=self._shapes, name=name)

    @property
    def barrier_ref(self) -> Any:
        return self._barrier_ref

    @property
    def name(self) -> str:
        return self._barrier_ref.op.name

    def insert_many(self, component_index: int, keys: Any, values: Any, name: str | None = None) -> Any:
        """The operation that gives the elements of `keys` the component of this number."""
        keys = tf.convert_to_tensor(keys, tf.string)
        values = tf.convert_to_tensor(values, self._types[component_index])
        values.shape[1:].assert_is_compatible_with(self._shapes[component_index])
        return apply_op("BarrierInsertMany", self._barrier_ref, keys, values, component_index=component_index,
                        name=name)  # fmt: skip

    def take_many(
        self, num_elements: Any, allow_small_batch: bool = False, timeout: Any = None, name: str | None = None
    ) -> tuple[Any, Any, list[Any]]:
        """(indices, keys, components) of the next complete elements, fewer of them at the end where that is allowed."""
        if timeout is not None:
            raise NotImplementedError("Barrier.take_many with a timeout is not implemented in recurra")
        count = None if allow_small_batch or not isinstance(num_elements, int) else num_elements
        indices, keys, *values = apply_op(
            "BarrierTakeMany", self._barrier_ref, num_elements, component_types=self._types,
            allow_small_batch=allow_small_batch, _shapes=self._shapes, _count=count, name=name,
        )  # fmt: skip
        return indices, keys, values

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Any:
        """The operation after which no new keys may come, and with `cancel_pending_enqueues` nothing at all."""
        return apply_op("BarrierClose", self._barrier_ref, cancel_pending_enqueues=cancel_pending_enqueues, name=name)

    def ready_size(self, name: str | None = None) -> Any:
        """How many elements are complete."""
        return apply_op("BarrierReadySize", self._barrier_ref, name=name)

    def incomplete_size(self, name: str | None = None) -> Any:
        """How many elements have some of their components."""
        return apply_op("BarrierIncompleteSize", self._barrier_ref, name=name)
