"""pandas as programs of 2015 to 2019 knew it: positional arguments, dropped keywords and methods, writes that reach the frame.

Two changes would give other numbers without a word: since pandas 3 a column taken from a frame is a copy
(`frame["a"].fillna(0, inplace=True)` leaves the frame alone), and dummies are booleans, which make `frame.values` an array of objects.
"""  # noqa: E501

from __future__ import annotations

import datetime
import functools
import inspect
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.compat import pandas_reading
from recurra.tf1.compat.patches import Patches

_POSITIONAL = [
    "drop",
    "dropna",
    "drop_duplicates",
    "fillna",
    "interpolate",
    "pivot",
    "replace",
    "reset_index",
    "set_index",
    "sort_index",
    "sort_values",
    "to_csv",
]
_IN_PLACE = ["bfill", "clip", "drop_duplicates", "ffill", "fillna", "interpolate", "mask", "replace", "where", "update"]
_NUMBERS_ONLY = ["corr", "mean", "median", "quantile", "skew", "std", "var"]
_ROLLING = {"mean": "mean", "std": "std", "var": "var", "sum": "sum", "median": "median", "max": "max", "min": "min"}
_ORIGIN = "_recurra_origin"


def adapt(pandas: Any, patches: Patches) -> None:
    """Change the imported package until the program ends."""
    for kind in (pandas.DataFrame, pandas.Series):
        _methods(pandas, kind, patches)
        _writable(kind, patches)
    _frame(pandas, patches)
    _chained(pandas, patches)
    _functions(pandas, patches)
    pandas_reading.adapt(pandas, patches)
    _text(pandas, patches)


def _text(pandas: Any, patches: Patches) -> None:
    """Columns of text are arrays of objects, as up to pandas 2."""
    try:
        before = pandas.get_option("future.infer_string")
    except KeyError:  # older than the option
        return
    pandas.set_option("future.infer_string", False)
    patches.undo(lambda: pandas.set_option("future.infer_string", before))


def positional(function: Callable) -> Callable:
    """A function that takes by position, in the order of its signature, what became keyword-only."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    plain = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args[:plain], **dict(zip(names[plain:], args[plain:], strict=False)), **kwargs)

    return wrapper


def without(function: Callable, *dropped: str) -> Callable:
    """A function that takes no notice of keywords which only ever said how to do the same."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{k: v for k, v in kwargs.items() if k not in dropped})

    return wrapper


# -- methods -------------------------------------------------------------------------------------------------
def _methods(pandas: Any, kind: Any, patches: Patches) -> None:
    for name in _POSITIONAL:
        if hasattr(kind, name):
            patches.set(kind, name, positional(getattr(kind, name)))
    patches.set(kind, "fillna", _fillna(kind.fillna))
    patches.set(kind, "to_csv", _renamed(kind.to_csv, line_terminator="lineterminator"))
    patches.set(kind, "groupby", without(kind.groupby, "squeeze"))
    patches.add(kind, "append", functools.partialmethod(_append, pandas))
    patches.add(kind, "ix", property(_Ix))
    patches.add(kind, "iteritems", kind.items)
    patches.add(kind, "get_values", lambda self: self.values)
    patches.add(kind, "as_matrix", lambda self, columns=None: (self if columns is None else self[columns]).values)
    patches.add(kind, "mad", lambda self, axis=0: (self - self.mean()).abs().mean())
    patches.add(pandas.Index, "get_values", lambda self: self.values)


def _append(self: Any, pandas: Any, other: Any, ignore_index: bool = False, **kwargs: Any) -> Any:
    if isinstance(other, dict):
        other = pandas.DataFrame([other])
    elif isinstance(other, pandas.Series) and isinstance(self, pandas.DataFrame):
        other = other.to_frame().T
    items = other if isinstance(other, list) else [other]
    return pandas.concat([self, *items], ignore_index=ignore_index)


def _fillna(real: Callable) -> Callable:
    @functools.wraps(real)
    def fillna(self: Any, value: Any = None, method: str | None = None, **kwargs: Any) -> Any:
        if method is None:
            return real(self, value, **kwargs)
        return {"f": self.ffill, "p": self.ffill, "b": self.bfill}[method[0]](**kwargs)

    return fillna


def _renamed(real: Callable, **names: str) -> Callable:
    @functools.wraps(real)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **{names.get(k, k): v for k, v in kwargs.items()})

    return wrapper


