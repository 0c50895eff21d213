"""Calling a function of the library on symbolic tensors, as one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from recurra.tf1 import nest
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.graph import get_default_graph
from recurra.tf1.registry import op
from recurra.tf1.tensor import Tensor


def _run(inputs: list[Any], *, function: Callable[..., Any]) -> tuple[Any, ...]:
    return tuple(function(inputs))


op("LibraryCall", "inputs:* -> *Tout", _run)


def count_operations(count: int) -> None:
    """Go on as if `count` more operations had been made: the seed of a random one is the number of those before it."""
    get_default_graph()._op_ids += count


def library_call(
    function: Callable[..., Any], *args: Any, count: int, name: str | None = None, operations: int = 1
) -> list[Tensor]:
    """`count` tensors that `function(*args)` gives, when it is run with torch tensors in place of the symbolic ones in `args`.

    Static shapes come from running it on meta tensors. `operations`: how many TensorFlow makes of it.
    """  # noqa: E501
    flat = nest.flatten(list(args))
    places = [i for i, leaf in enumerate(flat) if leaf is not None]
    tensors = [convert_to_tensor(flat[i]) for i in places]
    structure = list(args)

    def run(values: Sequence[Any]) -> Any:
        leaves: list[Any] = [None] * len(flat)
        for place, value in zip(places, values, strict=True):
            leaves[place] = value
        return nest.flatten(list(_listed(function(*nest.pack_sequence_as(structure, leaves)))))

    kind = tensors[0].dtype.base_dtype
    count_operations(operations - 1)
    return apply_op("LibraryCall", tensors, Tout=[kind] * count, function=run, name=name)


def _listed(value: Any) -> Any:
    return value if isinstance(value, tuple | list) else (value,)
