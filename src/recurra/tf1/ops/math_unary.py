"""Element-wise functions of one argument, casts, and tf.nn's activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.errors import UnimplementedError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.helpers import COMPLEX, FLOATS, INTEGERS, unary
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape

__all__ = ["cast"]

_ANALYTIC = (*FLOATS, *COMPLEX)
_SIGNED = (*_ANALYTIC, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
_REAL = (*FLOATS, *INTEGERS)


def _rint(x: TorchTensor) -> TorchTensor:
    return torch.round(x) if x.dtype.is_floating_point else x


def _sign(x: TorchTensor) -> TorchTensor:
    return torch.sgn(x) if x.is_complex() else torch.sign(x)


def _half_safe(function: Any) -> Any:
    """torch has no CPU half kernel for some special functions: take them in float32."""

    def run(x: TorchTensor) -> TorchTensor:
        return function(x.float()).to(x.dtype) if x.dtype in (torch.float16, torch.bfloat16) else function(x)

    return run


neg = unary("Neg", torch.neg, "negative", "math.negative", "neg", allow=_SIGNED)
sqrt = unary("Sqrt", torch.sqrt, "sqrt", "math.sqrt", allow=_ANALYTIC)
rsqrt = unary("Rsqrt", torch.rsqrt, "rsqrt", "math.rsqrt", allow=_ANALYTIC)
square = unary("Square", lambda x: x * x, "square", "math.square", allow=_SIGNED)
exp = unary("Exp", torch.exp, "exp", "math.exp", allow=_ANALYTIC)
log = unary("Log", torch.log, "log", "math.log", allow=_ANALYTIC)
unary("Expm1", torch.expm1, "expm1", "math.expm1", allow=_ANALYTIC)
unary("Log1p", torch.log1p, "log1p", "math.log1p", allow=_ANALYTIC)
sigmoid = unary("Sigmoid", torch.sigmoid, "sigmoid", "math.sigmoid", "nn.sigmoid", allow=_ANALYTIC, scope="Sigmoid")
tanh = unary("Tanh", torch.tanh, "tanh", "math.tanh", "nn.tanh", allow=_ANALYTIC)
unary("Reciprocal", torch.reciprocal, "reciprocal", "math.reciprocal", allow=_SIGNED)
unary("Inv", torch.reciprocal, "inv", allow=_SIGNED)
for _kind, _fn in {
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
}.items():
    unary(_kind, _fn, _kind.lower(), f"math.{_kind.lower()}", allow=_ANALYTIC)
unary("Erf", torch.erf, "erf", "math.erf", allow=FLOATS)
unary("Erfc", torch.erfc, "erfc", "math.erfc", allow=FLOATS)
unary("Lgamma", _half_safe(torch.lgamma), "lgamma", "math.lgamma", allow=FLOATS)
unary("Digamma", _half_safe(torch.digamma), "digamma", "math.digamma", allow=FLOATS)
unary("Floor", torch.floor, "floor", "math.floor", allow=FLOATS)
unary("Ceil", torch.ceil, "ceil", "math.ceil", allow=FLOATS)
unary("Rint", torch.round, "rint", "math.rint", allow=FLOATS)
op("Round", "x:T -> T", _rint, shape=same)
unary("Sign", _sign, "sign", "math.sign", allow=_SIGNED)
for _kind, _fn, _name in (
    ("IsNan", torch.isnan, "is_nan"),
    ("IsInf", torch.isinf, "is_inf"),
    ("IsFinite", torch.isfinite, "is_finite"),
):
    unary(_kind, _fn, _name, f"math.{_name}", f"debugging.{_name}", out="bool", allow=FLOATS, diff=False)
unary("LogicalNot", torch.logical_not, "logical_not", "math.logical_not", diff=False, allow=(dtypes.bool_,))
unary("Invert", torch.bitwise_not, "bitwise.invert", diff=False, allow=INTEGERS)
unary("BesselI0e", lambda x: torch.special.i0e(x), "math.bessel_i0e", allow=FLOATS)
unary("BesselI1e", lambda x: torch.special.i1e(x), "math.bessel_i1e", allow=FLOATS)
op("Abs", "x:T -> T", torch.abs, shape=same)
op("ComplexAbs", "x:T -> Tout", lambda x: torch.abs(x), shape=same, Tout=dtypes.float32)
op(
    "Real",
    "input:T -> Tout",
    lambda input: input.real if input.is_complex() else input,
    shape=same,
    Tout=dtypes.float32,
)
op("Imag", "input:T -> Tout", lambda input: input.imag, shape=same, Tout=dtypes.float32)
op("Angle", "input:T -> Tout", torch.angle, shape=same, Tout=dtypes.float32)
op("Conj", "input:T -> T", lambda input: input.conj().resolve_conj() if input.is_complex() else input, shape=same)


@tf_export("abs", "math.abs", "complex_abs")
def abs_(x: Any, name: str | None = None) -> Any:
    with name_scope(name, "Abs", [x]) as scope:
        x = convert_to_tensor(x, name="x")
        if x.dtype.is_complex:
            return apply_op("ComplexAbs", x, Tout=x.dtype.real_dtype, name=scope)
        return apply_op("Abs", x, name=scope)


@tf_export("round", "math.round")
def round_(x: Any, name: str | None = None) -> Any:
    """To the nearest integer, halves to even."""
    x = convert_to_tensor(x, name="x")
    return x if x.dtype.is_integer else apply_op("Round", x, name=name)


def _complex_part(kind: str, label: str) -> Any:
    def part(input: Any, name: str | None = None) -> Any:
        with name_scope(name, label, [input]) as scope:
            input = convert_to_tensor(input, name="input")
            if not input.dtype.is_complex:
                if kind == "Real":
                    return input
                return (
                    apply_op("ZerosLike", input)
                    if kind == "Imag"
                    else apply_op(
                        "Select",
                        apply_op("Less", input, 0),
                        np.pi * apply_op("OnesLike", input),
                        apply_op("ZerosLike", input),
                    )
                )
            return apply_op(kind, input, Tout=input.dtype.real_dtype, name=scope)

    return part


export(_complex_part("Real", "Real"), "real", "math.real")
export(_complex_part("Imag", "Imag"), "imag", "math.imag")
export(_complex_part("Angle", "Angle"), "angle", "math.angle")


@tf_export("conj", "math.conj")
def conj(x: Any, name: str | None = None) -> Any:
    with name_scope(name, "Conj", [x]) as scope:
        x = convert_to_tensor(x, name="x")
        if x.dtype.is_complex:
            return apply_op("Conj", x, name=scope)
        if x.dtype.is_floating or x.dtype.is_integer:
            return x
        raise TypeError(f"Expected numeric or variant tensor, got dtype {x.dtype!r}")


def _cast(x: Any, DstT: Any) -> Any:
    """Float to integer truncates; out-of-range values are what C's conversion gives on x86."""
    if isinstance(x, np.ndarray):
        kind = {"float32": "float", "float64": "double"}.get(DstT.name, DstT.name)
        raise UnimplementedError(None, None, f"Cast string to {kind} is not supported")
    target = DstT.torch
    if x.is_complex() and not target.is_complex:
        x = x.real
    return x.to(target) if target != torch.bool else x != 0


