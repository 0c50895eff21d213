"""The `checkpoint` file beside checkpoints: which is the latest, which are still there (a CheckpointState as text)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from recurra._files import write_text

from .errors import CheckpointError

__all__ = ["CheckpointState", "latest_checkpoint", "parse_state", "read_state", "write_state"]

_FIELD = re.compile(r'\s*(\w+)\s*:\s*(?:"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'|([-+.\w]+))[ \t]*[,;]?')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_CONTROL = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11}


@dataclass(frozen=True)
class CheckpointState:
    """What the state file says; paths as given there, or joined to its directory where they were relative."""

    model_checkpoint_path: str
    all_model_checkpoint_paths: tuple[str, ...] = ()
    all_model_checkpoint_timestamps: tuple[float, ...] = ()
    last_preserved_timestamp: float | None = None
    raw_paths: tuple[str, ...] = field(default=(), repr=False)


def state_path(directory: str, latest_filename: str | None = None) -> str:
    """Where the state file of a directory lies."""
    return os.path.join(directory, latest_filename or "checkpoint")


def read_state(directory: str | os.PathLike[str], latest_filename: str | None = None) -> CheckpointState | None:
    """The state file of a directory (`tf.train.get_checkpoint_state`); None where it is missing or broken."""
    base = os.fspath(directory)
    try:
        with open(state_path(base, latest_filename), "rb") as stream:
            return parse_state(stream.read(), base)
    except (OSError, CheckpointError):
        return None


def parse_state(data: bytes, directory: str) -> CheckpointState:
    """A CheckpointState from its text; CheckpointError where it is none."""
    try:
        fields = _parse(data.decode("utf-8"))
        stamps = tuple(float(t) for t in fields.get("all_model_checkpoint_timestamps", []))
        preserved = [float(t) for t in fields.get("last_preserved_timestamp", [])]
    except ValueError as error:
        raise CheckpointError(state_path(directory), f"is not a checkpoint state: {error}") from None
    latest = [name for name in fields.get("model_checkpoint_path", []) if isinstance(name, str)]
    if not latest:
        raise CheckpointError(state_path(directory), "names no model_checkpoint_path")
    everything = tuple(name for name in fields.get("all_model_checkpoint_paths", []) if isinstance(name, str))
    joined = tuple(os.path.join(directory, name) for name in everything)
    return CheckpointState(
        os.path.join(directory, latest[-1]), joined, stamps, preserved[-1] if preserved else None, raw_paths=everything
    )


def write_state(
    directory: str | os.PathLike[str],
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] = (),
    *,
    latest_filename: str | None = None,
    save_relative_paths: bool = False,
    all_model_checkpoint_timestamps: Sequence[float] = (),
    last_preserved_timestamp: float | None = None,
) -> str:
    """Write the state file atomically, as `tf.train.Saver` does; returns its path.

    Oldest first; the latest is added at the end where it is missing. Relative paths are kept relative to the directory
    when that is relative itself or `save_relative_paths` is set; absolute ones are kept as they are otherwise.
    """
    base = os.fspath(directory)
    everything = list(all_model_checkpoint_paths)
    if not everything or everything[-1] != model_checkpoint_path:
        everything.append(model_checkpoint_path)
    everything = [_relative(base, name, save_relative_paths) for name in everything]
    lines = [f'model_checkpoint_path: "{_quoted(everything[-1])}"']
    lines += [f'all_model_checkpoint_paths: "{_quoted(name)}"' for name in everything]
    lines += [f"all_model_checkpoint_timestamps: {stamp!r}" for stamp in all_model_checkpoint_timestamps]
    if last_preserved_timestamp is not None:
        lines.append(f"last_preserved_timestamp: {last_preserved_timestamp!r}")
    path = state_path(base, latest_filename)
    try:
        write_text(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise CheckpointError(path, f"cannot be written: {error.strerror}") from error
    return path


def latest_checkpoint(directory: str | os.PathLike[str], latest_filename: str | None = None) -> str | None:
    """The prefix that the state file names, if that checkpoint is there (`tf.train.latest_checkpoint`); else None."""
    from .files import checkpoint_exists

    state = read_state(directory, latest_filename)
    if state is None or not checkpoint_exists(state.model_checkpoint_path):
        return None
    return state.model_checkpoint_path


def _relative(base: str, path: str, always: bool) -> str:
    if os.path.isabs(path):
        return os.path.relpath(path, base) if always else path
    return path if os.path.isabs(base) else os.path.relpath(path, base)


def _parse(text: str) -> dict[str, list[str | float]]:
    """The fields of a flat text protobuf; ValueError where a line is none."""
    fields: dict[str, list[str | float]] = {}
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).rstrip()
    position = 0
    while position < len(text):
        match = _FIELD.match(text, position)
        if match is None:
            raise ValueError(f"not a field: {text[position : position + 40]!r}")
        name, double, single, number = match.groups()
        quoted = double if double is not None else single
        fields.setdefault(name, []).append(float(number) if quoted is None else _unquoted(quoted))
        position = match.end()
    return fields


def _quoted(text: str) -> str:
    return "".join(_quoted_byte(byte) for byte in text.encode())


def _quoted_byte(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def _unquoted(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "01234567":
            return chr(int(code, 8) & 0xFF)
        if code[0] == "x" and len(code) > 1:
            return chr(int(code[1:], 16))
        return chr(_CONTROL[code]) if code in _CONTROL else code

    # Escapes are bytes of UTF-8: undo them on a text that has one character per byte.
    return _ESCAPE.sub(plain, text.encode().decode("latin-1")).encode("latin-1").decode()
