"""tf.nn's cross entropies and the other losses over logits."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = [
    "sigmoid_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2",
    "sparse_softmax_cross_entropy_with_logits",
]


_BOTH = (True, True)
_FEW = 1 << 15
"""Logits for which torch's own loss, with one pass more, costs less than a Python function."""


class _DenseCrossEntropy(torch.autograd.Function):
    """Loss per row of logits and label distributions; the gradient for the labels is minus the log softmax."""

    @staticmethod
    def forward(ctx: Any, features: TorchTensor, labels: TorchTensor) -> TorchTensor:
        log_p = torch.log_softmax(features, -1)
        ctx.save_for_backward(features, labels)
        return -(labels * log_p).where(labels != 0, torch.zeros((), dtype=log_p.dtype)).sum(-1)

    @staticmethod
    def backward(ctx: Any, grad: TorchTensor) -> tuple[TorchTensor | None, TorchTensor | None]:
        features, labels = ctx.saved_tensors
        rows = grad.unsqueeze(-1)
        for_features = (torch.softmax(features, -1) - labels) * rows if ctx.needs_input_grad[0] else None
        for_labels = -torch.log_softmax(features, -1) * rows if ctx.needs_input_grad[1] else None
        return for_features, for_labels


class _SparseCrossEntropy(torch.autograd.Function):
    """Loss per row of logits and class numbers: over a vocabulary, every pass over the logits that is left out counts."""  # noqa: E501

    @staticmethod
    def forward(ctx: Any, features: TorchTensor, index: TorchTensor) -> TorchTensor:
        ctx.save_for_backward(features, index)
        return torch.nn.functional.nll_loss(torch.log_softmax(features, -1), index, reduction="none")

    @staticmethod
    def backward(ctx: Any, grad: TorchTensor) -> tuple[TorchTensor, None]:
        features, index = ctx.saved_tensors
        p, rows = torch.softmax(features, -1), grad.unsqueeze(-1)
        if torch.is_grad_enabled():  # differentiated again
            return (p - torch.nn.functional.one_hot(index, p.shape[-1])) * rows, None
        return p.mul_(rows).scatter_add_(1, index.unsqueeze(-1), -rows), None


def _dense(features: TorchTensor, labels: TorchTensor, wanted: tuple[bool, bool] = _BOTH) -> tuple[Any, Any]:
    features, labels = torch.broadcast_tensors(features, labels)
    backprop = torch.softmax(features.detach(), -1) - labels.detach() if wanted[1] else None
    return _DenseCrossEntropy.apply(features, labels), backprop


def _sparse(features: TorchTensor, labels: TorchTensor, wanted: tuple[bool, bool] = _BOTH) -> tuple[Any, Any]:
    index = labels.long()
    classes = features.shape[-1]
    if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < classes):
        bad = index[(index < 0) | (index >= classes)][0].item()
        values = " ".join(str(v) for v in labels.tolist())
        from recurra.tf1.errors import InvalidArgumentError

        raise InvalidArgumentError(
            None,
            None,
            f"Received a label value of {bad} which is outside the valid range of [0, {classes}).  Label values:"
            f" {values}",
        )
    backprop = None
    if wanted[1]:
        hot = torch.nn.functional.one_hot(index, classes).to(features.dtype)
        backprop = torch.softmax(features.detach(), -1) - hot
    if features.numel() <= _FEW:
        return torch.nn.functional.cross_entropy(features, index, reduction="none"), backprop
    return _SparseCrossEntropy.apply(features, index), backprop


def _dense_shapes(operation: Any) -> list[TensorShape]:
    from recurra.tf1.shape_rules import broadcast_shapes

    full = broadcast_shapes(operation.inputs[0].shape, operation.inputs[1].shape).with_rank(2)
    return [full[:1], full]


def _sparse_shapes(operation: Any) -> list[TensorShape]:
    features = operation.inputs[0].shape.with_rank(2)
    return [features[:1].merge_with(operation.inputs[1].shape.with_rank(1)), features]


op("SoftmaxCrossEntropyWithLogits", "features:T, labels:T -> T, T", _dense, shape=_dense_shapes)
op("SparseSoftmaxCrossEntropyWithLogits", "features:T, labels:Tlabels -> T, T", _sparse, shape=_sparse_shapes)


