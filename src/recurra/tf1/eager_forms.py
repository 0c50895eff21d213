"""What code for both eager and graph mode uses, in graphs: tf.function, GradientTape, Module, specs of tensors."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from recurra.tf1 import dtypes, nest, tracking
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.constants import constant_value
from recurra.tf1.eager import Recording, wrap
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape, as_shape

__all__ = ["GradientTape", "Module", "TensorSpec", "function"]

tf = space("")


@tf_export("function")
def function(func: Any = None, input_signature: Any = None, **options: Any) -> Any:
    """In a graph a tf.function adds its operations where it is called, as a Python function does."""
    if func is None:
        return lambda wrapped: function(wrapped, input_signature, **options)

    @functools.wraps(func)
    def called(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    called.python_function = func  # type: ignore[attr-defined]
    return called


@tf_export("GradientTape")
class GradientTape:
    """`with tf.GradientTape() as tape: …; tape.gradient(y, x)`; a graph remembers by itself, so that there this is tf.gradients."""  # noqa: E501

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self._persistent, self._used = persistent, False
        self._recording = Recording(watch_accessed_variables) if get_default_graph().eager else None

    def __enter__(self) -> GradientTape:
        if self._recording is not None:
            self._recording.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._recording is not None:
            self._recording.stop()

    def watch(self, tensor: Any) -> None:
        """Follow a tensor or a variable (trainable ones are followed unasked)."""
        if self._recording is not None:
            for leaf in nest.flatten(tensor):
                self._recording.watch(leaf)

    def reset(self) -> None:
        """Forget what was recorded."""
        if self._recording is not None:
            self._recording.clear()

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Nothing inside is recorded."""
        if self._recording is None:
            yield
            return
        self._recording.stop()
        try:
            yield
        finally:
            self._recording.start()

    def watched_variables(self) -> tuple[Any, ...]:
        if self._recording is not None:
            read = [getattr(op, "variable", None) for op in sorted(self._recording.reads, key=lambda op: op._id)]
            return tuple(v for v in read if v is not None and v.trainable)
        return tuple(tf.trainable_variables())

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: Any = None
    ) -> Any:
        """d(target)/d(each source), in the structure of `sources`."""
        if self._recording is not None:
            return self._gradient_now(target, sources, output_gradients, unconnected_gradients)
        more = {} if unconnected_gradients is None else {"unconnected_gradients": unconnected_gradients}
        seeds = None if output_gradients is None else nest.flatten(output_gradients)
        found = tf.gradients(nest.flatten(target), nest.flatten(sources), seeds, **more)
        return nest.pack_sequence_as(sources, found)

    def _gradient_now(self, target: Any, sources: Any, seeds: Any, unconnected: Any) -> Any:
        if self._used and not self._persistent:
            raise RuntimeError("GradientTape.gradient can only be called once on non-persistent tapes.")
        self._used = True
        flat = nest.flatten(sources)
        targets = [convert_to_tensor(t) for t in nest.flatten(target)]
        given = None if seeds is None else [convert_to_tensor(s) for s in nest.flatten(seeds)]
        found = self._recording.gradient(targets, flat, given)
        zero = str(getattr(unconnected, "value", unconnected)).lower() == "zero"
        grads = [
            (tf.zeros_like(s) if zero else None) if g is None else wrap(g, s.dtype.base_dtype)
            for g, s in zip(found, flat, strict=True)
        ]
        return nest.pack_sequence_as(sources, grads)

    def jacobian(self, target: Any, sources: Any, **_: Any) -> Any:
        """d(target)/d(source) for every element of `target`, whose size must be static."""
        target = convert_to_tensor(target)
        flat = tf.reshape(target, [-1])
        size = target.shape.num_elements()
        if size is None:
            raise ValueError(f"jacobian needs a static shape, {target!r} has {target.shape}")
        found = []
        for source in nest.flatten(sources):
            rows = tf.stack([tf.gradients(flat[i], source)[0] for i in range(size)])
            found.append(tf.reshape(rows, tf.concat([tf.shape(target), tf.shape(source)], 0)))
        return nest.pack_sequence_as(sources, found)


