"""tf.assign and its like, lists of variables, their initialisers."""

from __future__ import annotations

from typing import Any

import torch

from recurra.tf1 import shape_rules
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.core_ops import group
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.tensor import Operation, Tensor, TensorLike
from recurra.tf1.variables import ResourceVariable, Variable


# -- functions -------------------------------------------------------------------------------------------------------
@tf_export("assign")
def assign(ref: Any, value: Any, validate_shape: Any = None, use_locking: Any = None, name: str | None = None) -> Any:
    """Give a variable a new value; the result reads it afterwards."""
    if isinstance(ref, ResourceVariable):
        return ref.assign(value, name=name)
    if isinstance(ref, TensorLike) and not isinstance(ref, Variable | Tensor):
        return ref.assign(value, name=name)  # type: ignore[attr-defined]
    return apply_op(
        "Assign",
        ref,
        value,
        validate_shape=validate_shape is not False,
        use_locking=use_locking is not False,
        name=name,
    )


@tf_export("assign_add")
def assign_add(ref: Any, value: Any, use_locking: Any = None, name: str | None = None) -> Any:
    if isinstance(ref, ResourceVariable):
        return ref.assign_add(value, name=name)
    return apply_op("AssignAdd", ref, value, name=name)


@tf_export("assign_sub")
def assign_sub(ref: Any, value: Any, use_locking: Any = None, name: str | None = None) -> Any:
    if isinstance(ref, ResourceVariable):
        return ref.assign_sub(value, name=name)
    return apply_op("AssignSub", ref, value, name=name)


@tf_export("count_up_to", "train.count_up_to")
def count_up_to(ref: Any, limit: int, name: str | None = None) -> Tensor:
    if isinstance(ref, ResourceVariable):
        return apply_op("ResourceCountUpTo", ref.handle, limit=limit, T=ref.dtype, name=name)
    return apply_op("CountUpTo", ref, limit=limit, name=name)


def _scatter_function(name: str, how: str) -> None:
    def function(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Any:
        if isinstance(ref, ResourceVariable):
            made = apply_op(
                f"ResourceScatter{how}",
                ref.handle,
                indices,
                convert_to_tensor(updates, ref.dtype),
                dtype=ref.dtype,
                name=name,
            )
            return ref._assigned(made, True)
        return apply_op(f"Scatter{how}", ref, indices, updates, name=name)

    function.__name__ = name
    export(function, name)


for _how in ("update", "add", "sub", "mul", "div", "max", "min"):
    _scatter_function(f"scatter_{_how}", _how.title())


@tf_export("is_variable_initialized")
def is_variable_initialized(variable: Any, name: str | None = None) -> Tensor:
    if isinstance(variable, ResourceVariable):
        return variable.is_initialized(name=name)
    return apply_op("IsVariableInitialized", variable, name=name)


@tf_export("global_variables", "all_variables")
def global_variables(scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


@tf_export("local_variables")
def local_variables(scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


@tf_export("model_variables")
def model_variables(scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


@tf_export("trainable_variables")
def trainable_variables(scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


@tf_export("moving_average_variables")
def moving_average_variables(scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


@tf_export("variables_initializer", "initialize_variables", "initializers.variables")
def variables_initializer(var_list: Any, name: str = "init") -> Operation:
    """An operation that initialises all of `var_list`."""
    return group(*[v.initializer for v in var_list], name=name) if var_list else group(name=name)


@tf_export("global_variables_initializer", "initialize_all_variables", "initializers.global_variables")
def global_variables_initializer() -> Operation:
    return variables_initializer(global_variables())


@tf_export("local_variables_initializer", "initialize_local_variables", "initializers.local_variables")
def local_variables_initializer() -> Operation:
    return variables_initializer(local_variables())


@tf_export("report_uninitialized_variables")
def report_uninitialized_variables(var_list: Any = None, name: str = "report_uninitialized_variables") -> Tensor:
    """The names of the variables that have no value yet."""
    if var_list is None:
        var_list = global_variables() + local_variables()
        if not var_list:
            var_list = [
                o.outputs[0] for o in get_default_graph().get_operations() if o.type in ("Variable", "VariableV2")
            ]
    with name_scope(name):
        flags = [is_variable_initialized(v) for v in var_list]
        return apply_op("UninitializedNames", flags, names=[v.op.name for v in var_list])


def _names_of(flags: list[torch.Tensor], names: list[str]) -> Any:
    import numpy as np

    missing = [n.encode() for f, n in zip(flags, names, strict=True) if not bool(f)]
    out = np.empty(len(missing), dtype=object)
    out[:] = missing
    return out


op("UninitializedNames", "flags:N*bool -> string", _names_of, stateful=True, shape=shape_rules.vector, diff=False)


@tf_export("assert_variables_initialized")
def assert_variables_initialized(var_list: Any = None) -> Any:
    """An operation that raises FailedPreconditionError when a variable has no value."""
    if var_list is None:
        var_list = global_variables() + local_variables()
    if not var_list:
        return None
    return group(*[v.value() for v in var_list])
