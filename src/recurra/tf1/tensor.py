"""Symbolic values: Tensor and Operation, the nodes and edges of a Graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from recurra.tf1.dtypes import DType
from recurra.tf1.names import tf_export
from recurra.tf1.shapes import TensorShape, as_shape, unknown_shape

if TYPE_CHECKING:
    from recurra.tf1.graph import Graph


class TensorLike:
    """Marks what the library treats as a tensor without conversion by value."""

    __slots__ = ()


def _not_in_a_graph(what: str) -> TypeError:
    from recurra.tf1.errors import OperatorNotAllowedInGraphError

    return OperatorNotAllowedInGraphError(
        f"{what} is not allowed in Graph execution. Use Eager execution or decorate this function with @tf.function."
    )


@tf_export("Tensor")
class Tensor(TensorLike):
    """Output `value_index` of an operation. It has no value until a session runs it."""

    __array_priority__ = 100
    __slots__ = ("__dict__", "__weakref__", "_dtype", "_id", "_op", "_shape", "_value_index")

    def __init__(self, op: Operation, value_index: int, dtype: DType, shape: TensorShape | None = None):
        self._op, self._value_index, self._dtype = op, value_index, dtype
        self._shape = unknown_shape() if shape is None else shape
        self._id = op.graph._next_tensor_id()

    @property
    def op(self) -> Operation:
        return self._op

    @property
    def dtype(self) -> DType:
        return self._dtype

    @property
    def graph(self) -> Graph:
        return self._op.graph

    @property
    def name(self) -> str:
        return f"{self._op.name}:{self._value_index}"

    @property
    def device(self) -> str:
        return self._op.device

    @property
    def value_index(self) -> int:
        return self._value_index

    @property
    def shape(self) -> TensorShape:
        return self._shape

    def get_shape(self) -> TensorShape:
        return self._shape

    def _shape_as_list(self) -> list[int | None] | None:
        return None if self._shape.rank is None else self._shape.as_list()

    def _rank(self) -> int | None:
        return self._shape.rank

    def set_shape(self, shape: Any) -> None:
        """Refine the static shape; ValueError when it clashes."""
        try:
            self._shape = self._shape.merge_with(as_shape(shape))
        except ValueError as error:
            ours, theirs = self._shape, as_shape(shape)
            if ours.rank != theirs.rank:
                raise ValueError(f"Shapes must be equal rank, but are {ours.rank} and {theirs.rank}") from error
            axis, a, b = next(
                (i, x, y)
                for i, (x, y) in enumerate(zip(ours.values or (), theirs.values or (), strict=True))
                if x is not None and y is not None and x != y
            )
            show = f"Shapes are {_brackets(ours)} and {_brackets(theirs)}."
            raise ValueError(f"Dimension {axis} in both shapes must be equal, but are {a} and {b}. {show}") from error

    def consumers(self) -> list[Operation]:
        return [op for op in self.graph.get_operations() if any(i is self for i in op.inputs)]

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Run this tensor in `session` or the default session."""
        return _session_for("eval", "tensor", self.graph, session).run(self, feed_dict)

    def experimental_ref(self) -> Reference:
        return Reference(self)

    def __copy__(self) -> Tensor:
        clone = Tensor.__new__(Tensor)
        for slot in ("_op", "_value_index", "_dtype", "_shape", "_id"):
            object.__setattr__(clone, slot, getattr(self, slot))
        return clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self

    def __str__(self) -> str:
        known = f", shape={self._shape}" if self._shape.rank is not None else ""
        device = f", device={self.device}" if self.device else ""
        return f'Tensor("{self.name}"{known}, dtype={self._dtype.name}{device})'

    def __repr__(self) -> str:
        return f"<tf.Tensor {self.name!r} shape={self._shape} dtype={self._dtype.name}>"

    __hash__ = object.__hash__  # by identity, without a call into Python: plans look tensors up by the thousand

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __iter__(self) -> Iterator[Tensor]:
        raise _not_in_a_graph("iterating over `tf.Tensor`")

    def __bool__(self) -> bool:
        raise _not_in_a_graph("using a `tf.Tensor` as a Python `bool`")

    __nonzero__ = __bool__

    def __len__(self) -> int:
        raise TypeError(
            f"len is not well defined for symbolic Tensors. ({self.name}) Please call `x.shape` rather "
            "than `len(x)` for shape information."
        )

    def __array__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotImplementedError(f"Cannot convert a symbolic Tensor ({self.name}) to a numpy array.")

    def __float__(self) -> float:
        raise TypeError("float() argument must be a string or a number, not 'Tensor'")

    def __int__(self) -> int:
        raise TypeError("int() argument must be a string, a bytes-like object or a number, not 'Tensor'")

    __index__ = None  # a symbolic tensor is no Python index
    OVERLOADABLE_OPERATORS: frozenset[str] = frozenset()


