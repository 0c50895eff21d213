"""tf.signal for spectrograms: shifts, mel weights, cepstral coefficients, the window that inverts a transform."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.signal import hann_window

__all__ = ["fftshift", "linear_to_mel_weight_matrix"]

tf = space("")


def _shifted(x: Any, axes: Any, forward: bool, name: str | None, default: str) -> Any:
    with name_scope(name, default):
        x = convert_to_tensor(x)
        axes = list(range(x.shape.ndims)) if axes is None else axes if isinstance(axes, list | tuple) else [axes]
        sizes = [x.shape.values[a] if x.shape.values[a] is not None else tf.shape(x)[a] for a in axes]
        return tf.roll(x, [n // 2 if forward else -(n // 2) for n in sizes], axes)


@tf_export("signal.fftshift")
def fftshift(x: Any, axes: Any = None, name: str | None = None) -> Any:
    """The zero frequency moved to the middle of `axes` (default all)."""
    return _shifted(x, axes, True, name, "fftshift")


@tf_export("signal.ifftshift")
def ifftshift(x: Any, axes: Any = None, name: str | None = None) -> Any:
    """The inverse of fftshift."""
    return _shifted(x, axes, False, name, "ifftshift")


@tf_export("signal.inverse_stft_window_fn")
def inverse_stft_window_fn(frame_step: int, forward_window_fn: Any = hann_window, name: str | None = None) -> Any:
    """A window for inverse_stft that undoes `forward_window_fn`: the window over its overlapped energy."""

    def window(frame_length: int, dtype: Any) -> Any:
        with name_scope(name, "inverse_stft_window_fn"):
            forward = forward_window_fn(frame_length, dtype=dtype)
            overlaps = -(-frame_length // frame_step)
            energy = tf.pad(tf.square(forward), [[0, overlaps * frame_step - frame_length]])
            total = tf.reduce_sum(tf.reshape(energy, [overlaps, frame_step]), 0, keepdims=True)
            return forward / tf.reshape(tf.tile(total, [overlaps, 1]), [-1])[:frame_length]

    return window


def _mel(hertz: Any) -> Any:
    """Frequencies on the mel scale: 1127·log(1 + f/700)."""
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


@tf_export("signal.linear_to_mel_weight_matrix")
def linear_to_mel_weight_matrix(
    num_mel_bins: int = 20,
    num_spectrogram_bins: Any = 129,
    sample_rate: Any = 8000,
    lower_edge_hertz: float = 125.0,
    upper_edge_hertz: float = 3800.0,
    dtype: Any = dtypes.float32,
    name: str | None = None,
) -> Any:
    """[spectrogram bins, mel bins]: triangles that are evenly wide on the mel scale; the zero frequency counts nowhere."""  # noqa: E501
    kind = dtypes.as_dtype(dtype)
    if num_mel_bins <= 0:
        raise ValueError(f"num_mel_bins must be positive. Got: {num_mel_bins}")
    if lower_edge_hertz < 0.0:
        raise ValueError(f"lower_edge_hertz must be non-negative. Got: {lower_edge_hertz}")
    if lower_edge_hertz >= upper_edge_hertz:
        raise ValueError(f"lower_edge_hertz {lower_edge_hertz:.1f} >= upper_edge_hertz {upper_edge_hertz:.1f}")
    if upper_edge_hertz > sample_rate / 2:
        raise ValueError(
            f"upper_edge_hertz must not be larger than the Nyquist frequency (sample_rate / 2). Got {upper_edge_hertz} "
            f"for sample_rate: {sample_rate}"
        )
    if not kind.is_floating:
        raise ValueError(f"dtype must be a floating point type. Got: {kind}")
    with name_scope(name, "linear_to_mel_weight_matrix"):
        bins = _mel(np.linspace(0.0, sample_rate / 2.0, num_spectrogram_bins)[1:])[:, None]
        edges = np.linspace(_mel(lower_edge_hertz), _mel(upper_edge_hertz), num_mel_bins + 2)
        low, centre, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
        weights = np.maximum(0.0, np.minimum(rising, falling))
        return convert_to_tensor(np.pad(weights, [[1, 0], [0, 0]]).astype(kind.as_numpy_dtype))


@tf_export("signal.mfccs_from_log_mel_spectrograms")
def mfccs_from_log_mel_spectrograms(log_mel_spectrograms: Any, name: str | None = None) -> Any:
    """The cosine transform of log-mel spectrograms, scaled as HTK scales it."""
    with name_scope(name, "mfccs_from_log_mel_spectrograms", [log_mel_spectrograms]):
        log_mel_spectrograms = convert_to_tensor(log_mel_spectrograms)
        size = log_mel_spectrograms.shape.values[-1]
        if size == 0:
            raise ValueError(f"num_mel_bins must be positive. Got: {log_mel_spectrograms}")
        return tf.signal.dct(log_mel_spectrograms, type=2) / np.sqrt(2.0 * size).astype(np.float32)
