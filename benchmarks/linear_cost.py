"""Linear-recurrence cells against the LSTM's compiled kernel over long sequences.

    .venv/bin/python benchmarks/linear_cost.py [T …]

B=32, I=H=128, one thread, float32; CPU milliseconds of the fastest of several runs, forward, and forward with backward.
"""

from __future__ import annotations

import sys
from functools import partial

import torch
from family_cost import SIZE, B, seconds

import recurra as rc

CELLS = {
    "lstm (kernel)": lambda: rc.LSTMCell(SIZE, SIZE),
    "sru": lambda: rc.SRUCell(SIZE, SIZE),
    "min_gru": lambda: rc.MinGRUCell(SIZE, SIZE),
    "min_lstm": lambda: rc.MinLSTMCell(SIZE, SIZE),
    "lru": lambda: rc.LRUCell(SIZE, SIZE),
    "rglru": lambda: rc.RGLRUCell(SIZE, SIZE),
    "mlstm, 4 heads": lambda: rc.MLSTMCell(SIZE, SIZE, heads=4),
    "slstm, 4 heads": lambda: rc.SLSTMCell(SIZE, SIZE, heads=4),
}


def run(cell: rc.BaseCell, inputs: torch.Tensor, *, backward: bool) -> None:
    """One sequence."""
    with torch.set_grad_enabled(backward):
        outputs, _ = rc.unroll(cell, inputs, time_major=True)
    if backward:
        outputs.sum().backward()


def main() -> None:
    torch.set_num_threads(1)
    for steps in map(int, sys.argv[1:] or ["512", "2048"]):
        torch.manual_seed(0)
        inputs = torch.randn(steps, B, SIZE)
        print(f"T={steps:<26}{'forward ms':>12}{'with backward ms':>18}")
        for name, make in CELLS.items():
            cell = make()
            times = [seconds(partial(run, cell, inputs, backward=backward), repeats=3) for backward in (False, True)]
            print(f"{name:28}{times[0] * 1e3:12.1f}{times[1] * 1e3:18.1f}", flush=True)


if __name__ == "__main__":
    main()
