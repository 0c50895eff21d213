"""Parts of contrib that few programs use: scipy's optimizers, sampling by chance, losses that learn distances.

The numbers are TensorFlow 1.15's on the same inputs.
"""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf


@pytest.fixture(autouse=True)
def _fresh():
    with tf.Graph().as_default():
        yield


def test_scipy_optimises_variables():
    v, w = tf.Variable([1.0, 2.0]), tf.Variable(np.full((2, 2), 3, np.float32))
    weighted = tf.square(w - 1.0) * [[1.0, 2.0], [3.0, 4.0]]
    loss = tf.reduce_sum(tf.square(v - [3.0, -1.0])) + tf.reduce_sum(weighted) + tf.reduce_sum(v) * 0.1
    seen: list[float] = []
    bounded = tf.contrib.opt.ScipyOptimizerInterface(loss, options={"maxiter": 50}, var_to_bounds={v: (0, 2.5)})
    constrained = tf.contrib.opt.ScipyOptimizerInterface(
        loss, var_list=[v], equalities=[tf.reduce_sum(v) - 1.0], inequalities=[v[0] - 0.5], method="SLSQP"
    )
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        bounded.minimize(session, fetches=[loss], loss_callback=seen.append)
        np.testing.assert_allclose(session.run(v), [2.5, 0.0], atol=1e-4)
        np.testing.assert_allclose(session.run(w), np.ones((2, 2)), atol=1e-3)
        assert seen[0] == pytest.approx(53.3, rel=1e-6) and min(seen) == pytest.approx(1.5, rel=1e-5)
        constrained.minimize(session)
        np.testing.assert_allclose(session.run(v), [2.5, -1.5], atol=1e-3)
    with pytest.raises(ValueError, match="set automatically"), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.contrib.opt.ScipyOptimizerInterface(loss, var_list=[v], jac=True).minimize(session)


def test_losses_that_learn_distances():
    random = np.random.RandomState(0)
    one, two = (tf.constant(random.randn(6, 4), tf.float32) for _ in range(2))
    labels = tf.constant([0, 1, 0, 2, 1, 0])
    learning = tf.contrib.losses.metric_learning
    losses = [
        learning.triplet_semihard_loss(labels, one, 2.0),
        learning.contrastive_loss(tf.constant([1, 0, 1, 1, 0, 0]), one, two),
        learning.npairs_loss(labels, one, two),
        learning.lifted_struct_loss(labels, one),
    ]
    with tf.Session() as session:
        np.testing.assert_allclose(session.run(losses), [4.43079, 3.53423, 3.95598, 5.74931], rtol=1e-5)
        sums = [np.abs(session.run(tf.gradients(loss, one)[0])).sum() for loss in losses]
    np.testing.assert_allclose(sums, [15.5116, 4.5681, 3.4937, 10.2736], rtol=1e-4)


def test_examples_are_kept_by_chance():
    tf.set_random_seed(1)
    training = tf.contrib.training
    x = tf.random_uniform([])
    many = tf.random_uniform([5])
    _, labels = training.stratified_sample([x], tf.cast(x * 3, tf.int32), [0.8, 0.1, 0.1], 8, init_probs=[1 / 3] * 3)
    _, counted = training.stratified_sample([many], tf.cast(many * 3, tf.int32), [0.8, 0.1, 0.1], 8, enqueue_many=True)
    accepted = training.rejection_sample([x], lambda tensors: tensors[0], 16)
    rows, rates = training.weighted_resample([tf.range(5)], tf.constant([0.0, 1.0, 0.0, 3.0, 1.0]), 2.0)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        for wanted in (labels, counted):
            found = np.concatenate([session.run(wanted) for _ in range(40)])
            assert np.mean(found == 0) == pytest.approx(0.8, abs=0.1)
        mean = np.mean([session.run(accepted)[0].mean() for _ in range(30)])
        assert mean == pytest.approx(2 / 3, abs=0.06)
        (kept,), weights = session.run([rows, rates])
        assert kept.shape == weights.shape and set(kept) <= {1, 3, 4}
        coordinator.request_stop()
        coordinator.join(threads, stop_grace_period_secs=2, ignore_live_threads=True)


def test_columns_heed_what_their_variables_shall_be():
    columns = tf.feature_column
    features = {
        "x": tf.constant([[1.0], [2.0]]), "k": tf.constant([["a"], ["b"]]),
        "s": tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 3.0], [2, 3]),
    }  # fmt: skip

    def tenfold(sparse):
        return tf.SparseTensor(sparse.indices, sparse.values * 10.0, sparse.dense_shape)

    steps = columns.sequence_numeric_column("s", default_value=-1.0, normalizer_fn=tenfold)
    sequence, _ = columns.sequence_input_layer(features, [steps])
    words = columns.categorical_column_with_vocabulary_list("k", ["a", "b"])
    threes = columns.embedding_column(words, 2, initializer=tf.constant_initializer(3.0), max_norm=1.0)
    fixed = columns.input_layer(features, [threes], weight_collections=["mine"], trainable=False)
    columns.linear_model(features, [columns.numeric_column("x")], weight_collections=["mine"])
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        assert session.run(sequence)[..., 0].tolist() == [[10, 20, -1], [30, -1, -1]]
        np.testing.assert_allclose(session.run(fixed), np.full((2, 2), 0.5**0.5), rtol=1e-6)
    assert [v.op.name for v in tf.get_collection("mine")] == [
        "input_layer/k_embedding/embedding_weights", "linear_model/x/weights", "linear_model/bias_weights",
    ]  # fmt: skip
    assert [v.op.name for v in tf.trainable_variables()] == ["linear_model/x/weights", "linear_model/bias_weights"]


def test_options_of_clusters_are_refused_by_name():
    with pytest.raises(NotImplementedError, match="train_distribute"):
        tf.estimator.RunConfig(train_distribute=object())
    with pytest.raises(TypeError, match="save_summary_step"):
        tf.estimator.RunConfig(save_summary_step=3)


def test_a_file_that_is_there_is_asked_about(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))])
    model.save_weights(tmp_path / "w.h5")
    before = (tmp_path / "w.h5").read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    monkeypatch.setattr("builtins.input", lambda _: "n")
    model.save_weights(tmp_path / "w.h5", overwrite=False)
    assert (tmp_path / "w.h5").read_bytes() == before
