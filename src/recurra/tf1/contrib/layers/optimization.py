"""tf.contrib.layers.optimize_loss."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import dtypes, names
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.core_ops import with_dependencies
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import clip
from recurra.tf1.ops import random as random_ops
from recurra.tf1.ops.slices import IndexedSlices
from recurra.tf1.scopes import get_variable, variable_scope

__all__ = ["optimize_loss"]

OPTIMIZER_SUMMARIES = export(
    ["learning_rate", "loss", "gradients", "gradient_norm", "global_gradient_norm"],
    "contrib.layers.OPTIMIZER_SUMMARIES",
)
_DEFAULT_SUMMARIES = ["learning_rate", "loss", "global_gradient_norm"]
_CLASSES = {
    "Adagrad": "AdagradOptimizer",
    "Adam": "AdamOptimizer",
    "Ftrl": "FtrlOptimizer",
    "RMSProp": "RMSPropOptimizer",
    "SGD": "GradientDescentOptimizer",
    "Momentum": "MomentumOptimizer",
}


def _optimizer(optimizer: Any, rate: Any) -> Any:
    if isinstance(optimizer, str):
        if optimizer not in _CLASSES:
            raise ValueError(
                "Optimizer name should be one of [{}], you provided {}.".format(", ".join(_CLASSES), optimizer)
            )
        made = names.lookup(f"train.{_CLASSES[optimizer]}")
        return made(rate, momentum=0.9) if optimizer == "Momentum" else made(rate)
    if isinstance(optimizer, type):
        return optimizer(learning_rate=rate)
    return optimizer(rate) if callable(optimizer) else optimizer


@tf_export("contrib.layers.optimize_loss")
def optimize_loss(
    loss: Any,
    global_step: Any,
    learning_rate: Any,
    optimizer: Any,
    gradient_noise_scale: float | None = None,
    gradient_multipliers: Any = None,
    clip_gradients: Any = None,
    learning_rate_decay_fn: Any = None,
    update_ops: Any = None,
    variables: Any = None,
    name: str | None = None,
    summaries: Any = None,
    colocate_gradients_with_ops: bool = False,
    increment_global_step: bool = True,
) -> Any:
    """A training op that returns the loss: rate (and its decay), gradients, noise, clipping, summaries, update."""
    loss = convert_to_tensor(loss)
    if loss.get_shape().ndims not in (None, 0):
        raise ValueError("Shape must be rank 0 but is rank %d" % loss.get_shape().ndims)  # noqa: UP031
    step = names.lookup("train.get_global_step")() if global_step is None else global_step
    with variable_scope(name, "OptimizeLoss", [loss, step]):
        if update_ops is None:
            update_ops = get_default_graph().get_collection(GraphKeys.UPDATE_OPS)
        if update_ops:
            loss = with_dependencies(list(update_ops), loss)
        rate = _rate(learning_rate, learning_rate_decay_fn, step)
        wanted = _DEFAULT_SUMMARIES if summaries is None else summaries
        scalar = names.lookup("summary.scalar")
        if rate is not None and "learning_rate" in wanted:
            scalar("learning_rate", rate)
        opt = _optimizer(optimizer, rate)
        variables = (
            get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES) if variables is None else variables
        )
        gradients = opt.compute_gradients(loss, variables)
        gradients = _adjusted(gradients, gradient_noise_scale, gradient_multipliers, clip_gradients)
        if "loss" in wanted:
            scalar("loss", loss)
        if "global_gradient_norm" in wanted:
            scalar(
                "global_norm/clipped_gradient_norm" if clip_gradients is not None else "global_norm/gradient_norm",
                clip.global_norm([g for g, _ in gradients if g is not None]),
            )
        applied = opt.apply_gradients(gradients, global_step=step if increment_global_step else None, name="train")
        return with_dependencies([applied], loss)


def _rate(learning_rate: Any, decay: Any, step: Any) -> Any:
    if learning_rate is None:
        return None
    if isinstance(learning_rate, float):
        from recurra.tf1.ops.init import Constant

        learning_rate = get_variable("learning_rate", [], trainable=False, initializer=Constant(learning_rate))
    if decay is None:
        return learning_rate
    if step is None:
        raise ValueError("global_step is required for learning_rate_decay_fn.")
    return decay(learning_rate, step)


def _adjusted(gradients: Any, noise: float | None, multipliers: Any, limit: Any) -> Any:
    if noise is not None:
        gradients = [(None if g is None else _noisy(g, noise), v) for g, v in gradients]
    if multipliers is not None:
        gradients = [
            (
                (
                    _scaled(g, multipliers.get(v, multipliers.get(v.name)))
                    if g is not None and (v in multipliers or v.name in multipliers)
                    else g
                ),
                v,
            )
            for g, v in gradients
        ]
    if isinstance(limit, float):
        clipped, _ = clip.clip_by_global_norm([g for g, _ in gradients], limit)
        return list(zip(clipped, [v for _, v in gradients], strict=True))
    if callable(limit):
        return limit(gradients)
    if limit is not None:
        raise ValueError(f"Unknown type {type(limit)} for clip_gradients")
    return gradients


def _noisy(gradient: Any, scale: float) -> Any:
    values = gradient.values if isinstance(gradient, IndexedSlices) else gradient
    noise = random_ops.truncated_normal(apply_op("Shape", values, out_type=dtypes.int32)) * scale
    return _replaced(gradient, values + noise)


def _scaled(gradient: Any, factor: Any) -> Any:
    values = gradient.values if isinstance(gradient, IndexedSlices) else gradient
    return _replaced(
        gradient,
        (
            values * apply_op("Cast", convert_to_tensor(factor), DstT=values.dtype.base_dtype)
            if not isinstance(factor, float)
            else values * factor
        ),
    )


def _replaced(gradient: Any, values: Any) -> Any:
    return (
        IndexedSlices(values, gradient.indices, gradient.dense_shape) if isinstance(gradient, IndexedSlices) else values
    )
