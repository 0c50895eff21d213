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


export(lambda function: None, f"{_OPS}._set_call_cpp_shape_fn")
export(lambda op: [None] * len(op.outputs), "python.framework.common_shapes.call_cpp_shape_fn")
export(collections.abc, "python.util.compat.collections_abc")
export(False, "python.ops.control_flow_util.ENABLE_CONTROL_FLOW_V2")
export(False, "python.ops.variable_scope._DEFAULT_USE_RESOURCE")
for _name in ("getfullargspec", "isfunction", "isclass", "ismethod", "signature", "getsource", "getdoc"):
    export(getattr(inspect, _name), f"python.util.tf_inspect.{_name}")


@tf_export("python.util.tf_inspect.getargspec")
def getargspec(function: Any) -> Any:
    """inspect's full argument specification, under Python 2's name."""
    return inspect.getfullargspec(function)
