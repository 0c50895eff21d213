"""tf.contrib.recurrent's loop, Defun, raw operations and the checkpoint converter."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import checkpoint, surface
from recurra.tf1.graph import Graph

State = namedtuple("State", "value power")


def _run(fetches: Any) -> Any:
    with tf.Session() as session:
        return session.run(fetches)


def _polynomial(theta: Any, state: State, row: Any) -> tuple[State, Any]:
    return State(state.value + row * state.power, state.power * theta), []


@pytest.mark.parametrize("given", [False, True])
def test_recurrent_sums_a_polynomial_and_its_gradients(given: bool) -> None:
    """1 + 2x + 3x² at x = 2, step by step; the same with the step's gradient written by hand."""

    def gradient(theta: Any, state: State, row: Any, extras: Any, d: State) -> Any:
        return d.power * state.power, State(d.value, d.value * row + d.power * theta), d.value * state.power

    with Graph().as_default():
        x, coefficients = tf.constant(2.0), tf.constant([1.0, 2.0, 3.0])
        states, last = tf.contrib.recurrent.Recurrent(
            x,
            State(tf.constant(0.0), tf.constant(1.0)),
            coefficients,
            _polynomial,
            cell_grad=gradient if given else None,
        )
        dx, dc = tf.gradients(last.value, [x, coefficients])
        values, powers, value, dx, dc = _run([states.value, states.power, last.value, dx, dc])
    np.testing.assert_array_equal(values, [1, 5, 17])
    np.testing.assert_array_equal(powers, [2, 4, 8])
    assert (value, dx) == (17, 14)  # 2 + 6x
    np.testing.assert_array_equal(dc, [1, 2, 4])


@pytest.mark.parametrize(("aligned_end", "expected"), [(False, [1, 5, 0]), (True, [0, 2, 8])])
def test_recurrent_leaves_rows_outside_the_length_at_zero(aligned_end: bool, expected: list[int]) -> None:
    with Graph().as_default():
        states, last = tf.contrib.recurrent.Recurrent(
            tf.constant(2.0),
            State(tf.constant(0.0), tf.constant(1.0)),
            tf.constant([1.0, 2.0, 3.0]),
            _polynomial,
            max_input_length=tf.constant(2),
            aligned_end=aligned_end,
        )
        values, value = _run([states.value, last.value])
    np.testing.assert_array_equal(values, expected)
    assert value == max(expected)


def test_defun_uses_the_gradient_that_it_is_given() -> None:
    defun = surface.lookup("python.framework.function.Defun")
    with Graph().as_default():
        square = defun(tf.float32, python_grad_func=lambda op, dy: 10.0 * dy * op.inputs[0])(lambda x: x * x)
        plain = defun(tf.float32, func_name="plain")(lambda x: x * x)
        x = tf.constant(3.0)
        assert _run([square(x), tf.gradients(square(x), x)[0]]) == [9, 30]
        assert _run([plain(x), tf.gradients(plain(x), x)[0]]) == [9, 6]
        with pytest.raises(ValueError, match="Expected number of arguments: 1, received: 2"):
            plain(x, x)


def test_a_gradient_inside_a_custom_gradient_ends_at_its_own_arguments() -> None:
    """x·x differentiated inside by its two arguments one at a time, which are the same tensor outside."""
    with Graph().as_default():

        @tf.custom_gradient
        def product(a: Any, b: Any) -> Any:
            y = a * b
            return y, lambda dy: tf.gradients(y, [a, b], grad_ys=dy)

        x = tf.constant(3.0)
        z = x * 2.0
        assert _run(tf.gradients(product(z, z * x), x)[0]) == 108  # d(4x³)/dx


