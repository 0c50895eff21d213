"""Keras models whose numbers under TensorFlow 1.15 are kept beside this file (`make_keras.py`)."""

import numpy as np

WORDS = np.random.RandomState(1).randint(1, 9, (12, 5)) * (np.arange(5) < [[1], [3], [5], [4]] * 3)
SERIES = np.random.RandomState(2).randn(12, 5, 3).astype("float32")
LABELS = np.random.RandomState(3).randint(0, 3, 12)
ONE_HOT = np.eye(3)[LABELS]
BITS = (LABELS > 0).astype("float32")
STEPS = np.random.RandomState(4).randint(0, 3, (12, 5, 1))
FILMS = np.random.RandomState(8).randn(12, 4, 6, 5, 2).astype("float32")
VALUES = np.random.RandomState(5).randn(12, 2)


def series(keras, *layers):
    entry = tensor = keras.layers.Input(shape=(5, 3))
    for layer in layers:
        tensor = layer(tensor)
    return keras.models.Model(entry, tensor)


def lstm_over_masked_words(keras):
    layers = keras.layers
    rows = [
        layers.Embedding(9, 4, mask_zero=True, input_length=5),
        layers.LSTM(3),
        layers.Dense(3, activation="softmax"),
    ]
    return keras.models.Sequential(rows), WORDS, ONE_HOT, "categorical_crossentropy", "adam", ["accuracy"]


def gru_returning_sequences(keras):
    layers = keras.layers
    model = series(
        keras, layers.GRU(4, return_sequences=True, kernel_regularizer="l2"), layers.TimeDistributed(layers.Dense(3)),
        layers.Activation("softmax"),
    )  # fmt: skip
    return model, SERIES, STEPS, "sparse_categorical_crossentropy", "rmsprop", ["accuracy"]


def bidirectional_over_masked_series(keras):
    layers = keras.layers
    masked = SERIES * (np.arange(5)[:, None] < 3)
    model = series(
        keras, layers.Masking(), layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
        layers.Bidirectional(layers.SimpleRNN(3, activation="relu"), merge_mode="sum"),
        layers.Dense(1, activation="sigmoid"),
    )  # fmt: skip
    return model, masked, BITS, "binary_crossentropy", "adagrad", ["accuracy"]


def tagger_with_masked_loss(keras):
    layers = keras.layers
    rows = [layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3, return_sequences=True, go_backwards=True),
            layers.TimeDistributed(layers.Dense(3, activation="softmax"))]  # fmt: skip
    return keras.models.Sequential(rows), WORDS, STEPS, "sparse_categorical_crossentropy", "nadam", ["accuracy"]


def convolutions_and_merges(keras):
    layers = keras.layers
    entry = layers.Input(shape=(5, 3))
    wide = layers.Conv1D(4, 3, padding="causal", activation="relu")(entry)
    pooled = layers.concatenate([layers.GlobalMaxPooling1D()(wide), layers.GlobalAveragePooling1D()(entry)])
    narrow = layers.Flatten()(layers.MaxPooling1D(2)(layers.BatchNormalization()(wide)))
    both = layers.multiply([layers.Dense(4, activation="tanh")(pooled), layers.Dense(4)(narrow)])
    dotted = layers.dot([both, layers.Reshape((4,))(both)], axes=1)
    model = keras.models.Model(entry, layers.Dense(2)(layers.concatenate([both, dotted])))
    return model, SERIES, VALUES, "mean_squared_error", "adamax", ["mae"]


def two_ends(keras):
    layers = keras.layers
    entry, words = layers.Input(shape=(5, 3), name="series"), layers.Input(shape=(5,), name="words")
    state = layers.LSTM(3, return_state=True, return_sequences=True)(entry)
    read = layers.LSTM(3, recurrent_activation="sigmoid", unit_forget_bias=False)(
        layers.Embedding(9, 4)(words), initial_state=state[1:]
    )
    shared = layers.Dense(2, activation="elu", name="shared")
    ends = [layers.Dense(3, activation="softmax", name="kind")(read), layers.add([shared(read), shared(state[1])])]
    model = keras.models.Model([entry, words], ends)
    return model, [SERIES, WORDS], [ONE_HOT, VALUES], ["categorical_crossentropy", "mae"], "sgd", None


def films_through_conv_lstms(keras):
    layers = keras.layers
    rows = [
        layers.InputLayer((4, 6, 5, 2)),
        layers.ConvLSTM2D(3, (3, 2), strides=(2, 1), return_sequences=True, go_backwards=True),
        layers.ConvLSTM2D(2, 2, padding="same", use_bias=False, activation="relu"),
        layers.DepthwiseConv2D(2, depth_multiplier=2, activation="tanh"),
        layers.LocallyConnected2D(2, (1, 2)), layers.Flatten(), layers.Dense(2),
    ]  # fmt: skip
    return keras.models.Sequential(rows), FILMS, VALUES, "mean_squared_error", "sgd", None


def attention_over_normalised_series(keras):
    layers = keras.layers
    entry, words = layers.Input(shape=(5, 3)), layers.Input(shape=(5,))
    normal = layers.LayerNormalization()(entry)
    word = layers.Embedding(9, 3, mask_zero=True)(words)
    seen = [layers.Attention(use_scale=True)([normal, word]), layers.AdditiveAttention()([normal, word]),
            layers.Attention(causal=True)([normal, normal])]  # fmt: skip
    local = layers.LocallyConnected1D(2, 3, strides=2)(layers.concatenate(seen))
    model = keras.models.Model([entry, words], layers.Dense(2)(layers.Flatten()(layers.ThresholdedReLU(0.05)(local))))
    return model, [SERIES, WORDS], VALUES, "mean_squared_error", "sgd", None