class _Ix:
    """`frame.ix[…]`: by label, else by place."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __getitem__(self, key: Any) -> Any:
        try:
            return self._owner.loc[key]
        except (KeyError, TypeError):
            return self._owner.iloc[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        try:
            self._owner.loc[key] = value
        except (KeyError, TypeError):
            self._owner.iloc[key] = value


def _frame(pandas: Any, patches: Patches) -> None:
    frame = pandas.DataFrame
    for name in _NUMBERS_ONLY:
        patches.set(frame, name, _of_numbers(getattr(frame, name)))
    patches.set(frame, "sort_index", _sort_index(frame.sort_index))
    patches.add(frame, "sort", lambda self, columns=None, *args, **kwargs: self.sort_index(columns, *args, **kwargs))
    patches.add(frame, "applymap", frame.map)
    patches.add(frame, "get_value", lambda self, index, column: self.at[index, column])
    patches.add(frame, "set_value", _set_value)
    patches.add(frame, "from_csv", classmethod(lambda kind, path, sep=",", **kwargs: pandas.read_csv(
        path, sep=sep, **{"index_col": 0, "parse_dates": True, **kwargs})))  # fmt: skip


def _set_value(self: Any, index: Any, column: Any, value: Any) -> Any:
    self.at[index, column] = value
    return self


def _sort_index(real: Callable) -> Callable:
    @functools.wraps(real)
    def sort_index(self: Any, by: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(by, str) or (isinstance(by, list) and by):
            return self.sort_values(by, *args, **kwargs)
        return real(self, *(() if by is None else (by,)), *args, **kwargs)

    return sort_index


def _of_numbers(real: Callable) -> Callable:
    """Columns that are no numbers are passed over, as up to pandas 1."""

    @functools.wraps(real)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return real(self, *args, **kwargs)
        except (TypeError, ValueError):
            if "numeric_only" in kwargs:
                raise
            return real(self, *args, numeric_only=True, **kwargs)

    return wrapper


# -- arrays and writes ---------------------------------------------------------------------------------------
def _writable(kind: Any, patches: Patches) -> None:
    """Arrays that a program may write into: pandas 3 hands out views that refuse."""
    values = kind.values
    patches.set(kind, "values", property(lambda self: _own(values.fget(self))))
    for name in ("to_numpy", "__array__"):
        patches.set(kind, name, _owning(getattr(kind, name)))


def _owning(real: Callable) -> Callable:
    @functools.wraps(real)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _own(real(*args, **kwargs))

    return wrapper


def _own(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) and not array.flags.writeable else array


def _chained(pandas: Any, patches: Patches) -> None:
    """`frame["a"][3] = 1`, `frame.a.loc[mask] = 0` and `frame["a"].fillna(0, inplace=True)` change the frame."""
    frame, series = pandas.DataFrame, pandas.Series
    warning = getattr(pandas.errors, "ChainedAssignmentError", None)
    if warning is not None:
        warnings.simplefilter("ignore", warning)
    real_get, real_set = frame.__getitem__, frame.__setitem__

    @functools.wraps(real_get)
    def taken(self: Any, key: Any) -> Any:
        found = real_get(self, key)
        if isinstance(found, series) and isinstance(key, str | int):
            object.__setattr__(found, _ORIGIN, (weakref.ref(self), key))
        return found

    def back(column: Any) -> None:
        origin, key = vars(column).get(_ORIGIN, (None, None))
        owner = origin() if origin is not None else None
        if owner is not None and key in owner.columns and owner.index.equals(column.index):
            real_set(owner, key, column)

    patches.set(frame, "__getitem__", taken)
    patches.set(series, "__setitem__", _then(series.__setitem__, back))
    for name in _IN_PLACE:
        patches.set(series, name, _then(getattr(series, name), back, asked=name != "update"))
    for indexer in ("_LocationIndexer", "_ScalarAccessIndexer"):
        kind = getattr(pandas.core.indexing, indexer)
        patches.set(kind, "__setitem__", _then(kind.__setitem__, lambda self: back(self.obj)))


def _then(real: Callable, action: Callable[[Any], None], asked: bool = False) -> Callable:
    """`real`, and `action` on its first argument after it (where `asked`, if it was told to work in place)."""

    @functools.wraps(real)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = real(self, *args, **kwargs)
        if not asked or kwargs.get("inplace"):
            action(self)
        return result

    return wrapper


# -- functions -----------------------------------------------------------------------------------------------
def _functions(pandas: Any, patches: Patches) -> None:
    patches.set(pandas, "concat", without(positional(pandas.concat), "join_axes"))
    patches.set(pandas, "to_datetime", _to_datetime(pandas.to_datetime))
    real = pandas.get_dummies
    patches.set(pandas, "get_dummies", functools.wraps(real)(
        lambda *args, **kwargs: real(*args, **{"dtype": np.uint8, **kwargs})))  # fmt: skip
    patches.add(pandas, "datetime", datetime.datetime)
    patches.add(pandas, "np", np)
    patches.add(pandas, "scatter_matrix", lambda *args, **kwargs: pandas.plotting.scatter_matrix(*args, **kwargs))
    for name, method in _ROLLING.items():
        patches.add(pandas, f"rolling_{name}", functools.partial(_rolling, method))
    patches.add(pandas, "ewma", lambda arg, com=None, span=None, **kwargs: arg.ewm(com=com, span=span, **kwargs).mean())


def _rolling(method: str, arg: Any, window: int, min_periods: int | None = None, center: bool = False) -> Any:
    return getattr(arg.rolling(window, min_periods=min_periods, center=center), method)()


def _to_datetime(real: Callable) -> Callable:
    @functools.wraps(real)
    def to_datetime(*args: Any, infer_datetime_format: bool = False, **kwargs: Any) -> Any:
        try:
            return real(*args, **kwargs)
        except ValueError:
            if "format" in kwargs:
                raise
            return real(*args, format="mixed", **kwargs)  # each by its own format, as up to pandas 1

    return to_datetime
