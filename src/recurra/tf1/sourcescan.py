"""Read a program's source for what it uses of TensorFlow, without running it.

`scan(tree)` resolves import aliases (`import tensorflow as tf`, `from tensorflow.contrib import rnn`,
`rnn_cell = tf.nn.rnn_cell`) and gives every use as a dotted name below `tf`. The era is guessed from these uses and
`recurra run --check` compares them with the names that exist.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

ROOT = "tensorflow"
_TRANSPARENT = ("compat.v1", "compat.v2", "_api.v1")  # prefixes that add nothing to a name


@dataclass(frozen=True)
class Use:
    """One use of a tf.* name: the dotted name below `tf`, where, and the call made on it (None: not called)."""

    name: str
    line: int
    call: ast.Call | None = None
    path: str = ""


@dataclass
class Scan:
    """What a source uses: its tf names, the modules it imports and the attributes it reads on anything."""

    uses: list[Use] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    compares_version_text: bool = False
    trees: list[ast.AST] = field(default_factory=list)
    python2: str | None = None  # where a module of the program says that it is Python 2

    def merge(self, other: Scan) -> None:
        """Add another file's findings to these."""
        self.uses += other.uses
        self.imports |= other.imports
        self.attributes |= other.attributes
        self.compares_version_text |= other.compares_version_text
        self.trees += other.trees


def canonical(dotted: str) -> str:
    """'compat.v1.nn.relu' → 'nn.relu': the name without prefixes that only choose an API version."""
    for prefix in _TRANSPARENT:
        if dotted == prefix:
            return ""
        if dotted.startswith(prefix + "."):
            return canonical(dotted[len(prefix) + 1 :])
    return dotted


class _Visitor(ast.NodeVisitor):
    def __init__(self, path: str, alias: dict[str, str]) -> None:
        self.path, self.alias = path, alias
        self.found = Scan()
        self.called: dict[int, ast.Call] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            self.found.imports.add(name.name)
            top, _, below = name.name.partition(".")
            if top != ROOT:
                continue
            self.alias[name.asname or top] = below if name.asname else ""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            self.found.imports.update(f".{module}.{n.name}".replace("..", ".") for n in node.names)
            return
        self.found.imports.add(module)
        self.found.imports.update(f"{module}.{n.name}" for n in node.names)
        top, _, below = module.partition(".")
        if top != ROOT:
            return
        for name in node.names:
            if name.name == "*":
                continue
            dotted = f"{below}.{name.name}" if below else name.name
            self.alias[name.asname or name.name] = dotted
            if canonical(dotted):
                self.found.uses.append(Use(canonical(dotted), node.lineno, None, self.path))

    def visit_Assign(self, node: ast.Assign) -> None:
        dotted = self._dotted(node.value)
        if dotted is not None and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.alias[node.targets[0].id] = dotted
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.called[id(node.func)] = node
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        if any(self._dotted(side) in ("__version__", "VERSION") for side in sides):
            self.found.compares_version_text = True
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.found.attributes.add(node.attr)
        dotted = self._dotted(node)
        if dotted is None:
            self.generic_visit(node)
        elif canonical(dotted):
            self.found.uses.append(Use(canonical(dotted), node.lineno, self.called.get(id(node)), self.path))

    def visit_Name(self, node: ast.Name) -> None:
        dotted = self.alias.get(node.id)
        if dotted and isinstance(node.ctx, ast.Load) and canonical(dotted):
            self.found.uses.append(Use(canonical(dotted), node.lineno, self.called.get(id(node)), self.path))

    def _dotted(self, node: ast.AST) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.alias:
            return None
        base = self.alias[node.id]
        return ".".join(([base] if base else []) + parts[::-1])


def scan(tree: ast.AST, path: str = "", alias: dict[str, str] | None = None) -> Scan:
    """The tf names, imports and attribute names in `tree`; `path` is recorded with each use.

    `alias` maps the program's names to names below tf; a notebook's cells share it.
    """
    visitor = _Visitor(path, {} if alias is None else alias)
    visitor.visit(tree)
    visitor.found.trees.append(tree)
    return visitor.found


def local_modules(found: Scan, folder: Path) -> list[Path]:
    """The files below `folder` that the scanned imports name (the program's own modules)."""
    files = []
    for name in sorted(found.imports):
        parts = [part for part in name.split(".") if part]
        if parts[:2] == [
            "tensorflow",
            "models",
        ]:  # tensorflow.models.rnn.translate.data_utils is the program's own file
            parts = parts[-1:]
        if not parts:
            continue
        stem = folder.joinpath(*parts)
        for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
            if candidate.is_file():
                files.append(candidate)
    return files
