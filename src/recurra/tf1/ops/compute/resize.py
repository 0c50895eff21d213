"""Image resizing as TensorFlow 1's kernels do it: each method is one weight matrix per axis.

`[N, H, W, C]` -> `[N, out_h, out_w, C]` float32; nearest keeps the dtype. TensorFlow 1 maps pixel i to i * scale (no
half-pixel centres unless asked for), which is why these are not torch's own modes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["area", "bicubic", "bilinear", "nearest"]

_TABLE = 1024  # the bicubic kernel reads its coefficients from a table of this many steps


def _scale(size: int, out: int, align_corners: bool) -> np.float32:
    if align_corners and out > 1:
        return np.float32(size - 1) / np.float32(out - 1)
    return np.float32(size) / np.float32(out)


def _positions(size: int, out: int, align_corners: bool, half_pixel: bool) -> np.ndarray:
    """Where each output pixel falls on the input axis (float32)."""
    scale = _scale(size, out, align_corners)
    index = np.arange(out, dtype=np.float32)
    return (index + np.float32(0.5)) * scale - np.float32(0.5) if half_pixel else index * scale


def _bilinear_weights(size: int, out: int, align_corners: bool, half_pixel: bool) -> np.ndarray:
    at = _positions(size, out, align_corners, half_pixel)
    low = np.floor(at)
    fraction = at - low
    weights = np.zeros((out, size), np.float32)
    rows = np.arange(out)
    np.add.at(weights, (rows, np.clip(low, 0, size - 1).astype(int)), 1 - fraction)
    np.add.at(weights, (rows, np.clip(low + 1, 0, size - 1).astype(int)), fraction)
    return weights


def _bicubic_weights(size: int, out: int, align_corners: bool, half_pixel: bool) -> np.ndarray:
    """Keys' kernel with a = -0.75 (-0.5 with half-pixel centres, where outside taps are dropped and renormalised)."""
    a = -0.5 if half_pixel else -0.75
    at = _positions(size, out, align_corners, half_pixel)
    low = np.floor(at)
    step = np.rint((at - low) * _TABLE) / _TABLE
    distances = np.stack([1 + step, step, 1 - step, 2 - step], axis=1)
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = ((a * distances - 5 * a) * distances + 8 * a) * distances - 4 * a
    taps = np.where(distances <= 1, near, far)
    index = low[:, None].astype(int) + np.arange(-1, 3)
    if half_pixel:
        taps = np.where((index < 0) | (index >= size), 0, taps)
        taps = taps / taps.sum(1, keepdims=True)
    weights = np.zeros((out, size), np.float32)
    np.add.at(weights, (np.arange(out)[:, None], np.clip(index, 0, size - 1)), taps)
    return weights


def _area_weights(size: int, out: int, align_corners: bool, half_pixel: bool) -> np.ndarray:
    scale = float(_scale(size, out, align_corners))
    cells = np.arange(size)
    start = np.arange(out)[:, None] * scale
    overlap = np.minimum(cells + 1, start + scale) - np.maximum(cells, start)
    weights = np.clip(overlap, 0, None)
    outside = scale - weights.sum(1)
    weights[:, -1] += np.clip(outside, 0, None)
    return (weights / scale).astype(np.float32)


_Weights = Callable[[int, int, bool, bool], np.ndarray]


def _separable(
    images: Tensor, height: int, width: int, weights: _Weights, align_corners: bool, half_pixel: bool
) -> Tensor:
    kind = images.dtype if images.dtype == torch.float64 else torch.float32
    rows = torch.from_numpy(weights(images.shape[1], height, align_corners, half_pixel)).to(kind)
    columns = torch.from_numpy(weights(images.shape[2], width, align_corners, half_pixel)).to(kind)
    return torch.einsum("hi,nijc,wj->nhwc", rows, images.to(kind), columns)


def bilinear(images: Tensor, height: int, width: int, align_corners: bool = False, half_pixel: bool = False) -> Tensor:
    return _separable(images, height, width, _bilinear_weights, align_corners, half_pixel)


def bicubic(images: Tensor, height: int, width: int, align_corners: bool = False, half_pixel: bool = False) -> Tensor:
    return _separable(images, height, width, _bicubic_weights, align_corners, half_pixel)


def area(images: Tensor, height: int, width: int, align_corners: bool = False) -> Tensor:
    return _separable(images, height, width, _area_weights, align_corners, False)


def _nearest_index(size: int, out: int, align_corners: bool, half_pixel: bool) -> Tensor:
    scale = _scale(size, out, align_corners)
    at = np.arange(out, dtype=np.float32)
    at = (at + np.float32(0.5)) * scale if half_pixel else at * scale
    index = np.floor(at + np.float32(0.5)) if align_corners else np.floor(at)
    return torch.from_numpy(np.clip(index, 0, size - 1).astype(np.int64))


def nearest(images: Tensor, height: int, width: int, align_corners: bool = False, half_pixel: bool = False) -> Tensor:
    rows = _nearest_index(images.shape[1], height, align_corners, half_pixel)
    columns = _nearest_index(images.shape[2], width, align_corners, half_pixel)
    return images.index_select(1, rows).index_select(2, columns)
