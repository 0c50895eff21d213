"""tf.Variable: reference variables and resource variables, with TensorFlow's operations and names behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1 import variable_ops as variable_ops
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope, register_tensor_conversion_function
from recurra.tf1.dtypes import DType, as_dtype
from recurra.tf1.fetches import register as register_fetch
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.initial_values import uncycled
from recurra.tf1.names import export, tf_export
from recurra.tf1.shapes import TensorShape, as_shape
from recurra.tf1.slice_info import SaveSliceInfo
from recurra.tf1.tensor import Operation, Reference, Tensor, TensorLike
from recurra.tf1.values import to_numpy
from recurra.tf1.variable_policies import VariableAggregation, VariableSynchronization


class _Meta(type):
    """`tf.Variable(…)` makes a RefVariable, or a ResourceVariable when resources are asked for."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is not Variable:
            return super().__call__(*args, **kwargs)
        from recurra.tf1.scopes import default_variable_creator

        def make(*a: Any, **k: Any) -> Any:
            chosen = k.pop("use_resource", None)
            if chosen is None:
                chosen = default_variable_creator()
            kind = ResourceVariable if chosen else RefVariable
            return type.__call__(kind, *a, **k)

        previous = lambda **k: make(**k)  # noqa: E731
        creators = get_default_graph().extra.get("variable_creators", [])
        if creators:
            names = ["initial_value", "trainable", "collections", "validate_shape", "caching_device", "name"]
            kwargs = {**dict(zip(names, args, strict=False)), **kwargs}
            for creator in creators:
                previous = _chain(creator, previous)
            return previous(**kwargs)
        return make(*args, **kwargs)


