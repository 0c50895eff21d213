# mypy: ignore-errors
# ruff: noqa: B905, RUF007
"""recurra: cells in a stack, as a user builds them; a stream through `stepper`.

With "frozen" as its argument, inference only, from weights packed once before (`cell.freeze()`), as ONNX Runtime does;
with "call", the stream only, through `cell(x, state)`.
"""

import os
import sys

import torch
from protocol import Unsupported, serve

import recurra as rc

torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
ROAD = sys.argv[1] if len(sys.argv) > 1 else ""

CELLS = {
    "lstm": rc.LSTMCell,
    "gru": rc.GRUCell,
    "gru_after": lambda inputs, hidden: rc.GRUCell(inputs, hidden, reset="after"),
    "rnn": rc.RNNCell,
}


def prepare(job):
    w = job["workload"]
    sizes = [w["features"]] + [w["hidden"]] * w["layers"]
    layers = [CELLS[job["cell"]](i, o) for i, o in zip(sizes[:-1], sizes[1:])]
    cell = layers[0] if len(layers) == 1 else rc.StackedCells(layers)
    if ROAD == "frozen":
        if job["mode"] == "training":
            raise Unsupported("frozen cells do not train")
        cell.freeze()
    if job["mode"] == "stream":
        return stream(cell, torch.randn(1, w["features"]))
    if ROAD == "call":
        raise Unsupported("a sequence is not stepped through")
    inputs = torch.randn(w["steps"], w["batch"], w["features"])
    grad = torch.randn(w["steps"], w["batch"], w["hidden"])
    parameters = list(cell.parameters())

    def forward():
        with torch.inference_mode():
            rc.unroll(cell, inputs, time_major=True)

    def training():
        rc.unroll(cell, inputs, time_major=True)[0].backward(grad)
        for parameter in parameters:
            parameter.grad = None

    return forward if job["mode"] == "forward" else training


def stream(cell, x):
    if ROAD != "call":
        stepper = cell.stepper(1)
        return lambda: stepper(x)
    state = cell.initial_state(1)

    def step():
        nonlocal state
        state = cell(x, state)[1]

    return step


with torch.inference_mode(ROAD == "call"):  # around the whole loop over a stream, as one would write it
    serve(f"recurra {ROAD}".strip(), rc.__version__, prepare)
