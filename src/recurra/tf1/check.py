"""`recurra run --check`: which tf.* names of a program are not here, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recurra.tf1 import eras, runner, surface
from recurra.tf1.missing import nearest


@dataclass(frozen=True)
class Finding:
    """A name that is not here: the name below tf, where it is used, the nearest that is."""

    name: str
    places: tuple[str, ...]
    nearest: str | None

    @property
    def line(self) -> str:
        """One line for the user."""
        hint = f"; nearest: tf.{self.nearest}" if self.nearest else ""
        return f"tf.{self.name}  {', '.join(self.places)}{hint}"


@dataclass(frozen=True)
class Report:
    """All names a program uses, its era, and those that are missing."""

    era: eras.Guess
    used: tuple[str, ...]
    missing: tuple[Finding, ...]


def check(path: str | Path, tf_version: str | None = None, use_python2: bool | None = None) -> Report:
    """Compare a program's names with the table. Raises FileNotFoundError, SyntaxError, ValueError (version)."""
    source = runner.load(path, use_python2)
    guess = runner.guess_era(source, tf_version)
    places: dict[str, list[str]] = {}
    for use in runner.scan_all(source).uses:
        places.setdefault(use.name, []).append(f"{use.path}:{use.line}")
    with eras.using(guess.era):
        missing = [name for name in sorted(places) if not resolves(name)]
        known = surface.names() if missing else set()
        findings = tuple(Finding(n, tuple(dict.fromkeys(places[n])), nearest(n, known)) for n in missing)
    return Report(guess, tuple(sorted(places)), findings)


def resolves(dotted: str) -> bool:
    """Whether the name, or an object of which it is an attribute, is here."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = surface.lookup(".".join(parts[:length]))
        except KeyError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return not isinstance(found, type)  # an instance or a function's result may have it: not ours to say
            found = getattr(found, attribute)
        return True
    return surface.is_module(dotted)
