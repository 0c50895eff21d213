"""tf.contrib.framework's variables and small helpers."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from recurra.tf1 import names, nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.contrib.arg_scope import add_arg_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.scopes import get_variable, get_variable_scope
from recurra.tf1.shapes import as_shape
from recurra.tf1.tensor import TensorLike
from recurra.tf1.variable_store import get_variable_store

__all__ = ["get_variables", "model_variable"]


def _get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Any = None,
    caching_device: Any = None,
    device: Any = None,
    partitioner: Any = None,
    custom_getter: Any = None,
    use_resource: bool | None = None,
    synchronization: Any = None,
    aggregation: Any = None,
) -> Any:
    collections = list(collections if collections is not None else [GraphKeys.GLOBAL_VARIABLES])
    getter = (
        get_variable if custom_getter is None else functools.partial(custom_getter, reuse=get_variable_scope().reuse)
    )
    return getter(
        name,
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=list(dict.fromkeys(collections)),
        caching_device=caching_device,
        partitioner=partitioner,
        use_resource=use_resource,
    )


variable = export(add_arg_scope(_get_variable), "contrib.framework.variable")


def _model_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Any = None,
    **more: Any,
) -> Any:
    kept = [*(collections or []), GraphKeys.GLOBAL_VARIABLES, GraphKeys.MODEL_VARIABLES]
    return _get_variable(name, shape, dtype, initializer, regularizer, trainable, kept, **more)


_model_variable.__name__ = "model_variable"
model_variable = export(add_arg_scope(_model_variable), "contrib.framework.model_variable")


def local_variable(
    initial_value: Any, validate_shape: bool = True, name: str | None = None, use_resource: bool | None = None
) -> Any:
    from recurra.tf1.variables import Variable

    return Variable(
        initial_value,
        trainable=False,
        collections=[GraphKeys.LOCAL_VARIABLES],
        validate_shape=validate_shape,
        name=name,
    )


export(local_variable, "contrib.framework.local_variable")


@tf_export("contrib.framework.get_variables")
def get_variables(
    scope: Any = None, suffix: str | None = None, collection: str = GraphKeys.GLOBAL_VARIABLES
) -> list[Any]:
    """The variables of a collection under a scope, by suffix."""
    prefix = getattr(scope, "name", scope)
    if suffix is not None:
        prefix = (prefix or "") + ".*" + (suffix if ":" in suffix else suffix + "$")
        return [
            v
            for v in get_default_graph().get_collection(collection)
            if re.match(prefix, v.op.name if ":" not in suffix else v.name)
        ]
    return get_default_graph().get_collection(collection, prefix)


def _of(collection: str) -> Any:
    return lambda scope=None, suffix=None: get_variables(scope, suffix, collection)


get_model_variables = export(_of(GraphKeys.MODEL_VARIABLES), "contrib.framework.get_model_variables")
export(_of(GraphKeys.LOCAL_VARIABLES), "contrib.framework.get_local_variables")
export(_of(GraphKeys.TRAINABLE_VARIABLES), "contrib.framework.get_trainable_variables")


@tf_export("contrib.framework.get_variables_to_restore")
def get_variables_to_restore(include: Any = None, exclude: Any = None) -> list[Any]:
    chosen = get_variables() if include is None else [v for scope in include for v in get_variables(scope)]
    left_out = {id(v) for scope in exclude or [] for v in get_variables(scope)}
    return [v for v in chosen if id(v) not in left_out]


@tf_export("contrib.framework.get_variables_by_name")
def get_variables_by_name(given_name: str, scope: str | None = None) -> list[Any]:
    return get_variables(scope, "/" + given_name + ":|^" + given_name + ":")


@tf_export("contrib.framework.get_variables_by_suffix")
def get_variables_by_suffix(suffix: str, scope: str | None = None) -> list[Any]:
    return get_variables(scope, suffix)


@tf_export("contrib.framework.get_unique_variable")
def get_unique_variable(var_op_name: str) -> Any:
    found = get_variables(var_op_name)
    if not found:
        raise ValueError(f"Variable {var_op_name} does not exist")
    exact = [v for v in found if v.op.name == var_op_name]
    if len(found) > 1 and not exact:
        raise ValueError(f"Variable {var_op_name} is not unique")
    return exact[0] if exact else found[0]


@tf_export("contrib.framework.add_model_variable")
def add_model_variable(var: Any) -> None:
    if var not in get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES):
        get_default_graph().add_to_collection(GraphKeys.MODEL_VARIABLES, var)


@tf_export("contrib.framework.is_tensor", "is_tensor", "contrib.framework.is_tensor_like")
def is_tensor(x: Any) -> bool:
    return isinstance(x, TensorLike)


@tf_export("contrib.framework.with_shape")
def with_shape(expected_shape: Any, tensor: Any) -> Any:
    tensor = convert_to_tensor(tensor)
    tensor.set_shape(expected_shape)
    return tensor


@tf_export("contrib.framework.with_same_shape")
def with_same_shape(expected_tensor: Any, tensor: Any) -> Any:
    return with_shape(convert_to_tensor(expected_tensor).get_shape(), tensor)


@tf_export("contrib.framework.assert_same_float_dtype")
def assert_same_float_dtype(tensors: Any = None, dtype: Any = None) -> Any:
    return names.lookup("assert_same_float_dtype")(tensors, dtype)


@tf_export("contrib.framework.reduce_sum_n")
def reduce_sum_n(tensors: Any, name: str | None = None) -> Any:
    if not tensors:
        raise ValueError("No tensors provided.")
    from recurra.tf1.ops.math_binary import add_n
    from recurra.tf1.ops.math_reduce import reduce_sum

    return add_n([t if t.get_shape().ndims == 0 else reduce_sum(t) for t in tensors], name=name)


@tf_export("contrib.framework.get_name_scope")
def get_name_scope() -> str:
    return get_default_graph().get_name_scope()


@tf_export("contrib.framework.deprecated")
def deprecated(date: Any, instructions: str, warn_once: bool = True) -> Any:
    return lambda function: function


export(nest, "contrib.framework.nest")


def _prefix(path: str) -> str:
    import os

    from recurra.tf1 import checkpoint

    if os.path.isdir(path):
        latest = checkpoint.latest_checkpoint(path)
        if latest is None:
            raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}")
        return latest
    return path


@tf_export("contrib.framework.assign_from_values")
def assign_from_values(var_names_to_values: dict[str, Any]) -> tuple[Any, dict[Any, Any]]:
    """(assign op, feeds) that set the named variables."""
    from recurra.tf1.core_ops import group, placeholder

    feeds: dict[Any, Any] = {}
    assigns = []
    for key, value in var_names_to_values.items():
        target = get_unique_variable(key)
        slot = placeholder(target.dtype.base_dtype, value.shape)
        assigns.append(target.assign(slot))
        feeds[slot] = value
    return group(*assigns), feeds


@tf_export("contrib.framework.assign_from_checkpoint")
def assign_from_checkpoint(
    model_path: str, var_list: Any, ignore_missing_vars: bool = False
) -> tuple[Any, dict[Any, Any]]:
    from recurra.tf1 import checkpoint

    table = var_list if isinstance(var_list, dict) else {v.op.name: v for v in var_list}
    stored = checkpoint.open(_prefix(model_path))
    if ignore_missing_vars:
        table = {k: v for k, v in table.items() if k in stored}
    for key in table:
        if key not in stored:
            raise ValueError(f"Checkpoint is missing variable [{key}]")
    return assign_from_values({v.op.name: stored[k] for k, v in table.items()})


@tf_export("contrib.framework.assign_from_checkpoint_fn")
def assign_from_checkpoint_fn(
    model_path: str, var_list: Any, ignore_missing_vars: bool = False, reshape_variables: bool = False
) -> Any:
    operation, feeds = assign_from_checkpoint(model_path, var_list, ignore_missing_vars)
    return lambda session: session.run(operation, feeds)


@tf_export("contrib.framework.init_from_checkpoint", "train.init_from_checkpoint")
def init_from_checkpoint(ckpt_dir_or_file: str, assignment_map: Any) -> None:
    """Let variables start from a checkpoint: the map goes from names (or scopes ending in "/") to variables, names or scopes."""  # noqa: E501
    from recurra.tf1.train.saver import opened

    with opened(ckpt_dir_or_file) as stored:
        for source, target in dict(assignment_map).items():
            for key, var in _assigned(source, target, stored):
                if key not in stored:
                    raise ValueError(f"Tensor {key} is not found in {ckpt_dir_or_file} checkpoint {sorted(stored)}")
                _start_from(var, stored.prefix, stored.variables[key])


def _start_from(var: Any, prefix: str, stored: Any) -> None:
    """Let a variable, or the parts of one, be initialised from a checkpoint when the initialiser runs."""
    from recurra.tf1.build import apply_op

    parts = var._get_variable_list() if hasattr(var, "_get_variable_list") else var
    for part in parts if isinstance(parts, list) else [parts]:
        info = getattr(part, "_save_slice_info", None)
        whole = part.get_shape() if info is None else info.full_shape
        if not as_shape(whole).is_compatible_with(stored.shape):
            raise ValueError(
                f"Shape of variable {part.name} ({part.get_shape()}) doesn't match with shape of tensor {stored.name}"
                f" ({list(stored.shape)}) from checkpoint reader."
            )
        with get_default_graph().control_dependencies(None):
            kind, spec = as_dtype(stored.dtype), "" if info is None else info.spec
            (start,) = apply_op(
                "RestoreV2", prefix, [stored.name], [spec], dtypes=[kind], name="checkpoint_initializer"
            )
            start.set_shape(part.get_shape())
            start = start if kind == part.dtype.base_dtype else names.lookup("cast")(start, part.dtype.base_dtype)
            part._initializer_op = part.assign(start).op
            part._initial_value = start


def _assigned(source: str, target: Any, stored: Any) -> list[tuple[str, Any]]:
    """(name in the checkpoint, variable or its parts) of one entry. ValueError where one has no value."""
    if not isinstance(target, str):
        return [(source, target)]
    everything = _by_name(get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES))
    if target in everything:
        return [(source, everything[target])]
    scope = target.rpartition("/")[0]
    if not source.endswith("/"):
        if not target.endswith("/"):
            raise ValueError(f"Variable {target} not found in the graph")
        raise ValueError(
            f"Assignment map with scope only name {scope} should map to scope only {source}. Should be 'scope/': "
            "'other_scope/'."
        )
    head, base = (f"{scope}/" if scope else ""), ("" if source == "/" else source)
    found = []
    for name, parts in sorted(_by_name(get_variable_store()._vars.values()).items()):
        if name.startswith(head):
            key = base + name[len(head) :]
            if key not in stored:
                raise ValueError(
                    f"Tensor {key} ({name[len(head) :]} in {source}) is not found in {stored.prefix} checkpoint"
                )
            found.append((key, parts))
    return found


def _by_name(variables: Iterable[Any]) -> dict[str, list[Any]]:
    """Variables, and parts together, by the names of the whole ones."""
    found: dict[str, list[Any]] = {}
    for v in variables:
        info = getattr(v, "_save_slice_info", None)
        found.setdefault(v.op.name if info is None else info.full_name, []).append(v)
    return found
