"""The hoisted part of a compiled cell: its linear layers over all steps as the library's own products.

A cell's `project` is its author's code in torch. While it runs, products of its inputs with matrices are taken over:
what they give lies in the kernels' pool, whose pages are there already, and so do their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from recurra.kernels.native import library
from recurra.kernels.replay import product
from recurra.kernels.step_memory import fresh

LEAST = 1 << 20
"""Multiplications from which on a product is taken over: what they cost torch is then more than a call of Python."""

_LINEAR = nn.functional.linear
_MATMUL = (torch.matmul, Tensor.matmul, Tensor.__matmul__)


class OwnProducts(TorchFunctionMode):
    """While it is entered, `linear` and `matmul` of rows and a matrix are the library's."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not kwargs and func is _LINEAR and _fits(*args, turned=True):
            return _Product.apply(args[0], args[1], args[2] if len(args) > 2 else None, True)
        if not kwargs and func in _MATMUL and len(args) == 2 and _fits(*args, turned=False):
            return _Product.apply(*args, None, False)
        return func(*args, **(kwargs or {}))


def _fits(rows: Any, matrix: Any, bias: Any = None, *, turned: bool) -> bool:
    tensors = (rows, matrix) if bias is None else (rows, matrix, bias)
    if library.core is None or not all(map(_is_plain, tensors)):
        return False
    if matrix.dim() != 2 or rows.dim() < 2 or not rows.is_contiguous():
        return False
    depth, width = reversed(matrix.shape) if turned else matrix.shape
    if rows.shape[-1] != depth or rows.numel() * width < LEAST:
        return False
    return bias is None or (bias.shape == (width,) and bias.is_contiguous())


def _is_plain(tensor: Any) -> bool:
    is_tensor = type(tensor) in (Tensor, nn.Parameter)
    return is_tensor and tensor.is_cpu and tensor.dtype is torch.float32 and not tensor.is_neg()


class _Product(torch.autograd.Function):
    """rows w (+ bias), or with `turned` rows w'."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, turned: bool) -> Tensor:
        ctx.turned, ctx.biased = turned, bias is not None
        ctx.save_for_backward(rows, weight)
        matrix = weight.t() if turned else weight
        found = fresh((rows.numel() // rows.shape[-1], matrix.shape[1]), rows.dtype)
        return product(rows.flatten(0, -2), matrix, found, bias).view(*rows.shape[:-1], matrix.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        rows, weight = ctx.saved_tensors
        wants_rows, wants_weight = ctx.needs_input_grad[:2]
        flat, grad = rows.flatten(0, -2), grads[0].flatten(0, -2)
        if not torch.is_grad_enabled():
            grad = grad.contiguous()
        multiply = torch.mm if torch.is_grad_enabled() else _multiply
        d_rows = multiply(grad, weight if ctx.turned else weight.t()).view(rows.shape) if wants_rows else None
        pair = (grad.t(), flat) if ctx.turned else (flat.t(), grad)
        d_weight = multiply(*pair) if wants_weight else None
        return d_rows, d_weight, grad.sum(0) if ctx.biased else None, None


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    return product(a, b, fresh((a.shape[0], b.shape[1]), a.dtype))
