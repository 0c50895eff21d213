"""Convolutions and pooling with TensorFlow's padding rules, over channels-last tensors `[N, *spatial, C]`.

A permuted channels-last tensor has the strides that torch calls `channels_last`, so nothing is copied on the way in.
Spatial rank 1 to 3; `strides`, `dilations` and `window` are per spatial axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "average_pool",
    "conv",
    "conv_filter_gradient",
    "conv_transpose",
    "depthwise_conv",
    "max_pool",
    "out_size",
    "pads",
    "patches",
]

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}

Padding = str | Sequence[tuple[int, int]]


def out_size(size: int, window: int, stride: int, padding: str, dilation: int = 1) -> int:
    """The length of a spatial axis after a window op."""
    reach = (window - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else -(-(size - reach + 1) // stride)


def pads(
    sizes: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: Padding, dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """(before, after) per spatial axis: SAME puts the odd cell behind, VALID pads nothing."""
    if not isinstance(padding, str):
        return [tuple(p) for p in padding]  # type: ignore[misc]
    if padding == "VALID":
        return [(0, 0)] * len(sizes)
    result = []
    for size, k, s, d in zip(sizes, window, strides, dilations, strict=True):
        total = max((out_size(size, k, s, "SAME") - 1) * s + (k - 1) * d + 1 - size, 0)
        result.append((total // 2, total - total // 2))
    return result


def _first(x: Tensor) -> Tensor:
    """Channels last -> channels first (a view)."""
    return x.movedim(-1, 1)


def _last(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


def _pad(x: Tensor, padding: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Pad the spatial axes of a channels-first tensor."""
    if not any(p for pair in padding for p in pair):
        return x
    return F.pad(x, [p for pair in reversed(padding) for p in pair], value=value)


def conv(
    x: Tensor, kernel: Tensor, strides: Sequence[int], padding: Padding, dilations: Sequence[int], groups: int = 1
) -> Tensor:
    """Cross-correlation of `x [N, *S, C]` with `kernel [*K, C / groups, O]`."""
    rank = len(strides)
    around = pads(x.shape[1:-1], kernel.shape[:rank], strides, padding, dilations)
    weight = kernel.movedim((-1, -2), (0, 1))
    symmetric = all(before == after for before, after in around)
    inputs = _first(x) if symmetric else _pad(_first(x), around)
    own = tuple(before for before, _ in around) if symmetric else 0
    return _last(_CONV[rank](inputs, weight, None, tuple(strides), own, tuple(dilations), groups))


def depthwise_conv(
    x: Tensor, kernel: Tensor, strides: Sequence[int], padding: Padding, dilations: Sequence[int]
) -> Tensor:
    """`kernel [*K, C, M]`: each channel has its own M filters; output channels are C-major."""
    channels, multiplier = kernel.shape[-2:]
    flat = kernel.reshape(*kernel.shape[:-2], 1, channels * multiplier)
    return conv(x, flat, strides, padding, dilations, groups=channels)


def conv_transpose(
    y: Tensor,
    kernel: Tensor,
    input_sizes: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilations: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """The gradient of `conv` with respect to its input: `y [N, *S', O]` -> `[N, *S, C]` with sizes `input_sizes`."""
    rank = len(strides)
    sizes = list(input_sizes[1:-1])
    around = pads(sizes, kernel.shape[:rank], strides, padding, dilations)
    weight = kernel.movedim((-1, -2), (0, 1))
    full = _CONV_TRANSPOSE[rank](_first(y), weight, None, tuple(strides), 0, 0, groups, tuple(dilations))
    padded = [size + before + after for size, (before, after) in zip(sizes, around, strict=True)]
    full = _pad(full, [(0, want - have) for want, have in zip(padded, full.shape[2:], strict=True)])
    index = tuple(slice(before, before + size) for size, (before, _) in zip(sizes, around, strict=True))
    return _last(full[(slice(None), slice(None), *index)])


def conv_filter_gradient(
    x: Tensor,
    y: Tensor,
    filter_sizes: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilations: Sequence[int],
    depthwise: bool = False,
) -> Tensor:
    """The gradient of `conv` (or `depthwise_conv`) with respect to its filter, for the output gradient `y`."""
    run = depthwise_conv if depthwise else conv
    with torch.enable_grad():
        kernel = torch.zeros(*filter_sizes, dtype=x.dtype, device=x.device, requires_grad=True)
        out = run(x, kernel, strides, padding, dilations)
    return torch.autograd.grad(out, kernel, y, create_graph=torch.is_grad_enabled())[0]


def max_pool(
    x: Tensor, window: Sequence[int], strides: Sequence[int], padding: Padding, return_indices: bool = False
) -> tuple[Tensor, Tensor] | Tensor:
    """Maximum over windows; with indices, positions within the padded spatial plane are mapped back to the input."""
    rank = len(window)
    ones = (1,) * rank
    around = pads(x.shape[1:-1], window, strides, padding, ones)
    lowest = float("-inf") if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
    padded = _pad(_first(x), around, lowest)
    if not return_indices:
        return _last(_MAX_POOL[rank](padded, tuple(window), tuple(strides)))
    values, where = _MAX_POOL[rank](padded, tuple(window), tuple(strides), return_indices=True)
    return _last(values), _last(_unpad_index(where, padded.shape[2:], x.shape[1:-1], around))


def _unpad_index(
    where: Tensor, padded: Sequence[int], sizes: Sequence[int], around: Sequence[tuple[int, int]]
) -> Tensor:
    """Flat positions in a padded plane -> flat positions in the plane itself."""
    flat = torch.zeros_like(where)
    scale = 1
    for have, size, (before, _) in reversed(list(zip(padded, sizes, around, strict=True))):
        flat = flat + (where % have - before) * scale
        where, scale = where // have, scale * size
    return flat


def average_pool(x: Tensor, window: Sequence[int], strides: Sequence[int], padding: Padding) -> Tensor:
    """Mean over the cells of each window that lie inside the input."""
    rank = len(window)
    around = pads(x.shape[1:-1], window, strides, padding, (1,) * rank)
    if not any(p for pair in around for p in pair):
        return _window_mean(x, window, strides)
    total = _window_mean(_last(_pad(_first(x), around)), window, strides)
    inside = _last(_pad(_first(torch.ones_like(x[:1, ..., :1])), around))
    return total / _window_mean(inside, window, strides)


def _window_mean(x: Tensor, window: Sequence[int], strides: Sequence[int]) -> Tensor:
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(window)]
    return _last(pool(_first(x), tuple(window), tuple(strides)))


def patches(x: Tensor, window: Sequence[int], strides: Sequence[int], padding: Padding, rates: Sequence[int]) -> Tensor:
    """Windows laid out along the last axis: `[N, *S', prod(window) * C]`, channels innermost."""
    around = pads(x.shape[1:-1], window, strides, padding, rates)
    planes = _last(_pad(_first(x), around))
    for axis, (k, s, r) in enumerate(zip(window, strides, rates, strict=True), start=1):
        planes = planes.unfold(axis, (k - 1) * r + 1, s)[..., ::r]
    rank = len(window)
    return planes.movedim(rank + 1, -1).flatten(rank + 1)
