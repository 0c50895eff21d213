"""tf.contrib.framework.arg_scope: default keyword arguments for functions that opted in."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from recurra.tf1.names import export, tf_export

__all__ = ["add_arg_scope", "arg_scope"]

_STACK: list[dict[str, dict[str, Any]]] = [{}]
_DECORATED: dict[str, set[str]] = {}


def _key(function: Callable[..., Any]) -> str:
    return getattr(function, "_key_op", str(function))


@tf_export("contrib.framework.add_arg_scope", "contrib.slim.add_arg_scope")
def add_arg_scope(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `function` take its defaults from an enclosing arg_scope."""
    key = f"{function.__module__}.{function.__name__}"
    import inspect

    parameters = inspect.signature(function).parameters.values()
    _DECORATED[key] = {p.name for p in parameters if p.default is not p.empty or p.kind == p.KEYWORD_ONLY}

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        defaults = _STACK[-1].get(key)
        return function(*args, **{**defaults, **kwargs}) if defaults else function(*args, **kwargs)

    wrapper._key_op = key  # type: ignore[attr-defined]
    return wrapper


@tf_export("contrib.framework.has_arg_scope")
def has_arg_scope(function: Callable[..., Any]) -> bool:
    return _key(function) in _DECORATED


@tf_export("contrib.framework.arg_scoped_arguments")
def arg_scoped_arguments(function: Callable[..., Any]) -> Any:
    if not has_arg_scope(function):
        raise ValueError("func does not have arg scope")
    return _DECORATED[_key(function)]


@tf_export("contrib.framework.current_arg_scope")
def current_arg_scope() -> dict[str, dict[str, Any]]:
    return _STACK[-1]


@contextlib.contextmanager
def arg_scope(list_ops_or_scope: Any, **kwargs: Any) -> Iterator[dict[str, dict[str, Any]]]:
    """`with arg_scope([f, g], a=1)`, or re-enter a scope captured by `as`."""
    if isinstance(list_ops_or_scope, dict):
        if kwargs:
            raise ValueError("When attempting to re-use a scope by suppling adictionary, kwargs must be empty.")
        _STACK.append(list_ops_or_scope.copy())
    else:
        if not isinstance(list_ops_or_scope, (list, tuple)):
            raise TypeError("list_ops_or_scope must either be a list/tuple or reused scope (i.e. dict)")
        merged = {k: dict(v) for k, v in _STACK[-1].items()}
        for function in list_ops_or_scope:
            if not has_arg_scope(function):
                raise ValueError(f"{getattr(function, '__name__', function)} is not decorated with @add_arg_scope")
            merged[_key(function)] = {**merged.get(_key(function), {}), **kwargs}
        _STACK.append(merged)
    try:
        yield _STACK[-1]
    finally:
        _STACK.pop()


export(
    arg_scope,
    "contrib.framework.arg_scope",
    "contrib.framework.python.ops.arg_scope",
    "contrib.framework.python.ops.arg_scope.arg_scope",
    "contrib.slim.arg_scope",
)
export(add_arg_scope, "contrib.framework.python.ops.add_arg_scope")
