"""Cells that a program writes out in products and sigmoids run as sequences, with the single operations' numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.graph import Graph
from recurra.tf1.rnn import recognise

STEPS, BATCH, FEATURES, HIDDEN = 6, 3, 4, 5


def _matrix(name: str, *shape: int) -> Any:
    return tf.get_variable(
        name, shape, initializer=tf.random_normal_initializer(stddev=0.5, seed=len(name) + shape[-1])
    )


def _rnn_joined(x: Any) -> Callable[..., Any]:
    w, b = _matrix("w", FEATURES + HIDDEN, HIDDEN), _matrix("b", 1, HIDDEN)
    return lambda x, h, c: (tf.tanh(tf.matmul(tf.concat([x(), h], 1), w) + b), c)


def _rnn_apart(x: Any) -> Callable[..., Any]:
    w, u, b = _matrix("w", FEATURES, HIDDEN), _matrix("u", HIDDEN, HIDDEN), _matrix("b", HIDDEN)
    return lambda x, h, c: (tf.nn.relu(tf.matmul(h, u) + tf.matmul(x(), w) + b), c)


def _lstm_by_gate(x: Any) -> Callable[..., Any]:
    parts = {
        g: (_matrix(f"w{g}", FEATURES, HIDDEN), _matrix(f"u{g}", HIDDEN, HIDDEN), _matrix(f"b{g}", 1, HIDDEN))
        for g in "ifco"
    }

    def gate(name: str, x: Any, h: Any) -> Any:
        w, u, b = parts[name]
        return tf.matmul(x, w) + tf.matmul(h, u) + b

    def step(x: Any, h: Any, c: Any) -> Any:
        i, f, o = (tf.sigmoid(gate(g, x(), h)) for g in "ifo")
        c = f * c + i * tf.tanh(gate("c", x(), h))
        return o * tf.tanh(c), c

    return step


def _lstm_joined(x: Any) -> Callable[..., Any]:
    w, b = _matrix("w", FEATURES + HIDDEN, 4 * HIDDEN), _matrix("b", 4 * HIDDEN)

    def step(x: Any, h: Any, c: Any) -> Any:
        i, j, f, o = tf.split(tf.nn.bias_add(tf.matmul(tf.concat([x(), h], 1), w), b), 4, 1)
        c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
        return tf.tanh(c) * tf.sigmoid(o), c

    return step


def _lstm_sliced(x: Any) -> Callable[..., Any]:
    w, u, b = _matrix("w", FEATURES, 4 * HIDDEN), _matrix("u", HIDDEN, 4 * HIDDEN), _matrix("b", 4 * HIDDEN)

    def step(x: Any, h: Any, c: Any) -> Any:
        z = tf.matmul(x(), w) + tf.matmul(h, u) + b
        f, i, o = (tf.sigmoid(z[:, n * HIDDEN : (n + 1) * HIDDEN]) for n in range(3))
        c = f * c + i * tf.tanh(z[:, 3 * HIDDEN :])
        return o * tf.tanh(c), c

    return step


def _gru(x: Any, turned: bool) -> Callable[..., Any]:
    wz, wr, wc = (_matrix(n, FEATURES + HIDDEN, HIDDEN) for n in ("wz", "wrr", "wccc"))
    bz, bc = _matrix("bz", HIDDEN), _matrix("bc", HIDDEN)

    def step(x: Any, h: Any, c: Any) -> Any:
        both = tf.concat([x(), h], 1)
        z, r = tf.sigmoid(tf.matmul(both, wz) + bz), tf.sigmoid(tf.matmul(both, wr))
        new = tf.tanh(tf.matmul(tf.concat([x(), r * h], 1), wc) + bc)
        return ((1.0 - z) * h + z * new if turned else z * h + (1.0 - z) * new), c

    return step


# a step is a function of (what makes x[:, t] anew whenever it is asked, h, c)
CELLS = {
    "rnn_joined": _rnn_joined,
    "rnn_apart": _rnn_apart,
    "lstm_by_gate": _lstm_by_gate,
    "lstm_joined": _lstm_joined,
    "lstm_sliced": _lstm_sliced,
    "gru": lambda x: _gru(x, False),
    "gru_turned": lambda x: _gru(x, True),
}


def _graph(make: Callable[[Any], Callable[..., Any]], batch: int) -> tuple[Any, list[Any], list[Any]]:
    x = tf.placeholder(tf.float32, [batch, STEPS, FEATURES])
    step, outputs = make(x), []
    h = c = tf.zeros([batch, HIDDEN])
    for t in range(STEPS):
        h, c = step(lambda t=t: x[:, t], h, c)
        outputs.append(h)
    loss = tf.reduce_mean(tf.square(tf.stack(outputs, 1) - 0.3)) + tf.reduce_sum(c * c)
    return x, outputs, [loss, *tf.gradients(loss, tf.trainable_variables())]


def _run(make: Callable[[Any], Callable[..., Any]], batch: int) -> tuple[list[Any], Counter[str]]:
    with Graph().as_default(), tf.Session() as session:
        x, outputs, fetches = _graph(make, batch)
        session.run(tf.global_variables_initializer())
        fed = np.random.default_rng(0).normal(size=(batch, STEPS, FEATURES)).astype(np.float32)
        values = session.run([*fetches, *outputs], {x: fed})
        made = next(reversed(session._plans.values()))[0]
        return values, Counter(op.type for op in made.ops)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_a_written_out_cell_is_a_sequence_with_the_same_numbers(name, batch, monkeypatch):
    values, types = _run(CELLS[name], batch)
    assert types["CellSequence"] == 1 and not types["Sigmoid"] and not types["Tanh"]
    monkeypatch.setattr(recognise, "written_out", lambda ops, closed: {})
    expected, plain = _run(CELLS[name], batch)
    assert not plain["CellSequence"]
    for ours, theirs in zip(values, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_what_is_fed_or_differentiated_inside_a_step_stays():
    with Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [BATCH, FEATURES])
        w = _matrix("w", FEATURES + HIDDEN, HIDDEN)
        h, inner = tf.zeros([BATCH, HIDDEN]), []
        for _ in range(3):
            inner.append(tf.matmul(tf.concat([x, h], 1), w))
            h = tf.tanh(inner[-1])
        grad = tf.gradients(h, inner[1])[0]
        session.run(tf.global_variables_initializer())
        fed, zeros = np.ones((BATCH, FEATURES), np.float32), np.zeros((BATCH, HIDDEN), np.float32)
        assert np.abs(session.run(grad, {x: fed})).max() > 0
        first = session.run(h, {x: fed, inner[1]: zeros})
        weights = session.run(w)
        np.testing.assert_allclose(first, np.tanh(fed @ weights[:FEATURES]), rtol=1e-5)


def test_two_layers_that_only_look_like_a_step_stay_layers():
    with Graph().as_default(), tf.Session() as session:
        a, b = tf.placeholder(tf.float32, [BATCH, HIDDEN]), tf.placeholder(tf.float32, [BATCH, FEATURES])
        w, v = _matrix("w", HIDDEN + FEATURES, HIDDEN), _matrix("vv", HIDDEN + FEATURES, HIDDEN)
        y = tf.tanh(tf.matmul(tf.concat([a, b], 1), w))
        y = tf.tanh(tf.matmul(tf.concat([y, b], 1), v))
        session.run(tf.global_variables_initializer())
        session.run(y, {a: np.zeros((BATCH, HIDDEN)), b: np.zeros((BATCH, FEATURES))})
        assert all(op.type != "CellStep" for op in next(reversed(session._plans.values()))[0].ops)


def _lstm_from(memory: Callable[[], Any], rows: int = BATCH) -> list[Any]:
    """Outputs of a written-out LSTM whose first memory, or whose inputs, are broadcast."""
    step, outputs = _lstm_joined(None) if rows == BATCH else _lstm_sliced(None), []
    h, c = tf.zeros([BATCH, HIDDEN]), memory()
    for t in range(4):
        x = tf.constant(np.random.RandomState(t).randn(rows, FEATURES), tf.float32)
        h, c = step(lambda x=x: x, h, c)
        outputs.append(h)
    return outputs


def _gru_of_states_twice() -> list[Any]:
    """tanh(x @ w + (r·h) @ u + h @ v): one product more than a GRU has."""
    w, u, v = _matrix("w", FEATURES, HIDDEN), _matrix("uu", HIDDEN, HIDDEN), _matrix("vvv", HIDDEN, HIDDEN)
    wz, uz = _matrix("wz", FEATURES, HIDDEN), _matrix("uzz", HIDDEN, HIDDEN)
    h, outputs = tf.ones([BATCH, HIDDEN]), []
    for t in range(4):
        x = tf.constant(np.random.RandomState(t).randn(BATCH, FEATURES), tf.float32)
        z = tf.sigmoid(tf.matmul(x, wz) + tf.matmul(h, uz))
        h = z * h + (1 - z) * tf.tanh(tf.matmul(x, w) + tf.matmul(z * h, u) + tf.matmul(h, v))
        outputs.append(h)
    return outputs


@pytest.mark.parametrize(
    "make",
    [
        _gru_of_states_twice,
        lambda: _lstm_from(lambda: tf.constant(0.5)),
        lambda: _lstm_from(lambda: tf.ones([HIDDEN])),
        lambda: _lstm_from(lambda: tf.ones([BATCH, 1])),
        lambda: _lstm_from(lambda: tf.placeholder_with_default(np.ones((BATCH, 1), "f"), [None, None])),
        lambda: _lstm_from(lambda: tf.zeros([BATCH, HIDDEN]), rows=1),
    ],
    ids=["one_product_more", "scalar", "vector", "column", "unknown_width", "one_input_row"],
)
def test_what_is_nearly_a_cell_keeps_its_numbers(make, monkeypatch):
    def values() -> Any:
        with Graph().as_default(), tf.Session() as session:
            outputs = make()
            session.run(tf.global_variables_initializer())
            return session.run(outputs)

    found = values()
    monkeypatch.setattr(recognise, "written_out", lambda ops, closed: {})
    np.testing.assert_allclose(found, values(), rtol=2e-5, atol=2e-6)
