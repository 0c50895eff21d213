"""tf.Graph: operations under TensorFlow's names, scopes, collections, control dependencies."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from recurra.tf1.devices import _device_text, _merge_devices
from recurra.tf1.names import export, tf_export
from recurra.tf1.tensor import Operation, Tensor

_VALID_OP_NAME = re.compile(r"^[A-Za-z0-9.][A-Za-z0-9_.\-/]*$")
_VALID_SCOPE_NAME = re.compile(r"^[A-Za-z0-9_.\-/]*$")
_PACKAGE = str(Path(__file__).resolve().parent)


class _Versions:
    producer, min_consumer = 134, 0
    bad_consumers: tuple[int, ...] = ()


class _ControlDependencies:
    """One level of `with graph.control_dependencies(…)`; `reset` forgets the levels outside."""

    def __init__(self, ops: list[Operation], reset: bool):
        self.ops, self.reset = ops, reset
        self.seen: set[Operation] = set()


@tf_export("Graph")
class Graph:
    """A dataflow graph under construction."""

    eager = False  # whether operations run when they are made
    symbolic = 0  # of an eager graph: how many open blocks only build

    def __init__(self) -> None:
        self._ops: dict[str, Operation] = {}
        self._op_list: list[Operation] = []
        self._names_in_use: dict[str, int] = {}
        self._name_stack = ""
        self._collections: dict[Any, list[Any]] = {}
        self._control_stack: list[_ControlDependencies] = []
        self._device_stack: list[Any] = []
        self._colocation_stack: list[Operation] = []
        self._context: Any = None
        self._finalized = False
        self._seed: int | None = None
        self._op_ids = 0
        self._tensor_ids = 0
        self._version = 0
        self._attr_scope: dict[str, Any] = {}
        self._gradient_override: dict[str, str] = {}
        self._containers = ""
        self._unfeedable: set[Tensor] = set()
        self._unfetchable: set[Operation] = set()
        self._unique_ids = 0
        self._lock = threading.RLock()
        self.extra: dict[str, Any] = {}
        self.building_function = False
        self.graph_def_versions = _Versions()

    # -- identity and bookkeeping ------------------------------------------------------------------------------------
    @property
    def version(self) -> int:
        return self._op_ids

    @property
    def seed(self) -> int | None:
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._seed = seed

    @property
    def finalized(self) -> bool:
        return self._finalized

    @property
    def _last_id(self) -> int:
        return self._op_ids

    def finalize(self) -> None:
        self._finalized = True

    def _unsafe_unfinalize(self) -> None:
        self._finalized = False

    def _check_not_finalized(self) -> None:
        if self._finalized:
            raise RuntimeError("Graph is finalized and cannot be modified.")

    def _next_op_id(self) -> int:
        self._op_ids += 1
        return self._op_ids

    def _next_tensor_id(self) -> int:
        self._tensor_ids += 1
        return self._tensor_ids

    def _touch(self) -> None:
        """Edges changed: plans made so far are stale."""
        self._version += 1

    @contextlib.contextmanager
    def as_default(self) -> Iterator[Graph]:
        stack = _default_stack()
        stack.append(self)
        try:
            yield self
        finally:
            if stack[-1] is not self:
                raise AssertionError(f"Nesting violated for default stack of {type(self)} objects")
            stack.pop()

    # -- names -------------------------------------------------------------------------------------------------------
    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """`name` under the current scope, made unique by `_1`, `_2` … as TensorFlow does (case is ignored)."""
        if self._name_stack:
            name = f"{self._name_stack}/{name}"
        key = name.lower()
        i = self._names_in_use.get(key, 0)
        if mark_as_used:
            self._names_in_use[key] = i + 1
        if i > 0:
            base = key
            while key in self._names_in_use:
                key = f"{base}_{i}"
                i += 1
            if mark_as_used:
                self._names_in_use[key] = 1
            name = f"{name}_{i - 1}"
        return name

    def get_name_scope(self) -> str:
        return self._name_stack

    @contextlib.contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Enter a scope: a fresh unique one, an existing one (`name` ends with '/'), or the root (None or '')."""
        if name:
            if not isinstance(name, str):
                name = name.decode() if isinstance(name, bytes) else name
                if not isinstance(name, str):
                    raise TypeError(f"name for name_scope must be a string, got {name!r}")
            pattern = _VALID_SCOPE_NAME if self._name_stack else _VALID_OP_NAME
            if not pattern.match(name):
                raise ValueError(f"'{name}' is not a valid scope name")
        old = self._name_stack
        if not name:
            new = ""
        elif name.endswith("/"):
            new = name[:-1]
        else:
            new = self.unique_name(name)
        self._name_stack = new
        try:
            yield f"{new}/" if new else ""
        finally:
            self._name_stack = old

    # -- operations --------------------------------------------------------------------------------------------------
    def add_op(
        self, op_type: str, name: str | None, inputs: list[Tensor], attrs: dict[str, Any], definition: Any
    ) -> Operation:
        """A new operation without outputs yet. A name that ends with '/' is taken as it is (a scope was just opened for it)."""  # noqa: E501
        self._check_not_finalized()
        name = name or op_type
        if name.endswith("/"):
            name = name[:-1]
            if name in self._ops:
                name = self.unique_name_absolute(name)
        else:
            if not (_VALID_SCOPE_NAME if self._name_stack else _VALID_OP_NAME).match(name):
                raise ValueError(f"'{name}' is not a valid node name")
            name = self.unique_name(name)
        for tensor in inputs:
            if tensor.op.graph is not self:
                raise ValueError(f"{tensor} must be from the same graph as this operation ({name}).")
            if tensor.op._context is not None and tensor.op._context is not self._context:
                _check_input(name, self._context, tensor.op)
        op = Operation(self, op_type, name, inputs, attrs, definition, self._control_inputs_for(inputs))
        op._place = _program_place()
        self._ops[name] = op
        self._op_list.append(op)
        op._device = self._current_device(op)
        if self._colocation_stack:
            op._colocation = [f"loc:@{o.name}" for o in self._colocation_stack]
        for level in self._control_stack:
            level.seen.add(op)
        if self._context is not None:
            op._context = self._context
            self._context.add_op(op)
        return op

    def unique_name_absolute(self, name: str) -> str:
        """A free name like `name`, whatever scope is open."""
        old, self._name_stack = self._name_stack, ""
        try:
            return self.unique_name(name)
        finally:
            self._name_stack = old

    def create_op(
        self,
        op_type: str,
        inputs: Iterable[Tensor],
        dtypes: Any = None,
        input_types: Any = None,
        name: str | None = None,
        attrs: Any = None,
        op_def: Any = None,
        compute_shapes: bool = True,
        compute_device: bool = True,
    ) -> Operation:
        """tf.Graph.create_op, for programs that call it directly."""
        from recurra.tf1.build import make_op

        return make_op(self, op_type, list(inputs), dict(attrs or {}), name, dtypes)

    def get_operations(self) -> list[Operation]:
        return list(self._op_list)

    def get_operation_by_name(self, name: str) -> Operation:
        if not isinstance(name, str):
            raise TypeError(f"Operation names are strings (or similar), not {type(name).__name__}.")
        return self.as_graph_element(name, allow_tensor=False, allow_operation=True)

    def get_tensor_by_name(self, name: str) -> Tensor:
        if not isinstance(name, str):
            raise TypeError(f"Tensor names are strings (or similar), not {type(name).__name__}.")
        return self.as_graph_element(name, allow_tensor=True, allow_operation=False)

    def as_graph_element(self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The Tensor or Operation that `obj` is or names; ValueError, KeyError or TypeError as TensorFlow's."""
        kinds = " or ".join(k for k, ok in (("Tensor", allow_tensor), ("Operation", allow_operation)) if ok)
        if not kinds:
            raise ValueError("allow_tensor and allow_operation can't both be False.")
        convert = getattr(obj, "_as_graph_element", None)
        if convert is not None and (element := convert()) is not None:
            obj = element
        if isinstance(obj, bytes):
            obj = obj.decode()
        if isinstance(obj, str):
            return self._element_by_name(obj, allow_tensor, allow_operation)
        if (isinstance(obj, Tensor) and allow_tensor) or (isinstance(obj, Operation) and allow_operation):
            if obj.graph is not self:
                raise ValueError(f"{type(obj).__name__} {obj} is not an element of this graph.")
            return obj
        raise TypeError(f"Can not convert a {type(obj).__name__} into a {kinds}.")

    def _element_by_name(self, name: str, allow_tensor: bool, allow_operation: bool) -> Any:
        if ":" in name and allow_tensor:
            op_name, _, index = name.rpartition(":")
            if not index.isdigit() or ":" in op_name:
                raise ValueError(
                    f"The name {name!r} looks a like a Tensor name, but is not a valid one. Tensor names must be of "
                    'the form "<op_name>:<output_index>".'
                )
            op = self._ops.get(op_name)
            if op is None:
                raise KeyError(
                    f"The name {name!r} refers to a Tensor which does not exist. The operation, {op_name!r}, does "
                    "not exist in the graph."
                )
            if int(index) >= len(op.outputs):
                raise KeyError(
                    f"The name {name!r} refers to a Tensor which does not exist. The operation, {op_name!r}, exists "
                    f"but only has {len(op.outputs)} outputs."
                )
            return op.outputs[int(index)]
        if ":" in name:
            raise ValueError(f"Name {name!r} appears to refer to a Tensor, not a Operation.")
        if not allow_operation:
            if name in self._ops:
                raise ValueError(
                    f"The name {name!r} refers to an Operation, not a Tensor. Tensor names must be of the form "
                    '"<op_name>:<output_index>".'
                )
            raise ValueError(
                f"The name {name!r} looks like an (invalid) Operation name, not a Tensor. Tensor names must be of the "
                'form "<op_name>:<output_index>".'
            )
        if name not in self._ops:
            raise KeyError(f"The name {name!r} refers to an Operation not in the graph.")
        return self._ops[name]

    def prevent_feeding(self, tensor: Tensor) -> None:
        self._unfeedable.add(tensor)

    def is_feedable(self, tensor: Tensor) -> bool:
        return tensor not in self._unfeedable

    def prevent_fetching(self, op: Operation) -> None:
        self._unfetchable.add(op)

    def is_fetchable(self, element: Any) -> bool:
        return (element.op if isinstance(element, Tensor) else element) not in self._unfetchable

    # -- collections -------------------------------------------------------------------------------------------------
    def add_to_collection(self, name: Any, value: Any) -> None:
        self._check_not_finalized()
        self._collections.setdefault(name, []).append(value)

    def add_to_collections(self, names: Any, value: Any) -> None:
        for name in {names} if isinstance(names, str) else dict.fromkeys(names):
            self.add_to_collection(name, value)

    def get_collection_ref(self, name: Any) -> list[Any]:
        return self._collections.setdefault(name, [])

    def get_collection(self, name: Any, scope: str | None = None) -> list[Any]:
        items = self._collections.get(name, [])
        if scope is None:
            return list(items)
        pattern = re.compile(scope)
        return [item for item in items if hasattr(item, "name") and pattern.match(item.name)]

    def get_all_collection_keys(self) -> list[str]:
        return [key for key in self._collections if isinstance(key, str)]

    @property
    def collections(self) -> list[Any]:
        return list(self._collections)

    def clear_collection(self, name: Any) -> None:
        self._check_not_finalized()
        self._collections.pop(name, None)

    # -- control dependencies, devices -------------------------------------------------------------------------------
    @contextlib.contextmanager
    def control_dependencies(self, control_inputs: Any) -> Iterator[None]:
        """Operations made inside run after `control_inputs`; None forgets the outer ones (and leaves control flow)."""
        reset = control_inputs is None
        ops: list[Operation] = []
        for item in [] if control_inputs is None else control_inputs:
            element = getattr(item, "op", None) if hasattr(item, "indices") and hasattr(item, "values") else item
            element = self.as_graph_element(element if element is not None else item)
            ops.append(element.op if isinstance(element, Tensor) else element)
        outer_context = self._context
        if reset:
            self._context = None
        self._control_stack.append(_ControlDependencies(ops, reset))
        try:
            yield
        finally:
            self._control_stack.pop()
            if reset:
                self._context = outer_context

    def _control_inputs_for(self, inputs: list[Tensor]) -> list[Operation]:
        ops: list[Operation] = []
        data = {t.op for t in inputs}
        for level in reversed(self._control_stack):
            # an input made under this level already waits for its operations
            if not any(op in level.seen for op in data):
                ops += [op for op in level.ops if op not in ops]
            if level.reset:
                break
        return ops

    def _current_control_dependencies(self) -> set[Operation]:
        ops: set[Operation] = set()
        for level in self._control_stack:
            ops.update(level.ops)
        return ops

    def _record_op_seen_by_control_dependencies(self, op: Operation) -> None:
        for level in self._control_stack:
            level.seen.add(op)

    @contextlib.contextmanager
    def device(self, device_name_or_function: Any) -> Iterator[None]:
        """Remember a device for the operations made inside. Everything runs on the CPU whatever is asked."""
        self._device_stack.append(device_name_or_function)
        try:
            yield
        finally:
            self._device_stack.pop()

    def _current_device(self, op: Operation) -> str:
        device = ""
        for item in self._device_stack:
            if item is None:
                device = ""
            elif callable(item) and not isinstance(item, str):
                op._device = device
                device = _device_text(item(op)) or device
            else:
                device = _merge_devices(device, _device_text(item))
        return device

    @contextlib.contextmanager
    def colocate_with(self, op: Any, ignore_existing: bool = False) -> Iterator[None]:
        element = getattr(op, "op", op)
        self._colocation_stack.append(element)
        try:
            yield
        finally:
            self._colocation_stack.pop()

    _colocate_with_for_gradient = None

    @contextlib.contextmanager
    def container(self, container_name: str) -> Iterator[str]:
        old, self._containers = self._containers, container_name
        try:
            yield container_name
        finally:
            self._containers = old

    @contextlib.contextmanager
    def gradient_override_map(self, op_type_map: dict[str, str]) -> Iterator[None]:
        """Operations of the given types made inside use the gradient registered under the other name."""
        if not isinstance(op_type_map, dict):
            raise TypeError("op_type_map must be a dictionary mapping strings to strings")
        old = self._gradient_override
        self._gradient_override = {**old, **op_type_map}
        try:
            yield
        finally:
            self._gradient_override = old

    @contextlib.contextmanager
    def _attr_scope_manager(self, attr_map: dict[str, Any]) -> Iterator[None]:
        old = self._attr_scope
        self._attr_scope = {**old, **attr_map}
        try:
            yield
        finally:
            self._attr_scope = old

    def _get_control_flow_context(self) -> Any:
        return self._context

    def _set_control_flow_context(self, context: Any) -> None:
        self._context = context

    def switch_to_thread_local(self) -> None:
        """Kept for programs that call it; scopes are per graph here."""

    def as_graph_def(self, from_version: int | None = None, add_shapes: bool = False) -> Any:
        from recurra.tf1 import graph_def

        return graph_def.graph_def(self, add_shapes=add_shapes)


def _check_input(name: str, context: Any, given: Operation) -> None:
    from recurra.tf1.contexts import check_input

    check_input(name, context, given)


def _program_place() -> tuple[str, int] | None:
    """File and line of the innermost caller outside this package."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE) and "contextlib" not in name:
            return name, frame.f_lineno
        frame = frame.f_back
    return None


class _Local(threading.local):
    def __init__(self) -> None:
        self.stack: list[Graph] = []


_local = _Local()
_global_default: Graph | None = None


def _default_stack() -> list[Graph]:
    return _local.stack


@tf_export("get_default_graph")
def get_default_graph() -> Graph:
    """The innermost `graph.as_default()`, or the process's own default graph."""
    global _global_default
    if _local.stack:
        return _local.stack[-1]
    if _global_default is None:
        _global_default = Graph()
    return _global_default


def set_global_default(graph: Graph) -> None:
    """Make `graph` what is built in where no other graph is the default."""
    global _global_default
    _global_default = graph


@tf_export("reset_default_graph")
def reset_default_graph() -> None:
    """Replace the process's default graph by an empty one."""
    global _global_default
    if _local.stack:
        raise AssertionError(
            "Do not use tf.reset_default_graph() to clear nested graphs. If you need a cleared graph, "
            "exit the nesting and create a new graph."
        )
    _global_default = Graph()


def _export_graph_functions() -> None:
    """tf.add_to_collection and its like act on the default graph."""

    @tf_export("add_to_collection")
    def add_to_collection(name: Any, value: Any) -> None:
        get_default_graph().add_to_collection(name, value)

    @tf_export("add_to_collections")
    def add_to_collections(names: Any, value: Any) -> None:
        get_default_graph().add_to_collections(names, value)

    @tf_export("get_collection")
    def get_collection(key: Any, scope: str | None = None) -> list[Any]:
        return get_default_graph().get_collection(key, scope)

    @tf_export("get_collection_ref")
    def get_collection_ref(key: Any) -> list[Any]:
        return get_default_graph().get_collection_ref(key)

    @tf_export("control_dependencies")
    def control_dependencies(control_inputs: Any) -> Any:
        return get_default_graph().control_dependencies(control_inputs)

    @tf_export("device")
    def device(device_name: Any) -> Any:
        return get_default_graph().device(device_name)

    @tf_export("container")
    def container(container_name: str) -> Any:
        return get_default_graph().container(container_name)

    @tf_export("colocate_with")
    def colocate_with(op: Any, ignore_existing: bool = False) -> Any:
        return get_default_graph().colocate_with(op, ignore_existing)

    @tf_export("set_random_seed", "random.set_random_seed")
    def set_random_seed(seed: int) -> None:
        get_default_graph().seed = seed

    @tf_export("get_default_graph_seed")
    def get_default_graph_seed() -> int | None:
        return get_default_graph().seed


_export_graph_functions()
# What programs kept alive after 2019 begin with; graphs are all there is here, so there is nothing to switch off.
for _switch in (
    "disable_v2_behavior",
    "disable_eager_execution",
    "disable_v2_tensorshape",
    "disable_resource_variables",
    "disable_control_flow_v2",
    "disable_tensor_equality",
):
    export(lambda: None, _switch)