MODELS = [lstm_over_masked_words, gru_returning_sequences, bidirectional_over_masked_series, tagger_with_masked_loss,
          convolutions_and_merges, two_ends, films_through_conv_lstms, attention_over_normalised_series]  # fmt: skip
OPTIMIZERS = {
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "decay": 0.1},
    "rmsprop": {"lr": 0.01},
    "adam": {"lr": 0.01, "clipnorm": 0.5},
    "adamax": {"lr": 0.01},
    "nadam": {"lr": 0.01},
    "adagrad": {"lr": 0.1},
}
LOSSES = [
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "logcosh",
    "kullback_leibler_divergence",
    "poisson",
    "cosine_proximity",
    "categorical_crossentropy",
    "binary_crossentropy",
]


def weights_like(arrays, seed=6):
    """Weights that both sides set."""
    random = np.random.RandomState(seed)
    return [np.asarray(0.4 * random.randn(*a.shape), a.dtype) for a in arrays]


def optimizer_of(keras, name):
    classes = {"sgd": "SGD", "rmsprop": "RMSprop"}
    return getattr(keras.optimizers, classes.get(name, name.title()))(**OPTIMIZERS[name])


def run(keras, make):
    """{name: array}: outputs before learning, losses of four epochs, evaluation and weights afterwards."""
    model, x, y, loss, optimizer, metrics = make(keras)
    model.compile(optimizer_of(keras, optimizer), loss, metrics=metrics)
    drawn = weights_like(model.get_weights())
    variances = ["variance" in v.name for v in model.weights]
    model.set_weights([np.abs(w) if variances[i] else w for i, w in enumerate(drawn)])
    found = {"before": model.predict(x)}
    history = model.fit(x, y, batch_size=5, epochs=4, verbose=0, shuffle=False)
    found["losses"] = history.history["loss"]
    if metrics == ["accuracy"]:
        found["accuracy"] = history.history["acc"]
    found["evaluated"] = model.evaluate(x, y, verbose=0)
    found["weights"] = np.concatenate([w.reshape(-1) for w in model.get_weights()])
    if isinstance(found["before"], list):
        found["before"] = np.concatenate(found["before"], 1)
    return {f"{make.__name__}/{key}": np.asarray(value) for key, value in found.items()}


def losses(keras, evaluate):
    """{name: array}: every loss on the same targets and outputs, `evaluate` giving a tensor's value."""
    random = np.random.RandomState(7)
    target, output = (random.rand(4, 3).astype("float32") for _ in range(2))
    return {f"losses/{name}": evaluate(getattr(keras.losses, name), target, output) for name in LOSSES}


def metrics(tf):
    """{name: array}: metrics with variables after the same batch twice."""
    random = np.random.RandomState(9)
    m = tf.keras.metrics
    truth, said, weight = (random.rand(12) > 0.5).astype("f"), random.rand(12).astype("f"), random.rand(12).astype("f")
    target, output, rows = random.rand(6, 4).astype("f"), random.rand(6, 4).astype("f"), random.rand(6).astype("f")
    output /= output.sum(1, keepdims=True)
    labels = random.randint(0, 4, (6, 1))
    hot = np.eye(4)[labels[:, 0]].astype("f")
    cases = [
        (m.AUC(), truth, said, weight), (m.AUC(curve="PR"), truth, said, weight),
        (m.AUC(5, summation_method="minoring"), truth, said, None), (m.AUC(thresholds=[0.2, 0.5]), truth, said, None),
        (m.Precision(), truth, said, weight), (m.Precision([0.3, 0.6]), truth, said, None),
        (m.Recall(0.2, class_id=1), hot, output, None), (m.Recall(0.1), hot, output, rows),
        (m.TruePositives(), truth, said, weight), (m.FalseNegatives(0.3), truth, said, None),
        (m.TrueNegatives(), truth, said, None), (m.FalsePositives(), hot, output, None),
        (m.SensitivityAtSpecificity(0.4), truth, said, None),
        (m.SpecificityAtSensitivity(0.6, 20), truth, said, weight),
        (m.BinaryAccuracy(threshold=0.4), truth[:, None], said[:, None], weight),
        (m.CategoricalAccuracy(), hot, output, rows), (m.SparseCategoricalAccuracy(), labels, output, rows),
        (m.TopKCategoricalAccuracy(k=2), hot, output, None),
        (m.SparseTopKCategoricalAccuracy(k=2), labels, output, rows),
        (m.MeanSquaredError(), target, output, rows), (m.RootMeanSquaredError(), target, output, rows),
        (m.CosineSimilarity(axis=0), target, output, None), (m.LogCoshError(), target, output, None),
        (m.KLDivergence(), target, output, rows), (m.BinaryCrossentropy(label_smoothing=0.1), hot, output, rows),
        (m.CategoricalCrossentropy(label_smoothing=0.1), hot, output, rows),
        (m.SparseCategoricalCrossentropy(), labels, output, None),
        (m.MeanRelativeError(target + 1.0), target, output, None),
    ]  # fmt: skip
    updates = [metric.update_state(*batch[:2], sample_weight=batch[2]) for metric, *batch in cases]
    results = [metric.result() for metric, *_ in cases]
    with tf.Session() as session:
        session.run([v.initializer for metric, *_ in cases for v in metric.variables])
        for _ in range(2):
            session.run(updates)
        found = session.run(results)
    return {f"metrics/{i}/{type(case[0]).__name__}": np.asarray(found[i]) for i, case in enumerate(cases)}
