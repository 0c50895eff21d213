"""Where tf.get_variable keeps what it made: one store per graph, with sharing, initialisers and regularisers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from recurra.tf1 import dtypes, eras, names
from recurra.tf1.build import name_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.missing import program_stack
from recurra.tf1.names import export, tf_export
from recurra.tf1.partitioned import PartitionedVariable, partition_shapes
from recurra.tf1.shapes import TensorShape, as_shape
from recurra.tf1.variables import Variable


class _ReuseMode(enum.Enum):
    AUTO_REUSE = 1


AUTO_REUSE = export(_ReuseMode.AUTO_REUSE, "AUTO_REUSE")


@tf_export("python.ops.variable_scope._PartitionInfo")
class PartitionInfo:
    """What an initialiser of a partitioned variable is told about its part."""

    def __init__(self, full_shape: Sequence[int], var_offset: Sequence[int]):
        self.full_shape, self.var_offset = list(full_shape), list(var_offset)

    def single_offset(self, shape: Sequence[int]) -> int:
        axis = self.single_slice_dim(shape)
        return 0 if axis is None else self.var_offset[axis]

    def single_slice_dim(self, shape: Sequence[int]) -> int | None:
        found = [i for i, (a, b) in enumerate(zip(self.full_shape, shape, strict=True)) if a != b]
        if len(found) > 1:
            raise ValueError(f"Cannot use single_slice_dim() with shape {list(shape)} and full_shape {self.full_shape}")
        return found[0] if found else None


def default_initializer(name: str, dtype: dtypes.DType) -> Any:
    """The initialiser of a variable that was given none; (initialiser, whether it makes a constant zero)."""
    if dtype.is_floating or dtype.is_complex:
        if eras.current() < (1, 0):
            return names.lookup("uniform_unit_scaling_initializer")(factor=1.0)
        return names.lookup("glorot_uniform_initializer")()
    if dtype.is_integer or dtype.is_unsigned or dtype.is_bool or dtype == dtypes.string:
        return names.lookup("zeros_initializer")()
    raise ValueError(f"An initializer for variable {name} of {dtype.base_dtype} is required")


class VariableStore:
    """Variables by full name, and how often each variable scope was opened."""

    def __init__(self) -> None:
        self._vars: dict[str, Any] = {}
        self._partitioned: dict[str, PartitionedVariable] = {}
        self._places: dict[str, str] = {}
        self.scope_counts: dict[str, int] = {}
        self.current: Any = None
        self._store_eager_variables = False

    def open_scope(self, name: str) -> None:
        self.scope_counts[name] = self.scope_counts.get(name, 0) + 1

    def close_subscopes(self, name: str) -> None:
        for key in self.scope_counts:
            if not name or key.startswith(f"{name}/"):
                self.scope_counts[key] = 0

    def get_variable(
        self,
        name: str,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        initializer: Any = None,
        regularizer: Any = None,
        reuse: Any = None,
        trainable: bool | None = None,
        collections: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        validate_shape: bool = True,
        use_resource: bool | None = None,
        custom_getter: Any = None,
        constraint: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The variable called `name`, made now or found, per `reuse`."""
        if custom_getter is not None and not callable(custom_getter):
            raise ValueError(f"Passed a custom_getter which is not callable: {custom_getter}")
        try:
            dtype = as_dtype(dtype).base_dtype
        except TypeError:
            dtype = as_dtype(dtype.base_dtype)
        options = {
            "shape": shape,
            "dtype": dtype,
            "initializer": initializer,
            "regularizer": regularizer,
            "reuse": reuse,
            "trainable": trainable,
            "collections": collections,
            "caching_device": caching_device,
            "partitioner": partitioner,
            "validate_shape": validate_shape,
            "use_resource": use_resource,
            "constraint": constraint,
            **kwargs,
        }
        if custom_getter is not None:
            return custom_getter(getter=self._get, name=name, **options)
        return self._get(name, **options)

    def _get(
        self,
        name: str,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        initializer: Any = None,
        regularizer: Any = None,
        reuse: Any = None,
        trainable: bool | None = None,
        collections: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        validate_shape: bool = True,
        use_resource: bool | None = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
    ) -> Any:
        options = {
            "dtype": dtype,
            "initializer": initializer,
            "regularizer": regularizer,
            "reuse": reuse,
            "trainable": trainable,
            "collections": collections,
            "caching_device": caching_device,
            "validate_shape": validate_shape,
            "use_resource": use_resource,
            "constraint": constraint,
        }
        is_scalar = shape is not None and isinstance(shape, list | tuple | TensorShape) and not list(shape)
        if partitioner is not None and not is_scalar:
            if not callable(partitioner):
                raise ValueError(f"Partitioner must be callable, but received: {partitioner}")
            with name_scope(None):
                return self._get_partitioned(name, partitioner, shape, **options)
        if reuse is True and partitioner is None and name in self._partitioned:
            return self._get_partitioned(name, None, shape, **options)
        if f"{name}/part_0" in self._vars:
            raise ValueError(
                f"No partitioner was provided, but a partitioned version of the variable was found: {name}/part_0. "
                "Perhaps a variable of the same name was already created with partitioning?"
            )
        return self._get_single(name, shape, **options)

    def _get_single(
        self,
        name: str,
        shape: Any,
        dtype: dtypes.DType,
        initializer: Any,
        regularizer: Any = None,
        reuse: Any = None,
        trainable: bool | None = None,
        collections: Any = None,
        caching_device: Any = None,
        validate_shape: bool = True,
        use_resource: bool | None = None,
        constraint: Any = None,
        partition_info: Any = None,
    ) -> Any:
        shape = as_shape(shape)
        if self._store_eager_variables:
            reuse = AUTO_REUSE
        if name in self._vars and (reuse or not get_default_graph().eager):
            return self._found(name, shape, dtype, reuse)
        if reuse is True:
            raise ValueError(
                f"Variable {name} does not exist, or was not created with tf.get_variable(). Did you mean to set "
                "reuse=tf.AUTO_REUSE in VarScope?"
            )
        if initializer is None:
            initializer = default_initializer(name, dtype)
        with get_default_graph().control_dependencies(None):
            if isinstance(initializer, type):
                initializer = initializer()
            if callable(initializer):
                if not shape.is_fully_defined() and not _makes_own_shape(initializer):
                    raise ValueError(
                        f"Shape of a new variable ({name}) must be fully defined, but instead was {shape}."
                    )
                initial: Any = _initial_value(initializer, shape, dtype, partition_info)
                kind = dtype.base_dtype
            else:
                if shape.rank is not None and shape.is_fully_defined():
                    raise ValueError("If initializer is a constant, do not specify shape.")
                initial, kind = initializer, getattr(initializer, "dtype", None)
                kind = None if kind is None else as_dtype(kind).base_dtype
        variable = Variable(
            initial_value=initial,
            name=name,
            trainable=trainable,
            collections=collections,
            caching_device=caching_device,
            dtype=kind if callable(initial) else None,
            validate_shape=validate_shape,
            constraint=constraint,
            use_resource=use_resource,
        )
        self._vars[name] = variable
        self._places[name] = "".join(program_stack()[-3:])
        if regularizer:
            self._regularize(name, variable, regularizer)
        return variable

    def _regularize(self, name: str, variable: Any, regularizer: Callable[[Any], Any]) -> None:
        with get_default_graph().colocate_with(variable.op), name_scope(f"{name}/Regularizer/"):
            loss = regularizer(variable)
        if loss is not None:
            get_default_graph().add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)

    def _found(self, name: str, shape: TensorShape, dtype: dtypes.DType, reuse: Any) -> Any:
        found = self._vars[name]
        if reuse is False:
            raise ValueError(
                f"Variable {name} already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in "
                f"VarScope? Originally defined at:\n\n{self._places.get(name, '')}"
            )
        if not shape.is_compatible_with(found.get_shape()):
            raise ValueError(
                f"Trying to share variable {name}, but specified shape {shape} and found shape {found.get_shape()}."
            )
        if not dtype.is_compatible_with(found.dtype):
            raise ValueError(
                f"Trying to share variable {name}, but specified dtype {dtype.name} and found dtype {found.dtype.name}."
            )
        return found

    def _get_partitioned(
        self,
        name: str,
        partitioner: Any,
        shape: Any,
        dtype: dtypes.DType,
        initializer: Any,
        reuse: Any = None,
        **options: Any,
    ) -> PartitionedVariable:
        constant = initializer is not None and not callable(initializer)
        shape = as_shape(shape)
        if constant:
            shape = shape.merge_with(getattr(initializer, "shape", None) or _shape_of(initializer))
        if name in self._partitioned:
            return self._found_partitioned(name, shape, dtype, reuse, partitioner)
        if reuse is True:
            raise ValueError(
                f"PartitionedVariable {name} does not exist, or was not created with tf.get_variable(). Did you mean to "  # noqa: E501
                "set reuse=False or reuse=tf.AUTO_REUSE in VarScope?"
            )
        if name in self._vars:
            raise ValueError(
                "A partitioner was provided, but an unpartitioned version of the variable was found: "
                f"{name}. Perhaps a variable of the same name was already created without partitioning?"
            )
        partitions, _, slices = partition_shapes(partitioner, shape, dtype)
        parts = []
        if f"{name}/part_0" in self._vars and not reuse:
            raise ValueError(
                f"Partitioner returned a different partitioning than what was already found: {name}/part_0."
            )
        for i, (offset, size) in enumerate(slices):
            info = PartitionInfo(shape.as_list(), offset)  # type: ignore[arg-type]
            first = _slice_of(initializer, offset, size) if constant else initializer
            with name_scope(None):
                part = self._get_single(
                    f"{name}/part_{i}",
                    None if constant else size,
                    dtype=dtype,
                    initializer=first,
                    reuse=reuse,
                    partition_info=info,
                    **options,
                )
            part._set_save_slice_info(Variable.SaveSliceInfo(name, shape.as_list(), list(offset), list(size)))
            parts.append(part)
        made = PartitionedVariable(name=name, shape=shape, dtype=dtype, variable_list=parts, partitions=partitions)
        self._partitioned[name] = made
        return made

    def _found_partitioned(
        self, name: str, shape: TensorShape, dtype: Any, reuse: Any, partitioner: Any
    ) -> PartitionedVariable:
        found = self._partitioned[name]
        if reuse is False or reuse is None:
            raise ValueError(
                f"Partitioned variable with name {name} already exists. Did you mean to set reuse=True or "
                "reuse=tf.AUTO_REUSE in VarScope?"
            )
        if not shape.is_compatible_with(found.get_shape()):
            raise ValueError(
                f"Trying to reuse partitioned variable {name}, but specified shape {shape} and found shape {found.get_shape()}."  # noqa: E501
            )
        if not dtype.is_compatible_with(found.dtype):
            raise ValueError(
                f"Trying to reuse partitioned variable {name}, but specified dtype {dtype.name} and found dtype {found.dtype.name}."  # noqa: E501
            )
        if partitioner is not None:
            wanted, _, _ = partition_shapes(partitioner, found.get_shape(), dtype)
            if list(wanted) != list(found._get_partitions()):
                raise ValueError(
                    f"Trying to reuse partitioned variable {name}, but specified partitions {wanted} and found partitions "  # noqa: E501
                    f"{found._get_partitions()}."
                )
        return found


def _makes_own_shape(initializer: Callable[..., Any]) -> bool:
    """Whether a callable takes no required argument (it makes the whole value by itself)."""
    import inspect

    try:
        parameters = inspect.signature(initializer).parameters.values()
    except (TypeError, ValueError):
        return False
    return not any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _initial_value(
    initializer: Callable[..., Any], shape: TensorShape, dtype: dtypes.DType, info: Any
) -> Callable[[], Any]:
    import inspect

    if _makes_own_shape(initializer):
        return initializer
    try:
        parameters = inspect.signature(initializer).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    takes_info = "partition_info" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    if info is not None and takes_info:
        return lambda: initializer(shape.as_list(), dtype=dtype, partition_info=info)
    return lambda: initializer(shape.as_list(), dtype=dtype)


def _shape_of(value: Any) -> TensorShape:
    import numpy as np

    return TensorShape(np.asarray(value).shape)


def _slice_of(value: Any, offset: Sequence[int], size: Sequence[int]) -> Any:
    return names.lookup("slice")(value, list(offset), list(size))


def get_variable_store() -> VariableStore:
    """The store of the default graph."""
    return get_default_graph().extra.setdefault("variable_store", VariableStore())
