"""Long sequences in segments, states handed on between runs; and the barrier below."""

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.train.barrier import Barrier

STEPS, UNROLL, UNITS = 7, 3, 4
LENGTHS = {b"a": 7, b"b": 5}
SEQUENCES = {k: np.random.RandomState(n).randn(STEPS, 2).astype(np.float32) for n, k in enumerate(LENGTHS)}


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


def saver(**options):
    key, length = tf.placeholder(tf.string, []), tf.placeholder(tf.int32, [])
    steps = tf.placeholder(tf.float32, [None, 2])
    made = tf.contrib.training.SequenceQueueingStateSaver(
        2, UNROLL, length, key, {"x": steps}, {"who": key}, {"lstm": tf.zeros([2 * UNITS])}, capacity=4, **options
    )
    return made, key, length, steps


def test_segments_through_a_cell_are_the_whole_sequence():
    made, key, length, steps = saver()
    batch = made.next_batch
    cell = tf.nn.rnn_cell.LSTMCell(
        UNITS, state_is_tuple=False, initializer=tf.random_uniform_initializer(-1, 1, seed=1)
    )
    outputs, final = tf.nn.dynamic_rnn(cell, batch.sequences["x"], batch.length, batch.state("lstm"), scope="rnn")
    save = batch.save_state("lstm", final)
    entire = tf.placeholder(tf.float32, [2, STEPS, 2])
    with tf.variable_scope("", reuse=True):
        wanted, _ = tf.nn.dynamic_rnn(cell, entire, list(LENGTHS.values()), dtype=tf.float32, scope="rnn")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for k, n in LENGTHS.items():
            padded = np.concatenate([SEQUENCES[k], np.zeros([2, 2], np.float32)])
            session.run(made.prefetch_op, {key: k, length: n, steps: padded})
        got, rows = [], []
        for _ in range(3):
            fetched = session.run([batch.key, batch.context["who"], batch.length, batch.sequence, outputs, save])
            assert sorted(fetched[1]) == [b"a", b"b"] and fetched[0][0].endswith(fetched[1][0])
            rows.append(fetched[1:4])
            got.append(fetched[4])
        assert [list(r[2]) for r in rows] == [[0, 0], [1, 1], [2, 2]]
        assert sum(r[1] for r in rows).tolist() == [7, 5]
        assert session.run([made.barrier.ready_size(), made.barrier.incomplete_size()]) == [0, 0]
        whole = session.run(wanted, {entire: np.stack(list(SEQUENCES.values()))})
        np.testing.assert_allclose(np.concatenate(got, 1)[:, :STEPS], whole, atol=1e-6)


def test_a_queue_runner_feeds_segments_and_the_last_batch_may_be_small():
    name, value = tf.train.slice_input_producer(
        [tf.constant(["p", "q", "r"]), tf.reshape(tf.range(1.0, 10.0), [3, 3])], num_epochs=1, shuffle=False
    )
    batch = tf.contrib.training.batch_sequences_with_states(
        name, {"v": value}, {}, None, {"s": tf.zeros([])}, num_unroll=2, batch_size=2, num_threads=1
    )
    save = batch.save_state("s", batch.state("s") + tf.reduce_sum(batch.sequences["v"], 1))
    sums = {}
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        with pytest.raises(tf.errors.OutOfRangeError):
            while True:
                keys, states, values, _ = session.run([batch.key, batch.state("s"), batch.sequences["v"], save])
                sums.update({k: s + v.sum() for k, s, v in zip(keys, states, values, strict=True)})
        coordinator.request_stop()
        coordinator.join(threads)
    last = {k.decode(): v for k, v in sums.items() if k.startswith(b"00001")}
    assert last == {"00001_of_00002:p": 6, "00001_of_00002:q": 15, "00001_of_00002:r": 24}


def test_what_is_asked_wrongly():
    with pytest.raises(ValueError, match="initial_states may not be empty"):
        tf.contrib.training.SequenceQueueingStateSaver(1, 1, 1, "k", {"x": [1.0]}, {}, {})
    with pytest.raises(ValueError, match="capacity 1 needs to be >= batch_size 2"):
        tf.contrib.training.SequenceQueueingStateSaver(2, 1, 1, "k", {"x": [1.0]}, {}, {"s": 0.0}, capacity=1)
    with pytest.raises(TypeError, match="key dtype must be string"):
        tf.contrib.training.SequenceQueueingStateSaver(1, 1, 1, 5, {"x": [1.0]}, {}, {"s": 0.0})
    made, key, length, steps = saver()
    with pytest.raises(KeyError, match="was not declared"):
        made.next_batch.save_state("other", tf.zeros([2, 8]))
    with pytest.raises(ValueError, match="Rank check failed"):
        made.next_batch.save_state("lstm", tf.zeros([2]))
    with tf.Session() as session:
        with pytest.raises(tf.errors.InvalidArgumentError, match="multiple of: 3, but saw value: 4"):
            session.run(made.prefetch_op, {key: "k", length: 3, steps: np.zeros([4, 2])})
        with pytest.raises(tf.errors.InvalidArgumentError, match="Input length should be"):
            session.run(made.prefetch_op, {key: "k", length: 7, steps: np.zeros([6, 2])})


def test_a_barrier_gives_what_is_complete():
    barrier = Barrier((tf.float32, tf.string), shapes=((), (2,)))
    numbers = barrier.insert_many(0, ["b", "a"], [2.0, 1.0])
    texts = barrier.insert_many(1, ["a", "c"], [["x", "y"], ["u", "v"]])
    one, all_left = barrier.take_many(1), barrier.take_many(5, allow_small_batch=True)
    with tf.Session() as session:
        session.run(numbers)
        session.run(texts)
        assert session.run([barrier.ready_size(), barrier.incomplete_size()]) == [1, 2]
        index, keys, values = session.run(one)
        assert (index.tolist(), keys.tolist(), values[0].tolist()) == ([-(2**63)], [b"a"], [1])
        assert values[1].tolist() == [[b"x", b"y"]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="already has a value for component 0"):
            session.run(barrier.insert_many(0, ["b"], [3.0]))
        session.run(barrier.close())
        with pytest.raises(tf.errors.CancelledError, match="brand new key"):
            session.run(barrier.insert_many(0, ["d"], [3.0]))
        session.run([barrier.insert_many(1, ["b"], [["s", "t"]]), barrier.insert_many(0, ["c"], [9.0])])
        assert session.run(all_left)[1].tolist() == [b"b", b"c"]
        with pytest.raises(tf.errors.OutOfRangeError, match="insufficient elements"):
            session.run(all_left)
