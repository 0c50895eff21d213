"""`recurra checkpoint`, on the golden checkpoints."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import recurra.tf1.checkpoint as ckpt
from recurra.cli.checkpoint import app
from tests.tf1.checkpoint.goldens import GOLDENS

OLD = str(GOLDENS / "ckpt_from_tf1.0.1" / "v2.ckpt")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_inspect():
    text = run("inspect", OLD)
    assert "names of 1.0–1.1" in text and "rnn/multi_rnn_cell/cell_0/basic_lstm_cell/weights" in text.replace("\n", "")
    content = json.loads(run("inspect", OLD, "--json"))
    assert content["format"] == "V2" and content["era"] == "1.0–1.1"
    row = next(r for r in content["variables"] if r["name"].endswith("cell_0/basic_lstm_cell/weights"))
    assert row["modern"] == "rnn/multi_rnn_cell/cell_0/basic_lstm_cell/kernel"
    values = ckpt.open(OLD)[row["name"]]
    assert row["shape"] == list(values.shape) and abs(row["mean"] - values.mean()) < 1e-6
    every_kind = json.loads(run("inspect", GOLDENS / "ckpt_v2_files" / "model.ckpt-4", "--json"))
    assert {"string", "bfloat16", "bool", "complex64"} <= {r["dtype"] for r in every_kind["variables"]}
    run("inspect", GOLDENS / "ckpt_v1_files" / "model.ckpt-4", "--no-statistics")


@pytest.mark.parametrize("target", ["safetensors", "tf-v2", "tf-v1", "torch"])
def test_convert_and_diff(tmp_path, target):
    text = run("convert", OLD, tmp_path / "out", "--to", target, "--names", "modern", "--drop-slots")
    written = text.split(": ")[0]
    assert run("diff", OLD, written) == "no difference\n"
    assert "only in A" in run("diff", OLD, written, "--names", "keep", code=1)


def test_strings_and_bfloat16_survive_safetensors(tmp_path):
    source = GOLDENS / "ckpt_v2_files" / "model.ckpt-4"
    tensors = {n: v for n, v in ckpt.read(source).items() if v.dtype.name != "complex128"}
    ckpt.write(tmp_path / "in", tensors)
    written = ckpt.convert(tmp_path / "in", tmp_path / "out", to="safetensors")
    assert ckpt.diff(tmp_path / "in", written) == []
    with pytest.raises(ValueError, match="torch holds no strings: "):
        ckpt.convert(tmp_path / "in", tmp_path / "out", to="torch")


def test_diff_says_what_differs(tmp_path):
    a = {"x": np.zeros(3), "y": np.zeros(2), "z": np.zeros(1), "same": np.ones(2)}
    b = {"x": np.array([0, 0.5, 0]), "y": np.zeros(3), "z": np.zeros(1, "f"), "same": np.ones(2), "new": np.ones(1)}
    ckpt.write(tmp_path / "a", a)
    ckpt.write(tmp_path / "b", b)
    text = run("diff", tmp_path / "a", tmp_path / "b", code=1)
    assert text.splitlines() == [
        "new: only in B",
        "x: values (1 of 3 elements differ, by 0.5 at most)",
        "y: shape ([2] and [3])",
        "z: dtype (float64 and float32)",
    ]
    assert (
        json.loads(run("diff", tmp_path / "a", tmp_path / "b", "--json", "--tolerance", "1", code=1))[0]["name"]
        == "new"
    )


def test_infer():
    text = run("infer", OLD)
    assert "lstm_cell(5, 4, projection_size=3, peepholes=True)" in text and "unknown" in text
