"""An epoch of the mnist recipe: with our kernels, with torch.nn in their place, and by the program under TensorFlow.

    python benchmarks/whole_jobs.py --tensorflow TF_PYTHON PROGRAM --json docs/performance.json

The recipe's own loop runs a block of steps (random images; logging included, validation and checkpoints not), with
the model's recurrence once as it is and once as torch.nn's layers; the least of some blocks, times an epoch's steps.
PROGRAM is mnist_stacked.py, unmodified: 3 LSTM layers of 100, batches of 100; its own time per Session.run in
training, medians, under both engines, times the same number of steps.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from loop_overhead import BATCHES, make_task, short_loop
from programs_beside_tensorflow import execute
from torch import Tensor, nn

from recurra.benchmark import report
from recurra.benchmark.run import Options, header
from recurra.models.encoder import Encoded, Encoder

STEPS = 550
"""Of an epoch: 55,000 images in batches of 100."""


class TorchEncoder(Encoder):
    """An encoder of one direction with torch.nn's layers in place of the stack."""

    def __init__(self, inner: Encoder, layers: nn.Module) -> None:
        nn.Module.__init__(self)
        self.layers = layers
        self.backward_stack, self.cell_name, self.output_size = None, inner.cell_name, inner.output_size

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Encoded:
        outputs, state = self.layers(inputs)
        return Encoded((outputs,), (state,))

    def read(self, encoded: Encoded, *_: Any) -> Tensor:
        """The last layer's h, which is its output at the end."""
        return encoded.outputs[0][:, -1]


def recipe(rounds: int) -> dict[str, float]:
    """Seconds of an epoch, with our kernels and with torch.nn."""
    task = make_task("mnist", {"cell": "lstm"}, (28, 28))
    config: Any = task.config
    ways = {}
    for name in ("recurra", "torch.nn"):
        torch.manual_seed(0)
        model: Any = task.build_model()
        if name == "torch.nn":
            layers = nn.LSTM(28, config.hidden, config.layers, batch_first=True)
            model.encoder = TorchEncoder(model.encoder, layers)
        ways[name] = short_loop(task, model)
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], (time.perf_counter() - start) / BATCHES * STEPS)
    return best


def program(path: str, python: str, runs: int, seconds: float) -> dict[str, float]:
    """Seconds of an epoch of the unmodified program, by each engine; medians over its training runs."""
    found = {}
    for engine, interpreter in (("recurra", sys.executable), ("tensorflow", python)):
        timing = execute(interpreter, engine, path, runs, seconds, os.environ.get("RECURRA_DATA"))
        steps = sorted(later - earlier for earlier, later in pairwise(timing.ends[5:]))
        if not steps:
            raise SystemExit(f"{path} did not come far enough under {engine}: {timing.tail}")
        found[f"program, {engine}"] = steps[len(steps) // 2] * STEPS
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?")
    parser.add_argument("--tensorflow", metavar="PYTHON", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(2)
    peers = recipe(given.rounds)
    if given.program:
        peers |= program(given.program, given.tensorflow, given.runs, given.seconds)
    print({name: round(seconds, 2) for name, seconds in peers.items()}, flush=True)
    row = {"part": "jobs", "workload": "mnist epoch", "cell": "lstm", "mode": "training"}
    rows = [{**row, "peers": {name: {"minimum": seconds} for name, seconds in peers.items()}}]
    found = {**header(Options(2), "jobs"), "results": rows}
    if given.json:
        report.write(given.json, report.merge(given.json, found))


if __name__ == "__main__":
    main()
