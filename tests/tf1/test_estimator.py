"""tf.estimator and tf.contrib.learn.Estimator against what the same programs print under TensorFlow 1.15."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf

INIT = tf.constant_initializer


def rows(dtype: str = "float32") -> np.ndarray:
    return np.random.RandomState(0).randn(70, 5, 3).astype(dtype)


def classifier(features: Any, labels: Any, mode: str, params: dict[str, float]) -> Any:
    cell = tf.nn.rnn_cell.GRUCell(4, kernel_initializer=INIT(0.1), bias_initializer=INIT(0.0))
    _, state = tf.nn.dynamic_rnn(cell, features["x"], dtype=tf.float32)
    kernel = INIT([[0.1, -0.2], [0.3, 0.1], [-0.1, 0.2], [0.2, 0.1]])
    logits = tf.layers.dense(state, 2, kernel_initializer=kernel)
    chosen = tf.argmax(logits, 1)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"class": chosen, "logits": logits})
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    if mode == tf.estimator.ModeKeys.EVAL:
        metrics = {"accuracy": tf.metrics.accuracy(labels, chosen)}
        return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)
    train = tf.train.AdamOptimizer(params["rate"]).minimize(loss, tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)


def numpy_input(x: np.ndarray, y: Any = None, epochs: int | None = 1) -> Any:
    return tf.estimator.inputs.numpy_input_fn({"x": x}, y, batch_size=16, num_epochs=epochs, shuffle=False)


def test_train_evaluate_predict(tmp_path: Path) -> None:
    x = rows()
    y = (x.sum((1, 2)) > 0).astype(np.int32)
    config = tf.estimator.RunConfig(save_checkpoints_steps=10)
    estimator = tf.estimator.Estimator(classifier, str(tmp_path), config, {"rate": 0.05})
    estimator.train(numpy_input(x, y, None), steps=25)
    found = estimator.evaluate(numpy_input(x, y))
    assert found["global_step"] == 25
    assert found["accuracy"] == pytest.approx(0.9429, abs=1e-4) and found["loss"] == pytest.approx(0.1183, abs=1e-4)
    predicted = list(estimator.predict(numpy_input(x)))
    assert [int(p["class"]) for p in predicted[:8]] == [1, 1, 0, 0, 0, 0, 1, 1] and len(predicted) == 70
    np.testing.assert_allclose(predicted[0]["logits"], [-2.4040, 2.8359], atol=2e-4)

    def data() -> Any:
        return tf.data.Dataset.from_tensor_slices(({"x": x}, y)).repeat(3).batch(10)

    train = tf.estimator.TrainSpec(data, max_steps=40)
    results, _ = tf.estimator.train_and_evaluate(estimator, train, tf.estimator.EvalSpec(numpy_input(x, y), steps=2))
    assert results["global_step"] == 40 and results["accuracy"] == pytest.approx(0.9375)
    assert results["loss"] == pytest.approx(0.1322, abs=1e-4)
    assert estimator.latest_checkpoint() == str(tmp_path / "model.ckpt-40")
    assert "rnn/gru_cell/candidate/kernel/Adam_1" in estimator.get_variable_names()
    assert estimator.get_variable_value("global_step") == 40
    written = tf.contrib.estimator.read_eval_metrics(estimator.eval_dir())
    assert list(written) == [25, 40] and written[40]["accuracy"] == pytest.approx(0.9375)


def test_training_stops_where_the_metric_stands_still(tmp_path: Path) -> None:
    x = rows()
    y = (x.sum((1, 2)) > 0).astype(np.int32)
    config = tf.estimator.RunConfig(save_checkpoints_steps=5)
    estimator = tf.estimator.Estimator(classifier, str(tmp_path), config, {"rate": 0.0})
    hook = tf.contrib.estimator.stop_if_no_decrease_hook(estimator, "loss", 10, run_every_secs=None, run_every_steps=1)
    train = tf.estimator.TrainSpec(numpy_input(x, y, None), max_steps=100, hooks=[hook])
    evaluation = tf.estimator.EvalSpec(numpy_input(x, y), steps=1, throttle_secs=0)
    results, _ = tf.estimator.train_and_evaluate(estimator, train, evaluation)
    assert results["global_step"] < 30


def regressor(x: Any, y: Any) -> tuple[Any, Any, Any]:
    assert y.get_shape().as_list() == [None]  # of [n, 1]
    with tf.variable_scope("m", initializer=INIT(0.2)):
        outputs, _ = tf.nn.dynamic_rnn(tf.contrib.rnn.BasicLSTMCell(4), x, dtype=tf.float32)
        layer = tf.contrib.layers.fully_connected(outputs[:, -1], 1, None, weights_initializer=INIT(0.3))
        predicted = tf.reshape(layer, [-1])
    loss = tf.losses.mean_squared_error(predicted, tf.reshape(y, [-1]))
    step = tf.contrib.framework.get_global_step()
    return predicted, loss, tf.contrib.layers.optimize_loss(loss, step, optimizer="Adagrad", learning_rate=0.1)


def test_arrays_in_arrays_out(tmp_path: Path) -> None:
    """The order of the rows is TensorFlow's too: the loss after 30 steps is its own."""
    x = rows()
    y = x.sum((1, 2))[:, None] / 4
    estimator = tf.contrib.learn.SKCompat(tf.contrib.learn.Estimator(model_fn=regressor, model_dir=str(tmp_path)))
    estimator.fit(x, y, batch_size=16, steps=30)
    predicted = estimator.predict(x)
    assert predicted.shape == (70,)
    np.testing.assert_allclose(predicted[:4], [1.8184, 0.8939, -0.8449, -1.0680], atol=2e-4)
    found = estimator.score(x, y)
    assert found["global_step"] == 30 and found["loss"] == pytest.approx(0.0810, abs=1e-4)


