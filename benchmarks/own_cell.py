"""An own cell, compiled and not: a peephole LSTM as a user writes it, against the same in a plain torch loop.

    python benchmarks/own_cell.py          # milliseconds, best of many; compiling not counted

`loop` is a `for` over `nn.Linear`s and pointwise operators; `project/recur` the same cell through `recurra.unroll` with
the input's part hoisted; `compiled` that cell after `recurra.compile_cell`; `kernel` the library's own peephole LSTM.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import recurra as rc

SHAPES = {
    "ptb small layer": (20, 20, 200),
    "names": (35, 8, 150),
    "mnist layer": (100, 28, 100),
    "long, narrow": (32, 100, 64),
    "one sequence": (1, 100, 128),
}


class PeepholeLSTM(rc.BaseCell):
    def __init__(self, I: int, H: int) -> None:
        super().__init__()
        self.input_size, self.output_size, self.state_size = I, H, (H, H)
        self.x, self.h = nn.Linear(I, 4 * H), nn.Linear(H, 4 * H, bias=False)
        self.to_i, self.to_f, self.to_o = (nn.Parameter(torch.randn(H) * 0.1) for _ in range(3))

    def project(self, inputs: Tensor) -> Tensor:
        return self.x(inputs)

    def recur(self, projected: Tensor, state: tuple[Tensor, Tensor], masks: None = None) -> tuple[Tensor, object]:
        c, h = state
        i, j, f, o = (projected + self.h(h)).chunk(4, -1)
        i, f = torch.sigmoid(i + self.to_i * c), torch.sigmoid(f + 1 + self.to_f * c)
        c = f * c + i * torch.tanh(j)
        h = torch.sigmoid(o + self.to_o * c) * torch.tanh(c)
        return h, (c, h)


def loop(cell: PeepholeLSTM, inputs: Tensor) -> Tensor:
    state, outputs = cell.initial_state(inputs.shape[1]), []
    for x in inputs:
        output, state = cell.recur(cell.project(x), state)
        outputs.append(output)
    return torch.stack(outputs)


def best(call: Callable[[], object], seconds: float) -> float:
    call()
    call()
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name, (B, T, H) in SHAPES.items():
        cell, inputs, grad = PeepholeLSTM(H, H), torch.randn(T, B, H), torch.randn(T, B, H)
        compiled, fused = rc.compile_cell(PeepholeLSTM(H, H)), rc.LSTMCell(H, H, peepholes=True)
        roads = {
            "loop": (cell, lambda cell=cell, x=inputs: loop(cell, x)),
            "project/recur": (cell, lambda cell=cell, x=inputs: rc.unroll(cell, x, time_major=True)[0]),
            "compiled": (compiled, lambda cell=compiled, x=inputs: rc.unroll(cell, x, time_major=True)[0]),
            "kernel": (fused, lambda cell=fused, x=inputs: rc.unroll(cell, x, time_major=True)[0]),
        }
        for mode in ("forward", "training"):
            times = {}
            for road, (owner, call) in roads.items():

                def train(call=call, owner=owner, grad=grad) -> None:  # type: ignore[no-untyped-def]
                    call().backward(grad)
                    owner.zero_grad()

                with torch.set_grad_enabled(mode == "training"):
                    times[road] = best(call if mode == "forward" else train, options.seconds)
            shown = "  ".join(f"{road} {ms:.3g} ({times['loop'] / ms:.2f} x)" for road, ms in times.items())
            print(f"{name:16s} B {B:3d} T {T:3d} H {H:3d}  {mode:8s}  {shown}", flush=True)


if __name__ == "__main__":
    main()
