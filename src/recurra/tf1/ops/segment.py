"""Segment reductions, dynamic partition and stitch, unique, histogram and searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["unsorted_segment_sum"]


def _identity_of(kind: str, dtype: torch.dtype) -> Any:
    """What a segment without entries holds."""
    if kind in ("sum", "mean"):
        return 0
    if kind == "prod":
        return 1
    low, high = (
        (torch.finfo(dtype).min, torch.finfo(dtype).max)
        if dtype.is_floating_point
        else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    )
    return low if kind == "amax" else high


def _combine(data: TorchTensor, ids: TorchTensor, count: int, kind: str, empty: Any) -> TorchTensor:
    """Rows of `data` reduced by id into `[count, …]`; negative ids are dropped."""
    flat, rest = ids.reshape(-1).long(), data.shape[ids.dim() :]
    rows = data.reshape(flat.numel(), *rest)
    keep = flat >= 0
    if not bool(keep.all()):
        flat, rows = flat[keep], rows[keep]
    if flat.numel() and int(flat.max()) >= count:
        at = int((flat >= count).nonzero()[0])
        raise InvalidArgumentError(None, None, f"segment_ids[{at}] = {int(flat[at])} is out of range [0, {count})")
    if kind == "sum":
        return torch.zeros(count, *rest, dtype=data.dtype).index_add(0, flat, rows)
    if data.dtype == torch.bool or data.is_complex():
        raise InvalidArgumentError(None, None, f"segment reduction of {data.dtype}")
    index = flat.view(-1, *[1] * len(rest)).expand_as(rows)
    start = torch.full((count, *rest), empty, dtype=data.dtype)
    if kind == "mean":
        sizes = _sizes(flat, count, rows.dtype, len(rest))
        return torch.zeros(count, *rest, dtype=data.dtype).index_add(0, flat, rows) / sizes.clamp(min=1)
    return start.scatter_reduce(0, index, rows, kind, include_self=True)


def _sizes(flat: TorchTensor, count: int, dtype: torch.dtype, rank: int) -> TorchTensor:
    return torch.bincount(flat, minlength=count).to(dtype).view(-1, *[1] * rank)


def _sorted(kind: str) -> Callable[..., TorchTensor]:
    def lower(data: TorchTensor, segment_ids: TorchTensor) -> TorchTensor:
        ids = segment_ids.long()
        if ids.numel() and bool((ids[1:] < ids[:-1]).any()):
            raise InvalidArgumentError(None, None, "segment ids are not increasing")
        count = int(ids[-1]) + 1 if ids.numel() else 0
        empty = _identity_of(kind, data.dtype) if kind in ("sum", "mean", "prod") else 0
        if kind in ("amax", "amin"):
            out = _combine(data, ids, count, kind, _identity_of(kind, data.dtype))
            seen = torch.bincount(ids, minlength=count).view(-1, *[1] * (data.dim() - 1)) > 0
            return torch.where(seen, out, torch.zeros((), dtype=data.dtype))
        return _combine(data, ids, count, kind, empty)

    return lower


def _unsorted(kind: str) -> Callable[..., TorchTensor]:
    def lower(data: TorchTensor, segment_ids: TorchTensor, num_segments: TorchTensor) -> TorchTensor:
        return _combine(data, segment_ids, int(num_segments), kind, _identity_of(kind, data.dtype))

    return lower


def _sorted_shape(operation: Any) -> TensorShape:
    operation.inputs[1].shape.with_rank(1)
    return TensorShape([None]).concatenate(operation.inputs[0].shape.with_rank_at_least(1)[1:])


def _unsorted_shape(operation: Any) -> TensorShape:
    data, ids, count = operation.inputs[0].shape, operation.inputs[1].shape, constant_value(operation.inputs[2])
    if ids.ndims is None or data.ndims is None:
        return TensorShape(None)
    if not data[: ids.ndims].is_compatible_with(ids) or data.ndims < ids.ndims:
        raise ValueError(
            f"Shapes must be equal rank, data.shape = {data} does not start with segment_ids.shape = {ids}"
        )
    return TensorShape([None if count is None else int(count)]).concatenate(data[ids.ndims :])


_KINDS = {"Sum": "sum", "Mean": "mean", "Prod": "prod", "Max": "amax", "Min": "amin"}


def _segment_function(kind: str, unsorted: bool) -> Callable[..., Any]:
    if unsorted:
        return lambda data, segment_ids, num_segments, name=None: apply_op(
            kind, data, segment_ids, num_segments, name=name
        )
    return lambda data, segment_ids, name=None: apply_op(kind, data, segment_ids, name=name)


for _name, _kind in _KINDS.items():
    op(f"Segment{_name}", "data:T, segment_ids:Tindices -> T", _sorted(_kind), shape=_sorted_shape)
    export(_segment_function(f"Segment{_name}", False), f"segment_{_name.lower()}", f"math.segment_{_name.lower()}")
    if _name != "Mean":
        op(
            f"UnsortedSegment{_name}",
            "data:T, segment_ids:Tindices, num_segments:Tnum -> T",
            _unsorted(_kind),
            shape=_unsorted_shape,
        )
        export(
            _segment_function(f"UnsortedSegment{_name}", True),
            f"unsorted_segment_{_name.lower()}",
            f"math.unsorted_segment_{_name.lower()}",
        )


def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    return apply_op("UnsortedSegmentSum", data, segment_ids, num_segments, name=name)


def _segment_counts(segment_ids: Any, num_segments: Any, like: Any) -> Any:
    """How many entries each segment has, at least 1, shaped to divide the sums."""
    ones = apply_op(
        "Fill", apply_op("Shape", segment_ids, out_type=dtypes.int32), convert_to_tensor(1, dtype=like.dtype)
    )
    counts = apply_op("Maximum", unsorted_segment_sum(ones, segment_ids, num_segments), 1)
    extra = like.get_shape().ndims - segment_ids.get_shape().ndims
    return apply_op("Reshape", counts, [-1] + [1] * extra)


@tf_export("unsorted_segment_mean", "math.unsorted_segment_mean")
def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    with name_scope(name, "UnsortedSegmentMean"):
        data, segment_ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
        return unsorted_segment_sum(data, segment_ids, num_segments) / _segment_counts(segment_ids, num_segments, data)


@tf_export("unsorted_segment_sqrt_n", "math.unsorted_segment_sqrt_n")
def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    with name_scope(name, "UnsortedSegmentSqrtN"):
        data, segment_ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
        counts = _segment_counts(segment_ids, num_segments, data)
        return unsorted_segment_sum(data, segment_ids, num_segments) / apply_op("Sqrt", counts)


def _sparse(scale: Callable[[TorchTensor], TorchTensor] | None) -> Callable[..., TorchTensor]:
    """Gather rows, sum them by segment, divide by a function of the segment's size."""

    def lower(
        data: TorchTensor, indices: TorchTensor, segment_ids: TorchTensor, num_segments: TorchTensor | None = None
    ) -> TorchTensor:
        ids = segment_ids.long()
        count = int(num_segments) if num_segments is not None else int(ids[-1]) + 1 if ids.numel() else 0
        total = _combine(data[indices.long()], ids, count, "sum", 0)
        return total if scale is None else total / scale(_sizes(ids, count, data.dtype, data.dim() - 1).clamp(min=1))

    return lower


