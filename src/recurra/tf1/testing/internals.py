"""Internals that TensorFlow's own tests ask for and that have nothing to do here: shape registration, module switches."""  # noqa: E501

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable
from typing import Any

from recurra.tf1.names import export, tf_export

_OPS = "python.framework.ops"


@tf_export(f"{_OPS}.RegisterShape", "RegisterShape")
class RegisterShape:
    """`@RegisterShape("Type")`: shape functions come with the operations here, a program's own is not asked."""

    def __init__(self, op_type: str) -> None:
        self.op_type = op_type

    def __call__(self, function: Callable[..., Any] | None) -> Any:
        return function


@tf_export(f"{_OPS}.RegisterStatistics")
class RegisterStatistics:
    """`@RegisterStatistics("Type", "flops")`: costs are not counted here."""

    def __init__(self, op_type: str, statistic_type: str) -> None:
        if not isinstance(op_type, str):
            raise TypeError("op_type must be a string.")
        if "," in op_type:
            raise TypeError("op_type must not contain a comma.")
        if not isinstance(statistic_type, str) or "," in statistic_type:
            raise TypeError("statistic_type must be a string without a comma.")

    def __call__(self, function: Callable[..., Any]) -> Any:
        return function


export(lambda function: None, f"{_OPS}._set_call_cpp_shape_fn")
for _name in ("unknown_shape", "scalar_shape", "unchanged_shape", "matmul_shape", "bias_add_shape", "no_outputs"):
    export(lambda op: [None] * len(op.outputs), f"python.framework.common_shapes.{_name}")
export(lambda op: [None] * len(op.outputs), "python.framework.common_shapes.call_cpp_shape_fn")
export(collections.abc, "python.util.compat.collections_abc")
export(False, "python.ops.control_flow_util.ENABLE_CONTROL_FLOW_V2")
export(False, "python.ops.variable_scope._DEFAULT_USE_RESOURCE")
export(0, "python.eager.context.SYNC", "python.eager.context.GRAPH_MODE")
export(1, "python.eager.context.ASYNC", "python.eager.context.EAGER_MODE")
for _name in ("getfullargspec", "isfunction", "isclass", "ismethod", "signature", "getsource", "getdoc"):
    export(getattr(inspect, _name), f"python.util.tf_inspect.{_name}")


@tf_export("python.util.tf_inspect.getargspec")
def getargspec(function: Any) -> Any:
    """inspect's full argument specification, under Python 2's name."""
    return inspect.getfullargspec(function)
