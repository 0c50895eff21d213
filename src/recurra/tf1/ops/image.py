"""tf.image: resizing, geometry and boxes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import random
from recurra.tf1.ops.array_move import reverse
from recurra.tf1.ops.array_shape import expand_dims, shape, squeeze, transpose
from recurra.tf1.ops.compute import resize
from recurra.tf1.ops.indexing import slice_
from recurra.tf1.ops.math_reduce import reduce_sum
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.shapes import TensorShape

__all__ = ["resize_images"]


# -- resizing -----------------------------------------------------------------------------------------------------------------  # noqa: E501
def _resize_shape(operation: Any) -> TensorShape:
    images, size = operation.inputs[0].shape.with_rank(4), constant_value(operation.inputs[1])
    dims = images.values or (None,) * 4
    height, width = (None, None) if size is None else (int(s) for s in size)
    return TensorShape([dims[0], height, width, dims[3]])


def _resizer(method: Callable[..., TorchTensor], halves: bool = True) -> Callable[..., TorchTensor]:
    def lower(
        images: TorchTensor, size: TorchTensor, align_corners: bool = False, half_pixel_centers: bool = False
    ) -> TorchTensor:
        height, width = size.tolist()
        return method(images, height, width, align_corners, *([half_pixel_centers] if halves else []))

    return lower


for _kind, _fn, _out, _halves, _name in (
    ("ResizeBilinear", resize.bilinear, "float32", True, "resize_bilinear"),
    ("ResizeBicubic", resize.bicubic, "float32", True, "resize_bicubic"),
    ("ResizeArea", resize.area, "float32", False, "resize_area"),
    ("ResizeNearestNeighbor", resize.nearest, "T", True, "resize_nearest_neighbor"),
):
    op(_kind, f"images:T, size:int32 -> {_out}", _resizer(_fn, _halves), shape=_resize_shape)

    def _resize_function(
        images: Any,
        size: Any,
        align_corners: bool = False,
        name: str | None = None,
        half_pixel_centers: bool = False,
        _kind: str = _kind,
    ) -> Any:
        return apply_op(
            _kind, images, size, align_corners=align_corners, half_pixel_centers=half_pixel_centers, name=name
        )

    export(_resize_function, f"image.{_name}")


@tf_export("image.ResizeMethod")
class ResizeMethod:
    BILINEAR, NEAREST_NEIGHBOR, BICUBIC, AREA = 0, 1, 2, 3


_METHODS = {0: "ResizeBilinear", 1: "ResizeNearestNeighbor", 2: "ResizeBicubic", 3: "ResizeArea"}


@tf_export("image.resize_images", "image.resize")
def resize_images(
    images: Any,
    size: Any,
    method: Any = ResizeMethod.BILINEAR,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
    name: str | None = None,
) -> Any:
    with name_scope(name, "resize", [images, size]):
        images = convert_to_tensor(images, name="images")
        rank = images.get_shape().ndims
        if rank is None:
            raise ValueError("'images' contains no shape.")
        if rank not in (3, 4):
            raise ValueError("'images' must have either 3 or 4 dimensions.")
        single = rank == 3
        if single:
            images = expand_dims(images, 0)
        size = convert_to_tensor(size, dtype=dtypes.int32, name="size")
        if size.get_shape().ndims != 1 or size.get_shape().values != (2,):
            raise ValueError("'size' must be a 1-D Tensor of 2 elements: new_height, new_width")
        wanted, dims = constant_value(size), images.get_shape().values or ()
        if wanted is not None and tuple(int(s) for s in wanted) == dims[1:3]:
            return squeeze(images, [0]) if single else images
        if method not in _METHODS:
            raise ValueError("Resize method is not implemented.")
        out = apply_op(_METHODS[method], images, size, align_corners=align_corners, half_pixel_centers=False)
        return squeeze(out, [0]) if single else out


# -- geometry -----------------------------------------------------------------------------------------------------------------  # noqa: E501
def _assert_image(image: Any) -> Any:
    image = convert_to_tensor(image, name="image")
    if image.get_shape().ndims not in (None, 3, 4):
        raise ValueError("'image' must have either 3 or 4 dimensions.")
    return image


def _flip(axis_from_end: int, label: str) -> Callable[[Any], Any]:
    def flip(image: Any) -> Any:
        with name_scope(None, label, [image]):
            image = _assert_image(image)
            return reverse(image, [(image.get_shape().ndims or 3) - axis_from_end])

    return export(flip, f"image.{label}")


flip_left_right, flip_up_down = _flip(2, "flip_left_right"), _flip(3, "flip_up_down")


def _random_flip(flip: Callable[[Any], Any], name: str) -> None:
    def random_flip(image: Any, seed: int | None = None) -> Any:
        with name_scope(None, name, [image]) as scope:
            image = _assert_image(image)
            if image.get_shape().ndims == 4:
                batch = shape(image)[0]
                draws = random.random_uniform(apply_op("Pack", [batch], axis=0), seed=seed)
                flips = apply_op("Reshape", apply_op("Round", draws), [-1, 1, 1, 1])
                flips = cast(flips, image.dtype.base_dtype)
                return flips * flip(image) + (1 - flips) * image
            draw = random.random_uniform([], 0, 1.0, seed=seed)
            from recurra.tf1.control_flow import cond

            return cond(apply_op("Less", draw, 0.5), lambda: flip(image), lambda: image, name=scope)

    export(random_flip, f"image.{name}")


_random_flip(flip_left_right, "random_flip_left_right")
_random_flip(flip_up_down, "random_flip_up_down")


@tf_export("image.transpose_image", "image.transpose")
def transpose_image(image: Any, name: str | None = None) -> Any:
    image = _assert_image(image)
    return transpose(image, [1, 0, 2] if image.get_shape().ndims == 3 else [0, 2, 1, 3])


@tf_export("image.rot90")
def rot90(image: Any, k: int = 1, name: str | None = None) -> Any:
    """Counter-clockwise quarter turns."""
    with name_scope(name, "rot90", [image, k]):
        image = _assert_image(image)
        turns = int(constant_value(convert_to_tensor(k)) if hasattr(k, "op") else k) % 4
        if turns == 1:
            return transpose_image(flip_left_right(image))
        if turns == 2:
            return flip_up_down(flip_left_right(image))
        return flip_left_right(transpose_image(image)) if turns == 3 else image


def _batched(image: Any) -> tuple[Any, bool]:
    image = _assert_image(image)
    return (expand_dims(image, 0), True) if image.get_shape().ndims == 3 else (image, False)


@tf_export("image.crop_to_bounding_box")
def crop_to_bounding_box(
    image: Any, offset_height: Any, offset_width: Any, target_height: Any, target_width: Any
) -> Any:
    with name_scope(None, "crop_to_bounding_box", [image]):
        image, single = _batched(image)
        dims = image.get_shape().as_list()
        for label, offset, target, have in (
            ("height", offset_height, target_height, dims[1]),
            ("width", offset_width, target_width, dims[2]),
        ):
            if isinstance(offset, int) and offset < 0:
                raise ValueError(f"offset_{label} must be >= 0.")
            if isinstance(target, int) and isinstance(offset, int) and have is not None and have < target + offset:
                raise ValueError(f"{label} must be >= target + offset.")
        size = apply_op("Pack", [-1, target_height, target_width, -1], axis=0)
        out = slice_(image, apply_op("Pack", [0, offset_height, offset_width, 0], axis=0), size)

        def known(v):
            return v if isinstance(v, int) else None

        out.set_shape([dims[0], known(target_height), known(target_width), dims[3]])
        return squeeze(out, [0]) if single else out


@tf_export("image.pad_to_bounding_box")
def pad_to_bounding_box(
    image: Any, offset_height: Any, offset_width: Any, target_height: Any, target_width: Any
) -> Any:
    with name_scope(None, "pad_to_bounding_box", [image]):
        image, single = _batched(image)
        dims, dynamic = image.get_shape().as_list(), shape(image)
        height = dims[1] if dims[1] is not None else dynamic[1]
        width = dims[2] if dims[2] is not None else dynamic[2]
        below, right = target_height - offset_height - height, target_width - offset_width - width
        for label, value in (
            ("offset_height must be >= 0", offset_height),
            ("offset_width must be >= 0", offset_width),
            ("width must be <= target - offset", right),
            ("height must be <= target - offset", below),
        ):
            if isinstance(value, int) and value < 0:
                raise ValueError(label)
        flat = [0, 0, offset_height, below, offset_width, right, 0, 0]
        paddings = apply_op("Reshape", apply_op("Pack", flat, axis=0), [4, 2])
        out = apply_op("Pad", image, paddings)

        def known(v):
            return v if isinstance(v, int) else None

        out.set_shape([dims[0], known(target_height), known(target_width), dims[3]])
        return squeeze(out, [0]) if single else out


@tf_export("image.resize_image_with_crop_or_pad", "image.resize_with_crop_or_pad")
def resize_image_with_crop_or_pad(image: Any, target_height: int, target_width: int) -> Any:
    """Cut or pad around the centre."""
    with name_scope(None, "resize_image_with_crop_or_pad", [image]):
        image, single = _batched(image)
        height, width = image.get_shape().as_list()[1:3]
        if height is None or width is None:
            raise NotImplementedError("tf.image.resize_image_with_crop_or_pad of images of unknown size")
        wide, high = target_width - width, target_height - height
        cut = crop_to_bounding_box(
            image, max(-high // 2, 0), max(-wide // 2, 0), min(target_height, height), min(target_width, width)
        )
        out = pad_to_bounding_box(cut, max(high // 2, 0), max(wide // 2, 0), target_height, target_width)
        return squeeze(out, [0]) if single else out


@tf_export("image.central_crop")
def central_crop(image: Any, central_fraction: float) -> Any:
    with name_scope(None, "central_crop", [image]):
        image = _assert_image(image)
        if central_fraction <= 0.0 or central_fraction > 1.0:
            raise ValueError("central_fraction must be within (0, 1]")
        if central_fraction == 1.0:
            return image
        height, width = image.get_shape().as_list()[-3:-1]
        if height is None or width is None:
            raise NotImplementedError("tf.image.central_crop of images of unknown size")
        top, left = int((height - height * central_fraction) / 2), int((width - width * central_fraction) / 2)
        return crop_to_bounding_box(image, top, left, height - 2 * top, width - 2 * left)


# -- measures -----------------------------------------------------------------------------------------------------------------  # noqa: E501
@tf_export("image.total_variation")
def total_variation(images: Any, name: str | None = None) -> Any:
    with name_scope(name, "total_variation"):
        images = convert_to_tensor(images)
        rank = images.get_shape().ndims
        if rank == 3:
            down, across, axes = images[1:] - images[:-1], images[:, 1:] - images[:, :-1], None
        elif rank == 4:
            down, across, axes = images[:, 1:] - images[:, :-1], images[:, :, 1:] - images[:, :, :-1], [1, 2, 3]
        else:
            raise ValueError("'images' must be either 3 or 4-dimensional.")
        return reduce_sum(apply_op("Abs", down), axes) + reduce_sum(apply_op("Abs", across), axes)


@tf_export("image.image_gradients")
def image_gradients(image: Any) -> tuple[Any, Any]:
    if image.get_shape().ndims != 4:
        raise ValueError(f"image_gradients expects a 4D tensor [batch_size, h, w, d], not {image.get_shape()}.")
    down = apply_op("Pad", image[:, 1:] - image[:, :-1], [[0, 0], [0, 1], [0, 0], [0, 0]])
    across = apply_op("Pad", image[:, :, 1:] - image[:, :, :-1], [[0, 0], [0, 0], [0, 1], [0, 0]])
    return down, across


@tf_export("image.sobel_edges")
def sobel_edges(image: Any) -> Any:
    from recurra.tf1.ops.nn_conv_functions import depthwise_conv2d_native

    channels = image.get_shape().as_list()[3]
    kernel = np.array(
        [[[-1, -2, -1], [0, 0, 0], [1, 2, 1]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]], np.float32
    ).transpose(1, 2, 0)
    filters = np.tile(kernel[:, :, None, :], [1, 1, channels, 1])
    padded = apply_op("MirrorPad", image, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    out = depthwise_conv2d_native(padded, filters, [1, 1, 1, 1], "VALID")
    result = apply_op("Reshape", out, apply_op("ConcatV2", [shape(image), [2]], 0))
    result.set_shape(image.get_shape().concatenate([2]))
    return result


# -- boxes --------------------------------------------------------------------------------------------------------------------  # noqa: E501
def _crop_and_resize(
    image: TorchTensor,
    boxes: TorchTensor,
    box_ind: TorchTensor,
    crop_size: TorchTensor,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
) -> TorchTensor:
    height, width = crop_size.tolist()
    crops = []
    for box, index in zip(boxes, box_ind.tolist(), strict=True):
        top, left, bottom, right = box
        rows, inside_rows = _box_positions(top, bottom, image.shape[1], height)
        columns, inside_columns = _box_positions(left, right, image.shape[2], width)
        picked = _interpolated(image[index].float(), rows, columns, method)
        inside = (inside_rows.unsqueeze(1) & inside_columns.unsqueeze(0)).unsqueeze(-1)
        crops.append(torch.where(inside, picked, torch.tensor(extrapolation_value)))
    return torch.stack(crops) if crops else torch.zeros(0, height, width, image.shape[3])


def _box_positions(low: TorchTensor, high: TorchTensor, size: int, count: int) -> tuple[TorchTensor, TorchTensor]:
    if count > 1:
        at = low * (size - 1) + torch.arange(count) * ((high - low) * (size - 1) / (count - 1))
    else:
        at = (0.5 * (low + high) * (size - 1)).reshape(1)
    return at, (at >= 0) & (at <= size - 1)


def _interpolated(image: TorchTensor, rows: TorchTensor, columns: TorchTensor, method: str) -> TorchTensor:
    def clip(at, size):
        return at.clamp(0, size - 1)

    if method == "nearest":
        return image[clip(rows.round(), image.shape[0]).long()][:, clip(columns.round(), image.shape[1]).long()]
    top, left = clip(rows.floor(), image.shape[0]).long(), clip(columns.floor(), image.shape[1]).long()
    bottom, right = clip(rows.ceil(), image.shape[0]).long(), clip(columns.ceil(), image.shape[1]).long()
    dy, dx = (rows - rows.floor()).view(-1, 1, 1), (columns - columns.floor()).view(1, -1, 1)
    upper = image[top][:, left] + (image[top][:, right] - image[top][:, left]) * dx
    lower = image[bottom][:, left] + (image[bottom][:, right] - image[bottom][:, left]) * dx
    return upper + (lower - upper) * dy


def _crop_shape(operation: Any) -> TensorShape:
    size = constant_value(operation.inputs[3])
    sides = [None, None] if size is None else [int(s) for s in size]
    boxes, dims = operation.inputs[1].shape.values, operation.inputs[0].shape.values
    return TensorShape([boxes[0] if boxes else None, *sides, dims[3] if dims else None])


op(
    "CropAndResize",
    "image:T, boxes:float32, box_ind:int32, crop_size:int32 -> float32",
    _crop_and_resize,
    shape=_crop_shape,
)


@tf_export("image.crop_and_resize")
def crop_and_resize(
    image: Any,
    boxes: Any,
    box_ind: Any = None,
    crop_size: Any = None,
    method: str = "bilinear",
    extrapolation_value: float = 0,
    name: str | None = None,
    box_indices: Any = None,
) -> Any:
    index = box_ind if box_indices is None else box_indices
    return apply_op(
        "CropAndResize",
        image,
        boxes,
        index,
        crop_size,
        method=method,
        extrapolation_value=float(extrapolation_value),
        name=name,
    )


def _suppressed(
    boxes: TorchTensor, scores: TorchTensor, limit: int, iou_threshold: float, score_threshold: float
) -> TorchTensor:
    top, left = torch.minimum(boxes[:, 0], boxes[:, 2]), torch.minimum(boxes[:, 1], boxes[:, 3])
    bottom, right = torch.maximum(boxes[:, 0], boxes[:, 2]), torch.maximum(boxes[:, 1], boxes[:, 3])
    areas = (bottom - top) * (right - left)
    kept: list[int] = []
    for candidate in torch.argsort(scores, descending=True, stable=True).tolist():
        if len(kept) >= limit or float(scores[candidate]) <= score_threshold:
            break
        if all(_overlap(candidate, other, top, left, bottom, right, areas) <= iou_threshold for other in kept):
            kept.append(candidate)
    return torch.tensor(kept, dtype=torch.int32)


def _overlap(
    a: int, b: int, top: TorchTensor, left: TorchTensor, bottom: TorchTensor, right: TorchTensor, areas: TorchTensor
) -> float:
    height = max(float(min(bottom[a], bottom[b]) - max(top[a], top[b])), 0.0)
    width = max(float(min(right[a], right[b]) - max(left[a], left[b])), 0.0)
    if float(areas[a]) <= 0 or float(areas[b]) <= 0:
        return 0.0
    return height * width / (float(areas[a] + areas[b]) - height * width)


op(
    "NonMaxSuppressionV3",
    "boxes:T, scores:T, max_output_size:int32, iou_threshold:float32, score_threshold:float32 -> int32",
    lambda boxes, scores, max_output_size, iou_threshold, score_threshold: _suppressed(
        boxes, scores, int(max_output_size), float(iou_threshold), float(score_threshold)
    ),
    diff=False,
    shape=lambda o: TensorShape([None]),
)


@tf_export("image.non_max_suppression")
def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
    name: str | None = None,
) -> Any:
    with name_scope(name, "non_max_suppression"):
        return apply_op(
            "NonMaxSuppressionV3",
            boxes,
            scores,
            max_output_size,
            convert_to_tensor(iou_threshold, dtypes.float32),
            convert_to_tensor(score_threshold, dtypes.float32),
        )


_COLOURS = [
    [1, 1, 0, 1],
    [0, 0, 1, 1],
    [1, 0, 0, 1],
    [0, 1, 0, 1],
    [0.5, 0, 0.5, 1],
    [0.5, 0.5, 0, 1],
    [0.5, 0, 0, 1],
    [0, 0, 0.5, 1],
    [0, 1, 1, 1],
    [1, 0, 1, 1],
]


def _draw_boxes(images: TorchTensor, boxes: TorchTensor) -> TorchTensor:
    out = images.clone()
    height, width, depth = images.shape[1:]
    for n in range(images.shape[0]):
        for b, box in enumerate(boxes[n].tolist()):
            colour = torch.tensor(_COLOURS[b % len(_COLOURS)][:depth] if depth > 1 else [1.0], dtype=images.dtype)
            top, left = int(box[0] * (height - 1)), int(box[1] * (width - 1))
            bottom, right = int(box[2] * (height - 1)), int(box[3] * (width - 1))
            if top > bottom or left > right or bottom < 0 or right < 0 or top >= height or left >= width:
                continue
            rows, columns = (
                slice(max(top, 0), min(bottom, height - 1) + 1),
                slice(max(left, 0), min(right, width - 1) + 1),
            )
            for row in (top, bottom):
                if 0 <= row < height:
                    out[n, row, columns] = colour
            for column in (left, right):
                if 0 <= column < width:
                    out[n, rows, column] = colour
    return out


op("DrawBoundingBoxes", "images:T, boxes:float32 -> T", _draw_boxes, diff=False, shape=same)


@tf_export("image.draw_bounding_boxes")
def draw_bounding_boxes(images: Any, boxes: Any, name: str | None = None, colors: Any = None) -> Any:
    return apply_op("DrawBoundingBoxes", images, boxes, name=name)


def _glimpse(
    input: TorchTensor, size: TorchTensor, offsets: TorchTensor, centered: bool = True, normalized: bool = True
) -> TorchTensor:
    """Windows around the offsets; what lies outside is uniform noise."""
    height, width = size.tolist()
    rows, columns = input.shape[1:3]
    out = torch.rand(input.shape[0], height, width, input.shape[3])
    for n, (y, x) in enumerate(offsets.tolist()):
        if normalized:
            y, x = y * rows, x * columns
        if centered:
            y, x = y / 2 + rows / 2, x / 2 + columns / 2
        y, x = y - height / 2, x - width / 2
        for i in range(height):
            for j in range(width):
                r, c = int(np.floor(y + i)) if y + i >= 0 else -1, int(np.floor(x + j)) if x + j >= 0 else -1
                if 0 <= r < rows and 0 <= c < columns:
                    out[n, i, j] = input[n, r, c]
    return out


op("ExtractGlimpse", "input:float32, size:int32, offsets:float32 -> float32", _glimpse, diff=False, shape=_resize_shape)


@tf_export("image.extract_glimpse")
def extract_glimpse(
    input: Any,
    size: Any,
    offsets: Any,
    centered: bool = True,
    normalized: bool = True,
    uniform_noise: bool = True,
    name: str | None = None,
) -> Any:
    return apply_op("ExtractGlimpse", input, size, offsets, centered=centered, normalized=normalized, name=name)


# -- files --------------------------------------------------------------------------------------------------------------------  # noqa: E501
def _decode(contents: Any, channels: int = 0, dtype: Any = dtypes.uint8) -> TorchTensor:
    from PIL import Image

    picture = Image.open(io.BytesIO(contents.item()))
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if channels:
        picture = picture.convert(modes[channels])
    elif picture.mode not in ("L", "RGB", "RGBA", "LA"):
        picture = picture.convert("RGB")
    array = np.array(picture)
    array = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype.torch)


def _encoder(label: str) -> Callable[..., np.ndarray]:
    def encode(image: TorchTensor, quality: int = 95) -> np.ndarray:
        from PIL import Image

        array = image.detach().numpy()
        picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
        buffer = io.BytesIO()
        picture.save(buffer, label, **({"quality": quality} if label == "JPEG" else {}))
        out = np.empty((), object)
        out[()] = buffer.getvalue()
        return out

    return encode


for _kind, _name in (
    ("DecodePng", "decode_png"),
    ("DecodeJpeg", "decode_jpeg"),
    ("DecodeBmp", "decode_bmp"),
    ("DecodeImage", "decode_image"),
):
    op(
        _kind,
        "contents:string -> dtype",
        _decode,
        diff=False,
        shape=lambda o: TensorShape([None, None, o.attrs.get("channels") or None]),
    )

    def _decode_function(
        contents: Any,
        channels: int = 0,
        dtype: Any = dtypes.uint8,
        name: str | None = None,
        _kind: str = _kind,
        **_: Any,
    ) -> Any:
        kind = dtypes.as_dtype(dtype) if not isinstance(dtype, int) else dtypes.uint8
        return apply_op(_kind, contents, channels=channels or 0, dtype=kind, name=name)

    export(_decode_function, f"image.{_name}", f"io.{_name}")
for _kind, _label, _name in (("EncodePng", "PNG", "encode_png"), ("EncodeJpeg", "JPEG", "encode_jpeg")):
    op(_kind, "image:T -> string", _encoder(_label), diff=False, shape=lambda o: TensorShape([]))
    export(
        (lambda kind: lambda image, *_, name=None, **__: apply_op(kind, image, name=name))(_kind),
        f"image.{_name}",
        f"io.{_name}",
    )