def _sparse_shape(operation: Any) -> TensorShape:
    count = constant_value(operation.inputs[3]) if len(operation.inputs) > 3 else None
    return TensorShape([None if count is None else int(count)]).concatenate(operation.inputs[0].shape[1:])


def _sparse_function(kind: str) -> Callable[..., Any]:
    def segment(data: Any, indices: Any, segment_ids: Any, name: str | None = None, num_segments: Any = None) -> Any:
        if num_segments is None:
            return apply_op(kind, data, indices, segment_ids, name=name)
        return apply_op(f"{kind}WithNumSegments", data, indices, segment_ids, num_segments, name=name)

    return segment


for _kind, _name, _scale in (
    ("SparseSegmentSum", "segment_sum", None),
    ("SparseSegmentMean", "segment_mean", lambda size: size),
    ("SparseSegmentSqrtN", "segment_sqrt_n", torch.sqrt),
):
    op(_kind, "data:T, indices:Tidx, segment_ids:int32 -> T", _sparse(_scale), shape=_sparse_shape)
    op(
        f"{_kind}WithNumSegments",
        "data:T, indices:Tidx, segment_ids:int32, num_segments:Tnum -> T",
        _sparse(_scale),
        shape=_sparse_shape,
    )
    export(_sparse_function(_kind), f"sparse_{_name}", f"sparse.{_name}")


def _dynamic_partition(data: Any, partitions: TorchTensor, num_partitions: int) -> tuple[Any, ...]:
    rows = data.reshape(partitions.numel(), *data.shape[partitions.dim() :])
    flat = partitions.reshape(-1)
    return tuple(
        rows[(flat == n).numpy() if isinstance(rows, np.ndarray) else flat == n] for n in range(num_partitions)
    )


def _partition_shape(operation: Any) -> list[TensorShape]:
    data, ids = operation.inputs[0].shape, operation.inputs[1].shape
    rest = (
        TensorShape(None)
        if ids.ndims is None or data.ndims is None
        else TensorShape([None]).concatenate(data[ids.ndims :])
    )
    return [rest] * operation.attrs["num_partitions"]


