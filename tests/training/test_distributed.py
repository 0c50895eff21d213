"""Two processes with half of every batch each walk the same loss curve as one with all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recurra.training import runs
from recurra.training.config import build
from recurra.training.registry import get
from recurra.training.runfolder import RunFolder

COMMON = dict(report=False, progress=False, threads=1, dropout=0.0, log_every=1)
# ragged batches (names of several lengths, an odd batch size), and a carried state whose rows are divided
CASES = {
    "classify": dict(steps=12, hidden=8, embedding=6, batch_size=9, eval_every=6, **COMMON),
    "lm": dict(steps=12, hidden=8, bptt=5, batch_size=5, eval_every=6, **COMMON),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = [("a" * (i % 7 + 1) + "bc"[i % 2] * (i % 3), "even" if i % 2 else "odd") for i in range(120)]
    (folder / "classify").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    (folder / "lm").write_text("the cat sat on the mat and the dog on the log\n" * 40)
    return folder


def curve(path: Path) -> list[float]:
    return [float(row["loss"]) for row in RunFolder.open(path).metrics() if row["loss"]]


@pytest.mark.slow  # one run in ten saw gloo abort a finished process on a busy machine
@pytest.mark.parametrize("recipe", CASES)
def test_two_processes_are_one(recipe, data, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    runs.train(recipe, build(get(recipe).config_class(), CASES[recipe] | {"out": one}), str(data / recipe))
    words = [
        sys.executable,
        "-m",
        "recurra.cli.main",
        "train",
        recipe,
        str(data / recipe),
        "--out",
        str(two),
        "--devices",
        "2",
    ]
    for name, value in CASES[recipe].items():
        flag = name.replace("_", "-")
        words += [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    a, b = curve(one), curve(two)
    assert len(a) == len(b) >= 14
    assert max(abs(x - y) for x, y in zip(a, b, strict=True)) < 1e-5
    assert runs.read_result(RunFolder.open(two)).test == pytest.approx(
        runs.read_result(RunFolder.open(one)).test, abs=1e-4
    )


def test_torchrun_is_understood(data, tmp_path):
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "recurra.cli.main",
    ]
    words += ["train", "lm", str(data / "lm"), "--out", str(tmp_path / "run"), "--steps", "4", "--hidden", "8"]
    words += ["--bptt", "5", "--batch-size", "4", "--no-report", "--no-progress", "--threads", "1"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert runs.read_result(RunFolder.open(tmp_path / "run")).steps == 4
    assert done.stdout.count("run folder:") == 2, "the first process speaks (log line and result), the second is silent"
