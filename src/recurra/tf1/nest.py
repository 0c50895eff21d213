"""tf.nest: structures of lists, tuples, namedtuples and dicts (keys sorted)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from recurra.tf1.names import export, tf_export
from recurra.tf1.shapes import TensorShape


def _is_named(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


@tf_export("nest.is_nested", "contrib.framework.nest.is_sequence", "python.util.nest.is_sequence")
def is_nested(value: Any) -> bool:
    """Whether `value` is a structure (text, arrays and shapes are leaves)."""
    if isinstance(value, list | tuple | Mapping):
        return True
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes | TensorShape)
        and type(value).__name__ != "Tensor"
    ) or hasattr(type(value), "__attrs_attrs__")


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        try:
            return [value[key] for key in sorted(value)]
        except TypeError as error:
            raise TypeError("nest only supports dicts with sortable keys.") from error
    if hasattr(type(value), "__attrs_attrs__"):
        return [getattr(value, a.name) for a in type(value).__attrs_attrs__]
    return list(value)


@tf_export("python.util.nest._yield_flat_nest")
def _leaves(value: Any) -> Iterator[Any]:
    if is_nested(value):
        for item in _items(value):
            yield from _leaves(item)
    else:
        yield value


@tf_export("nest.flatten", "contrib.framework.nest.flatten", "python.util.nest.flatten")
def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """The leaves, in order; a leaf alone is a list of one."""
    return list(_leaves(structure))


def _rebuild(like: Any, items: list[Any]) -> Any:
    if isinstance(like, Mapping):
        by_key = dict(zip(sorted(like), items, strict=True))
        ordered = [(key, by_key[key]) for key in like]
        if hasattr(like, "default_factory"):
            made = type(like)(like.default_factory)
            made.update(ordered)
            return made
        return type(like)(ordered)
    if _is_named(like):
        return type(like)(*items)
    if hasattr(type(like), "__attrs_attrs__"):
        return type(like)(*items)
    return type(like)(items)


def _pack(structure: Any, leaves: Iterator[Any]) -> Any:
    if not is_nested(structure):
        return next(leaves)
    return _rebuild(structure, [_pack(item, leaves) for item in _items(structure)])


@tf_export("nest.pack_sequence_as", "contrib.framework.nest.pack_sequence_as", "python.util.nest.pack_sequence_as")
def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any], expand_composites: bool = False) -> Any:
    """`flat_sequence` in the form of `structure`; ValueError when the counts differ."""
    if not is_nested(flat_sequence):
        raise TypeError("flat_sequence must be a sequence")
    if not is_nested(structure):
        if len(flat_sequence) != 1:
            raise ValueError(f"Structure is a scalar but len(flat_sequence) == {len(flat_sequence)} > 1")
        return flat_sequence[0]
    wanted = len(flatten(structure))
    if wanted != len(flat_sequence):
        raise ValueError(
            f"Could not pack sequence. Structure had {wanted} elements, but flat_sequence had {len(flat_sequence)} "
            f"elements.  Structure: {structure}, flat_sequence: {flat_sequence}."
        )
    return _pack(structure, iter(flat_sequence))


@tf_export(
    "nest.assert_same_structure",
    "contrib.framework.nest.assert_same_structure",
    "python.util.nest.assert_same_structure",
)
def assert_same_structure(nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False) -> None:
    """ValueError when the structures differ in number or nesting, TypeError when in sequence types."""
    try:
        _compare(nest1, nest2, check_types)
    except (ValueError, TypeError) as error:
        one, two = _shown(nest1), _shown(nest2)
        raise type(error)(f"{error}\nEntire first structure:\n{one}\nEntire second structure:\n{two}") from None


def _shown(structure: Any) -> str:
    return str(map_structure(lambda _: ".", structure))


def _compare(a: Any, b: Any, check_types: bool) -> None:
    head = f"The two structures don't have the same nested structure.\n\nFirst structure: type={type(a).__name__} str={a}\n\nSecond structure: type={type(b).__name__} str={b}"  # noqa: E501
    if is_nested(a) != is_nested(b):
        which = ("first", "second") if is_nested(a) else ("second", "first")
        raise ValueError(
            f'{head}\n\nMore specifically: Substructure "type={type(a if is_nested(a) else b).__name__} str={a if is_nested(a) else b}" is a sequence, while substructure "type={type(b if is_nested(a) else a).__name__} str={b if is_nested(a) else a}" is not ({which[0]} vs. {which[1]})'  # noqa: E501
        )
    if not is_nested(a):
        return
    if check_types:
        same = type(a) is type(b) or (isinstance(a, Mapping) and isinstance(b, Mapping))
        if _is_named(a) and _is_named(b):
            same = type(a).__name__ == type(b).__name__ and a._fields == b._fields
        if not same and not (isinstance(a, list) and type(b).__name__ == "ListWrapper"):
            raise TypeError(
                f"{head}\n\nMore specifically: The two namedtuples or sequences don't have the same sequence type. First structure has type {type(a)}, while second structure has type {type(b)}"  # noqa: E501
            )
    if isinstance(a, Mapping) and isinstance(b, Mapping) and set(a) != set(b):
        raise ValueError(
            f"{head}\n\nMore specifically: The two dictionaries don't have the same set of keys. First structure has keys {list(a)}, while second structure has keys {list(b)}"  # noqa: E501
        )
    ours, theirs = _items(a), _items(b)
    if len(ours) != len(theirs):
        raise ValueError(
            f"{head}\n\nMore specifically: The two structures don't have the same number of elements. First structure: {a}. Second structure: {b}"  # noqa: E501
        )
    for x, y in zip(ours, theirs, strict=True):
        _compare(x, y, check_types)


@tf_export("nest.map_structure", "contrib.framework.nest.map_structure", "python.util.nest.map_structure")
def map_structure(func: Callable[..., Any], *structure: Any, **kwargs: Any) -> Any:
    """`func` over the leaves of structures of one form."""
    check_types = kwargs.pop("check_types", True)
    kwargs.pop("expand_composites", None)
    if not callable(func):
        raise TypeError(f"func must be callable, got: {func}")
    if not structure:
        raise ValueError("Must provide at least one structure")
    if kwargs:
        raise ValueError(
            "Only valid keyword arguments are `check_types` and `expand_composites`, not: `{}`".format(
                "`, `".join(kwargs)
            )
        )
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types)
    return pack_sequence_as(structure[0], [func(*leaves) for leaves in zip(*map(flatten, structure), strict=True)])


@tf_export("contrib.framework.nest.flatten_up_to", "python.util.nest.flatten_up_to")
def flatten_up_to(shallow_tree: Any, input_tree: Any, check_types: bool = True, **_: Any) -> list[Any]:
    """The parts of `input_tree` at the leaves of `shallow_tree`."""
    assert_shallow_structure(shallow_tree, input_tree, check_types)
    if not is_nested(shallow_tree):
        return [input_tree]
    pairs = zip(_items(shallow_tree), _items(input_tree), strict=False)
    return [leaf for a, b in pairs for leaf in flatten_up_to(a, b, check_types)]


@tf_export("contrib.framework.nest.map_structure_up_to", "python.util.nest.map_structure_up_to")
def map_structure_up_to(shallow_tree: Any, func: Callable[..., Any], *inputs: Any, **_: Any) -> Any:
    if not inputs:
        raise ValueError("Cannot map over no sequences")
    flats = [flatten_up_to(shallow_tree, tree, check_types=False) for tree in inputs]
    return pack_sequence_as(shallow_tree, [func(*leaves) for leaves in zip(*flats, strict=True)])


@tf_export("contrib.framework.nest.assert_shallow_structure", "python.util.nest.assert_shallow_structure")
def assert_shallow_structure(shallow_tree: Any, input_tree: Any, check_types: bool = True, **_: Any) -> None:
    if not is_nested(shallow_tree):
        return
    if not is_nested(input_tree):
        raise TypeError(
            f"If shallow structure is a sequence, input must also be a sequence. Input has type: {type(input_tree)}."
        )
    if check_types and not isinstance(input_tree, type(shallow_tree)):
        raise TypeError(
            f"The two structures don't have the same sequence type. Input structure has type {type(input_tree)}, while shallow structure has type {type(shallow_tree)}."  # noqa: E501
        )
    if len(_items(shallow_tree)) != len(_items(input_tree)):
        raise ValueError(
            f"The two structures don't have the same sequence length. Input structure has length {len(_items(input_tree))}, while shallow structure has length {len(_items(shallow_tree))}."  # noqa: E501
        )
    for a, b in zip(_items(shallow_tree), _items(input_tree), strict=True):
        assert_shallow_structure(a, b, check_types)


@tf_export("contrib.framework.nest.yield_flattened_paths", "python.util.nest.yield_flattened_paths")
def yield_flattened_paths(structure: Any, **_: Any) -> Iterator[tuple[Any, ...]]:
    for path, _value in flatten_with_tuple_paths(structure):
        yield path


@tf_export("python.util.nest.flatten_with_tuple_paths")
def flatten_with_tuple_paths(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) pairs; a path names keys, fields and positions."""

    def walk(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if not is_nested(value):
            yield path, value
            return
        keys: list[Any] = list(range(len(_items(value))))
        if isinstance(value, Mapping):
            keys = sorted(value)
        elif _is_named(value):
            keys = list(value._fields)
        for key, item in zip(keys, _items(value), strict=True):
            yield from walk(item, (*path, key))

    return list(walk(structure, ()))


def _joined(path: tuple[Any, ...], separator: str = "/") -> str:
    return separator.join(str(key) for key in path)


@tf_export("python.util.nest.flatten_with_joined_string_paths")
def flatten_with_joined_string_paths(
    structure: Any, separator: str = "/", expand_composites: bool = False
) -> list[tuple[str, Any]]:
    """flatten_with_tuple_paths with the keys of a path joined."""
    return [(_joined(path, separator), leaf) for path, leaf in flatten_with_tuple_paths(structure)]


@tf_export("python.util.nest.map_structure_with_tuple_paths")
def map_structure_with_tuple_paths(func: Callable[..., Any], *structure: Any, **kwargs: Any) -> Any:
    """map_structure whose function gets the path first."""
    paths = [path for path, _ in flatten_with_tuple_paths(structure[0])]
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types=kwargs.get("check_types", True))
    columns = [flatten(s) for s in structure]
    results = [func(path, *leaves) for path, *leaves in zip(paths, *columns, strict=True)]
    return pack_sequence_as(structure[0], results)


@tf_export("python.util.nest.map_structure_with_paths")
def map_structure_with_paths(func: Callable[..., Any], *structure: Any, **kwargs: Any) -> Any:
    """map_structure whose function gets the path first, as text with slashes."""
    return map_structure_with_tuple_paths(lambda path, *leaves: func(_joined(path), *leaves), *structure, **kwargs)


@tf_export("contrib.framework.nest.flatten_dict_items", "python.util.nest.flatten_dict_items")
def flatten_dict_items(dictionary: Any) -> dict[Any, Any]:
    """{key structure: value structure} as one flat dict."""
    flat: dict[Any, Any] = {}
    for keys, values in dictionary.items():
        for key, value in zip(flatten(keys), flatten(values), strict=True):
            if key in flat:
                raise ValueError(f"Could not flatten dictionary: key {key} is not unique.")
            flat[key] = value
    return flat


export(
    is_nested,
    "contrib.framework.nest.is_nested",
    "python.util.nest.is_nested",
    "python.util.nest.is_sequence_or_composite",
)
