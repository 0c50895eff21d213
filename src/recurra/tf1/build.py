"""Building operations: conversion of arguments, dtype checks, names and static shapes as TensorFlow's Python does it."""  # noqa: E501

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from recurra.tf1 import dtypes, shape_errors
from recurra.tf1.constant_arrays import constant_array, leaves
from recurra.tf1.constants import constant_value
from recurra.tf1.dtypes import DType, as_dtype
from recurra.tf1.graph import Graph, get_default_graph
from recurra.tf1.inference import infer_shapes
from recurra.tf1.names import tf_export
from recurra.tf1.registry import Arg, OpDef, get
from recurra.tf1.shapes import Dimension, TensorShape
from recurra.tf1.tensor import Operation, Tensor, TensorLike


# -- name scopes -----------------------------------------------------------------------------------------------------
@tf_export("name_scope", "compat.v1.name_scope")
class name_scope:
    """`with tf.name_scope(name, default_name, values) as scope`: names of operations made inside start with it."""

    def __init__(self, name: Any, default_name: str | None = None, values: Any = None):
        self._name = default_name if name is None else name
        self._default_name, self._values, self._raw = default_name, values, name
        self._managers: list[Any] = []

    @property
    def name(self) -> Any:
        return self._name

    def __enter__(self) -> Any:
        if self._name is None and self._values is not None:
            raise ValueError(
                f"At least one of name ({self._raw}) and default_name ({self._default_name}) must be provided."
            )
        graph = graph_of(self._values) if self._values else get_default_graph()
        with contextlib.ExitStack() as stack:  # a bad name leaves nothing open
            stack.enter_context(graph.as_default())
            scope = stack.enter_context(graph.name_scope(self._name))
            self._managers.append(stack.pop_all())
        return scope

    def __exit__(self, *exc: Any) -> None:
        self._managers.pop().__exit__(*exc)


def _op_scope(values: Any, name: Any, default_name: Any = None) -> name_scope:
    return name_scope(name, default_name, values)


tf_export("op_scope")(_op_scope)


def graph_of(values: Any, graph: Graph | None = None) -> Graph:
    """The graph that the tensors among `values` belong to; ValueError when they are of several."""
    first: Any = None
    for item in values or ():
        if isinstance(item, list | tuple):
            candidates: Sequence[Any] = item
        else:
            candidates = (item,)
        for value in candidates:
            if not isinstance(value, TensorLike | Operation):
                continue
            owner = getattr(value, "graph", None)
            if not isinstance(owner, Graph):
                continue
            if first is None:
                first = value
            elif owner is not first.graph:
                raise ValueError(f"{value} must be from the same graph as {first}.")
            if graph is not None and owner is not graph:
                raise ValueError(f"{value!r} is not from the passed-in graph.")
    return graph or (first.graph if first is not None else get_default_graph())


tf_export("get_graph_from_inputs")(graph_of)


# -- constants -------------------------------------------------------------------------------------------------------
@tf_export("constant", "constant_v1")
def constant(
    value: Any, dtype: Any = None, shape: Any = None, name: str = "Const", verify_shape: bool = False
) -> Tensor:
    """A tensor with a fixed value. With `shape`, fewer values are repeated with the last one."""
    array, kind = constant_array(value, None if dtype is None else as_dtype(dtype), shape, verify_shape)
    graph = get_default_graph()
    definition = get("Const")
    op = graph.add_op("Const", name, [], {"value": array, "dtype": kind}, definition)
    if graph.eager and graph.run_now(op, [kind]):
        return op._outputs[0]
    tensor = Tensor(op, 0, kind, TensorShape(array.shape))
    op._outputs.append(tensor)
    return tensor


# -- conversion ------------------------------------------------------------------------------------------------------
_CONVERTERS: list[tuple[int, int, Any, Callable[..., Any]]] = []