op("DynamicPartition", "data:T, partitions:int32 -> num_partitions*T", _dynamic_partition, shape=_partition_shape)


@tf_export("dynamic_partition")
def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> Any:
    return apply_op("DynamicPartition", data, partitions, name=name, num_partitions=num_partitions)


def _dynamic_stitch(indices: list[TorchTensor], data: list[TorchTensor]) -> TorchTensor:
    """Later pieces win where indices repeat."""
    flat = torch.cat([i.reshape(-1) for i in indices]).long()
    rest = data[0].shape[indices[0].dim() :]
    rows = torch.cat([d.reshape(i.numel(), *rest) for i, d in zip(indices, data, strict=True)])
    size = int(flat.max()) + 1 if flat.numel() else 0
    last = torch.full((size,), -1, dtype=torch.long)
    for position, index in enumerate(flat.tolist()):
        last[index] = position
    out = rows[last.clamp(min=0)]
    return torch.where((last >= 0).view(-1, *[1] * len(rest)), out, torch.zeros((), dtype=rows.dtype))


def _stitch_shape(operation: Any) -> TensorShape:
    half = len(operation.inputs) // 2
    rest, top, known = TensorShape(None), -1, True
    for index, data in zip(operation.inputs[:half], operation.inputs[half:], strict=True):
        value = constant_value(index)
        known = known and value is not None
        top = max(top, int(np.max(value))) if value is not None and np.size(value) else top
        if index.shape.ndims is not None and data.shape.ndims is not None:
            rest = rest.merge_with(data.shape[index.shape.ndims :])
    return TensorShape([top + 1 if known else None]).concatenate(rest)


for _kind in ("DynamicStitch", "ParallelDynamicStitch"):
    op(_kind, "indices:N*int32, data:N*T -> T", _dynamic_stitch, shape=_stitch_shape)


@tf_export("dynamic_stitch")
def dynamic_stitch(indices: Any, data: Any, name: str | None = None) -> Any:
    return apply_op("DynamicStitch", indices, data, name=name)


