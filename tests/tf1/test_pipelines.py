"""Queues, producers, coordinators, tf.data, TFRecord files and examples: expected values are visible in each test."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra.tf1 as tf
from recurra.tf1.train import queue_objects


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


def drain(session, tensor) -> list:
    found = []
    while True:
        try:
            found.append(session.run(tensor))
        except tf.errors.OutOfRangeError:
            return found


def test_fifo_queue() -> None:
    queue = tf.FIFOQueue(10, [tf.int32, tf.string], [[], []])
    put = queue.enqueue_many([[1, 2, 3], ["a", "b", "c"]])
    with tf.Session() as session:
        session.run(put)
        assert session.run(queue.size()) == 3
        number, text = session.run(queue.dequeue())
        assert (number, text) == (1, b"a")
        numbers, _ = session.run(queue.dequeue_many(2))
        assert numbers.tolist() == [2, 3]
        session.run(queue.close())
        with pytest.raises(tf.errors.OutOfRangeError, match=r"is closed and has insufficient elements \(requested 1"):
            session.run(queue.dequeue())
        with pytest.raises(tf.errors.CancelledError, match="is closed"):
            session.run(put)


def test_padding_queue() -> None:
    queue = tf.PaddingFIFOQueue(10, [tf.int32], [[None]])
    size = tf.placeholder(tf.int32, [])
    with tf.Session() as session:
        for n in (1, 3, 2):
            session.run(queue.enqueue([tf.range(size)]), {size: n})
        assert session.run(queue.dequeue_many(3)).tolist() == [[0, 0, 0], [0, 1, 2], [0, 1, 0]]


def test_random_and_priority_queues() -> None:
    mixed = tf.RandomShuffleQueue(100, 0, [tf.int32], [[]], seed=1)
    first = tf.PriorityQueue(10, [tf.string], [[]])
    with tf.Session() as session:
        session.run([mixed.enqueue_many([list(range(50))]), first.enqueue_many([[3, 1, 2], ["c", "a", "b"]])])
        drawn = session.run(mixed.dequeue_many(50))
        assert sorted(drawn) == list(range(50)) and drawn.tolist() != list(range(50))
        assert [session.run(first.dequeue()[1]) for _ in range(3)] == [b"a", b"b", b"c"]


def test_producers_and_batches() -> None:
    index = tf.train.range_input_producer(3, num_epochs=2, shuffle=False).dequeue()
    batch = tf.train.batch([index * 10], 4, allow_smaller_final_batch=True)
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        coord = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coord)
        assert [b.tolist() for b in drain(session, batch)] == [[0, 10, 20, 0], [10, 20]]
        coord.request_stop()
        coord.join(threads)


def test_a_failing_thread_stops_the_others() -> None:
    queue = tf.FIFOQueue(2, [tf.float32], [[]])
    broken = queue.enqueue(tf.check_numerics(tf.constant(np.nan, tf.float32), "bad"))
    tf.train.add_queue_runner(tf.train.QueueRunner(queue, [broken]))
    with tf.Session() as session:
        coord = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coord)
        assert coord.wait_for_stop(60)
        with pytest.raises(tf.errors.InvalidArgumentError, match="bad"):
            coord.join(threads)


def test_supervisor(tmp_path: Path) -> None:
    step = tf.train.get_or_create_global_step()
    add = tf.assign_add(step, 1)
    supervisor = tf.train.Supervisor(logdir=str(tmp_path), save_model_secs=0)
    with supervisor.managed_session() as session:
        for _ in range(3):
            session.run(add)
        supervisor.saver.save(session, supervisor.save_path, global_step=supervisor.global_step)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-3")
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        with tf.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), save_summaries_steps=None) as session:
            assert session.run(step) == 3


def test_monitored_session_and_hooks() -> None:
    step = tf.train.get_or_create_global_step()
    add = tf.assign_add(step, 1)
    loss = tf.cast(step, tf.float32)
    hooks = [tf.train.StopAtStepHook(last_step=4), tf.train.NanTensorHook(loss)]
    steps = 0
    with tf.train.MonitoredSession(hooks=hooks) as session:
        while not session.should_stop():
            session.run(add)
            steps += 1
    assert steps == 4
    with pytest.raises(RuntimeError, match="after should_stop"):
        session.run(add)


def test_dataset() -> None:
    data = tf.data.Dataset.from_tensor_slices({"x": np.arange(6), "y": np.arange(6) * 2.0})
    data = data.filter(lambda e: e["x"] > 0).map(lambda e: (e["x"] + 1, e["y"])).repeat(2).batch(4)
    iterator = data.make_initializable_iterator()
    x, y = iterator.get_next()
    assert data.output_types == (tf.int64, tf.float64) and x.shape.as_list() == [None]
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="has not been initialized"):
            session.run(x)
        for _ in range(2):
            session.run(iterator.initializer)
            pairs = drain(session, (x, y))
            assert [p[0].tolist() for p in pairs] == [[2, 3, 4, 5], [6, 2, 3, 4], [5, 6]]
            assert pairs[2][1].tolist() == [8.0, 10.0]


def test_dataset_of_placeholders_captures_and_variables() -> None:
    given = tf.placeholder(tf.int32, [None])
    scale = tf.Variable(10)
    data = tf.data.Dataset.from_tensor_slices(given).map(lambda v: v * scale).shuffle(10, seed=1).take(2)
    iterator = data.make_initializable_iterator()
    element = iterator.get_next()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(iterator.initializer, {given: [1, 2, 3]})
        assert set(drain(session, element)) < {10, 20, 30}


def test_dataset_padding_and_buckets() -> None:
    lengths = tf.data.Dataset.from_tensor_slices([3, 1, 2, 5]).map(tf.range)
    padded = lengths.padded_batch(2, [None], -1).make_one_shot_iterator().get_next()
    bucket = tf.contrib.data.bucket_by_sequence_length(tf.size, [3], [2, 2])
    buckets = lengths.apply(bucket).make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert [b.tolist() for b in drain(session, padded)] == [
            [[0, 1, 2], [0, -1, -1]],
            [[0, 1, -1, -1, -1], list(range(5))],
        ]
        assert sorted(b.shape for b in drain(session, buckets)) == [(2, 2), (2, 5)]


def test_dataset_generator_zip_flat_map_reinitialisable() -> None:
    numbers = tf.data.Dataset.from_generator(lambda: iter([[1], [1, 2]]), tf.int32, [None])
    pairs = tf.data.Dataset.zip((numbers, tf.data.Dataset.range(5).skip(3)))
    flat = tf.data.Dataset.range(4).flat_map(lambda i: tf.data.Dataset.from_tensors(i).repeat(i))
    iterator = tf.data.Iterator.from_structure(tf.int64, [])
    element = iterator.get_next()
    pair = pairs.make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert [(a.tolist(), b) for a, b in drain(session, pair)] == [([1], 3), ([1, 2], 4)]
        session.run(iterator.make_initializer(flat))
        assert drain(session, element) == [1, 2, 2, 3, 3, 3]
        session.run(iterator.make_initializer(tf.data.Dataset.range(2)))
        assert drain(session, element) == [0, 1]
        total = tf.data.Dataset.range(5).reduce(np.int64(0), lambda s, v: s + v)
        assert session.run(total) == 10


def test_elements_of_different_shape_do_not_batch() -> None:
    element = tf.data.Dataset.from_tensor_slices([1, 2]).map(tf.range).batch(2).make_one_shot_iterator().get_next()
    with (
        tf.Session() as session,
        pytest.raises(tf.errors.InvalidArgumentError, match="Cannot batch tensors with different"),
    ):
        session.run(element)


def test_records_and_examples(tmp_path: Path) -> None:
    path = str(tmp_path / "data.tfrecord")
    with tf.python_io.TFRecordWriter(path) as writer:
        for n in (2, 3):
            example = tf.train.SequenceExample()
            example.context.feature["length"].int64_list.value.append(n)
            for token in range(n):
                example.feature_lists.feature_list["tokens"].feature.add().int64_list.value.append(token)
            writer.write(example.SerializeToString())
    queue = tf.train.string_input_producer([path], num_epochs=1)
    _, serialized = tf.TFRecordReader().read(queue)
    context, sequence = tf.parse_single_sequence_example(
        serialized, {"length": tf.FixedLenFeature([], tf.int64)}, {"tokens": tf.FixedLenSequenceFeature([], tf.int64)}
    )
    batch = tf.train.batch([context["length"], sequence["tokens"]], 2, dynamic_pad=True)
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        coord = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coord)
        lengths, tokens = session.run(batch)
        coord.request_stop()
        coord.join(threads)
    assert lengths.tolist() == [2, 3] and tokens.tolist() == [[0, 1, 0], [0, 1, 2]]
    data = bytearray(Path(path).read_bytes())
    data[20] ^= 1
    Path(path).write_bytes(data)
    with pytest.raises(tf.errors.DataLossError, match="corrupted record at 0"):
        list(tf.python_io.tf_record_iterator(path))


def test_parse_example() -> None:
    example = tf.train.Example()
    example.features.feature["a"].float_list.value.extend([1.0, 2.0])
    example.features.feature["s"].bytes_list.value.extend([b"x", b"y", b"z"])
    features = {
        "a": tf.FixedLenFeature([2], tf.float32),
        "d": tf.FixedLenFeature([], tf.int64, default_value=7),
        "s": tf.VarLenFeature(tf.string),
    }
    parsed = tf.parse_example([example.SerializeToString()] * 2, features)
    need = tf.parse_single_example(example.SerializeToString(), {"b": tf.FixedLenFeature([], tf.int64)})
    with tf.Session() as session:
        values = session.run(parsed)
        assert values["a"].tolist() == [[1, 2], [1, 2]] and values["d"].tolist() == [7, 7]
        assert values["s"].dense_shape.tolist() == [2, 3] and values["s"].values.tolist()[:3] == [b"x", b"y", b"z"]
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Feature: b .* is required but could not be found"):
            session.run(need)


def _drained(dataset) -> list:
    following = dataset.make_one_shot_iterator().get_next()
    with tf.Session() as session:
        return drain(session, following)


def test_datasets_chosen_by_number_and_by_chance():
    few, many = tf.data.Dataset.range(2), tf.data.Dataset.range(10, 16)
    numbers = tf.data.Dataset.from_tensor_slices(np.array([1, 0, 1, 0, 0, 1], np.int64))
    assert _drained(tf.data.experimental.choose_from_datasets([few, many], numbers)) == [10, 0, 11, 1, 12]
    mixed = _drained(tf.data.experimental.sample_from_datasets([few, many], [0.5, 0.5], seed=3))
    assert sorted(mixed) == [0, 1, 10, 11, 12, 13, 14, 15]
    assert [m for m in mixed if m >= 10] == list(range(10, 16))
    with pytest.raises(ValueError, match="weights"):
        tf.data.experimental.sample_from_datasets([few, many], [1.0])


def test_counting_scanning_windows_and_repeats():
    counted = tf.data.experimental.Counter(3, 2).take(4)
    assert _drained(counted) == [3, 5, 7, 9]
    sums = counted.apply(tf.data.experimental.scan(np.int64(0), lambda total, x: (total + x, total + x)))
    assert _drained(sums) == [3, 8, 15, 24]
    windows = _drained(tf.data.Dataset.range(7).apply(tf.contrib.data.sliding_window_batch(3, window_shift=2)))
    assert [w.tolist() for w in windows] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    again = tf.data.Dataset.from_tensor_slices(["a", "b", "a"]).apply(tf.data.experimental.unique())
    assert _drained(again) == [b"a", b"b"]
    with tf.Session() as session:
        assert session.run(tf.data.experimental.get_single_element(tf.data.Dataset.range(5, 6))) == 5


def test_a_queue_checks_what_enters_against_its_shapes() -> None:
    with tf.Graph().as_default(), tf.Session() as sess:
        queue = tf.FIFOQueue(10, (tf.int32, tf.int32), ((2, 2), (3, 3)))
        with pytest.raises(ValueError, match="incompatible"):
            queue.enqueue((np.ones((2, 2), "i"), np.ones((3, 4), "i")))
        with pytest.raises(ValueError):
            queue.enqueue_many((np.ones((2, 2, 2), "i"), np.ones((3, 3, 3), "i")))
        given = tf.placeholder(tf.int32)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"component 1. Expected \[3,3\], got \[3,4\]"):
            sess.run(queue.enqueue((np.ones((2, 2), "i"), given)), {given: np.ones((3, 4))})
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Expected \[2,3,3\], got \[2,3,4\]"):
            sess.run(queue.enqueue_many((np.ones((2, 2, 2), "i"), given)), {given: np.ones((2, 3, 4))})
        assert [v.shape for v in sess.run(queue.dequeue_many(0))] == [(0, 2, 2), (0, 3, 3)]
        other = tf.FIFOQueue(10, tf.float32, shared_name="q")
        sess.run(other.size())
        with pytest.raises(tf.errors.InvalidArgumentError, match="component types"):
            sess.run(tf.FIFOQueue(10, tf.int32, shared_name="q").size())


def test_who_waits_to_enqueue_gets_in_after_a_close_unless_that_cancels() -> None:
    for cancel in (False, True):
        queue = queue_objects.FIFO("q", 1)
        queue.enqueue(torch.tensor(1))
        seen: list[Any] = []

        def wait(queue: Any = queue, seen: list[Any] = seen) -> None:
            try:
                queue._add((torch.tensor(2),))
            except tf.errors.CancelledError:
                seen.append("cancelled")

        thread = threading.Thread(target=wait)
        queue.close(cancel)
        thread.start()
        first = int(queue.dequeue()[0])
        thread.join()
        assert first == 1 and seen == (["cancelled"] if cancel else [])
        with pytest.raises(tf.errors.CancelledError):
            queue.enqueue(torch.tensor(3))
