"""Which tf.* names a program used and where: the table of `recurra run --report`."""

from __future__ import annotations

from collections import Counter

from recurra.tf1.missing import program_place


class Usage:
    """Counts first uses by name and place. Off, it costs one test per lookup."""

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self.counts: Counter[tuple[str, str]] = Counter()
        self.missing: set[str] = set()

    def add(self, name: str, missing: bool = False) -> None:
        """Record that the program's current line uses `name`."""
        if missing:
            self.missing.add(name)
        if self.on:
            self.counts[name, program_place()] += 1

    def lines(self) -> list[str]:
        """One line a name: 'tf.nn.relu  3  model.py:12, model.py:40' in order of the names."""
        names: dict[str, list[str]] = {}
        for name, place in sorted(self.counts):
            names.setdefault(name, []).append(place)
        width = max((len(name) for name in names), default=0) + 3
        return [
            f"{'tf.' + name:<{width}} {sum(self.counts[name, p] for p in places):>4}  {', '.join(places)}"
            + ("  MISSING" if name in self.missing else "")
            for name, places in names.items()
        ]
