"""TensorFlow's inner modules: names that its own tests and programs import; expected values from TensorFlow 1.15."""

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import surface


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default():
        yield


def inner(name):
    return surface.lookup(f"python.{name}")


def test_jacobians_of_a_function_by_gradients_and_by_differences():
    compute = inner("ops.gradient_checker_v2.compute_gradient")
    with tf.Session():
        theory, numeric = compute(lambda x, y: tf.square(x) * y, [np.array([1.0, 2.0]), np.array([3.0, 5.0])])
    np.testing.assert_allclose(theory[0], [[6.0, 0.0], [0.0, 20.0]])
    np.testing.assert_allclose(theory[1], [[1.0, 0.0], [0.0, 4.0]])
    assert inner("ops.gradient_checker_v2.max_error")(theory, numeric) < 1e-6
    with pytest.raises(ValueError, match="must be a list"):
        compute(tf.square, np.array([1.0]))


def test_weights_that_do_not_fit_are_refused_while_building_or_in_the_run():
    broadcast = inner("ops.weights_broadcast_ops.broadcast_weights")
    values = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    with pytest.raises(ValueError, match="weights can not be broadcast to values"):
        broadcast(np.ones((3,), np.float32), values)
    weights = tf.placeholder(tf.float32)
    spread = broadcast(weights, values)
    with tf.Session() as session:
        assert session.run(spread, {weights: [[1.0], [2.0], [3.0]]}).tolist() == [[1, 1], [2, 2], [3, 3]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="weights can not be broadcast to values"):
            session.run(spread, {weights: [1.0, 2.0]})


def test_a_loss_checks_weights_of_unknown_shape_in_the_run():
    weights = tf.placeholder(tf.float32)
    loss = tf.losses.absolute_difference([[1.0, 2.0]], [[0.0, 0.0]], weights)
    with tf.Session() as session:
        assert session.run(loss, {weights: [[2.0, 1.0]]}) == 2.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="weights can not be broadcast to values"):
            session.run(loss, {weights: [2.0, 1.0]})


def test_ranks_of_labels_and_predictions_are_matched_in_the_run():
    squeeze = inner("ops.confusion_matrix.remove_squeezable_dimensions")
    labels, predictions = tf.placeholder(tf.int32), tf.placeholder(tf.int32)
    both = squeeze(labels, predictions)
    with tf.Session() as session:
        got = session.run(both, {labels: [1, 2], predictions: [[3], [4]]})
    assert [v.tolist() for v in got] == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="an not squeeze dim"):
        squeeze(tf.zeros([2]), tf.zeros([2, 3]))


def test_confusion_matrix_refuses_classes_out_of_range():
    matrix = tf.confusion_matrix([0, 1, 1], [0, 1, 0], num_classes=2)
    with tf.Session() as session:
        assert session.run(matrix).tolist() == [[1, 0], [1, 1]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="`labels` out of bound"):
            session.run(tf.confusion_matrix(tf.placeholder_with_default([0, 2], [2]), [0, 1], num_classes=2))


def test_sets_of_sparse_tensors():
    a = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], ["x", "y", "x"], [2, 2])
    b = tf.constant([["y", "z"], ["x", "x"]])
    with tf.Session() as session:
        rest = session.run(tf.sets.set_difference(a, b))
        assert (rest.indices.tolist(), rest.values.tolist(), rest.dense_shape.tolist()) == ([[0, 0]], [b"x"], [2, 1])
        joined = session.run(tf.sets.set_union(b, a))
        assert joined.values.tolist() == [b"x", b"y", b"z", b"x"]
        assert session.run(tf.sets.set_size(tf.sets.set_union(b, a))).tolist() == [3, 1]


@pytest.mark.parametrize("static", [True, False])
def test_the_spectral_norm_of_matrices_of_known_and_unknown_rank(static):
    values = np.arange(12.0).reshape(2, 3, 2) + 1j
    x = tf.constant(values) if static else tf.placeholder(tf.complex128)
    found = tf.norm(x, ord=2, axis=(-3, -2), keepdims=True)
    with tf.Session() as session:
        got = session.run(found, {} if static else {x: values})
    np.testing.assert_allclose(got, np.linalg.norm(values, ord=2, axis=(-3, -2), keepdims=True))


def test_arguments_of_convolutions():
    utils = {n: inner(f"layers.utils.{n}") for n in ("conv_output_length", "deconv_output_length", "normalize_tuple")}
    assert [utils["conv_output_length"](5, 2, p, 2, 2) for p in ("same", "valid", "full")] == [3, 2, 4]
    assert [utils["deconv_output_length"](4, 2, p, 2) for p in ("same", "valid", "full")] == [8, 8, 6]
    with pytest.raises(ValueError, match="strides"):
        utils["normalize_tuple"]((2, 1), 3, "strides")


