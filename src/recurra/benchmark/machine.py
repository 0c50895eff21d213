"""What this machine can do: floating-point peak and memory bandwidth, measured, to compare with."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import torch

from recurra.kernels.native import library


def cpu_name() -> str:
    """The processor, as the system names it."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def measure_machine(threads: int) -> dict[str, Any]:
    """Peak GFLOP/s of fused multiply-adds in registers and GB/s read from memory, on `threads` threads."""
    return {
        "cpu": cpu_name(),
        "threads": threads,
        "isa": library.isa() if library.core is not None else "none",
        "gflops": library.peak(threads) if library.core is not None else float("nan"),
        "gigabytes_per_second": bandwidth(threads),
    }


def bandwidth(threads: int) -> float:
    """GB/s of reading 256 MB, the best of some."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    values = torch.ones(64 << 20)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        values.sum()
        best = min(best, time.perf_counter() - start)
    torch.set_num_threads(before)
    return values.nbytes / best / 1e9
