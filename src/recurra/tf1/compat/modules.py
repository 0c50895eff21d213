"""Modules and members that other packages dropped: scipy.misc, sklearn.cross_validation, DataFrame.append, IPython, …

`STAND_INS` maps a module name to a function that fills an empty module; `AFTER_IMPORT` maps a module name to a function
that is called once the real module was imported.
"""

from __future__ import annotations

import collections
import functools
import pdb
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from recurra.tf1.compat import pandas_names, python2, sklearn_names
from recurra.tf1.compat.patches import Patches


def _scipy_misc(module: ModuleType) -> None:
    special = import_module("scipy.special")
    members: dict[str, Any] = {
        name: getattr(special, name) for name in ("comb", "factorial", "factorial2", "logsumexp")
    }
    members |= {
        "imread": _imread,
        "imsave": _imsave,
        "imresize": _imresize,
        "toimage": _toimage,
        "fromimage": np.asarray,
    }
    vars(module).update(members)


def _image() -> Any:
    return import_module("PIL.Image")


def _imread(name: Any, flatten: bool = False, mode: str | None = None) -> np.ndarray:
    image = _image().open(name)
    if flatten or mode:
        image = image.convert("F" if flatten else mode)
    return np.asarray(image)


def _toimage(arr: Any, high: float = 255, low: float = 0, cmin: float | None = None, cmax: float | None = None) -> Any:
    data = np.asarray(arr)
    if data.dtype != np.uint8:  # scipy.misc.bytescale: the data's own range unless told
        lowest = data.min() if cmin is None else cmin
        span = ((data.max() if cmax is None else cmax) - lowest) or 1
        data = ((data - lowest) * ((high - low) / span) + low).clip(low, high).round().astype(np.uint8)
    return _image().fromarray(data)


def _imsave(name: Any, arr: Any, format: str | None = None) -> None:
    _toimage(arr).save(name, format=format)


def _imresize(arr: Any, size: Any, interp: str = "bilinear", mode: str | None = None) -> np.ndarray:
    image = _toimage(arr)
    width, height = image.size
    if isinstance(size, int):
        target = (width * size // 100, height * size // 100)
    elif isinstance(size, float):
        target = (int(width * size), int(height * size))
    else:
        target = (int(size[1]), int(size[0]))
    ways = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "cubic": 3}
    return np.asarray(image.resize(target, resample=ways[interp]))


def _ipython(module: ModuleType) -> None:
    vars(module).update(get_ipython=lambda: None, version_info=(8, 24, 0, ""), __version__="8.24.0")


def _debugger(module: ModuleType) -> None:
    """ipdb and pudb, whose import was left behind: Python's own debugger."""
    vars(module).update(set_trace=pdb.set_trace, post_mortem=pdb.post_mortem, pm=pdb.pm)


def _empty(module: ModuleType) -> None:
    """A package that only holds others."""


def _ipython_display(module: ModuleType) -> None:
    def display(*objects: Any, **kwargs: Any) -> None:
        for shown in objects:
            print(shown)

    class Shown:
        """Something a notebook would draw; here its text."""

        def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
            self.data = data

        def __repr__(self) -> str:
            return f"<{type(self).__name__} {str(self.data)[:60]}>"

    kinds = {
        name: type(name, (Shown,), {}) for name in ("HTML", "Image", "Audio", "SVG", "Markdown", "Math", "Javascript")
    }
    vars(module).update(kinds, display=display, clear_output=lambda wait=False: None)


def _future_utils(module: ModuleType) -> None:
    """What the package `future` is mostly imported for: the names that work under Python 2 and 3."""
    members: dict[str, Any] = {
        "PY2": False,
        "PY3": True,
        "iteritems": lambda mapping: iter(mapping.items()),
        "iterkeys": lambda mapping: iter(mapping.keys()),
        "itervalues": lambda mapping: iter(mapping.values()),
        "listitems": lambda mapping: list(mapping.items()),
        "lmap": lambda *args: list(map(*args)),
        "lrange": lambda *args: list(range(*args)),
        "lzip": lambda *args: list(zip(*args, strict=False)),
        "python_2_unicode_compatible": lambda kind: kind,
        "text_type": str,
        "string_types": (str,),
        "integer_types": (int,),
    }
    vars(module).update(members)


