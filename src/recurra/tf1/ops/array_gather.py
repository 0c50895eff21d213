"""Picking and placing: gather, scatter, where, one_hot, boolean_mask, sequence_mask, sort."""

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
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape, broadcast_shapes, unknown_shape
from recurra.tf1.values import Cell

__all__ = ["boolean_mask", "gather", "one_hot", "sequence_mask", "where"]


def _out_of_range(indices: TorchTensor, limit: int) -> InvalidArgumentError:
    bad = ((indices < 0) | (indices >= limit)).nonzero()[0].tolist()
    place = ",".join(str(i) for i in bad)
    return InvalidArgumentError(None, None, f"indices[{place}] = {int(indices[tuple(bad)])} is not in [0, {limit})")


def gather_rows(params: Any, indices: TorchTensor, axis: int = 0) -> Any:
    """`params` taken along `axis` at `indices` of any shape; InvalidArgumentError outside."""
    if isinstance(params, np.ndarray):
        return np.asarray(np.take(params, indices.numpy(), axis), dtype=object)  # one text alone comes bare
    flat = indices.reshape(-1)
    try:
        rows = params.index_select(axis, flat if flat.dtype in (torch.int32, torch.int64) else flat.long())
    except (IndexError, RuntimeError):
        raise _out_of_range(indices, params.shape[axis]) from None
    if indices.dim() == 1:
        return rows
    position = axis % max(params.dim(), 1)
    return rows.reshape(params.shape[:position] + indices.shape + params.shape[position + 1 :])


def _gather_v2(params: Any, indices: TorchTensor, axis: TorchTensor, batch_dims: int = 0) -> Any:
    if not batch_dims:
        return gather_rows(params, indices, int(axis))
    if isinstance(params, np.ndarray):  # text: gather the places of the elements
        places = _gather_v2(torch.arange(params.size).reshape(params.shape), indices, axis, batch_dims)
        return params.reshape(-1)[places.numpy()]
    return _batched(params, indices, int(axis) % params.dim(), batch_dims)


def _batched(params: TorchTensor, indices: TorchTensor, axis: int, batch_dims: int) -> TorchTensor:
    """Gather inside each batch: fold the batches into rows and offset the indices."""
    params = params.movedim(axis, batch_dims)
    batch, limit = params.shape[:batch_dims], params.shape[batch_dims]
    if indices.numel() and not (int(indices.min()) >= 0 and int(indices.max()) < limit):
        raise _out_of_range(indices, limit)
    rows = params.reshape(-1, *params.shape[batch_dims + 1 :])
    count = int(np.prod(batch))
    offset = (torch.arange(count) * limit).reshape(*batch, *[1] * (indices.dim() - batch_dims))
    picked = rows[(indices.long() + offset).reshape(-1)]
    out = picked.reshape(*indices.shape, *params.shape[batch_dims + 1 :])
    moved = axis - batch_dims
    return (
        out.movedim(tuple(range(indices.dim(), indices.dim() + moved)), tuple(range(batch_dims, batch_dims + moved)))
        if moved
        else out
    )


def _gather_shape(operation: Any) -> TensorShape:
    params, indices = operation.inputs[0].shape, operation.inputs[1].shape
    batch_dims = operation.attrs.get("batch_dims", 0)
    axis = constant_value(operation.inputs[2]) if len(operation.inputs) > 2 else 0
    params.with_rank_at_least(1)
    if params.ndims is None or indices.ndims is None or axis is None:
        total = None if None in (params.ndims, indices.ndims) else params.ndims - 1 + indices.ndims - batch_dims  # type: ignore[operator]
        return unknown_shape(total) if total is not None else unknown_shape()
    position = int(axis)
    if not -params.ndims <= position < params.ndims:
        raise ValueError(f"Shape must be at least rank {position + 1} but is rank {params.ndims}")
    position %= params.ndims
    return params[:position].concatenate(indices[batch_dims:]).concatenate(params[position + 1 :])


_INDICES = {"Tindices": (dtypes.int32, dtypes.int64)}

