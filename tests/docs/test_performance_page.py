"""The tables of docs/performance.md are those of docs/performance.json."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make_performance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_performance", DOCS / "make_performance.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_what_was_measured(make_performance: ModuleType) -> None:
    page = (DOCS / "performance.md").read_text()
    marked = re.findall(r"<!-- table: (\w+) -->", page)
    assert sorted(marked) == sorted(make_performance.TABLES)
    found = json.loads((DOCS / "performance.json").read_text())
    assert make_performance.filled(page, found) == page, "run: python docs/make_performance.py"


def test_what_misses_its_mark_is_bold(make_performance: ModuleType) -> None:
    assert make_performance.at_least(0.994, 1) == "**0.99**"
    assert make_performance.at_least(0.996, 1) == "1.00"
    assert make_performance.at_most(1.11, 1.1) == "**1.11**"
    assert make_performance.span([1.3, 0.9], make_performance.at_most, 1.0) == "0.90 to **1.30**"