@tf_export("register_tensor_conversion_function")
def register_tensor_conversion_function(
    base_type: Any, conversion_func: Callable[..., Any], priority: int = 100
) -> None:
    """Let objects of `base_type` be used where tensors are: func(value, dtype, name, as_ref) -> Tensor or NotImplemented."""  # noqa: E501
    bases = base_type if isinstance(base_type, tuple) else (base_type,)
    if not all(isinstance(b, type) for b in bases):
        raise TypeError("base_type must be a type or a tuple of types.")
    if not callable(conversion_func):
        raise TypeError("conversion_func must be callable.")
    _CONVERTERS.append((priority, len(_CONVERTERS), bases, conversion_func))
    _CONVERTERS.sort(key=lambda entry: entry[:2])


@tf_export("convert_to_tensor")
def convert_to_tensor(
    value: Any,
    dtype: Any = None,
    name: str | None = None,
    preferred_dtype: Any = None,
    dtype_hint: Any = None,
    as_ref: bool = False,
    ctx: Any = None,
) -> Tensor:
    """`value` as a Tensor of the default graph. A Tensor of another dtype is a ValueError, an impossible value a TypeError."""  # noqa: E501
    if dtype is not None:
        dtype = as_dtype(dtype)
    if isinstance(value, Tensor):
        if dtype is not None and not dtype.is_compatible_with(value.dtype):
            raise ValueError(
                f"Tensor conversion requested dtype {dtype.name} for Tensor with dtype {value.dtype.name}: {str(value)!r}"  # noqa: E501
            )
        if value.graph is not get_default_graph() and isinstance(
            getattr(get_default_graph(), "capture", None), Callable
        ):  # type: ignore[arg-type]
            return get_default_graph().capture(value)  # type: ignore[attr-defined]
        return value
    hint = preferred_dtype if preferred_dtype is not None else dtype_hint
    if dtype is None and hint is not None:
        try:
            return convert_to_tensor(value, as_dtype(hint), name, as_ref=as_ref)
        except (TypeError, ValueError):
            pass  # a preferred dtype is only a preference
    convert = getattr(value, "_dense_var_to_tensor", None)
    if convert is not None:
        result = convert(dtype=dtype, name=name, as_ref=as_ref)
        if result is not NotImplemented:
            return result
    for _, _, bases, function in _CONVERTERS:
        if isinstance(value, bases):
            result = function(value, dtype=dtype, name=name, as_ref=as_ref)
            if result is not NotImplemented:
                return result
    if isinstance(value, TensorShape):
        return _shape_constant(value, dtype, name)
    if isinstance(value, Dimension):
        if value.value is None:
            raise ValueError(f"Cannot convert an unknown Dimension to a Tensor: {value}")
        value = value.value
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, list | tuple) and any(isinstance(leaf, TensorLike) for leaf in leaves(value)):
        return _pack(value, dtype, name)
    if isinstance(value, Operation):
        raise TypeError(
            f"Can't convert Operation '{value.name}' to Tensor (target dtype={dtype.name if dtype else None!r}, name={name!r}, as_ref={as_ref!r})"  # noqa: E501
        )
    return constant(value, dtype, name=name or "Const")


def _shape_constant(value: TensorShape, dtype: DType | None, name: str | None) -> Tensor:
    if not value.is_fully_defined():
        raise ValueError(f"Cannot convert a partially known TensorShape to a Tensor: {value}")
    dims = value.as_list()
    if dtype is None:
        dtype = dtypes.int64 if any(d >= 2**31 for d in dims) else dtypes.int32  # type: ignore[operator]
    elif dtype not in (dtypes.int32, dtypes.int64):
        raise TypeError(f"Cannot convert a TensorShape to dtype: {dtype.name}")
    return constant(np.array(dims, dtype.as_numpy_dtype), dtype, name=name or "shape_as_tensor")


