"""What a plan makes of a graph: loops as sequences, joined outputs, repeats, constants, updates together."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.graph import Graph

STEPS, BATCH, FEATURES, HIDDEN = 5, 3, 4, 6


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        tf.set_random_seed(1)
        yield


def _plan(session: Any) -> Any:
    return next(reversed(session._plans.values()))[0]


def _types(session: Any) -> Counter[str]:
    return Counter(op.type for op in _plan(session).ops)


def _stack() -> Any:
    return tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.BasicLSTMCell(HIDDEN), tf.nn.rnn_cell.BasicLSTMCell(HIDDEN)])


def _dynamic(x: Any) -> Any:
    return tf.nn.dynamic_rnn(_stack(), x, dtype=tf.float32)


def _static(x: Any) -> Any:
    outputs, state = tf.nn.static_rnn(_stack(), tf.unstack(x, STEPS, 1), dtype=tf.float32)
    return tf.stack(outputs, 1), state


def _by_hand(x: Any) -> Any:
    """ptb_word_lm's way: a Python loop over the steps, reuse after the first, outputs concatenated."""
    cell = _stack()
    state, outputs = cell.zero_state(BATCH, tf.float32), []
    with tf.variable_scope("rnn"):
        for t in range(STEPS):
            if t:
                tf.get_variable_scope().reuse_variables()
            output, state = cell(x[:, t, :], state)
            outputs.append(output)
    return tf.reshape(tf.concat(outputs, 1), [BATCH, STEPS, HIDDEN]), state


def _wrapped(x: Any) -> Any:
    cell = tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.GRUCell(HIDDEN), output_keep_prob=0.5)
    return tf.nn.dynamic_rnn(tf.nn.rnn_cell.MultiRNNCell([cell]), x, dtype=tf.float32)


def _bidirectional(x: Any) -> Any:
    cells = tf.nn.rnn_cell.LSTMCell(HIDDEN), tf.nn.rnn_cell.GRUCell(HIDDEN)
    outputs, state = tf.nn.bidirectional_dynamic_rnn(*cells, x, [5, 2, 3], dtype=tf.float32)
    return tf.concat(outputs, 2), state


LOOPS = {"dynamic": _dynamic, "static": _static, "by hand": _by_hand, "wrapped": _wrapped, "two ways": _bidirectional}


def _training(name: str) -> tuple[Any, Any, Any, dict[Any, Any]]:
    x = tf.placeholder(tf.float32, [BATCH, STEPS, FEATURES])
    outputs, state = LOOPS[name](x)
    loss = tf.reduce_mean(tf.square(outputs))
    feeds = {x: np.random.default_rng(0).standard_normal((BATCH, STEPS, FEATURES))}
    return outputs, state, tf.train.AdamOptimizer().minimize(loss), feeds


@pytest.mark.parametrize("name", LOOPS)
def test_training_runs_every_loop_as_a_sequence(name):
    outputs, _, step, feeds = _training(name)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([step, outputs], feeds)
        assert set(_plan(session).loops.values()) == {"sequence"}


def test_stacked_loops_hand_whole_sequences_on():
    outputs, _, step, feeds = _training("by hand")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([step, outputs], feeds)
        types = _types(session)
        sequences = [op for op in _plan(session).ops if op.type == "CellSequence"]
    assert types["CellSequence"] == 2 and types["JoinSequence"] == 1
    assert not types["StridedSlice"] and not types["ConcatV2"] and not types["CellStep"]
    assert sequences[1].inputs[0] is sequences[0].outputs[0]
    assert [len(op.outputs) for op in sequences] == [3, 3]  # the sequence, c and h: no step is taken apart


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("join", [tf.stack, tf.concat])
def test_joined_outputs_have_the_values_of_the_steps(join, axis):
    x = tf.placeholder(tf.float32, [BATCH, STEPS, FEATURES])
    cell = tf.nn.rnn_cell.GRUCell(HIDDEN)
    outputs, _ = tf.nn.static_rnn(cell, tf.unstack(x, STEPS, 1), dtype=tf.float32)
    joined = join(outputs, axis)
    gradient = tf.gradients(tf.reduce_sum(joined * joined), x)[0]
    feeds = {x: np.random.default_rng(0).standard_normal((BATCH, STEPS, FEATURES))}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        rows = session.run(outputs, feeds)
        both = session.run([joined, gradient], feeds)
        assert _types(session)["JoinSequence"] == 1
        apart = session.run([joined, gradient, *outputs], feeds)
    expected = np.stack(rows, axis) if join is tf.stack else np.concatenate(rows, axis)
    np.testing.assert_allclose(both[0], expected, atol=1e-6)
    np.testing.assert_allclose(both[1], apart[1], atol=1e-6)


