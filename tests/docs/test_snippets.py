"""The Python on README and docs runs as written, and the commands there exist with all their options."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

import recurra as rc
import recurra.tf1.checkpoint as ckpt
from recurra.attention import AttentionWrapper, LuongAttention
from recurra.cli.main import app
from recurra.decoding import tile_batch

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[str]:
    """The page's code, fenced or indented, that is Python; not what elides something by an ellipsis."""
    text = page.read_text()
    fenced = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = [re.sub(r"^ {4}", "", found, flags=re.MULTILINE) for found in re.findall(r"(?:(?: {4}.*)?\n)+", rest)]
    return [block for block in (*fenced, *indented) if block.strip() and "…" not in block and _parses(block)]


def _parses(block: str) -> bool:
    try:
        return bool(ast.parse(block).body)
    except SyntaxError:
        return False


def checkpoints() -> dict[str, Any]:
    """The two layers of docs/checkpoints.md as a program of TensorFlow 1.15 would have saved them."""
    cells = rc.StackedCells([rc.LSTMCell(128, 128), rc.LSTMCell(128, 128)])
    ckpt.write("model.ckpt-100", {"rnn/lstm_cell/kernel": np.zeros((2, 4)), **ckpt.variables_of(cells)})
    return {}


def moved_over() -> dict[str, Any]:
    """The old program of docs/tf1.md, saved."""
    model = torch.nn.ModuleDict({"cell": rc.LSTMCell(28, 64), "logits": torch.nn.Linear(64, 10)})
    names = {"rnn/basic_lstm_cell/kernel": model["cell"].kernel, "rnn/basic_lstm_cell/bias": model["cell"].bias}
    names |= {"logits/kernel": model["logits"].weight.t(), "logits/bias": model["logits"].bias}
    ckpt.write("model.ckpt", {name: value.detach().numpy() for name, value in names.items()})
    return {}


def searched() -> dict[str, Any]:
    """What the search on docs/seq2seq.md takes for granted."""
    from recurra.decoding import BeamSearchDecoder, dynamic_decode

    batch, width = 2, 3
    cell = AttentionWrapper(rc.GRUCell(4 + 5, 6), LuongAttention(5, 6)).attend(
        tile_batch(torch.randn(batch, 7, 5), width)
    )
    given = {"batch": batch, "width": width, "cell": cell, "embedding": torch.randn(8, 4), "end_token": 1}
    given |= {"start_tokens": torch.zeros(batch, dtype=torch.int64), "output_layer": torch.nn.Linear(5, 8)}
    return {**given, "BeamSearchDecoder": BeamSearchDecoder, "dynamic_decode": dynamic_decode}


def exported() -> dict[str, Any]:
    """The cell and the inputs of docs/export.md."""
    pytest.importorskip("onnxruntime")
    x = np.zeros((2, 3, 4), np.float32)
    return {"cell": rc.LSTMCell(4, 5), "recurra": rc, "x": x, "y": x, "n": np.array([3, 1])}


GIVEN = {
    "README.md": dict,
    "cells.md": lambda: {"rc": rc},
    "checkpoints.md": checkpoints,
    "export.md": exported,
    "seq2seq.md": searched,
    "tf1.md": moved_over,
}
"""What a page's snippets find there; docs/own-cell.md has a test of its own."""


def test_every_page_with_python_is_run() -> None:
    assert {page.name for page in PAGES if blocks(page)} == {*GIVEN, "own-cell.md"}


@pytest.mark.parametrize("name", GIVEN)
def test_python(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = next(page for page in PAGES if page.name == name)
    names = {"__name__": "page", **GIVEN[name]()}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), names)


def commands(page: Path) -> list[str]:
    """Calls of `recurra` on the page: lines that begin with it, and inline code."""
    text = page.read_text()
    lines = re.findall(r"^(?: {4})?(?:\$ )?(recurra [a-z].*)$", text, re.MULTILINE)
    inline = re.findall(r"`(recurra [a-z][^`]*)`", re.sub(r"\s+", " ", text))
    pieces = [piece for line in (*lines, *inline) for piece in re.split(r"\s#|&&|\||;|>", line)]
    return [piece.strip() for piece in pieces if piece.strip().startswith("recurra ")]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_commands(page: Path) -> None:
    for call in commands(page):
        command: Any = typer.main.get_command(app)
        words = shlex.split(call, posix=False)[1:]
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            name = words.pop(0)
            if name in ("RECIPE", "…"):  # any recipe: its options are its own
                words = []
                break
            found = command.load(name) if name in getattr(command, "table", {}) else command.commands.get(name)
            assert found is not None, f"{page.name}: `{call}`: there is no command {name!r}"
            command = found
        if (words and words[0] == "PROGRAM") or command.name == "run":
            continue  # what follows a program is its own
        known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        flags = {word.strip("[],.").partition("=")[0] for word in words if re.match(r"\[?--[a-z]", word)}
        assert flags <= known | {"--help"}, f"{page.name}: `{call}`: {sorted(flags - known)} are no options"
