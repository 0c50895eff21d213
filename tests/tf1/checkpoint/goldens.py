"""Where this part's golden files lie, and how their values are kept."""

from pathlib import Path

import numpy as np
import pytest

GOLDENS = Path(__file__).parents[2] / "goldens" / "checkpoints"
SHARED = Path(__file__).parents[4] / "shared"
RELEASES = ("1.0.1", "1.2.1", "1.4.0")

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared (checkpoints that others published)")


def golden_values(name: str, step: int = 4) -> dict[str, np.ndarray]:
    """Values that TensorFlow 1.15 reported for a golden checkpoint; strings as rows of bytes padded with -1."""
    prefix = f"step{step}/"
    with np.load(GOLDENS / f"{name}.npz") as file:
        return {key[len(prefix) :]: file[key] for key in file.files if key.startswith(prefix)}


def as_golden(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """An array as the golden files keep it."""
    if values.dtype == object:
        rows = np.full(like.shape, -1, np.int16)
        for row, item in zip(rows.reshape(-1, like.shape[-1]), values.reshape(-1), strict=True):
            row[: len(item)] = list(item)
        return rows
    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values
