"""Regularizers: tf.contrib.layers' functions and tf.keras.regularizers' classes."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops.math_binary import add_n
from recurra.tf1.ops.math_reduce import reduce_sum

__all__ = ["l1_regularizer", "l2_regularizer"]


def _check(scale: Any) -> None:
    if isinstance(scale, numbers.Integral):
        raise ValueError(f"scale cannot be an integer: {scale}")
    if isinstance(scale, numbers.Real) and scale < 0.0:
        raise ValueError(f"Setting a scale less than 0 on a regularizer: {scale:g}")


def _nothing(_: Any) -> None:
    return None


def _regularizer(label: str, norm: Callable[[Any], Any]) -> Callable[..., Any]:
    def make(scale: Any, scope: str | None = None) -> Callable[[Any], Any]:
        _check(scale)
        if isinstance(scale, numbers.Real) and scale == 0.0:
            return _nothing

        def regularizer(weights: Any) -> Any:
            with name_scope(scope, label, [weights]) as name:
                factor = convert_to_tensor(scale, dtype=weights.dtype.base_dtype, name="scale")
                return apply_op("Mul", factor, norm(weights), name=name)

        return regularizer

    return make


l1_regularizer = export(
    _regularizer("l1_regularizer", lambda w: reduce_sum(apply_op("Abs", w))), "contrib.layers.l1_regularizer"
)
l2_regularizer = export(
    _regularizer("l2_regularizer", lambda w: apply_op("L2Loss", w)), "contrib.layers.l2_regularizer"
)


@tf_export("contrib.layers.l1_l2_regularizer")
def l1_l2_regularizer(scale_l1: float = 1.0, scale_l2: float = 1.0, scope: str | None = None) -> Any:
    for scale in (scale_l1, scale_l2):
        _check(scale)
    return sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)], scope=scope or "l1_l2_regularizer")


@tf_export("contrib.layers.sum_regularizer")
def sum_regularizer(regularizer_list: Any, scope: str | None = None) -> Any:
    chosen = [r for r in regularizer_list if r is not None]
    if not chosen:
        return None

    def total(weights: Any) -> Any:
        with name_scope(scope, "sum_regularizer", [weights]) as name:
            parts = [p for p in (r(weights) for r in chosen) if p is not None]
            return add_n(parts, name=name) if parts else None

    return total


@tf_export("contrib.layers.apply_regularization")
def apply_regularization(regularizer: Any, weights_list: Any = None) -> Any:
    if not weights_list:
        weights_list = get_default_graph().get_collection(GraphKeys.WEIGHTS)
    if not weights_list:
        raise ValueError("No weights to regularize.")
    with name_scope("get_regularization_penalty", values=weights_list) as scope:
        penalties = [p for p in (regularizer(w) for w in weights_list) if p is not None]
        penalty = add_n(penalties, name=scope) if penalties else convert_to_tensor(0.0)
        get_default_graph().add_to_collection(GraphKeys.REGULARIZATION_LOSSES, penalty)
        return penalty


@tf_export("keras.regularizers.Regularizer")
class Regularizer:
    """`regularizer(weights)` gives a penalty."""

    def __call__(self, x: Any) -> Any:
        return convert_to_tensor(0.0)


@tf_export("keras.regularizers.L1L2")
class L1L2(Regularizer):
    """l1 * sum |w| + l2 * sum w²."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def __call__(self, x: Any) -> Any:
        penalty: Any = 0.0
        if self.l1:
            penalty = penalty + self.l1 * reduce_sum(apply_op("Abs", x))
        if self.l2:
            penalty = penalty + self.l2 * reduce_sum(apply_op("Square", x))
        return penalty if self.l1 or self.l2 else convert_to_tensor(0.0, dtype=x.dtype.base_dtype)

    def get_config(self) -> dict[str, float]:
        return {"l1": float(self.l1), "l2": float(self.l2)}


export(lambda l=0.01: L1L2(l1=l), "keras.regularizers.l1")
export(lambda l=0.01: L1L2(l2=l), "keras.regularizers.l2")
export(lambda l1=0.01, l2=0.01: L1L2(l1, l2), "keras.regularizers.l1_l2")
