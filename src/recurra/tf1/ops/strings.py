"""tf.strings and the decoding of text: run-time values are NumPy object arrays of bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.compute import hashing
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape, broadcast_shapes, unknown_shape

__all__ = ["string_join", "string_split"]

Text = np.ndarray


def _map(text: Text, function: Callable[[bytes], bytes]) -> Text:
    return np.frompyfunc(function, 1, 1)(text) if text.ndim else _scalar(function(text.item()))


def _scalar(value: bytes) -> Text:
    out = np.empty((), object)
    out[()] = value
    return out


def _objects(values: Iterable[bytes], shape: Sequence[int]) -> Text:
    items = list(values)
    out = np.empty(len(items), object)
    out[:] = items
    return out.reshape(tuple(shape))


def _numbers(text: Text, function: Callable[[bytes], Any], dtype: torch.dtype) -> TorchTensor:
    return torch.tensor([function(b) for b in text.ravel()], dtype=dtype).reshape(text.shape)


def _mapping(kind: str, function: Callable[[bytes], bytes], *names: str) -> None:
    op(kind, "input:string -> string", lambda input: _map(input, function), diff=False, shape=same)
    export(lambda input, name=None: apply_op(kind, input, name=name), *names)


_mapping("StringStrip", bytes.strip, "string_strip", "strings.strip")


def _cased(kind: str, plain: Callable[[bytes], bytes], wide: Callable[[str], str], name: str) -> None:
    def lower(input: Text, encoding: str = "") -> Text:
        return _map(input, (lambda b: wide(b.decode("utf-8")).encode("utf-8")) if encoding else plain)

    op(kind, "input:string -> string", lower, diff=False, shape=same)
    export(lambda input, encoding="", name=None: apply_op(kind, input, encoding=encoding, name=name), name)


_cased("StringLower", bytes.lower, str.lower, "strings.lower")
_cased("StringUpper", bytes.upper, str.upper, "strings.upper")


def _string_join(inputs: list[Text], separator: str = "") -> Text:
    mark = separator.encode()
    shape = np.broadcast_shapes(*(i.shape for i in inputs))
    columns = [np.broadcast_to(i, shape).ravel() for i in inputs]
    return _objects((mark.join(parts) for parts in zip(*columns, strict=True)), shape)


def _join_shape(operation: Any) -> TensorShape:
    shape = TensorShape([])
    for tensor in operation.inputs:
        if tensor.shape.ndims is None:
            return unknown_shape()
        if tensor.shape.ndims:
            shape = tensor.shape if not shape.ndims else shape.merge_with(tensor.shape)
    return shape


op("StringJoin", "inputs:N*string -> string", _string_join, diff=False, shape=_join_shape)


@tf_export("string_join", "strings.join")
def string_join(inputs: Any, separator: str = "", name: str | None = None) -> Any:
    return apply_op("StringJoin", inputs, separator=separator, name=name)


def _split_rows(rows: list[list[bytes]]) -> tuple[TorchTensor, Text, TorchTensor]:
    """Ragged rows as the three parts of a SparseTensor."""
    index = [[r, c] for r, row in enumerate(rows) for c in range(len(row))]
    widest = max((len(r) for r in rows), default=0)
    values = _objects((b for row in rows for b in row), (len(index),))
    return torch.tensor(index, dtype=torch.int64).reshape(-1, 2), values, torch.tensor([len(rows), widest])


def _string_split(input: Text, delimiter: Text, skip_empty: bool = True) -> tuple[Any, ...]:
    """Any byte of the delimiter separates; an empty delimiter separates every byte."""
    marks = delimiter.item()
    rows = []
    for text in input:
        if not text:
            parts = []
        elif not marks:
            parts = [text[i : i + 1] for i in range(len(text))]
        else:
            parts = re.split(b"[" + re.escape(marks) + b"]", text)
        rows.append([p for p in parts if p] if skip_empty else parts)
    return _split_rows(rows)


def _string_split_v2(input: Text, sep: Text, maxsplit: int = -1) -> tuple[Any, ...]:
    """As Python's split: no separator means runs of white space."""
    mark = sep.item()
    return _split_rows([text.split(mark or None, maxsplit) if text or mark else [] for text in input])


