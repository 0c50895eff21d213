"""Opening and writing checkpoints by path, whichever format they are in."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from .bundle_v2 import BundleReader, data_path, index_path
from .errors import CheckpointError, CheckpointNotFoundError
from .slices import Partitioned, VariableInfo
from .source import FileSource
from .state import latest_checkpoint
from .table_v1 import TableReader, shard_path
from .writer import write_v1, write_v2

__all__ = ["Checkpoint", "checkpoint_exists", "checkpoint_files", "list_variables", "open", "read", "write"]

_open_file = FileSource


class Checkpoint(Mapping[str, np.ndarray]):
    """A checkpoint as a lazy mapping from variable names to arrays.

    Opening reads the directory alone. `checkpoint[name]` reads one variable into an array of its own (writable,
    nothing is cached) and verifies its checksum. Strings come as object arrays of bytes, partitioned variables put
    together.
    """

    def __init__(self, prefix: str, reader: BundleReader | TableReader) -> None:
        self.prefix = prefix
        self._reader = reader

    @property
    def version(self) -> str:
        """ "V1" or "V2"."""
        return self._reader.version

    @property
    def variables(self) -> dict[str, VariableInfo]:
        """Name, dtype, shape and bytes of every variable, in order of names; reads no values."""
        return self._reader.variables

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._reader.variables:
            near = difflib.get_close_matches(name, self._reader.variables, 3)
            hint = f"; there are {', '.join(near)}" if near else ""
            raise KeyError(f"Key {name} not found in checkpoint {self.prefix}{hint}")
        return self._reader.read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._reader.variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.variables)

    def __len__(self) -> int:
        return len(self._reader.variables)

    def __repr__(self) -> str:
        total = sum(info.nbytes for info in self.variables.values())
        return f"<Checkpoint {self.prefix!r}: {self.version}, {len(self)} variables, {total} bytes>"

    def close(self) -> None:
        """Close the files; reading a variable afterwards is an error."""
        self._reader.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open(prefix: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint of either format; costs milliseconds whatever its size.

    `prefix` is what `tf.train.Saver.save` returned (`model.ckpt-100`), also with a suffix (`.index`, `.meta`, a data
    file), with `-?????-of-00002` for a sharded V1 checkpoint, or a directory, whose latest checkpoint is then meant.
    Raises CheckpointNotFoundError where nothing lies there and CheckpointError where it is damaged.
    """
    path = _resolve(os.fspath(prefix))
    if os.path.exists(index_path(path)):

        def shard(number: int, count: int) -> FileSource:
            return _open_file(data_path(path, number, count))

        return Checkpoint(path, BundleReader(_open_file(index_path(path)), shard))
    return Checkpoint(path, TableReader([_open_file(name) for name in _v1_files(path)]))


def _resolve(path: str) -> str:
    if os.path.isdir(path):
        latest = latest_checkpoint(path)
        if latest is None:
            raise CheckpointNotFoundError(path, "this directory's `checkpoint` file names no checkpoint that is there")
        return latest
    if not os.path.exists(index_path(path)):
        return re.sub(r"\.(index|meta|data-\d{5,}-of-\d{5,})$", "", path)
    return path


def _v1_files(path: str) -> list[str]:
    """The table files of a V1 checkpoint: one, or all of its shards."""
    sharded = re.fullmatch(r"(.*)-(\?+|\d{5,})-of-(\d{5,})", path, re.DOTALL)
    if sharded:
        count = int(sharded[3])
        if count > 100_000:
            raise CheckpointError(path, f"{count} shards are not believable")
        files = [shard_path(sharded[1], k, count) for k in range(count)]
        missing = [file for file in files if not os.path.isfile(file)]
        if len(missing) == count:
            raise CheckpointNotFoundError(path, "no shard of this checkpoint is there")
        if missing:
            raise CheckpointError(path, f"{len(missing)} of {count} shards are missing, the first is {missing[0]}")
        return files
    if os.path.isfile(path):
        return [path]
    first = [name for name in glob.glob(glob.escape(path) + "-00000-of-*") if re.search(r"-of-\d{5,}$", name)]
    if len(first) == 1:
        return _v1_files(first[0])
    data = glob.glob(glob.escape(path) + ".data-*-of-*")
    if data:
        raise CheckpointError(
            path, f"{os.path.basename(index_path(path))} is missing beside {os.path.basename(data[0])}"
        )
    raise CheckpointNotFoundError(path, "no checkpoint of this name (neither an .index file nor a V1 file)")


def checkpoint_exists(prefix: str | os.PathLike[str]) -> bool:
    """Whether a checkpoint of either format lies at this prefix (its files are not opened)."""
    try:
        return bool(checkpoint_files(prefix))
    except CheckpointError:
        return False


def checkpoint_files(prefix: str | os.PathLike[str]) -> list[str]:
    """Every file that belongs to a checkpoint: index and data, or table files, and `.meta` where there."""
    path = _resolve(os.fspath(prefix))
    meta = [name for name in (re.sub(r"-\?+-of-\d+$", "", path) + ".meta",) if os.path.isfile(name)]
    if os.path.exists(index_path(path)):
        return [*sorted(glob.glob(glob.escape(path) + ".data-*-of-*")), index_path(path), *meta]
    return [*_v1_files(path), *meta]


def read(prefix: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All of a checkpoint in memory."""
    with open(prefix) as checkpoint:
        return dict(checkpoint)


def list_variables(prefix: str | os.PathLike[str]) -> list[tuple[str, list[int]]]:
    """(name, shape) of every variable, in order of names, as `tf.train.list_variables` gives them."""
    with open(prefix) as checkpoint:
        return [(info.name, list(info.shape)) for info in checkpoint.variables.values()]


def write(
    prefix: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray | Partitioned],
    version: Literal["V1", "V2"] = "V2",
    *,
    shards: Mapping[str, int] | None = None,
) -> str:
    """Write a checkpoint that TensorFlow 1 reads; returns the prefix to read it by.

    tensors: arrays by variable name (NumPy, or what `np.asarray` takes; bytes and text become strings,
    ml_dtypes.bfloat16 bfloat16); a `Partitioned` is written in its parts.
    shards: which data file a variable goes to, counted from 0 (default: one file for all).
    All files are flushed to disk and renamed into place at the end: a crash leaves what was there before. The parent
    directory must exist. Errors: ValueError for a type that the format cannot hold, CheckpointError where files
    cannot be written.
    """
    path, shard_of = os.fspath(prefix), dict(shards or {})
    unknown = set(shard_of) - set(tensors)
    if unknown or min(shard_of.values(), default=0) < 0:
        raise ValueError(f"shards names {sorted(unknown)} which are not written, or a negative file: {shard_of}")
    values = {n: t if isinstance(t, Partitioned) else np.asarray(t) for n, t in tensors.items()}
    if version == "V2":
        write_v2(path, values, shard_of)
        return path
    if version != "V1":
        raise ValueError(f'version must be "V1" or "V2", got {version!r}')
    if os.path.exists(f"{path}.index"):
        raise CheckpointError(path, "a V2 checkpoint of this name is there, and would be read in place of a V1 one")
    write_v1(path, values, shard_of)
    count = max(shard_of.values(), default=0) + 1
    return path if count == 1 else f"{path}-?????-of-{count:05d}"
