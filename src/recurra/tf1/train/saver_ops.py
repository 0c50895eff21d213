"""The operations of a Saver as TensorFlow's graphs hold them: a graph it wrote saves and restores by their names."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from recurra.tf1 import checkpoint, errors
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import scalar
from recurra.tf1.shapes import unknown_shape
from recurra.tf1.values import to_numpy, to_torch


def _text(value: Any) -> str:
    item = np.asarray(value).reshape(-1)[0]
    return item.decode() if isinstance(item, bytes) else str(item)


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in np.asarray(value).reshape(-1)]


def _scalar(text: str) -> np.ndarray:
    out = np.empty((), dtype=object)
    out[()] = text.encode()
    return out


def _window(spec: str) -> tuple[slice, ...]:
    """The part of a whole that "4 6 0,2:0,6" means; everything for the empty text."""
    extents = [tuple(int(n) for n in e.split(",")) for e in re.findall(r"\d+,\d+", spec.rpartition(" ")[2])]
    return tuple(slice(start, start + length) for start, length in extents)


def _restore(prefix: Any, tensor_names: Any, shape_and_slices: Any) -> list[Any]:
    path, names = _text(prefix), _texts(tensor_names)
    if not checkpoint.checkpoint_exists(path):
        raise errors.NotFoundError(None, None, f"Unsuccessful TensorSliceReader constructor: Failed to find any "
                                   f"matching files for {path}")  # fmt: skip
    with checkpoint.open(path) as stored:
        for name in names:
            if name not in stored:
                raise errors.NotFoundError(None, None, f"Key {name} not found in checkpoint")
        specs = _texts(shape_and_slices)
        return [to_torch(np.asarray(stored[n])[_window(s)]) for n, s in zip(names, specs, strict=True)]


def _save(version: str, prefix: Any, tensor_names: Any, shape_and_slices: Any, tensors: list[Any]) -> None:
    values = {n: np.asarray(to_numpy(t)) for n, t in zip(_texts(tensor_names), tensors, strict=True)}
    for name, spec in zip(values, _texts(shape_and_slices), strict=True):
        if window := _window(spec):
            whole = [int(d) for d in spec.split(" ")[: len(window)]]
            values[name] = checkpoint.Partitioned(whole, [([w.start for w in window], values[name])])  # type: ignore[assignment]
    os.makedirs(os.path.dirname(_text(prefix)) or ".", exist_ok=True)
    checkpoint.write(_text(prefix), values, version=version)


def _merge(checkpoint_prefixes: Any, destination_prefix: Any) -> None:
    """Shards written apart become one checkpoint under the destination's name."""
    target, parts = _text(destination_prefix), _texts(checkpoint_prefixes)
    merged: dict[str, Any] = {}
    for part in parts:
        merged.update(checkpoint.read(part))
        for file in checkpoint.checkpoint_files(part):
            os.remove(file)
    checkpoint.write(target, merged, version="V2")
    folder = os.path.dirname(parts[0])
    if folder and folder != os.path.dirname(target) and not os.listdir(folder):
        os.rmdir(folder)


def _restored_shapes(o: Any) -> list[Any]:
    return [unknown_shape()] * len(o.outputs)


op("RestoreV2", "prefix:string, tensor_names:string, shape_and_slices:string -> *dtypes", _restore, stateful=True,
   shape=_restored_shapes, diff=False)  # fmt: skip
op("SaveV2", "prefix:string, tensor_names:string, shape_and_slices:string, tensors:*dtypes ->",
   lambda prefix, tensor_names, shape_and_slices, tensors: _save("V2", prefix, tensor_names, shape_and_slices, tensors),
   stateful=True, diff=False)  # fmt: skip
op("SaveSlices", "filename:string, tensor_names:string, shapes_and_slices:string, data:*T ->",
   lambda filename, tensor_names, shapes_and_slices, data: _save("V1", filename, tensor_names, shapes_and_slices, data),
   stateful=True, diff=False)  # fmt: skip
op("RestoreSlice", "file_pattern:string, tensor_name:string, shape_and_slice:string -> dt",
   lambda file_pattern, tensor_name, shape_and_slice: _restore(file_pattern, tensor_name, shape_and_slice)[0],
   stateful=True, shape=lambda o: unknown_shape(), diff=False)  # fmt: skip
op("MergeV2Checkpoints", "checkpoint_prefixes:string, destination_prefix:string ->", _merge, stateful=True, diff=False)
op("ShardedFilename", "basename:string, shard:int32, num_shards:int32 -> string",
   lambda basename, shard, num_shards: _scalar(f"{_text(basename)}-{int(shard):05d}-of-{int(num_shards):05d}"),
   shape=scalar, diff=False)  # fmt: skip
op("ShardedFilespec", "basename:string, num_shards:int32 -> string",
   lambda basename, num_shards: _scalar(f"{_text(basename)}-?????-of-{int(num_shards):05d}"),
   shape=scalar, diff=False)  # fmt: skip
