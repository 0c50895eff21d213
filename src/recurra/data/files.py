"""Where data sets lie: `--data-dir`, `$RECURRA_DATA`, else a checksummed, resumable download into the user's cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra._slips import nearest
from recurra.errors import DataError


@dataclass(frozen=True)
class DataSet:
    """A named data set: its folder, its files, where they can be had and under which licence.

    Attributes:
        name: the folder's name under the data directory.
        files: file name → sha256.
        home: where a person finds it.
        licence: in one line.
        urls: file name → address to download from; empty when it must not be downloaded for you.
    """

    name: str
    files: Mapping[str, str]
    home: str
    licence: str
    urls: Mapping[str, str]


_MNIST_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

MNIST = DataSet(
    "mnist",
    _MNIST_FILES,
    "http://yann.lecun.com/exdb/mnist/ and mirrors",
    "free to use, usually stated as CC BY-SA 3.0",
    {name: _MNIST_MIRROR + name for name in _MNIST_FILES},
)

PTB = DataSet(
    "ptb",
    {
        "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    },
    "http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz (folder data)",
    "Penn Treebank (LDC): no free licence, so recurra does not download it for you",
    {},
)

_NAMES_MIRROR = (
    "https://raw.githubusercontent.com/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names/"
)
_NAMES_FILES = {
    "Arabic.txt": "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc",
    "Chinese.txt": "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465",
    "Czech.txt": "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7",
    "Dutch.txt": "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3",
    "English.txt": "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2",
    "French.txt": "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95",
    "German.txt": "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db",
    "Greek.txt": "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6",
    "Irish.txt": "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058",
    "Italian.txt": "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4",
    "Japanese.txt": "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f",
    "Korean.txt": "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136",
    "Polish.txt": "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826",
    "Portuguese.txt": "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53",
    "Russian.txt": "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c",
    "Scottish.txt": "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd",
    "Spanish.txt": "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7",
    "Vietnamese.txt": "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d",
}

NAMES = DataSet(
    "names",
    _NAMES_FILES,
    "https://github.com/spro/practical-pytorch (folder data/names, one file per nationality)",
    "MIT",
    {name: _NAMES_MIRROR + name for name in _NAMES_FILES},
)


def check_path(path: str | Path) -> None:
    """Whether a person's own file or folder is there at all.

    Raises:
        DataError: it is not; a name that is like it and is there is given.
    """
    path = Path(path)
    if path.exists():
        return
    try:
        there = [other.name for other in path.parent.iterdir()]
    except OSError:
        there = []
    close = nearest(path.name, there)
    hint = f"; did you mean {str(path.parent / close[0])!r}?" if close else ""
    raise DataError(f"{path}: No such file or directory{hint}")


def data_root(data_dir: Path | None) -> Path | None:
    """`data_dir`, else `$RECURRA_DATA`, else None (use the cache)."""
    if data_dir is not None:
        return data_dir
    value = os.environ.get("RECURRA_DATA")
    return Path(value) if value else None


def locate(dataset: DataSet, data_dir: Path | None = None) -> Path:
    """The folder that holds `dataset`'s files; downloads what may be downloaded when no data directory is named.

    Raises:
        DataError: a file is missing; the message says which, where it can be had and under which licence.
    """
    root = data_root(data_dir)
    if root is None:
        return _download(dataset)
    for folder in (root / dataset.name, root):
        if _complete(dataset, folder):
            return folder
    raise DataError(_missing(dataset, root))


def _complete(dataset: DataSet, folder: Path) -> bool:
    return all((folder / name).is_file() for name in dataset.files)


def _missing(dataset: DataSet, root: Path) -> str:
    folder = root / dataset.name
    absent = [name for name in dataset.files if not (folder / name).is_file()]
    return (
        f"{dataset.name}: {', '.join(absent)} not found in {folder}; to be had from {dataset.home} "
        f"(licence: {dataset.licence}); point --data-dir or RECURRA_DATA at the folder that holds {dataset.name}/"
    )


def _download(dataset: DataSet) -> Path:
    try:
        import pooch
    except ImportError:
        pooch = None
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recurra" / dataset.name
    if _complete(dataset, cache):
        return cache
    if not dataset.urls or pooch is None:
        raise DataError(_missing(dataset, cache.parent))
    for name, checksum in dataset.files.items():
        _fetch(pooch, dataset, name, checksum, cache)
    return cache


def _fetch(pooch: Any, dataset: DataSet, name: str, checksum: str, cache: Path) -> None:
    part = cache / f"{name}.part"

    def download(url: str, output_file: str, _: Any) -> None:
        _resuming(url, part)
        shutil.move(part, output_file)

    try:
        cache.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(dataset.urls[name], f"sha256:{checksum}", fname=name, path=cache, downloader=download)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"download of {name} failed ({reason}). {_missing(dataset, cache.parent)}") from error


def _resuming(url: str, part: Path) -> None:
    """Download `url` into `part`, going on where an earlier, broken attempt stopped (HTTP range request)."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        if answer.status_code == 416:
            part.unlink()
            raise OSError("the half-downloaded file was longer than the real one; it is removed, try again")
        answer.raise_for_status()
        with part.open("ab" if answer.status_code == 206 else "wb") as file:
            for block in answer.iter_content(1 << 16):
                file.write(block)
