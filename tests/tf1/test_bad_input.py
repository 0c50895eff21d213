"""What TensorFlow 1.15 says about wrong input: classes and messages recorded from it."""
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable

import pytest

import recurra.tf1 as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def _other_depth() -> None:
    cell = tf.nn.rnn_cell.BasicLSTMCell(4)
    tf.nn.dynamic_rnn(cell, tf.zeros([2, 3, 5]), dtype=tf.float32, scope="a")
    tf.nn.dynamic_rnn(cell, tf.zeros([2, 3, 6]), dtype=tf.float32, scope="b")


def _shared_layers() -> None:
    cells = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.GRUCell(4)] * 2)
    tf.nn.dynamic_rnn(cells, tf.zeros([2, 3, 5]), dtype=tf.float32)


def _other_graph() -> None:
    with tf.Graph().as_default():
        a = tf.zeros([2], name="a")
    tf.zeros([2]) + a


def _float_ids() -> None:
    tf.nn.embedding_lookup(tf.zeros([5, 2]), tf.zeros([3]))


def _product() -> None:
    with tf.variable_scope("m"):
        tf.matmul(tf.zeros([2, 3]), tf.zeros([4, 5]), name="prod")


def _unfed() -> None:
    tf.Session().run(tf.placeholder(tf.float32, [None, 3], name="x") * 2)


def _uninitialized() -> None:
    tf.Session().run(tf.Variable([1.0], name="v") * 2)


CASES = [
    (_float_ids, TypeError, r"Value passed to parameter 'indices' has DataType float32 not in list of allowed values: int32, int64"),
    (_other_depth, ValueError, "Dimensions must be equal, but are 10 and 9 for '.*' (op: 'MatMul') with input shapes: [2,10], [9,16]."),
    (_shared_layers, ValueError, "Dimensions must be equal, but are 8 and 9 for '.*' (op: 'MatMul') with input shapes: [2,8], [9,8]."),
    (_other_graph, ValueError, 'Tensor("a:0", shape=(2,), dtype=float32) must be from the same graph as Tensor("zeros:0", shape=(2,), dtype=float32).'),
    (_product, ValueError, "Dimensions must be equal, but are 3 and 4 for 'm/prod' (op: 'MatMul') with input shapes: [2,3], [4,5]."),
    (_unfed, tf.errors.InvalidArgumentError, "You must feed a value for placeholder tensor 'x' with dtype float and shape [?,3]"),
    (_uninitialized, tf.errors.FailedPreconditionError, "Attempting to use uninitialized value v"),
    (lambda: tf.zeros([2]).eval(), ValueError, "Cannot evaluate tensor using `eval()`: No default session is registered."),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "message"), CASES)
def test_classes_and_messages_of_tensorflow(wrong: Callable[[], None], kind: type, message: str) -> None:
    with pytest.raises(kind) as error:
        wrong()
    here = 0
    for part in message.split(".*"):
        here = str(error.value).find(part, here)
        assert here >= 0, str(error.value)


def test_a_second_variable_of_one_name_says_where_the_first_was_made() -> None:
    tf.get_variable("w", [2])  # first
    with pytest.raises(ValueError, match="already exists, disallowed") as error:
        tf.get_variable("w", [2])
    assert "# first" in str(error.value) and "scopes.py" not in str(error.value)