op(
    "Gather",
    "params:Tparams, indices:Tindices -> Tparams",
    lambda params, indices: gather_rows(params, indices),
    shape=_gather_shape,
    validate_indices=True,
    allow=_INDICES,
)
op(
    "GatherV2",
    "params:Tparams, indices:Tindices, axis:Taxis -> Tparams",
    _gather_v2,
    shape=_gather_shape,
    batch_dims=0,
    Taxis=dtypes.int32,
    allow=_INDICES,
)


def _resource_gather(resource: Cell, indices: TorchTensor) -> Any:
    return gather_rows(resource.read(), indices)


def _resource_gather_shape(operation: Any) -> TensorShape:
    handle = operation.inputs[0].op
    declared = handle.attrs.get("shape")
    rows = TensorShape(declared) if declared is not None else unknown_shape()
    return unknown_shape() if rows.ndims is None else operation.inputs[1].shape.concatenate(rows[1:])


op(
    "ResourceGather",
    "resource:resource, indices:Tindices -> dtype",
    _resource_gather,
    shape=_resource_gather_shape,
    validate_indices=True,
    allow=_INDICES,
)


@tf_export("gather")
def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    name: str | None = None,
    axis: Any = None,
    batch_dims: int = 0,
) -> Any:
    axis = batch_dims if axis is None else axis
    if batch_dims:
        indices, params = convert_to_tensor(indices, name="indices"), convert_to_tensor(params, name="params")
        batch_dims = batch_dims + (indices.get_shape().ndims if batch_dims < 0 else 0)
        return apply_op("GatherV2", params, indices, axis, batch_dims=batch_dims, name=name)
    if isinstance(axis, int) and axis == 0 and hasattr(params, "sparse_read"):
        return params.sparse_read(indices, name=name)
    return apply_op("GatherV2", params, indices, axis, name=name)


@tf_export("batch_gather")
def batch_gather(params: Any, indices: Any, name: str | None = None) -> Any:
    with name_scope(name, "BatchGather", [params, indices]):
        indices = convert_to_tensor(indices, name="indices")
        if indices.get_shape().ndims is None:
            raise ValueError("batch_gather does not allow indices with unknown shape.")
        return gather(params, indices, batch_dims=indices.get_shape().ndims - 1)


def _nd_index(indices: TorchTensor, shape: Any) -> tuple[TorchTensor, ...]:
    """The columns of `[…, K]` indices as a tuple for advanced indexing, checked."""
    columns = indices.long().unbind(-1)
    for axis, column in enumerate(columns):
        if column.numel() and not (int(column.min()) >= 0 and int(column.max()) < shape[axis]):
            bad = ((column < 0) | (column >= shape[axis])).nonzero()[0].tolist()
            raise InvalidArgumentError(
                None,
                None,
                f"indices[{','.join(map(str, bad))}] = {indices[tuple(bad)].tolist()} does not index into param shape"
                f" {list(shape)}",
            )
    return columns


def _gather_nd(params: Any, indices: TorchTensor) -> Any:
    if indices.shape[-1] == 0:
        return params.expand(*indices.shape[:-1], *params.shape)
    columns = _nd_index(indices, params.shape)
    return (
        np.asarray(params[tuple(c.numpy() for c in columns)], dtype=object)
        if isinstance(params, np.ndarray)
        else params[columns]
    )


def _gather_nd_shape(operation: Any) -> TensorShape:
    params, indices = operation.inputs[0].shape, operation.inputs[1].shape
    if params.ndims is None or indices.ndims is None or (indices.values or ())[-1] is None:
        return unknown_shape()
    depth = (indices.values or ())[-1]
    if depth > params.ndims:  # type: ignore[operator]
        raise ValueError(
            f"indices.shape[-1] must be <= params.rank, but saw indices shape: {list(indices.values or ())} and params"
            f" shape: {list(params.values or ())}"
        )
    return indices[:-1].concatenate(params[depth:])


op("GatherNd", "params:Tparams, indices:Tindices -> Tparams", _gather_nd, shape=_gather_nd_shape, allow=_INDICES)


