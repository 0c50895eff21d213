"""tf.gradients: one Gradients operation that a plan evaluates with autograd, recorded only between ys and xs.

A variable that is only looked up by rows has IndexedSlices as gradient: the looked-up rows themselves are then what autograd
differentiates by.
"""  # noqa: E501

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

from recurra.tf1 import names
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.core_ops import group
from recurra.tf1.names import tf_export
from recurra.tf1.plan import is_differentiable, needed_ops
from recurra.tf1.shapes import as_shape
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.variables import ResourceVariable, Variable


@tf_export("AggregationMethod")
class AggregationMethod:
    """How several gradients of one tensor are summed (the sum is the same)."""

    ADD_N = 0
    DEFAULT = ADD_N
    EXPERIMENTAL_TREE = 1
    EXPERIMENTAL_ACCUMULATE_N = 2


@tf_export("UnconnectedGradients")
class UnconnectedGradients(enum.Enum):
    """What stands for the gradient of an x that no y depends on."""

    NONE = "none"
    ZERO = "zero"


class _Part(NamedTuple):
    """Where a gradient of one x is taken: at `target`; `ids` are the looked-up rows when it is a lookup."""

    target: Tensor
    ids: Tensor | None


@tf_export("gradients")
def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: bool = False,
    aggregation_method: int | None = None,
    stop_gradients: Any = None,
    unconnected_gradients: Any = UnconnectedGradients.NONE,
) -> list[Any]:
    """d(sum of ys)/dx for each x: a tensor, IndexedSlices for tables that are only looked up, None where nothing connects."""  # noqa: E501
    unconnected_gradients = UnconnectedGradients(unconnected_gradients)
    ys, xs = _listed(ys), _listed(xs)
    if ys and all(hasattr(y, "_held") for y in ys):
        raise RuntimeError(
            "tf.gradients is not supported when eager execution is enabled. Use tf.GradientTape instead."
        )
    stops = [] if stop_gradients is None else _listed(stop_gradients)
    seeds = [None] * len(ys) if grad_ys is None else _listed(grad_ys)
    if len(seeds) != len(ys):
        raise ValueError(f"Passed {len(seeds)} grad_ys for {len(ys)} ys")
    with name_scope(name, "gradients", [*ys, *xs, *stops, *[s for s in seeds if s is not None]]):
        y_tensors = [convert_to_tensor(y, name="y") for y in ys]
        x_tensors = [_x_tensor(x) for x in xs]
        gys = [_seed(seed, y) for seed, y in zip(seeds, y_tensors, strict=True)]
        if stops:
            y_tensors, x_tensors = _stopped(y_tensors, x_tensors, [_x_tensor(s) for s in stops])
        found = _between(y_tensors)
        parts = [found.parts(x) for x in x_tensors]
        grads = _build(y_tensors, gys, parts)
        results = [_combine(x, part, grads) for x, part in zip(x_tensors, parts, strict=True)]
        if unconnected_gradients is UnconnectedGradients.ZERO:
            results = [
                names.lookup("zeros_like")(_value(x)) if g is None else g for x, g in zip(xs, results, strict=True)
            ]
    return results


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _x_tensor(x: Any) -> Tensor:
    if isinstance(x, ResourceVariable):
        return x.handle
    if isinstance(x, Variable):
        return x._ref()
    if hasattr(x, "indices") and hasattr(x, "values"):
        return x.values
    return convert_to_tensor(x, name="x", as_ref=True)


def _value(x: Any) -> Any:
    return x.value() if isinstance(x, Variable) else x


def _seed(seed: Any, y: Tensor) -> Tensor | None:
    if seed is None:
        if y.dtype.is_complex:
            raise TypeError(f"Gradients of complex tensors must set grad_ys (y.dtype = {y.dtype!r})")
        return None
    if hasattr(seed, "indices") and hasattr(seed, "values"):
        return convert_to_tensor(seed)
    tensor = convert_to_tensor(seed, name="grad_y", dtype=None if isinstance(seed, Tensor) else y.dtype.base_dtype)
    if y.dtype.is_floating and not tensor.dtype.is_floating:
        raise TypeError(
            f"Gradient type {tensor.dtype.name} generated for real or integer-valued tensor {y} with type "
            f"{y.dtype.name} must be real"
            if y.dtype.is_floating
            else f"Gradient type {tensor.dtype.name} does not fit {y}"
        )
    tensor.shape.assert_is_compatible_with(y.shape)
    return tensor


