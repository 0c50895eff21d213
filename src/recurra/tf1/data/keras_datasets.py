"""tf.keras.datasets, from files in the data folder or Keras's own cache."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.files import data_root
from recurra.errors import DataError
from recurra.tf1.data.mnist import load_part
from recurra.tf1.names import tf_export

Pair = tuple[Any, Any]


def find(name: str, path: str = "", required: bool = True) -> Path | None:
    """A file of keras.datasets: `path` itself, the data folder, ~/.keras/datasets. DataError where it must be there."""
    root = data_root(None)
    stem = Path(name).name.partition(".")[0]
    places = [Path(path or name)]
    if root is not None:
        places += [root / name, root / stem / name, root / "keras" / name]
    places.append(Path.home() / ".keras" / "datasets" / name)
    for place in places:
        if place.exists():
            return place
    if not required:
        return None
    raise DataError(
        f"{name}: not found in {', '.join(str(p.parent) for p in places)}; point --data-dir or RECURRA_DATA "
        "at its folder"
    )


@tf_export("keras.datasets.mnist.load_data")
def load_mnist(path: str = "mnist.npz") -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)) uint8, from mnist.npz or the four IDX files."""
    file = find("mnist.npz", path, required=False)
    if file is not None:
        with np.load(file, allow_pickle=True) as stored:
            return (stored["x_train"], stored["y_train"]), (stored["x_test"], stored["y_test"])
    return load_part("train"), load_part("test")


def _words(name: str, path: str, defaults: dict[str, Any], options: dict[str, Any]) -> tuple[Pair, Pair]:
    """Reviews as lists of word numbers, with Keras's markers and cuts."""
    given = defaults | options
    with np.load(find(name, path), allow_pickle=True) as stored:  # type: ignore[arg-type]
        if "x_train" in stored:
            parts = [(stored["x_train"], stored["y_train"]), (stored["x_test"], stored["y_test"])]
        else:
            parts = [(stored["x"], stored["y"])]
    random = np.random.RandomState(given["seed"])
    shuffled = []
    for x, y in parts:
        order = np.arange(len(x))
        random.shuffle(order)
        shuffled.append((x[order], y[order]))
    xs = [list(row) for x, _ in shuffled for row in x]
    ys = np.concatenate([y for _, y in shuffled])
    if given["start_char"] is not None:
        xs = [[given["start_char"]] + [w + given["index_from"] for w in row] for row in xs]
    elif given["index_from"]:
        xs = [[w + given["index_from"] for w in row] for row in xs]
    border = len(shuffled[0][0]) if len(shuffled) == 2 else int(len(xs) * (1 - given["test_split"]))
    if given["maxlen"]:
        kept = [len(row) < given["maxlen"] for row in xs]
        border = sum(kept[:border])
        xs, ys = [row for row, k in zip(xs, kept, strict=True) if k], ys[np.array(kept)]
        if not xs:
            raise ValueError(f"After filtering for sequences shorter than maxlen={given['maxlen']}, none was kept")
    top = given["num_words"] or max(max(row) for row in xs) + 1
    low, out = given["skip_top"], given["oov_char"]
    if out is not None:
        xs = [[w if low <= w < top else out for w in row] for row in xs]
    else:
        xs = [[w for w in row if low <= w < top] for row in xs]
    return (_rows(xs[:border]), ys[:border]), (_rows(xs[border:]), ys[border:])


def _rows(rows: list[list[int]]) -> np.ndarray:
    found = np.empty(len(rows), dtype=object)
    found[:] = rows
    return found


_DEFAULTS: dict[str, Any] = {
    "num_words": None,
    "skip_top": 0,
    "maxlen": None,
    "seed": 113,
    "start_char": 1,
    "oov_char": 2,
    "index_from": 3,
    "test_split": 0.2,
}


@tf_export("keras.datasets.imdb.load_data")
def load_imdb(path: str = "imdb.npz", num_words: int | None = None, **options: Any) -> tuple[Pair, Pair]:
    """Film reviews as word numbers, and 0 or 1."""
    options["num_words"] = options.pop("nb_words", num_words)
    return _words("imdb.npz", path, _DEFAULTS, options)


@tf_export("keras.datasets.reuters.load_data")
def load_reuters(path: str = "reuters.npz", num_words: int | None = None, **options: Any) -> tuple[Pair, Pair]:
    """News wires as word numbers, and one of 46 topics."""
    options["num_words"] = options.pop("nb_words", num_words)
    return _words("reuters.npz", path, _DEFAULTS, options)


@tf_export("keras.datasets.imdb.get_word_index")
def imdb_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Word to number, most frequent 1."""
    return json.loads(find("imdb_word_index.json", path).read_text())  # type: ignore[union-attr]


@tf_export("keras.datasets.reuters.get_word_index")
def reuters_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Word to number, most frequent 1."""
    return json.loads(find("reuters_word_index.json", path).read_text())  # type: ignore[union-attr]


@tf_export("keras.datasets.boston_housing.load_data")
def load_boston(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Pair, Pair]:
    """House prices."""
    with np.load(find("boston_housing.npz", path)) as stored:  # type: ignore[arg-type]
        x, y = stored["x"], stored["y"]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    border = int(len(x) * (1 - test_split))
    return (x[:border], y[:border]), (x[border:], y[border:])


@tf_export("keras.datasets.cifar10.load_data")
def load_cifar10() -> tuple[Pair, Pair]:
    """Small images [N, 32, 32, 3] uint8 and labels [N, 1], from the folder cifar-10-batches-py."""
    folder = find("cifar-10-batches-py")
    batches = [_cifar(folder / f"data_batch_{i}") for i in range(1, 6)]  # type: ignore[operator]
    test = _cifar(folder / "test_batch")  # type: ignore[operator]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    return (images, labels), test


def _cifar(path: Path) -> Pair:
    stored = pickle.loads(path.read_bytes(), encoding="latin1")
    images = np.asarray(stored["data"]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.asarray(stored["labels"], dtype=np.uint8).reshape(-1, 1)
