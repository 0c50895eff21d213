"""Every row of the table against its files."""

from __future__ import annotations

import pytest

from tests.laws.golden import worst_error
from tests.laws.table import Row, golden_cases


@pytest.mark.parametrize(("row", "golden"), golden_cases(), ids=lambda value: getattr(value, "name", value))
def test_golden(row: Row, golden: str) -> None:
    worst_error(row, golden)
