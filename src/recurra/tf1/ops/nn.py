"""tf.nn's dense pieces: bias, dropout, moments, normalisation."""

from __future__ import annotations

import numbers
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.ops import random
from recurra.tf1.ops.array_shape import shape as shape_of
from recurra.tf1.ops.math_reduce import reduce_mean, reduce_sum
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.matmul import matmul
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import TensorLike

__all__ = ["bias_add", "dropout", "moments"]


def _bias_add(value: TorchTensor, bias: TorchTensor, data_format: str = "NHWC") -> TorchTensor:
    if data_format == "NCHW" and value.dim() > 2:
        bias = bias.reshape(-1, *[1] * (value.dim() - 2))
    return value + bias


def _bias_shape(operation: Any) -> TensorShape:
    value, bias = operation.inputs[0].shape.with_rank_at_least(2), operation.inputs[1].shape.with_rank(1)
    if value.ndims is None:
        return value
    axis = 1 if operation.attrs.get("data_format") == "NCHW" else value.ndims - 1
    have, want = (value.values or ())[axis], (bias.values or (None,))[0]
    if None not in (have, want) and have != want:
        raise ValueError(f"Dimensions must be equal, but are {have} and {want}")
    return TensorShape([want if n == axis and d is None else d for n, d in enumerate(value.values or ())])


op("BiasAdd", "value:T, bias:T -> T", _bias_add, shape=_bias_shape, data_format="NHWC")


@tf_export("nn.bias_add")
def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    with name_scope(name, "BiasAdd", [value, bias]) as scope:
        first = data_format is not None and data_format.startswith("NC")
        if data_format is not None and not data_format.startswith(("NC", "N")):
            raise ValueError(f"data_format must be of the form `N...C` or `NC...`, got {data_format}")
        value = convert_to_tensor(value, name="input")
        bias = convert_to_tensor(bias, dtype=value.dtype.base_dtype, name="bias")
        return apply_op("BiasAdd", value, bias, data_format="NCHW" if first else "NHWC", name=scope)


@tf_export("nn.xw_plus_b")
def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Any:
    with name_scope(name, "xw_plus_b", [x, weights, biases]) as scope:
        x, weights, biases = _linear_arguments(x, weights, biases)
        return bias_add(matmul(x, weights), biases, name=scope)


@tf_export("nn.relu_layer")
def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Any:
    with name_scope(name, "relu_layer", [x, weights, biases]) as scope:
        x, weights, biases = _linear_arguments(x, weights, biases)
        return apply_op("Relu", bias_add(matmul(x, weights), biases), name=scope)


def _linear_arguments(x: Any, weights: Any, biases: Any) -> tuple[Any, Any, Any]:
    return (
        convert_to_tensor(x, name="x"),
        convert_to_tensor(weights, name="weights"),
        convert_to_tensor(biases, name="biases"),
    )


@tf_export("nn.dropout")
def dropout(
    x: Any,
    keep_prob: Any = None,
    noise_shape: Any = None,
    seed: int | None = None,
    name: str | None = None,
    rate: Any = None,
) -> Any:
    """Zero each element with probability `rate` = 1 - `keep_prob`, and scale the rest up."""
    if keep_prob is not None:
        try:
            dropped = 1.0 - keep_prob
        except TypeError:
            raise ValueError(f"keep_prob must be a floating point number or Tensor (got {keep_prob!r})") from None
        if rate is not None:
            raise ValueError("Cannot specify both 'keep_prob' and 'rate'")
        rate = dropped
    if rate is None:
        raise ValueError("You must provide a rate to dropout.")
    with name_scope(name, "dropout", [x]):
        if isinstance(rate, numbers.Real) and not 0 <= rate < 1:
            raise ValueError(f"rate must be a scalar tensor or a float in the range [0, 1), got {rate:g}")
        x = convert_to_tensor(x, name="x")
        if not x.dtype.is_floating:
            raise ValueError(
                f"x has to be a floating point tensor since it's going to be scaled. Got a {x.dtype} tensor instead."
            )
        if isinstance(rate, numbers.Real) and rate == 0:
            return x
        return _dropped(x, rate, noise_shape, seed)


