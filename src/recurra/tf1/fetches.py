"""Fetch structures of Session.run: what to compute, and the nest to give back."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from recurra.tf1.graph import Graph
from recurra.tf1.names import export
from recurra.tf1.tensor import Operation, Tensor, TensorLike

IndexedSlicesValue = export(
    namedtuple("IndexedSlicesValue", ["values", "indices", "dense_shape"]), "IndexedSlicesValue"
)
SparseTensorValue = export(
    namedtuple("SparseTensorValue", ["indices", "values", "dense_shape"]),
    "SparseTensorValue",
    "compat.v1.SparseTensorValue",
)

# type -> (fetch -> (elements, build from their values), value -> [(tensor, value)] of a feed, or None)
_CONVERSIONS: list[tuple[type, Callable[[Any], Any], Callable[[Any, Any], Any] | None]] = []


def register(
    kind: type,
    fetch: Callable[[Any], tuple[list[Any], Callable[[list[Any]], Any]]],
    feed: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Let objects of `kind` be fetched (and fed)."""
    _CONVERSIONS.insert(0, (kind, fetch, feed))


def conversion(value: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any] | None] | None:
    """The registered (fetch, feed) functions for an object, or None."""
    return next(((fetch, feed) for kind, fetch, feed in _CONVERSIONS if isinstance(value, kind)), None)


def structure(fetches: Any) -> Any:
    """A key under which a fetch structure is found again: its containers, and the identities of its elements; None if unknown."""  # noqa: E501
    kind = type(fetches)
    if isinstance(fetches, TensorLike | Operation):
        return id(fetches)
    if kind is str:
        return fetches
    if kind is dict:
        parts = [structure(item) for item in fetches.values()]
        return None if None in parts else (kind, *fetches, *parts)
    if kind in (list, tuple) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        parts = [structure(item) for item in fetches]
        return None if None in parts else (kind, *parts)
    return None


class FetchMapper:
    """Flattens a fetch structure into graph elements, and nests their values again."""

    def __init__(self, graph: Graph, fetches: Any):
        self.graph = graph
        self.elements: list[Any] = []
        self._positions: dict[int, int] = {}
        self._build = self._mapper(fetches)
        self.key = tuple(map(id, self.elements))

    def build(self, values: list[Any]) -> Any:
        """The structure of the fetches with `values` (one per element; None for operations)."""
        return self._build(values)

    def _mapper(self, fetch: Any) -> Callable[[list[Any]], Any]:
        if fetch is None:
            raise TypeError(f"Fetch argument {fetch!r} has invalid type {type(fetch)}")
        if isinstance(fetch, list | tuple) and type(fetch).__name__ not in ("IndexedSlices",):
            parts = [self._mapper(item) for item in fetch]
            kind = type(fetch)
            if isinstance(fetch, list):
                return lambda values: [part(values) for part in parts]
            if hasattr(fetch, "_fields"):
                return lambda values: kind(*[part(values) for part in parts])
            return lambda values: tuple([part(values) for part in parts])
        if isinstance(fetch, Mapping):
            keys, maps = list(fetch.keys()), [self._mapper(item) for item in fetch.values()]
            make = type(fetch)
            if make is not dict:
                try:
                    make([])  # type: ignore[call-arg]
                except TypeError:
                    make = dict  # a defaultdict and its like
            return lambda values: make(zip(keys, [part(values) for part in maps], strict=True))  # type: ignore[call-arg]
        if getattr(type(fetch), "__attrs_attrs__", None) is not None:
            names = [a.name for a in type(fetch).__attrs_attrs__]
            maps = [self._mapper(getattr(fetch, n)) for n in names]
            return lambda values: type(fetch)(**dict(zip(names, [part(values) for part in maps], strict=True)))
        found = conversion(fetch)
        if found is not None:
            elements, contract = found[0](fetch)
            places = [self._place(e, fetch) for e in elements]
            return lambda values: contract([values[i] for i in places])
        place = self._place(fetch, fetch)
        return lambda values: values[place]

    def _place(self, element: Any, original: Any) -> int:
        try:
            element = self.graph.as_graph_element(element, allow_tensor=True, allow_operation=True)
        except TypeError as error:
            raise TypeError(
                f"Fetch argument {original!r} has invalid type {type(original)}, must be a string or Tensor. ({error})"
            ) from error
        except ValueError as error:
            raise ValueError(f"Fetch argument {original!r} cannot be interpreted as a Tensor. ({error})") from error
        except KeyError as error:
            raise ValueError(f"Fetch argument {original!r} cannot be interpreted as a Tensor. ({error})") from error
        if not self.graph.is_fetchable(element):
            raise ValueError(
                f"Operation {(element.op if isinstance(element, Tensor) else element).name!r} has been marked as not fetchable."  # noqa: E501
            )
        place = self._positions.get(id(element))
        if place is None:
            place = self._positions[id(element)] = len(self.elements)
            self.elements.append(element)
        return place


def is_operation(element: Any) -> bool:
    return isinstance(element, Operation)
