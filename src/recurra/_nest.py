"""Nested structures: tuples, named tuples, lists and dicts (keys sorted, as TensorFlow flattens them) of leaves.

`None` is an empty structure: it holds no leaf and stays None. `torch.Size` is a leaf (the shape of a state part).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from recurra.errors import StructureError


def is_nested(value: Any) -> bool:
    """Whether `value` is a container rather than a leaf."""
    return isinstance(value, (tuple, list, dict)) and not isinstance(value, torch.Size)


def _children(value: Any) -> list[Any]:
    return [value[key] for key in sorted(value)] if isinstance(value, dict) else list(value)


def _rebuild(like: Any, children: list[Any]) -> Any:
    if isinstance(like, dict):
        return type(like)(zip(sorted(like), children, strict=True))
    if hasattr(like, "_fields"):
        return type(like)(*children)
    return type(like)(children)


def flatten(value: Any) -> list[Any]:
    """The leaves of `value` in order."""
    if value is None:
        return []
    if not is_nested(value):
        return [value]
    return [leaf for child in _children(value) for leaf in flatten(child)]


def pack_as(like: Any, leaves: list[Any] | Iterator[Any]) -> Any:
    """The structure of `like` with its leaves replaced, in order, by `leaves`."""
    return _pack(like, iter(leaves))


def _pack(node: Any, leaves: Iterator[Any]) -> Any:
    # No function inside a function here: one that calls itself is a cycle, and what its frame holds (a graph's last
    # tensors, and with them all that backward keeps) would wait for the garbage collector.
    if node is None:
        return None
    if not is_nested(node):
        return next(leaves)
    return _rebuild(node, [_pack(child, leaves) for child in _children(node)])


def as_nested_in(value: Any, like: Any) -> Any:
    """`value` with the types of `like` (which nests alike) in place of plain tuples and lists; other types stay."""
    if type(value) not in (tuple, list):
        return value
    return _rebuild(like, [as_nested_in(part, inner) for part, inner in zip(value, like, strict=True)])


def map_leaves(fn: Callable[..., Any], value: Any, *others: Any) -> Any:
    """`fn` over the leaves of `value` (and of `others`, which have its structure); None in an other is passed on."""
    if value is None:
        return None
    if not is_nested(value):
        return fn(value, *others)
    columns = [[None] * len(value) if other is None else _children(other) for other in others]
    return _rebuild(value, [map_leaves(fn, *row) for row in zip(_children(value), *columns, strict=True)])


def map_children(fn: Callable[..., Any], value: Any, *others: Any) -> Any:
    """`fn` over the direct children of a container (and of `others`, as long as it), rebuilt in its type."""
    return _rebuild(value, [fn(*row) for row in zip(_children(value), *map(_children, others), strict=True)])


def describe(value: Any) -> str:
    """One readable line for an error message: structure with shapes at the leaves."""
    if isinstance(value, torch.Tensor):
        return f"Tensor{list(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {describe(value[key])}" for key in sorted(value)) + "}"
    if hasattr(value, "_fields"):
        inner = ", ".join(f"{name}={describe(child)}" for name, child in zip(value._fields, value, strict=True))
        return f"{type(value).__name__}({inner})"
    if is_nested(value):
        inner = ", ".join(describe(child) for child in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return f"{list(value)}" if isinstance(value, torch.Size) else repr(value)


def same_structure(left: Any, right: Any) -> bool:
    """Whether both nest alike (the types of named tuples and tuples may differ, the lengths may not)."""
    if left is None or right is None:
        return left is right
    if is_nested(left) != is_nested(right):
        return False
    if not is_nested(left):
        return True
    if isinstance(left, dict) != isinstance(right, dict) or len(left) != len(right):
        return False
    if isinstance(left, dict) and sorted(left) != sorted(right):
        return False
    return all(same_structure(a, b) for a, b in zip(_children(left), _children(right), strict=True))


def check_structure(name: str, value: Any, expected: Any) -> None:
    """Raise StructureError, naming the argument, when `value` does not nest like `expected`."""
    if not same_structure(value, expected):
        raise StructureError(
            f"`{name}` has another structure than expected: got {describe(value)}, expected {describe(expected)}"
        )
