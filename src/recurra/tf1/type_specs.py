"""Descriptions of composite values: IndexedSlicesSpec and SparseTensorSpec beside tf.TensorSpec."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.eager_forms import TensorSpec, TypeSpec
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import as_shape

tf = space("")


class _CompositeSpec(TypeSpec):
    """Two are equal when they serialize alike."""

    def _serialize(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self._serialize()) == repr(other._serialize())  # type: ignore[attr-defined]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(repr(self._serialize()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._serialize()!r}"


@tf_export("IndexedSlicesSpec", "python.framework.indexed_slices.IndexedSlicesSpec")
class IndexedSlicesSpec(_CompositeSpec):
    """Shapes and dtypes of tf.IndexedSlices; `dense_shape_dtype` None is one without a dense shape."""

    def __init__(
        self,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        indices_dtype: Any = dtypes.int64,
        dense_shape_dtype: Any = None,
        indices_shape: Any = None,
    ) -> None:
        self._shape = as_shape(shape)
        self._values_dtype, self._indices_dtype = dtypes.as_dtype(dtype), dtypes.as_dtype(indices_dtype)
        self._dense_shape_dtype = None if dense_shape_dtype is None else dtypes.as_dtype(dense_shape_dtype)
        self._indices_shape = as_shape(indices_shape).with_rank(1)

    @property
    def value_type(self) -> Any:
        return tf.IndexedSlices

    def _serialize(self) -> tuple[Any, ...]:
        return self._shape, self._values_dtype, self._indices_dtype, self._dense_shape_dtype, self._indices_shape

    @property
    def _component_specs(self) -> tuple[TensorSpec, ...]:
        count = self._indices_shape.concatenate(self._shape[1:]) if self._shape.rank is not None else self._shape
        specs = [TensorSpec(count, self._values_dtype), TensorSpec(self._indices_shape, self._indices_dtype)]
        if self._dense_shape_dtype is not None:
            specs.append(TensorSpec([self._shape.rank], self._dense_shape_dtype))
        return tuple(specs)

    def _to_components(self, value: Any) -> tuple[Any, ...]:
        parts = value.values, value.indices
        return parts if value.dense_shape is None else (*parts, value.dense_shape)

    def _from_components(self, tensor_list: Any) -> Any:
        return tf.IndexedSlices(*tensor_list)


@tf_export("SparseTensorSpec", "python.framework.sparse_tensor.SparseTensorSpec")
class SparseTensorSpec(_CompositeSpec):
    """Dense shape and dtype of a tf.SparseTensor."""

    def __init__(self, shape: Any = None, dtype: Any = dtypes.float32) -> None:
        self._shape, self._dtype = as_shape(shape), dtypes.as_dtype(dtype)

    shape = property(lambda self: self._shape)
    dtype = property(lambda self: self._dtype)

    @property
    def value_type(self) -> Any:
        return tf.SparseTensor

    def _serialize(self) -> tuple[Any, ...]:
        return self._shape, self._dtype

    @property
    def _component_specs(self) -> list[TensorSpec]:
        rank = self._shape.rank
        count = self._shape.num_elements() if rank == 0 else None
        return [
            TensorSpec([count, rank], dtypes.int64),
            TensorSpec([count], self._dtype),
            TensorSpec([rank], dtypes.int64),
        ]

    def _to_components(self, value: Any) -> list[Any]:
        return [value.indices, value.values, value.dense_shape]

    def _from_components(self, tensor_list: Any) -> Any:
        return tf.SparseTensor(*tensor_list)
