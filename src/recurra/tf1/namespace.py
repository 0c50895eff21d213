"""Sub-modules of tf as objects: `tf.nn`, `tf.contrib.rnn`, … answer from the table of names."""

from __future__ import annotations

import types
from typing import Any

from recurra.tf1 import eras, names
from recurra.tf1.missing import missing_name

_SPACES: dict[str, Namespace] = {}


class Namespace(types.ModuleType):
    """`tf.<path>`: attributes are looked up in the table when they are used."""

    def __init__(self, path: str):
        super().__init__(f"tensorflow.{path}" if path else "tensorflow")
        self.__dict__["_path"] = path
        self.__dict__["__path__"] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        return resolve(f"{self._path}.{name}" if self._path else name)

    def __dir__(self) -> list[str]:
        return list(names.children(self._path))

    def __repr__(self) -> str:
        return f"<module 'tensorflow.{self._path}' (recurra)>"


def space(path: str) -> Namespace:
    """The one Namespace of a dotted path."""
    if path not in _SPACES:
        _SPACES[path] = Namespace(path)
    return _SPACES[path]


def resolve(dotted: str) -> Any:
    """The object or sub-module behind `tf.<dotted>`; MissingName when there is neither."""
    if dotted in ("__version__", "VERSION"):
        return eras.current().text
    for prefix in ("compat.v1.", "_api.v1."):
        if dotted.startswith(prefix):
            try:
                return names.lookup(dotted)
            except KeyError:
                return resolve(dotted.removeprefix(prefix))
    if dotted in ("compat.v1", "_api.v1"):
        return space(dotted)
    try:
        return names.lookup(dotted)
    except KeyError:
        if names.has_prefix(dotted):
            return space(dotted)
        raise missing_name(dotted, names.known()) from None