def _SPARSE_SHAPES(operation):
    return [TensorShape([None, 2]), TensorShape([None]), TensorShape([2])]


op(
    "StringSplit",
    "input:string, delimiter:string -> int64, string, int64",
    _string_split,
    diff=False,
    shape=_SPARSE_SHAPES,
)
op(
    "StringSplitV2",
    "input:string, sep:string -> int64, string, int64",
    _string_split_v2,
    diff=False,
    shape=_SPARSE_SHAPES,
)


def _sparse(parts: Any) -> Any:
    from recurra.tf1 import names

    indices, values, shape = parts
    indices.set_shape([None, 2])
    values.set_shape([None])
    shape.set_shape([2])
    return names.lookup("SparseTensor")(indices, values, shape)


@tf_export("string_split")
def string_split(
    source: Any,
    sep: Any = None,
    skip_empty: bool = True,
    delimiter: Any = None,
    result_type: str = "SparseTensor",
    name: str | None = None,
) -> Any:
    sep = delimiter if sep is None else sep
    with name_scope(None, "StringSplit", [source]):
        mark = convert_to_tensor(" " if sep is None else sep, dtype=dtypes.string)
        if mark.get_shape().ndims not in (None, 0):
            raise ValueError(f"Shape must be rank 0 but is rank {mark.get_shape().ndims} for 'delimiter'")
        source = convert_to_tensor(source, dtype=dtypes.string)
        parts = apply_op("StringSplit", source, mark, skip_empty=skip_empty)
        return _result(_sparse(parts), result_type)


@tf_export("strings.split")
def strings_split(
    input: Any = None,
    sep: Any = None,
    maxsplit: int = -1,
    result_type: str = "SparseTensor",
    source: Any = None,
    name: str | None = None,
) -> Any:
    with name_scope(name, "StringSplit", [input if input is not None else source]):
        source = convert_to_tensor(input if input is not None else source, dtype=dtypes.string)
        if source.get_shape().ndims == 0:
            source = apply_op("ExpandDims", source, 0)
        parts = apply_op("StringSplitV2", source, convert_to_tensor(sep or "", dtype=dtypes.string), maxsplit=maxsplit)
        return _result(_sparse(parts), result_type)


def _result(sparse: Any, result_type: str) -> Any:
    if result_type == "SparseTensor":
        return sparse
    if result_type != "RaggedTensor":
        raise ValueError("result_type must be 'RaggedTensor' or 'SparseTensor'.")
    from recurra.tf1 import names

    return names.lookup("RaggedTensor").from_sparse(sparse)


@tf_export("strings.bytes_split")
def bytes_split(input: Any, name: str | None = None) -> Any:
    with name_scope(name, "StringsByteSplit", [input]):
        source = convert_to_tensor(input, dtype=dtypes.string)
        empty = convert_to_tensor("", dtype=dtypes.string)
        return _result(_sparse(apply_op("StringSplit", source, empty, skip_empty=True)), "RaggedTensor")


def _substr(input: Text, pos: TorchTensor, len: TorchTensor, unit: str = "BYTE") -> Text:
    shape = np.broadcast_shapes(input.shape, tuple(pos.shape))
    columns = (np.broadcast_to(input, shape), np.broadcast_to(pos.numpy(), shape), np.broadcast_to(len.numpy(), shape))
    return _objects(
        (_part(t, int(p), int(n), unit) for t, p, n in zip(*(c.ravel() for c in columns), strict=True)), shape
    )


def _part(text: bytes, start: int, count: int, unit: str) -> bytes:
    whole: Any = text.decode("utf-8") if unit == "UTF8_CHAR" else text
    size = len(whole)
    if not -size <= start <= size:
        raise InvalidArgumentError(
            None, None, f"pos {start} out of range for string b'{text.decode('latin-1')}' at index 0"
        )
    start = start + size if start < 0 else start
    piece = whole[start : start + max(count, 0)]
    return piece.encode("utf-8") if unit == "UTF8_CHAR" else piece


