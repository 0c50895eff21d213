"""Arguments are checked once, at the call: the message names the argument, what came, and what was expected."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import SCALAR, State, StateSize
from recurra.errors import InputError, StructureError
from recurra.kernels.scan import traced


def positive(name: str, value: int) -> int:
    """`value` if it is a positive integer, else an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"`{name}` must be a positive integer, got {value!r}")
    return value


def natural(name: str, value: int) -> int:
    """`value` if it is an integer of at least 0, else an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"`{name}` must be an integer of at least 0, got {value!r}")
    return value


def positive_or_none(name: str, value: float | None) -> float | None:
    """`value` if it is None or a positive number, else an error that names the argument."""
    if value is not None and not value > 0:
        raise InputError(f"`{name}` must be None or a positive number, got {value!r}")
    return value


def check_step(cell: Any, x: Any, state: State) -> None:
    """A single step's input `[B, I]` and state against a cell's sizes."""
    check_features("x", x, cell.input_size, leading=("B",))
    check_state("state", state, cell.state_size, _nest.flatten(x)[0].shape[0])


def check_features(name: str, value: Any, input_size: Any, leading: tuple[str, ...]) -> None:
    """Each leaf of `value` is a tensor with the axes `leading` followed by the features that `input_size` says."""
    if type(value) is Tensor and value.dim() == len(leading) + 1 and value.shape[-1] == input_size:
        return  # by far the most calls, at a tenth of the cost
    leaves = _nest.flatten(value)
    if not leaves:
        raise StructureError(f"`{name}` holds no tensor")
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise StructureError(f"`{name}` must be a tensor, got {type(leaf).__name__}")
    if input_size is None:
        return
    if not _nest.same_structure(value, input_size):
        raise StructureError(
            f"`{name}` has another structure than expected: got {_nest.describe(value)}, "
            f"expected sizes {_nest.describe(input_size)}"
        )
    for leaf, size in zip(leaves, _nest.flatten(input_size), strict=True):
        features = [size] if isinstance(size, int) else list(size)
        expected = f"[{', '.join([*leading, *map(str, features)])}]"
        if leaf.dim() != len(leading) + len(features):
            raise InputError(f"`{name}` has rank {leaf.dim()} (shape {list(leaf.shape)}), expected shape {expected}")
        if list(leaf.shape[len(leading) :]) != features:
            raise InputError(f"`{name}` has shape {list(leaf.shape)}, expected {expected}")


def check_state(name: str, state: State, state_size: StateSize, batch_size: int) -> None:
    """`state` has the structure of `state_size`, and each leaf `[B, ...]` of the right size."""
    if _plainly_fits(state, state_size, batch_size):
        return
    if not _nest.same_structure(state, state_size):
        raise StructureError(
            f"`{name}` has another structure than the cell's: got {_nest.describe(state)}, "
            f"expected {_nest.describe(state_size)}"
        )
    for leaf, size in zip(_nest.flatten(state), _nest.flatten(state_size), strict=True):
        if not isinstance(leaf, Tensor):
            raise StructureError(f"`{name}` must hold tensors, got {type(leaf).__name__}")
        if size is SCALAR:
            expected: list[int] = []
        else:
            expected = [batch_size, *([size] if isinstance(size, int) else size)]
        if list(leaf.shape) != expected:
            raise InputError(
                f"`{name}` holds a tensor of shape {list(leaf.shape)}, expected {expected} "
                f"(batch size {batch_size} from the input)"
            )


def _plainly_fits(state: State, state_size: StateSize, batch_size: int) -> bool:
    """Whether matrices in tuples are what was expected: most states are, and this finds it out quickly."""
    if type(state_size) is int:
        return type(state) is Tensor and state.shape == (batch_size, state_size)
    if not isinstance(state_size, tuple) or type(state_size) is torch.Size or not isinstance(state, tuple):
        return False
    if len(state) != len(state_size):
        return False
    for part, size in zip(state, state_size, strict=True):  # noqa: SIM110  (a generator costs more)
        if not _plainly_fits(part, size, batch_size):
            return False
    return True


def check_lengths(lengths: Tensor, batch_size: int, steps: int, device: torch.device) -> None:
    """`lengths` is `[B]` integers in `0..T` on the input's device (values are not read under tracing)."""
    if not isinstance(lengths, Tensor):
        raise StructureError(f"`lengths` must be a tensor, got {type(lengths).__name__}")
    if lengths.dtype not in (torch.int32, torch.int64, torch.int16, torch.int8, torch.uint8):
        raise StructureError(f"`lengths` must hold integers, got dtype {lengths.dtype}")
    if list(lengths.shape) != [batch_size]:
        raise InputError(f"`lengths` has shape {list(lengths.shape)}, expected [{batch_size}]")
    if lengths.device != device:
        raise InputError(f"`lengths` is on {lengths.device}, the inputs are on {device}")
    if traced(lengths) or lengths.numel() == 0:
        return
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 0:
        raise InputError(f"`lengths` must not be negative, got {shortest}")
    if longest > steps:
        raise InputError(f"`lengths` holds {longest}, but the inputs have only T={steps} steps")