@tf_export("gather_nd", "manip.gather_nd")
def gather_nd(params: Any, indices: Any, name: str | None = None, batch_dims: int = 0) -> Any:
    if isinstance(batch_dims, int) and batch_dims == 0:
        return apply_op("GatherNd", params, indices, name=name)
    return batch_gather_nd(params, indices, batch_dims, name)


@tf_export("batch_gather_nd_", "python.ops.array_ops.batch_gather_nd")
def batch_gather_nd(params: Any, indices: Any, batch_dims: Any, name: str | None = None) -> Any:
    """gather_nd inside each of the leading `batch_dims` dimensions: their own positions are joined to the indices."""
    with name_scope(name, "BatchGatherND", [params, indices]):
        params, indices = convert_to_tensor(params, name="params"), convert_to_tensor(indices, name="indices")
        rank = indices.get_shape().ndims
        if rank is None:
            raise ValueError("batch_gather_nd does not allow indices with unknown shape")
        if not isinstance(batch_dims, int):
            raise ValueError(f"batch_dims must be an int; got {batch_dims!r}")
        if batch_dims < 0 or batch_dims >= rank:
            raise ValueError(f"batch_dims = {batch_dims} must be in [0, indices.shape.ndims = {rank})")
        if params.get_shape().ndims is not None and batch_dims >= params.get_shape().ndims:
            raise ValueError(f"batch_dims = {batch_dims} must be less than params.shape.ndims")
        if batch_dims == 0:
            return apply_op("GatherNd", params, indices)
        sizes = apply_op("Shape", indices, out_type=dtypes.int32)
        kind = indices.dtype.base_dtype
        columns = []
        for axis in range(batch_dims):
            count = cast(sizes[axis], kind)
            line = apply_op("Range", convert_to_tensor(0, kind), count, convert_to_tensor(1, kind))
            line = apply_op("Reshape", line, [-1 if a == axis else 1 for a in range(rank)])
            columns.append(apply_op("BroadcastTo", line, apply_op("ConcatV2", [sizes[:-1], [1]], 0)))
        return apply_op("GatherNd", params, apply_op("ConcatV2", [*columns, indices], -1))


def _scatter(how: str) -> Callable[..., TorchTensor]:
    """`base` with the updates put in (or added, subtracted) at `[…, K]` indices."""

    def run(tensor: TorchTensor, indices: TorchTensor, updates: TorchTensor) -> TorchTensor:
        columns = _nd_index(indices, tensor.shape)
        if how == "put":
            return tensor.index_put(columns, updates)
        return tensor.index_put(columns, updates if how == "add" else -updates, accumulate=True)

    return run


def _scatter_nd(indices: TorchTensor, updates: TorchTensor, shape: TorchTensor) -> TorchTensor:
    base = torch.zeros(shape.tolist(), dtype=updates.dtype)
    if updates.dtype == torch.bool:
        return _scatter("add")(base.to(torch.uint8), indices, updates.to(torch.uint8)).bool()
    return _scatter("add")(base, indices, updates)


def _scatter_nd_shape(operation: Any) -> TensorShape:
    from recurra.tf1.constants import constant_value_as_shape

    return constant_value_as_shape(operation.inputs[2])


op(
    "ScatterNd",
    "indices:Tindices, updates:T, shape:Tindices -> T",
    _scatter_nd,
    shape=_scatter_nd_shape,
    allow=_INDICES,
)
for _kind, _how, _names in (
    ("TensorScatterUpdate", "put", ("tensor_scatter_nd_update", "tensor_scatter_update")),
    ("TensorScatterAdd", "add", ("tensor_scatter_nd_add", "tensor_scatter_add")),
    ("TensorScatterSub", "sub", ("tensor_scatter_nd_sub", "tensor_scatter_sub")),
):
    op(_kind, "tensor:T, indices:Tindices, updates:T -> T", _scatter(_how), shape=same, allow=_INDICES)
    export(
        (lambda kind: lambda tensor, indices, updates, name=None: apply_op(kind, tensor, indices, updates, name=name))(
            _kind
        ),
        *_names,
    )


@tf_export("scatter_nd", "manip.scatter_nd")
def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    return apply_op("ScatterNd", indices, updates, shape, name=name)


