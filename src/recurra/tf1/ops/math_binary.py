"""Element-wise functions of two arguments, comparisons and logic, and the operators of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.helpers import BOOLEANS, COMPLEX, FLOATS, INTEGERS, NUMBERS, binary
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import broadcast, merged, same
from recurra.tf1.tensor import TensorLike

__all__ = ["add", "div", "floordiv", "logical_xor", "pow_", "truediv"]

_REAL = (*FLOATS, *INTEGERS)
_TEXT_TOO = (*NUMBERS, dtypes.string)


def _add(x: Any, y: Any) -> Any:
    return x + y


def _maximum(x: TorchTensor, y: TorchTensor) -> TorchTensor:
    """Where equal, the gradient is x's alone."""
    if not torch.is_grad_enabled():
        return torch.maximum(x, y)
    return torch.where((x >= y) | torch.isnan(x), x, y)


def _minimum(x: TorchTensor, y: TorchTensor) -> TorchTensor:
    if not torch.is_grad_enabled():
        return torch.minimum(x, y)
    return torch.where((x <= y) | torch.isnan(x), x, y)


def _squared_difference(x: TorchTensor, y: TorchTensor) -> TorchTensor:
    difference = x - y
    return difference * (difference.conj() if difference.is_complex() else difference)


def _integer_division(divide: Callable[..., TorchTensor]) -> Callable[..., TorchTensor]:
    def run(x: TorchTensor, y: TorchTensor) -> TorchTensor:
        if not y.dtype.is_floating_point and bool((y == 0).any()):
            from recurra.tf1.errors import InvalidArgumentError

            raise InvalidArgumentError(None, None, "Integer division by zero")
        return divide(x, y)

    return run


class _Pow(torch.autograd.Function):
    """x ** y with TensorFlow's gradient for y: nothing where x <= 0 instead of NaN."""

    @staticmethod
    def forward(ctx: Any, x: TorchTensor, y: TorchTensor) -> TorchTensor:
        ctx.save_for_backward(x, y)
        return torch.pow(x, y)

    @staticmethod
    def backward(ctx: Any, grad: TorchTensor) -> tuple[TorchTensor | None, TorchTensor | None]:
        x, y = ctx.saved_tensors
        for_x = (grad * y * torch.pow(x, y - 1)).sum_to_size(x.shape) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return for_x, None
        usable = x != 0 if x.is_complex() else x > 0
        log = torch.where(usable, torch.log(torch.where(usable, x, torch.ones_like(x))), torch.zeros_like(x))
        return for_x, (grad * torch.pow(x, y) * log).sum_to_size(y.shape)


def _pow(x: TorchTensor, y: TorchTensor) -> TorchTensor:
    if not (x.dtype.is_floating_point or x.is_complex()):
        return torch.pow(x, y)
    return _Pow.apply(x, y)


def _zero_where(
    condition: Callable[[TorchTensor, TorchTensor], TorchTensor], safe: Callable[..., TorchTensor]
) -> Callable[..., TorchTensor]:
    """`safe(x, y, mask)` with zeros (and zero gradients) where the condition holds."""

    def run(x: TorchTensor, y: TorchTensor) -> TorchTensor:
        mask = condition(x, y)
        value = safe(x, y, mask)
        return torch.where(mask, torch.zeros((), dtype=value.dtype), value)

    return run


def _safe(y: TorchTensor, mask: TorchTensor) -> TorchTensor:
    return torch.where(mask, torch.ones((), dtype=y.dtype), y)


def _polygamma(a: TorchTensor, x: TorchTensor) -> TorchTensor:
    """(-1)^(n+1) n! zeta(n+1, x), whole orders only; anything else is NaN."""
    order = a.double()
    value = torch.where(
        order == 0,
        torch.digamma(x.double()),
        torch.exp(torch.lgamma(order + 1))
        * torch.special.zeta(order + 1, x.double())
        * torch.where(order % 2 == 0, -1.0, 1.0),
    )
    return torch.where((order >= 0) & (order == order.floor()), value, torch.nan).to(x.dtype)


