"""What the wing's modules read of each other exists: a function that moved is noticed before a program calls it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from types import ModuleType

import recurra.tf1
from recurra.tf1 import names


def test_attributes_of_the_wings_modules_exist() -> None:
    names.load_all()
    missing = []
    for found in pkgutil.walk_packages(recurra.tf1.__path__, "recurra.tf1."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        with open(str(module.__file__), encoding="utf-8") as file:
            tree = ast.parse(file.read())
        known = _imported_modules(tree)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known):
                continue
            if not hasattr(known[node.value.id], node.attr):
                missing.append(f"{found.name}:{node.lineno} {node.value.id}.{node.attr}")
    assert missing == []


def _imported_modules(tree: ast.Module) -> dict[str, ModuleType]:
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recurra"):
            home = importlib.import_module(str(node.module))
            for alias in node.names:
                value = getattr(home, alias.name)
                if type(value) is ModuleType:  # tf.<space> answers for every name
                    modules[alias.asname or alias.name] = value
    return modules
