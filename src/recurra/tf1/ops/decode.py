"""Bytes and text records into tensors: decode_raw, decode_csv, files, serialised tensors; quantisation of tensors."""

from __future__ import annotations

import csv
import glob
import io
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.errors import InvalidArgumentError, NotFoundError
from recurra.tf1.names import tf_export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape

__all__ = ["decode_csv", "decode_raw"]


def _decode_raw(bytes: np.ndarray, out_type: Any, little_endian: bool = True) -> TorchTensor:
    kind = np.dtype(out_type.as_numpy_dtype).newbyteorder("<" if little_endian else ">")
    rows = [b for b in bytes.reshape(-1)]
    if len({len(r) for r in rows}) > 1:
        raise InvalidArgumentError(
            None,
            None,
            f"DecodeRaw requires input strings to all be the same size, but element 1 has size {len(rows[1])} !="
            f" {len(rows[0])}",
        )
    if rows and len(rows[0]) % kind.itemsize:
        raise InvalidArgumentError(
            None,
            None,
            f"Input to DecodeRaw has length {len(rows[0])} that is not a multiple of {kind.itemsize}, the size of"
            f" {out_type.name}",
        )
    width = len(rows[0]) // kind.itemsize if rows else 0
    flat = np.frombuffer(b"".join(rows), kind).astype(kind.newbyteorder("="))
    return torch.from_numpy(flat.reshape(*bytes.shape, width).copy())


op(
    "DecodeRaw",
    "bytes:string -> out_type",
    _decode_raw,
    diff=False,
    shape=lambda o: o.inputs[0].shape.concatenate([None]),
)


@tf_export("decode_raw", "io.decode_raw")
def decode_raw(
    input_bytes: Any = None,
    out_type: Any = None,
    little_endian: bool = True,
    name: str | None = None,
    bytes: Any = None,
) -> Any:
    source = input_bytes if bytes is None else bytes
    return apply_op("DecodeRaw", source, out_type=dtypes.as_dtype(out_type), little_endian=little_endian, name=name)


def _decode_csv(
    records: np.ndarray,
    record_defaults: list[Any],
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    select_cols: Any = (),
) -> tuple[Any, ...]:
    quoting = csv.QUOTE_MINIMAL if use_quote_delim else csv.QUOTE_NONE
    columns: list[list[Any]] = [[] for _ in record_defaults]
    for number, record in enumerate(records.reshape(-1)):
        fields = next(csv.reader(io.StringIO(record.decode()), delimiter=field_delim, quoting=quoting), [""])
        fields = [fields[c] for c in select_cols] if select_cols else fields
        if len(fields) != len(columns):
            raise InvalidArgumentError(
                None, None, f"Expect {len(columns)} fields but have {len(fields)} in record {number}"
            )
        for n, (field, default) in enumerate(zip(fields, record_defaults, strict=True)):
            columns[n].append(_field(field, default, n, number, na_value))
    return tuple(
        _column(values, default, records.shape) for values, default in zip(columns, record_defaults, strict=True)
    )


def _field(field: str, default: Any, column: int, record: int, na_value: str) -> Any:
    if field in ("", na_value):
        if len(default.reshape(-1)) == 0:
            raise InvalidArgumentError(None, None, f"Field {column} is required but missing in record {record}!")
        return default.reshape(-1)[0].item() if isinstance(default, torch.Tensor) else default.reshape(-1)[0]
    if isinstance(default, np.ndarray):
        return field.encode()
    try:
        return float(field) if default.dtype.is_floating_point else int(field)
    except ValueError:
        raise InvalidArgumentError(
            None,
            None,
            f"Field {column} in record {record} is not a valid {str(default.dtype).removeprefix('torch.')}: {field}",
        ) from None


