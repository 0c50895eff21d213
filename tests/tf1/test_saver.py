"""tf.train.Saver: names, deletion, state file, errors, partitioned variables, other names, versions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import checkpoint, eras


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


def test_save_and_restore(tmp_path: Path) -> None:
    w = tf.Variable([[1.0, 2.0]], name="w")
    n = tf.get_variable("scope/n", initializer=np.int64(3), use_resource=True)
    t = tf.Variable("text", name="t")
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "model"), global_step=7, write_meta_graph=False)
        assert path == str(tmp_path / "model-7")
    stored = checkpoint.read(path)
    assert set(stored) == {"w", "scope/n", "t"} and stored["scope/n"] == 3 and stored["w"].tolist() == [[1, 2]]
    with tf.Session() as session:
        saver.restore(session, path)
        values = session.run([w, n, t])
        assert values[0].tolist() == [[1, 2]] and values[1] == 3 and values[2] == b"text"
    assert tf.train.latest_checkpoint(str(tmp_path)) == path
    assert tf.train.get_checkpoint_state(str(tmp_path)).model_checkpoint_path == path
    assert tf.train.list_variables(path) == [("scope/n", []), ("t", []), ("w", [1, 2])]
    assert tf.train.NewCheckpointReader(path).get_variable_to_shape_map()["w"] == [1, 2]


def test_the_oldest_are_deleted(tmp_path: Path) -> None:
    tf.Variable(1.0, name="v")
    saver = tf.train.Saver(max_to_keep=2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        paths = [saver.save(session, str(tmp_path / "m"), global_step=s, write_meta_graph=False) for s in (1, 2, 3)]
    assert saver.last_checkpoints == paths[1:]
    assert sorted(p.name for p in tmp_path.glob("*.index")) == ["m-2.index", "m-3.index"]
    state = (tmp_path / "checkpoint").read_text().splitlines()
    assert len(state) == 3 and state[0].startswith("model_checkpoint_path") and state[2].endswith('m-3"')


def test_other_names_and_parts(tmp_path: Path) -> None:
    w = tf.Variable([1.0], name="w")
    part = tf.get_variable("p", [5, 2], partitioner=tf.fixed_size_partitioner(2), initializer=tf.ones_initializer())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver({"other": w, "p": part}).save(session, str(tmp_path / "m"), write_meta_graph=False)
    stored = checkpoint.read(path)
    assert set(stored) == {"other", "p"} and stored["p"].shape == (5, 2)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No variables to save"):
        tf.train.Saver()
    w = tf.Variable([1.0, 2.0], name="w")
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "m"), write_meta_graph=False)
        for wrong, message in ((None, "save_path when it is None"), ("nowhere", "not a valid checkpoint: nowhere")):
            with pytest.raises(ValueError, match=message):
                saver.restore(session, wrong)
        with pytest.raises(tf.errors.NotFoundError, match="Key x not found in checkpoint"):
            tf.train.Saver({"x": w}).restore(session, path)
        with pytest.raises(ValueError, match="doesn't exist, can't save"):
            saver.save(session, str(tmp_path / "a" / "b" / "m"))
        assert saver.save(session, str(tmp_path / "one" / "m"), write_meta_graph=False)  # one level is made
        with pytest.raises(ValueError, match="collides with"):
            saver.save(session, str(tmp_path / "checkpoint"))
        other = tf.Variable([1.0], name="short")
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"lhs shape= \[1\] rhs shape= \[2\]"):
            tf.train.Saver({"w": other}).restore(session, path)
        double = tf.Variable(np.zeros(2), name="double")
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="expected dtype double does not equal original dtype float"
        ):
            tf.train.Saver({"w": double}).restore(session, path)
    with tf.Session() as session, pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value"):
        saver.save(session, str(tmp_path / "u"))


def test_the_era_chooses_the_file_format(tmp_path: Path) -> None:
    tf.Variable(1.0, name="v")
    with eras.using(eras.parse("0.11")), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "m"), write_meta_graph=False)
    assert os.path.isfile(path) and not (tmp_path / "m.index").exists()
    with checkpoint.open(path) as stored:
        assert stored.version == "V1" and stored["v"] == 1


def test_averages_are_restored_into_variables(tmp_path: Path) -> None:
    v = tf.Variable(1.0, name="v")
    average = tf.train.ExponentialMovingAverage(0.5)
    update = average.apply([v])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(v, 3.0))
        session.run(update)
        path = tf.train.Saver().save(session, str(tmp_path / "m"), write_meta_graph=False)
        tf.train.Saver(average.variables_to_restore()).restore(session, path)
        assert session.run(v) == 2.0
