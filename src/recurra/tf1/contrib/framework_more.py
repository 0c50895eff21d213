"""tf.contrib.framework's rarer helpers: name scopes as text, filters of variables, orthogonal convolutions by dimension."""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from recurra.tf1 import confusion, dtypes
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.tensor import TensorLike

__all__ = ["filter_variables"]

tf = space("")


@tf_export("contrib.framework.prepend_name_scope")
def prepend_name_scope(name: str, import_scope: str | None) -> str:
    """`name` below `import_scope`; marks of colocation and control stay in front."""
    if not import_scope:
        return name
    mark, rest = re.match(r"(\^|loc:@|)(.*)", name).groups()  # type: ignore[union-attr]
    return f"{mark}{import_scope.rstrip('/')}/{rest}"


@tf_export("contrib.framework.strip_name_scope")
def strip_name_scope(name: str, export_scope: str | None) -> str:
    """`name` without the leading `export_scope`."""
    if not export_scope:
        return name
    scope = re.escape(export_scope.rstrip("/"))
    return re.sub(rf"([\^]|loc:@|^){scope}[\/]+(.*)", r"\1\2", name, count=1)


@tf_export("contrib.framework.filter_variables")
def filter_variables(
    var_list: Any, include_patterns: Any = None, exclude_patterns: Any = None, reg_search: bool = True
) -> list[Any]:
    """The variables whose operations' names match an included pattern and no excluded one."""
    found = re.search if reg_search else re.match
    kept = list(var_list)
    if include_patterns is not None:
        if not include_patterns:
            kept = []
        kept = [v for v in kept if any(found(pattern, v.op.name) for pattern in include_patterns)]
    return [v for v in kept if not any(found(pattern, v.op.name) for pattern in exclude_patterns or ())]


@tf_export("contrib.framework.get_variable_full_name")
def get_variable_full_name(var: Any) -> str:
    """The name in a checkpoint; of a part of a partitioned variable, the whole's."""
    whole = getattr(var, "_save_slice_info", None)
    return whole.full_name if whole else var.op.name


@tf_export("contrib.framework.global_variable")
def global_variable(
    initial_value: Any, validate_shape: bool = True, name: str | None = None, use_resource: bool | None = None
) -> Any:
    return tf.Variable(
        initial_value,
        trainable=False,
        collections=[GraphKeys.GLOBAL_VARIABLES],
        validate_shape=validate_shape,
        use_resource=use_resource,
        name=name,
    )


@tf_export("contrib.framework.get_placeholders")
def get_placeholders(graph: Any) -> list[Any]:
    """The placeholders of a graph."""
    return [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]


@tf_export("contrib.framework.assert_or_get_global_step")
def assert_or_get_global_step(graph: Any = None, global_step_tensor: Any = None) -> Any:
    """The given step, checked, or the graph's."""
    if global_step_tensor is None:
        return tf.train.get_global_step(graph)
    tf.train.assert_global_step(global_step_tensor)
    return global_step_tensor


@tf_export("contrib.framework.assert_scalar")
def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Any:
    """`tensor`; ValueError unless its rank is 0."""
    with tf.name_scope(name, "assert_scalar", [tensor]) as scope:
        tensor = convert_to_tensor(tensor, name=scope)
        if tensor.shape.ndims != 0:
            detail = f"{message}" if message else f"Expected scalar shape for {tensor.name}, saw shape: {tensor.shape}."
            raise ValueError(detail)
        return tensor


@tf_export("contrib.framework.assert_scalar_int")
def assert_scalar_int(tensor: Any, name: str | None = None) -> Any:
    """`tensor`; ValueError unless it is an integer of rank 0."""
    with tf.name_scope(name, "assert_scalar_int", [tensor]) as scope:
        tensor = convert_to_tensor(tensor)
        if not tensor.dtype.base_dtype.is_integer:
            raise ValueError(f"Expected integer type for {tensor.name}, received type: {tensor.dtype}.")
        return assert_scalar(tensor, name=scope)


@tf_export("contrib.framework.assign_from_values_fn")
def assign_from_values_fn(var_names_to_values: dict[str, Any]) -> Callable[[Any], Any]:
    """`f(session)` that assigns the values to the variables of these names."""
    assign, feeds = tf.contrib.framework.assign_from_values(var_names_to_values)
    return lambda session: session.run(assign, feeds)


