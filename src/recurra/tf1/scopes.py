"""tf.variable_scope, tf.get_variable: names, sharing and defaults of variables."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.build import name_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import export, tf_export
from recurra.tf1.variable_store import AUTO_REUSE, VariableStore, get_variable_store
from recurra.tf1.variables import Variable

_resource_by_default = False


@tf_export("enable_resource_variables")
def enable_resource_variables() -> None:
    """Make variables resource variables from now on."""
    global _resource_by_default
    _resource_by_default = True


@tf_export("disable_resource_variables")
def disable_resource_variables() -> None:
    global _resource_by_default
    _resource_by_default = False


@tf_export("resource_variables_enabled")
def resource_variables_enabled() -> bool:
    return _resource_by_default


def default_variable_creator() -> bool:
    """Whether tf.Variable makes resource variables here."""
    chosen = get_variable_scope().use_resource
    if get_default_graph().eager:
        return True
    return _resource_by_default if chosen is None else chosen


@tf_export("VariableScope")
class VariableScope:
    """The defaults that get_variable uses, and the prefix of its names."""

    def __init__(
        self,
        reuse: Any,
        name: str = "",
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        custom_getter: Any = None,
        name_scope: str = "",
        dtype: Any = dtypes.float32,
        use_resource: bool | None = None,
        constraint: Any = None,
    ):
        self._name, self._reuse, self._name_scope = name, reuse, name_scope
        self._initializer, self._regularizer, self._caching_device = initializer, regularizer, caching_device
        self._partitioner, self._custom_getter, self._dtype = partitioner, custom_getter, dtype
        self._use_resource, self._constraint = use_resource, constraint

    name = property(lambda self: self._name)
    original_name_scope = property(lambda self: self._name_scope)
    reuse = property(lambda self: self._reuse)
    initializer = property(lambda self: self._initializer)
    dtype = property(lambda self: self._dtype)
    use_resource = property(lambda self: self._use_resource)
    regularizer = property(lambda self: self._regularizer)
    caching_device = property(lambda self: self._caching_device)
    partitioner = property(lambda self: self._partitioner)
    custom_getter = property(lambda self: self._custom_getter)
    constraint = property(lambda self: self._constraint)

    def reuse_variables(self) -> None:
        self._reuse = True

    def set_initializer(self, initializer: Any) -> None:
        self._initializer = initializer

    def set_dtype(self, dtype: Any) -> None:
        self._dtype = dtype

    def set_use_resource(self, use_resource: bool) -> None:
        self._use_resource = use_resource

    def set_regularizer(self, regularizer: Any) -> None:
        self._regularizer = regularizer

    def set_caching_device(self, caching_device: Any) -> None:
        self._caching_device = caching_device

    def set_partitioner(self, partitioner: Any) -> None:
        self._partitioner = partitioner

    def set_custom_getter(self, custom_getter: Any) -> None:
        self._custom_getter = custom_getter

    def get_collection(self, name: Any) -> list[Any]:
        return get_default_graph().get_collection(name, f"{self._name}/" if self._name else None)

    def trainable_variables(self) -> list[Any]:
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)

    def global_variables(self) -> list[Any]:
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def local_variables(self) -> list[Any]:
        return self.get_collection(GraphKeys.LOCAL_VARIABLES)

    def get_variable(
        self, var_store: VariableStore, name: str, shape: Any = None, dtype: Any = None, initializer: Any = None,
        regularizer: Any = None, reuse: Any = None, trainable: bool | None = None, collections: Any = None,
        caching_device: Any = None, partitioner: Any = None, validate_shape: bool = True,
        use_resource: bool | None = None, custom_getter: Any = None, constraint: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """The variable `<scope>/<name>`, with this scope's defaults for what is not given."""
        full_name = f"{self._name}/{name}" if self._name else name
        with name_scope(None):
            if dtype is not None and initializer is not None and not callable(initializer):
                kind = as_dtype(getattr(initializer, "dtype", None) or dtypes.float32).base_dtype
                if hasattr(initializer, "dtype") and kind != as_dtype(dtype).base_dtype:
                    raise ValueError(f"Initializer type '{kind}' and explicit dtype '{as_dtype(dtype)}' don't match.")
            return var_store.get_variable(
                full_name,
                shape=shape,
                dtype=_first(dtype, self._dtype),
                initializer=_first(initializer, self._initializer),
                regularizer=_first(regularizer, self._regularizer),
                reuse=_first(reuse, self._reuse),
                trainable=trainable,
                collections=collections,
                caching_device=_first(caching_device, self._caching_device),
                partitioner=_first(partitioner, self._partitioner),
                validate_shape=validate_shape,
                use_resource=_first(use_resource, self._use_resource),
                custom_getter=_first(custom_getter, self._custom_getter),
                constraint=_first(constraint, self._constraint),
            )


