"""tf.gfile and tf.io.gfile: files of this machine, with TensorFlow's exceptions."""

from __future__ import annotations

import glob as globbing
import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from recurra.tf1 import errors
from recurra.tf1.compat import python2_files
from recurra.tf1.names import export, tf_export


def _error(error: OSError) -> errors.OpError:
    text = f"{error.filename}; {error.strerror}"
    if isinstance(error, FileNotFoundError):
        return errors.NotFoundError(None, None, text)
    if isinstance(error, FileExistsError):
        return errors.AlreadyExistsError(None, None, text)
    if isinstance(error, PermissionError):
        return errors.PermissionDeniedError(None, None, text)
    return errors.FailedPreconditionError(None, None, text)


class _Raising:
    """with-block that turns OSError into tf.errors."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, OSError):
            raise _error(error) from error


_raising = _Raising()


def _path(name: Any) -> str:
    return os.fsdecode(name)


@tf_export("gfile.GFile", "gfile.Open", "gfile.FastGFile", "io.gfile.GFile")
class GFile:
    """A file opened at the first read or write; text is UTF-8."""

    def __init__(self, name: Any, mode: str = "r") -> None:
        if mode.strip("rwab+U") or not mode:
            raise errors.PermissionDeniedError(None, None, f"File isn't open for reading: mode {mode!r} is unknown")
        self.__name, self.__mode = _path(name), mode.replace("U", "")
        self._file: Any = None

    @property
    def name(self) -> str:
        return self.__name

    @property
    def mode(self) -> str:
        return self.__mode

    def _open(self, writing: bool = False) -> Any:
        if writing and not set(self.mode) & set("wa+"):
            raise errors.PermissionDeniedError(None, None, "File isn't open for writing")
        if not writing and not set(self.mode) & set("r+"):
            raise errors.PermissionDeniedError(None, None, "File isn't open for reading")
        if self._file is None:
            text = {} if "b" in self.mode else {"encoding": "utf-8", "newline": ""}
            with _raising:
                if python2_files.in_force:
                    self._file = python2_files.open_file(self.name, self.mode)
                else:
                    self._file = open(self.name, self.mode, **text)  # noqa: SIM115 - closed by close()
        return self._file

    def read(self, n: int = -1) -> Any:
        return self._open().read(n)

    def write(self, file_content: Any) -> None:
        if python2_files.in_force:
            pass  # takes both
        elif "b" in self.mode and isinstance(file_content, str):
            file_content = file_content.encode("utf-8")
        elif "b" not in self.mode and isinstance(file_content, bytes):
            file_content = file_content.decode("utf-8")
        self._open(writing=True).write(file_content)

    def readline(self) -> Any:
        return self._open().readline()

    def readlines(self) -> list[Any]:
        return self._open().readlines()

    def seek(self, offset: int | None = None, whence: int = 0, position: int | None = None) -> None:
        self._open().seek(position if offset is None else offset, whence)

    def tell(self) -> int:
        return self._open().tell()

    def size(self) -> int:
        with _raising:
            return os.path.getsize(self.name)

    def seekable(self) -> bool:
        return True

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    next = __next__

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class FileStatistics(NamedTuple):
    """Of Stat: bytes, nanoseconds since 1970, whether a folder."""

    length: int
    mtime_nsec: int
    is_directory: bool


@tf_export("gfile.Exists", "io.gfile.exists")
def exists(path: Any) -> bool:
    return os.path.exists(_path(path))


@tf_export("gfile.IsDirectory", "io.gfile.isdir")
def is_directory(path: Any) -> bool:
    return os.path.isdir(_path(path))


@tf_export("gfile.Glob", "io.gfile.glob")
def glob(pattern: Any) -> list[str]:
    patterns = pattern if isinstance(pattern, list | tuple) else [pattern]
    return [name for p in patterns for name in sorted(globbing.glob(_path(p)))]


@tf_export("gfile.ListDirectory", "io.gfile.listdir")
def list_directory(path: Any) -> list[str]:
    if not is_directory(path):
        raise errors.NotFoundError(None, None, f"Could not find directory {path}")
    return sorted(os.listdir(_path(path)))


@tf_export("gfile.MkDir", "io.gfile.mkdir")
def mkdir(path: Any) -> None:
    with _raising:
        os.mkdir(_path(path))


@tf_export("gfile.MakeDirs", "io.gfile.makedirs")
def makedirs(path: Any) -> None:
    with _raising:
        os.makedirs(_path(path), exist_ok=True)


@tf_export("gfile.Remove", "io.gfile.remove")
def remove(path: Any) -> None:
    with _raising:
        os.remove(_path(path))


@tf_export("gfile.DeleteRecursively", "io.gfile.rmtree")
def delete_recursively(path: Any) -> None:
    with _raising:
        if os.path.isdir(_path(path)):
            shutil.rmtree(_path(path))
        else:
            os.remove(_path(path))


def _refuse_existing(path: Any, overwrite: bool) -> None:
    if not overwrite and exists(path):
        raise errors.AlreadyExistsError(None, None, f"{path}; file already exists")


@tf_export("gfile.Copy", "io.gfile.copy")
def copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    _refuse_existing(newpath, overwrite)
    with _raising:
        shutil.copyfile(_path(oldpath), _path(newpath))


@tf_export("gfile.Rename", "io.gfile.rename")
def rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    _refuse_existing(newname, overwrite)
    with _raising:
        os.replace(_path(oldname), _path(newname))


@tf_export("gfile.Stat", "io.gfile.stat")
def stat(filename: Any) -> FileStatistics:
    with _raising:
        found = os.stat(_path(filename))
    return FileStatistics(found.st_size, found.st_mtime_ns, os.path.isdir(_path(filename)))


@tf_export("gfile.Walk", "io.gfile.walk")
def walk(top: Any, in_order: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    return os.walk(_path(top), topdown=in_order)


_FILE_IO = {
    "file_exists": exists,
    "delete_file": remove,
    "recursive_create_dir": makedirs,
    "create_dir": mkdir,
    "get_matching_files": glob,
    "is_directory": is_directory,
    "list_directory": list_directory,
    "delete_recursively": delete_recursively,
    "rename": rename,
    "copy": copy,
    "stat": stat,
}
for _old, _new in _FILE_IO.items():
    export(_new, f"python.lib.io.file_io.{_old}")
export(GFile, "python.lib.io.file_io.FileIO")


@tf_export("python.lib.io.file_io.read_file_to_string")
def read_file_to_string(filename: Any, binary_mode: bool = False) -> Any:
    with GFile(filename, "rb" if binary_mode else "r") as file:
        return file.read()


@tf_export("python.lib.io.file_io.write_string_to_file")
def write_string_to_file(filename: Any, file_content: Any) -> None:
    with GFile(filename, "w") as file:
        file.write(file_content)
