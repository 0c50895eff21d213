"""Fake quantisation with learned ranges: rounding to 2^bits levels, with gradients for the input and for the range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor as TorchTensor

from recurra.tf1.build import apply_op
from recurra.tf1.names import export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same

__all__: list[str] = []


def _nudged(
    low: TorchTensor, high: TorchTensor, num_bits: int, narrow_range: bool
) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
    """The range moved so that zero is a level, and the distance of two levels."""
    first, last = float(narrow_range), float(2**num_bits - 1)
    scale = (high - low) / (last - first)
    zero = torch.floor(first - low / scale + 0.5).clamp(first, last)
    return (first - zero) * scale, (last - zero) * scale, scale


class _FakeQuant(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: TorchTensor, low: TorchTensor, high: TorchTensor, num_bits: int, narrow_range: bool
    ) -> TorchTensor:
        start, end, scale = _nudged(low, high, num_bits, narrow_range)
        ctx.save_for_backward(inputs, start, end)
        if bool(((low == 0) & (high == 0)).all()):
            return torch.zeros_like(inputs)
        clamped = torch.minimum(torch.maximum(inputs, start), end)
        return torch.floor((clamped - start) / scale + 0.5) * scale + start

    @staticmethod
    def backward(ctx: Any, grad: TorchTensor) -> tuple[Any, ...]:
        return (*_gradients(grad, *ctx.saved_tensors), None, None)


def _gradients(
    grad: TorchTensor, inputs: TorchTensor, start: TorchTensor, end: TorchTensor
) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
    below, above = inputs < start, inputs > end
    zero = torch.zeros((), dtype=grad.dtype)
    parts = [torch.where(~below & ~above, grad, zero), torch.where(below, grad, zero), torch.where(above, grad, zero)]
    outer = tuple(range(grad.dim() - start.dim()))
    return parts[0], *(p.sum(outer) if outer else p for p in parts[1:])


def _fake_quant(
    inputs: TorchTensor, min: TorchTensor, max: TorchTensor, num_bits: int = 8, narrow_range: bool = False
) -> TorchTensor:
    return _FakeQuant.apply(inputs, min, max, num_bits, narrow_range)


def _by_vars(
    gradients: TorchTensor,
    inputs: TorchTensor,
    min: TorchTensor,
    max: TorchTensor,
    num_bits: int = 8,
    narrow_range: bool = False,
) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
    start, end, _ = _nudged(min, max, num_bits, narrow_range)
    return _gradients(gradients, inputs, start, end)


def _by_args(
    gradients: TorchTensor,
    inputs: TorchTensor,
    min: float = -6.0,
    max: float = 6.0,
    num_bits: int = 8,
    narrow_range: bool = False,
) -> TorchTensor:
    return _by_vars(gradients, inputs, torch.tensor(min), torch.tensor(max), num_bits, narrow_range)[0]


def _serve(kind: str, name: str, inputs: int, **defaults: Any) -> None:
    """`name(*tensors, options in order)` over the op."""
    order = [*defaults, "num_bits", "narrow_range", "name"]

    def function(*values: Any, **given: Any) -> Any:
        tensors = list(values[:inputs])
        named = ("gradients", "inputs", "min", "max") if "Gradient" in kind else ("inputs", "min", "max")
        tensors += [given.pop(n) for n in named[len(tensors) : inputs]]
        options = {**defaults, "num_bits": 8, "narrow_range": False, "name": None}
        options.update(zip(order, values[inputs:], strict=False))
        options.update(given)
        return apply_op(kind, *tensors, **options)

    function.__name__ = name
    export(function, name, f"quantization.{name}")


_SHAPES: Any = lambda o: [o.inputs[1].shape, o.inputs[2].shape, o.inputs[3].shape]  # noqa: E731
for _suffix, _name in (("", ""), ("PerChannel", "_per_channel")):
    op(
        f"FakeQuantWithMinMaxVars{_suffix}",
        "inputs:float32, min:float32, max:float32 -> float32",
        _fake_quant,
        shape=same,
    )
    op(
        f"FakeQuantWithMinMaxVars{_suffix}Gradient",
        "gradients:float32, inputs:float32, min:float32, max:float32 -> float32, float32, float32",
        _by_vars,
        shape=_SHAPES,
    )
    _serve(f"FakeQuantWithMinMaxVars{_suffix}", f"fake_quant_with_min_max_vars{_name}", 3)
    _serve(f"FakeQuantWithMinMaxVars{_suffix}Gradient", f"fake_quant_with_min_max_vars{_name}_gradient", 4)
op("FakeQuantWithMinMaxArgsGradient", "gradients:float32, inputs:float32 -> float32", _by_args, shape=same)
_serve("FakeQuantWithMinMaxArgsGradient", "fake_quant_with_min_max_args_gradient", 2, min=-6.0, max=6.0)
