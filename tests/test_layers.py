"""The layers import only what lies below them, as pyproject.toml's contracts say, and files stay short."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == cli.EXIT_STATUS_SUCCESS


def test_files_stay_short() -> None:
    """600 lines; the wing's tables of TensorFlow's names may have more."""
    source = ROOT / "src" / "recurra"
    counts = {str(path.relative_to(source)): len(path.read_text().splitlines()) for path in source.rglob("*.py")}
    assert counts
    assert {name: lines for name, lines in counts.items() if lines > (1000 if name.startswith("tf1/") else 600)} == {}
