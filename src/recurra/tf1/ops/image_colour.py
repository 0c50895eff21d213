"""tf.image: brightness, contrast, colour spaces and measures of likeness."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import random
from recurra.tf1.ops.array_move import tile
from recurra.tf1.ops.math_reduce import reduce_mean
from recurra.tf1.ops.math_unary import cast, saturate_cast
from recurra.tf1.ops.matmul import tensordot
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape

__all__ = ["adjust_brightness", "convert_image_dtype"]


@tf_export("image.convert_image_dtype")
def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: str | None = None) -> Any:
    """Between integers of a full range and floats in [0, 1)."""
    image, dtype = convert_to_tensor(image, name="image"), dtypes.as_dtype(dtype)
    if dtype == image.dtype:
        return apply_op("Identity", image, name=name)
    with name_scope(name, "convert_image", [image]) as scope:
        if image.dtype.is_integer and dtype.is_integer:
            have, want = image.dtype.max, dtype.max
            if have > want:
                scaled = apply_op("FloorDiv", image, (have + 1) // (want + 1))
                return saturate_cast(scaled, dtype, name=scope) if saturate else cast(scaled, dtype, name=scope)
            wide = saturate_cast(image, dtype) if saturate else cast(image, dtype)
            return apply_op("Mul", wide, (want + 1) // (have + 1), name=scope)
        if image.dtype.is_floating and dtype.is_floating:
            return cast(image, dtype, name=scope)
        if image.dtype.is_integer:
            return apply_op("Mul", cast(image, dtype), 1.0 / image.dtype.max, name=scope)
        scaled = apply_op("Mul", image, dtype.max + 0.5)
        return saturate_cast(scaled, dtype, name=scope) if saturate else cast(scaled, dtype, name=scope)


def _as_float(image: Any, change: Callable[[Any], Any], name: str | None, label: str, clip: bool = True) -> Any:
    """Apply a change to the float form of an image and go back to its dtype."""
    with name_scope(name, label, [image]):
        image = convert_to_tensor(image, name="image")
        original = image.dtype.base_dtype
        values = image if original in (dtypes.float16, dtypes.float32) else convert_image_dtype(image, dtypes.float32)
        return convert_image_dtype(change(values), original, saturate=clip)


@tf_export("image.adjust_brightness")
def adjust_brightness(image: Any, delta: Any) -> Any:
    return _as_float(
        image,
        lambda v: apply_op("Add", v, cast(convert_to_tensor(delta), v.dtype.base_dtype)),
        None,
        "adjust_brightness",
    )


def _contrast(images: TorchTensor, contrast_factor: TorchTensor) -> TorchTensor:
    mean = images.mean((-3, -2), keepdim=True)
    return (images - mean) * contrast_factor + mean


op("AdjustContrastv2", "images:T, contrast_factor:float32 -> T", _contrast, shape=same)


@tf_export("image.adjust_contrast")
def adjust_contrast(images: Any, contrast_factor: Any) -> Any:
    factor = convert_to_tensor(contrast_factor, dtypes.float32)
    return _as_float(images, lambda v: apply_op("AdjustContrastv2", v, factor), None, "adjust_contrast")


@tf_export("image.adjust_gamma")
def adjust_gamma(image: Any, gamma: float = 1, gain: float = 1) -> Any:
    if isinstance(gamma, (int, float)) and gamma < 0:
        raise ValueError("Gamma should be a non-negative real number.")
    return _as_float(image, lambda v: gain * v**gamma, None, "adjust_gamma")


def _to_hsv(images: TorchTensor) -> TorchTensor:
    value, chroma = images.amax(-1), images.amax(-1) - images.amin(-1)
    r, g, b = images.unbind(-1)
    saturation = torch.where(value > 0, chroma / torch.where(value > 0, value, 1.0), 0.0)
    norm = 1.0 / (6.0 * torch.where(chroma > 0, chroma, 1.0))
    hue = torch.where(
        r == value, norm * (g - b), torch.where(g == value, norm * (b - r) + 2.0 / 6.0, norm * (r - g) + 4.0 / 6.0)
    )
    hue = torch.where(chroma > 0, hue, 0.0)
    return torch.stack([torch.where(hue < 0, hue + 1.0, hue), saturation, value], -1)


def _to_rgb(images: TorchTensor) -> TorchTensor:
    hue, saturation, value = images.unbind(-1)
    chroma = saturation * value
    position = hue * 6.0

    def ramp(shift):
        return ((position - shift).abs() - 1.0).clamp(0.0, 1.0)

    red, green, blue = (
        ramp(3.0),
        (2.0 - (position - 2.0).abs()).clamp(0.0, 1.0),
        (2.0 - (position - 4.0).abs()).clamp(0.0, 1.0),
    )
    base = value - chroma
    return torch.stack([base + chroma * c for c in (red, green, blue)], -1)


op("RGBToHSV", "images:T -> T", _to_hsv, shape=same)
op("HSVToRGB", "images:T -> T", _to_rgb, shape=same)
export(lambda images, name=None: apply_op("RGBToHSV", images, name=name), "image.rgb_to_hsv")
export(lambda images, name=None: apply_op("HSVToRGB", images, name=name), "image.hsv_to_rgb")


def _adjust_hue(images: TorchTensor, delta: TorchTensor) -> TorchTensor:
    hsv = _to_hsv(images)
    return _to_rgb(torch.stack([torch.remainder(hsv[..., 0] + delta, 1.0), hsv[..., 1], hsv[..., 2]], -1))


def _adjust_saturation(images: TorchTensor, scale: TorchTensor) -> TorchTensor:
    hsv = _to_hsv(images)
    return _to_rgb(torch.stack([hsv[..., 0], (hsv[..., 1] * scale).clamp(0.0, 1.0), hsv[..., 2]], -1))


op("AdjustHue", "images:T, delta:float32 -> T", _adjust_hue, diff=False, shape=same)
op("AdjustSaturation", "images:T, scale:float32 -> T", _adjust_saturation, diff=False, shape=same)


@tf_export("image.adjust_hue")
def adjust_hue(image: Any, delta: Any, name: str | None = None) -> Any:
    return _as_float(
        image,
        lambda v: apply_op("AdjustHue", v, convert_to_tensor(delta, dtypes.float32)),
        name,
        "adjust_hue",
        clip=False,
    )


@tf_export("image.adjust_saturation")
def adjust_saturation(image: Any, saturation_factor: Any, name: str | None = None) -> Any:
    factor = convert_to_tensor(saturation_factor, dtypes.float32)
    return _as_float(image, lambda v: apply_op("AdjustSaturation", v, factor), name, "adjust_saturation", clip=False)


def _random_change(name: str, change: Callable[..., Any], one_value: bool) -> None:
    """A change by a uniform amount: in [-d, d), or in [lower, upper)."""

    def by_delta(image: Any, max_delta: float, seed: int | None = None) -> Any:
        if max_delta < 0:
            raise ValueError("max_delta must be non-negative.")
        return change(image, random.random_uniform([], -max_delta, max_delta, seed=seed))

    def between(image: Any, lower: float, upper: float, seed: int | None = None) -> Any:
        if upper <= lower:
            raise ValueError("upper must be > lower.")
        if lower < 0:
            raise ValueError("lower must be non-negative.")
        return change(image, random.random_uniform([], lower, upper, seed=seed))

    export(by_delta if one_value else between, f"image.{name}")


_random_change("random_brightness", adjust_brightness, True)
_random_change("random_hue", adjust_hue, True)
_random_change("random_contrast", adjust_contrast, False)
_random_change("random_saturation", adjust_saturation, False)

_YUV = np.array([[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]])
_YUV_BACK = np.array([[1, 1, 1], [0, -0.394642334, 2.03206185], [1.13988303, -0.58062185, 0]])
_YIQ = np.array([[0.299, 0.59590059, 0.2115], [0.587, -0.27455667, -0.52273617], [0.114, -0.32134392, 0.31119955]])
_YIQ_BACK = np.array([[1, 1, 1], [0.95598634, -0.27201283, -1.10674021], [0.6208248, -0.64720424, 1.70423049]])


def _colour_space(name: str, matrix: np.ndarray) -> None:
    def convert(images: Any) -> Any:
        images = convert_to_tensor(images, name="images")
        kernel = convert_to_tensor(matrix, dtype=images.dtype.base_dtype, name="kernel")
        return tensordot(images, kernel, axes=[[images.get_shape().ndims - 1], [0]])

    export(convert, f"image.{name}")


for _name, _matrix in (
    ("rgb_to_yuv", _YUV),
    ("yuv_to_rgb", _YUV_BACK),
    ("rgb_to_yiq", _YIQ),
    ("yiq_to_rgb", _YIQ_BACK),
):
    _colour_space(_name, _matrix)


@tf_export("image.rgb_to_grayscale")
def rgb_to_grayscale(images: Any, name: str | None = None) -> Any:
    def grey(values: Any) -> Any:
        weights = convert_to_tensor([0.2989, 0.5870, 0.1140], dtype=values.dtype.base_dtype)
        return apply_op("ExpandDims", tensordot(values, weights, [[values.get_shape().ndims - 1], [0]]), -1)

    return _as_float(images, grey, name, "rgb_to_grayscale", clip=False)


@tf_export("image.grayscale_to_rgb")
def grayscale_to_rgb(images: Any, name: str | None = None) -> Any:
    with name_scope(name, "grayscale_to_rgb", [images]):
        images = convert_to_tensor(images, name="images")
        out = tile(images, [1] * (images.get_shape().ndims - 1) + [3])
        return out


@tf_export("image.per_image_standardization")
def per_image_standardization(image: Any) -> Any:
    """Zero mean and unit variance, with a floor on the deviation."""
    with name_scope(None, "per_image_standardization", [image]) as scope:
        image = convert_to_tensor(image, name="image")
        pixels = image.get_shape()[-3:].num_elements()
        image = cast(image, dtypes.float32)
        mean = reduce_mean(image, [-1, -2, -3], keepdims=True)
        variance = reduce_mean(apply_op("Square", image), [-1, -2, -3], keepdims=True) - apply_op("Square", mean)
        deviation = apply_op("Sqrt", apply_op("Relu", variance))
        floor = apply_op("Rsqrt", convert_to_tensor(float(pixels)))
        return apply_op("RealDiv", apply_op("Sub", image, mean), apply_op("Maximum", deviation, floor), name=scope)


@tf_export("image.psnr")
def psnr(a: Any, b: Any, max_val: Any, name: str | None = None) -> Any:
    with name_scope(name, "PSNR", [a, b]):
        top = convert_image_dtype(
            convert_to_tensor(max_val, dtype=convert_to_tensor(a).dtype.base_dtype), dtypes.float32
        )
        a, b = convert_image_dtype(a, dtypes.float32), convert_image_dtype(b, dtypes.float32)
        error = reduce_mean(apply_op("SquaredDifference", a, b), [-3, -2, -1])
        return apply_op(
            "Sub",
            20 * apply_op("Log", top) / math.log(10.0),
            np.float32(10 / np.log(10)) * apply_op("Log", error),
            name="psnr",
        )


def _ssim(
    a: TorchTensor, b: TorchTensor, max_val: float, filter_size: int, filter_sigma: float, k1: float, k2: float
) -> TorchTensor:
    """Wang et al.'s structural similarity with a Gaussian window, per image."""
    single = a.dim() == 3
    first, second = (t.unsqueeze(0) if single else t for t in (a, b))
    first, second = first.movedim(-1, 1), second.movedim(-1, 1)
    grid = torch.arange(filter_size, dtype=torch.float32) - (filter_size - 1) / 2
    line = torch.exp(-0.5 * (grid / filter_sigma) ** 2)
    window = torch.softmax(torch.log(torch.outer(line, line)).reshape(-1), 0).reshape(1, 1, filter_size, filter_size)
    channels = first.shape[1]

    def blur(t):
        return torch.nn.functional.conv2d(t, window.expand(channels, 1, -1, -1), groups=channels)

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean0, mean1 = blur(first), blur(second)
    cross, squares = mean0 * mean1 * 2.0, mean0**2 + mean1**2
    luminance = (cross + c1) / (squares + c1)
    structure = (blur(first * second) * 2.0 - cross + c2) / (blur(first**2 + second**2) - squares + c2)
    out = (luminance * structure).mean((-2, -1)).mean(-1)
    return out[0] if single else out


op(
    "SSIM",
    "a:float32, b:float32 -> float32",
    _ssim,
    shape=lambda o: o.inputs[0].shape[:-3] if o.inputs[0].shape.ndims else TensorShape(None),
)


@tf_export("image.ssim")
def ssim(
    img1: Any,
    img2: Any,
    max_val: float,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Any:
    with name_scope(None, "SSIM", [img1, img2]):
        a, b = convert_image_dtype(img1, dtypes.float32), convert_image_dtype(img2, dtypes.float32)
        return apply_op(
            "SSIM", a, b, max_val=float(max_val), filter_size=filter_size, filter_sigma=filter_sigma, k1=k1, k2=k2
        )
