"""Cells and runs in one file, and back, with equal numbers."""

import json

import pytest
import torch
from safetensors.torch import save_file

import recurra as rc
from recurra import _nest
from recurra.errors import CheckpointError, StructureError
from recurra.export.describe import build_cell, describe_cell
from recurra.export.safetensors import save_cell
from recurra.export.sequences import example_inputs
from tests.laws.table import ROWS, build

CALLABLE = {"residual_fn"}


@pytest.mark.parametrize("name", [name for name in ROWS if name not in CALLABLE])
def test_every_cell(tmp_path, name):
    cell = build(ROWS[name]).eval()
    loaded = rc.load(save_cell(cell, tmp_path / "cell.safetensors"))
    assert type(loaded) is type(cell)
    inputs = example_inputs(cell, (2, 4))
    want, got = rc.unroll(cell, inputs), rc.unroll(loaded, inputs)
    for a, b in zip(_nest.flatten(want), _nest.flatten(got), strict=True):
        assert torch.equal(a, b)


def test_a_shared_cell_stays_shared(tmp_path):
    inner = rc.GRUCell(4, 4)
    loaded = rc.load(save_cell(rc.StackedCells([inner, inner]), tmp_path / "c.safetensors"))
    assert loaded.cells[0] is loaded.cells[1]


def test_float64(tmp_path):
    cell = rc.LSTMCell(3, 4, dtype=torch.float64)
    assert rc.load(save_cell(cell, tmp_path / "c.safetensors")).kernel.dtype == torch.float64


class OwnCell(rc.GRUCell):
    """A person's own."""


def test_what_is_not_data_is_refused(tmp_path):
    with pytest.raises(StructureError, match="OwnCell is not one of recurra's own cells"):
        save_cell(OwnCell(3, 4), tmp_path / "c.safetensors")
    with pytest.raises(StructureError, match=r"LSTMCell\(activation=…\) is <.*relu.*>, which cannot be written down"):
        save_cell(rc.LSTMCell(3, 4, activation=torch.relu), tmp_path / "c.safetensors")
    changed = rc.StackedCells([rc.GRUCell(3, 4), rc.GRUCell(4, 4)])
    del changed.cells[1]
    with pytest.raises(StructureError, match="was changed after it was made"):
        save_cell(changed, tmp_path / "c.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "description",
    [
        {"cell": "BaseCell", "arguments": {}},
        {"cell": "load", "arguments": {"path": "/etc/passwd"}},
        {"cell": "torch.load", "arguments": {}},
        {"cell": "GRUCell", "arguments": {"input_size": -1, "hidden_size": 3}},
        {"cell": "GRUCell", "arguments": {"nope": 1}},
        {"cell": "LSTMCell", "arguments": {"input_size": 1, "hidden_size": 1, "dtype": {"dtype": "load"}}},
        {"same": 0},
        {},
        None,
        3,
    ],
)
def test_hostile_descriptions(tmp_path, description):
    with pytest.raises(CheckpointError, match="the description of the cell is damaged"):
        build_cell(description)
    path = tmp_path / "c.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"recurra.kind": "cell", "recurra.config": json.dumps(description)})
    with pytest.raises(CheckpointError):
        rc.load(path)


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        rc.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="is damaged"):
        rc.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="was not written by recurra"):
        rc.load(path)
    cell = rc.GRUCell(3, 4)
    metadata = {"recurra.kind": "cell", "recurra.config": json.dumps(describe_cell(cell))}
    save_file({**cell.state_dict(), "more": torch.zeros(1)}, path, metadata)
    with pytest.raises(CheckpointError, match="weights and configuration disagree on more"):
        rc.load(path)
    (tmp_path / "model.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is a TensorFlow checkpoint: see recurra.tf1.checkpoint"):
        rc.load(tmp_path / "model")
