"""Embedding look-ups, dense and sparse."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_gather import boolean_mask, gather
from recurra.tf1.ops.array_shape import shape as shape_of
from recurra.tf1.ops.clip import clip_by_norm
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.slices import SparseTensor

__all__ = ["embedding_lookup", "embedding_lookup_sparse"]


def _clip(params: Any, ids: Any, max_norm: Any) -> Any:
    if max_norm is None:
        return params
    first, last = ids.get_shape().ndims, params.get_shape().ndims
    return clip_by_norm(params, max_norm, axes=list(range(first, last)))


def _as_list(params: Any) -> list[Any]:
    if params is None:
        raise ValueError("Need at least one param")
    if hasattr(params, "as_tensor") and hasattr(params, "_variable_list"):
        return list(params)  # a PartitionedVariable
    return list(params) if isinstance(params, (list, tuple)) else [params]


@tf_export("nn.embedding_lookup")
def embedding_lookup(
    params: Any,
    ids: Any,
    partition_strategy: str = "mod",
    name: str | None = None,
    validate_indices: bool = True,
    max_norm: Any = None,
) -> Any:
    """Rows of `params` (one tensor, or its partitions by "mod" or "div") at `ids`."""
    partitioned = hasattr(params, "_variable_list")
    parts = _as_list(params)
    if not parts:
        raise ValueError("Need at least one param")
    if partitioned:
        partition_strategy = "div"
    with name_scope(name, "embedding_lookup", [*parts, ids]) as scope:
        ids = convert_to_tensor(ids, name="ids")
        parts = [p if hasattr(p, "get_shape") else convert_to_tensor(p, name="params") for p in parts]
        if len(parts) == 1:
            rows = _clip(gather(parts[0], ids, name=scope), ids, max_norm)
            return apply_op("Identity", rows)
        return _from_partitions(parts, ids, partition_strategy, max_norm, scope)


def _total_rows(parts: list[Any], kind: Any) -> tuple[Any, Any]:
    """(rows of the smaller partitions, how many have one more), as numbers where the shapes are known."""
    shapes = [p.get_shape() for p in parts]
    count = len(parts)
    if all(s.ndims is not None and s.as_list()[0] is not None for s in shapes):
        return divmod(sum(s.as_list()[0] for s in shapes), count)
    sizes = [apply_op("Reshape", apply_op("StridedSlice", shape_of(p), [0], [1], [1]), []) for p in parts]
    total = cast(apply_op("AddN", sizes), kind)
    return apply_op("FloorDiv", total, count), total % count


def _from_partitions(parts: list[Any], ids: Any, strategy: str, max_norm: Any, scope: str) -> Any:
    count = len(parts)
    flat = apply_op("Reshape", ids, [-1])
    if strategy == "mod":
        assignments, local = flat % count, apply_op("FloorDiv", flat, count)
    elif strategy == "div":
        per, extras = _total_rows(parts, flat.dtype.base_dtype)
        assignments = apply_op("Maximum", apply_op("FloorDiv", flat, per + 1), apply_op("FloorDiv", flat - extras, per))
        local = apply_op("Select", assignments < extras, flat % (per + 1), (flat - extras) % per)
    else:
        raise ValueError("Unrecognized partition strategy: " + strategy)
    assignments = cast(assignments, dtypes.int32)
    gathered_ids = apply_op("DynamicPartition", local, assignments, num_partitions=count)
    positions = apply_op(
        "DynamicPartition", apply_op("Range", 0, apply_op("Size", flat), 1), assignments, num_partitions=count
    )
    picked = [_clip(gather(p, i), i, max_norm) for p, i in zip(parts, gathered_ids, strict=True)]
    stitched = apply_op("ParallelDynamicStitch", positions, picked, name=scope)
    element = parts[0].get_shape()[1:]
    known = element.is_fully_defined()
    inner = np.array(element.as_list(), np.int32) if known else shape_of(parts[0])[1:]
    result = apply_op("Reshape", stitched, apply_op("ConcatV2", [shape_of(ids), inner], 0))
    result.set_shape(ids.get_shape().concatenate(element))
    return result


@tf_export("nn.embedding_lookup_sparse")
def embedding_lookup_sparse(
    params: Any,
    sp_ids: Any,
    sp_weights: Any,
    partition_strategy: str = "mod",
    name: str | None = None,
    combiner: str | None = None,
    max_norm: Any = None,
) -> Any:
    """Each row's embeddings combined: "sum", "mean" or "sqrtn", weighted if weights are given."""
    combiner = combiner or "mean"
    if combiner not in ("mean", "sqrtn", "sum"):
        raise ValueError("combiner must be one of 'mean', 'sqrtn' or 'sum'")
    if not isinstance(sp_ids, SparseTensor):
        raise TypeError("sp_ids must be SparseTensor")
    if sp_weights is not None and not isinstance(sp_weights, SparseTensor):
        raise TypeError("sp_weights must be either None or SparseTensor")
    with name_scope(name, "embedding_lookup_sparse", [*_as_list(params), sp_ids.values]) as scope:
        segments = cast(sp_ids.indices[:, 0], dtypes.int32)
        ids, index = apply_op("Unique", sp_ids.values, out_idx=dtypes.int32)
        rows = embedding_lookup(params, ids, partition_strategy, max_norm=max_norm)
        if rows.dtype.base_dtype in (dtypes.float16, dtypes.bfloat16):
            rows = cast(rows, dtypes.float32)
        if sp_weights is None:
            kind = {"sum": "SparseSegmentSum", "mean": "SparseSegmentMean", "sqrtn": "SparseSegmentSqrtN"}[combiner]
            return apply_op(kind, rows, index, segments, name=scope)
        weights = cast(sp_weights.values, rows.dtype.base_dtype)
        spread = apply_op("GatherV2", rows, index, 0)
        column = apply_op(
            "Reshape",
            weights,
            apply_op("ConcatV2", [shape_of(weights), np.ones(spread.get_shape().ndims - 1, np.int32)], 0),
        )
        total = apply_op("SegmentSum", spread * column, segments, name=scope if combiner == "sum" else None)
        if combiner == "sum":
            return total
        norm = apply_op("SegmentSum", column if combiner == "mean" else column * column, segments)
        return apply_op("RealDiv", total, norm if combiner == "mean" else apply_op("Sqrt", norm), name=scope)


