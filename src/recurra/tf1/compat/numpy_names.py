"""NumPy as programs of 2016 knew it: dropped names, ragged arrays, pickled files, old printing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.compat.patches import Patches


def _asscalar(a: Any) -> Any:
    return np.asarray(a).item()


def _msort(a: Any) -> np.ndarray:
    return np.sort(a, axis=0)


_NAMES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "object": object,
    "str": str,
    "complex": complex,
    "long": int,
    "unicode": str,
    "float_": np.float64,
    "complex_": np.complex128,
    "cfloat": np.complex128,
    "string_": np.bytes_,
    "unicode_": np.str_,
    "Inf": np.inf,
    "Infinity": np.inf,
    "infty": np.inf,
    "PINF": np.inf,
    "NINF": -np.inf,
    "NaN": np.nan,
    "NAN": np.nan,
    "product": np.prod,
    "cumproduct": np.cumprod,
    "sometrue": np.any,
    "alltrue": np.all,
    "round_": np.round,
    "row_stack": np.vstack,
    "asscalar": _asscalar,
    "msort": _msort,
    "in1d": lambda a, b, **k: np.isin(np.ravel(a), b, **k),
    "trapz": getattr(np, "trapezoid", None),
    "rank": np.ndim,
    "mat": np.asmatrix,
    "asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype=dtype),
    "VisibleDeprecationWarning": DeprecationWarning,
}


def apply(patches: Patches) -> None:
    """Restore what NumPy dropped."""
    for name, value in _NAMES.items():
        if value is not None:  # only what is gone: NumPy 2's own np.bool and np.long are what its libraries expect
            patches.add(np, name, value)
    patches.set(np, "load", _allow_pickle(np.load))
    patches.set(np, "fromstring", _fromstring(np.fromstring))
    patches.set(np, "reshape", _reshape(np.reshape))
    for name in ("array", "asarray", "asanyarray"):
        patches.set(np, name, _ragged(getattr(np, name)))
    before = np.get_printoptions()
    np.set_printoptions(legacy="1.25")  # type: ignore[arg-type]  # scalars print as 0.5, not np.float64(0.5)
    patches.undo(lambda: np.set_printoptions(**before))


def _allow_pickle(load: Callable) -> Callable:
    """np.load up to 1.16 read pickled arrays unasked."""

    @functools.wraps(load)
    def wrapper(file: Any, mmap_mode: Any = None, allow_pickle: bool = True, **kwargs: Any) -> Any:
        kwargs.setdefault("encoding", "latin1")
        return load(file, mmap_mode=mmap_mode, allow_pickle=allow_pickle, **kwargs)

    return wrapper


def _fromstring(fromstring: Callable) -> Callable:
    """np.fromstring without a separator read bytes."""

    @functools.wraps(fromstring)
    def wrapper(string: Any, dtype: Any = float, count: int = -1, sep: str = "", **kwargs: Any) -> np.ndarray:
        if sep:
            return fromstring(string, dtype=dtype, count=count, sep=sep, **kwargs)
        data = string.encode("latin1") if isinstance(string, str) else string
        return np.frombuffer(data, dtype=dtype, count=count).copy()

    return wrapper


def _reshape(reshape: Callable) -> Callable:
    """np.reshape's second argument was `newshape`."""

    @functools.wraps(reshape)
    def wrapper(a: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        if "newshape" in kwargs:
            args = (kwargs.pop("newshape"),)
        return reshape(a, *args, **kwargs)

    return wrapper


def _ragged(make: Callable) -> Callable:
    """NumPy before 1.24 made an object array of rows of unequal length."""

    @functools.wraps(make)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return make(*args, **kwargs)
        except ValueError as error:
            if "inhomogeneous" not in str(error) or len(args) != 1 or kwargs.get("dtype") is not None:
                raise
            return _object_array(args[0])

    return wrapper


def _object_array(rows: Any) -> np.ndarray:
    try:
        return _build_object(rows)
    except ValueError:  # equal first axes below ragged ones: NumPy cannot broadcast; keep the rows whole
        result = np.empty(len(rows), dtype=object)
        for i, row in enumerate(rows):
            result[i] = row
        return result


_real_array = np.array


def _build_object(rows: Any) -> np.ndarray:
    return _real_array(rows, dtype=object)
