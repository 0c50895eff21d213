"""The `checkpoint` state file."""

import numpy as np
import pytest

import recurra.tf1.checkpoint as ckpt
from tests.tf1.checkpoint.goldens import GOLDENS


@pytest.mark.parametrize("folder", ["ckpt_v2_files", "ckpt_v1_sharded_files"])
def test_tensorflows_own_file_is_read_and_written_the_same(tmp_path, folder, monkeypatch):
    state = ckpt.read_state(GOLDENS / folder)
    monkeypatch.chdir(tmp_path)
    paths = [str(tmp_path / name) for name in state.raw_paths]
    ckpt.write_state(tmp_path, paths[-1], paths, save_relative_paths=True)
    assert (tmp_path / "checkpoint").read_bytes() == (GOLDENS / folder / "checkpoint").read_bytes()
    assert state.model_checkpoint_path == state.all_model_checkpoint_paths[-1]


def test_paths_are_kept_as_tensorflow_keeps_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    absolute, relative = str(tmp_path / "run" / "m-1"), "run/m-1"
    (tmp_path / "run").mkdir()
    for directory, path, option, want in [
        (tmp_path / "run", absolute, False, absolute),
        (tmp_path / "run", absolute, True, "m-1"),
        ("run", relative, False, "m-1"),
        ("run", absolute, False, absolute),
    ]:
        ckpt.write_state(directory, path, save_relative_paths=option)
        assert ckpt.read_state(directory).raw_paths == (want,)
        assert ckpt.read_state(tmp_path / "run").model_checkpoint_path == str(tmp_path / "run" / "m-1")


def test_names_that_need_quoting(tmp_path):
    path = str(tmp_path / 'a "quoted" \\ näme\n-1')
    ckpt.write_state(tmp_path, path, all_model_checkpoint_timestamps=[1.5], last_preserved_timestamp=1e9)
    state = ckpt.read_state(tmp_path)
    assert state.model_checkpoint_path == path
    assert state.all_model_checkpoint_timestamps == (1.5,) and state.last_preserved_timestamp == 1e9


@pytest.mark.parametrize("text", ["", "garbage", 'model_checkpoint_path: "unclosed', "\xff", "other: 3\n"])
def test_a_broken_state_file_is_none(tmp_path, text):
    (tmp_path / "checkpoint").write_bytes(text.encode("latin-1"))
    assert ckpt.read_state(tmp_path) is None
    assert ckpt.latest_checkpoint(tmp_path) is None


def test_latest_checkpoint_must_exist(tmp_path):
    prefix = ckpt.write(tmp_path / "m-1", {"a": np.zeros(1)})
    ckpt.write_state(tmp_path, prefix)
    assert ckpt.latest_checkpoint(tmp_path) == prefix
    ckpt.write_state(tmp_path, str(tmp_path / "m-2"), [prefix])
    assert ckpt.latest_checkpoint(tmp_path) is None, "as TensorFlow: no falling back to older ones"
    ckpt.write_state(tmp_path, prefix, latest_filename="other")
    assert ckpt.latest_checkpoint(tmp_path, "other") == prefix
