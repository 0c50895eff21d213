"""tensorflow.python.framework.combinations: a test for every combination of arguments."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from absl.testing import parameterized

from recurra.tf1.eager import eager_mode
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")
_HOME = "python.framework.combinations"
_ENVIRONMENT = ("mode", "tf_api_version")


@tf_export(f"{_HOME}.combine")
def combine(**kwargs: Any) -> list[Any]:
    """Every choice of one value per argument, arguments in alphabetical order."""
    keys = sorted(kwargs)
    values = [v if isinstance(v, list) else [v] for v in (kwargs[key] for key in keys)]
    return [OrderedDict(zip(keys, choice, strict=True)) for choice in itertools.product(*values)]


@tf_export("python.framework.test_util.generate_combinations_with_testcase_name")
def generate_combinations_with_testcase_name(**kwargs: Any) -> list[Any]:
    """Every combination, each with a name made of its keys and values."""
    return [
        OrderedDict(
            [*c.items(), ("testcase_name", "_test" + "".join(f"_{_letters(k)}_{_letters(v)}" for k, v in c.items()))]
        )
        for c in combine(**kwargs)
    ]


@tf_export(f"{_HOME}.times")
def times(*combined: Any) -> list[Any]:
    """Every pair (triple …) of combinations, joined."""
    return [OrderedDict(item for part in choice for item in part.items()) for choice in itertools.product(*combined)]


@tf_export(f"{_HOME}.NamedObject")
class NamedObject:
    """A value with a name for the test's name."""

    def __init__(self, name: str, obj: Any) -> None:
        self._name, self._obj = name, obj

    def __getattr__(self, name: str) -> Any:
        return getattr(self._obj, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._obj(*args, **kwargs)

    def __iter__(self) -> Any:
        return iter(self._obj)

    def __repr__(self) -> str:
        return self._name


def _letters(value: Any) -> str:
    return "".join(filter(str.isalnum, str(value)))


@tf_export(f"{_HOME}.generate", "python.framework.test_combinations.generate")
def generate(combinations: Any, test_combinations: Any = ()) -> Callable[..., Any]:
    """A decorator: one test per combination, named after it. TensorFlow 2's behaviour is refused."""

    def decorator(test: Callable[..., Any]) -> Any:
        named = []
        for combination in combinations:
            name = "".join(
                f"_{_letters(key)}_{_letters(getattr(value, '__name__', value))}" for key, value in combination.items()
            )
            named.append({**combination, "testcase_name": f"_test{name}"})
        takes = inspect.signature(test).parameters

        @functools.wraps(test)
        def decorated(self: Any, **kwargs: Any) -> None:
            if kwargs.get("tf_api_version", 1) == 2:
                self.skipTest("TensorFlow 2's behaviour is outside recurra's scope")
            given = {k: v for k, v in kwargs.items() if k in takes or k not in _ENVIRONMENT}
            if kwargs.get("mode") == "eager":
                with eager_mode():
                    tf.set_random_seed(87654321)
                    test(self, **given)
                return
            with tf.Graph().as_default() as graph:
                graph.seed = 87654321
                test(self, **given)

        return parameterized.named_parameters(*named)(decorated)

    return decorator


export(
    lambda: combine(tf_api_version=[1, 2], mode=["eager", "graph"]),
    "python.data.kernel_tests.test_base.default_test_combinations",
)
export(
    lambda: combine(tf_api_version=[1, 2], mode=["graph"]), "python.data.kernel_tests.test_base.graph_only_combinations"
)
export(
    lambda: combine(tf_api_version=[1, 2], mode=["eager"]), "python.data.kernel_tests.test_base.eager_only_combinations"
)
