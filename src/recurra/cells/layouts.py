"""Weights between TensorFlow's layouts and others': cuDNN's blocks, torch.nn's, and the opaque buffer.

TensorFlow multiplies from the right, `[x; h] @ kernel`, with LSTM columns i, j, f, o and a forget bias that is not
stored; torch and cuDNN multiply from the left, with rows i, f, g, o (LSTM) and r, z, n (GRU) and two biases.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["gru_after_from_torch", "gru_after_to_torch", "lstm_from_torch", "lstm_to_torch", "split_opaque"]

_TO_TORCH = [0, 2, 1, 3]  # i, j, f, o -> i, f, g, o; its own inverse


def lstm_to_torch(
    kernel: np.ndarray, bias: np.ndarray, input_size: int, forget_bias: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """kernel `[I + P, 4H]`, bias `[4H]` -> weight_ih `[4H, I]`, weight_hh `[4H, P]`, bias_ih, bias_hh `[4H]`.

    The forget bias, which torch does not know, goes into bias_ih; bias_hh is zero.
    """
    columns = np.concatenate([np.split(kernel, 4, axis=1)[k] for k in _TO_TORCH], axis=1)
    blocks = [np.split(bias, 4)[k] for k in _TO_TORCH]
    blocks[1] = blocks[1] + np.asarray(forget_bias, bias.dtype)
    joined = np.concatenate(blocks)
    return columns[:input_size].T, columns[input_size:].T, joined, np.zeros_like(joined)


def lstm_from_torch(
    weight_ih: np.ndarray, weight_hh: np.ndarray, bias: np.ndarray, forget_bias: float
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `lstm_to_torch`; `bias` is the sum of torch's two."""
    columns = np.concatenate([weight_ih.T, weight_hh.T])
    kernel = np.concatenate([np.split(columns, 4, axis=1)[k] for k in _TO_TORCH], axis=1)
    blocks = [np.split(bias, 4)[k] for k in _TO_TORCH]
    blocks[2] = blocks[2] - np.asarray(forget_bias, bias.dtype)
    return kernel, np.concatenate(blocks)


def gru_after_to_torch(tensors: dict[str, np.ndarray], input_size: int) -> tuple[np.ndarray, ...]:
    """CudnnCompatibleGRUCell's variables -> weight_ih `[3H, I]`, weight_hh `[3H, H]`, two biases; gates r, z, n."""
    gates, inner, hidden = tensors["gates/kernel"], "candidate/input_projection", "candidate/hidden_projection"
    weight_ih = np.concatenate([gates[:input_size], tensors[f"{inner}/kernel"]], axis=1).T
    weight_hh = np.concatenate([gates[input_size:], tensors[f"{hidden}/kernel"]], axis=1).T
    bias_ih = np.concatenate([tensors["gates/bias"], tensors[f"{inner}/bias"]])
    bias_hh = np.concatenate([np.zeros_like(tensors["gates/bias"]), tensors[f"{hidden}/bias"]])
    return weight_ih, weight_hh, bias_ih, bias_hh


def gru_after_from_torch(
    weight_ih: np.ndarray, weight_hh: np.ndarray, bias_ih: np.ndarray, bias_hh: np.ndarray
) -> dict[str, np.ndarray]:
    """Inverse of `gru_after_to_torch`; the two biases of the gates, which act as their sum, are added."""
    units = weight_hh.shape[1]
    inner, hidden = weight_ih.T, weight_hh.T
    return {
        "gates/kernel": np.concatenate([inner[:, : 2 * units], hidden[:, : 2 * units]]),
        "gates/bias": bias_ih[: 2 * units] + bias_hh[: 2 * units],
        "candidate/input_projection/kernel": inner[:, 2 * units :],
        "candidate/input_projection/bias": bias_ih[2 * units :],
        "candidate/hidden_projection/kernel": hidden[:, 2 * units :],
        "candidate/hidden_projection/bias": bias_hh[2 * units :],
    }


def split_opaque(
    buffer: np.ndarray, gates: int, input_size: int, units: int, layers: int, directions: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """cuDNN's flat buffer as weight_ih, weight_hh, bias_ih, bias_hh of each layer and direction, in torch's layout.

    `gates` is 4 (LSTM: i, f, g, o), 3 (GRU: r, z, n) or 1. All weights come first, then all biases; layer by layer,
    forward before backward. ValueError where the buffer has another length.
    """
    sizes = [input_size if layer == 0 else units * directions for layer in range(layers) for _ in range(directions)]
    weights = sum(gates * units * (size + units) for size in sizes)
    expected = weights + 2 * gates * units * len(sizes)
    if buffer.shape != (expected,):
        raise ValueError(
            f"an opaque buffer of {layers} layers, {directions} directions, {units} units on {input_size} features has "
            f"{expected} numbers, this one has shape {list(buffer.shape)}"
        )
    place, bias = 0, weights
    for size in sizes:
        middle, end = place + gates * units * size, place + gates * units * (size + units)
        first, second = bias + gates * units, bias + 2 * gates * units
        yield (
            buffer[place:middle].reshape(gates * units, size),
            buffer[middle:end].reshape(gates * units, units),
            buffer[bias:first],
            buffer[first:second],
        )
        place, bias = end, second
