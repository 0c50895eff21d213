"""Text between encodings, joined by segment, and fingerprints of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import tf_export
from recurra.tf1.ops.compute import hashing
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["fingerprint", "unicode_transcode"]

_CODECS = {
    "UTF-8": "utf-8",
    "UTF-16-BE": "utf-16-be",
    "UTF-32-BE": "utf-32-be",
    "US ASCII": "ascii",
    "LATIN-1": "latin-1",
}


def _codec(name: str) -> str:
    return _CODECS.get(name, name)


def _mapped(function: Any, text: np.ndarray) -> np.ndarray:
    out = np.empty(text.shape, dtype=object)
    for place, item in np.ndenumerate(text):
        out[place] = function(item)
    return out


def _decoded(item: bytes, encoding: str, errors: str, replacement: str, control: bool) -> str:
    try:
        text = item.decode(_codec(encoding), "strict" if errors == "strict" else "replace")
    except UnicodeDecodeError:
        raise InvalidArgumentError(None, None, "Invalid formatting on input string") from None
    text = text.replace("\ufffd", "" if errors == "ignore" else replacement)
    if control:
        text = "".join(replacement if ord(c) < 32 or ord(c) == 127 else c for c in text)
    return text


def _transcode(
    input: np.ndarray,
    input_encoding: str,
    output_encoding: str,
    errors: str = "replace",
    replacement_char: int = 65533,
    replace_control_characters: bool = False,
) -> np.ndarray:
    replacement = chr(replacement_char)
    return _mapped(
        lambda item: _decoded(item, input_encoding, errors, replacement, replace_control_characters).encode(
            _codec(output_encoding)
        ),
        input,
    )


op("UnicodeTranscode", "input:string -> string", _transcode, diff=False, shape=lambda o: o.inputs[0].shape)


@tf_export("strings.unicode_transcode")
def unicode_transcode(
    input: Any,
    input_encoding: str,
    output_encoding: str,
    errors: str = "replace",
    replacement_char: int = 65533,
    replace_control_characters: bool = False,
    name: str | None = None,
) -> Any:
    """Text in another encoding; what is no text is replaced, ignored, or (`strict`) an InvalidArgumentError."""
    return apply_op(
        "UnicodeTranscode",
        input,
        input_encoding=input_encoding,
        output_encoding=output_encoding,
        errors=errors,
        replacement_char=replacement_char,
        replace_control_characters=replace_control_characters,
        name=name,
    )


def _encode(
    input: TorchTensor, output_encoding: str, errors: str = "replace", replacement_char: int = 65533
) -> np.ndarray:
    def character(code: int) -> str:
        if 0 <= code < 0x110000 and not 0xD800 <= code < 0xE000:
            return chr(code)
        if errors == "strict":
            raise InvalidArgumentError(None, None, "Code point is out of range for Unicode, or a noncharacter.")
        return "" if errors == "ignore" else chr(replacement_char)

    rows = input.reshape(-1, input.shape[-1]).tolist()
    texts = ["".join(map(character, row)).encode(_codec(output_encoding)) for row in rows]
    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out.reshape(tuple(input.shape[:-1]))


op("UnicodeEncode", "input:int32 -> string", _encode, diff=False, shape=lambda o: o.inputs[0].shape[:-1])


@tf_export("strings.unicode_encode")
def unicode_encode(
    input: Any, output_encoding: str, errors: str = "replace", replacement_char: int = 65533, name: str | None = None
) -> Any:
    """Code points of the last axis as text: [..., n] to [...]."""
    if output_encoding not in ("UTF-8", "UTF-16-BE", "UTF-32-BE"):
        raise ValueError(f"output_encoding must be UTF-8, UTF-16-BE or UTF-32-BE, got {output_encoding!r}")
    return apply_op(
        "UnicodeEncode",
        input,
        output_encoding=output_encoding,
        errors=errors,
        replacement_char=replacement_char,
        name=name,
    )


def _segment_join(inputs: np.ndarray, segment_ids: TorchTensor, num_segments: TorchTensor, separator: str = "") -> Any:
    rest = inputs.shape[segment_ids.dim() :]
    rows, ids = inputs.reshape((-1, *rest)), segment_ids.reshape(-1).tolist()
    out = np.empty((int(num_segments), *rest), dtype=object)
    glue = separator.encode()
    for place in np.ndindex(out.shape):
        own = [rows[(n, *place[1:])] for n, segment in enumerate(ids) if segment == place[0]]
        out[place] = glue.join(own)
    return out


def _join_shape(operation: Any) -> TensorShape:
    from recurra.tf1.constants import constant_value

    inputs, ids, count = operation.inputs
    if inputs.shape.ndims is None or ids.shape.ndims is None:
        return TensorShape(None)
    known = constant_value(count)
    return TensorShape([None if known is None else int(known)]).concatenate(inputs.shape[ids.shape.ndims :])


op(
    "UnsortedSegmentJoin",
    "inputs:string, segment_ids:Tindices, num_segments:Tnumsegments -> string",
    _segment_join,
    diff=False,
    shape=_join_shape,
)


@tf_export("strings.unsorted_segment_join")
def unsorted_segment_join(
    inputs: Any, segment_ids: Any, num_segments: Any, separator: str = "", name: str | None = None
) -> Any:
    """The strings of each segment joined, in their order."""
    return apply_op("UnsortedSegmentJoin", inputs, segment_ids, num_segments, separator=separator, name=name)


def _fingerprint(data: Any, method: str = "farmhash64") -> TorchTensor:
    rows = data.reshape(data.shape[0], -1)
    if isinstance(data, np.ndarray):
        texts = [row[0] for row in rows]
    else:
        texts = [row.contiguous().numpy().tobytes() for row in rows]
    hashes = [hashing.farm_fingerprint64(text).to_bytes(8, "little") for text in texts]
    return torch.frombuffer(bytearray(b"".join(hashes)), dtype=torch.uint8).reshape(-1, 8)


op(
    "Fingerprint",
    "data:T -> uint8",
    _fingerprint,
    diff=False,
    shape=lambda o: TensorShape([o.inputs[0].shape.values[0] if o.inputs[0].shape.ndims else None, 8]),
)


@tf_export("fingerprint")
def fingerprint(data: Any, method: str = "farmhash64", name: str | None = None) -> Any:
    """[rows, 8] bytes: FarmHash's 64-bit fingerprint of every row."""
    if method not in ("farmhash64", b"farmhash64"):
        raise ValueError(f"Unsupported fingerprint method {method!r}")
    return apply_op("Fingerprint", data, name=name)


