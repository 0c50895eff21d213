"""What TensorFlow 1.15 says about wrong input: classes and messages recorded from it."""
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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


def _fed(make: Callable[..., Any], *shapes: tuple[int, ...]) -> Callable[[], None]:
    """Run what `make` builds of placeholders without shapes, fed with zeros of these shapes."""

    def run() -> None:
        given = [tf.placeholder(tf.float32, name=name) for name, _ in zip("abc", shapes, strict=False)]
        with tf.variable_scope("m"):
            made = make(*given)
        tf.Session().run(made, {x: np.zeros(shape) for x, shape in zip(given, shapes, strict=True)})

    return run


_INVALID = tf.errors.InvalidArgumentError
RUN_TIME = [
    (_fed(lambda a, b: tf.add(a, b, name="plus"), (2, 3), (4, 2)), "Incompatible shapes: [2,3] vs. [4,2].*[[node m/plus (defined at .*test_bad_input.py:"),
    (_fed(lambda a, b: a * b, (2, 3), (2, 4)), "Incompatible shapes: [2,3] vs. [2,4].*[[node m/mul"),
    (_fed(lambda a, b: tf.matmul(a, b, name="mm"), (2, 3), (4, 2)), "In[0] mismatch In[1] shape: 3 vs. 4: [2,3] [4,2] 0 0.*[[node m/mm"),
    (_fed(lambda a, b: tf.matmul(tf.reshape(a, [2, -1]), tf.reshape(b, [-1, 2])), (2, 3), (4, 2)), "Matrix size-incompatible: In[0]: [2,3], In[1]: [4,2].*[[node m/MatMul"),
    (_fed(lambda a, b: tf.concat([a, b], 0), (2, 3), (2, 2)), "ConcatOp : Dimensions of inputs should match: shape[0] = [2,3] vs. shape[1] = [2,2]"),
    (_fed(lambda a, b: tf.concat([a, b], 0), (2, 3), (3,)), "ConcatOp : Ranks of all input tensors should match: shape[0] = [2,3] vs. shape[1] = [3]"),
    (_fed(lambda a, b: tf.stack([a, b]), (2, 3), (3,)), "Shapes of all inputs must match: values[0].shape = [2,3] != values[1].shape = [3]"),
    (_fed(lambda a, b, c: tf.where(a > 0, b, c), (2, 3), (2, 3), (2, 4)), "Inputs to operation m/Select of type Select must have the same size and shape.  Input 0: [2,3] != input 2: [2,4]"),
    (_fed(lambda a, b: tf.add_n([a, b]), (2, 3), (2, 4)), "Inputs to operation m/AddN of type AddN must have the same size and shape.  Input 0: [2,3] != input 1: [2,4]"),
    (_fed(lambda a, b: tf.nn.bias_add(a, b), (2, 3), (4,)), "Must provide as many biases as the last dimension of the input tensor: [4] vs. [2,3]"),
    (_fed(lambda a: tf.transpose(a, [0, 2, 1]), (2, 3)), "transpose expects a vector of size 2. But input(1) is a vector of size 3"),
    (_fed(lambda a: tf.reduce_mean(a, [2]), (2, 3)), "Invalid reduction dimension (2 for input with 2 dimension(s)"),
    (_fed(lambda a: tf.argmax(a, 2), (2, 3)), "Expected dimension in the range [-2, 2), but got 2"),
    (_fed(lambda a: tf.expand_dims(a, 4), (2, 3)), "Tried to expand dim index 4 for tensor with 2 dimensions."),
    (_fed(lambda a, b: tf.nn.conv2d(a, b, [1, 1, 1, 1], "SAME"), (1, 4, 4, 3), (2, 2, 4, 5)), "input depth must be evenly divisible by filter depth: 3 vs 4"),
    (_fed(lambda a: tf.unstack(a, 3), (2, 3)), "Input shape axis 0 must equal 3, got shape [2,3]"),
    (_fed(lambda a, b: tf.nn.softmax_cross_entropy_with_logits(labels=a, logits=tf.zeros([2, 4]) + b), (2, 3), ()), "logits and labels must be broadcastable: logits_size=[2,4] labels_size=[2,3]"),
    (lambda: tf.Session().run(tf.constant(1) // tf.constant(0)), "Integer division by zero.*[[node floordiv"),
    (lambda: tf.Session().run(tf.gather(tf.zeros([3, 2]), [1, 7])), "indices[1] = 7 is not in [0, 3).*[[node GatherV2"),
]  # fmt: skip
BUILDING = [
    (lambda: bool(tf.zeros([1]) > 0), tf.errors.OperatorNotAllowedInGraphError, "using a `tf.Tensor` as a Python `bool` is not allowed in Graph execution."),
    (lambda: list(tf.placeholder(tf.float32, [None, 2])), TypeError, "iterating over `tf.Tensor` is not allowed in Graph execution."),
    (lambda: tf.constant([[1, 2], [3]]), ValueError, "Argument must be a dense tensor: [[1, 2], [3]] - got shape [2], but wanted [2, 2]."),
    (lambda: tf.constant([[[1], [2]], [[3], [4, 5]]]), ValueError, "got shape [2, 2], but wanted [2, 2, 1]."),
    (lambda: tf.matmul(tf.zeros([3]), tf.zeros([4, 5])), ValueError, "Shape must be rank 2 but is rank 1 for 'MatMul' (op: 'MatMul') with input shapes: [3], [4,5]."),
    (lambda: tf.matmul(tf.zeros([2, 3, 4]), tf.zeros([3, 4, 5])), ValueError, "Dimensions must be equal, but are 2 and 3 for 'MatMul' (op: 'BatchMatMulV2') with input shapes: [2,3,4], [3,4,5]."),
    (lambda: tf.add_n([tf.zeros([2]), tf.zeros([3])]), ValueError, "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3].\n\tFrom merging shape 0 with other shapes. for 'AddN'"),
    (lambda: tf.assign(tf.Variable(tf.zeros([2])), tf.zeros([3])), ValueError, "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3]. for 'Assign'"),
    (lambda: tf.assign(tf.Variable(tf.zeros([2])), tf.zeros([2, 3])), ValueError, "Shapes must be equal rank, but are 1 and 2 for 'Assign'"),
    (lambda: tf.train.GradientDescentOptimizer(0.1).apply_gradients([(tf.zeros([3]), tf.Variable(tf.zeros([2])))]), ValueError, "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3]. for 'GradientDescent/update_Variable/ApplyGradientDescent'"),
    (lambda: tf.concat([tf.zeros([2, 3]), tf.zeros([3])], 0), ValueError, "Shape must be rank 2 but is rank 1 for 'concat' (op: 'ConcatV2')"),
    (lambda: tf.zeros([2, 3])[0, 5], ValueError, "slice index 5 of dimension 1 out of bounds. for 'strided_slice' (op: 'StridedSlice') with input shapes: [2,3], [2], [2], [2] and with computed input tensors: input[1] = <0 5>, input[2] = <1 6>, input[3] = <1 1>."),
    (lambda: tf.reshape(tf.zeros([2, 3]), [4, 2]), ValueError, "for 'Reshape' (op: 'Reshape') with input shapes: [2,3], [2] and with input tensors computed as partial shapes: input[1] = [4,2]."),
    (lambda: tf.nn.conv2d(tf.zeros([1, 4, 4, 3]), tf.zeros([2, 2, 4, 5]), [1, 1, 1, 1], "SAME"), ValueError, "Depth of input (3) is not a multiple of input depth of filter (4) for 'Conv2D'"),
    (lambda: tf.nn.max_pool(tf.zeros([1, 4, 4, 3]), [1, 2, 2, 1], [1, 2, 2, 1], "FULL"), ValueError, "Attr 'padding' of 'MaxPool' Op passed string 'FULL' not in: \"SAME\", \"VALID\"."),
    (lambda: tf.linspace(0.0, 1.0, 0), ValueError, "Requires num > 0: 0 for 'LinSpace'"),
    (lambda: tf.fill([2, -1], 0.0), ValueError, "Fill dimensions must be >= 0 for 'Fill' (op: 'Fill') with input shapes: [2], [] and with input tensors computed as partial shapes: input[0] = [2,?]."),
    (lambda: tf.transpose(tf.zeros([2, 3]), [0, 5]), ValueError, "perm dim 5 is out of range of input rank 2 for 'transpose'"),
    (lambda: tf.nn.in_top_k(tf.zeros([2, 3]), tf.zeros([3], tf.int32), 1), ValueError, "Dimensions must be equal, but are 2 and 3 for 'in_top_k/InTopKV2'"),
    (lambda: tf.Session().run(tf.cast(tf.constant("a"), tf.float32)), tf.errors.UnimplementedError, "Cast string to float is not supported"),
    (lambda: tf.nn.rnn_cell.GRUCell(3).zero_state(2.5, tf.float32), ValueError, "Ambiguous dimension: 2.5"),
    (lambda: tf.no_op().run(), ValueError, "Cannot execute operation using `run()`: No default session is registered. Use `with sess.as_default():` or pass"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "kind", "message"), [*CASES, *BUILDING, *[(run, _INVALID, text) for run, text in RUN_TIME]]
)
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


def test_a_checkpoint_in_a_missing_folder_is_not_found(tmp_path: Any) -> None:
    tf.get_variable("w", [2])
    with pytest.raises(tf.errors.NotFoundError, match="No such file or directory"):
        tf.train.Saver().restore(tf.Session(), str(tmp_path / "none" / "model.ckpt"))


def test_what_a_python_function_raised_comes_with_its_class_and_lines() -> None:
    def fails(x: Any) -> Any:
        raise ValueError("inner trouble")

    with pytest.raises(_INVALID, match="ValueError: inner trouble") as error:
        tf.Session().run(tf.py_func(fails, [tf.zeros([1])], tf.float32))
    assert "in fails" in str(error.value)
