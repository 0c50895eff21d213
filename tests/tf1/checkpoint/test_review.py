"""What a second pair of eyes found: mixed formats under one name, large integers, half-loaded modules."""

import numpy as np
import pytest
import torch

from recurra.tf1 import checkpoint


def test_v1_does_not_hide_behind_v2(tmp_path):
    checkpoint.write(tmp_path / "m", {"w": np.zeros(2, np.float32)})
    with pytest.raises(checkpoint.CheckpointError, match="V2 checkpoint of this name"):
        checkpoint.write(tmp_path / "m", {"w": np.ones(2, np.float32)}, version="V1")
    assert checkpoint.read(tmp_path / "m")["w"].tolist() == [0, 0]


def test_diff_sees_large_integers_and_passes_over_equal_nan():
    large = np.array([2**60], np.int64)
    (found,) = checkpoint.diff({"step": large}, {"step": large + 1})
    assert found.name == "step"
    a, b = np.array([np.nan, 1.0, 2.0]), np.array([np.nan, 1.0, 2.5])
    (found,) = checkpoint.diff({"w": a}, {"w": b})
    assert "1 of 3" in found.detail and found.greatest == 0.5


def test_a_refused_load_leaves_the_module_as_it_was():
    module = torch.nn.ModuleDict({"dense": torch.nn.Linear(2, 2), "rnn": torch.nn.LSTM(2, 2, bias=False)})
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    names = {"dense": "dense", "rnn": "rnn/lstm_cell"}
    tensors = {
        "dense/kernel": np.ones((2, 2), np.float32),
        "dense/bias": np.ones(2, np.float32),
        "rnn/lstm_cell/kernel": np.ones((4, 8), np.float32),
        "rnn/lstm_cell/bias": np.ones(8, np.float32),
    }
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.load_into(module, tensors, names=names)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
