"""Every optimizer, dense and sparse, against five steps of TensorFlow 1.15 (goldens optim_*)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf

GOLDENS = Path(__file__).parents[1] / "goldens" / "tf1"
T, CO = tf.train, tf.contrib.opt
CASES = {
    "sgd": lambda: T.GradientDescentOptimizer(0.1),
    "momentum": lambda: T.MomentumOptimizer(0.1, 0.9),
    "momentum_nesterov": lambda: T.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    "adagrad": lambda: T.AdagradOptimizer(0.1),
    "adagrad_acc": lambda: T.AdagradOptimizer(0.1, initial_accumulator_value=0.5),
    "adadelta": lambda: T.AdadeltaOptimizer(),
    "adadelta_lr1": lambda: T.AdadeltaOptimizer(1.0, rho=0.9, epsilon=1e-6),
    "rmsprop": lambda: T.RMSPropOptimizer(0.01),
    "rmsprop_momentum": lambda: T.RMSPropOptimizer(0.01, decay=0.8, momentum=0.9, epsilon=1e-3),
    "rmsprop_centered": lambda: T.RMSPropOptimizer(0.01, decay=0.8, momentum=0.5, epsilon=1e-3, centered=True),
    "adam": lambda: T.AdamOptimizer(),
    "adam_custom": lambda: T.AdamOptimizer(0.05, beta1=0.8, beta2=0.99, epsilon=1e-4),
    "ftrl": lambda: T.FtrlOptimizer(0.1),
    "ftrl_reg": lambda: T.FtrlOptimizer(
        0.1,
        learning_rate_power=-0.6,
        initial_accumulator_value=0.2,
        l1_regularization_strength=0.01,
        l2_regularization_strength=0.02,
    ),
    "ftrl_shrink": lambda: T.FtrlOptimizer(
        0.1,
        l1_regularization_strength=0.01,
        l2_regularization_strength=0.02,
        l2_shrinkage_regularization_strength=0.03,
    ),
    "prox_sgd": lambda: T.ProximalGradientDescentOptimizer(
        0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.02
    ),
    "prox_adagrad": lambda: T.ProximalAdagradOptimizer(
        0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.02
    ),
    "lazy_adam": lambda: CO.LazyAdamOptimizer(0.05),
    "nadam": lambda: CO.NadamOptimizer(0.05),
    "adamax": lambda: CO.AdaMaxOptimizer(0.05),
    "adamw": lambda: CO.AdamWOptimizer(weight_decay=0.01, learning_rate=0.05),
    "momentumw": lambda: CO.MomentumWOptimizer(weight_decay=0.01, learning_rate=0.05, momentum=0.9),
    "powersign": lambda: CO.PowerSignOptimizer(0.05),
    "addsign": lambda: CO.AddSignOptimizer(0.05),
    "adam_f64": lambda: T.AdamOptimizer(),
    "rmsprop_f64": lambda: T.RMSPropOptimizer(0.01),
}


def read(name: str) -> dict[str, np.ndarray]:
    path = GOLDENS / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"TensorFlow has no golden {name}")
    with np.load(path, allow_pickle=True) as stored:
        return dict(stored)


def compare(golden: dict[str, np.ndarray], session: tf.Session, loss: tf.Tensor, train: tf.Operation, feed) -> None:
    loose = 1e-12 if golden["loss_t0"].dtype == np.float64 else 1e-5

    def check(step: int) -> None:
        for variable in tf.global_variables():
            key = f"t{step}/{variable.op.name}"
            if key in golden:
                value = session.run(variable)
                assert value.dtype == golden[key].dtype
                scale = max(1.0, float(np.abs(golden[key]).max()))
                np.testing.assert_allclose(value, golden[key], rtol=0, atol=loose * scale, err_msg=key)

    names = {k.partition("/")[2] for k in golden if k.startswith("t5/")}
    assert {v.op.name for v in tf.global_variables()} == names
    check(0)
    for step in range(5):
        value, _ = session.run([loss, train], feed(step))
        np.testing.assert_allclose(value, golden[f"loss_t{step}"], rtol=loose)
        check(step + 1)


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
# momentumw's dense golden holds a race of TensorFlow's: one of the two variables had decayed when the loss was read
@pytest.mark.parametrize("name", [n for n in CASES if n != "momentumw"])
def test_dense(name: str, resource: bool) -> None:
    golden = read(f"optim_{name}")
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.Variable(golden["w0"], name="w", use_resource=resource)
        b = tf.Variable(golden["b0"], name="b", use_resource=resource)
        residual = tf.matmul(golden["x"], w) + b - golden["y"]
        loss = 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(residual), 1))
        optimizer = CASES[name]()
        train = optimizer.minimize(loss, global_step=tf.train.get_or_create_global_step())
        session.run(tf.global_variables_initializer())
        compare(golden, session, loss, train, lambda step: None)
        assert optimizer.get_slot_names() == json.loads(str(golden["meta"]))["slots"]


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("nadam", "adam_f64", "rmsprop_f64")])
def test_sparse(name: str) -> None:
    golden = read(f"optim_sparse_{name}")
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int32, [])
        table = tf.Variable(golden["emb0"], name="emb")
        rows = tf.nn.embedding_lookup(table, tf.gather(golden["ids"], step))
        loss = 0.5 * tf.reduce_sum(tf.square(rows - tf.gather(golden["tgt"], step)))
        train = CASES[name]().minimize(loss, global_step=tf.train.get_or_create_global_step())
        session.run(tf.global_variables_initializer())
        compare(golden, session, loss, train, lambda t: {step: t})


def test_dual_averaging() -> None:
    golden = read("optim_adagrad_da")
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.Variable(golden["w0"], name="w")
        step = tf.train.get_or_create_global_step()
        loss = 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(tf.matmul(golden["x"], w) - golden["y"]), 1))
        optimizer = T.AdagradDAOptimizer(0.1, step, l1_regularization_strength=0.01, l2_regularization_strength=0.02)
        train = optimizer.minimize(loss, global_step=step)
        session.run(tf.global_variables_initializer())
        compare(golden, session, loss, train, lambda t: None)


def test_moving_averages() -> None:
    golden = read("optim_ema")
    with tf.Graph().as_default(), tf.Session() as session:
        v = tf.Variable(np.array([1.0, -2.0], np.float32), name="v")
        c = tf.Variable(np.array([0.5, 0.25], np.float32), name="c")
        n = tf.Variable(0, name="n", trainable=False)
        averages = [
            tf.train.ExponentialMovingAverage(0.9, name="e1"),
            tf.train.ExponentialMovingAverage(0.99, num_updates=n, name="e2"),
            tf.train.ExponentialMovingAverage(0.9, zero_debias=True, name="e3"),
        ]
        applied = [averages[0].apply([v]), averages[1].apply([v])]
        u = v * 1.0
        applied.append(averages[2].apply([u]))
        sources = [v, v, u]
        meta = json.loads(str(golden["meta"]))
        assert [e.average_name(s) for e, s in zip(averages, sources, strict=True)] == meta["shadow"]
        assert [x.op.name for x in tf.global_variables()] == meta["names"]
        session.run(tf.global_variables_initializer())
        add = [tf.assign_add(v, c), tf.assign_add(n, 1)]
        for t in range(4):
            for one in add:
                session.run(one)
            session.run(applied)
            values = session.run([v] + [e.average(s) for e, s in zip(averages, sources, strict=True)])
            for value, key in zip(values, ("v", "e1", "e2", "e3"), strict=True):
                np.testing.assert_allclose(value, golden[f"{key}_t{t}"], rtol=1e-6, err_msg=f"{key}_t{t}")


def test_refusals() -> None:
    with tf.Graph().as_default():
        x = tf.Variable(1.0)
        with pytest.raises(ValueError, match="No variables to optimize"):
            T.GradientDescentOptimizer(0.1).minimize(tf.constant(1.0), var_list=[])
        with pytest.raises(ValueError, match="No gradients provided for any variable"):
            T.GradientDescentOptimizer(0.1).minimize(tf.constant(1.0), var_list=[x])
        with pytest.raises(ValueError, match="initial_accumulator_value must be positive"):
            T.AdagradOptimizer(0.1, initial_accumulator_value=0.0)
