"""The table of tf.* names: dotted name below `tf` -> the object that serves it, per era.

A module registers what it offers with `@tf_export("math.exp", "exp")` or `export(value, "float32")`; `lookup("math.exp")` answers
for the era of the running program. The modules of `MODULES` are imported at the first look-up.
"""  # noqa: E501

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from recurra.tf1 import eras

T = TypeVar("T")
Version = tuple[int, int]

MODULES: list[str] = [
    "dtypes",
    "shapes",
    "errors",
    "graph",
    "build",
    "core_ops",
    "session",
    "session_handles",
    "eager",
    "variables",
    "variable_functions",
    "variables_v2",
    "scopes",
    "template",
    "differentiation",
    "nest",
    "control_flow",
    "cases",
    "eager_forms",
    "type_specs",
    "tensor_array",
    "functional_ops",
    "python_functions",
    "defun",
    "functional_forms",
    "graph_import",
    "graph_util",
    "meta_graph",
    "saved_model",
    "ops",
    "overloads",
    "regularizers",
    "layers",
    "losses",
    "distributions",
    "metrics",
    "metrics_top_k",
    "rnn",
    "keras",
    "train",
    "feature_columns",
    "estimator",
    "data",
    "summary",
    "io",
    "contrib",
    "platform",
    "testing",
    "generated",
    "linear_operators",
    "inner_names",
    "inner_rnn",
    "aliases",
]


class _Entry(NamedTuple):
    first: Version
    end: Version
    value: Any


_TABLE: dict[str, list[_Entry]] = {}
_PREFIXES: set[str] = set()
_loaded = False


def export(value: T, *dotted: str, era: tuple[Version, Version] | None = None) -> T:
    """Serve `value` under the dotted names (without `tf.`); with `era=(first, end)` only to programs of first <= era < end."""  # noqa: E501
    first, end = era or ((0, 0), (99, 0))
    for name in dotted:
        entries = _TABLE.setdefault(name, [])
        entries[:] = [e for e in entries if (e.first, e.end) != (first, end)]
        entries.append(_Entry(first, end, value))
        entries.sort(key=lambda e: e.first == (0, 0) and e.end == (99, 0))  # the fallback comes last
        parts = name.split(".")[:-1]
        _PREFIXES.update(".".join(parts[: i + 1]) for i in range(len(parts)))
    return value


def tf_export(*dotted: str, era: tuple[Version, Version] | None = None) -> Callable[[T], T]:
    """Decorator form of `export`."""
    return lambda value: export(value, *dotted, era=era)


def alias(new: str, old: str) -> None:
    """Serve under `new` whatever `old` is (in the eras it has)."""
    for entry in _TABLE[old]:
        export(entry.value, new, era=(entry.first, entry.end))


def served(dotted: str) -> bool:
    """Whether the table holds the name, for any era."""
    return dotted in _TABLE


def load_all() -> None:
    """Import every module that registers names."""
    global _loaded
    if _loaded:
        return
    _loaded = True
    for name in MODULES:
        try:
            importlib.import_module(f"recurra.tf1.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"recurra.tf1.{name}":
                raise


def lookup(dotted: str) -> Any:
    """The object of a dotted name for the current era; KeyError when there is none."""
    load_all()
    now = tuple(eras.current()[:2])
    for entry in _TABLE[dotted]:
        if entry.first <= now < entry.end:
            return entry.value
    raise KeyError(dotted)


def known() -> list[str]:
    """All dotted names, sorted."""
    load_all()
    return sorted(_TABLE)


def has_prefix(dotted: str) -> bool:
    """Whether some name lies below `dotted` (it is a sub-module)."""
    load_all()
    return dotted in _PREFIXES


def children(dotted: str) -> Iterable[str]:
    """Direct child names of a sub-module ('' = tf itself), names and sub-modules alike."""
    load_all()
    head = f"{dotted}." if dotted else ""
    return sorted({name[len(head) :].split(".")[0] for name in _TABLE if name.startswith(head)})