def _standard_library(module: ModuleType) -> None:
    vars(module).update(install_aliases=lambda: None, install_hooks=lambda: None)


def _past_builtins(module: ModuleType) -> None:
    members = {
        "xrange": range,
        "unicode": str,
        "basestring": str,
        "long": int,
        "raw_input": input,
        "reduce": functools.reduce,
        "old_div": python2.divide,
    }
    vars(module).update(members)


STAND_INS: dict[str, Callable[[ModuleType], None]] = {
    "scipy.misc": _scipy_misc,
    "future": _empty,
    "future.utils": _future_utils,
    "future.standard_library": _standard_library,
    "past": _empty,
    "past.builtins": _past_builtins,
    "past.utils": _past_builtins,
    **sklearn_names.STAND_INS,
    "ipdb": _debugger,
    "pudb": _debugger,
    "IPython": _ipython,
    "IPython.display": _ipython_display,
    "IPython.core.display": _ipython_display,
}
# stand in even where the real one can be imported (scipy.misc of 1.12+ is an empty shell)
ALWAYS = {"scipy.misc"}


def _scipy_stats(stats: ModuleType, patches: Patches) -> None:
    real = stats.mode  # type: ignore[attr-defined]

    @functools.wraps(real)
    def mode(a: Any, axis: int | None = 0, *args: Any, **kwargs: Any) -> Any:
        """Values of any kind, and the axis kept, as up to SciPy 1.8."""
        values = np.asarray(a)
        if values.dtype.kind in "biufc":
            return real(values, axis, *args, **{"keepdims": True, **kwargs})
        if values.ndim != 1:
            raise TypeError("mode of text takes one dimension")
        found, counts = np.unique(values.astype(object), return_counts=True)
        most = int(np.argmax(counts))
        return collections.namedtuple("ModeResult", "mode count")(found[[most]], counts[[most]])

    patches.set(stats, "mode", mode)


def _pyplot(pyplot: ModuleType, patches: Patches) -> None:
    from recurra.tf1.compat.plots import adapt_pyplot

    adapt_pyplot(pyplot, patches, getattr(sys.modules.get("__main__"), "__recurra_stem__", "program"))


def _yaml(yaml: ModuleType, patches: Patches) -> None:
    """`yaml.load(stream)`: the loader became an argument without a default in PyYAML 6."""
    for name in ("load", "load_all"):
        real = getattr(yaml, name)
        patches.set(yaml, name, _with_loader(real, yaml.FullLoader))  # type: ignore[attr-defined]


def _with_loader(real: Callable, default: Any) -> Callable:
    @functools.wraps(real)
    def load(stream: Any, Loader: Any = default) -> Any:
        return real(stream, Loader=Loader)

    return load


def _pillow(image: ModuleType, patches: Patches) -> None:
    """Filters under the names they had up to Pillow 9."""
    for old, new in (("ANTIALIAS", "LANCZOS"), ("LINEAR", "BILINEAR"), ("CUBIC", "BICUBIC")):
        patches.add(image, old, getattr(image, new))


def _pillow_font(module: Any, patches: Patches) -> None:
    for kind in (module.FreeTypeFont, module.ImageFont):
        patches.add(kind, "getsize", lambda self, text, *args, **kwargs: self.getbbox(text, *args, **kwargs)[2:])


def _pillow_draw(module: Any, patches: Patches) -> None:
    def textsize(self: Any, text: str, font: Any = None, **kwargs: Any) -> tuple[int, int]:
        box = self.textbbox((0, 0), text, font, **kwargs)
        return box[2], box[3]

    patches.add(module.ImageDraw, "textsize", textsize)


AFTER_IMPORT: dict[str, Callable[[ModuleType, Patches], None]] = {
    "pandas": pandas_names.adapt,
    "matplotlib.pyplot": _pyplot,
    "scipy.stats": _scipy_stats,
    **sklearn_names.AFTER_IMPORT,
    "yaml": _yaml,
    "PIL.Image": _pillow,
    "PIL.ImageFont": _pillow_font,
    "PIL.ImageDraw": _pillow_draw,
}
