"""What `infer` finds, and that the module it builds takes the checkpoint whole."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import recurra as rc
import recurra.tf1.checkpoint as ckpt
from tests.tf1.checkpoint.goldens import GOLDENS, RELEASES, needs_shared
from tests.tf1.checkpoint.published import PREFIXES, prefix

EXPECTED = {
    "01": (["lstm_cell(50, 64, forget_bias=1.0)"] * 2, [2808], [(128, 2)], {}),
    "05a": (["basic_lstm_cell(128, 128, forget_bias=1.0)"] * 2, [65], [(128, 65)], {}),
    "05b": (["basic_lstm_cell(128, 128, forget_bias=1.0)"] * 2, [65], [(128, 65)], {}),
    "07": (["basic_lstm_cell(128, 128, forget_bias=1.0)"] * 2, [78], [(128, 78)], {}),
    "09": (["basic_lstm_cell(128, 128, forget_bias=1.0)"] * 2, [56], [(128, 56)], {}),
    "15": (["lstm_cell(101, 192, forget_bias=1.0)"] * 2, [], [(385, 192), (192, 10)], {"transitions": 10}),
    "17": (["basic_lstm_cell(2, 2, forget_bias=1.0)"], [], [(2, 2)], {}),
}


@needs_shared
@pytest.mark.parametrize("key", PREFIXES)
def test_published_checkpoints(key):
    architecture = ckpt.infer(prefix(key))
    cells, tables, dense, transitions = EXPECTED[key]
    assert [str(cell) for cell in architecture.cells] == cells
    assert [table.classes for table in architecture.embeddings] == tables
    assert [(d.inputs, d.outputs) for d in architecture.dense] == dense
    assert architecture.transitions == transitions
    assert set(architecture.others) <= {"Variable"}
    module = architecture.build()
    report = ckpt.load_into(module, prefix(key), names=architecture.names)
    assert set(report.unused) <= {"Variable"} and len(report.matched) == len(list(module.parameters()))


@pytest.mark.parametrize("release", RELEASES)
def test_old_releases(release):
    tensors = ckpt.open(GOLDENS / f"ckpt_from_tf{release}" / "v2.ckpt")
    architecture = ckpt.infer(tensors)
    assert [(cell.loop, cell.layer, str(cell)) for cell in architecture.cells] == [
        ("bidirectional_rnn/bw", 0, "basic_lstm_cell(4, 2)"),
        ("bidirectional_rnn/fw", 0, "gru_cell(4, 2)"),
        ("rnn", 0, "basic_lstm_cell(4, 5)"),
        ("rnn", 1, "lstm_cell(5, 4, projection_size=3, peepholes=True)"),
        ("rnn", 2, "gru_cell(3, 3)"),
    ]
    assert not architecture.others and not architecture.dense
    assert any("forget bias, activation, clips" in line for line in architecture.unknown)
    module = architecture.build()
    assert len(ckpt.load_into(module, tensors, names=architecture.names).matched) == len(list(module.parameters()))


def test_without_a_graph_a_guess_is_named_as_one():
    tensors = {**ckpt.variables_of(rc.GRUCell(7, 3), "rnn"), "Variable": np.zeros((20, 7), "f")}
    architecture = ckpt.infer(tensors)
    assert architecture.embeddings[0].classes == 20
    assert any(
        "Variable [20, 7] is taken for an embedding because a cell reads 7 features" in u for u in architecture.unknown
    )


def test_scopes_with_names_of_their_own_and_cells_side_by_side():
    tensors = {}
    for scope in ("encoder/gates_net", "decoder"):
        for name, shape in {
            "gates/kernel": (7, 8),
            "gates/bias": (8,),
            "candidate/kernel": (7, 4),
            "candidate/bias": (4,),
        }.items():
            tensors[f"{scope}/{name}"] = np.zeros(shape, "f")
    architecture = ckpt.infer(tensors)
    assert [(c.scope, str(c)) for c in architecture.cells] == [
        ("encoder/gates_net", "gru_cell(3, 4)"), ("decoder", "gru_cell(3, 4)"),
    ] or {c.scope for c in architecture.cells} == {"encoder/gates_net", "decoder"}  # fmt: skip
    ckpt.load_into(architecture.build(), tensors, names=architecture.names)


def test_cells_that_sizes_do_not_determine_are_shown_not_built():
    tensors = {"rnn/glstm_cell/group0/kernel": np.zeros((4, 8), "f"), "rnn/glstm_cell/bias_i": np.zeros(4, "f")}
    architecture = ckpt.infer(tensors)
    assert architecture.cells[0].kind == "glstm_cell"
    with pytest.raises(ValueError, match="rnn/glstm_cell is a glstm_cell, which is not built from sizes"):
        architecture.build()


@needs_shared
def test_the_text_of_one():
    assert str(ckpt.infer(prefix("15"))).splitlines()[:3] == [
        "TensorFlow 1.4.0, names of 1.2–1.15",
        "recurrent   RecurrentNet/RNN_layer_0/bidirectional_rnn/bw (dynamic loop, batch first, reversed by ReverseV2)",
        "  layer 0   lstm_cell(101, 192, forget_bias=1.0)",
    ]


def test_saved_torch_modules_are_understood():
    module = nn.ModuleDict({"embedding": nn.Embedding(9, 5), "rnn": nn.LSTM(5, 4, 2), "out": nn.Linear(4, 3)})
    tensors = ckpt.variables_of(module)
    architecture = ckpt.infer(tensors)
    assert [str(cell) for cell in architecture.cells] == ["lstm_cell(5, 4)", "lstm_cell(4, 4)"]
    assert [(d.inputs, d.outputs) for d in architecture.dense] == [(4, 3)]
    built = architecture.build()
    ckpt.load_into(built, tensors, names=architecture.names)
    torch.testing.assert_close(built["embedding_embedding"].weight, module["embedding"].weight)


@pytest.mark.parametrize("version", ["1.0.1", "1.15.0"])
def test_every_model_that_the_releases_named(version):
    """29 models: every cell is found, no matrix of a cell or wrapper is taken for an embedding."""
    models = json.loads((GOLDENS / "names_by_release" / f"{version}.json").read_text())
    for model, variables in models.items():
        if isinstance(variables, str):
            continue
        architecture = ckpt.infer({name: np.zeros(shape, "f") for name, shape in variables})
        assert architecture.cells or model == "crf", model
        assert all(table.name.endswith("embedding") for table in architecture.embeddings), model
        assert str(architecture).count("layer ") == len(architecture.cells)


def test_keras_layers_are_found():
    with np.load(GOLDENS.parent / "export" / "keras.npz") as golden:
        names = ("kernel", "recurrent_kernel", "bias")
        layers = ("lstm", "gru_after", "gru_before", "rnn")
        tensors = {f"m/{n}/{v}": golden[f"{n}/weights/{k}"] for n in layers for k, v in enumerate(names)}
    architecture = ckpt.infer(tensors)
    assert {str(cell) for cell in architecture.cells} == {
        "cudnn_compatible_lstm_cell(4, 5, forget_bias=0.0)",
        "cudnn_compatible_gru_cell(4, 5, reset='after')",
        "gru_cell(4, 5)",
        "basic_rnn_cell(4, 5)",
    }
    report = ckpt.load_into(architecture.build(), tensors, names=architecture.names)
    assert not report.missing and not report.unused
