"""Optimizer updates as operations: one in-place equation each, served dense, by rows, and for both kinds of variable.

An equation `f(var, *slots, *scalars, grad)` changes plain tensors in place. The dense operation calls it on the
variables' data; the sparse one on the touched rows, which it gathers and puts back (row numbers are unique: the
optimizer sums the slices of equal rows first). Equations from the papers, checked against TensorFlow 1.15's numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recurra.tf1.registry import op
from recurra.tf1.shapes import as_shape
from recurra.tf1.train import fused

Equation = Callable[..., None]
GRAD = "grad"


def declare(
    name: str, equation: Equation, cells: str, scalars: str, order: str = "", many: fused.Fused | None = None
) -> None:
    """Declare Apply<name> and ResourceApply<name>, and the SparseApply ones.

    `cells` and `scalars` are names separated by spaces; `order` gives the operation's own order of inputs where it is
    not cells, scalars, grad (with "indices" after grad in the sparse one);
    `many` is torch's fused form of the equation.
    """
    inputs = (order or f"{cells} {scalars} grad").split()
    cell_names = cells.split()
    for prefix, kind, result in (("", "&T", "&T"), ("Resource", "resource", "")):
        kinds = {cell: kind for cell in cell_names} | {"global_step": "int64"}
        signature = ", ".join(f"{n}:{kinds.get(n, 'T')}" for n in inputs)
        dense = _dense(equation, inputs, cell_names)
        together = None if many is None else fused.together(many, dense, inputs, cell_names)
        shape = _fitting(inputs.index(GRAD), bool(result))
        op(f"{prefix}Apply{name}", f"{signature} -> {result}", dense, shape=shape, writes=True, many=together)
        at = signature.replace(f"{GRAD}:T", f"{GRAD}:T, indices:Tindices")
        names = [part for n in inputs for part in ([n, "indices"] if n == GRAD else [n])]
        op(f"{prefix}SparseApply{name}", f"{at} -> {result}", _by_rows(equation, names, cell_names), writes=True)


def _fitting(at: int, result: bool) -> Callable[[Any], Any]:
    """The shape rule of a dense update: the gradient has the variable's shape."""

    def rule(operation: Any) -> Any:
        var, grad = operation.inputs[0], operation.inputs[at].shape
        shape = as_shape(var.op.attrs.get("shape")) if var.dtype.name == "resource" else var.shape
        return shape.merge_with(grad) if result else (shape.merge_with(grad), [])[1]

    return rule


def _dense(equation: Equation, inputs: list[str], cells: list[str]) -> Callable[..., Any]:
    def lowering(*values: Any, use_nesterov: bool = False) -> Any:
        given = dict(zip(inputs, values, strict=True))
        for cell in cells:
            given[cell] = _data(given[cell])
        equation(**given, **({"use_nesterov": True} if use_nesterov else {}))
        return values[0]

    return lowering


def _by_rows(equation: Equation, inputs: list[str], cells: list[str]) -> Callable[..., Any]:
    def lowering(*values: Any, use_nesterov: bool = False) -> Any:
        given = dict(zip(inputs, values, strict=True))
        rows = given.pop("indices").long()
        whole = {}
        for cell in cells:
            whole[cell] = _data(given[cell])
            given[cell] = whole[cell].index_select(0, rows)
        equation(**given, **({"use_nesterov": True} if use_nesterov else {}))
        for cell in cells:
            whole[cell].index_copy_(0, rows, given[cell])
        return values[0]

    return lowering


def _shrink(x: Tensor, by: Tensor) -> Tensor:
    """sign(x)·max(|x| − by, 0)."""
    return torch.sign(x) * torch.clamp(x.abs() - by, min=0)


def gradient_descent(var: Tensor, alpha: Tensor, grad: Tensor) -> None:
    """w ← w − α·g."""
    var.sub_(grad * alpha)


def momentum(
    var: Tensor, accum: Tensor, lr: Tensor, grad: Tensor, momentum: Tensor, use_nesterov: bool = False
) -> None:
    """a ← μa + g; w ← w − lr·a, with Nesterov w − lr·(g + μa)."""
    accum.mul_(momentum).add_(grad)
    var.sub_(grad * lr + accum * momentum * lr if use_nesterov else accum * lr)


def adagrad(var: Tensor, accum: Tensor, lr: Tensor, grad: Tensor) -> None:
    """A ← A + g²; w ← w − lr·g/√A."""
    accum.add_(grad * grad)
    var.sub_(grad * lr * accum.rsqrt())


