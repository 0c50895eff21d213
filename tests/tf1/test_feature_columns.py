"""tf.feature_column and the ready estimators over it; the numbers are TensorFlow 1.15's for the same program."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf

column = tf.feature_column
NUMBERS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, -6.0]], np.float32)
WORDS, IDS = np.array(["x", "y", "q"]), np.array([[0, 2], [1, -1], [2, 2]])


def test_columns_side_by_side_and_their_weighted_sum():
    with tf.Graph().as_default(), tf.Session() as session:
        features = {"a": tf.constant(NUMBERS), "w": tf.constant(WORDS), "i": tf.constant(IDS)}
        number = column.numeric_column("a", 2)
        ids = column.categorical_column_with_identity("i", 3)
        words = column.categorical_column_with_vocabulary_list("w", ["x", "y"], num_oov_buckets=1)
        table = tf.constant_initializer([[1, 2], [3, 4], [5, 6]])
        columns = [number, column.bucketized_column(number, [0, 3.5]), column.indicator_column(words),
                   column.embedding_column(ids, 2, initializer=table)]  # fmt: skip
        layer = column.input_layer(features, columns)
        assert [v.name for v in tf.global_variables()] == ["input_layer/i_embedding/embedding_weights:0"]
        total = column.linear_model(features, [number, ids], units=2)
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        weights = tf.global_variables()[1:]
        assert [v.op.name for v in weights] == [f"linear_model/{n}" for n in ("a/weights", "i/weights", "bias_weights")]
        for variable in weights:
            shape = variable.shape.as_list()
            variable.load(np.arange(np.prod(shape)).reshape(shape) + 1, session)
        expected = [
            [1, 2, 0, 1, 0, 0, 1, 0, 3, 4, 1, 0, 0],
            [3, 4, 0, 1, 0, 0, 0, 1, 3, 4, 0, 1, 0],
            [5, -6, 0, 0, 1, 1, 0, 0, 5, 6, 0, 0, 1],
        ]
        np.testing.assert_allclose(session.run(layer), expected)
        np.testing.assert_allclose(session.run(total), [[14, 20], [19, 28], [-2, 0]])


def test_sequences_of_columns():
    with tf.Graph().as_default(), tf.Session() as session:
        sparse = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [2, 0, 1], [3, 2])
        numbers = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [0.5, 1.5, 2.5], [3, 2])
        ids = tf.contrib.feature_column.sequence_categorical_column_with_identity("i", 3)
        table = tf.constant_initializer([[1, 2], [3, 4], [5, 6]])
        columns = [
            column.embedding_column(ids, 2, initializer=table),
            tf.contrib.feature_column.sequence_numeric_column("n"),
        ]
        inputs, lengths = tf.contrib.feature_column.sequence_input_layer({"i": sparse, "n": numbers}, columns)
        session.run(tf.global_variables_initializer())
        expected = [[[5, 6, 0.5], [1, 2, 1.5]], [[3, 4, 2.5], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
        np.testing.assert_allclose(session.run(inputs), expected)
        np.testing.assert_array_equal(session.run(lengths), [2, 1, 0])


def batches():
    return tf.data.Dataset.from_tensors(({"a": NUMBERS, "w": WORDS}, np.array([0, 2, 1]))).repeat(20)


def columns_for_classes():
    words = column.categorical_column_with_vocabulary_list("w", ["x", "y", "q"])
    return [column.numeric_column("a", 2), column.indicator_column(words)]


def test_a_linear_classifier_learns_as_there(tmp_path):
    model = tf.estimator.LinearClassifier(columns_for_classes(), str(tmp_path), n_classes=3)
    model.train(batches)
    found = model.evaluate(batches, steps=1)
    assert found["global_step"] == 20
    np.testing.assert_allclose([found["average_loss"], found["loss"]], [0.06107379, 0.18322137], rtol=1e-5)
    first = next(model.predict(batches))
    assert first["classes"] == [b"0"]
    np.testing.assert_array_equal(first["all_class_ids"], [0, 1, 2])


def test_dense_models(tmp_path):
    model = tf.estimator.DNNClassifier(
        [4], columns_for_classes(), str(tmp_path / "classes"), label_vocabulary=["no", "yes"]
    )
    pairs = lambda: tf.data.Dataset.from_tensors(({"a": NUMBERS, "w": WORDS}, ["no", "yes", "no"])).repeat(30)  # noqa: E731
    model.train(pairs, steps=30)
    assert {"auc", "accuracy_baseline", "precision"} <= model.evaluate(pairs, steps=1).keys()
    assert "dnn/hiddenlayer_0/kernel" in model.get_variable_names()
    assert next(model.predict(pairs))["classes"] in (b"no", b"yes")
    regressor = tf.estimator.DNNRegressor([8], columns_for_classes()[:1], str(tmp_path / "numbers"), optimizer="Adam")
    regressor.train(lambda: tf.data.Dataset.from_tensors(({"a": NUMBERS}, NUMBERS.sum(1))).repeat(300))
    found = [float(p["predictions"][0]) for _, p in zip(range(3), regressor.predict(batches), strict=False)]
    np.testing.assert_allclose(found, NUMBERS.sum(1), atol=0.7)


def test_mistakes():
    ids = column.categorical_column_with_identity("i", 3)
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="must be a dense column"):
            column.input_layer({"i": tf.constant([[1]])}, [ids])
        with pytest.raises(ValueError, match="Feature z is not in features dictionary"):
            column.input_layer({}, [column.numeric_column("z")])
        with pytest.raises(ValueError, match="Duplicate feature column name"):
            column.input_layer({}, [column.numeric_column("z"), column.numeric_column("z")])
    with pytest.raises(NotImplementedError, match="weight_column"):
        tf.estimator.LinearClassifier([ids], weight_column="w")


def test_contrib_learns_ready_models_on_arrays(tmp_path):
    learn, random = tf.contrib.learn, np.random.RandomState(0)
    x = random.randn(60, 4).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 1)
    columns = learn.infer_real_valued_columns_from_input(x)
    model = learn.DNNClassifier(
        [8], columns, str(tmp_path / "classes"), n_classes=3, optimizer=tf.train.AdamOptimizer(0.05)
    )
    model.fit(x, y, steps=120, batch_size=20)
    found = model.evaluate(x, y)
    assert found["accuracy"] > 0.9
    classes = np.array(list(model.predict(x)))
    np.testing.assert_allclose(np.mean(classes == y), found["accuracy"], rtol=1e-6)
    probabilities = np.array(list(model.predict_proba(x[:5])))
    np.testing.assert_array_equal(probabilities.argmax(-1), classes[:5])
    line = learn.LinearRegressor([tf.contrib.layers.real_valued_column("", dimension=4)], str(tmp_path / "line"))
    line.fit(x, x[:, 0] * 2, steps=300)
    np.testing.assert_allclose(line.predict(x[:4], as_iterable=False), x[:4, 0] * 2, atol=0.3)
    with pytest.raises(NotImplementedError, match="DNNClassifier with enable_centered_bias"):
        learn.DNNClassifier([8], columns, enable_centered_bias=True)


def test_a_sequence_of_numbers_is_parsed_as_it_comes_and_padded_with_its_default():
    column = tf.contrib.feature_column.sequence_numeric_column("n", default_value=7.0)
    assert column.parse_spec == {"n": tf.VarLenFeature(tf.float32)}
    with tf.Graph().as_default(), tf.Session() as session:
        numbers = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 3.0], [2, 2])
        found, lengths = session.run(tf.contrib.feature_column.sequence_input_layer({"n": numbers}, [column]))
    np.testing.assert_array_equal(found, [[[1], [2]], [[3], [7]]])
    np.testing.assert_array_equal(lengths, [2, 1])


def test_the_variables_of_columns_are_told():
    words = tf.feature_column.categorical_column_with_hash_bucket("w", 5)
    embedded = tf.feature_column.embedding_column(words, 2)
    with tf.Graph().as_default():
        features, layer, model = {"w": tf.constant([["x"], ["y"]])}, {}, {}
        tf.feature_column.input_layer(features, [embedded], cols_to_vars=layer)
        tf.feature_column.linear_model(features, [words], cols_to_vars=model)
        with pytest.raises(ValueError, match="combiner must be one of"):
            tf.feature_column.input_layer(features, [tf.feature_column.embedding_column(words, 2, combiner="max")])
    assert [v.op.name for v in layer[embedded]] == ["input_layer/w_embedding/embedding_weights"]
    assert [v.op.name for v in model[words]] == ["linear_model/w/weights"]
    assert [v.op.name for v in model["bias"]] == ["linear_model/bias_weights"]
