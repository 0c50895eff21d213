"""Keras' cells in TensorFlow's loops: TensorFlow 1.15.0's outputs, names and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.graph import Graph

GATES = {"SimpleRNNCell": 1, "GRUCell": 3, "LSTMCell": 4}
# of numbers drawn from RandomState(3): inputs, then kernel, recurrent_kernel, bias; cell after cell
OUTPUTS = {
    "SimpleRNNCell": [
        [[0.133436, 0.658528], [0.91557, 0.116428], [0.590159, 0.301355]],
        [[0.884063, 0.915101], [-0.174316, -0.151732], [0.819585, -0.327283]],
    ],
    "GRUCell": [
        [[0.490547, -0.193937], [0.690578, 0.138445], [0.234038, -0.182281]],
        [[-0.245515, -0.039213], [-0.488391, -0.042141], [-0.573506, -0.097666]],
    ],
    "LSTMCell": [
        [[0.03463, 0.090828], [0.155683, 0.017816], [0.26525, 0.107453]],
        [[0.229355, -0.14405], [0.304489, -0.069594], [0.037819, -0.27013]],
    ],
}


def test_outputs_and_names() -> None:
    random = np.random.RandomState(3)
    for kind, gates in GATES.items():
        with Graph().as_default(), tf.Session() as session:
            cell = getattr(tf.keras.layers, kind)(2)
            x = tf.constant(random.randn(2, 3, 3).astype(np.float32))
            outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
            session.run(tf.global_variables_initializer())
            scope = {"SimpleRNNCell": "simple_rnn_cell", "GRUCell": "gru_cell", "LSTMCell": "lstm_cell"}[kind]
            assert [v.name for v in cell.weights] == [
                f"rnn/while/{scope}/{name}:0" for name in ("kernel", "recurrent_kernel", "bias")
            ]
            assert [v.shape.as_list() for v in cell.weights] == [[3, 2 * gates], [2, 2 * gates], [2 * gates]]
            cell.set_weights([random.uniform(-1, 1, w.shape).astype(np.float32) for w in cell.get_weights()])
            np.testing.assert_allclose(session.run(outputs), OUTPUTS[kind], atol=2e-6)


def test_lstm_starts_with_its_forget_gate_open() -> None:
    with Graph().as_default():
        cell = tf.keras.layers.LSTMCell(2)
        cell.build((None, 3))
        np.testing.assert_array_equal(cell.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])


def test_stack_and_static_loop() -> None:
    with Graph().as_default(), tf.Session() as session:
        layers = tf.keras.layers
        stack = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(2)])
        x: Any = tf.placeholder(tf.float32, [None, 3, 5])
        outputs, state = tf.nn.dynamic_rnn(stack, x, dtype=tf.float32)
        steps, last = tf.nn.static_rnn(layers.SimpleRNNCell(2), tf.unstack(x, axis=1), dtype=tf.float32)
        assert [t.shape.as_list() for t in [outputs, *state[0], state[1]]] == [
            [None, 3, 2], [None, 4], [None, 4], [None, 2],
        ]  # fmt: skip
        session.run(tf.global_variables_initializer())
        made, end, steps, last = session.run([outputs, state, steps, last], {x: np.ones([6, 3, 5])})
        np.testing.assert_array_equal(made[:, -1], end[1])
        np.testing.assert_array_equal(steps[-1], last)


def test_initial_state_checks_what_it_is_given() -> None:
    cell = tf.nn.rnn_cell.BasicRNNCell(5)
    inputs = tf.placeholder(tf.float32, [None, 4])
    with pytest.raises(ValueError, match="batch size from input tensor is different from"):
        cell.get_initial_state(inputs=inputs, batch_size=50)


def test_dropout_wrapper_keeps_its_filter_in_its_configuration() -> None:
    def nothing(_: Any) -> bool:
        return False

    wrapper = tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.GRUCell(3), dropout_state_filter_visitor=nothing)
    again = tf.nn.rnn_cell.DropoutWrapper.from_config(wrapper.get_config())
    assert again.get_config() == wrapper.get_config()
    assert again._dropout_state_filter is nothing


def test_dropout_in_training_is_refused() -> None:
    with Graph().as_default():
        cell = tf.keras.layers.LSTMCell(2, dropout=0.5)
        x, state = tf.ones([3, 4]), [tf.zeros([3, 2])] * 2
        cell(x, state)
        with pytest.raises(NotImplementedError, match="LSTMCell with dropout"):
            cell(x, state, training=True)
