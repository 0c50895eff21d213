# mypy: ignore-errors
# ruff: noqa: B905, UP031, RUF005
"""ONNX Runtime: its LSTM, GRU and RNN operators, one node a layer; forward only."""

import os

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from protocol import Unsupported, serve

GATES = {"lstm": 4, "gru": 3, "gru_after": 3, "rnn": 1}
OPERATORS = {"lstm": "LSTM", "gru": "GRU", "gru_after": "GRU", "rnn": "RNN"}
STATES = {"lstm": ("h", "c")}


def model(w, cell):
    """Layers of one operator each; the states of a one-layer model are inputs and outputs."""
    generator = np.random.default_rng(0)
    nodes, weights = [], []
    streams = STATES.get(cell, ("h",))
    value = "x"
    for layer in range(w["layers"]):
        inputs = w["features"] if layer == 0 else w["hidden"]
        g, h = GATES[cell] * w["hidden"], w["hidden"]
        for name, shape in (("W", (1, g, inputs)), ("R", (1, g, h)), ("B", (1, 2 * g))):
            array = generator.normal(scale=0.05, size=shape).astype(np.float32)
            weights.append(numpy_helper.from_array(array, name + str(layer)))
        initial = ["initial_" + s for s in streams] if w["layers"] == 1 else []
        results = ["final_" + s for s in streams] if w["layers"] == 1 else []
        options = {"hidden_size": h}
        if cell.startswith("gru"):
            options["linear_before_reset"] = int(cell == "gru_after")
        names = [value] + [n + str(layer) for n in "WRB"] + [""] + initial
        nodes.append(helper.make_node(OPERATORS[cell], names, ["y%d" % layer] + results, **options))
        axes = "axes%d" % layer
        weights.append(numpy_helper.from_array(np.array([1], dtype=np.int64), axes))
        value = "out%d" % layer
        nodes.append(helper.make_node("Squeeze", ["y%d" % layer, axes], [value]))
    state = [1, w["batch"], w["hidden"]]
    info = helper.make_tensor_value_info
    ins = [info("x", TensorProto.FLOAT, [w["steps"], w["batch"], w["features"]])]
    outs = [info(value, TensorProto.FLOAT, [w["steps"], w["batch"], w["hidden"]])]
    if w["layers"] == 1:
        ins += [info("initial_" + s, TensorProto.FLOAT, state) for s in streams]
        outs += [info("final_" + s, TensorProto.FLOAT, state) for s in streams]
    graph = helper.make_graph(nodes, "g", ins, outs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def prepare(job):
    if job["mode"] == "training":
        raise Unsupported("ONNX Runtime does not train")
    w = job["workload"]
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(os.environ["BENCH_THREADS"])
    session = ort.InferenceSession(
        model(w, job["cell"]).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {
        i.name: np.random.default_rng(1).normal(size=i.shape).astype(np.float32) * (0 if "initial" in i.name else 1)
        for i in session.get_inputs()
    }
    if job["mode"] != "stream":
        return lambda: session.run(None, feeds)
    names = [o.name for o in session.get_outputs()]

    def step():
        for name, result in zip(names[1:], session.run(None, feeds)[1:]):
            feeds[name.replace("final", "initial")] = result

    return step


serve("onnxruntime", ort.__version__ + " (onnx " + onnx.__version__ + ")", prepare)
