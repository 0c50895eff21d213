"""tf.gradients: what connects, what it is worth, and in which form."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.graph import Graph


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        yield


def run(fetch, feed=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetch, feed)


def test_sources_intermediates_and_the_unconnected():
    w, other = tf.Variable(3.0), tf.Variable(1.0)
    h = w * w
    y = h * 2.0
    dw, dh, none = tf.gradients(y, [w, h, other])
    assert none is None
    assert run([dw, dh]) == [12.0, 2.0]
    assert run(tf.gradients(y, [other], unconnected_gradients="zero")) == [0.0]


def test_grad_ys_and_several_ys():
    x = tf.constant([1.0, 2.0])
    assert run(tf.gradients([x * x, 3 * x], x, grad_ys=[tf.constant([1.0, 10.0]), None]))[0].tolist() == [5.0, 43.0]


def test_stop_gradients_hold_a_tensor_constant():
    x = tf.constant(3.0)
    y = x * x
    z = y * x
    assert run(tf.gradients(z, x)) == [27.0]
    assert run(tf.gradients(z, [x], stop_gradients=[y])) == [9.0]
    assert run(tf.gradients(tf.stop_gradient(y) * x, x)) == [9.0]


def test_gradients_of_gradients():
    x = tf.constant(2.0)
    first = tf.gradients(x**4, x)[0]
    second = tf.gradients(first, x)[0]
    assert run([first, second]) == [32.0, 48.0]
    v = tf.Variable([1.0, 2.0])
    assert run(tf.hessians(tf.reduce_sum(v**3), v))[0].tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_integers_carry_no_gradient():
    x = tf.constant(2.0)
    assert tf.gradients(tf.cast(tf.cast(x, tf.int32), tf.float32), x) == [None]


def test_lookups_give_slices_with_repeated_rows():
    table = tf.Variable(np.ones([5, 2], np.float32))
    rows = tf.nn.embedding_lookup(table, [[1, 1], [4, 0]])
    grad = tf.gradients(tf.reduce_sum(rows * 3.0), table)[0]
    assert isinstance(grad, tf.IndexedSlices)
    got = run(grad)
    assert got.indices.tolist() == [1, 1, 4, 0]
    assert got.values.tolist() == [[3.0, 3.0]] * 4
    assert run(tf.convert_to_tensor(grad))[1].tolist() == [6.0, 6.0]


def test_a_table_that_is_multiplied_too_has_a_dense_gradient():
    table = tf.Variable(np.ones([3, 2], np.float32))
    y = tf.reduce_sum(tf.gather(table, [1])) + tf.reduce_sum(table)
    grad = tf.gradients(y, table)[0]
    assert isinstance(grad, tf.Tensor)
    assert run(grad).tolist() == [[1, 1], [2, 2], [1, 1]]


def test_gradients_flow_through_fed_tensors():
    w = tf.Variable(2.0)
    h = w * 3.0
    grad = tf.gradients(h * h, w)[0]
    assert run(grad) == 36.0
    assert run(grad, {h: 1.0}) == 6.0


def test_gradients_see_the_variables_of_their_run():
    w = tf.Variable(2.0)
    loss = w * w
    step = tf.assign_sub(w, 0.5 * tf.gradients(loss, w)[0])
    with tf.Session() as session:
        session.run(w.initializer)
        assert session.run([loss, step]) == [4.0, 0.0]
        assert session.run(loss) == 0.0


def test_resource_variables():
    w = tf.Variable(3.0, use_resource=True)
    assert run(tf.gradients(w * w, w)) == [6.0]


def test_loops_and_branches():
    x = tf.constant(2.0)
    go = tf.placeholder(tf.bool, [])
    _, power = tf.while_loop(lambda i, _: i < 3, lambda i, p: (i + 1, p * x), [0, tf.constant(1.0)])
    assert run([power, *tf.gradients(power, x)]) == [8.0, 12.0]
    y = tf.cond(go, lambda: x * x, lambda: x)
    grad = tf.gradients(y, x)[0]
    assert run(grad, {go: True}) == 4.0
    assert run(grad, {go: False}) == 1.0


def test_custom_gradients():
    @tf.custom_gradient
    def clipped(v):
        return v * v, lambda dy: tf.clip_by_value(dy, -1.0, 1.0)

    x = tf.constant(3.0)
    y = clipped(x)
    assert run([y, *tf.gradients(5.0 * y, x)]) == [9.0, 1.0]


def test_ties_go_where_tensorflow_sends_them():
    x, y = tf.constant(1.0), tf.constant(1.0)
    assert run(tf.gradients(tf.maximum(x, y), [x, y])) == [1.0, 0.0]
    assert run(tf.gradients(tf.minimum(x, y), [x, y])) == [1.0, 0.0]


def test_complex_ys_need_seeds():
    with pytest.raises(TypeError, match="must set grad_ys"):
        tf.gradients(tf.complex(tf.constant(1.0), 0.0), [tf.constant(1.0)])


def test_classes_are_drawn_from_logits_that_are_being_differentiated():
    """Scheduled sampling: what is drawn from the logits of one step enters the next."""
    weights = tf.Variable([[9.0, 0.0], [0.0, 9.0]])
    drawn = tf.multinomial(tf.matmul([[1.0, 0.0]], weights), 1, seed=3)
    loss = tf.reduce_sum(tf.matmul(tf.one_hot(drawn[:, 0], 2), weights))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(tf.gradients(loss, weights)[0]).tolist() == [[1.0, 1.0], [0.0, 0.0]]
