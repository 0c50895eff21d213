"""Both formats against files that TensorFlow 1.0 to 1.15 wrote."""

import os
import time

import crc32c
import numpy as np
import pytest

import recurra.tf1.checkpoint as ckpt
from recurra.tf1.checkpoint.messages import BundleEntry, BundleHeader
from recurra.tf1.checkpoint.source import masked_crc
from recurra.tf1.checkpoint.table import TableWriter
from tests.tf1.checkpoint.goldens import GOLDENS, RELEASES, as_golden, golden_values

PREFIXES = {
    "ckpt_v2": "model.ckpt-4",
    "ckpt_v2_sharded": "model.ckpt-4",
    "ckpt_v1": "model.ckpt-4",
    "ckpt_v1_sharded": "model.ckpt-4-?????-of-00002",
}


@pytest.mark.parametrize("name", PREFIXES)
def test_every_value_of_a_golden_checkpoint(name):
    want = golden_values(name)
    with ckpt.open(GOLDENS / f"{name}_files" / PREFIXES[name]) as checkpoint:
        assert set(checkpoint) == set(want)
        for key, expected in want.items():
            got = as_golden(checkpoint[key], expected)
            assert got.dtype == expected.dtype, key
            np.testing.assert_array_equal(got, expected, err_msg=key)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("file", ["v1.ckpt", "v2.ckpt"])
def test_checkpoints_of_old_releases(release, file):
    folder = GOLDENS / f"ckpt_from_tf{release}"
    got = ckpt.read(folder / file)
    with np.load(folder / "values.npz") as want:
        assert {f"var/{name}" for name in got} == {key for key in want.files if key.startswith("var/")}
        for name, values in got.items():
            np.testing.assert_array_equal(values, want[f"var/{name}"])


@pytest.mark.parametrize("name", PREFIXES)
def test_the_directory_says_what_the_values_are(name):
    with ckpt.open(GOLDENS / f"{name}_files" / PREFIXES[name]) as checkpoint:
        for info in checkpoint.variables.values():
            values = checkpoint[info.name]
            assert info.shape == values.shape
            assert info.dtype == ("string" if values.dtype == object else values.dtype.name)
    partitioned = [info for info in checkpoint.variables.values() if info.parts > 1]
    assert partitioned, "the goldens hold partitioned variables"


@pytest.mark.parametrize("name", PREFIXES)
def test_a_directory_or_a_file_of_the_checkpoint_stands_for_it(name):
    folder = GOLDENS / f"{name}_files"
    want = [n for n, _ in ckpt.list_variables(folder / PREFIXES[name])]
    assert [n for n, _ in ckpt.list_variables(folder)] == want
    for file in ckpt.checkpoint_files(folder / PREFIXES[name]):
        if not file.endswith(".meta"):
            assert [n for n, _ in ckpt.list_variables(file)] == want


def test_a_missing_name_is_a_key_error_with_near_names():
    with ckpt.open(GOLDENS / "ckpt_from_tf1.4.0" / "v2.ckpt") as checkpoint:
        name = next(iter(checkpoint))
        assert name in checkpoint and checkpoint.get("nope") is None
        with pytest.raises(KeyError, match=f"Key {name}x not found in checkpoint .*; there are .*{name}"):
            checkpoint[name + "x"]


def test_arrays_are_fresh_and_writable():
    with ckpt.open(GOLDENS / "ckpt_from_tf1.4.0" / "v2.ckpt") as checkpoint:
        name = next(iter(checkpoint))
        before = checkpoint[name]
        kept = before.copy()
        before += 1
        np.testing.assert_array_equal(checkpoint[name], kept)


def test_nothing_there(tmp_path):
    with pytest.raises(ckpt.CheckpointNotFoundError, match="no checkpoint of this name"):
        ckpt.open(tmp_path / "model.ckpt")
    with pytest.raises(FileNotFoundError, match="names no checkpoint"):
        ckpt.open(tmp_path)
    assert not ckpt.checkpoint_exists(tmp_path / "model.ckpt")


def test_opening_ten_gigabytes_is_quick_and_reading_touches_one_variable(tmp_path):
    """A sparse file of 10 GB: five tensors of zeros, of which a small one is read."""
    prefix, gigabytes = tmp_path / "big", 10
    sizes = {"small": 4096, **{f"big_{k}": (gigabytes << 30) // 4 for k in range(4)}}
    with open(f"{prefix}.data-00000-of-00001", "wb") as stream:
        stream.truncate(sum(sizes.values()))
    rows, offset = {}, 0
    for name, size in sizes.items():
        entry = BundleEntry(dtype=1, offset=offset, size=size, crc32c=masked_crc(crc32c.crc32c(bytes(4096))))
        entry.shape.dim.add(size=size // 4)
        rows[name.encode()], offset = entry.SerializeToString(), offset + size
    with open(f"{prefix}.index", "wb") as stream:
        table = TableWriter(stream)
        table.add(b"", BundleHeader(num_shards=1).SerializeToString())
        for key in sorted(rows):
            table.add(key, rows[key])
        table.finish()
    start = time.process_time()
    with ckpt.open(prefix) as checkpoint:
        opened = time.process_time() - start
        assert checkpoint["small"].sum() == 0
    assert time.process_time() - start < 0.5, f"opening alone took {opened:.3f} s"
    os.remove(f"{prefix}.data-00000-of-00001")
