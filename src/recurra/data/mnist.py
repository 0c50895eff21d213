"""MNIST in its own format: IDX files, gzip-compressed or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.data.files import MNIST, locate
from recurra.errors import DataError

_UNSIGNED_BYTE = 0x08


class ImageSplits(NamedTuple):
    """Images `[N, rows, columns]` float32 in 0 … 1 and labels `[N]` int64, in three parts."""

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file (http://yann.lecun.com/exdb/mnist/, section "file formats").

    Raises:
        DataError: no IDX file, another element type, or fewer bytes than the header says.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(
            f"{path}: no IDX file of bytes (starts with {content[:4].hex(' ') or 'nothing'}, expected 00 00 08 ..)"
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path}: cut off inside the header")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - header != expected:
        raise DataError(f"{path}: {len(content) - header} bytes of data, header {shape} says {expected}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def load(data_dir: Path | None = None, valid_size: int = 5000) -> ImageSplits:
    """MNIST, the first `valid_size` training images kept for validation (as document 001 does).

    Raises:
        DataError: a file is missing or broken, or images and labels do not belong together.
    """
    folder = locate(MNIST, data_dir)

    def part(name: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = (read_idx(folder / f"{name}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(f"{folder}: {name} images {images.shape} and labels {labels.shape} do not belong together")
        return images.astype(np.float32) / 255, labels.astype(np.int64)

    images, labels = part("train")
    if valid_size >= len(images):
        raise DataError(f"valid_size {valid_size}: expected less than the {len(images)} training images")
    return ImageSplits(
        (images[valid_size:], labels[valid_size:]), (images[:valid_size], labels[:valid_size]), part("t10k")
    )
