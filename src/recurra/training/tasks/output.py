"""Lines that predictions are printed as."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def format_probabilities(probabilities: Tensor, classes: Sequence[str], most: int = 3) -> str:
    """`class<TAB>probability`, and the next likeliest behind it."""
    values, order = probabilities.topk(min(most, len(classes)))
    return "\t".join(f"{classes[int(i)]}\t{float(v):.4f}" for v, i in zip(values, order, strict=True))