def _unique(x: Any, out_idx: Any, counts: bool = False) -> tuple[Any, ...]:
    """Distinct values in the order of their first appearance."""
    array = x if isinstance(x, np.ndarray) else x.detach().numpy()
    values, first, inverse, count = np.unique(array, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = values[order] if isinstance(x, np.ndarray) else torch.from_numpy(np.ascontiguousarray(values[order]))
    index = torch.from_numpy(rank[inverse.reshape(-1)]).to(out_idx.torch)
    return (kept, index, torch.from_numpy(count[order]).to(out_idx.torch)) if counts else (kept, index)


def _unique_shapes(operation: Any) -> list[TensorShape]:
    x = operation.inputs[0].shape.with_rank(1)
    return [TensorShape([None]), x, TensorShape([None])][: len(operation.outputs) or 3]


op("Unique", "x:T -> T, out_idx", _unique, diff=False, shape=lambda o: _unique_shapes(o)[:2])
op(
    "UniqueWithCounts",
    "x:T -> T, out_idx, out_idx",
    lambda x, out_idx: _unique(x, out_idx, True),
    diff=False,
    shape=lambda o: _unique_shapes(o)[:3],
)


def _listdiff(x: Any, y: Any, out_idx: Any) -> tuple[Any, TorchTensor]:
    array, other = (v if isinstance(v, np.ndarray) else v.detach().numpy() for v in (x, y))
    keep = np.nonzero(~np.isin(array, other))[0]
    left = array[keep]
    return left if isinstance(x, np.ndarray) else torch.from_numpy(left), torch.from_numpy(keep).to(out_idx.torch)


op("ListDiff", "x:T, y:T -> T, out_idx", _listdiff, diff=False, shape=lambda o: [TensorShape([None])] * 2)


def _named(kind: str, fields: str) -> Callable[..., Any]:
    from collections import namedtuple

    result = namedtuple(kind, fields)  # type: ignore[misc]
    return lambda x, out_idx=dtypes.int32, name=None: result(
        *apply_op(kind, x, out_idx=dtypes.as_dtype(out_idx), name=name)
    )


export(_named("Unique", "y idx"), "unique")
export(_named("UniqueWithCounts", "y idx count"), "unique_with_counts")


@tf_export("setdiff1d")
def setdiff1d(x: Any, y: Any, index_dtype: Any = dtypes.int32, name: str | None = None) -> Any:
    from collections import namedtuple

    return namedtuple("ListDiff", "out idx")(
        *apply_op("ListDiff", x, y, out_idx=dtypes.as_dtype(index_dtype), name=name)
    )


def _histogram(values: TorchTensor, value_range: TorchTensor, nbins: TorchTensor, dtype: Any) -> TorchTensor:
    low, high = (float(v) for v in value_range)
    bins = int(nbins)
    index = torch.floor((values.double() - low) / (high - low) * bins).clamp(0, bins - 1).long().reshape(-1)
    return torch.bincount(index, minlength=bins).to(dtype.torch)


def _bins_shape(operation: Any) -> TensorShape:
    bins = constant_value(operation.inputs[2])
    return TensorShape([None if bins is None else int(bins)])


op("HistogramFixedWidth", "values:T, value_range:T, nbins:int32 -> dtype", _histogram, diff=False, shape=_bins_shape)


@tf_export("histogram_fixed_width")
def histogram_fixed_width(
    values: Any, value_range: Any, nbins: Any = 100, dtype: Any = dtypes.int32, name: str | None = None
) -> Any:
    with name_scope(name, "histogram_fixed_width", [values, value_range, nbins]) as scope:
        return apply_op("HistogramFixedWidth", values, value_range, nbins, dtype=dtypes.as_dtype(dtype), name=scope)


def _bincount(arr: TorchTensor, size: TorchTensor, weights: TorchTensor) -> TorchTensor:
    """Counts (or sums of weights) per value below `size`; values at or above it are ignored."""
    flat, bins = arr.reshape(-1).long(), int(size)
    keep = flat < bins
    if not weights.numel():
        return torch.bincount(flat[keep], minlength=bins).to(weights.dtype)
    return torch.zeros(bins, dtype=weights.dtype).index_add(0, flat[keep], weights.reshape(-1)[keep])


def _bincount_shape(operation: Any) -> TensorShape:
    size = constant_value(operation.inputs[1])
    return TensorShape([None if size is None else int(size)])


op("Bincount", "arr:int32, size:int32, weights:T -> T", _bincount, diff=False, shape=_bincount_shape)


@tf_export("bincount", "math.bincount")
def bincount(
    arr: Any,
    weights: Any = None,
    minlength: Any = None,
    maxlength: Any = None,
    dtype: Any = dtypes.int32,
    name: str | None = None,
) -> Any:
    with name_scope(name, "bincount"):
        arr = convert_to_tensor(arr, name="arr", dtype=dtypes.int32)
        filled = apply_op(
            "Greater", apply_op("Prod", apply_op("Shape", arr, out_type=dtypes.int32), [0], keep_dims=False), 0
        )
        axes = (
            list(range(arr.get_shape().ndims))
            if arr.get_shape().ndims is not None
            else apply_op("Range", 0, apply_op("Rank", arr), 1)
        )
        size = apply_op("Cast", filled, DstT=dtypes.int32) * (apply_op("Max", arr, axes, keep_dims=False) + 1)
        if minlength is not None:
            size = apply_op("Maximum", convert_to_tensor(minlength, dtype=dtypes.int32), size)
        if maxlength is not None:
            size = apply_op("Minimum", convert_to_tensor(maxlength, dtype=dtypes.int32), size)
        weights = convert_to_tensor([], dtype=dtype) if weights is None else convert_to_tensor(weights, name="weights")
        return apply_op("Bincount", arr, size, weights)


def _searchsorted(right: bool) -> Callable[..., TorchTensor]:
    return lambda sorted_inputs, values, out_type: torch.searchsorted(
        sorted_inputs.contiguous(), values.contiguous(), right=right
    ).to(out_type.torch)


for _kind, _right in (("LowerBound", False), ("UpperBound", True)):
    op(
        _kind,
        "sorted_inputs:T, values:T -> out_type",
        _searchsorted(_right),
        diff=False,
        shape=lambda o: o.inputs[1].shape,
    )


@tf_export("searchsorted")
def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = dtypes.int32, name: str | None = None
) -> Any:
    if side not in ("left", "right"):
        raise ValueError(f"side must be either 'right' or 'left'.  Saw: {side}.")
    kind = "UpperBound" if side == "right" else "LowerBound"
    sequence, values = (
        convert_to_tensor(sorted_sequence, name="sorted_inputs"),
        convert_to_tensor(values, name="values"),
    )

    def rows(t):
        return apply_op(
            "Reshape",
            t,
            apply_op(
                "ConcatV2",
                [
                    [-1],
                    apply_op(
                        "StridedSlice",
                        apply_op("Shape", t, out_type=dtypes.int32),
                        [-1],
                        [0],
                        [1],
                        begin_mask=0,
                        end_mask=1,
                        ellipsis_mask=0,
                        new_axis_mask=0,
                        shrink_axis_mask=0,
                    ),
                ],
                0,
            ),
        )

    found = apply_op(kind, rows(sequence), rows(values), out_type=dtypes.as_dtype(out_type), name=name)
    return apply_op("Reshape", found, apply_op("Shape", values, out_type=dtypes.int32))
