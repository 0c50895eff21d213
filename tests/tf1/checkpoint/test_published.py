"""Checkpoints that others trained and published give the numbers that are known for them."""

import numpy as np
import pytest
import torch

import recurra as rc
import recurra.tf1.checkpoint as ckpt
from tests.tf1.checkpoint.goldens import GOLDENS, needs_shared
from tests.tf1.checkpoint.published import PREFIXES, Forecaster, check_numbers, model, prefix, stored_outputs

ERAS = {"05a": "0.6–0.12", "05b": "0.6–0.12", "09": "1.0–1.1"}


def assert_numbers(module, key):
    for what, (expected, got) in check_numbers(module, key).items():
        assert abs(got - expected) < (1e-5 if what == "difference" else 1e-4), (what, expected, got)


@needs_shared
@pytest.mark.parametrize(
    "key", [pytest.param(k, marks=pytest.mark.slow) if k in ("05a", "07") else k for k in PREFIXES]
)
def test_the_numbers(key):
    module = model(key)
    report = ckpt.load_into(module, prefix(key))
    assert report.era == ERAS.get(key, "1.2–1.15")
    assert not report.missing and set(report.unused) <= {"Variable"}, "the scalar is a learning rate"
    assert {parameter for parameter, _ in report.matched} == {name for name, _ in module.named_parameters()}
    assert_numbers(module, key)


@needs_shared
def test_torchs_own_lstm_gives_the_same():
    module = model("09")
    ckpt.load_into(module, prefix("09"))
    plain = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(56, 128),
            "rnn": torch.nn.LSTM(128, 128, 2, batch_first=True),
            "softmax": torch.nn.Linear(128, 56),
        }
    )
    report = ckpt.load_into(plain, prefix("09"))
    assert not report.notes, "the graph says the forget bias"
    ids, want = stored_outputs("09")["ids"].long(), stored_outputs("09")["logits"]
    with torch.no_grad():
        got = plain["softmax"](plain["rnn"](plain["embedding"](ids))[0])
    assert (got - want).abs().max() < 1e-5


def test_the_smallest_one_without_shared_data():
    module = Forecaster()
    report = ckpt.load_into(module, GOLDENS / "published_17" / "forcaster")
    assert dict(report.matched)["dense.weight"] == "Variable"
    assert any("no graph says the forget bias" in note for note in report.notes)
    assert_numbers(module, "17")


def test_another_forget_bias_than_the_graphs_is_refused(tmp_path):
    source = GOLDENS / "published_17" / "forcaster"
    tensors = ckpt.read(source)
    tensors["rnn/cudnn_compatible_lstm_cell/kernel"] = tensors.pop("rnn/basic_lstm_cell/kernel")
    tensors["rnn/cudnn_compatible_lstm_cell/bias"] = tensors.pop("rnn/basic_lstm_cell/bias")
    with pytest.raises(ckpt.CheckpointError, match="no scope holds kernel"):
        ckpt.load_into(rc.LSTMCell(2, 2), tensors)
    assert len(ckpt.load_into(rc.LSTMCell(2, 2, forget_bias=0.0), tensors).matched) == 2


@needs_shared
def test_the_graphs_forget_bias_is_held_against_the_modules():
    with pytest.raises(ckpt.CheckpointError, match=r"ran with forget_bias 1.0, fw adds 0.0: construct it with"):
        ckpt.load_into(
            torch.nn.ModuleDict({"fw": rc.LSTMCell(50, 64, forget_bias=0.0)}),
            prefix("01"),
            names={"fw": "bidirectional_rnn/fw"},
        )


@needs_shared
@pytest.mark.parametrize("key", ["01", "09", "15"])
def test_conversions_keep_the_numbers(tmp_path, key):
    for target in ("tf-v2", "tf-v1", "safetensors"):
        path = ckpt.convert(prefix(key), tmp_path / target, to=target, names="modern")
        module = model(key)
        ckpt.load_into(module, ckpt.read_any(path))
        assert_numbers(module, key)
    before, after = ckpt.read(prefix(key)), ckpt.read(tmp_path / "tf-v1")
    assert len(before) == len(after)
    assert all(np.array_equal(after[n.full], before[s]) for s, n in ckpt.modern_names(before).items())