def _column(values: list[Any], default: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(default, np.ndarray):
        out = np.empty(len(values), object)
        out[:] = values
        return out.reshape(shape)
    return torch.tensor(values, dtype=default.dtype).reshape(shape)


op(
    "DecodeCSV",
    "records:string, record_defaults:* -> *OUT_TYPE",
    _decode_csv,
    diff=False,
    shape=lambda o: [o.inputs[0].shape] * len(o.attrs["OUT_TYPE"]),
)


@tf_export("decode_csv", "io.decode_csv")
def decode_csv(
    records: Any,
    record_defaults: Any,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    name: str | None = None,
    na_value: str = "",
    select_cols: Any = None,
) -> Any:
    """One tensor per column; a default of no entries makes the column required."""
    defaults = [convert_to_tensor(d) for d in record_defaults]
    kinds = [d.dtype.base_dtype for d in defaults]
    return apply_op(
        "DecodeCSV",
        records,
        defaults,
        OUT_TYPE=kinds,
        field_delim=field_delim,
        use_quote_delim=use_quote_delim,
        na_value=na_value,
        select_cols=list(select_cols or []),
        name=name,
    )


def _bytes(value: bytes) -> np.ndarray:
    out = np.empty((), object)
    out[()] = value
    return out


def _read(filename: np.ndarray) -> np.ndarray:
    try:
        with open(filename.item().decode(), "rb") as source:
            return _bytes(source.read())
    except FileNotFoundError:
        raise NotFoundError(None, None, f"{filename.item().decode()}; No such file or directory") from None


def _write(filename: np.ndarray, contents: np.ndarray) -> None:
    with open(filename.item().decode(), "wb") as target:
        target.write(contents.item())


def _matching(pattern: np.ndarray) -> np.ndarray:
    found = sorted(name.encode() for p in pattern.reshape(-1) for name in glob.glob(p.decode()))
    out = np.empty(len(found), object)
    out[:] = found
    return out


op("ReadFile", "filename:string -> string", _read, diff=False, stateful=True, shape=lambda o: TensorShape([]))
op("WriteFile", "filename:string, contents:string ->", _write, stateful=True)
op(
    "MatchingFiles",
    "pattern:string -> string",
    _matching,
    diff=False,
    stateful=True,
    shape=lambda o: TensorShape([None]),
)


@tf_export("read_file", "io.read_file")
def read_file(filename: Any, name: str | None = None) -> Any:
    return apply_op("ReadFile", filename, name=name)


@tf_export("write_file", "io.write_file")
def write_file(filename: Any, contents: Any, name: str | None = None) -> Any:
    return apply_op("WriteFile", filename, contents, name=name)


@tf_export("matching_files", "io.matching_files")
def matching_files(pattern: Any, name: str | None = None) -> Any:
    return apply_op("MatchingFiles", pattern, name=name)


def _decompress(bytes: np.ndarray, compression_type: str = "") -> np.ndarray:
    window = {"ZLIB": zlib.MAX_WBITS, "GZIP": zlib.MAX_WBITS | 16}
    unpack = (lambda b: b) if not compression_type else lambda b: zlib.decompress(b, window[compression_type])
    return np.frompyfunc(unpack, 1, 1)(bytes) if bytes.ndim else _bytes(unpack(bytes.item()))


op("DecodeCompressed", "bytes:string -> string", _decompress, diff=False, shape=same)


@tf_export("decode_compressed", "io.decode_compressed")
def decode_compressed(bytes: Any, compression_type: str = "", name: str | None = None) -> Any:
    return apply_op("DecodeCompressed", bytes, compression_type=compression_type, name=name)


def _fake_quant(
    inputs: TorchTensor, min: float = -6.0, max: float = 6.0, num_bits: int = 8, narrow_range: bool = False
) -> TorchTensor:
    """Rounded to the nearest of 2^bits levels; the gradient passes inside the range only."""
    low_level, high_level = (1 if narrow_range else 0), 2**num_bits - 1
    scale = (max - min) / (high_level - low_level)
    zero = np.clip(np.floor(low_level - min / scale + 0.5), low_level, high_level)
    low, high = (low_level - zero) * scale, (high_level - zero) * scale
    clamped = inputs.clamp(low, high)
    rounded = torch.floor((clamped - low) / scale + 0.5) * scale + low
    inside = (inputs >= low) & (inputs <= high)
    through = torch.where(inside, inputs, inputs.detach())
    return rounded.detach() + (through - through.detach())


op("FakeQuantWithMinMaxArgs", "inputs:float32 -> float32", _fake_quant, shape=same)


@tf_export("fake_quant_with_min_max_args", "quantization.fake_quant_with_min_max_args")
def fake_quant_with_min_max_args(
    inputs: Any, min: float = -6, max: float = 6, num_bits: int = 8, narrow_range: bool = False, name: str | None = None
) -> Any:
    return apply_op(
        "FakeQuantWithMinMaxArgs",
        inputs,
        min=float(min),
        max=float(max),
        num_bits=num_bits,
        narrow_range=narrow_range,
        name=name,
    )
