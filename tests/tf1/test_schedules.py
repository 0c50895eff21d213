"""Learning-rate schedules against TensorFlow 1.15 (golden lr_schedules)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf

GOLDEN = np.load(Path(__file__).parents[1] / "goldens" / "tf1" / "lr_schedules.npz")
t = tf.train
CASES = {
    "exponential": lambda p: t.exponential_decay(0.1, p, 10, 0.96),
    "exponential_stair": lambda p: t.exponential_decay(0.1, p, 10, 0.96, staircase=True),
    "polynomial": lambda p: t.polynomial_decay(0.1, p, 20, 0.01, power=0.5),
    "polynomial_default": lambda p: t.polynomial_decay(0.1, p, 20),
    "polynomial_cycle": lambda p: t.polynomial_decay(0.1, p, 20, 0.01, power=2.0, cycle=True),
    "piecewise": lambda p: t.piecewise_constant(p, [10, 25], [1.0, 0.5, 0.1]),
    "inverse_time": lambda p: t.inverse_time_decay(0.1, p, 10, 0.5),
    "inverse_time_stair": lambda p: t.inverse_time_decay(0.1, p, 10, 0.5, staircase=True),
    "natural_exp": lambda p: t.natural_exp_decay(0.1, p, 10, 0.5),
    "natural_exp_stair": lambda p: t.natural_exp_decay(0.1, p, 10, 0.5, staircase=True),
    "cosine": lambda p: t.cosine_decay(0.1, p, 40),
    "cosine_alpha": lambda p: t.cosine_decay(0.1, p, 40, alpha=0.2),
    "cosine_restarts": lambda p: t.cosine_decay_restarts(0.1, p, 10, t_mul=2.0, m_mul=0.5, alpha=0.1),
    "cosine_restarts_t1": lambda p: t.cosine_decay_restarts(0.1, p, 10, t_mul=1.0),
    "linear_cosine": lambda p: t.linear_cosine_decay(0.1, p, 40, num_periods=0.5, alpha=0.1, beta=0.01),
}


@pytest.mark.parametrize("name", CASES)
def test_schedule(name: str) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = CASES[name](step)
        values = np.array([session.run(rate, {step: int(s)}) for s in GOLDEN["steps"]])
    assert values.dtype == GOLDEN[name].dtype
    np.testing.assert_allclose(values, GOLDEN[name], rtol=2e-6, atol=1e-8)


def test_a_schedule_needs_a_step() -> None:
    with pytest.raises(ValueError, match="global_step is required for exponential_decay"):
        tf.train.exponential_decay(0.1, None, 10, 0.5)
