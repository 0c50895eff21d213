"""What a sequence through each cell of the wider family costs, beside a plain LSTM of the same FLOPs.

    .venv/bin/python benchmarks/family_cost.py [--backward] [NAME …]

T=100, B=32, I=H=128, one thread, float32. For each cell the products' FLOPs are counted, and an LSTM is made with as
many (its width follows), run by the same plain loop in torch that runs the cell, or both in compiled code for the cells
of xLSTM. Times are CPU seconds of this process, the least of several runs, so that a busy machine disturbs little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import recurra as rc
from recurra import _nest
from recurra.kernels import plain as plain_loop

T, B, SIZE = 100, 32, 128

CELLS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: rc.LSTMCell(SIZE, SIZE),
    "gru": lambda: rc.GRUCell(SIZE, SIZE),
    "ugrnn": lambda: rc.UGRNNCell(SIZE, SIZE),
    "intersection": lambda: rc.IntersectionRNNCell(SIZE, SIZE),
    "nas": lambda: rc.NASCell(SIZE, SIZE),
    "phased_lstm": lambda: rc.PhasedLSTMCell(SIZE, SIZE),
    "glstm, 4 groups": lambda: rc.GLSTMCell(SIZE, SIZE, number_of_groups=4),
    "sru": lambda: rc.SRUCell(SIZE, SIZE),
    "ind_rnn": lambda: rc.IndRNNCell(SIZE, SIZE),
    "indy_gru": lambda: rc.IndyGRUCell(SIZE, SIZE),
    "indy_lstm": lambda: rc.IndyLSTMCell(SIZE, SIZE),
    "minimal_rnn": lambda: rc.MinimalRNNCell(SIZE, SIZE),
    "cfn": lambda: rc.CFNCell(SIZE, SIZE),
    "weight_norm_lstm": lambda: rc.WeightNormLSTMCell(SIZE, SIZE),
    "time_freq_lstm, 4 windows": lambda: rc.TimeFreqLSTMCell(SIZE, SIZE, feature_size=32, frequency_skip=32),
    "grid_lstm, 4 windows": lambda: rc.GridLSTMCell(SIZE, SIZE, feature_size=32, frequency_skip=32),
    "conv_2d_lstm, 8x8": lambda: rc.Conv2DLSTMCell([8, 8, 8], 16, kernel_shape=[3, 3]),
    "grid2_lstm": lambda: rc.Grid2LSTMCell(SIZE, SIZE),
    "grid2_gru": lambda: rc.Grid2GRUCell(SIZE, SIZE),
    "highway(gru)": lambda: rc.HighwayWrapper(rc.GRUCell(SIZE, SIZE)),
    "attention_cell(lstm), 8": lambda: rc.AttentionCellWrapper(rc.LSTMCell(SIZE, SIZE), 8),
    "ntm, 32 x 16": lambda: rc.NTMCell(rc.LSTMCell(SIZE + 16, SIZE), SIZE, memory_size=32, memory_vector_dim=16),
    "min_gru": lambda: rc.MinGRUCell(SIZE, SIZE),
    "min_lstm": lambda: rc.MinLSTMCell(SIZE, SIZE),
    "lru": lambda: rc.LRUCell(SIZE, SIZE),
    "rglru": lambda: rc.RGLRUCell(SIZE, SIZE),
    "slstm": lambda: rc.SLSTMCell(SIZE, SIZE, heads=4),
    "mlstm": lambda: rc.MLSTMCell(SIZE, SIZE, heads=4),
}

COMPILED = ("slstm", "mlstm")
"""Cells whose compiled sequence is held against the compiled LSTM."""


class Cost(NamedTuple):
    """Of a sequence: FLOPs of its products, seconds, units and seconds of the LSTM of as many FLOPs."""

    flops: int
    seconds: float
    units: int
    lstm_seconds: float


def inputs_for(cell: Any) -> Any:
    """Random time-major inputs; a clock counts up."""

    def leaf(size: Any) -> Tensor:
        return torch.randn(T, B, *([size] if isinstance(size, int) else size))

    made = _nest.map_leaves(leaf, cell.input_size)
    return (torch.arange(T).float().reshape(T, 1, 1).expand(T, B, 1), made[1]) if isinstance(made, tuple) else made


def run(cell: Any, inputs: Any, *, backward: bool, compiled: bool = False) -> None:
    """A whole sequence, and its gradient if asked, without the compiled kernels or with them."""
    with torch.set_grad_enabled(backward), nullcontext() if compiled else plain_loop():
        outputs, _ = cell.unroll(inputs, cell.initial_state(B))
    if backward:
        outputs.sum().backward()


def seconds(call: Callable[[], None], repeats: int = 5) -> float:
    """CPU seconds of the fastest of some runs."""
    call()
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
    return best


def flops(cell: Any, inputs: Any) -> int:
    """FLOPs of the products in a forward run."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(cell, inputs, backward=False)
    return counter.get_total_flops()


def like(count: int) -> rc.LSTMCell:
    """The LSTM on `SIZE` features whose products take `count` FLOPs: 8 H (I + H) a row and step."""
    per_row = count / (T * B) / 8
    width = (-SIZE + (SIZE**2 + 4 * per_row) ** 0.5) / 2
    return rc.LSTMCell(SIZE, max(1, round(width)))


def measure(name: str, *, backward: bool) -> Cost:
    """What a cell and its twin cost."""
    torch.manual_seed(0)
    cell = CELLS[name]()
    inputs, plain = inputs_for(cell), torch.randn(T, B, SIZE)
    count = flops(cell, inputs)
    twin = like(count)
    call: Any = partial(run, backward=backward, compiled=name in COMPILED)
    return Cost(count, seconds(partial(call, cell, inputs)), twin.output_size, seconds(partial(call, twin, plain)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CELLS))
    parser.add_argument("--backward", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'cell':28}{'MFLOP':>8}{'ms':>9}{'LSTM of':>9}{'ms':>9}{'ratio':>8}")
    for name in arguments.names:
        cost = measure(name, backward=arguments.backward)
        row = f"{name:28}{cost.flops / 1e6:8.0f}{cost.seconds * 1e3:9.1f}{cost.units:9}{cost.lstm_seconds * 1e3:9.1f}"
        print(f"{row}{cost.seconds / cost.lstm_seconds:8.2f}", flush=True)


if __name__ == "__main__":
    main()
