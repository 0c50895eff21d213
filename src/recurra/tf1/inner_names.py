"""Names of TensorFlow's inner modules whose public counterpart is called otherwise, or that have none."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager, nullcontext
from typing import Any

from recurra.tf1 import dtypes, names
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.serialize import make_ndarray, make_tensor_proto
from recurra.tf1.shapes import as_dimension, as_shape
from recurra.tf1.tensor import Tensor, TensorLike

__all__: list[str] = []

tf = space("")
_TENSORS = "python.framework.tensor_util"

# the inner name → the public one
_ALIASES = {
    "python.ops.nn_impl.normalize": "linalg.normalize",
    "python.framework.ops.name_scope_v2": "name_scope",
    "python.ops.control_flow_ops._Identity": "identity",
    "python.ops.control_flow_ops._Enter": "raw_ops.Enter",
    "python.ops.parsing_ops.decode_raw_v1": "decode_raw",
    "python.ops.math_ops.matvec": "linalg.matvec",
}

export(87654321, "python.framework.random_seed.DEFAULT_GRAPH_SEED")
export(as_shape, "python.framework.tensor_shape.as_shape")
export(as_dimension, "python.framework.tensor_shape.as_dimension")
export(make_ndarray, f"{_TENSORS}.MakeNdarray", "contrib.util.make_ndarray")
export(make_tensor_proto, "contrib.util.make_tensor_proto")
export(lambda *date: nullcontext(), "python.compat.compat.forward_compatibility_horizon")
for _name, _kind in dtypes._BY_NAME.items():
    if _kind._is_ref_dtype:
        export(_kind, f"python.framework.dtypes.{_name}")


@tf_export(f"{_TENSORS}.constant_value", "contrib.util.constant_value")
def constant_value_of(tensor: Any, partial: bool = False) -> Any:
    """The value of a tensor that is known while the graph is built, else None; what is no tensor is its own value."""
    return constant_value(tensor, partial) if isinstance(tensor, Tensor) else tensor


@tf_export(f"{_TENSORS}.ShapeEquals")
def shape_equals(tensor_proto: Any, shape: Any) -> bool:
    """Whether a TensorProto has the dimensions `shape` (a list, or a TensorShapeProto)."""
    wanted = [d.size for d in shape.dim] if hasattr(shape, "dim") else list(shape)
    return [d.size for d in tensor_proto.tensor_shape.dim] == wanted


@tf_export(f"{_TENSORS}.shape_tensor")
def shape_tensor(shape: Any) -> Any:
    """A shape as a tensor: int32 where there is nothing to read the type from."""
    empty = isinstance(shape, tuple | list) and not shape
    return convert_to_tensor(shape, dtype=dtypes.int32 if empty else None, name="shape")


@tf_export("python.ops.control_flow_ops._SwitchRefOrTensor")
def switch_ref_or_tensor(data: Any, pred: Any, name: str = "Switch") -> Any:
    """(data when the predicate is false, data when it is true)."""
    data = data if isinstance(data, TensorLike) else convert_to_tensor(data, name="data")
    return tf.raw_ops.Switch(data=data, pred=pred, name=name)


def _unwrap(maybe_tf_decorator: Any) -> tuple[list[Any], Any]:
    """(decorators, the function below them): ours leave no trace but `__wrapped__`."""
    return [], inspect.unwrap(maybe_tf_decorator)


def _make_decorator(target: Any, decorator_func: Any, *unused: Any, **unused_too: Any) -> Any:
    return functools.wraps(target)(decorator_func)


export(contextmanager, "python.util.tf_contextlib.contextmanager")
export(_unwrap, "python.util.tf_decorator.unwrap")
export(_make_decorator, "python.util.tf_decorator.make_decorator")


def _serve() -> None:
    known = set(names._TABLE)
    for inner, public in _ALIASES.items():
        if public in known:
            names.alias(inner, public)


_serve()


@tf_export("python.ops.state_ops.variable_op", "python.ops.state_ops.variable_op_v2")
def variable_op(
    shape: Any, dtype: Any, name: str = "Variable", set_shape: bool = True, container: str = "", shared_name: str = ""
) -> Tensor:
    """The operation of a reference variable alone, without an initial value."""
    return apply_op("VariableV2", dtype=dtypes.as_dtype(dtype), shape=as_shape(shape if set_shape else None), name=name)