def _timestamp() -> TorchTensor:
    import time

    return torch.tensor(time.time(), dtype=torch.float64)


op("Timestamp", "-> float64", _timestamp, stateful=True, diff=False, shape=lambda o: TensorShape([]))


@tf_export("timestamp")
def timestamp(name: str | None = None) -> Any:
    """Seconds since 1970, float64, when it runs."""
    return apply_op("Timestamp", name=name)


@tf_export("histogram_fixed_width_bins")
def histogram_fixed_width_bins(
    values: Any, value_range: Any, nbins: int = 100, dtype: Any = dtypes.int32, name: str | None = None
) -> Any:
    """For every value the number of its bin among `nbins` of equal width; those outside count to the first or last."""
    from recurra.tf1.namespace import space

    tf = space("")
    with tf.name_scope(name, "histogram_fixed_width_bins", [values, value_range, nbins]):
        values = convert_to_tensor(values, name="values")
        low, high = tf.unstack(convert_to_tensor(value_range, name="value_range", dtype=values.dtype))
        scaled = tf.cast((values - low) / (high - low), dtypes.float64) * tf.cast(nbins, dtypes.float64)
        return tf.cast(tf.clip_by_value(tf.floor(scaled), 0, tf.cast(nbins - 1, dtypes.float64)), dtype)


def _volumes(input: TorchTensor, ksizes: list[int], strides: list[int], padding: str) -> TorchTensor:
    sizes, steps = ksizes[1:4], strides[1:4]
    x = input.movedim(-1, 1)
    if padding == "SAME":
        pads: list[int] = []
        for n, k, s in zip(reversed(x.shape[2:]), reversed(sizes), reversed(steps), strict=True):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            pads += [total // 2, total - total // 2]
        x = torch.nn.functional.pad(x, pads)
    for axis, (k, s) in enumerate(zip(sizes, steps, strict=True)):
        x = x.unfold(axis + 2, k, s)
    return x.movedim(1, -1).flatten(4)


def _volume_shape(operation: Any) -> TensorShape:
    shape, attrs = operation.inputs[0].shape.with_rank(5), operation.attrs
    if shape.ndims is None:
        return TensorShape([None] * 5)
    dims: list[int | None] = [shape.values[0]]
    for n, k, s in zip(shape.values[1:4], attrs["ksizes"][1:4], attrs["strides"][1:4], strict=True):
        dims.append(None if n is None else -(-n // s) if attrs["padding"] == "SAME" else -(-(n - k + 1) // s))
    depth = shape.values[4]
    return TensorShape([*dims, None if depth is None else depth * int(np.prod(attrs["ksizes"][1:4]))])


op("ExtractVolumePatches", "input:T -> T", _volumes, shape=_volume_shape)


@tf_export("extract_volume_patches")
def extract_volume_patches(input: Any, ksizes: Any, strides: Any, padding: str, name: str | None = None) -> Any:
    """[batch, planes, rows, columns, patch]: every window of a volume, flattened."""
    return apply_op(
        "ExtractVolumePatches", input, ksizes=list(ksizes), strides=list(strides), padding=padding, name=name
    )
