"""Optimizer updates of many variables at once, on torch's fused kernels: one pass over memory instead of one per arithmetic operation.

They serve float32 and float64 variables with dense gradients whose scalars are the same tensors; anything else takes the
equations of `updates`, which say the same.
"""  # noqa: E501

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Fused = Callable[..., None]
_ONE = torch.ones(())


def together(many: Fused, each: Callable[..., Any], inputs: list[str], cells: list[str]) -> Callable[..., None]:
    """The `many` lowering of an update: a list of argument tuples, in the order of `inputs`."""
    moved = [i for i, name in enumerate(inputs) if name in cells or name == "grad"]
    scalars = [(i, name) for i, name in enumerate(inputs) if i not in moved]

    options = set(inspect.signature(many).parameters)

    def run(calls: list[tuple[Any, ...]], **keywords: Any) -> None:
        first = calls[0]
        lists: dict[str, list[Tensor]] = {
            inputs[i]: [call[i] if inputs[i] == "grad" else _data(call[i]) for call in calls] for i in moved
        }
        same = all(call[i] is first[i] for call in calls for i, _ in scalars)
        if not same or not options.issuperset(k for k, given in keywords.items() if given) or not _fit(lists):
            for call in calls:
                each(*call, **keywords)
            return
        many(
            **lists,
            **{name: float(first[i]) for i, name in scalars},
            **{k: v for k, v in keywords.items() if k in options},
        )

    return run


def _data(cell: Any) -> Tensor:
    cell.read()
    return cell.data


def _fit(lists: dict[str, list[Tensor]]) -> bool:
    """Whether torch's kernels take these tensors: one dtype, contiguous, gradients of their variables' shapes."""
    kind = lists["var"][0].dtype
    if kind not in (torch.float32, torch.float64):
        return False
    if any(t.dtype != kind for tensors in lists.values() for t in tensors):
        return False
    if any(g.shape != var.shape for g, var in zip(lists["grad"], lists["var"], strict=True)):
        return False
    lists["grad"] = [g.detach() if g.is_contiguous() else g.detach().contiguous() for g in lists["grad"]]
    return True


def gradient_descent(var: list[Tensor], alpha: float, grad: list[Tensor]) -> None:
    """w ← w − α·g."""
    torch._foreach_add_(var, grad, alpha=-alpha)


def momentum(
    var: list[Tensor],
    accum: list[Tensor],
    lr: float,
    grad: list[Tensor],
    momentum: float,
    use_nesterov: bool = False,
) -> None:
    """a ← μa + g; w ← w − lr·a, with Nesterov w − lr·(g + μa)."""
    torch._fused_sgd_(
        var,
        grad,
        accum,
        weight_decay=0.0,
        momentum=momentum,
        lr=lr,
        dampening=0.0,
        nesterov=use_nesterov,
        maximize=False,
        is_first_step=False,
    )


def adagrad(var: list[Tensor], accum: list[Tensor], lr: float, grad: list[Tensor]) -> None:
    """A ← A + g²; w ← w − lr·g/√A."""
    steps = [_ONE] * len(var)
    torch._fused_adagrad_(var, grad, accum, steps, lr=lr, lr_decay=0.0, weight_decay=0.0, eps=0.0, maximize=False)


def adam(
    var: list[Tensor],
    m: list[Tensor],
    v: list[Tensor],
    beta1_power: float,
    beta2_power: float,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    grad: list[Tensor],
) -> None:
    """w ← w − lr·√(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε).

    torch divides by √v/√(1−β₂ˢ) + ε at step s; with s = 1, rate and ε scaled to fit, that is TensorFlow's.
    """
    first, second = 1 - beta1, math.sqrt(1 - beta2)
    rate = lr * math.sqrt(1 - beta2_power) / (1 - beta1_power)
    torch._fused_adam_(
        var,
        grad,
        m,
        v,
        [],
        [_ONE] * len(var),
        lr=rate * first / second,
        beta1=beta1,
        beta2=beta2,
        weight_decay=0.0,
        eps=epsilon / second,
        amsgrad=False,
        maximize=False,
    )
