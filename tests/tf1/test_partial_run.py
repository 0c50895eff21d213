"""Runs in pieces, and tensors that stay in a session between runs."""

import pytest

import recurra.tf1 as tf


@pytest.fixture
def sess():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_a_partial_run_uses_what_earlier_pieces_were_fed(sess):
    a, b, c = (tf.placeholder(tf.float32, []) for _ in range(3))
    total = a + b
    product = total * c
    handle = sess.partial_run_setup([total, product], [a, b, c])
    assert sess.partial_run(handle, total, {a: 1, b: 2}) == 3
    assert sess.partial_run(handle, product, {c: 17}) == 51


def test_an_operation_of_an_earlier_piece_runs_once(sess):
    counter = tf.Variable(0.0)
    sess.run(counter.initializer)
    x = tf.placeholder(tf.float32, [])
    drawn = tf.random_uniform([])
    counted = tf.identity(counter.assign_add(1.0))
    both = drawn + counted + x
    handle = sess.partial_run_setup([drawn, counted, both], [x])
    first, count = sess.partial_run(handle, [drawn, counted])
    assert count == 1
    assert sess.partial_run(handle, both, {x: 10.0}) == pytest.approx(float(first) + 11)
    assert sess.run(counter) == 1


def test_partial_run_refuses_what_was_not_announced_or_comes_twice(sess):
    a, b = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    double, triple = a * 2, b * 3
    handle = sess.partial_run_setup([double], [a])
    with pytest.raises(tf.errors.InvalidArgumentError, match="was not specified in partial_run_setup"):
        sess.partial_run(handle, triple)
    with pytest.raises(tf.errors.InvalidArgumentError, match="was not specified in partial_run_setup"):
        sess.partial_run(handle, double, {a: 1, b: 2})
    handle = sess.partial_run_setup([double, triple], [a, b])
    sess.partial_run(handle, double, {a: 1})
    with pytest.raises(tf.errors.InvalidArgumentError, match="has already been fed"):
        sess.partial_run(handle, triple, {a: 1, b: 2})
    with pytest.raises(tf.errors.InvalidArgumentError, match="has already been fetched"):
        sess.partial_run(handle, double)
    with pytest.raises(tf.errors.InvalidArgumentError, match="specify at least one target"):
        sess.partial_run_setup([], [a])


def test_a_tensor_stays_in_the_session_under_its_handle(sess):
    kept = sess.run(tf.get_session_handle(tf.constant([1.0, 2.0]) * 5))
    assert kept.eval().tolist() == [5, 10]
    holder, inside = tf.get_session_tensor(kept.handle, tf.float32)
    following = tf.get_session_handle(inside + 1)
    for _ in range(3):
        kept = sess.run(following, {holder: kept.handle})
    assert kept.eval().tolist() == [8, 13]
    other = tf.constant([0.0, 0.0])
    assert sess.run(other * 2, {other: kept}).tolist() == [16, 26]


def test_a_deleted_handle_is_gone(sess):
    kept = sess.run(tf.get_session_handle(tf.constant(1.0)))
    raw = kept.get_raw_handle()
    holder, deleter = tf.delete_session_tensor(raw)
    sess.run(deleter, {holder: raw})
    holder, inside = tf.get_session_tensor(raw, tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in the session store"):
        sess.run(inside, {holder: raw})
    with pytest.raises(TypeError, match="already been deleted"):
        kept.eval()
