"""What object-based checkpoints follow: the named parts of layers, optimizers, containers and a program's own objects.

An object says its parts by the property `_checkpoint_dependencies`; lists and dicts are their items. A variable has none and is
a value; so is an object with `serialize` and `deserialize`. Objects are walked breadth first, so that a part has the shortest name.
"""  # noqa: E501

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from recurra.tf1.variables import Variable


class Dependency(NamedTuple):
    """A part and the name that object-based checkpoints give it."""

    name: str
    ref: Any


def is_trackable(value: Any) -> bool:
    """Whether object-based checkpoints follow a value; a list or dict is followed for what is in it."""
    if isinstance(value, list):
        return any(map(is_trackable, value))
    if isinstance(value, dict):
        return any(isinstance(key, str) and is_trackable(item) for key, item in value.items())
    return is_part(value)


def is_part(value: Any) -> bool:
    """Whether a value is followed by itself: a variable, Python state, or an object that names its parts."""
    if isinstance(value, type):
        return False
    return isinstance(value, Variable) or is_state(value) or hasattr(type(value), "_checkpoint_dependencies")


def is_state(value: Any) -> bool:
    """Whether a value is Python's, written as its own `serialize` gives it."""
    return callable(getattr(type(value), "serialize", None)) and callable(getattr(type(value), "deserialize", None))


def dependencies(value: Any) -> list[Dependency]:
    """The named parts of an object."""
    if isinstance(value, list):
        return [Dependency(str(i), item) for i, item in enumerate(value) if is_trackable(item)]
    if isinstance(value, dict):
        return [Dependency(k, item) for k, item in value.items() if isinstance(k, str) and is_trackable(item)]
    return [Dependency(*pair) for pair in getattr(value, "_checkpoint_dependencies", ())]


def part_of(value: Any, name: str, parts: dict[str, Any]) -> Any:
    """The part called `name` of an object with these parts; some objects make it when it is looked for."""
    if name in parts:
        return parts[name]
    make = getattr(value, "_lookup_dependency", None)
    return make(name) if make is not None else None


def in_attributes(value: Any, apart: Iterable[str] = ()) -> list[Dependency]:
    """The attributes of an object that are followed, but for those named in `apart`."""
    return [Dependency(k, v) for k, v in vars(value).items() if k not in apart and is_trackable(v)]


def walk(root: Any) -> dict[int, tuple[Any, tuple[str, ...]]]:
    """Every object below `root`, breadth first: by its identity, itself and the names that lead to it."""
    found: dict[int, tuple[Any, tuple[str, ...]]] = {id(root): (root, ())}
    waiting = deque([root])
    while waiting:
        current = waiting.popleft()
        path = found[id(current)][1]
        for name, part in dependencies(current):
            if id(part) not in found:
                found[id(part)] = (part, (*path, name))
                waiting.append(part)
    return found


class Trackable:
    """An object that names its parts itself, by `_track_trackable`."""

    def _track_trackable(self, trackable: Any, name: str, overwrite: bool = False) -> Any:
        """Follow an object under a name. TypeError for what cannot be followed, ValueError for a name that is taken."""
        if not is_part(trackable) and not isinstance(trackable, list | dict):
            raise TypeError(f"Trackable._track_trackable() passed type {type(trackable)}, not a Trackable.")
        parts = self.__dict__.setdefault("_parts", {})
        if name in parts and not overwrite and parts[name] is not trackable:
            raise ValueError(
                f"Called Trackable._track_trackable() with name='{name}', but a Trackable with this name is already "
                "declared as a dependency. Names must be unique (or overwrite=True)."
            )
        parts[name] = trackable
        settle(self)
        return trackable

    _track_checkpointable = _track_trackable

    @property
    def _checkpoint_dependencies(self) -> list[Dependency]:
        return [Dependency(*pair) for pair in self.__dict__.get("_parts", {}).items()]


class Tracked(Trackable):
    """Follows every attribute that holds a variable, a layer, an optimizer, or lists and dicts of them."""

    _apart: frozenset[str] = frozenset({"_restorations", "_parts"})

    @property
    def _checkpoint_dependencies(self) -> list[Dependency]:
        return [*super()._checkpoint_dependencies, *in_attributes(self, self._apart)]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if "_restorations" in self.__dict__ and is_trackable(value):
            settle(self)


def settle(value: Any) -> None:
    """Give variables that an object has made since a checkpoint was restored their values from it."""
    for restoration in list(getattr(value, "_restorations", ())):
        restoration.settle()
