"""The operations that everything stands on: constants, placeholders, identity, grouping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from recurra.tf1 import dtypes, errors
from recurra.tf1.build import apply_op, convert_to_tensor, graph_of, name_scope
from recurra.tf1.constants import constant_value_as_shape
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape
from recurra.tf1.tensor import Operation, Tensor, TensorLike
from recurra.tf1.values import to_torch


def _bind_const(operation: Operation, session: Any) -> Callable[[], Any]:
    value = to_torch(operation.attrs["value"])
    return lambda: value


def _bind_placeholder(operation: Operation, session: Any) -> Callable[[], Any]:
    tensor = operation.outputs[0]

    def unfed() -> Any:
        shape = tensor.shape
        text = (
            ""
            if shape.rank is None
            else " and shape [" + ",".join("?" if d is None else str(d) for d in shape.values or ()) + "]"
        )
        kind = {"float32": "float", "float64": "double"}.get(tensor.dtype.name, tensor.dtype.name)
        raise errors.InvalidArgumentError(
            operation.node_def, operation,
            f"You must feed a value for placeholder tensor '{operation.name}' with dtype {kind}{text}",
        )  # fmt: skip

    return unfed


def _same(operation: Operation) -> TensorShape:
    return operation.inputs[0].shape


op("Const", "-> dtype", bind=_bind_const, diff=False)
op("Placeholder", "-> dtype", bind=_bind_placeholder, shape=lambda o: TensorShape(o.attrs["shape"]))
op(
    "PlaceholderWithDefault",
    "input:dtype -> dtype",
    lambda input: input,
    shape=lambda o: TensorShape(o.attrs["shape"]),
    stateful=True,
)
op("Identity", "input:T -> T", lambda input: input, shape=_same)
op(
    "StopGradient",
    "input:T -> T",
    lambda input: input.detach() if isinstance(input, torch.Tensor) else input,
    shape=_same,
    diff=False,
)
op("PreventGradient", "input:T -> T", lambda input: input, shape=_same, diff=False, message="")
op("IdentityN", "input:* -> *T", lambda input: tuple(input), shape=lambda o: [t.shape for t in o.inputs])
op("NoOp", "->", lambda: None, stateful=True)
op("CheckNumerics", "tensor:T -> T", lambda tensor, message="": _check_numerics(tensor, message), shape=_same)
op(
    "Assert",
    "condition:bool, data:* ->",
    lambda condition, data, summarize=3: _assert(condition, data, summarize),
    stateful=True,
)
op(
    "Gradients",
    "values:* -> *T",
    shape=lambda o: [t.shape for t in o.inputs[o.attrs["n_ys"] + sum(o.attrs["gys"]) :]],
    stateful=True,
)


def _check_numerics(tensor: torch.Tensor, message: str) -> torch.Tensor:
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        kind = "Inf" if bool(torch.isinf(tensor).any()) else "NaN"
        if bool(torch.isinf(tensor).any()) and bool(torch.isnan(tensor).any()):
            kind = "Inf and NaN"
        raise errors.invalid_argument(f"{message} : Tensor had {kind} values")
    return tensor


def _assert(condition: torch.Tensor, data: list[Any], summarize: int) -> None:
    if bool(condition):
        return
    shown = " ".join(f"[{_shown(item, summarize)}]" for item in data)
    raise errors.invalid_argument(f"assertion failed: {shown}")


def _shown(value: Any, limit: int) -> str:
    flat = value.reshape(-1)
    items = [
        v.decode(errors="replace") if isinstance(v, bytes) else str(v)
        for v in flat[: limit if limit >= 0 else None].tolist()
    ]
    return " ".join(items) + ("..." if 0 <= limit < len(flat) else "")


@tf_export("placeholder")
def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that must be fed. `shape` may be partly or wholly unknown."""
    return apply_op("Placeholder", dtype=dtypes.as_dtype(dtype), shape=TensorShape(shape), name=name)


@tf_export("placeholder_with_default")
def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """A tensor that may be fed, and is `input` otherwise."""
    return apply_op("PlaceholderWithDefault", input, shape=TensorShape(shape), name=name)


@tf_export("identity")
def identity(input: Any, name: str | None = None) -> Tensor:
    if hasattr(input, "indices") and hasattr(input, "dense_shape") and hasattr(input, "values"):
        parts = (input.indices, input.values, input.dense_shape)
        if type(input).__name__ == "SparseTensor":
            return type(input)(*(apply_op("Identity", part, name=name) for part in parts))
    return apply_op("Identity", input, name=name)


