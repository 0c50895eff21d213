"""`pandas.read_csv` with the keywords it had up to pandas 1: date parsers, joined columns of dates, white space."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from recurra.tf1.compat.patches import Patches

# keywords that only ever said how fast or how loudly
_DROPPED = {"infer_datetime_format", "warn_bad_lines", "mangle_dupe_cols", "verbose", "tupleize_cols", "compact_ints"}


def adapt(pandas: Any, patches: Patches) -> None:
    """Both readers of tables of text."""
    for name in ("read_csv", "read_table"):
        patches.set(pandas, name, _reader(pandas, getattr(pandas, name)))


def _reader(pandas: Any, real: Callable) -> Callable:
    names = list(inspect.signature(real).parameters)

    @functools.wraps(real)
    def read(*args: Any, **kwargs: Any) -> Any:
        options = {**dict(zip(names, args, strict=False)), **kwargs}
        source = options.pop(names[0])
        squeeze, prefix = options.pop("squeeze", False), options.pop("prefix", None)
        if options.pop("delim_whitespace", False):
            options["sep"] = r"\s+"
        if options.pop("error_bad_lines", True) is False:
            options.setdefault("on_bad_lines", "skip")
        dates = _Dates(pandas, options)
        frame = real(source, **{k: v for k, v in options.items() if k not in _DROPPED})
        frame = dates.applied(frame)
        if prefix is not None and options.get("header", 0) is None:
            frame.columns = [f"{prefix}{c}" for c in frame.columns]
        return frame.squeeze("columns") if squeeze else frame

    return read


class _Dates:
    """What `parse_dates` and `date_parser` ask that pandas does not do any longer; the options lose it."""

    def __init__(self, pandas: Any, options: dict[str, Any]) -> None:
        self.pandas, self.wanted = pandas, options.get("parse_dates", False)
        self.parser, self.kept = options.pop("date_parser", None), options.pop("keep_date_col", False)
        nested = isinstance(self.wanted, dict) or (
            isinstance(self.wanted, list) and any(isinstance(item, list | tuple) for item in self.wanted)
        )
        self.ours = bool(self.wanted) and (nested or self.parser is not None)
        if self.ours:
            self.index, self.day_first = options.pop("index_col", None), options.get("dayfirst", False)
            options["parse_dates"] = False

    def applied(self, frame: Any) -> Any:
        """The frame with its columns of dates, then its index."""
        if not self.ours:
            return frame
        joined, used = {}, []
        for name, columns in self._groups(frame).items():
            dates = self._parsed([frame[c].astype(str).to_numpy() for c in columns])
            if [name] == columns:
                frame[name] = dates
            else:
                joined[name] = dates
                used += columns
        frame = frame if self.kept else frame.drop(columns=used)
        for place, (name, dates) in enumerate(joined.items()):
            frame.insert(place, name, dates)
        if self.index is None or self.index is False:
            return frame
        index = self.index if isinstance(self.index, list | tuple) else [self.index]
        return frame.set_index([self._name(frame, i) for i in index])

    def _groups(self, frame: Any) -> dict[Any, list[Any]]:
        wanted = self.wanted
        if wanted is True:
            wanted = [] if self.index is None else self.index if isinstance(self.index, list) else [self.index]
        if not isinstance(wanted, dict):
            groups = [i if isinstance(i, list | tuple) else [i] for i in wanted]
            wanted = {"_".join(str(self._name(frame, c)) for c in g): g for g in groups}
        return {name: [self._name(frame, c) for c in columns] for name, columns in wanted.items()}

    @staticmethod
    def _name(frame: Any, column: Any) -> Any:
        return frame.columns[column] if isinstance(column, int) and column not in frame.columns else column

    def _parsed(self, texts: list[Any]) -> Any:
        """As pandas tried: the columns as arrays, one array of the joined texts, row by row joined, row by row."""
        rows = list(zip(*texts, strict=True))
        joined = [" ".join(row) for row in rows]
        if self.parser is None:
            return self.pandas.to_datetime(joined, dayfirst=self.day_first)
        ways: list[Callable[[], Any]] = [
            lambda: self.parser(*texts),
            lambda: self.parser(joined),
            lambda: [self.parser(text) for text in joined],
        ]
        for way in ways:
            try:
                found = way()
                if len(found) == len(rows):
                    return self.pandas.to_datetime(found)
            except Exception:  # what a program's parser raises on the wrong kind of argument is its own affair
                continue
        return self.pandas.to_datetime([self.parser(*row) for row in rows])
