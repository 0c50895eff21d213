"""Variables cut into parts along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from recurra.tf1 import dtypes, names
from recurra.tf1.build import name_scope, register_tensor_conversion_function
from recurra.tf1.core_ops import group
from recurra.tf1.fetches import register as register_fetch
from recurra.tf1.names import tf_export
from recurra.tf1.shapes import Dimension, TensorShape, as_shape
from recurra.tf1.tensor import Tensor, TensorLike

Slices = list[tuple[list[int], list[int]]]


def partition_shapes(
    partitioner: Callable[..., Any], shape: TensorShape, dtype: dtypes.DType
) -> tuple[list[int], int, Slices]:
    """What a partitioner makes of a shape: parts per axis, the axis that is cut, and (offset, size) of each part."""
    if not shape.is_fully_defined():
        raise ValueError(f"Shape of a new partitioned variable must be fully defined, but instead was {shape}.")
    if (shape.rank or 0) < 1:
        raise ValueError(f"A partitioned Variable must have rank at least 1, shape: {shape}")
    partitions = partitioner(shape=shape, dtype=dtype)
    if not isinstance(partitions, list | tuple):
        raise ValueError(f"Partitioner must return a sequence, but saw: {partitions}")
    if len(partitions) != shape.rank:
        raise ValueError(
            f"Partitioner returned a partition list that does not match the Variable's rank: {partitions} vs. {shape}"
        )
    counts = [p.value if isinstance(p, Dimension) else int(p) for p in partitions]
    if any(p < 1 for p in counts):
        raise ValueError(f"Partitioner returned zero partitions for some axes: {counts}")
    cut = [i for i, p in enumerate(counts) if p > 1]
    if len(cut) > 1:
        raise ValueError(f"Can only slice a variable along one dimension: shape: {shape}, partitioning: {counts}")
    axis = cut[0] if cut else 0
    dims = [d or 0 for d in shape.as_list()]
    if counts[axis] > dims[axis]:
        raise ValueError(f"Partitioner returned partitions {counts} for shape {shape}")
    each, extra = divmod(dims[axis], counts[axis])
    slices: Slices = []
    offset = 0
    for i in range(counts[axis]):
        size = each + (1 if i < extra else 0)
        slices.append(
            (
                [offset if a == axis else 0 for a in range(len(dims))],
                [size if a == axis else d for a, d in enumerate(dims)],
            )
        )
        offset += size
    return counts, axis, slices


@tf_export("python.ops.variables.PartitionedVariable")
class PartitionedVariable(TensorLike):
    """A list of variables that together are one; used as a tensor, it is their concatenation."""

    def __init__(self, name: str, shape: Any, dtype: Any, variable_list: Sequence[Any], partitions: Sequence[int]):
        if not isinstance(variable_list, list | tuple):
            raise TypeError(f"variable_list is not a list or tuple: {variable_list}")
        if not isinstance(partitions, list | tuple):
            raise TypeError(f"partitions is not a list or tuple: {partitions}")
        if not all(p >= 1 for p in partitions):
            raise ValueError(f"partition values must be positive: {partitions}")
        if not variable_list:
            raise ValueError("variable_list may not be empty")
        self._name, self._shape, self._dtype = name, as_shape(shape), dtype
        self._variable_list, self._partitions = list(variable_list), list(partitions)
        self._as_tensor_made: Tensor | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._variable_list)

    def __len__(self) -> int:
        axes = self._partition_axes()
        if len(axes) > 1:
            raise ValueError(f"Cannot get a length for {len(axes)} > 1 partition axes")
        return len(self._variable_list)

    def _partition_axes(self) -> list[int]:
        return [i for i, p in enumerate(self._partitions) if p > 1] or [0]

    @property
    def name(self) -> str:
        return self._name

    @property
    def dtype(self) -> Any:
        return self._dtype

    @property
    def graph(self) -> Any:
        return self._variable_list[0].graph

    @property
    def op(self) -> Any:
        return self.as_tensor().op

    @property
    def shape(self) -> TensorShape:
        return self._shape

    def get_shape(self) -> TensorShape:
        return self._shape

    @property
    def initializer(self) -> Any:
        return group(*[v.initializer for v in self._variable_list])

    def _get_variable_list(self) -> list[Any]:
        return self._variable_list

    def _get_partitions(self) -> list[int]:
        return self._partitions

    def as_tensor(self) -> Tensor:
        """The whole value."""
        axis = self._partition_axes()[0]
        with name_scope(f"{self._name}/ConcatPartitions/"):
            if len(self._variable_list) == 1:
                whole = names.lookup("identity")(self._variable_list[0])
            else:
                whole = names.lookup("concat")([v.value() for v in self._variable_list], axis)
        with name_scope(None):
            return names.lookup("identity")(whole, name=self._name)

    def _dense_var_to_tensor(self, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
        if dtype is not None and not dtype.is_compatible_with(self._dtype):
            raise ValueError(
                f"Incompatible type conversion requested to type '{dtype.name}' for variable of type '{self._dtype.name}'"  # noqa: E501
            )
        if as_ref:
            raise NotImplementedError(f"PartitionedVariable doesn't support being used as a reference: {self._name}")
        return self.as_tensor()

    def _apply_assign(self, name: str, value: Any) -> list[Any]:
        axis = self._partition_axes()[0]
        sizes = [v.get_shape().as_list()[axis] for v in self._variable_list]
        parts = (
            list(value) if isinstance(value, PartitionedVariable) else names.lookup("split")(value, sizes, axis=axis)
        )
        return [getattr(v, name)(p) for v, p in zip(self._variable_list, parts, strict=True)]

    def assign(
        self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> list[Any]:
        return self._apply_assign("assign", value)

    def assign_add(
        self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> list[Any]:
        return self._apply_assign("assign_add", value)

    def assign_sub(
        self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> list[Any]:
        return self._apply_assign("assign_sub", value)


register_tensor_conversion_function(
    PartitionedVariable,
    lambda value, dtype=None, name=None, as_ref=False: value._dense_var_to_tensor(dtype, name, as_ref),
)
register_fetch(PartitionedVariable, lambda v: ([v.as_tensor()], lambda values: values[0]))


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@tf_export("fixed_size_partitioner")
def fixed_size_partitioner(num_shards: int, axis: int = 0) -> Callable[..., list[int]]:
    """Always `num_shards` parts along `axis`."""

    def partitioner(shape: TensorShape, **_: Any) -> list[int]:
        parts = [1] * len(shape.as_list())
        parts[axis] = min(num_shards, shape.as_list()[axis] or 1)
        return parts

    return partitioner


@tf_export("variable_axis_size_partitioner")
def variable_axis_size_partitioner(
    max_shard_bytes: int, axis: int = 0, bytes_per_string_element: int = 16, max_shards: int | None = None
) -> Callable[..., list[int]]:
    """As many parts along `axis` as keep each below `max_shard_bytes`."""
    _check(
        max_shard_bytes >= 1 and bytes_per_string_element >= 1,
        "Both max_shard_bytes and bytes_per_string_element must be positive.",
    )
    _check(max_shards is None or max_shards >= 1, "max_shards must be positive.")

    def partitioner(shape: Any, dtype: Any) -> list[int]:
        shape = as_shape(shape)
        _check(shape.is_fully_defined(), f"shape is not fully defined: {shape}")
        size = bytes_per_string_element if dtype.base_dtype == dtypes.string else dtype.size
        parts = [1] * shape.rank
        per_slice = shape.num_elements() // shape.as_list()[axis] * size
        slices = max(1, math.floor(max_shard_bytes / per_slice))
        shards = min(max_shards or math.inf, math.ceil(shape.as_list()[axis] / slices))
        parts[axis] = int(shards)
        return parts

    return partitioner


@tf_export("min_max_variable_partitioner")
def min_max_variable_partitioner(
    max_partitions: int = 1, axis: int = 0, min_slice_size: int = 256 << 10, bytes_per_string_element: int = 16
) -> Callable[..., list[int]]:
    """Up to `max_partitions` parts along `axis`, each of at least `min_slice_size` bytes."""
    _check(max_partitions >= 1, f"max_partitions must be >= 1: {max_partitions}")
    _check(min_slice_size >= 1, f"min_slice_size must be >= 1: {min_slice_size}")

    def partitioner(shape: Any, dtype: Any) -> list[int]:
        shape = as_shape(shape)
        size = bytes_per_string_element if dtype.base_dtype == dtypes.string else dtype.size
        parts = [1] * len(shape.as_list())
        total = shape.num_elements() * size
        parts[axis] = max(
            1, int(min(shape.as_list()[axis] or 1, max_partitions, max(1, math.ceil(total / min_slice_size))))
        )
        return parts

    return partitioner