@tf_export("identity_n")
def identity_n(input: Any, name: str | None = None) -> list[Tensor]:
    tensors = [convert_to_tensor(i) for i in input]
    return apply_op("IdentityN", tensors, T=[t.dtype.base_dtype for t in tensors], name=name)


@tf_export("stop_gradient")
def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    return apply_op("StopGradient", input, name=name)


@tf_export("check_numerics", "debugging.check_numerics")
def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    return apply_op("CheckNumerics", tensor, message=message, name=name)


@tf_export("no_op")
def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing, but has control inputs like any other."""
    return apply_op("NoOp", name=name)


@tf_export("group")
def group(*inputs: Any, **kwargs: Any) -> Operation:
    """An operation that is done when all `inputs` (tensors, operations, nests of them) are."""
    name = kwargs.pop("name", None)
    if kwargs:
        raise ValueError("Unknown keyword arguments: " + ", ".join(kwargs))
    ops: list[Operation] = []
    _gather_ops(list(inputs), ops)
    graph = graph_of(ops)
    with name_scope(name, "group_deps") as scope:
        if not ops:
            return no_op(name=scope)
        with graph.as_default(), graph.control_dependencies(list(dict.fromkeys(ops))):
            return no_op(name=scope)


def _gather_ops(item: Any, ops: list[Operation]) -> None:
    if isinstance(item, list | tuple):
        for part in item:
            _gather_ops(part, ops)
    elif isinstance(item, dict):
        _gather_ops(list(item.values()), ops)
    elif isinstance(item, Operation):
        ops.append(item)
    elif item is None or not hasattr(item, "op"):
        raise TypeError(f"Expected tf.group() expected Tensor objects not {item!r} of type '{type(item).__name__}'"
                        if not isinstance(item, TensorLike) else f"cannot group {item!r}")  # fmt: skip
    else:
        ops.append(item.op)


@tf_export("tuple")
def tuple_(tensors: Any, name: str | None = None, control_inputs: Any = None) -> list[Any]:
    """Identities of `tensors` that become available only when all of them (and `control_inputs`) are done."""
    with name_scope(name, "tuple", list(tensors)):
        graph = get_default_graph()
        gating = [t.op for t in tensors if t is not None and not isinstance(t, Operation)]
        gating += [t for t in tensors if isinstance(t, Operation)]
        for item in control_inputs or []:
            if isinstance(item, Operation):
                gating.append(item)
            elif hasattr(item, "op"):
                gating.append(item.op)
            else:
                raise TypeError(f"Control input must be Operation or Tensor: {item}")
        if not gating:
            raise ValueError(f"Must have at least one Tensor: {tensors}")
        gate = group(*gating)
        done: list[Any] = []
        with graph.control_dependencies([gate]):
            for tensor in tensors:
                if isinstance(tensor, TensorLike):
                    done.append(with_identity(tensor))
                elif isinstance(tensor, Operation):
                    with graph.control_dependencies([tensor]):
                        done.append(no_op())
                else:
                    done.append(None)
        return done


def with_identity(value: Any) -> Any:
    """tf.identity of a tensor, or of the values of an IndexedSlices."""
    if hasattr(value, "indices") and hasattr(value, "values"):
        return type(value)(identity(value.values), value.indices, value.dense_shape)
    return identity(value)


def with_dependencies(dependencies: Any, output_tensor: Any, name: str | None = None) -> Any:
    """`output_tensor` as of after `dependencies`."""
    with (
        name_scope(name, "control_dependency", [*dependencies, output_tensor]) as scope,
        get_default_graph().control_dependencies(list(dependencies)),
    ):
        if isinstance(output_tensor, Operation):
            return no_op(name=scope)
        tensor = output_tensor if hasattr(output_tensor, "indices") else convert_to_tensor(output_tensor)
        return with_identity(tensor) if not isinstance(tensor, Tensor) else identity(tensor, name=scope)


export(with_dependencies, "python.ops.control_flow_ops.with_dependencies", "contrib.framework.with_dependencies")
export(unknown_shape, "python.framework.tensor_shape.unknown_shape")
export(constant_value_as_shape, "python.framework.tensor_util.constant_value_as_shape")
