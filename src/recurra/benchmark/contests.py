"""Roads side by side in one process: the variants beside the plain LSTM, ragged batches beside padded ones, bfloat16
beside float32, an own cell beside a loop. What other libraries do in processes of their own is in `run.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import recurra as rc
from recurra.benchmark.own_cell import PeepholeLSTM, loop
from recurra.benchmark.workloads import SEQUENCES
from recurra.kernels.native import library

MODES = ("forward", "training")
SHAPES = {"ptb small layer": (20, 20, 200), "mnist layer": (100, 28, 100)}
"""B, T, H of one layer, as many inputs as units."""
OWN_SHAPES = {
    **SHAPES,
    "names": (35, 8, 150),
    "long, narrow": (32, 100, 64),
    "one sequence": (1, 100, 128),
    "ptb medium layer": (20, 35, 650),
}
RAGGED = {"B 64": (64, 50, 200), "B 32": (32, 50, 200)}


class Contest(NamedTuple):
    """What is measured in turns; the first road is what the others are held against."""

    workload: str
    cell: str
    mode: str
    roads: Mapping[str, Callable[[], object]]


def variants() -> Iterator[Contest]:
    """The LSTM's variants beside the plain one."""
    for name, (B, T, H) in SHAPES.items():
        inputs, grad = torch.randn(T, B, H), torch.randn(T, B, H)
        resets = torch.rand(T, B) < 0.05
        cells = {
            "plain": rc.LSTMCell(H, H),
            "peepholes": rc.LSTMCell(H, H, peepholes=True),
            "cell clip": rc.LSTMCell(H, H, cell_clip=3.0),
            "projection": rc.LSTMCell(H, H, projection_size=H // 2),
            "projection, peepholes, clips": rc.LSTMCell(
                H, H, peepholes=True, projection_size=H // 2, cell_clip=3.0, projection_clip=3.0
            ),
            "coupled": rc.CoupledInputForgetGateLSTMCell(H, H),
            "layer norm (basic)": rc.LayerNormBasicLSTMCell(H, H),
            "layer norm (peepholes)": rc.LayerNormLSTMCell(H, H),
            "layer norm, recurrent dropout": rc.LayerNormBasicLSTMCell(H, H, recurrent_keep_prob=0.9),
            "zoneout, training": rc.ZoneoutWrapper(rc.LSTMCell(H, H), 0.1),
            "zoneout, evaluation": rc.ZoneoutWrapper(rc.LSTMCell(H, H), 0.1).eval(),
            "state dropout": rc.DropoutWrapper(rc.LSTMCell(H, H), state_keep_prob=0.9),
        }
        roads = {label: _sequence(cell, inputs, grad) for label, cell in cells.items()}
        roads["return_states"] = _sequence(cells["plain"], inputs, grad, return_states=True)
        roads["resets"] = _sequence(cells["plain"], inputs, grad, resets=resets)
        yield from (
            Contest(name, "lstm", mode, {road: _in(mode, call) for road, call in roads.items()}) for mode in MODES
        )


def ragged() -> Iterator[Contest]:
    """Lengths uniform in 1…T, beside the same batch padded and beside torch's packed sequences."""
    for name, (B, T, H) in RAGGED.items():
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(1, T + 1, (B,), generator=generator)
        inputs, grad = torch.randn(T, B, H), torch.randn(T, B, H)
        for kind, cell, theirs in (
            ("lstm", rc.LSTMCell(H, H), nn.LSTM(H, H)),
            ("gru_after", rc.GRUCell(H, H, reset="after"), nn.GRU(H, H)),
        ):
            packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)

            def torch_packed(training: bool, theirs: Any = theirs, packed: Any = packed) -> object:
                output = theirs(packed)[0].data
                return _back(output, torch.ones_like(output), theirs) if training else output

            roads = {
                "ragged": _sequence(cell, inputs, grad, lengths=lengths),
                "padded": _sequence(cell, inputs, grad),
                "torch packed": torch_packed,
            }
            yield from (
                Contest(f"ragged, {name}", kind, mode, {road: _in(mode, call) for road, call in roads.items()})
                for mode in MODES
            )


def halves() -> Iterator[Contest]:
    """bfloat16 products, forward, beside float32 and beside torch's own bfloat16."""
    for workload in SEQUENCES:
        if workload.name not in ("ptb small", "mnist", "ptb medium", "ptb large") or not library.halves():
            continue
        I, H, layers = workload.features, workload.hidden, workload.layers
        inputs = torch.randn(workload.steps, workload.batch, I)
        for kind, make, theirs in (
            ("lstm", rc.nn.LSTM, nn.LSTM(I, H, layers)),
            ("gru_after", rc.nn.GRU, nn.GRU(I, H, layers)),
        ):
            cells = {"recurra bfloat16": torch.bfloat16, "recurra frozen": torch.float32}
            models: dict[str, nn.Module] = {
                road: make(I, H, layers).freeze(dtype=dtype) for road, dtype in cells.items()
            }
            half = (nn.LSTM if kind == "lstm" else nn.GRU)(I, H, layers).to(torch.bfloat16)
            models |= {"recurra": make(I, H, layers), "torch": theirs}
            roads = {road: partial(_inferred, model, inputs) for road, model in models.items()}
            roads["torch bfloat16"] = partial(_inferred, half, inputs.to(torch.bfloat16))
            yield Contest(workload.name, kind, "forward", roads)


def own_cell() -> Iterator[Contest]:
    """A peephole LSTM as a user writes it: compiled, through the loops, in a loop of torch's operators; the kernel."""
    for name, (B, T, H) in OWN_SHAPES.items():
        inputs, grad = torch.randn(T, B, H), torch.randn(T, B, H)
        plain = PeepholeLSTM(H, H)

        def torch_loop(training: bool, plain: Any = plain, inputs: Any = inputs, grad: Any = grad) -> object:
            outputs = loop(plain, inputs)
            return _back(outputs, grad, plain) if training else outputs

        roads = {
            "compiled": _sequence(rc.compile_cell(PeepholeLSTM(H, H)), inputs, grad),
            "torch loop": torch_loop,
            "project/recur": _sequence(PeepholeLSTM(H, H), inputs, grad),
            "kernel": _sequence(rc.LSTMCell(H, H, peepholes=True), inputs, grad),
        }
        yield from (
            Contest(name, "own", mode, {road: _in(mode, call) for road, call in roads.items()}) for mode in MODES
        )


PARTS: dict[str, Callable[[], Iterator[Contest]]] = {
    "variants": variants,
    "ragged": ragged,
    "halves": halves,
    "own": own_cell,
}


def _sequence(cell: Any, inputs: Tensor, grad: Tensor, **call: Any) -> Callable[[bool], object]:
    def run(training: bool) -> object:
        outputs = rc.unroll(cell, inputs, time_major=True, **call)[0]
        return _back(outputs, grad[..., : outputs.shape[-1]], cell) if training else outputs

    return run


def _back(outputs: Tensor, grad: Tensor, owner: nn.Module) -> object:
    outputs.backward(grad)
    owner.zero_grad()
    return None


def _in(mode: str, call: Callable[[bool], object]) -> Callable[[], object]:
    def run() -> object:
        with torch.set_grad_enabled(mode == "training"):
            return call(mode == "training")

    return run


def _inferred(model: nn.Module, inputs: Tensor) -> object:
    with torch.inference_mode():
        return model(inputs)