def _chain(creator: Callable[..., Any], following: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **kwargs: creator(following, **kwargs)


@tf_export("Variable")
class Variable(TensorLike, metaclass=_Meta):
    """A value that lives in the session and is initialised, read and assigned by operations."""

    __array_priority__ = 100
    _variable: Tensor
    _initializer_op: Operation
    _initial_value: Tensor
    _snapshot: Tensor

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        collections: Any = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        import_scope: str | None = None,
        constraint: Any = None,
        synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE,
        shape: Any = None,
        use_resource: bool | None = None,
    ):
        if variable_def is not None:
            self._from_proto(variable_def, import_scope)
            return
        if initial_value is None:
            raise ValueError("initial_value must be specified.")
        if constraint is not None and not callable(constraint):
            raise ValueError("The `constraint` argument must be a callable.")
        if synchronization is VariableSynchronization.ON_READ:
            if trainable:
                raise ValueError(
                    "Synchronization value can be set to VariableSynchronization.ON_READ only for non-trainable variables. "  # noqa: E501
                    "You have specified trainable=True and synchronization=VariableSynchronization.ON_READ."
                )
            trainable = False
        trainable = True if trainable is None else trainable
        self._trainable, self._constraint = bool(trainable), constraint
        self._synchronization, self._aggregation = synchronization, aggregation
        self._save_slice_info: Any = None
        self._validate_shape = validate_shape
        graph = get_default_graph()
        collections = [GraphKeys.GLOBAL_VARIABLES] if collections is None else collections
        if not isinstance(collections, list | tuple | set):
            raise ValueError(
                f"collections argument to Variable constructor must be a list, tuple, or set. Got {collections} of type {type(collections)}"  # noqa: E501
            )
        collections = list(collections)
        if trainable and GraphKeys.TRAINABLE_VARIABLES not in collections:
            collections.append(GraphKeys.TRAINABLE_VARIABLES)
        with (
            graph.control_dependencies(None),
            name_scope(name, "Variable", [] if callable(initial_value) else [initial_value]) as scope,
        ):
            self._make(
                scope, initial_value, None if dtype is None else as_dtype(dtype).base_dtype, validate_shape, shape
            )
        self._graph_key = self._initial_name(scope)
        graph.add_to_collections(list(dict.fromkeys(collections)), self)

    def _initial_name(self, scope: str) -> str:
        return f"{scope}"

    def _value_for_init(self, scope: str, initial_value: Any, dtype: DType | None) -> Tensor:
        if callable(initial_value):
            with name_scope("Initializer"), get_default_graph().device(None):
                return convert_to_tensor(initial_value(), dtype=dtype, name="initial_value")
        return convert_to_tensor(initial_value, dtype=dtype, name="initial_value")

    def _make(self, scope: str, initial_value: Any, dtype: DType | None, validate_shape: bool, shape: Any) -> None:
        raise NotImplementedError

    def _from_proto(self, proto: Any, import_scope: str | None) -> None:
        graph = get_default_graph()
        prefix = f"{import_scope}/" if import_scope else ""

        def find(name: str) -> Any:
            return graph.as_graph_element(prefix + name)

        self._variable = find(proto.variable_name)
        self._initializer_op = find(proto.initializer_name)
        self._snapshot = find(proto.snapshot_name or f"{proto.variable_name.removesuffix(':0')}/read:0")
        self._initial_value = find(proto.initial_value_name) if proto.initial_value_name else None  # type: ignore[assignment]
        self._trainable = getattr(proto, "trainable", True)
        self._save_slice_info = None
        self._constraint, self._validate_shape = None, True
        self._synchronization, self._aggregation = VariableSynchronization.AUTO, VariableAggregation.NONE
        if proto.HasField("save_slice_info_def"):
            self._save_slice_info = Variable.SaveSliceInfo(save_slice_info_def=proto.save_slice_info_def)

    # -- what programs ask -------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        return self._variable.name

    @property
    def op(self) -> Operation:
        return self._variable.op

    @property
    def graph(self) -> Any:
        return self._variable.graph

    @property
    def device(self) -> str:
        return self._variable.device

    @property
    def dtype(self) -> DType:
        return self._variable.dtype

    @property
    def shape(self) -> TensorShape:
        return self._variable.shape

    def get_shape(self) -> TensorShape:
        return self.shape

    def set_shape(self, shape: Any) -> None:
        self._variable.set_shape(shape)
        self._snapshot.set_shape(shape)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @property
    def constraint(self) -> Any:
        return self._constraint

    @property
    def synchronization(self) -> Any:
        return self._synchronization

    @property
    def aggregation(self) -> Any:
        return self._aggregation

    @property
    def initializer(self) -> Operation:
        return self._initializer_op

    @property
    def initial_value(self) -> Tensor:
        return self._initial_value

    @property
    def _shared_name(self) -> str:
        return self.op.name

    @property
    def _in_graph_mode(self) -> bool:
        return True

    def initialized_value(self) -> Tensor:
        """The value, or the initial value while the variable is uninitialised."""
        from recurra.tf1 import control_flow

        with name_scope("initialized_value") if False else get_default_graph().control_dependencies(None):
            return control_flow.cond(self.is_initialized(), self.read_value, lambda: self._initial_value)

    def eval(self, session: Any = None) -> Any:
        return (
            self._variable.eval(session=session)
            if not isinstance(self, ResourceVariable)
            else self._snapshot.eval(session=session)
        )

    def load(self, value: Any, session: Any = None) -> None:
        """Write `value` in the session, bypassing the graph's own operations."""
        from recurra.tf1.session import get_default_session

        session = session or get_default_session()
        if session is None:
            raise ValueError("Either session argument should be provided or default session should be established")
        session.run(self._initializer_op, {self._initializer_op.inputs[1]: value})

    def get_operation(self) -> Operation:
        return self.op

    def _as_graph_element(self) -> Tensor:
        return self._variable

    def _set_save_slice_info(self, info: Any) -> None:
        self._save_slice_info = info

    def _get_save_slice_info(self) -> Any:
        return self._save_slice_info

    def experimental_ref(self) -> Reference:
        return Reference(self)

    def count_up_to(self, limit: int) -> Tensor:
        return apply_op("CountUpTo", self._ref(), limit=limit)

    def value(self) -> Tensor:
        raise NotImplementedError

    def read_value(self) -> Tensor:
        raise NotImplementedError

    def __int__(self) -> int:
        return int(_number(self, "int() argument must be a string, a bytes-like object or a number, not 'Variable'"))

    def __float__(self) -> float:
        return float(_number(self, "float() argument must be a string or a number, not 'Variable'"))

    def __bool__(self) -> bool:
        return bool(self.numpy()) if self.graph.eager else True  # type: ignore[attr-defined]

    def __iter__(self) -> Any:
        raise TypeError("'Variable' object is not iterable.")

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __repr__(self) -> str:
        return f"<tf.Variable {self.name!r} shape={self.get_shape()} dtype={self.dtype.name}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The VariableDef of a MetaGraphDef; None outside `export_scope`."""
        from recurra.tf1.protos import message

        if export_scope and not self._variable.name.startswith(export_scope):
            return None
        strip = len(export_scope) + 1 if export_scope else 0
        proto = message("variable_pb2", "VariableDef")(
            variable_name=self._variable.name[strip:],
            initializer_name=self._initializer_op.name[strip:],
            snapshot_name=self._snapshot.name[strip:],
            trainable=self._trainable,
            is_resource=isinstance(self, ResourceVariable),
        )
        if self._initial_value is not None:
            proto.initial_value_name = self._initial_value.name[strip:]
        if self._save_slice_info is not None:
            proto.save_slice_info_def.MergeFrom(self._save_slice_info.to_proto(export_scope))
        return proto

    @staticmethod
    def from_proto(variable_def: Any, import_scope: str | None = None) -> Variable:
        kind = ResourceVariable if variable_def.is_resource else RefVariable
        return kind(variable_def=variable_def, import_scope=import_scope)

    SaveSliceInfo = SaveSliceInfo


def _number(variable: Any, otherwise: str) -> Any:
    """The value of a variable under eager execution; TypeError in a graph."""
    if not variable.graph.eager:
        raise TypeError(otherwise)
    return variable.numpy()


class RefVariable(Variable):
    """The variable of TensorFlow 1: its operation's output is a reference that assignments write through."""

    def _make(self, scope: str, initial_value: Any, dtype: DType | None, validate_shape: bool, shape: Any) -> None:
        self._initial_value = self._value_for_init(scope, initial_value, dtype)
        known = (
            as_shape(shape) if shape is not None else self._initial_value.shape if validate_shape else TensorShape(None)
        )
        if validate_shape and shape is None and not known.is_fully_defined():
            raise ValueError(f"initial_value must have a shape specified: {self._initial_value}")
        self._variable = apply_op("VariableV2", dtype=self._initial_value.dtype.base_dtype, shape=known, name=scope)
        with name_scope(scope):
            assigned = apply_op(
                "Assign", self._variable, uncycled(self._initial_value), validate_shape=validate_shape, name="Assign"
            )
            self._initializer_op = assigned.op
            self._snapshot = apply_op("Identity", self._variable, name="read")

    def value(self) -> Tensor:
        return self._snapshot

    def read_value(self) -> Tensor:
        return apply_op("Identity", self._variable, name="read")

    def _ref(self) -> Tensor:
        return self._variable

    def _dense_var_to_tensor(self, dtype: DType | None = None, name: str | None = None, as_ref: bool = False) -> Any:
        if dtype is not None and not dtype.is_compatible_with(self.dtype):
            raise ValueError(
                f"Incompatible type conversion requested to type '{dtype.name}' for variable of type '{self.dtype.name}'"  # noqa: E501
            )
        return self._variable if as_ref else self._snapshot

    def is_initialized(self, name: str | None = None) -> Tensor:
        return apply_op("IsVariableInitialized", self._variable, name=name)

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        result = apply_op("Assign", self._variable, value, name=name)
        return result if read_value else result.op

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        result = apply_op("AssignAdd", self._variable, delta, name=name)
        return result if read_value else result.op

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        result = apply_op("AssignSub", self._variable, delta, name=name)
        return result if read_value else result.op

    def _scatter(self, how: str, slices: Any, name: str | None) -> Any:
        if not (hasattr(slices, "indices") and hasattr(slices, "values")):
            raise TypeError(f"sparse_delta is not IndexedSlices: {slices}")
        return apply_op(f"Scatter{how}", self._variable, slices.indices, slices.values, name=name)