@tf_export("contrib.framework.convert_to_tensor_or_sparse_tensor")
def convert_to_tensor_or_sparse_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """SparseTensors stay what they are; everything else becomes a Tensor."""
    if isinstance(value, tf.SparseTensorValue):
        value = tf.SparseTensor.from_value(value)
    if not isinstance(value, tf.SparseTensor):
        return convert_to_tensor(value, dtype=dtype, name=name)
    if dtype and not dtypes.as_dtype(dtype).is_compatible_with(value.dtype):
        raise RuntimeError(f"Sparse dtype: requested = {dtypes.as_dtype(dtype).name}, actual = {value.dtype.name}")
    return value


def _deprecated(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda function: function


export(_deprecated, "contrib.framework.deprecated_args", "contrib.framework.deprecated_arg_values")
export(_deprecated, "contrib.learn.preprocessing.deprecated")


@tf_export("contrib.framework.smart_case")
def smart_case(pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, name: str = "smart_case") -> Any:
    """tf.case, decided now where the predicates are known."""
    from recurra.tf1.constants import constant_value

    pairs = list(pred_fn_pairs.items()) if isinstance(pred_fn_pairs, dict) else list(pred_fn_pairs)
    known = [p if isinstance(p, bool | int) else constant_value(convert_to_tensor(p)) for p, _ in pairs]
    if all(k is not None for k in known):
        for value, (_, function) in zip(known, pairs, strict=True):
            if bool(value):
                return function()
        if default is not None:
            return default()
    tensors = [(convert_to_tensor(p), function) for p, function in pairs]
    return tf.case(tensors, default=default, exclusive=exclusive, name=name)


@tf_export("contrib.framework.py_func")
def py_func(
    func: Callable[..., Any],
    args: Any = (),
    kwargs: Any = None,
    output_types: Any = None,
    output_shapes: Any = None,
    stateful: bool = True,
    name: str | None = None,
) -> Any:
    """tf.py_func whose arguments may be nests of tensors and plain values."""
    from recurra.tf1 import nest

    if not isinstance(args, list | tuple):
        raise TypeError(f"args must be list or tuple, got {args!r}")
    given = (list(args), dict(kwargs or {}))
    flat = nest.flatten(given)
    places = [i for i, value in enumerate(flat) if isinstance(value, TensorLike)]
    types = nest.flatten(output_types)

    def call(*values: Any) -> Any:
        filled = list(flat)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        positional, named = nest.pack_sequence_as(given, filled)
        return nest.flatten(func(*positional, **named))

    results = tf.py_func(call, [flat[i] for i in places], types, stateful=stateful, name=name)
    if output_shapes is not None:
        for result, shape in zip(results, nest.flatten_up_to(output_types, output_shapes), strict=True):
            result.set_shape(shape)
    return nest.pack_sequence_as(output_types, results)


@tf_export("contrib.framework.remove_squeezable_dimensions")
def remove_squeezable_dimensions(predictions: Any, labels: Any, name: str | None = None) -> tuple[Any, Any]:
    """The two without a last dimension of 1 that only one of them has."""
    labels, predictions = confusion.remove_squeezable_dimensions(labels, predictions, name=name)
    return predictions, labels


@tf_export("contrib.framework.zero_initializer")
def zero_initializer(ref: Any, use_locking: bool = True, name: str = "zero_initializer") -> Any:
    """An assignment of zeros."""
    return tf.assign(ref, tf.zeros(ref.shape, ref.dtype.base_dtype), name=name)


@tf_export("contrib.framework.VariableDeviceChooser")
class VariableDeviceChooser:
    """Devices of variables in turn over `num_tasks` tasks of a job (names only: everything runs here)."""

    def __init__(
        self,
        num_tasks: int = 0,
        job_name: str = "ps",
        device_type: str = "CPU",
        device_index: int = 0,
        replica: Any = None,
    ):
        self._count, self._job, self._next = num_tasks, job_name, 0
        self._place = f"/device:{device_type}:{device_index}"

    def __call__(self, op: Any) -> str:
        if not self._count:
            return self._place
        task, self._next = self._next, (self._next + 1) % self._count
        return f"/job:{self._job}/task:{task}{self._place}"
