"""The operators of Tensor: arithmetic, logic, ordering and indexing build operations under TensorFlow's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.ops.indexing import strided_index
from recurra.tf1.ops.math_binary import div, floordiv, logical_xor, pow_, truediv
from recurra.tf1.tensor import Tensor, TensorLike

__all__ = ["install_operators"]


def _add_dispatch(x: Any, y: Any, name: str | None = None) -> Any:
    return apply_op("Add" if x.dtype.base_dtype == dtypes.string else "AddV2", x, y, name=name)


def _mul_dispatch(x: Any, y: Any, name: str | None = None) -> Any:
    if hasattr(y, "dense_shape"):  # a SparseTensor: only its values are scaled
        return NotImplemented
    return apply_op("Mul", x, y, name=name)


def _plain(kind: str) -> Callable[..., Any]:
    return lambda x, y, name=None: apply_op(kind, x, y, name=name)


def _matmul(x: Any, y: Any, name: str | None = None) -> Any:
    from recurra.tf1.ops.matmul import matmul

    return matmul(x, y, name=name)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": _add_dispatch,
    "sub": _plain("Sub"),
    "mul": _mul_dispatch,
    "div": div,
    "truediv": truediv,
    "floordiv": floordiv,
    "mod": _plain("FloorMod"),
    "pow": pow_,
    "and": _plain("LogicalAnd"),
    "or": _plain("LogicalOr"),
    "xor": logical_xor,
    "matmul": _matmul,
}
_COMPARISONS = {"lt": "Less", "le": "LessEqual", "gt": "Greater", "ge": "GreaterEqual"}


def _left(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(x: Any, y: Any) -> Any:
        with name_scope(None, label, [x, y]) as scope:
            if not isinstance(y, TensorLike):
                try:
                    y = convert_to_tensor(y, preferred_dtype=x.dtype.base_dtype, name="y")
                except TypeError:
                    if hasattr(type(y), f"__r{label}__"):
                        return NotImplemented
                    raise
            elif hasattr(y, "dense_shape") and label in ("mul", "div", "truediv"):
                return NotImplemented
            return function(x, y, name=scope)

    return operator


def _right(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(y: Any, x: Any) -> Any:
        with name_scope(None, label, [x, y]) as scope:
            x = convert_to_tensor(x, dtype=y.dtype.base_dtype, name="x")
            return function(x, y, name=scope)

    return operator


def install_operators(cls: type) -> None:
    """Give a tensor-like class the arithmetic, logical and ordering operators."""
    for label, function in _OPERATORS.items():
        setattr(cls, f"__{label}__", _left(label, function))
        setattr(cls, f"__r{label}__", _right(label, function))
    for label, kind in _COMPARISONS.items():
        setattr(cls, f"__{label}__", _plain(kind))
    cls.__neg__ = lambda x: apply_op("Neg", x)  # type: ignore[attr-defined]
    cls.__abs__ = lambda x: _absolute(x)  # type: ignore[attr-defined]
    cls.__invert__ = lambda x: apply_op("LogicalNot", x)  # type: ignore[attr-defined]


def _absolute(x: Any) -> Any:
    from recurra.tf1.ops.math_unary import abs_

    return abs_(x)


install_operators(Tensor)
Tensor.__getitem__ = strided_index  # type: ignore[attr-defined]