def _substr_shape(operation: Any) -> TensorShape:
    return broadcast_shapes(operation.inputs[0].shape, operation.inputs[1].shape)


op("Substr", "input:string, pos:T, len:T -> string", _substr, diff=False, shape=_substr_shape)


@tf_export("substr", "strings.substr")
def substr(input: Any, pos: Any, len: Any, name: str | None = None, unit: str = "BYTE") -> Any:
    return apply_op("Substr", input, pos, len, unit=unit, name=name)


def _length(input: Text, unit: str = "BYTE") -> TorchTensor:
    return _numbers(input, (lambda b: len(b.decode("utf-8"))) if unit == "UTF8_CHAR" else len, torch.int32)


op("StringLength", "input:string -> int32", _length, diff=False, shape=same)


@tf_export("strings.length")
def string_length(input: Any, name: str | None = None, unit: str = "BYTE") -> Any:
    return apply_op("StringLength", input, unit=unit, name=name)


_NUMBER = re.compile(rb"\s*[-+]?((\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|inf(inity)?|nan)\s*", re.IGNORECASE)
_INTEGER = re.compile(rb"\s*[-+]?\d+\s*")


def _to_number(string_tensor: Text, out_type: Any) -> TorchTensor:
    whole = out_type.is_integer
    pattern, convert = (_INTEGER, int) if whole else (_NUMBER, float)

    def parse(text: bytes) -> Any:
        if not pattern.fullmatch(text) or (whole and not out_type.min <= int(text) <= out_type.max):
            raise InvalidArgumentError(
                None, None, f"StringToNumberOp could not correctly convert string: {text.decode('latin-1')}"
            )
        return convert(text)

    return _numbers(string_tensor, parse, out_type.torch)


op("StringToNumber", "string_tensor:string -> out_type", _to_number, diff=False, shape=same)


@tf_export("string_to_number", "strings.to_number")
def string_to_number(
    string_tensor: Any = None, out_type: Any = dtypes.float32, name: str | None = None, input: Any = None
) -> Any:
    source = string_tensor if input is None else input
    return apply_op("StringToNumber", source, out_type=dtypes.as_dtype(out_type), name=name)


def _format(value: Any, precision: int, scientific: bool, shortest: bool, width: int, fill: str) -> str:
    if isinstance(value, (bool, np.bool_)):
        text = "true" if value else "false"
        spec = ""
    elif isinstance(value, (int, np.integer)):
        text, spec = str(int(value)), "d"
    else:
        kind = "e" if scientific else "g" if shortest else "f"
        text, spec = format(float(value), f".{precision if precision >= 0 else 6}{kind}"), "f"
    if width < 0:
        return text
    if fill == "0" and spec:
        return text.zfill(width)
    return text.ljust(width) if fill == "-" else text.rjust(width)


def _as_string(
    input: Any, precision: int = -1, scientific: bool = False, shortest: bool = False, width: int = -1, fill: str = ""
) -> Text:
    if isinstance(input, np.ndarray):
        return input
    if input.is_complex():

        def part(v):
            return _format(v, precision, scientific, shortest, width, fill)

        return _objects((f"({part(v.real)},{part(v.imag)})".encode() for v in input.reshape(-1).tolist()), input.shape)
    items = (_format(v, precision, scientific, shortest, width, fill).encode() for v in input.reshape(-1).tolist())
    return _objects(items, input.shape)


op("AsString", "input:T -> string", _as_string, diff=False, shape=same)


@tf_export("as_string", "dtypes.as_string", "strings.as_string")
def as_string(
    input: Any,
    precision: int = -1,
    scientific: bool = False,
    shortest: bool = False,
    width: int = -1,
    fill: str = "",
    name: str | None = None,
) -> Any:
    return apply_op(
        "AsString",
        input,
        precision=precision,
        scientific=scientific,
        shortest=shortest,
        width=width,
        fill=fill,
        name=name,
    )


def _bucket(function: Callable[[bytes], int]) -> Callable[[Text, int], TorchTensor]:
    return lambda input, num_buckets: _numbers(input, lambda b: function(b) % num_buckets, torch.int64)