def _pack(value: Any, dtype: DType | None, name: str | None) -> Tensor:
    """Nested lists with tensors inside become Pack operations."""
    if dtype is None:
        first = next(leaf for leaf in leaves(value) if isinstance(leaf, TensorLike))
        dtype = first.dtype.base_dtype
    for leaf in leaves(value):
        if isinstance(leaf, TensorLike) and leaf.dtype.base_dtype != dtype:
            raise TypeError(
                f"Cannot convert a list containing a tensor of dtype {leaf.dtype} to {dtype} (Tensor is: {leaf!r})"
            )

    def build(item: Any, scope: str) -> Tensor:
        converted = []
        for i, element in enumerate(item):
            if isinstance(element, list | tuple):
                converted.append(
                    build(element, str(i))
                    if any(isinstance(x, TensorLike) for x in leaves(element))
                    else constant(element, dtype, name=str(i))
                )
            else:
                converted.append(convert_to_tensor(element, dtype, name=str(i)))
        return apply_op("Pack", converted, axis=0, name=scope)

    with name_scope(name or "packed") as scope:
        return build(value, scope)


@tf_export("convert_n_to_tensor")
def convert_n_to_tensor(
    values: Sequence[Any], dtype: Any = None, name: str | None = None, as_ref: bool = False
) -> list[Tensor]:
    """Each of `values` as a Tensor, names numbered."""
    return [
        convert_to_tensor(v, dtype, name=None if name is None else f"{name}_{i}", as_ref=as_ref)
        for i, v in enumerate(values)
    ]


# -- operations ------------------------------------------------------------------------------------------------------
def apply_op(op_type: str, *inputs: Any, name: str | None = None, **attrs: Any) -> Any:
    """Add an operation: convert `inputs`, bind type attributes, infer shapes. Returns its Tensor, list of Tensors, or the Operation."""  # noqa: E501
    definition = get(op_type)
    graph = graph_of(inputs)
    if "padding" in attrs:
        _check_padding(op_type, attrs["padding"])
    with graph.as_default(), graph.name_scope(name or op_type) as scope:
        flat = _convert_inputs(definition, inputs, attrs)
        op = _finish(graph, definition, scope, flat, attrs)
    return results(op)


def _check_padding(op_type: str, padding: Any) -> None:
    if op_type.startswith(("Conv", "MaxPool", "AvgPool", "Depthwise")):
        known = ["SAME", "VALID", *(["EXPLICIT"] if op_type.startswith("Conv2D") else [])]
        if isinstance(padding, str) and padding not in known:
            names = ", ".join(f'"{name}"' for name in known)
            raise ValueError(f"Attr 'padding' of '{op_type}' Op passed string '{padding}' not in: {names}.")


def make_op(
    graph: Graph,
    op_type: str,
    inputs: list[Tensor],
    attrs: dict[str, Any],
    name: str | None = None,
    dtypes_out: Any = None,
) -> Operation:
    """An operation from ready tensors (imported graphs, tf.Graph.create_op)."""
    definition = get(op_type)
    lengths = [a for a in definition.inputs if a.kind != "one"]
    if lengths and "_lengths" not in attrs:
        rest = len(inputs) - sum(a.kind == "one" for a in definition.inputs)
        attrs["_lengths"] = {lengths[0].name: rest}
    index = 0
    for arg in definition.inputs:
        if arg.fixed is None and arg.type and index < len(inputs) and arg.kind != "any":
            attrs.setdefault(arg.type, inputs[index].dtype.base_dtype)
        index += 1 if arg.kind == "one" else attrs["_lengths"].get(arg.name, 0)
    return _finish(graph, definition, name, inputs, attrs, dtypes_out)


def results(op: Operation) -> Any:
    """What a Python op function returns for `op`."""
    outputs = op.definition.outputs
    if not outputs:
        return op
    if len(outputs) == 1 and outputs[0].kind == "one":
        return op.outputs[0]
    return list(op.outputs)


