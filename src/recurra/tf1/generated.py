"""tf.raw_ops and TensorFlow's generated modules (tensorflow.python.ops.gen_array_ops …): one function per registered operation.

`gen_array_ops.concat_v2(values, axis)` adds that one operation, without what the public wrapper does around it.
"""  # noqa: E501

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from recurra.tf1.build import apply_op
from recurra.tf1.names import export, known
from recurra.tf1.registry import OPS, OpDef

_HIDDEN = {"Cond", "While", "Gradients", "CustomGradient", "LibraryCall", "CellStep", "PyFunc", "PyFuncStateless"}
_WORDS = ((re.compile(r"([A-Z]+)([A-Z][a-z])"), r"\1_\2"), (re.compile(r"([a-z0-9])([A-Z])"), r"\1_\2"))


def snake(op_type: str) -> str:
    """The generated function's name: ConcatV2 → concat_v2, BatchMatMul → batch_mat_mul, LRN → lrn."""
    for pattern, by in _WORDS:
        op_type = pattern.sub(by, op_type)
    return op_type.lower()


def raw_function(definition: OpDef) -> Callable[..., Any]:
    """A function of the operation's inputs, then its attributes, by position or by name."""
    inputs = [arg.name for arg in definition.inputs]

    def function(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
        accepted = inputs if len(args) <= len(inputs) else [*inputs, *_attributes(definition)]
        if len(args) > len(accepted):
            raise TypeError(f"{definition.type} takes at most {len(accepted)} arguments, got {len(args)}")
        given = dict(zip(accepted, args, strict=False))
        if doubled := given.keys() & kwargs.keys():
            raise TypeError(f"{definition.type} got multiple values for argument {min(doubled)!r}")
        given.update(kwargs)
        if absent := [key for key in inputs if key not in given]:
            raise TypeError(f"{definition.type} is missing its argument {absent[0]!r}")
        return apply_op(definition.type, *(given.pop(key) for key in inputs), name=name, **given)

    function.__name__ = snake(definition.type)
    function.__doc__ = f"The operation {definition.type} of {', '.join(inputs) or 'no inputs'}."
    return function


def _attributes(definition: OpDef) -> list[str]:
    """The attributes that may follow the inputs by position: dtypes of outputs, then the function's own arguments."""
    bound = {part for arg in definition.inputs for part in (arg.name, arg.type, arg.count)}
    typed = [part for arg in definition.outputs for part in (arg.count, arg.type) if part and arg.fixed is None]
    own = list(inspect.signature(definition.fn).parameters) if definition.fn and definition.keywords else []
    return [name for name in dict.fromkeys([*typed, *own, *definition.defaults]) if name not in bound]


def register() -> None:
    """Serve every operation of the registry that has no function of its own under these names."""
    taken = set(known())
    for op_type, definition in OPS.items():
        if op_type in _HIDDEN:
            continue
        function = raw_function(definition)
        for dotted in (f"raw_ops.{op_type}", f"python.ops.gen_ops.{snake(op_type)}"):
            if dotted not in taken:
                export(function, dotted)


register()
