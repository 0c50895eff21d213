"""docs/api.md has the names and places that docs/make_api.py writes, and every public name says what it is."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make_api() -> ModuleType:
    pytest.importorskip("onnx")
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(page: str) -> list[str]:
    """Headings, and names with their links."""
    return [line.split("): ")[0] for line in page.splitlines() if line.startswith(("#", "- "))]


def test_the_page_has_what_the_generator_writes(make_api: ModuleType) -> None:
    assert entries((DOCS / "api.md").read_text()) == entries(make_api.page()), "run: python docs/make_api.py"


def test_every_public_name_has_a_sentence_of_its_own(make_api: ModuleType) -> None:
    modules = [importlib.import_module(name) for name in make_api.MODULES]
    silent = [
        f"{module.__name__}.{public}"
        for module in modules
        for public in make_api.public_names(module)
        if not make_api.first_sentence(getattr(module, public))
    ]
    assert silent == []
