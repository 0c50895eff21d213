"""Names, scopes, collections and lookups of graphs, as TensorFlow 1.15 has them."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import surface
from recurra.tf1.graph import Graph


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        yield


def names() -> list[str]:
    return [op.name for op in tf.get_default_graph().get_operations()]


def test_operations_are_numbered_and_constants_are_named_by_argument():
    x = tf.placeholder(tf.float32, [2])
    for _ in range(2):
        x = x + 1
    assert names() == ["Placeholder", "add/y", "add", "add_1/y", "add_1"]


def test_name_scopes_are_made_unique_and_can_be_entered_again():
    with tf.name_scope("a") as first:
        tf.constant(1)
    with tf.name_scope("a"):
        tf.constant(1)
    with tf.name_scope(first):
        tf.constant(1)
    assert names() == ["a/Const", "a_1/Const", "a/Const_1"]


def test_names_ignore_case_when_they_are_made_unique():
    tf.constant(1, name="A")
    assert tf.constant(1, name="a").op.name == "a_1"


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("x", ValueError, "looks like an \\(invalid\\) Operation name|refers to an Operation, not a Tensor"),
        ("nothing:0", KeyError, "does not exist in the graph"),
        ("x:7", KeyError, "exists but only has 1 outputs"),
        ("x:y", ValueError, "not a valid one"),
        (3, TypeError, "Tensor names are strings"),
    ],
)
def test_lookup_errors(name, error, text):
    tf.constant(1, name="x")
    with pytest.raises(error, match=text):
        tf.get_default_graph().get_tensor_by_name(name)


def test_lookups():
    x = tf.constant(1, name="x")
    graph = tf.get_default_graph()
    assert graph.get_tensor_by_name("x:0") is x
    assert graph.get_operation_by_name("x") is x.op
    with pytest.raises(KeyError, match="refers to an Operation not in the graph"):
        graph.get_operation_by_name("y")


def test_collections_filter_by_scope():
    with tf.variable_scope("s"):
        inside = tf.get_variable("w", [1])
    tf.get_variable("v", [1])
    assert tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, scope="s") == [inside]
    tf.add_to_collection("mine", 3)
    assert tf.get_collection_ref("mine") == [3]


def test_control_dependencies_are_recorded_once_and_can_be_forgotten():
    a, b = tf.constant(1, name="a"), tf.constant(2, name="b")
    with tf.control_dependencies([a]):
        c = tf.identity(b)
        d = tf.identity(c)
        with tf.control_dependencies(None):
            e = tf.identity(b)
    assert c.op.control_inputs == [a.op]
    assert d.op.control_inputs == []  # its input already waits
    assert e.op.control_inputs == []


def test_a_finalized_graph_cannot_grow():
    tf.get_default_graph().finalize()
    with pytest.raises(RuntimeError, match="Graph is finalized and cannot be modified"):
        tf.constant(1)


def test_tensors_of_two_graphs_do_not_mix():
    x = tf.constant(1.0)
    with Graph().as_default(), pytest.raises(ValueError, match="same graph"):
        tf.add(x, tf.constant(1.0))


@pytest.mark.parametrize("use", [bool, iter, len])
def test_a_tensor_is_no_python_value(use):
    with pytest.raises(TypeError):
        use(tf.constant([1]))


def test_a_tensor_shows_its_static_shape():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    assert str(x) == 'Tensor("x:0", shape=(?, 3), dtype=float32)'
    assert repr(x) == "<tf.Tensor 'x:0' shape=(?, 3) dtype=float32>"


def test_shape_errors_name_the_operation_and_both_shapes():
    with (
        tf.name_scope("layer"),
        pytest.raises(
            ValueError,
            match=r"Dimensions must be equal, but are 3 and 4 for 'layer/MatMul' \(op: 'MatMul'\) with input shapes: \[2,3\], \[4,5\]",  # noqa: E501
        ),
    ):
        tf.matmul(tf.zeros([2, 3]), tf.zeros([4, 5]))


def test_dtype_errors_name_argument_and_operation():
    with pytest.raises(
        TypeError, match="Input 'y' of 'Mul' Op has type int32 that does not match type float32 of argument 'x'"
    ):
        tf.multiply(tf.constant(1.0), tf.constant(1))


def test_devices_merge():
    with tf.device("/job:worker"), tf.device("/cpu:1"):
        assert tf.constant(1).device == "/job:worker/device:CPU:1"


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1, "int32", ()),
        (1.5, "float32", ()),
        ([[1, 2]], "int32", (1, 2)),
        (2**40, "int64", ()),
        (True, "bool", ()),
        ("a", "string", ()),
        (np.float64(1), "float64", ()),
        ([], "float32", (0,)),
    ],
)
def test_constants_take_tensorflows_dtypes(value, dtype, shape):
    made = tf.constant(value)
    assert (made.dtype.name, tuple(made.shape.as_list())) == (dtype, shape)


def test_constant_repeats_its_last_value():
    with tf.Session() as session:
        assert session.run(tf.constant([1, 2], shape=[2, 2])).tolist() == [[1, 2], [2, 2]]


def test_a_bad_scope_name_leaves_no_graph_open() -> None:
    before = tf.get_default_graph()
    with Graph().as_default() as inner:
        for scope in (tf.variable_scope, tf.name_scope):
            with pytest.raises(ValueError, match="is not a valid scope name"), scope("_"):
                pass
        assert tf.get_default_graph() is inner
    assert tf.get_default_graph() is before


def test_a_store_gives_what_it_has_where_reuse_is_not_said() -> None:
    store = surface.lookup("python.ops.variable_scope._get_default_variable_store")()
    v = store.get_variable("kept", [1])
    assert store.get_variable("kept", [1]) is v
    text = tf.get_variable("text", [], tf.string)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(text) == b""
