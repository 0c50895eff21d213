"""tensorflow.python.ops.functional_ops: If, While, For and Gradient over functions that `@Defun` made."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.constants import constant_value
from recurra.tf1.errors import invalid_argument
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")
_HOME = "python.ops.functional_ops"


def _tensors(values: Any) -> list[Any]:
    return [convert_to_tensor(v) for v in values]


def _returned(function: Any, args: Any) -> list[Any]:
    """What a function gives, as a list; nothing for None."""
    result = function(*args)
    if result is None or isinstance(result, tf.Operation):
        return []
    return _tensors(nest.flatten(result))


@tf_export(f"{_HOME}.If")
def If(cond: Any, inputs: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> list[Any]:
    """`then_branch(*inputs)` where `cond` is true (no zero, no empty text), else `else_branch(*inputs)`."""
    pred, given = convert_to_tensor(cond), _tensors(inputs)
    if not pred.dtype.is_bool:
        pred = tf.not_equal(pred, "" if pred.dtype == tf.string else tf.zeros_like(pred))
    found = tf.cond(pred, lambda: _returned(then_branch, given), lambda: _returned(else_branch, given), name=name)
    return nest.flatten(found)


@tf_export(f"{_HOME}.While")
def While(input_: Any, cond: Any, body: Any, name: str | None = None, hostmem: Any = None) -> list[Any]:
    """The loop variables after `body` was applied for as long as `cond` holds."""
    given = _tensors(input_)
    if not all(len(getattr(f, "declared_input_types", given)) == len(given) for f in (cond, body)):
        raise ValueError("While requires cond and body functions of the loop variables")

    def test(*state: Any) -> Any:
        found = _returned(cond, state)
        if len(found) != 1:
            raise invalid_argument(f"Expected a single scalar from the loop's condition, got {len(found)} tensors.")
        return found[0]

    def step(*state: Any) -> Any:
        found = _returned(body, state)
        if len(found) != len(given):
            raise invalid_argument(f"While loop body returned {len(found)} arguments. Expected: {len(given)}")
        return found

    return nest.flatten(tf.while_loop(test, step, given, name=name))


@tf_export(f"{_HOME}.For")
def For(
    start: Any,
    limit: Any,
    delta: Any,
    inputs: Any,
    body: Any,
    name: str | None = None,
    hostmem: Any = None,
    rewrite_with_while: Any = None,
) -> list[Any]:
    """The loop variables after `body(i, *variables)` for i = start, start + delta … before `limit`."""
    given = _tensors(inputs)
    bounds = [convert_to_tensor(b, dtype=tf.int32) for b in (start, limit, delta)]
    for what, bound in zip(("start", "limit", "delta"), bounds, strict=True):
        if bound.shape.rank not in (0, None):
            raise invalid_argument(f"{what} must be a scalar")
    known = [constant_value(b) for b in bounds]
    if all(k is not None for k in known):
        first, last, step = (int(k) for k in known)
        if not step or (first < last and step < 0) or (first > last and step > 0):
            raise invalid_argument(f"Invalid start/limit/delta: {first} {last} {step}")
    first, last, step = bounds

    def going(i: Any, *_: Any) -> Any:
        return tf.where(step > 0, i < last, i > last)

    def turn(i: Any, *state: Any) -> Any:
        found = _returned(body, (i, *state))
        if len(found) != len(given):
            raise invalid_argument(f"For loop body returned {len(found)} arguments. Expected: {len(given)}")
        return (i + step, *found)

    return list(nest.flatten(tf.while_loop(going, turn, (first, *given), name=name or "For")))[1:]


@tf_export(f"{_HOME}.Gradient")
def Gradient(inputs: Any, f: Any, name: str | None = None) -> list[Any]:
    """The gradients of `f`'s inputs; `inputs` are those and the gradients of its outputs."""
    count = len(f.declared_input_types)
    given = _tensors(inputs)
    outputs = _returned(f, given[:count])
    return tf.gradients(outputs, given[:count], given[count:])
