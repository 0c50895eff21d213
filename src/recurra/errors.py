"""The errors that recurra raises, as one tree.

    RecurraError
    ├── InputError (ValueError)         a wrong shape, size, length, option: names the argument, what came, what was due
    ├── StructureError (TypeError)      a state or nest of another structure, an argument of another type
    ├── DataError (ValueError)          a file that cannot be read as what it should be: names file and line
    ├── ConfigError (ValueError)        an option that does not exist or does not fit
    └── CheckpointError (ValueError)    a checkpoint that is broken, incomplete or of another model

Each is also the built-in error that Python users expect, so `except ValueError` keeps working.
"""


class RecurraError(Exception):
    """Base of everything that recurra raises on purpose."""


class InputError(RecurraError, ValueError):
    """An argument has a wrong value: shape, size, range."""


class StructureError(RecurraError, TypeError):
    """An argument has a wrong type or nesting."""


class DataError(RecurraError, ValueError):
    """A data file is missing, empty or malformed."""


class ConfigError(RecurraError, ValueError):
    """A configuration names an unknown option or an impossible value."""


class CheckpointError(RecurraError, ValueError):
    """A checkpoint is broken, incomplete, or belongs to another model."""
