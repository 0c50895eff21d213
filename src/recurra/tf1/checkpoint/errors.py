"""The errors of reading and writing checkpoints; `recurra.errors` has the whole tree.

CheckpointError (recurra.CheckpointError)   a file is damaged, hostile, or of a kind that is not read here
└── CheckpointNotFoundError                 there is no checkpoint at this path (also a FileNotFoundError)
"""

from __future__ import annotations

from recurra import errors

__all__ = ["CheckpointError", "CheckpointNotFoundError"]


class CheckpointError(errors.CheckpointError):
    """A checkpoint cannot be read or written; the message names the file and the cause."""

    def __init__(self, path: object, cause: str) -> None:
        super().__init__(f"{path}: {cause}")
        self.path = str(path)
        self.cause = cause


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """No checkpoint lies at this path, in either format."""

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}"