class ResourceVariable(Variable):
    """A variable behind a handle, read by explicit operations (`use_resource=True`)."""

    _handle_name: str

    def _make(self, scope: str, initial_value: Any, dtype: DType | None, validate_shape: bool, shape: Any) -> None:
        graph = get_default_graph()
        if graph.eager and type(initial_value) is Tensor:  # made where a model's graph grows
            initial_value = graph.session.run(initial_value)
        with graph.running() if graph.eager else contextlib.nullcontext():
            self._make_all(scope, initial_value, dtype, validate_shape, shape)
        self._handle.op.variable = self
        for start in graph.extra.get("starting_values", ()):  # restore_variables_on_create
            start(self)

    def _make_all(self, scope: str, initial_value: Any, dtype: DType | None, validate_shape: bool, shape: Any) -> None:
        with name_scope("Initializer") if callable(initial_value) else contextlib.nullcontext():
            raw = initial_value() if callable(initial_value) else initial_value
            self._initial_value = convert_to_tensor(raw, name="initial_value", dtype=dtype)
        known = (
            as_shape(shape) if shape is not None else self._initial_value.shape if validate_shape else TensorShape(None)
        )
        kind = self._initial_value.dtype.base_dtype
        self._dtype = kind
        self._handle = apply_op("VarHandleOp", dtype=kind, shape=known, shared_name=scope.rstrip("/"), name=scope)
        self._handle_name = f"{self._handle.op.name}:0"
        self._variable = self._handle
        with name_scope(scope):
            with name_scope("IsInitialized"):
                self._is_initialized_op = apply_op("VarIsInitializedOp", self._handle)
            self._initializer_op = apply_op(
                "AssignVariableOp", self._handle, uncycled(self._initial_value), name="Assign", dtype=kind
            )
            graph = get_default_graph()
            with name_scope("Read"), graph.only_building() if graph.eager else contextlib.nullcontext():
                self._snapshot = apply_op("ReadVariableOp", self._handle, dtype=kind)

    def _from_proto(self, proto: Any, import_scope: str | None) -> None:
        super()._from_proto(proto, import_scope)
        self._handle, self._handle_name = self._variable, self._variable.name
        self._dtype = self._snapshot.dtype.base_dtype
        name = f"{self._handle.op.name}/IsInitialized/VarIsInitializedOp"
        self._is_initialized_op = self.graph._ops[name].outputs[0] if name in self.graph._ops else None

    @property
    def handle(self) -> Tensor:
        return self._handle

    @property
    def dtype(self) -> DType:
        return self._dtype

    @property
    def shape(self) -> TensorShape:
        return as_shape(self._handle.op.attrs["shape"])

    def count_up_to(self, limit: int) -> Tensor:
        return apply_op("ResourceCountUpTo", self._handle, limit=limit, T=self._dtype)

    @property
    def create(self) -> Operation:
        return self._initializer_op

    def set_shape(self, shape: Any) -> None:
        self._handle.op.attrs["shape"] = self.shape.merge_with(as_shape(shape))

    def _as_graph_element(self) -> Tensor:
        return self._snapshot

    def value(self) -> Tensor:
        return self._read_variable_op()

    def _read_variable_op(self) -> Tensor:
        return apply_op("ReadVariableOp", self._handle, dtype=self._dtype)

    def read_value(self) -> Tensor:
        with name_scope("Read"):
            value = self._read_variable_op()
        return apply_op("Identity", value)

    def numpy(self) -> Any:
        """The value now; NotImplementedError where a graph is built."""
        if not self.graph.eager:
            raise NotImplementedError("numpy() is only available when eager execution is enabled.")
        return to_numpy(self.graph.session.cell(self._handle.op))

    def sparse_read(self, indices: Any, name: str | None = None) -> Tensor:
        with name_scope("Gather" if name is None else name) as scope:
            value = apply_op("ResourceGather", self._handle, indices, dtype=self._dtype, name=scope)
        return apply_op("Identity", value)

    def _ref(self) -> Tensor:
        return self._handle

    def _dense_var_to_tensor(self, dtype: DType | None = None, name: str | None = None, as_ref: bool = False) -> Any:
        if dtype is not None and not dtype.is_compatible_with(self.dtype):
            raise ValueError(
                f"Incompatible type conversion requested to type {dtype.name!r} for variable of type {self.dtype.name!r}"  # noqa: E501
            )
        return self.read_value().op.inputs[0] if as_ref else self.value()

    def is_initialized(self, name: str | None = None) -> Tensor:
        return apply_op("VarIsInitializedOp", self._handle, name=name)

    def _assigned(self, assign_op: Operation, read_value: bool) -> Any:
        if not read_value:
            return assign_op
        with get_default_graph().control_dependencies([assign_op]):
            return _UnreadVariable(self, assign_op)

    def assign(self, value: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        tensor = convert_to_tensor(value, dtype=self.dtype)
        self.shape.assert_is_compatible_with(tensor.shape)
        return self._assigned(
            apply_op("AssignVariableOp", self._handle, tensor, dtype=self._dtype, name=name), read_value
        )

    def assign_add(self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        made = apply_op(
            "AssignAddVariableOp", self._handle, convert_to_tensor(delta, self.dtype), dtype=self._dtype, name=name
        )
        return self._assigned(made, read_value)

    def assign_sub(self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        made = apply_op(
            "AssignSubVariableOp", self._handle, convert_to_tensor(delta, self.dtype), dtype=self._dtype, name=name
        )
        return self._assigned(made, read_value)

    def _scatter(self, how: str, slices: Any, name: str | None) -> Any:
        if not (hasattr(slices, "indices") and hasattr(slices, "values")):
            raise TypeError(f"sparse_delta is not IndexedSlices: {slices}")
        values = convert_to_tensor(slices.values, self.dtype)
        return self._assigned(
            apply_op(f"ResourceScatter{how}", self._handle, slices.indices, values, dtype=self._dtype, name=name), True
        )


class _UnreadVariable(ResourceVariable):
    """What a resource variable's assignment returns: reading it happens after the assignment."""

    def __init__(self, parent: ResourceVariable, after: Operation):
        self.__dict__.update(parent.__dict__)
        self._parent_op = after
        self._snapshot_made: Tensor | None = None

    @property
    def op(self) -> Operation:
        return self._parent_op

    def _read_variable_op(self) -> Tensor:
        with self.graph.control_dependencies([self._parent_op]):
            return apply_op("ReadVariableOp", self._handle, dtype=self._dtype)

    def _as_graph_element(self) -> Tensor:
        if self._snapshot_made is None:
            self._snapshot_made = self._read_variable_op()
        return self._snapshot_made

    def eval(self, session: Any = None) -> Any:
        return self._as_graph_element().eval(session=session)


for _name, _how in (
    ("scatter_sub", "Sub"),
    ("scatter_add", "Add"),
    ("scatter_update", "Update"),
    ("scatter_max", "Max"),
    ("scatter_min", "Min"),
    ("scatter_mul", "Mul"),
    ("scatter_div", "Div"),
):

    def _method(
        self: Any, sparse_delta: Any, use_locking: bool = False, name: str | None = None, _how: str = _how
    ) -> Any:
        return self._scatter(_how, sparse_delta, name)

    setattr(Variable, _name, _method)


register_fetch(
    Variable,
    lambda v: ([v._as_graph_element()], lambda values: values[0]),
    lambda v, value: [(v._as_graph_element(), value)],
)
register_tensor_conversion_function(
    Variable,
    lambda value, dtype=None, name=None, as_ref=False: value._dense_var_to_tensor(
        dtype=dtype, name=name, as_ref=as_ref
    ),
)
export(RefVariable, "python.ops.variables.RefVariable")
export(ResourceVariable, "python.ops.resource_variable_ops.ResourceVariable", "contrib.eager.Variable")
export(dtypes.resource, "resource")
