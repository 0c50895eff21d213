"""tensorflow.python.data.kernel_tests.test_base: what dataset tests share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from recurra.tf1 import errors, nest
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.testing.case import TensorFlowTestCase

tf = space("")
_HOME = "python.data.kernel_tests.test_base"


@tf_export(f"{_HOME}.DatasetTestBase")
class DatasetTestBase(TensorFlowTestCase):
    """Assertions on what a dataset produces."""

    def assert_op_cancelled(self, op: Any) -> None:
        with self.assertRaises(errors.CancelledError):
            self.evaluate(op)

    def assertValuesEqual(self, expected: Any, actual: Any) -> None:
        if isinstance(expected, tf.SparseTensor | tf.SparseTensorValue):
            for name in ("indices", "values", "dense_shape"):
                self.assertAllEqual(getattr(expected, name), getattr(actual, name))
        else:
            self.assertAllEqual(expected, actual)

    def getNext(
        self, dataset: Any, requires_initialization: bool = False, shared_name: str | None = None
    ) -> Callable[[], Any]:
        """A function whose value is the next element, evaluated anew each time."""
        if requires_initialization:
            iterator = dataset.make_initializable_iterator(shared_name)
            self.evaluate(iterator.initializer)
        else:
            iterator = dataset.make_one_shot_iterator()
        element = iterator.get_next()
        return lambda: element

    def assertDatasetProduces(
        self,
        dataset: Any,
        expected_output: Any = None,
        expected_shapes: Any = None,
        expected_error: Any = None,
        requires_initialization: bool = False,
        num_test_iterations: int = 1,
        assert_items_equal: bool = False,
        expected_error_iter: int = 1,
    ) -> None:
        """The dataset gives these elements and ends, or fails so."""
        self.assertNotEqual(expected_output is None, not expected_error)
        if expected_error:
            with self.assertRaisesWithPredicateMatch(*expected_error):
                get_next = self.getNext(dataset, requires_initialization)
                for _ in range(expected_error_iter):
                    self.evaluate(get_next())
            return
        if expected_shapes:
            self.assertEqual(expected_shapes, dataset.output_shapes)
        for _ in range(num_test_iterations):
            get_next = self.getNext(dataset, requires_initialization)
            result = [self.evaluate(get_next()) for _ in expected_output]
            if assert_items_equal:
                self.assertCountEqual(result, expected_output)
            else:
                for got, wanted in zip(result, expected_output, strict=True):
                    nest.assert_same_structure(got, wanted)
                    for actual, value in zip(nest.flatten(got), nest.flatten(wanted), strict=True):
                        self.assertValuesEqual(value, actual)
            for _ in range(2):
                with self.assertRaises(errors.OutOfRangeError):
                    self.evaluate(get_next())

    def assertDatasetsEqual(self, dataset1: Any, dataset2: Any) -> None:
        """Both give the same elements."""
        first, second = self.getNext(dataset1), self.getNext(dataset2)
        while True:
            try:
                wanted = self.evaluate(first())
            except errors.OutOfRangeError:
                with self.assertRaises(errors.OutOfRangeError):
                    self.evaluate(second())
                return
            for a, b in zip(nest.flatten(wanted), nest.flatten(self.evaluate(second())), strict=True):
                self.assertValuesEqual(a, b)

    def assertDatasetsRaiseSameError(
        self, dataset1: Any, dataset2: Any, exception_class: Any, replacements: Any = None
    ) -> None:
        """The first elements fail alike."""
        first, second = self.getNext(dataset1), self.getNext(dataset2)
        with self.assertRaises(exception_class) as caught:
            self.evaluate(first())
        message = caught.exception.message
        for old, new, count in replacements or []:
            message = message.replace(old, new, count)
        with self.assertRaisesRegex(exception_class, re.escape(message)):
            self.evaluate(second())

    def structuredDataset(self, dataset_structure: Any, shape: Any = None, dtype: Any = None) -> Any:
        """One element of zeros in the given structure."""
        if dataset_structure is None:
            return tf.data.Dataset.from_tensors(tf.zeros(shape or [], dtype=dtype or tf.int64))
        return tf.data.Dataset.zip(tuple(self.structuredDataset(s, shape, dtype) for s in dataset_structure))
