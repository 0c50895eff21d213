"""Graphs exported and imported again: in the process, and from a file in another graph."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import meta_graph
from recurra.tf1.graph import Graph


def _build() -> None:
    x = tf.placeholder(tf.float32, [None, 4, 3], name="x")
    outputs, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(2), x, dtype=tf.float32)
    chosen = tf.cond(tf.reduce_sum(outputs) > 0, lambda: outputs, lambda: -outputs)
    loss = tf.reduce_sum(chosen, name="loss")
    tf.add_to_collection("kept", loss)
    tf.add_to_collection("kept", tf.gradients(loss, state.c)[0])


@pytest.mark.parametrize("other_process", [False, True])
def test_an_imported_graph_runs_with_the_same_numbers(tmp_path, monkeypatch, other_process):
    path, feed = str(tmp_path / "model.meta"), {"x:0": np.random.RandomState(0).rand(2, 4, 3)}
    with Graph().as_default(), tf.Session() as session:
        _build()
        tf.train.export_meta_graph(path)
        session.run(tf.global_variables_initializer())
        values = session.run(tf.trainable_variables())
        expected = session.run("loss:0", feed)
    if other_process:
        monkeypatch.setattr(meta_graph, "_objects", {})
    with Graph().as_default(), tf.Session() as session:
        assert tf.train.import_meta_graph(path) is not None
        assert [v.name for v in tf.trainable_variables()] == [
            "rnn/basic_lstm_cell/kernel:0",
            "rnn/basic_lstm_cell/bias:0",
        ]
        for variable, value in zip(tf.trainable_variables(), values, strict=True):
            variable.load(value, session)
        loss = tf.get_collection("kept")[0]
        assert loss is tf.get_default_graph().get_tensor_by_name("loss:0")
        np.testing.assert_array_equal(session.run(loss, feed), expected)
        assert tf.gradients(loss, tf.trainable_variables())[0].shape.as_list() == [5, 8]


def test_a_file_that_is_not_there():
    with pytest.raises(OSError, match="does not exist"):
        tf.train.import_meta_graph("/nowhere/model.meta")


def _small_model():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.get_variable("w", [2, 3], initializer=tf.constant_initializer(1.0))
    b = tf.Variable(tf.zeros([3]), name="b")
    return x, w, tf.add(tf.matmul(x, w), b, name="y")


@pytest.mark.parametrize(("has_saver", "built", "imported"), [(True, 14.0, None), (False, 2.0, 14.0)])
def test_import_beside_the_same_model(tmp_path, has_saver, built, imported):
    """TensorFlow 1.15's numbers. A SaverDef names operations: those of a saver that the program made before the import
    restore the program's own variables, else the imported copies `w_1` and `b_1` are restored."""
    with tf.Graph().as_default():
        _, w, _ = _small_model()
        saver = tf.train.Saver()
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            sess.run(w.assign_add(6 * tf.ones([2, 3])))
            path = saver.save(sess, str(tmp_path / "m.ckpt"))
    with tf.Graph().as_default():
        x, w, y = _small_model()
        if has_saver:
            tf.train.Saver()
        saver = tf.train.import_meta_graph(path + ".meta")
        assert [v.name for v in tf.global_variables()] == ["w:0", "b:0", "w:0", "b:0"]
        assert tf.global_variables()[2].op is w.op
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            saver.restore(sess, path)
            assert sess.run(y, {x: [[1, 1]]}).tolist() == [[built] * 3]
            if imported is None:
                with pytest.raises(tf.errors.FailedPreconditionError, match="w_1"):
                    sess.run("y_1:0", {"x_1:0": [[1, 1]]})
            else:
                assert sess.run("y_1:0", {"x_1:0": [[1, 1]]}).tolist() == [[imported] * 3]


def test_the_imported_saver_restores_what_was_saved_only(tmp_path):
    with tf.Graph().as_default():
        kept = tf.get_variable("kept", initializer=5.0)
        tf.get_variable("left_out", initializer=1.0)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            path = tf.train.Saver([kept]).save(sess, str(tmp_path / "m.ckpt"))
    with tf.Graph().as_default() as graph:
        tf.get_variable("new", initializer=2.0)
        saver = tf.train.import_meta_graph(path + ".meta")
        with tf.Session() as sess:
            saver.restore(sess, path)
            assert sess.run("kept:0") == 5.0
            assert len(sess.run(tf.report_uninitialized_variables())) == 2
        assert graph.get_tensor_by_name("left_out:0") is not None