def _dropped(x: Any, rate: Any, noise_shape: Any, seed: int | None) -> Any:
    kind = x.dtype.base_dtype
    if isinstance(rate, TensorLike):
        rate = convert_to_tensor(rate)
        rate.get_shape().assert_has_rank(0)
        if rate.dtype.base_dtype != kind:
            raise ValueError(
                f"Tensor dtype {rate.dtype.name} is incomptaible with Tensor dtype {x.dtype.name}: {rate!r}"
            )
        scaled = apply_op("RealDiv", x, apply_op("Sub", convert_to_tensor(1, dtype=kind), rate))
    elif isinstance(rate, numbers.Real):
        scaled = apply_op("Mul", x, convert_to_tensor(1 / (1 - rate), dtype=kind))
    else:
        raise ValueError(f"rate is neither scalar nor scalar tensor {rate!r}")
    uniform = random.random_uniform(_noise_shape(x, noise_shape), seed=seed, dtype=kind)
    result = apply_op("Mul", scaled, apply_op("Cast", uniform >= rate, DstT=kind))
    result.set_shape(x.get_shape())
    return result


def _noise_shape(x: Any, noise_shape: Any) -> Any:
    if noise_shape is None:
        return shape_of(x)
    try:
        wanted = TensorShape(noise_shape)
    except (TypeError, ValueError):
        return noise_shape
    mine = x.get_shape()
    if mine.dims is not None and wanted.dims is not None and len(mine) == len(wanted):
        return TensorShape([m if w is None else w for m, w in zip(mine.values or (), wanted.values or (), strict=True)])
    return noise_shape


