"""tf.summary's operations, under their 1.x and 0.x names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from recurra.tf1.build import apply_op
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.protos import message
from recurra.tf1.registry import op
from recurra.tf1.summary import encode
from recurra.tf1.values import to_numpy

tf = space("")


def _serialized(proto: Any) -> np.ndarray:
    result = np.empty((), dtype=object)
    result[()] = proto.SerializeToString()
    return result


def _text(value: Any) -> str:
    found = value.item() if hasattr(value, "item") else value
    return found.decode("utf-8") if isinstance(found, bytes) else str(found)


def _scalar(tags: Any, values: Any) -> np.ndarray:
    numbers = np.asarray(to_numpy(values))
    names = np.asarray(tags, dtype=object)
    if names.shape != numbers.shape:
        raise InvalidArgumentError(
            None, None, f"tags and values not the same shape: {list(names.shape)} != {list(numbers.shape)}"
        )
    proto = encode.summary()
    for tag, number in zip(names.reshape(-1), numbers.reshape(-1), strict=True):
        proto.value.add(tag=_text(tag), simple_value=float(number))
    return _serialized(proto)


def _histogram(tag: Any, values: Any) -> np.ndarray:
    array = np.asarray(to_numpy(values))
    encode.check_finite(_text(tag), array)
    proto = encode.summary()
    proto.value.add(tag=_text(tag), histo=encode.histogram(array))
    return _serialized(proto)


def _image(tag: Any, tensor: Any, *, max_images: int = 3) -> np.ndarray:
    images = np.asarray(to_numpy(tensor))
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise InvalidArgumentError(None, None, f"Tensor must be 4-D with last dim 1, 3, or 4, not {list(images.shape)}")
    proto = encode.summary()
    for i, image in enumerate(images[:max_images]):
        name = f"{_text(tag)}/image" + (f"/{i}" if max_images > 1 else "")
        proto.value.add(tag=name, image=encode.png(encode.image_bytes(image)))
    return _serialized(proto)


def _audio(tag: Any, tensor: Any, sample_rate: Any, *, max_outputs: int = 3) -> np.ndarray:
    sounds = np.asarray(to_numpy(tensor))
    sounds = sounds[..., None] if sounds.ndim == 2 else sounds
    proto = encode.summary()
    for i, sound in enumerate(sounds[:max_outputs]):
        name = f"{_text(tag)}/audio" + (f"/{i}" if max_outputs > 1 else "")
        proto.value.add(tag=name, audio=encode.wav(sound, float(to_numpy(sample_rate))))
    return _serialized(proto)


def _merge(inputs: list[Any]) -> np.ndarray:
    proto = encode.summary()
    seen: set[str] = set()
    for array in inputs:
        for item in np.asarray(array, dtype=object).reshape(-1):
            part = message("summary_pb2", "Summary").FromString(item)
            for value in part.value:
                if value.tag in seen:
                    raise InvalidArgumentError(None, None, f"Duplicate tag {value.tag} found in summary inputs")
                seen.add(value.tag)
            proto.value.extend(part.value)
    return _serialized(proto)


def _tensor(tag: Any, tensor: Any, serialized_summary_metadata: Any) -> np.ndarray:
    proto = encode.summary()
    value = proto.value.add(tag=_text(tag), tensor=encode.tensor_proto(to_numpy(tensor)))
    value.metadata.ParseFromString(serialized_summary_metadata.item())
    return _serialized(proto)


def _vector(_op: Any) -> Any:
    return tf.TensorShape([])


op("ScalarSummary", "tags:string, values:T -> string", _scalar, shape=_vector, diff=False, stateful=False)
op("HistogramSummary", "tag:string, values:T -> string", _histogram, shape=_vector, diff=False)
op("ImageSummary", "tag:string, tensor:T -> string", _image, shape=_vector, diff=False, max_images=3)
op("AudioSummaryV2", "tag:string, tensor:T, sample_rate:float32 -> string", _audio, shape=_vector, diff=False)
op("MergeSummary", "inputs:N*string -> string", _merge, shape=_vector, diff=False)
op(
    "TensorSummaryV2",
    "tag:string, tensor:T, serialized_summary_metadata:string -> string",
    _tensor,
    shape=_vector,
    diff=False,
)


@contextmanager
def summary_scope(
    name: str, family: str | None = None, default_name: str | None = None, values: Any = None
) -> Iterator[tuple[str, str]]:
    """(tag, scope) of a summary: the tag is the scope's name, below the family's where one is given."""
    name = clean_tag(name) if name is not None else name
    family = clean_tag(family) if family is not None else None
    base = name if family is None else f"{family}/{name}"
    with tf.name_scope(base, default_name, values=values) as scope:
        tag = scope.rstrip("/")
        yield (tag if family is None else f"{family}/{tag}"), scope


def clean_tag(name: str | None) -> str | None:
    """A tag without characters that no tag may have."""
    if name is None:
        return None
    cleaned = re.sub(r"[^-/\w.]", "_", name).lstrip("/")
    if cleaned != name:
        tf.logging.info("Summary name %s is illegal; using %s instead.", name, cleaned)
    return cleaned


def _collect(summary: Any, collections: Any, default: list[str]) -> Any:
    for key in default if collections is None else collections:
        tf.add_to_collection(key, summary)
    return summary


_DEFAULT = ["summaries"]


@tf_export("summary.scalar")
def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> Any:
    """A summary of one number."""
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        return _collect(apply_op("ScalarSummary", tag, tensor, name=scope), collections, _DEFAULT)


@tf_export("summary.histogram")
def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> Any:
    """A summary of a tensor's distribution."""
    with summary_scope(name, family, values=[values], default_name="HistogramSummary") as (tag, scope):
        return _collect(apply_op("HistogramSummary", tag, values, name=scope), collections, _DEFAULT)


