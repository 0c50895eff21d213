"""Variables that start from a checkpoint's, also in the order of another vocabulary."""

import numpy as np
import pytest

import recurra.tf1 as tf

OLD = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


@pytest.fixture
def files(tmp_path):
    """A checkpoint of w [3, 4], b [2] and w/Momentum, and vocabularies of planets."""
    from recurra.tf1 import checkpoint

    values = {"w": OLD, "b": np.float32([5, 6]), "w/Momentum": OLD + 100}
    prefix = checkpoint.write(str(tmp_path / "model"), values)
    checkpoint.write_state(tmp_path, prefix)
    for name, words in (("old", "mercury venus mars"), ("new", "venus jupiter mercury"), ("cols", "a b c d"),
                        ("new_cols", "d e a")):  # fmt: skip
        (tmp_path / name).write_text("\n".join(words.split()) + "\n")
    return tmp_path


def started(*variables):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(list(variables))


def counting(start):
    """An initializer that gives start, start + 1 …"""
    return lambda shape, dtype=None, partition_info=None: (
        start + tf.reshape(tf.cast(tf.range(tf.reduce_prod(shape)), tf.float32), shape)
    )


@pytest.mark.parametrize("partitioner", [None, tf.fixed_size_partitioner(2)])
def test_rows_follow_their_words(files, partitioner):
    with tf.variable_scope("", partitioner=partitioner):
        w = tf.get_variable("w", [4, 4], initializer=tf.ones_initializer())
    info = tf.train.VocabInfo(str(files / "new"), 3, 1, str(files / "old"), backup_initializer=counting(50.0))
    tf.train.warm_start(str(files), var_name_to_vocab_info={"w": info})
    found = started(tf.convert_to_tensor(w))[0]
    np.testing.assert_array_equal(found[[0, 2]], OLD[[1, 0]])
    assert found[1].tolist() == [50, 51, 52, 53] and (found[3] >= 50).all()


def test_columns_follow_their_words_and_old_words_may_be_cut(files):
    w = tf.get_variable("w", [3, 4])
    info = tf.train.VocabInfo(str(files / "new_cols"), 3, 1, str(files / "cols"), axis=1)
    tf.train.warm_start(str(files), var_name_to_vocab_info={"w": info})
    expected = np.stack([OLD[:, 3], 0 * OLD[:, 0], OLD[:, 0], 0 * OLD[:, 0]], 1)
    np.testing.assert_array_equal(started(w)[0], expected)
    make = tf.contrib.framework.load_embedding_initializer(
        str(files / "model"), "w", 3, 4, str(files / "old"), str(files / "new"), old_vocab_size=1,
        initializer=counting(0.0),
    )  # fmt: skip
    cut = tf.get_variable("cut", initializer=make([3, 4]))
    np.testing.assert_array_equal(started(cut)[0], np.concatenate([np.arange(8).reshape(2, 4), OLD[:1]]))


def test_both_axes_as_tensorflows_documentation_has_it(files):
    """The example of load_and_remap_matrix_initializer, its fill 1, 2, 3 … anew for each piece here."""
    make = tf.contrib.framework.load_and_remap_matrix_initializer(
        str(files / "model"), "w", 3, 3, old_row_vocab_file=str(files / "old"), new_row_vocab_file=str(files / "new"),
        old_col_vocab_file=str(files / "cols"), new_col_vocab_file=str(files / "new_cols"), num_row_oov_buckets=1,
        num_col_oov_buckets=1, initializer=counting(1.0),
    )  # fmt: skip
    with tf.Session() as session:
        found = session.run(make([4, 4]))
    w = OLD
    assert found.tolist() == [[w[1, 3], 1, w[1, 0], 1], [2, 3, 4, 2], [w[0, 3], 5, w[0, 0], 3], [1, 2, 3, 4]]
    with pytest.raises(ValueError, match="Expected 2nd dim"):
        make([4, 3])
    with pytest.raises(TypeError, match="only float32"):
        make([4, 4], dtype=tf.float64)
    with pytest.raises(ValueError, match="either row or column vocab"):
        tf.contrib.framework.load_and_remap_matrix(str(files / "model"), "w", 0, 3, 4, tf.zeros_initializer())


def test_patterns_and_names(files):
    w, slot = tf.get_variable("w", [3, 4]), tf.get_variable("w/Momentum", [3, 4], trainable=False)
    bias = tf.get_variable("bias", [2])
    tf.train.warm_start(str(files), "w:|bias", var_name_to_prev_var_name={"bias": "b"})
    assert started(w, bias)[0].tolist() == OLD.tolist() and started(bias)[0].tolist() == [5, 6]
    tf.train.warm_start(str(files), ["w/.*"])
    assert started(slot)[0].tolist() == (OLD + 100).tolist()
    with pytest.raises(ValueError, match="var_name_to_prev_var_name that were not used"):
        tf.train.warm_start(str(files), "w:", var_name_to_prev_var_name={"nothing": "b"})
    with pytest.raises(ValueError, match="axis argument are 0 and 1"):
        tf.train.VocabInfo("new", 1, 0, "old", axis=2)


def test_a_graph_does_not_hold_what_it_starts_from(files):
    w = tf.get_variable("w", [3, 4])
    before = len(tf.get_default_graph().as_graph_def().SerializeToString())
    tf.train.init_from_checkpoint(str(files), {"w": w})
    assert len(tf.get_default_graph().as_graph_def().SerializeToString()) < before + 1500
    assert any(o.type == "RestoreV2" for o in tf.get_default_graph().get_operations())
    np.testing.assert_array_equal(started(w)[0], OLD)


def test_a_scope_starts_whole_or_not_at_all(files):
    with tf.variable_scope("mine"):
        w = tf.get_variable("w", [3, 4])
    tf.train.init_from_checkpoint(str(files), {"/": "mine/"})
    np.testing.assert_array_equal(started(w)[0], OLD)
    with tf.variable_scope("mine"):
        tf.get_variable("other", [1])
    with pytest.raises(ValueError, match=r"Tensor other \(other in /\) is not found"):
        tf.train.init_from_checkpoint(str(files), {"/": "mine/"})
    with pytest.raises(ValueError, match="Shape of variable"):
        tf.train.init_from_checkpoint(str(files), {"b": w})
    with pytest.raises(tf.errors.NotFoundError):
        tf.train.init_from_checkpoint(str(files / "nothing"), {"w": w})
    with pytest.raises(tf.errors.NotFoundError):
        tf.train.load_variable(str(files), "nothing")
