"""What tests written for TensorFlow share: combinations of arguments, dataset assertions, specs, registrations."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
import pytest
from absl.testing import parameterized

import recurra.tf1 as tf
from recurra.tf1 import surface


def _run(case: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def test_combinations_name_a_test_each() -> None:
    generate, combine, times = (
        surface.lookup(f"python.framework.combinations.{n}") for n in ("generate", "combine", "times")
    )
    seen: list[Any] = []

    class Case(tf.test.TestCase, parameterized.TestCase):
        @generate(times(combine(tf_api_version=[1], mode=["graph"]), combine(size=[1, 2])))
        def testSize(self, size: int) -> None:
            seen.append((size, self.evaluate(tf.zeros([size])).shape))

        @generate(combine(tf_api_version=[1], mode=["eager"]))
        def testEager(self) -> None:
            seen.append((int(tf.constant(3)), self.evaluate(tf.zeros([3])).shape))

    names = unittest.defaultTestLoader.getTestCaseNames(Case)
    assert "testSize_test_mode_graph_tfapiversion_1_size_2" in names
    result = _run(Case)
    assert seen == [(3, (3,)), (1, (1,)), (2, (2,))]
    assert not result.failures and not result.errors


def test_dataset_assertions_tell_what_a_dataset_gives() -> None:
    base = surface.lookup("python.data.kernel_tests.test_base.DatasetTestBase")

    class Case(base):
        def testGood(self) -> None:
            self.assertDatasetProduces(tf.data.Dataset.range(3), [0, 1, 2])

        def testBad(self) -> None:
            self.assertDatasetProduces(tf.data.Dataset.range(3), [0, 1, 3])

    result = _run(Case)
    assert [case.id().rpartition(".")[2] for case, _ in result.failures] == ["testBad"]
    assert not result.errors


def test_specs_of_composites() -> None:
    spec = surface.lookup("python.framework.indexed_slices.IndexedSlicesSpec")
    assert spec([5, None]) == spec([5, None]) != spec([5, 1])
    assert (
        repr(spec()._serialize()) == "(TensorShape(None), tf.float32, tf.int64, None, TensorShape([Dimension(None)]))"
    )
    assert surface.lookup("python.framework.sparse_tensor.SparseTensorSpec")([2, 3]).value_type is tf.SparseTensor


def test_registrations_that_have_nothing_to_do() -> None:
    ops = "python.framework.ops"
    assert surface.lookup(f"{ops}.RegisterShape")("X")(len) is len
    with pytest.raises(TypeError, match="must not contain a comma"):
        surface.lookup(f"{ops}.RegisterStatistics")("a,b", "flops")


def test_a_fake_writer_keeps_what_hooks_write() -> None:
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        summary = tf.summary.scalar("loss", tf.constant(2.0))
        fake = tf.contrib.testing.FakeSummaryWriter("folder")
        hook = tf.train.SummarySaverHook(save_steps=2, summary_writer=fake, summary_op=summary)
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            session.run(step)
    case = tf.test.TestCase()
    fake.assert_summaries(case, expected_logdir="folder", expected_summaries={0: {"loss": 2.0}})
    with pytest.raises(AssertionError):
        fake.assert_summaries(case, expected_summaries={0: {"loss": 3.0}})


def test_a_test_of_keras_runs_in_every_mode_and_for_every_kind_of_model() -> None:
    names = ("keras_parameterized.TestCase", "keras_parameterized.run_all_keras_modes",
             "keras_parameterized.run_with_all_model_types", "testing_utils.get_small_mlp",
             "testing_utils.should_run_eagerly")  # fmt: skip
    base, modes, kinds, small, eagerly = (surface.lookup(f"python.keras.{name}") for name in names)
    seen: list[Any] = []

    class Case(base):
        @modes
        @kinds(exclude_models="subclass")
        def testFit(self) -> None:
            model = small(4, 2, input_dim=3)
            model.compile("sgd", "mse", run_eagerly=eagerly())
            model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
            seen.append((tf.executing_eagerly(), eagerly()))

    result = _run(Case)
    assert not result.failures and not result.errors
    assert sorted(seen) == [(False, False)] * 2 + [(True, False)] * 4 + [(True, True)] * 2


def test_layer_test_tells_what_is_wrong_with_a_layer() -> None:
    layer_test = surface.lookup("python.keras.testing_utils.layer_test")

    class Wrong(tf.keras.layers.Dense):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return tf.TensorShape([None, 7])

    with tf.Graph().as_default(), tf.Session():
        assert layer_test(tf.keras.layers.Dense, {"units": 3}, input_shape=(4, 5)).shape == (4, 3)
        layer_test(tf.keras.layers.GRU, {"units": 3, "return_sequences": True}, input_shape=(4, 5, 2))
        with pytest.raises(AssertionError, match="compute_output_shape"):
            layer_test(Wrong, {"units": 3}, input_shape=(4, 5))
