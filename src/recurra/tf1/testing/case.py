"""tf.test.TestCase: sessions and assertions."""

from __future__ import annotations

import contextlib
import math
import random
import re
import tempfile
import threading
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from absl.testing import absltest

from recurra.tf1 import errors, nest
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")
SEED = 87654321
_HALF = ("float16", "bfloat16")


def _value_now(value: Any) -> Any:
    """What an eager tensor or variable holds; composites as the tuples that a session gives."""
    if isinstance(value, tf.IndexedSlices):
        return tf.IndexedSlicesValue(*(None if v is None else v.numpy() for v in value))
    if isinstance(value, tf.SparseTensor):
        return tf.SparseTensorValue(value.indices.numpy(), value.values.numpy(), value.dense_shape.numpy())
    if isinstance(value, tf.Operation) or value is None:
        return None
    if callable(value) and not hasattr(value, "numpy"):
        return nest.map_structure(_value_now, value())
    return value.numpy() if hasattr(value, "numpy") else value


class _CheckedThread:
    """A thread whose exception fails the test that joins it."""

    def __init__(self, case: Any, target: Callable[..., Any], args: Any = None, kwargs: Any = None) -> None:
        self._case, self._target, self._args, self._kwargs = case, target, args or (), kwargs or {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self._joined = False

    def _run(self) -> None:
        try:
            self._target(*self._args, **self._kwargs)
        except Exception as error:
            self._error = error

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._joined = True
        self._thread.join()
        if self._error is not None:
            self._case.fail(f"Error in checkedThread: {self._error}")

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def check_termination(self) -> None:
        if not self._joined:
            raise self._case.failureException("A checked thread was not joined.")


@tf_export("test.TestCase", "python.framework.test_util.TensorFlowTestCase", "python.platform.googletest.TestCase")
class TensorFlowTestCase(absltest.TestCase):
    """unittest's TestCase with a graph per test, sessions, and assertions on arrays."""

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        self._threads: list[_CheckedThread] = []
        self._tempdir: str | None = None
        self._cached_session: Any = None

    def setUp(self) -> None:
        super().setUp()
        self._clear_cached_session()
        random.seed(SEED)
        np.random.seed(SEED)
        tf.reset_default_graph()
        tf.get_default_graph().seed = SEED

    def tearDown(self) -> None:
        for thread in self._threads:
            thread.check_termination()
        self._clear_cached_session()
        super().tearDown()

    def _clear_cached_session(self) -> None:
        if self._cached_session is not None:
            self._cached_session.close()
            self._cached_session = None

    def get_temp_dir(self) -> str:
        """A folder of this test."""
        if not self._tempdir:
            self._tempdir = tempfile.mkdtemp()
        return self._tempdir

    # -- sessions ----------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def session(
        self, graph: Any = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Iterator[Any]:
        """A new session of the graph, its default while inside."""
        sess = tf.Session(graph=graph, config=config)
        with self._raising(sess), sess.graph.as_default(), sess:
            yield sess

    @contextlib.contextmanager
    def cached_session(
        self, graph: Any = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Iterator[Any]:
        """The test's one session, made on first use."""
        if self._cached_session is None:
            self._cached_session = tf.Session(graph=graph, config=config)
            self._cached_graph, self._cached_config = graph, config
        elif self._cached_graph is not graph:
            raise ValueError(
                "The graph used to get the cached session is different than the one that was used to create it."
            )
        sess = self._cached_session
        with self._raising(sess), sess.graph.as_default(), sess.as_default():
            yield sess

    @contextlib.contextmanager
    def test_session(
        self, graph: Any = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Iterator[Any]:
        """cached_session without a graph, session with one."""
        how = self.cached_session if graph is None else self.session
        with how(graph=graph, config=config) as sess:
            yield sess

    test_session.__test__ = False  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def _raising(self, sess: Any) -> Iterator[None]:
        yield

    def evaluate(self, tensors: Any) -> Any:
        """The values of a nest of tensors, in the default session."""
        if tf.executing_eagerly():
            return nest.map_structure(_value_now, tensors)
        sess = tf.get_default_session()
        if sess is None:
            with self.test_session() as sess:
                return sess.run(tensors)
        return sess.run(tensors)

    def checkedThread(self, target: Callable[..., Any], args: Any = None, kwargs: Any = None) -> _CheckedThread:
        """A thread whose exception fails the test."""
        thread = _CheckedThread(self, target, args, kwargs)
        self._threads.append(thread)
        return thread

    # -- values ------------------------------------------------------------------------------------------------------
    def _GetNdArray(self, a: Any) -> np.ndarray:
        if isinstance(a, tf.Tensor | tf.Variable | tf.IndexedSlices | tf.SparseTensor):
            a = self.evaluate(a)
        if isinstance(a, list | tuple):
            a = [self._GetNdArray(v) if isinstance(v, tf.Tensor | tf.Variable) else v for v in a]
        return a if isinstance(a, np.ndarray) else np.array(a)

    def assertNear(self, f1: float, f2: float, err: float, msg: str | None = None) -> None:
        self.assertTrue(
            f1 == f2 or math.fabs(f1 - f2) <= err, f"{f1:f} != {f2:f} +/- {err:f}" + (f" ({msg})" if msg else "")
        )

    def assertArrayNear(self, farray1: Any, farray2: Any, err: float, msg: str | None = None) -> None:
        self.assertEqual(len(farray1), len(farray2), msg=msg)
        for f1, f2 in zip(farray1, farray2, strict=True):
            self.assertNear(float(f1), float(f2), err, msg=msg)

    def assertNDArrayNear(self, ndarray1: Any, ndarray2: Any, err: float, msg: str | None = None) -> None:
        self.assertLess(np.linalg.norm(np.asarray(ndarray1) - np.asarray(ndarray2)), err, msg=msg)

    def assertAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: str | None = None) -> None:
        """Nests of arrays that are equal to |a − b| <= atol + rtol·|b|."""
        self._nested_close(a, b, rtol, atol, [], msg)

    def _nested_close(self, a: Any, b: Any, rtol: float, atol: float, path: list[Any], msg: str | None) -> None:
        a, b = (x._asdict() if hasattr(x, "_asdict") else x for x in (a, b))
        where = f" at {path}" if path else ""
        if isinstance(a, dict) or isinstance(b, dict):
            if not (isinstance(a, dict) and isinstance(b, dict)):
                raise ValueError(f"Can't compare dict to non-dict, a{where} vs b{where}. {msg or ''}")
            self.assertCountEqual(a.keys(), b.keys(), msg=f"mismatched keys{where}. {msg or ''}")
            for key in a:
                self._nested_close(a[key], b[key], rtol, atol, [*path, key], msg)
        elif isinstance(a, list | tuple) and _ragged(a):
            try:  # named tuples beside plain ones: as arrays they may well be comparable
                whole = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
            except (TypeError, ValueError):
                whole = None
            if whole is not None:
                self._array_close(*whole, rtol, atol, f"Mismatched value{where}. {msg or ''}")
                return
            self.assertEqual(len(a), len(b), msg=f"Mismatched length{where}. {msg or ''}")
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                self._nested_close(x, y, rtol, atol, [*path, i], msg)
        else:
            self._array_close(a, b, rtol, atol, f"Mismatched value{where}. {msg or ''}")

    def _array_close(self, a: Any, b: Any, rtol: float, atol: float, msg: str) -> None:
        a, b = self._GetNdArray(a), self._GetNdArray(b)
        if b.size <= 3:
            msg += f" expected {b}, got {a}"
        self.assertEqual(a.shape, b.shape, f"Shape mismatch: expected {b.shape}, got {a.shape}. {msg}")
        if str(a.dtype) == "bfloat16" or str(b.dtype) == "bfloat16":
            a, b = a.astype(np.float32), b.astype(np.float32)
        if not np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=msg, equal_nan=True)

    def assertAllCloseAccordingToType(
        self,
        a: Any,
        b: Any,
        rtol: float = 1e-6,
        atol: float = 1e-6,
        float_rtol: float = 1e-6,
        float_atol: float = 1e-6,
        half_rtol: float = 1e-3,
        half_atol: float = 1e-3,
        bfloat16_rtol: float = 1e-2,
        bfloat16_atol: float = 1e-2,
        msg: str | None = None,
    ) -> None:
        """assertAllClose with the tolerances of the coarser dtype."""
        a, b = self._GetNdArray(a), self._GetNdArray(b)
        kinds = {str(a.dtype), str(b.dtype)}
        if kinds & {"float32", "complex64"}:
            rtol, atol = max(rtol, float_rtol), max(atol, float_atol)
        if "float16" in kinds:
            rtol, atol = max(rtol, half_rtol), max(atol, half_atol)
        if "bfloat16" in kinds:
            rtol, atol = max(rtol, bfloat16_rtol), max(atol, bfloat16_atol)
        self.assertAllClose(a, b, rtol=rtol, atol=atol, msg=msg)

    def assertNotAllClose(self, a: Any, b: Any, **kwargs: Any) -> None:
        try:
            self.assertAllClose(a, b, **kwargs)
        except AssertionError:
            return
        raise AssertionError("The two values are close at all elements")

    def assertAllEqual(self, a: Any, b: Any, msg: str | None = None) -> None:
        """Arrays that are equal (NaN equals NaN)."""
        a, b = self._GetNdArray(a), self._GetNdArray(b)
        if b.ndim and b.size <= 3:
            msg = f"{msg or ''} expected {b!r}, got {a!r}"
        self.assertEqual(a.shape, b.shape, f"Shape mismatch: expected {b.shape}, got {a.shape}. {msg or ''}")
        if a.dtype.kind in "SUO" or b.dtype.kind in "SUO":
            a, b = _as_bytes(a), _as_bytes(b)
        same = a == b
        if a.dtype.kind in "fc" and b.dtype.kind in "fc":
            same = np.logical_or(same, np.logical_and(np.isnan(a), np.isnan(b)))
        if not np.all(same):
            np.testing.assert_array_equal(a, b, err_msg=msg or "")

    def assertNotAllEqual(self, a: Any, b: Any, msg: str | None = None) -> None:
        try:
            self.assertAllEqual(a, b)
        except AssertionError:
            return
        raise AssertionError(f"The two values are equal at all elements. {msg or ''}")

    def _all(self, a: Any, holds: Callable[[np.ndarray], Any], text: str) -> None:
        a = self._GetNdArray(a)
        self.assertTrue(bool(np.all(holds(a))), f"not all elements are {text}: {a}")

    def assertAllGreater(self, a: Any, comparison_target: Any) -> None:
        self._all(a, lambda x: x > comparison_target, f"> {comparison_target}")

    def assertAllGreaterEqual(self, a: Any, comparison_target: Any) -> None:
        self._all(a, lambda x: x >= comparison_target, f">= {comparison_target}")

    def assertAllLess(self, a: Any, comparison_target: Any) -> None:
        self._all(a, lambda x: x < comparison_target, f"< {comparison_target}")

    def assertAllLessEqual(self, a: Any, comparison_target: Any) -> None:
        self._all(a, lambda x: x <= comparison_target, f"<= {comparison_target}")

    def assertAllInSet(self, target: Any, expected_set: Any) -> None:
        self._all(target, lambda x: np.isin(x, list(expected_set)), f"in {expected_set}")

    def assertAllInRange(
        self,
        target: Any,
        lower_bound: Any,
        upper_bound: Any,
        open_lower_bound: bool = False,
        open_upper_bound: bool = False,
    ) -> None:
        low = (lambda x: x > lower_bound) if open_lower_bound else (lambda x: x >= lower_bound)
        high = (lambda x: x < upper_bound) if open_upper_bound else (lambda x: x <= upper_bound)
        self._all(target, lambda x: low(x) & high(x), f"in {lower_bound} to {upper_bound}")

    def assertDTypeEqual(self, target: Any, expected_dtype: Any) -> None:
        self.assertEqual(self._GetNdArray(target).dtype, expected_dtype)

    def assertShapeEqual(self, np_array: Any, tf_tensor: Any, msg: str | None = None) -> None:
        if not isinstance(np_array, np.ndarray | np.generic):
            raise TypeError("np_array must be a Numpy ndarray or Numpy scalar")
        if not isinstance(tf_tensor, tf.Tensor):
            raise TypeError("tf_tensor must be a Tensor")
        self.assertAllEqual(np.array(np_array.shape), np.array(tf_tensor.get_shape().as_list()), msg=msg)

    def assertDeviceEqual(self, device1: Any, device2: Any, msg: str | None = None) -> None:
        """Devices are names here."""
        self.assertEqual(str(device1 or ""), str(device2 or ""), msg)

    def assertStartsWith(self, actual: str, expected_start: str, msg: str | None = None) -> None:
        if not actual.startswith(expected_start):
            self.fail(f"{actual!r} does not start with {expected_start!r}. {msg or ''}")

    def assertProtoEquals(self, expected_message_maybe_ascii: Any, message: Any, msg: str | None = None) -> None:
        """Messages that are equal; the expected one may be text."""
        expected = expected_message_maybe_ascii
        if isinstance(expected, str):
            from google.protobuf import text_format

            expected = text_format.Merge(expected, type(message)())
        self.assertEqual(expected, message, msg)

    def assertProtoEqualsVersion(
        self, expected: Any, actual: Any, producer: int = 0, min_consumer: int = 0, msg: str | None = None
    ) -> None:
        self.assertProtoEquals(expected, actual, msg=msg)

    # -- exceptions --------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def assertRaisesWithPredicateMatch(self, exception_type: Any, expected_err_re_or_predicate: Any) -> Iterator[None]:
        """with-block that raises `exception_type` whose text (op names included) matches."""
        matches = expected_err_re_or_predicate
        if not callable(matches):

            def matches(error: Any) -> bool:
                text = error.message if isinstance(error, errors.OpError) else str(error)
                op = error.op if isinstance(error, errors.OpError) else None
                if op is not None:
                    text += f"\nCaused by op: {op.name}"
                return re.search(expected_err_re_or_predicate, text) is not None

        try:
            yield
        except exception_type as error:
            if not matches(error):
                raise AssertionError(f"Exception of type {type(error)}: {error}") from error
        else:
            self.fail(f"{exception_type.__name__} not raised")

    def assertRaisesOpError(self, expected_err_re_or_predicate: Any) -> Any:
        return self.assertRaisesWithPredicateMatch(errors.OpError, expected_err_re_or_predicate)

    def assertRaisesIncompatibleShapesError(self, exception_type: Any = errors.InvalidArgumentError) -> Any:
        return self.assertRaisesWithPredicateMatch(
            exception_type, r"Incompatible shapes|Dimensions must be equal|required broadcastable shapes"
        )

    def assertDictEqual(self, d1: Any, d2: Any, msg: str | None = None) -> None:
        super().assertDictEqual(dict(d1), dict(d2), msg)

    assertEquals = unittest.TestCase.assertEqual
    assertNotEquals = unittest.TestCase.assertNotEqual
    assertAlmostEquals = unittest.TestCase.assertAlmostEqual
    assertRegexpMatches = unittest.TestCase.assertRegex
    assertRaisesRegexp = unittest.TestCase.assertRaisesRegex
    assertItemsEqual = unittest.TestCase.assertCountEqual
    assert_ = unittest.TestCase.assertTrue


def _ragged(a: Any) -> bool:
    """Whether a list must be compared item by item: it holds nests, or rows of different shapes."""
    if any(isinstance(x, list | tuple | dict) or hasattr(x, "_asdict") for x in a):
        return True
    return len({np.shape(x) for x in a if not isinstance(x, tf.Tensor)}) > 1


def _as_bytes(a: np.ndarray) -> np.ndarray:
    flat = [v.encode("utf-8") if isinstance(v, str) else v for v in a.reshape(-1).tolist()]
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(a.shape)


@tf_export("test.main", "python.platform.googletest.main")
def main(argv: Any = None) -> None:
    """Run the tests of the program."""
    unittest.main(module="__main__", argv=argv)


@tf_export("python.keras.testing_utils.get_test_data")
def get_test_data(
    train_samples: int, test_samples: int, input_shape: Any, num_classes: int, random_seed: int | None = None
) -> Any:
    """((x, y) to train on, (x, y) to test on): classes of noisy copies of a random pattern each."""
    if random_seed is not None:
        np.random.seed(random_seed)
    y = np.random.randint(0, num_classes, size=(train_samples + test_samples,))
    patterns = 2 * num_classes * np.random.random((num_classes, *input_shape))
    x = (patterns[y] + np.random.normal(0, 0.1, (len(y), *input_shape))).astype(np.float32)
    return (x[:train_samples], y[:train_samples]), (x[train_samples:], y[train_samples:])


@tf_export("test.get_temp_dir", "python.platform.googletest.GetTempDir")
def get_temp_dir() -> str:
    """A folder for a test's files."""
    return tempfile.mkdtemp()


@tf_export("test.test_src_dir_path")
def test_src_dir_path(relative_path: str) -> str:
    """A path below the folder of test sources (TEST_SRCDIR)."""
    import os

    return os.path.join(os.environ.get("TEST_SRCDIR", ""), "org_tensorflow/tensorflow", relative_path)


test_src_dir_path.__test__ = False  # type: ignore[attr-defined]


@tf_export("test.Benchmark", "python.platform.benchmark.Benchmark", "python.platform.benchmark.TensorFlowBenchmark")
class Benchmark:
    """Base of benchmarks; they are not run here."""

    def report_benchmark(self, **kwargs: Any) -> None:
        """Print a result."""
        print(kwargs)


@tf_export("test.StubOutForTesting", "python.platform.googletest.StubOutForTesting")
class StubOutForTesting:
    """Replaces attributes and restores them."""

    def __init__(self) -> None:
        self._cache: list[tuple[Any, Any, str]] = []

    def CleanUp(self) -> None:
        self.UnsetAll()

    def __enter__(self) -> StubOutForTesting:
        return self

    def __exit__(self, *error: object) -> None:
        self.UnsetAll()

    def Set(self, parent: Any, child_name: str, new_child: Any) -> None:
        self._cache.append((parent, getattr(parent, child_name), child_name))
        setattr(parent, child_name, new_child)

    SmartSet = Set

    def UnsetAll(self) -> None:
        while self._cache:
            parent, old, name = self._cache.pop()
            setattr(parent, name, old)

    SmartUnsetAll = UnsetAll


export(mock, "test.mock")


@tf_export("test.assert_equal_graph_def", "python.framework.test_util.assert_equal_graph_def")
def assert_equal_graph_def(
    actual: Any, expected: Any, checkpoint_v2: bool = False, hash_table_shared_name: bool = False
) -> None:
    """AssertionError unless both GraphDefs have the same nodes."""
    for given, name in ((actual, "actual"), (expected, "expected")):
        if type(given).__name__ != "GraphDef":
            raise TypeError(f"Expected tf.GraphDef for {name}, got {type(given).__name__}")
    left, right = ({n.name: n for n in g.node} for g in (actual, expected))
    if left != right:
        different = sorted(k for k in {*left, *right} if left.get(k) != right.get(k))
        raise AssertionError(f"GraphDefs differ at {different[:5]}")
