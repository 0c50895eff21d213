"""tf.keras against TensorFlow 1.15: the same models with the same weights predict, learn and evaluate alike."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf

FOLDER = Path(__file__).parents[1] / "goldens" / "keras"
sys.path.insert(0, str(FOLDER))

import keras_models  # noqa: E402


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "keras.npz") as file:
        return dict(file)


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


@pytest.mark.parametrize("make", keras_models.MODELS, ids=lambda make: make.__name__)
def test_a_model_learns_as_there(make, expected):
    found = keras_models.run(tf.keras, make)
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], rtol=2e-4, atol=2e-5, err_msg=key)


def test_losses(expected):
    def evaluate(loss, target, output):
        return tf.keras.backend.eval(loss(tf.constant(target), tf.constant(output)))

    for key, value in keras_models.losses(tf.keras, evaluate).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-6, err_msg=key)


def test_metrics_that_add_up(expected):
    for key, value in keras_models.metrics(tf).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-6, err_msg=key)


def test_metrics_with_variables_begin_anew_with_every_epoch():
    class Hits(tf.keras.metrics.Metric):
        def __init__(self, name="hits"):
            super().__init__(name=name)
            self.seen = self.add_weight(name="seen", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign_add(tf.reduce_sum(y_true))

        def result(self):
            return self.seen

    truth = np.array([[1], [0], [1], [1]], "float32")
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, activation="sigmoid", input_shape=(2,))])
    model.compile("sgd", "binary_crossentropy", metrics=[Hits(), tf.keras.metrics.Recall(), "AUC"])
    history = model.fit(np.ones((4, 2)), truth, batch_size=2, epochs=3, verbose=0).history
    assert history["hits"] == [3.0] * 3 and set(history["recall"]) <= {0.0, 1.0}
    assert model.metrics_names == ["loss", "hits", "recall", "auc"]
    model.reset_metrics()
    assert model.train_on_batch(np.ones((4, 2)), truth)[1] == 3.0
    assert model.test_on_batch(np.ones((4, 2)), truth)[1] == 3.0


def test_a_cell_is_given_constants():
    class Cell(tf.keras.layers.Layer):
        state_size = 3

        def call(self, inputs, states, constants=None):
            h = tf.tanh(inputs + states[0] + constants[0])
            return h, [h]

    entry, shift = tf.keras.layers.Input((2, 3)), tf.keras.layers.Input((3,))
    model = tf.keras.Model([entry, shift], tf.keras.layers.RNN(Cell())(entry, constants=[shift]))
    x = keras_models.SERIES
    found = model.predict([x[:, :2], x[:, 2]])
    np.testing.assert_allclose(found, np.tanh(x[:, 1] + np.tanh(x[:, 0] + x[:, 2]) + x[:, 2]), rtol=1e-5)


def small(keras, optimizer="adam"):
    rows = [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.Bidirectional(keras.layers.GRU(3)),
            keras.layers.Dense(3, activation="softmax")]  # fmt: skip
    model = keras.Sequential(rows)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_models_come_back_from_files(tmp_path):
    pytest.importorskip("h5py")
    words, labels = keras_models.WORDS, keras_models.ONE_HOT
    model = small(tf.keras)
    model.fit(words, labels, verbose=0)
    model.save(tmp_path / "model.h5")
    model.save_weights(tmp_path / "weights.h5")
    model.save_weights(tmp_path / "weights")
    expected = model.predict(words)
    for name in ("weights.h5", "weights"):
        other = small(tf.keras)
        other.build((None, 5))
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(other.predict(words), expected)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "weights")
    kernel = "layer_with_weights-1/forward_layer/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    assert kernel in dict(tf.train.list_variables(str(tmp_path / "weights")))
    with tf.Graph().as_default():
        again = tf.keras.models.load_model(tmp_path / "model.h5")
        np.testing.assert_array_equal(again.predict(words), expected)
        assert again.train_on_batch(words, labels)[0] > 0


def test_a_failed_save_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    model, path = small(tf.keras), tmp_path / "model.h5"
    model.build((None, 5))
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(model, "get_config", lambda: {"not": object()})
    with pytest.raises(TypeError):
        model.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_functional_model_from_its_configuration():
    model, x, *_ = keras_models.two_ends(tf.keras)
    again = tf.keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    for a, b in zip(again.predict(x), model.predict(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_callbacks(tmp_path):
    keras, seen = tf.keras, []
    words, labels = keras_models.WORDS, keras_models.ONE_HOT
    model = small(keras, keras.optimizers.SGD(lr=0.5))
    calls = keras.callbacks
    chosen = [
        calls.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["val_acc"], logs["val_accuracy"]))
        ),
        calls.ModelCheckpoint(str(tmp_path / "{epoch:02d}-{val_acc:.2f}.h5"), save_weights_only=True),
        calls.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)),
        calls.EarlyStopping("loss", mode="max", patience=2),
        calls.CSVLogger(str(tmp_path / "log.csv")),
        calls.TensorBoard(str(tmp_path / "board")),
    ]
    history = model.fit(words, labels, epochs=9, validation_data=(words, labels), verbose=0, callbacks=chosen)
    assert [epoch for epoch, a, b in seen] == [0, 1, 2]
    assert all(a == b for _, a, b in seen)
    np.testing.assert_allclose(history.history["lr"], [0.5, 0.25, 0.5 / 3], rtol=1e-6)
    assert len(list(tmp_path.glob("0?-*.h5"))) == 3
    assert (tmp_path / "log.csv").read_text().splitlines()[0].startswith("epoch,acc,loss,lr")
    assert list((tmp_path / "board").glob("events.*"))


def test_a_stateful_layer_carries_its_state_over():
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.LSTM(2, stateful=True, batch_input_shape=(2, 3, 1))])
    series = np.random.RandomState(0).randn(2, 6, 1)
    whole = tf.keras.Sequential([layers.LSTM(2, batch_input_shape=(2, 6, 1))])
    whole.set_weights(model.get_weights())
    model.predict(series[:, :3])
    np.testing.assert_allclose(model.predict(series[:, 3:]), whole.predict(series), rtol=1e-5)
    model.reset_states()
    first = model.predict(series[:, :3])
    model.reset_states()
    np.testing.assert_array_equal(model.predict(series[:, :3]), first)


def test_own_layers_losses_and_metrics():
    keras, backend = tf.keras, tf.keras.backend

    class Attention(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 1), name="w", initializer="ones")
            super().build(input_shape)

        def call(self, x):
            weights = backend.softmax(backend.squeeze(backend.dot(x, self.w), -1))
            return backend.sum(x * backend.expand_dims(weights), axis=1)

    model = keras.Sequential([Attention(input_shape=(5, 3)), keras.layers.Lambda(lambda x: x * 2)])
    model.compile(
        "sgd", lambda t, p: backend.mean(backend.square(t - p), -1), metrics=[keras.losses.mean_absolute_error]
    )
    target = np.zeros((12, 3))
    found = model.evaluate(keras_models.SERIES, target, verbose=0)
    weights = np.exp(keras_models.SERIES.sum(-1))
    out = 2 * (keras_models.SERIES * (weights / weights.sum(1, keepdims=True))[..., None]).sum(1)
    np.testing.assert_allclose(found, [np.mean(out**2), np.mean(abs(out))], rtol=1e-5)


def test_generators_sequences_weights_and_splits():
    keras = tf.keras
    words, labels = keras_models.WORDS, keras_models.ONE_HOT

    class Pairs(keras.utils.Sequence):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return words[4 * index : 4 * index + 4], labels[4 * index : 4 * index + 4]

    model = small(keras)
    history = model.fit_generator(Pairs(), epochs=2, verbose=0, validation_data=Pairs())
    assert len(history.history["val_loss"]) == 2
    np.testing.assert_allclose(model.evaluate_generator(Pairs()), model.evaluate(words, labels, verbose=0), rtol=1e-5)
    model.fit(iter([Pairs()[0], Pairs()[1]]), steps_per_epoch=2, verbose=0)
    heavy = model.evaluate(words, labels, sample_weight=np.full(12, 3.0), verbose=0)
    np.testing.assert_allclose(heavy[0], 3 * model.evaluate(words, labels, verbose=0)[0], rtol=1e-5)
    assert len(model.fit(words, labels, validation_split=0.25, class_weight={0: 2.0}, verbose=0).history) == 4


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda m: m.fit(keras_models.WORDS, keras_models.ONE_HOT[:3]), ValueError, "same number of samples"),
        (lambda m: m.compile("adamm", "mse"), ValueError, "Unknown optimizer: adamm"),
        (lambda m: m.compile("adam", "msee"), ValueError, "Unknown loss function:msee"),
        (lambda m: m.get_layer("no"), ValueError, "No such layer: no"),
        (lambda m: m.add(3), TypeError, "must be an instance of class Layer"),
        (lambda m: tf.keras.layers.Dense(3, activation="no"), ValueError, "Unknown activation function:no"),
    ],
)
def test_mistakes(act, error, message):
    model = small(tf.keras)
    with pytest.raises(error, match=message):
        act(model)
        model.fit(keras_models.WORDS, keras_models.ONE_HOT, verbose=0)


def test_output_shapes_are_found_by_calling_the_layer():
    with tf.Graph().as_default():
        rnn = tf.keras.layers.LSTM(4, return_state=True)
        assert [s.as_list() for s in rnn.compute_output_shape((None, 5, 3))] == [[None, 4]] * 3
        swap = tf.keras.layers.Lambda(lambda pair: (pair[1]["a"], {"b": pair[0]}))
        found = swap.compute_output_shape(((10, 20), {"a": (10, 5)}))
        assert found[0].as_list() == [10, 5] and found[1]["b"].as_list() == [10, 20]
        spec = tf.keras.layers.Embedding(9, 2).compute_output_signature(tf.TensorSpec([None, 4], tf.int32))
        assert spec.shape.as_list() == [None, 4, 2] and spec.dtype == tf.float32


def test_a_cell_is_made_again_from_a_layers_configuration():
    with tf.Graph().as_default():
        layer = tf.keras.layers.RNN(tf.keras.layers.LSTMCell(3), return_sequences=True)
        again = tf.keras.layers.RNN.from_config(layer.get_config())
        assert type(again.cell) is tf.keras.layers.LSTMCell and again.cell.units == 3 and again.return_sequences


def test_metrics_make_their_like_and_drop_a_last_axis_of_one():
    metrics = tf.keras.metrics
    made = metrics.TopKCategoricalAccuracy.from_config(metrics.TopKCategoricalAccuracy(3).get_config())
    assert made._fn_kwargs == {"k": 3} and made.get_config()["dtype"] == "float32"
    metric = metrics.MeanSquaredError()
    update, value = metric.update_state(np.array([1.0, 2.0, 4.0]), np.zeros((3, 1))), metric.result()
    session = tf.keras.backend.get_session()
    session.run([v.initializer for v in metric.weights])
    session.run(update)
    assert session.run(value) == 7


def test_a_compiled_models_metrics_are_no_part_of_its_weights():
    keras = tf.keras
    model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
    model.compile("sgd", "mse", metrics=[keras.metrics.MeanSquaredError()], weighted_metrics=[keras.metrics.Mean()])
    assert len(model.weights) == len(model.get_weights()) == 2
    model.set_weights([np.ones((3, 2)), np.ones(2)])


def test_weighted_metrics_stand_beside_the_others():
    keras = tf.keras
    entry = keras.layers.Input((3, 2))
    model = keras.Model(entry, [keras.layers.Activation("linear", name=n)(entry) for n in "ab"])
    metrics = keras.metrics
    model.compile("sgd", "mse", metrics=["mse"], weighted_metrics=[metrics.MeanSquaredError(name="m"), "mse"])
    ones, twos = np.ones((2, 3, 2)), 2 * np.ones((2, 3, 2))
    ones[1] = 3.0
    found = model.train_on_batch(twos, [np.zeros((2, 3, 2)), ones], [np.array([1.0, 0.0]), np.array([1.0, 3.0])])
    found = dict(zip(model.metrics_names, found, strict=True))
    assert found["a_mean_squared_error"] == found["a_weighted_m"] == 4
    assert found["b_mean_squared_error"] == found["b_weighted_m"] == found["b_weighted_mean_squared_error"] == 1
    assert found["a_loss"] == 2 and found["b_loss"] == 2