del Tensor.__index__


class Reference:
    """A hashable reference to a tensor or variable, compared by identity."""

    def __init__(self, referee: Any):
        self._referee = referee

    def deref(self) -> Any:
        return self._referee

    def __hash__(self) -> int:
        return id(self._referee)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._referee is other._referee


def _brackets(shape: TensorShape) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in shape.values or ()) + "]"


def _session_for(verb: str, kind: str, graph: Graph, session: Any) -> Any:
    from recurra.tf1.session import get_default_session

    chosen = session or get_default_session()
    action = "evaluate" if kind == "tensor" else "execute"
    if chosen is None:
        colon = ":" if kind == "operation" else ""
        raise ValueError(
            f"Cannot {action} {kind} using `{verb}()`: No default session is registered. Use `with "
            f"sess.as_default(){colon}` or pass an explicit session to `{verb}(session=sess)`"
        )
    if chosen.graph is not graph:
        if session is None:
            raise ValueError(
                f"Cannot use the default session to {action} {kind}: the {kind}'s graph is different from the "
                f"session's graph. Pass an explicit session to `{verb}(session=sess)`."
            )
        raise ValueError(
            f"Cannot use the given session to {action} {kind}: the {kind}'s graph is different from the session's graph."  # noqa: E501
        )
    return chosen


@tf_export("Operation")
class Operation:
    """A node of a graph: its type, inputs, attributes and outputs."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_attrs",
        "_colocation",
        "_context",
        "_control_inputs",
        "_device",
        "_graph",
        "_id",
        "_inputs",
        "_name",
        "_outputs",
        "_place",
        "_type",
        "definition",
    )

    def __init__(
        self,
        graph: Graph,
        op_type: str,
        name: str,
        inputs: Iterable[Tensor],
        attrs: dict[str, Any],
        definition: Any = None,
        control_inputs: Iterable[Operation] = (),
    ):
        self._graph, self._type, self._name, self._attrs = graph, op_type, name, attrs
        self._inputs: list[Tensor] = list(inputs)
        self._control_inputs: list[Operation] = list(control_inputs)
        self._outputs: list[Tensor] = []
        self.definition = definition
        self._device = ""
        self._context: Any = None
        self._colocation: list[str] = []
        self._place: tuple[str, int] | None = None
        self._id = graph._next_op_id()

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> str:
        return self._type

    @property
    def graph(self) -> Graph:
        return self._graph

    @property
    def device(self) -> str:
        return self._device

    @property
    def attrs(self) -> dict[str, Any]:
        return self._attrs

    @property
    def inputs(self) -> list[Tensor]:
        return self._inputs

    @property
    def outputs(self) -> list[Tensor]:
        return self._outputs

    @property
    def control_inputs(self) -> list[Operation]:
        return self._control_inputs

    @property
    def traceback(self) -> list[tuple[str, int, str, str]]:
        return [(*self._place, "", "")] if self._place else []

    @property
    def op_def(self) -> Any:
        return self.definition

    @property
    def node_def(self) -> Any:
        from recurra.tf1 import graph_def

        return graph_def.node_def(self)

    def values(self) -> tuple[Tensor, ...]:
        return tuple(self._outputs)

    def get_attr(self, name: str) -> Any:
        """Attribute `name`; ValueError when there is none."""
        if name in self._attrs:
            return self._attrs[name]
        bound = self.definition.type_attr(self, name) if self.definition is not None else None
        if bound is None:
            raise ValueError(f"Operation '{self._name}' has no attr named '{name}'.")
        return bound

    def _set_attr(self, name: str, value: Any) -> None:
        self._attrs[name] = value

    def colocation_groups(self) -> list[bytes]:
        return [g.encode() for g in self._colocation] or [f"loc:@{self._name}".encode()]

    def _add_control_input(self, op: Operation) -> None:
        self._add_control_inputs([op])

    def _add_control_inputs(self, ops: Iterable[Operation]) -> None:
        for op in ops:
            if op not in self._control_inputs:
                self._control_inputs.append(op)
        self._graph._touch()

    def _update_input(self, index: int, tensor: Tensor) -> None:
        self._inputs[index] = tensor
        self._graph._touch()

    def _set_device(self, device: Any) -> None:
        self._device = device or ""

    def _get_control_flow_context(self) -> Any:
        return self._context

    def _set_control_flow_context(self, context: Any) -> None:
        self._context = context

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Run this operation in `session` or the default session."""
        _session_for("run", "operation", self.graph, session).run(self, feed_dict)

    def __str__(self) -> str:
        return str(self.node_def)

    def __repr__(self) -> str:
        return f"<tf.Operation {self._name!r} type={self._type}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        return self


def is_tensor_like(value: Any) -> bool:
    """Whether `value` is a Tensor, a variable or a composite of tensors."""
    return isinstance(value, TensorLike)


Converter = Callable[..., Any]
