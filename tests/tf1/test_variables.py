"""Variables, their names, and sharing by variable_scope."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import eras
from recurra.tf1.graph import Graph


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        yield


def names() -> list[str]:
    return [op.name for op in tf.get_default_graph().get_operations()]


def test_operations_behind_a_variable():
    tf.Variable(1.0, name="v")
    assert names() == ["v/initial_value", "v", "v/Assign", "v/read"]


def test_operations_behind_a_resource_variable():
    tf.Variable(1.0, name="v", use_resource=True)
    assert names() == [
        "v/initial_value",
        "v",
        "v/IsInitialized/VarIsInitializedOp",
        "v/Assign",
        "v/Read/ReadVariableOp",
    ]


def test_get_variable_leaves_the_name_scope_and_shares():
    with tf.variable_scope("a") as scope, tf.name_scope("ignored"):
        w = tf.get_variable("w", [2])
    with tf.variable_scope(scope, reuse=True):
        assert tf.get_variable("w", [2]) is w
    with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("w") is w
        assert tf.get_variable("new", [1]).name == "a/new:0"
    assert w.name == "a/w:0"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: tf.get_variable("w", [2]),
            "Variable w already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE",
        ),
        (
            lambda: tf.get_variable("u"),
            r"Shape of a new variable \(u\) must be fully defined, but instead was <unknown>",
        ),
        (
            lambda: tf.get_variable("u", [1], initializer=tf.constant([1.0])),
            "If initializer is a constant, do not specify shape",
        ),
    ],
)
def test_sharing_errors(call, text):
    tf.get_variable("w", [2])
    with pytest.raises(ValueError, match=text):
        call()


def test_reuse_errors():
    tf.get_variable("w", [2])
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        with pytest.raises(ValueError, match=r"Variable v does not exist, or was not created with tf\.get_variable"):
            tf.get_variable("v", [1])
        with pytest.raises(
            ValueError, match=r"Trying to share variable w, but specified shape \(3,\) and found shape \(2,\)"
        ):
            tf.get_variable("w", [3])
        with pytest.raises(ValueError, match="specified dtype int32 and found dtype float32_ref"):
            tf.get_variable("w", [2], dtype=tf.int32)


def test_default_names_of_scopes_are_made_unique():
    made = []
    for _ in range(2):
        with tf.variable_scope(None, "layer"):
            made.append(tf.get_variable("w", [1]).name)
    assert made == ["layer/w:0", "layer_1/w:0"]


def test_scope_defaults_and_regularizers():
    with tf.variable_scope(
        "s", initializer=tf.constant_initializer(2.0), regularizer=lambda w: tf.reduce_sum(w) * 0.5, dtype=tf.float64
    ):
        w = tf.get_variable("w", [3])
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert w.dtype.base_dtype == tf.float64
    assert losses[0].name.startswith("s/w/Regularizer/")
    with tf.Session() as session:
        session.run(w.initializer)
        assert session.run(losses) == [3.0]


def test_custom_getters_nest():
    def doubled(getter, name, *args, **kwargs):
        return getter(f"{name}_x", *args, **kwargs)

    with tf.variable_scope("a", custom_getter=doubled), tf.variable_scope("b", custom_getter=doubled):
        assert tf.get_variable("w", [1]).name == "a/b/w_x_x:0"


def test_partitions_read_as_one_tensor():
    with tf.variable_scope("p", partitioner=tf.fixed_size_partitioner(2)):
        w = tf.get_variable("w", [5, 2], initializer=tf.ones_initializer())
    assert [v.name for v in tf.global_variables()] == ["p/w/part_0:0", "p/w/part_1:0"]
    assert [v.shape.as_list() for v in w] == [[3, 2], [2, 2]]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(tf.convert_to_tensor(w)).shape == (5, 2)


def test_uninitialised_variables():
    v = tf.Variable(1.0, name="v")
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="Attempting to use uninitialized value v"):
            session.run(v)
        assert session.run(tf.report_uninitialized_variables()).tolist() == [b"v"]
        session.run(tf.global_variables_initializer())
        assert session.run(tf.is_variable_initialized(v))


def test_assignments():
    v = tf.Variable([1.0, 2.0])
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(tf.assign(v, [3.0, 4.0])).tolist() == [3, 4]
        assert session.run(v.assign_sub([1.0, 1.0])).tolist() == [2, 3]
        assert session.run(tf.scatter_update(v, [1], [9.0])).tolist() == [2, 9]
        v.load(np.zeros(2, np.float32), session)
        assert session.run(v).tolist() == [0, 0]


def test_reads_of_resource_variables_keep_their_value():
    v = tf.Variable(1.0, use_resource=True)
    before = tf.identity(v.value())
    with tf.control_dependencies([before]):
        add = v.assign_add(1.0)
    with tf.control_dependencies([add.op]):
        both = before + v.read_value()
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run([before, both]) == [1.0, 3.0]


def test_sessions_have_values_of_their_own():
    v = tf.Variable(0)
    add = tf.assign_add(v, 1)
    with tf.Session() as a, tf.Session() as b:
        a.run(v.initializer)
        b.run(v.initializer)
        a.run(add)
        assert (a.run(v), b.run(v)) == (1, 0)


def test_scopes_of_variables_initialised_from_another_need_no_order():
    a = tf.Variable(2.0)
    b = tf.Variable(a.initialized_value() * 3.0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(b) == 6.0


def test_slots_do_not_heed_a_scopes_reuse_in_releases_before_1_0():
    def average():
        with tf.Graph().as_default(), tf.variable_scope("a") as scope:
            mean = tf.reduce_mean(tf.get_variable("w", [2]))
            scope.reuse_variables()
            tf.train.ExponentialMovingAverage(0.9).apply([mean])
            return [v.op.name for v in tf.global_variables()][1:]

    with eras.using(eras.parse("0.10")):
        assert average() == ["a/a/Mean/ExponentialMovingAverage"]
    with pytest.raises(ValueError, match="does not exist"):
        average()


def test_the_uniform_unit_initializer_of_a_part():
    """`full_shape` of releases 0.x: sqrt(3 / 8) bounds what is a part of a variable of 8 rows."""
    with tf.Graph().as_default(), tf.Session() as session:
        part = tf.uniform_unit_scaling_initializer(full_shape=[8, 100])([2, 100])
        assert 0.9 * (3 / 8) ** 0.5 < np.abs(session.run(part)).max() < (3 / 8) ** 0.5
