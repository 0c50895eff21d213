"""tf.errors: what Session.run raises, with TensorFlow's classes and codes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from recurra.tf1.names import export, tf_export


@tf_export("OpError", "errors.OpError")
class OpError(Exception):
    """An operation failed at run time."""

    def __init__(self, node_def: Any, op: Any, message: str, error_code: int = 2):
        super().__init__()
        self._node_def, self._op, self._message, self._error_code = node_def, op, message, error_code

    def __reduce__(self) -> Any:
        return type(self), (None, None, self._message, self._error_code)

    @property
    def message(self) -> str:
        return self._message

    @property
    def op(self) -> Any:
        return self._op

    @property
    def node_def(self) -> Any:
        return self._node_def

    @property
    def error_code(self) -> int:
        return self._error_code

    def __str__(self) -> str:
        if self._op is None:
            return self._message
        place = getattr(self._op, "_place", None)
        made = f"defined at {place[0]}:{place[1]}" if place else self._op.type
        where = f"\n\t [[node {self._op.name} ({made}) ]]"
        return self._message + ("" if where.strip() in self._message else where) + _defined_at(self._op)


def _defined_at(op: Any) -> str:
    place = getattr(op, "_place", None)
    return f"\n\nOriginal stack trace for {op.name!r}:\n  File {place[0]!r}, line {place[1]}\n" if place else ""


_CODES: dict[int, type[OpError]] = {}
_NAMES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
for _code, _name in enumerate(_NAMES):
    export(_code, f"errors.{_name}")
export(OpError, "errors.OpError")


def _error(name: str, code: int) -> type[OpError]:
    def __init__(self: OpError, node_def: Any, op: Any, message: str, error_code: int = code) -> None:
        OpError.__init__(self, node_def, op, message, error_code)

    cls = type(name, (OpError,), {"__init__": __init__, "__module__": __name__, "__doc__": f"Code {_NAMES[code]}."})
    _CODES[code] = cls
    return export(cls, f"errors.{name}")


CancelledError = _error("CancelledError", 1)
UnknownError = _error("UnknownError", 2)
InvalidArgumentError = _error("InvalidArgumentError", 3)
DeadlineExceededError = _error("DeadlineExceededError", 4)
NotFoundError = _error("NotFoundError", 5)
AlreadyExistsError = _error("AlreadyExistsError", 6)
PermissionDeniedError = _error("PermissionDeniedError", 7)
ResourceExhaustedError = _error("ResourceExhaustedError", 8)
FailedPreconditionError = _error("FailedPreconditionError", 9)
AbortedError = _error("AbortedError", 10)
OutOfRangeError = _error("OutOfRangeError", 11)
UnimplementedError = _error("UnimplementedError", 12)
InternalError = _error("InternalError", 13)
UnavailableError = _error("UnavailableError", 14)
DataLossError = _error("DataLossError", 15)
UnauthenticatedError = _error("UnauthenticatedError", 16)


@tf_export("errors.exception_type_from_error_code")
def exception_type_from_error_code(error_code: int) -> type[OpError]:
    return _CODES[error_code]


@tf_export("errors.error_code_from_exception_type")
def error_code_from_exception_type(cls: type[OpError]) -> int:
    return next(code for code, known in _CODES.items() if known is cls)


@tf_export("errors.raise_exception_on_not_ok_status")
@contextlib.contextmanager
def raise_exception_on_not_ok_status() -> Iterator[None]:
    yield None


class OperatorNotAllowedInGraphError(TypeError):
    """A tensor was used as a Python bool or iterated over."""


export(OperatorNotAllowedInGraphError, "errors.OperatorNotAllowedInGraphError")


def from_torch(error: Exception, op: Any, words: str | None = None) -> Exception:
    """The tf error for what a lowering raised in `op`: shapes, indices and values are InvalidArgument; the rest passes unchanged.

    `words`: what TensorFlow says in place of torch's message.
    """  # noqa: E501
    if isinstance(error, OpError):
        if error._op is None:
            error._op, error._node_def = op, op.node_def if op is not None else None
        return error
    if isinstance(error, NotImplementedError):
        if not str(error).startswith(('"', "Could not run")):
            return error
        return UnimplementedError(None, op, str(error))
    if isinstance(error, torch_memory_error()):
        return ResourceExhaustedError(None, op, str(error))
    if isinstance(error, RuntimeError | ValueError | IndexError | TypeError):
        return InvalidArgumentError(None, op, words or str(error))
    return error


def invalid_argument(message: str) -> InvalidArgumentError:
    """An error of no operation in particular."""
    return InvalidArgumentError(None, None, message)


def torch_memory_error() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError
