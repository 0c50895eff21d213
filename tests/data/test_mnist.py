"""IDX files: the format is http://yann.lecun.com/exdb/mnist/'s, written here byte by byte."""

import gzip
import struct

import numpy as np
import pytest

from recurra.data import mnist
from recurra.errors import DataError


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder, train=20, test=6):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for name, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))


def test_reads_what_the_format_says(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for name, content in (("plain", idx(array)), ("packed.gz", gzip.compress(idx(array)))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(mnist.read_idx(tmp_path / name), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file"),
        (b"PK\3\4rest", "no IDX file"),
        (b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "no IDX file of bytes"),
        (b"\0\0\x08\3\0\0\0\2", "cut off inside the header"),
        (b"\0\0\x08\1\0\0\0\5abc", "3 bytes of data"),
        (gzip.compress(bytes(1000))[:12], "cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "bad.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        mnist.read_idx(path)
    assert str(path) in str(error.value)


def test_splits_as_document_001_does(tmp_path):
    write_mnist(tmp_path / "mnist")
    splits = mnist.load(tmp_path, valid_size=5)
    assert [len(labels) for _, labels in splits] == [15, 5, 6]
    assert splits.valid[1].tolist() == [0, 1, 2, 3, 4], "the first images of the training file are the validation part"
    assert splits.train[0].dtype == np.float32 and splits.train[0].max() <= 1.0


def test_too_large_a_validation_part_is_refused(tmp_path):
    write_mnist(tmp_path / "mnist")
    with pytest.raises(DataError, match="valid_size 20"):
        mnist.load(tmp_path, valid_size=20)


def test_missing_files_say_where_they_can_be_had(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz.*licence.*--data-dir or RECURRA_DATA"):
        mnist.load(tmp_path)
