"""Eager execution: values at once, gradients by tape, variables, loops, data and Keras models."""

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.eager import eager_mode, graph_mode


@pytest.fixture(autouse=True)
def eager():
    with eager_mode():
        yield


def test_operations_give_values_and_python_can_use_them():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    assert tf.executing_eagerly()
    assert (x @ x).numpy().tolist() == [[7, 10], [15, 22]]
    assert float(tf.reduce_sum(x)) == 10 and int(tf.size(x)) == 4 and bool(x[0, 0] < 2.0)
    assert [row.numpy().tolist() for row in x] == [[1, 2], [3, 4]]
    assert np.add(x, 1).tolist() == [[2, 3], [4, 5]] and len(x) == 2 and [5, 6, 7][tf.constant(1)] == 6
    assert str(tf.constant([1, 2])) == "tf.Tensor([1 2], shape=(2,), dtype=int32)"
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.reshape(x, [3])


def test_what_is_computed_does_not_keep_what_it_came_from():
    x = tf.constant(0.0)
    for _ in range(5):
        x = x + 1.0
    assert not x.op.inputs and float(x) == 5


def test_a_tape_differentiates_by_variables_and_by_what_it_watches():
    v, x = tf.Variable([1.0, 2.0]), tf.constant([3.0, 4.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.reduce_sum(v * v * x) + tf.reduce_sum(v)
    assert tape.gradient(y, v).numpy().tolist() == [7, 17]
    assert tape.gradient(y, {"x": x})["x"].numpy().tolist() == [1, 4]
    assert tape.gradient(y, tf.constant(1.0)) is None
    assert tape.watched_variables() == (v,)
    with tf.GradientTape() as tape:
        y = v * 2.0
    tape.gradient(y, v)
    with pytest.raises(RuntimeError, match="once on non-persistent"):
        tape.gradient(y, v)


def test_gradients_of_gradients():
    x = tf.constant(3.0)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        slope = inner.gradient(y, x)
    assert float(slope) == 27 and float(outer.gradient(slope, x)) == 18


def test_variables_are_read_when_they_are_used():
    v = tf.Variable([1.0, 2.0])
    before = v + 0.0
    held = v.value()
    v.assign_add([1.0, 1.0])
    assert v.numpy().tolist() == [2, 3] and before.numpy().tolist() == held.numpy().tolist() == [1, 2]
    with tf.GradientTape() as tape:
        picked = tf.reduce_sum(tf.nn.embedding_lookup(tf.reshape(v, [2, 1]), [1, 1]))
    assert tape.gradient(picked, v).numpy().tolist() == [0, 2]


@pytest.mark.parametrize("whole", [True, False])
def test_an_optimizer_steps_as_in_a_graph(whole):
    def steps(run):
        return [run() for _ in range(3)]

    v = tf.Variable([1.0, -2.0])
    opt = tf.train.AdamOptimizer(0.1)

    def step():
        if whole:
            opt.minimize(lambda: tf.reduce_sum(tf.square(v - 3.0)), var_list=[v])
        else:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(v - 3.0))
            opt.apply_gradients(zip(tape.gradient(loss, [v]), [v], strict=True))
        return v.numpy().tolist()

    ours = steps(step)
    with graph_mode(), tf.Session() as sess:
        w = tf.Variable([1.0, -2.0])
        train = tf.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(tf.square(w - 3.0)))
        sess.run(tf.global_variables_initializer())

        def by_session():
            sess.run(train)
            return sess.run(w).tolist()

        assert not tf.executing_eagerly()
        np.testing.assert_allclose(ours, steps(by_session), rtol=1e-6)
    with pytest.raises(RuntimeError, match="should be a function"):
        opt.minimize(tf.constant(1.0), var_list=[v])


def test_loops_and_branches_run_as_pythons_own():
    assert [int(t) for t in tf.while_loop(lambda i, s: i < 5, lambda i, s: (i + 1, s + i), (0, 0))] == [5, 10]
    assert int(tf.cond(tf.constant(1) < 2, lambda: tf.constant(3), lambda: tf.constant(4))) == 3
    assert tf.map_fn(lambda a: a * 2, tf.range(4)).numpy().tolist() == [0, 2, 4, 6]


