"""tensorflow.python.framework.function.Defun: Python functions whose gradient may be given. Their operations are made where they are called."""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from recurra.tf1 import nest
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.names import export, tf_export
from recurra.tf1.python_functions import custom_gradient


class DefinedFunction:
    """What `@Defun(tf.float32, …)` makes of a Python function of tensors."""

    def __init__(self, func: Callable[..., Any], kinds: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._func, self._kinds = func, tuple(as_dtype(k) for k in kinds)
        self._name = options.pop("func_name", None) or getattr(func, "__name__", "function").strip("<>")
        self._grad_func = options.pop("grad_func", None)
        self._python_grad_func = options.pop("python_grad_func", None)
        self._shape_func = options.pop("shape_func", None)
        self.__name__, self.__doc__ = self._name, func.__doc__
        if self._grad_func is not None and self._python_grad_func is not None:
            raise ValueError("Gradient defined twice for function " + self._name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def declared_input_types(self) -> tuple[Any, ...]:
        return self._kinds

    @property
    def grad_func_name(self) -> str | None:
        return None if self._grad_func is None else self._grad_func.name

    @property
    def python_grad_func(self) -> Any:
        return self._python_grad_func

    def add_to_graph(self, graph: Any) -> None:
        """Nothing to add: the operations are made at each call."""

    def set_grad_func(self, grad_func: Any) -> None:
        """Use another defined function, of the inputs and the outputs' gradients, for the gradient."""
        self._grad_func = grad_func

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = kwargs.pop("name", None)
        if self._kinds and len(args) != len(self._kinds):
            raise ValueError(f"Expected number of arguments: {len(self._kinds)}, received: {len(args)}")
        kinds = self._kinds or (None,) * len(args)
        with name_scope(name, self._name):
            inputs = [convert_to_tensor(a, dtype=k) for a, k in zip(args, kinds, strict=True)]
            if self._grad_func is None and self._python_grad_func is None:
                result = self._func(*inputs, **kwargs)
            else:
                result = self._with_gradient(inputs, kwargs)
            self._set_shapes(inputs, result)
        return tuple(result) if isinstance(result, list) else result

    def _with_gradient(self, inputs: list[Any], kwargs: dict[str, Any]) -> Any:
        @custom_gradient
        def function(*local: Any) -> Any:
            result = self._func(*local, **kwargs)
            outputs = nest.flatten(result)

            def grad(*upstream: Any) -> Any:
                if self._python_grad_func is not None:
                    return self._python_grad_func(SimpleNamespace(inputs=list(local), outputs=outputs), *upstream)
                return self._grad_func(*local, *upstream)

            return result, grad

        return function(*inputs)

    def _set_shapes(self, inputs: list[Any], result: Any) -> None:
        if self._shape_func is not None:
            outputs = nest.flatten(result)
            given = self._shape_func(SimpleNamespace(inputs=inputs, outputs=outputs))
            for tensor, shape in zip(outputs, given, strict=True):
                tensor.set_shape(shape)


@tf_export("python.framework.function.Defun", "contrib.framework.Defun")
class Defun:
    """`@Defun(tf.float32, tf.float32, func_name=…, grad_func=…, python_grad_func=…, shape_func=…)`."""

    def __init__(self, *input_types: Any, **kwargs: Any) -> None:
        self._kinds, self._options = input_types, kwargs

    def __call__(self, func: Callable[..., Any]) -> DefinedFunction:
        if not callable(func):
            raise ValueError(f"function {func} must be callable")
        return DefinedFunction(func, self._kinds, dict(self._options))


export(lambda: [], "python.framework.function.get_extra_args", "python.framework.function.get_extra_inputs")
