"""There and back through TensorFlow 1.15 itself, where the environment variable RECURRA_ORACLE names its Python."""

import os
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import recurra.tf1.checkpoint as ckpt
from tests.tf1.checkpoint.test_write import every_kind

ORACLE = os.environ.get("RECURRA_ORACLE")


@pytest.mark.slow
@pytest.mark.skipif(ORACLE is None, reason="needs RECURRA_ORACLE=/path/to/python with TensorFlow 1.15")
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_both_directions(tmp_path, version, sharded):
    tensors = {n: v for n, v in every_kind().items() if not n.startswith("many/layer_") or n.endswith("7/kernel")}
    if version == "V2":
        tensors["bfloat16"] = np.arange(7).astype(ml_dtypes.bfloat16)
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    parts = [((0, 0), rows[:3]), ((3, 0), rows[3:7]), ((7, 0), rows[7:])]
    shards = {"large": 1, "text": 2} if sharded else None
    written = {**tensors, "part": ckpt.Partitioned((10, 4), parts)}
    prefix = ckpt.write(tmp_path / "ours", written, version, shards=shards)
    tensors["part"] = rows
    plain = {n.replace("/", "|"): np.asarray(v) for n, v in tensors.items() if n != "text"}
    plain = {n: v.astype(np.float32) if n == "bfloat16" else v for n, v in plain.items()}
    np.savez(tmp_path / "values.npz", **plain)
    script = Path(__file__).with_name("oracle_side.py")
    command = [ORACLE, str(script), prefix, str(tmp_path / "values.npz"), str(tmp_path / "theirs"), version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with ckpt.open(tmp_path / "theirs") as theirs:
        assert theirs.version == version and set(theirs) == set(tensors)
        assert theirs.variables["part"].parts == 2
        for name, values in tensors.items():
            got, want = theirs[name], np.asarray(values)
            assert got.dtype == want.dtype and np.array_equal(got, want), name
