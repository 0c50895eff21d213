"""tf.make_template: a function that makes its variables on its first call and reuses them on every later one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.missing import program_stack
from recurra.tf1.names import export, tf_export
from recurra.tf1.platform import tf_logging
from recurra.tf1.scopes import VariableScope, _pure_scope, _unique_variable_scope, variable_scope


@tf_export("make_template")
def make_template(
    name_: str, func_: Callable[..., Any], create_scope_now_: bool = False, unique_name_: str | None = None,
    custom_getter_: Any = None, **kwargs: Any,
) -> Template:  # fmt: skip
    """`func_` with `kwargs` given, in a variable scope of its own that later calls reuse."""
    if kwargs:
        func_ = functools.partial(func_, **kwargs)
    return Template(name_, func_, create_scope_now_, unique_name_, custom_getter_)


export(make_template, "python.ops.template.make_template_internal")


@tf_export("python.ops.template.Template")
class Template:
    """What make_template returns."""

    def __init__(
        self, name: str, func: Callable[..., Any], create_scope_now: bool = False, unique_name: str | None = None,
        custom_getter: Any = None,
    ) -> None:  # fmt: skip
        if name is None:
            raise ValueError("name cannot be None.")
        self._func, self._name, self._unique_name, self._custom_getter = func, name, unique_name, custom_getter
        self._stacktrace = program_stack()
        self._variables_created, self._scope = False, None
        if create_scope_now:
            unique = unique_name or _unique_variable_scope(name)
            with _pure_scope(unique, custom_getter=custom_getter) as scope:
                self._scope = scope

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._scope is not None:
            with variable_scope(self._scope, reuse=self._variables_created):
                return self._call(args, kwargs)
        with variable_scope(self._unique_name, self._name, custom_getter=self._custom_getter) as scope:
            self._scope = scope
            return self._call(args, kwargs)

    def _call(self, args: Any, kwargs: Any) -> Any:
        graph = get_default_graph()
        before = [len(graph.get_collection(key)) for key in _KEYS]
        try:
            if not self._variables_created:
                self._variables_created = True
                return self._func(*args, **kwargs)
            result = self._func(*args, **kwargs)
            self._check_created([graph.get_collection(key)[n:] for key, n in zip(_KEYS, before, strict=True)])
            return result
        except Exception as error:
            place = "".join(_without_common_start(self._stacktrace, program_stack()))
            first = f"{error.args[0] if error.args else ''}\n\noriginally defined at:\n{place}"
            error.args = (first, *error.args[1:])
            raise

    @staticmethod
    def _check_created(created: list[list[Any]]) -> None:
        trainable, variables = created
        hint = "perhaps you used tf.Variable when you meant tf.get_variable"
        if trainable:
            raise ValueError(
                f"Trainable variable created when calling a template after the first time, {hint}: {trainable}"
            )
        if variables:
            tf_logging.info(
                "New variables created when calling a template after the first time, %s: %s", hint, variables
            )

    name = property(lambda self: self._name)
    func = property(lambda self: self._func)

    @property
    def variable_scope(self) -> VariableScope:
        return self._scope  # type: ignore[return-value]

    var_scope = variable_scope

    @property
    def variable_scope_name(self) -> str | None:
        """The scope's name with a slash behind it, None before the first call."""
        return None if self._scope is None else f"{self._scope.name.rstrip('/')}/"

    def _collected(self, key: str) -> list[Any]:
        return [] if self._scope is None else get_default_graph().get_collection(key, self.variable_scope_name)

    @property
    def global_variables(self) -> list[Any]:
        return self._collected(GraphKeys.GLOBAL_VARIABLES)

    @property
    def local_variables(self) -> list[Any]:
        return self._collected(GraphKeys.LOCAL_VARIABLES)

    @property
    def variables(self) -> list[Any]:
        return self.global_variables + self.local_variables

    @property
    def trainable_variables(self) -> list[Any]:
        return self._collected(GraphKeys.TRAINABLE_VARIABLES)

    @property
    def non_trainable_variables(self) -> list[Any]:
        trainable = self.trainable_variables
        return [v for v in self.variables if not any(v is t for t in trainable)]

    weights = variables
    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables


_KEYS = (GraphKeys.TRAINABLE_VARIABLES, GraphKeys.GLOBAL_VARIABLES)


@tf_export("python.ops.template._skip_common_stack_elements")
def _without_common_start(stacktrace: list[str], base_case: list[str]) -> list[str]:
    """The entries of a stack behind those it shares with another, at least its last one."""
    for i, (trace, base) in enumerate(zip(stacktrace, base_case, strict=False)):
        if trace != base:
            return stacktrace[i:]
    return stacktrace[-1:]