class _Between:
    """What lies before the ys, and through which tensors a gradient can come back."""

    def __init__(self, ys: Sequence[Tensor]):
        self.ys = set(ys)
        ops = needed_ops(ys, [], ())
        self.useful: set[Tensor] = {y for y in ys if is_differentiable(y)}
        self.consumers: dict[Tensor, list[Operation]] = {}
        for op in reversed(ops):
            if op.definition.diff and any(t in self.useful for t in op.outputs):
                for tensor in op.inputs:
                    if is_differentiable(tensor) or tensor.dtype.name == "resource":
                        self.useful.add(tensor)
                        users = self.consumers.setdefault(tensor, [])
                        if op not in users:
                            users.append(op)

    def parts(self, x: Tensor) -> list[_Part]:
        """Where to differentiate for x; empty when no y depends on it."""
        if x not in self.useful:
            return []
        users = self.consumers.get(x, [])
        if x.dtype.name == "resource":
            found: list[_Part] = []
            for op in users:
                if op.type == "ReadVariableOp":
                    found += self._value_parts(op.outputs[0])
                elif op.type == "ResourceGather":
                    found.append(_Part(op.outputs[0], op.inputs[1]))
                else:
                    found.append(_Part(x, None))
            return found
        if x.dtype._is_ref_dtype and x not in self.ys:
            found = []
            for op in users:
                if is_lookup(op, x):
                    found.append(_Part(op.outputs[0], op.inputs[1]))
                elif op.type in ("Identity", "RefEnter", "Enter"):
                    found += self._value_parts(op.outputs[0])
                else:
                    found.append(_Part(x, None))
            return found
        return self._value_parts(x)

    def _value_parts(self, tensor: Tensor) -> list[_Part]:
        if tensor not in self.useful:
            return []
        users = self.consumers.get(tensor, [])
        if tensor not in self.ys and users and all(is_lookup(op, tensor) for op in users):
            return [_Part(op.outputs[0], op.inputs[1]) for op in users]
        return [_Part(tensor, None)]


def _between(ys: Sequence[Tensor]) -> _Between:
    return _Between(ys)


def is_lookup(op: Operation, table: Tensor) -> bool:
    """Whether `op` picks rows of `table` (so that its gradient is IndexedSlices)."""
    if op.type not in ("Gather", "GatherV2") or op.inputs[0] is not table or any(t is table for t in op.inputs[1:]):
        return False
    if op.attrs.get("batch_dims"):
        return False
    axis = constant_value(op.inputs[2]) if op.type == "GatherV2" else 0
    return axis is not None and int(axis) == 0


def _build(ys: list[Tensor], gys: list[Tensor | None], parts: list[list[_Part]]) -> dict[Tensor, Tensor]:
    targets = list(dict.fromkeys(p.target for part in parts for p in part))
    if not targets:
        return {}
    live = [(y, g) for y, g in zip(ys, gys, strict=True) if is_differentiable(y)]
    outputs = apply_op(
        "Gradients",
        [*[y for y, _ in live], *[g for _, g in live if g is not None], *targets],
        T=[_kind(t) for t in targets],
        n_ys=len(live),
        gys=[g is not None for _, g in live],
    )
    for target, gradient in zip(targets, outputs, strict=True):
        if target.dtype.name == "resource":
            gradient._shape = as_shape(target.op.attrs.get("shape"))
    return dict(zip(targets, outputs, strict=True))


def _kind(target: Tensor) -> Any:
    """The dtype of a gradient: a handle's is that of its variable."""
    return target.op.attrs["dtype"] if target.dtype.name == "resource" else target.dtype.base_dtype


def _combine(x: Tensor, parts: list[_Part], grads: dict[Tensor, Tensor]) -> Any:
    if not parts:
        return None
    if all(p.ids is not None for p in parts):
        return _slices(x, parts, grads)
    terms = [grads[p.target] if p.ids is None else convert_to_tensor(_slices(x, [p], grads)) for p in parts]
    return terms[0] if len(terms) == 1 else apply_op("AddN", terms)


