"""Changing variables at index vectors: scatter_nd_update, _add, _sub, and batch_scatter_update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import shape_rules
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.array_gather import _nd_index
from recurra.tf1.registry import op
from recurra.tf1.values import Cell
from recurra.tf1.variables import ResourceVariable

__all__ = ["batch_scatter_update"]

tf = space("")


def _scatter(how: str) -> Callable[..., Any]:
    def run(ref: Cell, indices: Any, updates: Any) -> Cell:
        ref.read()
        data, columns = ref.data, _nd_index(indices, ref.data.shape)
        data.index_put_(columns, -updates.detach() if how == "Sub" else updates.detach(), accumulate=how != "Update")
        return ref

    return run


def _serve(how: str) -> None:
    lowering = _scatter(how)
    op(
        f"ScatterNd{how}",
        "ref:&T, indices:Tindices, updates:T -> &T",
        lowering,
        writes=True,
        shape=shape_rules.same,
    )
    op(
        f"ResourceScatterNd{how}",
        "ref:resource, indices:Tindices, updates:T ->",
        lambda ref, indices, updates: lowering(ref, indices, updates) and None,
        writes=True,
    )

    def function(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Any:
        if isinstance(ref, ResourceVariable):
            updates = convert_to_tensor(updates, ref.dtype)
            return ref._assigned(apply_op(f"ResourceScatterNd{how}", ref.handle, indices, updates, name=name), True)
        return apply_op(f"ScatterNd{how}", ref, indices, updates, name=name)

    function.__name__ = f"scatter_nd_{how.lower()}"
    export(function, function.__name__)


for _how in ("Update", "Add", "Sub"):
    _serve(_how)


@tf_export("batch_scatter_update")
def batch_scatter_update(
    ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None
) -> Any:
    """ref[b…, indices[b…, i]] = updates[b…, i]: `indices` counts within the last of its leading axes."""
    indices = convert_to_tensor(indices, name="indices")
    shape = tf.shape(indices)
    rank = indices.shape.ndims
    grids = [
        tf.reshape(tf.range(shape[axis], dtype=indices.dtype), [-1 if a == axis else 1 for a in range(rank)])
        for axis in range(rank - 1)
    ]
    vectors = tf.stack([*(grid + tf.zeros_like(indices) for grid in grids), indices], axis=-1)
    return tf.scatter_nd_update(ref, vectors, updates, use_locking, name)