# -- selecting ------------------------------------------------------------------------------------------------------------  # noqa: E501
def _select(condition: TorchTensor, t: Any, e: Any) -> Any:
    """A vector condition picks whole rows."""
    if condition.dim() == 1 and len(t.shape) > 1:
        condition = condition.reshape(-1, *[1] * (len(t.shape) - 1))
    return np.where(condition.numpy(), t, e) if isinstance(t, np.ndarray) else torch.where(condition, t, e)


def _select_shape(operation: Any) -> TensorShape:
    condition, t, e = (i.shape for i in operation.inputs)
    if None not in (t.ndims, e.ndims) and t.ndims != e.ndims:
        raise ValueError(f"Shapes must be equal rank, but are {t.ndims} and {e.ndims}")
    if not t.is_compatible_with(e):
        n, p, q = next(
            (n, p, q)
            for n, (p, q) in enumerate(zip(t.values or (), e.values or (), strict=True))
            if None not in (p, q) and p != q
        )
        raise ValueError(
            f"Dimension {n} in both shapes must be equal, but are {p} and {q}. Shapes are {_show(t)} and"
            f" {_show(e)}.\n\tFrom merging shape 1 with other shapes."
        )
    merged = t.merge_with(e)
    if condition.ndims is None or merged.ndims is None or condition.ndims == 0:
        return merged
    if condition.ndims == 1 and merged.ndims > 1:
        if not condition.is_compatible_with(merged[:1]):
            raise ValueError(f"Dimensions must be equal, but are {condition.values[0]} and {merged.values[0]}")  # type: ignore[index]
        return merged
    if condition.ndims != merged.ndims:
        raise ValueError(f"Shape must be rank {merged.ndims} but is rank {condition.ndims}")
    if not merged.is_compatible_with(condition):
        n, p, q = next(
            (n, p, q)
            for n, (p, q) in enumerate(zip(merged.values or (), condition.values or (), strict=True))
            if None not in (p, q) and p != q
        )
        raise ValueError(
            f"Dimension {n} in both shapes must be equal, but are {q} and {p}. Shapes are {_show(condition)} and"
            f" {_show(merged)}."
        )
    return merged.merge_with(condition)


def _show(shape: TensorShape) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in shape.values or ()) + "]"


def _three(operation: Any) -> TensorShape:
    first = broadcast_shapes(operation.inputs[0].shape, operation.inputs[1].shape)
    return broadcast_shapes(first, operation.inputs[2].shape)


def _select_v2(condition: TorchTensor, t: Any, e: Any) -> Any:
    return np.where(condition.numpy(), t, e) if isinstance(t, np.ndarray) else torch.where(condition, t, e)


def _true_places(condition: Any) -> TorchTensor:
    if isinstance(condition, np.ndarray):
        return torch.from_numpy(np.argwhere(condition != b""))
    return torch.nonzero(condition)


op("Select", "condition:bool, t:T, e:T -> T", _select, shape=_select_shape)
op("SelectV2", "condition:bool, t:T, e:T -> T", _select_v2, shape=_three)
op(
    "Where",
    "condition:T -> int64",
    _true_places,
    diff=False,
    shape=lambda o: TensorShape([None, o.inputs[0].shape.ndims]),
)


@tf_export("where", "select")
def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    if x is None and y is None:
        with name_scope(name, "Where", [condition]) as scope:
            condition = convert_to_tensor(condition, preferred_dtype=dtypes.bool_, name="condition")
            return apply_op("Where", condition, name=scope)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    return apply_op("Select", condition, x, y, name=name)


