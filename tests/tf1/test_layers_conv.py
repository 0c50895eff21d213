"""tf.layers' convolutions and poolings against TensorFlow 1.15 (uniform kernels of seed 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf

X = np.arange(120, dtype=np.float32).reshape(2, 6, 5, 2) / 50 - 1

# name -> (layer, shape, sum, sum of value * cos(index)) under TensorFlow 1.15
CASES: dict[str, tuple[Callable[..., Any], tuple[int, ...], float, float]] = {
    "conv2d": (
        lambda t, i: tf.layers.conv2d(t, 3, [3, 2], padding="same", activation=tf.nn.relu, kernel_initializer=i),
        (2, 6, 5, 3),
        48.1067,
        -0.2918,
    ),
    "strides": (
        lambda t, i: tf.layers.conv2d(t, 3, 3, strides=2, kernel_initializer=i),
        (2, 2, 2, 3),
        2.9402,
        -0.1796,
    ),
    "dilation": (
        lambda t, i: tf.layers.conv2d(t, 2, 2, dilation_rate=2, kernel_initializer=i),
        (2, 4, 3, 2),
        -3.6552,
        0.5691,
    ),
    "conv1d": (lambda t, i: tf.layers.conv1d(t[:, :, 0], 4, 3, kernel_initializer=i), (2, 4, 4), 0.0489, -6.0084),
    "transpose": (
        lambda t, i: tf.layers.conv2d_transpose(t, 2, 3, strides=2, padding="same", kernel_initializer=i),
        (2, 12, 10, 2),
        -11.2252,
        -0.3528,
    ),
    "separable": (
        lambda t, i: tf.layers.separable_conv2d(t, 3, 3, depthwise_initializer=i, pointwise_initializer=i),
        (2, 4, 3, 3),
        -9.7846,
        -0.5575,
    ),
    "max": (lambda t, i: tf.layers.max_pooling2d(t, 2, 2), (2, 3, 2, 2), 6.96, -1.9827),
    "average": (lambda t, i: tf.layers.average_pooling1d(t[:, :, 0], 2, 1), (2, 5, 2), 2.2, 0.2789),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    layer, shape, total, weighted = CASES[name]
    with tf.Graph().as_default(), tf.Session() as session:
        result = layer(tf.constant(X), tf.random_uniform_initializer(-1, 1, seed=7))
        session.run(tf.global_variables_initializer())
        value = session.run(result)
    assert value.shape == shape == tuple(result.get_shape().as_list())
    np.testing.assert_allclose(value.sum(), total, atol=2e-4)
    np.testing.assert_allclose((value.ravel() * np.cos(np.arange(value.size))).sum(), weighted, atol=2e-4)


def test_windows_may_be_dimensions():
    """A program of 2016 pools over what is left of an axis: shape[2] - width + 1 is a Dimension."""
    x = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 1, 6, 2))
    with tf.Session() as session:
        assert session.run(tf.nn.max_pool(x, [1, 1, x.shape[2] - 2, 1], [1, 1, 1, 1], "VALID")).tolist() == [
            [[[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]]
        ]
