"""What is measured: the shapes of the documents' programs, and the floating-point operations in them."""

from __future__ import annotations

from typing import NamedTuple

GATES = {"lstm": 4, "gru": 3, "gru_after": 3, "rnn": 1}
"""Cells: `gru` applies the reset gate before the candidate's product, `gru_after` after it; `rnn` has tanh."""

MODES = ("forward", "training", "stream")
"""A sequence forward; forward, backward and all parameter gradients; one step of one row, its state carried."""


class Workload(NamedTuple):
    name: str
    batch: int
    steps: int
    features: int
    hidden: int
    layers: int = 1

    def flops(self, cell: str, mode: str) -> float:
        """Multiply-adds count as two; backward is twice forward, less the first layer's input gradient."""
        total = 0.0
        for layer in range(self.layers):
            inputs = self.features if layer == 0 else self.hidden
            rows = 2.0 * self.batch * self.steps * GATES[cell] * self.hidden
            forward = rows * (inputs + self.hidden)
            total += forward
            if mode == "training":
                total += 2 * forward - (rows * inputs if layer == 0 else 0)
        return total


SEQUENCES = (
    Workload("mnist", 100, 28, 28, 100, 3),
    Workload("ptb small", 20, 20, 200, 200, 2),
    Workload("ptb medium", 20, 35, 650, 650, 2),
    Workload("ptb large", 20, 35, 1500, 1500, 2),
    Workload("names", 35, 8, 150, 150),
    Workload("one sequence", 1, 100, 128, 128),
)
STREAM = Workload("stream", 1, 1, 128, 128)


class Job(NamedTuple):
    """One cell of the table."""

    workload: Workload
    cell: str
    mode: str


def jobs(names: list[str] | None = None, cells: list[str] | None = None, modes: list[str] | None = None) -> list[Job]:
    """All jobs, or those of the named workloads, cells and modes."""
    found = []
    for workload in (*SEQUENCES, STREAM):
        for mode in ("stream",) if workload is STREAM else ("forward", "training"):
            for cell in GATES:
                chosen = (not names or workload.name in names) and (not cells or cell in cells)
                if chosen and (not modes or mode in modes):
                    found.append(Job(workload, cell, mode))
    return found
