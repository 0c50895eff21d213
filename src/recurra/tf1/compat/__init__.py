"""What old programs expect around TensorFlow, restored while one runs (never for recurra's other users)."""

from __future__ import annotations

import warnings

from recurra.tf1.compat import modules, numpy_names, plots, python2, python2_names, stdlib
from recurra.tf1.compat.patches import Patches


def apply(patches: Patches, old_python: bool = False) -> None:
    """All changes to modules that are there, and Python 2's for a program of it; `modules.py` serves those that are
    imported later."""
    filters = warnings.catch_warnings()
    filters.__enter__()
    patches.undo(lambda: filters.__exit__(None, None, None))
    for category in (DeprecationWarning, PendingDeprecationWarning, SyntaxWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    for part in (stdlib, numpy_names, plots, *([python2_names] if old_python else [])):
        part.apply(patches)


__all__ = ["apply", "modules", "numpy_names", "plots", "python2", "python2_names", "stdlib"]
