"""TensorFlow 1's checkpoint files: read, written, understood, and loaded into models, with no TensorFlow installed.

    checkpoint = open("model.ckpt-100")        # lazy: a mapping from names to arrays
    read(prefix) · write(prefix, tensors, version="V2") · list_variables(prefix) · latest_checkpoint(directory)
    load_into(module, prefix, scope="…")       # by every era's names
    infer(prefix)                              # which model is in there

Read `files.py` first; `bundle_v2.py` and `table_v1.py` are the formats, `names.py` the eras, `load.py` the way
into modules.
"""

from .errors import CheckpointError, CheckpointNotFoundError
from .files import Checkpoint, checkpoint_exists, checkpoint_files, list_variables, open, read, write
from .meta import CellFacts, Meta, read_meta, write_meta
from .slices import Partitioned, VariableInfo
from .state import CheckpointState, latest_checkpoint, read_state, write_state

__all__ = [
    "CellFacts",
    "Checkpoint",
    "CheckpointError",
    "CheckpointNotFoundError",
    "CheckpointState",
    "Meta",
    "Partitioned",
    "VariableInfo",
    "checkpoint_exists",
    "checkpoint_files",
    "latest_checkpoint",
    "list_variables",
    "open",
    "read",
    "read_meta",
    "read_state",
    "write",
    "write_meta",
    "write_state",
]
