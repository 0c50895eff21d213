"""Memory of a training step: the peak above what is there before it, of our layers and of torch.nn's.

A process for each figure (Linux: /proc/self/status). Parameters, gradients, inputs and the output's gradient are there
before; counted is what a step adds at its highest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from recurra.benchmark.workloads import SEQUENCES
from recurra.errors import ConfigError

STATUS = Path("/proc/self/status")


def kilobytes(name: str) -> int:
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith(name + ":")).split()[1])


def peak_of(road: str, cell: str, B: int, T: int, I: int, H: int, layers: int) -> float:
    """MB above the start, at the highest, of a step after two others."""
    import torch

    import recurra as rc

    kinds = {"lstm": "LSTM", "gru_after": "GRU", "rnn": "RNN"}
    layer = getattr(torch.nn if road == "torch" else rc.nn, kinds[cell])(I, H, layers)
    inputs, grad = torch.randn(T, B, I), torch.randn(T, B, H)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    layer(torch.randn(2, 2, I))[0].sum().backward()  # threads, libraries, code
    # The system's high-water mark may be that of the imports (not everywhere can it be set back): fill up to it.
    ballast = torch.ones(256 * (kilobytes("VmHWM") - kilobytes("VmRSS") + 4096))
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        layer(inputs)[0].backward(grad)
    highest = kilobytes("VmHWM")
    del ballast
    return (highest - before) / 1024


def measure_memory(workloads: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """A row for each workload (all where none is named) and cell: MB of a step.

    Raises:
        ConfigError: this system has no such file.
    """
    if not STATUS.exists():
        raise ConfigError(f"memory is read from {STATUS}, which only Linux has")
    for workload in SEQUENCES:
        if workloads and workload.name not in workloads:
            continue
        for cell in ("lstm", "gru_after", "rnn"):
            found = {}
            for road in ("recurra", "torch"):
                job = json.dumps([road, cell, *workload[1:]])
                done = subprocess.run([sys.executable, "-m", __name__, job], capture_output=True, text=True, check=True)
                found[road] = {"minimum": float(done.stdout)}
            yield {"part": "memory", "workload": workload.name, "cell": cell, "mode": "training", "peers": found}


if __name__ == "__main__":
    print(peak_of(*json.loads(sys.argv[1])))