@tf_export("summary.image")
def image(name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None) -> Any:
    """A summary of images [batch, height, width, channels]."""
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        made = apply_op("ImageSummary", tag, tensor, max_images=max_outputs, name=scope)
        return _collect(made, collections, _DEFAULT)


@tf_export("summary.audio")
def audio(
    name: str, tensor: Any, sample_rate: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None
) -> Any:
    """A summary of sounds [batch, frames(, channels)]."""
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        rate = tf.cast(sample_rate, tf.float32)
        made = apply_op("AudioSummaryV2", tag, tensor, rate, max_outputs=max_outputs, name=scope)
        return _collect(made, collections, _DEFAULT)


@tf_export("summary.tensor_summary")
def tensor_summary(
    name: str,
    tensor: Any,
    summary_description: Any = None,
    collections: Any = None,
    summary_metadata: Any = None,
    family: str | None = None,
    display_name: str | None = None,
) -> Any:
    """A summary that holds a tensor's values."""
    metadata = message("summary_pb2", "SummaryMetadata")()
    if summary_metadata is not None:
        metadata.CopyFrom(summary_metadata)
    if display_name is not None:
        metadata.display_name = display_name
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        made = apply_op("TensorSummaryV2", tag, tensor, metadata.SerializeToString(), name=scope)
        return _collect(made, collections, _DEFAULT)


@tf_export("summary.text")
def text(name: str, tensor: Any, collections: Any = None) -> Any:
    """A summary of texts."""
    tensor = tf.convert_to_tensor(tensor)
    if tensor.dtype != tf.string:
        raise ValueError(f"Expected tensor {tensor.name} to have dtype string, got {tensor.dtype}")
    metadata = message("summary_pb2", "SummaryMetadata")()
    metadata.plugin_data.plugin_name = "text"
    return tensor_summary(name, tensor, summary_metadata=metadata, collections=collections)


@tf_export("summary.merge")
def merge(inputs: Any, collections: Any = None, name: str | None = None) -> Any:
    """One summary of several."""
    with tf.name_scope(name, "Merge", inputs):
        return _collect(apply_op("MergeSummary", list(inputs), name=name or "MergeSummary"), collections, [])


@tf_export("summary.merge_all")
def merge_all(key: str = "summaries", scope: str | None = None, name: str | None = None) -> Any:
    """One summary of all that were collected, None where there is none."""
    found = tf.get_collection(key, scope=scope)
    return merge(found, name=name) if found else None


@tf_export("summary.get_summary_description")
def get_summary_description(node_def: Any) -> Any:
    """The description that a tensor summary's node carries."""
    if node_def.op != "TensorSummary":
        raise ValueError(f"Can't get_summary_description on {node_def.op}")
    return message("summary_pb2", "SummaryMetadata")()


# -- names up to 0.12 --------------------------------------------------------------------------------------------------
@tf_export("scalar_summary")
def scalar_summary(tags: Any, values: Any, collections: Any = None, name: str | None = None) -> Any:
    """tf.scalar_summary: tags may be a tensor."""
    return _collect(apply_op("ScalarSummary", tags, values, name=name), collections, _DEFAULT)


@tf_export("histogram_summary")
def histogram_summary(tag: Any, values: Any, collections: Any = None, name: str | None = None) -> Any:
    """tf.histogram_summary."""
    return _collect(apply_op("HistogramSummary", tag, values, name=name), collections, _DEFAULT)


@tf_export("image_summary")
def image_summary(tag: Any, tensor: Any, max_images: int = 3, collections: Any = None, name: str | None = None) -> Any:
    """tf.image_summary."""
    return _collect(apply_op("ImageSummary", tag, tensor, max_images=max_images, name=name), collections, _DEFAULT)


@tf_export("audio_summary")
def audio_summary(
    tag: Any, tensor: Any, sample_rate: float, max_outputs: int = 3, collections: Any = None, name: str | None = None
) -> Any:
    """tf.audio_summary."""
    made = apply_op("AudioSummaryV2", tag, tensor, float(sample_rate), max_outputs=max_outputs, name=name)
    return _collect(made, collections, _DEFAULT)


@tf_export("merge_summary")
def merge_summary(inputs: Any, collections: Any = None, name: str | None = None) -> Any:
    """tf.merge_summary."""
    return _collect(apply_op("MergeSummary", list(inputs), name=name), collections, [])


@tf_export("merge_all_summaries")
def merge_all_summaries(key: str = "summaries") -> Any:
    """tf.merge_all_summaries."""
    found = tf.get_collection(key)
    return merge_summary(found) if found else None


export(summary_scope, "python.ops.summary_op_util.summary_scope")
