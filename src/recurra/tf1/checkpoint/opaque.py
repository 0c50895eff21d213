"""cuDNN layers whose checkpoint holds the flat buffer itself instead of the canonical variables.

TensorFlow's saver writes canonical names (`…/cudnn_compatible_lstm_cell/kernel`), which need nothing special; a buffer
saved as an ordinary variable (`…/opaque_kernel`) is cut up here, by the sizes of the modules that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recurra.cells.layouts import gru_after_from_torch, lstm_from_torch, split_opaque

from .modules import Unit

__all__ = ["expand_opaque"]

_GATES = {"cudnn_compatible_lstm_cell": 4, "cudnn_compatible_gru_cell": 3, "basic_rnn_cell": 1}


def expand_opaque(tensors: Mapping[str, np.ndarray], units: list[Unit]) -> Mapping[str, np.ndarray]:
    """The same tensors, with every opaque buffer replaced by canonical variables where the cells' sizes explain it."""
    buffers = [name for name in tensors if name.rpartition("/")[2] == "opaque_kernel"]
    cells = [unit for unit in units if unit.kind == "cell"]
    if not buffers or not cells:
        return tensors
    kind = next((name for name in _GATES if all(name in unit.classes for unit in cells)), None)
    if kind is None:
        return tensors
    replaced = dict(tensors)
    for name in buffers:
        directions = 2 if any(_is_backward(unit) for unit in cells) else 1
        layers, rest = divmod(len(cells), directions)
        if rest:
            continue
        width, units_count = _sizes(cells[0], kind)
        pieces = split_opaque(tensors[name], _GATES[kind], width, units_count, layers, directions)
        del replaced[name]
        for place, piece in enumerate(pieces):
            layer, direction = divmod(place, directions)
            scope = _canonical(name.rpartition("/")[0], layer, direction if directions == 2 else None, kind)
            for variable, values in _canonical_values(kind, piece).items():
                replaced[f"{scope}/{variable}"] = values
    return replaced


def _is_backward(unit: Unit) -> bool:
    return unit.path.endswith(".bw") or unit.scope.rpartition("/")[0].endswith("/bw") or "bw" in unit.path.split(".")


def _sizes(unit: Unit, kind: str) -> tuple[int, int]:
    kernel = unit.slots["gates/kernel" if "gru" in kind else "kernel"].shape
    count = kernel[1] // {"cudnn_compatible_gru_cell": 2}.get(kind, _GATES[kind])
    return kernel[0] - count, count


def _canonical(scope: str, layer: int, direction: int | None, kind: str) -> str:
    middle = f"rnn/multi_rnn_cell/cell_{layer}" if direction is None else (
        f"stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{('fw', 'bw')[direction]}"
    )  # fmt: skip
    return "/".join(part for part in (scope, middle, kind) if part)


def _canonical_values(kind: str, piece: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    weight_ih, weight_hh, bias_ih, bias_hh = piece
    if kind == "cudnn_compatible_gru_cell":
        return gru_after_from_torch(*piece)
    if kind == "cudnn_compatible_lstm_cell":
        kernel, bias = lstm_from_torch(weight_ih, weight_hh, bias_ih + bias_hh, 0.0)
    else:
        kernel, bias = np.concatenate([weight_ih.T, weight_hh.T]), bias_ih + bias_hh
    return {"kernel": kernel, "bias": bias}
