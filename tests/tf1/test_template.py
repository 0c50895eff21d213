"""tf.make_template, vocabulary tables, MonitoredSession's layers, servers: what TensorFlow 1.15 does with the same calls."""  # noqa: E501

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf

Graph = tf.Graph


def _scale(x: Any) -> Any:
    return x * tf.get_variable("factor", [], initializer=tf.constant_initializer(3.0))


def test_a_template_makes_its_variables_once() -> None:
    with Graph().as_default(), tf.Session() as session:
        first, second = tf.make_template("scale", _scale), tf.make_template("scale", _scale)
        a, b, c = first(tf.constant(1.0)), first(tf.constant(2.0)), second(tf.constant(4.0))
        assert [v.name for v in tf.global_variables()] == ["scale/factor:0", "scale_1/factor:0"]
        assert [t.name for t in (a, b, c)] == ["scale/mul:0", "scale_1/mul:0", "scale_2/mul:0"]
        assert [v.name for v in first.variables] == ["scale/factor:0"]
        assert second.variable_scope_name == "scale_1/"
        session.run(tf.global_variables_initializer())
        assert session.run([a, b, c]) == [3, 6, 12]


def test_a_template_refuses_new_trainable_variables_later() -> None:
    def careless(x: Any) -> Any:
        return x * tf.Variable(1.0)

    with Graph().as_default():
        template = tf.make_template("careless", careless)
        template(tf.constant(1.0))
        with pytest.raises(ValueError, match="Trainable variable created when calling a template after the first time"):
            template(tf.constant(1.0))
        with tf.variable_scope("outer"):
            made = tf.make_template("inner", _scale, create_scope_now_=True)
        made(tf.constant(1.0))
        assert made.trainable_variables[0].name == "outer/inner/factor:0"


def test_static_vocabulary_table_sends_unknown_words_to_buckets() -> None:
    words = ["brain", "salad", "surgery"]
    with Graph().as_default(), tf.Session() as session:
        source = tf.lookup.KeyValueTensorInitializer(words, tf.constant([0, 1, 2], tf.int64))
        table = tf.lookup.StaticVocabularyTable(source, num_oov_buckets=1)
        found, size = table.lookup(tf.constant(["salad", "UNK"])), table.size()
        session.run(tf.tables_initializer())
        assert session.run([found, size])[0].tolist() == [1, 3]
        assert session.run(size) == 4
        with pytest.raises(ValueError, match="oov_buckets must be > 0"):
            tf.lookup.StaticVocabularyTable(source, num_oov_buckets=0)


def test_a_table_from_a_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "vocabulary.txt"
    file.write_text("0\tbrain\t1\n1\tsalad\tx\n")
    for column, kind, message in ((2, tf.int64, "is not a valid"), (3, tf.string, "Invalid number of columns")):
        with Graph().as_default(), tf.Session() as session:
            source = tf.lookup.TextFileInitializer(str(file), tf.string, 1, kind, column)
            table = tf.contrib.lookup.HashTable(source, -1 if kind == tf.int64 else "")
            with pytest.raises(tf.errors.OpError, match=message):
                session.run(table.init)
    with pytest.raises(ValueError, match="Invalid vocab_size"):
        tf.lookup.TextFileInitializer(str(file), tf.string, 1, tf.int64, 2, vocab_size=0)


class _Feeds(tf.train.SessionRunHook):
    def __init__(self, tensor: Any, value: float) -> None:
        self.tensor, self.value, self.seen = tensor, value, []
        self.doubled = tensor * 2

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self.doubled, {self.tensor: self.value})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seen.append(run_values.results)


def test_hooks_feed_and_fetch_but_not_the_same_tensor() -> None:
    with Graph().as_default():
        x = tf.placeholder(tf.float32, [])
        y = x + 1
        hook = _Feeds(x, 3.0)
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            assert session.run(y) == 4
            assert hook.seen == [6]
            with pytest.raises(RuntimeError, match="Same tensor is fed by a SessionRunHook and user"):
                session.run(y, {x: 1.0})
        with pytest.raises(RuntimeError, match="Session is already closed"):
            session.close()


def test_a_step_function_must_take_a_step_context() -> None:
    with Graph().as_default():
        one = tf.constant(1.0)
        session = tf.train.MonitoredSession()
        with pytest.raises(ValueError, match="may either have one `step_context` argument"):
            session.run_step_fn(lambda context: None)
        assert session.run_step_fn(lambda step_context: step_context.session.run(one)) == 1
        assert session.run_step_fn(lambda step_context: step_context.run_with_hooks(one)) == 1
        with pytest.raises(StopIteration):
            session.run_step_fn(lambda step_context: step_context.request_stop())
        session.close()


def test_a_lost_worker_gives_a_new_session() -> None:
    class Fails(tf.train.SessionRunHook):
        def __init__(self) -> None:
            self.sessions: list = []

        def after_create_session(self, session: Any, coord: Any) -> None:
            self.sessions.append(session)

        def before_run(self, run_context: Any) -> None:
            if len(self.sessions) == 1:
                raise tf.errors.AbortedError(None, None, "the worker went away")

    with Graph().as_default():
        hook, v = Fails(), tf.get_variable("v", initializer=2.0)
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            assert session.run(v) == 2
    assert len(hook.sessions) == 2
    with Graph().as_default():
        hook, v = Fails(), tf.get_variable("v", initializer=2.0)
        with pytest.raises(tf.errors.AbortedError), tf.train.SingularMonitoredSession(hooks=[hook]) as session:
            session.run(v)


def test_a_session_on_a_local_server() -> None:
    server = tf.train.Server.create_local_server()
    assert server.target.startswith("grpc://localhost:")
    with Graph().as_default(), tf.Session(server.target) as session:
        np.testing.assert_array_equal(session.run(tf.constant([1, 2]) + 1), [2, 3])
