"""docs/cells.md lists every public cell, and nothing that is not there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import recurra as rc

PAGE = Path(__file__).parents[2] / "docs" / "cells.md"


def test_the_page_lists_the_cells() -> None:
    named = set(re.findall(r"`(\w+(?:Cell|Cells|Wrapper))(?:\(\[\.\.\.\]\))?`", PAGE.read_text()))
    public = {
        name for name in rc.__all__ if inspect.isclass(value := getattr(rc, name)) and issubclass(value, rc.BaseCell)
    }
    assert named == public - {"BaseCell"}
