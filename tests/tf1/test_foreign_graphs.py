"""Graphs that TensorFlow 1.15 wrote: the meta graph trains on, frozen graph and SavedModels answer as there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf

FOLDER = Path(__file__).parents[1] / "goldens" / "graphs"
PREFIX = str(FOLDER / "lstm")
FEEDS = {"x:0": np.array([[1, 4, 2, 0], [3, 3, 0, 0], [5, 1, 2, 6]]), "n:0": [3, 2, 4], "y:0": [0, 2, 1]}


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "lstm.npz") as file:
        return dict(file)


def frozen():
    definition = tf.GraphDef()
    with tf.gfile.FastGFile(f"{PREFIX}_frozen.pb", "rb") as file:
        definition.ParseFromString(file.read())
    return definition


def test_a_meta_graph_is_restored_and_trained_on(expected):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        saver = tf.train.import_meta_graph(f"{PREFIX}.meta")
        saver.restore(session, PREFIX)
        assert [v.name for v in tf.trainable_variables()] == [
            "embedding:0", "rnn/basic_lstm_cell/kernel:0", "rnn/basic_lstm_cell/bias:0", "out/kernel:0", "out/bias:0",
        ]  # fmt: skip
        assert tf.train.get_global_step() in tf.global_variables()
        probs = tf.get_collection("probs")[0]
        assert probs is graph.get_tensor_by_name("probs:0")
        np.testing.assert_allclose(session.run(probs, FEEDS), expected["probs"], rtol=1e-5)
        np.testing.assert_allclose(session.run(probs, {**FEEDS, "keep:0": 0.1}), expected["probs_low"], rtol=1e-5)
        losses = [session.run(["loss:0", "train"], FEEDS)[0] for _ in range(4)]
        np.testing.assert_allclose(losses, expected["losses"], rtol=1e-5)


def test_gradients_through_a_foreign_loop_are_those_in_its_graph():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(f"{PREFIX}.meta").restore(session, PREFIX)
        kernel = tf.trainable_variables()[1]
        here = tf.gradients(graph.get_tensor_by_name("loss:0"), kernel)[0]
        there = graph.get_tensor_by_name("gradients/rnn/while/basic_lstm_cell/MatMul/Enter_grad/b_acc_3:0")
        a, b = session.run([here, there], FEEDS)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_graphs_own_save_and_restore_operations(tmp_path, expected):
    path = str(tmp_path / "copy")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(f"{PREFIX}.meta")
        session.run("save/restore_all", {"save/Const:0": PREFIX})
        session.run("save/control_dependency:0", {"save/Const:0": path})
    assert tf.train.list_variables(path) == tf.train.list_variables(PREFIX)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(f"{PREFIX}.meta", import_scope="old").restore(session, path)
        feeds = {f"old/{name}": value for name, value in FEEDS.items()}
        np.testing.assert_allclose(session.run("old/probs:0", feeds), expected["probs"], rtol=1e-5)


def test_a_frozen_graph_with_an_input_of_ours(expected):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        probs, operation = tf.import_graph_def(
            frozen(), {"x": tf.constant(FEEDS["x:0"], tf.int32)}, ["probs:0", "probs"], name="net"
        )
        assert probs.name == "net/probs:0"
        assert operation is probs.op
        assert [op.name for op in graph.get_operations() if op.type == "Placeholder"] == ["net/x", "net/n"]
        np.testing.assert_allclose(session.run(probs, {"net/n:0": FEEDS["n:0"]}), expected["probs"], rtol=1e-5)


def test_a_saved_model_with_a_table_from_a_file_beside_it(tmp_path):
    folder = shutil.copytree(FOLDER / "lookup_saved", tmp_path / "moved")
    call = tf.contrib.predictor.from_saved_model(str(folder))
    np.testing.assert_array_equal(call({"words": ["three", "one"]})["scores"], [2.5, 0.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.node.add(name="late", op="Identity", input=["nowhere"]), "Node 'late': Unknown input node"),
        (lambda g: g.node.add(name="late", op="Identity", input=["probs:1"]), "invalid output 1 of source node probs"),
        (lambda g: g.node.add(name="late", op="Add", input=["probs"]), "Node 'late': expected 2 inputs but 1 were"),
        (lambda g: g.node.add(name="probs", op="NoOp"), "Node 'probs' is not unique"),
    ],
)  # fmt: skip
def test_graphs_that_are_wrong(change, message):
    definition = frozen()
    change(definition)
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        tf.import_graph_def(definition)


def test_names_that_are_not_there():
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match=r"not found in graph_def: \[z:0\]"):
            tf.import_graph_def(frozen(), {"z": tf.constant(1)})
        with pytest.raises(ValueError, match="Requested return_element 'z:0' not found in graph_def"):
            tf.import_graph_def(frozen(), return_elements=["z:0"])
        with pytest.raises(TypeError, match="graph_def must be a GraphDef proto"):
            tf.import_graph_def("")


def test_an_operation_that_is_not_here_fails_when_it_runs(expected):
    definition = frozen()
    strange = definition.node.add(name="strange", op="FlyToTheMoon", input=["probs"])
    strange.attr["T"].type = tf.float32.as_datatype_enum
    definition.node.add(name="after", op="Identity", input=["strange"]).attr["T"].type = strange.attr["T"].type
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(definition, name="")
        feeds = {name: FEEDS[name] for name in ("x:0", "n:0")}
        np.testing.assert_allclose(session.run("probs:0", feeds), expected["probs"], rtol=1e-5)
        with pytest.raises(NotImplementedError, match="'FlyToTheMoon' is not implemented"):
            session.run("after:0", feeds)