def _first(given: Any, default: Any) -> Any:
    return default if given is None else given


@tf_export("get_variable_scope")
def get_variable_scope() -> VariableScope:
    """The current variable scope."""
    store = get_variable_store()
    if store.current is None:
        store.current = VariableScope(False)
    return store.current


@tf_export("get_variable")
def get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = None,
    collections: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: bool | None = None,
    custom_getter: Any = None,
    constraint: Any = None,
    synchronization: Any = None,
    aggregation: Any = None,
) -> Any:
    """The variable of this name in the current scope, made now or shared."""
    return get_variable_scope().get_variable(
        get_variable_store(), name, shape=shape, dtype=dtype, initializer=initializer, regularizer=regularizer,
        trainable=trainable, collections=collections, caching_device=caching_device, partitioner=partitioner,
        validate_shape=validate_shape, use_resource=use_resource, custom_getter=custom_getter, constraint=constraint,
    )  # fmt: skip


@tf_export("get_local_variable")
def get_local_variable(name: str, *args: Any, **kwargs: Any) -> Any:
    """get_variable in the collection of local variables, not trainable."""
    kwargs["collections"] = [*(kwargs.get("collections") or []), GraphKeys.LOCAL_VARIABLES]
    kwargs["trainable"] = False
    return get_variable(name, *args, **kwargs)