def test_offsets_of_a_concat_and_its_refusals():
    offset = surface.lookup("python.ops.gen_array_ops.concat_offset")
    with tf.Session() as session:
        found = session.run(offset(1, [[2, 3, 5], [2, 7, 5], [2, 20, 5]]))
        assert [f.tolist() for f in found] == [[0, 0, 0], [0, 3, 0], [0, 10, 0]]
        for axis, shapes, message in (
            (4, [[2, 3, 5], [2, 7, 5]], "Concat dim is out of range: 4 vs. 3"),
            (1, [[2, 3, 5], [2, 7, 5, 10]], "should contain 3 elem"),
            (1, [[2, 3, 5], [2, 7, 10]], r"All dimensions except 1 must match. Input 1 has shape \[2 7 10\]"),
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                session.run(offset(axis, [tf.placeholder_with_default(s, [None]) for s in shapes]))


def test_buckets_layouts_and_scattered_sums():
    with tf.Session() as session:
        assert session.run(inner("ops.math_ops._bucketize")([-5, 0, 3, 12], [0, 3, 8, 11])).tolist() == [0, 1, 2, 4]
        assert session.run(inner("ops.nn_ops.data_format_dim_map")([1, -3, -2])).tolist() == [2, 2, 3]
        assert session.run(inner("ops.nn_ops.data_format_vec_permute")([7, 4, 9, 3])).tolist() == [7, 3, 4, 9]
        added = inner("ops.array_ops.scatter_nd_non_aliasing_add")([1.0, 2.0, 3.0], [[2], [2]], [10.0, 20.0])
        assert session.run(added).tolist() == [1.0, 2.0, 33.0]


def test_weights_of_a_rank_more_than_the_labels_fit_in_the_run():
    weights = tf.placeholder(tf.float32)
    loss = tf.losses.sparse_softmax_cross_entropy([0, 1], [[0.0, 0.0], [0.0, 0.0]], weights)
    with tf.Session() as session:
        by_column, by_row = (session.run(loss, {weights: w}) for w in ([[1.0], [3.0]], [1.0, 3.0]))
    assert by_column == by_row == pytest.approx(2 * np.log(2), rel=1e-6)


def test_a_file_of_contrib_is_a_module_though_it_holds_a_function_of_its_name():
    with pytest.raises(KeyError):
        surface.lookup("contrib.recurrent.python.ops.functional_rnn")
    assert callable(surface.lookup("contrib.recurrent.python.ops.functional_rnn.functional_rnn"))


def test_names_that_copies_of_tensorflows_recurrent_files_import():
    attend = surface.lookup("contrib.seq2seq.python.ops.attention_wrapper._compute_attention")
    memory = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 3, 4))
    mechanism = tf.contrib.seq2seq.LuongAttention(4, memory)
    assert [t.shape.as_list() for t in attend(mechanism, tf.ones([1, 4]), None, None)[:2]] == [[1, 4], [1, 3]]
    assert inner("ops.rnn._infer_state_dtype")(None, (tf.ones([2]), tf.ones([3]))) == tf.float32
    assert inner("ops.rnn_cell_impl._like_rnncell")(tf.nn.rnn_cell.GRUCell(2))
    assert inner("shape") is tf.shape  # from tensorflow.python import shape
    assert surface.lookup("contrib.rnn.array_ops.concat") is tf.concat
    assert {"embedding_attention_seq2seq", "rnn_decoder"} <= surface.exported(
        "contrib.legacy_seq2seq.python.ops.seq2seq"
    )
    assert "EmbeddingWrapper" in surface.exported("contrib.rnn.python.ops.core_rnn_cell")


def test_the_scope_of_a_cell_of_release_1_0():
    checked = surface.lookup("contrib.rnn.python.ops.core_rnn_cell_impl._checked_scope")

    class Cell:
        pass

    cell = Cell()
    with checked(cell, "mine") as scope:
        assert scope.name == "mine" and tf.get_variable("weights", [2]).name == "mine/weights:0"
    with checked(cell, "mine", reuse=True):
        assert tf.get_variable("weights", [2]).name == "mine/weights:0"
    with pytest.raises(ValueError, match="different variable scope than its first use"), checked(cell, "other"):
        pass
    with pytest.raises(ValueError, match="already has weights"), checked(Cell(), "mine"):
        pass


@pytest.mark.parametrize("name", ["python", "contrib", "nosuch"])
def test_a_module_asked_for_as_a_name_is_not_one(name):
    with pytest.raises(KeyError):
        surface.lookup(name)


def test_folders_called_ops_hold_files_of_their_own():
    assert inner("data.ops.dataset_ops.Dataset") is tf.data.Dataset
    assert inner("ops.rnn.rnn_cell_impl.BasicLSTMCell") is tf.nn.rnn_cell.BasicLSTMCell
