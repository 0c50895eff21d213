"""Fetches, feeds and errors of Session.run."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.graph import Graph


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        yield


def test_fetch_structures_come_back_as_they_went_in():
    pair = namedtuple("pair", "a b")
    x = tf.constant(1)
    with tf.Session() as session:
        got = session.run({"list": [x, (x, x)], "named": pair(x, {"k": x}), "op": tf.no_op()})
    assert got == {"list": [1, (1, 1)], "named": pair(1, {"k": 1}), "op": None}


def test_any_tensor_can_be_fed():
    x = tf.constant(2)
    y = x * 3
    z = y + 1
    with tf.Session() as session:
        assert session.run(z) == 7
        assert session.run(z, {y: 10}) == 11
        assert session.run([y, z], {x: 1, y: 5}) == [5, 6]
        assert session.run(z, {"mul:0": 1}) == 2


def test_state_tuples_are_fed_as_nests():
    cell = tf.nn.rnn_cell.BasicLSTMCell(2)
    state = cell.zero_state(1, tf.float32)
    total = state.c + state.h
    ones = np.ones([1, 2], np.float32)
    with tf.Session() as session:
        assert session.run(total, {state: (ones, 2 * ones)}).tolist() == [[3, 3]]
        with pytest.raises(ValueError, match="Key had 2 elements, but value had 1"):
            session.run(total, {state: ones})


@pytest.mark.parametrize(
    ("feed", "error", "text"),
    [
        (
            np.ones([2, 2]),
            ValueError,
            r"Cannot feed value of shape \(2, 2\) for Tensor 'x:0', which has shape '\(\?, 3\)'",
        ),
        ("tensor", TypeError, "The value of a feed cannot be a tf.Tensor object"),
    ],
)
def test_feed_errors(feed, error, text):
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    value = tf.zeros([1, 3]) if isinstance(feed, str) else feed
    with tf.Session() as session, pytest.raises(error, match=text):
        session.run(x, {x: value})


def test_feeds_are_cast_to_the_placeholders_dtype():
    x = tf.placeholder(tf.int32, [2])
    with tf.Session() as session:
        got = session.run(x, {x: [1.9, 2.0]})
    assert got.dtype == np.int32
    assert got.tolist() == [1, 2]


def test_an_unfed_placeholder_is_an_invalid_argument():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with (
        tf.Session() as session,
        pytest.raises(
            tf.errors.InvalidArgumentError,
            match=r"You must feed a value for placeholder tensor 'x' with dtype float and shape \[\?,3\]",
        ),
    ):
        session.run(x + 1)


@pytest.mark.parametrize(("fetch", "error"), [(None, TypeError), (3, TypeError), ("nothing:0", ValueError)])
def test_fetch_errors(fetch, error):
    tf.constant(1)
    with tf.Session() as session, pytest.raises(error):
        session.run(fetch)


def test_a_tensor_of_another_graph_is_no_fetch():
    with Graph().as_default():
        other = tf.constant(1)
    tf.constant(1)
    with tf.Session() as session, pytest.raises(ValueError, match="is not an element of this graph"):
        session.run(other)


def test_sessions_end():
    x = tf.constant(1)
    session = tf.Session()
    session.close()
    with pytest.raises(RuntimeError, match="Attempted to use a closed Session"):
        session.run(x)
    with pytest.raises(ValueError, match="No default session is registered"):
        x.eval()


def test_interactive_sessions_are_the_default():
    x = tf.constant([1, 2])
    session = tf.InteractiveSession()
    try:
        assert x.eval().tolist() == [1, 2]
    finally:
        session.close()
    assert tf.get_default_session() is None


def test_run_time_errors_name_the_operation():
    x = tf.placeholder(tf.float32)
    y = tf.matmul(tf.reshape(x, [2, 3]), tf.ones([3, 1]), name="product")
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError) as caught:
        session.run(y, {x: [1.0]})
    assert caught.value.op.name == "Reshape"


def test_results_are_not_views_of_what_a_session_holds():
    v = tf.Variable([1.0, 2.0])
    with tf.Session() as session:
        session.run(v.initializer)
        before = session.run(v)
        session.run(tf.assign_add(v, [1.0, 1.0]))
        assert before.tolist() == [1, 2]
        assert session.run(v).tolist() == [2, 3]


def test_plans_are_made_once():
    x = tf.placeholder(tf.float32, [])
    y = x * 2
    with tf.Session() as session:
        session.run(y, {x: 1})
        plan = next(iter(session._plans.values()))
        session.run(y, {x: 2})
        assert list(session._plans.values()) == [plan]
        session.run([y], {x: 3})
        assert len(session._plans) == 1  # the same elements, in another nest


def test_constants_are_folded():
    x = tf.placeholder(tf.float32, [None])
    y = x * (tf.constant(2.0) * 3.0 + tf.cast(tf.shape(tf.zeros([4]))[0], tf.float32))
    with tf.Session() as session:
        assert session.run(y, {x: [1.0]}).tolist() == [10.0]
        plan = next(iter(session._plans.values()))[0]
    assert [op.type for op in plan.ops] == ["Mul"]


def test_feeding_a_constant_undoes_its_folding():
    c = tf.constant(2.0)
    y = tf.identity(c * 3.0)
    with tf.Session() as session:
        assert session.run(y) == 6
        assert session.run(y, {c: 1.0}) == 3
