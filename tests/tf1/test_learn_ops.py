"""tf.contrib.learn.ops: expected values from TensorFlow 1.15."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default():
        yield


def test_a_classifier_over_the_steps_of_a_sequence():
    logits = [tf.constant(v) for v in ([[0.1, 0.9], [0.7, 0.3]], [[0.9, 0.1], [0.8, 0.2]])]
    labels = [tf.constant([[1.0, 0.0], [0.0, 1.0]])] * 2
    predictions, loss = tf.contrib.learn.ops.sequence_classifier(logits, labels)
    with tf.Session() as session:
        probabilities, cost = session.run([predictions, loss])
    assert probabilities.argmax(2).tolist() == [[1, 0], [0, 0]]
    np.testing.assert_allclose(cost, 3.4927044, rtol=1e-6)


def test_a_decoder_is_fed_its_inputs_and_its_own_outputs():
    with tf.variable_scope("d", initializer=tf.constant_initializer(0.5)):
        cell = tf.nn.rnn_cell.BasicRNNCell(2)
        inputs = [tf.fill([1, 2], 0.1 * (i + 1)) for i in range(3)]
        found = tf.contrib.learn.ops.rnn_decoder(inputs, tf.zeros([1, 2]), cell)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        outputs, states, sampled, sampled_states = session.run(found)
    assert (len(outputs), len(states), len(sampled), len(sampled_states)) == (3, 4, 3, 4)
    np.testing.assert_allclose([o[0, 0] for o in outputs], [0.0996680, 0.2910087, 0.5306208], rtol=1e-6)
    np.testing.assert_allclose([o[0, 0] for o in sampled], [0.0996680, 0.0993393, 0.1961050], rtol=1e-6)


def test_inputs_of_sequence_to_sequence_and_embeddings_of_categories():
    x, y = tf.ones([2, 3, 4]), tf.ones([2, 2, 5])
    encoder, decoder, targets = tf.contrib.learn.ops.seq2seq_inputs(x, y, 3, 2)
    assert (len(encoder), len(decoder), len(targets)) == (3, 3, 3)
    assert decoder[0].shape.as_list() == [2, 5]
    assert decoder[0] is targets[-1]
    rows = tf.contrib.learn.ops.categorical_variable(tf.constant([[0, 1], [2, 0]]), 3, 7, "kind")
    assert rows.shape.as_list() == [2, 2, 7]
    assert tf.trainable_variables()[0].name == "kind/kind_embeddings:0"


def test_sparse_ids_of_any_rank_are_looked_up_in_rows() -> None:
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    ids = tf.SparseTensor([[0, 0, 0], [0, 0, 1], [1, 1, 0]], tf.constant([0, 2, 5], tf.int64), [2, 2, 3])
    parts = [table[:2], table[2:4], table[4:]]
    for params in (table, parts):
        found = tf.nn.safe_embedding_lookup_sparse(params, ids)
        assert found.shape.as_list() == [2, 2, 2]
        with tf.Session() as sess:
            expected = [[table[[0, 2]].mean(0), [0, 0]], [[0, 0], table[5]]]
            np.testing.assert_array_equal(sess.run(found), expected)


def test_partitions_without_static_shapes_are_divided_when_they_run() -> None:
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    given = [tf.placeholder(tf.float32), tf.placeholder(tf.float32)]
    rows = tf.nn.embedding_lookup(given, [4, 0, 2], partition_strategy="div")
    with tf.Session() as sess:
        np.testing.assert_array_equal(sess.run(rows, {given[0]: table[:3], given[1]: table[3:]}), table[[4, 0, 2]])


def test_text_is_gathered_inside_batches() -> None:
    words = tf.constant([["a", "b"], ["c", "d"]])
    with tf.Session() as sess:
        assert sess.run(tf.gather(words, [[1], [0]], batch_dims=1)).tolist() == [[b"b"], [b"c"]]
