"""tf.case, tf.Assert and conditions that may be known already."""

from __future__ import annotations

import functools
from typing import Any

from recurra.tf1 import names
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.contexts import CondContext, ControlFlowContext, WhileContext
from recurra.tf1.control_flow import cond
from recurra.tf1.core_ops import group, no_op, with_dependencies
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.tensor import Tensor


@tf_export("case")
def case(
    pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, strict: bool = False, name: str = "case"
) -> Any:
    """The function of the first true predicate, `default` when none is."""
    pairs = _case_pairs(pred_fn_pairs)
    if default is not None and not callable(default):
        raise TypeError("default must be callable.")
    with name_scope(name, "case", [p for p, _ in pairs]):
        guards = []
        if default is None:
            *pairs, (last, default_action) = pairs
            none_true = functools.reduce(names.lookup("logical_or"), [*[p for p, _ in pairs], last])
            check = names.lookup("Assert")(
                none_true,
                [
                    "None of conditions evaluated as True. Conditions: ("
                    + ", ".join(p.name for p, _ in [*pairs, (last, None)])
                    + "), Values:",
                    names.lookup("stack")([*[p for p, _ in pairs], last]),
                ],
            )

            def default() -> Any:
                with get_default_graph().control_dependencies([check]):
                    return default_action()

        if exclusive:
            guards.append(_at_most_one([p for p, _ in pairs]))
        function = default
        for predicate, action in reversed(pairs):
            function = functools.partial(cond, predicate, true_fn=action, false_fn=function, strict=strict)
        with get_default_graph().control_dependencies(guards):
            return function() if pairs else cond(last, default, default, strict=strict)


def _case_pairs(pred_fn_pairs: Any) -> list[tuple[Any, Any]]:
    if isinstance(pred_fn_pairs, dict):
        pairs = sorted(pred_fn_pairs.items(), key=lambda item: item[0].name)
    elif isinstance(pred_fn_pairs, list | tuple):
        pairs = list(pred_fn_pairs)
    else:
        raise TypeError("fns must be a list, tuple, or dict")
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"Each entry in pred_fn_pairs must be a 2-tuple. Received {pair}.")
        pred, function = pair
        if isinstance(pred, Tensor):
            if pred.dtype.base_dtype.name != "bool":
                raise TypeError(f"pred must be Tensor of type bool: {pred.name}")
        elif not isinstance(pred, bool):
            raise TypeError(f"pred must be a Tensor, got: {pred}")
        if not callable(function):
            raise TypeError(f"fn for pred {pred} must be callable.")
    return [(convert_to_tensor(p) if isinstance(p, bool) else p, f) for p, f in pairs]


def _at_most_one(predicates: list[Tensor]) -> Any:
    stacked = names.lookup("stack")(predicates, name="preds_c")
    count = names.lookup("reduce_sum")(names.lookup("cast")(stacked, "int32"), name="num_true_conds")
    text = ", ".join(p.name for p in predicates)
    return names.lookup("Assert")(
        names.lookup("less_equal")(count, 1),
        [f"Input error: exclusive=True: more than 1 conditions ({text}) evaluated as True:", stacked],
    )


# -- assertions ------------------------------------------------------------------------------------------------------
@tf_export("Assert", "debugging.Assert")
def assert_true(condition: Any, data: Any, summarize: int | None = None, name: str | None = None) -> Any:
    """An operation that raises InvalidArgumentError showing `data` unless `condition` holds."""
    with name_scope(name, "Assert", [condition, data]):
        tensors = [convert_to_tensor(d) for d in data]
        shown = 3 if summarize is None else summarize
        if all(t.dtype.base_dtype.name in ("string", "int32") for t in tensors):
            return apply_op("Assert", condition, tensors, summarize=shown)
        condition = convert_to_tensor(condition, name="Condition")
        guarded = cond(
            condition, no_op, lambda: apply_op("Assert", condition, tensors, summarize=shown), name="AssertGuard"
        )
        return guarded.op


# -- smaller tools ---------------------------------------------------------------------------------------------------
@tf_export("contrib.framework.smart_cond", "contrib.layers.utils.smart_cond", "python.framework.smart_cond.smart_cond")
def smart_cond(pred: Any, true_fn: Any = None, false_fn: Any = None, name: str | None = None) -> Any:
    """cond, decided at once when the predicate is known."""
    known = smart_constant_value(pred)
    if known is not None:
        return true_fn() if known else false_fn()
    return cond(pred, true_fn=true_fn, false_fn=false_fn, name=name)


@tf_export("contrib.framework.smart_constant_value", "python.framework.smart_cond.smart_constant_value")
def smart_constant_value(pred: Any) -> bool | None:
    """The predicate's value as Python knows it, or None."""
    from recurra.tf1.constants import constant_value

    if isinstance(pred, Tensor):
        value = constant_value(pred)
        return None if value is None else bool(value)
    if pred in (0, 1):
        return bool(pred)
    if isinstance(pred, bool):
        return pred
    raise TypeError(f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: {pred}")


export(with_dependencies, "python.ops.control_flow_ops.with_dependencies")
export(group, "python.ops.control_flow_ops.group")
export(no_op, "python.ops.control_flow_ops.no_op")
export(
    lambda data, pred, dtype=None, name=None: tuple(apply_op("Switch", data, pred, name=name)),
    "python.ops.control_flow_ops.switch",
)
export(WhileContext, "python.ops.control_flow_ops.WhileContext")
export(CondContext, "python.ops.control_flow_ops.CondContext")
export(ControlFlowContext, "python.ops.control_flow_ops.ControlFlowContext")
