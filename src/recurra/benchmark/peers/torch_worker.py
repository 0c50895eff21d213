# mypy: ignore-errors
"""torch.nn's layers (oneDNN for the LSTM); the GRU is reset-after. A stream: LSTMCell and its like."""

import os

import torch
from protocol import Unsupported, serve

torch.set_num_threads(int(os.environ["BENCH_THREADS"]))

LAYERS = {"lstm": torch.nn.LSTM, "gru_after": torch.nn.GRU, "rnn": torch.nn.RNN}
CELLS = {"lstm": torch.nn.LSTMCell, "gru_after": torch.nn.GRUCell, "rnn": torch.nn.RNNCell}


def stream(cell, w):
    x, box = torch.randn(1, w["features"]), [None]

    def step():
        with torch.inference_mode():
            box[0] = cell(x, box[0])

    return step


def prepare(job):
    w = job["workload"]
    if job["cell"] not in LAYERS:
        raise Unsupported("torch has only the reset-after GRU")
    if job["mode"] == "stream":
        return stream(CELLS[job["cell"]](w["features"], w["hidden"]), w)
    layer = LAYERS[job["cell"]](w["features"], w["hidden"], w["layers"])
    inputs = torch.randn(w["steps"], w["batch"], w["features"])
    grad = torch.randn(w["steps"], w["batch"], w["hidden"])
    parameters = list(layer.parameters())

    def forward():
        with torch.inference_mode():
            layer(inputs)

    def training():
        layer(inputs)[0].backward(grad)
        for parameter in parameters:
            parameter.grad = None

    return forward if job["mode"] == "forward" else training


serve("torch", torch.__version__, prepare)
