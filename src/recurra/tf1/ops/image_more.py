"""tf.image: what a JPEG is, letterboxes, the younger forms of non-maximum suppression."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops.image import _overlap
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["non_max_suppression_with_scores", "resize_image_with_pad"]

tf = space("")


@tf_export("image.is_jpeg", "io.is_jpeg")
def is_jpeg(contents: Any, name: str | None = None) -> Any:
    """Whether the bytes start as a JPEG file does."""
    with name_scope(name, "is_jpeg"):
        return tf.equal(tf.substr(contents, 0, 3), b"\xff\xd8\xff", name=name)


def _picture(contents: np.ndarray) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(contents.item()))


def _jpeg_shape(contents: np.ndarray, output_type: Any = dtypes.int32) -> TorchTensor:
    picture = _picture(contents)
    return torch.tensor([picture.height, picture.width, len(picture.getbands())], dtype=output_type.torch)


op("ExtractJpegShape", "contents:string -> output_type", _jpeg_shape, shape=lambda o: TensorShape([3]), diff=False)


@tf_export("image.extract_jpeg_shape", "io.extract_jpeg_shape")
def extract_jpeg_shape(contents: Any, output_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """[height, width, channels] without decoding the picture."""
    return apply_op("ExtractJpegShape", contents, output_type=dtypes.as_dtype(output_type), name=name)


def _frames(contents: np.ndarray) -> TorchTensor:
    from PIL import ImageSequence

    frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(_picture(contents))]
    return torch.from_numpy(np.stack(frames))


op(
    "DecodeGif",
    "contents:string -> uint8",
    _frames,
    shape=lambda o: TensorShape([None, None, None, 3]),
    diff=False,
)


@tf_export("image.decode_gif", "io.decode_gif")
def decode_gif(contents: Any, name: str | None = None) -> Any:
    """[frames, height, width, 3] uint8."""
    return apply_op("DecodeGif", contents, name=name)


def _decode_and_crop(
    contents: Any, crop_window: Any, channels: int = 0, *args: Any, name: str | None = None, **kwargs: Any
) -> Any:
    """A window [y, x, height, width] of a JPEG."""
    window = tf.unstack(convert_to_tensor(crop_window, dtype=dtypes.int32))
    whole = tf.image.decode_jpeg(contents, channels)
    return tf.image.crop_to_bounding_box(whole, *window)


export(_decode_and_crop, "image.decode_and_crop_jpeg", "io.decode_and_crop_jpeg")


@tf_export("image.resize_image_with_pad")
def resize_image_with_pad(
    image: Any, target_height: int, target_width: int, method: int = 0, align_corners: bool = False
) -> Any:
    """Resized to fit, the rest of the target black."""
    with name_scope(None, "resize_image_with_pad", [image]):
        image = convert_to_tensor(image, name="image")
        single = image.shape.ndims == 3
        batch = tf.expand_dims(image, 0) if single else image
        height, width = (int(n) for n in batch.shape.as_list()[1:3])
        if target_height <= 0 or target_width <= 0:
            raise ValueError("target_height must be > 0." if target_height <= 0 else "target_width must be > 0.")
        ratio = max(width / target_width, height / target_height)
        shown_height, shown_width = int(np.floor(height / ratio)), int(np.floor(width / ratio))
        top = max(0, int(np.floor((target_height - height / ratio) / 2)))
        left = max(0, int(np.floor((target_width - width / ratio) / 2)))
        small = tf.image.resize_images(batch, [shown_height, shown_width], method, align_corners=align_corners)
        padded = tf.image.pad_to_bounding_box(small, top, left, target_height, target_width)
        return tf.squeeze(padded, [0]) if single else padded


def _greedy(
    scores: TorchTensor, overlap: Callable[[int, int], float], limit: int, most: float, least: float, sigma: float = 0.0
) -> tuple[TorchTensor, TorchTensor]:
    """Boxes by falling score, without those that overlap a kept one by more than `most`; with sigma they lose score."""
    left = {i: float(s) for i, s in enumerate(scores.tolist()) if s > least}
    kept: list[int] = []
    values: list[float] = []
    while left and len(kept) < limit:
        best = max(left, key=lambda i: (left[i], -i))
        value = left.pop(best)
        kept.append(best)
        values.append(value)
        for other in list(left):
            share = overlap(best, other)
            if sigma > 0:
                left[other] = left[other] * np.exp(-0.5 * share * share / sigma) if share <= most else 0.0
            if (sigma <= 0 and share > most) or (sigma > 0 and left[other] <= least):
                del left[other]
    return torch.tensor(kept, dtype=torch.int32), torch.tensor(values, dtype=scores.dtype)


def _box_overlap(boxes: TorchTensor) -> Callable[[int, int], float]:
    top, left = torch.minimum(boxes[:, 0], boxes[:, 2]), torch.minimum(boxes[:, 1], boxes[:, 3])
    bottom, right = torch.maximum(boxes[:, 0], boxes[:, 2]), torch.maximum(boxes[:, 1], boxes[:, 3])
    areas = (bottom - top) * (right - left)
    return lambda a, b: _overlap(a, b, top, left, bottom, right, areas)


def _padded(
    boxes: TorchTensor,
    scores: TorchTensor,
    max_output_size: TorchTensor,
    iou_threshold: TorchTensor,
    score_threshold: TorchTensor,
    soft_nms_sigma: TorchTensor,
    pad_to_max_output_size: bool = False,
) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
    limit, sigma = int(max_output_size), float(soft_nms_sigma)
    found, values = _greedy(scores, _box_overlap(boxes), limit, float(iou_threshold), float(score_threshold), sigma)
    count = torch.tensor(len(found), dtype=torch.int32)
    if pad_to_max_output_size:
        found = torch.nn.functional.pad(found, (0, limit - len(found)))
        values = torch.nn.functional.pad(values, (0, limit - len(values)))
    return found, values, count


op(
    "NonMaxSuppressionV5",
    "boxes:T, scores:T, max_output_size:int32, iou_threshold:T, score_threshold:T, soft_nms_sigma:T -> int32, T, int32",
    _padded,
    diff=False,
    shape=lambda o: [TensorShape([None]), TensorShape([None]), TensorShape([])],
)


@tf_export("image.non_max_suppression_with_scores")
def non_max_suppression_with_scores(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
    soft_nms_sigma: float = 0.0,
    name: str | None = None,
) -> tuple[Any, Any]:
    """(indices, scores) of the kept boxes; with soft_nms_sigma overlapping boxes lose score instead of going."""
    with name_scope(name, "non_max_suppression_with_scores"):
        found = apply_op(
            "NonMaxSuppressionV5", boxes, scores, max_output_size, iou_threshold, score_threshold, soft_nms_sigma
        )
        return found[0], found[1]


@tf_export("image.non_max_suppression_padded")
def non_max_suppression_padded(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
    pad_to_max_output_size: bool = False,
    name: str | None = None,
) -> tuple[Any, Any]:
    """(indices, padded with zeros if asked for; how many of them count)."""
    with name_scope(name, "non_max_suppression_padded"):
        found = apply_op(
            "NonMaxSuppressionV5",
            boxes,
            scores,
            max_output_size,
            iou_threshold,
            score_threshold,
            0.0,
            pad_to_max_output_size=pad_to_max_output_size,
        )
        if pad_to_max_output_size and isinstance(max_output_size, int):
            found[0].set_shape([max_output_size])
        return found[0], found[2]


def _by_overlaps(overlaps: TorchTensor, scores: Any, limit: Any, most: Any, least: Any) -> TorchTensor:
    return _greedy(scores, lambda a, b: float(overlaps[a, b]), int(limit), float(most), float(least))[0]


op(
    "NonMaxSuppressionWithOverlaps",
    "overlaps:float32, scores:float32, limit:int32, most:float32, least:float32 -> int32",
    _by_overlaps,
    diff=False,
    shape=lambda o: TensorShape([None]),
)


@tf_export("image.non_max_suppression_overlaps")
def non_max_suppression_overlaps(
    overlaps: Any,
    scores: Any,
    max_output_size: Any,
    overlap_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
    name: str | None = None,
) -> Any:
    """Indices kept by a given matrix of overlaps."""
    with name_scope(name, "non_max_suppression_overlaps"):
        return apply_op(
            "NonMaxSuppressionWithOverlaps", overlaps, scores, max_output_size, overlap_threshold, score_threshold
        )


def _recompressed(image: TorchTensor, quality: TorchTensor) -> TorchTensor:
    from PIL import Image

    array = image.detach().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "JPEG", quality=int(quality))
    again = np.array(Image.open(buffer))
    return torch.from_numpy(again.reshape(array.shape).copy())


op(
    "RecompressJpeg",
    "image:uint8, quality:int32 -> uint8",
    _recompressed,
    diff=False,
    shape=lambda o: o.inputs[0].shape,
)


@tf_export("image.adjust_jpeg_quality")
def adjust_jpeg_quality(image: Any, jpeg_quality: Any, name: str | None = None) -> Any:
    """The image as it looks after JPEG compression of this quality (0 to 100)."""
    with name_scope(name, "adjust_jpeg_quality", [image]):
        image = convert_to_tensor(image, name="image")
        kind = image.dtype.base_dtype
        pixels = tf.image.convert_image_dtype(image, dtypes.uint8)
        return tf.image.convert_image_dtype(apply_op("RecompressJpeg", pixels, jpeg_quality), kind)


@tf_export("image.random_jpeg_quality")
def random_jpeg_quality(image: Any, min_jpeg_quality: int, max_jpeg_quality: int, seed: int | None = None) -> Any:
    """adjust_jpeg_quality with a quality drawn from [min, max)."""
    if min_jpeg_quality < 0 or max_jpeg_quality < 0 or min_jpeg_quality > 100 or max_jpeg_quality > 100:
        raise ValueError("jpeg encoding range must be between 0 and 100.")
    if min_jpeg_quality >= max_jpeg_quality:
        raise ValueError("`min_jpeg_quality` must be less than `max_jpeg_quality`.")
    return adjust_jpeg_quality(
        image, tf.random_uniform([], min_jpeg_quality, max_jpeg_quality, seed=seed, dtype=dtypes.int32)
    )