def test_a_dataset_is_iterated_with_for():
    data = tf.data.Dataset.from_tensor_slices((np.arange(5), np.arange(5.0))).map(lambda a, b: (a * 2, b)).batch(2)
    found = [(a.numpy().tolist(), b.numpy().tolist()) for a, b in data]
    assert found == [([0, 2], [0, 1]), ([4, 6], [2, 3]), ([8], [4])]


def test_a_recurrent_cell_unrolls_to_values():
    cell = tf.nn.rnn_cell.LSTMCell(4)
    outputs, state = tf.nn.dynamic_rnn(cell, tf.ones([2, 5, 3]), dtype=tf.float32)
    assert outputs.numpy().shape == (2, 5, 4)
    np.testing.assert_array_equal(outputs.numpy()[:, -1], state.h.numpy())


class _Model(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.emb, self.fc = tf.keras.layers.Embedding(10, 4), tf.keras.layers.Dense(10)
        self.gru = tf.keras.layers.GRU(8, return_sequences=True, return_state=True)

    def call(self, x, hidden):
        output, state = self.gru(self.emb(x), initial_state=hidden)
        return self.fc(tf.reshape(output, (-1, output.shape[2]))), state


def test_a_subclassed_keras_model_learns_by_tape():
    model, opt = _Model(), tf.train.AdamOptimizer(0.03)
    ids = np.random.RandomState(0).randint(0, 10, (4, 6))
    losses = []
    for _ in range(15):
        with tf.GradientTape() as tape:
            logits, _ = model(ids, tf.zeros([4, 8]))
            loss = tf.losses.sparse_softmax_cross_entropy(labels=ids.reshape(-1), logits=logits)
        grads = tape.gradient(loss, model.variables)
        assert all(g is not None for g in grads)
        opt.apply_gradients(zip(grads, model.variables, strict=True))
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.5


def test_a_keras_model_fits_and_then_answers_to_tensors():
    model = tf.keras.Sequential([tf.keras.layers.LSTM(5, input_shape=(4, 3)), tf.keras.layers.Dense(1)])
    model.compile("adam", "mse")
    before = model.get_weights()[0]
    model.fit(np.ones((8, 4, 3)), np.ones((8, 1)), epochs=2, verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])
    x = np.ones((2, 4, 3), "f")
    np.testing.assert_allclose(model(tf.constant(x)).numpy(), model.predict(x), rtol=1e-5)


def test_a_tape_follows_what_it_is_told_to():
    v, fixed = tf.Variable(2.0), tf.Variable(3.0, trainable=False)
    with tf.GradientTape() as tape:
        y = v * v * fixed
    found, none = tape.gradient(y, [v, fixed])
    assert float(found) == 12 and none is None
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(fixed)
        y = v * v * fixed
    none, found = tape.gradient(y, [v, fixed])
    assert none is None and float(found) == 4
    x = tf.constant(3.0)
    with tf.GradientTape() as first:
        first.watch(x)
    with tf.GradientTape() as second:
        y = x * x
    assert second.gradient(y, x) is None


def test_tapes_go_through_gradients_of_a_programs_own():
    @tf.custom_gradient
    def capped(x, y):
        return x * y, lambda dy: (dy * 7.0, None)

    x, y = tf.constant(3.0), tf.constant(2.0)
    assert float(capped(x, y)) == 6
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        z = capped(x, y) * 2.0
    found, none = tape.gradient(z, [x, y])
    assert float(found) == 14 and none is None


def test_refusals_are_tensorflows():
    x = tf.ones([2, 3])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Matrix size-incompatible: In\[0\]: \[2,3\]"):
        tf.matmul(x, x)
    with pytest.raises(RuntimeError, match=r"tf\.gradients is not supported when eager execution is enabled"):
        tf.gradients(x, x)
