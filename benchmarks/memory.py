"""Memory of a training step: the peak above what is there before it, of our layers and of torch.nn's.

    python benchmarks/memory.py          # a process for each line (Linux: /proc/self/status)

Parameters, gradients, inputs and the output's gradient are there before; counted is what a step adds at its highest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def kilobytes(name: str) -> int:
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith(name + ":")).split()[1])


def peak_of(road: str, cell: str, B: int, T: int, I: int, H: int, layers: int) -> float:
    """MB above the start, at the highest, of a step after two others."""
    import torch

    import recurra as rc

    kinds = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
    layer = getattr(torch.nn if road == "torch" else rc.nn, kinds[cell])(I, H, layers)
    inputs, grad = torch.randn(T, B, I), torch.randn(T, B, H)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    layer(torch.randn(2, 2, I))[0].sum().backward()  # threads, libraries, code
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    for _ in range(3):
        layer(inputs)[0].backward(grad)
    return (kilobytes("VmHWM") - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", help="one measurement, in this process")
    options = parser.parse_args()
    if options.job:
        print(peak_of(*json.loads(options.job)))
        return
    from recurra.benchmark.workloads import SEQUENCES

    for workload in SEQUENCES:
        for cell in ("lstm", "gru", "rnn"):
            found = {}
            for road in ("torch", "recurra"):
                sizes = [workload.batch, workload.steps, workload.features, workload.hidden, workload.layers]
                job = json.dumps([road, cell, *sizes])
                done = subprocess.run(
                    [sys.executable, __file__, "--job", job], capture_output=True, text=True, check=True
                )
                found[road] = float(done.stdout)
            ratio = found["recurra"] / max(found["torch"], 0.01)
            print(
                f"{workload.name:13s} {cell:5s}",
                *(f"{road} {mb:6.1f} MB " for road, mb in found.items()),
                f"{ratio:.2f}",
            )


if __name__ == "__main__":
    main()
