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