add = binary("Add", _add, "add", "math.add", allow=_TEXT_TOO)
binary("AddV2", _add, allow=NUMBERS)
subtract = binary("Sub", torch.sub, "subtract", "math.subtract", "sub", allow=NUMBERS)
multiply = binary("Mul", torch.mul, "multiply", "math.multiply", "mul", allow=NUMBERS)
op(
    "Div",
    "x:T, y:T -> T",
    _integer_division(
        lambda x, y: torch.div(x, y, rounding_mode=None if x.dtype.is_floating_point or x.is_complex() else "trunc")
    ),
    shape=broadcast,
)
binary("RealDiv", _integer_division(lambda x, y: torch.div(x, y)), "realdiv", allow=NUMBERS)
binary(
    "TruncateDiv",
    _integer_division(lambda x, y: torch.div(x, y, rounding_mode="trunc")),
    "truncatediv",
    "math.truncatediv",
    allow=NUMBERS,
)
binary(
    "FloorDiv",
    _integer_division(lambda x, y: torch.div(x, y, rounding_mode="floor")),
    "floor_div",
    "math.floor_div",
    allow=NUMBERS,
    diff=False,
)
binary(
    "FloorMod",
    _integer_division(torch.remainder),
    "floormod",
    "mod",
    "math.floormod",
    "math.mod",
    allow=(*FLOATS, *INTEGERS),
)
binary("TruncateMod", _integer_division(torch.fmod), "truncatemod", "math.truncatemod", allow=_REAL)
maximum = binary("Maximum", _maximum, "maximum", "math.maximum", allow=_REAL)
minimum = binary("Minimum", _minimum, "minimum", "math.minimum", allow=_REAL)
binary("SquaredDifference", _squared_difference, "squared_difference", "math.squared_difference", allow=NUMBERS)
binary("Atan2", torch.atan2, "atan2", "math.atan2", args=("y", "x"), allow=FLOATS)
binary("DivNoNan", _zero_where(lambda x, y: y == 0, lambda x, y, m: x / _safe(y, m)), allow=(*FLOATS, *COMPLEX))
binary("MulNoNan", _zero_where(lambda x, y: y == 0, lambda x, y, m: x * y), allow=(*FLOATS, *COMPLEX))
binary(
    "Xlogy",
    _zero_where(lambda x, y: x == 0, lambda x, y, m: x * torch.log(_safe(y, m))),
    "math.xlogy",
    allow=(*FLOATS, *COMPLEX),
)
binary(
    "Xdivy", _zero_where(lambda x, y: x == 0, lambda x, y, m: x / _safe(y, m)), "math.xdivy", allow=(*FLOATS, *COMPLEX)
)
op("Pow", "x:T, y:T -> T", _pow, shape=broadcast, allow={"T": NUMBERS})
binary(
    "NextAfter",
    torch.nextafter,
    "math.nextafter",
    args=("x1", "x2"),
    allow=(dtypes.float64, dtypes.float32),
    diff=False,
)
op("Complex", "real:T, imag:T -> Tout", torch.complex, shape=broadcast, Tout=dtypes.complex64)
binary("Igamma", torch.special.gammainc, "igamma", "math.igamma", args=("a", "x"), allow=FLOATS)
binary("Igammac", torch.special.gammaincc, "igammac", "math.igammac", args=("a", "x"), allow=FLOATS)
binary("Zeta", torch.special.zeta, "zeta", "math.zeta", args=("x", "q"), allow=FLOATS)
binary("Polygamma", _polygamma, "polygamma", "math.polygamma", args=("a", "x"), allow=FLOATS)


def _betainc(a: TorchTensor, b: TorchTensor, x: TorchTensor) -> TorchTensor:
    from scipy.special import betainc

    return torch.from_numpy(np.asarray(betainc(a.detach().numpy(), b.detach().numpy(), x.detach().numpy()))).to(x.dtype)


class _Betainc(torch.autograd.Function):
    """Differentiable in x, as TensorFlow's is."""

    @staticmethod
    def forward(ctx: Any, a: TorchTensor, b: TorchTensor, x: TorchTensor) -> TorchTensor:
        ctx.save_for_backward(a, b, x)
        return _betainc(a, b, x)

    @staticmethod
    def backward(ctx: Any, grad: TorchTensor) -> tuple[None, None, TorchTensor]:
        a, b, x = ctx.saved_tensors
        log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        density = torch.exp((b - 1) * torch.log1p(-x) + (a - 1) * torch.log(x) - log_beta)
        return None, None, (grad * density).sum_to_size(x.shape)


def _three(operation: Any) -> Any:
    from recurra.tf1.shapes import broadcast_shapes

    first = broadcast_shapes(operation.inputs[0].shape, operation.inputs[1].shape)
    return broadcast_shapes(first, operation.inputs[2].shape)


op("Betainc", "a:T, b:T, x:T -> T", _Betainc.apply, shape=_three, allow={"T": (dtypes.float32, dtypes.float64)})