op("Cast", "x:SrcT -> DstT", _cast, shape=same)


@tf_export("cast", "dtypes.cast")
def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """To another dtype; nothing is added when it has it already."""
    base = dtypes.as_dtype(dtype).base_dtype
    if hasattr(x, "dtype") and type(x).__name__ == "Tensor" and base == x.dtype:
        return x
    with name_scope(name, "Cast", [x]) as scope:
        if hasattr(x, "dense_shape") and hasattr(x, "indices"):
            values = cast(x.values, base, name=scope)
            return type(x)(x.indices, values, x.dense_shape)
        x = convert_to_tensor(x, name="x")
        return x if x.dtype.base_dtype == base else apply_op("Cast", x, DstT=base, name=scope)


def _to(kind: Any, label: str) -> Any:
    return lambda x, name=label: cast(x, kind, name=name)


for _name, _kind, _label in (
    ("to_float", dtypes.float32, "ToFloat"),
    ("to_double", dtypes.float64, "ToDouble"),
    ("to_int32", dtypes.int32, "ToInt32"),
    ("to_int64", dtypes.int64, "ToInt64"),
    ("to_bfloat16", dtypes.bfloat16, "ToBFloat16"),
    ("to_complex64", dtypes.complex64, "ToComplex64"),
    ("to_complex128", dtypes.complex128, "ToComplex128"),
):
    export(_to(_kind, _label), _name)


