"""scikit-learn's digits (1,797 images of 8 x 8), which come with that package: the data of `make demo`."""

from __future__ import annotations

import numpy as np

from recurra.data.mnist import ImageSplits
from recurra.errors import DataError


def load(valid_size: int = 300, test_size: int = 360, seed: int = 0) -> ImageSplits:
    """The digits, shuffled by `seed` (the file has them in the order of their writers) and cut in three."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    images = (images[order] / 16).astype(np.float32).reshape(-1, 8, 8)
    labels = labels[order].astype(np.int64)
    train_size = len(labels) - valid_size - test_size
    if train_size < 10:
        raise DataError(
            f"valid_size {valid_size} + test_size {test_size}: expected to leave at least 10 of {len(labels)} images"
        )
    cuts = np.split(np.arange(len(labels)), [train_size, train_size + valid_size])
    return ImageSplits(*((images[cut], labels[cut]) for cut in cuts))