def _compose(getter: Any, outer: Any) -> Any:
    """A custom getter inside another scope's one: the inner one sees the outer one as its getter."""
    if outer is None:
        return getter

    def wrapped(getter_: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return getter(functools.partial(outer, getter_), *args, **kwargs)

    return lambda getter, *args, **kwargs: wrapped(getter, *args, **kwargs)


@contextmanager
def _pure_scope(
    name_or_scope: Any, reuse: Any = None, old_name_scope: str | None = None, **options: Any
) -> Iterator[VariableScope]:
    """Only the variable side of a scope, without a name scope."""
    old = get_variable_scope()
    store = get_variable_store()
    given = {k: v for k, v in options.items() if v is not None}
    getter = given.pop("custom_getter", None)
    if isinstance(name_or_scope, VariableScope):
        new_name = name_or_scope.name
        scope = copy.copy(name_or_scope)
        scope._reuse = reuse or name_or_scope.reuse
        if getter is not None:
            scope._custom_getter = _compose(getter, name_or_scope.custom_getter)
        old_name_scope = name_or_scope.original_name_scope if old_name_scope is None else old_name_scope
        saved = dict(store.scope_counts)
    else:
        new_name = f"{old.name}/{name_or_scope}" if old.name else name_or_scope
        scope = copy.copy(old)
        scope._reuse = reuse or old.reuse
        if getter is not None:
            scope._custom_getter = _compose(getter, old.custom_getter)
        saved = None
    scope._name, scope._name_scope = new_name, new_name if old_name_scope is None else old_name_scope
    for key, value in given.items():
        setattr(scope, f"_{key}", value)
    store.open_scope(new_name)
    store.current = scope
    try:
        yield scope
    finally:
        store.close_subscopes(new_name)
        if saved is not None:
            store.scope_counts = saved
        store.current = old


export(_pure_scope, "python.ops.variable_scope._pure_variable_scope")


@tf_export("variable_scope")
class variable_scope:
    """`with tf.variable_scope(name, reuse=…) as scope`: prefix and defaults of get_variable, and a name scope."""

    def __init__(
        self,
        name_or_scope: Any,
        default_name: str | None = None,
        values: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        custom_getter: Any = None,
        reuse: Any = None,
        dtype: Any = None,
        use_resource: bool | None = None,
        constraint: Any = None,
        auxiliary_name_scope: bool = True,
    ):
        if default_name is None and name_or_scope is None:
            raise TypeError("If default_name is None then name_or_scope is required")
        if reuse is False:
            reuse = None
        if not (reuse is True or reuse is None or reuse is AUTO_REUSE):
            raise ValueError("The reuse parameter must be True or False or None.")
        if not isinstance(auxiliary_name_scope, bool):
            raise TypeError(f"The auxiliary_name_scope must be `True` or `False`, while get {auxiliary_name_scope}")
        if values is not None and not isinstance(values, list | tuple):
            values = list(values)
        self._name_or_scope, self._default_name, self._values, self._reuse = name_or_scope, default_name, values, reuse
        self._auxiliary = auxiliary_name_scope
        self._options = {
            "initializer": initializer, "regularizer": regularizer, "caching_device": caching_device,
            "partitioner": partitioner, "custom_getter": custom_getter, "dtype": dtype, "use_resource": use_resource,
            "constraint": constraint,
        }  # fmt: skip
        self._entered: list[list[Any]] = []

    def __enter__(self) -> VariableScope:
        from recurra.tf1.build import graph_of

        graph = graph_of(self._values) if self._values else get_default_graph()
        managers: list[Any] = [graph.as_default()]
        managers[0].__enter__()
        try:
            scope = self._enter(managers)
        except BaseException:
            for manager in reversed(managers):
                manager.__exit__(None, None, None)
            raise
        self._entered.append(managers)
        return scope

    def _enter(self, managers: list[Any]) -> VariableScope:
        def enter(manager: Any) -> Any:
            entered = manager.__enter__()
            managers.append(manager)
            return entered

        name, graph = self._name_or_scope, get_default_graph()
        if not self._auxiliary:
            current = graph.get_name_scope()
            names_manager: Any = name_scope(f"{current}/" if current else None)
        else:
            names_manager = None
        if name is None:
            if self._reuse:
                raise ValueError("reuse=True cannot be used without a name_or_scope")
            opened = enter(names_manager or name_scope(self._default_name))
            unique = _unique_variable_scope(self._default_name or "")
            return enter(_pure_scope(unique, old_name_scope=opened, **self._options))
        if not isinstance(name, VariableScope | str):
            raise TypeError("VariableScope: name_or_scope must be a string or VariableScope.")
        last = name if isinstance(name, str) else name.name.split("/")[-1]
        if not (last or names_manager):
            return enter(_pure_scope(name, reuse=self._reuse, **self._options))
        opened = enter(names_manager or name_scope(last))
        old = opened if isinstance(name, str) else name.original_name_scope
        return enter(_pure_scope(name, reuse=self._reuse, old_name_scope=old, **self._options))

    def __exit__(self, *exc: Any) -> None:
        for manager in reversed(self._entered.pop()):
            manager.__exit__(None, None, None)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped


def _unique_variable_scope(prefix: str) -> str:
    store, current = get_variable_store(), get_variable_scope()
    name = f"{current.name}/{prefix}" if current.name else prefix
    if not store.scope_counts.get(name):
        return prefix
    i = 1
    while store.scope_counts.get(f"{name}_{i}"):
        i += 1
    return f"{prefix}_{i}"


export(_unique_variable_scope, "python.ops.variable_scope._get_unique_variable_scope")


@tf_export("variable_op_scope")
def variable_op_scope(
    values: Any, name_or_scope: Any, default_name: str | None = None, *args: Any, **kwargs: Any
) -> Any:
    return variable_scope(name_or_scope, default_name, values, *args, **kwargs)


@tf_export("no_regularizer")
def no_regularizer(_: Any) -> None:
    """A regulariser that adds nothing, where the scope's one is not wanted."""


@tf_export("variable_creator_scope")
@contextmanager
def variable_creator_scope(variable_creator: Callable[..., Any]) -> Iterator[None]:
    """Every tf.Variable made inside goes through `variable_creator(next_creator, **kwargs)`."""
    creators = get_default_graph().extra.setdefault("variable_creators", [])
    creators.append(variable_creator)
    try:
        yield
    finally:
        creators.remove(variable_creator)


export(variable_scope, "python.ops.variable_scope.variable_scope")
export(VariableStore, "python.ops.variable_scope._VariableStore")
export(get_variable_store, "python.ops.variable_scope._get_default_variable_store")
export(Variable, "python.ops.variables.VariableV1", "VariableV1")
