"""Python 2 sources: rewritten in memory with fissix, and integer division kept as Python 2 had it.

Python 2's str is both text and bytes. Here it is text: `s.decode("utf-8")` and `s.encode("utf-8")` on text give the
text itself. `python2_files.py` has its files, `python2_names.py` the names that it had and Python 3 has not.
"""

from __future__ import annotations

import ast
import copy
import functools
import numbers
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np

from recurra.tf1.compat import python2_names
from recurra.tf1.compat.old_syntax import own_statements

DIVIDE, DECODE, ENCODE = "__recurra_divide__", "__recurra_decode__", "__recurra_encode__"
SORTED, SORT, TRANSLATE, MESSAGE = (f"__recurra_{name}__" for name in ("sorted", "sort", "translate", "message"))
# `import` would turn local imports into relative ones: the program is a script; the others are `python2_names.BUILTINS`
_FIXES_LEFT_OUT = {"future", "import", "map", "filter", "zip", "sorted"}
_TELLTALE_NAMES = {
    "xrange",
    "raw_input",
    "unicode",
    "basestring",
    "unichr",
    "reduce",
    "reload",
    "execfile",
    "cmp",
    "long",
}
_TELLTALE_METHODS = {"iteritems", "itervalues", "iterkeys", "has_key"}
_TELLTALE_MEMBERS = {
    "string": {"letters", "lowercase", "uppercase", "maketrans", "join"},
    "itertools": {"izip", "imap", "ifilter", "izip_longest"},
    "sys": {"maxint", "setdefaultencoding"},
    "os": {"getcwdu"},
}
_TELLTALE_MODULES = {
    "cPickle",
    "urllib2",
    "ConfigParser",
    "Queue",
    "StringIO",
    "cStringIO",
    "commands",
    "HTMLParser",
    "urlparse",
}


@functools.cache
def _tool() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fissix import refactor

    names = refactor.get_fixers_from_package("fissix.fixes")
    return refactor.RefactoringTool([n for n in names if n.rpartition("fix_")[2] not in _FIXES_LEFT_OUT])


def rewrite(text: str, path: str, futures: Collection[str] = ()) -> str:
    """`text` (Python 2) as Python 3, with the futures of earlier cells; SyntaxError where it is neither."""
    if futures:
        head = f"from __future__ import {', '.join(sorted(futures))}\n"
        return rewrite(head + text, path).removeprefix(head)
    from fissix.pgen2.parse import ParseError
    from fissix.pgen2.tokenize import TokenError

    tool = _tool()
    try:
        return str(tool.refactor_string(text if text.endswith("\n") else text + "\n", path))
    except (ParseError, TokenError) as error:
        raise _syntax_error(text, path, _line(error)) from None


def _line(error: Exception) -> int:
    """Where Python 2's grammar stopped.

    A ParseError's context is (prefix, (line, column)), a TokenError's last argument (line, column).
    """
    context = getattr(error, "context", None)
    place = context[1] if context else error.args[-1]
    return int(place[0]) if isinstance(place, tuple) else 0


def _syntax_error(text: str, path: str, line: int) -> SyntaxError:
    """What neither Python reads, at the line where the one stopped that got further."""
    try:
        compile(text, path, "exec")
    except SyntaxError as error:
        if (error.lineno or 0) >= line or error.msg.endswith("was never closed"):
            return SyntaxError(
                f"{error.msg} (and Python 2 cannot read it either)", (path, error.lineno, None, error.text)
            )
    lines = text.splitlines()
    source = lines[line - 1] if 0 < line <= len(lines) else None
    return SyntaxError("neither Python 3 nor Python 2 can read this", (path, line, None, source))


