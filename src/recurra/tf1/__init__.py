"""`import recurra.tf1 as tf`: TensorFlow 0.6 to 1.15's Python surface on torch.

Reads as a package of names: every `tf.x.y` is looked up in `names.py`'s table, so a missing name fails when it is used. Start with
`graph.py` (what is built), `registry.py` and `build.py` (how an operation is declared and made), `plan.py` and `session.py` (how it runs).
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__version__":
        raise AttributeError(name)
    if importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    return importlib.import_module(f"{__name__}.namespace").resolve(name)
