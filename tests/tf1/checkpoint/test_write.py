"""What is written is what TensorFlow writes, comes back as it was, and never leaves a broken checkpoint."""

import multiprocessing
import os

import ml_dtypes
import numpy as np
import pytest

import recurra.tf1.checkpoint as ckpt
from tests.tf1.checkpoint.goldens import GOLDENS, RELEASES

DTYPES = [
    "float32",
    "float64",
    "float16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "complex64",
    "complex128",
    "bool",
]


def every_kind() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tensors = {f"dtype/{name}": (rng.normal(size=(3, 5)) * 50).astype(name) for name in DTYPES}
    tensors["scalar"], tensors["empty"] = np.float32(3.5), np.zeros((0, 4), np.float32)
    tensors["limits"] = np.array([-1, -(2**63), 2**63 - 1, 0])
    tensors["text"] = np.array([[b"", b"abc"], [b"\xff\x00", b"x" * 70000]], object)
    tensors["large"] = rng.normal(size=(200, 1000)).astype(np.float32)
    tensors.update({f"many/layer_{k}/kernel": np.full(2, k, np.float32) for k in range(2000)})
    return tensors


def assert_same(got, want):
    assert set(got) == set(want)
    for name, values in want.items():
        values = np.asarray(values)
        assert got[name].dtype == values.dtype and got[name].shape == values.shape, name
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_everything_comes_back(tmp_path, version):
    tensors = every_kind()
    prefix = ckpt.write(tmp_path / "model", tensors, version)
    assert_same(ckpt.read(prefix), tensors)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_shards(tmp_path, version):
    tensors = every_kind()
    prefix = ckpt.write(tmp_path / "model", tensors, version, shards={"large": 2, "text": 1})
    assert_same(ckpt.read(prefix), tensors)
    assert len([f for f in os.listdir(tmp_path) if "of-00003" in f]) == 3
    assert ckpt.checkpoint_exists(prefix)


def test_bfloat16(tmp_path):
    values = np.arange(7).astype(ml_dtypes.bfloat16)
    assert_same(ckpt.read(ckpt.write(tmp_path / "model", {"b": values})), {"b": values})
    with pytest.raises(ValueError, match=r"variable 'b' is bfloat16, which the V1 format cannot hold"):
        ckpt.write(tmp_path / "old", {"b": values}, "V1")


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_partitioned(tmp_path, version):
    values = np.arange(40, dtype=np.float32).reshape(10, 4)
    parts = [((0, 0), values[:3]), ((3, 0), values[3:7]), ((7, 0), values[7:])]
    prefix = ckpt.write(tmp_path / "model", {"p": ckpt.Partitioned((10, 4), parts), "q\0\xff": values}, version)
    with ckpt.open(prefix) as checkpoint:
        assert checkpoint.variables["p"].parts == 3
        assert_same(checkpoint, {"p": values, "q\0\xff": values})


@pytest.mark.parametrize("release", RELEASES)
def test_the_bytes_are_those_that_tensorflow_wrote(tmp_path, release):
    folder = GOLDENS / f"ckpt_from_tf{release}"
    tensors = ckpt.read(folder / "v2.ckpt")
    ckpt.write(tmp_path / "v2.ckpt", tensors)
    ckpt.write(tmp_path / "v1.ckpt", tensors, "V1")
    for file in ("v2.ckpt.data-00000-of-00001", "v2.ckpt.index", "v1.ckpt"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"d": np.zeros(2, "datetime64[s]")}, "variable 'd' has dtype datetime64"),
        ({"o": np.array([1, "a"], object)}, "holds 1 of type int, expected bytes or str"),
        ({"": np.zeros(2)}, "a variable needs a name"),
        ({"p": ckpt.Partitioned((2,), [((0,), np.zeros(1)), ((1,), np.zeros(1, "f"))])}, "its parts have the types"),
        ({"p": ckpt.Partitioned((3,), [((0,), np.zeros(1)), ((1,), np.zeros(1))])}, "slices hold 2 elements"),
        ({"p": ckpt.Partitioned((2,), [((0,), np.zeros(1)), ((0,), np.zeros(1))])}, "overlaps"),
    ],
)
def test_what_cannot_be_written(tmp_path, tensors, message):
    with pytest.raises(ValueError, match=message):
        ckpt.write(tmp_path / "model", tensors)
    assert os.listdir(tmp_path) == [], "nothing is left behind"


def test_arguments(tmp_path):
    with pytest.raises(ValueError, match='version must be "V1" or "V2"'):
        ckpt.write(tmp_path / "model", {"a": np.zeros(1)}, "V3")
    with pytest.raises(ValueError, match=r"shards names \['b'\]"):
        ckpt.write(tmp_path / "model", {"a": np.zeros(1)}, shards={"b": 1})
    with pytest.raises(ckpt.CheckpointError, match="cannot be written: No such file or directory"):
        ckpt.write(tmp_path / "missing" / "model", {"a": np.zeros(1)})


def test_overwriting_leaves_one_checkpoint(tmp_path):
    for step in range(3):
        ckpt.write(tmp_path / "model", {"step": np.int64(step)})
        assert ckpt.read(tmp_path / "model")["step"] == step
    assert len(ckpt.checkpoint_files(tmp_path / "model")) == len(os.listdir(tmp_path))


def _write_and_die(prefix: str, version: str, moment: int) -> None:
    """Overwrite a checkpoint, dying (no cleanup) at the k-th call that reaches the disk."""
    left = [moment]

    def deadly(function):
        def call(*arguments):
            if left[0] == 0:
                os._exit(3)
            left[0] -= 1
            return function(*arguments)

        return call

    os.replace, os.fsync, os.remove = deadly(os.replace), deadly(os.fsync), deadly(os.remove)
    ckpt.write(prefix, {"a": np.full(1000, 2.0), "b": np.array(b"new")}, version)
    os._exit(0)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_crash_at_any_moment_leaves_the_old_checkpoint_or_the_new_one(tmp_path, version):
    context, outcomes = multiprocessing.get_context("fork"), []
    for moment in range(20):
        prefix = str(tmp_path / f"model-{moment}")
        ckpt.write(prefix, {"a": np.full(1000, 1.0), "b": np.array(b"old")}, version)
        child = context.Process(target=_write_and_die, args=(prefix, version, moment))
        child.start()
        child.join()
        got = ckpt.read(prefix)
        assert (got["b"] == b"old" and (got["a"] == 1).all()) or (got["b"] == b"new" and (got["a"] == 2).all())
        outcomes.append(bytes(got["b"].item()))
        if child.exitcode == 0:
            break
    assert outcomes[0] == b"old" and outcomes[-1] == b"new" and child.exitcode == 0
