"""`import recurra.tf1 as tf`: TensorFlow 0.6 to 1.15's Python surface on torch.

Reads as a package of names: every `tf.x.y` is looked up in `names.py`'s table, so a missing name fails when it is used. Start with
`graph.py` (what is built), `registry.py` and `build.py` (how an operation is declared and made), `plan.py` and `session.py` (how it runs).
"""  # noqa: E501

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any


class _Package(types.ModuleType):
    """Our own sub-modules that are called like one of tf's (`tf.errors`, `tf.train`) answer for that one's names too."""  # noqa: E501

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, types.ModuleType) and not name.startswith("_"):
            path = f"{self.__name__}.{name}".removeprefix(f"{__name__}.")

            def below(attribute: str) -> Any:
                if attribute.startswith("__") or getattr(value.__spec__, "_initializing", False):
                    raise AttributeError(attribute)
                return importlib.import_module(f"{__name__}.namespace").resolve(f"{path}.{attribute}")

            value.__dict__.setdefault("__getattr__", below)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__version__":
        raise AttributeError(name)
    if importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    return importlib.import_module(f"{__name__}.namespace").resolve(name)
