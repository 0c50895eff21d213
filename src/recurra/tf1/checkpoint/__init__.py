"""TensorFlow 1's checkpoint files: read, written, understood, and loaded into models, with no TensorFlow installed.

    checkpoint = open("model.ckpt-100")        # lazy: a mapping from names to arrays
    read(prefix) · write(prefix, tensors, version="V2") · list_variables(prefix) · latest_checkpoint(directory)
    load_into(module, prefix, scope="…")       # by every era's names
    infer(prefix)                              # which model is in there

Read `files.py` first; `bundle_v2.py` and `table_v1.py` are the formats, `names.py` the eras, `load.py` the way
into modules.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .errors import CheckpointError, CheckpointNotFoundError
from .files import Checkpoint, checkpoint_exists, checkpoint_files, list_variables, open, read, write
from .meta import CellFacts, Meta, read_meta, write_meta
from .names import era, modern_names
from .slices import Partitioned, VariableInfo
from .state import CheckpointState, latest_checkpoint, read_state, write_state

if TYPE_CHECKING:
    from .architecture import Architecture, infer
    from .containers import Difference, convert, diff, read_any
    from .load import LoadReport, load_into
    from .modules import variables_of

# These need torch and the cells; files are read without.
_LAZY = {
    "Architecture": "architecture",
    "Difference": "containers",
    "LoadReport": "load",
    "convert": "containers",
    "diff": "containers",
    "infer": "architecture",
    "load_into": "load",
    "read_any": "containers",
    "variables_of": "modules",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Architecture",
    "CellFacts",
    "Checkpoint",
    "CheckpointError",
    "CheckpointNotFoundError",
    "CheckpointState",
    "Difference",
    "LoadReport",
    "Meta",
    "Partitioned",
    "VariableInfo",
    "checkpoint_exists",
    "checkpoint_files",
    "convert",
    "diff",
    "era",
    "infer",
    "latest_checkpoint",
    "list_variables",
    "load_into",
    "modern_names",
    "open",
    "read",
    "read_any",
    "read_meta",
    "read_state",
    "variables_of",
    "write",
    "write_meta",
    "write_state",
]
