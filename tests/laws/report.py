"""`python -m tests.laws.report`: each row of the table of cells with its worst error against TensorFlow 1.15."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cells import test_family
from tests.laws.golden import worst_error
from tests.laws.table import ROWS


def errors() -> Iterator[tuple[str, str, float]]:
    """(cell, golden file, worst error relative to max(1, |reference|))."""
    for row in ROWS.values():
        for golden in row.goldens:
            yield row.name, golden, worst_error(row, golden)
    for name in test_family.TENSORFLOW:
        yield name.removesuffix("_f64"), name, test_family.worst_error(name)


def main() -> None:
    print(f"{'cell':34}{'golden file':34}worst error")
    for cell, golden, error in errors():
        print(f"{cell:34}{golden:34}{error:.1e}")


if __name__ == "__main__":
    main()
