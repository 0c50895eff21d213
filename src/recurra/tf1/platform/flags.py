"""tf.flags / tf.app.flags on absl-py, with what programs of every release relied on.

Reading a flag parses sys.argv; unknown arguments are left to the program. Up to 1.4 `DEFINE_float` kept an integer
default, `--flag False` was understood, and `FLAGS.__flags` was a dict of values.
"""

from __future__ import annotations

import collections.abc
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags as absl_flags

from recurra.tf1 import eras
from recurra.tf1.names import export

_BOOLEANS = {"true", "false", "t", "f", "1", "0", "yes", "no"}


class _LiveValues(collections.abc.Mapping):
    """The dict of a program's flags as they are when it is read, not when they were defined."""

    def __init__(self, flags: Flags) -> None:
        self._of = flags

    def __getitem__(self, name: str) -> Any:
        return self._of._table("__flags")[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of._table("__flags"))

    def __len__(self) -> int:
        return len(self._of._table("__flags"))

    def copy(self) -> dict[str, Any]:
        """A dict of its own."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        return repr(dict(self))


class Flags:
    """The values of a program's flags; attribute access parses sys.argv the first time."""

    def __init__(self) -> None:
        self.reset()

    @property
    def wrapped(self) -> absl_flags.FlagValues:
        """absl's flag values."""
        return self.__dict__["_values"]

    def reset(self) -> None:
        """Forget every flag: a new program starts."""
        self.__dict__["_values"] = absl_flags.FlagValues()
        self.__dict__["__flags"] = _LiveValues(self)  # programs print FLAGS.__dict__["__flags"]

    def __call__(self, argv: Sequence[str], known_only: bool = False) -> list[str]:
        arguments = _old_booleans(list(argv), self.wrapped) if eras.current() < (1, 5) else list(argv)
        _help(arguments, self.wrapped)
        return self.wrapped(arguments, known_only=known_only)

    def _parse_flags(self, args: Sequence[str] | None = None) -> list[str]:
        """Up to 1.4: parse, and give back what was not understood."""
        return self([sys.argv[0], *(sys.argv[1:] if args is None else args)], known_only=True)[1:]

    def __getattr__(self, name: str) -> Any:
        if name.endswith("__flags") or name == "_flags":
            return self._table(name)
        if name.endswith("__parsed"):
            return self.wrapped.is_parsed()
        if name in _METHODS:
            return getattr(self.wrapped, name)
        if not self.wrapped.is_parsed():
            self(sys.argv, known_only=True)
        return getattr(self.wrapped, name)

    def _table(self, name: str) -> Any:
        if name == "_flags":
            return self.wrapped._flags
        if not self.wrapped.is_parsed():
            self(sys.argv, known_only=True)
        if eras.current() < (1, 5):
            return self.wrapped.flag_values_dict()
        return {key: self.wrapped[key] for key in self.wrapped}

    def __setattr__(self, name: str, value: Any) -> None:
        if not self.wrapped.is_parsed():
            self(sys.argv, known_only=True)
        if name not in self.wrapped:  # up to 1.4 any attribute could be set
            self.__dict__[name] = value
            return
        setattr(self.wrapped, name, value)

    def __reduce__(self) -> Any:
        """Up to 1.4 programs kept their flags in a pickle beside the model; absl's refuse."""
        if eras.current() >= (1, 5):
            raise TypeError("can't pickle FlagValues")
        return _unpickled, (dict(self._table("__flags")),)

    def __delattr__(self, name: str) -> None:
        delattr(self.wrapped, name)

    def __contains__(self, name: str) -> bool:
        return name in self.wrapped

    def __getitem__(self, name: str) -> Any:
        return self.wrapped[name]

    def __iter__(self) -> Any:
        return iter(self.wrapped)

    def __len__(self) -> int:
        return len(self.wrapped)

    def __dir__(self) -> list[str]:
        return dir(self.wrapped)


_METHODS = {n for n in dir(absl_flags.FlagValues) if not n.startswith("__")}
FLAGS = Flags()


def _old_booleans(arguments: list[str], values: absl_flags.FlagValues) -> list[str]:
    """`--flag False` as `--flag=False` for boolean flags."""
    joined: list[str] = []
    for argument in arguments:
        before = joined[-1].lstrip("-") if joined else ""
        is_flag = bool(joined) and joined[-1].startswith("-") and before in values and values[before].boolean
        if is_flag and argument.lower() in _BOOLEANS:
            joined[-1] = f"--{before}={argument}"
        else:
            joined.append(argument)
    return joined


def _help(arguments: list[str], values: absl_flags.FlagValues) -> None:
    """--help prints the program's flags and stops, unless it has a flag of that name."""
    if any(a in ("--help", "-h", "--helpfull") for a in arguments[1:]) and "help" not in values:
        print(f"usage: {arguments[0]} [flags]\n{values.get_help()}")
        sys.exit(0)


def _define(name: str) -> Any:
    real = getattr(absl_flags, name)

    def define(flag_name: str, *args: Any, flag_values: Any = None, **kwargs: Any) -> Any:
        if "docstring" in kwargs:  # up to 1.4
            kwargs["help"] = kwargs.pop("docstring")
        if "default_value" in kwargs:
            kwargs["default"] = kwargs.pop("default_value")
        if "flag_name" in kwargs:
            flag_name = kwargs.pop("flag_name")
        if len(args) + ("help" in kwargs) < 2 and name in _WITH_HELP:
            kwargs.setdefault("help", "")
        values = FLAGS.wrapped if flag_values is None or flag_values is FLAGS else flag_values
        default = args[0] if args else kwargs.get("default")
        holder = real(flag_name, *args, flag_values=values, **kwargs)
        if name == "DEFINE_float" and isinstance(default, int) and eras.current() < (1, 5):
            values[flag_name].default = values[flag_name].value = default
        return holder

    define.__name__, define.__doc__ = name, real.__doc__
    return define


_WITH_HELP = {f"DEFINE_{kind}" for kind in ("string", "integer", "float", "bool", "boolean", "list", "spaceseplist")}

for _name in dir(absl_flags):
    if _name.startswith("_") or _name == "FLAGS":
        continue
    _value = _define(_name) if _name.startswith("DEFINE") else getattr(absl_flags, _name)
    export(_value, f"flags.{_name}", f"app.flags.{_name}")
export(FLAGS, "flags.FLAGS", "app.flags.FLAGS")


def _unpickled(values: dict[str, Any]) -> Flags:
    """Flags with the values of a pickle; this program's arguments do not change them."""
    made = Flags()
    made.wrapped.mark_as_parsed()
    made.__dict__.update(values, __flags=values)
    return made
