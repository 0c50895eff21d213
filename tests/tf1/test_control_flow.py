"""while_loop, cond, case, TensorArray, map_fn, scan, folds."""

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
        return session.run(fetch, feed)


def test_loop_names_and_results():
    n = tf.placeholder(tf.int32, [])
    i, total = tf.while_loop(lambda i, s: i < n, lambda i, s: (i + 1, s + i), [0, 0], name="count")
    assert (i.name, total.name) == ("count/Exit:0", "count/Exit_1:0")
    assert run([i, total], {n: 4}) == [4, 6]
    assert run([i, total], {n: 0}) == [0, 0]


def test_one_variable_comes_back_alone():
    assert run(tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0])) == 3


def test_maximum_iterations_add_a_counter_first():
    x = tf.while_loop(lambda x: True, lambda x: x * 2, [1], maximum_iterations=5)
    assert x.name == "while/Exit_1:0"
    assert run(x) == 32


def test_nested_loops_and_nested_variables():
    def outer(i, state):
        _, inner = tf.while_loop(lambda j, _: j < i, lambda j, s: (j + 1, s + 1), [0, state["n"]])
        return i + 1, {"n": inner}

    _, state = tf.while_loop(lambda i, _: i < 4, outer, (0, {"n": tf.constant(0)}))
    assert run(state) == {"n": 6}


def test_a_shape_may_grow_only_with_an_invariant():
    def grow(x):
        return tf.concat([x, x], 0)

    with pytest.raises(
        ValueError, match=r"enters the loop with shape \(1,\), but has shape \(2,\) after one iteration"
    ):
        tf.while_loop(lambda x: tf.size(x) < 5, grow, [tf.ones([1])])
    x = tf.while_loop(lambda x: tf.size(x) < 5, grow, [tf.ones([1])], shape_invariants=[tf.TensorShape([None])])
    assert run(x).tolist() == [1.0] * 8


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((lambda: True, lambda: 1, []), ValueError, "No loop variables provided"),
        ((1, lambda x: x, [0]), TypeError, "cond must be callable"),
        ((lambda x: True, 1, [0]), TypeError, "body must be callable"),
    ],
)
def test_loop_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        tf.while_loop(*arguments)


def test_assignments_in_a_loop_run_every_time():
    v = tf.Variable(0)

    def body(i):
        with tf.control_dependencies([tf.assign_add(v, 2)]):
            return i + 1

    loop = tf.while_loop(lambda i: i < 3, body, [0])
    with tf.Session() as session:
        session.run(v.initializer)
        session.run(loop)
        assert session.run(v) == 6


def test_only_the_taken_branch_runs():
    v = tf.Variable(0)
    p = tf.placeholder(tf.bool, [])
    y = tf.cond(p, lambda: tf.assign_add(v, 1), lambda: tf.identity(v))
    assert y.name == "cond/Merge:0"
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(y, {p: False}) == 0
        assert session.run(y, {p: True}) == 1


def test_branches_must_agree():
    p = tf.placeholder(tf.bool, [])
    with pytest.raises(ValueError, match="must have the same type: int32, float32"):
        tf.cond(p, lambda: tf.constant(1), lambda: tf.constant(1.0))
    with pytest.raises(TypeError, match="pred must not be a Python bool"):
        tf.cond(True, lambda: 1, lambda: 2)


def test_branches_of_operations_and_structures():
    p = tf.placeholder(tf.bool, [])
    v = tf.Variable(1)
    done = tf.cond(p, lambda: tf.group(tf.assign(v, 5)), lambda: tf.no_op())
    pair = tf.cond(p, lambda: (tf.constant(1), {"a": tf.constant(2)}), lambda: (tf.constant(3), {"a": tf.constant(4)}))
    with tf.Session() as session:
        session.run(v.initializer)
        session.run(done, {p: True})
        assert session.run([v, pair], {p: False}) == [5, (3, {"a": 4})]


def test_case():
    x = tf.placeholder(tf.int32, [])
    y = tf.case([(x < 0, lambda: tf.constant(-1)), (x > 0, lambda: tf.constant(1))], default=lambda: tf.constant(0))
    assert [run(y, {x: v}) for v in (-5, 0, 7)] == [-1, 0, 1]
    both = tf.case(
        [(x > 0, lambda: tf.constant(1)), (x > 1, lambda: tf.constant(2))],
        default=lambda: tf.constant(0),
        exclusive=True,
    )
    assert run(both, {x: 1}) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="exclusive=True"):
        run(both, {x: 2})


