"""tensorflow.python.keras.keras_parameterized: a test in every mode of execution, or for every kind of model."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import unittest
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from absl.testing import parameterized

from recurra.tf1 import nest
from recurra.tf1.eager import eager_mode, executing_eagerly, graph_mode
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.testing.case import TensorFlowTestCase

tf = space("")
_HOME = "python.keras.keras_parameterized"
_TOOLS = "python.keras.testing_utils"


class _Chosen(threading.local):
    model_type: str | None = None
    run_eagerly: bool | None = None
    experimental_run_tf_function: bool | None = None


_chosen = _Chosen()


@contextlib.contextmanager
def _choice(name: str, value: Any) -> Iterator[Any]:
    before = getattr(_chosen, name)
    setattr(_chosen, name, value)
    try:
        yield value
    finally:
        setattr(_chosen, name, before)


export(lambda value: _choice("model_type", value), f"{_TOOLS}.model_type_scope")
export(lambda value: _choice("run_eagerly", value), f"{_TOOLS}.run_eagerly_scope")
export(lambda value: _choice("experimental_run_tf_function", value), f"{_TOOLS}.experimental_run_tf_function_scope")
export(lambda: _chosen.model_type, f"{_TOOLS}.get_model_type")


@tf_export(f"{_TOOLS}.should_run_eagerly")
def should_run_eagerly() -> bool:
    """Whether the mode of the test compiles models that run eagerly."""
    if _chosen.run_eagerly is None:
        raise ValueError("Cannot call `should_run_eagerly()` outside of a `run_eagerly_scope()` or "
                         "`run_all_keras_modes` decorator.")  # fmt: skip
    return _chosen.run_eagerly and executing_eagerly()


@tf_export(f"{_TOOLS}.should_run_tf_function")
def should_run_tf_function() -> bool:
    """Whether the mode of the test compiles models of TensorFlow 2's kind."""
    if _chosen.experimental_run_tf_function is None:
        raise ValueError("Cannot call `should_run_tf_function()` outside of an `experimental_run_tf_function_scope()` "
                         "or `run_all_keras_modes` decorator.")  # fmt: skip
    return _chosen.experimental_run_tf_function and executing_eagerly()


@tf_export(f"{_HOME}.TestCase")
class KerasTestCase(TensorFlowTestCase, parameterized.TestCase):
    """Tests that leave no Keras state behind."""

    def tearDown(self) -> None:
        tf.keras.backend.clear_session()
        super().tearDown()


# mode → (context, run_eagerly, experimental_run_tf_function)
_MODES = {
    "v2_function": (eager_mode, False, True),
    "v2_funcgraph": (eager_mode, False, False),
    "v2_eager": (eager_mode, True, True),
    "v1_session": (graph_mode, False, False),
}


def _in_mode(mode: str, test: Callable[..., Any], case: Any, config: Any, *args: Any, **kwargs: Any) -> None:
    context, eagerly, as_function = _MODES[mode]
    with context(), _choice("run_eagerly", eagerly), _choice("experimental_run_tf_function", as_function):
        session = case.test_session(use_gpu=True, config=config) if mode == "v1_session" else contextlib.nullcontext()
        with session:
            test(case, *args, **kwargs)


@tf_export(f"{_HOME}.run_all_keras_modes")
def run_all_keras_modes(
    test_or_class: Any = None, config: Any = None, always_skip_v1: bool = False, always_skip_eager: bool = False
) -> Any:
    """The test in a session, and under eager execution with each way of running models."""
    skipped = {m for m, skip in (("v1_session", always_skip_v1), ("v2_eager", always_skip_eager)) if skip}
    modes = [m for m in _MODES if m not in skipped]

    def each(test: Callable[..., Any]) -> Any:
        @parameterized.named_parameters(*((f"_{mode}", mode) for mode in modes))
        @functools.wraps(test)
        def decorated(self: Any, run_mode: str, *args: Any, **kwargs: Any) -> None:
            _in_mode(run_mode, test, self, config, *args, **kwargs)

        return decorated

    return _applied(test_or_class, each)


@tf_export(f"{_HOME}.run_with_all_model_types")
def run_with_all_model_types(test_or_class: Any = None, exclude_models: Any = None) -> Any:
    """The test with functional, subclassed and sequential models (what testing_utils makes)."""
    kinds = [k for k in ("functional", "subclass", "sequential") if k not in nest.flatten(exclude_models)]

    def each(test: Callable[..., Any]) -> Any:
        @parameterized.named_parameters(*((f"_{kind}", kind) for kind in kinds))
        @functools.wraps(test)
        def decorated(self: Any, model_type: str, *args: Any, **kwargs: Any) -> None:
            with _choice("model_type", model_type):
                test(self, *args, **kwargs)

        return decorated

    return _applied(test_or_class, each)


def _applied(test_or_class: Any, each: Callable[..., Any]) -> Any:
    """`each` on a test, on all tests of a class, or on the cases that another decorator made."""

    def decorate(target: Any) -> Any:
        if isinstance(target, type):
            for name, value in dict(vars(target)).items():
                if callable(value) and name.startswith(unittest.TestLoader.testMethodPrefix):
                    setattr(target, name, each(value))
            # made anew: absl's metaclass unfolds the cases
            return type(target)(target.__name__, target.__bases__, dict(vars(target)))
        if isinstance(target, Iterable):
            return itertools.chain.from_iterable(each(test) for test in target)
        return each(target)

    return decorate if test_or_class is None else decorate(test_or_class)
