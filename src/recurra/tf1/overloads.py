"""Python's operators on variables: they act on the variable's value."""

from __future__ import annotations

from typing import Any

from recurra.tf1.ops.indexing import strided_index
from recurra.tf1.ops.operators import install_operators
from recurra.tf1.partitioned import PartitionedVariable
from recurra.tf1.tensor import Tensor
from recurra.tf1.variables import Variable


def _item(self: Variable, key: Any) -> Tensor:
    return strided_index(self.value(), key, var=self)


def install() -> None:
    """Give variables the operators that tensors have."""
    for kind in (Variable, PartitionedVariable):
        install_operators(kind)
    Variable.__getitem__ = _item  # type: ignore[attr-defined]


install()
