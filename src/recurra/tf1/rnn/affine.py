"""Reading pre-activations: which products and biases the columns of a tensor are the sum of.

`x @ W + h @ U + b`, `concat([x, h], 1) @ W + b`, a quarter of either by `split` or a slice: all become one Affine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from recurra.tf1.constants import constant_value
from recurra.tf1.tensor import Operation, Tensor

_SUMS = {"MatMul", "Add", "AddV2", "BiasAdd", "Split", "StridedSlice"}
"""What a pre-activation, or a part of one, comes from; other rows of one are biases."""


class Block(NamedTuple):
    """Rows and columns of a matrix, or columns of a bias (then `rows` is 0)."""

    weight: Tensor
    row: int
    rows: int
    column: int
    columns: int


class Columns(NamedTuple):
    """Some columns of a tensor of rank 2."""

    tensor: Tensor
    first: int
    count: int


class Affine(NamedTuple):
    """sign · (Σ source @ block + Σ biases + offset)."""

    products: dict[Tensor, Block]
    biases: tuple[Block, ...]
    offset: float
    sign: int = 1


class Reader:
    """Reads a graph backwards, but not through `closed` tensors."""

    def __init__(self, closed: Callable[[Tensor], bool]):
        self._closed = closed
        self._reads: dict[Tensor, Tensor] = {}
        self._cuts: dict[Any, Tensor] = {}

    def through(self, tensor: Tensor) -> Operation | None:
        """The operation behind a tensor, when its result may be computed in another way."""
        op = tensor.op
        if self._closed(tensor) or op._control_inputs or (len(op.outputs) > 1 and op.type != "Split"):
            return None
        return op

    def same(self, tensor: Tensor) -> Tensor:
        """What identities hand on."""
        while tensor.op.type == "Identity" and not tensor.op._inputs[0].dtype._is_ref_dtype:
            op = self.through(tensor)
            if op is None:
                return tensor
            tensor = op._inputs[0]
        return tensor

    def columns(self, tensor: Tensor) -> Columns | None:
        """A tensor of rank 2 as columns of the one that it was cut from."""
        width = _width(tensor)
        return None if width is None else self._cut(Columns(tensor, 0, width))

    def _cut(self, part: Columns) -> Columns | None:
        tensor = self.same(part.tensor)
        op = tensor.op
        if op.type == "Split" and (axis := constant_value(op.inputs[0])) is not None and int(axis) in (1, -1):
            whole, first = op.inputs[1], tensor.value_index * (_width(tensor) or 0)
        elif op.type == "StridedSlice" and (start := _columns_from(op)) is not None:
            whole, first = op.inputs[0], start
        else:
            return part._replace(tensor=tensor)
        if _width(whole) is None or self.through(tensor) is None:
            return None
        return self._cut(Columns(whole, first + part.first, part.count))

    def affine(self, part: Columns | None) -> Affine | None:
        """The sum that some columns are; None where they are something else."""
        found = None if part is None else self._cut(part)
        if found is None:
            return None
        tensor, first, count = found
        if first + count > (_width(tensor) or 0):
            return None
        op = tensor.op
        if op.type == "MatMul":
            return self._product(op, tensor, first, count)
        if op.type in ("Add", "AddV2", "BiasAdd"):
            a, b = (self._term(t, first, count) for t in op.inputs)
            return None if a is None or b is None or self.through(tensor) is None else _sum(a, b)
        return None

    def _term(self, tensor: Tensor, first: int, count: int) -> Affine | None:
        shape = tensor.shape.values
        if shape is None:
            return None
        if len(shape) == 0:
            value = constant_value(tensor)
            return None if value is None else Affine({}, (), float(value))
        if len(shape) == 1 or (shape[0] == 1 and tensor.op.type not in _SUMS):
            if shape[-1] is None or first + count > shape[-1]:
                return None  # one number for all columns
            return Affine({}, (Block(self._parameter(tensor), 0, 0, first, count),), 0.0)
        return self.affine(Columns(tensor, first, count))

    def _product(self, op: Operation, tensor: Tensor, first: int, count: int) -> Affine | None:
        a, weight = op.inputs
        if op.attrs.get("transpose_a") or op.attrs.get("transpose_b") or self.through(tensor) is None:
            return None
        products: dict[Tensor, Block] = {}
        row = 0
        for source in self.sources(a):
            rows = _width(source)
            if rows is None or source in products:
                return None
            products[source] = Block(self._parameter(weight), row, rows, first, count)
            row += rows
        return Affine(products, (), 0.0)

    def _parameter(self, tensor: Tensor) -> Tensor:
        """One tensor for all reads of a resource variable that nothing orders."""
        op = tensor.op
        if op.type != "ReadVariableOp" or op._control_inputs:
            return tensor
        return self._reads.setdefault(op.inputs[0], tensor)

    def _first_cut(self, tensor: Tensor) -> Tensor:
        """One tensor for all slices x[:, t] that are the same."""
        op = tensor.op
        if op.type != "StridedSlice" or self._closed(tensor) or op._control_inputs:
            return tensor
        bounds = [constant_value(t) for t in op.inputs[1:]]
        if any(b is None for b in bounds):
            return tensor
        masks = sorted((k, v) for k, v in op.attrs.items() if k.endswith("_mask"))
        key = (op.inputs[0], *map(tuple, bounds), *masks)  # type: ignore[arg-type]
        return self._cuts.setdefault(key, tensor)

    def sources(self, tensor: Tensor) -> list[Tensor]:
        """The tensors side by side in one."""
        tensor = self.same(tensor)
        op = tensor.op
        if op.type == "ConcatV2" and (axis := constant_value(op.inputs[-1])) is not None and int(axis) in (1, -1):
            parts = op.inputs[:-1]
        elif op.type == "Concat" and (axis := constant_value(op.inputs[0])) is not None and int(axis) in (1, -1):
            parts = op.inputs[1:]
        else:
            return [self._first_cut(tensor)]
        if _width(tensor) is None or self.through(tensor) is None:
            return [tensor]
        return [source for part in parts for source in self.sources(part)]


def _sum(a: Affine, b: Affine) -> Affine | None:
    if a.products.keys() & b.products.keys():
        return None
    return Affine(a.products | b.products, a.biases + b.biases, a.offset + b.offset)


def _width(tensor: Tensor) -> int | None:
    shape = tensor.shape.values
    return shape[1] if shape is not None and len(shape) == 2 else None


def _columns_from(op: Operation) -> int | None:
    """Where x[:, a:b] begins; None for any other slice."""
    attrs = op.attrs
    begin, steps = constant_value(op.inputs[1]), constant_value(op.inputs[3])
    if begin is None or steps is None or len(begin) != 2 or any(int(s) != 1 for s in steps):
        return None
    if any(attrs.get(f"{kind}_mask") for kind in ("ellipsis", "new_axis", "shrink_axis")):
        return None
    if not (attrs.get("begin_mask", 0) & 1 and attrs.get("end_mask", 0) & 1):
        return None
    width = _width(op.inputs[0])
    if attrs.get("begin_mask", 0) & 2:
        return 0
    first = int(begin[1])
    return first if first >= 0 else None if width is None else first + width
