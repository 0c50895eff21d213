"""Python 2 sources: rewritten in memory with fissix, and integer division kept as Python 2 had it.

Python 2's str is both text and bytes. Here it is text: `s.decode("utf-8")` and `s.encode("utf-8")` on text give the
text itself; bytes that are read from a file in "rb" mode still decode.
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

DIVIDE, DECODE, ENCODE = "__recurra_divide__", "__recurra_decode__", "__recurra_encode__"
_FIXES_LEFT_OUT = {"future", "import"}  # `import` would turn local imports into relative ones: the program is a script
_TELLTALE_NAMES = {"xrange", "raw_input", "unicode", "basestring", "unichr"}
_TELLTALE_METHODS = {"iteritems", "itervalues", "iterkeys", "has_key"}
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
        raise SyntaxError(f"{path} is neither Python 3 nor Python 2: {error}") from error


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
    guarded = {id(n) for t in ast.walk(tree) if isinstance(t, ast.Try | ast.If) for n in ast.walk(t)}
    for node in ast.walk(tree):
        if id(node) in guarded and not isinstance(node, ast.Call):
            continue
        found = _telltale(node, assigned)
        if found:
            return f"{found} on line {getattr(node, 'lineno', 0)}"
    return None


def _telltale(node: ast.AST, assigned: set[str]) -> str | None:
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Name) and func.id in _TELLTALE_NAMES - assigned:
            return func.id
        if isinstance(func, ast.Attribute) and func.attr in _TELLTALE_METHODS:
            return f".{func.attr}()"
    if isinstance(node, ast.Import):
        return next((a.name for a in node.names if a.name.partition(".")[0] in _TELLTALE_MODULES), None)
    if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "") in _TELLTALE_MODULES:
        return node.module
    return None


class _Semantics(ast.NodeTransformer):
    """Division and the encode/decode of text as Python 2 meant them."""

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
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "decode"):
            helper = ENCODE if node.func.attr == "encode" else DECODE
            call = ast.Call(ast.Name(helper, ast.Load()), [node.func.value, *node.args], node.keywords)
            return ast.copy_location(call, node)
        return node


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


def decode(value: Any, *args: Any, **kwargs: Any) -> Any:
    """value.decode(…), and text as it is."""
    return value if isinstance(value, str) else value.decode(*args, **kwargs)


def encode(value: Any, *args: Any, **kwargs: Any) -> Any:
    """value.encode(…), and text as it is: this is what text files and str() of such a program take."""
    return value if isinstance(value, str) else value.encode(*args, **kwargs)


HELPERS: dict[str, Any] = {DIVIDE: divide, DECODE: decode, ENCODE: encode}
