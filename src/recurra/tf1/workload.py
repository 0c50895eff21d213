"""How much a plan has to compute at once: small plans run on one thread.

A product of a few thousand numbers takes two microseconds on one thread and, where the second one sleeps, eighty on two. What counts is
the largest operation: below `ENOUGH` none of a plan's operations is worth waking a thread for.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from recurra.tf1.order import needed_ops
from recurra.tf1.tensor import Operation, Tensor

ENOUGH = 2_000_000
"""Multiply-adds of one operation from which on a second thread is of use; some 40 µs of one core."""
_PER_ELEMENT = 16
"""Multiply-adds that take as long as one element of an element-wise operation."""
_STEPS = 64
"""What a loop over a cell is taken to have."""
_PRODUCTS = {"MatMul", "BatchMatMul", "BatchMatMulV2"}
_UNKNOWN = {"LibraryCall", "PyFunc", "PyFuncStateless", "CustomGradient", "Cond"}
_UNKNOWN_FAMILIES = ("Conv", "Depthwise", "Matrix", "SelfAdjoint", "Svd", "Qr", "FFT", "RFFT", "IFFT")

Dims = Sequence[int | None] | None


class Workload:
    """The largest operation of a plan, for every number of dimensions that only the run knows."""

    def __init__(self, ops: Iterable[Operation], args: Sequence[Tensor]):
        self._terms: dict[int, int] = {}
        self._bounded = True
        for op in ops:
            self._count(op)
        self._open = [
            (i, [n for n, d in enumerate(t.shape.values) if d is None] if t.shape.values is not None else None)
            for i, t in enumerate(args)
            if not t.shape.is_fully_defined()
        ]
        if max(self._terms, default=0) > 0 and not self._open:
            self._bounded = False  # sizes that no feed tells

    def small(self, values: Sequence[Any]) -> bool:
        """Whether one thread does as well for these values of the plan's arguments."""
        if not self._bounded:
            return False
        size = 1
        for i, axes in self._open:
            shape = getattr(values[i], "shape", ())
            for n in shape if axes is None else [shape[a] for a in axes]:
                size = max(size, n)
        return all(work * size**degree < ENOUGH for degree, work in self._terms.items())

    def _count(self, op: Operation, times: int = 1) -> None:
        kind = op.type
        if kind == "While":
            context = op.attrs["_loop_context"]
            for inner in needed_ops(context.following, [], [*context.entered, *context.captures]):
                self._count(inner, _STEPS if inner.type == "CellStep" else 1)
        elif kind.startswith("TensorArray"):
            pass
        elif kind in _UNKNOWN or kind.startswith(_UNKNOWN_FAMILIES):
            self._bounded = False
        elif kind in _PRODUCTS:
            columns = op.outputs[0].shape.values
            self._add(_dims(op.inputs[0]), None if columns is None else columns[-1:])
        elif kind in ("CellStep", "CellSequence"):
            lengths = op.attrs["_lengths"]
            sources = op.inputs[: lengths.get("xs", 1)]
            rows, kernel = _dims(sources[0]), _dims(op.inputs[-lengths["params"]])
            self._add(None if rows is None else rows[:-1], kernel, times * len(sources))
        else:
            for tensor in op.inputs if op.definition.writes else op.outputs:
                self._add(_dims(tensor), (), _PER_ELEMENT)

    def _add(self, some: Dims, more: Dims, times: int = 1) -> None:
        if some is None or more is None:
            self._bounded = False
            return
        dims = [*some, *more]
        unknown = dims.count(None)
        self._terms[unknown] = max(self._terms.get(unknown, 0), times * math.prod(d for d in dims if d is not None))


def _dims(tensor: Tensor) -> Dims:
    return tensor.shape.values
