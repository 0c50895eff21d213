"""Philox against arrays written by TensorFlow 1.15, bit for bit where the libm allows it."""

from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.ops.philox import Philox, StatelessPhilox, seed_pair

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "tf1" / "random_ops.npz")
LOGITS = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]], np.float32))

DRAWS = {
    "uniform": lambda p: p.uniform([10]),
    "uniform_2d": lambda p: p.uniform([37, 3]) * np.float32(5) + np.float32(-2),
    "uniform_big": lambda p: p.uniform([4100]),
    "uniform_f64": lambda p: p.uniform([11], np.float64),
    "uniform_f16": lambda p: p.uniform([11], np.float16),
    "uniform_i32": lambda p: p.integers([20], 3, 17),
    "uniform_i64": lambda p: p.integers([20], -5, 100, np.int64),
    "normal": lambda p: p.normal([11]),
    "normal_big": lambda p: p.normal([2050]),
    "normal_f64": lambda p: p.normal([11], np.float64),
    "truncated": lambda p: p.truncated_normal([13]),
    "truncated_big": lambda p: p.truncated_normal([2050]),
    "truncated_f64": lambda p: p.truncated_normal([13], np.float64),
    "shuffle": lambda p: p.permutation(20).astype(np.int32),
    "multinomial": lambda p: p.multinomial(LOGITS, 12),
}
KEYS = [key[: -len("/run0")] for key in GOLDENS.files if key.endswith("/run0")]


@pytest.mark.parametrize("key", KEYS)
def test_every_run_gives_tensorflows_values(key: str) -> None:
    draw = DRAWS[key.split("/")[0]]
    stream = Philox(*(int(s) for s in GOLDENS[key + "/seeds"]))
    for run in ("run0", "run1"):
        if f"{key}/{run}" in GOLDENS.files:
            expected, got = GOLDENS[f"{key}/{run}"], draw(stream)
            assert got.dtype == expected.dtype
            if got.dtype == np.float32 and key.startswith(("normal", "truncated")):
                np.testing.assert_allclose(got, expected, rtol=0, atol=3e-7)  # one unit of the libm's sinf and logf
            elif got.dtype == np.float64 and not key.startswith("uniform"):
                np.testing.assert_allclose(got, expected, rtol=1e-14)
            else:
                np.testing.assert_array_equal(got, expected)


def test_seed_pair_rules() -> None:
    assert seed_pair(None, None) == (0, 0)
    assert seed_pair(None, 7) == (87654321, 7)
    assert seed_pair(1234, None, op_id=3) == (1234, 3)
    assert seed_pair(1234, 7) == (1234, 7)
    assert seed_pair(0, 0) == (0, 2**31 - 1)
    assert seed_pair(2**31 - 1, 2**31) == (0, 1)


def test_a_stateless_stream_depends_on_both_seeds_only() -> None:
    first = StatelessPhilox(1, 2).uniform([3])
    np.testing.assert_array_equal(first, StatelessPhilox(1, 2).uniform([3]))
    assert not np.array_equal(first, StatelessPhilox(2, 1).uniform([3]))


def test_seeds_count_the_operations_that_a_cell_is_made_of() -> None:
    """Of the second and third of three cells, whose variables are drawn after the first's step; numbers of 1.15."""
    with tf.Graph().as_default():
        tf.set_random_seed(7)
        x = tf.zeros([2, 3])
        for scope in ("one", "two"):
            with tf.variable_scope(scope):
                tf.contrib.rnn.IndyGRUCell(2)(x, tf.zeros([2, 2]))
        pair = tf.nn.rnn_cell.LSTMStateTuple(tf.zeros([2, 2]), tf.zeros([2, 2]))
        with tf.variable_scope("three"):
            tf.contrib.rnn.PhasedLSTMCell(2)((tf.zeros([2, 1]), x), pair)
        found = {variable.op.name: variable for variable in tf.global_variables()}
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = {name: session.run(variable) for name, variable in found.items()}
    np.testing.assert_allclose(values["two/indy_gru_cell/candidate/kernel_u"], [[-0.09711337, 0.03168917]], rtol=1e-6)
    np.testing.assert_allclose(values["three/phased_lstm_cell/period"], [180.38615, 12.219825], rtol=1e-6)
    np.testing.assert_allclose(values["three/phased_lstm_cell/phase"], [82.29109, 4.487946], rtol=1e-6)