def test_steps_stay_steps_where_an_inner_state_is_fetched():
    x = tf.placeholder(tf.float32, [BATCH, STEPS, FEATURES])
    cell = tf.nn.rnn_cell.BasicLSTMCell(HIDDEN)
    state, states = cell.zero_state(BATCH, tf.float32), []
    for t in range(STEPS):
        _, state = cell(x[:, t], state)
        states.append(state)
    feeds = {x: np.ones((BATCH, STEPS, FEATURES))}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([states[2].c, states[4].h], feeds)
        assert _types(session)["CellSequence"] == 2  # up to the fetched state, and from it on
        session.run([s.c for s in states], feeds)
        assert set(_plan(session).loops.values()) == {"steps"}


def test_repeated_operations_run_once():
    calls = []
    x = tf.placeholder(tf.float32, [2])

    def watched(value):
        calls.append(1)
        return value

    y = tf.py_func(watched, [x], tf.float32)
    first, second = tf.exp(x) * 2.0, tf.exp(x) * 2.0
    with tf.Session() as session:
        a, b, _ = session.run([first, second, y], {x: [0, 1]})
        source = _plan(session).call.__code__
    np.testing.assert_array_equal(a, b)
    assert sum(name.startswith("f") for name in source.co_names) == 3  # exp, *, py_func


def test_repeats_of_random_numbers_stay_apart():
    a, b = tf.random_normal([3]), tf.random_normal([3])
    with tf.Session() as session:
        first, second = session.run([a, b])
    assert not np.allclose(first, second)


def test_repeats_are_not_merged_where_one_is_differentiated_by():
    x = tf.constant([1.0, 2.0])
    a, b = tf.square(x), tf.square(x)
    gradient = tf.gradients(tf.reduce_sum(a * b), a)[0]
    with tf.Session() as session:
        np.testing.assert_allclose(session.run(gradient), [1, 4])


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: tf.train.AdamOptimizer(0.1),
        lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        lambda: tf.train.AdagradOptimizer(0.1),
        lambda: tf.train.GradientDescentOptimizer(0.1),
    ],
)
@pytest.mark.parametrize("resource", [False, True])
def test_updates_together_are_the_updates_one_by_one(optimizer, resource):
    """Every optimizer sees all variables at once, or each in a run of its own."""
    start = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    names = ["a", "b", "c"]
    variables = [tf.get_variable(n, initializer=start * (i + 1), use_resource=resource) for i, n in enumerate(names)]
    others = [tf.get_variable(f"{n}2", initializer=start * (i + 1), use_resource=resource) for i, n in enumerate(names)]
    step = optimizer().minimize(sum(tf.reduce_sum(v**4) for v in variables), var_list=variables)
    apart = [optimizer().minimize(tf.reduce_sum(v**4), var_list=[v]) for v in others]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(step)
            for one in apart:
                session.run(one)
        together, separate = session.run([variables, others])
    np.testing.assert_allclose(together, separate, rtol=1e-6)


def test_adding_operations_keeps_the_plans():
    x = tf.placeholder(tf.float32, [2])
    y = x + 1
    with tf.Session() as session:
        session.run(y, {x: [0, 1]})
        made = _plan(session)
        _ = x * 3
        session.run(y, {x: [0, 1]})
        assert _plan(session) is made


def test_a_plan_keeps_no_graph():
    """A session's plans, and the lines that errors are traced by, go with the session."""
    graph = Graph()
    with graph.as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2])
        session.run(tf.sqrt(x) + 1, {x: np.ones(2)})
    alive = weakref.ref(graph)
    del graph, session, x
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(("batch", "small"), [(2, True), (200_000, False)])
def test_a_plan_knows_whether_a_second_thread_is_worth_waking(batch, small):
    x = tf.placeholder(tf.float32, [None, FEATURES])
    y = tf.nn.softmax(tf.matmul(x, tf.get_variable("w", [FEATURES, HIDDEN])))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        given = np.ones((batch, FEATURES), np.float32)
        session.run(y, {x: given})
        assert _plan(session).work.small([given]) is small


def test_the_norm_of_all_gradients_is_one_operation_unless_a_part_is_looked_at():
    xs = [tf.placeholder(tf.float32, [n]) for n in (2, 3)]
    norm = tf.global_norm(xs)
    part = next(op for op in tf.get_default_graph().get_operations() if op.type == "L2Loss").outputs[0]
    given = {x: np.arange(1.0, n + 1, dtype=np.float32) for x, n in zip(xs, (2, 3), strict=True)}
    with tf.Session() as session:
        assert session.run(norm, given) == pytest.approx(np.sqrt(5 + 14), rel=1e-6)
        assert _types(session)["HalfSquares"] == 1 and not _types(session)["L2Loss"]
        assert session.run([norm, part], given) == pytest.approx([np.sqrt(19), 2.5], rel=1e-6)
        assert not _types(session)["HalfSquares"]
        slope = session.run(tf.gradients(norm, xs), given)  # a differentiated norm keeps its parts
        np.testing.assert_allclose(slope[1], given[xs[1]] / np.sqrt(19), rtol=1e-6)
