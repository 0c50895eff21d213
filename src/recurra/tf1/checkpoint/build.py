"""An inferred architecture as modules, and the names by which they are loaded."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import torch
from torch import nn

from recurra.cells import BaseCell, GRUCell, LSTMCell, RNNCell, StackedCells

if TYPE_CHECKING:
    from .architecture import Architecture, CellPart

__all__ = ["build", "module_names"]

_CELLS: dict[str, type[BaseCell]] = {
    "basic_rnn_cell": RNNCell,
    "basic_lstm_cell": LSTMCell,
    "lstm_cell": LSTMCell,
    "lstm_fused_cell": LSTMCell,
    "cudnn_compatible_lstm_cell": LSTMCell,
    "gru_cell": GRUCell,
    "cudnn_compatible_gru_cell": GRUCell,
}


class Transitions(nn.Module):
    """A CRF's `transitions [K, K]`, from the row's tag to the column's."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags, tags))


def build(architecture: Architecture) -> nn.ModuleDict:
    """Cells by loop (a stack where there are several layers), embeddings, dense layers and transitions."""
    modules: dict[str, nn.Module] = {}
    for loop, parts in _loops(architecture).items():
        cells = [_cell(part) for part in parts]
        modules[_key(loop)] = cells[0] if _alone(parts) else StackedCells(cells)
    for table in architecture.embeddings:
        modules[_key(table.name)] = nn.Embedding(table.classes, table.size)
    for dense in architecture.dense:
        modules[_key(dense.kernel)] = nn.Linear(dense.inputs, dense.outputs, bias=dense.bias is not None)
    for name, tags in architecture.transitions.items():
        modules[_key(name)] = Transitions(tags)
    return nn.ModuleDict(modules)


def module_names(architecture: Architecture) -> dict[str, str]:
    """The scope or variable of each of `build`'s modules."""
    names = {}
    for loop, parts in _loops(architecture).items():
        for place, part in enumerate(parts):
            names[_key(loop) + ("" if _alone(parts) else f".cells.{place}")] = part.scope
    names.update({_key(table.name): table.name for table in architecture.embeddings})
    names.update({_key(dense.kernel): dense.kernel for dense in architecture.dense})
    names.update({_key(name): name for name in architecture.transitions})
    return names


def _loops(architecture: Architecture) -> dict[str, list[CellPart]]:
    loops: dict[str, list[CellPart]] = {}
    for cell in architecture.cells:
        loops.setdefault(cell.loop or cell.scope, []).append(cell)
    for loop, cells in list(loops.items()):
        if not _chain(cells):  # cells side by side in one scope, not on top of each other
            del loops[loop]
            loops.update({cell.scope: [cell] for cell in cells})
    return loops


def _chain(cells: list[CellPart]) -> bool:
    return all(a.layer < b.layer and _outputs(a) == b.input_size for a, b in itertools.pairwise(cells))


def _outputs(cell: CellPart) -> int | None:
    return cell.options.get("projection_size", cell.hidden_size)


def _alone(parts: list[CellPart]) -> bool:
    return len(parts) == 1 and "multi_rnn_cell" not in parts[0].scope


def _cell(part: CellPart) -> BaseCell:
    if part.kind not in _CELLS or part.input_size is None or part.hidden_size is None:
        raise ValueError(
            f"{part.scope} is a {part.kind}, which is not built from sizes: construct it and use load_into"
        )
    return _CELLS[part.kind](part.input_size, part.hidden_size, **part.options)


def _key(scope: str) -> str:
    """A module's name from a scope: no dots, not empty, never an attribute of ModuleDict."""
    return re.sub(r"\W", "_", scope) or "rnn"