@tf_export("where_v2", "compat.v2.where")
def where_v2(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    if x is None and y is None:
        return where(condition, name=name)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    return apply_op("SelectV2", condition, x, y, name=name)


@tf_export("boolean_mask")
def boolean_mask(tensor: Any, mask: Any, name: str = "boolean_mask", axis: Any = None) -> Any:
    """The entries of `tensor` where `mask` (matching its leading axes, or those from `axis` on) is true."""
    with name_scope(name, values=[tensor, mask]):
        tensor, mask = convert_to_tensor(tensor, name="tensor"), convert_to_tensor(mask, name="mask")
        mask_shape, shape = mask.get_shape(), tensor.get_shape()
        rank = mask_shape.ndims
        if rank == 0:
            raise ValueError("mask cannot be scalar.")
        if rank is None:
            raise ValueError(
                "Number of mask dimensions must be specified, even if some dimensions are None.  E.g. shape=[None] is"
                " ok, but shape=None is not."
            )
        axis = 0 if axis is None else int(constant_value(convert_to_tensor(axis))) if hasattr(axis, "op") else int(axis)
        shape[axis : axis + rank].assert_is_compatible_with(mask_shape)
        dims = shape.values
        sizes = apply_op("Shape", tensor, out_type=dtypes.int32)
        leading = apply_op("Prod", sizes[axis : axis + rank], [0], keep_dims=False)
        flat = apply_op(
            "Reshape",
            tensor,
            apply_op("ConcatV2", [sizes[:axis], apply_op("Pack", [leading], axis=0), sizes[axis + rank :]], 0),
        )
        if dims is not None:
            flat.set_shape(
                TensorShape(dims[:axis])
                .concatenate([shape[axis : axis + rank].num_elements()])
                .concatenate(dims[axis + rank :])
            )
        chosen = apply_op("Squeeze", apply_op("Where", apply_op("Reshape", mask, [-1])), squeeze_dims=[1])
        return gather(flat, chosen, axis=axis)


# -- one_hot and masks --------------------------------------------------------------------------------------------------------  # noqa: E501
def _one_hot(indices: TorchTensor, depth: TorchTensor, on_value: Any, off_value: Any, axis: int = -1) -> Any:
    classes = torch.arange(int(depth))
    position = axis if axis >= 0 else indices.dim()
    hit = indices.unsqueeze(position) == classes.reshape(-1, *[1] * (indices.dim() - position))
    if isinstance(on_value, np.ndarray):
        return np.where(hit.numpy(), on_value, off_value)
    return torch.where(hit, on_value, off_value)


def _one_hot_shape(operation: Any) -> TensorShape:
    indices, depth, axis = (
        operation.inputs[0].shape,
        constant_value(operation.inputs[1]),
        operation.attrs.get("axis", -1),
    )
    if indices.ndims is None:
        return unknown_shape()
    if not -1 <= axis <= indices.ndims:
        raise ValueError(f"axis must be >= -1 and <= {indices.ndims}")
    dims = list(indices.values or ())
    dims.insert(axis if axis >= 0 else indices.ndims, None if depth is None else int(depth))
    return TensorShape(dims)


op(
    "OneHot",
    "indices:TI, depth:int32, on_value:T, off_value:T -> T",
    _one_hot,
    diff=False,
    shape=_one_hot_shape,
    allow={"TI": (dtypes.uint8, dtypes.int32, dtypes.int64)},
)


@tf_export("one_hot")
def one_hot(
    indices: Any,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Any:
    with name_scope(name, "one_hot", [indices, depth, on_value, off_value, axis, dtype]) as scope:
        kinds = [convert_to_tensor(v).dtype.base_dtype for v in (on_value, off_value) if v is not None]
        if dtype is not None:
            for label, value in (("on_value", on_value), ("off_value", off_value)):
                if value is not None and convert_to_tensor(
                    value, preferred_dtype=dtype
                ).dtype.base_dtype != dtypes.as_dtype(dtype):
                    raise TypeError(
                        f"dtype {convert_to_tensor(value).dtype.base_dtype} of {label} does not match dtype parameter"
                        f" {dtypes.as_dtype(dtype)}"
                    )
        kind = dtypes.as_dtype(dtype) if dtype is not None else kinds[0] if kinds else dtypes.float32
        if len(set(kinds)) > 1 and dtype is None:
            raise TypeError(f"dtype {kinds[0]} of on_value does not match dtype {kinds[1]} of off_value")

        def default(value, label):
            return convert_to_tensor(bool(value) if kind.is_bool else value, dtype=kind, name=label)

        on = default(1, "on_value") if on_value is None else convert_to_tensor(on_value, dtype=kind, name="on_value")
        off = (
            default(0, "off_value") if off_value is None else convert_to_tensor(off_value, dtype=kind, name="off_value")
        )
        if isinstance(indices, np.ndarray) and indices.dtype.kind == "f":
            indices = indices.astype(np.int64)  # as TensorFlow does with NumPy's floats, but not with Python's
        return apply_op("OneHot", indices, depth, on, off, axis=-1 if axis is None else axis, name=scope)


@tf_export("sequence_mask")
def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = dtypes.bool_, name: str | None = None) -> Any:
    """True at the first `lengths[...]` of `maxlen` places (the longest length when not given)."""
    with name_scope(name, "SequenceMask", [lengths, maxlen]):
        lengths = convert_to_tensor(lengths)
        if maxlen is None:
            axes = (
                list(range(lengths.get_shape().ndims))
                if lengths.get_shape().ndims is not None
                else apply_op("Range", 0, apply_op("Rank", lengths), 1)
            )
            maxlen = apply_op("Max", lengths, axes, keep_dims=False)
            maxlen = apply_op("Maximum", convert_to_tensor(0, dtype=maxlen.dtype), maxlen)
        else:
            maxlen = convert_to_tensor(maxlen)
        if maxlen.get_shape().ndims not in (None, 0):
            raise ValueError("maxlen must be scalar for sequence_mask")
        zero, one = (convert_to_tensor(v, dtype=maxlen.dtype) for v in (0, 1))
        row = apply_op("Range", zero, maxlen, one)
        matrix = apply_op("Cast", apply_op("ExpandDims", lengths, -1), DstT=maxlen.dtype.base_dtype)
        result = apply_op("Less", row, matrix)
        return result if dtype is None or result.dtype.base_dtype == dtypes.as_dtype(dtype) else cast(result, dtype)


# -- order ------------------------------------------------------------------------------------------------------------------  # noqa: E501
@tf_export("argsort", "contrib.framework.argsort")
def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Any:
    with name_scope(name, "argsort"):
        return apply_op(
            "Argsort", convert_to_tensor(values, name="values"), axis=axis, descending=_descending(direction)
        )


@tf_export("sort", "contrib.framework.sort")
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    with name_scope(name, "sort"):
        return apply_op("Sort", convert_to_tensor(values, name="values"), axis=axis, descending=_descending(direction))


def _descending(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"direction must be 'ASCENDING' or 'DESCENDING', not {direction!r}")
    return direction == "DESCENDING"


op(
    "Argsort",
    "values:T -> int32",
    lambda values, axis, descending: torch.sort(values, dim=axis, descending=descending, stable=True).indices.int(),
    diff=False,
    shape=same,
)
op(
    "Sort",
    "values:T -> T",
    lambda values, axis, descending: torch.sort(values, dim=axis, descending=descending).values,
    shape=same,
)


def _invert_permutation(x: TorchTensor) -> TorchTensor:
    out = torch.empty_like(x)
    if sorted(x.tolist()) != list(range(len(x))):
        raise InvalidArgumentError(None, None, f"{x.tolist()} is not a permutation of 0 … {len(x) - 1}")
    out[x.long()] = torch.arange(len(x), dtype=x.dtype)
    return out


op("InvertPermutation", "x:T -> T", _invert_permutation, diff=False, shape=same)
export(
    lambda x, name=None: apply_op("InvertPermutation", x, name=name), "invert_permutation", "math.invert_permutation"
)


def _unravel(indices: TorchTensor, dims: TorchTensor) -> TorchTensor:
    return torch.from_numpy(np.stack(np.unravel_index(indices.numpy(), dims.tolist()))).to(indices.dtype)


op(
    "UnravelIndex",
    "indices:Tidx, dims:Tidx -> Tidx",
    _unravel,
    diff=False,
    shape=lambda o: TensorShape([(o.inputs[1].shape.values or (None,))[0]]).concatenate(o.inputs[0].shape),
)


@tf_export("unravel_index")
def unravel_index(indices: Any, dims: Any, name: str | None = None) -> Any:
    return apply_op("UnravelIndex", indices, dims, name=name)
