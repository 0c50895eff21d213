"""A cell as plain data and back: class names and constructor arguments, never code.

Only classes that `recurra` exports are built, with plain arguments, so that a file from elsewhere can do nothing but
make cells.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

import recurra
from recurra._typing import LSTMState
from recurra.cells import BaseCell
from recurra.errors import CheckpointError, StructureError

__all__ = ["build_cell", "describe_cell"]

_DROPPED = ("init", "device")  # the weights come from the file, the device is the reader's


def describe_cell(cell: BaseCell) -> dict[str, Any]:
    """JSON data that `build_cell` makes an equal cell of (its weights apart).

    Raises:
        StructureError: a cell of a class that recurra does not export, or built with a callable.
    """
    return _describe(cell, {})


def _describe(cell: BaseCell, seen: dict[int, int]) -> dict[str, Any]:
    if id(cell) in seen:
        return {"same": seen[id(cell)]}
    seen[id(cell)] = len(seen)
    name = type(cell).__name__
    if getattr(recurra, name, None) is not type(cell):
        raise StructureError(f"{name} is not one of recurra's own cells: keep its code and use its state_dict")
    args, kwargs = cell.constructed_with
    bound = inspect.signature(type(cell).__init__).bind(cell, *args, **kwargs)
    bound.arguments.pop("self")
    flat: dict[str, Any] = {}
    for parameter, value in bound.arguments.items():
        kind = inspect.signature(type(cell).__init__).parameters[parameter].kind
        flat.update(value if kind is inspect.Parameter.VAR_KEYWORD else {parameter: value})
    described = {p: _plain(f"{name}({p}=…)", v, seen) for p, v in flat.items() if p not in _DROPPED}
    return {"cell": name, "arguments": described}


def _plain(where: str, value: Any, seen: dict[int, int]) -> Any:
    name = getattr(value, "__name__", None)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, BaseCell):
        return _describe(value, seen)
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, LSTMState):
        return {"LSTMState": [_plain(where, v, seen) for v in value]}
    if isinstance(value, tuple | list):
        return [_plain(where, v, seen) for v in value]
    if inspect.isclass(value) and name in recurra.__all__ and getattr(recurra, str(name)) is value:
        return {"class": name}
    raise StructureError(f"{where} is {value!r}, which cannot be written down as data")


def build_cell(description: Any) -> BaseCell:
    """The cell that `describe_cell` described, with fresh weights.

    Raises:
        CheckpointError: a description that is none, or of a class that recurra does not have.
    """
    try:
        return _build(description, [])
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        raise CheckpointError(f"the description of the cell is damaged: {error}") from None


def _build(description: Any, made: list[BaseCell | None]) -> BaseCell:
    if "same" in description:
        found = made[int(description["same"])]
        if found is None:
            raise ValueError("a cell holds itself")
        return found
    place = len(made)
    made.append(None)
    arguments = {name: _value(value, made) for name, value in description["arguments"].items()}
    made[place] = _cell_class(description["cell"])(**arguments)
    return made[place]  # type: ignore[return-value]


def _cell_class(name: str) -> type[BaseCell]:
    found: Any = getattr(recurra, name, None) if name in recurra.__all__ else None
    if not (isinstance(found, type) and issubclass(found, BaseCell)) or found is BaseCell:
        raise ValueError(f"there is no cell {name!r}")
    return found


def _value(value: Any, made: list[BaseCell | None]) -> Any:
    if isinstance(value, list):
        return [_value(item, made) for item in value]
    if not isinstance(value, dict):
        return value
    if "dtype" in value:
        dtype = getattr(torch, str(value["dtype"]))
        if not isinstance(dtype, torch.dtype):
            raise ValueError(f"{value['dtype']!r} is no dtype")
        return dtype
    if "LSTMState" in value:
        return LSTMState(*_value(value["LSTMState"], made))
    if "class" in value:
        return _cell_class(value["class"])
    return _build(value, made)