def looks_like_python2(text: str) -> str | None:
    """Why `text` needs rewriting ('xrange on line 3'), None where it does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return "syntax that Python 3 refuses"
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assigned |= {
        a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom | ast.Import) for a in n.names
    }
    lazy = _used_as_lists(tree, assigned)
    if lazy:
        return lazy
    guarded = {id(n) for t in ast.walk(tree) if isinstance(t, ast.Try | ast.If) for n in ast.walk(t)}
    for node in ast.walk(tree):
        if id(node) in guarded and not isinstance(node, ast.Call):
            continue
        found = _telltale(node, assigned)
        if found:
            return f"{found} on line {getattr(node, 'lineno', 0)}"
    return None


def _used_as_lists(tree: ast.AST, assigned: set[str]) -> str | None:
    """`pairs = zip(a, b)`, then `pairs[0]`; `d.keys()[0]`: lists in Python 2, and no sequences since."""
    views = not {"pd", "pandas"} & assigned
    for scope in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Module)):
        nodes = own_statements(scope)
        made = (
            {arg.arg: False for arg in ast.walk(scope.args) if isinstance(arg, ast.arg)}
            if hasattr(scope, "args")
            else {}
        )
        for node in nodes:
            for target in node.targets if isinstance(node, ast.Assign) else []:
                for name in (n for n in ast.walk(target) if isinstance(n, ast.Name)):
                    fresh = name is target and _is_lazy(node.value, assigned)  # type: ignore[attr-defined]
                    made[name.id] = made.get(name.id, True) and fresh
        for node in (n for n in nodes if isinstance(n, ast.Subscript)):
            value = node.value
            if made.get(getattr(value, "id", "")) or _is_lazy(value, assigned) or (views and _is_view(value)):
                return f"a list expected of {ast.unparse(value)} on line {node.lineno}"
    return None


def _is_lazy(node: ast.AST, assigned: set[str]) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id in {"zip", "map", "filter"} - assigned


def _is_view(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) and not node.args else None
    return isinstance(called, ast.Attribute) and called.attr in ("keys", "items")


def _telltale(node: ast.AST, assigned: set[str]) -> str | None:
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Name) and func.id in _TELLTALE_NAMES - assigned:
            return func.id
        if isinstance(func, ast.Attribute) and func.attr in _TELLTALE_METHODS:
            return f".{func.attr}()"
    if isinstance(node, ast.Attribute) and node.attr in _TELLTALE_MEMBERS.get(getattr(node.value, "id", ""), ()):
        return f"{node.value.id}.{node.attr}"  # type: ignore[attr-defined]
    if isinstance(node, ast.Import):
        return next((a.name for a in node.names if a.name.partition(".")[0] in _TELLTALE_MODULES), None)
    if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "") in _TELLTALE_MODULES:
        return node.module
    return None


class _Semantics(ast.NodeTransformer):
    """Division, literals of bytes and what text and lists were asked for, as Python 2 meant them."""

    def __init__(self, true_division: bool) -> None:
        self.true_division = true_division
        self.divisions = 0

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div) or self.true_division:
            return node
        if any(isinstance(side, ast.Constant) and isinstance(side.value, float) for side in (node.left, node.right)):
            return node
        self.divisions += 1
        return ast.copy_location(_call(DIVIDE, node.left, node.right), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div) or self.true_division:
            return node
        self.divisions += 1
        read = copy.deepcopy(node.target)
        read.ctx = ast.Load()
        return ast.copy_location(ast.Assign([node.target], _call(DIVIDE, read, node.value)), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function, asked = node.func, {k.arg for k in node.keywords}
        if isinstance(function, ast.Name) and function.id == "sorted" and (len(node.args) > 1 or "cmp" in asked):
            return _helped(SORTED, node)
        if not isinstance(function, ast.Attribute):
            return node
        if function.attr in ("encode", "decode"):
            return _helped(ENCODE if function.attr == "encode" else DECODE, node, function.value)
        if function.attr == "sort" and (node.args or "cmp" in asked):
            return _helped(SORT, node, function.value)
        if function.attr == "translate" and len(node.args) == 2:
            return _helped(TRANSLATE, node, function.value)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bytes) and node.value.isascii():
            return ast.copy_location(ast.Constant(node.value.decode("ascii")), node)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        for inner in node.body if node.name else ():
            _Messages(str(node.name)).visit(inner)
        return node


class _Messages(ast.NodeTransformer):
    """error.message inside of its handler."""

    def __init__(self, error: str) -> None:
        self.error = error

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == "message" and isinstance(node.value, ast.Name) and node.value.id == self.error:
            return ast.copy_location(_call(MESSAGE, node.value), node)
        return node


def _helped(name: str, call: ast.Call, *first: ast.expr) -> ast.AST:
    """The call made on a helper, which gets the object of a method first."""
    return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [*first, *call.args], call.keywords), call)


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def futures_of(tree: ast.Module) -> set[str]:
    """What the source imports from __future__."""
    return {a.name for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__" for a in n.names}


def adapt(tree: ast.Module, futures: Collection[str] = ()) -> int:
    """Give a rewritten tree Python 2's division and text methods; returns how many divisions follow Python 2's rule."""
    semantics = _Semantics(true_division="division" in futures_of(tree) | set(futures))
    semantics.visit(tree)
    ast.fix_missing_locations(tree)
    return semantics.divisions


def divide(a: Any, b: Any) -> Any:
    """a / b of Python 2: integers give their floor."""
    old = getattr(type(a), "__div__", None)
    if old is not None:
        return old(a, b)
    if _integral(a) and _integral(b):
        return a // b
    return a / b


def _integral(value: Any) -> bool:
    if isinstance(value, numbers.Integral):
        return True
    return isinstance(value, np.ndarray) and value.dtype.kind in "iub"


HELPERS: dict[str, Any] = {
    DIVIDE: divide,
    DECODE: python2_names.decode,
    ENCODE: python2_names.encode,
    SORTED: python2_names.sorted_by,
    SORT: python2_names.sort_by,
    TRANSLATE: python2_names.translate,
    MESSAGE: python2_names.message,
} | python2_names.BUILTINS
