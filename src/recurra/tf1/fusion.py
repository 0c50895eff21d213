"""Plan-time rewriting: chains of known cell steps become one call of the library's sequence kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.tf1.tensor import Operation, Tensor


def fuse(compiler: Any, ops: list[Operation], region: set[Operation], leaves: set[Tensor]) -> list[Operation]:
    """`ops` with what can be fused replaced by fused operations (none yet: every step runs by itself)."""
    return ops
