"""A checkpoint seen through 1.15's names: parts of a partition joined, optimizer slots set aside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from recurra.cells.keras_layout import KERAS_VARIABLES, keras_layer, keras_shapes, keras_values

from .files import Checkpoint
from .names import NameParts, era, is_bookkeeping, modern_names

__all__ = ["CELL_SCOPES", "View", "called_embedding", "in_cell", "natural_key", "scope_class"]

CELL_SCOPES = frozenset(
    re.findall(
        r"\w+",
        "basic_rnn_cell basic_lstm_cell lstm_cell lstm_fused_cell gru_cell cudnn_compatible_lstm_cell "
        "cudnn_compatible_gru_cell layer_norm_basic_lstm_cell layer_norm_lstm_cell ugrnn_cell intersection_rnn_cell "
        "nas_cell phased_lstm_cell coupled_input_forget_gate_lstm_cell time_freq_lstm_cell grid_lstm_cell "
        "bidirectional_grid_lstm_cell glstm_cell sru_cell ind_rnn_cell indy_gru_cell indy_lstm_cell minimal_rnn_cell "
        "cfn_cell wn_lstm_cell ntm_cell conv_1d_lstm_cell conv_2d_lstm_cell conv_3d_lstm_cell attention_cell_wrapper "
        "input_projection_wrapper output_projection_wrapper embedding_wrapper",
    )
)
"""The scopes that cells and wrappers open; a scope named by a program (`name="abc"`) is none of these."""

# GRUBlockCell is GRUCell under other names.
_BLOCK_GRU = {"w_ru": "gates/kernel", "b_ru": "gates/bias", "w_c": "candidate/kernel", "b_c": "candidate/bias"}
# Some cells of contrib number the row shards of a matrix themselves.
_ROW_SHARDS: dict[str | None, re.Pattern[str]] = {
    "coupled_input_forget_gate_lstm_cell": re.compile(r"(W|W_P)_\d+"),
    "time_freq_lstm_cell": re.compile(r"(W)_\d+"),
    "grid_lstm_cell": re.compile(r"(W_[ft]_\d+)_\d+"),
}
_PART = re.compile(r"(.+)/part_(\d+)")


def scope_class(scope: str) -> str | None:
    """The kind of cell that a scope's last component names (`…/gru_cell_1` is a gru_cell), or None."""
    last = re.sub(r"_\d+$", "", scope.rpartition("/")[2])
    return last if last in CELL_SCOPES else None


def in_cell(name: str) -> bool:
    """Whether a variable lies in a cell's or wrapper's scope."""
    return any(scope_class(piece) is not None for piece in name.split("/")[:-1])


def called_embedding(name: str) -> bool:
    """Whether a variable or the scope right around it is called an embedding."""
    return any("emb" in piece.lower() for piece in name.split("/")[-2:])


class View:
    """Variables by modern name; reads through to the checkpoint one at a time."""

    def __init__(self, tensors: Mapping[str, np.ndarray], scope: str = "") -> None:
        self._tensors = tensors
        infos = tensors.variables if isinstance(tensors, Checkpoint) else tensors
        self.era = era(tensors)
        inside = [name for name in tensors if not scope or name == scope or name.startswith(scope.rstrip("/") + "/")]
        self.slots: list[str] = []
        self.bookkeeping: list[str] = []
        self.stored: dict[str, list[str]] = {}
        """Modern name -> the stored names of its parts, in order (one, where it is not partitioned)."""
        names = modern_names(tensors)
        for name in inside:
            self._sort(names[name])
        self.shapes = {
            name: _joined_shape([tuple(infos[part].shape) for part in parts]) for name, parts in self.stored.items()
        }
        self.floating = {name for name, parts in self.stored.items() if re.match("b?float", str(infos[parts[0]].dtype))}
        """Names of the variables that hold real numbers."""
        self.keras: dict[str, list[str]] = {}
        """Scopes that stand for a Keras layer -> its stored variables."""
        self._add_keras()

    def _add_keras(self) -> None:
        """Keras' layers in TensorFlow's layout, under the cell that computes the same."""
        for name in [name for name in self.shapes if name.rpartition("/")[2] == "recurrent_kernel"]:
            scope = name.rpartition("/")[0]
            layer = keras_layer({n: self.shapes.get(f"{scope}/{n}".lstrip("/")) for n in KERAS_VARIABLES})
            if layer is None or scope_class(scope) is not None:
                continue
            stored = [s for n in KERAS_VARIABLES for s in self.stored.pop(f"{scope}/{n}".lstrip("/"), [])]
            own = {n: self.shapes.pop(f"{scope}/{n}".lstrip("/"), None) for n in KERAS_VARIABLES}
            inner = f"{scope}/{layer}".lstrip("/")
            self.keras[inner] = stored
            for variable, shape in keras_shapes(layer, own).items():
                self.stored[f"{inner}/{variable}"], self.shapes[f"{inner}/{variable}"] = stored, shape
                self.floating.add(f"{inner}/{variable}")

    def _sort(self, parts: NameParts) -> None:
        if parts.slot is not None:
            self.slots.append(parts.stored)
        elif is_bookkeeping(parts.modern):
            self.bookkeeping.append(parts.stored)
        else:
            modern = _PART.sub(r"\1", parts.modern) if _PART.fullmatch(parts.modern) else parts.modern
            scope, _, last = modern.rpartition("/")
            if last in _BLOCK_GRU:
                modern = f"{scope}/{_BLOCK_GRU[last]}"
            elif scope_class(scope) in _ROW_SHARDS and (shard := _ROW_SHARDS[scope_class(scope)].fullmatch(last)):
                modern = f"{scope}/{shard[1]}_0"
            group = self.stored.setdefault(modern, [])
            group.append(parts.stored)
            group.sort(key=natural_key)

    def read(self, name: str) -> np.ndarray:
        """One variable, its parts joined along the rows."""
        for scope, stored in self.keras.items():
            if name.startswith(f"{scope}/"):
                layer = scope.rpartition("/")[2]
                return keras_values(layer, [self._tensors[n] for n in stored])[name[len(scope) + 1 :]]
        parts = [self._tensors[stored] for stored in self.stored[name]]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def under(self, scope: str) -> dict[str, tuple[int, ...]]:
        """Relative names and shapes of everything under a scope."""
        return self._scopes.get(scope, {})

    @cached_property
    def _scopes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Every scope with what is under it, by relative name."""
        found: dict[str, dict[str, tuple[int, ...]]] = {"": dict(self.shapes)}
        for name, shape in self.shapes.items():
            for match in re.finditer("/", name):
                found.setdefault(name[: match.start()], {})[name[match.end() :]] = shape
        return found


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts `cell_10` behind `cell_9`, and `Variable` before `Variable_1`."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", name)]


def _joined_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    if len(shapes) == 1:
        return shapes[0]
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])
