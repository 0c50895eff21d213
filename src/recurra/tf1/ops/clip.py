"""Clipping by value and by norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recurra.tf1.build import apply_op, constant, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_join import stack
from recurra.tf1.ops.math_reduce import reduce_sum
from recurra.tf1.ops.slices import IndexedSlices

__all__ = ["clip_by_global_norm", "clip_by_norm", "clip_by_value", "global_norm"]


def _dense_part(t: Any, name: str) -> Any:
    return convert_to_tensor(t.values if isinstance(t, IndexedSlices) else t, name=name)


def _as_before(values: Any, t: Any) -> Any:
    return IndexedSlices(values, t.indices, t.dense_shape) if isinstance(t, IndexedSlices) else values


@tf_export("clip_by_value")
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    with name_scope(name, "clip_by_value", [t, clip_value_min, clip_value_max]) as scope:
        values = _dense_part(t, "t")
        low = apply_op("Minimum", values, clip_value_max)
        values.get_shape().merge_with(low.get_shape())
        clipped = apply_op("Maximum", low, clip_value_min, name=scope)
        values.get_shape().merge_with(clipped.get_shape())
        return _as_before(clipped, t)


@tf_export("clip_by_norm")
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    with name_scope(name, "clip_by_norm", [t, clip_norm]) as scope:
        values = _dense_part(t, "t")
        total = reduce_sum(values * values, axes, keepdims=True)
        positive = total > 0
        safe = apply_op("Select", positive, total, apply_op("OnesLike", total))
        norm = apply_op("Select", positive, apply_op("Sqrt", safe), total)
        scaled = values * clip_norm
        values.get_shape().merge_with(scaled.get_shape())
        return _as_before(apply_op("Identity", scaled / apply_op("Maximum", norm, clip_norm), name=scope), t)


@tf_export("clip_by_average_norm")
def clip_by_average_norm(t: Any, clip_norm: Any, name: str | None = None) -> Any:
    with name_scope(name, "clip_by_average_norm", [t, clip_norm]) as scope:
        t = convert_to_tensor(t, name="t")
        count = apply_op("Cast", apply_op("Size", t), DstT=t.dtype.base_dtype)
        axes = list(range(t.get_shape().ndims)) if t.get_shape().ndims is not None else None
        inverse = apply_op("Rsqrt", reduce_sum(t * t, axes))
        ratio = apply_op("Minimum", inverse * count, constant(1.0, dtype=t.dtype.base_dtype) / clip_norm)
        return apply_op("Identity", t * clip_norm * ratio, name=scope)


@tf_export("global_norm", "linalg.global_norm")
def global_norm(t_list: Any, name: str | None = None) -> Any:
    """Square root of the sum of squares of all; the rows of IndexedSlices are taken as they are, repeated ones too."""
    if not isinstance(t_list, Sequence) or isinstance(t_list, str):
        raise TypeError("t_list should be a sequence")
    with name_scope(name, "global_norm", list(t_list)):
        values = [None if t is None else _dense_part(t, f"t_{n}") for n, t in enumerate(t_list)]
        halves = [apply_op("L2Loss", v) for v in values if v is not None]
        total = reduce_sum(stack(halves))
        return apply_op("Sqrt", total * constant(2.0, dtype=total.dtype), name="global_norm")


@tf_export("clip_by_global_norm")
def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None) -> Any:
    """(clipped list, norm); a norm that is not finite turns everything into NaN."""
    if not isinstance(t_list, Sequence) or isinstance(t_list, str):
        raise TypeError("t_list should be a sequence")
    t_list = list(t_list)
    if use_norm is None:
        use_norm = global_norm(t_list, name)
    with name_scope(name, "clip_by_global_norm", [*t_list, clip_norm]) as scope:
        one = constant(1.0, dtype=use_norm.dtype)
        finite = clip_norm * apply_op("Minimum", 1.0 / use_norm, one / clip_norm)
        scale = apply_op("Select", apply_op("IsFinite", use_norm), finite, constant(float("nan"), dtype=use_norm.dtype))
        clipped: list[Any] = []
        for n, t in enumerate(t_list):
            if t is None:
                clipped.append(None)
                continue
            values = _dense_part(t, f"t_{n}")
            clipped.append(_as_before(apply_op("Identity", values * scale, name=f"{scope}_{n}"), t))
    return clipped, use_norm
