"""Session.partial_run: a run in pieces, each with some of the feeds and fetches that were announced."""

from __future__ import annotations

import itertools
from typing import Any

from recurra.tf1 import plan
from recurra.tf1.errors import invalid_argument
from recurra.tf1.tensor import Operation, Tensor

_serial = itertools.count()
# Operations without work of their own, or that stand for storage: made again in each piece instead of handed over.
_AGAIN = {"Const", "VariableV2", "Variable", "TemporaryVariable", "VarHandleOp"}


class PartialRun:
    """One run under way: what was fed and computed so far, and what is still to come."""

    def __init__(self, session: Any, fetches: list[Any], feeds: list[Tensor]):
        if not fetches:
            raise invalid_argument("Must specify at least one target to fetch or execute.")
        self.session, self.handle = session, f"partial run {next(_serial)}"
        self.fetches, self.feeds = dict.fromkeys(fetches, False), dict.fromkeys(feeds, False)
        self.values: dict[Tensor, Any] = {}
        self.done: set[Operation] = set()
        results = [f for f in fetches if isinstance(f, Tensor)]
        targets = [f for f in fetches if isinstance(f, Operation)]
        self.whole = plan.needed_ops(results, targets, feeds)

    def run(self, fetches: list[Any], fed: dict[Tensor, Any]) -> dict[Any, Any]:
        """Values of `fetches`; the operations that run here run in no later piece."""
        self._mark(self.feeds, fed, "feed", "fed")
        self._mark(self.fetches, fetches, "fetch", "fetched")
        self.values.update(fed)
        results = [f for f in fetches if isinstance(f, Tensor) and f not in self.values]
        targets = [f for f in fetches if isinstance(f, Operation)]
        now = plan.needed_ops(results, targets, self.values, self.done)
        now = [op for op in now if op.type not in _AGAIN]
        kept = self._used_later(set(now))
        wanted = list(dict.fromkeys(results + kept))
        made = plan.compile_function(self.session, list(self.values), wanted, targets, done=self.done)
        self.values.update(zip(wanted, self.session._call(made, list(self.values.values())), strict=True))
        self.done.update(now)
        return {f: self.values[f] if isinstance(f, Tensor) else None for f in fetches}

    @property
    def finished(self) -> bool:
        return all(self.fetches.values())

    def _used_later(self, now: set[Operation]) -> list[Tensor]:
        """What the operations of this piece make and those of later ones, or later fetches, use."""
        later = [op for op in self.whole if op not in now and op not in self.done]
        used = {t for op in later for t in op._inputs} | {f for f, had in self.fetches.items() if not had}
        return [t for op in now for t in op.outputs if t in used and t not in self.values]

    @staticmethod
    def _mark(known: dict[Any, bool], given: Any, kind: str, had: str) -> None:
        for element in given:
            if element not in known:
                raise invalid_argument(f"The {kind} {element.name} was not specified in partial_run_setup.")
            if known[element]:
                raise invalid_argument(f"The {kind} {element.name} has already been {had}.")
        for element in given:
            known[element] = True