def test_tensor_arrays():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    array = tf.TensorArray(tf.float32, size=2).unstack(x)
    assert run([array.read(1), array.size()])[0].tolist() == [3.0, 4.0]
    array = (
        tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False).write(1, [2.0]).write(0, [0.0, 1.0])
    )
    assert run(array.concat()).tolist() == [0.0, 1.0, 2.0]
    twice = tf.TensorArray(tf.float32, size=1).write(0, 1.0).write(0, 2.0)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match="Could not write to TensorArray index 0 because it has already been written to",
    ):
        run(twice.stack())
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="Tried to write to index 3 but array is not resizeable and size is: 1"
    ):
        run(tf.TensorArray(tf.float32, size=1).write(3, 1.0).stack())


def test_rows_mapped_folded_and_scanned():
    x = tf.constant(np.arange(6.0).reshape(3, 2))
    assert run(tf.map_fn(lambda r: r[0] * r[1], x)).tolist() == [0.0, 6.0, 20.0]
    assert run(tf.map_fn(lambda r: (r, -r), x, dtype=(tf.float64, tf.float64)))[1].tolist() == [
        [0, -1],
        [-2, -3],
        [-4, -5],
    ]
    assert run(tf.foldl(lambda a, r: a - r, x)).tolist() == [-6.0, -7.0]
    assert run(tf.foldr(lambda a, r: a - r, x)).tolist() == [2.0, 1.0]
    assert run(tf.scan(lambda a, r: a + r, x)).tolist() == [[0, 1], [2, 4], [6, 9]]
    assert run(
        tf.scan(lambda a, r: a + r, x, initializer=tf.constant([10.0, 0.0], tf.float64), reverse=True)
    ).tolist() == [[16, 9], [16, 8], [14, 5]]


def test_python_functions():
    x = tf.placeholder(tf.float32, [None])
    y = tf.py_func(lambda a: (a * 2).astype(np.float32), [x], tf.float32)
    assert y.shape.rank is None
    assert run(y, {x: [1.0, 2.0]}).tolist() == [2.0, 4.0]


def test_an_endless_loop_ends_at_the_time_limit_of_its_run():
    endless = tf.while_loop(lambda i: True, lambda i: i + 1, [tf.constant(0)])
    with tf.Session() as session, pytest.raises(tf.errors.DeadlineExceededError):
        session.run(endless, options=tf.RunOptions(timeout_in_ms=5))
    queue = tf.FIFOQueue(2, tf.int32, shapes=[[]])
    with (
        tf.Session(config=tf.ConfigProto(operation_timeout_in_ms=5)) as session,
        pytest.raises(tf.errors.DeadlineExceededError),
    ):
        session.run(queue.dequeue())


def test_a_tensor_of_a_loop_cannot_be_used_or_fetched_outside():
    inner = []

    def body(i):
        inner.append(tf.constant(1))
        return i + inner[0]

    tf.while_loop(lambda i: i < 3, body, [0])
    with pytest.raises(ValueError, match=r"Cannot use '.*' as input to 'add' because '.*' is in a while loop"):
        tf.add(inner[0], 1, name="add")
    with pytest.raises(ValueError, match="different while loops"):
        tf.while_loop(lambda i: i < 3, body, [0])
    with pytest.raises(ValueError, match="not fetchable"):
        run(inner[0])


def test_a_gradient_inside_reaches_what_was_computed_outside():
    x = tf.constant(5.0)
    squared = tf.square(x)

    def body(i, total):
        return i + 1, total + tf.gradients(tf.constant([1.0, 2.0, 3.0]) * squared, x)[0]

    assert run(tf.while_loop(lambda i, _: i < 10, body, [0, 0.0])[1]) == 600.0
    choose = tf.placeholder(tf.bool, [])
    y = 7.0 * x
    slope = tf.cond(choose, lambda: tf.gradients(y * y, x)[0], lambda: x * 3.0)
    assert [run(slope, {choose: on}) for on in (True, False)] == [490.0, 15.0]


def test_a_resource_variable_that_a_loop_reads_has_a_gradient_and_is_trained():
    v = tf.get_variable("v", initializer=np.full(2, 3.0, np.float32), use_resource=True)
    powers = tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * v), (0, tf.ones([2])))[1]
    gradient = tf.gradients(powers, v)[0]
    assert (gradient.dtype, gradient.shape.as_list()) == (tf.float32, [2])
    step = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(powers))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(gradient).tolist() == [27.0, 27.0]
        session.run(step)
        np.testing.assert_allclose(session.run(v), [0.3, 0.3], rtol=1e-6)


def test_what_waits_for_a_loop_variable_runs_in_every_round():
    def body(n, r):
        with tf.control_dependencies([r]):
            return n + 1, tf.constant(12)

    assert list(run(tf.while_loop(lambda n, r: n < 10, body, [0, 0]))) == [10, 12]