def test_generated_functions_add_one_operation() -> None:
    with Graph().as_default():
        concat = surface.lookup("python.ops.gen_array_ops.concat_v2")([[1, 2], [3]], 0, name="joined")
        loss, backprop = surface.lookup("python.ops.gen_nn_ops.softmax_cross_entropy_with_logits")(
            features=[[0.0, 0.0]], labels=[[1.0, 0.0]]
        )
        both = surface.lookup("python.ops.gen_bitwise_ops.bitwise_and")(12, 10)
        assert (concat.name, concat.op.type) == ("joined:0", "ConcatV2")
        values = _run([concat, loss, backprop, both])
    np.testing.assert_array_equal(values[0], [1, 2, 3])
    np.testing.assert_allclose(values[1], [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(values[2], [[-0.5, 0.5]])
    assert values[3] == 8
    with pytest.raises(TypeError, match="missing its argument 'axis'"):
        tf.raw_ops.ConcatV2(values=[[1], [2]])


def test_block_lstm_v2_has_its_gates_in_another_order() -> None:
    """Values of TensorFlow 1.15.0; its gradient of the weights comes in the first version's order."""
    weights = np.random.RandomState(0).rand(50).astype(np.float32)
    with Graph().as_default():
        w, b = tf.constant(weights[:24].reshape(3, 8)), tf.constant(weights[24:32])
        x, c, h = (tf.constant(part) for part in (weights[32:33].reshape(1, 1, 1), weights[34:36], weights[36:38]))
        peeps = [tf.zeros([2])] * 3
        made = surface.lookup("python.ops.gen_rnn_ops.block_lstmv2")(
            tf.constant(1, tf.int64), x, c[None], h[None], w, *peeps, b
        )
        old = surface.lookup("python.ops.gen_rnn_ops.block_lstm")(
            tf.constant(1, tf.int64), x, c[None], h[None], tf.gather(w, [0, 1, 4, 5, 2, 3, 6, 7], axis=1), *peeps,
            tf.gather(b, [0, 1, 4, 5, 2, 3, 6, 7]), forget_bias=0.0, cell_clip=0.0,
        )  # fmt: skip
        new_h, old_h, gradient = _run([made[6], old[6], tf.gradients(made[6], w)[0]])
    np.testing.assert_array_equal(new_h, old_h)
    np.testing.assert_allclose(new_h, V2_H, rtol=1e-5)
    np.testing.assert_allclose(gradient, V2_GRADIENT, rtol=1e-4)


V2_H = [[[0.4117665, 0.7402346]]]
V2_GRADIENT = [
    [0.0374029, 0.0111919, 0.0194596, 0.0085393, 0.0006074, 0.0057093, 0.0585393, 0.0514599],
    [0.0501899, 0.0150181, 0.0261123, 0.0114586, 0.000815, 0.0076612, 0.0785523, 0.0690526],
    [0.0505866, 0.0151368, 0.0263187, 0.0115492, 0.0008214, 0.0077217, 0.0791733, 0.0695984],
]


def test_checkpoint_convert_renames_what_1_2_renamed(tmp_path: Path) -> None:
    convert = surface.lookup("contrib.rnn.python.tools.checkpoint_convert.convert_names")
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    with Graph().as_default(), tf.Session() as session:
        for name in ("rnn/basic_lstm_cell/weights", "rnn/basic_lstm_cell/biases", "softmax/weights"):
            tf.Variable(1.0, name=name)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, old)
    variables, renamed = convert(old, new, write_v1_checkpoint=True)
    assert renamed == {
        "rnn/basic_lstm_cell/weights": "rnn/basic_lstm_cell/kernel",
        "rnn/basic_lstm_cell/biases": "rnn/basic_lstm_cell/bias",
    }
    assert set(variables) == {"rnn/basic_lstm_cell/kernel", "rnn/basic_lstm_cell/bias", "softmax/weights"}
    assert set(checkpoint.read(new)) == set(variables)


def test_initializer_classes_can_be_subclassed() -> None:
    uniform = surface.lookup("python.ops.init_ops.RandomUniform")
    assert uniform is tf.random_uniform_initializer

    class Doubled(uniform):  # type: ignore[misc, valid-type]
        def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
            return 2 * super().__call__(shape, dtype, partition_info)

    with Graph().as_default(), tf.Session() as session:
        plain, doubled = (
            tf.get_variable(n, [3], initializer=k(-1, 1, seed=1)) for n, k in (("a", uniform), ("b", Doubled))
        )
        session.run(tf.global_variables_initializer())
        np.testing.assert_array_equal(session.run(2 * plain), session.run(doubled))


def test_functions_of_defun_are_branches_and_bodies():
    forms = {n: surface.lookup(f"python.ops.functional_ops.{n}") for n in ("If", "While", "For", "Gradient")}
    defun = surface.lookup("python.framework.function.Defun")
    with tf.Graph().as_default(), tf.Session() as sess:
        x = tf.placeholder(tf.float32, [])
        twice, more = defun(tf.float32)(lambda a: a * 2), defun(tf.float32)(lambda a: a * 3 + 1)
        (chosen,) = forms["If"](x > 0, [x], twice, more)
        assert sess.run(chosen, {x: 9}) == 18 and sess.run(chosen, {x: -8}) == -23
        pair = [tf.float32] * 2
        body = defun(*pair)(lambda n, s: (n - 1, s + n))
        assert sess.run(forms["While"]([20.0, 0.0], defun(*pair)(lambda n, s: n > 0), body))[1] == 210
        add = defun(tf.int32, tf.float32)(lambda i, s: s + tf.cast(i, tf.float32))
        assert sess.run(forms["For"](100, 0, -1, [0.0], add)) == [5050]
        cube = defun(tf.float32)(lambda a: a * a * a)
        assert sess.run(forms["Gradient"]([x, 1.0], cube), {x: 2}) == [12]
        with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid start/limit/delta"):
            forms["For"](0, 10, -1, [0.0], add)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"returned 1 arguments\. Expected: 2"):
            forms["While"]([1.0, 0.0], defun(*pair)(lambda n, s: n > 0), defun(*pair)(lambda n, s: n))


def test_what_waits_for_a_fed_placeholder_runs():
    with tf.Graph().as_default(), tf.Session() as sess:
        flag = tf.placeholder(tf.bool)
        with tf.control_dependencies([flag]):
            total = tf.while_loop(lambda i: i < 10, lambda i: i + 1, [tf.constant(0)])
        assert sess.run(total, {flag: True}) == 10
        with pytest.raises(tf.errors.InvalidArgumentError, match="must feed a value"):
            sess.run(total)