@tf_export("nn.safe_embedding_lookup_sparse", "contrib.layers.safe_embedding_lookup_sparse")
def safe_embedding_lookup_sparse(
    embedding_weights: Any,
    sparse_ids: Any,
    sparse_weights: Any = None,
    combiner: str | None = "mean",
    default_id: Any = None,
    name: str | None = None,
    partition_strategy: str = "div",
    max_norm: Any = None,
) -> Any:
    """As embedding_lookup_sparse, but negative ids and non-positive weights are dropped and empty rows give zeros (or `default_id`)."""  # noqa: E501
    from recurra.tf1 import names

    parts = _as_list(embedding_weights)
    if sparse_weights is not None:
        kind = sparse_weights.values.dtype.base_dtype
        for part in parts:
            if not hasattr(part, "dtype") or getattr(part.dtype, "base_dtype", kind) != kind:
                convert_to_tensor(part, dtype=kind)  # ValueError where the two differ
    rank = sparse_ids.dense_shape.get_shape().as_list()[0]
    with name_scope(name, "embedding_lookup", [*parts, sparse_ids, sparse_weights]):
        ids, weights = _pruned(
            _flattened(sparse_ids), sparse_weights and _flattened(sparse_weights), combiner or "mean"
        )
        fill = names.lookup("sparse_fill_empty_rows")
        ids, empty = fill(ids, default_id or 0)
        if weights is not None:
            weights, _ = fill(weights, 1.0)
        result = embedding_lookup_sparse(
            embedding_weights, ids, weights, partition_strategy, combiner=combiner, max_norm=max_norm
        )
        if default_id is None:
            hide = apply_op("Reshape", empty, [-1, 1])
            wide = apply_op("Tile", hide, apply_op("Pack", [1, shape_of(result)[1]], axis=0))
            result = apply_op("Select", wide, apply_op("ZerosLike", result), result)
        if rank == 2:
            return result
        dims = sparse_ids.dense_shape
        leading = apply_op("Slice", dims, [0], [apply_op("Size", dims) - 1])
        final = apply_op(
            "Reshape", result, apply_op("ConcatV2", [cast(leading, dtypes.int32), shape_of(result)[1:]], 0)
        )
        final.set_shape([None] * (rank - 1) + result.get_shape().as_list()[1:] if rank is not None else None)
        return final


def _flattened(t: Any) -> Any:
    """Rows of ids: all axes but the last as one."""
    if t.dense_shape.get_shape().as_list()[0] == 2:
        return t
    from recurra.tf1 import names

    last = apply_op("Slice", t.dense_shape, [apply_op("Size", t.dense_shape) - 1], [1])
    return names.lookup("sparse_reshape")(t, apply_op("ConcatV2", [np.array([-1], np.int64), last], 0))


def _pruned(ids: Any, weights: Any, combiner: str) -> tuple[Any, Any]:
    keep = ids.values >= 0
    if weights is not None and combiner != "sum":
        keep = apply_op("LogicalAnd", keep, weights.values > 0)

    def retain(t):
        return SparseTensor(boolean_mask(t.indices, keep), boolean_mask(t.values, keep), t.dense_shape)

    return retain(ids), None if weights is None else retain(weights)
