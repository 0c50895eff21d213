"""tf.layers' and tf.contrib.layers' convolutions: shapes, names and sums as TensorFlow 1.15 gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf

Graph = tf.Graph
ONES = tf.ones_initializer()
# expression -> (shape, variables, sum of the output for inputs 0, 1, 2 … and kernels of ones)
CASES: dict[str, Any] = {
    "tf.layers.conv1d(x(2, 6, 3), 4, 3, kernel_initializer=ONES)": (
        [2, 4, 4], ["conv1d/kernel", "conv1d/bias"], 5040.0,
    ),
    "tf.layers.conv2d(x(2, 5, 5, 2), 3, 3, strides=2, padding='same', kernel_initializer=ONES)": (
        [2, 3, 3, 3], ["conv2d/kernel", "conv2d/bias"], 29106.0,
    ),
    "tf.layers.conv3d(x(1, 3, 3, 3, 2), 2, 2, kernel_initializer=ONES)": (
        [1, 2, 2, 2, 2], ["conv3d/kernel", "conv3d/bias"], 6784.0,
    ),
    "tf.layers.separable_conv2d(x(1, 4, 4, 2), 3, 2, depthwise_initializer=ONES, pointwise_initializer=ONES)": (
        [1, 3, 3, 3],
        ["separable_conv2d/depthwise_kernel", "separable_conv2d/pointwise_kernel", "separable_conv2d/bias"], 3348.0,
    ),
    "tf.layers.conv2d_transpose(x(1, 3, 3, 2), 2, 2, strides=2, kernel_initializer=ONES)": (
        [1, 6, 6, 2], ["conv2d_transpose/kernel", "conv2d_transpose/bias"], 1224.0,
    ),
    "tf.layers.conv3d_transpose(x(1, 2, 2, 2, 1), 2, 2, kernel_initializer=ONES)": (
        [1, 3, 3, 3, 2], ["conv3d_transpose/kernel", "conv3d_transpose/bias"], 448.0,
    ),
    "tf.contrib.layers.conv2d(x(1, 4, 4, 1), 2, 3, weights_initializer=ONES)": (
        [1, 4, 4, 2], ["Conv/weights", "Conv/biases"], 1500.0,
    ),
    "tf.contrib.layers.conv2d_transpose(x(1, 3, 3, 1), 2, 2, weights_initializer=ONES)": (
        [1, 3, 3, 2], ["Conv2d_transpose/weights", "Conv2d_transpose/biases"], 160.0,
    ),
}  # fmt: skip


def _numbers(*shape: int) -> Any:
    return tf.constant(np.arange(np.prod(shape)).reshape(shape).astype(np.float32))


@pytest.mark.parametrize("expression", list(CASES))
def test_convolutions(expression: str) -> None:
    shape, names, total = CASES[expression]
    with Graph().as_default(), tf.Session() as session:
        output = eval(expression, {"tf": tf, "x": _numbers, "ONES": ONES})
        assert output.shape.as_list() == shape
        assert [v.op.name for v in tf.global_variables()] == names
        session.run(tf.global_variables_initializer())
        assert session.run(output).sum() == total
