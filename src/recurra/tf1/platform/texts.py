"""tf.compat: text and bytes; tf.VERSION and its like; tf.resource_loader; tf.sysconfig."""

from __future__ import annotations

import numbers
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from recurra.tf1.compat import python2_files
from recurra.tf1.names import export, tf_export


@tf_export("compat.as_bytes")
def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> Any:
    """`bytes_or_text` as bytes, which to a Python 2 program is its text; TypeError for anything else."""
    if python2_files.in_force:
        return as_text(bytes_or_text, encoding)
    if isinstance(bytes_or_text, bytearray):
        return bytes(bytes_or_text)
    if isinstance(bytes_or_text, str):
        return bytes_or_text.encode(encoding)
    if isinstance(bytes_or_text, bytes):
        return bytes_or_text
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


@tf_export("compat.as_text", "compat.as_str")
def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """`bytes_or_text` as text; TypeError for anything else."""
    if isinstance(bytes_or_text, str):
        return bytes_or_text
    if isinstance(bytes_or_text, bytes):
        return bytes_or_text.decode(encoding)
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


@tf_export("compat.as_str_any")
def as_str_any(value: Any) -> str:
    """Bytes decoded, everything else through str()."""
    return as_text(value) if isinstance(value, bytes) else str(value)


@tf_export("compat.path_to_str")
def path_to_str(path: Any) -> Any:
    """os.PathLike as text."""
    return as_str_any(path.__fspath__()) if hasattr(path, "__fspath__") else path


@tf_export("compat.forward_compatible")
def forward_compatible(year: int, month: int, day: int) -> bool:
    """Always False: nothing waits for a date."""
    return False


export((str, bytes), "compat.bytes_or_text_types")
export((numbers.Complex, np.number), "compat.complex_types")
export((numbers.Integral, np.integer), "compat.integral_types")
export((numbers.Real, np.integer, np.floating), "compat.real_types")
export("recurra", "GIT_VERSION", "version.GIT_VERSION")
export("", "COMPILER_VERSION", "version.COMPILER_VERSION")
export(0, "CXX11_ABI_FLAG", "MONOLITHIC_BUILD", "sysconfig.CXX11_ABI_FLAG", "sysconfig.MONOLITHIC_BUILD")
export(134, "GRAPH_DEF_VERSION", "version.GRAPH_DEF_VERSION")
export(0, "GRAPH_DEF_VERSION_MIN_CONSUMER", "GRAPH_DEF_VERSION_MIN_PRODUCER")
export(1e-3, "python.ops.nn_impl.EPSILON")


def _folder() -> str:
    return os.path.dirname(os.path.abspath(getattr(sys.modules["__main__"], "__file__", "") or ""))


@tf_export("resource_loader.get_data_files_path")
def get_data_files_path() -> str:
    """The folder of the running program."""
    return _folder()


@tf_export("resource_loader.get_root_dir_with_all_resources")
def get_root_dir_with_all_resources() -> str:
    """The folder of the running program."""
    return _folder()


@tf_export("resource_loader.get_path_to_datafile", "resource_loader.readahead_file_path")
def get_path_to_datafile(path: str) -> str:
    """`path` beside the running program."""
    return os.path.join(_folder(), path)


@tf_export("resource_loader.load_resource")
def load_resource(path: str) -> bytes:
    """The bytes of a file beside the running program; IOError where there is none."""
    return Path(_folder(), path).read_bytes()