def adadelta(
    var: Tensor, accum: Tensor, accum_update: Tensor, lr: Tensor, rho: Tensor, epsilon: Tensor, grad: Tensor
) -> None:
    """A ← ρA + (1−ρ)g²; u = √(U+ε)/√(A+ε)·g; U ← ρU + (1−ρ)u²; w ← w − lr·u (Zeiler, 2012)."""
    accum.mul_(rho).add_(grad * grad * (1 - rho))
    update = (accum_update + epsilon).sqrt() * (accum + epsilon).rsqrt() * grad
    accum_update.mul_(rho).add_(update * update * (1 - rho))
    var.sub_(update * lr)


def rmsprop(
    var: Tensor, ms: Tensor, mom: Tensor, lr: Tensor, rho: Tensor, momentum: Tensor, epsilon: Tensor, grad: Tensor
) -> None:
    """m ← m + (1−ρ)(g² − m); v ← μv + lr·g/√(m+ε); w ← w − v."""
    ms.add_((grad * grad - ms) * (1 - rho))
    mom.mul_(momentum).add_(grad * lr * (ms + epsilon).rsqrt())
    var.sub_(mom)


def centered_rmsprop(
    var: Tensor,
    mg: Tensor,
    ms: Tensor,
    mom: Tensor,
    lr: Tensor,
    rho: Tensor,
    momentum: Tensor,
    epsilon: Tensor,
    grad: Tensor,
) -> None:
    """As rmsprop with the gradient's variance, m − a², below the root (Graves, 2013)."""
    ms.add_((grad * grad - ms) * (1 - rho))
    mg.add_((grad - mg) * (1 - rho))
    mom.mul_(momentum).add_(grad * lr * (ms - mg * mg + epsilon).rsqrt())
    var.sub_(mom)


def adam(
    var: Tensor,
    m: Tensor,
    v: Tensor,
    beta1_power: Tensor,
    beta2_power: Tensor,
    lr: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    epsilon: Tensor,
    grad: Tensor,
    use_nesterov: bool = False,
) -> None:
    """m, v moving means of g, g²; w ← w − lr·√(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε) (Kingma and Ba, 2014, the "ε̂" form)."""
    step = lr * (1 - beta2_power).sqrt() / (1 - beta1_power)
    m.add_((grad - m) * (1 - beta1))
    v.add_((grad * grad - v) * (1 - beta2))
    shown = grad * (1 - beta1) + m * beta1 if use_nesterov else m
    var.sub_(shown * step / v.sqrt().add_(epsilon))


def adamax(
    var: Tensor,
    m: Tensor,
    v: Tensor,
    beta1_power: Tensor,
    lr: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    epsilon: Tensor,
    grad: Tensor,
) -> None:
    """v ← max(β₂v, |g|); w ← w − lr/(1−β₁ᵗ)·m/(v+ε) (Kingma and Ba, 2014, section 7)."""
    m.add_((grad - m) * (1 - beta1))
    torch.maximum(v * beta2, grad.abs(), out=v)
    var.sub_(lr / (1 - beta1_power) * (m / (v + epsilon)))


def ftrl(
    var: Tensor,
    accum: Tensor,
    linear: Tensor,
    grad: Tensor,
    lr: Tensor,
    l1: Tensor,
    l2: Tensor,
    lr_power: Tensor,
    l2_shrinkage: Tensor | float = 0.0,
) -> None:
    """Follow the regularised leader (McMahan et al., 2013), learning-rate power p = lr_power."""
    grown = accum + grad * grad
    power = grown.pow(-lr_power)
    linear.add_(grad + 2 * l2_shrinkage * var - (power - accum.pow(-lr_power)) / lr * var)
    quadratic = power / lr + 2 * l2
    var.copy_(torch.where(linear.abs() > l1, (torch.sign(linear) * l1 - linear) / quadratic, torch.zeros_like(var)))
    accum.copy_(grown)


def proximal_gradient_descent(var: Tensor, alpha: Tensor, l1: Tensor, l2: Tensor, grad: Tensor) -> None:
    """The proximal point of w − α·g under l1, l2."""
    var.copy_(_shrink(var - grad * alpha, alpha * l1) / (1 + alpha * l2))


def proximal_adagrad(var: Tensor, accum: Tensor, lr: Tensor, l1: Tensor, l2: Tensor, grad: Tensor) -> None:
    """As above with Adagrad's rate of each element."""
    accum.add_(grad * grad)
    rate = lr * accum.rsqrt()
    var.copy_(_shrink(var - grad * rate, rate * l1) / (1 + rate * l2))