op("StringToHashBucketFast", "input:string -> int64", _bucket(hashing.farm_fingerprint64), diff=False, shape=same)
op(
    "StringToHashBucket",
    "string_tensor:string -> int64",
    lambda string_tensor, num_buckets: _bucket(hashing.murmur64)(string_tensor, num_buckets),
    diff=False,
    shape=same,
)
op(
    "StringToHashBucketStrong",
    "input:string -> int64",
    lambda input, num_buckets, key: _bucket(lambda b: hashing.siphash24(b, tuple(key)))(input, num_buckets),
    diff=False,
    shape=same,
)


@tf_export("string_to_hash_bucket_fast", "strings.to_hash_bucket_fast")
def string_to_hash_bucket_fast(input: Any, num_buckets: int, name: str | None = None) -> Any:
    return apply_op("StringToHashBucketFast", input, num_buckets=num_buckets, name=name)


@tf_export("string_to_hash_bucket", "strings.to_hash_bucket")
def string_to_hash_bucket(
    string_tensor: Any = None, num_buckets: int | None = None, name: str | None = None, input: Any = None
) -> Any:
    return apply_op("StringToHashBucket", string_tensor if input is None else input, num_buckets=num_buckets, name=name)


@tf_export("string_to_hash_bucket_strong", "strings.to_hash_bucket_strong")
def string_to_hash_bucket_strong(input: Any, num_buckets: int, key: Sequence[int], name: str | None = None) -> Any:
    return apply_op("StringToHashBucketStrong", input, num_buckets=num_buckets, key=list(key), name=name)


def _rewrite(text: str) -> bytes:
    r"""RE2's \1 group references are Python's; other backslashes stay literal."""
    return re.sub(r"\\(?!\d)", r"\\\\", text).encode()


def _regex_replace(input: Text, pattern: str, rewrite: str, replace_global: bool = True) -> Text:
    compiled = re.compile(pattern.encode())
    by = _rewrite(rewrite)
    return _map(input, lambda b: compiled.sub(by, b, count=0 if replace_global else 1))


op("StaticRegexReplace", "input:string -> string", _regex_replace, diff=False, shape=same)
op(
    "RegexReplace",
    "input:string, pattern:string, rewrite:string -> string",
    lambda input, pattern, rewrite, replace_global=True: _regex_replace(
        input, pattern.item().decode(), rewrite.item().decode(), replace_global
    ),
    diff=False,
    shape=same,
)


@tf_export("regex_replace", "strings.regex_replace")
def regex_replace(input: Any, pattern: Any, rewrite: Any, replace_global: bool = True, name: str | None = None) -> Any:
    if isinstance(pattern, (str, bytes)) and isinstance(rewrite, (str, bytes)):

        def text(v):
            return v.decode() if isinstance(v, bytes) else v

        return apply_op(
            "StaticRegexReplace",
            input,
            pattern=text(pattern),
            rewrite=text(rewrite),
            replace_global=replace_global,
            name=name,
        )
    return apply_op("RegexReplace", input, pattern, rewrite, replace_global=replace_global, name=name)


op(
    "RegexFullMatch",
    "input:string, pattern:string -> bool",
    lambda input, pattern: _numbers(input, lambda b: re.fullmatch(pattern.item(), b) is not None, torch.bool),
    diff=False,
    shape=same,
)


@tf_export("strings.regex_full_match")
def regex_full_match(input: Any, pattern: Any, name: str | None = None) -> Any:
    return apply_op("RegexFullMatch", input, pattern, name=name)


def _reduce_join(inputs: Text, reduction_indices: TorchTensor, keep_dims: bool = False, separator: str = "") -> Text:
    """Join along axes, the first one given varying fastest; no axes join nothing."""
    axes = [int(a) % max(inputs.ndim, 1) for a in reduction_indices.reshape(-1)]
    if not axes:
        return inputs
    rest = [a for a in range(inputs.ndim) if a not in axes]
    moved = inputs.transpose(rest + axes[::-1]).reshape([inputs.shape[a] for a in rest] + [-1])
    joined = _objects((separator.encode().join(row) for row in moved.reshape(-1, moved.shape[-1])), moved.shape[:-1])
    return joined.reshape([1 if a in axes else s for a, s in enumerate(inputs.shape)]) if keep_dims else joined