@tf_export("recompute_grad", "contrib.layers.recompute_grad")
def recompute_grad(f: Any = None, **_: Any) -> Any:
    """`f` itself: what it would save is memory, not a different gradient."""
    return (lambda wrapped: wrapped) if f is None else f


@tf_export("grad_pass_through")
def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` forwards, the identity backwards."""

    @tf.custom_gradient
    def through(*args: Any) -> Any:
        return f(*args), lambda *grads: grads

    return through


@tf_export("vectorized_map")
def vectorized_map(fn: Callable[..., Any], elems: Any) -> Any:
    """`fn` of every row."""
    rows = [tf.unstack(e) for e in nest.flatten(elems)]
    results = [fn(nest.pack_sequence_as(elems, list(parts))) for parts in zip(*rows, strict=True)]
    columns = zip(*[nest.flatten(r) for r in results], strict=True)
    return nest.pack_sequence_as(results[0], [tf.stack(list(column)) for column in columns])


@tf_export("switch_case")
def switch_case(branch_index: Any, branch_fns: Any, default: Any = None, name: str = "switch_case") -> Any:
    """The function of number `branch_index`; the default, or the last, where there is none of that number."""
    pairs = list(branch_fns.items()) if isinstance(branch_fns, dict) else list(branch_fns)
    if pairs and callable(pairs[0]):
        pairs = list(enumerate(pairs))
    if not all(callable(f) for _, f in pairs):
        raise TypeError(f"branch_fns must be callables or (int, callable) pairs, got {branch_fns}")
    pairs.sort(key=lambda pair: pair[0])
    if [number for number, _ in pairs] != list(range(len(pairs))):
        found = ",".join(str(number) for number, _ in pairs)
        raise ValueError(
            f"branch indices (keys) must form contiguous range of [0 to {len(pairs)}) but found {{{found}}}"
        )
    otherwise = default or pairs[-1][1]
    index = convert_to_tensor(branch_index, dtype=dtypes.int32)
    return tf.case([(tf.equal(index, number), f) for number, f in pairs], default=otherwise, name=name)


@tf_export("get_static_value")
def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """The value of a tensor that the graph alone determines, else None."""
    return constant_value(convert_to_tensor(tensor))


@tf_export("dimension_at_index")
def dimension_at_index(shape: TensorShape, index: int) -> Any:
    """The Dimension at `index`; an unknown one where the rank is unknown."""
    return tf.Dimension(None) if shape.rank is None else shape.dims[index]


@tf_export("dimension_value")
def dimension_value(dimension: Any) -> Any:
    """The int of a Dimension (or of an int)."""
    return getattr(dimension, "value", dimension)


export(lambda: logging.getLogger("tensorflow"), "get_logger")


@tf_export("init_scope")
@contextlib.contextmanager
def init_scope() -> Iterator[None]:
    """Operations made inside wait for nothing that is open outside."""
    with get_default_graph().control_dependencies(None):
        yield


@tf_export("TypeSpec")
class TypeSpec:
    """What a value of a graph looks like."""


@tf_export("TensorSpec", "contrib.framework.TensorSpec")
class TensorSpec(TypeSpec):
    """Shape, dtype and name of a tensor."""

    __slots__ = ("_dtype", "_name", "_shape")

    def __init__(self, shape: Any, dtype: Any = dtypes.float32, name: str | None = None):
        self._shape, self._dtype, self._name = as_shape(shape), dtypes.as_dtype(dtype), name

    @classmethod
    def from_spec(cls, spec: Any, name: str | None = None) -> TensorSpec:
        return cls(spec.shape, spec.dtype, name or spec.name)

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        return cls(tensor.shape, tensor.dtype, name or tensor.op.name)

    @property
    def shape(self) -> TensorShape:
        return self._shape

    @property
    def dtype(self) -> Any:
        return self._dtype

    @property
    def name(self) -> str | None:
        return self._name

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor (or spec) may stand where this one is asked for."""
        return self._dtype.is_compatible_with(other.dtype) and self._shape.is_compatible_with(other.shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TensorSpec)
            and str(self._shape) == str(other._shape)
            and (self._dtype, self._name) == (other._dtype, other._name)
        )

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((str(self._shape), self._dtype.name))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self._shape}, dtype={self._dtype!r}, name={self._name!r})"


@tf_export("contrib.framework.BoundedTensorSpec")
class BoundedTensorSpec(TensorSpec):
    """A TensorSpec with the least and the greatest value."""

    __slots__ = ("_maximum", "_minimum")

    def __init__(self, shape: Any, dtype: Any, minimum: Any, maximum: Any, name: str | None = None):
        import numpy as np

        super().__init__(shape, dtype, name)
        kind = self._dtype.as_numpy_dtype
        self._minimum, self._maximum = np.array(minimum, kind), np.array(maximum, kind)

    @property
    def minimum(self) -> Any:
        return self._minimum

    @property
    def maximum(self) -> Any:
        return self._maximum


@tf_export("Module")
class Module:
    """Finds its own variables: those in its attributes and in those of the modules among them."""

    def __init__(self, name: str | None = None):
        self._name = name or type(self).__name__.lower()

    @property
    def name(self) -> str:
        return self._name

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        return tracking.in_attributes(self, ("_restorations",))

    @property
    def name_scope(self) -> Any:
        return tf.name_scope(self._name)

    def _walk(self, seen: set[int]) -> Iterator[Any]:
        for _, value in sorted(vars(self).items()):
            yield from _members(value, seen)

    @property
    def variables(self) -> tuple[Any, ...]:
        return tuple(v for v in self._walk(set()) if isinstance(v, tf.Variable))

    @property
    def trainable_variables(self) -> tuple[Any, ...]:
        return tuple(v for v in self.variables if v.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        return tuple(m for m in self._walk(set()) if isinstance(m, Module))

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the method's operations are named below the module."""

        def scoped(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return scoped


def _members(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, tf.Variable):
        yield value
    elif isinstance(value, Module):
        yield value
        yield from value._walk(seen)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _members(item, seen)
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _members(value[key], seen)


@tf_export("CriticalSection")
class CriticalSection:
    """`execute(fn)`: one at a time; runs are sequential here."""

    def __init__(self, name: str | None = None, shared_name: str | None = None, **_: Any):
        self.name = shared_name or name or "critical_section"

    def execute(self, fn: Callable[[], Any], exclusive_resource_access: bool = True, name: str | None = None) -> Any:
        with tf.name_scope(name, "critical_section_execute", []):
            return fn()


@tf_export("create_partitioned_variables")
def create_partitioned_variables(
    shape: Any,
    slicing: Any,
    initializer: Any,
    dtype: Any = dtypes.float32,
    trainable: bool = True,
    collections: Any = None,
    name: str | None = None,
    reuse: Any = None,
) -> list[Any]:
    """The parts of a variable that is cut along one axis; at most one entry of `slicing` may be above 1."""
    if len(shape) != len(slicing):
        raise ValueError(
            f"The 'shape' and 'slicing' of a partitioned Variable must have the length: shape: {shape}, "
            f"slicing: {slicing}"
        )
    if any(n < 1 for n in slicing):
        raise ValueError(f"Partitioned Variables must have all slices at least 1: {slicing}")
    with tf.variable_scope(name, "PartitionedVariable", reuse=reuse):
        parts = tf.get_variable(
            "part",
            shape,
            dtype,
            initializer,
            trainable=trainable,
            partitioner=lambda shape, dtype: list(slicing),
            collections=collections,
        )
    return list(parts)


@tf_export("add_check_numerics_ops")
def add_check_numerics_ops() -> Any:
    """An operation that fails where any float tensor of the graph is not finite."""
    checks = []
    for op in get_default_graph().get_operations():
        for tensor in op.outputs:
            if tensor.dtype in (dtypes.float16, dtypes.float32, dtypes.float64) and op._context is None:
                checks.append(tf.check_numerics(tensor, message=f"{op.name}:{tensor.value_index}"))
    return tf.group(*checks)
