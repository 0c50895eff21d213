"""tensorflow.examples.tutorials.mnist.input_data: MNIST in batches, from the program's folder or the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurra.data.files import MNIST, data_root, locate
from recurra.data.mnist import read_idx
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def find_idx(stem: str, folder: str | None = None) -> Path:
    """The IDX file `stem` (with or without .gz): in `folder`, the data folder, or a download."""
    root = data_root(None)
    folders = [Path(folder)] if folder else []
    folders += [root / "mnist", root, root / "MNIST_data"] if root else []
    for place in folders:
        for name in (stem, f"{stem}.gz", stem.replace("-idx", ".idx")):
            if (place / name).is_file():
                return place / name
    return locate(MNIST) / f"{stem}.gz"


def load_part(part: str, folder: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(images [N, 28, 28], labels [N]) uint8 of "train" or "test"."""
    images, labels = (read_idx(find_idx(stem, folder)) for stem in _FILES[part])
    return images, labels


@tf_export("contrib.learn.datasets.mnist.DataSet", "examples.tutorials.mnist.input_data.DataSet")
class DataSet:
    """Images and labels in batches, shuffled anew each epoch."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        fake_data: bool = False,
        one_hot: bool = False,
        dtype: Any = None,
        reshape: bool = True,
        seed: int | None = None,
    ) -> None:
        dtype = tf.as_dtype(dtype or tf.float32).base_dtype
        if dtype not in (tf.uint8, tf.float32):
            raise TypeError(f"Invalid image dtype {dtype!r}, expected uint8 or float32")
        self._one_hot = one_hot
        if fake_data:
            images, labels = np.ones((10000, 784), np.float32), np.zeros(10000, np.uint8)
        else:
            np.random.seed(_numpy_seed(seed))
            if images.shape[0] != labels.shape[0]:
                raise ValueError(f"images.shape: {images.shape} labels.shape: {labels.shape}")
            if reshape:
                images = images.reshape(images.shape[0], -1)
            if dtype == tf.float32:
                images = images.astype(np.float32) * np.float32(1.0 / 255.0)
        self._images, self._labels = images, labels
        self._epochs_completed = 0
        self._index_in_epoch = 0

    @property
    def images(self) -> np.ndarray:
        return self._images

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    @property
    def num_examples(self) -> int:
        return self._images.shape[0]

    @property
    def epochs_completed(self) -> int:
        return self._epochs_completed

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True) -> tuple[Any, Any]:
        """The next examples; at an epoch's end its rest and the beginning of the next."""
        start = self._index_in_epoch
        if self._epochs_completed == 0 and start == 0 and shuffle:
            self._shuffle()
        if start + batch_size <= self.num_examples:
            self._index_in_epoch = start + batch_size
            return self._images[start : start + batch_size], self._labels[start : start + batch_size]
        self._epochs_completed += 1
        rest = self.num_examples - start
        images, labels = self._images[start:], self._labels[start:]
        if shuffle:
            self._shuffle()
        self._index_in_epoch = batch_size - rest
        images = np.concatenate((images, self._images[: self._index_in_epoch]))
        return images, np.concatenate((labels, self._labels[: self._index_in_epoch]))

    def _shuffle(self) -> None:
        order = np.arange(self.num_examples)
        np.random.shuffle(order)
        self._images, self._labels = self._images[order], self._labels[order]


def _numpy_seed(seed: int | None) -> int | None:
    graph_seed = tf.get_default_graph().seed
    return graph_seed if seed is None else seed


class Datasets(NamedTuple):
    """The three parts of a data set."""

    train: Any
    validation: Any
    test: Any


@tf_export("contrib.learn.datasets.mnist.dense_to_one_hot", "examples.tutorials.mnist.input_data.dense_to_one_hot")
def dense_to_one_hot(labels_dense: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels [N] as rows of zeros with a one, float64 [N, num_classes]."""
    return np.eye(num_classes)[np.asarray(labels_dense).reshape(-1)]


@tf_export("examples.tutorials.mnist.input_data.read_data_sets", "contrib.learn.datasets.mnist.read_data_sets")
def read_data_sets(
    train_dir: str | None = None,
    fake_data: bool = False,
    one_hot: bool = False,
    dtype: Any = None,
    reshape: bool = True,
    validation_size: int = 5000,
    seed: int | None = None,
    source_url: str | None = None,
) -> Datasets:
    """MNIST, the first `validation_size` training images apart. DataError where no files are found."""
    options: dict[str, Any] = {"dtype": dtype, "reshape": reshape, "seed": seed}
    if fake_data:
        empty = np.zeros((0,))
        return Datasets(*(DataSet(empty, empty, fake_data=True, one_hot=one_hot, **options) for _ in range(3)))
    images, labels = load_part("train", train_dir)
    test_images, test_labels = load_part("test", train_dir)
    if not 0 <= validation_size <= len(images):
        raise ValueError(f"Validation size should be between 0 and {len(images)}. Received: {validation_size}.")
    images, test_images = images[..., None], test_images[..., None]
    if one_hot:
        labels, test_labels = dense_to_one_hot(labels, 10), dense_to_one_hot(test_labels, 10)
    cut = validation_size
    return Datasets(
        DataSet(images[cut:], labels[cut:], **options),
        DataSet(images[:cut], labels[:cut], **options),
        DataSet(test_images, test_labels, **options),
    )


@tf_export("contrib.learn.datasets.mnist.load_mnist")
def load_mnist(train_dir: str = "MNIST-data") -> Datasets:
    """read_data_sets(train_dir)."""
    return read_data_sets(train_dir)


@tf_export("contrib.learn.datasets.load_dataset")
def load_dataset(name: str, size: str = "small", test_with_fake_data: bool = False) -> Any:
    """The data set "mnist"; ValueError for others."""
    if name != "mnist":
        raise ValueError(f"Name of dataset is not found: {name}")
    return load_mnist()


@tf_export("examples.tutorials.mnist.input_data.extract_images", "contrib.learn.datasets.mnist.extract_images")
def extract_images(f: Any) -> np.ndarray:
    """[N, 28, 28, 1] uint8 of an open gzip IDX file or its name."""
    return read_idx(Path(getattr(f, "name", f)))[..., None]


@tf_export("examples.tutorials.mnist.input_data.extract_labels", "contrib.learn.datasets.mnist.extract_labels")
def extract_labels(f: Any, one_hot: bool = False, num_classes: int = 10) -> np.ndarray:
    """[N] uint8 of an open gzip IDX file or its name."""
    labels = read_idx(Path(getattr(f, "name", f)))
    return dense_to_one_hot(labels, num_classes) if one_hot else labels


export(Datasets, "contrib.learn.datasets.base.Datasets")