@tf_export("saturate_cast", "dtypes.saturate_cast")
def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Any:
    with name_scope(name, "saturate_cast", [value]) as scope:
        value, dtype = convert_to_tensor(value, name="value"), dtypes.as_dtype(dtype).base_dtype
        if value.dtype.min < dtype.min:
            value = apply_op("Maximum", value, convert_to_tensor(dtype.min, dtype=value.dtype, name="min"))
        if value.dtype.max > dtype.max:
            value = apply_op("Minimum", value, convert_to_tensor(dtype.max, dtype=value.dtype, name="max"))
        return cast(value, dtype, name=scope)


def _bitcast(input: TorchTensor, type: Any) -> TorchTensor:
    kind = type.torch
    old, new = input.element_size(), torch.empty(0, dtype=kind).element_size()
    if old == new:
        return input.view(kind)
    if old > new:
        return input.contiguous().unsqueeze(-1).view(kind)
    return input.contiguous().view(kind).squeeze(-1)


op("Bitcast", "input:T -> type", _bitcast, diff=False)


@tf_export("bitcast")
def bitcast(input: Any, type: Any, name: str | None = None) -> Any:
    return apply_op("Bitcast", input, type=dtypes.as_dtype(type), name=name)


def _softplus(features: TorchTensor) -> TorchTensor:
    """log(1 + exp(x)), exactly linear above 20 as torch's and TensorFlow's both are in float32."""
    return F.softplus(features, threshold=50.0 if features.dtype == torch.float64 else 20.0)


def _relu_like(kind: str, fn: Any, *names: str, scope: str | None = None) -> None:
    unary(kind, fn, *names, arg="features", allow=_REAL, scope=scope)


_relu_like("Relu", torch.relu, "nn.relu")
_relu_like(
    "Relu6",
    lambda features: F.relu6(features) if features.dtype.is_floating_point else features.clamp(0, 6),
    "nn.relu6",
)
_relu_like("Elu", F.elu, "nn.elu")
_relu_like("Selu", F.selu, "nn.selu")
_relu_like("Softplus", _softplus, "nn.softplus", "math.softplus")
_relu_like("Softsign", F.softsign, "nn.softsign", "math.softsign")


op(
    "LeakyRelu",
    "features:T -> T",
    lambda features, alpha=0.2: torch.where(features > 0, features, features * alpha),
    shape=same,
    allow={"T": FLOATS},
)


@tf_export("nn.leaky_relu")
def leaky_relu(features: Any, alpha: Any = 0.2, name: str | None = None) -> Any:
    with name_scope(name, "LeakyRelu", [features, alpha]) as scope:
        features = convert_to_tensor(features, name="features")
        if features.dtype.is_integer:
            features = cast(features, dtypes.float32)
        if isinstance(alpha, (int, float, np.number)):
            return apply_op("LeakyRelu", features, alpha=float(alpha), name=scope)
        return apply_op("Maximum", alpha * features, features, name=scope)


@tf_export("nn.crelu")
def crelu(features: Any, name: str | None = None, axis: int = -1) -> Any:
    with name_scope(name, "CRelu", [features]) as scope:
        features = convert_to_tensor(features, name="features")
        both = apply_op("ConcatV2", [features, apply_op("Neg", features)], axis, name=scope)
        return apply_op("Relu", both)


@tf_export("nn.swish")
def swish(features: Any) -> Any:
    features = convert_to_tensor(features, name="features")
    return features * sigmoid(features)


@tf_export("log_sigmoid", "math.log_sigmoid", "nn.log_sigmoid")
def log_sigmoid(x: Any, name: str | None = None) -> Any:
    with name_scope(name, "LogSigmoid", [x]) as scope:
        x = convert_to_tensor(x, name="x")
        return apply_op("Neg", apply_op("Softplus", -x), name=scope)


