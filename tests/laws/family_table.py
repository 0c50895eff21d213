"""`python -m tests.laws.family_table [--cost]`: the table of docs/cells-contrib.md, errors and, if asked, costs.

Errors are the worst of values, states and all gradients against TensorFlow 1.15, or of a sequence's outputs against the
paper's equations in float64, relative to max(1, |reference|). Costs are those of `benchmarks/family_cost.py`: give the
machine nothing else to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

import torch

from benchmarks import family_cost
from tests.cells import test_family, test_linear


class Line(NamedTuple):
    """A line of the table."""

    golden: tuple[str, ...]
    """Which golden files or cases it sums up: those of these names, and those that begin with one and `_`."""
    cost: tuple[str, ...] = ()
    """Names in `family_cost.CELLS`."""


TABLE: dict[str, Line] = {
    "UGRNN": Line(("ugrnn",), ("ugrnn",)),
    "Intersection": Line(("intersection",), ("intersection",)),
    "NAS": Line(("nas",), ("nas",)),
    "PhasedLSTM": Line(("phased",), ("phased_lstm",)),
    "GLSTM, 4 groups": Line(("glstm",), ("glstm, 4 groups",)),
    "SRU": Line(("sru",), ("sru",)),
    "IndRNN": Line(("ind_rnn",), ("ind_rnn",)),
    "IndyGRU": Line(("indy_gru",), ("indy_gru",)),
    "IndyLSTM": Line(("indy_lstm",), ("indy_lstm",)),
    "MinimalRNN": Line(("minimal_rnn",), ("minimal_rnn",)),
    "CFN": Line(("cfn",), ("cfn",)),
    "WeightNormLSTM": Line(("weight_norm_lstm",), ("weight_norm_lstm",)),
    "TimeFreqLSTM, 4 windows": Line(("time_freq",), ("time_freq_lstm, 4 windows",)),
    "GridLSTM, 4 windows": Line(("grid_lstm",), ("grid_lstm, 4 windows",)),
    "BidirectionalGridLSTM": Line(("bidir_grid_lstm",)),
    "Conv1D / 2D / 3D LSTM (2D, 8 x 8)": Line(("conv1d_lstm", "conv2d_lstm", "conv3d_lstm"), ("conv_2d_lstm, 8x8",)),
    "Grid1, Grid2, Grid3 of RNN, LSTM, GRU (Grid2LSTM, Grid2GRU)": Line(
        ("grid1", "grid2", "grid3", "grid_rnn"), ("grid2_lstm", "grid2_gru")
    ),
    "HighwayWrapper(GRU)": Line(("highway",), ("highway(gru)",)),
    "AttentionCellWrapper(LSTM), window 8": Line(("attn_wrap",), ("attention_cell(lstm), 8",)),
    "NTM, 32 rows of 16": Line(("ntm",), ("ntm, 32 x 16",)),
    "minGRU": Line(("min_gru",), ("min_gru",)),
    "minLSTM": Line(("min_lstm",), ("min_lstm",)),
    "LRU": Line(("lru",), ("lru",)),
    "RG-LRU": Line(("rglru",), ("rglru",)),
    "sLSTM, 4 heads, compiled": Line(("slstm",), ("slstm",)),
    "mLSTM, 4 heads, compiled": Line(("mlstm",), ("mlstm",)),
}


def error(name: str, dtype: torch.dtype) -> float | None:
    """The worst error of a golden file or a paper's case; None where there is none of this dtype."""
    if name in test_linear.PAPERS:
        torch.manual_seed(0)
        return test_linear.paper_error(name, dtype)
    if name.endswith("_f64") is not (dtype is torch.float64):
        return None
    return test_family.turing_error(name) if name in test_family.TURING else test_family.worst_error(name)


def worst(line: Line, dtype: torch.dtype) -> str:
    """The worst error of a line's files, written out."""
    every = [*test_family.TENSORFLOW, *test_family.TURING, *test_linear.PAPERS]
    names = [name for name in every if any(name == root or name.startswith(f"{root}_") for root in line.golden)]
    found = [value for value in (error(name, dtype) for name in names) if value is not None]
    return f"{max(found):.1e}" if found else ""


def ratios(names: Iterable[str], *, backward: bool) -> str:
    """Costs relative to the LSTM of the same FLOPs."""
    costs = [family_cost.measure(name, backward=backward) for name in names]
    return " / ".join(f"{cost.seconds / cost.lstm_seconds:.2f}" for cost in costs)


def main() -> None:
    torch.set_num_threads(1)
    with_cost = "--cost" in sys.argv[1:]
    print("| Cell | error, float32 | float64 | forward | with backward |\n|---|---|---|---|---|")
    for title, line in TABLE.items():
        cells = [title, worst(line, torch.float32), worst(line, torch.float64)]
        cells += [ratios(line.cost, backward=backward) if with_cost else "" for backward in (False, True)]
        print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
