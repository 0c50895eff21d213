"""Names that are no operations: helpers of contrib.framework and contrib.training, eager forms, queues by length."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.tf1.graph import Graph
from recurra.tf1.namespace import space

tf = space("")


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        yield


@pytest.fixture
def session():
    with tf.Session() as made:
        yield made


def test_name_scopes_as_text():
    framework = tf.contrib.framework
    assert framework.prepend_name_scope("a/b", "scope") == "scope/a/b"
    assert framework.prepend_name_scope("^a", "scope/") == "^scope/a"
    assert framework.prepend_name_scope("loc:@a", "scope") == "loc:@scope/a"
    assert framework.strip_name_scope("scope/a/b", "scope") == "a/b"
    assert framework.strip_name_scope("^scope/a", "scope/") == "^a"
    assert framework.strip_name_scope("other/a", "scope") == "other/a"


def test_filters_of_variables():
    names = ["rnn/kernel", "rnn/bias", "softmax/kernel"]
    variables = [tf.get_variable(n, [1]) for n in names]
    chosen = tf.contrib.framework.filter_variables(variables, ["kernel"], ["^softmax"])
    assert [v.op.name for v in chosen] == ["rnn/kernel"]
    assert tf.contrib.framework.filter_variables(variables, ["kernel"], reg_search=False) == []


def test_scalars_are_asked_for():
    assert tf.contrib.framework.assert_scalar_int(tf.constant(3)).shape.ndims == 0
    with pytest.raises(ValueError, match="scalar"):
        tf.contrib.framework.assert_scalar(tf.constant([1.0]))
    with pytest.raises(ValueError, match="integer"):
        tf.contrib.framework.assert_scalar_int(tf.constant(1.0))


def test_py_func_takes_nests(session):
    def join(parts, scale):
        return {"sum": (parts["a"] + parts["b"]) * scale}

    made = tf.contrib.framework.py_func(
        join, ({"a": tf.constant(1.0), "b": 2.0},), {"scale": tf.constant(3.0)}, {"sum": tf.float32}, {"sum": []}
    )
    assert session.run(made) == {"sum": 9.0}


def test_smart_case_decides_what_is_known():
    with_known = tf.contrib.framework.smart_case([(tf.constant(False), lambda: 1), (tf.constant(True), lambda: 2)])
    assert with_known == 2


@pytest.mark.parametrize("resource", [False, True])
def test_variables_change_at_index_vectors(session, resource):
    v = tf.get_variable("v", initializer=np.zeros((2, 3), np.float32), use_resource=resource)
    session.run(v.initializer)
    session.run(tf.scatter_nd_add(v, [[0, 1], [0, 1], [1, 2]], [1.0, 2.0, 4.0]))
    session.run(tf.scatter_nd_sub(v, [[1]], [[1.0, 1.0, 1.0]]))
    session.run(tf.scatter_nd_update(v, [[0, 0]], [9.0]))
    np.testing.assert_array_equal(session.run(v), [[9, 3, 0], [-1, -1, 3]])
    with pytest.raises(tf.errors.InvalidArgumentError):
        session.run(tf.scatter_nd_add(v, [[2, 0]], [1.0]))


def test_batch_scatter_update(session):
    v = tf.get_variable("v", initializer=np.zeros((2, 3), np.float32))
    session.run(v.initializer)
    session.run(tf.batch_scatter_update(v, [[0, 2], [1, 0]], [[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(session.run(v), [[1, 0, 2], [4, 3, 0]])


def test_a_tape_gives_the_graph_s_gradients(session):
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    by_name = tape.gradient(y, {"x": x, "none": tf.constant(1.0)})
    assert by_name["none"] is None
    np.testing.assert_array_equal(session.run(by_name["x"]), [2, 4])
    np.testing.assert_array_equal(session.run(tape.jacobian(y, x)), [[2, 0], [0, 4]])


def test_a_bound_method_becomes_a_function(session):
    class Model:
        def double(self, x):
            """Twice."""
            return 2 * x

    doubled = tf.function(Model().double)
    assert doubled.__doc__ == "Twice." and doubled.python_function(1) == 2
    assert session.run(doubled(tf.constant(3.0))) == 6


def test_gradients_pass_through_and_are_scaled(session):
    x = tf.constant([0.4, 1.6])
    rounded = tf.grad_pass_through(tf.round)(x)
    scaled = tf.contrib.layers.scale_gradient(x, 3.0)
    values = session.run([rounded, tf.gradients(rounded, x)[0], tf.gradients(scaled, x)[0]])
    np.testing.assert_array_equal(values, [[0, 2], [1, 1], [3, 3]])


def test_modules_find_their_variables():
    class Inner(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(1.0)

    class Outer(tf.Module):
        def __init__(self):
            super().__init__("outer")
            self.parts = [Inner(), Inner()]
            self.frozen = tf.Variable(2.0, trainable=False)

    outer = Outer()
    assert len(outer.variables) == 3 and len(outer.trainable_variables) == 2 and len(outer.submodules) == 2


def test_specs_of_tensors():
    spec = tf.TensorSpec([None, 3], tf.int32, "ids")
    assert spec == tf.TensorSpec([None, 3], tf.int32, "ids") != tf.TensorSpec([3], tf.int32, "ids")
    assert spec.is_compatible_with(tf.zeros([2, 3], tf.int32))
    assert not spec.is_compatible_with(tf.zeros([2, 3]))


def test_everything_that_was_seen(session):
    x = tf.placeholder(tf.float32, [None, 2])
    value, update = tf.contrib.metrics.streaming_concat(x, max_size=3)
    session.run(tf.local_variables_initializer())
    for start in (0, 2):
        session.run(update, {x: np.arange(4).reshape(2, 2) + start})
    np.testing.assert_array_equal(session.run(value), [[0, 1], [2, 3], [2, 3]])


def test_a_train_op_updates_first_and_gives_the_loss(session):
    w = tf.get_variable("w", initializer=4.0)
    ran = tf.get_variable("ran", initializer=0.0, trainable=False)
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_add(ran, 1.0))
    step = tf.contrib.training.create_train_op(
        tf.square(w),
        tf.train.GradientDescentOptimizer(0.25),
        transform_grads_fn=tf.contrib.training.clip_gradient_norms_fn(4.0),
    )
    session.run(tf.global_variables_initializer())
    assert session.run(step) == 16.0
    assert session.run([w, ran, tf.train.get_global_step()]) == [3.0, 1.0, 1]


def test_training_and_evaluating_checkpoints(tmp_path):
    w = tf.get_variable("w", initializer=4.0)
    step = tf.contrib.training.create_train_op(tf.square(w), tf.train.GradientDescentOptimizer(0.25))
    hooks = [tf.train.StopAtStepHook(num_steps=3)]
    tf.contrib.training.train(step, str(tmp_path), hooks=hooks, save_summaries_steps=None)
    path = tf.contrib.training.wait_for_new_checkpoint(str(tmp_path), timeout=5)
    assert tf.contrib.training.wait_for_new_checkpoint(str(tmp_path), path, 0.01, timeout=0.05) is None
    with Graph().as_default():
        w = tf.get_variable("w", initializer=0.0)
        tf.train.get_or_create_global_step()
        values = tf.contrib.training.evaluate_once(
            path, eval_ops=tf.no_op(), final_ops={"w": w}, hooks=[tf.contrib.training.StopAfterNEvalsHook(2)]
        )
    assert values == {"w": 0.5}


def test_examples_wait_in_the_queue_of_their_length(session):
    lengths = tf.train.slice_input_producer([np.array([1, 5, 2, 6, 7, 3], np.int32)], num_epochs=1, shuffle=False)[0]
    tokens = tf.range(lengths)
    found, batch = tf.contrib.training.bucket_by_sequence_length(
        lengths, [tokens], batch_size=2, bucket_boundaries=[4], dynamic_pad=True, allow_smaller_final_batch=True
    )
    session.run([tf.local_variables_initializer(), tf.global_variables_initializer()])
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(session, coordinator)
    got = []
    with pytest.raises(tf.errors.OutOfRangeError):
        while True:
            sizes, (rows,) = session.run([found, batch])
            assert rows.shape[1] == sizes.max()
            assert (sizes < 4).all() or (sizes >= 4).all()
            got += sizes.tolist()
    coordinator.request_stop()
    coordinator.join(threads)
    assert sorted(got) == [1, 2, 3, 5, 6, 7]


def test_boundaries_increase():
    with pytest.raises(ValueError, match="increasing"):
        tf.contrib.training.bucket_by_sequence_length(tf.constant(1), [tf.zeros([1])], 2, [5, 5])


def test_summaries_of_collections():
    x = tf.nn.relu(tf.constant([1.0, -1.0]), name="act")
    tf.add_to_collection(tf.GraphKeys.ACTIVATIONS, x)
    assert len(tf.contrib.layers.summarize_activations()) == 1
    assert tf.contrib.layers.summarize_tensor(tf.constant("text")) is None
    names = {s.op.name for s in tf.get_collection(tf.GraphKeys.SUMMARIES)}
    assert names == {"act/zeros", "act/activation"}
