"""Arguments are checked once, at the call: the message names the argument, what came, and what was expected."""

from __future__ import annotations

import numbers
from typing import Any

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import SCALAR, Masks, State, StateSize
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


def number(name: str, value: float) -> float:
    """`value` if it is a real number, else an error that names the argument."""
    if isinstance(value, Tensor) and value.dim() == 0:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise StructureError(f"`{name}` must be a number, got {value!r}")
    return float(value)


def positive_or_none(name: str, value: float | None) -> float | None:
    """`value` if it is None or a positive number, else an error that names the argument."""
    if value is not None and not number(name, value) > 0:
        raise InputError(f"`{name}` must be None or a positive number, got {value!r}")
    return value


def probability(name: str, value: float) -> float:
    """`value` if it is a probability to keep something, else an error that names the argument."""
    if not 0 < number(name, value) <= 1:
        raise InputError(f"`{name}` must be a probability in (0, 1], got {value!r}")
    return float(value)


def check_projection_clip(projection_size: int | None, projection_clip: float | None) -> None:
    """A bound of the projected output needs a projection."""
    if projection_clip is not None and projection_size is None:
        raise InputError(f"`projection_clip` ({projection_clip}) needs a `projection_size`")


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


def check_classes(name: str, values: Tensor, classes: int, what: str = "") -> None:
    """Integers of `values` lie in `0..classes-1` (they are not read under tracing); `what` ends the message."""
    if values.is_floating_point() or values.is_complex() or values.dtype is torch.bool:
        raise StructureError(f"`{name}` must hold integers, got dtype {values.dtype}")
    if traced(values) or not values.numel():
        return
    lowest, highest = int(values.min()), int(values.max())
    if not 0 <= lowest <= highest < classes:
        raise InputError(f"`{name}` must lie in 0..{classes - 1}, got {lowest if lowest < 0 else highest}{what}")


def check_masks(masks: Masks, steps: int, batch_size: int) -> None:
    """Random masks that were given instead of drawn are tensors `[T or 1, B or 1, ...]`."""
    for leaf in _nest.flatten(masks):
        if not isinstance(leaf, Tensor):
            raise StructureError(f"`masks` must hold tensors, got {type(leaf).__name__}")
        if leaf.dim() < 2 or leaf.shape[0] not in (1, steps) or leaf.shape[1] not in (1, batch_size):
            raise InputError(
                f"`masks` holds a tensor of shape {list(leaf.shape)}, expected [{steps} or 1, {batch_size} or 1, ...] "
                "(time first)"
            )


def autocast_enabled(device: torch.device) -> bool:
    """Whether autocast is on there; meta tensors have none, and torch would refuse the question."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def check_dtypes(cell: Any, inputs: Any, state: State, name: str) -> None:
    """Inputs and state have the dtype of the cell's parameters, where autocast does not see to that."""
    reference = next((value for value in cell.parameters() if value.is_floating_point()), None)
    if reference is None or autocast_enabled(reference.device):
        return
    for what, values in ((name, inputs), ("state", state)):
        for leaf in _nest.flatten(values):
            if leaf.dtype is not reference.dtype and (leaf.is_floating_point() or what == name):
                raise InputError(
                    f"`{what}` has dtype {leaf.dtype}, but the parameters of {type(cell).__name__} have "
                    f"{reference.dtype}; convert one of them (`.to({reference.dtype})`)"
                )