def _check_named(function: str, sentinel: Any, labels: Any, logits: Any) -> None:
    if sentinel is not None:
        raise ValueError(f"Only call `{function}` with named arguments (labels=..., logits=..., ...)")
    if labels is None or logits is None:
        raise ValueError("Both labels and logits must be provided.")


@tf_export("nn.softmax_cross_entropy_with_logits")
def softmax_cross_entropy_with_logits(
    _sentinel: Any = None,
    labels: Any = None,
    logits: Any = None,
    dim: int = -1,
    name: str | None = None,
    axis: int | None = None,
) -> Any:
    """As the `_v2` form, but nothing flows back into the labels."""
    _check_named("softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "softmax_cross_entropy_with_logits_sg", [logits, labels]) as scope:
        labels = apply_op("StopGradient", convert_to_tensor(labels, name="labels"), name="labels_stop_gradient")
        return _softmax_cross_entropy(labels, logits, dim if axis is None else axis, scope, outer=False)


@tf_export("nn.softmax_cross_entropy_with_logits_v2")
def softmax_cross_entropy_with_logits_v2(
    labels: Any, logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> Any:
    return _softmax_cross_entropy(labels, logits, next((a for a in (axis, dim) if a is not None), -1), name)


def _softmax_cross_entropy(labels: Any, logits: Any, axis: int, name: str | None, outer: bool = True) -> Any:
    with name_scope(name, "softmax_cross_entropy_with_logits", [logits, labels]) as scope:
        logits, labels = convert_to_tensor(logits, name="logits"), convert_to_tensor(labels, name="labels")
        half = logits.dtype.base_dtype in (dtypes.float16, dtypes.bfloat16)
        precise = apply_op("Cast", logits, DstT=dtypes.float32) if half else logits
        if labels.dtype.base_dtype != precise.dtype.base_dtype:
            labels = apply_op("Cast", labels, DstT=precise.dtype.base_dtype)
        rank = precise.get_shape().ndims
        last = axis in (-1, None) or (rank is not None and axis == rank - 1)
        precise, labels = (t if last else _move_last(t, axis) for t in (precise, labels))
        outer_shape = apply_op("Shape", precise, out_type=dtypes.int32)
        cost, _ = apply_op("SoftmaxCrossEntropyWithLogits", _rows(precise), _rows(labels), name=scope)
        static = precise.get_shape()
        cost = apply_op("Reshape", cost, _all_but_last(outer_shape, precise))
        if static.ndims is not None:
            cost.set_shape(static[:-1])
        return apply_op("Cast", cost, DstT=logits.dtype.base_dtype) if half else cost


def _move_last(tensor: Any, axis: int) -> Any:
    rank = tensor.get_shape().ndims
    axis = axis % rank
    return apply_op("Transpose", tensor, [*range(axis), *range(axis + 1, rank), axis])


def _rows(tensor: Any) -> Any:
    """Flatten all axes but the last."""
    classes = apply_op(
        "Slice",
        apply_op("Shape", tensor, out_type=dtypes.int32),
        apply_op("Pack", [apply_op("Sub", apply_op("Rank", tensor), 1)], axis=0),
        [1],
    )
    rows = apply_op("Reshape", tensor, apply_op("ConcatV2", [[-1], classes], 0))
    static = tensor.get_shape()
    if static.ndims is not None:
        head = static[:-1].num_elements()
        rows.set_shape([head, static.values[-1]])
    return rows


def _all_but_last(shape: Any, tensor: Any) -> Any:
    return apply_op("Slice", shape, [0], apply_op("Pack", [apply_op("Sub", apply_op("Rank", tensor), 1)], axis=0))


@tf_export("nn.sparse_softmax_cross_entropy_with_logits")
def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    _check_named("sparse_softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "SparseSoftmaxCrossEntropyWithLogits", [labels, logits]):
        labels, logits = convert_to_tensor(labels), convert_to_tensor(logits)
        half = logits.dtype.base_dtype == dtypes.float16
        precise = apply_op("Cast", logits, DstT=dtypes.float32) if half else logits
        static = labels.get_shape()
        label_shape = apply_op("Shape", labels, out_type=dtypes.int32)
        rank, logits_rank = static.ndims, logits.get_shape().ndims
        if logits_rank == 0:
            raise ValueError(f"Logits cannot be scalars - received shape {logits.get_shape()}.")
        if None not in (rank, logits_rank) and rank != logits_rank - 1:
            raise ValueError(
                f"Rank mismatch: Rank of labels (received {rank}) should equal rank of logits minus 1 (received {logits_rank})."  # noqa: E501
            )
        if not static.is_compatible_with(logits.get_shape()[:-1]) and logits_rank is not None:
            raise ValueError(
                f"Shape mismatch: The shape of labels (received {static}) should equal the shape of logits except for"
                f" the last dimension (received {logits.get_shape()})."
            )
        if logits_rank == 2:
            cost, _ = apply_op("SparseSoftmaxCrossEntropyWithLogits", precise, labels, name=name)
        else:
            flat = apply_op("Reshape", labels, [-1])
            classes = apply_op(
                "StridedSlice",
                apply_op("Shape", logits, out_type=dtypes.int32),
                [-1],
                [0],
                [1],
                begin_mask=0,
                end_mask=1,
                ellipsis_mask=0,
                new_axis_mask=0,
                shrink_axis_mask=1,
            )
            precise = apply_op("Reshape", precise, apply_op("Pack", [-1, classes], axis=0))
            cost, _ = apply_op("SparseSoftmaxCrossEntropyWithLogits", precise, flat, name=name)
            cost = apply_op("Reshape", cost, label_shape)
            cost.set_shape(static)
        return apply_op("Cast", cost, DstT=dtypes.float16) if half else cost


def _old_order(function: Any, second: str) -> Any:
    """Before 1.0 the logits came first and might be positional."""

    def old(logits: Any, labels: Any = None, name: str | None = None, **kwargs: Any) -> Any:
        labels = kwargs.pop(second, labels)
        return function(labels=labels, logits=logits, name=name, **kwargs)

    return old


@tf_export("nn.sigmoid_cross_entropy_with_logits")
def sigmoid_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """max(x, 0) - x * z + log(1 + exp(-|x|)), per element."""
    _check_named("sigmoid_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "logistic_loss", [logits, labels]) as scope:
        logits, labels = convert_to_tensor(logits, name="logits"), convert_to_tensor(labels, name="labels")
        _same_shape(labels, logits, "logits and labels must have the same shape ({} vs {})")
        zeros = apply_op("ZerosLike", logits, name="zeros_like")
        positive = apply_op("GreaterEqual", logits, zeros)
        relu = apply_op("Select", positive, logits, zeros)
        minus_abs = apply_op("Select", positive, apply_op("Neg", logits), logits)
        return apply_op("Add", relu - logits * labels, apply_op("Log1p", apply_op("Exp", minus_abs)), name=scope)


def _same_shape(labels: Any, logits: Any, message: str) -> None:
    try:
        labels.get_shape().merge_with(logits.get_shape())
    except ValueError:
        raise ValueError(message.format(logits.get_shape(), labels.get_shape())) from None


_OLD = ((0, 0), (1, 0))
export(_old_order(softmax_cross_entropy_with_logits, "labels"), "nn.softmax_cross_entropy_with_logits", era=_OLD)
export(
    _old_order(sparse_softmax_cross_entropy_with_logits, "labels"),
    "nn.sparse_softmax_cross_entropy_with_logits",
    era=_OLD,
)
export(_old_order(sigmoid_cross_entropy_with_logits, "targets"), "nn.sigmoid_cross_entropy_with_logits", era=_OLD)


@tf_export("nn.weighted_cross_entropy_with_logits")
def weighted_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, pos_weight: Any = None, name: str | None = None, targets: Any = None
) -> Any:
    targets = labels if targets is None else targets
    with name_scope(name, "logistic_loss", [logits, targets]) as scope:
        logits, targets = convert_to_tensor(logits, name="logits"), convert_to_tensor(targets, name="targets")
        _same_shape(targets, logits, "logits and targets must have the same shape ({} vs {})")
        weight = 1 + (pos_weight - 1) * targets
        tail = apply_op("Log1p", apply_op("Exp", -apply_op("Abs", logits))) + apply_op("Relu", -logits)
        return apply_op("Add", (1 - targets) * logits, weight * tail, name=scope)


@tf_export("nn.log_poisson_loss")
def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None) -> Any:
    with name_scope(name, "log_poisson_loss", [log_input, targets]):
        log_input, targets = convert_to_tensor(log_input, name="log_input"), convert_to_tensor(targets, name="targets")
        _same_shape(targets, log_input, "log_input and targets must have the same shape ({} vs {})")
        result = apply_op("Exp", log_input) - log_input * targets
        if not compute_full_loss:
            return result
        point, half = (
            convert_to_tensor(0.5, dtype=targets.dtype),
            convert_to_tensor(6.283185307179586, dtype=targets.dtype),
        )
        stirling = targets * apply_op("Log", targets) - targets + point * apply_op("Log", half * targets)
        zeros, ones = apply_op("ZerosLike", targets), apply_op("OnesLike", targets)
        middle = apply_op("LogicalAnd", apply_op("GreaterEqual", targets, zeros), apply_op("LessEqual", targets, ones))
        return result + apply_op("Select", middle, zeros, stirling)


@tf_export("nn.l2_loss")
def l2_loss(t: Any, name: str | None = None) -> Any:
    """Half the sum of squares."""
    return apply_op("L2Loss", t, name=name)


def _half_of_squares(t: TorchTensor) -> TorchTensor:
    if torch.is_grad_enabled():
        return (t * t).sum() / 2
    norm = torch.linalg.vector_norm(t)  # one pass, and no copy of large ones
    return norm * norm / 2


op("L2Loss", "t:T -> T", _half_of_squares, shape=lambda o: TensorShape([]))


def _in_top_k(predictions: TorchTensor, targets: TorchTensor, k: Any) -> TorchTensor:
    """Ties count as in: a target is in when fewer than k predictions are strictly greater."""
    index = targets.long()
    valid = (index >= 0) & (index < predictions.shape[1])
    own = predictions.gather(1, index.clamp(0, predictions.shape[1] - 1).unsqueeze(1))
    finite = torch.isfinite(own[:, 0]) & valid
    return finite & ((predictions > own).sum(1) < int(k))


def _in_top_k_shape(operation: Any) -> TensorShape:
    rows, targets = operation.inputs[0].shape.with_rank(2)[:1], operation.inputs[1].shape.with_rank(1)
    if not rows.is_compatible_with(targets):
        raise ValueError(f"Dimensions must be equal, but are {rows.values[0]} and {targets.values[0]}")
    return targets


op(
    "InTopKV2",
    "predictions:float32, targets:T, k:T -> bool",
    _in_top_k,
    diff=False,
    shape=_in_top_k_shape,
)


@tf_export("nn.in_top_k", "math.in_top_k")
def in_top_k(predictions: Any, targets: Any, k: Any, name: str | None = None) -> Any:
    with name_scope(name, "in_top_k"):
        return apply_op("InTopKV2", predictions, targets, k, name=name)


def _top_k(input: TorchTensor, k: TorchTensor, sorted: bool = True) -> tuple[TorchTensor, TorchTensor]:
    """The k largest of the last axis; the lower index first among equals, as a stable sort gives them."""
    order = torch.sort(input.detach(), dim=-1, descending=True, stable=True).indices[..., : int(k)]
    return input.gather(-1, order), order.int()


def _top_k_shape(operation: Any) -> list[TensorShape]:
    x, k = operation.inputs[0].shape.with_rank_at_least(1), constant_value(operation.inputs[1])
    if x.ndims is None:
        return [x, x]
    size = None if k is None else int(k)
    if size is not None and x.values[-1] is not None and size > x.values[-1]:
        raise ValueError(f"input must have last dimension >= k = {size} but is {x.values[-1]}")
    return [x[:-1].concatenate([size])] * 2


op("TopKV2", "input:T, k:int32 -> T, int32", _top_k, shape=_top_k_shape)


@tf_export("nn.top_k", "math.top_k")
def top_k(input: Any, k: Any = 1, sorted: bool = True, name: str | None = None) -> Any:
    return TopKV2(*apply_op("TopKV2", input, k, sorted=sorted, name=name))


class TopKV2(NamedTuple):
    values: Any
    indices: Any
