"""A program's source made ready to run: .py or .ipynb, Python 3 or 2, with what was changed said."""

from __future__ import annotations

import ast
import json
import re
import tokenize
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from recurra.tf1.compat import old_syntax, python2

SHOW = "__recurra_show__"
_TIMED = re.compile(r"^(\s*)%(?:time|prun)\s+(?!-)(.+)$")  # the statement is run; %timeit's leaves nothing behind
_MAGIC = re.compile(r"^(\s*)(%{1,2}|!|\?)(?=[\w!?./%])")


@dataclass
class Part:
    """A file, or one cell of a notebook: its Python 3 text and tree."""

    name: str
    text: str
    tree: ast.Module
    error: SyntaxError | None = None  # of a notebook's cell: met when the cell is run

    def compile(self) -> CodeType:
        """The code object; its file name is the program's. Raises the cell's SyntaxError."""
        if self.error is not None:
            raise self.error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and `is` with literals were common
            return compile(self.tree, self.name, "exec", dont_inherit=True)


@dataclass
class Program:
    """What will be executed, part after part, and remarks on how it was changed."""

    path: Path
    parts: list[Part]
    python2: bool = False
    remarks: list[str] = field(default_factory=list)
    futures: set[str] = field(default_factory=set)  # a notebook's later cells keep what one imported from __future__


def load(path: str | Path, use_python2: bool | None = None, why: str = "asked for") -> Program:
    """Read a program. `use_python2`: True rewrites (`why` is told), False never, None when it cannot be Python 3."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"program {str(path)!r} does not exist")
    cells = _notebook_cells(path) if path.suffix == ".ipynb" else [(str(path), read_text(path))]
    program = Program(path, [])
    reason = next(filter(None, (_python2_reason(name, text, path) for name, text in cells)), None)
    program.python2 = use_python2 if use_python2 is not None else reason is not None
    if program.python2:
        told = why if use_python2 else reason
        program.remarks.append(f"Python 2 source ({told}), rewritten in memory")
    for name, text in cells:
        program.parts.append(_part(program, name, text))
    return program


def _python2_reason(name: str, text: str, path: Path) -> str | None:
    """Why a file or cell is Python 2; an unfinished cell of a notebook is neither and says nothing."""
    reason = python2.looks_like_python2(text)
    if reason is None or path.suffix != ".ipynb":
        return reason
    try:
        _parse(python2.rewrite(text, name), name)
    except SyntaxError:
        return None
    return reason


def _part(program: Program, name: str, text: str) -> Part:
    cell = program.path.suffix == ".ipynb"
    try:
        part = prepare(name, text, program.python2, cell, program.remarks, program.futures)
    except SyntaxError as error:
        if not cell:
            raise
        return Part(name, text, ast.Module([], []), error)
    if cell:
        program.futures |= python2.futures_of(part.tree)
    return part


def prepare(
    name: str,
    text: str,
    rewrite: bool,
    cell: bool = False,
    remarks: list[str] | None = None,
    futures: Collection[str] = (),
) -> Part:
    """One part: rewritten from Python 2 where asked, tabs and old calls adapted, a cell's last value shown."""
    lines = 0
    new = _as_python3(name, text, futures) if rewrite else None
    if new is not None:
        lines = sum(a != b for a, b in zip(text.splitlines(), new.splitlines(), strict=False))
        text = new
    tree = _parse(text, name)
    divisions = python2.adapt(tree, futures) if new is not None else 0
    if remarks is not None and (lines or divisions):
        remarks.append(f"{name}: {lines} lines rewritten, {divisions} divisions as Python 2 divides")
    _OldNumpy().visit(tree)
    old_syntax.adapt(tree)
    if cell:
        _show_last(tree)
    ast.fix_missing_locations(tree)
    return Part(name, text, tree)


def _as_python3(name: str, text: str, futures: Collection[str]) -> str | None:
    """The source rewritten from Python 2, None for one that is Python 3 alone (a module of a program of both)."""
    try:
        return python2.rewrite(text, name, futures)
    except SyntaxError as error:
        try:
            _parse(text, name)
        except SyntaxError:
            raise error from None
        return None


def read_text(path: Path) -> str:
    """The text of a source file by its coding line, UTF-8 or, where that fails, Latin-1."""
    data = path.read_bytes()
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return data.decode("utf-8-sig" if _is_utf8(data) else "latin1").replace("\r\n", "\n")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parse(text: str, name: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, name)
        except TabError:
            return ast.parse(text.expandtabs(8), name)


class _OldNumpy(ast.NodeTransformer):
    """Calls that NumPy changed: a.tostring() was tobytes(), int(a) and float(a) took arrays of one element."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr == "tostring" and not node.args and not node.keywords:
            func.attr = "tobytes"
        if isinstance(func, ast.Name) and func.id in _NUMBERS and len(node.args) == 1 and not node.keywords:
            func.id = _NUMBERS[func.id]
        return node


_NUMBERS = {"int": "__recurra_int__", "float": "__recurra_float__"}


def _of_one_element(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim and value.size == 1:
            value = value.item()
        return kind(value)

    return convert


# what rewritten sources call; every module of a program gets them
HELPERS: dict[str, Any] = {
    _NUMBERS["int"]: _of_one_element(int),
    _NUMBERS["float"]: _of_one_element(float),
} | old_syntax.HELPERS


def _notebook_cells(path: Path) -> list[tuple[str, str]]:
    try:
        book = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a notebook: {error}") from error
    if not isinstance(book, dict):
        raise ValueError(f"{path} is not a notebook: a JSON {type(book).__name__}, expected an object with cells")
    cells = book.get("cells") or [c for sheet in book.get("worksheets", []) for c in sheet["cells"]]
    found = []
    for number, cell in enumerate(cells):
        if cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        text = "".join(source) if isinstance(source, list) else source
        found.append((f"{path}[{number}]", _without_magics(text)))
    return found


def _without_magics(text: str) -> str:
    """Jupyter's %magics, !commands and trailing ? as comments; a %%cell of another language is skipped whole."""
    if re.match(r"\s*%%(?!time|capture|prun)\w+", text):
        return "pass\n"
    lines = []
    for line in _without_indent(text).split("\n"):
        timed = _TIMED.match(line)
        match = _MAGIC.match(line)
        if timed:
            line = f"{timed[1]}{timed[2]}"
        elif match:
            line = f"{match[1]}{'pass  ' if match[1] else ''}# {line.strip()}"  # only a block needs a statement
        lines.append(re.sub(r"^(\s*[\w.]+)\?+\s*$", r"\1", line))
    return "\n".join(lines)


def _without_indent(text: str) -> str:
    """A cell may be indented as a whole, as Jupyter allows."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(indent) for line in text.split("\n")) if indent else text


def _show_last(tree: ast.Module) -> None:
    """A cell's last expression is shown, as a notebook does."""
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        call = ast.Call(ast.Name(SHOW, ast.Load()), [last.value], [])
        tree.body[-1] = ast.copy_location(ast.Expr(call), last)


def show(value: object) -> None:
    """Print a cell's value as a notebook would."""
    if value is not None:
        print(repr(value))
