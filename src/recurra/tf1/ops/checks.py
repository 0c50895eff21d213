"""tf.assert_* and tf.debugging: checks at graph building where values are known, Assert operations otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.core_ops import no_op, with_dependencies
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.math_reduce import reduce_all, reduce_any
from recurra.tf1.tensor import TensorLike

__all__ = ["assert_equal", "assert_rank"]


def _assert(condition: Any, data: list[Any], summarize: int | None, name: str | None = None) -> Any:
    return apply_op("Assert", condition, data, summarize=3 if summarize is None else summarize, name=name)


@tf_export("Assert", "debugging.Assert")
def assert_(condition: Any, data: Any, summarize: int | None = None, name: str | None = None) -> Any:
    """An operation that fails with `data` unless `condition` holds."""
    return _assert(condition, list(data), summarize, name)


def _static(condition: Any, message: str) -> None:
    """Fail at once when the condition is known to be false."""
    value = constant_value(condition)
    if value is not None and not bool(value):
        raise InvalidArgumentError(None, None, message)


def _comparison(name: str, kind: str, sign: str, word: str) -> Callable[..., Any]:
    def check(
        x: Any,
        y: Any,
        data: Any = None,
        summarize: int | None = None,
        message: str | None = None,
        name: str | None = name,
    ) -> Any:
        text = message or ""
        with name_scope(name, name, [x, y, data]):
            x = convert_to_tensor(x, name="x")
            y = convert_to_tensor(y, name="y", dtype=None if isinstance(y, TensorLike) else x.dtype.base_dtype)
            holds = reduce_all(apply_op(kind, x, y))
            first, second = (getattr(t, "name", "") for t in (x, y))
            _static(
                holds,
                (
                    f"{text}\nCondition x {sign} y did not hold.\nIndices of first 3 different values:"
                    if kind == "Equal"
                    else (
                        f"{text}\nCondition x {sign} y did not hold element-wise:\n{first} ="
                        f" \n{constant_value(x)}\n{second} = \n{constant_value(y)}"
                    )
                ),
            )
            shown = (
                data
                if data is not None
                else [
                    text,
                    f"Condition x {sign} y did not hold element-wise:",
                    f"x ({first}) = ",
                    x,
                    f"y ({second}) = ",
                    y,
                ]
            )
            return _assert(holds, list(shown), summarize)

    check.__name__ = name
    return export(check, name, f"debugging.{name}")


assert_equal = _comparison("assert_equal", "Equal", "==", "equal")
_comparison("assert_none_equal", "NotEqual", "!=", "unequal")
_comparison("assert_less", "Less", "<", "less")
_comparison("assert_less_equal", "LessEqual", "<=", "less or equal")
_comparison("assert_greater", "Greater", ">", "greater")
_comparison("assert_greater_equal", "GreaterEqual", ">=", "greater or equal")


def _sign(name: str, kind: str, sign: str) -> Callable[..., Any]:
    def check(
        x: Any, data: Any = None, summarize: int | None = None, message: str | None = None, name: str | None = name
    ) -> Any:
        text = message or ""
        with name_scope(name, name, [x, data]):
            x = convert_to_tensor(x, name="x")
            zero = convert_to_tensor(0, dtype=x.dtype.base_dtype)
            holds = reduce_all(apply_op(kind, x, zero))
            _static(holds, f"{text}\nCondition x {sign} 0 did not hold element-wise:\n{x.name} = \n{constant_value(x)}")
            shown = (
                data
                if data is not None
                else [text, f"Condition x {sign} 0 did not hold element-wise:", f"x ({x.name}) = ", x]
            )
            return _assert(holds, list(shown), summarize)

    check.__name__ = name
    return export(check, name, f"debugging.{name}")


_sign("assert_positive", "Greater", ">")
_sign("assert_negative", "Less", "<")
_sign("assert_non_negative", "GreaterEqual", ">=")
_sign("assert_non_positive", "LessEqual", "<=")


@tf_export("assert_near", "debugging.assert_near")
def assert_near(
    x: Any,
    y: Any,
    rtol: Any = None,
    atol: Any = None,
    data: Any = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> Any:
    with name_scope(name, "assert_near", [x, y, rtol, atol, data]):
        x, y = convert_to_tensor(x, name="x"), convert_to_tensor(y, name="y")
        epsilon = 10 * np.finfo(x.dtype.as_numpy_dtype).eps
        rtol = convert_to_tensor(epsilon if rtol is None else rtol, dtype=x.dtype.base_dtype)
        atol = convert_to_tensor(epsilon if atol is None else atol, dtype=x.dtype.base_dtype)
        allowed = atol + rtol * apply_op("Abs", y)
        holds = reduce_all(apply_op("LessEqual", apply_op("Abs", x - y), allowed))
        shown = data if data is not None else [message or "", "x and y not equal to tolerance", x, y]
        return _assert(holds, list(shown), summarize)


def _rank_of(x: Any) -> int | None:
    return x.get_shape().ndims


def _rank_value(rank: Any) -> int | None:
    rank = convert_to_tensor(rank, name="rank")
    if rank.dtype.base_dtype not in (dtypes.int32, dtypes.int64):
        raise TypeError("{}  {} must be of type {}".format("", rank.name, dtypes.int32))
    if rank.get_shape().ndims not in (None, 0):
        raise ValueError("Rank must be a scalar.")
    value = constant_value(rank)
    return None if value is None else int(value)


def _rank_check(name: str, kind: str, fits: Callable[[int, int], bool], must: str) -> Callable[..., Any]:
    def check(
        x: Any,
        rank: Any,
        data: Any = None,
        summarize: int | None = None,
        message: str | None = None,
        name: str | None = name,
    ) -> Any:
        text = message or ""
        with name_scope(name, name, [x, *(data or [])]):
            x = convert_to_tensor(x, name="x")
            have, want = _rank_of(x), _rank_value(rank)
            if have is not None and want is not None:
                if not fits(have, want):
                    raise ValueError(
                        f"{text}.  Tensor {x.name} must have rank{must} {want}.  Received rank {have}, shape"
                        f" {x.get_shape()}"
                    )
                return no_op(name="static_checks_determined_all_ok")
            holds = apply_op(kind, apply_op("Rank", x), convert_to_tensor(rank, dtype=dtypes.int32))
            shown = (
                data
                if data is not None
                else [
                    text,
                    f"Tensor {x.name} must have rank{must}",
                    convert_to_tensor(rank),
                    "Received shape: ",
                    apply_op("Shape", x, out_type=dtypes.int32),
                ]
            )
            return _assert(holds, list(shown), summarize)

    check.__name__ = name
    return export(check, name, f"debugging.{name}")


assert_rank = _rank_check("assert_rank", "Equal", lambda a, b: a == b, "")
_rank_check("assert_rank_at_least", "GreaterEqual", lambda a, b: a >= b, " at least")


@tf_export("assert_rank_in", "debugging.assert_rank_in")
def assert_rank_in(
    x: Any,
    ranks: Any,
    data: Any = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> Any:
    with name_scope(name, "assert_rank_in", [x]):
        x = convert_to_tensor(x, name="x")
        wanted = [_rank_value(r) for r in ranks]
        have = _rank_of(x)
        if have is not None and None not in wanted:
            if have not in wanted:
                raise ValueError(
                    f"{message or ''}.  Tensor {x.name} must have rank in {tuple(wanted)}.  Received rank {have}, shape"
                    f" {x.get_shape()}"
                )
            return no_op(name="static_checks_determined_all_ok")
        holds = reduce_any(
            apply_op(
                "Pack",
                [apply_op("Equal", apply_op("Rank", x), convert_to_tensor(r, dtype=dtypes.int32)) for r in ranks],
                axis=0,
            )
        )
        shown = (
            data
            if data is not None
            else [
                message or "",
                f"Tensor {x.name} must have rank in",
                *ranks,
                "Received shape: ",
                apply_op("Shape", x, out_type=dtypes.int32),
            ]
        )
        return _assert(holds, list(shown), summarize)


@tf_export("assert_integer", "debugging.assert_integer")
def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> Any:
    with name_scope(name, "assert_integer", [x]):
        x = convert_to_tensor(x, name="x")
        if not x.dtype.is_integer:
            raise TypeError(
                f'{message or ""}  Expected "x" to be integer type.  Found: {x.dtype} of Tensor named {x.name}'
            )
        return no_op("statically_determined_was_integer")


@tf_export("assert_type", "debugging.assert_type")
def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> Any:
    with name_scope(name, "assert_type", [tensor]):
        tensor = convert_to_tensor(tensor, name="tensor")
        if tensor.dtype != tf_type:
            raise TypeError("{}  {} must be of type {}".format(message or "", tensor.name, dtypes.as_dtype(tf_type)))
        return no_op("statically_determined_correct_type")


@tf_export("assert_scalar", "debugging.assert_scalar")
def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Any:
    with name_scope(name, "assert_scalar", [tensor]) as scope:
        tensor = convert_to_tensor(tensor, name=scope)
        if tensor.get_shape().ndims != 0:
            raise ValueError(
                "{}Expected scalar shape for {}, saw shape: {}.".format(message or "", tensor.name, tensor.get_shape())
            )
        return tensor


@tf_export("assert_same_float_dtype", "debugging.assert_same_float_dtype")
def assert_same_float_dtype(tensors: Any = None, dtype: Any = None) -> Any:
    """The one float dtype of all tensors (and of `dtype`); ValueError when they differ."""
    for tensor in tensors or []:
        kind = tensor.dtype.base_dtype
        if dtype is None:
            dtype = kind
        elif dtypes.as_dtype(dtype) != kind:
            raise ValueError(f"{tensor.name}, type={kind}, must be of the same type ({dtypes.as_dtype(dtype)}).")
    if not dtype:
        dtype = dtypes.float32
    elif not dtypes.as_dtype(dtype).is_floating:
        raise ValueError(f"Expected floating point type, got {dtypes.as_dtype(dtype)}.")
    return dtypes.as_dtype(dtype)


@tf_export("assert_proper_iterable", "debugging.assert_proper_iterable")
def assert_proper_iterable(values: Any) -> None:
    if isinstance(values, (TensorLike, np.ndarray, bytes, str)):
        raise TypeError(f'Expected argument "values" to be a "proper" iterable.  Found: {type(values)}')
    if not hasattr(values, "__iter__"):
        raise TypeError(f'Expected argument "values" to be iterable.  Found: {type(values)}')


def _monotone(name: str, kind: str, label: str) -> None:
    def check(x: Any, name: str | None = None) -> Any:
        with name_scope(name, label, [x]):
            flat = apply_op("Reshape", convert_to_tensor(x), [-1])
            diffs = flat[1:] - flat[:-1]
            return reduce_all(apply_op(kind, convert_to_tensor(0, dtype=diffs.dtype.base_dtype), diffs))

    export(check, name, f"math.{name}", f"debugging.{name}")


_monotone("is_non_decreasing", "LessEqual", "is_non_decreasing")
_monotone("is_strictly_increasing", "Less", "is_strictly_increasing")


@tf_export("is_numeric_tensor", "debugging.is_numeric_tensor")
def is_numeric_tensor(tensor: Any) -> bool:
    return isinstance(tensor, TensorLike) and (
        tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_complex
    )


@tf_export("verify_tensor_all_finite", "debugging.assert_all_finite")
def verify_tensor_all_finite(
    t: Any = None, msg: str | None = None, name: str | None = None, x: Any = None, message: str | None = None
) -> Any:
    tensor = t if x is None else x
    with name_scope(name, "VerifyFinite", [tensor]):
        tensor = convert_to_tensor(tensor, name="t")
        return with_dependencies(
            [apply_op("CheckNumerics", tensor, message=msg if message is None else message)], tensor
        )
