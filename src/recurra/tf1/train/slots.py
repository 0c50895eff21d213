"""Slot variables: what an optimizer keeps beside each variable, under the variable's name (`w/Adam`, `w/Adam_1`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import eras
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _slot_variable(primary: Any, val: Any, validate_shape: bool, shape: Any, dtype: Any) -> Any:
    scope = tf.get_variable_scope()
    partitioner, reuse = scope.partitioner, scope._reuse
    scope.set_partitioner(None)
    if eras.current() < (1, 0):  # slots were plain variables up to 0.10: a scope's reuse did not touch them
        scope._reuse = False
    try:
        slot = tf.get_variable(
            "",
            initializer=val,
            trainable=False,
            shape=shape,
            dtype=dtype,
            validate_shape=validate_shape,
            use_resource=hasattr(primary, "_handle"),
        )
    finally:
        scope.set_partitioner(partitioner)
        scope._reuse = reuse
    info = getattr(primary, "_save_slice_info", None)
    if info is not None:  # a part of a partitioned variable: its slot is a part of the whole variable's slot
        part_name = slot.name[: slot.name.rindex(":")].removeprefix(_part_prefix(primary))
        slot._set_save_slice_info(
            type(info)(f"{info.full_name}/{part_name.lstrip('/')}", info.full_shape, info.var_offset, info.var_shape)
        )
    return slot


def _part_prefix(primary: Any) -> str:
    return primary.op.name


@tf_export("python.training.slot_creator.create_slot")
def create_slot(primary: Any, val: Any, name: str, colocate_with_primary: bool = True) -> Any:
    """A slot initialised to the value `val`, of `val`'s shape."""
    shape = val.get_shape() if hasattr(val, "get_shape") else None
    validate = shape.is_fully_defined() if shape is not None else True
    with tf.variable_scope(None, f"{primary.op.name}/{name}"):
        return _slot_variable(primary, val, validate, None, None)


@tf_export("python.training.slot_creator.create_slot_with_initializer")
def create_slot_with_initializer(
    primary: Any,
    initializer: Callable[..., Any],
    shape: Any,
    dtype: Any,
    name: str,
    colocate_with_primary: bool = True,
) -> Any:
    """A slot of `shape` and `dtype` filled by `initializer`."""
    with tf.variable_scope(None, f"{primary.op.name}/{name}"):
        return _slot_variable(primary, initializer, tf.TensorShape(shape).is_fully_defined(), shape, dtype)


@tf_export("python.training.slot_creator.create_zeros_slot")
def create_zeros_slot(primary: Any, name: str, dtype: Any = None, colocate_with_primary: bool = True) -> Any:
    """A slot of zeros of the variable's shape."""
    dtype = dtype or primary.dtype.base_dtype
    shape = primary.get_shape()
    if shape.is_fully_defined():
        return create_slot_with_initializer(primary, tf.zeros_initializer(), shape, dtype, name)
    if hasattr(primary, "initialized_value"):
        return create_slot(primary, tf.zeros(tf.shape(primary.initialized_value()), dtype=dtype), name)
    return create_slot(primary, tf.zeros(tf.shape(primary), dtype=dtype), name)
