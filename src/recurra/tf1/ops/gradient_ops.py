"""The operations that TensorFlow's gradients are made of: training graphs that TensorFlow wrote run on them.

Gradients taken here are autograd's (`differentiation.py`); none of these is added to a graph by tf.gradients.
"""

from __future__ import annotations

from typing import Any

import torch

from recurra.tf1.registry import get, op
from recurra.tf1.shape_rules import from_const, same, vector
from recurra.tf1.shapes import unknown_shape


def _broadcast_arguments(s0: Any, s1: Any) -> tuple[Any, Any]:
    """The axes over which the gradients of two broadcast operands are summed."""
    a, b = s0.tolist(), s1.tolist()
    rank = max(len(a), len(b))
    a, b = [1] * (rank - len(a)) + a, [1] * (rank - len(b)) + b
    first = [i for i in range(rank) if a[i] == 1 and (b[i] != 1 or i < rank - s0.numel())]
    second = [i for i in range(rank) if b[i] == 1 and (a[i] != 1 or i < rank - s1.numel())]
    both = [i for i in range(rank) if a[i] == 1 == b[i]]
    axes = (sorted({*first, *both}), sorted({*second, *both}))
    return tuple(torch.tensor(r, dtype=s0.dtype) for r in axes)  # type: ignore[return-value]


def _bias_add_grad(out_backprop: Any, data_format: str = "NHWC") -> Any:
    axis = 1 if data_format == "NCHW" else out_backprop.dim() - 1
    return out_backprop.sum([i for i in range(out_backprop.dim()) if i != axis])


def _backward(op_type: str, leaf: Any, grad: Any, *others: Any, **attrs: Any) -> Any:
    """The gradient by the first argument of an operation; where autograd follows `grad`, it follows this too."""
    again = torch.is_grad_enabled() and grad.requires_grad
    with torch.enable_grad():
        leaf = leaf.detach().requires_grad_()
        made = get(op_type).fn(leaf, *others, **attrs)  # type: ignore[misc]
        return torch.autograd.grad(made, leaf, grad, create_graph=again)[0]


def _max_pool_grad(
    orig_input: Any, orig_output: Any, grad: Any, *, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC"
) -> Any:
    window = {"ksize": ksize, "strides": strides, "padding": padding, "data_format": data_format}
    return _backward("MaxPool", orig_input, grad, **window)


def _average_pool_grad(
    orig_input_shape: Any, grad: Any, *, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC"
) -> Any:
    window = {"ksize": ksize, "strides": strides, "padding": padding, "data_format": data_format}
    return _backward("AvgPool", torch.zeros(orig_input_shape.tolist(), dtype=grad.dtype), grad, **window)


def _strided_slice_grad(
    shape: Any,
    begin: Any,
    end: Any,
    strides: Any,
    dy: Any,
    *,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Any:
    masks = {"begin_mask": begin_mask, "end_mask": end_mask, "ellipsis_mask": ellipsis_mask,
             "new_axis_mask": new_axis_mask, "shrink_axis_mask": shrink_axis_mask}  # fmt: skip
    return _backward("StridedSlice", torch.zeros(shape.tolist(), dtype=dy.dtype), dy, begin, end, strides, **masks)


op("BroadcastGradientArgs", "s0:T, s1:T -> T, T", _broadcast_arguments, shape=lambda o: [vector(o)] * 2, diff=False)
op("BiasAddGrad", "out_backprop:T -> T", _bias_add_grad, shape=lambda o: o.inputs[0].shape[-1:]
   if o.inputs[0].shape.rank is not None else vector(o))  # fmt: skip
op("StridedSliceGrad", "shape:Index, begin:Index, end:Index, strides:Index, dy:T -> T", _strided_slice_grad,
   shape=from_const(0))  # fmt: skip
op("MaxPoolGrad", "orig_input:T, orig_output:T, grad:T -> T", _max_pool_grad, shape=same)
op("AvgPoolGrad", "orig_input_shape:int32, grad:T -> T", _average_pool_grad, shape=lambda o: unknown_shape())
op("ControlTrigger", "->", lambda: None, stateful=True)

# of y = f(x) with y known
for _kind, _slope in {
    "SigmoidGrad": lambda y: y * (1 - y),
    "TanhGrad": lambda y: 1 - y * y,
    "SqrtGrad": lambda y: 0.5 / y,
    "RsqrtGrad": lambda y: -0.5 * y**3,
    "InvGrad": lambda y: -y * y,
    "ReciprocalGrad": lambda y: -y * y,
}.items():
    op(_kind, "y:T, dy:T -> T", lambda y, dy, _slope=_slope: dy * _slope(y), shape=same)

# of y = f(x) with x (or, for elu and selu, y) known
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
for _kind, _second, _slope in (
    ("ReluGrad", "features", lambda x: (x > 0).to(x.dtype)),
    ("Relu6Grad", "features", lambda x: ((x > 0) & (x < 6)).to(x.dtype)),
    ("SoftplusGrad", "features", torch.sigmoid),
    ("SoftsignGrad", "features", lambda x: (1 + x.abs()).pow(-2)),
    ("EluGrad", "outputs", lambda y: torch.where(y < 0, y + 1, 1)),
    ("SeluGrad", "outputs", lambda y: torch.where(y < 0, y + _SELU_SCALE * _SELU_ALPHA, _SELU_SCALE)),
):

    def _run(gradients: object, known: object, _slope: object = _slope) -> object:
        return gradients * _slope(known)  # type: ignore[operator]

    op(_kind, f"gradients:T, {_second}:T -> T", _run, shape=same)
op(
    "LeakyReluGrad",
    "gradients:T, features:T -> T",
    lambda gradients, features, alpha=0.2: torch.where(features > 0, gradients, gradients * alpha),
    shape=same,
)


# -- stacks: what a loop keeps for its way back ------------------------------------------------------------------------
def _push(handle: list[Any], elem: Any) -> Any:
    handle.append(elem)
    return elem


def _pop(handle: list[Any]) -> Any:
    return handle.pop()


op("StackV2", "max_size:int32 -> resource", lambda max_size: [], stateful=True, shape=vector)
op("StackPushV2", "handle:resource, elem:T -> T", _push, stateful=True, shape=lambda o: o.inputs[1].shape)
op("StackPopV2", "handle:resource -> elem_type", _pop, stateful=True, shape=lambda o: unknown_shape())
op("StackCloseV2", "handle:resource ->", lambda handle: None, stateful=True)