def adagrad_da(
    var: Tensor,
    gradient_accumulator: Tensor,
    gradient_squared_accumulator: Tensor,
    grad: Tensor,
    lr: Tensor,
    l1: Tensor,
    l2: Tensor,
    global_step: Tensor,
) -> None:
    """Dual averaging (Duchi et al., 2011): w from the sums of all gradients and of their squares."""
    gradient_accumulator.add_(grad)
    gradient_squared_accumulator.add_(grad * grad)
    step = global_step.to(var.dtype)
    scale = l2 * step * lr + gradient_squared_accumulator.sqrt()
    var.copy_(-lr * _shrink(gradient_accumulator, l1 * step) / scale)


def add_sign(var: Tensor, m: Tensor, lr: Tensor, alpha: Tensor, sign_decay: Tensor, beta: Tensor, grad: Tensor) -> None:
    """w ← w − lr·(α + d·sign(g)·sign(m))·g (Bello et al., 2017)."""
    m.mul_(beta).add_(grad * (1 - beta))
    var.sub_(lr * (alpha + sign_decay * torch.sign(grad) * torch.sign(m)) * grad)


def power_sign(
    var: Tensor, m: Tensor, lr: Tensor, logbase: Tensor, sign_decay: Tensor, beta: Tensor, grad: Tensor
) -> None:
    """w ← w − lr·base^(d·sign(g)·sign(m))·g (Bello et al., 2017)."""
    m.mul_(beta).add_(grad * (1 - beta))
    var.sub_(lr * torch.exp(logbase * sign_decay * torch.sign(grad) * torch.sign(m)) * grad)


declare("GradientDescent", gradient_descent, "var", "alpha", many=fused.gradient_descent)
declare("Momentum", momentum, "var accum", "lr momentum", "var accum lr grad momentum", fused.momentum)
declare("Adagrad", adagrad, "var accum", "lr", many=fused.adagrad)
declare("Adadelta", adadelta, "var accum accum_update", "lr rho epsilon")
declare("RMSProp", rmsprop, "var ms mom", "lr rho momentum epsilon")
declare("CenteredRMSProp", centered_rmsprop, "var mg ms mom", "lr rho momentum epsilon")
declare("Adam", adam, "var m v", "beta1_power beta2_power lr beta1 beta2 epsilon", many=fused.adam)
declare("AdaMax", adamax, "var m v", "beta1_power lr beta1 beta2 epsilon")
declare("Ftrl", ftrl, "var accum linear", "lr l1 l2 lr_power", "var accum linear grad lr l1 l2 lr_power")
declare(
    "FtrlV2",
    ftrl,
    "var accum linear",
    "lr l1 l2 l2_shrinkage lr_power",
    "var accum linear grad lr l1 l2 l2_shrinkage lr_power",
)
declare("ProximalGradientDescent", proximal_gradient_descent, "var", "alpha l1 l2")
declare("ProximalAdagrad", proximal_adagrad, "var accum", "lr l1 l2")
declare(
    "AdagradDA",
    adagrad_da,
    "var gradient_accumulator gradient_squared_accumulator",
    "lr l1 l2 global_step",
    "var gradient_accumulator gradient_squared_accumulator grad lr l1 l2 global_step",
)
declare("AddSign", add_sign, "var m", "lr alpha sign_decay beta")
declare("PowerSign", power_sign, "var m", "lr logbase sign_decay beta")


def _adam_all_rows(
    var: Any,
    m: Any,
    v: Any,
    beta1_power: Tensor,
    beta2_power: Tensor,
    lr: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    epsilon: Tensor,
    grad: Tensor,
    indices: Tensor,
) -> Any:
    """Adam with a gradient that is zero but in the given rows, without making it dense."""
    rows = indices.long()
    weights, first, second = (_data(cell) for cell in (var, m, v))
    first.mul_(beta1).index_add_(0, rows, grad * (1 - beta1))
    second.mul_(beta2).index_add_(0, rows, grad * grad * (1 - beta2))
    step = lr * (1 - beta2_power).sqrt() / (1 - beta1_power)
    weights.sub_(first * step / second.sqrt().add_(epsilon))
    return var


def _data(cell: Any) -> Tensor:
    cell.read()
    return cell.data


_ADAM = "beta1_power:T, beta2_power:T, lr:T, beta1:T, beta2:T, epsilon:T, grad:T, indices:Tindices"
op("AllRowsApplyAdam", f"var:&T, m:&T, v:&T, {_ADAM} -> &T", _adam_all_rows, writes=True)
op("ResourceAllRowsApplyAdam", f"var:resource, m:resource, v:resource, {_ADAM} -> ", _adam_all_rows, writes=True)
