"""tf.saved_model: a graph with tables and a loop, written here and loaded in another process; what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf

LOADER = """
import sys
import numpy as np
import recurra.tf1 as tf
call = tf.contrib.predictor.from_saved_model(sys.argv[1])
found = call({"x": np.ones((2, 4, 3)), "words": [b"b", b"unknown"]})
np.savez(sys.argv[2], **found)
"""


def save(folder: str) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 4, 3])
        words = tf.placeholder(tf.string, [None])
        table = tf.contrib.lookup.index_table_from_tensor(tf.constant(["a", "b"]))
        _, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(5), x, dtype=tf.float32)
        scores = tf.layers.dense(state, 2)
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        outputs = {"scores": scores, "ids": table.lookup(words)}
        inputs = {"x": x, "words": words}
        tf.saved_model.simple_save(session, folder, inputs, outputs, legacy_init_op=tf.tables_initializer())
        value: np.ndarray = session.run(scores, {x: np.ones((2, 4, 3))})
        return value


def test_another_process_serves_it(tmp_path: Path) -> None:
    folder, answer = str(tmp_path / "model"), str(tmp_path / "answer.npz")
    wanted = save(folder)
    subprocess.run([sys.executable, "-c", LOADER, folder, answer], check=True, timeout=300)
    with np.load(answer) as found:
        np.testing.assert_array_equal(found["scores"], wanted)
        np.testing.assert_array_equal(found["ids"], [1, -1])


def test_loading_by_tags_and_signature(tmp_path: Path) -> None:
    folder = str(tmp_path / "model")
    wanted = save(folder)
    assert tf.saved_model.loader.maybe_saved_model_directory(folder)
    with tf.Session(graph=tf.Graph()) as session:
        meta = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], folder)
        key = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        signature = meta.signature_def[key]
        assert signature.method_name == tf.saved_model.signature_constants.PREDICT_METHOD_NAME
        name = signature.outputs["scores"].name
        value = session.run(name, {signature.inputs["x"].name: np.ones((2, 4, 3))})
    np.testing.assert_array_equal(value, wanted)
    with tf.Session(graph=tf.Graph()) as session, pytest.raises(RuntimeError, match="could not be found in SavedModel"):
        tf.saved_model.loader.load(session, ["train"], folder)
    with pytest.raises(AssertionError, match="already exists"):
        tf.saved_model.builder.SavedModelBuilder(folder)
    with tf.Session(graph=tf.Graph()) as session, pytest.raises(OSError, match="does not exist"):
        tf.saved_model.loader.load(session, ["serve"], str(tmp_path))


def test_an_estimators_export(tmp_path: Path) -> None:
    def model(features: dict, labels: object, mode: str) -> object:
        line = tf.layers.dense(features["x"], 1, kernel_initializer=tf.constant_initializer([[2.0], [3.0]]))
        if mode == tf.estimator.ModeKeys.PREDICT:
            return tf.estimator.EstimatorSpec(mode, predictions={"line": line})
        train = tf.train.GradientDescentOptimizer(0.0).minimize(tf.reduce_sum(line), tf.train.get_global_step())
        return tf.estimator.EstimatorSpec(mode, loss=tf.reduce_sum(line), train_op=train)

    def receiver() -> object:
        places = {"x": tf.placeholder(tf.float32, [None, 2])}
        return tf.estimator.export.ServingInputReceiver(places, places)

    estimator = tf.estimator.Estimator(model, str(tmp_path / "model"))
    estimator.train(lambda: ({"x": tf.ones([4, 2])}, tf.zeros([4])), steps=1)
    folder = estimator.export_saved_model(str(tmp_path / "served"), receiver)
    call = tf.contrib.predictor.from_saved_model(folder)
    np.testing.assert_allclose(call({"x": [[1.0, 1.0], [0.0, 2.0]]})["line"], [[5.0], [6.0]])
    with pytest.raises(ValueError, match="unexpected keys"):
        call({"z": 1})


def test_a_predictor_takes_a_signature_of_the_callers(tmp_path: Path) -> None:
    folder = str(tmp_path / "model")
    wanted = save(folder)
    with pytest.raises(ValueError, match=r"'scoring'.*\['serving_default'\]"):
        tf.contrib.predictor.from_saved_model(folder, signature_def_key="scoring")
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.saved_model.loader.load(session, ["serve"], folder).signature_def["serving_default"]
    own = tf.saved_model.build_signature_def({"values": given.inputs["x"]}, {"found": given.outputs["scores"]})
    found = tf.contrib.predictor.from_saved_model(folder, signature_def=own)({"values": np.ones((2, 4, 3))})
    np.testing.assert_array_equal(found["found"], wanted)