def _convert_inputs(definition: OpDef, inputs: Sequence[Any], attrs: dict[str, Any]) -> list[Tensor]:
    if len(inputs) != len(definition.inputs):
        raise TypeError(f"Op {definition.type} takes {len(definition.inputs)} inputs, got {len(inputs)}")
    for key, value in definition.defaults.items():
        if key not in attrs and not isinstance(value, DType):
            attrs[key] = value
    flat: list[Tensor] = []
    bound_by: dict[str, str] = {}
    for arg, value in zip(definition.inputs, inputs, strict=True):
        if arg.kind == "one":
            flat.append(_convert_one(definition, arg, value, attrs, bound_by))
        else:
            converted = _convert_list(definition, arg, value, attrs)
            attrs.setdefault("_lengths", {})[arg.name] = len(converted)
            if arg.count:
                attrs[arg.count] = len(converted)
            flat += converted
    return flat


def _convert_one(definition: OpDef, arg: Arg, value: Any, attrs: dict[str, Any], bound_by: dict[str, str]) -> Tensor:
    wanted = arg.fixed or attrs.get(arg.type)
    try:
        tensor = convert_to_tensor(
            value,
            dtype=None if isinstance(value, TensorLike) else wanted,
            name=arg.name,
            as_ref=arg.ref,
            preferred_dtype=None if wanted is not None else definition.defaults.get(arg.type),
        )
    except TypeError as error:
        if wanted is None:
            raise
        raise TypeError(
            f"Expected {wanted.name} passed to parameter '{arg.name}' of op '{definition.type}', got {value!r} of type "
            f"'{type(value).__name__}' instead. Error: {error}"
        ) from error
    if wanted is not None and tensor.dtype.base_dtype != wanted.base_dtype:
        head = (
            f"Input '{arg.name}' of '{definition.type}' Op has type {tensor.dtype.base_dtype.name} that does not match"
        )
        if arg.type in bound_by:
            raise TypeError(f"{head} type {wanted.base_dtype.name} of argument '{bound_by[arg.type]}'.")
        raise TypeError(f"{head} expected type of {wanted.base_dtype.name}.")
    if arg.ref and not tensor.dtype._is_ref_dtype:
        raise TypeError(
            f"'{definition.type}' Op requires that input '{arg.name}' be a mutable tensor (e.g.: a tf.Variable)"
        )
    if arg.fixed is None:
        _check_allowed(definition, arg, tensor.dtype.base_dtype)
        attrs.setdefault(arg.type, tensor.dtype.base_dtype)
        bound_by.setdefault(arg.type, arg.name)
    return tensor


def _check_allowed(definition: OpDef, arg: Arg, dtype: DType) -> None:
    allowed = definition.allow.get(arg.type)
    if allowed and dtype not in allowed:
        names = ", ".join(d.name for d in allowed)
        raise TypeError(
            f"Value passed to parameter '{arg.name}' has DataType {dtype.name} not in list of allowed values: {names}"
        )


def _convert_list(definition: OpDef, arg: Arg, value: Any, attrs: dict[str, Any]) -> list[Tensor]:
    if not isinstance(value, list | tuple):
        if not hasattr(value, "__iter__") or isinstance(value, TensorLike):
            raise TypeError(f"Expected list for '{arg.name}' argument to '{definition.type}' Op, not {value}.")
        value = list(value)
    if arg.kind == "any":
        return convert_n_to_tensor(value, name=arg.name, as_ref=arg.ref)
    wanted = arg.fixed or attrs.get(arg.type)
    if wanted is None:
        first = next((v for v in value if isinstance(v, TensorLike)), None)
        wanted = first.dtype.base_dtype if first is not None and hasattr(first, "dtype") else None
    try:
        tensors = [
            convert_to_tensor(v, None if isinstance(v, TensorLike) else wanted, f"{arg.name}_{i}", as_ref=arg.ref)
            for i, v in enumerate(value)
        ]
        if wanted is None and tensors:
            wanted = tensors[0].dtype.base_dtype
        same = all(t.dtype.base_dtype == wanted for t in tensors)
    except TypeError as error:
        raise TypeError(
            f"Tensors in list passed to '{arg.name}' of '{definition.type}' Op have types "
            f"[{', '.join(_type_names(value))}] that don't all match."
        ) from error
    if not same:
        kinds = ", ".join(t.dtype.base_dtype.name for t in tensors)
        raise TypeError(
            f"Tensors in list passed to '{arg.name}' of '{definition.type}' Op have types [{kinds}] that "
            f"don't {'match expected type ' + wanted.name if arg.fixed else 'all match'}."
        )
    if wanted is not None and arg.fixed is None:
        attrs.setdefault(arg.type, wanted)
    return tensors


