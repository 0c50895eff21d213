"""What a program meets when it uses a tf.* name that is not here."""

from __future__ import annotations

import difflib
import dis
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

from recurra._slips import nearest as nearest_of

_PACKAGE = str(Path(__file__).resolve().parent)
_RUNNER = str(Path(_PACKAGE) / "runner.py")
_OUT_OF_SCOPE = {
    "contrib.tpu": "TPU support is outside recurra's scope",
    "contrib.slim.nets": "slim's image networks are outside recurra's scope",
    "contrib.distribute": "distribution strategies are outside recurra's scope",
    "contrib.tensorrt": "TensorRT is outside recurra's scope",
    "contrib.bayesflow": "probabilistic programming is outside recurra's scope",
    "contrib.boosted_trees": "boosted trees are outside recurra's scope",
    "contrib.tensor_forest": "random forests are outside recurra's scope",
    "contrib.gan": "GAN helpers are outside recurra's scope",
    "lite": "TensorFlow Lite is outside recurra's scope",
}


class MissingName(NotImplementedError, AttributeError):
    """A tf.* name that recurra does not have. It is an AttributeError too, so that `hasattr` answers False.

    The nearest name is looked for when the message is read: a program that only asks whether a name is there does not wait.
    """  # noqa: E501

    def __init__(self, message: str, name: str = "", known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self._name, self._known = name, known

    def __str__(self) -> str:
        close = nearest(self._name, self._known) if self._name else None
        return f"{self.args[0]}; the nearest name that is: tf.{close}" if close else str(self.args[0])

    def __reduce__(self) -> tuple[type[MissingName], tuple[str]]:
        return MissingName, (str(self),)


def missing_name(name: str, known: Iterable[str] = (), place: str | None = None) -> MissingName:
    """The error for `name` ('tf.nn.foo'): says the program's file and line and the nearest of the `known` names."""
    short = name.removeprefix("tf.").removeprefix("tensorflow.")
    message = f"tf.{short} is not implemented in recurra"
    place = place or program_place()
    if place:
        message += f" (used at {place})"
    reason = next((why for part, why in _OUT_OF_SCOPE.items() if f"{short}.".startswith(f"{part}.")), None)
    if reason:
        return MissingName(f"{message}: {reason}")
    return MissingName(message, short, known)


def nearest(short: str, known: Iterable[str]) -> str | None:
    """The known dotted name most like `short`: same last part first, then by spelling of the last part."""
    known = [name for name in known if not name.startswith("python.")]
    last = short.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for candidate in known:
        by_last.setdefault(candidate.rpartition(".")[2], []).append(candidate)
    match = [last] if last in by_last else nearest_of(last, by_last)
    if not match:
        return None
    return max(by_last[match[0]], key=lambda c: (difflib.SequenceMatcher(None, c, short).ratio(), -len(c)))


def program_frames() -> Iterator[FrameType]:
    """The calling frames that are neither recurra's nor Python's import machinery, innermost first; of a program that
    the runner started none of what started the runner."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file == _RUNNER:
            return
        if not (file.startswith(_PACKAGE) or file.startswith("<frozen importlib")):
            yield frame
        frame = frame.f_back


def program_stack() -> list[str]:
    """The program's lines that are being run, outermost first, as a traceback prints them."""
    lines = [traceback.FrameSummary(f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for f in program_frames()]
    return traceback.format_list(lines[::-1])


def program_place() -> str:
    """'file.py:12' of the innermost frame of the program, '' when there is none."""
    frame = next(program_frames(), None)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def derives_from(frame: FrameType) -> bool:
    """Whether the frame is reading the bases of a class statement: `class Name(module.attribute, …`."""
    before = [i for i in dis.get_instructions(frame.f_code) if i.offset < frame.f_lasti]
    while before and before[-1].opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_ATTR", "LOAD_DEREF", "PUSH_NULL", "CACHE"):
        before.pop()
    return len(before) > 1 and before[-1].opname == "LOAD_CONST" and before[-2].opname == "MAKE_FUNCTION"


class Missing:
    """Stands for a name that was imported but is not here: any use of it raises MissingName.

    A class may be derived from it; making an instance of that class raises.
    """

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.__dict__.update(_name=name, _known=known, __name__=name.rpartition(".")[2])

    def _refuse(self, *_args: object, **_kwargs: object) -> object:
        raise missing_name(self._name, self._known)

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        frame = next(program_frames(), None)
        if frame is not None and derives_from(frame):
            return Missing(f"{self._name}.{attribute}", self._known)
        raise missing_name(f"{self._name}.{attribute}", self._known)

    def __mro_entries__(self, _bases: object) -> tuple[type]:
        def refuse(_cls: type, *_args: object, **_kwargs: object) -> object:
            raise missing_name(self._name, self._known)

        return (type(self.__name__, (), {"__new__": refuse}),)

    __call__ = __getitem__ = __iter__ = __enter__ = __instancecheck__ = _refuse  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<tf.{self._name.removeprefix('tf.')}: not implemented>"
