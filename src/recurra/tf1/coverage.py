"""How much of TensorFlow 1.15's public surface the wing serves: a table per module.

`public_names.txt` lists the names (distributions, feature columns and quantisation left out); a name counts when a
program that uses it gets an object.
"""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

from recurra.tf1 import namespace
from recurra.tf1.missing import MissingName

__all__ = ["ModuleCoverage", "coverage", "render"]


class ModuleCoverage(NamedTuple):
    """One module of tf: how many of its names are served, and which are not."""

    module: str
    served: int
    total: int
    missing: tuple[str, ...]


def public_names() -> list[str]:
    """TensorFlow 1.15's public names in this field, without the leading `tf.`."""
    return files("recurra.tf1").joinpath("public_names.txt").read_text().split()


def _module_of(name: str) -> str:
    parts = name.split(".")
    depth = 2 if parts[0] == "contrib" else 1
    return ".".join(["tf", *parts[:depth]]) if len(parts) > depth else ".".join(["tf", *parts[: depth - 1]])


def _served(name: str) -> bool:
    try:
        namespace.resolve(name)
    except MissingName:
        return False
    return True


def coverage() -> list[ModuleCoverage]:
    """Every module with its counts, the largest first."""
    modules: dict[str, list[str]] = {}
    for name in public_names():
        modules.setdefault(_module_of(name), []).append(name)
    rows = []
    for module, names in modules.items():
        missing = tuple(n for n in names if not _served(n))
        rows.append(ModuleCoverage(module, len(names) - len(missing), len(names), missing))
    return sorted(rows, key=lambda row: (-row.total, row.module))


def render(rows: list[ModuleCoverage], show_missing: bool = False) -> str:
    """The table as text, with a last line for all modules together."""
    total = ModuleCoverage("all", sum(r.served for r in rows), sum(r.total for r in rows), ())
    lines = []
    for row in [*rows, total]:
        lines.append(f"{row.module:28} {row.served:5} of {row.total:5}  {100 * row.served / row.total:5.1f} %")
        if show_missing and row.missing:
            lines += [f"    {name}" for name in row.missing]
    return "\n".join(lines)
