"""tf.train.batch and its like beyond the plain case: what is kept, sparse parts, shared queues, refusals (as TensorFlow 1.15's)."""  # noqa: E501

from __future__ import annotations

import pytest

import recurra.tf1 as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default():
        yield


def first(*fetches):
    with tf.Session() as session:
        session.run([tf.local_variables_initializer(), tf.global_variables_initializer()])
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        try:
            return session.run(list(fetches))
        finally:
            coordinator.request_stop()
            session.run([runner.cancel_op for runner in tf.get_collection(tf.GraphKeys.QUEUE_RUNNERS)])
            coordinator.join(threads)


def test_only_what_is_wanted_reaches_a_batch():
    number = tf.train.range_input_producer(10, shuffle=False).dequeue()
    even = tf.train.maybe_batch([number], tf.equal(number % 2, 0), batch_size=3)
    rows = tf.train.maybe_shuffle_batch([[1, 2, 3]], 2, 10, 0, keep_input=[True, False, True], enqueue_many=True)
    got, mixed = first(even, rows)
    assert got.tolist() == [0, 2, 4]
    assert set(mixed.tolist()) <= {1, 3}
    with pytest.raises(ValueError, match="`keep_input` cannot be a vector"):
        tf.train.maybe_batch([1.0], keep_input=[True, False], batch_size=1)
    with pytest.raises(ValueError, match="must be 0 or 1 dimensions"):
        tf.train.maybe_batch([[[0]]], keep_input=[[True]], batch_size=1, enqueue_many=True)


def test_sparse_tensors_are_batched_as_one_of_a_rank_more():
    row = tf.SparseTensor([[1]], [5.0], [3])
    batch = tf.train.batch({"s": row, "i": tf.constant(7)}, batch_size=2)
    assert batch["s"].dense_shape.shape.as_list() == [2]
    got = first(batch["s"], batch["i"])
    assert (got[0].indices.tolist(), got[0].dense_shape.tolist()) == ([[0, 1], [1, 1]], [2, 3])
    assert got[1].tolist() == [7, 7]


def test_queues_of_one_shared_name_are_one_queue():
    first_queue, second = (tf.FIFOQueue(4, tf.int32, shapes=[[]], shared_name="q") for _ in range(2))
    other = tf.FIFOQueue(5, tf.int32, shapes=[[]], shared_name="q")
    with tf.Session() as session:
        session.run(first_queue.enqueue([3]))
        assert session.run(second.dequeue()) == 3
        with pytest.raises(tf.errors.InvalidArgumentError, match="Shared queue 'q' has capacity 4"):
            session.run(other.size())
    batch = tf.train.batch([tf.constant(1)], 2, shared_name="shared")
    assert batch.op.inputs[0].op.node_def.attr["shared_name"].s == b"shared"


def test_no_file_names_end_the_producer():
    queue = tf.train.string_input_producer(tf.constant([], tf.string))
    with tf.Session() as session:
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(queue.dequeue())
        with pytest.raises(tf.errors.InvalidArgumentError, match="non-null input tensor"):
            coordinator.join(threads)


def test_buckets_keep_sparse_tensors_and_the_form_of_their_examples():
    number = tf.train.range_input_producer(4, shuffle=False).dequeue()
    row = tf.SparseTensor([[0]], [tf.to_float(number)], [1])
    which, batch = tf.contrib.training.bucket({"n": number, "s": row}, number % 2, 2, num_buckets=2)
    bucket, got = first(which, batch)
    assert got["n"].tolist() == ([0, 2] if bucket == 0 else [1, 3])
    assert got["s"].values.tolist() == got["n"].tolist()
    lengths, listed = tf.contrib.training.bucket_by_sequence_length(number, [number], 2, [2])
    assert isinstance(listed, list)
    assert len(listed) == 1
    assert lengths.shape.as_list() == [2]


def test_one_graph_reads_from_the_queue_that_an_index_names():
    """Types, shapes and errors are TensorFlow 1.15's."""
    with tf.Session() as session:
        files = [tf.train.string_input_producer([name], shuffle=False) for name in "abc"]
        index = tf.placeholder(tf.int32, [])
        taken = tf.QueueBase.from_list(index, files).dequeue()
        assert (taken.dtype, taken.shape.as_list()) == (tf.string, [])
        pair = [tf.FIFOQueue(4, tf.float32, shapes=[[2, k]]) for k in (3, 4)]
        assert tf.QueueBase.from_list(index, pair).dequeue().shape.as_list() == [2, None]
        for wrong, text in (([], "A list of queues expected"), ([files[0], pair[0]], "matching component dtypes")):
            with pytest.raises(TypeError, match=text):
                tf.QueueBase.from_list(0, wrong)
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        assert [session.run(taken, {index: k}) for k in (2, 0, 1, 1)] == [b"c", b"a", b"b", b"b"]
        coordinator.request_stop()
        coordinator.join(threads)
