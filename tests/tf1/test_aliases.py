"""Names in several places, slim's loops, summaries that write themselves, the projector, Keras' tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf


@pytest.fixture(autouse=True)
def _fresh():
    with tf.Graph().as_default():
        yield


def test_one_function_has_several_names():
    assert tf.contrib.slim.l2_regularizer is tf.contrib.layers.l2_regularizer
    assert tf.contrib.slim.get_variables_to_restore is tf.contrib.framework.get_variables_to_restore
    assert tf.contrib.signal.stft is tf.signal.stft
    assert tf.data.experimental.shuffle_and_repeat is tf.contrib.data.shuffle_and_repeat
    assert tf.contrib.stateless.stateless_random_normal is tf.random.stateless_normal


def test_slim_trains_and_evaluates(tmp_path):
    slim = tf.contrib.slim
    x = tf.constant(np.random.RandomState(0).randn(20, 4), tf.float32)
    labels = tf.to_float(x[:, :1] > 0)
    with slim.arg_scope([slim.fully_connected], weights_regularizer=slim.l2_regularizer(1e-3)):
        logits = slim.fully_connected(slim.fully_connected(x, 8), 1, activation_fn=None)
    slim.losses.sigmoid_cross_entropy(logits, labels)
    loss = slim.losses.get_total_loss()
    names, updates = slim.metrics.aggregate_metric_map(
        {"right": slim.metrics.streaming_accuracy(tf.round(tf.sigmoid(logits)), labels)}
    )
    train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(0.05))
    last = slim.learning.train(train_op, str(tmp_path), number_of_steps=60)
    assert last < 0.4 and tf.train.latest_checkpoint(str(tmp_path)).endswith("-60")
    tf.get_default_graph()._unsafe_unfinalize()
    right = slim.evaluation.evaluate_once(
        "", tf.train.latest_checkpoint(str(tmp_path)), "", num_evals=2, eval_op=list(updates.values()),
        final_op=names["right"], summary_op=None,
    )  # fmt: skip
    assert right > 0.9
    again = slim.evaluation.evaluation_loop(
        "", str(tmp_path), "", num_evals=2, eval_op=list(updates.values()), final_op=names["right"], summary_op=None,
        eval_interval_secs=0, max_number_of_evaluations=1,
    )  # fmt: skip
    assert again == right


def test_summaries_write_themselves(tmp_path):
    step = tf.train.create_global_step()
    summary = tf.contrib.summary
    with pytest.raises(RuntimeError, match="No default"):
        summary.initialize()
    writer = summary.create_file_writer(str(tmp_path), flush_millis=100)
    with writer.as_default(), summary.record_summaries_every_n_global_steps(2), tf.name_scope("part"):
        summary.scalar("double", 2.0 * tf.to_float(step))
        summary.histogram("ones", tf.ones([3]), family="some")
        summary.generic("any", tf.constant([1, 2]))
    later = tf.assign_add(step, 1)
    with tf.Session() as session, writer.as_default():
        session.run(tf.global_variables_initializer())
        summary.initialize(session=session)
        for _ in range(4):
            session.run(summary.all_summary_ops())
            session.run(later)
        session.run(summary.flush())
    (file,) = tmp_path.iterdir()
    events = [(e.step, v.tag) for e in tf.train.summary_iterator(str(file)) for v in e.summary.value]
    tags = ["part/double", "some/part/some/ones", "part/any"]
    assert events == [(step, tag) for step in (0, 2) for tag in tags]


def test_the_projector_is_told_what_to_show(tmp_path):
    projector = tf.contrib.tensorboard.plugins.projector
    config = projector.ProjectorConfig()
    config.embeddings.add().tensor_name = "words:0"
    projector.visualize_embeddings(tf.summary.FileWriter(str(tmp_path)), config)
    assert 'tensor_name: "words:0"' in (tmp_path / "projector_config.pbtxt").read_text()


def test_windows_of_a_series():
    series = np.arange(30.0)
    windows = tf.keras.preprocessing.sequence.TimeseriesGenerator(
        series, series, length=5, sampling_rate=2, batch_size=4, stride=2, reverse=True
    )
    x, y = windows[0]  # as TensorFlow 1.15 gives them
    assert len(windows) == 4 and y.tolist() == [5, 7, 9, 11] and windows[3][1].tolist() == [29]
    assert x.tolist() == [[4, 2, 0], [6, 4, 2], [8, 6, 4], [10, 8, 6]]
    with pytest.raises(ValueError, match="same length"):
        tf.keras.preprocessing.sequence.TimeseriesGenerator(series, series[1:], 5)


def test_models_in_scikit_learn_s_clothes():
    def build(units=3):
        rows = [tf.keras.layers.Dense(units, activation="relu", input_shape=(2,)),
                tf.keras.layers.Dense(2, activation="softmax")]  # fmt: skip
        model = tf.keras.Sequential(rows)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    wrapped = tf.keras.wrappers.scikit_learn.KerasClassifier(build, units=4, epochs=2, verbose=0)
    x, labels = np.random.RandomState(1).randn(8, 2), np.array(["no", "yes"] * 4)
    wrapped.fit(x, labels)
    assert set(wrapped.predict(x)) <= {"no", "yes"} and wrapped.predict_proba(x).shape == (8, 2)
    assert wrapped.score(x, labels) == np.mean(wrapped.predict(x) == labels)
    with pytest.raises(ValueError, match="not a legal parameter"):
        tf.keras.wrappers.scikit_learn.KerasRegressor(build, wrong=1)


def test_a_file_is_found_before_it_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("RECURRA_DATA", str(tmp_path))
    (tmp_path / "text.txt").write_text("words")
    path = tf.keras.utils.get_file("text.txt", origin="http://nowhere.invalid/text.txt")
    assert Path(path).read_text() == "words"
    with pytest.raises(Exception, match="URL fetch failure"):
        tf.keras.utils.get_file("gone.txt", origin=(tmp_path / "gone.txt").as_uri(), cache_dir=tmp_path)
