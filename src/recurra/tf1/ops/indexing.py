"""Slicing: StridedSlice with its masks, Slice, and what `tensor[...]` builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, constant, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import Dimension, TensorShape, unknown_shape
from recurra.tf1.tensor import Tensor, TensorLike

__all__ = ["strided_index", "strided_slice"]

newaxis = export(None, "newaxis")


class _Masks(NamedTuple):
    begin: int
    end: int
    ellipsis: int
    new_axis: int
    shrink_axis: int


class _Step(NamedTuple):
    """What happens to one axis: kind "new", "index" (start) or "range" (start, stop, step; None = unknown)."""

    kind: str
    start: int | None = None
    stop: int | None = None
    step: int = 1


def _steps(
    sizes: Sequence[int | None],
    begin: Sequence[int | None],
    end: Sequence[int | None],
    strides: Sequence[int],
    masks: _Masks,
) -> list[_Step]:
    """The sparse specification spread over all axes, starts and stops normalised to the sizes."""
    entries = len(strides)
    new_after = [masks.new_axis >> i & 1 for i in range(entries)]
    result: list[_Step] = []
    axis, seen = 0, False
    for i in range(entries):
        if masks.ellipsis >> i & 1:
            seen = True
            later = sum(1 for j in range(i + 1, entries) if not new_after[j])
            whole = max(len(sizes) - axis - later, 0)
            result += [_Step("range", 0, sizes[a], 1) for a in range(axis, axis + whole)]
            axis += whole
        elif new_after[i]:
            result.append(_Step("new"))
        else:
            if axis >= len(sizes):
                raise ValueError(f"Index out of range using input dim {axis}; input has only {len(sizes)} dims")
            result.append(_one(sizes[axis], axis, i, begin, end, strides, masks))
            axis += 1
    if not seen or axis < len(sizes):
        result += [_Step("range", 0, size, 1) for size in sizes[axis:]]
    return result


def _one(
    size: int | None,
    axis: int,
    i: int,
    begin: Sequence[int | None],
    end: Sequence[int | None],
    strides: Sequence[int],
    masks: _Masks,
) -> _Step:
    first, last, step = begin[i], end[i], strides[i]
    if step == 0:
        raise ValueError(f"strides[{i}] must be non-zero")
    if masks.shrink_axis >> i & 1:
        if first is not None and size is not None:
            if not -size <= first < size:
                raise ValueError(f"slice index {first} of dimension {axis} out of bounds.")
            first %= size
        return _Step("index", first)
    open_begin, open_end = masks.begin >> i & 1, masks.end >> i & 1
    if size is None:
        return _Step("range", None, None, step)
    low, high = (0, size) if step > 0 else (-1, size - 1)

    def clamp(value):
        return min(max(value + size if value < 0 else value, low), high)

    start = (0 if step > 0 else size - 1) if open_begin else None if first is None else clamp(first)
    stop = (size if step > 0 else -1) if open_end else None if last is None else clamp(last)
    return _Step("range", start, stop, step)


def _strided(
    input: Any,
    begin: Any,
    end: Any,
    strides: Any,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Any:
    masks = _Masks(begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    try:
        steps = _steps(input.shape, begin.tolist(), end.tolist(), strides.tolist(), masks)
    except ValueError as error:
        raise InvalidArgumentError(None, None, str(error)) from None
    index: list[Any] = []
    flipped: list[int] = []
    for step in steps:
        if step.kind == "new":
            index.append(None)
        elif step.kind == "index":
            index.append(step.start)
        elif step.step > 0:
            index.append(slice(step.start, step.stop, step.step))
        else:  # torch has no negative steps: walk the same cells forwards, then flip
            count = max(0, -(-(step.stop - step.start) // step.step))  # type: ignore[operator]
            lowest = step.start + (count - 1) * step.step  # type: ignore[operator]
            index.append(slice(lowest, step.start + 1, -step.step) if count else slice(0, 0))  # type: ignore[operator]
            flipped.append(sum(1 for e in index if not isinstance(e, int)) - 1)
    if isinstance(input, np.ndarray):
        out = input[tuple(index)]
        out = np.flip(out, flipped) if flipped else out
        return out if isinstance(out, np.ndarray) else _text_scalar(out)
    out = input[tuple(index)]
    return out.flip(flipped) if flipped else out


def _text_scalar(value: bytes) -> np.ndarray:
    out = np.empty((), object)
    out[()] = value
    return out


def _strided_shape(operation: Any) -> TensorShape:
    shape, attrs = operation.inputs[0].shape, operation.attrs
    strides = constant_value(operation.inputs[3])
    masks = _Masks(*(attrs.get(f"{m}_mask", 0) for m in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")))
    if strides is None or shape.values is None:
        return unknown_shape()
    begin, end = (_bounds(t, len(strides)) for t in operation.inputs[1:3])
    dims: list[int | None] = []
    for step in _steps(shape.values, begin, end, [int(s) for s in strides], masks):
        if step.kind == "new":
            dims.append(1)
        elif step.kind == "range":
            dims.append(_length(step))
    return TensorShape(dims)


def _length(step: _Step) -> int | None:
    """How many cells a range has; unknown with an open or negative bound of an axis of unknown size."""
    if step.start is None or step.stop is None or (step.step > 0 and step.stop < 0):
        return None
    return max(0, -(-(step.stop - step.start) // step.step))


def _bounds(tensor: Any, count: int) -> list[int | None]:
    value = constant_value(tensor)
    if value is not None:
        return [int(v) for v in value]
    if tensor.op.type == "Pack":
        parts = [constant_value(t) for t in tensor.op.inputs]
        return [None if p is None else int(p) for p in parts]
    return [None] * count


op("StridedSlice", "input:T, begin:Index, end:Index, strides:Index -> T", _strided, shape=_strided_shape)


@tf_export("strided_slice")
def strided_slice(
    input_: Any,
    begin: Any,
    end: Any,
    strides: Any = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
    var: Any = None,
    name: str | None = None,
) -> Any:
    """A strided window of a tensor; `.assign` on the result is there when it came from a variable."""
    if strides is None:
        strides = apply_op("OnesLike", begin)
    result = apply_op(
        "StridedSlice",
        input_,
        begin,
        end,
        strides,
        name=name,
        begin_mask=begin_mask,
        end_mask=end_mask,
        ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask,
        shrink_axis_mask=shrink_axis_mask,
    )
    assign = getattr(var, "_strided_slice_assign", None)
    result.assign = _unassignable
    if assign is not None:
        masks = dict(
            zip(_MASK_NAMES, (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask), strict=True)
        )
        result.assign = lambda value, name=None: assign(
            begin=begin, end=end, strides=strides, value=value, name=name, **masks
        )
    return result


def _unassignable(value: Any, name: str | None = None) -> Any:
    raise ValueError("Sliced assignment is only supported for variables")


def _check_index(item: Any) -> None:
    if isinstance(item, (bool, np.bool_)) or not (
        isinstance(item, (int, np.integer, Dimension)) or (isinstance(item, TensorLike) and item.dtype.is_integer)
    ):
        if isinstance(item, np.ndarray) and item.ndim == 0 and item.dtype.kind in "iu":
            return
        raise TypeError(
            "Only integers, slices (`:`), ellipsis (`...`), tf.newaxis (`None`) and scalar tf.int32/tf.int64 tensors"
            f" are valid indices, got {item!r}"
        )


def strided_index(tensor: Any, key: Any, var: Any = None) -> Any:
    """`tensor[key]`."""
    if (
        isinstance(key, bool)
        or (isinstance(key, np.ndarray) and key.dtype == bool)
        or (isinstance(key, Tensor) and key.dtype.is_bool)
    ):
        from recurra.tf1.ops.array_gather import boolean_mask

        return boolean_mask(tensor, key)
    entries = list(key) if isinstance(key, (list, tuple)) else [key]
    begin: list[Any] = []
    end: list[Any] = []
    strides: list[Any] = []
    masks = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0)
    with name_scope(None, "strided_slice", [tensor, *(e for e in entries if isinstance(e, TensorLike))]) as scope:
        for position, entry in enumerate(entries):
            bit = 1 << position
            if isinstance(entry, slice):
                for value, values, default, mask in (
                    (entry.start, begin, 0, "begin_mask"),
                    (entry.stop, end, 0, "end_mask"),
                ):
                    missing = value is None or (isinstance(value, Dimension) and value.value is None)
                    if not missing:
                        _check_index(value)
                    values.append(default if missing else value)
                    masks[mask] |= bit if missing else 0
                if entry.step is not None:
                    _check_index(entry.step)
                strides.append(1 if entry.step is None else entry.step)
                continue
            strides.append(1)
            if entry is Ellipsis:
                begin.append(0), end.append(0)
                masks["ellipsis_mask"] |= bit
            elif entry is None:
                begin.append(0), end.append(0)
                masks["new_axis_mask"] |= bit
            else:
                _check_index(entry)
                begin.append(entry), end.append(entry + 1)
                masks["shrink_axis_mask"] |= bit
        if masks["ellipsis_mask"] & (masks["ellipsis_mask"] - 1):
            raise ValueError("Multiple ellipses not allowed")
        kind = _index_dtype([*begin, *end, *strides])
        parts = (
            [_packed(values, kind) for values in (begin, end, strides)]
            if begin
            else [constant([], dtype=dtypes.int32)] * 3
        )
        return strided_slice(tensor, *parts, **masks, var=var, name=scope)


def _index_dtype(values: list[Any]) -> Any:
    """int64 as soon as one bound is."""
    wide = any(isinstance(v, TensorLike) and v.dtype.base_dtype == dtypes.int64 for v in values)
    return dtypes.int64 if wide else dtypes.int32


def _packed(values: list[Any], kind: Any) -> Any:
    if any(isinstance(v, TensorLike) for v in values):
        from recurra.tf1.ops.math_unary import cast

        parts = [cast(v, kind) if isinstance(v, TensorLike) else convert_to_tensor(v, dtype=kind) for v in values]
        return apply_op("Pack", parts, axis=0, name="stack")
    return constant([int(v) for v in values], dtype=kind, name="stack")


def _slice(input: Any, begin: Any, size: Any) -> Any:
    starts, counts = begin.tolist(), size.tolist()
    index = []
    for axis, (start, count, have) in enumerate(zip(starts, counts, input.shape, strict=True)):
        stop = have if count == -1 else start + count
        if not 0 <= start <= have:
            raise InvalidArgumentError(None, None, f"Expected begin[{axis}] in [0, {have}], but got {start}")
        if not start <= stop <= have:
            raise InvalidArgumentError(None, None, f"Expected size[{axis}] in [0, {have - start}], but got {count}")
        index.append(slice(start, stop))
    return input[tuple(index)]


def _slice_shape(operation: Any) -> TensorShape:
    shape, begin, size = (
        operation.inputs[0].shape,
        constant_value(operation.inputs[1]),
        constant_value(operation.inputs[2]),
    )
    if size is None:
        from recurra.tf1.constants import constant_value_as_shape

        partial = constant_value_as_shape(operation.inputs[2])
        known = operation.inputs[2].shape.values
        rank = known[0] if known else shape.ndims
        if partial.ndims is not None and begin is not None and shape.ndims is not None:
            return TensorShape([d for d in partial.values or ()])
        return unknown_shape(rank) if rank is not None else unknown_shape()
    if begin is None:
        return TensorShape([None if s == -1 else int(s) for s in size])
    if shape.ndims is None:
        return TensorShape([None if s == -1 else int(s) for s in size])
    shape.with_rank(len(size))
    dims: list[int | None] = []
    for have, start, count in zip(shape.values or (), begin.tolist(), size.tolist(), strict=True):
        if have is not None and (start > have or (count != -1 and start + count > have)):
            raise ValueError(f"Expected size in [0, {max(have - start, 0)}], but got {count}")
        dims.append(count if count != -1 else None if have is None else have - start)
    return TensorShape(dims)


op("Slice", "input:T, begin:Index, size:Index -> T", _slice, shape=_slice_shape)


@tf_export("slice")
def slice_(input_: Any, begin: Any, size: Any, name: str | None = None) -> Any:
    return apply_op("Slice", input_, begin, size, name=name)


def _assign_slice(ref: Any, begin: Any, end: Any, strides: Any, value: Any, **masks: int) -> Any:
    """Write into the window of a variable."""
    target = ref.data
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    steps = _steps(
        target.shape, begin.tolist(), end.tolist(), strides.tolist(), _Masks(*(masks.get(n, 0) for n in names))
    )
    index: list[Any] = []
    flips: list[int] = []
    for step in steps:
        if step.kind == "index":
            index.append(step.start)
        elif step.kind == "range" and step.step < 0:
            count = max(0, -(-(step.stop - step.start) // step.step))  # type: ignore[operator]
            index.append(
                slice(step.start + (count - 1) * step.step, step.start + 1, -step.step) if count else slice(0, 0)
            )  # type: ignore[operator]
            flips.append(sum(1 for e in index if not isinstance(e, int)) - 1)
        else:
            index.append(None if step.kind == "new" else slice(step.start, step.stop, step.step))
    window = target[tuple(index)]
    window.copy_((value.flip(flips) if flips else value).expand(window.shape))
    return ref


_MASK_NAMES = ["begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"]


def _assign_to(
    ref: Any,
    begin: Any,
    end: Any,
    strides: Any,
    value: Any,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Any:
    masks = dict(zip(_MASK_NAMES, (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask), strict=True))
    return _assign_slice(ref, begin, end, strides, value, **masks)


op(
    "StridedSliceAssign",
    "ref:&T, begin:Index, end:Index, strides:Index, value:T -> &T",
    _assign_to,
    writes=True,
    shape=lambda o: o.inputs[0].shape,
)
