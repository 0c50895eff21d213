"""GraphDefs of our own graphs: there and back, frozen, cut down; loops, branches and gradients in them."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf

X = np.random.RandomState(0).rand(2, 4, 3).astype(np.float32)


def build(session, resource):
    with tf.variable_scope("net", use_resource=resource):
        x = tf.placeholder(tf.float32, [None, 4, 3], name="x")
        cell = tf.nn.rnn_cell.BasicLSTMCell(2)
        outputs, _ = tf.nn.dynamic_rnn(cell, x, [4, 2], dtype=tf.float32)
        chosen, noise = tf.cond(
            tf.reduce_sum(outputs) > 100, lambda: (outputs, tf.zeros([2])), lambda: (-outputs, tf.random_uniform([2]))
        )
        rows = tf.nn.embedding_lookup(tf.get_variable("rows", [5, 2]), [1, 3])
        loss = tf.add(tf.reduce_sum(chosen), tf.reduce_sum(rows), name="loss")
        tf.identity(tf.gradients(loss, x)[0], name="slope")
        tf.identity(noise, name="noise")
    session.run(tf.global_variables_initializer())
    return session.run(["net/loss:0", "net/slope:0"], {x: X})


def run(definition):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(definition, name="")
        assert not tf.global_variables()
        return session.run(["net/loss:0", "net/slope:0", "net/noise:0"], {"net/x:0": X})


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("as_text", [False, True])
def test_frozen_and_read_again(tmp_path, resource, as_text):
    names = ["net/loss", "net/slope", "net/noise"]
    with tf.Graph().as_default() as graph, tf.Session() as session:
        values = build(session, resource)
        kept = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)
        kept = tf.graph_util.remove_training_nodes(kept, protected_nodes=names)
    assert not {"VariableV2", "VarHandleOp", "ReadVariableOp", "Assign"} & {node.op for node in kept.node}
    path = tf.train.write_graph(kept, str(tmp_path), "frozen", as_text=as_text)
    read = tf.GraphDef()
    if as_text:
        from google.protobuf import text_format

        text_format.Merge(tf.gfile.GFile(path).read(), read)
    else:
        read.ParseFromString(tf.gfile.GFile(path, "rb").read())
    loss, slope, noise = run(read)
    np.testing.assert_allclose(loss, values[0], rtol=1e-6)
    np.testing.assert_allclose(slope, values[1], atol=1e-6)
    assert noise.min() > 0
    assert noise[0] != noise[1]


def test_a_whole_graph_there_and_back():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        build(session, False)
        definition = graph.as_graph_def()
        weights = session.run([op.outputs[0] for op in graph.get_operations() if op.type == "VariableV2"])
        expected = session.run("net/loss:0", {"net/x:0": X})
    with tf.Graph().as_default() as graph, tf.Session() as session:
        loss = tf.import_graph_def(definition, return_elements=["net/loss:0"], name="again")[0]
        assigned = [op for op in graph.get_operations() if op.type == "Assign"]
        session.run(assigned, {op.inputs[1]: value for op, value in zip(assigned, weights, strict=True)})
        np.testing.assert_allclose(session.run(loss, {"again/net/x:0": X}), expected, rtol=1e-6)


def test_parts_of_a_graph():
    with tf.Graph().as_default() as graph:
        a = tf.constant(1.0, name="a")
        b = tf.identity(a, name="b")
        with tf.control_dependencies([b]):
            tf.add(a, 2.0, name="c")
        tf.multiply(a, 3.0, name="d")
        definition = graph.as_graph_def()
    part = tf.graph_util.extract_sub_graph(definition, ["c"])
    assert [node.name for node in part.node] == ["a", "b", "c/y", "c"]
    with pytest.raises(AssertionError, match="e is not in graph"):
        tf.graph_util.extract_sub_graph(definition, ["e"])
    with pytest.raises(TypeError, match="dest_nodes must be a list"):
        tf.graph_util.extract_sub_graph(definition, "c")
    assert tf.graph_util.tensor_shape_from_node_def_name(graph, "c").as_list() == []
    assert tf.graph_util.must_run_on_cpu(tf.NodeDef(name="q", op="Queue"), pin_variables_on_cpu=True)
    assert [n.name for n in tf.graph_util.remove_training_nodes(definition).node] == ["a", "b", "c/y", "c", "d/y", "d"]
    with tf.Graph().as_default() as graph:
        tf.negative(tf.identity(tf.constant(1.0, name="a"), name="b"), name="c")
        lean = tf.graph_util.remove_training_nodes(graph.as_graph_def())
    assert [(n.name, list(n.input)) for n in lean.node] == [("a", []), ("c", ["a"])]


def test_only_some_variables():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        a, b = tf.Variable(2.0, name="a"), tf.Variable(3.0, name="b")
        tf.multiply(a, b, name="product")
        session.run(tf.global_variables_initializer())
        made = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["product"], ["a"])
    assert {n.name: n.op for n in made.node if n.name in "ab"} == {"a": "Const", "b": "VariableV2"}