def _type_names(values: Sequence[Any]) -> list[str]:
    names = []
    for value in values:
        try:
            names.append(convert_to_tensor(value).dtype.base_dtype.name)
        except (TypeError, ValueError):
            names.append("<NOT CONVERTIBLE TO TENSOR>")
    return names


def _finish(
    graph: Graph,
    definition: OpDef,
    name: str | None,
    inputs: list[Tensor],
    attrs: dict[str, Any],
    dtypes_out: Any = None,
) -> Operation:
    op = graph.add_op(definition.type, name or definition.type, inputs, attrs, definition)
    kinds = dtypes_out if dtypes_out is not None else output_dtypes(definition, attrs)
    if graph.eager and graph.run_now(op, kinds):
        return op
    op._outputs.extend(Tensor(op, i, as_dtype(kind)) for i, kind in enumerate(kinds))
    try:
        for tensor, shape in zip(op.outputs, infer_shapes(op), strict=True):
            tensor._shape = shape
    except ValueError as error:
        graph._ops.pop(op.name)
        graph._op_list.remove(op)
        shapes = ", ".join("?" if t.shape.rank is None else _brackets(t.shape) for t in inputs)
        values = _computed(op)
        words = shape_errors.at_building(str(error))
        if op.type == "AddN":
            words += "\n\tFrom merging shape 0 with other shapes."
        raise ValueError(f"{words} for '{op.name}' (op: '{op.type}') with input shapes: {shapes}{values}.") from error
    return op


def _brackets(shape: TensorShape) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in shape.values or ()) + "]"


_UNLOOKED = {"Add", "Sub", "Mul", "Tile", "Pad", "PadV2", "MirrorPad", "InTopKV2"}
"""Types whose rules compare shapes alone, whatever the values."""


def _computed(op: Operation) -> str:
    """The constants that a shape rule looked at; shapes among them in brackets, with "?" for what is not known."""
    at = {"Reshape": 1, "Fill": 0}.get(op.type)
    if at is not None:
        dims = constant_value(op.inputs[at])
        partial = "?" if dims is None else "[" + ",".join("?" if d < 0 else str(d) for d in dims.tolist()) + "]"
        return f" and with input tensors computed as partial shapes: input[{at}] = {partial}"
    known = []
    for i, tensor in enumerate(op.inputs):
        value = constant_value(tensor) if not tensor.dtype._is_ref_dtype else None
        if value is not None and value.size <= 8 and value.dtype.kind in "iu" and op.type not in _UNLOOKED:
            known.append(f"input[{i}] = <{' '.join(map(str, value.reshape(-1).tolist()))}>")
    return f" and with computed input tensors: {', '.join(known)}" if known else ""


def output_dtypes(definition: OpDef, attrs: dict[str, Any]) -> list[DType]:
    """The dtypes of the outputs that a signature promises for these attributes."""
    kinds: list[DType] = []
    for arg in definition.outputs:
        if arg.kind == "any":
            kinds += [as_dtype(k) for k in attrs[arg.type]]
            continue
        kind = arg.fixed or attrs.get(arg.type) or definition.defaults.get(arg.type)
        if kind is None:
            raise TypeError(f"Op {definition.type}: attribute {arg.type!r} is not given")
        kind = as_dtype(kind)
        kind = kind._as_ref if arg.ref else kind
        kinds += [kind] * (int(attrs[arg.count]) if arg.kind == "list" else 1)
    return kinds
