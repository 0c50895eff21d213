"""Flags, app.run, gfile, logging, data readers and preprocessing."""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import eras
from recurra.tf1.data import keras_datasets
from recurra.tf1.platform.flags import FLAGS


@pytest.fixture(autouse=True)
def fresh_flags(monkeypatch: pytest.MonkeyPatch):
    FLAGS.reset()
    monkeypatch.setattr(sys, "argv", ["p.py", "--rate", "0.5", "--nodeep", "--unknown=1", "rest"])
    yield
    FLAGS.reset()


def test_flags_parse_at_first_use() -> None:
    flags = tf.app.flags
    flags.DEFINE_float("rate", 1, "a rate")
    flags.DEFINE_boolean("deep", True, "deep?")
    flags.DEFINE_string("name", "x", "a name")
    assert (flags.FLAGS.rate, flags.FLAGS.deep, flags.FLAGS.name) == (0.5, False, "x")
    flags.FLAGS.name = "y"
    assert flags.FLAGS.name == "y" and "rate" in flags.FLAGS
    with pytest.raises(AttributeError):
        _ = flags.FLAGS.nothing


def test_flags_up_to_1_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["p.py", "--deep", "False", "--extra"])
    with eras.using(eras.parse("1.4")):
        tf.flags.DEFINE_float("rate", 1, "an int stays one")
        tf.flags.DEFINE_boolean("deep", True, "deep?")
        assert tf.flags.FLAGS._parse_flags() == ["--extra"]
        assert tf.flags.FLAGS.__flags == {"rate": 1, "deep": False}
        assert dict(tf.flags.FLAGS.__dict__["__flags"].items()) == {"rate": 1, "deep": False}
        assert pickle.loads(pickle.dumps(tf.flags.FLAGS.__flags)) == {"rate": 1, "deep": False}
        kept = pickle.loads(pickle.dumps(tf.flags.FLAGS))
        assert (kept.rate, kept.deep, kept.__flags) == (1, False, {"rate": 1, "deep": False})
    with pytest.raises(TypeError, match="can't pickle FlagValues"):
        pickle.dumps(tf.flags.FLAGS)
        assert isinstance(tf.flags.FLAGS.rate, int)


def test_app_run() -> None:
    tf.flags.DEFINE_float("rate", 1.0, "a rate")
    seen = []
    with pytest.raises(SystemExit) as stop:
        tf.app.run(lambda argv: seen.append((argv, tf.flags.FLAGS.rate)))
    assert stop.value.code is None and seen[0][1] == 0.5 and seen[0][0][-1] == "rest"


def test_gfile(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "f.txt")
    tf.gfile.MakeDirs(str(tmp_path / "a"))
    with tf.gfile.GFile(path, "w") as file:
        file.write("é\nb\n")
    assert tf.gfile.Exists(path) and tf.gfile.GFile(path).read() == "é\nb\n"
    assert tf.gfile.GFile(path, "rb").read() == "é\nb\n".encode()
    assert list(tf.gfile.Open(path)) == ["é\n", "b\n"]
    assert tf.gfile.Glob(str(tmp_path / "*" / "*.txt")) == [path] and tf.gfile.Stat(path).length == 5
    with pytest.raises(tf.errors.AlreadyExistsError):
        tf.gfile.Copy(path, path)
    tf.gfile.DeleteRecursively(str(tmp_path / "a"))
    with pytest.raises(tf.errors.NotFoundError):
        tf.gfile.GFile(path).read()


def test_logging(capsys: pytest.CaptureFixture) -> None:
    tf.logging.set_verbosity(tf.logging.INFO)
    tf.logging.info("a %d", 3)
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.logging.warn("silent")
    assert capsys.readouterr().err == "INFO:tensorflow:a 3\n"


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    images = np.arange(20 * 784, dtype=np.uint8).reshape(20, 28, 28)
    labels = np.arange(20, dtype=np.uint8) % 10
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def test_read_data_sets(mnist: Path) -> None:
    read = tf.examples.tutorials.mnist.input_data.read_data_sets
    with tf.Graph().as_default():
        data = read(str(mnist), one_hot=True, validation_size=4)
        assert (data.train.num_examples, data.validation.num_examples, data.test.num_examples) == (16, 4, 20)
        assert data.train.images.shape == (16, 784) and data.train.labels[3].tolist() == np.eye(10)[7].tolist()
        seen = [data.train.next_batch(6) for _ in range(3)]
        assert data.train.epochs_completed == 1 and all(len(x) == 6 for x, _ in seen)
        first = np.concatenate([x for x, _ in seen])[:16]
        np.testing.assert_array_equal(np.sort(first, 0), np.sort(data.train.images, 0))
        with pytest.raises(ValueError, match="Validation size should be between 0 and 20"):
            read(str(mnist), validation_size=21)


def test_keras_mnist(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECURRA_DATA", str(mnist))
    (x, y), _ = tf.keras.datasets.mnist.load_data()
    assert x.shape == (20, 28, 28) and x.dtype == np.uint8 and y[11] == 1
    rows = np.empty(2, object)
    rows[:] = [[1, 5, 9], [2, 30]]
    np.savez(mnist / "imdb.npz", x_train=rows, y_train=[0, 1], x_test=rows, y_test=[1, 0])
    (x, y), _ = keras_datasets.load_imdb(num_words=20)
    assert sorted(x.tolist()) == [[1, 4, 8, 12], [1, 5, 2]] and sorted(y) == [0, 1]
    with pytest.raises(Exception, match=r"reuters.npz: not found"):
        tf.keras.datasets.reuters.load_data()


def test_preprocessing() -> None:
    pad = tf.keras.preprocessing.sequence.pad_sequences
    assert pad([[1, 2, 3], [4]], maxlen=2).tolist() == [[2, 3], [0, 4]]
    assert pad([[1, 2, 3], [4]], padding="post", truncating="post", value=9).tolist() == [[1, 2, 3], [4, 9, 9]]
    tokenizer = tf.keras.preprocessing.text.Tokenizer(num_words=3, oov_token="?")
    tokenizer.fit_on_texts(["a b a", "A, c!"])
    assert tokenizer.word_index == {"?": 1, "a": 2, "b": 3, "c": 4}
    assert tokenizer.texts_to_sequences(["a b z"]) == [[2, 1, 1]]
    assert tf.keras.utils.to_categorical([0, 2]).tolist() == [[1, 0, 0], [0, 0, 1]]
    words = tf.contrib.learn.preprocessing.VocabularyProcessor(3)
    rows = np.array(list(words.fit_transform(["b a", "a c d e"])))
    assert rows.tolist() == [[1, 2, 0], [2, 3, 4]] and len(words.vocabulary_) == 6