@tf_export("betainc", "math.betainc")
def betainc(a: Any, b: Any, x: Any, name: str | None = None) -> Any:
    return apply_op("Betainc", a, b, x, name=name)


@tf_export("pow", "math.pow")
def pow_(x: Any, y: Any, name: str | None = None) -> Any:
    with name_scope(name, "Pow", [x]) as scope:
        return apply_op("Pow", x, y, name=scope)


def _scoped(kind: str, label: str, *names: str) -> Callable[..., Any]:
    """A function whose arguments are converted one after the other inside its own scope."""

    def function(x: Any, y: Any, name: str | None = None) -> Any:
        with name_scope(name, label, [x, y]) as scope:
            x = convert_to_tensor(x, name="x")
            y = convert_to_tensor(y, dtype=x.dtype.base_dtype, name="y")
            return apply_op(kind, x, y, name=scope)

    return export(function, *names)


_scoped("DivNoNan", "div_no_nan", "div_no_nan", "math.divide_no_nan", "math.div_no_nan")
_scoped("MulNoNan", "multiply_no_nan", "math.multiply_no_nan")
floordiv = _scoped("FloorDiv", "floordiv", "floordiv", "math.floordiv")

_TRUE_DIVISION = {
    dtypes.uint8: dtypes.float32,
    dtypes.int8: dtypes.float32,
    dtypes.uint16: dtypes.float32,
    dtypes.int16: dtypes.float32,
    dtypes.int32: dtypes.float64,
    dtypes.int64: dtypes.float64,
}


@tf_export("truediv", "math.truediv")
def truediv(x: Any, y: Any, name: str | None = None) -> Any:
    """Division in floats: integers are cast first (32 and 64 bits to float64)."""
    with name_scope(name, "truediv", [x, y]) as scope:
        x, y = convert_to_tensor(x, name="x"), convert_to_tensor(y, name="y")
        kind = x.dtype.base_dtype
        if kind != y.dtype.base_dtype:
            raise TypeError(f"x and y must have the same dtype, got {kind!r} != {y.dtype.base_dtype!r}")
        if kind in _TRUE_DIVISION:
            x, y = cast(x, _TRUE_DIVISION[kind]), cast(y, _TRUE_DIVISION[kind])
        return apply_op("RealDiv", x, y, name=scope)


@tf_export("div")
def div(x: Any, y: Any, name: str | None = None) -> Any:
    """Python 2's division: exact for floats, floored for integers."""
    with name_scope(name, "div", [x, y]) as scope:
        x = convert_to_tensor(x, name="x")
        y = convert_to_tensor(y, name="y", dtype=x.dtype.base_dtype)
        return apply_op("RealDiv" if x.dtype.is_floating or x.dtype.is_complex else "FloorDiv", x, y, name=scope)


@tf_export("divide", "math.divide")
def divide(x: Any, y: Any, name: str | None = None) -> Any:
    if name is not None:
        return truediv(x, y, name)
    return x / y if isinstance(x, TensorLike) or isinstance(y, TensorLike) else truediv(x, y)


def _comparison(kind: str, compare: Callable[..., Any], name: str, allow: Any) -> None:
    binary(kind, compare, name, f"math.{name}", out="bool", allow=allow, diff=False)


def _text_safe(compare: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, y: Any) -> Any:
        result = compare(x, y)
        return torch.from_numpy(np.asarray(result, dtype=bool)) if isinstance(x, np.ndarray) else result

    return run


_ANY = (*NUMBERS, dtypes.quint8, dtypes.qint8, dtypes.qint32, dtypes.string, dtypes.bool_)
_comparison("Equal", _text_safe(lambda x, y: x == y), "equal", _ANY)
_comparison("NotEqual", _text_safe(lambda x, y: x != y), "not_equal", _ANY)
_comparison("Less", torch.lt, "less", _REAL)
_comparison("LessEqual", torch.le, "less_equal", _REAL)
_comparison("Greater", torch.gt, "greater", _REAL)
_comparison("GreaterEqual", torch.ge, "greater_equal", _REAL)
logical_and = binary(
    "LogicalAnd", torch.logical_and, "logical_and", "math.logical_and", out="bool", allow=BOOLEANS, diff=False
)
logical_or = binary(
    "LogicalOr", torch.logical_or, "logical_or", "math.logical_or", out="bool", allow=BOOLEANS, diff=False
)


@tf_export("logical_xor", "math.logical_xor")
def logical_xor(x: Any, y: Any, name: str = "LogicalXor") -> Any:
    either, both = logical_or(x, y), logical_and(x, y)
    return logical_and(either, apply_op("LogicalNot", both), name=name)