@tf_export("nn.moments")
def moments(
    x: Any,
    axes: Any,
    shift: Any = None,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> tuple[Any, Any]:
    """Mean and (biased) variance over `axes`."""
    keep = bool(keep_dims if keepdims is None else keepdims)
    with name_scope(name, "moments", [x, axes]):
        x = convert_to_tensor(x)
        half = x.dtype.base_dtype == dtypes.float16
        y = cast(x, dtypes.float32) if half else x
        mean = reduce_mean(y, axes, keepdims=True, name="mean")
        squared = apply_op("SquaredDifference", y, apply_op("StopGradient", mean))
        variance = reduce_mean(squared, axes, keepdims=True, name="variance")
        if not keep:
            dims = [axes] if isinstance(axes, int) else [int(a) for a in axes]
            mean, variance = (apply_op("Squeeze", m, squeeze_dims=dims) for m in (mean, variance))
        return (cast(mean, dtypes.float16), cast(variance, dtypes.float16)) if half else (mean, variance)


@tf_export("nn.sufficient_statistics")
def sufficient_statistics(
    x: Any,
    axes: Any,
    shift: Any = None,
    keep_dims: bool | None = None,
    name: str | None = None,
    keepdims: bool | None = None,
) -> Any:
    """(count, sum, sum of squares, shift), the sums after subtracting the shift."""
    keep = bool(keep_dims if keepdims is None else keepdims)
    axes = sorted(set(axes))
    with name_scope(name, "sufficient_statistics", [x, shift]):
        x = convert_to_tensor(x, name="x")
        dims = x.get_shape().values
        if dims is not None and all(dims[a] is not None for a in axes):
            count = 1
            for a in axes:
                count *= dims[a]  # type: ignore[operator]
            total = convert_to_tensor(float(count), dtype=x.dtype.base_dtype, name="count")
        else:
            picked = apply_op("GatherV2", shape_of(x), convert_to_tensor(axes, dtype=dtypes.int32), 0)
            total = apply_op("Prod", cast(picked, x.dtype.base_dtype), [0], keep_dims=False, name="count")
        if shift is not None:
            shift = convert_to_tensor(shift, name="shift")
            first, squares = x - shift, apply_op("SquaredDifference", x, shift)
        else:
            first, squares = x, apply_op("Square", x)
        return (
            total,
            reduce_sum(first, axes, keepdims=keep, name="mean_ss"),
            reduce_sum(squares, axes, keepdims=keep, name="var_ss"),
            shift,
        )


@tf_export("nn.normalize_moments")
def normalize_moments(
    counts: Any, mean_ss: Any, variance_ss: Any, shift: Any, name: str | None = None
) -> tuple[Any, Any]:
    with name_scope(name, "normalize", [counts, mean_ss, variance_ss, shift]):
        divisor = apply_op("Reciprocal", convert_to_tensor(counts), name="divisor")
        mean = (
            apply_op("Mul", mean_ss, divisor, name="mean")
            if shift is None
            else apply_op("Mul", mean_ss, divisor, name="shifted_mean")
        )
        shifted = mean
        if shift is not None:
            mean = apply_op("Add", shifted, shift, name="mean")
        variance = apply_op("Sub", apply_op("Mul", variance_ss, divisor), apply_op("Square", shifted), name="variance")
        return mean, variance


@tf_export("nn.weighted_moments")
def weighted_moments(
    x: Any,
    axes: Any,
    frequency_weights: Any,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> Any:
    keep = bool(keep_dims if keepdims is None else keepdims)
    with name_scope(name, "weighted_moments", [x, frequency_weights, axes]):
        x, weights = convert_to_tensor(x, name="x"), convert_to_tensor(frequency_weights, name="frequency_weights")
        weights = cast(weights, x.dtype.base_dtype)
        spread = weights + apply_op("ZerosLike", x)
        total = reduce_sum(spread, axes, name="sum_of_weights", keepdims=True)
        divisor = apply_op("Reciprocal", total, name="inv_weight_sum")
        mean = apply_op("Mul", reduce_sum(weights * x, axes, name="weighted_input_sum", keepdims=True), divisor)
        distance = reduce_sum(
            weights * apply_op("SquaredDifference", x, mean), axes, name="weighted_distsq", keepdims=True
        )
        variance = apply_op("Mul", distance, divisor)
        if keep:
            return mean, variance
        dims = [int(a) for a in (axes if isinstance(axes, (list, tuple)) else [axes])]
        return tuple(apply_op("Squeeze", m, squeeze_dims=dims) for m in (mean, variance))


@tf_export("nn.batch_normalization")
def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any, name: str | None = None
) -> Any:
    with name_scope(name, "batchnorm", [x, mean, variance, scale, offset]):
        inverse = apply_op("Rsqrt", variance + variance_epsilon)
        if scale is not None:
            inverse = inverse * scale
        moved = offset - mean * inverse if offset is not None else -mean * inverse
        x = convert_to_tensor(x)
        return x * cast(inverse, x.dtype.base_dtype) + cast(moved, x.dtype.base_dtype)


@tf_export("nn.batch_norm_with_global_normalization")
def batch_norm_with_global_normalization(
    t: Any = None,
    m: Any = None,
    v: Any = None,
    beta: Any = None,
    gamma: Any = None,
    variance_epsilon: Any = None,
    scale_after_normalization: Any = None,
    name: str | None = None,
    input: Any = None,
    mean: Any = None,
    variance: Any = None,
) -> Any:
    def first(a, b):
        return b if a is None else a

    return batch_normalization(
        first(t, input),
        first(m, mean),
        first(v, variance),
        beta,
        gamma if scale_after_normalization else None,
        variance_epsilon,
        name,
    )


def _fused_batch_norm(
    x: TorchTensor,
    scale: TorchTensor,
    offset: TorchTensor,
    mean: TorchTensor,
    variance: TorchTensor,
    epsilon: float = 1e-4,
    data_format: str = "NHWC",
    is_training: bool = True,
) -> tuple[TorchTensor, ...]:
    """Normalised with the biased variance; the variance given back has Bessel's correction."""
    values = (x if data_format == "NCHW" else x.movedim(-1, 1)).float()
    if is_training:
        axes = [0, *range(2, values.dim())]
        mean = values.mean(axes)
        biased = values.var(axes, correction=0)
        count = values.numel() / values.shape[1]
        reported = biased * (count / max(count - 1, 1))
    else:
        biased = reported = variance
    view = (1, -1, *[1] * (values.dim() - 2))
    factor = torch.rsqrt(biased + epsilon) * scale
    out = ((values - mean.view(view)) * factor.view(view) + offset.view(view)).to(x.dtype)
    out = out if data_format == "NCHW" else out.movedim(1, -1)
    mean = mean.detach()  # nothing flows back through the statistics
    return out, mean, reported.detach(), mean, biased.detach(), torch.empty(0)


def _fused_shapes(operation: Any) -> list[TensorShape]:
    x = operation.inputs[0].shape.with_rank(4)
    axis = 1 if operation.attrs.get("data_format") == "NCHW" else 3
    channels = TensorShape([(x.values or (None,) * 4)[axis]]).merge_with(operation.inputs[1].shape)
    return [x, channels, channels, channels, channels, TensorShape(None)]


op(
    "FusedBatchNormV3",
    "x:T, scale:U, offset:U, mean:U, variance:U -> T, U, U, U, U, U",
    _fused_batch_norm,
    shape=_fused_shapes,
)


@tf_export("nn.fused_batch_norm")
def fused_batch_norm(
    x: Any,
    scale: Any,
    offset: Any,
    mean: Any = None,
    variance: Any = None,
    epsilon: float = 0.001,
    data_format: str = "NHWC",
    is_training: bool = True,
    name: str | None = None,
) -> Any:
    x, scale, offset = (
        convert_to_tensor(x, name="input"),
        convert_to_tensor(scale, name="scale"),
        convert_to_tensor(offset, name="offset"),
    )
    if is_training and (mean is not None or variance is not None):
        raise ValueError("Both 'mean' and 'variance' must be None if is_training is True.")
    mean = convert_to_tensor([]) if mean is None else mean
    variance = convert_to_tensor([]) if variance is None else variance
    epsilon = max(epsilon, 1.001e-5)
    parts = apply_op(
        "FusedBatchNormV3",
        x,
        scale,
        offset,
        mean,
        variance,
        epsilon=epsilon,
        data_format=data_format,
        is_training=is_training,
        name=name,
    )
    return parts[0], parts[1], parts[2]


@tf_export("nn.l2_normalize", "math.l2_normalize", "linalg.l2_normalize")
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None) -> Any:
    axis = dim if axis is None else axis
    with name_scope(name, "l2_normalize", [x]) as scope:
        x = convert_to_tensor(x, name="x")
        total = reduce_sum(apply_op("Square", x), axis, keepdims=True)
        return apply_op(
            "Mul",
            x,
            apply_op("Rsqrt", apply_op("Maximum", total, convert_to_tensor(epsilon, dtype=total.dtype))),
            name=scope,
        )


def _lrn(
    input: TorchTensor, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5
) -> TorchTensor:
    squares = F.pad(input * input, (depth_radius, depth_radius)).unfold(-1, 2 * depth_radius + 1, 1).sum(-1)
    return input / (bias + alpha * squares) ** beta


op("LRN", "input:T -> T", _lrn, shape=same)


@tf_export("nn.lrn", "nn.local_response_normalization")
def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5, name: str | None = None
) -> Any:
    return apply_op("LRN", input, depth_radius=depth_radius, bias=bias, alpha=alpha, beta=beta, name=name)
