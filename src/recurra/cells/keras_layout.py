"""Keras layers in a checkpoint: `kernel`, `recurrent_kernel` and `bias` apart, the forget bias inside the bias.

They are shown as the cells that compute the same: LSTM as cudnn_compatible_lstm_cell (which adds no forget bias), GRU
as cudnn_compatible_gru_cell (reset_after) or gru_cell, SimpleRNN as basic_rnn_cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["KERAS_VARIABLES", "keras_layer", "keras_shapes", "keras_values"]

KERAS_VARIABLES = ("kernel", "recurrent_kernel", "bias")
Shapes = Mapping[str, tuple[int, ...] | None]


def keras_layer(shapes: Shapes) -> str | None:
    """The cell that a scope's variables are, or None where they are no recurrent layer of Keras."""
    kernel, recurrent, bias = (shapes.get(name) for name in KERAS_VARIABLES)
    if kernel is None or recurrent is None or bias is None or len(kernel) != 2 or len(recurrent) != 2:
        return None
    units, columns = recurrent
    if not units or kernel[1] != columns or columns % units:
        return None
    kinds = {
        (4, (columns,)): "cudnn_compatible_lstm_cell",
        (3, (2, columns)): "cudnn_compatible_gru_cell",
        (3, (columns,)): "gru_cell",
        (1, (columns,)): "basic_rnn_cell",
    }
    return kinds.get((columns // units, bias))


def keras_shapes(cell: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Shapes of the cell's variables from those of the layer's."""
    zeros = [np.zeros(shapes[name] or (), np.bool_) for name in KERAS_VARIABLES]
    return {name: values.shape for name, values in keras_values(cell, zeros).items()}


def keras_values(cell: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The layer's arrays in the cell's layout: i, f, c, o become i, j, f, o; z, r, h become r, u and the candidate."""
    kernel, recurrent, bias = arrays
    joined = np.concatenate([kernel, recurrent])
    if cell == "basic_rnn_cell":
        return {"kernel": joined, "bias": bias}
    if cell == "cudnn_compatible_lstm_cell":
        order = [0, 2, 1, 3]
        return {
            "kernel": np.concatenate([np.split(joined, 4, 1)[k] for k in order], 1),
            "bias": np.concatenate([np.split(bias, 4)[k] for k in order]),
        }
    units = recurrent.shape[0]
    z, r, h = (slice(k * units, (k + 1) * units) for k in range(3))
    after = cell == "cudnn_compatible_gru_cell"
    total = bias[0] + bias[1] if after else bias
    values = {
        "gates/kernel": np.concatenate([joined[:, r], joined[:, z]], 1),
        "gates/bias": np.concatenate([total[r], total[z]]),
    }
    if not after:
        return {**values, "candidate/kernel": joined[:, h], "candidate/bias": bias[h]}
    inner, hidden = "candidate/input_projection", "candidate/hidden_projection"
    return {
        **values,
        f"{inner}/kernel": kernel[:, h],
        f"{inner}/bias": bias[0, h],
        f"{hidden}/kernel": recurrent[:, h],
        f"{hidden}/bias": bias[1, h],
    }
