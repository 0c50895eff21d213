"""tf.signal: windows, framing, short-time Fourier transforms, cosine transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape

__all__ = ["frame", "stft"]


def _cosine_window(name: str, a: float, b: float) -> Any:
    def window(window_length: Any, periodic: bool = True, dtype: Any = dtypes.float32, name: str | None = None) -> Any:
        kind = dtypes.as_dtype(dtype)
        with name_scope(name, "window", [window_length]):
            length = cast(convert_to_tensor(window_length), dtypes.int32)
            known = constant_value(length)
            if known is not None and int(known) == 1:
                return convert_to_tensor(np.ones(1, kind.as_numpy_dtype))
            even = 1 - length % 2
            n = cast(length + int(bool(periodic)) * even - 1, kind)
            steps = cast(apply_op("Range", 0, length, 1), kind)
            return a - b * apply_op("Cos", 2 * math.pi * steps / n)

    return export(window, f"signal.{name}")


hann_window = _cosine_window("hann_window", 0.5, 0.5)
_cosine_window("hamming_window", 0.54, 0.46)


def _frame(
    signal: TorchTensor, frame_length: TorchTensor, frame_step: TorchTensor, pad_end: bool, pad_value: float, axis: int
) -> TorchTensor:
    length, step = int(frame_length), int(frame_step)
    moved = signal.movedim(axis, -1)
    if pad_end:
        count = -(-moved.shape[-1] // step)
        moved = torch.nn.functional.pad(
            moved, (0, max(0, (count - 1) * step + length - moved.shape[-1])), value=pad_value
        )
    if moved.shape[-1] < length:
        frames = moved.new_zeros((*moved.shape[:-1], 0, length))
    else:
        frames = moved.unfold(-1, length, step)
    position = axis % signal.dim()
    return frames.movedim((-2, -1), (position, position + 1))


def _frame_shape(operation: Any) -> TensorShape:
    signal, length, step = (
        operation.inputs[0].shape,
        constant_value(operation.inputs[1]),
        constant_value(operation.inputs[2]),
    )
    if signal.ndims is None or length is None or step is None:
        return unknown_shape()
    dims = list(signal.values or ())
    axis = operation.attrs["axis"] % len(dims)
    size = dims[axis]
    count = (
        None
        if size is None
        else -(-size // int(step))
        if operation.attrs["pad_end"]
        else max(0, 1 + (size - int(length)) // int(step))
    )
    return TensorShape([*dims[:axis], count, int(length), *dims[axis + 1 :]])


op("Frame", "signal:T, frame_length:int32, frame_step:int32 -> T", _frame, shape=_frame_shape)


@tf_export("signal.frame")
def frame(
    signal: Any,
    frame_length: Any,
    frame_step: Any,
    pad_end: bool = False,
    pad_value: float = 0,
    axis: int = -1,
    name: str | None = None,
) -> Any:
    """Overlapping windows along an axis."""
    return apply_op(
        "Frame", signal, frame_length, frame_step, pad_end=pad_end, pad_value=pad_value, axis=axis, name=name
    )


def _overlap_and_add(signal: TorchTensor, frame_step: TorchTensor) -> TorchTensor:
    frames, length = signal.shape[-2:]
    step = int(frame_step)
    index = (torch.arange(frames).unsqueeze(1) * step + torch.arange(length)).reshape(-1)
    out = signal.new_zeros((*signal.shape[:-2], (frames - 1) * step + length))
    return out.index_add(-1, index, signal.reshape(*signal.shape[:-2], -1))


def _overlap_shape(operation: Any) -> TensorShape:
    signal, step = operation.inputs[0].shape.with_rank_at_least(2), constant_value(operation.inputs[1])
    if signal.ndims is None:
        return unknown_shape()
    frames, length = (signal.values or ())[-2:]
    known = None if None in (frames, length) or step is None else (frames - 1) * int(step) + length  # type: ignore[operator]
    return signal[:-2].concatenate([known])


op("OverlapAndAdd", "signal:T, frame_step:int32 -> T", _overlap_and_add, shape=_overlap_shape)


@tf_export("signal.overlap_and_add")
def overlap_and_add(signal: Any, frame_step: Any, name: str | None = None) -> Any:
    return apply_op("OverlapAndAdd", signal, frame_step, name=name)


def _power_of_two(value: int) -> int:
    return 1 << max(value - 1, 0).bit_length()


@tf_export("signal.stft")
def stft(
    signals: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Any = hann_window,
    pad_end: bool = False,
    name: str | None = None,
) -> Any:
    """`[…, frames, fft_length // 2 + 1]` complex64."""
    from recurra.tf1 import names

    with name_scope(name, "stft", [signals, frame_length, frame_step]):
        signals = convert_to_tensor(signals, name="signals")
        size = _power_of_two(frame_length) if fft_length is None else fft_length
        framed = frame(signals, frame_length, frame_step, pad_end=pad_end)
        if window_fn is not None:
            framed = framed * window_fn(frame_length, dtype=framed.dtype)
        return names.lookup("signal.rfft")(framed, [size])


@tf_export("signal.inverse_stft")
def inverse_stft(
    stfts: Any,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Any = hann_window,
    name: str | None = None,
) -> Any:
    from recurra.tf1 import names

    with name_scope(name, "inverse_stft", [stfts]):
        stfts = convert_to_tensor(stfts, name="stfts")
        size = _power_of_two(frame_length) if fft_length is None else fft_length
        frames = names.lookup("signal.irfft")(stfts, [size])[..., :frame_length]
        if window_fn is not None:
            frames = frames * window_fn(frame_length, dtype=frames.dtype)
        return overlap_and_add(frames, frame_step)


def _dct(input: TorchTensor, type: int, norm: str | None, inverse: bool) -> TorchTensor:
    from scipy import fft

    run = fft.idct if inverse else fft.dct
    basis = torch.from_numpy(run(np.eye(input.shape[-1]), type=type, norm=norm, axis=-1)).to(input.dtype)
    scale = 2.0 * input.shape[-1] if inverse and norm is None and type in (2, 3) else 1.0
    return input @ basis * scale


op("DCT", "input:T -> T", _dct, shape=lambda o: o.inputs[0].shape)


@tf_export("signal.dct", "spectral.dct")
def dct(
    input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None, name: str | None = None
) -> Any:
    return apply_op("DCT", input, type=type, norm=norm, inverse=False, name=name)


@tf_export("signal.idct", "spectral.idct")
def idct(
    input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None, name: str | None = None
) -> Any:
    return apply_op("DCT", input, type=type, norm=norm, inverse=True, name=name)
