"""Arrays frozen from TensorFlow 1.15, in `tests/goldens` (its README says how they were made)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).parent / "goldens"


class Arrays:
    """One file: its arrays as fresh tensors, and the comparison with a computed value."""

    def __init__(self, name: str) -> None:
        with np.load(ROOT / f"{name}.npz") as file:
            self.arrays = {key: file[key] for key in file.files}
        self.meta: dict[str, Any] = json.loads(str(self.arrays.pop("meta", "{}")))

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(np.array(self.arrays[key]))

    def get(self, key: str) -> Tensor | None:
        """The array, or None where the file has none of that name."""
        return self[key] if key in self.arrays else None

    def under(self, prefix: str) -> dict[str, Tensor]:
        """All arrays whose keys begin with `prefix/`, by the rest of the key."""
        return {key[len(prefix) + 1 :]: self[key] for key in self.arrays if key.startswith(f"{prefix}/")}

    def check(self, key: str, value: Tensor | None) -> float:
        """Assert that `value` is what TensorFlow gave; the error relative to max(1, |reference|)."""
        assert value is not None, key
        expected = self[key]
        assert value.shape == expected.shape, (key, value.shape, expected.shape)
        assert value.dtype == expected.dtype, (key, value.dtype, expected.dtype)
        tolerance = 1e-12 if expected.dtype == torch.float64 else 1e-5
        if not value.numel():
            return 0.0
        error = ((value.detach() - expected).abs() / expected.abs().clamp(min=1)).max().item()
        assert error <= tolerance, f"{key}: error {error:.2e} above {tolerance}"
        return error
