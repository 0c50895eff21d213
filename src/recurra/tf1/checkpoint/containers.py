"""Checkpoints into other containers, and the differences between two of them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np

from recurra._files import write_bytes

from .errors import CheckpointError, CheckpointNotFoundError
from .files import Checkpoint, open, write
from .names import is_bookkeeping, modern_names

__all__ = ["Difference", "convert", "diff", "read_any"]

Target = Literal["safetensors", "tf-v2", "tf-v1", "torch"]
_STRINGS = "recurra.strings"


def convert(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    to: Target,
    names: Literal["modern", "keep"] = "keep",
    drop_slots: bool = False,
) -> str:
    """Write a checkpoint in another format; returns the file or prefix written.

    to: "safetensors" (strings go into its metadata), "tf-v2", "tf-v1", or "torch" (a dictionary of tensors that
        `torch.load(…, weights_only=True)` reads).
    names: "modern" renames variables of every era to 1.15's.
    drop_slots: leave out optimizer slots, moving averages and counters.
    """
    tensors = read_any(path)
    parts = modern_names(tensors)
    kept = [p for p in parts.values() if not (drop_slots and (p.slot is not None or is_bookkeeping(p.modern)))]
    renamed = {(p.full if names == "modern" else p.stored): tensors[p.stored] for p in kept}
    if len(renamed) != len(kept):
        raise CheckpointError(os.fspath(path), "two variables have the same modern name; convert with names='keep'")
    target = os.fspath(output)
    if to in ("tf-v2", "tf-v1"):
        return write(target, renamed, "V2" if to == "tf-v2" else "V1")
    if to == "safetensors":
        return _write_safetensors(_with_suffix(target, ".safetensors"), renamed)
    if to == "torch":
        return _write_torch(_with_suffix(target, ".pt"), renamed)
    raise ValueError(f"to must be safetensors, tf-v2, tf-v1 or torch, got {to!r}")


def read_any(path: str | os.PathLike[str]) -> Mapping[str, np.ndarray]:
    """The variables of a TensorFlow checkpoint (lazily), of a .safetensors file or of a .pt file of tensors."""
    name = os.fspath(path)
    if not name.endswith((".safetensors", ".pt")):
        return open(name)
    if not os.path.isfile(name):
        raise CheckpointNotFoundError(name, "no such file")
    return _read_safetensors(name) if name.endswith(".safetensors") else _read_torch(name)


def _with_suffix(path: str, suffix: str) -> str:
    return path if path.endswith(suffix) else path + suffix


def _write_safetensors(path: str, tensors: Mapping[str, np.ndarray]) -> str:
    from safetensors.numpy import save

    strings = {
        name: {"shape": values.shape, "values": [base64.b64encode(item).decode() for item in values.reshape(-1)]}
        for name, values in tensors.items()
        if values.dtype == object
    }
    arrays = {name: np.ascontiguousarray(values) for name, values in tensors.items() if values.dtype != object}
    for name, values in tensors.items():
        if values.dtype.name == "complex128":
            raise ValueError(f"variable {name!r} is complex128, which safetensors cannot hold")
        if name in arrays:
            arrays[name] = arrays[name].reshape(values.shape)  # ascontiguousarray makes a scalar a vector
    write_bytes(path, save(arrays, {_STRINGS: json.dumps(strings)} if strings else None))
    return path


# safetensors' own reader for NumPy knows no bfloat16.
_SAFETENSORS_DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "C64": np.complex64,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "BOOL": np.bool_,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
}  # fmt: skip


def _read_safetensors(path: str) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, deserialize, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
        with io_open(path) as stream:
            found = deserialize(stream.read())
        tensors = {}
        for name, view in found:
            if view["dtype"] not in _SAFETENSORS_DTYPES:
                raise CheckpointError(path, f"tensor {name!r} has the type {view['dtype']}, which NumPy has not")
            tensors[name] = np.frombuffer(view["data"], _SAFETENSORS_DTYPES[view["dtype"]]).reshape(view["shape"])
        strings = json.loads(metadata.get(_STRINGS, "{}"))
        for name, item in strings.items():
            flat = np.empty(len(item["values"]), object)
            flat[:] = [base64.b64decode(value) for value in item["values"]]
            tensors[name] = flat.reshape(item["shape"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(path, f"is not a safetensors file, or is damaged: {error}") from None
    return tensors


def _write_torch(path: str, tensors: Mapping[str, np.ndarray]) -> str:
    import io

    import torch

    from recurra.tf1.checkpoint.tensors import tensor_of

    strings = [name for name, values in tensors.items() if values.dtype == object]
    if strings:
        raise ValueError(f"torch holds no strings: {', '.join(strings)}; convert to safetensors instead")
    buffer = io.BytesIO()
    torch.save({name: tensor_of(values) for name, values in tensors.items()}, buffer)
    write_bytes(path, buffer.getvalue())
    return path


def _read_torch(path: str) -> dict[str, np.ndarray]:
    import pickle

    import torch

    from recurra.tf1.checkpoint.tensors import array_of

    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(path, f"holds more than tensors, or is damaged: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(path, "is not a dictionary of tensors")
    return {name: array_of(value) for name, value in state.items()}


def io_open(path: str) -> Any:
    """The built-in `open` for reading bytes (this package has one of its own)."""
    import builtins

    return builtins.open(path, "rb")


@dataclass(frozen=True)
class Difference:
    """One variable that is not the same in two checkpoints."""

    name: str
    kind: Literal["only in A", "only in B", "shape", "dtype", "values"]
    detail: str = ""
    greatest: float | None = None
    """For values: the greatest absolute difference (NaN where one of both is not a number)."""


def diff(
    a: str | os.PathLike[str] | Mapping[str, np.ndarray],
    b: str | os.PathLike[str] | Mapping[str, np.ndarray],
    *,
    names: Literal["modern", "keep"] = "modern",
) -> list[Difference]:
    """Every difference between two checkpoints of any format and era, in order of names; empty where they are equal."""
    first, second = (read_any(x) if not isinstance(x, Mapping) else x for x in (a, b))
    left = {p.full if names == "modern" else p.stored: p.stored for p in modern_names(first).values()}
    right = {p.full if names == "modern" else p.stored: p.stored for p in modern_names(second).values()}
    found = []
    for name in sorted({*left, *right}):
        if name not in right:
            found.append(Difference(name, "only in A"))
        elif name not in left:
            found.append(Difference(name, "only in B"))
        else:
            found += _compare(name, first[left[name]], second[right[name]])
    for opened in (first, second):
        if isinstance(opened, Checkpoint) and opened not in (a, b):
            opened.close()
    return found


def _compare(name: str, a: np.ndarray, b: np.ndarray) -> Iterator[Difference]:
    if a.shape != b.shape:
        yield Difference(name, "shape", f"{list(a.shape)} and {list(b.shape)}")
        return
    if a.dtype != b.dtype:
        yield Difference(name, "dtype", f"{a.dtype} and {b.dtype}")
    if a.dtype == object or b.dtype == object or a.dtype == np.bool_:
        if not np.array_equal(a, b):
            yield Difference(name, "values", f"{int(np.sum(a != b))} of {a.size} elements differ")
    elif a.tobytes() != b.tobytes() or a.dtype != b.dtype:
        differs = (a != b) & ~((a != a) & (b != b))  # in the values' own type; NaN in both is the same
        if differs.any():
            wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
            greatest = float(np.abs(a[differs].astype(wide) - b[differs].astype(wide)).max())
            yield Difference(name, "values", f"{int(differs.sum())} of {a.size} elements differ", greatest)
