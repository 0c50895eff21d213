"""How the kernels' cost grows with steps, units, rows and threads: is there a cliff?

    python benchmarks/scaling.py --json docs/scaling.json --picture docs/scaling.png

One size at a time is varied around B 20, T 35, H 200 (I = H), the others kept; the best of some calls. The cost is
nanoseconds per step, row and unit; beside it stands the share of the machine's multiply-add peak on as many threads.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import recurra as rc
from recurra.benchmark.machine import measure_machine
from recurra.benchmark.workloads import GATES
from recurra.kernels.native import library

BASE = {"T": 35, "H": 200, "B": 20}
RANGES = {
    "T": (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000),
    "H": (32, 48, 64, 100, 128, 192, 256, 384, 512, 650, 768, 1024, 1500, 2048),
    "B": (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512),
}
CELLS = {"lstm": rc.LSTMCell, "gru": rc.GRUCell, "rnn": rc.RNNCell}
MODES = ("forward", "training")


def measure(cell: Any, sizes: dict[str, int], mode: str, seconds: float) -> float:
    """Seconds of the fastest call."""
    T, B, H = sizes["T"], sizes["B"], sizes["H"]
    inputs, grad = torch.randn(T, B, H), torch.randn(T, B, H)

    def call() -> None:
        with torch.set_grad_enabled(mode == "training"):
            outputs, _ = rc.unroll(cell, inputs, time_major=True)
            if mode == "training":
                outputs.backward(grad)

    call()
    best, end, count = float("inf"), time.perf_counter() + seconds, 0
    while time.perf_counter() < end or count < 2:
        start = time.perf_counter()
        call()
        best, count = min(best, time.perf_counter() - start), count + 1
    return best


def run(cells: list[str], threads: int, seconds: float) -> list[dict[str, Any]]:
    """A row for each cell, mode and size."""
    torch.set_num_threads(threads)
    peak = library.peak(threads)
    rows = []
    for name in cells:
        for varied, values in RANGES.items():
            for value in values:
                sizes = {**BASE, varied: value}
                cell = CELLS[name](sizes["H"], sizes["H"])
                for mode in MODES:
                    found = measure(cell, sizes, mode, seconds)
                    work = sizes["T"] * sizes["B"] * sizes["H"]
                    flops = 4 * GATES[name] * work * sizes["H"] * (1 if mode == "forward" else 2.5)
                    row = {"cell": name, "mode": mode, "varied": varied, **sizes, "threads": threads}
                    rows.append({**row, "seconds": found, "ns": found / work * 1e9, "peak": flops / found / 1e9 / peak})
            print(f"{name} {threads} threads: {varied} done", flush=True)
    return rows


def picture(report: dict[str, Any], path: Path) -> None:
    """Nanoseconds per step, row and unit, and the share of the peak, over each size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = report["results"]
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7), layout="constrained", sharex="col")
    colors = dict(zip(CELLS, ("#1b6ca8", "#d1495b", "#66a182"), strict=True))
    for column, varied in enumerate(RANGES):
        for cell, color in colors.items():
            for threads, style in ((1, "--"), (2, "-")):
                for mode, marker in (("forward", "o"), ("training", "s")):
                    line = [
                        row
                        for row in rows
                        if (row["varied"], row["cell"], row["threads"], row["mode"]) == (varied, cell, threads, mode)
                    ]
                    label = f"{cell} {mode}, {threads} threads"
                    for axis, key in zip(axes[:, column], ("ns", "peak"), strict=True):
                        values = [row[varied] for row in line]
                        axis.plot(
                            values, [row[key] for row in line], style, color=color, marker=marker, ms=3, label=label
                        )
        axes[0, column].set_xscale("log")
        axes[0, column].set_yscale("log")
        axes[1, column].set_ylim(0, 1)
        others = ", ".join(f"{name} {value}" for name, value in BASE.items() if name != varied)
        axes[0, column].set_title(f"over {varied} ({others})", fontsize=9)
        axes[1, column].set_xlabel(varied)
        for axis in axes[:, column]:
            axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("ns per step, row and unit")
    axes[1, 0].set_ylabel("share of the multiply-add peak")
    labels = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    figure.legend(labels.values(), labels.keys(), loc="outside upper center", ncols=6, fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", action="append", choices=list(CELLS))
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--json", type=Path, help="results; rows of the same cells and threads are replaced")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    cells, threads = options.cell or list(CELLS), options.threads or [1, 2]
    fresh = [row for count in threads for row in run(cells, count, options.seconds)]
    kept = []
    if options.json and options.json.exists():
        old = json.loads(options.json.read_text())["results"]
        kept = [row for row in old if row["cell"] not in cells or row["threads"] not in threads]
    report = {"machine": measure_machine(max(threads)), "results": kept + fresh}
    if options.json:
        lines = ",\n".join(json.dumps(row) for row in report["results"])
        options.json.write_text(f'{{"machine": {json.dumps(report["machine"])},\n"results": [\n{lines}\n]}}\n')
    if options.picture:
        picture(report, options.picture)


if __name__ == "__main__":
    main()