def test_precision_by_class_from_the_running_confusion_matrix() -> None:
    """What tf_metrics and many taggers import from inside TensorFlow."""
    from recurra.tf1 import surface

    update = surface.lookup("python.ops.metrics_impl._streaming_confusion_matrix")
    with tf.Graph().as_default(), tf.Session() as session:
        total, op = update(
            tf.constant([[0, 1], [2, 1]]), tf.constant([[0, 2], [2, 1]]), 3, tf.constant([[1, 1], [1, 0]])
        )
        session.run(tf.local_variables_initializer())
        session.run([op, total])
        session.run(op)
        np.testing.assert_array_equal(session.run(total), [[2, 0, 0], [0, 0, 2], [0, 0, 2]])


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shuffle must be provided"):
        tf.estimator.inputs.numpy_input_fn({"x": np.ones(3)}, shuffle=None)
    with pytest.raises(ValueError, match="mismatched"):
        tf.estimator.inputs.numpy_input_fn({"x": np.ones(3)}, np.ones(4), shuffle=False)
    with pytest.raises(ValueError, match="Missing loss"):
        tf.estimator.EstimatorSpec("eval")
    with pytest.raises(ValueError, match="different values"):
        tf.estimator.Estimator(classifier, "a", tf.estimator.RunConfig("b"))
    estimator = tf.estimator.Estimator(classifier, str(tmp_path), params={"rate": 0.1})
    with pytest.raises(ValueError, match="both steps and max_steps"):
        estimator.train(numpy_input(rows()), steps=1, max_steps=2)
    with pytest.raises(ValueError, match="Could not find trained model"):
        estimator.get_variable_names()


def test_an_experiment_evaluates_at_new_checkpoints_and_at_the_end(tmp_path):
    """As under TensorFlow 1.4: every checkpoint once, and the last one again."""
    evaluated = []

    def model_fn(mode, features, labels, params):  # given by name: any order will do
        weight = tf.get_variable("w", [], initializer=tf.zeros_initializer())
        loss = tf.square(weight * features["x"] - labels)
        train = tf.train.GradientDescentOptimizer(params.rate).minimize(loss, tf.train.get_global_step())
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    class Seen(tf.train.SessionRunHook):
        def after_create_session(self, session, coord):
            evaluated.append(int(session.run(tf.train.get_global_step())))

    def input_fn():
        return {"x": tf.constant(1.0)}, tf.constant(2.0)

    def experiment_fn(run_config, hparams):
        estimator = tf.estimator.Estimator(model_fn, config=run_config, params=hparams)
        return tf.contrib.learn.Experiment(
            estimator, input_fn, input_fn, train_steps=4, eval_steps=1, eval_hooks=[Seen()], min_eval_frequency=1
        )

    result, exports = tf.contrib.learn.learn_runner.run(
        experiment_fn,
        run_config=tf.contrib.learn.RunConfig(model_dir=str(tmp_path), save_checkpoints_steps=2),
        hparams=tf.contrib.training.HParams(rate=0.25),
    )
    assert result["global_step"] == 4 and result["loss"] == pytest.approx((2 * 0.5**4) ** 2) and exports == []
    assert evaluated[-1] == 4 and evaluated == sorted(evaluated) and len(evaluated) >= 3
    with pytest.raises(ValueError, match="non-existent task nosuch"):
        tf.contrib.learn.learn_runner.run(
            experiment_fn, run_config=tf.contrib.learn.RunConfig(str(tmp_path)), hparams=None, schedule="nosuch"
        )
