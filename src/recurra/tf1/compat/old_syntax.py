"""Source that Python and NumPy once took: bytes as text, late `global`, arrays indexed by a list of slices."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

TEXT, EMPTY = "__recurra_text__", "__recurra_is_empty_list__"
_TEXT_METHODS = {"replace", "split", "rsplit", "strip", "lstrip", "rstrip", "startswith", "endswith", "find", "count"}


def adapt(tree: ast.Module) -> None:
    """Rewrite a part's tree in place; what is valid today keeps its meaning."""
    tree.body = _without_globals(tree.body)
    _Adapter(_lists_of_slices(tree)).visit(tree)


def text(value: Any) -> Any:
    """Bytes as text: where a text argument meets them, they are lines of a file that Python 2 opened with "rb"."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin1")


def is_empty_list(value: Any) -> bool:
    """`value == []`, which of an array was False, with a warning, up to NumPy 1.24."""
    return not isinstance(value, np.ndarray) and bool(value == [])


HELPERS: dict[str, Any] = {TEXT: text, EMPTY: is_empty_list}


class _Adapter(ast.NodeTransformer):
    def __init__(self, slices: set[str]) -> None:
        self.slices = slices

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr not in _TEXT_METHODS:
            return node
        if any(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in node.args) and not isinstance(
            func.value, ast.Constant
        ):
            func.value = ast.Call(ast.Name(TEXT, ast.Load()), [func.value], [])
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        right = node.comparators[0]
        if len(node.ops) > 1 or not isinstance(right, ast.List) or right.elts:
            return node
        call = ast.Call(ast.Name(EMPTY, ast.Load()), [node.left], [])
        if isinstance(node.ops[0], ast.Eq):
            return ast.copy_location(call, node)
        return ast.copy_location(ast.UnaryOp(ast.Not(), call), node) if isinstance(node.ops[0], ast.NotEq) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.slice, ast.Name) and node.slice.id in self.slices:
            node.slice = ast.Tuple([ast.Starred(node.slice, ast.Load())], ast.Load())
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """`global x` after a use of x was a warning up to Python 3.5: it is moved to the function's head."""
        self.generic_visit(node)
        names = sorted({name for n in own_statements(node) if isinstance(n, ast.Global) for name in n.names})
        if names:
            has_docstring = ast.get_docstring(node, clean=False) is not None
            body = _without_globals(node.body)
            node.body = [*body[:has_docstring], ast.Global(names), *body[has_docstring:]]
        return node


def own_statements(scope: ast.AST) -> list[ast.AST]:
    """The nodes of a module or function that are not in a function or class inside it."""
    found: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            found.append(node)
            waiting += ast.iter_child_nodes(node)
    return found


def _without_globals(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements with `pass` for every `global` outside of inner functions."""

    class Remover(ast.NodeTransformer):
        def visit_Global(self, node: ast.Global) -> ast.AST:
            return ast.copy_location(ast.Pass(), node)

        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            return node

        visit_ClassDef = visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

    return [Remover().visit(statement) for statement in body]


def _lists_of_slices(tree: ast.Module) -> set[str]:
    """Names that are only assigned lists of slice(…); NumPy took such a list as an index up to 1.22."""
    is_slices: dict[str, bool] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    is_slices[target.id] = is_slices.get(target.id, True) and _makes_slices(node.value)
    return {name for name, yes in is_slices.items() if yes}


def _makes_slices(value: ast.expr) -> bool:
    if isinstance(value, ast.ListComp):
        return _is_slice(value.elt)
    return isinstance(value, ast.List) and bool(value.elts) and all(map(_is_slice, value.elts))


def _is_slice(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "slice"