def _softmax_shape(operation: Any) -> TensorShape:
    return operation.inputs[0].shape.with_rank_at_least(1)


op("Softmax", "logits:T -> T", lambda logits: torch.softmax(logits, -1), shape=_softmax_shape, allow={"T": FLOATS})
op(
    "LogSoftmax",
    "logits:T -> T",
    lambda logits: torch.log_softmax(logits, -1),
    shape=_softmax_shape,
    allow={"T": FLOATS},
)


def _softmax(kind: str) -> Any:
    """The named op along the last axis, with transpositions for another one."""

    def function(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Any:
        if axis is not None and dim is not None:
            raise ValueError("Cannot specify both 'axis' and 'dim'")
        axis = next((a for a in (axis, dim) if a is not None), -1)
        logits = convert_to_tensor(logits)
        shape = logits.get_shape()
        if axis == -1 or (shape.ndims is not None and axis == shape.ndims - 1):
            return apply_op(kind, logits, name=name)
        if shape.ndims is not None and not -shape.ndims <= axis < shape.ndims:
            from recurra.tf1.errors import InvalidArgumentError

            raise InvalidArgumentError(
                None,
                None,
                f"Dimension (dim={axis}) must be in the range [{-shape.ndims}, {shape.ndims}) where {shape.ndims} is"
                " the number of dimensions in the input.",
            )
        return _along(kind, logits, axis, name)

    return function


def _along(kind: str, logits: Any, axis: int, name: str | None) -> Any:
    """Swap `axis` with the last, apply, swap back."""
    rank = logits.get_shape().ndims
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    result = apply_op(kind, apply_op("Transpose", logits, order))
    return apply_op("Transpose", result, order, name=name)


softmax = tf_export("nn.softmax", "math.softmax")(_softmax("Softmax"))
log_softmax = tf_export("nn.log_softmax", "math.log_softmax")(_softmax("LogSoftmax"))


def _bessel(scaled: str) -> Any:
    def function(x: Any, name: str | None = None) -> Any:
        with name_scope(name, scaled[:-1].lower(), [x]) as scope:
            x = convert_to_tensor(x, name="x")
            return apply_op("Mul", exp(abs_(x)), apply_op(scaled, x), name=scope)

    return function


export(_bessel("BesselI0e"), "math.bessel_i0")
export(_bessel("BesselI1e"), "math.bessel_i1")


@tf_export("math.reciprocal_no_nan")
def reciprocal_no_nan(x: Any, name: str | None = None) -> Any:
    with name_scope(name, "reciprocal_no_nan", [x]) as scope:
        x = convert_to_tensor(x, name="x")
        return apply_op("DivNoNan", convert_to_tensor(1, dtype=x.dtype.base_dtype, name="one"), x, name=scope)


@tf_export("nn.zero_fraction", "math.zero_fraction")
def zero_fraction(value: Any, name: str | None = None) -> Any:
    with name_scope(name, "zero_fraction", [value]):
        value = convert_to_tensor(value, name="value")
        size = cast(apply_op("Size", value, out_type=dtypes.int64), dtypes.float32)
        nonzero = apply_op(
            "Cast", apply_op("NotEqual", value, convert_to_tensor(0, dtype=value.dtype)), DstT=dtypes.float32
        )
        axes = (
            list(range(value.get_shape().ndims))
            if value.get_shape().ndims is not None
            else apply_op("Range", 0, apply_op("Rank", value), 1)
        )
        return (size - apply_op("Sum", nonzero, axes, keep_dims=False)) / size


@tf_export("math.polyval", "polyval")
def polyval(coeffs: Any, x: Any, name: str | None = None) -> Any:
    """Horner's rule; the leading coefficient first."""
    with name_scope(name, "polyval", [*coeffs, x]):
        x = convert_to_tensor(x, name="x")
        if not coeffs:
            return apply_op("ZerosLike", x, name=name)
        coeffs = [convert_to_tensor(c, name=f"{n}_coeff") for n, c in enumerate(coeffs)]
        result = coeffs[0]
        for c in coeffs[1:]:
            result = c + result * x
        return result
