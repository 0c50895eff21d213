"""Declaring ops in one line each: element-wise functions of one or two arguments with their names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import broadcast, same

__all__ = ["BOOLEANS", "COMPLEX", "FLOATS", "INTEGERS", "NUMBERS", "binary", "deprecated_axis", "unary"]

FLOATS = (dtypes.bfloat16, dtypes.float16, dtypes.float32, dtypes.float64)
COMPLEX = (dtypes.complex64, dtypes.complex128)
INTEGERS = (
    dtypes.int8,
    dtypes.int16,
    dtypes.int32,
    dtypes.int64,
    dtypes.uint8,
    dtypes.uint16,
    dtypes.uint32,
    dtypes.uint64,
)
NUMBERS = (*FLOATS, *INTEGERS, *COMPLEX)
BOOLEANS = (dtypes.bool_,)


def unary(
    kind: str,
    lowering: Callable[..., Any],
    *names: str,
    out: str = "T",
    arg: str = "x",
    allow: Any = None,
    diff: bool = True,
    scope: str | None = None,
) -> Callable[..., Any]:
    """Declare `kind` as element-wise in one argument and serve it as the functions `names`.

    With `scope` the function converts its argument inside a name scope of its own, as some of TensorFlow's do.
    """
    op(kind, f"{arg}:T -> {out}", lowering, shape=same, diff=diff, allow={"T": allow} if allow else None)

    if scope is None:

        def function(x: Any = None, name: str | None = None, **renamed: Any) -> Any:
            return apply_op(kind, _argument(x, renamed, arg, kind), name=name)

    else:

        def function(x: Any = None, name: str | None = None, **renamed: Any) -> Any:
            value = _argument(x, renamed, arg, kind)
            with name_scope(name, scope, [value]) as full:
                return apply_op(kind, convert_to_tensor(value, name=arg), name=full)

    function.__name__ = names[0].split(".")[-1] if names else kind
    return export(function, *names)


def _argument(x: Any, renamed: dict[str, Any], arg: str, kind: str) -> Any:
    if arg in renamed:
        x = renamed.pop(arg)
    if renamed:
        raise TypeError(f"{kind}() got an unexpected keyword argument {next(iter(renamed))!r}")
    return x


def binary(
    kind: str,
    lowering: Callable[..., Any],
    *names: str,
    out: str = "T",
    args: tuple[str, str] = ("x", "y"),
    allow: Any = None,
    diff: bool = True,
    shape: Any = broadcast,
) -> Callable[..., Any]:
    """Declare `kind` as element-wise in two broadcasting arguments and serve it as the functions `names`."""
    first, second = args
    op(kind, f"{first}:T, {second}:T -> {out}", lowering, shape=shape, diff=diff, allow={"T": allow} if allow else None)

    def function(*values: Any, name: str | None = None, **named: Any) -> Any:
        if len(values) == 3 and name is None:
            values, name = values[:2], values[2]
        pair = [*values, *(named.pop(a) for a in args[len(values) :])]
        if named:
            raise TypeError(f"{kind}() got an unexpected keyword argument {next(iter(named))!r}")
        return apply_op(kind, *pair, name=name)

    function.__name__ = names[0].split(".")[-1] if names else kind
    return export(function, *names)


def deprecated_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a reduction take the old names: reduction_indices for axis, keep_dims for keepdims."""

    @functools.wraps(function)
    def wrapper(
        input_tensor: Any,
        axis: Any = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: Any = None,
        keep_dims: bool | None = None,
        **more: Any,
    ) -> Any:
        if reduction_indices is not None:
            if axis is not None:
                raise ValueError("Can't specify both axis and reduction_indices.")
            axis = reduction_indices
        if keep_dims is not None:
            if keepdims is not None:
                raise ValueError("Cannot specify both 'keep_dims' and 'keepdims'")
            keepdims = keep_dims
        return function(input_tensor, axis, bool(keepdims), name, **more)

    return wrapper
