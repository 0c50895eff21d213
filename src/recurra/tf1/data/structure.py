"""Structures of tf.data elements: tuples and dicts of tensors (lists are tensors)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from recurra.tf1.namespace import space

tf = space("")


class Spec(NamedTuple):
    """Dtype and static shape of one component; `sparse` components travel as three values."""

    dtype: Any
    shape: Any


def flatten(value: Any) -> list[Any]:
    """The leaves of a structure, dict entries by sorted key."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in flatten(value[key])]
    if isinstance(value, tuple) and not isinstance(value, Spec):
        return [leaf for item in value for leaf in flatten(item)]
    return [value]


def pack(structure: Any, leaves: list[Any]) -> Any:
    """`leaves` in the shape of `structure`."""
    remaining = iter(leaves)

    def build(part: Any) -> Any:
        if isinstance(part, dict):
            built = {key: build(part[key]) for key in sorted(part)}
            return type(part)((key, built[key]) for key in part)
        if isinstance(part, tuple) and not isinstance(part, Spec):
            items = [build(item) for item in part]
            return type(part)(*items) if hasattr(part, "_fields") else tuple(items)
        return next(remaining)

    return build(structure)


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with `function` applied to its leaves."""
    return pack(structure, [function(leaf) for leaf in flatten(structure)])


def to_tensors(value: Any) -> Any:
    """A structure with its leaves (lists, arrays, numbers) as tensors."""
    if isinstance(value, dict):
        return type(value)((key, to_tensors(item)) for key, item in value.items())
    if isinstance(value, tuple):
        items = [to_tensors(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value if isinstance(value, tf.Tensor) else tf.convert_to_tensor(value)


def specs_of(tensors: Any) -> Any:
    """A structure of tensors as one of Specs."""
    return map_leaves(lambda t: Spec(t.dtype.base_dtype, t.get_shape()), tensors)
