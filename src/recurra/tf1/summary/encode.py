"""Summary messages of values: scalars, histograms, images, sounds, texts."""

from __future__ import annotations

import io
import sys
import wave
from functools import cache
from typing import Any

import numpy as np

from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.protos import message


def summary() -> Any:
    """An empty Summary message."""
    return message("summary_pb2", "Summary")()


@cache
def bucket_limits() -> np.ndarray:
    """TensorFlow's histogram buckets: ±1e-12·1.1^i below 1e20, zero, and the ends of the doubles."""
    positive = []
    value = 1e-12
    while value < 1e20:
        positive.append(value)
        value *= 1.1
    largest = sys.float_info.max
    return np.array([-largest, *[-v for v in reversed(positive)], 0.0, *positive, largest])


def histogram(values: np.ndarray) -> Any:
    """HistogramProto of all finite `values`; InvalidArgumentError for a NaN or infinity."""
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    proto = message("summary_pb2", "HistogramProto")()
    if not flat.size:
        proto.min, proto.max = sys.float_info.max, -sys.float_info.max
        proto.bucket_limit[:], proto.bucket[:] = [sys.float_info.max], [0.0]
        return proto
    proto.min, proto.max, proto.num = flat.min(), flat.max(), flat.size
    proto.sum, proto.sum_squares = flat.sum(), (flat * flat).sum()
    limits = bucket_limits()
    counts = np.bincount(np.searchsorted(limits, flat, side="right"), minlength=len(limits))[: len(limits)]
    before = -1
    for i in (*np.flatnonzero(counts), len(limits)):  # a run of empty buckets is stored as one
        if i > before + 1:
            proto.bucket_limit.append(limits[i - 1])
            proto.bucket.append(0.0)
        if i < len(limits):
            proto.bucket_limit.append(limits[i])
            proto.bucket.append(float(counts[i]))
        before = i
    return proto


def check_finite(tag: str, values: np.ndarray) -> None:
    """InvalidArgumentError naming the histogram's tag where a value is NaN or infinite."""
    if values.dtype.kind == "f":
        if np.isnan(values).any():
            raise InvalidArgumentError(None, None, f"Nan in summary histogram for: {tag}")
        if np.isinf(values).any():
            raise InvalidArgumentError(None, None, f"Infinity in summary histogram for: {tag}")


def png(image: np.ndarray) -> Any:
    """Summary.Image of one uint8 image [height, width, 1|3|4]."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, format="png")
    proto = message("summary_pb2", "Summary").Image(colorspace=image.shape[-1], encoded_image_string=buffer.getvalue())
    proto.height, proto.width = image.shape[:2]
    return proto


def image_bytes(image: np.ndarray) -> np.ndarray:
    """A float image as uint8: 0..max to 0..255, or, with negative values, centred at 127."""
    if image.dtype == np.uint8:
        return image
    finite = image[np.isfinite(image)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if low < 0:
        largest = max(abs(low), abs(high))
        scaled = image * (127.0 / largest if largest > 1e-10 else 0.0) + 128.0
    else:
        scaled = image * (255.0 / high if high > 1e-10 else 0.0)
    return np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8)


def wav(sound: np.ndarray, rate: float) -> Any:
    """Summary.Audio of one sound [frames, channels] in [-1, 1]."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(sound.shape[-1])
        file.setsampwidth(2)
        file.setframerate(int(rate))
        file.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return message("summary_pb2", "Summary").Audio(
        sample_rate=rate,
        num_channels=sound.shape[-1],
        length_frames=sound.shape[0],
        encoded_audio_string=buffer.getvalue(),
        content_type="audio/wav",
    )


def tensor_proto(value: Any) -> Any:
    """TensorProto of an array (numbers or byte strings)."""
    from tensorboard.util import tensor_util

    array = np.asarray(value)
    return tensor_util.make_tensor_proto(array.astype(object) if array.dtype.kind in "SU" else array)