def _reduce_join_shape(operation: Any) -> TensorShape:
    from recurra.tf1.shape_rules import reduce

    return reduce(operation)


op("ReduceJoin", "inputs:string, reduction_indices:int32 -> string", _reduce_join, diff=False, shape=_reduce_join_shape)


@tf_export("reduce_join", "strings.reduce_join")
def reduce_join(
    inputs: Any,
    axis: Any = None,
    keep_dims: bool | None = None,
    separator: str = "",
    name: str | None = None,
    reduction_indices: Any = None,
    keepdims: bool | None = None,
) -> Any:
    inputs = convert_to_tensor(inputs, dtype=dtypes.string, name="inputs")
    axis = reduction_indices if axis is None else axis
    if axis is None:
        axis = list(range(inputs.get_shape().ndims - 1, -1, -1))
    keep = bool(keep_dims if keepdims is None else keepdims)
    return apply_op("ReduceJoin", inputs, axis, keep_dims=keep, separator=separator, name=name)


def _web_base64(text: bytes, pad: bool) -> bytes:
    coded = base64.urlsafe_b64encode(text)
    return coded if pad else coded.rstrip(b"=")


op(
    "EncodeBase64",
    "input:string -> string",
    lambda input, pad=False: _map(input, lambda b: _web_base64(b, pad)),
    diff=False,
    shape=same,
)
op(
    "DecodeBase64",
    "input:string -> string",
    lambda input: _map(input, lambda b: base64.urlsafe_b64decode(b + b"=" * (-len(b) % 4))),
    diff=False,
    shape=same,
)


@tf_export("encode_base64", "io.encode_base64")
def encode_base64(input: Any, pad: bool = False, name: str | None = None) -> Any:
    return apply_op("EncodeBase64", input, pad=pad, name=name)


@tf_export("decode_base64", "io.decode_base64")
def decode_base64(input: Any, name: str | None = None) -> Any:
    return apply_op("DecodeBase64", input, name=name)


def _unicode_script(input: TorchTensor) -> TorchTensor:
    """ICU's script codes for the scripts met most; others are 0 (common)."""
    import unicodedata

    codes = {
        "LATIN": 25,
        "GREEK": 14,
        "CYRILLIC": 8,
        "ARABIC": 2,
        "HEBREW": 19,
        "CJK": 17,
        "HIRAGANA": 20,
        "KATAKANA": 22,
        "HANGUL": 18,
        "THAI": 38,
        "DEVANAGARI": 10,
    }

    def script(c):
        return codes.get(unicodedata.name(chr(c), "").split(" ")[0], 0)

    return torch.tensor([script(int(c)) for c in input.reshape(-1)], dtype=torch.int32).reshape(input.shape)


op("UnicodeScript", "input:int32 -> int32", _unicode_script, diff=False, shape=same)


@tf_export("strings.unicode_script")
def unicode_script(input: Any, name: str | None = None) -> Any:
    return apply_op("UnicodeScript", input, name=name)


def _string_format(inputs: list[Any], template: str, placeholder: str = "%s", summarize: int = 3) -> Text:
    from recurra.tf1.ops.printing import summary

    text = template
    for value in inputs:
        text = text.replace(placeholder, summary(value, summarize), 1)
    return _scalar(text.encode())


op("StringFormat", "inputs:*T -> string", _string_format, diff=False, shape=lambda o: TensorShape([]))


@tf_export("strings.format")
def string_format(
    template: str, inputs: Any, placeholder: str = "{}", summarize: int = 3, name: str | None = None
) -> Any:
    values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if template.count(placeholder) != len(values):
        raise ValueError(
            f"{template.count(placeholder)} placeholder(s) in template does not match {len(values)} tensor(s) provided"
            " as input"
        )
    return apply_op("StringFormat", values, template=template, placeholder=placeholder, summarize=summarize, name=name)
