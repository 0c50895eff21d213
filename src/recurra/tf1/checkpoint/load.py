"""From a checkpoint into a module: `load_into`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from .containers import read_any
from .errors import CheckpointError
from .files import Checkpoint
from .match import Candidate, match
from .meta import Meta, read_meta
from .modules import Unit, units_of
from .opaque import expand_opaque
from .view import View, scope_class

__all__ = ["LoadReport", "load_into"]

TORCH_FORGET_BIAS = 1.0  # what BasicLSTMCell and LSTMCell add where neither graph nor name says otherwise


@dataclass(frozen=True)
class LoadReport:
    """What `load_into` did: everything by name."""

    matched: tuple[tuple[str, str], ...]
    """(parameter of the module, stored variable)."""
    missing: tuple[str, ...]
    """Parameters that no variable fits, each with the reason."""
    unused: tuple[str, ...]
    """Variables of the model that the module has no place for."""
    slots: tuple[str, ...]
    """Optimizer slots, moving averages and counters, which are never loaded."""
    era: str | None
    """The releases whose names the checkpoint has."""
    notes: tuple[str, ...] = field(default=())
    """What was assumed or could not be checked."""

    def __str__(self) -> str:
        lines = [f"{parameter} <- {variable}" for parameter, variable in self.matched]
        lines += [f"missing: {line}" for line in self.missing]
        lines += [f"unused: {name}" for name in self.unused]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(
            [*lines, f"names of {self.era or 'no known era'}; {len(self.slots)} slots and counters ignored"]
        )


def load_into(
    module: nn.Module,
    prefix: str | os.PathLike[str] | Mapping[str, np.ndarray],
    scope: str = "",
    *,
    names: Mapping[str, str] | None = None,
    allow_partial: bool = False,
) -> LoadReport:
    """Fill a module's parameters from a checkpoint, by structure and by the names of any era.

    module: a cell, a stack, torch.nn's recurrent modules (their gate order and biases are converted), or any module
        that holds such, embeddings, dense layers, attention, transitions.
    prefix: a checkpoint's path, an open one, or a mapping from variable names to arrays.
    scope: only variables under this scope (as stored) are looked at.
    names: for modules that the names alone cannot place, `{"path.of.module": "scope/in/1.15's/names"}`.
    allow_partial: load what fits even where some parameters find no variable.

    Nothing is changed unless all is well. Raises CheckpointError where parameters stay without a variable or several
    fit (the message lists both sides), and where the graph ran with another forget bias than the module's.
    """
    opened = None if isinstance(prefix, Mapping) else read_any(prefix)
    tensors: Mapping[str, np.ndarray] = prefix if isinstance(prefix, Mapping) else opened  # type: ignore[assignment]
    try:
        return _load(module, tensors, scope, dict(names or {}), allow_partial)
    finally:
        if isinstance(opened, Checkpoint):
            opened.close()


def _load(
    module: nn.Module, tensors: Mapping[str, np.ndarray], scope: str, names: dict[str, str], allow_partial: bool
) -> LoadReport:
    where = tensors.prefix if isinstance(tensors, Checkpoint) else "the mapping"
    units = list(units_of(module))
    _check_names(units, names)
    view = View(expand_opaque(tensors, units), scope)
    matching = match(units, view, names)
    missing = tuple(f"{_label(unit)}: {reason}" for unit, reason in matching.missing)
    used = {name for _, candidate in matching.found for _, name in candidate.variables}
    unused = tuple(stored for name, group in view.stored.items() if name not in used for stored in group)
    if missing and not allow_partial:
        left = ", ".join(unused) or "none"
        raise CheckpointError(
            where, "does not fit the module.\n  " + "\n  ".join(missing) + f"\n  variables left: {left}"
        )
    notes = _forget_biases(matching.found, view, _meta_of(tensors), where)
    notes += tuple(
        f"{_label(unit)}: a Keras layer, whose gates may be hard_sigmoid (the default before TensorFlow 2), not sigmoid"
        for unit, candidate in matching.found
        if candidate.scope in view.keras
    )
    values = [(unit, {n: view.read(full) for n, full in c.variables}) for unit, c in matching.found]
    before = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    try:
        for unit, arrays in values:
            unit.put(arrays)
    except ValueError as error:
        module.load_state_dict(before)
        raise CheckpointError(where, str(error)) from None
    matched = tuple(
        (parameter, " + ".join(view.stored[full]))
        for unit, candidate in matching.found
        for name, full in candidate.variables
        for parameter in unit.slots[name].parameters
    )
    return LoadReport(matched, missing, unused, (*view.slots, *view.bookkeeping), view.era, notes)


def _check_names(units: list[Unit], names: dict[str, str]) -> None:
    known = {unit.path for unit in units}
    around = {"" for _ in units} | {path[: m.start()] for path in known for m in re.finditer(r"\.", path)} | known
    for path in names:
        if path not in around:
            raise ValueError(f"names has the path {path!r}, which is no module here; there are {sorted(known)}")


def _label(unit: Unit) -> str:
    return unit.path or "the module"


def _meta_of(tensors: Mapping[str, np.ndarray]) -> Meta | None:
    """The graph beside an open checkpoint, where there is one that can be read."""
    if not isinstance(tensors, Checkpoint):
        return None
    try:
        return read_meta(tensors.prefix)
    except (CheckpointError, ImportError):
        return None


def _forget_biases(found: list[tuple[Unit, Candidate]], view: View, meta: Meta | None, where: str) -> tuple[str, ...]:
    """Hold every LSTM's forget bias against the graph's; torch.nn's take the graph's."""
    notes = []
    for unit, candidate in found:
        if unit.forget_bias is None and unit.any_forget_bias is None:
            continue
        known = _graph_forget_bias(candidate, view, meta)
        if unit.any_forget_bias is not None:
            unit.any_forget_bias(TORCH_FORGET_BIAS if known is None else known)
            if known is None:
                notes.append(f"{_label(unit)}: no graph says the forget bias; {TORCH_FORGET_BIAS} went into bias_ih")
        elif known is None:
            notes.append(f"{_label(unit)}: no graph says the forget bias; the module adds {unit.forget_bias}")
        elif unit.forget_bias is not None and abs(known - unit.forget_bias) > 1e-6:
            raise CheckpointError(
                where,
                f"{candidate.scope} ran with forget_bias {known}, {_label(unit)} adds {unit.forget_bias}: "
                f"construct it with forget_bias={known}",
            )
    return tuple(notes)


def _graph_forget_bias(candidate: Candidate, view: View, meta: Meta | None) -> float | None:
    if scope_class(candidate.scope) == "cudnn_compatible_lstm_cell":
        return 0.0
    kernel = dict(candidate.variables).get("kernel")
    if meta is None or kernel is None:
        return None
    return meta.cell_facts(view.stored[kernel][0]).forget_bias
