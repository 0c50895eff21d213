"""Run-time values: numpy to torch and back, and the cells that hold variables."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from recurra.tf1 import errors
from recurra.tf1.compat import python2_files
from recurra.tf1.dtypes import DType, bfloat16


def to_torch(array: np.ndarray) -> Any:
    """A numpy array as a torch tensor (shared memory where possible); text stays a numpy object array of bytes."""
    if array.dtype.kind in "SUO":
        return as_bytes_array(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if not array.flags.writeable or not array.flags.c_contiguous or array.dtype.byteorder not in "=|":
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(array)


def as_bytes_array(array: np.ndarray) -> np.ndarray:
    """Text of any kind as an object array of bytes."""
    out = np.empty(array.shape, dtype=object)
    flat = out.reshape(-1)
    for i, item in enumerate(array.reshape(-1)):
        flat[i] = item.encode() if isinstance(item, str) else item
    return out


def to_numpy(value: Any) -> Any:
    """What Session.run returns for a run-time value: an array of its own, or a numpy scalar for rank 0."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        if value.dtype == torch.bfloat16:
            return _unwrap(value.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy())
        if value.is_conj() or value.is_neg():
            value = value.resolve_conj().resolve_neg()
        return _unwrap(np.array(value.numpy(), order="C", copy=True))
    if isinstance(value, Cell):
        return to_numpy(value.read())
    if isinstance(value, np.ndarray):
        return _unwrap(python2_files.strings(value) if python2_files.in_force else value.copy())
    if hasattr(value, "fetch_value"):
        return value.fetch_value()
    return value


def _unwrap(array: np.ndarray) -> Any:
    return array[()] if array.ndim == 0 else array


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a run-time value."""
    return tuple(value.shape)


class Cell:
    """The storage of one variable in one session."""

    __slots__ = ("name", "op", "static_shape", "value")

    def __init__(self, op: Any):
        self.op, self.name = op, op.name
        self.value: Any = None

    def read(self) -> Any:
        """The current value (shared, not a copy); FailedPreconditionError before initialisation."""
        if self.value is None:
            if self.op.type == "VarHandleOp":
                raise errors.FailedPreconditionError(
                    None, None,
                    f"Error while reading resource variable {self.name} from Container: localhost. This could mean "
                    f"that the variable was uninitialized. Not found: Resource localhost/{self.name} does not exist.",
                )  # fmt: skip
            raise errors.FailedPreconditionError(None, None, f"Attempting to use uninitialized value {self.name}")
        return self.value

    @property
    def data(self) -> torch.Tensor:
        """The stored tensor for in-place updates: autograd's version counter does not see them, as in TensorFlow."""
        return self.read().data

    def write(self, value: Any) -> None:
        """Copy `value` in; shape and dtype are the caller's affair."""
        if not isinstance(value, torch.Tensor):
            self.value = value.copy() if isinstance(value, np.ndarray) else value
            return
        value = value.detach()
        old = self.value
        if isinstance(old, torch.Tensor) and old.shape == value.shape and old.dtype == value.dtype:
            old.data.copy_(value)
        else:
            self.value = value.clone(memory_format=torch.contiguous_format)

    def replace(self, value: torch.Tensor) -> None:
        """Take `value` as the new storage without copying it (it must be fresh)."""
        self.value = value.detach()


class TrackedCell:
    """A variable that a gradient is taken by and that loops or functions read: autograd follows the reads."""

    __slots__ = ("cell", "leaf")

    requires_grad = True

    def __init__(self, cell: Cell):
        self.cell = cell
        self.leaf = cell.read().detach().requires_grad_(True)

    def read(self) -> torch.Tensor:
        return self.leaf

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cell, name)


def feed_value(value: Any, dtype: DType) -> Any:
    """A fed Python or numpy value as a run-time value of `dtype`, cast as TensorFlow casts feeds."""
    base = dtype.base_dtype
    if isinstance(value, torch.Tensor):
        return value.to(base.torch)
    if base.torch is None:
        return as_bytes_array(np.asarray(value, dtype=object if not isinstance(value, np.ndarray) else None))
    if base is bfloat16:
        return to_torch(np.asarray(value, dtype=ml_dtypes.bfloat16))
    array = np.asarray(value, dtype=base.as_numpy_dtype)
    if array.flags.writeable and array.flags.c_contiguous:
        return torch.from_numpy(array)
    return to_torch(array)