def _slices(x: Tensor, parts: list[_Part], grads: dict[Tensor, Tensor]) -> Any:
    kind = names.lookup("IndexedSlices")
    shape = x.op.attrs["shape"] if x.dtype.name == "resource" else x.shape
    dense = (
        convert_to_tensor(shape, name="Shape") if shape.is_fully_defined() else names.lookup("shape")(_table(parts[0]))
    )
    reshape, concat = names.lookup("reshape"), names.lookup("concat")
    rows = [-1, *[d if d is not None else -1 for d in shape.as_list()[1:]]] if shape.rank is not None else None
    values, ids = [], []
    for part in parts:
        grad = grads[part.target]
        assert part.ids is not None
        if part.ids.shape.rank == 1:
            values.append(grad)
            ids.append(part.ids)
            continue
        if rows is None or rows.count(-1) > 1:
            rows_now: Any = concat([[-1], dense[1:]], 0)
        else:
            rows_now = rows
        values.append(reshape(grad, rows_now))
        ids.append(reshape(part.ids, [-1]))
    if len(parts) == 1:
        return kind(values[0], ids[0], dense)
    if len({i.dtype for i in ids}) > 1:
        ids = [names.lookup("cast")(i, "int64") for i in ids]
    return kind(concat(values, 0), concat(ids, 0), dense)


def _table(part: _Part) -> Tensor:
    return part.target.op.inputs[0]


def _stopped(ys: list[Tensor], xs: list[Tensor], stops: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """ys and xs over copies of the operations behind `stops`, with the stops held constant."""
    stopped: dict[Tensor, Tensor] = {}
    ops = needed_ops(ys, [], ())
    for op in ops:
        copied = None
        if op.definition.diff and any(t in stopped for t in op.inputs):
            copied = copy_operation(op, [stopped.get(t, t) for t in op.inputs])
        for i, tensor in enumerate(op.outputs):
            source = copied.outputs[i] if copied is not None else tensor
            if tensor in stops and not (tensor.dtype._is_ref_dtype or tensor.dtype.name == "resource"):
                stopped[tensor] = apply_op("StopGradient", source)
            elif copied is not None:
                stopped[tensor] = source
    return [stopped.get(y, y) for y in ys], [x if x in stops else stopped.get(x, x) for x in xs]


def copy_operation(op: Operation, inputs: list[Tensor]) -> Operation:
    """The same operation on other inputs."""
    graph = op.graph
    copied = graph.add_op(op.type, op.type, inputs, dict(op.attrs), op.definition)
    copied._outputs.extend(Tensor(copied, i, t.dtype, t.shape) for i, t in enumerate(op.outputs))
    return copied


@tf_export("hessians")
def hessians(ys: Any, xs: Any, name: str = "hessians", **kwargs: Any) -> list[Any]:
    """The matrix of second derivatives of sum(ys) for each x, of shape x.shape + x.shape."""
    xs = _listed(xs)
    stack, reshape, shape = names.lookup("stack"), names.lookup("reshape"), names.lookup("shape")
    found = []
    for x in xs:
        first = gradients(ys, x, **kwargs)[0]
        size = _value(x).shape.num_elements()
        if size is None:
            raise ValueError(f"hessians needs a static shape, {x!r} has {_value(x).shape}")
        flat = reshape(first, [-1])
        rows = [gradients(flat[i], x, **kwargs)[0] for i in range(size)]
        dims = shape(_value(x))
        found.append(reshape(stack(rows), names.lookup("concat")([dims, dims], 0)))
    return found


_REGISTERED: dict[str, Any] = {}


@tf_export("RegisterGradient")
class RegisterGradient:
    """Decorator: a gradient function for an op type, used where gradient_override_map names it."""

    def __init__(self, op_type: str):
        if not isinstance(op_type, str):
            raise TypeError("op_type must be a string")
        self._op_type = op_type

    def __call__(self, function: Any) -> Any:
        if self._op_type in _REGISTERED:
            raise KeyError(f"Registering two gradient with name '{self._op_type}'!")
        _REGISTERED[self._op_type] = function
        return function


@tf_export("NotDifferentiable", "NoGradient", "no_gradient")
def not_differentiable(op_type: str) -> None:
    """Declare that an op type passes no gradient."""
    if not isinstance(op_type, str):
        raise TypeError("op_type must be a string")
    _REGISTERED[op_type] = None


def registered_gradient(name: str) -> Any:
    """The function registered under `name`; LookupError when there is none."""
    try:
        return _REGISTERED[name]
    except KeyError:
        raise LookupError(f"gradient registry has no entry for: {name}") from None


__all__ = ["AggregationMethod", "gradients", "group", "hessians"]