def _shift(operation: Callable[..., TorchTensor]) -> Callable[..., TorchTensor]:
    def run(x: TorchTensor, y: TorchTensor) -> TorchTensor:
        return operation(x, y.clamp(0, x.element_size() * 8 - 1))

    return run


for _kind, _fn, _name in (
    ("BitwiseAnd", torch.bitwise_and, "bitwise_and"),
    ("BitwiseOr", torch.bitwise_or, "bitwise_or"),
    ("BitwiseXor", torch.bitwise_xor, "bitwise_xor"),
    ("LeftShift", _shift(torch.bitwise_left_shift), "left_shift"),
    ("RightShift", _shift(torch.bitwise_right_shift), "right_shift"),
):
    binary(_kind, _fn, f"bitwise.{_name}", allow=INTEGERS, diff=False)


@tf_export("complex", "dtypes.complex")
def complex_(real: Any, imag: Any, name: str | None = None) -> Any:
    real, imag = convert_to_tensor(real, name="real"), convert_to_tensor(imag, name="imag")
    with name_scope(name, "Complex", [real, imag]) as scope:
        kinds = {
            (dtypes.float64, dtypes.float64): dtypes.complex128,
            (dtypes.float32, dtypes.float32): dtypes.complex64,
        }
        try:
            out = kinds[real.dtype.base_dtype, imag.dtype.base_dtype]
        except KeyError:
            raise TypeError(f"real and imag have incorrect types: {real.dtype.name} {imag.dtype.name}") from None
        return apply_op("Complex", real, imag, Tout=out, name=scope)


def _sum_of(inputs: list[TorchTensor]) -> TorchTensor:
    total = inputs[0]
    for other in inputs[1:]:
        total = total + other
    return total


op("AddN", "inputs:N*T -> T", _sum_of, shape=merged)


@tf_export("add_n", "math.add_n")
def add_n(inputs: Any, name: str | None = None) -> Any:
    problem = "inputs must be an iterable of at least one Tensor/IndexedSlices with the same dtype and shape"
    try:
        inputs = list(inputs)
    except TypeError:
        raise ValueError(problem) from None
    if not inputs:
        raise ValueError(problem)
    inputs = [convert_to_tensor(i) for i in inputs]
    if len(inputs) == 1:
        return apply_op("Identity", inputs[0], name=name) if name else inputs[0]
    return apply_op("AddN", inputs, name=name)


@tf_export("accumulate_n", "math.accumulate_n")
def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Any:
    problem = "inputs must be a list of at least one Tensor with the same dtype and shape"
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(problem)
    tensors = [convert_to_tensor(i) for i in inputs]
    if not all(t.dtype.base_dtype == tensors[0].dtype.base_dtype for t in tensors):
        raise ValueError(problem)
    if tensor_dtype is not None and tensor_dtype != tensors[0].dtype:
        raise TypeError(f"tensor_dtype is {tensor_dtype}, but input is of type {tensors[0].dtype}")
    if len(tensors) == 1:
        return apply_op("Identity", tensors[0], name=name) if name else tensors[0]
    total = apply_op("AddN", tensors, name=name or "AccumulateNV2")
    if shape is not None:
        total.set_shape(shape)
    return total


@tf_export("scalar_mul", "math.scalar_mul")
def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Any:
    scalar = convert_to_tensor(scalar, dtype=x.dtype.base_dtype, name="scalar")
    if scalar.get_shape().ndims not in (None, 0):
        raise ValueError(f"Only scalar multiply works, got shape {scalar.get_shape()}")
    if hasattr(x, "indices"):
        return type(x)(apply_op("Mul", scalar, x.values, name=name), x.indices, x.dense_shape)
    return apply_op("Mul", scalar, x, name=name)


def _cross(a: TorchTensor, b: TorchTensor) -> TorchTensor:
    return torch.linalg.cross(a, b, dim=-1)


op("Cross", "a:T, b:T -> T", _cross, shape=same)


@tf_export("cross", "linalg.cross")
def cross(a: Any, b: Any, name: str | None = None) -> Any:
    return apply_op("Cross", a, b, name=name)


@tf_export("lbeta", "math.lbeta")
def lbeta(x: Any, name: str | None = None) -> Any:
    with name_scope(name, "lbeta", [x]):
        x = convert_to_tensor(x, name="x")

        def last(t):
            return apply_op("Sum", t, [-1], keep_dims=False)

        return last(apply_op("Lgamma", x)) - apply_op("Lgamma", last(x))
