"""The layers import only what lies below them, as pyproject.toml's contracts say, and files stay short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_layers() -> None:
    """In a process of its own: the linter switches off the loggers that it finds, which other tests listen to."""
    pytest.importorskip("importlinter.cli")
    program = "import sys, importlinter.cli as cli; sys.exit(cli.lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_stay_short() -> None:
    """600 lines; the wing's tables of TensorFlow's names may have more."""
    wing = ROOT / "src" / "recurra" / "tf1"
    paths = [path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert paths
    counts = {path: len(path.read_text().splitlines()) for path in paths}
    assert {str(path): n for path, n in counts.items() if n > (1000 if path.is_relative_to(wing) else 600)} == {}
