"""tf.TensorArray: an array of tensors written and read by index, in loops above all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from recurra.tf1 import dtypes, errors, shape_rules
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape, unknown_shape
from recurra.tf1.tensor import Tensor


class ArrayState:
    """The run-time value behind a TensorArray's handle and flow. Written in place, as TensorFlow's resource is."""

    __slots__ = ("clear", "dtype", "dynamic", "element", "grads", "items", "name", "seen", "stacked")

    def __init__(
        self, name: str, size: int, dtype: torch.dtype | None, element: TensorShape, dynamic: bool, clear: bool
    ):
        self.name, self.dtype, self.element, self.dynamic, self.clear = name, dtype, element, dynamic, clear
        self.items: list[Any] = [None] * size
        self.stacked: torch.Tensor | None = None
        self.seen: Any = None  # a value that was written, for the shape of those that were not
        self.grads: dict[str, GradientArray] = {}

    def fetch_value(self) -> np.float32:
        """What fetching the flow gives."""
        return np.float32(0)

    shape = ()

    def fail(self, text: str) -> None:
        raise errors.invalid_argument(f"TensorArray {self.name}: {text}")

    def write(self, index: int, value: Any) -> ArrayState:
        self.spread()
        items = self.items
        if index < 0 or (index >= len(items) and not self.dynamic):
            self.fail(f"Tried to write to index {index} but array is not resizeable and size is: {len(items)}")
        if index >= len(items):
            items.extend([None] * (index + 1 - len(items)))
        if items[index] is not None:
            self.fail(f"Could not write to TensorArray index {index} because it has already been written to.")
        if not self.element.is_compatible_with(tuple(value.shape)):
            self.fail(
                f"Could not write to TensorArray index {index} because the value shape is {list(value.shape)} which is "
                f"incompatible with the TensorArray's inferred element shape: {_show(self.element)} (consider setting "
                "infer_shape=False)."
            )
        items[index] = value
        if not self.element.is_fully_defined():
            self.seen = value
        return self

    def read(self, index: int) -> Any:
        self.spread()
        if not 0 <= index < len(self.items):
            self.fail(f"Tried to read from index {index} but array size is: {len(self.items)}")
        value = self.items[index]
        if value is _CLEARED:
            self.fail(
                f"Could not read index {index} twice because it was cleared after a previous read (perhaps try setting "
                "clear_after_read = false?)."
            )
        if value is None:
            value = self._zero(index)
        if self.clear:
            self.items[index], self.seen = _CLEARED, value
        return value

    def _zero(self, index: int) -> Any:
        if self.element.rank is not None and isinstance(self.seen, torch.Tensor):
            return torch.zeros_like(self.seen)
        if not self.element.is_fully_defined():
            self.fail(
                f"Could not read from TensorArray index {index}.  Furthermore, the element shape is not fully defined: "
                f"{_show(self.element)}.  It is possible you are working with a resizeable TensorArray and "
                "stop_gradients is not allowing the gradients to be written.  If you set the full element_shape property "  # noqa: E501
                "on the forward TensorArray, the proper all-zeros tensor will be returned instead of incurring this error."  # noqa: E501
            )
        return torch.zeros(self.element.as_list(), dtype=self.dtype)  # type: ignore[arg-type]

    def spread(self) -> None:
        """Make the items of a whole that was stored as one tensor."""
        if self.stacked is not None:
            self.items, self.stacked = list(self.stacked.unbind(0)), None

    def stack(self) -> Any:
        if self.stacked is not None:
            return self.stacked
        return self.gather(range(len(self.items)))

    def gather(self, indices: Any) -> Any:
        self.spread()
        parts = [self.read(int(i)) for i in indices]
        if not parts:
            if not self.element.is_fully_defined():
                raise errors.UnimplementedError(
                    None,
                    None,
                    "TensorArray has size zero, but element shape "
                    f"{_show(self.element)} is not fully defined. Currently only static shapes are supported when "
                    "packing zero-size TensorArrays.",
                )
            return torch.empty([0, *self.element.as_list()], dtype=self.dtype)  # type: ignore[list-item]
        if isinstance(parts[0], np.ndarray):
            return np.stack(parts)
        if any(p.shape != parts[0].shape for p in parts):
            bad = next(i for i, p in enumerate(parts) if p.shape != parts[0].shape)
            self.fail(
                f"TensorArray has inconsistent shapes.  Index 0 has shape: {list(parts[0].shape)} but index {bad} has shape: {list(parts[bad].shape)}"  # noqa: E501
            )
        return torch.stack(parts)

    def concat(self) -> tuple[Any, torch.Tensor]:
        self.spread()
        parts = [self.read(i) for i in range(len(self.items))]
        if any(p.dim() == 0 for p in parts):
            self.fail("Concat saw a scalar shape at index 0 but requires at least vectors.  Did you mean to call pack?")
        lengths = torch.tensor([p.shape[0] for p in parts], dtype=torch.int64)
        return torch.cat(parts, 0), lengths

    def size(self) -> int:
        return len(self.items) if self.stacked is None else self.stacked.shape[0]


class GradientArray(ArrayState):
    """What TensorArrayGradV3 gives: writes to one index add up; its handle, not a flow, says which is meant."""

    __slots__ = ("of",)

    def __init__(self, of: ArrayState, source: str):
        super().__init__(f"{of.name}@{source}", of.size(), of.dtype, unknown_shape(), of.dynamic, clear=False)
        self.of = of

    def write(self, index: int, value: Any) -> torch.Tensor:  # type: ignore[override]
        if index >= len(self.items):
            self.items.extend([None] * (index + 1 - len(self.items)))
        before = self.items[index]
        self.items[index] = value if before is None else before + value
        return torch.zeros(())

    def _zero(self, index: int) -> Any:
        forward = self.of.stacked[index] if self.of.stacked is not None else self.of.items[index]
        example = forward if isinstance(forward, torch.Tensor) else self.of.seen
        if example is None:
            example = next((i for i in self.items if i is not None), None)
        return torch.zeros_like(example) if example is not None else super()._zero(index)

    def split(self, value: Any, lengths: Any) -> None:
        for i, part in enumerate(torch.split(value, lengths.tolist())):
            self.write(i, part)


def _which(handle: Any, flow: Any) -> Any:
    """The array that an operation means."""
    return handle if isinstance(handle, GradientArray) else flow


def _gradient_array(handle: ArrayState, flow_in: Any, *, source: str) -> tuple[ArrayState, torch.Tensor]:
    state = flow_in if isinstance(flow_in, ArrayState) else handle
    return handle.grads.setdefault(source, GradientArray(state, source)), torch.zeros(())


_CLEARED = object()


def _show(shape: TensorShape) -> str:
    return (
        "<unknown>"
        if shape.values is None
        else "[" + ",".join("?" if d is None else str(d) for d in shape.values) + "]"
    )


def _new(
    size: Any, *, dtype: Any, element_shape: Any, dynamic_size: bool, clear_after_read: bool, array_name: str
) -> Any:
    state = ArrayState(array_name, int(size), dtype.torch, element_shape, dynamic_size, clear_after_read)
    return state, state


def _unstacked(handle: Any, indices: Any, value: Any, flow_in: ArrayState) -> Any:
    positions = indices.tolist()
    if isinstance(handle, GradientArray):
        for position, row in zip(positions, value.unbind(0), strict=True):
            handle.write(position, row)
        return torch.zeros(())
    if len(positions) != value.shape[0]:
        flow_in.fail(f"Expected len(indices) == values.shape[0], but saw: {len(positions)} vs. {value.shape[0]}")
    whole = positions == list(range(len(positions))) and flow_in.size() in (len(positions), 0)
    if whole and isinstance(value, torch.Tensor) and not any(i is not None for i in flow_in.items):
        if not flow_in.element.is_compatible_with(tuple(value.shape[1:])):
            flow_in.write(0, value[0])
        if flow_in.size() == 0 and positions and not flow_in.dynamic:
            flow_in.write(0, value[0])
        flow_in.items, flow_in.stacked = [], value
        return flow_in
    rows = value.unbind(0) if isinstance(value, torch.Tensor) else list(value)
    for position, row in zip(positions, rows, strict=True):
        flow_in.write(position, row)
    return flow_in


def _split(handle: Any, value: Any, lengths: Any, flow_in: ArrayState) -> Any:
    if isinstance(handle, GradientArray):
        handle.split(value, lengths)
        return torch.zeros(())
    sizes = lengths.tolist()
    if sum(sizes) != value.shape[0]:
        flow_in.fail(
            f"Expected sum of lengths to be equal to values.shape[0], but sum of lengths is {sum(sizes)} and value's shape is: {list(value.shape)} "  # noqa: E501
        )
    if flow_in.size() != len(sizes) and not flow_in.dynamic:
        flow_in.fail(
            f"TensorArray's size is not equal to the size of lengths ({flow_in.size()} vs. {len(sizes)}), and the TensorArray is not marked as dynamically resizeable"  # noqa: E501
        )
    for i, part in enumerate(torch.split(value, sizes)):
        flow_in.write(i, part)
    return flow_in


def _read_shape(o: Any) -> TensorShape:
    return o.attrs.get("element_shape") or unknown_shape()


def _stack_shape(o: Any) -> TensorShape:
    return TensorShape([None]).concatenate(o.attrs.get("element_shape") or unknown_shape())


_scalars = lambda o: [TensorShape([None]) if t.dtype.name == "resource" else TensorShape([]) for t in o.outputs]  # noqa: E731
_flow = shape_rules.scalar
op(
    "TensorArrayV3",
    "size:int32 -> resource, float32",
    _new,
    stateful=True,
    shape=lambda o: [TensorShape([2]), TensorShape([])],
)
op(
    "TensorArrayReadV3",
    "handle:resource, index:int32, flow_in:float32 -> dtype",
    lambda handle, index, flow_in: _which(handle, flow_in).read(int(index)),
    stateful=True,
    shape=_read_shape,
)
op(
    "TensorArrayWriteV3",
    "handle:resource, index:int32, value:T, flow_in:float32 -> float32",
    lambda handle, index, value, flow_in: _which(handle, flow_in).write(int(index), value),
    stateful=True,
    shape=_flow,
)
op(
    "TensorArrayGatherV3",
    "handle:resource, indices:int32, flow_in:float32 -> dtype",
    lambda handle, indices, flow_in: _gathered(_which(handle, flow_in), indices),
    stateful=True,
    shape=_stack_shape,
)
op(
    "TensorArrayScatterV3",
    "handle:resource, indices:int32, value:T, flow_in:float32 -> float32",
    _unstacked,
    stateful=True,
    shape=_flow,
)
op(
    "TensorArrayConcatV3",
    "handle:resource, flow_in:float32 -> dtype, int64",
    lambda handle, flow_in: _which(handle, flow_in).concat(),
    stateful=True,
    shape=lambda o: [
        TensorShape([None]).concatenate((o.attrs.get("element_shape") or unknown_shape())[1:]),
        TensorShape([None]),
    ],
)
op(
    "TensorArraySplitV3",
    "handle:resource, value:T, lengths:int64, flow_in:float32 -> float32",
    _split,
    stateful=True,
    shape=_flow,
)
op(
    "TensorArraySizeV3",
    "handle:resource, flow_in:float32 -> int32",
    lambda handle, flow_in: torch.tensor(flow_in.size(), dtype=torch.int32),
    stateful=True,
    diff=False,
    shape=_flow,
)
op(
    "TensorArrayGradV3",
    "handle:resource, flow_in:float32 -> resource, float32",
    _gradient_array,
    stateful=True,
    shape=lambda o: [TensorShape([2]), TensorShape([])],
)
op("TensorArrayCloseV3", "handle:resource ->", lambda handle: None, stateful=True)


def _gathered(state: ArrayState, indices: Any) -> Any:
    positions = indices.tolist()
    if state.stacked is not None and positions == list(range(state.stacked.shape[0])):
        return state.stacked
    return state.gather(positions)


@tf_export("TensorArray")
class TensorArray:
    """An array of tensors of one dtype. Every write gives the TensorArray to use from then on."""

    def __init__(
        self,
        dtype: Any,
        size: Any = None,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ):
        if handle is not None and tensor_array_name:
            raise ValueError("Cannot construct with both handle and tensor_array_name")
        if handle is not None and not isinstance(handle, Tensor):
            raise TypeError("Handle must be a Tensor")
        if handle is None and size is None:
            raise ValueError("Size must be provided if handle is not provided")
        for given, what in ((size, "size"), (dynamic_size, "dynamic_size"), (clear_after_read, "clear_after_read")):
            if handle is not None and given is not None:
                raise ValueError(f"Cannot provide both a handle and {what}")
        self._dtype = as_dtype(dtype).base_dtype
        self._dynamic_size = bool(dynamic_size)
        self._colocate_with_first_write_call = colocate_with_first_write_call
        clear = True if clear_after_read is None else clear_after_read
        self._element_shape = TensorShape(element_shape)
        self._infer_shape = infer_shape or element_shape is not None
        self._size = size
        with name_scope(name, "TensorArray", [handle, flow] if handle is not None else []) as scope:
            if handle is not None:
                self._handle = handle
                self._flow = flow if flow is not None else _flow_of(handle)
            else:
                self._handle, self._flow = apply_op(
                    "TensorArrayV3",
                    size,
                    dtype=self._dtype,
                    element_shape=self._element_shape,
                    dynamic_size=self._dynamic_size,
                    clear_after_read=clear,
                    array_name=tensor_array_name or scope.rstrip("/"),
                    name=scope,
                )

    flow = property(lambda self: self._flow)
    handle = property(lambda self: self._handle)
    dtype = property(lambda self: self._dtype)
    dynamic_size = property(lambda self: self._dynamic_size)
    element_shape = property(lambda self: self._element_shape)

    @property
    def shape(self) -> TensorShape:
        return self._element_shape

    @property
    def _merge_element_shape_allowed(self) -> bool:
        return self._infer_shape

    def _with_flow(self, flow: Tensor) -> TensorArray:
        made = object.__new__(TensorArray)
        made.__dict__.update(self.__dict__)
        made._flow = flow
        return made

    def _merge_element_shape(self, shape: TensorShape) -> None:
        if not self._infer_shape:
            return
        if not self._element_shape.is_compatible_with(shape):
            raise ValueError(
                f"Inconsistent shapes: saw {shape} but expected {self._element_shape} (and infer_shape=True)"
            )
        self._element_shape = self._element_shape.merge_with(shape)

    def _known(self) -> TensorShape:
        return self._element_shape

    def identity(self) -> TensorArray:
        return self._with_flow(apply_op("Identity", self._flow))

    def grad(self, source: str, flow: Any = None, name: str | None = None) -> TensorArray:
        raise NotImplementedError("TensorArray.grad: gradients of TensorArrays are taken by tf.gradients")

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """The element at `index`."""
        with get_default_graph().colocate_with(self._handle):
            return apply_op(
                "TensorArrayReadV3",
                self._handle,
                index,
                self._flow,
                dtype=self._dtype,
                element_shape=self._known(),
                name=name,
            )

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with `value` at `index`."""
        with name_scope(name, "TensorArrayWrite", [self._handle, index, value]):
            value = convert_to_tensor(value, preferred_dtype=self._dtype, name="value")
            self._check_dtype(value)
            flow = apply_op("TensorArrayWriteV3", self._handle, index, value, self._flow)
            made = self._with_flow(flow)
            made._merge_element_shape(value.shape)
            self._share_shape(made)
            return made

    def _share_shape(self, made: TensorArray) -> None:
        self._element_shape = made._element_shape

    def _check_dtype(self, value: Tensor) -> None:
        if value.dtype.base_dtype != self._dtype:
            raise errors.invalid_argument(
                f"TensorArray dtype is {self._dtype.name} but Op is trying to write dtype {value.dtype.base_dtype.name}.",  # noqa: E501
            )

    def stack(self, name: str | None = None) -> Tensor:
        """All elements as one tensor."""
        with get_default_graph().colocate_with(self._handle), name_scope(name, "TensorArrayStack", [self._handle]):
            from recurra.tf1 import names

            return self.gather(names.lookup("range")(0, self.size()), name=name)

    pack = stack

    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """The elements at `indices` as one tensor."""
        made = apply_op(
            "TensorArrayGatherV3",
            self._handle,
            indices,
            self._flow,
            dtype=self._dtype,
            element_shape=self._known(),
            name=name,
        )
        if self._element_shape.rank is not None:
            made.set_shape(TensorShape([None]).concatenate(self._element_shape))
        return made

    def concat(self, name: str | None = None) -> Tensor:
        """All elements joined along their first axis."""
        value, _ = apply_op(
            "TensorArrayConcatV3", self._handle, self._flow, dtype=self._dtype, element_shape=self._known(), name=name
        )
        return value

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """The array with the rows of `value` as its elements."""
        from recurra.tf1 import names

        with name_scope(name, "TensorArrayUnstack", [self._handle, value]):
            value = convert_to_tensor(value, dtype=self._dtype if not isinstance(value, Tensor) else None, name="value")
            count = names.lookup("shape")(value)[0]
            return self.scatter(names.lookup("range")(0, count), value, name=name)

    unpack = unstack

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with row i of `value` at `indices[i]`."""
        with name_scope(name, "TensorArrayScatter", [self._handle, value, indices]):
            value = convert_to_tensor(value, preferred_dtype=self._dtype, name="value")
            self._check_dtype(value)
            flow = apply_op("TensorArrayScatterV3", self._handle, indices, value, self._flow, name=name)
            made = self._with_flow(flow)
            made._merge_element_shape(value.shape[1:] if value.shape.rank is not None else unknown_shape())
            self._share_shape(made)
            return made

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """The array with pieces of `value` of the given lengths."""
        with name_scope(name, "TensorArraySplit", [self._handle, value, lengths]):
            value = convert_to_tensor(value, preferred_dtype=self._dtype, name="value")
            lengths = convert_to_tensor(lengths, dtype=dtypes.int64)
            flow = apply_op("TensorArraySplitV3", self._handle, value, lengths, self._flow, name=name)
            made = self._with_flow(flow)
            if self._infer_shape:
                known = constant_value(lengths)
                first = None
                if known is not None and known.size and (known == known[0]).all() and value.shape.rank is not None:
                    first = TensorShape([int(known[0])]).concatenate(value.shape[1:])
                elif value.shape.rank is not None:
                    first = TensorShape([None]).concatenate(value.shape[1:])
                made._merge_element_shape(first or unknown_shape())
            return made

    def size(self, name: str | None = None) -> Tensor:
        """How many elements there are."""
        if not self._dynamic_size and self._size is not None and not isinstance(self._size, Tensor):
            return convert_to_tensor(self._size, dtype=dtypes.int32)
        return apply_op("TensorArraySizeV3", self._handle, self._flow, name=name)

    def close(self, name: str | None = None) -> Any:
        return apply_op("TensorArrayCloseV3", self._handle, name=name)


def _flow_of(handle: Tensor) -> Tensor:
    return handle.op.outputs[1]


export(TensorArray, "python.ops.tensor_array_ops.TensorArray")
